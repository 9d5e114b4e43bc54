/**
 * What a simulation counts: which message came to whom, when, and over how many hops.
 */

export interface Tally {
  readonly publishedAt: number
  readonly author: number
  /** By node: the hops of its first copy and one; 0 where it has not come. */
  readonly hops: Uint8Array
  /** By node: the milliseconds until then. */
  readonly milliseconds: Uint16Array
}

/** How often each value came, for percentiles without keeping them all. */
export class Histogram {
  #counts = new Uint32Array(1_024)
  total = 0

  add(value: number): void {
    const at = Math.max(0, Math.round(value))
    if (at >= this.#counts.length) {
      const larger = new Uint32Array(Math.max(at + 1, this.#counts.length * 2))
      larger.set(this.#counts)
      this.#counts = larger
    }
    this.#counts[at] = (this.#counts[at] as number) + 1
    this.total += 1
  }

  /** The value below or at which `part` of all values are. */
  percentile(part: number): number {
    let left = Math.ceil(part * this.total)
    for (let value = 0; value < this.#counts.length; value++) {
      left -= this.#counts[value] as number
      if (left <= 0) return value
    }
    return this.#counts.length - 1
  }
}

/** When a node was there. */
export class Presence {
  readonly #spans: { from: number; to: number }[] = []

  arrive(now: number): void {
    this.#spans.push({ from: now, to: Number.POSITIVE_INFINITY })
  }

  leave(now: number): void {
    const last = this.#spans.at(-1)
    if (last !== undefined) last.to = now
  }

  during(from: number, to: number): boolean {
    return this.#spans.some((span) => span.from <= from && span.to >= to)
  }
}
