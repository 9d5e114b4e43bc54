/**
 * The client's side of circuit relay v2: reachable through relays (service), and reaching others through them (transport).
 *
 *   relays ─▶ reservation machine ─▶ dial, RESERVE ─▶ addresses announced, `relay:reserved`; gone again: `relay:lost`
 *   STOP from a relay that we hold a slot on ─▶ its circuit is accepted like a connection that came by itself
 *   dial …/p2p/R/p2p-circuit/p2p/B ─▶ transport.ts
 *
 * Connections to relays are kept when others give way: those to ours as `keep-alive-relay`, while we have a slot there or ask for one (a lost
 * one is found again by the machine, so the tag goes with it), those of others are worth `relay-circuit` while circuits run through them.
 *
 * Bounds: those of the machine (reservation.ts); RELAY_RESERVE_TIMEOUT for each RESERVE and STOP; RELAY_MAX_INBOUND_CIRCUITS
 * circuits from one relay at a time.
 */

import type { Multiaddr } from '../../codec/multiaddr.ts'
import { peerIdOf, relayOf } from '../../codec/multiaddr.ts'
import type { PeerId } from '../../codec/peer-id.ts'
import type { Cancel } from '../../host.ts'
import { RELAY_MAX_INBOUND_CIRCUITS, RELAY_RESERVE_TIMEOUT } from '../../limits.ts'
import type { Connection } from '../../net/connection.ts'
import type { Net, Service, Transport } from '../../net/service.ts'
import type { Stream } from '../../net/stream.ts'
import { converse } from '../../wire/conversation.ts'
import { circuitAddresses, circuitTo, relayAddresses } from './addresses.ts'
import type { Reservation } from './client.ts'
import { answerStop, reserve } from './client.ts'
import { HOP, STOP } from './messages.ts'
import type { Relay, ReservationInput } from './reservation.ts'
import { Reservations } from './reservation.ts'
import { circuitLink, circuitTransport, directTo, refusalOf, unreachable } from './transport.ts'

export interface RelayClientOptions {
  /** Relays to be reachable through; their peer ids may be unknown. Several addresses of one peer are one relay. */
  readonly relays?: readonly Multiaddr[]
  /** How many reservations to hold at a time, the others being spares; all of them if absent. */
  readonly wanted?: number | undefined
  /** Whether `/webrtc` is announced behind each relayed address. */
  readonly webrtc?: boolean
}

export interface RelayClient extends Service, Transport {
  readonly name: 'relay'
  /** Every relay that is known, with its state. */
  readonly relays: readonly Relay[]
  /** One more relay that may be used. */
  add(addresses: readonly Multiaddr[]): void
  /** Gives a relay up, by its peer id; circuits over it stay. */
  remove(peer: PeerId): void
  /** The network is there again: relays that are waited for are tried at once. */
  online(): void
  /** A connection may be dead: if it leads to one of the relays, another takes its place, to which the reservation moves. Streams on it go on. */
  replace(connection: Connection): void
}

/** What is known of a slot that is held. */
interface Held {
  readonly reservation: Reservation
  /** How to reach the relay, best first; each ends in its /p2p. */
  readonly addresses: readonly Multiaddr[]
  readonly connection: Connection
}

export const relayClient = ({ relays = [], wanted = Number.POSITIVE_INFINITY, webrtc = false }: RelayClientOptions = {}): RelayClient => {
  const machine = new Reservations(wanted, () => fraction(net.host.random(4)))
  const held = new Map<Relay, Held>()
  const dials = new Map<Relay, Cancel>()
  /** Relays that have our tag. */
  let kept: ReadonlySet<PeerId> = new Set()
  let net: Net
  let timer: Cancel = () => {}
  let stopped = false

  const feed = (input: ReservationInput): void => {
    if (stopped) return
    machine.handle(input, net.host.now())
    for (let output = machine.poll(); output !== undefined; output = machine.poll()) {
      switch (output.t) {
        case 'connect':
          reach(output.relay)
          break
        case 'reserve':
          ask(output.relay)
          break
        case 'reserved':
          announce()
          if (!output.again) tellReserved(output.relay)
          break
        case 'lost':
          held.delete(output.relay)
          announce()
          if (output.relay.peer !== undefined) net.emit({ t: 'relay:lost', relay: output.relay.peer, fault: output.fault })
          break
        case 'trouble':
          net.emit({ t: 'error', error: output.fault })
          break
      }
    }
    tagRelays()
    timer()
    const { deadline } = machine
    if (deadline !== undefined) timer = net.host.after(Math.max(0, deadline - net.host.now()), () => feed({ t: 'time' }))
  }

  const tagRelays = (): void => {
    const wanted = new Set(machine.relays.flatMap((relay) => (relay.peer !== undefined && expectsCircuits(relay) ? [relay.peer] : [])))
    for (const peer of kept) if (!wanted.has(peer)) net.tag(peer, KEPT, undefined)
    for (const peer of wanted) if (!kept.has(peer)) net.tag(peer, KEPT, WORTH)
    kept = wanted
  }

  /** The relay under a circuit is worth what it carries. */
  const weigh = ({ transport, remoteAddr }: Connection): void => {
    const carrier = transport === 'relay' ? carrierOf(remoteAddr) : undefined
    if (carrier === undefined) return
    const carries = net.connections().some((each) => each.transport === 'relay' && carrierOf(each.remoteAddr) === carrier)
    net.tag(carrier, CARRIES, carries ? WORTH : undefined)
  }

  const add = (addresses: readonly Multiaddr[]): void => {
    // `…/p2p-circuit` is how a listener names the relay it wants.
    const bare = addresses.map((address) => relayOf(address)?.relay ?? address)
    const peer = bare.map(peerIdOf).find((each) => each !== undefined)
    feed({ t: 'add', addresses: bare, ...(peer === undefined ? {} : { peer }) })
  }

  // ── reservations ───────────────────────────────────────────────────────────────────────────────────────────

  const reach = (relay: Relay): void => {
    dials.get(relay)?.()
    const open = relay.peer === undefined ? undefined : directTo(net, relay.peer)
    if (open !== undefined) return net.host.defer(() => feed({ t: 'connected', relay, peer: open.remotePeer }))
    // Without a peer id in the address any peer will do: the relay may have been set up anew since.
    const cancel = net.dial({ addresses: relay.addresses }, (outcome) => {
      if (dials.get(relay) === cancel) dials.delete(relay)
      if (!outcome.ok) return feed({ t: 'failed', relay, fault: unreachable(relay.addresses, outcome.fault) })
      feed({ t: 'connected', relay, peer: outcome.value.remotePeer })
    })
    dials.set(relay, cancel)
  }

  const ask = (relay: Relay): void => {
    const { peer } = relay
    const connection = peer === undefined ? undefined : directTo(net, peer)
    if (peer === undefined || connection === undefined) return feed({ t: 'disconnected', relay, fault: undefined })
    const refusal = refusalOf(connection)
    if (refusal !== undefined) return feed({ t: 'failed', relay, fault: refusal })
    const stream = connection.openStream([HOP])
    converse(
      stream,
      reserve(net.self, peer, () => net.host.date()),
      net.host,
      {
        timeout: RELAY_RESERVE_TIMEOUT,
        what: `reserving a slot on ${peer}`,
        done: (outcome) => {
          if (outcome.ok) {
            stream.finish(net.host)
            // It may have been given up meanwhile.
            if (!expectsCircuits(relay) || !machine.relays.includes(relay)) return
            const used = connection.direction === 'outbound' ? [connection.remoteAddr] : relay.addresses
            held.set(relay, { reservation: outcome.value, addresses: relayAddresses(peer, used, outcome.value.addresses), connection })
            feed({ t: 'reserved', relay, ttl: outcome.value.expires - net.host.date() })
            return
          }
          // It may have died without a word: the next try goes over a new one, while streams that still live may end.
          if (outcome.fault.code === 'ERR_TIMEOUT') connection.retire()
          feed({ t: 'failed', relay, fault: outcome.fault })
        },
      },
    )
  }

  const announce = (): void => {
    const addresses = machine.relays.flatMap((relay) => circuitAddresses(held.get(relay)?.addresses ?? [], webrtc))
    net.announce('relay', addresses)
  }

  const tellReserved = (relay: Relay): void => {
    const slot = held.get(relay)
    if (slot === undefined || relay.peer === undefined) return
    const addresses = circuitAddresses(slot.addresses, webrtc)
    net.emit({ t: 'relay:reserved', relay: relay.peer, expires: slot.reservation.expires, addresses })
  }

  const replace = (connection: Connection): void => {
    const relay = machine.relays.find(({ peer }) => peer === connection.remotePeer)
    if (relay === undefined || !connection.direct || connection.direction !== 'outbound' || !expectsCircuits(relay)) return
    connection.retire()
    const moved = (): void => feed({ t: 'moved', relay })
    if (directTo(net, connection.remotePeer) !== undefined) return moved()
    dials.get(relay)?.()
    const cancel = net.dial({ peer: connection.remotePeer, addresses: relay.addresses }, (outcome) => {
      if (dials.get(relay) === cancel) dials.delete(relay)
      if (outcome.ok) moved()
    })
    dials.set(relay, cancel)
  }

  // ── circuits ───────────────────────────────────────────────────────────────────────────────────────────────

  const answer = (stream: Stream): void => {
    const { connection } = stream
    const allowed = connection.direct && machine.relays.some((each) => each.peer === connection.remotePeer && expectsCircuits(each))
    converse(stream, answerStop(net.self, allowed), net.host, {
      timeout: RELAY_RESERVE_TIMEOUT,
      what: 'a circuit from a relay',
      done: (outcome) => {
        if (!outcome.ok) return
        if (outcome.value.t === 'refused') return stream.finish(net.host)
        const { source, limit } = outcome.value
        // The address ends in the announced peer, and only that peer is let in.
        net.accept(circuitLink(stream, circuitTo(connection.remoteAddr, source), limit))
      },
    })
  }

  return {
    ...circuitTransport(() => machine.relays),
    name: 'relay',
    // A relay that limits our connection to it (we reach it over another one) is told so, not left without an answer.
    protocols: { [STOP]: { maxInbound: RELAY_MAX_INBOUND_CIRCUITS, allowLimited: true } },
    get relays() {
      return machine.relays
    },
    add,
    remove(peer) {
      const relay = machine.relays.find((each) => each.peer === peer)
      if (relay === undefined) return
      dials.get(relay)?.()
      dials.delete(relay)
      feed({ t: 'remove', relay })
    },
    online: () => feed({ t: 'online' }),
    replace,
    onNetworkChange(there) {
      if (there) feed({ t: 'online' })
    },
    start(started) {
      net = started
      for (const addresses of byPeer(relays)) add(addresses)
    },
    onStream: answer,
    onConnection(connection) {
      if (connection.direct) feed({ t: 'met', peer: connection.remotePeer })
      else weigh(connection)
    },
    onDisconnect(connection, fault) {
      weigh(connection)
      for (const relay of machine.relays) {
        if (relay.peer !== connection.remotePeer) continue
        if (directTo(net, relay.peer) === undefined) feed({ t: 'disconnected', relay, fault })
        else if (held.get(relay)?.connection === connection) feed({ t: 'moved', relay })
      }
    },
    routes: (peer) => {
      const ways: Multiaddr[] = []
      for (const relay of machine.relays) {
        // A relay that is still being reserved at may know the peer all the same.
        const address = held.get(relay)?.addresses[0] ?? relay.addresses[0]
        if (address !== undefined && relay.peer !== peer) ways.push(circuitTo(address, peer))
      }
      return ways
    },
    stop() {
      stopped = true
      timer()
      for (const cancel of dials.values()) cancel()
    },
  }
}

const KEPT = 'keep-alive-relay'
const CARRIES = 'relay-circuit'
/** More than an application's own tags are likely to be. */
const WORTH = 90

const carrierOf = (circuit: Multiaddr): PeerId | undefined => {
  const relay = relayOf(circuit)?.relay
  return relay === undefined ? undefined : peerIdOf(relay)
}

/** A circuit may come before our relay's word that it will: the two travel on streams of their own. */
const expectsCircuits = ({ state }: Relay): boolean => state.t === 'held' || state.t === 'refreshing' || state.t === 'reserving'

/** One list for each peer that is named, and one for each address that names none. */
const byPeer = (relays: readonly Multiaddr[]): Multiaddr[][] => {
  const lists = new Map<string, Multiaddr[]>()
  for (const relay of relays) {
    const key = peerIdOf(relayOf(relay)?.relay ?? relay) ?? relay.text
    lists.set(key, [...(lists.get(key) ?? []), relay])
  }
  return [...lists.values()]
}

/** From 0 to below 1. */
const fraction = (bytes: Uint8Array): number => bytes.reduce((sum, byte) => (sum + byte) / 256, 0)
