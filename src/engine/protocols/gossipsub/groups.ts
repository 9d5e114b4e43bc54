/**
 * The groups of one topic: messages that go in parts, each known by its group id (specs: pubsub/gossipsub/partial-messages.md §Partial Message
 * Gossip, §DoS Resiliency).
 *
 *   a peer brings it up ─▶ a stranger's ─ we send of it ─▶ ours ─▶ its metadata is gossiped to who was not told
 *        │ over a bound: dropped   └──────────┬──────────────┘
 *                               `beats` heartbeats: forgotten
 *
 * A group that others brought up is remembered for nothing but to count it: what there is of it the application knows.
 *
 * Bounds: GOSSIP_MAX_GROUPS groups of strangers, GOSSIP_MAX_GROUPS_OF_PEER of one of them, GOSSIP_MAX_OWN_GROUPS of ours.
 */

import { GOSSIP_MAX_GROUPS, GOSSIP_MAX_GROUPS_OF_PEER, GOSSIP_MAX_OWN_GROUPS } from '../../limits.ts'
import type { Peer } from './peer.ts'

export interface OwnGroup {
  readonly id: Uint8Array
  beats: number
  /** What gossip is to say: of what was published last. */
  metadata: Uint8Array | undefined
  /** Peers that it was said to. */
  told: Set<Peer>
}

interface Stranger {
  readonly by: Peer
  beats: number
}

export class Groups {
  /** By id, as text; the oldest first. */
  readonly #own = new Map<string, OwnGroup>()
  readonly #strangers = new Map<string, Stranger>()
  readonly #byPeer = new Map<Peer, number>()

  get size(): number {
    return this.#own.size + this.#strangers.size
  }

  own(): Iterable<OwnGroup> {
    return this.#own.values()
  }

  /** Whether what the peer says of the group may be heard. */
  hears(key: string, peer: Peer, beats: number): boolean {
    if (this.#own.has(key) || this.#strangers.has(key)) return true
    const count = this.#byPeer.get(peer) ?? 0
    if (count >= GOSSIP_MAX_GROUPS_OF_PEER || this.#strangers.size >= GOSSIP_MAX_GROUPS) return false
    this.#strangers.set(key, { by: peer, beats })
    this.#byPeer.set(peer, count + 1)
    return true
  }

  /** We have a say in the group, for so many heartbeats. */
  take(key: string, id: Uint8Array, beats: number): OwnGroup {
    this.#drop(key)
    let group = this.#own.get(key)
    if (group === undefined) group = { id: id.slice(), beats, metadata: undefined, told: new Set() }
    else this.#own.delete(key)
    group.beats = beats
    this.#own.set(key, group)
    if (this.#own.size <= GOSSIP_MAX_OWN_GROUPS) return group
    for (const oldest of this.#own.keys()) {
      this.#own.delete(oldest)
      break
    }
    return group
  }

  /** The peer is gone. */
  forgetPeer(peer: Peer): void {
    for (const { told } of this.#own.values()) told.delete(peer)
    if (!this.#byPeer.has(peer)) return
    for (const [key, { by }] of this.#strangers) if (by === peer) this.#strangers.delete(key)
    this.#byPeer.delete(peer)
  }

  /** A heartbeat has passed. */
  beat(): void {
    for (const [key, group] of this.#own) if (--group.beats <= 0) this.#own.delete(key)
    for (const [key, stranger] of this.#strangers) if (--stranger.beats <= 0) this.#drop(key)
  }

  #drop(key: string): void {
    const stranger = this.#strangers.get(key)
    if (stranger === undefined) return
    this.#strangers.delete(key)
    const count = (this.#byPeer.get(stranger.by) ?? 0) - 1
    if (count > 0) this.#byPeer.set(stranger.by, count)
    else this.#byPeer.delete(stranger.by)
  }
}
