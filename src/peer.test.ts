import { describe, expect, it } from 'vitest'
import { FETCH_LOOKUP_TIMEOUT, FETCH_MAX_DATA, FETCH_MAX_KEY, GATER_TIMEOUT } from './engine/limits.ts'
import { FETCH } from './engine/protocols/fetch/service.ts'
import { PERF } from './engine/protocols/perf/service.ts'
import type { TabmeshError } from './errors.ts'
import type { Peer } from './peer.ts'
import { gatesOf } from './port/gates.ts'
import { Lab } from './testing/lab.ts'
import type { Gater } from './types/gater.ts'

const gated = (lab: Lab, gater: Gater): Promise<{ peer: Peer; address: string }> => lab.peer({ gates: gatesOf(gater) }, { gater })

describe('a gater', () => {
  const errorsOf = ({ peer }: { peer: Peer }): TabmeshError[] => {
    const errors: TabmeshError[] = []
    peer.addEventListener('error', ({ detail }) => errors.push(detail))
    return errors
  }

  it('is asked of the page that has it, in order, and told what there is to know', async () => {
    const lab = new Lab()
    const heard: unknown[] = []
    const spy = (who: string): Gater => ({
      dial: (about) => heard.push([who, 'dial', about]) > 0,
      accept: async (about) => heard.push([who, 'accept', about]) > 0,
      secured: (about) => heard.push([who, 'secured', about]) > 0,
      upgraded: (about) => new Promise((resolve) => setImmediate(() => resolve(heard.push([who, 'upgraded', about]) > 0))),
    })
    const [a, b] = [await gated(lab, spy('a')), await gated(lab, spy('b'))]
    const opened = new Promise((resolve) => b.peer.addEventListener('connection:open', resolve, { once: true }))
    expect(await lab.wait(a.peer.dial(b.address))).toMatchObject({ remotePeer: b.peer.id })
    await lab.wait(opened)
    const [toB, toA] = [
      { remotePeer: b.peer.id, remoteAddr: b.address },
      { remotePeer: a.peer.id, remoteAddr: '/memory/0' },
    ]
    const whole = { transport: 'memory', limited: false, encryption: '/noise', muxer: '/yamux/1.0.0' }
    const of = (who: string): unknown[] => heard.filter((each) => (each as unknown[])[0] === who)
    expect(of('a')).toEqual([
      ['a', 'dial', toB],
      ['a', 'secured', { ...toB, direction: 'outbound' }],
      ['a', 'upgraded', { ...toB, direction: 'outbound', ...whole }],
    ])
    expect(of('b')).toEqual([
      ['b', 'accept', { remoteAddr: '/memory/0' }],
      ['b', 'secured', { ...toA, direction: 'inbound' }],
      ['b', 'upgraded', { ...toA, remoteAddr: `/memory/0/p2p/${a.peer.id}`, direction: 'inbound', ...whole }],
    ])
  })

  it('that refuses is obeyed at each moment: ERR_GATED here, a closed connection there, and others go on', async () => {
    for (const hook of ['dial', 'secured', 'upgraded'] as const) {
      const lab = new Lab()
      const [stranger, friend] = [await lab.peer(), await lab.peer()]
      const a = await gated(lab, { [hook]: ({ remotePeer }: { remotePeer: string }) => remotePeer !== stranger.peer.id })
      const error = await lab.wait(a.peer.dial(stranger.address).catch((why: TabmeshError) => why))
      expect(error).toMatchObject({ code: 'ERR_DIAL_FAILED', errors: [{ code: 'ERR_GATED' }] })
      expect(await lab.codeOf(a.peer.dial(friend.address))).toBe('ok')
    }
    for (const hook of ['accept', 'secured', 'upgraded'] as const) {
      const lab = new Lab()
      let open = false
      const b = await gated(lab, { [hook]: () => open })
      const met: string[] = []
      b.peer.addEventListener('connection:open', ({ detail }) => met.push(detail.remotePeer))
      const [a, later] = [await lab.peer(), await lab.peer()]
      // The handshake may be over for the dialer: then its connection is closed at once.
      const closed = new Promise((resolve) => a.peer.addEventListener('connection:close', ({ detail }) => resolve(detail.error?.code)))
      const dialled = await lab.codeOf(a.peer.dial(b.address))
      expect(dialled === 'ok' ? await lab.wait(closed) : dialled).toMatch(/^ERR_(CONNECTION_CLOSED|DIAL_FAILED)$/)
      expect(met).toEqual([])
      open = true
      expect(await lab.codeOf(later.peer.ping(b.address))).toBe('ok')
      expect(met).toEqual([later.peer.id])
    }
  })

  it('that throws or rejects refuses, and is an error event with what was thrown', async () => {
    const broken = new Error('the list is on fire')
    for (const dial of [
      () => {
        throw broken
      },
      () => Promise.reject(broken),
    ]) {
      const lab = new Lab()
      const a = await gated(lab, { dial })
      const errors = errorsOf(a)
      const b = await lab.peer()
      expect(await lab.codeOf(a.peer.dial(b.address))).toBe('ERR_DIAL_FAILED')
      expect(errors.map(({ code, cause }) => [code, cause])).toEqual([['ERR_HANDLER', broken]])
      expect(await lab.codeOf(a.peer.metrics())).toBe('ok')
    }
  })

  it('that never answers refuses at the deadline, and a late answer changes nothing', async () => {
    const lab = new Lab()
    const answers: ((allowed: boolean) => void)[] = []
    const a = await gated(lab, { dial: () => new Promise((resolve) => answers.push(resolve)) })
    const b = await lab.peer()
    const began = lab.world.now
    const error = await lab.wait(a.peer.dial(b.address).catch((why: TabmeshError) => why))
    expect(error).toMatchObject({ code: 'ERR_DIAL_FAILED', errors: [{ code: 'ERR_GATED' }] })
    expect(lab.world.now - began).toBeGreaterThanOrEqual(GATER_TIMEOUT)
    for (const answer of answers) answer(true)
    expect(await lab.codeOf(a.peer.metrics())).toBe('ok')
    expect(a.peer.connections).toEqual([])
    // It is asked anew each time.
    const again = a.peer.dial(b.address)
    await lab.wait(new Promise<void>((resolve) => setImmediate(resolve)))
    while (answers.length < 2) await lab.wait(new Promise<void>((resolve) => setImmediate(resolve)))
    answers[1]?.(true)
    expect((await lab.wait(again)).remotePeer).toBe(b.peer.id)
  })

  it('is asked nothing where it has no hook; a peer without one sends no message', async () => {
    const lab = new Lab()
    const asked: string[] = []
    const [a, b] = [await gated(lab, { accept: () => asked.push('a') > 0 }), await lab.peer()]
    const posted: unknown[] = []
    const { postMessage } = MessagePort.prototype
    MessagePort.prototype.postMessage = function (this: MessagePort, message: unknown, ...rest: never[]) {
      posted.push(message)
      return postMessage.call(this, message, ...rest)
    }
    try {
      expect(await lab.codeOf(a.peer.dial(b.address))).toBe('ok')
    } finally {
      MessagePort.prototype.postMessage = postMessage
    }
    expect(asked).toEqual([])
    expect(posted.length).toBeGreaterThan(3)
    expect(JSON.stringify(posted)).not.toMatch(/gate/i)
  })
})

const text = (bytes: Uint8Array | undefined): string | undefined => (bytes === undefined ? undefined : Buffer.from(bytes).toString())

describe('fetch', () => {
  it('gets what the lookup of another peer gives: text, bytes, later, or nothing', async () => {
    const lab = new Lab()
    const [a, b] = [await lab.peer(), await lab.peer()]
    const asked: unknown[] = []
    await lab.wait(
      b.peer.handleFetch('/menu/', (key, { remotePeer, bytes }) => {
        asked.push([key, remotePeer, text(bytes)])
        if (key === '/menu/soup') return 'tomato'
        if (key === '/menu/bytes') return Uint8Array.of(1, 2)
        if (key === '/menu/later') return new Promise((resolve) => setImmediate(() => resolve('late')))
        return undefined
      }),
    )
    const fetch = (key: string | Uint8Array) => lab.wait(a.peer.fetch(b.address, key))
    expect(text(await fetch('/menu/soup'))).toBe('tomato')
    expect(await fetch('/menu/bytes')).toEqual(Uint8Array.of(1, 2))
    expect(text(await fetch(Buffer.from('/menu/later')))).toBe('late')
    expect(await fetch('/menu/fish')).toBeUndefined()
    expect(await fetch('/other')).toBeUndefined()
    expect(asked).toEqual(['/menu/soup', '/menu/bytes', '/menu/later', '/menu/fish'].map((key) => [key, a.peer.id, key]))
  })

  it('leaves the buffers of both sides to them', async () => {
    const lab = new Lab()
    const [a, b] = [await lab.peer(), await lab.peer()]
    const value = new Uint8Array(FETCH_MAX_DATA).fill(7)
    await lab.wait(b.peer.handleFetch('', () => value))
    const key = new Uint8Array(1_000_000).subarray(10, 20)
    const got = await lab.wait(a.peer.fetch(b.address, key))
    expect([got?.length, got?.[0], got?.at(-1), got?.buffer.byteLength]).toEqual([FETCH_MAX_DATA, 7, 7, FETCH_MAX_DATA])
    expect([value.length, value[0], key.length]).toEqual([FETCH_MAX_DATA, 7, 10])
  })

  it('of a lookup that throws, rejects, gives nonsense or too much fails; its own page hears why', async () => {
    const lab = new Lab()
    const [a, b] = [await lab.peer(), await lab.peer()]
    const errors: TabmeshError[] = []
    b.peer.addEventListener('error', ({ detail }) => errors.push(detail))
    const secret = new Error('the database is on fire')
    await lab.wait(
      b.peer.handleFetch('/', (key) => {
        if (key === '/throws') throw secret
        if (key === '/rejects') return Promise.reject(secret)
        return key === '/nonsense' ? (7 as never) : new Uint8Array(FETCH_MAX_DATA + 1)
      }),
    )
    for (const key of ['/throws', '/rejects', '/nonsense', '/large']) {
      const error = await lab.wait(a.peer.fetch(b.address, key).catch((why: TabmeshError) => why))
      expect(error).toMatchObject({ code: 'ERR_FETCH_FAILED', remote: true })
      expect((error as TabmeshError).message).not.toContain('fire')
    }
    expect(errors.map(({ code, cause }) => [code, (cause as TabmeshError).code])).toEqual([
      ['ERR_HANDLER', undefined],
      ['ERR_HANDLER', undefined],
      ['ERR_HANDLER', 'ERR_INVALID_ARGUMENT'],
      ['ERR_HANDLER', 'ERR_FRAME_TOO_LARGE'],
    ])
    expect(errors[0]?.cause).toBe(secret)
  })

  it('is given up with a signal, and after a while that the lookup took for nothing', async () => {
    const lab = new Lab()
    const [a, b] = [await lab.peer(), await lab.peer()]
    let answer: (value: string) => void = () => {}
    await lab.wait(
      b.peer.handleFetch('/', () => {
        controller.abort('enough')
        return new Promise<string>((resolve) => {
          answer = resolve
        })
      }),
    )
    const controller = new AbortController()
    const { signal } = controller
    expect(await lab.wait(a.peer.fetch(b.address, '/x', { signal }).catch((why) => why))).toBe('enough')
    const began = lab.world.now
    expect(await lab.codeOf(a.peer.fetch(b.address, '/x'))).toBe('ERR_FETCH_FAILED')
    expect(lab.world.now - began).toBeGreaterThanOrEqual(FETCH_LOOKUP_TIMEOUT)
    answer('too late')
    expect(await lab.codeOf(b.peer.metrics())).toBe('ok')
  })

  it('is spoken as long as somebody answers, and a prefix is answered once', async () => {
    const lab = new Lab()
    const [a, b] = [await lab.peer(), await lab.peer()]
    expect(await lab.codeOf(a.peer.fetch(b.address, '/a/1'))).toBe('ERR_NO_PROTOCOL')
    await lab.wait(b.peer.handleFetch('/a/', () => 'a'))
    await lab.wait(b.peer.handleFetch('/b/', () => 'b'))
    expect(await lab.codeOf(b.peer.handleFetch('/a/', () => 'c'))).toBe('ERR_PROTOCOL_TAKEN')
    await lab.wait(b.peer.metrics())
    expect(b.peer.protocols).toContain(FETCH)
    expect(text(await lab.wait(a.peer.fetch(b.address, '/b/1')))).toBe('b')
    await lab.wait(b.peer.unhandleFetch('/a/'))
    expect(await lab.wait(a.peer.fetch(b.address, '/a/1'))).toBeUndefined()
    await lab.wait(b.peer.unhandleFetch('/b/'))
    await lab.wait(b.peer.unhandleFetch('/b/'))
    await lab.wait(b.peer.metrics())
    expect(b.peer.protocols).not.toContain(FETCH)
    expect(await lab.codeOf(a.peer.fetch(b.address, '/b/1'))).toBe('ERR_NO_PROTOCOL')
    expect(await lab.codeOf(b.peer.handleFetch('/a/', () => 'again'))).toBe('ok')
  })

  it('of a key over 1 KiB, or of nobody, is refused before anything is sent', async () => {
    const lab = new Lab()
    const { peer } = await lab.peer()
    expect(await lab.codeOf(peer.fetch('/memory/1', 'x'.repeat(FETCH_MAX_KEY + 1)))).toBe('ERR_INVALID_ARGUMENT')
    expect(await lab.codeOf(peer.fetch('nonsense', 'x'))).toBe('ERR_INVALID_PEER_ID')
    expect(await lab.codeOf(peer.fetch('/memory/77', 'x'))).toBe('ERR_DIAL_FAILED')
  })
})

describe('perf', () => {
  it('measures both ways where the other side allows it', async () => {
    const lab = new Lab()
    const [a, b, c] = [await lab.peer(), await lab.peer({ perf: true }), await lab.peer()]
    expect([b.peer.protocols.includes(PERF), c.peer.protocols.includes(PERF)]).toEqual([true, false])
    const { upload, download } = await lab.wait(a.peer.perf(b.address, { upload: 1_000_000, download: 500_001 }))
    expect([upload.bytes, download.bytes]).toEqual([1_000_000, 500_001])
    expect(upload.ms).toBeGreaterThan(0)
    expect(await lab.wait(a.peer.perf(b.peer.id))).toMatchObject({ upload: { bytes: 0 }, download: { bytes: 0, ms: 0 } })
    expect(await lab.codeOf(a.peer.perf(c.address, { download: 1 }))).toBe('ERR_NO_PROTOCOL')
  })

  it('is given up with a signal, also in the middle', async () => {
    const lab = new Lab()
    const [a, b] = [await lab.peer(), await lab.peer({ perf: true })]
    const controller = new AbortController()
    const failed = a.peer.perf(b.address, { download: Number.MAX_SAFE_INTEGER, signal: controller.signal }).catch((why) => why)
    await lab.wait(a.peer.metrics())
    await lab.wait(a.peer.metrics())
    controller.abort('enough')
    expect(await lab.wait(failed)).toBe('enough')
    const { protocols } = await lab.wait(a.peer.metrics())
    expect(protocols[PERF]).toMatchObject({ open: 0, total: 1 })
    expect(protocols[PERF]?.received).toBeGreaterThan(0)
  })

  it.each([-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, '1' as never])('of %s bytes is no measurement', async (bytes) => {
    const lab = new Lab()
    const { peer } = await lab.peer()
    expect(await lab.codeOf(peer.perf('/memory/1', { upload: bytes }))).toBe('ERR_INVALID_ARGUMENT')
    expect(await lab.codeOf(peer.perf('/memory/1', { download: bytes }))).toBe('ERR_INVALID_ARGUMENT')
  })
})

it('what another peer has signed, and where it sees us, is shown', async () => {
  const lab = new Lab()
  const [a, b] = [await lab.peer(), await lab.peer()]
  await lab.wait(a.peer.dial(b.address))
  await lab.wait(new Promise((resolve) => b.peer.addEventListener('connection:change', resolve, { once: true })))
  expect(await lab.wait(a.peer.peerStore.get(b.peer.id))).toMatchObject({ addresses: [b.address], certified: [b.address] })
  expect(a.peer.connections[0]?.observedAddr).toBe('/memory/0')
})
