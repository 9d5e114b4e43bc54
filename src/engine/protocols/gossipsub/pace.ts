/**
 * How many messages a peer that drops what it can't check at once may be sent now: GOSSIP_BURST in GOSSIP_BURST_INTERVAL ms, and never more at a time.
 *
 * go drops what its queue of messages to be verified has no room for, and what is dropped is not asked for again within a mesh. So a peer that was
 * sent as much as this allows is also told in IHAVE what it was sent, and asks for what it has lost.
 */

import { GOSSIP_BURST, GOSSIP_BURST_INTERVAL } from '../../limits.ts'

export class Pace {
  #left = GOSSIP_BURST
  #at = 0

  /** Messages that may go at `now`. */
  at(now: number): number {
    const earned = Math.floor(((now - this.#at) * GOSSIP_BURST) / GOSSIP_BURST_INTERVAL)
    if (earned > 0) {
      this.#left = Math.min(GOSSIP_BURST, this.#left + earned)
      this.#at = now
    }
    return this.#left
  }

  sent(messages: number): void {
    this.#left -= messages
  }
}
