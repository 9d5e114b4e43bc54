/**
 * Which addresses DCUtR tells and tries.
 *
 * An address must be no nearer than the relay is: two peers that meet at a relay on the internet have no business in each other's private
 * networks, and nobody may have us knock at doors there; where the relay itself stands in a private network or on this machine, so do they.
 *
 * Bounds: DCUTR_MAX_ADDRESSES.
 */

import { type Multiaddr, parseMultiaddr, peerIdOf, relayOf, withoutPeerId } from '../../codec/multiaddr.ts'
import type { PeerId } from '../../codec/peer-id.ts'
import { DCUTR_MAX_ADDRESSES } from '../../limits.ts'
import type { Scope } from '../../net/rank.ts'

/** How far an address is: `scopeOf` of net/rank.ts. */
export type ScopeOf = (address: Multiaddr) => Scope

/** How far the relay is that a relayed connection goes through; anywhere, where its address does not say. */
export const distanceOf = (circuit: Multiaddr, scopeOf: ScopeOf): Scope => {
  const relay = relayOf(circuit)?.relay
  return relay === undefined ? 2 : scopeOf(relay)
}

/** Plain TCP and QUIC, which both sides can begin at once; by IP address: a name is nothing that was observed. */
const isPunchable = ({ parts }: Multiaddr): boolean => {
  const [ip, carrier, quic, ...rest] = parts
  if ((ip?.name !== 'ip4' && ip?.name !== 'ip6') || isNobody(ip.value ?? '')) return false
  if (Number(carrier?.value ?? 0) === 0) return false
  if (carrier?.name === 'tcp') return quic === undefined
  return carrier?.name === 'udp' && quic?.name === 'quic-v1' && rest.length === 0
}

/** No single host: unspecified, multicast, broadcast, and what is reserved (RFC 1112 §4, RFC 4291 §2.7). */
const isNobody = (ip: string): boolean => /^0\./.test(ip) || /^(22[4-9]|2[345]\d)\./.test(ip) || ip === '::' || /^ff/i.test(ip)

/** Of what `peer` says, or we say, of where one is: what is worth a punch, without the peer id. */
export const punchable = (addresses: readonly Multiaddr[], distance: Scope, peer: PeerId, scopeOf: ScopeOf): Multiaddr[] => {
  const found = new Map<string, Multiaddr>()
  for (const address of addresses) {
    if (found.size === DCUTR_MAX_ADDRESSES) break
    if ((peerIdOf(address) ?? peer) !== peer) continue
    const bare = withoutPeerId(address)
    if (bare === undefined || !isPunchable(bare) || scopeOf(bare) < distance) continue
    found.set(bare.text, bare)
  }
  return [...found.values()]
}

/** Of what identify told: where a plain dial may lead to the peer. */
export const reversible = (addresses: readonly Multiaddr[], distance: Scope, scopeOf: ScopeOf): Multiaddr[] =>
  addresses.filter((address) => relayOf(address) === undefined && scopeOf(address) >= distance && !isNobody(address.parts[0]?.value ?? ''))

/** How a port on our side looks from outside: of what a remote observed, the host and the port, and how it is dialled. */
export const outsideOf = (observed: Multiaddr, carrier: 'tcp' | 'quic'): Multiaddr | undefined => {
  const [ip, port] = observed.parts
  const name = carrier === 'tcp' ? 'tcp' : 'udp'
  if (ip === undefined || port?.name !== name || (ip.name !== 'ip4' && ip.name !== 'ip6')) return undefined
  return parseMultiaddr(`/${ip.name}/${ip.value}/${name}/${port.value}${carrier === 'quic' ? '/quic-v1' : ''}`)
}
