/**
 * When to announce oneself on a topic. Pure; time and chance are arguments.
 *
 *   joined ──▶ due at once ──▶ resting, one interval ──▶ due …
 *                                 └── more than a crowd heard of late ──▶ so much longer
 *
 * js announces each ten seconds, whoever is there, so that every one of n members hears n announcements in that time. Here those who hear of more than
 * ANNOUNCEMENT_CROWD others rest longer in proportion: up to 200 members the traffic stays that of a crowd, beyond it grows with their root.
 * Members that start at a time spread by chance, a fifth of an interval to either side.
 *
 * Bounds: ANNOUNCEMENT_MAX_HEARD authors, those of the last ten intervals.
 */

import type { PeerId } from '../../codec/peer-id.ts'
import { ANNOUNCEMENT_CROWD, ANNOUNCEMENT_INTERVAL, ANNOUNCEMENT_MAX_HEARD } from '../../limits.ts'

/** Intervals in each of the two halves of what is remembered. */
const HALF = 5

export class AnnouncementSchedule {
  readonly #interval: number
  readonly #random: () => number
  #heard = new Set<PeerId>()
  /** Those of the half before. */
  #before = new Set<PeerId>()
  /** Of `#heard`, those who are not in `#before`. */
  #fresh = 0
  #turnsAt: number
  #dueAt: number

  /** `random` gives numbers from 0 to below 1. `interval` is milliseconds. */
  constructor(now: number, random: () => number, interval: number = ANNOUNCEMENT_INTERVAL) {
    this.#interval = interval
    this.#random = random
    this.#dueAt = now
    this.#turnsAt = now + HALF * interval
  }

  /** When `take` will answer true. */
  get deadline(): number {
    return this.#dueAt
  }

  /** Others who have announced themselves of late. */
  get members(): number {
    return this.#before.size + this.#fresh
  }

  /** Somebody else has announced itself. */
  heard(peer: PeerId, now: number): void {
    this.#turn(now)
    if (this.#heard.has(peer) || this.#heard.size >= ANNOUNCEMENT_MAX_HEARD / 2) return
    this.#heard.add(peer)
    if (!this.#before.has(peer)) this.#fresh += 1
  }

  /** Whether it is time to announce ourselves; if so, the next time is set. */
  take(now: number): boolean {
    if (now < this.#dueAt) return false
    this.#turn(now)
    const rest = (this.#interval * Math.max(ANNOUNCEMENT_CROWD, this.members)) / ANNOUNCEMENT_CROWD
    this.#dueAt = now + rest * (0.8 + 0.4 * this.#random())
    return true
  }

  #turn(now: number): void {
    if (now < this.#turnsAt) return
    // Nobody was heard in the half before, if that too has passed.
    this.#before = now < this.#turnsAt + HALF * this.#interval ? this.#heard : new Set()
    this.#heard = new Set()
    this.#fresh = 0
    this.#turnsAt = now + HALF * this.#interval
  }
}
