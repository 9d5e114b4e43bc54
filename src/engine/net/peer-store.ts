/**
 * Peer store: what is known of peers we met. In memory; the least recently seen peer goes when it is full.
 *
 * Addresses from a verified peer record replace those merely heard of; both are bounded.
 */

import type { Multiaddr } from '../codec/multiaddr.ts'
import type { PeerId } from '../codec/peer-id.ts'
import { PEER_STORE_MAX, PEER_STORE_MAX_ADDRESSES } from '../limits.ts'

export interface PeerRecord {
  readonly id: PeerId
  readonly addresses: readonly Multiaddr[]
  readonly protocols: readonly string[]
  readonly agent: string | undefined
  /** Number of the newest signed record seen. */
  readonly recordSeq: bigint | undefined
  /** Name → value 0 to 100: how much this peer is worth keeping. */
  readonly tags: Readonly<Record<string, number>>
  /** Unix milliseconds of the last update. */
  readonly seenAt: number
}

export class PeerStore {
  readonly #peers = new Map<PeerId, PeerRecord>()

  get(id: PeerId): PeerRecord | undefined {
    return this.#peers.get(id)
  }

  all(): readonly PeerRecord[] {
    return [...this.#peers.values()]
  }

  /**
   * Merges what is new; `addresses` go in front of the known ones, or in their place where a newer signed record vouches
   * for them. A record older than one already seen changes no addresses. `now` is Unix milliseconds.
   */
  update(
    id: PeerId,
    change: Partial<Pick<PeerRecord, 'addresses' | 'protocols' | 'agent' | 'recordSeq' | 'tags'>>,
    now: number,
  ): PeerRecord {
    const known = this.#peers.get(id)
    const before = known?.addresses ?? []
    const newest = known?.recordSeq ?? -1n
    const stale = change.recordSeq !== undefined && change.recordSeq < newest
    const vouched = change.recordSeq !== undefined && change.recordSeq > newest
    const merged: PeerRecord = {
      id,
      addresses: change.addresses === undefined || stale ? before : mergeAddresses(change.addresses, vouched ? [] : before),
      recordSeq: stale ? known?.recordSeq : (change.recordSeq ?? known?.recordSeq),
      protocols: change.protocols ?? known?.protocols ?? [],
      agent: change.agent ?? known?.agent,
      tags: { ...known?.tags, ...change.tags },
      seenAt: now,
    }
    // Insertion order is the order of last sight.
    this.#peers.delete(id)
    this.#peers.set(id, merged)
    if (this.#peers.size > PEER_STORE_MAX) this.#peers.delete(this.#peers.keys().next().value as PeerId)
    return merged
  }

  delete(id: PeerId): boolean {
    return this.#peers.delete(id)
  }
}

const mergeAddresses = (fresh: readonly Multiaddr[], known: readonly Multiaddr[]): Multiaddr[] => {
  const byText = new Map<string, Multiaddr>()
  for (const address of fresh) byText.set(address.text, address)
  for (const address of known) if (!byText.has(address.text)) byText.set(address.text, address)
  return [...byText.values()].slice(0, PEER_STORE_MAX_ADDRESSES)
}
