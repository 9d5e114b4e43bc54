/**
 * The transport for …/p2p/R/p2p-circuit/p2p/B: a circuit through a relay as a link (specs: relay/circuit-v2.md §Connection Initiation).
 *
 *   connection to R, the open one or a new one ─▶ hop stream ─▶ CONNECT to B ─▶ its OK ─▶ the stream is the link
 *
 * Bounds: RELAY_CONNECT_TIMEOUT for the answer to CONNECT, DIAL_TIMEOUT for all of it.
 */

import { TabmeshError } from '../../../errors.ts'
import type { Multiaddr } from '../../codec/multiaddr.ts'
import { peerIdOf } from '../../codec/multiaddr.ts'
import type { PeerId } from '../../codec/peer-id.ts'
import type { Cancel } from '../../host.ts'
import { DIAL_TIMEOUT, RELAY_CONNECT_TIMEOUT } from '../../limits.ts'
import type { Connection } from '../../net/connection.ts'
import type { DialTarget, Limit, Link, Net, Transport } from '../../net/service.ts'
import type { Stream } from '../../net/stream.ts'
import type { Outcome } from '../../wire/conversation.ts'
import { converse } from '../../wire/conversation.ts'
import { circuitOf } from './addresses.ts'
import { connect } from './client.ts'
import { HOP } from './messages.ts'
import type { Relay } from './reservation.ts'

/** `relays` are our own: what is known of them helps where an address says little. */
export const circuitTransport = (relays: () => readonly Relay[]): Transport => ({
  name: 'relay',
  timeout: DIAL_TIMEOUT,
  matches: (address) => circuitOf(address) !== undefined,
  dial(address, net, done) {
    const { host } = net
    let over = false
    let giveUp: (fault: TabmeshError) => void = () => {}

    const settle = (outcome: Outcome<Link>): void => {
      if (over) return
      over = true
      done(outcome)
    }
    const fail = (fault: TabmeshError): void => settle({ ok: false, fault })

    const ask = (connection: Connection, target: PeerId): void => {
      if (over) return
      const refusal = refusalOf(connection)
      if (refusal !== undefined) return fail(refusal)
      const stream = connection.openStream([HOP])
      giveUp = converse(stream, connect(target), host, {
        timeout: RELAY_CONNECT_TIMEOUT,
        what: `asking ${connection.remotePeer} for a circuit to ${target}`,
        done: (outcome) => settle(outcome.ok ? { ok: true, value: circuitLink(stream, address, outcome.value) } : outcome),
      })
    }

    const reach = (relay: Multiaddr, target: PeerId): Cancel =>
      net.dial(waysTo(relay, relays()), (outcome) => {
        if (!outcome.ok) return fail(unreachable([relay], outcome.fault))
        const direct = directTo(net, outcome.value.remotePeer)
        if (direct !== undefined) ask(direct, target)
        else fail(new TabmeshError('ERR_RELAY_UNREACHABLE', `${relay.text} is reached through another relay only`))
      })

    const circuit = circuitOf(address)
    if (circuit === undefined) {
      host.defer(() => fail(new TabmeshError('ERR_INVALID_MULTIADDR', `${address.text} names no relay and target`)))
    } else {
      const open = connectionOver(net, circuit.relay, relays())
      if (open !== undefined) host.defer(() => ask(open, circuit.target))
      else giveUp = reach(circuit.relay, circuit.target)
    }
    return () => {
      over = true
      giveUp(new TabmeshError('ERR_CONNECTION_CLOSED', 'the dial was given up'))
    }
  },
})

/** A circuit as a link; `remoteAddr` ends in the peer that must answer at its other end. */
export const circuitLink = (channel: Stream, remoteAddr: Multiaddr, limit: Limit | undefined): Link => ({
  t: 'pipe',
  channel,
  transport: 'relay',
  remoteAddr,
  ...(limit === undefined ? {} : { limit }),
})

/** Relays do not stand on relays: hop and stop run on direct connections only. */
export const directTo = (net: Net, peer: PeerId): Connection | undefined =>
  net.connections(peer).find((each) => each.status === 'open' && each.direct)

/** Why there is no use in asking a peer of which identify has told that it is no relay; before that it may be one. */
export const refusalOf = ({ identified, remotePeer }: Connection): TabmeshError | undefined =>
  identified === undefined || identified.protocols.includes(HOP)
    ? undefined
    : new TabmeshError('ERR_NO_PROTOCOL', `${remotePeer} is no relay: it does not speak ${HOP}`)

export const unreachable = (addresses: readonly Multiaddr[], cause: TabmeshError): TabmeshError =>
  new TabmeshError('ERR_RELAY_UNREACHABLE', `no connection to the relay at ${addresses.map(({ text }) => text).join(', ')}`, {
    cause,
    errors: cause.errors,
  })

/** The connection there is to a relay, also to one that an address without a peer id turned out to be. */
const connectionOver = (net: Net, relay: Multiaddr, relays: readonly Relay[]): Connection | undefined => {
  const peer = peerIdOf(relay) ?? relays.find(({ addresses }) => addresses.some(({ text }) => text === relay.text))?.peer
  return peer === undefined ? undefined : directTo(net, peer)
}

const waysTo = (relay: Multiaddr, relays: readonly Relay[]): DialTarget => {
  const peer = peerIdOf(relay)
  if (peer === undefined || relay.parts.length > 1) return { addresses: [relay] }
  // `/p2p/R` alone: what we know of our own relays, else what the peer store knows.
  return { peer, addresses: relays.find((each) => each.peer === peer)?.addresses ?? [] }
}
