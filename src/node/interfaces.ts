/** Where a listener can be reached on this machine: its address, or one for each interface where it listens on all. */

import { networkInterfaces } from 'node:os'
import type { Multiaddr } from '../engine/codec/multiaddr.ts'
import { parseMultiaddr } from '../engine/codec/multiaddr.ts'

/** `/ip4/0.0.0.0/…` and `/ip6/::/…` become one address for each interface, this machine's own (loopback) last; any other stays. */
export const reachableAddresses = (listening: Multiaddr): Multiaddr[] => {
  const [host] = listening.parts
  const family =
    host?.name === 'ip4' && host.value === '0.0.0.0' ? 'IPv4' : host?.name === 'ip6' && host.value === '::' ? 'IPv6' : undefined
  if (family === undefined || host === undefined) return [listening]
  return (
    Object.values(networkInterfaces())
      .flatMap((each) => each ?? [])
      // Link-local IPv6 means nothing without its zone, which no remote can know.
      .filter((each) => each.family === family && !each.address.startsWith('fe80:'))
      .sort((a, b) => Number(a.internal) - Number(b.internal))
      .map(({ address }) => parseMultiaddr(listening.text.replace(`/${host.name}/${host.value}/`, `/${host.name}/${address}/`)))
  )
}
