/**
 * The messages of the last heartbeats, to be gossiped about and asked for (gossipsub-v1.0.md §Message Cache).
 *
 *   put ─▶ │ this heartbeat │ … │ historyGossip │ … │ historyLength │ ─▶ forgotten
 *            IHAVE tells of these ────────────┘      IWANT is answered from all
 *
 * Bounds: GOSSIP_MAX_CACHED bytes, the oldest forgotten first; of each message how often it went to which peer, while that matters.
 */

import type { PeerId } from '../../codec/peer-id.ts'
import { GOSSIP_MAX_CACHED } from '../../limits.ts'
import type { Message } from './message.ts'

interface Entry {
  readonly message: Message
  sent: Map<PeerId, number> | undefined
}

export class MessageCache {
  readonly #gossip: number
  /** The newest slot first. */
  readonly #slots: string[][]
  readonly #entries = new Map<string, Entry>()
  #bytes = 0

  constructor(historyGossip: number, historyLength: number) {
    this.#gossip = historyGossip
    this.#slots = Array.from({ length: historyLength }, () => [])
  }

  get size(): number {
    return this.#entries.size
  }

  put(message: Message): void {
    if (this.#entries.has(message.id)) return
    this.#entries.set(message.id, { message, sent: undefined })
    ;(this.#slots[0] as string[]).push(message.id)
    this.#bytes += message.raw.length
    while (this.#bytes > GOSSIP_MAX_CACHED) {
      const [oldest] = this.#entries.keys()
      if (oldest === undefined) break
      this.#remove(oldest)
    }
  }

  get(id: string): Message | undefined {
    return this.#entries.get(id)?.message
  }

  /** The message, where `peer` asks for it at most `times` times; false where it asks more often. */
  getFor(id: string, peer: PeerId, times: number): Message | false | undefined {
    const entry = this.#entries.get(id)
    if (entry === undefined) return undefined
    const count = (entry.sent?.get(peer) ?? 0) + 1
    if (count > times) return false
    entry.sent ??= new Map()
    entry.sent.set(peer, count)
    return entry.message
  }

  /** Ids to tell others of, by topic, newest first; those of the last `since` heartbeats left out. */
  gossip(since = 0): Map<string, string[]> {
    const byTopic = new Map<string, string[]>()
    for (const slot of this.#slots.slice(since, this.#gossip)) {
      for (const id of slot) {
        const topic = this.#entries.get(id)?.message.topic
        if (topic === undefined) continue
        const ids = byTopic.get(topic)
        if (ids === undefined) byTopic.set(topic, [id])
        else ids.push(id)
      }
    }
    return byTopic
  }

  /** A heartbeat has passed. */
  shift(): void {
    for (const id of this.#slots.pop() ?? []) this.#remove(id)
    this.#slots.unshift([])
  }

  #remove(id: string): void {
    const entry = this.#entries.get(id)
    if (entry === undefined) return
    this.#entries.delete(id)
    this.#bytes -= entry.message.raw.length
  }
}
