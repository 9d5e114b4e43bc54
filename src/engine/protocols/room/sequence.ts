/**
 * Sequence: all that one member says to us, in the order in which it said it: what it says to all (order.ts), and between that what it says to us alone.
 *
 *   for all       its number ─▶ order ─▶ is something private to come before it (`before`)? ── yes ─▶ waits for that, ROOM_GAP at most ─┐
 *                                                                                            └─ no ──────────────────────────────────┴▶ poll
 *   for us alone  whole, in order, once (private.ts) ─▶ are those before it for all told (`after`)? ─ no ─▶ waits till they are, or given up ─▶ poll
 *
 * Where the wait is over without what was waited for, that is left out (for all), or told when it comes (for us alone).
 *
 * Bounds: those of order.ts, and as much again of what is for us alone; whoever has more waiting is not waited for.
 */

import { ROOM_GAP, ROOM_MAX_HELD, ROOM_MAX_HELD_BYTES } from '../../limits.ts'
import type { Body } from './messages.ts'
import { Order } from './order.ts'

interface Item {
  readonly body: Body
  /** Private words before this number come first. */
  readonly before: number
  readonly size: number
}

export interface Aside {
  /** Words for all before this number come first. */
  readonly after: number
  /** The number of the private word behind it. */
  readonly next: number
  readonly data: Uint8Array
}

export class Sequence {
  readonly #order = new Order<Item>()
  readonly #asides: Aside[] = []
  #asideBytes = 0
  /** Private words before this number were told, or are not waited for any more. */
  #privates = 0
  /** The next one for all, and since when it waits. */
  #fenced: { readonly item: Item; readonly since: number } | undefined
  #hurried = false

  /** Bytes that wait. */
  get held(): number {
    return this.#order.held + this.#asideBytes + (this.#fenced?.item.size ?? 0)
  }

  /** The first number for all that was not told yet. */
  get next(): number | undefined {
    const { next } = this.#order
    return next === undefined || this.#fenced === undefined ? next : next - 1
  }

  get privates(): number {
    return this.#privates
  }

  /** Words for all that were never had. */
  get lost(): number {
    return this.#order.lost
  }

  get deadline(): number {
    return Math.min(this.#order.deadline, (this.#fenced?.since ?? Number.POSITIVE_INFINITY) + ROOM_GAP)
  }

  /** Something for all; whether it is new. */
  take(number: number, body: Body, before: number, now: number): boolean {
    const size = body.t === 'message' ? body.data.length : 0
    return this.#order.take(number, { body, before, size }, size, now)
  }

  /** Something for us alone, new and in order. */
  takePrivate(aside: Aside, now: number): void {
    this.#asides.push(aside)
    this.#asideBytes += aside.data.length
    this.#order.know(aside.after, now)
  }

  /** The member says that `next` is what it says next to all, and `first` the first to us alone that we may not have. */
  base(next: number, first: number, now: number): void {
    this.#privates = Math.max(this.#privates, first)
    this.#order.base(next, now)
  }

  missing(now: number): readonly [number, number] | undefined {
    return this.#order.missing(now)
  }

  time(now: number): void {
    this.#order.time(now)
  }

  /** Goes on without what is missing in front. */
  skip(): void {
    this.#hurried = true
    this.#order.skip()
  }

  /** The next one in order: a body, or what is for us alone. */
  poll(now: number): Body | { readonly t: 'private'; readonly data: Uint8Array } | undefined {
    for (;;) {
      const aside = this.#nextAside()
      if (aside !== undefined) return { t: 'private', data: aside.data }
      const item = this.#fenced?.item ?? this.#order.poll(now)
      if (item === undefined) {
        if (this.#asides.length === 0 || !this.#crowded) break
        this.#order.skip()
        continue
      }
      if (item.before > this.#privates && !this.#crowded) {
        this.#fenced ??= { item, since: now }
        if (now < this.#fenced.since + ROOM_GAP) break
      }
      this.#fenced = undefined
      this.#privates = Math.max(this.#privates, item.before)
      return item.body
    }
    this.#hurried = false
    return undefined
  }

  /** What is left for us alone, when nothing more will come for all: we have said that we have it. */
  rest(): Aside | undefined {
    return this.#shift()
  }

  #nextAside(): Aside | undefined {
    const [first] = this.#asides
    const untold = this.next
    if (first === undefined || (untold !== undefined && first.after > untold)) return undefined
    return this.#shift()
  }

  #shift(): Aside | undefined {
    const aside = this.#asides.shift()
    if (aside === undefined) return undefined
    this.#asideBytes -= aside.data.length
    this.#privates = Math.max(this.#privates, aside.next)
    return aside
  }

  get #crowded(): boolean {
    return this.#hurried || this.#order.full || this.#asides.length > ROOM_MAX_HELD || this.#asideBytes > ROOM_MAX_HELD_BYTES
  }
}
