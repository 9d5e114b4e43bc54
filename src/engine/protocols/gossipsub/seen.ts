/**
 * Ids of messages that were seen, and what became of each. An id is remembered from its first time on for `ttl`, whatever comes later.
 *
 * Bounds: GOSSIP_MAX_SEEN ids, the oldest forgotten first. A number for each id and one for each heartbeat is all it keeps.
 */

import { GOSSIP_MAX_SEEN } from '../../limits.ts'

export const VALIDATING = 0
export const VALID = 1
export const INVALID = 2
export const IGNORED = 3
export type Fate = typeof VALIDATING | typeof VALID | typeof INVALID | typeof IGNORED

export class Seen {
  readonly #ttl: number
  /** In the order of their coming. */
  readonly #fates = new Map<string, Fate>()
  /** How many came since the sweep before, and when that began. */
  #slots: { readonly at: number; count: number }[] = []
  #head = 0

  constructor(ttl: number) {
    this.#ttl = ttl
  }

  get size(): number {
    return this.#fates.size
  }

  get(id: string): Fate | undefined {
    return this.#fates.get(id)
  }

  add(id: string, fate: Fate, now: number): void {
    if (this.#fates.has(id)) return
    this.#fates.set(id, fate)
    const last = this.#slots.at(-1)
    if (last === undefined) this.#slots.push({ at: now, count: 1 })
    else last.count += 1
    if (this.#fates.size > GOSSIP_MAX_SEEN) this.#forget(1)
  }

  /** What became of an id that was seen. */
  settle(id: string, fate: Fate): void {
    if (this.#fates.has(id)) this.#fates.set(id, fate)
  }

  /** Called at each heartbeat. */
  sweep(now: number): void {
    const last = this.#slots.at(-1)
    // What came up to now is counted as of now: it is remembered a heartbeat longer rather than shorter.
    if (last !== undefined && last.count > 0) this.#slots[this.#slots.length - 1] = { at: now, count: last.count }
    if (last === undefined || last.count > 0) this.#slots.push({ at: now, count: 0 })
    while (this.#head < this.#slots.length - 1 && (this.#slots[this.#head] as { at: number }).at + this.#ttl <= now) {
      this.#forget((this.#slots[this.#head] as { count: number }).count)
    }
  }

  #forget(count: number): void {
    if (count > 0) {
      let left = count
      for (const id of this.#fates.keys()) {
        this.#fates.delete(id)
        if (--left === 0) break
      }
    }
    while (count > 0) {
      const slot = this.#slots[this.#head] as { count: number }
      const from = Math.min(slot.count, count)
      slot.count -= from
      count -= from
      if (slot.count > 0 || this.#head === this.#slots.length - 1) break
      this.#head += 1
    }
    if (this.#head > 64) {
      this.#slots.splice(0, this.#head)
      this.#head = 0
    }
  }
}
