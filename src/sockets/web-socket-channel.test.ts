/** One suite for every pairing: the page's transport and Node's dial Node's listener, and each end is tested. */

import { once } from 'node:events'
import { setImmediate as turn } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import type { Multiaddr } from '../engine/codec/multiaddr.ts'
import { parseMultiaddr } from '../engine/codec/multiaddr.ts'
import { WS_MAX_MESSAGE, WS_RECEIVE_MAX, WS_RECEIVE_WINDOW, WS_SEND_BUFFER } from '../engine/limits.ts'
import type { Link, Net, Transport } from '../engine/net/service.ts'
import { prng } from '../engine/testing/prng.ts'
import type { Channel } from '../engine/wire/channel.ts'
import type { Outcome } from '../engine/wire/conversation.ts'
import { TabmeshError } from '../errors.ts'
import { nodeHost } from '../node/host.ts'
import { newIdentity } from '../node/identity.ts'
import { wsTransport } from '../node/ws-dialer.ts'
import { listenWs, type WsListener } from '../node/ws-listener.ts'
import { webSocketTransport } from '../transports/web-socket.ts'

const MiB = 1024 * 1024
const net = { host: nodeHost(newIdentity()) } as unknown as Net
const pageTransport = (secureContext = false) =>
  webSocketTransport({ WebSocket: WebSocket as unknown as typeof globalThis.WebSocket, secureContext })

const open: { close(): unknown }[] = []
afterEach(async () => {
  for (const one of open.splice(0)) await one.close()
})

const deferred = <T>() => {
  let resolve: (value: T) => void = () => {}
  const promise = new Promise<T>((done) => {
    resolve = done
  })
  return { promise, resolve }
}

/** Reads a channel and remembers what came; releases at once unless told not to. */
const reader = (channel: Channel, releasing = true) => {
  const state = { chunks: [] as Uint8Array[], size: 0, log: [] as string[], fault: undefined as TabmeshError | undefined }
  const { promise: over, resolve } = deferred<void>()
  const waiting: { readonly until: number; readonly go: () => void }[] = []
  channel.attach({
    onData(bytes) {
      state.chunks.push(bytes)
      state.size += bytes.length
      if (releasing) channel.release(bytes.length)
      for (const each of waiting) if (state.size >= each.until) each.go()
    },
    onDrain: () => state.log.push('drain'),
    onEnd: () => state.log.push('end'),
    onClose(fault) {
      state.log.push('close')
      state.fault = fault
      resolve()
    },
  })
  return Object.assign(state, {
    over,
    bytes: () => Buffer.concat(state.chunks),
    /** Resolves when so many bytes have come. */
    have: (until: number) => new Promise<void>((go) => (state.size >= until ? go() : waiting.push({ until, go }))),
  })
}

const channelOf = (link: Link): Channel => {
  if (link.t !== 'pipe') throw new Error('a WebSocket is a pipe')
  return link.channel
}

const dial = (transport: Transport, address: Multiaddr): Promise<Outcome<Link>> =>
  new Promise((done) => {
    let returned = false
    transport.dial(address, net, (outcome) => {
      expect(returned).toBe(true)
      done(outcome)
    })
    returned = true
  })

const loopback = parseMultiaddr('/ip4/127.0.0.1/tcp/0/ws')

const listener = async (accept: (link: Link) => void, options: Partial<Parameters<typeof listenWs>[1]> = {}): Promise<WsListener> => {
  const listening = await listenWs(loopback, { ...options, accept })
  open.push(listening)
  return listening
}

const pair = async (transport: Transport) => {
  const { promise: accepted, resolve } = deferred<Link>()
  const listening = await listener(resolve)
  const outcome = await dial(transport, listening.address)
  if (!outcome.ok) throw outcome.fault
  const far = await accepted
  return { listening, dialled: channelOf(outcome.value), accepted: channelOf(far), link: outcome.value, remoteLink: far }
}

/** A bare server of `ws` and a channel that dialled it. */
const againstServer = async (transport: Transport) => {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  open.push(server)
  await once(server, 'listening')
  const socket = once(server, 'connection').then(([each]) => each as WebSocket)
  const outcome = await dial(transport, parseMultiaddr(`/ip4/127.0.0.1/tcp/${(server.address() as { port: number }).port}/ws`))
  if (!outcome.ok) throw outcome.fault
  return { channel: channelOf(outcome.value), raw: await socket }
}

/** A bare client of `ws` and the channel that the listener made of it. */
const againstClient = async () => {
  const { promise: accepted, resolve } = deferred<Link>()
  const listening = await listener(resolve)
  const raw = new WebSocket(`ws://127.0.0.1:${listening.address.parts[1]?.value}/`)
  await once(raw, 'open')
  return { channel: channelOf(await accepted), raw }
}

/** Writes 64 KiB at a time for as long as there is credit, until `total` is written. */
const writeAll = (channel: Channel, total: number) => {
  const state = { channel, written: 0, drains: 0, mostQueued: 0 }
  const write = (): void => {
    while (state.written < total && channel.credit > 0) {
      channel.write(new Uint8Array(65_536))
      state.written += 65_536
      state.mostQueued = Math.max(state.mostQueued, WS_SEND_BUFFER - channel.credit)
    }
  }
  channel.attach({
    onData: () => {},
    onDrain() {
      state.drains++
      write()
    },
    onEnd: () => {},
    onClose: () => {},
  })
  write()
  return state
}

describe.each([
  // A page may close with 1000 and 3000 to 4999 only, and can't pause a socket.
  { who: "the page's transport", make: () => pageTransport(), sentCode: (code: number) => code + 3000, pauses: false },
  { who: "Node's transport", make: () => wsTransport(), sentCode: (code: number) => code, pauses: true },
])('a channel that $who dialled', ({ make, sentCode, pauses }) => {
  it('names both ends', async () => {
    const { link, remoteLink, listening } = await pair(make())
    expect(link).toMatchObject({ transport: 'websocket', remoteAddr: { text: listening.address.text } })
    expect(remoteLink).toMatchObject({
      transport: 'websocket',
      remoteAddr: { text: expect.stringMatching(/^\/ip4\/127\.0\.0\.1\/tcp\/\d+\/ws$/) },
    })
  })

  it.each([1, 2, 3])('carries bytes both ways, however they are cut (seed %i)', async (seed) => {
    const { dialled, accepted } = await pair(make())
    const random = prng(seed)
    const there = reader(accepted)
    const back = reader(dialled)
    const sent = [dialled, accepted].map((channel) => {
      const chunks = Array.from({ length: 40 }, () => random.bytes(random.below(random.below(2) === 0 ? 20 : 70_000)))
      for (const chunk of chunks) channel.write(chunk.slice())
      return Buffer.concat(chunks)
    })
    await Promise.all([there.have(sent[0]?.length ?? 0), back.have(sent[1]?.length ?? 0)])
    expect(there.bytes().equals(sent[0] as Buffer)).toBe(true)
    expect(back.bytes().equals(sent[1] as Buffer)).toBe(true)
  })

  it('cuts a write that is larger than a message may be', async () => {
    const { dialled, accepted } = await pair(make())
    const there = reader(accepted)
    const bytes = prng(4).bytes(3 * WS_MAX_MESSAGE + 1)
    dialled.write(bytes)
    await there.have(bytes.length)
    expect(there.bytes().equals(bytes)).toBe(true)
    expect(Math.max(...there.chunks.map((chunk) => chunk.length))).toBeLessThan(WS_MAX_MESSAGE)
  })

  it('keeps what comes before its reader', async () => {
    const { dialled, accepted } = await pair(make())
    accepted.write(Uint8Array.of(1, 2, 3))
    accepted.write(Uint8Array.of(4))
    accepted.end()
    const there = reader(accepted)
    await turn()
    const back = reader(dialled)
    await Promise.all([there.over, back.over])
    expect([...back.bytes()]).toEqual([1, 2, 3, 4])
    expect(back.log).toEqual(['end', 'close'])
  })

  it.each(['dialled', 'accepted'] as const)('ends in order, behind what was written, when the side that was %s ends', async (side) => {
    const both = await pair(make())
    const near = both[side]
    const far = both[side === 'dialled' ? 'accepted' : 'dialled']
    const here = reader(near)
    const there = reader(far)
    near.write(new Uint8Array(300_000).fill(7))
    near.end()
    expect(near.credit).toBe(0)
    near.end()
    near.write(Uint8Array.of(9))
    await Promise.all([here.over, there.over])
    expect(there.size).toBe(300_000)
    expect(there.log).toEqual(['end', 'close'])
    expect(here.log).toEqual(['end', 'close'])
    expect([here.fault, there.fault]).toEqual([undefined, undefined])
  })

  it.each(['dialled', 'accepted'] as const)('is over at once when the side that was %s aborts', async (side) => {
    const both = await pair(make())
    const here = reader(both[side])
    const there = reader(both[side === 'dialled' ? 'accepted' : 'dialled'])
    const fault = new TabmeshError('ERR_TIMEOUT', 'test')
    both[side].abort(fault)
    both[side].abort(new TabmeshError('ERR_INTERNAL', 'second'))
    expect(here.log).toEqual(['close'])
    expect(here.fault).toBe(fault)
    await there.over
    expect(there.log).toEqual(['close'])
    expect(there.fault).toMatchObject({ code: 'ERR_CONNECTION_CLOSED', message: expect.stringContaining('code 4000 "ERR_TIMEOUT"') })
  })

  it.each(pauses ? (['dialled', 'accepted'] as const) : (['dialled'] as const))(
    'a slow reader holds back the writer that %s, and memory with it',
    async (side) => {
      const both = await pair(make())
      const slow = both[side === 'dialled' ? 'accepted' : 'dialled']
      const total = 64 * MiB
      const writer = writeAll(both[side], total)
      const there = reader(slow, false)
      // Nothing is released until the writer has stood still for a while: then all buffers between the two are full.
      for (let still = 0, before = -1; still < 200; before = writer.written) {
        await turn()
        still = writer.written === before && writer.mostQueued >= WS_SEND_BUFFER ? still + 1 : 0
      }
      // What the systems' own socket buffers take is theirs to say; it is far from all.
      expect(writer.written).toBeLessThan(32 * MiB)
      let mostHeld = there.size
      for (let released = 0; released < total; ) {
        const fresh = there.size - released
        mostHeld = Math.max(mostHeld, fresh)
        released += fresh
        slow.release(fresh)
        await there.have(Math.min(released + 1, total))
      }
      expect(there.size).toBe(total)
      // The message that went over the window, and what the socket had read by then.
      expect(mostHeld).toBeLessThanOrEqual(WS_RECEIVE_WINDOW + 2 * 65_536)
      expect(writer.mostQueued).toBeLessThanOrEqual(WS_SEND_BUFFER + 65_536 + 64)
      expect(writer.drains).toBeGreaterThan(0)
    },
  )

  it.each([
    ['1000 as the end', 1000, 'bye', undefined],
    ['no code as the end', undefined, undefined, undefined],
    ['1001 as a loss', 1001, '', 'code 1001'],
    ['any other code as a loss, with its reason', 4321, 'so "there"', 'code 4321 "so \\"there\\""'],
    ['a broken socket as a loss', 'terminate', undefined, '(1006)'],
  ] as const)('takes %s', async (_what, code, reason, said) => {
    const { channel, raw } = await againstServer(make())
    const here = reader(channel)
    raw.send(Uint8Array.of(1))
    if (code === 'terminate') {
      await here.have(1)
      raw.terminate()
    } else raw.close(code, reason)
    await here.over
    expect([...here.bytes()]).toEqual([1])
    if (said === undefined) expect(here).toMatchObject({ log: ['end', 'close'], fault: undefined })
    else expect(here).toMatchObject({ log: ['close'], fault: { code: 'ERR_CONNECTION_CLOSED', message: expect.stringContaining(said) } })
  })

  it('refuses a text message', async () => {
    const { channel, raw } = await againstServer(make())
    const here = reader(channel)
    raw.send('hello')
    const [[code, reason]] = await Promise.all([once(raw, 'close'), here.over])
    expect(here.fault).toMatchObject({ code: 'ERR_PROTOCOL', remote: true })
    expect([code, String(reason)]).toEqual([sentCode(1003), 'ERR_PROTOCOL'])
  })

  it('refuses a message that is too large', async () => {
    const { channel, raw } = await againstServer(make())
    const here = reader(channel)
    raw.send(new Uint8Array(WS_MAX_MESSAGE))
    await here.have(WS_MAX_MESSAGE)
    raw.send(new Uint8Array(WS_MAX_MESSAGE + 1))
    const [[code]] = await Promise.all([once(raw, 'close'), here.over])
    expect(here.fault).toMatchObject({ code: 'ERR_FRAME_TOO_LARGE', remote: true })
    expect(code).toBe(sentCode(1009))
    expect(here.size).toBe(WS_MAX_MESSAGE)
  })

  it('says where nothing listens', async () => {
    const listening = await listener(() => {})
    const { address } = listening
    await listening.close()
    const outcome = await dial(make(), address)
    expect(outcome).toMatchObject({
      ok: false,
      fault: { code: 'ERR_RELAY_UNREACHABLE', message: expect.stringContaining(`ws://127.0.0.1:${address.parts[1]?.value}/`) },
    })
  })

  it('fails where the path is another', async () => {
    const { address } = await listener(() => expect.unreachable())
    expect(await dial(make(), parseMultiaddr(`${address.text}/http-path/other`))).toMatchObject({
      ok: false,
      fault: { code: 'ERR_RELAY_UNREACHABLE' },
    })
  })

  it('a dial given up says nothing more and leaves nothing open', async () => {
    const { promise: accepted, resolve } = deferred<Link>()
    const listening = await listener(resolve)
    const quiet = make().dial(listening.address, net, () => expect.unreachable())
    quiet()
    quiet()
    // Another dial comes through, and behind it there is nothing of the first.
    const outcome = await dial(make(), listening.address)
    expect(outcome.ok).toBe(true)
    await accepted
    expect(listening.sockets).toBe(1)
  })

  it('matches its own addresses only', () => {
    const transport = make()
    expect(transport.matches(parseMultiaddr('/dns4/relay.example/tcp/443/tls/ws'))).toBe(true)
    expect(transport.matches(parseMultiaddr('/ip4/127.0.0.1/tcp/9090'))).toBe(false)
  })
})

describe('a channel that was accepted', () => {
  it('refuses a text message', async () => {
    const { channel, raw } = await againstClient()
    const here = reader(channel)
    raw.send('hello')
    const [[code]] = await Promise.all([once(raw, 'close'), here.over])
    expect(here.fault).toMatchObject({ code: 'ERR_PROTOCOL', remote: true })
    expect(code).toBe(1003)
  })

  it('refuses a message by its length, before it has come', async () => {
    const { channel, raw } = await againstClient()
    const here = reader(channel)
    raw.send(new Uint8Array(WS_MAX_MESSAGE + 1))
    const [[code]] = await Promise.all([once(raw, 'close'), here.over])
    expect(here.fault).toMatchObject({ code: 'ERR_FRAME_TOO_LARGE', remote: true })
    expect(code).toBe(1009)
    expect(here.size).toBe(0)
  })
})

describe("a page's channel", () => {
  it('is closed when its reader falls too far behind, for it cannot pause the socket', async () => {
    const { dialled, accepted } = await pair(pageTransport())
    const here = reader(dialled, false)
    const there = reader(accepted)
    for (let sent = 0; sent <= WS_RECEIVE_MAX; sent += 256 * 1024) accepted.write(new Uint8Array(256 * 1024))
    await Promise.all([here.over, there.over])
    expect(here.fault).toMatchObject({ code: 'ERR_STREAM_OVERFLOW' })
    expect(here.size).toBeLessThanOrEqual(WS_RECEIVE_MAX + WS_MAX_MESSAGE)
  })

  it('is not dialled over plain WebSocket from a secure page', async () => {
    expect(await dial(pageTransport(true), parseMultiaddr('/dns4/relay.example/tcp/9090/ws'))).toMatchObject({
      ok: false,
      fault: { code: 'ERR_INSECURE_CONTEXT', message: expect.stringContaining('ws://relay.example:9090/') },
    })
  })

  it.each(['127.0.0.1', 'localhost'])('is dialled over plain WebSocket from a secure page to %s', async (host) => {
    const { address } = await listener(() => {})
    const outcome = await dial(
      pageTransport(true),
      parseMultiaddr(`/${host === 'localhost' ? 'dns4' : 'ip4'}/${host}/tcp/${address.parts[1]?.value}/ws`),
    )
    expect(outcome).toMatchObject({ ok: true })
  })

  it('says so where the platform has no WebSocket', () => {
    const { WebSocket: own } = globalThis as { WebSocket?: unknown }
    expect(webSocketTransport().matches(parseMultiaddr('/ip4/127.0.0.1/tcp/1/ws'))).toBe(own !== undefined)
  })
})
