/**
 * What happens when, in whole milliseconds of virtual time: a wheel of buckets, which takes and gives millions of events a second where a
 * sorted queue would take most of the time. Events of one millisecond happen in the order in which they were put in.
 *
 * Bounds: nothing is further ahead than SPAN milliseconds.
 */

/** A power of two. */
const SPAN = 16_384

export class Wheel<T> {
  now = 0
  readonly #buckets: T[][] = Array.from({ length: SPAN }, () => [])

  put(at: number, event: T): void {
    if (at - this.now >= SPAN) throw new Error(`an event ${at - this.now} ms ahead`)
    ;(this.#buckets[Math.max(at, this.now) & (SPAN - 1)] as T[]).push(event)
  }

  /** Lets time pass up to and with `until`. */
  run(until: number, happen: (event: T) => void): void {
    for (; this.now <= until; this.now++) {
      const at = this.now & (SPAN - 1)
      const bucket = this.#buckets[at] as T[]
      if (bucket.length === 0) continue
      // More may be put in for this very millisecond.
      for (let i = 0; i < bucket.length; i++) happen(bucket[i] as T)
      this.#buckets[at] = []
    }
    this.now = until
  }
}
