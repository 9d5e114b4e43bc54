/**
 * How many messages a peer that drops what it can't check at once may be sent now: GOSSIP_BURST in GOSSIP_BURST_INTERVAL ms, and never more at a time.
 *
 * go drops what its queue of messages to be verified has no room for, and what is dropped is not asked for again within a mesh. It has room for some at
 * once and for a few between two of its turns, which on a busy machine are far apart. So a peer that was sent more than GOSSIP_HURRY in the interval
 * or GOSSIP_HURRY_SECOND in a second is also told in IHAVE what it was sent, and asks for what it has lost.
 */

import { GOSSIP_BURST, GOSSIP_BURST_INTERVAL, GOSSIP_HURRY, GOSSIP_HURRY_SECOND } from '../../limits.ts'

const SECOND = 1_000

export class Pace {
  #left = GOSSIP_BURST
  #at = 0
  #second = 0
  /** Sent since then. */
  #count = 0

  /** Messages that may go at `now`. */
  at(now: number): number {
    const earned = Math.floor(((now - this.#at) * GOSSIP_BURST) / GOSSIP_BURST_INTERVAL)
    if (earned > 0) {
      this.#left = Math.min(GOSSIP_BURST, this.#left + earned)
      this.#at = now
    }
    if (now - this.#second >= SECOND) {
      this.#second = now
      this.#count = 0
    }
    return this.#left
  }

  sent(messages: number): void {
    this.#left -= messages
    this.#count += messages
  }

  /** It may have been too much just now. */
  get hurries(): boolean {
    return this.#left < GOSSIP_BURST - GOSSIP_HURRY || this.#count > GOSSIP_HURRY_SECOND
  }
}
