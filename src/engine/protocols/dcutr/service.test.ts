import { describe, expect, it } from 'vitest'
import { utf8 } from '../../codec/bytes.ts'
import { encapsulate, type Multiaddr, parseMultiaddr } from '../../codec/multiaddr.ts'
import { encodeVarint } from '../../codec/varint.ts'
import { DCUTR_ATTEMPTS, DCUTR_EXCHANGE_TIMEOUT, DCUTR_MAX_FRAME, DCUTR_PATIENCE, DCUTR_PUNCH_TIMEOUT, RETIRE_GRACE } from '../../limits.ts'
import type { Connection } from '../../net/connection.ts'
import { scopeOf } from '../../net/rank.ts'
import type { Service } from '../../net/service.ts'
import type { Stream } from '../../net/stream.ts'
import { echo } from '../../testing/echo.ts'
import { type Street, street } from '../../testing/street.ts'
import { World, type WorldNode } from '../../testing/world.ts'
import { identifyService } from '../identify/service.ts'
import { pingService } from '../ping/service.ts'
import { type RelayServerOptions, relayServer } from '../relay/hop.ts'
import { relayClient } from '../relay/service.ts'
import { DCUTR, encodeHolePunch } from './messages.ts'
import { dcutrService } from './service.ts'

const A = '/ip4/203.0.113.1/tcp/4001'
const B = '/ip4/203.0.113.2/tcp/4002'

interface PeerOptions {
  /** Where it is seen outside. */
  at?: string | undefined
  /** Whether it does DCUtR. */
  speaks?: boolean
  /** Whether it tells where it listens, and can be dialled there. */
  found?: boolean
  after?: string
  more?: readonly Service[]
}

interface Scene {
  readonly world: World
  readonly nats: Street
  readonly a: WorldNode
  readonly b: WorldNode
  /** The way to `b` through the relay. */
  readonly circuit: Multiaddr
  readonly back: Multiaddr
}

/** A relay, and two peers that hold a slot on it, each behind a NAT of its own. */
const scene = (seed: number, options: { a?: PeerOptions; b?: PeerOptions; relay?: RelayServerOptions; latency?: number } = {}): Scene => {
  const world = new World(seed, options.latency ?? 20)
  const nats = street(world)
  const relay = world.node(() => ({ services: [identifyService(), relayServer(options.relay).service] }))
  const peer = ({ at, speaks = true, found = false, after, more = [] }: PeerOptions): WorldNode => {
    const ping = pingService()
    const client = relayClient({ relays: [relay.address], webrtc: false })
    const dcutr = dcutrService({ scopeOf, puncher: nats.puncher(at), ping: ping.ping, ...(after !== undefined && { after }) })
    const services = [identifyService(), ping, client, echo({ allowLimited: true }), ...(speaks ? [dcutr] : []), ...more]
    const made = world.node(() => ({ services, transports: [client] }))
    if (!found) {
      made.node.announce('memory', [])
      world.silence(made.address)
    }
    return made
  }
  const a = peer({ at: A, ...options.a })
  const b = peer({ at: B, ...options.b })
  expect(world.run(3_000, () => [a, b].every(({ events }) => events.some(({ t }) => t === 'relay:reserved')))).toBe(true)
  world.run(2_000)
  return {
    world,
    nats,
    a,
    b,
    circuit: encapsulate(relay.address, `/p2p-circuit/p2p/${b.node.self}`),
    back: encapsulate(relay.address, `/p2p-circuit/p2p/${a.node.self}`),
  }
}

const dial = (world: World, from: WorldNode, address: Multiaddr): Connection => {
  let got: Connection | undefined
  from.node.dial({ addresses: [address] }, (outcome) => {
    if (!outcome.ok) throw outcome.fault
    got = outcome.value
  })
  world.run(10_000, () => got !== undefined)
  if (got === undefined) throw new Error('no connection')
  return got
}

const ways = (from: WorldNode, to: WorldNode): string[] =>
  from.node.connections(to.node.self).map((each) => `${each.transport} ${each.direction} ${each.status}`)
const isDirect = (from: WorldNode, to: WorldNode) => (): boolean => from.node.connections(to.node.self).some(({ direct }) => direct)
const faultOf = (stream: Stream) => {
  const heard = { code: undefined as string | undefined, text: '' }
  stream.attach({
    onData(bytes) {
      heard.text += Buffer.from(bytes).toString('latin1')
      stream.release(bytes.length)
    },
    onEnd: () => {},
    onClose: (fault) => {
      heard.code = fault?.code ?? 'closed'
    },
  })
  return heard
}

describe('two peers behind NATs, and a relay', () => {
  it.each([
    ['a limited relay', { relay: { limit: { duration: 120_000, data: 131_072 } } }],
    ['an unlimited relay', {}],
  ])('over %s: both knock at once, the one who dialled is the client, and the relayed connection goes', (_name, options) => {
    const { world, nats, a, b, circuit } = scene(1, options)
    const relayed = dial(world, a, circuit)
    const since = world.now
    expect(world.run(5_000, () => isDirect(a, b)() && isDirect(b, a)())).toBe(true)
    expect(ways(a, b)).toContain('tcp outbound open')
    expect(ways(b, a)).toContain('tcp inbound open')
    // Identify, then two round trips of 80 ms over the relay, and what TCP and Noise take.
    expect(world.now - since).toBeLessThan(600)
    // Both at the same time: SYNC takes half a round trip, and so long B waits.
    const punches = nats.log.filter((line) => line.includes('punch')).map((line) => Number(line.split(' ')[0]))
    expect(punches).toHaveLength(2)
    expect(Math.abs((punches[0] as number) - (punches[1] as number))).toBeLessThanOrEqual(1)
    expect(world.run(1_000, () => relayed.status !== 'open')).toBe(true)
    world.run(RETIRE_GRACE + 200)
    expect([ways(a, b), ways(b, a)]).toEqual([['tcp outbound open'], ['tcp inbound open']])
    expect(nats.open).toBe(0)
  })

  it('what runs on the relayed connection goes on, for as long as either side has a stream there', () => {
    const { world, a, b, circuit } = scene(2)
    const relayed = dial(world, a, circuit)
    const stream = relayed.openStream(['/echo/1'])
    const heard = faultOf(stream)
    stream.write(utf8('one '))
    expect(world.run(5_000, () => relayed.status === 'retiring')).toBe(true)
    world.run(30_000)
    stream.write(utf8('two'))
    world.run(500)
    expect([heard.text, heard.code]).toEqual(['one two', undefined])
    expect(ways(a, b)).toEqual(['tcp outbound open', 'relay outbound retiring'])
    let opened: Stream | undefined
    a.node.openStream({ peer: b.node.self, addresses: [] }, ['/echo/1'], (outcome) => {
      if (outcome.ok) opened = outcome.value
    })
    world.run(1_000, () => opened !== undefined)
    expect(opened?.connection.transport).toBe('tcp')
    stream.end()
    world.run(RETIRE_GRACE + 1_000)
    expect(heard.code).toBe('closed')
    expect(relayed.status).toBe('closed')
  })

  it('where NATs let nobody in, three attempts are made, and the relayed connection stays', () => {
    const { world, nats, a, b, circuit } = scene(3)
    nats.blocked = true
    const relayed = dial(world, a, circuit)
    world.run(DCUTR_ATTEMPTS * (DCUTR_PUNCH_TIMEOUT + 1_000))
    expect(nats.log.filter((line) => line.includes(`punch ${B}`))).toHaveLength(DCUTR_ATTEMPTS)
    expect(nats.log.filter((line) => line.includes(`punch ${A}`))).toHaveLength(DCUTR_ATTEMPTS)
    expect([nats.open, relayed.status, ways(a, b)]).toEqual([0, 'open', ['relay outbound open']])
    const stream = relayed.openStream(['/echo/1'])
    const heard = faultOf(stream)
    stream.write(utf8('still here'))
    world.run(1_000)
    expect(heard.text).toBe('still here')
    // The network has changed: it is tried again.
    nats.blocked = false
    b.node.online()
    expect(world.run(3_000, isDirect(a, b))).toBe(true)
  })

  it('both dial the other at once: one direct connection stays, whoever called', () => {
    for (let seed = 10; seed < 16; seed++) {
      const { world, nats, a, b, circuit, back } = scene(seed)
      a.node.dial({ addresses: [circuit] }, () => {})
      world.run(seed % 3 === 0 ? 0 : seed * 7)
      b.node.dial({ addresses: [back] }, () => {})
      expect(
        world.run(10_000, () => isDirect(a, b)() && isDirect(b, a)()),
        `seed ${seed}`,
      ).toBe(true)
      world.run(10_000)
      expect([ways(a, b).length, ways(b, a).length, nats.open], `seed ${seed}`).toEqual([1, 1, 0])
      expect(isDirect(a, b)()).toBe(true)
    }
  })

  it('where the one who dialled can be dialled, it is, and nothing is said of holes', () => {
    const { world, nats, a, b, circuit } = scene(4, { a: { found: true } })
    dial(world, a, circuit)
    expect(world.run(5_000, isDirect(b, a))).toBe(true)
    world.run(RETIRE_GRACE + 2_000)
    expect([ways(a, b), ways(b, a)]).toEqual([['memory inbound open'], ['memory outbound open']])
    expect(nats.log).toEqual([])
  })

  it('an address that nobody answers at costs a moment; then both knock', () => {
    const { world, a, b, circuit } = scene(5, { a: { found: true } })
    world.silence(a.address)
    dial(world, a, circuit)
    expect(world.run(6_000, () => isDirect(a, b)() && isDirect(b, a)())).toBe(true)
    expect(ways(b, a)).toContain('tcp inbound open')
  })

  it('where both can do WebRTC, that has its time first', () => {
    const webrtc: Service = { name: 'other', protocols: { '/other/1': { allowLimited: true } } }
    const { world, nats, a, b, circuit } = scene(6, { a: { more: [webrtc] }, b: { more: [webrtc], after: '/other/1' } })
    dial(world, a, circuit)
    world.run(DCUTR_PATIENCE - 500)
    expect(nats.log).toEqual([])
    expect(world.run(2_000, isDirect(a, b))).toBe(true)
  })

  it('one that knows of no place where it is seen does not begin, and does not answer', () => {
    for (const options of [{ a: { at: undefined } }, { b: { at: undefined } }, { a: { speaks: false } }]) {
      const { world, nats, a, b, circuit } = scene(7, options)
      const relayed = dial(world, a, circuit)
      world.run(20_000)
      expect([nats.log, relayed.status, ways(a, b)]).toEqual([[], 'open', ['relay outbound open']])
    }
  })

  it('one that begins to speak it later is called then, as go does once it knows where it is seen', () => {
    const { world, nats, a, b, circuit } = scene(12, { a: { speaks: false } })
    dial(world, a, circuit)
    world.run(10_000)
    expect([nats.log, isDirect(a, b)()]).toEqual([[], false])
    a.node.mount(dcutrService({ scopeOf, puncher: nats.puncher(A), ping: pingService().ping }))
    expect(world.run(5_000, () => isDirect(a, b)() && isDirect(b, a)())).toBe(true)
  })

  it('nothing is left when a peer is hung up on or stops meanwhile', () => {
    const { world, nats, a, b, circuit } = scene(8)
    nats.blocked = true
    dial(world, a, circuit)
    world.run(2_000, () => nats.open === 2)
    a.node.hangUp(b.node.self)
    world.run(100)
    expect(nats.log.filter((line) => line.includes(`close ${A}`))).toHaveLength(1)
    b.node.stop(() => {})
    world.run(1_000)
    expect(nats.open).toBe(0)
  })
})

describe('hostile', () => {
  /** `b` has nothing but a mouth: a relayed connection that `a` dialled, and streams on it. */
  const mouth = (seed: number) => {
    const all = scene(seed, { b: { speaks: false } })
    const relayed = dial(all.world, all.a, all.circuit)
    all.world.run(1_000)
    const [theirs] = all.b.node.connections(all.a.node.self)
    return { ...all, relayed, say: (...bytes: Uint8Array[]) => say(all.world, theirs as Connection, bytes) }
  }
  const say = (world: World, connection: Connection, bytes: readonly Uint8Array[]) => {
    const stream = connection.openStream([DCUTR])
    const heard = faultOf(stream)
    for (const each of bytes) stream.write(each)
    world.run(1_000)
    return { stream, heard }
  }
  const connect = (...list: string[]) => encodeHolePunch({ t: 'connect', addresses: list.map(parseMultiaddr) })
  const sync = encodeHolePunch({ t: 'sync' })

  it.each([
    ['SYNC without CONNECT', [sync]],
    ['CONNECT twice', [connect(B), connect(B)]],
    ['no addresses', [connect()]],
    ['relayed addresses', [connect(`${B}/p2p/12D3KooWGzh9HPDLmJyKVEMSbbnrcXj4EuBqPLWqGMxQ4bZpLtEB/p2p-circuit`)]],
    ['nobody and everybody', [connect('/ip4/0.0.0.0/tcp/1', '/ip4/224.0.0.1/tcp/1')]],
    ['a frame too large', [encodeVarint(DCUTR_MAX_FRAME + 1)]],
    ['no message at all', [utf8('\x05hello')]],
    ['a length that never ends', [new Uint8Array(16).fill(0xff)]],
    ['an unknown type', [Uint8Array.of(2, 8, 1)]],
  ])('%s is refused, nothing is dialled, and the next one is served', (_name, bytes) => {
    const { nats, relayed, say } = mouth(30)
    const { heard } = say(...bytes)
    expect([heard.code, nats.log, relayed.status]).toEqual(['ERR_STREAM_RESET', [], 'open'])
    const again = say(connect(B))
    expect(again.heard.code).toBeUndefined()
    again.stream.write(sync)
  })

  it('ten thousand addresses do not fit a frame, and of those that do a few are tried', () => {
    const many = Array.from({ length: 10_000 }, (_, i) => `/ip4/203.0.113.9/tcp/${i + 1}`)
    const { say, nats } = mouth(31)
    expect(say(connect(...many)).heard.code).toBe('ERR_STREAM_RESET')
    expect(nats.log).toEqual([])
    const { stream } = say(connect(...many.slice(0, 300)))
    stream.write(sync)
  })

  it('silence after every step ends in its time', () => {
    for (const bytes of [[], [connect(B)]]) {
      const { world, say, nats, relayed } = mouth(32)
      const { heard } = say(...bytes)
      world.run(DCUTR_EXCHANGE_TIMEOUT)
      expect([heard.code, nats.log, relayed.status]).toEqual(['ERR_STREAM_RESET', [], 'open'])
    }
  })

  it('a caller that never comes costs one attempt', () => {
    const { world, say, nats, relayed } = mouth(33)
    say(connect(B), sync)
    expect(nats.open).toBe(1)
    world.run(DCUTR_PUNCH_TIMEOUT + 1_000)
    expect([nats.open, relayed.status]).toEqual([0, 'open'])
  })

  it('one peer has one session, however many streams it opens', () => {
    const { world, say, nats } = mouth(34)
    let most = 0
    for (let i = 0; i < 30; i++) {
      say(connect(B), sync)
      most = Math.max(most, nats.open)
    }
    expect(most).toBe(1)
    world.run(DCUTR_PUNCH_TIMEOUT + 1_000)
    expect(nats.open).toBe(0)
  })

  it('on the wrong side, and on a direct connection, it is refused', () => {
    const { world, a, b, relayed } = mouth(35)
    // b speaks no DCUtR here; a's own direct connection to the relay is one to be refused on, seen from the other end.
    expect(say(world, relayed, [connect(A)]).heard.code).toBe('ERR_NO_PROTOCOL')
    const direct = scene(36, { a: { found: true }, b: { speaks: false } })
    const open = dial(direct.world, direct.b, direct.a.address)
    expect(say(direct.world, open, [connect(B)]).heard.code).toBe('ERR_STREAM_RESET')
    // Who dialled through the relay waits to be called.
    const other = scene(37, { a: { speaks: false } })
    const dialled = dial(other.world, other.a, other.circuit)
    expect(say(other.world, dialled, [connect(A)]).heard.code).toBe('ERR_STREAM_RESET')
    expect(ways(a, b)).toEqual(['relay outbound open'])
  })

  it('an answerer that says nonsense, or nothing, leaves the relayed connection as it is', () => {
    for (const answer of [sync, connect(), connect('/ip4/0.0.0.0/tcp/1'), utf8('\x05hello'), undefined]) {
      const mute: Service = {
        name: 'mute',
        protocols: { [DCUTR]: { allowLimited: true } },
        onStream(stream) {
          stream.attach({ onData: (bytes) => stream.release(bytes.length), onEnd: () => {}, onClose: () => {} })
          if (answer !== undefined) stream.write(answer)
        },
      }
      const { world, nats, a, b, circuit } = scene(38, { a: { speaks: false, more: [mute] } })
      const relayed = dial(world, a, circuit)
      world.run(DCUTR_EXCHANGE_TIMEOUT + 2_000)
      expect([nats.log, relayed.status, ways(b, a)]).toEqual([[], 'open', ['relay inbound open']])
      expect(relayed.streams.size).toBe(0)
    }
  })
})
