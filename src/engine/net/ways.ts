/**
 * Ways: which addresses a dial tries, and in which order.
 *
 *   named by the caller ───────────────────────────────────────────────────┐
 *   known of the peer ─ what others advertise in private networks left out ─┼─ dnsaddr resolved ─▶ ranked ─▶ first
 *   our own routes to it (relays) ─────────────────────────────────────────┘                            └▶ later: what failed lately
 *
 * What a caller names is tried at once, however often it failed. Of what is known, addresses that back off come when all others have failed;
 * a dial in the background leaves them alone.
 *
 * Bounds: those of rank.ts and dnsaddr.ts.
 */

import { TabmeshError } from '../../errors.ts'
import { type Multiaddr, peerIdOf } from '../codec/multiaddr.ts'
import type { PeerId } from '../codec/peer-id.ts'
import type { Cancel } from '../host.ts'
import { DIAL_MAX_ADDRESSES } from '../limits.ts'
import type { Dialling, Plan } from './dial-plan.ts'
import { resolveDnsaddrs } from './dnsaddr.ts'
import { type Route, rank, reachable } from './rank.ts'

export interface Ways {
  readonly first: readonly Route[]
  /** To be tried when all of the first have failed. */
  readonly later: readonly Route[]
  /** Of what came to nothing before it was an address. */
  readonly faults: readonly TabmeshError[]
}

/** `done` hears of the ways, or why there is none; may answer at once. */
export const findWays = (
  { near, lookUpTxt, net, known, routes, backOff }: Dialling,
  { peer, named, background }: Plan,
  done: (ways: Ways | TabmeshError) => void,
): Cancel => {
  const whom = peer ?? named[0]?.text ?? 'nobody'
  /** Where our own knowledge, or the caller's, says that it leads to the right one. */
  const trusted = named.length > 0 || peer === undefined ? named : routes(peer)
  const heard = named.length > 0 || peer === undefined ? [] : known(peer)

  const settle = (addresses: readonly Multiaddr[], faults: readonly TabmeshError[]): void => {
    const fitting = addresses.filter((address) => peer === undefined || (peerIdOf(address) ?? peer) === peer)
    const within = reachable(fitting, near)
    const ways = fitting.filter((address) => within.includes(address) || trusted.includes(address))
    const [fault] = faults
    if (ways.length === 0) {
      if (fault !== undefined) return done(fault)
      const what = fitting.length === 0 ? `no address of ${whom} is known` : `the known addresses of ${whom} are in private networks`
      return done(new TabmeshError('ERR_NO_ADDRESS', what))
    }
    if (named.length > 0) return done({ first: rank(ways), later: [], faults })
    const now = net.host.now()
    const waits = new Map(ways.map((address) => [address, backOff.wait(keyOf(address, peer), now)]))
    const fresh = rank(ways.filter((address) => waits.get(address) === 0))
    const stale = rank(ways.filter((address) => waits.get(address) !== 0))
    if (background) {
      const wait = Math.ceil(Math.min(...waits.values()))
      const what = `every known address of ${whom} failed lately; the next may be tried in ${wait} ms`
      return done(fresh.length > 0 ? { first: fresh, later: [], faults } : new TabmeshError('ERR_BACK_OFF', what))
    }
    // A person who dials again has a reason to.
    if (fresh.length === 0) done({ first: stale, later: [], faults })
    else done({ first: fresh, later: stale.slice(0, DIAL_MAX_ADDRESSES - fresh.length), faults })
  }

  const all = [...heard, ...trusted]
  if (all.some(isDnsaddr)) return resolveDnsaddrs(all, lookUpTxt, net.host, ({ addresses, faults }) => settle(addresses, faults))
  settle(all, [])
  return () => {}
}

const isDnsaddr = ({ parts }: Multiaddr): boolean => parts[0]?.name === 'dnsaddr'

/** Under which an address backs off: the same whether or not it names the peer. */
export const keyOf = (address: Multiaddr, peer: PeerId | undefined): string =>
  peer === undefined || peerIdOf(address) !== undefined ? address.text : `${address.text}/p2p/${peer}`

/** Of all that `errors` holds, what the message repeats. */
const REASONS_SHOWN = 3

/** No address led to a connection. */
export const allFailed = ({ peer, named }: Plan, errors: readonly TabmeshError[]): TabmeshError => {
  const whom = peer ?? named[0]?.text ?? 'nobody'
  const reasons = errors.slice(0, REASONS_SHOWN).map(({ code, message }) => `${code} at ${message.split(': ')[0]}`)
  const more = errors.length > REASONS_SHOWN ? `; and ${errors.length - REASONS_SHOWN} more` : ''
  const what = `no address of ${whom} could be reached (${reasons.join('; ')}${more})`
  return new TabmeshError('ERR_DIAL_FAILED', what, { errors, cause: errors[0] })
}

/** The deadline of the whole dial has come: `errors` of what had failed by then, the other addresses are told as what they were. */
export const tooLate = (
  timeout: number,
  errors: readonly TabmeshError[],
  running: readonly Multiaddr[],
  waiting: readonly Multiaddr[],
): TabmeshError => {
  const unfinished = [
    ...running.map(({ text }) => `${text} did not answer`),
    ...waiting.map(({ text }) => `${text} was not reached in the list`),
  ]
  const late = unfinished.map((what) => new TabmeshError('ERR_DIAL_TIMEOUT', `${what} within ${timeout} ms`))
  return new TabmeshError('ERR_DIAL_TIMEOUT', `no connection within ${timeout} ms`, { errors: [...errors, ...late] })
}
