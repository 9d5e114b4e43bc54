/**
 * The state of a router, which its parts (mesh, gossip, validation …) work on, and what all of them do with it.
 *
 * Bounds: peers are bounded by connections; topics by GOSSIP_MAX_TOPICS for each peer and our own; the rest where it is kept.
 */

import type { PublicKey } from '../../codec/keys.ts'
import type { PeerId } from '../../codec/peer-id.ts'
import type { Authors } from './authors.ts'
import { Deliveries } from './deliveries.ts'
import type { Message, MessageId } from './message.ts'
import { MessageCache } from './message-cache.ts'
import type { Params } from './params.ts'
import type { Peer } from './peer.ts'
import { Promises } from './promises.ts'
import type { Parts } from './rpc.ts'
import { type PeerScore, Scores } from './score.ts'
import type { ScoreParams, Thresholds } from './score-params.ts'
import { Seen } from './seen.ts'
import type { Signing } from './signing.ts'
import type { TopicNames } from './text.ts'
import { Topic } from './topic.ts'

export type RouterOutput =
  /** Something waits for this peer: `take` it when it can be written. */
  | { readonly t: 'send'; readonly peer: PeerId }
  /** Answered by `signed`. */
  | { readonly t: 'sign'; readonly ticket: number; readonly bytes: Uint8Array }
  /** Answered by `verified`. */
  | { readonly t: 'verify'; readonly id: string; readonly key: PublicKey; readonly bytes: Uint8Array; readonly signature: Uint8Array }
  /** What does the application say? Answered by `verdict`. */
  | { readonly t: 'validate'; readonly message: Message; readonly from: PeerId }
  /** A message for us, heard for the first time; `from` is who passed it on. */
  | { readonly t: 'message'; readonly message: Message; readonly from: PeerId }
  /** Parts of a message, in a topic where we take part in them. */
  | { readonly t: 'parts'; readonly parts: Parts; readonly from: PeerId; readonly requests: boolean }
  /** A message of ours is on its way, to so many peers; undefined where it could not be signed and is given up. */
  | { readonly t: 'published'; readonly id: string; readonly peers: number | undefined }
  /** Somebody to be connected to: a direct peer, or one that another offers. The record is unchecked. */
  | { readonly t: 'connect'; readonly peer: PeerId; readonly record: Uint8Array | undefined }
  | { readonly t: 'subscription'; readonly peer: PeerId; readonly topic: string; readonly subscribed: boolean }
  | { readonly t: 'mesh'; readonly peer: PeerId; readonly topic: string; readonly member: boolean }

/** Messages since the start. */
export interface Counts {
  /** Ours, on their way. */
  published: number
  /** Of others, in topics of ours: accepted; further copies of a message; against the rules or rejected; ignored by the application. */
  delivered: number
  duplicates: number
  invalid: number
  ignored: number
  /** Parts of messages that others sent us: told to the application; against the rules or over a bound, and therefore not. */
  parts: number
  partsDropped: number
}

/** What the router is made with, all of it settled. */
export interface Setup {
  readonly self: PeerId
  readonly params: Params
  readonly score: ScoreParams
  readonly signing: Signing
  readonly messageId: MessageId
  readonly authors: Authors
  readonly names: TopicNames
  /** An integer from 0 to `n` − 1. */
  readonly random: (n: number) => number
  readonly testExtension: boolean
}

export class State {
  readonly setup: Setup
  readonly params: Params
  readonly thresholds: Thresholds
  readonly peers = new Map<PeerId, Peer>()
  readonly topics = new Map<string, Topic>()
  readonly joined = new Set<Topic>()
  /** Published to without being joined. */
  readonly fanouts = new Set<Topic>()
  readonly direct = new Set<PeerId>()
  readonly scores: Scores
  readonly seen: Seen
  readonly cache: MessageCache
  readonly deliveries: Deliveries
  readonly promises: Promises
  readonly counts: Counts = { published: 0, delivered: 0, duplicates: 0, invalid: 0, ignored: 0, parts: 0, partsDropped: 0 }
  ticks = 0
  /** What gossip of this heartbeat is about, once it is asked for. */
  #recent: Map<string, string[]> | undefined
  #settled: Map<string, string[]> | undefined
  #outputs: RouterOutput[] = []
  #next = 0

  constructor(setup: Setup) {
    const { params, score } = setup
    this.setup = setup
    this.params = params
    this.thresholds = score.thresholds
    this.scores = new Scores(score)
    this.seen = new Seen(params.seenTtl)
    this.cache = new MessageCache(params.historyGossip, params.historyLength)
    this.deliveries = new Deliveries(this.scores)
    this.promises = new Promises(params.iWantFollowUp)
  }

  /** Ids of the messages of the last heartbeats by topic. */
  recentIds(): Map<string, string[]> {
    this.#recent ??= this.cache.gossip()
    return this.#recent
  }

  /** The same, but for those of this heartbeat: a peer that was sent one of the rest has seen it by now, or lost it. */
  settledIds(): Map<string, string[]> {
    this.#settled ??= this.cache.gossip(1)
    return this.#settled
  }

  /** A heartbeat is over. */
  shift(): void {
    this.#recent = undefined
    this.#settled = undefined
    this.cache.shift()
  }

  say(output: RouterOutput): void {
    this.#outputs.push(output)
  }

  poll(): RouterOutput | undefined {
    const output = this.#outputs[this.#next]
    if (output === undefined) {
      if (this.#next > 0) {
        this.#outputs = []
        this.#next = 0
      }
      return undefined
    }
    this.#next += 1
    return output
  }

  /** Something was put into the peer's outbox. */
  ready(peer: Peer): void {
    if (peer.ready) return
    peer.ready = true
    this.#outputs.push(peer.sendOutput)
  }

  send(peer: Peer, message: Message): void {
    peer.out.message(message)
    this.ready(peer)
  }

  score(peer: Peer): number {
    return this.scores.of(peer.score)
  }

  penalize(score: PeerScore, count: number): void {
    score.penalty += count
  }

  topic(name: string): Topic {
    let topic = this.topics.get(name)
    if (topic === undefined) {
      const { topics, defaultTopic } = this.setup.score
      topic = new Topic(name, Object.hasOwn(topics, name) ? topics[name] : defaultTopic)
      this.topics.set(name, topic)
    }
    return topic
  }

  forget(topic: Topic): void {
    if (topic.forgettable) this.topics.delete(topic.name)
  }

  /** At most `count` peers that speak gossipsub, are in the topic and pass `filter`, by chance. */
  pick(topic: Topic, count: number, filter: (peer: Peer) => boolean): Peer[] {
    const peers: Peer[] = []
    for (const peer of topic.peers) if (peer.hasMesh && filter(peer)) peers.push(peer)
    const most = Math.max(0, count)
    this.shuffle(peers, most)
    if (peers.length > most) peers.length = most
    return peers
  }

  /** Puts the first `count` of a list into the order of chance, out of all of it. */
  shuffle<T>(list: T[], count = list.length): void {
    const { random } = this.setup
    const end = Math.min(count, list.length - 1)
    for (let i = 0; i < end; i++) {
      const j = i + random(list.length - i)
      const item = list[i] as T
      list[i] = list[j] as T
      list[j] = item
    }
  }
}
