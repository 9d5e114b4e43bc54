/**
 * Which addresses count in which network, as predicates: a public table holds only peers that anybody can dial, a LAN table only those of
 * this network (go keeps the same two apart). What nobody here has a transport for does not count in any.
 *
 *   public   IPv4 and IPv6 that are routed everywhere, and names, but for those that never leave a network; not through a relay
 *   lan      private, link-local and shared addresses, this machine, .local and localhost
 *   any      all of them, and what tests are made of
 *
 * Also which addresses are of one network, for no table to be filled from a single one (go: peerdiversity).
 */

import { parseIp4, parseIp6 } from '../../codec/ip.ts'
import type { Multiaddr } from '../../codec/multiaddr.ts'

export type Network = 'public' | 'lan' | 'any'

/** Those of a peer's addresses that count; a peer of none does not. */
export type Admit = (addresses: readonly Multiaddr[]) => readonly Multiaddr[]

/** `dialable` tells whether we have a transport for an address. */
export const admitFor =
  (network: Network, dialable: (address: Multiaddr) => boolean): Admit =>
  (addresses) =>
    addresses.filter((address) => (network === 'any' || isIn(network, address)) && dialable(address))

/** An address through a relay is in neither: a relay serves for a while, and those who dial to store or ask are many. */
const isIn = (network: 'public' | 'lan', address: Multiaddr): boolean => {
  if (address.parts.some(({ name }) => name === 'p2p-circuit')) return false
  const reach = reachOf(address)
  return reach !== undefined && reach === network
}

/** Undefined where it can't be told, or is nowhere. */
export const reachOf = ({ parts: [host] }: Multiaddr): 'public' | 'lan' | undefined => {
  const value = host?.value
  if (value === undefined) return undefined
  switch (host?.name) {
    case 'ip4':
    case 'ip6': {
      const ip = ipOf(host.name, value)
      return ip === undefined ? undefined : isPublic(ip) ? 'public' : isNear(ip) ? 'lan' : undefined
    }
    case 'dns':
    case 'dns4':
    case 'dns6':
    case 'dnsaddr':
      // RFC 6761, RFC 6762; a name of one label is of no use elsewhere.
      return /(^|\.)(localhost|local)\.?$/i.test(value) ? 'lan' : value.includes('.') ? 'public' : 'lan'
    default:
      return undefined
  }
}

const ipOf = (name: string, value: string): Uint8Array | undefined => {
  const ip = name === 'ip4' ? parseIp4(value) : parseIp6(value)
  // RFC 4291 §2.5.5.2: an IPv4 address in an IPv6 one.
  const mapped = ip?.length === 16 && ip[10] === 0xff && ip[11] === 0xff && ip.subarray(0, 10).every((byte) => byte === 0)
  return mapped ? ip.subarray(12) : ip
}

/** IANA special-purpose address registries; of IPv6 the block 2000::/3 without 6to4, Teredo and documentation. */
const isPublic = (ip: Uint8Array): boolean => {
  const [a = 0, b = 0, c = 0, d = 0] = ip
  if (ip.length === 16) {
    const special = a === 0x20 && (b === 2 || (b === 1 && ((c === 0 && d === 0) || (c === 0x0d && d === 0xb8))))
    return a >> 5 === 1 && !special
  }
  if (isNear(ip) || a === 0 || a >= 224) return false
  // IETF (RFC 6890), documentation (RFC 5737), benchmarks (RFC 2544).
  if (a === 192) return b !== 0 || (c !== 0 && c !== 2)
  if (a === 198) return b !== 18 && b !== 19 && !(b === 51 && c === 100)
  return a !== 203 || b !== 0 || c !== 113
}

/** This machine, RFC 1918, 3927, 6598; of IPv6 RFC 4193, 4291. */
const isNear = (ip: Uint8Array): boolean => {
  const [a = 0, b = 0] = ip
  if (ip.length === 16)
    return (a & 0xfe) === 0xfc || (a === 0xfe && b >> 6 === 2) || (ip[15] === 1 && ip.subarray(0, 15).every((byte) => byte === 0))
  if (a === 10 || a === 127) return true
  if (a === 169) return b === 254
  if (a === 172) return b >> 4 === 1
  if (a === 192) return b === 168
  return a === 100 && b >> 6 === 1
}

/** Networks that a peer's public addresses are in: of IPv4 a /16, of IPv6 a /32, which is what one provider has. */
export const networksOf = (addresses: readonly Multiaddr[]): readonly string[] => {
  const networks = new Set<string>()
  for (const { parts } of addresses) {
    const [host] = parts
    if (host?.value === undefined || (host.name !== 'ip4' && host.name !== 'ip6')) continue
    const ip = ipOf(host.name, host.value)
    if (ip !== undefined && isPublic(ip)) networks.add(ip.subarray(0, ip.length === 4 ? 2 : 4).join('.'))
  }
  return [...networks]
}
