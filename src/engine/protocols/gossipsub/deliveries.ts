/**
 * Who delivered what: the counters P₂, P₃ and P₄ of the score (gossipsub-v1.1.md §The Score Function).
 *
 *   first seen ─▶ validating ─┬─ accepted ─▶ P₂ of its sender; P₃ of mesh peers that had sent it too, or send it within the window
 *                             ├─ rejected ─▶ P₄ of all that sent it, also of those that come later
 *                             └─ ignored
 *
 * Bounds: a record exists while its message is validated and, where P₃ counts, for the window after; peers are noted once.
 */

import type { Peer } from './peer.ts'
import type { Scores } from './score.ts'
import type { Topic } from './topic.ts'

interface Delivery {
  readonly topic: Topic
  /** Undefined while it is validated. */
  validatedAt: number | undefined
  /** Who sent it, the first one included. */
  readonly peers: Peer[]
}

export class Deliveries {
  readonly #scores: Scores
  readonly #records = new Map<string, Delivery>()

  constructor(scores: Scores) {
    this.#scores = scores
  }

  get size(): number {
    return this.#records.size
  }

  begin(id: string, topic: Topic, peer: Peer): void {
    this.#records.set(id, { topic, validatedAt: undefined, peers: [peer] })
  }

  accepted(id: string, topic: Topic, peer: Peer, now: number): void {
    const stats = this.#scores.stats(peer.score, topic)
    const { scoring } = topic
    if (stats !== undefined && scoring !== undefined) {
      stats.first = Math.min(stats.first + 1, scoring.firstMessageDeliveriesCap)
      if (stats.inMesh) stats.mesh = Math.min(stats.mesh + 1, scoring.meshMessageDeliveriesCap)
    }
    const record = this.#records.get(id)
    if (record !== undefined) for (const other of record.peers) if (other !== peer) this.#near(other, topic)
    if (scoring === undefined || scoring.meshMessageDeliveriesWeight === 0) {
      if (record !== undefined) this.#records.delete(id)
    } else if (record !== undefined) {
      // Behind those that were validated before: `sweep` stops at the first that is still needed.
      this.#records.delete(id)
      record.validatedAt = now
      this.#records.set(id, record)
    } else this.#records.set(id, { topic, validatedAt: now, peers: [peer] })
  }

  rejected(id: string, topic: Topic, peer: Peer): void {
    const peers = this.#records.get(id)?.peers ?? [peer]
    for (const each of peers) this.#scores.invalid(each.score, topic)
    this.#records.delete(id)
  }

  ignored(id: string): void {
    this.#records.delete(id)
  }

  /** A duplicate of a message that is being validated or was found valid. */
  duplicate(id: string, topic: Topic, peer: Peer, now: number): void {
    const record = this.#records.get(id)
    if (record === undefined || record.peers.includes(peer)) return
    record.peers.push(peer)
    if (record.validatedAt === undefined) return
    if (now - record.validatedAt <= (topic.scoring?.meshMessageDeliveriesWindow ?? 0)) this.#near(peer, topic)
  }

  #near(peer: Peer, topic: Topic): void {
    const stats = this.#scores.stats(peer.score, topic)
    if (stats?.inMesh) stats.mesh = Math.min(stats.mesh + 1, topic.scoring?.meshMessageDeliveriesCap ?? 0)
  }

  /** Forgets what no duplicate can count for any more. */
  sweep(now: number): void {
    for (const [id, { topic, validatedAt }] of this.#records) {
      if (validatedAt === undefined) continue
      if (now - validatedAt <= (topic.scoring?.meshMessageDeliveriesWindow ?? 0)) break
      this.#records.delete(id)
    }
  }
}
