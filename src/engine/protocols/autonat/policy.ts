/**
 * What a server of AutoNAT does for whom. Pure.
 *
 * It dials for strangers, so: no more requests in AUTONAT_RATE_PERIOD than of all, of one network and of one peer; one at a time of each peer; the
 * first address it is willing to dial and no other; that of the client itself, or dial data first (specs: autonat/autonat-v2.md, "Amplification
 * Attack Prevention"). Public IP addresses only: a name could lead into this machine's own network, and a circuit is not for the relay to dial.
 *
 * Bounds: AUTONAT_RATE_ALL requests remembered, AUTONAT_MAX_ADDRESSES looked at.
 */

import { TabmeshError } from '../../../errors.ts'
import { equalBytes } from '../../codec/bytes.ts'
import { decodeMultiaddr, type Multiaddr, peerIdOf, relayOf } from '../../codec/multiaddr.ts'
import type { PeerId } from '../../codec/peer-id.ts'
import {
  AUTONAT_MAX_ADDRESSES,
  AUTONAT_RATE_ALL,
  AUTONAT_RATE_DATA,
  AUTONAT_RATE_NETWORK,
  AUTONAT_RATE_PEER,
  AUTONAT_RATE_PERIOD,
} from '../../limits.ts'
import { endpointOf, isPublicIp, sourceOf } from './endpoint.ts'

/** How many requests have been taken, and whether one more is. */
export class Allowance {
  /** The earliest first. */
  #taken: { readonly at: number; readonly peer: PeerId; readonly network: string | undefined }[] = []
  #data: number[] = []
  readonly #serving = new Set<PeerId>()

  /** Whether a request of `peer` is taken; if so, it is to be `finish`ed. `network` is undefined where everybody may come from there. */
  take(peer: PeerId, network: string | undefined, now: number): boolean {
    const since = now - AUTONAT_RATE_PERIOD
    this.#taken = this.#taken.filter(({ at }) => at > since)
    if (this.#serving.has(peer) || this.#taken.length >= AUTONAT_RATE_ALL) return false
    let own = 0
    let near = 0
    for (const each of this.#taken) {
      if (each.peer === peer) own += 1
      if (network !== undefined && each.network === network) near += 1
    }
    if (own >= AUTONAT_RATE_PEER || near >= AUTONAT_RATE_NETWORK) return false
    this.#taken.push({ at: now, peer, network })
    this.#serving.add(peer)
    return true
  }

  /** The same for one that needs dial data. */
  takeData(now: number): boolean {
    const since = now - AUTONAT_RATE_PERIOD
    this.#data = this.#data.filter((at) => at > since)
    if (this.#data.length >= AUTONAT_RATE_DATA) return false
    this.#data.push(now)
    return true
  }

  finish(peer: PeerId): void {
    this.#serving.delete(peer)
  }
}

/** Where a requester's requests are counted together; nowhere in private networks, where a proxy speaks for everybody. */
export const networkOf = (remote: Multiaddr): string | undefined => {
  const endpoint = endpointOf(remote)
  return endpoint !== undefined && isPublicIp(endpoint.ip) ? sourceOf(endpoint.ip) : undefined
}

export interface Choice {
  readonly index: number
  readonly address: Multiaddr
  /** Whether the client has to pay for it: it is not where we see the client. */
  readonly needsData: boolean
}

export interface Choosing {
  readonly peer: PeerId
  /** Where we see it. */
  readonly remote: Multiaddr
  readonly allowPrivate: boolean
  canDial(address: Multiaddr): boolean
}

/** The first address that we are willing to dial. */
export const choose = (addresses: readonly Uint8Array[], { peer, remote, allowPrivate, canDial }: Choosing): Choice | undefined => {
  const at = endpointOf(remote)
  for (const [index, bytes] of addresses.slice(0, AUTONAT_MAX_ADDRESSES).entries()) {
    const address = decoded(bytes)
    const endpoint = address && endpointOf(address)
    if (address === undefined || endpoint === undefined || endpoint.port === 0) continue
    if (!(isPublicIp(endpoint.ip) || (allowPrivate && !isUnspecified(endpoint.ip)))) continue
    if (relayOf(address) !== undefined || (peerIdOf(address) ?? peer) !== peer || !canDial(address)) continue
    return { index, address, needsData: at === undefined || !equalBytes(at.ip, endpoint.ip) }
  }
  return undefined
}

/** Undefined for what is no address: others in the list may be. */
const decoded = (bytes: Uint8Array): Multiaddr | undefined => {
  try {
    return decodeMultiaddr(bytes)
  } catch (error) {
    if (error instanceof TabmeshError) return undefined
    throw error
  }
}

/** `0.0.0.0` and `::` are this machine to some. */
const isUnspecified = (ip: Uint8Array): boolean => ip.every((byte) => byte === 0)
