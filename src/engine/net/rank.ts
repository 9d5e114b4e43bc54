/**
 * Rank: in which order, and how far apart, the addresses of one peer are tried.
 *
 *   delay 0            nearest scope first: this machine, then private networks, then public addresses and names
 *     within a scope   QUIC and WebTransport, then TCP and WebSocket, then WebRTC-direct: by round trips until the first byte
 *     within those     IPv6 before IPv4 (RFC 8305 §4), then the order given
 *   + DIAL_RELAY_DELAY what goes through a relay, for the direct ways to be first where there are any
 *
 * Each address has a head start over the next, a short one where the path is short. An attempt that fails ends its head start:
 * the dialer then takes the next at once.
 *
 * Bounds: DIAL_MAX_ADDRESSES, of which DIAL_KEPT_RELAYED are kept for ways through a relay.
 */

import type { Multiaddr } from '../codec/multiaddr.ts'
import { DIAL_HEAD_START, DIAL_HEAD_START_NEAR, DIAL_KEPT_RELAYED, DIAL_MAX_ADDRESSES, DIAL_RELAY_DELAY } from '../limits.ts'

export interface Route {
  readonly address: Multiaddr
  /** Milliseconds after the dial began. */
  readonly delay: number
}

/** How far a host is: 0 this machine, 1 a private network, 2 anywhere. */
export type Scope = 0 | 1 | 2

/** Networks that nobody routes between (IANA special-purpose registries): RFC 1918, 3927, 4193, 4291, 6598. */
const PRIVATE4 = /^(10|169\.254|192\.168|172\.(1[6-9]|2\d|3[01])|100\.(6[4-9]|[789]\d|1[01]\d|12[0-7]))\./
const PRIVATE6 = /^(f[cd]|fe[89ab])[\da-f]*:/i

/** A name is anywhere, but for those that never leave the machine or the network (RFC 6761, RFC 6762). */
export const scopeOf = ({ parts }: Multiaddr): Scope => {
  const [host] = parts
  const value = host?.value ?? ''
  switch (host?.name) {
    case 'memory':
    case 'unix':
      return 0
    case 'ip4':
      return /^(127|0)\./.test(value) ? 0 : PRIVATE4.test(value) ? 1 : 2
    case 'ip6':
      return /^(::1?|::ffff:127\..*)$/i.test(value) ? 0 : PRIVATE6.test(value) || PRIVATE4.test(value.replace(/^::ffff:/i, '')) ? 1 : 2
    default:
      return /(^|\.)localhost\.?$/i.test(value) ? 0 : /\.local\.?$/i.test(value) ? 1 : 2
  }
}

export const isRelayed = ({ parts }: Multiaddr): boolean => parts.some(({ name }) => name === 'p2p-circuit')

/** Round trips to the first byte, roughly: QUIC 1, TCP with Noise 3, WebSocket 4 and with TLS 6, WebRTC 6 and more. */
const costOf = ({ parts }: Multiaddr): number => {
  const has = (name: string): boolean => parts.some((part) => part.name === name)
  if (has('webtransport') || has('quic-v1') || has('memory')) return 0
  return has('webrtc-direct') || has('webrtc') ? 2 : 1
}

/** What is worth a try of what others say of a peer: unless we are on a private network ourselves, theirs lead to strangers. */
export const reachable = (addresses: readonly Multiaddr[], near: boolean): readonly Multiaddr[] =>
  near ? addresses : addresses.filter((address) => scopeOf(address) === 2)

/** The routes, in order of their delay. */
export const rank = (addresses: readonly Multiaddr[]): Route[] => {
  const sorted = [...new Map(addresses.map((address) => [address.text, address])).values()]
    .map((address, at) => ({ address, at, relayed: isRelayed(address), scope: scopeOf(address), cost: costOf(address) }))
    .sort(
      (a, b) =>
        Number(a.relayed) - Number(b.relayed) ||
        a.scope - b.scope ||
        a.cost - b.cost ||
        Number(a.address.parts[0]?.name === 'ip4') - Number(b.address.parts[0]?.name === 'ip4') ||
        a.at - b.at,
    )
  const kept = Math.min(sorted.filter(({ relayed }) => relayed).length, DIAL_KEPT_RELAYED)
  const direct = sorted.filter(({ relayed }) => !relayed).slice(0, DIAL_MAX_ADDRESSES - kept)
  const chosen = [...direct, ...sorted.filter(({ relayed }) => relayed)].slice(0, DIAL_MAX_ADDRESSES)
  let delay = 0
  return chosen.map(({ address, relayed, scope }, index) => {
    const before = chosen[index - 1]
    if (before !== undefined) {
      if (relayed && !before.relayed) delay += DIAL_RELAY_DELAY
      else delay += before.scope < 2 && scope < 2 ? DIAL_HEAD_START_NEAR : DIAL_HEAD_START
    }
    return { address, delay }
  })
}
