/**
 * Back-off: an address that failed is left alone for a while, the longer the more often it failed in a row.
 *
 *   5 s + n² s, at most five minutes (as go-libp2p counts); one success forgets it, and so does a change of network
 *
 * Only for addresses that are tried on somebody's behalf out of what is known of a peer: what a caller names is dialled.
 *
 * Bounds: BACK_OFF_MAX_ADDRESSES; of more, the one that failed first is forgotten.
 */

import { BACK_OFF_BASE, BACK_OFF_MAX, BACK_OFF_MAX_ADDRESSES } from '../limits.ts'

interface Failure {
  readonly times: number
  readonly until: number
}

export class BackOff {
  readonly #failures = new Map<string, Failure>()

  /** Milliseconds until `address` (its text) may be tried again; 0 where it may be now. */
  wait(address: string, now: number): number {
    return Math.max(0, (this.#failures.get(address)?.until ?? 0) - now)
  }

  failed(address: string, now: number): void {
    const times = (this.#failures.get(address)?.times ?? 0) + 1
    this.#failures.delete(address)
    this.#failures.set(address, { times, until: now + Math.min(BACK_OFF_MAX, BACK_OFF_BASE + (times - 1) ** 2 * 1_000) })
    if (this.#failures.size > BACK_OFF_MAX_ADDRESSES) this.#failures.delete(this.#failures.keys().next().value as string)
  }

  succeeded(address: string): void {
    this.#failures.delete(address)
  }

  /** The network is another: what failed may work now. */
  clear(): void {
    this.#failures.clear()
  }
}
