import { afterEach, describe, expect, it } from 'vitest'
import { FETCH_LOOKUP_TIMEOUT, FETCH_MAX_DATA, FETCH_MAX_KEY } from './engine/limits.ts'
import { FETCH } from './engine/protocols/fetch/service.ts'
import { identifyService } from './engine/protocols/identify/service.ts'
import { PERF } from './engine/protocols/perf/service.ts'
import { pingService } from './engine/protocols/ping/service.ts'
import { World } from './engine/testing/world.ts'
import type { TabmeshError } from './errors.ts'
import { Peer } from './peer.ts'
import { serveEngine } from './port/engine-port.ts'
import type { EngineOptions } from './port/messages.ts'

const options: EngineOptions = {
  name: 'test',
  identity: 'ephemeral',
  relays: [],
  bootstrap: [],
  listen: undefined,
  transports: { webSocket: false, webTransport: false, webRTC: false, webRTCDirect: false, tcp: false, quic: false, circuitRelay: false },
  encryption: ['noise'],
  mplex: false,
  preSharedKey: undefined,
  perf: false,
  connections: {},
  secureOnly: false,
  near: true,
  dnsOverHttps: undefined,
}

const ports: MessagePort[] = []
afterEach(() => {
  for (const port of ports.splice(0)) port.close()
})

/** Peers whose engines share one world; its time passes while they wait for something. */
class Lab {
  readonly world = new World(1, 1)

  /** Runs the world until `promise` has settled. */
  async wait<T>(promise: Promise<T>): Promise<T> {
    let over = false
    const done = promise.finally(() => {
      over = true
    })
    done.catch(() => {})
    while (!over) {
      this.world.run(50)
      await new Promise((resolve) => setImmediate(resolve))
    }
    return done
  }

  codeOf(promise: Promise<unknown>): Promise<string> {
    return this.wait(
      promise.then(
        () => 'ok',
        (error: TabmeshError) => error.code,
      ),
    )
  }

  async peer(change: Partial<EngineOptions> = {}): Promise<{ peer: Peer; address: string }> {
    const [control, events, rtc] = [new MessageChannel(), new MessageChannel(), new MessageChannel()]
    ports.push(control.port1, control.port2, events.port1, events.port2, rtc.port1, rtc.port2)
    let address = ''
    serveEngine({ control: control.port2, events: events.port2, rtc: rtc.port2 }, async (_options, _rtc, onEvent) => {
      const ping = pingService()
      const made = this.world.node(() => ({ services: [identifyService(), ping] }))
      const { node } = made
      address = made.address.text
      // The world's node is started already; the port starts what it is given.
      ;(node as unknown as { start: () => void }).start = () => {}
      const emit = node.emit.bind(node)
      ;(node as unknown as { emit: typeof emit }).emit = (event) => {
        emit(event)
        onEvent(event)
      }
      return { node, ping: ping.ping, warnings: [], close: () => {} }
    })
    const engine = { control: control.port1, events: events.port1, onDeath: () => {}, end: () => {} }
    const peer = await this.wait(Peer.start(engine, { ...options, ...change }, { log: () => {} }))
    return { peer, address }
  }
}

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
