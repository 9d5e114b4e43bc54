/**
 * A circuit to a peer whose direct path broke: one of a few addresses, the next begun MEND_STAGGER after the last or when one fails, the first that
 * works.
 *
 * Not a dial: that would answer with the very connection that is broken.
 *
 * Bounds: MEND_MAX_WAYS addresses; the caller's patience.
 */

import { TabmeshError } from '../../../errors.ts'
import { encapsulate, type Multiaddr, peerIdOf, relayOf } from '../../codec/multiaddr.ts'
import type { PeerId } from '../../codec/peer-id.ts'
import type { Cancel } from '../../host.ts'
import { MEND_MAX_WAYS, MEND_STAGGER } from '../../limits.ts'
import type { Connection } from '../../net/connection.ts'
import type { Link, Net } from '../../net/service.ts'
import type { Outcome } from '../../wire/conversation.ts'

/** `…/p2p-circuit/p2p/B` of every relay that these addresses go through, each once; or `…/p2p-circuit/webrtc/p2p/B`. */
export const circuitsTo = (peer: PeerId, addresses: readonly Multiaddr[], way = '/p2p-circuit'): readonly Multiaddr[] => {
  const byRelay = new Map<string, Multiaddr>()
  for (const address of addresses) {
    const relay = relayOf(address)?.relay
    // Of one relay the first address will do, however many it has.
    if (relay !== undefined && byRelay.size < MEND_MAX_WAYS) {
      const key = peerIdOf(relay) ?? relay.text
      if (!byRelay.has(key)) byRelay.set(key, encapsulate(relay, `${way}/p2p/${peer}`))
    }
  }
  return [...byRelay.values()]
}

/** Undefined where there are no circuits at all. */
export type CircuitDial = (circuit: Multiaddr, net: Net, done: (outcome: Outcome<Link>) => void) => Cancel | undefined

/** `done` hears once, never before this returns. The returned function gives up. */
export const openCircuit = (
  circuits: readonly Multiaddr[],
  dial: CircuitDial,
  net: Net,
  peer: PeerId,
  done: (outcome: Outcome<Connection>) => void,
): Cancel => {
  const dials = new Set<Cancel>()
  let begun = 0
  let left = circuits.length
  let over = false
  let stagger: Cancel = () => {}
  const stop = (): void => {
    over = true
    stagger()
    for (const cancel of dials) cancel()
  }
  const settle = (outcome: Outcome<Connection>): void => {
    // One that is late is a connection like any other, and idle.
    if (over) return outcome.ok ? outcome.value.retire() : undefined
    left -= 1
    if (!outcome.ok && left > 0) return next()
    stop()
    done(outcome)
  }
  const next = (): void => {
    stagger()
    const circuit = circuits[begun]
    if (over || circuit === undefined) return
    begun += 1
    if (begun < circuits.length) stagger = net.host.after(MEND_STAGGER, next)
    const cancel = dial(circuit, net, (outcome) => {
      if (cancel !== undefined) dials.delete(cancel)
      if (!outcome.ok) settle(outcome)
      else net.adopt(outcome.value, peer, settle)
    })
    if (cancel === undefined) settle({ ok: false, fault: noWay(peer) })
    else dials.add(cancel)
  }
  // `done` is never called before this returns.
  stagger = net.host.after(0, left === 0 ? () => settle({ ok: false, fault: noWay(peer) }) : next)
  return stop
}

const noWay = (peer: PeerId): TabmeshError => new TabmeshError('ERR_NO_ADDRESS', `no relay is known that reaches ${peer}`)
