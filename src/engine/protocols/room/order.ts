/**
 * Order: what one member has published, in the order in which it did, each once. Gossip gives no order, and may lose what was under way on a
 * connection that broke.
 *
 *   take(number) ─▶ before the next one: heard already, dropped
 *                └▶ kept until all before it are there ─▶ poll, in order
 *   a gap        ─▶ asked for after ROOM_ASK, again after ROOM_ASK_AGAIN ─▶ after ROOM_GAP it is gone without
 *
 * Where it begins the member itself says (`base`), by stream. Who is first heard by gossip may have said more, which comes by another way a
 * moment later: that is waited for ROOM_FIRST_WAIT.
 *
 * Bounds: ROOM_MAX_HELD items and ROOM_MAX_HELD_BYTES; what would be more ends the wait for the gap.
 */

import { ROOM_ASK, ROOM_ASK_AGAIN, ROOM_FIRST_WAIT, ROOM_GAP, ROOM_MAX_HELD, ROOM_MAX_HELD_BYTES, ROOM_MAX_REPEATS } from '../../limits.ts'

interface Held<T> {
  readonly item: T
  readonly size: number
}

export class Order<T> {
  readonly #held = new Map<number, Held<T>>()
  /** Undefined until it is known where we came in. */
  #next: number | undefined
  /** All numbers below it have been published. */
  #published = 0
  #bytes = 0
  /** When the first of all came, while `#next` is not known. */
  #firstAt = Number.POSITIVE_INFINITY
  /** Since when there is a gap in front; which one; when it is to be asked for. */
  #gapSince = Number.POSITIVE_INFINITY
  #gapAt = -1
  #askAt = Number.POSITIVE_INFINITY
  /** Messages that were never had. */
  lost = 0

  /** It holds back as much as it may. */
  get full(): boolean {
    return this.#held.size >= ROOM_MAX_HELD || this.#bytes >= ROOM_MAX_HELD_BYTES
  }

  /** Bytes that wait. */
  get held(): number {
    return this.#bytes
  }

  /** The first number that was not told yet. */
  get next(): number | undefined {
    return this.#next
  }

  get deadline(): number {
    if (this.#next === undefined) return this.#firstAt + ROOM_FIRST_WAIT
    return Math.min(this.#askAt, this.#gapSince + ROOM_GAP)
  }

  /** Whether it is new. */
  take(number: number, item: T, size: number, now: number): boolean {
    if (number < (this.#next ?? 0) || this.#held.has(number)) return false
    if (this.#next === undefined && this.#held.size === 0) this.#firstAt = now
    this.#held.set(number, { item, size })
    this.#bytes += size
    this.#published = Math.max(this.#published, number + 1)
    if (this.#held.size > ROOM_MAX_HELD || this.#bytes > ROOM_MAX_HELD_BYTES) this.skip()
    this.#look(now)
    return true
  }

  /** The member says that `next` is what it publishes next: nothing before that was for us, but for what we have. */
  base(next: number, now: number): void {
    if (this.#next === undefined) this.#next = Math.min(next, this.#lowest())
    this.know(next, now)
  }

  /** All below `published` has been said. */
  know(published: number, now: number): void {
    this.#published = Math.max(this.#published, published)
    this.#look(now)
  }

  time(now: number): void {
    if (this.#next === undefined && now >= this.#firstAt + ROOM_FIRST_WAIT) this.#next = this.#lowest()
    else if (now >= this.#gapSince + ROOM_GAP) this.skip()
    this.#look(now)
  }

  /** What is to be asked for now, from the first up to, and not with, the second. */
  missing(now: number): readonly [number, number] | undefined {
    if (this.#next === undefined || now < this.#askAt) return undefined
    this.#askAt = now + ROOM_ASK_AGAIN
    return [this.#next, Math.min(this.#lowest(), this.#published, this.#next + ROOM_MAX_REPEATS)]
  }

  /** Goes on without what is missing in front. */
  skip(): void {
    const first = Math.min(this.#lowest(), this.#published)
    if (this.#next !== undefined) this.lost += Math.max(0, first - this.#next)
    this.#next = Math.max(first, this.#next ?? 0)
  }

  /** The next one in order. */
  poll(now: number): T | undefined {
    if (this.#next === undefined) return undefined
    const held = this.#held.get(this.#next)
    if (held === undefined) return undefined
    this.#held.delete(this.#next)
    this.#bytes -= held.size
    this.#next += 1
    this.#look(now)
    return held.item
  }

  /** Infinity where nothing waits. Only gaps make this look at what there is. */
  #lowest(): number {
    let lowest = Number.POSITIVE_INFINITY
    for (const number of this.#held.keys()) if (number < lowest) lowest = number
    return lowest
  }

  #look(now: number): void {
    const next = this.#next
    if (next === undefined) return
    if (next >= this.#published || this.#held.has(next)) {
      this.#gapSince = Number.POSITIVE_INFINITY
      this.#askAt = Number.POSITIVE_INFINITY
      this.#gapAt = -1
    } else if (this.#gapAt !== next) {
      this.#gapAt = next
      this.#gapSince = now
      this.#askAt = now + ROOM_ASK
    }
  }
}
