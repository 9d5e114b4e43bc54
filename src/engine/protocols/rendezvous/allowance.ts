/**
 * Allowance: how many requests of each peer are served, RENDEZVOUS_BURST at once and then one in RENDEZVOUS_INTERVAL. Pure.
 *
 * Bounds: RENDEZVOUS_MAX_COUNTED peers; those whose allowance is full again are forgotten, and of too many the one that asked least lately.
 */

import type { PeerId } from '../../codec/peer-id.ts'
import { RENDEZVOUS_BURST, RENDEZVOUS_INTERVAL, RENDEZVOUS_MAX_COUNTED } from '../../limits.ts'

export class Allowance {
  /** When the allowance of each will be full again; who asked least lately comes first. */
  readonly #fullAt = new Map<PeerId, number>()

  get size(): number {
    return this.#fullAt.size
  }

  /** Whether one more request of `peer` is served now. */
  take(peer: PeerId, now: number): boolean {
    const fullAt = Math.max(now, this.#fullAt.get(peer) ?? now) + RENDEZVOUS_INTERVAL
    if (fullAt > now + RENDEZVOUS_BURST * RENDEZVOUS_INTERVAL) return false
    this.#fullAt.delete(peer)
    this.#fullAt.set(peer, fullAt)
    for (const [other, at] of this.#fullAt) {
      if (at > now && this.#fullAt.size <= RENDEZVOUS_MAX_COUNTED) break
      this.#fullAt.delete(other)
    }
    return true
  }
}
