/**
 * Endpoint: the "thin waist" of an address (IP and port), where on the Internet it is, and by what transport it is dialled.
 *
 * Names (`/dns4/…`) have none: where they lead is decided by whoever answers DNS, and may be this machine's own network.
 */

import { parseIp4, parseIp6 } from '../../codec/ip.ts'
import { type Multiaddr, parseMultiaddr } from '../../codec/multiaddr.ts'
import type { TransportName } from '../../net/service.ts'

export interface Endpoint {
  /** 4 or 16 bytes; an IPv4 address in an IPv6 one is IPv4 (RFC 4291 §2.5.5.2). */
  readonly ip: Uint8Array
  /** As it stands in the address. */
  readonly host: string
  readonly protocol: 'tcp' | 'udp'
  readonly port: number
}

/** Undefined where an address does not begin with an IP address and a port. */
export const endpointOf = ({ parts: [host, port] }: Multiaddr): Endpoint | undefined => {
  if (host?.value === undefined || (port?.name !== 'tcp' && port?.name !== 'udp')) return undefined
  const ip = host.name === 'ip4' ? parseIp4(host.value) : host.name === 'ip6' ? parseIp6(host.value) : undefined
  return ip === undefined ? undefined : { ip: unmapped(ip), host: host.value, protocol: port.name, port: Number(port.value) }
}

const unmapped = (ip: Uint8Array): Uint8Array =>
  ip.length === 16 && ip[10] === 0xff && ip[11] === 0xff && ip.subarray(0, 10).every((byte) => byte === 0) ? ip.subarray(12) : ip

/** The same address at another endpoint. */
export const atEndpoint = (address: Multiaddr, { ip, host, port }: Pick<Endpoint, 'ip' | 'host' | 'port'>): Multiaddr => {
  const rest = address.text.split('/').slice(5)
  const [, way] = address.parts
  return parseMultiaddr(`/${ip.length === 4 ? 'ip4' : 'ip6'}/${host}/${way?.name}/${port}${rest.map((each) => `/${each}`).join('')}`)
}

/**
 * Whether an address is one that everybody may reach (IANA special-purpose address registries): of IPv6 the global unicast block
 * 2000::/3 without what stands for an IPv4 address that may be private (6to4, Teredo).
 */
export const isPublicIp = (ip: Uint8Array): boolean => {
  const [a = 0, b = 0, c = 0] = ip
  if (ip.length === 4) {
    // This machine; private; shared (RFC 6598); link-local; IETF (RFC 6890); benchmarks (RFC 2544); multicast and above.
    if (a === 0 || a === 10 || a === 127 || a >= 224) return false
    if (a === 100) return b < 64 || b > 127
    if (a === 169) return b !== 254
    if (a === 172) return b < 16 || b > 31
    if (a === 192) return b !== 168 && !(b === 0 && c === 0)
    return a !== 198 || (b !== 18 && b !== 19)
  }
  const isTeredo = a === 0x20 && b === 1 && c === 0 && ip[3] === 0
  return a >> 5 === 1 && !(a === 0x20 && b === 2) && !isTeredo
}

/** Addresses of one owner: an IPv4 address, a /56 of IPv6 (as go counts them). */
export const sourceOf = (ip: Uint8Array): string => (ip.length === 4 ? ip.join('.') : `${ip.subarray(0, 7).join('.')}/56`)

/** What a connection to this address says that it is made of; the first that fits. */
const transports: readonly (readonly [part: string, name: TransportName])[] = [
  ['p2p-circuit', 'relay'],
  ['webtransport', 'webtransport'],
  ['webrtc-direct', 'webrtc-direct'],
  ['webrtc', 'webrtc'],
  ['quic-v1', 'quic'],
  ['ws', 'websocket'],
  ['wss', 'websocket'],
  ['tcp', 'tcp'],
]

export const transportOf = ({ parts }: Multiaddr): TransportName | undefined =>
  transports.find(([name]) => parts.some((part) => part.name === name))?.[1]
