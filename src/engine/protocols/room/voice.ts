/**
 * Voice: what we say in a room: numbered, kept for who has missed it, and a sign of life when it is time for one.
 *
 *   say ─▶ number, body       beats: each ROOM_BEAT, a fifth more or less, slower in a crowd; sooner when our presence changes or a newcomer is there
 *
 * Bounds: ROOM_MAX_KEPT bodies and ROOM_MAX_KEPT_BYTES are kept; ROOM_PRESENCE_INTERVAL between two beats.
 */

import {
  ROOM_BEAT,
  ROOM_CROWD,
  ROOM_MAX_BEAT,
  ROOM_MAX_KEPT,
  ROOM_MAX_KEPT_BYTES,
  ROOM_PRESENCE_INTERVAL,
  ROOM_WELCOME,
} from '../../limits.ts'
import { type Body, encodeBody } from './messages.ts'

export class Voice {
  /** From 0 to below 1. */
  readonly #random: () => number
  readonly #kept = new Map<number, Uint8Array>()
  #keptBytes = 0
  /** The number of what is said next. */
  next = 0
  presence: Uint8Array | undefined
  #beatAt: number
  /** When the next one is due that is for all. */
  #wideAt: number
  #lastBeat = Number.NEGATIVE_INFINITY

  constructor(now: number, random: () => number) {
    this.#random = random
    this.#beatAt = now
    this.#wideAt = now
  }

  /** When the next sign of life is due. */
  get deadline(): number {
    return this.#beatAt
  }

  /** The number that the body got; it is encoded, and must not be changed. */
  say(body: Body): { readonly number: number; readonly body: Uint8Array } {
    const encoded = encodeBody(body)
    const number = this.next++
    this.#kept.set(number, encoded)
    this.#keptBytes += encoded.length
    for (const [first, { length }] of this.#kept) {
      if (this.#kept.size <= ROOM_MAX_KEPT && this.#keptBytes <= ROOM_MAX_KEPT_BYTES) break
      this.#kept.delete(first)
      this.#keptBytes -= length
    }
    return { number, body: encoded }
  }

  /** What was said under a number, if that is not too long ago. */
  said(number: number): Uint8Array | undefined {
    return this.#kept.get(number)
  }

  interval(members: number): number {
    return Math.min(Math.ceil(ROOM_BEAT * Math.max(1, members / ROOM_CROWD)), ROOM_MAX_BEAT)
  }

  /** A sign of life, where one is due; `wide`: it is for whoever may be in the topic, and not only for those we know. */
  beat(now: number, members: number): { readonly body: Body; readonly wide: boolean } | undefined {
    if (now < this.#beatAt) return undefined
    const interval = this.interval(members)
    const wide = now >= this.#wideAt
    // What we promise is the longest that it takes.
    const next = Math.floor(interval * (0.8 + 0.2 * this.#random()))
    if (wide) this.#wideAt = now + next
    this.#lastBeat = now
    this.#beatAt = this.#wideAt
    return { body: { t: 'beat', interval, presence: this.presence }, wide }
  }

  /** Others may not know of us, or take us for gone. */
  hurry(soon: boolean, now: number): void {
    this.#wideAt = Math.min(this.#wideAt, now + (soon ? Math.floor(ROOM_WELCOME * this.#random()) : 0))
    this.#due(this.#wideAt)
  }

  tellPresence(presence: Uint8Array | undefined, now: number): void {
    this.presence = presence
    this.#due(now)
  }

  #due(at: number): void {
    this.#beatAt = Math.min(this.#beatAt, Math.max(at, this.#lastBeat + ROOM_PRESENCE_INTERVAL))
  }
}
