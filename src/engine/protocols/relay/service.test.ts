import { describe, expect, it } from 'vitest'
import type { TabmeshError } from '../../../errors.ts'
import { fromUtf8, utf8 } from '../../codec/bytes.ts'
import { encapsulate, type Multiaddr, parseMultiaddr, withoutPeerId } from '../../codec/multiaddr.ts'
import { peerIdToBytes } from '../../codec/peer-id.ts'
import type { Connection } from '../../net/connection.ts'
import { Node } from '../../net/node.ts'
import type { NetEvent, Service, Transport } from '../../net/service.ts'
import type { Stream } from '../../net/stream.ts'
import { echo } from '../../testing/echo.ts'
import { World, type WorldNode } from '../../testing/world.ts'
import { type Conversation, converse, type Outcome } from '../../wire/conversation.ts'
import { identifyService } from '../identify/service.ts'
import { type RelayServer, type RelayServerOptions, relayServer } from './hop.ts'
import { HOP, HopMessage, HopType, readMessage, STOP, Status, StopMessage, StopType } from './messages.ts'
import { type RelayClient, type RelayClientOptions, relayClient } from './service.ts'

interface RelayNode extends WorldNode {
  readonly server: RelayServer
}
interface ClientNode extends WorldNode {
  readonly client: RelayClient
}

const relayIn = (world: World, options: RelayServerOptions = {}): RelayNode => {
  const server = relayServer(options)
  return { ...world.node(() => ({ services: [identifyService(), server.service] })), server }
}

const clientIn = (world: World, options: RelayClientOptions = {}): ClientNode => {
  const client = relayClient(options)
  return { ...world.node(() => ({ services: [identifyService(), client, echo()], transports: [client] })), client }
}

const outcomeOf = <T>(world: World, begin: (done: (outcome: Outcome<T>) => void) => void, within = 60_000): Outcome<T> => {
  let got: Outcome<T> | undefined
  begin((outcome) => {
    got = outcome
  })
  world.run(within, () => got !== undefined)
  if (got === undefined) throw new Error(`no outcome within ${within} ms`)
  return got
}

const dial = (world: World, from: WorldNode, ...addresses: Multiaddr[]): Outcome<Connection> =>
  outcomeOf(world, (done) => from.node.dial({ addresses }, done))

const connect = (world: World, from: WorldNode, ...addresses: Multiaddr[]): Connection => {
  const outcome = dial(world, from, ...addresses)
  if (!outcome.ok) throw outcome.fault
  // The dialer is ready half a round trip before the listener.
  world.run(100)
  return outcome.value
}

/** What `from` is told when it dials; the fault of the one address tried. */
const refusal = (world: World, from: WorldNode, address: Multiaddr): TabmeshError => {
  const outcome = dial(world, from, address)
  if (outcome.ok) throw new Error('the dial succeeded')
  return outcome.fault.errors[0] ?? outcome.fault
}

const over = (relay: WorldNode, target: WorldNode): Multiaddr => encapsulate(relay.address, `/p2p-circuit/p2p/${target.node.self}`)

/** Says `text` on a new stream and answers with what came back. */
const ask = (world: World, connection: Connection, text: string): string => {
  let answer = ''
  const stream = connection.openStream(['/echo/1'])
  stream.attach({
    onData(bytes) {
      answer += fromUtf8(bytes)
      stream.release(bytes.length)
    },
    onEnd: () => {},
    onClose: () => {},
  })
  stream.write(utf8(text))
  world.run(10_000, () => answer.length >= text.length)
  stream.end()
  return answer
}

const kinds = ({ events }: { events: readonly NetEvent[] }): string[] =>
  events.map((event) => event.t).filter((t) => t.startsWith('relay:') || t === 'error')
const isCircuit = ({ text }: Multiaddr): boolean => text.includes('/p2p-circuit')
const heldOn = ({ client }: ClientNode): number => client.relays.filter(({ state }) => state.t === 'held').length

/** A relay, a client that is reachable through it, and one that is not. */
const three = (seed: number, options: RelayServerOptions = {}, client: RelayClientOptions = {}) => {
  const world = new World(seed)
  const relay = relayIn(world, options)
  const a = clientIn(world, { relays: [relay.address], ...client })
  const b = clientIn(world)
  world.run(1_000, () => heldOn(a) === 1)
  return { world, relay, a, b }
}

describe('being reachable through a relay', () => {
  it('takes three round trips: two to connect, one to reserve', () => {
    const { world, relay, a } = three(1)
    // 40 for the connection, 20 for the reservation, 0 for its signatures.
    expect(world.now).toBe(60)
    expect(kinds(a)).toEqual(['relay:reserved'])
    expect(a.node.addresses.map(({ text }) => text)).toContain(`${relay.address.text}/p2p-circuit`)
    expect(relay.server.holders).toEqual([a.node.self])
    expect(a.events.find((event) => event.t === 'relay:reserved')).toMatchObject({
      relay: relay.node.self,
      expires: 1_750_000_000_000 + 3_600_000,
    })
  })

  it('needs no peer id in the address, and announces /webrtc where asked to', () => {
    const world = new World(2)
    const relay = relayIn(world)
    const bare = withoutPeerId(relay.address) as Multiaddr
    const a = clientIn(world, { relays: [bare], webrtc: true })
    world.run(1_000)
    expect(a.client.relays).toMatchObject([{ peer: relay.node.self, state: { t: 'held' } }])
    expect(a.node.addresses.map(({ text }) => text).filter((text) => text.includes('circuit'))).toEqual([
      `${relay.address.text}/p2p-circuit`,
      `${relay.address.text}/p2p-circuit/webrtc`,
    ])
  })

  it('two addresses of one relay are one reservation', () => {
    const world = new World(3)
    const relay = relayIn(world)
    const a = clientIn(world, {
      relays: [withoutPeerId(relay.address) as Multiaddr, relay.address, encapsulate(relay.address, '/p2p-circuit')],
    })
    world.run(2_000)
    expect(a.client.relays.length).toBe(1)
    expect(relay.server.counters.granted).toBe(1)
  })

  it('lasts for days, and the relay never counts it twice', () => {
    const { world, relay, a } = three(4)
    world.run(24 * 3_600_000)
    expect(kinds(a)).toEqual(['relay:reserved'])
    expect(relay.server.counters.reservations).toBe(1)
    expect(relay.server.counters.granted).toBeGreaterThan(30)
  })

  it('ends with the connection: the slot is free, and the addresses are taken back', () => {
    const { world, relay, a } = three(5)
    world.silence(relay.address)
    a.node.connections(relay.node.self)[0]?.close()
    world.run(500)
    expect(relay.server.counters.reservations).toBe(0)
    expect(kinds(a)).toEqual(['relay:reserved', 'relay:lost'])
    expect(a.node.addresses.some(({ text }) => text.includes('circuit'))).toBe(false)
    // While it is away: not one event, however long.
    world.run(3_600_000)
    expect(kinds(a)).toEqual(['relay:reserved', 'relay:lost'])
  })

  it('stays while another connection to the relay does', () => {
    const { world, relay, a } = three(6)
    const second = outcomeOf<Connection>(world, (done) => {
      // Around `dial`, which would answer with the first one.
      world.transport().dial(relay.address, a.node, (link) => {
        if (link.ok) a.node.adopt(link.value, relay.node.self, done)
      })
    })
    expect(second.ok).toBe(true)
    const [first] = a.node.connections(relay.node.self)
    first?.close()
    world.run(1_000)
    expect(relay.server.counters.reservations).toBe(1)
    expect(kinds(a)).toEqual(['relay:reserved'])
  })

  it('comes back by itself within a second of the relay, after any outage, and with another identity too', () => {
    const world = new World(7)
    const first = relayIn(world)
    let up = true
    let where = first
    const host = world.host()
    const inner = world.transport()
    const gated: Transport = {
      ...inner,
      matches: (address) => address.text.startsWith('/memory/77') && !address.text.includes('circuit'),
      dial: (_address, net, done) =>
        inner.dial(up ? (withoutPeerId(where.address) as Multiaddr) : parseMultiaddr('/memory/999'), net, done),
    }
    const client = relayClient({ relays: [parseMultiaddr('/memory/77')] })
    const events: NetEvent[] = []
    const node = new Node({ host, services: [client], transports: [gated, client], onEvent: (event) => events.push(event) })
    node.start()
    world.run(1_000)
    expect(kinds({ events })).toEqual(['relay:reserved'])
    for (const away of [3_000, 12_000, 25_000]) {
      up = false
      world.cutAll()
      world.run(away)
      up = true
      where = away === 25_000 ? relayIn(world) : first
      world.run(3_000)
      expect(client.relays, `after ${away} ms`).toMatchObject([{ peer: where.node.self, state: { t: 'held' } }])
      world.run(70_000)
    }
    expect(kinds({ events })).toEqual(Array.from({ length: 7 }, (_, i) => (i % 2 === 0 ? 'relay:reserved' : 'relay:lost')))
  })

  it('says once that a relay can’t be reached, and why', () => {
    const world = new World(8)
    const a = clientIn(world, { relays: [parseMultiaddr('/memory/99')] })
    world.run(600_000)
    const errors = a.events.filter((event) => event.t === 'error')
    expect(errors.length).toBe(1)
    expect(errors[0]?.error.code).toBe('ERR_RELAY_UNREACHABLE')
    expect(errors[0]?.error.cause).toMatchObject({ code: 'ERR_DIAL_FAILED' })
  })

  it('gives up a relay that it is told to', () => {
    const { world, relay, a } = three(9)
    a.client.remove(relay.node.self)
    world.run(10_000)
    expect(kinds(a)).toEqual(['relay:reserved', 'relay:lost'])
    expect(a.client.relays).toEqual([])
    a.client.add([relay.address])
    world.run(1_000)
    expect(heldOn(a)).toBe(1)
  })

  it('replaces a connection on which the relay does not answer', () => {
    const world = new World(10)
    // Answers nobody the first time it is asked.
    let asked = 0
    const server = relayServer()
    const mute: Service = {
      ...server.service,
      onStream(stream) {
        asked += 1
        if (asked > 1) server.service.onStream?.(stream)
      },
    }
    const relay = world.node(() => ({ services: [identifyService(), mute] }))
    const a = clientIn(world, { relays: [relay.address] })
    world.run(10_500)
    const stale = a.node.connections(relay.node.self)[0]
    expect(stale?.status).toBe('retiring')
    world.run(4_000)
    expect(a.client.relays).toMatchObject([{ state: { t: 'held' } }])
    expect(stale?.status).toBe('closed')
  })

  it('moves to another connection to the relay when the one it was made on may be dead: nothing is lost meanwhile', () => {
    const { world, relay, a, b } = three(12)
    const [old] = a.node.connections(relay.node.self)
    const circuit = connect(world, b, over(relay, a))
    a.client.replace(old as Connection)
    world.run(200)
    const now = a.node.connections(relay.node.self).filter(({ status }) => status === 'open')
    expect([old?.status, now.length, kinds(a)]).toEqual(['retiring', 1, ['relay:reserved']])
    expect(ask(world, circuit, 'over the old one')).toBe('over the old one')
    circuit.close()
    old?.abort(Object.assign(new Error('dead'), { code: 'ERR_TIMEOUT' }) as TabmeshError)
    world.run(200)
    expect([heldOn(a), relay.server.holders, kinds(a)]).toEqual([1, [a.node.self], ['relay:reserved']])
    expect(ask(world, connect(world, b, over(relay, a)), 'over the new one')).toBe('over the new one')
  })

  it('takes a spare when the first relay is full', () => {
    const world = new World(11)
    const [small, large] = [relayIn(world, { maxReservations: 0 }), relayIn(world)]
    const a = clientIn(world, { relays: [small.address, large.address], wanted: 1 })
    world.run(1_000)
    expect(a.events.find((event) => event.t === 'error')).toMatchObject({ error: { code: 'ERR_RELAY_FULL' } })
    expect(a.events.find((event) => event.t === 'relay:reserved')).toMatchObject({ relay: large.node.self })
    expect(small.server.counters.refused).toEqual({ '200 RESERVATION_REFUSED': 1 })
  })
})

describe('several relays', () => {
  it('hold as many slots as are wanted: a spare takes over from one that is lost, and whoever comes back waits', () => {
    const world = new World(15)
    const relays = [relayIn(world), relayIn(world), relayIn(world)] as const
    const [first, second, third] = relays
    const a = clientIn(world, { relays: relays.map(({ address }) => address), wanted: 2 })
    const holders = (): number[] => relays.map(({ server }) => server.counters.reservations)
    world.run(1_000)
    expect([holders(), heldOn(a)]).toEqual([[1, 1, 0], 2])
    expect(third.node.connections()).toEqual([])
    const heard = a.events.length
    first.node.hangUp(a.node.self)
    expect(world.run(2_000, () => third.server.counters.reservations === 1)).toBe(true)
    world.run(100)
    expect(holders()).toEqual([0, 1, 1])
    const events = a.events.slice(heard).filter((event) => ['relay:lost', 'relay:reserved', 'addresses:change'].includes(event.t))
    expect(events.map((event) => (event.t === 'addresses:change' ? event.addresses.filter(isCircuit).length : event.t))).toEqual([
      1,
      'relay:lost',
      2,
      'relay:reserved',
    ])
    expect(events.find((event) => event.t === 'relay:lost')).toMatchObject({ relay: first.node.self, fault: { code: 'ERR_RELAY_LOST' } })
    // Hours later there are still two, and the first is a spare now.
    world.run(5 * 3_600_000)
    expect([holders(), heldOn(a)]).toEqual([[0, 1, 1], 2])
    // Both who serve go for good: the spare and who comes back make two again.
    for (const relay of [second, third]) relay.node.hangUp(a.node.self)
    expect(world.run(10_000, () => first.server.counters.reservations === 1 && heldOn(a) === 2)).toBe(true)
    expect(holders().reduce((sum, each) => sum + each)).toBe(2)
  })

  it('of which the first says nothing: the spare serves within moments, and who answers late is the spare', () => {
    for (const [what, silentFor] of [
      ['for ever', Number.POSITIVE_INFINITY],
      ['five seconds', 5_000],
    ] as const) {
      const world = new World(17)
      const slow = parseMultiaddr('/ip4/192.0.2.9/tcp/1')
      const real = world.transport()
      const far = relayIn(world)
      const near = relayIn(world)
      const tcp: Transport = {
        name: 'tcp',
        matches: ({ text }) => text.startsWith('/ip4/'),
        dial: (_address, net, done) => {
          if (silentFor === Number.POSITIVE_INFINITY) return () => {}
          return world.after(silentFor, () => void real.dial(far.address, net, done))
        },
      }
      const client = relayClient({ relays: [encapsulate(slow, `/p2p/${far.node.self}`), near.address], wanted: 1 })
      const a = { ...world.node(() => ({ services: [identifyService(), client], transports: [tcp, client] })), client }
      expect(
        world.run(3_000, () => a.events.some((event) => event.t === 'relay:reserved' && event.relay === near.node.self)),
        what,
      ).toBe(true)
      world.run(60_000)
      expect([a.client.relays.filter(({ state }) => state.t === 'held').length, near.server.counters.reservations]).toEqual([1, 1])
      expect(far.server.counters.granted).toBe(0)
      expect(kinds(a).filter((kind) => kind === 'relay:lost')).toEqual([])
    }
  })

  it('of which one refuses are held all the same, and it says why', () => {
    const world = new World(16)
    const relays = [relayIn(world, { maxReservations: 0 }), relayIn(world), relayIn(world, { allowReserve: () => false }), relayIn(world)]
    const a = clientIn(world, { relays: relays.map(({ address }) => address), wanted: 2 })
    world.run(3_600_000)
    expect([relays.map(({ server }) => server.counters.reservations), heldOn(a)]).toEqual([[0, 1, 0, 1], 2])
    const codes = a.events.flatMap((event) => (event.t === 'error' ? [event.error.code] : []))
    expect(codes).toEqual(['ERR_RELAY_FULL', 'ERR_RELAY_REFUSED'])
    expect(kinds(a).filter((kind) => kind === 'relay:lost')).toEqual([])
  })
})

describe('reaching a peer through a relay', () => {
  it('connects end to end: secured by the two of them, the relay only carries', () => {
    const { world, relay, a, b } = three(20)
    const connection = connect(world, b, over(relay, a))
    expect(connection).toMatchObject({
      remotePeer: a.node.self,
      transport: 'relay',
      limited: false,
      encryption: '/noise',
      direction: 'outbound',
    })
    expect(connection.remoteAddr.text).toBe(over(relay, a).text)
    expect(ask(world, connection, 'hello')).toBe('hello')
    const [inbound] = a.node.connections(b.node.self)
    expect(inbound).toMatchObject({ transport: 'relay', direction: 'inbound', remotePeer: b.node.self })
    expect(inbound?.remoteAddr.text).toBe(over(relay, b).text)
    expect(relay.server.counters).toMatchObject({ circuits: 1, opened: 1 })
    expect(relay.server.counters.bytes).toBeGreaterThan(500)
    expect(relay.node.connections().every((each) => each.direct)).toBe(true)
  })

  it('uses the connection to the relay there is, also for addresses that do not name the relay', () => {
    const { world, relay, a } = three(21)
    const bare = withoutPeerId(relay.address) as Multiaddr
    const b = clientIn(world, { relays: [bare] })
    world.run(1_000)
    connect(world, b, encapsulate(bare, `/p2p-circuit/p2p/${a.node.self}`))
    expect(b.node.connections(relay.node.self).length).toBe(1)
    expect(b.node.connections(a.node.self).length).toBe(1)
  })

  it('finds a peer of which only the id is known, on the relays that both use', () => {
    const { world, relay, a } = three(22)
    const b = clientIn(world, { relays: [relay.address] })
    world.run(1_000)
    const outcome = outcomeOf<Connection>(world, (done) => b.node.dial({ peer: a.node.self, addresses: [] }, done))
    expect(outcome).toMatchObject({ ok: true, value: { remotePeer: a.node.self, transport: 'relay' } })
  })

  it('dials /p2p/R/p2p-circuit/p2p/T over what is known of R', () => {
    const { world, relay, a } = three(23)
    const b = clientIn(world, { relays: [relay.address] })
    world.run(1_000)
    connect(world, b, parseMultiaddr(`/p2p/${relay.node.self}/p2p-circuit/p2p/${a.node.self}`))
  })

  it('carries 3 MB both ways whole, and the relay keeps next to nothing of it', () => {
    const { world, relay, a, b } = three(24)
    const connection = connect(world, b, over(relay, a))
    const stream = connection.openStream(['/echo/1'])
    const total = 3_000_000
    let sent = 0
    let received = 0
    let sum = 0
    const pour = (): void => {
      while (sent < total && stream.credit > 0) {
        const part = new Uint8Array(Math.min(20_000, total - sent))
        for (let i = 0; i < part.length; i++) part[i] = (sent + i) % 251
        sent += part.length
        stream.write(part)
      }
    }
    stream.attach({
      onData(bytes) {
        for (let i = 0; i < bytes.length; i++) if (bytes[i] === (received + i) % 251) sum += 1
        received += bytes.length
        stream.release(bytes.length)
      },
      onDrain: pour,
      onEnd: () => {},
      onClose: () => {},
    })
    pour()
    world.run(600_000, () => received === total)
    expect(sum).toBe(total)
    expect(relay.server.counters.bytes).toBeGreaterThan(2 * total)
  })

  it('slows a writer down to its reader: what is under way is bounded, wherever it waits', () => {
    const { world, relay, a, b } = three(28)
    const connection = connect(world, b, over(relay, a))
    let held = 0
    let reader: Stream | undefined
    a.node.mount({
      name: 'slow',
      protocols: { '/slow/1': {} },
      onStream(stream) {
        reader = stream
        stream.attach({ onData: (bytes) => void (held += bytes.length), onEnd: () => {}, onClose: () => {} })
      },
    })
    const stream = connection.openStream(['/slow/1'])
    let sent = 0
    const pour = (): void => {
      for (; stream.credit > 0; sent += 50_000) stream.write(new Uint8Array(50_000))
    }
    stream.attach({ onData: () => {}, onDrain: pour, onEnd: () => {}, onClose: () => {} })
    pour()
    world.run(30_000)
    const stuck = sent
    expect(stuck).toBeLessThan(2_000_000)
    world.run(30_000)
    expect(sent).toBe(stuck)
    reader?.release(held)
    world.run(5_000)
    expect(sent).toBeGreaterThan(stuck)
    // A circuit that stalls stalls nobody else.
    expect(ask(world, connect(world, clientIn(world), over(relay, a)), 'still here')).toBe('still here')
  })

  it('ends when either side hangs up, and the relay counts down', () => {
    const { world, relay, a, b } = three(25)
    const connection = connect(world, b, over(relay, a))
    connection.close()
    world.run(5_000)
    expect(a.node.connections(b.node.self)).toEqual([])
    expect(relay.server.counters.circuits).toBe(0)
    connect(world, b, over(relay, a))
    a.node.connections(b.node.self)[0]?.close()
    world.run(5_000)
    expect(b.node.connections(a.node.self)).toEqual([])
    expect(relay.server.counters.circuits).toBe(0)
  })

  it('ends when the relay stops', () => {
    const { world, relay, a, b } = three(26)
    connect(world, b, over(relay, a))
    let stopped = false
    relay.node.stop(() => {
      stopped = true
    })
    world.run(5_000, () => stopped)
    world.run(100)
    expect(b.node.connections()).toEqual([])
    expect(a.node.connections()).toEqual([])
    expect(relay.server.counters.circuits).toBe(0)
  })

  it('given up half way leaves nothing behind', () => {
    for (let after = 0; after < 160; after += 10) {
      const { world, relay, a, b } = three(27)
      const cancel = b.node.dial({ addresses: [over(relay, a)] }, () => {})
      world.run(after)
      cancel()
      world.run(40_000)
      expect(relay.server.counters.circuits, `given up after ${after} ms`).toBe(b.node.connections(a.node.self).length)
      expect(a.node.connections(b.node.self).length).toBe(b.node.connections(a.node.self).length)
    }
  })
})

describe('what a circuit may not', () => {
  it('to a peer without a reservation: ERR_RELAY_NO_RESERVATION', () => {
    const { world, relay, b } = three(40)
    const c = clientIn(world)
    expect(refusal(world, b, over(relay, c))).toMatchObject({ code: 'ERR_RELAY_NO_RESERVATION' })
    expect(refusal(world, b, over(relay, c)).message).toContain(c.node.self)
  })

  it('over a relay that does not answer: ERR_RELAY_UNREACHABLE, with what happened there', () => {
    const { world, a, b } = three(41)
    const fault = refusal(world, b, parseMultiaddr(`/memory/99/p2p-circuit/p2p/${a.node.self}`))
    expect(fault.code).toBe('ERR_RELAY_UNREACHABLE')
    expect(fault.cause).toMatchObject({ code: 'ERR_RELAY_UNREACHABLE', cause: { code: 'ERR_DIAL_FAILED' } })
  })

  it('over a peer that is no relay: ERR_NO_PROTOCOL', () => {
    const { world, a, b } = three(42)
    const c = clientIn(world)
    connect(world, b, c.address)
    expect(refusal(world, b, over(c, a)).code).toBe('ERR_NO_PROTOCOL')
  })

  it('more than its limits, which both ends see', () => {
    const { world, relay, a, b } = three(43, { limit: { duration: 60_000, data: 200_000 } })
    const connection = connect(world, b, over(relay, a))
    expect(connection.limit).toEqual({ duration: 60_000, data: 200_000 })
    expect(a.node.connections(b.node.self)[0]?.limit).toEqual({ duration: 60_000, data: 200_000 })
    world.run(59_000)
    expect(connection.status).toBe('open')
    world.run(2_000)
    expect(connection.status).toBe('closed')
    expect(relay.server.counters.circuits).toBe(0)
  })

  it('more than the relay has: ERR_RELAY_FULL', () => {
    const { world, relay, a, b } = three(44, { maxCircuitsPerPeer: 1 })
    connect(world, b, over(relay, a))
    const c = clientIn(world)
    expect(refusal(world, c, over(relay, a)).code).toBe('ERR_RELAY_FULL')
    b.node.connections(a.node.self)[0]?.close()
    world.run(5_000)
    connect(world, c, over(relay, a))
  })

  it('pass the relay’s own rules: ERR_RELAY_REFUSED', () => {
    const world = new World(45)
    let welcome = false
    const relay = relayIn(world, { allowReserve: () => welcome, allowConnect: () => false })
    const a = clientIn(world, { relays: [relay.address] })
    world.run(1_000)
    expect(a.events.find((event) => event.t === 'error')).toMatchObject({ error: { code: 'ERR_RELAY_REFUSED' } })
    welcome = true
    world.run(10_000)
    expect(heldOn(a)).toBe(1)
    expect(refusal(world, clientIn(world), over(relay, a)).code).toBe('ERR_RELAY_REFUSED')
  })

  it('bring another peer than the relay announced', () => {
    // A relay that says `liar` while `b` speaks.
    const world = new World(46)
    const liar = clientIn(world)
    const a = world.node(() => {
      const client = relayClient({ relays: [parseMultiaddr('/memory/3')] })
      return { services: [client], transports: [client] }
    })
    const server = relayServer()
    const relay = world.node(() => ({ services: [server.service] }))
    world.run(2_000)
    const stop = relay.node.connections(a.node.self)[0]?.openStream([STOP]) as Stream
    let accepted = false
    converse(stop, stopAs(liar), world.host(), { timeout: 5_000, what: 'stop', done: (outcome) => (accepted = outcome.ok) })
    world.run(200)
    expect(accepted).toBe(true)
    // The relay itself dials in over the circuit that it said is from `liar`.
    const outcome = outcomeOf<Connection>(world, (done) =>
      relay.node.adopt({ t: 'pipe', channel: stop, transport: 'relay', remoteAddr: a.address }, a.node.self, done),
    )
    world.run(1_000)
    expect(a.node.connections(relay.node.self).every((each) => each.direct)).toBe(true)
    expect(a.node.connections(liar.node.self)).toEqual([])
    if (outcome.ok) expect(outcome.value.status).toBe('closed')
  })
})

function* stopAs(source: WorldNode): Conversation<void> {
  yield { t: 'write', bytes: StopMessage.frame({ type: StopType.CONNECT, peer: { id: peerIdToBytes(source.node.self) } }) }
  const answer = yield* readMessage(StopMessage)
  if (answer.status !== Status.OK) throw new Error(`refused with ${answer.status}`)
}

describe('a relay under strange requests', () => {
  /** Says `frame` on a hop stream, and answers with the status. */
  const status = (world: World, connection: Connection, protocol: string, frame: Uint8Array): number | undefined => {
    const stream = connection.openStream([protocol])
    const talk = function* (): Conversation<number | undefined> {
      yield { t: 'write', bytes: frame }
      const answer = yield* readMessage(protocol === HOP ? HopMessage : StopMessage)
      return answer.status
    }
    const outcome = outcomeOf<number | undefined>(world, (done) =>
      converse(stream, talk(), world.host(), { timeout: 30_000, what: 'asking', done }),
    )
    if (!outcome.ok) throw outcome.fault
    stream.finish(world.host())
    return outcome.value
  }

  it('answers each with its status, and goes on', () => {
    const { world, relay, a, b } = three(60)
    const connection = connect(world, b, relay.address)
    const peer = (id: Uint8Array) => ({ id })
    const cases: [number, Uint8Array][] = [
      [Status.MALFORMED_MESSAGE, Uint8Array.of(2, 0xff, 0xff)],
      [Status.MALFORMED_MESSAGE, Uint8Array.of(0x81, 0x20)],
      [Status.MALFORMED_MESSAGE, Uint8Array.of(0)],
      [Status.MALFORMED_MESSAGE, HopMessage.frame({ type: HopType.CONNECT })],
      [Status.MALFORMED_MESSAGE, HopMessage.frame({ type: HopType.CONNECT, peer: peer(Uint8Array.of(9, 9)) })],
      [Status.MALFORMED_MESSAGE, HopMessage.frame({ type: HopType.CONNECT, peer: peer(peerIdToBytes(relay.node.self)) })],
      [Status.UNEXPECTED_MESSAGE, HopMessage.frame({ type: HopType.STATUS, status: Status.OK })],
      [Status.UNEXPECTED_MESSAGE, HopMessage.frame({ type: 7 })],
      [Status.NO_RESERVATION, HopMessage.frame({ type: HopType.CONNECT, peer: peer(peerIdToBytes(clientIn(world).node.self)) })],
      [Status.OK, HopMessage.frame({ type: HopType.RESERVE })],
      [Status.MALFORMED_MESSAGE, HopMessage.frame({ type: HopType.CONNECT, peer: peer(peerIdToBytes(b.node.self)) })],
    ]
    for (const [expected, frame] of cases) expect(status(world, connection, HOP, frame), Buffer.from(frame).toString('hex')).toBe(expected)
    world.run(20_000)
    expect(connection.streams.size).toBe(0)
    expect(relay.server.counters.reservations).toBe(2)
    connect(world, b, over(relay, a))
  })

  it('refuses to reserve or to connect over a circuit', () => {
    const { world, relay, a } = three(61)
    // A relay that is itself reachable through a relay only.
    const server = relayServer()
    const client = relayClient({ relays: [relay.address] })
    const inner = world.node(() => ({ services: [client, server.service], transports: [client] }))
    world.run(1_000)
    const b = clientIn(world)
    const connection = connect(world, b, over(relay, inner))
    expect(status(world, connection, HOP, HopMessage.frame({ type: HopType.RESERVE }))).toBe(Status.PERMISSION_DENIED)
    const frame = HopMessage.frame({ type: HopType.CONNECT, peer: { id: peerIdToBytes(a.node.self) } })
    expect(status(world, connection, HOP, frame)).toBe(Status.PERMISSION_DENIED)
    expect(server.counters.reservations).toBe(0)
  })

  it('offers at least one address, ending in its peer id, that it can be reached at', () => {
    for (const addresses of [
      undefined,
      (): Multiaddr[] => [],
      () => Array.from({ length: 99 }, (_, i) => parseMultiaddr(`/ip4/192.0.2.${i}/tcp/9090/ws`)),
    ]) {
      const { relay, a } = three(62, addresses === undefined ? {} : { addresses })
      expect(heldOn(a)).toBe(1)
      const circuits = a.node.addresses.filter(({ text }) => text.includes('circuit'))
      expect(circuits.length).toBeGreaterThan(0)
      expect(circuits.length).toBeLessThanOrEqual(4)
      // What works for us comes first, whatever the relay says of itself.
      expect(circuits[0]?.text).toBe(`${relay.address.text}/p2p-circuit`)
      for (const { text } of circuits) expect(text).toContain(`/p2p/${relay.node.self}/p2p-circuit`)
    }
  })

  it('a target that does not answer costs its caller half a minute and the relay one circuit', () => {
    const world = new World(63)
    const relay = relayIn(world)
    const client = relayClient({ relays: [relay.address] })
    const deaf = world.node(() => ({ services: [{ ...client, onStream: () => {} }], transports: [client] }))
    const b = clientIn(world)
    world.run(1_000)
    const connection = connect(world, b, relay.address)
    const frame = HopMessage.frame({ type: HopType.CONNECT, peer: { id: peerIdToBytes(deaf.node.self) } })
    const began = world.now
    let answered: number | undefined
    const stream = connection.openStream([HOP])
    converse(stream, asking(frame), world.host(), {
      timeout: 60_000,
      what: 'asking',
      done: (outcome) => {
        answered = outcome.ok ? outcome.value : -1
      },
    })
    world.run(29_000)
    expect(relay.server.counters.circuits).toBe(1)
    world.run(5_000, () => answered !== undefined)
    expect(answered).toBe(Status.CONNECTION_FAILED)
    expect(world.now - began).toBeLessThan(31_000)
    expect(relay.server.counters.circuits).toBe(0)
  })

  it('a target refuses a circuit from a relay that it holds nothing on', () => {
    const world = new World(64)
    const a = clientIn(world)
    const stranger = world.node(() => ({ services: [] }))
    const connection = connect(world, stranger, a.address)
    const frame = StopMessage.frame({ type: StopType.CONNECT, peer: { id: peerIdToBytes(stranger.node.self) } })
    expect(status(world, connection, STOP, frame)).toBe(Status.PERMISSION_DENIED)
  })

  it('400 half requests on one connection: bounded, and the others are served', () => {
    const { world, relay, a, b } = three(65)
    const connection = connect(world, b, relay.address)
    for (let i = 0; i < 400; i++) connection.openStream([HOP]).write(Uint8Array.of(0x80))
    world.run(1_000)
    expect(relay.node.connections(b.node.self)[0]?.streams.size).toBeLessThanOrEqual(140)
    connect(world, clientIn(world), over(relay, a))
    world.run(60_000)
    expect(relay.node.connections(b.node.self)[0]?.streams.size ?? 0).toBeLessThanOrEqual(1)
  })
})

function* asking(frame: Uint8Array): Conversation<number | undefined> {
  yield { t: 'write', bytes: frame }
  return (yield* readMessage(HopMessage)).status
}
