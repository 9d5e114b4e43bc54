/**
 * Pings of one connection (specs: yamux/README.md "Ping"): the round trip, and whether the remote is still there.
 *
 *                     taken (put on the wire)              answer
 *      ┌──▶ wanted ─────────────────────────▶ waiting ─────────────────▶ idle ──┐
 *      │      ▲                                 │ │ timeout                      │
 *      │      └──── something else arrived ─────┘ └── nothing arrived ──▶ dead   │ interval, or ask()
 *      └────────────────────────────────────────────────────────────────────────┘
 *
 * It begins as wanted: windows can't grow before the round trip is known. One ping is on its way at a time, for js
 * throws at an answer to any but its last.
 */

import { UINT32_MAX } from './frame.ts'

export class Pings {
  /** Milliseconds; the mean of the last measure and those before it. */
  rtt: number | undefined
  /** A ping is to be put on the wire. */
  wanted: boolean
  /** When something last arrived. */
  heardAt = 0

  readonly #interval: number
  readonly #timeout: number
  #value = 0
  #waiting = false
  #sentAt = 0

  /** In milliseconds; without an interval there are only the pings that are asked for. */
  constructor(interval: number | undefined, timeout: number) {
    this.#interval = interval ?? Number.POSITIVE_INFINITY
    this.#timeout = timeout
    this.wanted = interval !== undefined
  }

  ask(): void {
    if (!this.#waiting) this.wanted = true
  }

  /** A ping goes on the wire now; returns the value it carries. */
  take(now: number): number {
    this.wanted = false
    this.#waiting = true
    this.#sentAt = now
    this.#value = this.#value === UINT32_MAX ? 0 : this.#value + 1
    return this.#value
  }

  heard(now: number): void {
    this.heardAt = now
  }

  /** The round trip just measured, or undefined for an answer that nobody asked for, which is ignored. */
  answer(value: number, now: number): number | undefined {
    if (!this.#waiting || value !== this.#value) return undefined
    this.#waiting = false
    const measured = now - this.#sentAt
    this.rtt = this.rtt === undefined ? measured : (this.rtt + measured) / 2
    return measured
  }

  /** When `wake` should be called. A ping that could not go out yet waits for the wire, not for the clock. */
  get deadline(): number | undefined {
    if (this.wanted) return undefined
    const at = this.#sentAt + (this.#waiting ? this.#timeout : this.#interval)
    return Number.isFinite(at) ? at : undefined
  }

  /** True when the remote is dead. */
  wake(now: number): boolean {
    const deadline = this.deadline
    if (deadline === undefined || now < deadline) return false
    // A host that slept (a frozen page) wakes late, before the answers that lie in its socket: it proves nothing.
    const overslept = now - deadline > this.#timeout / 2
    if (this.#waiting && !overslept && this.heardAt <= this.#sentAt) return true
    this.#waiting = false
    this.wanted = true
    return false
  }
}
