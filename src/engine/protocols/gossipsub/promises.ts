/**
 * Promises: who tells us of messages has to send them when asked (gossipsub-v1.1.md §Spam Protection Measures).
 *
 * Of each IHAVE that we answer, one id is watched. Bounds: one for each IWANT of the last `followUp` ms, and a peer's IHAVEs are
 * limited for each heartbeat.
 */

import type { PeerId } from '../../codec/peer-id.ts'

export class Promises {
  readonly #followUp: number
  /** By id: who promised it, and until when it has time. */
  readonly #promised = new Map<string, Map<PeerId, number>>()

  constructor(followUp: number) {
    this.#followUp = followUp
  }

  get size(): number {
    return this.#promised.size
  }

  add(id: string, peer: PeerId, now: number): void {
    let promises = this.#promised.get(id)
    if (promises === undefined) {
      promises = new Map()
      this.#promised.set(id, promises)
    }
    if (!promises.has(peer)) promises.set(peer, now + this.#followUp)
  }

  /** The message came, from whomever: nobody else can send it to us any more. */
  fulfilled(id: string): void {
    if (this.#promised.size > 0) this.#promised.delete(id)
  }

  /** How many promises each peer has broken by now. */
  broken(now: number): ReadonlyMap<PeerId, number> {
    const counts = new Map<PeerId, number>()
    for (const [id, promises] of this.#promised) {
      for (const [peer, until] of promises) {
        if (until >= now) continue
        counts.set(peer, (counts.get(peer) ?? 0) + 1)
        promises.delete(peer)
      }
      if (promises.size === 0) this.#promised.delete(id)
    }
    return counts
  }
}
