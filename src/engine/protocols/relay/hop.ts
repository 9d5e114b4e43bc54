/**
 * The relay's side of circuit relay v2 as a service: it lends its address to peers that can't be reached themselves.
 *
 *   RESERVE   over a direct connection ─▶ slot (slots.ts) ─▶ voucher signed ─▶ STATUS OK
 *   CONNECT   target holds a slot ─▶ stop stream to the target ─▶ its OK ─▶ STATUS OK ─▶ streams tied (splice.ts)
 *
 * Relays do not stand on relays: both are refused over a circuit. A slot is free again when the last connection of its peer is gone, or when it expires. What is refused is told with its
 * status, and the stream is ended.
 *
 * Bounds: see slots.ts; requests of RELAY_MAX_FRAME bytes within RELAY_RESERVE_TIMEOUT; a target has
 * RELAY_CONNECT_TIMEOUT to answer; a circuit carries what `limit` allows, everything if it is absent.
 */

import { TabmeshError } from '../../../errors.ts'
import type { Multiaddr } from '../../codec/multiaddr.ts'
import { encapsulate, parseMultiaddr, peerIdOf, relayOf } from '../../codec/multiaddr.ts'
import type { PeerId } from '../../codec/peer-id.ts'
import type { Cancel } from '../../host.ts'
import { RELAY_CONNECT_TIMEOUT, RELAY_MAX_OFFERED_ADDRESSES, RELAY_RESERVE_TIMEOUT } from '../../limits.ts'
import type { Connection } from '../../net/connection.ts'
import type { Limit, Net, Service } from '../../net/service.ts'
import type { Stream } from '../../net/stream.ts'
import { converse } from '../../wire/conversation.ts'
import { splice } from '../../wire/splice.ts'
import { HOP, hopStatus, nameStatus, STOP, Status } from './messages.ts'
import { granted, joined, readHopRequest, requestStop } from './server.ts'
import type { SlotLimits } from './slots.ts'
import { Slots, slotLimits } from './slots.ts'
import { sealVoucher } from './voucher.ts'

export interface RelayServerOptions extends Partial<SlotLimits> {
  /** What one circuit may carry; unlimited where absent or 0. */
  readonly limit?: Limit
  /** Addresses a client is told, without our /p2p; those of the node if absent. The first ones count. */
  addresses?(connection: Connection): readonly Multiaddr[]
  /** Whether this peer may have a slot at all; PERMISSION_DENIED if not. */
  allowReserve?(connection: Connection): boolean
  /** Whether this peer may be joined with `target`; PERMISSION_DENIED if not. */
  allowConnect?(connection: Connection, target: PeerId): boolean
}

/** What the relay did and does, for its metrics. */
export interface RelayCounters {
  /** Slots held now. */
  reservations: number
  /** Circuits open now, those still being asked for included. */
  circuits: number
  /** Bytes carried since the start, both directions. */
  bytes: number
  /** Reservations granted since the start, refreshes included. */
  granted: number
  /** Circuits opened since the start. */
  opened: number
  /** Answers other than OK since the start, by the name of their status. */
  readonly refused: Record<string, number>
}

export interface RelayServer {
  readonly service: Service
  readonly counters: Readonly<RelayCounters>
  /** Who holds a slot. */
  readonly holders: readonly PeerId[]
}

export const relayServer = (options: RelayServerOptions = {}): RelayServer => {
  const limits = slotLimits(options)
  const limit = positive(options.limit)
  const slots = new Slots(limits)
  const counters: RelayCounters = { reservations: 0, circuits: 0, bytes: 0, granted: 0, opened: 0, refused: {} }
  /** Cuts a circuit, for each that is open; by what tells the slots of its end. */
  const circuits = new Map<() => void, (fault: TabmeshError) => void>()
  const reservedOn = new Map<PeerId, Connection>()
  const weighed = new Set<PeerId>()
  let net: Net
  let timer: Cancel = () => {}

  const count = (): void => {
    counters.reservations = slots.reservations
    counters.circuits = slots.circuits
  }

  /** Who holds a slot is worth more than a stranger when connections have to give way. */
  const weigh = (peer: PeerId, holds: boolean): void => {
    net.tag(peer, 'relay-reservation', holds ? HOLDER_WORTH : undefined)
    if (holds) weighed.add(peer)
    else weighed.delete(peer)
  }

  /** Expired slots are dropped when they expire, so that the counters tell the truth with no traffic too. */
  const schedule = (): void => {
    timer()
    count()
    const { deadline } = slots
    if (deadline === undefined) return
    timer = net.host.after(Math.max(0, deadline - net.host.now()), () => {
      slots.expire(net.host.now())
      for (const peer of weighed) if (slots.get(peer) === undefined) weigh(peer, false)
      schedule()
    })
  }

  const refuse = (stream: Stream, status: Status): void => {
    const name = nameStatus(status)
    counters.refused[name] = (counters.refused[name] ?? 0) + 1
    stream.write(hopStatus(status))
    stream.finish(net.host)
  }

  const reserve = (stream: Stream): void => {
    const { connection } = stream
    if (!connection.direct || options.allowReserve?.(connection) === false) return refuse(stream, Status.PERMISSION_DENIED)
    net.gate({ t: 'reservation', peer: connection.remotePeer }, (refusal) => {
      // It may have gone while the application thought about it.
      if (stream.closed || connection.status === 'closed') return
      if (refusal !== undefined) refuse(stream, Status.PERMISSION_DENIED)
      else grant(stream)
    })
  }

  const grant = (stream: Stream): void => {
    const { connection } = stream
    const known = slots.get(connection.remotePeer)
    const slot = slots.reserve(connection.remotePeer, net.host.now())
    if (slot === undefined) return refuse(stream, Status.RESERVATION_REFUSED)
    weigh(connection.remotePeer, true)
    reservedOn.set(connection.remotePeer, connection)
    schedule()
    const expire = BigInt(Math.floor((net.host.date() + slot.expiresAt - net.host.now()) / 1000))
    const addresses = offered(net.self, options.addresses?.(connection) ?? net.addresses)
    const answer = (voucher: Uint8Array): void => {
      slot.voucher = voucher
      counters.granted += 1
      stream.write(granted(expire, addresses, voucher, limit))
      stream.finish(net.host)
    }
    if (slot.voucher !== undefined) return answer(slot.voucher)
    converse(stream, sealVoucher(net.self, connection.remotePeer, expire, net.publicKey), net.host, {
      timeout: RELAY_RESERVE_TIMEOUT,
      what: 'granting a reservation',
      done: (outcome) => {
        if (outcome.ok) return answer(outcome.value)
        // The client has not heard of it: unless it still holds the one before, the slot is free for others.
        if (known === undefined && slots.get(slot.peer) === slot) slots.release(slot.peer)
        schedule()
      },
    })
  }

  const connect = (stream: Stream, target: PeerId): void => {
    const { connection } = stream
    const source = connection.remotePeer
    if (!connection.direct || options.allowConnect?.(connection, target) === false) return refuse(stream, Status.PERMISSION_DENIED)
    if (target === net.self) return refuse(stream, Status.MALFORMED_MESSAGE)
    const status = slots.join(source, target, net.host.now())
    if (status !== Status.OK) return refuse(stream, status)
    count()
    const part = (): void => {
      slots.part(source, target)
      count()
    }
    const way = connectionTo(target)
    if (way === undefined) {
      part()
      return refuse(stream, Status.NO_RESERVATION)
    }
    if (way.identified?.protocols.includes(STOP) === false) {
      part()
      return refuse(stream, Status.CONNECTION_FAILED)
    }
    const stop = way.openStream([STOP])
    converse(stop, requestStop(source, limit), net.host, {
      timeout: RELAY_CONNECT_TIMEOUT,
      what: `handing ${target} a circuit`,
      done: (outcome) => {
        if (outcome.ok) return tie(stream, stop, part)
        part()
        refuse(stream, Status.CONNECTION_FAILED)
      },
    })
  }

  const tie = (stream: Stream, stop: Stream, part: () => void): void => {
    counters.opened += 1
    stream.write(joined(limit))
    const { data, duration } = limit ?? {}
    let over = false
    let late: Cancel = () => {}
    const cut = splice(stream, stop, {
      meter: counters,
      ...(data === undefined ? {} : { limit: data }),
      done: () => {
        over = true
        late()
        circuits.delete(part)
        part()
      },
    })
    // Both ends may have been gone already.
    if (over) return
    circuits.set(part, cut)
    if (duration === undefined) return
    late = net.host.after(duration, () => cut(new TabmeshError('ERR_LIMITED_CONNECTION', `a circuit may last ${duration} ms`)))
  }

  /** Where the peer's slot was asked for last: of two connections the older may be one that died without a word. */
  const connectionTo = (peer: PeerId): Connection | undefined => {
    const usable = net.connections(peer).filter((each) => each.status === 'open' && each.direct)
    return usable.find((each) => each === reservedOn.get(peer)) ?? usable[0]
  }

  return {
    counters,
    get holders() {
      return slots.holders
    },
    service: {
      name: 'relay-server',
      // A CONNECT stays open for as long as its circuit does. On limited connections we answer only to refuse.
      protocols: { [HOP]: { maxInbound: limits.maxCircuitsPerPeer + 8, allowLimited: true } },
      start(started) {
        net = started
      },
      onStream(stream) {
        converse(stream, readHopRequest(), net.host, {
          timeout: RELAY_RESERVE_TIMEOUT,
          what: 'a request to relay',
          done: (outcome) => {
            if (!outcome.ok) return
            const request = outcome.value
            if (request.t === 'reserve') reserve(stream)
            else if (request.t === 'connect') connect(stream, request.target)
            else refuse(stream, request.status)
          },
        })
      },
      onDisconnect(connection) {
        const { remotePeer } = connection
        if (reservedOn.get(remotePeer) === connection) reservedOn.delete(remotePeer)
        if (net.connections(remotePeer).some((each) => each.status !== 'closed' && each.direct)) return
        if (weighed.has(remotePeer)) weigh(remotePeer, false)
        if (slots.release(remotePeer)) schedule()
      },
      stop() {
        timer()
        for (const cut of [...circuits.values()]) cut(new TabmeshError('ERR_STOPPED', 'the relay stops'))
      },
    },
  }
}

/** As a tag; an application's friend is worth more. */
const HOLDER_WORTH = 20

/** §Reservation: a 0 is no limit. */
const positive = ({ duration = 0, data = 0 }: Limit = {}): Limit | undefined =>
  duration === 0 && data === 0 ? undefined : { ...(duration === 0 ? {} : { duration }), ...(data === 0 ? {} : { data }) }

/** At least one, all ending in our own /p2p: rust refuses an empty list, and js one without the peer. */
const offered = (self: PeerId, addresses: readonly Multiaddr[]): readonly Multiaddr[] => {
  const suffix = parseMultiaddr(`/p2p/${self}`)
  const own = addresses.filter((address) => relayOf(address) === undefined && (peerIdOf(address) ?? self) === self)
  const named = own
    .slice(0, RELAY_MAX_OFFERED_ADDRESSES)
    .map((address) => (peerIdOf(address) === undefined ? encapsulate(address, suffix) : address))
  return named.length > 0 ? named : [suffix]
}
