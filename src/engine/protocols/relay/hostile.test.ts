/**
 * Relays that lie, in a world of virtual time: about limits, addresses and times, and with circuits that nobody asked for. Bounded, each with a
 * code, and the peer goes on.
 */

import { describe, expect, it } from 'vitest'
import type { TabmeshError } from '../../../errors.ts'
import { encapsulate, type Multiaddr, parseMultiaddr } from '../../codec/multiaddr.ts'
import { type PeerId, peerIdToBytes } from '../../codec/peer-id.ts'
import { CONNECTIONS_MAX_PENDING_INBOUND, RELAY_MAX_ADDRESSES, RELAY_MAX_INBOUND_CIRCUITS } from '../../limits.ts'
import type { Connection } from '../../net/connection.ts'
import type { Net, Service } from '../../net/service.ts'
import type { Stream } from '../../net/stream.ts'
import { echo } from '../../testing/echo.ts'
import { World, type WorldNode } from '../../testing/world.ts'
import { converse } from '../../wire/conversation.ts'
import { splice } from '../../wire/splice.ts'
import { identifyService } from '../identify/service.ts'
import { namedPeer } from './client.ts'
import { relayServer } from './hop.ts'
import { HOP, HopMessage, HopType, readMessage, STOP, Status, StopMessage, StopType } from './messages.ts'
import { relayClient } from './service.ts'

type WireLimit = { duration?: number; data?: bigint } | undefined

interface Lies {
  /** The limit of a reservation, of a circuit for who asked for it, and for who gets it. */
  limit?: WireLimit
  addrs?: readonly Uint8Array[]
  /** Unix seconds from now. */
  ttl?: number
  /** Says this to RESERVE, whatever it is. */
  answer?: Uint8Array
}

interface Liar extends WorldNode {
  readonly lies: Lies
  readonly reserves: () => number
}

/** A relay that relays, and says what it is told to. */
const liarIn = (world: World, lies: Lies): Liar => {
  let net: Net
  let reserves = 0
  const reserve = (stream: Stream): void => {
    reserves += 1
    const expire = BigInt(Math.floor(net.host.date() / 1000) + (lies.ttl ?? 3_600))
    const reservation = { expire, addrs: [...(lies.addrs ?? [])] }
    stream.write(lies.answer ?? HopMessage.frame({ type: HopType.STATUS, status: Status.OK, reservation, limit: lies.limit }))
    stream.finish(net.host)
  }
  const connect = (stream: Stream, target: PeerId): void => {
    const stop = net.connections(target)[0]?.openStream([STOP]) as Stream
    const source = { id: peerIdToBytes(stream.connection.remotePeer) }
    const talk = function* () {
      yield { t: 'write', bytes: StopMessage.frame({ type: StopType.CONNECT, peer: source, limit: lies.limit }) } as const
      return yield* readMessage(StopMessage)
    }
    converse(stop, talk(), net.host, {
      timeout: 5_000,
      what: 'stop',
      done: () => {
        stream.write(HopMessage.frame({ type: HopType.STATUS, status: Status.OK, limit: lies.limit }))
        splice(stream, stop)
      },
    })
  }
  const service: Service = {
    name: 'liar',
    protocols: { [HOP]: { allowLimited: true } },
    start(started) {
      net = started
    },
    onStream(stream) {
      converse(stream, readMessage(HopMessage), net.host, {
        timeout: 5_000,
        what: 'hop',
        done: (outcome) => {
          if (!outcome.ok) return
          const target = namedPeer(outcome.value)
          if (target === undefined) reserve(stream)
          else connect(stream, target)
        },
      })
    },
  }
  return { ...world.node(() => ({ services: [identifyService(), service] })), lies, reserves: () => reserves }
}

const clientIn = (world: World, relays: readonly Multiaddr[] = []) => {
  const client = relayClient({ relays })
  return { ...world.node(() => ({ services: [identifyService(), client, echo()], transports: [client] })), client }
}
type Client = ReturnType<typeof clientIn>

const connect = (world: World, from: WorldNode, ...addresses: Multiaddr[]): Connection => {
  let got: Connection | TabmeshError | undefined
  from.node.dial({ addresses }, (outcome) => {
    got = outcome.ok ? outcome.value : outcome.fault
  })
  world.run(60_000, () => got !== undefined)
  if (got === undefined || !('openStream' in got)) throw got ?? new Error('no outcome')
  world.run(100)
  return got
}

/** Sends `bytes` through an echo that no limited connection would carry; how many come back, or why not. */
const carried = (world: World, connection: Connection, bytes: number): number | string => {
  let back = 0
  let fault: string | undefined
  const stream = connection.openStream(['/echo/1'], (why) => {
    fault = why?.code
  })
  stream.attach({
    onData(chunk) {
      back += chunk.length
      stream.release(chunk.length)
    },
    onEnd: () => {},
    onClose(why) {
      fault ??= why?.code
    },
  })
  const chunk = new Uint8Array(16_384)
  let sent = 0
  const pour = (): void => {
    while (sent < bytes && !stream.closed && stream.write(chunk)) sent += chunk.length
  }
  pour()
  world.run(60_000, () => {
    pour()
    return back >= bytes || fault !== undefined
  })
  stream.end()
  return fault ?? back
}

const over = (relay: WorldNode, target: WorldNode): Multiaddr => encapsulate(relay.address, `/p2p-circuit/p2p/${target.node.self}`)
const held = ({ client }: Client): number => client.relays.filter(({ state }) => state.t === 'held').length
const errorsOf = ({ events }: WorldNode): string[] => events.flatMap((event) => (event.t === 'error' ? [event.error.code] : []))
const circuitsOf = ({ node }: WorldNode): string[] => node.addresses.map(({ text }) => text).filter((text) => text.includes('/p2p-circuit'))

describe('a relay that says limit zero', () => {
  it.each<[string, WireLimit]>([
    ['no limit', undefined],
    ['an empty one', {}],
    ['zero of both', { duration: 0, data: 0n }],
    ['zero seconds', { duration: 0 }],
    ['zero bytes', { data: 0n }],
  ])('%s: means none, for a reservation and at both ends of a circuit', (_what, limit) => {
    const world = new World(1)
    const liar = liarIn(world, { limit })
    const a = clientIn(world, [liar.address])
    const b = clientIn(world)
    world.run(1_000)
    expect(held(a)).toBe(1)
    const connection = connect(world, b, over(liar, a))
    const back = a.node.connections(b.node.self)[0] as Connection
    expect([connection.limited, connection.limit, back.limited, back.limit]).toEqual([false, undefined, false, undefined])
    expect(carried(world, connection, 500_000)).toBeGreaterThanOrEqual(500_000)
    expect(carried(world, back, 500_000)).toBeGreaterThanOrEqual(500_000)
  })

  it('of one and something of the other means that other', () => {
    for (const [limit, expected] of [
      [{ duration: 0, data: 4_096n }, { data: 4_096 }],
      [{ duration: 120, data: 0n }, { duration: 120_000 }],
      // js's milliseconds.
      [{ duration: 120_000, data: 0n }, { duration: 120_000 }],
    ] as const) {
      const world = new World(2)
      const liar = liarIn(world, { limit })
      const a = clientIn(world, [liar.address])
      const b = clientIn(world)
      world.run(1_000)
      const connection = connect(world, b, over(liar, a))
      expect([connection.limit, a.node.connections(b.node.self)[0]?.limit]).toEqual([expected, expected])
      // What the other side does not answer over a limited connection it does not speak there.
      expect(carried(world, connection, 1)).toBe('ERR_NO_PROTOCOL')
    }
  })

  it('of our own: an operator who writes 0 limits nothing, and says so on the wire', () => {
    const world = new World(3)
    const server = relayServer({ limit: { duration: 0, data: 0 } })
    const relay = world.node(() => ({ services: [identifyService(), server.service] }))
    const a = clientIn(world, [relay.address])
    const b = clientIn(world)
    world.run(1_000)
    const connection = connect(world, b, over(relay, a))
    expect([connection.limited, a.node.connections(b.node.self)[0]?.limited]).toEqual([false, false])
    expect(carried(world, connection, 500_000)).toBeGreaterThanOrEqual(500_000)
  })
})

describe('a relay that lies about its addresses', () => {
  const victim = parseMultiaddr('/ip4/192.0.2.66/tcp/443/tls/ws')

  it('names other peers, itself behind relays, nowhere, this machine, nonsense: only what may be it is announced', () => {
    const world = new World(10)
    const stranger = clientIn(world)
    const said = [
      encapsulate(victim, `/p2p/${stranger.node.self}`),
      parseMultiaddr(`/ip4/192.0.2.1/tcp/1/p2p/${stranger.node.self}/p2p-circuit`),
      parseMultiaddr('/ip4/0.0.0.0/tcp/9090/ws'),
      parseMultiaddr('/ip4/127.0.0.1/tcp/22/ws'),
      parseMultiaddr('/dns4/localhost/tcp/22/ws'),
      parseMultiaddr('/ip6/::1/tcp/22/ws'),
    ]
    const addrs = [Uint8Array.of(), Uint8Array.of(0xff, 0xff, 0xff), ...said.map(({ bytes }) => bytes), victim.bytes]
    const liar = liarIn(world, { addrs })
    const a = clientIn(world, [liar.address])
    world.run(1_000)
    expect(held(a)).toBe(1)
    expect(circuitsOf(a)).toEqual([`${liar.address.text}/p2p-circuit`, `${victim.text}/p2p/${liar.node.self}/p2p-circuit`])
    expect(a.events.filter(({ t }) => t === 'relay:reserved').length).toBe(1)
  })

  it('as many as a frame holds: a handful is announced, and the one that works comes first', () => {
    const world = new World(11)
    const addrs = [...Array(480).keys()].map((n) => Uint8Array.of(4, 198, 18, n >> 8, n & 255, 6, 0, 80))
    const liar = liarIn(world, { addrs: addrs.slice(0, 400) })
    const a = clientIn(world, [liar.address])
    const b = clientIn(world)
    world.run(1_000)
    expect(circuitsOf(a).length).toBe(RELAY_MAX_ADDRESSES)
    expect(circuitsOf(a)[0]).toBe(`${liar.address.text}/p2p-circuit`)
    expect(connect(world, b, over(liar, a)).status).toBe('open')
  })

  it('more than a frame holds: refused with a code, once, asked again later, and another relay serves meanwhile', () => {
    const world = new World(12)
    const answer = new Uint8Array(10_000).fill(1)
    answer.set([0xff, 0x4e])
    const liar = liarIn(world, { answer })
    const honest = liarIn(world, {})
    const a = clientIn(world, [liar.address, honest.address])
    world.run(60_000)
    expect(errorsOf(a)).toEqual(['ERR_FRAME_TOO_LARGE'])
    expect(circuitsOf(a)).toEqual([`${honest.address.text}/p2p-circuit`])
    expect(liar.reserves()).toBeGreaterThan(3)
    expect(liar.reserves()).toBeLessThan(60)
    expect(connect(world, clientIn(world), over(honest, a)).status).toBe('open')
  })

  it('who dials where it said that it is, and somebody else is, hears so; the way that works is taken', () => {
    const world = new World(13)
    const stranger = world.node(() => ({ services: [identifyService()] }))
    const elsewhere = parseMultiaddr('/memory/1')
    const liar = liarIn(world, { addrs: [elsewhere.bytes] })
    const a = clientIn(world, [liar.address])
    world.run(1_000)
    const lie = encapsulate(elsewhere, `/p2p/${liar.node.self}`)
    expect(circuitsOf(a)).toEqual([`${liar.address.text}/p2p-circuit`, `${lie.text}/p2p-circuit`])
    const b = clientIn(world)
    let fault: TabmeshError | undefined
    b.node.dial({ addresses: [encapsulate(lie, `/p2p-circuit/p2p/${a.node.self}`)] }, (outcome) => {
      fault = outcome.ok ? undefined : outcome.fault
    })
    world.run(30_000)
    expect(fault?.errors.map(({ code }) => code)).toEqual(['ERR_RELAY_UNREACHABLE'])
    const [why] = fault?.errors[0]?.errors ?? []
    expect(why).toMatchObject({ code: 'ERR_PEER_ID_MISMATCH' })
    expect(`${why?.message} ${(why?.cause as Error | undefined)?.message}`).toContain(stranger.node.self)
    const both = circuitsOf(a).map((text) => encapsulate(parseMultiaddr(text), `/p2p/${a.node.self}`))
    expect(connect(world, b, ...both.reverse()).remotePeer).toBe(a.node.self)
  })
})

describe('a relay that lies about time', () => {
  it.each([
    ['ended long ago', -3_600],
    ['ends now', 0],
  ])('a reservation that %s is none: told once, and asked again at growing intervals', (_what, ttl) => {
    const world = new World(20)
    const liar = liarIn(world, { ttl })
    const a = clientIn(world, [liar.address])
    world.run(3_600_000)
    expect(errorsOf(a)).toEqual(['ERR_PROTOCOL'])
    expect(circuitsOf(a)).toEqual([])
    expect(a.events.some(({ t }) => t === 'relay:reserved')).toBe(false)
    // At least half of a minute lies between two, once it has been bad for ten.
    expect(liar.reserves()).toBeGreaterThan(60)
    expect(liar.reserves()).toBeLessThan(200)
  })

  it('one that lasts a second is not asked for more often than once in one', () => {
    const world = new World(21)
    const liar = liarIn(world, { ttl: 1 })
    clientIn(world, [liar.address])
    world.run(60_000)
    expect(liar.reserves()).toBeLessThanOrEqual(61)
  })

  it('one for ever is asked about once a day', () => {
    const world = new World(22)
    const liar = liarIn(world, { ttl: Number.MAX_SAFE_INTEGER })
    const a = clientIn(world, [liar.address])
    world.run(5 * 86_400_000)
    expect(held(a)).toBe(1)
    expect(liar.reserves()).toBeGreaterThanOrEqual(5)
    expect(liar.reserves()).toBeLessThanOrEqual(8)
  })
})

describe('a relay that hands over a thousand circuits', () => {
  it('on which nobody speaks: so many are taken, others get in, and nothing of them stays', () => {
    const world = new World(30)
    const liar = liarIn(world, {})
    const honest = liarIn(world, {})
    const a = clientIn(world, [liar.address, honest.address])
    world.run(1_000)
    const toA = liar.node.connections(a.node.self)[0] as Connection
    const before = a.node.connections().length
    const statuses: Record<string, number> = {}
    for (let n = 0; n < 1_000; n += 1) {
      const id = new Uint8Array(34)
      id.set([0x12, 0x20, n >> 8, n & 255])
      const stop = toA.openStream([STOP])
      const talk = function* () {
        yield { t: 'write', bytes: StopMessage.frame({ type: StopType.CONNECT, peer: { id } }) } as const
        return yield* readMessage(StopMessage)
      }
      converse(stop, talk(), world.host(), {
        timeout: 30_000,
        what: 'stop',
        done: (outcome) => {
          const what = outcome.ok ? String(outcome.value.status) : outcome.fault.code
          statuses[what] = (statuses[what] ?? 0) + 1
        },
      })
    }
    world.run(1_000)
    expect(statuses[Status.OK] ?? 0).toBeLessThanOrEqual(RELAY_MAX_INBOUND_CIRCUITS)
    expect(a.node.pending).toBeLessThanOrEqual(Math.ceil(CONNECTIONS_MAX_PENDING_INBOUND * 0.75))
    expect(a.node.pending).toBeGreaterThan(0)
    expect(connect(world, clientIn(world), a.address).status).toBe('open')
    world.run(2_000)
    const b = clientIn(world)
    const relayed = connect(world, b, over(honest, a))
    expect(carried(world, relayed, 16_384)).toBe(16_384)
    world.run(30_000)
    expect(a.node.pending).toBe(0)
    expect(a.node.connections().length).toBe(before + 2)
    expect(held(a)).toBe(2)
  })
})
