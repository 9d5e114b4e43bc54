/**
 * The receive side of a stream's flow control (specs: yamux/README.md "Flow Control"): pure accounting, no frames.
 *
 *   size  =  credit (the remote may send)  +  on its way (announced by a header)  +  held (by the reader)  +  used
 *            └────────────── admit ──────────────▶┘└────────── arrive ──────────▶┘└─────── release ──────▶┘
 *      ▲                                                                                                   │
 *      └───────────────── back to credit, once half a window is used; by then the size may grow ───────────┘
 *
 * Bounds. `size` begins at YAMUX_INITIAL_WINDOW and at most doubles with each return, up to the caller's maximum,
 * YAMUX_MAX_WINDOW unless told, and to what the caller has room for.
 */

import { YAMUX_INITIAL_WINDOW, YAMUX_MAX_WINDOW } from '../../limits.ts'

/** A window grows when it is used up in less than this many round trips: it, and not the reader, may be what slows the stream. */
const GROWTH_ROUND_TRIPS = 4
/** A remote that answers pings late must not make its windows grow by it. Milliseconds. */
const LONGEST_ROUND_TRIP = 1_000

export class ReceiveWindow {
  readonly #max: number
  size = YAMUX_INITIAL_WINDOW
  /** What the remote may still send. */
  credit = YAMUX_INITIAL_WINDOW
  /** What arrived and was not released. */
  held = 0
  #used = 0
  /** When the first byte came since credit was last returned. */
  #since: number | undefined

  /** `max` is how far it may grow. */
  constructor(max: number = YAMUX_MAX_WINDOW) {
    this.#max = max
  }

  /** A header announces `bytes`; false when the remote had no credit for them. */
  admit(bytes: number): boolean {
    if (bytes > this.credit) return false
    this.credit -= bytes
    return true
  }

  arrive(bytes: number, now: number): void {
    this.#since ??= now
    this.held += bytes
  }

  /**
   * `bytes` were used. Returns the credit to send to the remote now: 0 until half a window is used, so that one update
   * covers much. `rtt` is the round trip in milliseconds, if known; `room` how many bytes all windows may still grow by.
   */
  release(bytes: number, now: number, rtt: number | undefined, room: number): number {
    const released = Math.min(bytes, this.held)
    this.held -= released
    this.#used += released
    if (this.#used * 2 < this.size) return 0
    let returned = this.#used
    const elapsed = now - (this.#since ?? now)
    if (rtt !== undefined && elapsed * this.size < GROWTH_ROUND_TRIPS * Math.min(rtt, LONGEST_ROUND_TRIP) * this.#used) {
      const growth = Math.max(0, Math.min(this.size, this.#max - this.size, room))
      this.size += growth
      returned += growth
    }
    this.credit += returned
    this.#used = 0
    // Bytes held now came in before: the next period has begun. Else it begins with the next byte, not with the silence before.
    this.#since = this.held > 0 ? now : undefined
    return returned
  }
}
