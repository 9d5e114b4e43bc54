/**
 * Search: a peer that is at none of the addresses we know is looked for by every service that can (the DHT, HTTP routers). The first one that
 * knows any addresses is believed: who answers there has to prove who it is.
 */

import type { Multiaddr } from '../codec/multiaddr.ts'
import type { PeerId } from '../codec/peer-id.ts'
import type { Cancel } from '../host.ts'
import type { Service } from './service.ts'

/** `done` is called once, after the call has returned, perhaps with none. Undefined where nobody can look. */
export const search = (services: readonly Service[], peer: PeerId, done: (addresses: readonly Multiaddr[]) => void): Cancel | undefined => {
  const able = services.filter((service) => service.search !== undefined)
  if (able.length === 0) return undefined
  let left = able.length
  const cancels = new Map<Service, Cancel>()
  const cancel = (): void => {
    left = 0
    for (const each of cancels.values()) each()
  }
  for (const service of able) {
    const giveUp = service.search?.(peer, (addresses) => {
      cancels.delete(service)
      if (left === 0) return
      left -= 1
      if (addresses.length === 0 && left > 0) return
      cancel()
      done(addresses)
    })
    if (giveUp !== undefined) cancels.set(service, giveUp)
  }
  return cancel
}
