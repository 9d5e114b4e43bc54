/**
 * The IP addresses that a peer is counted under (P₆): those that we see it at, and of IPv6 also its network of 64 bits (go).
 */

import { formatIp6, parseIp6 } from '../../codec/ip.ts'
import type { Connection } from '../../net/connection.ts'

/** None behind a relay, where it is the relay's, and none for this machine. */
export const ipsOf = ({ direct, remoteAddr }: Connection): string[] => {
  const first = direct ? remoteAddr.parts[0] : undefined
  if (first?.value === undefined) return []
  if (first.name === 'ip4') return first.value.startsWith('127.') ? [] : [first.value]
  if (first.name !== 'ip6' || first.value === '::1') return []
  const bytes = parseIp6(first.value)
  return bytes === undefined ? [] : [first.value, `${formatIp6(bytes.slice().fill(0, 8))}/64`]
}
