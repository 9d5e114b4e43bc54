/**
 * The ids of the data channels that we open on one connection: each in its turn, so that none is used again soon.
 *
 *   the first is the library's choice: its parity is our side's (RFC 8832 §6) ── then the next, and the next, up to `last` ── from the first again
 *
 * Left alone, libdatachannel takes the lowest id that is free, and to it one is free as soon as the remote has reset its direction, while
 * its own reset may still be on its way or sent again. Then Chromium closes the channel that has the id by now: of the streams that
 * were opened behind a megabyte on a busy machine, one in some hundreds was lost so.
 *
 * What is below the first belongs to channels of before: `init`, or the negotiated one of WebRTC-direct.
 *
 * Bounds: at most 512 ids, as SCTP has 1,024 streams here. One that the remote has not let go of a whole round later would be deaf.
 */

export class ChannelIds {
  readonly #first: number
  readonly #last: number
  #next: number
  readonly #used = new Set<number>()

  /** `first` is in use; `last` is the highest that may be. */
  constructor(first: number, last: number) {
    this.#first = first
    this.#last = last
    this.#next = first + 2
    this.#used.add(first)
  }

  /** The next id that is not in use; undefined where all are. */
  take(): number | undefined {
    for (let tries = this.#first; tries <= this.#last; tries += 2) {
      if (this.#next > this.#last) this.#next = this.#first
      const id = this.#next
      this.#next += 2
      if (this.#used.has(id)) continue
      this.#used.add(id)
      return id
    }
    return undefined
  }

  /** Its channel has closed. */
  free(id: number): void {
    this.#used.delete(id)
  }
}
