/** What the system says of a socket's end, as a multiaddr. */

import type { Multiaddr } from '../engine/codec/multiaddr.ts'
import { parseMultiaddr } from '../engine/codec/multiaddr.ts'

/** `/ip4/…/tcp/P`, or ip6, and `suffix`. IPv4 that came over an IPv6 socket (::ffff:192.0.2.1) is IPv4. Undefined for what is no IP address. */
export const socketAddress = (ip: string, port: number, suffix = ''): Multiaddr | undefined => {
  const bare = ip.replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/, '')
  try {
    return parseMultiaddr(`/${bare.includes(':') ? 'ip6' : 'ip4'}/${bare}/tcp/${port}${suffix}`)
  } catch {
    return undefined
  }
}
