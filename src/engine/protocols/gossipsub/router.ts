/**
 * The gossipsub router: events and the time in, actions out, and nothing else: no IO, no clock, no promise.
 * https://github.com/libp2p/specs/tree/master/pubsub/gossipsub
 *
 *   connect, disconnect ─┐                                       ┌─▶ send: `take` the RPC       ┌─▶ message, subscription
 *   rpc                 ─┤           ┌────────────────┐          ├─▶ sign ─▶ signed             ├─▶ mesh
 *   join, leave,        ─┼─ handle ─▶│ peers · topics │─ poll ──▶├─▶ verify ─▶ verified         ├─▶ connect
 *   publish              │           └────────────────┘          └─▶ validate ─▶ verdict        └─▶ published
 *   time, at `deadline` ─┘
 *
 * The parts, one idea each: heartbeat, mesh, gossip, fanout, publishing, forwarding, validation, subscriptions, dont-want, px, back-off,
 * extensions, partial; what they keep: seen, message-cache, deliveries, promises, groups, score, outbox. A remote's fault is no exception here: it is counted (score.ts), and
 * at the worst the peer is no longer listened to.
 *
 * Bounds: each part's own; limits.ts §gossipsub has them all.
 */

import { TabmeshError } from '../../../errors.ts'
import { utf8Length } from '../../codec/bytes.ts'
import type { PeerId } from '../../codec/peer-id.ts'
import { GOSSIP_MAX_JOINED, GOSSIP_MAX_LIST, GOSSIP_MAX_SENT, GOSSIP_MAX_TOPIC, GOSSIP_VALIDATE_TIMEOUT } from '../../limits.ts'
import { Authors } from './authors.ts'
import { onDontWant } from './dont-want.ts'
import { onExtensions, sayExtensions } from './extensions.ts'
import { onHave, onWant } from './gossip.ts'
import { heartbeat } from './heartbeat.ts'
import { type Inspection, inspect } from './inspect.ts'
import { dropFromMesh, joinMesh, leaveMesh, onGraft, onPrune, welcome } from './mesh.ts'
import type { MessageId } from './message.ts'
import { contentMessageId, originMessageId } from './message-id.ts'
import { checkParams, defaultParams, type Params } from './params.ts'
import { onParts, type PartsOut, publishParts, setRole } from './partial.ts'
import { Peer, type PubsubProtocol } from './peer.ts'
import { Publishing } from './publishing.ts'
import type { PartialRole, Rpc } from './rpc.ts'
import { checkScoreParams, defaultScoreParams, type ScoreParams } from './score-params.ts'
import type { Signing } from './signing.ts'
import { type RouterOutput, State } from './state.ts'
import { subscribed, unsubscribed } from './subscriptions.ts'
import { TopicNames } from './text.ts'
import { Validation, type Verdict } from './validation.ts'

export interface RouterOptions {
  readonly self: PeerId
  readonly signing: Signing
  /** An integer from 0 to `n` − 1. */
  readonly random: (n: number) => number
  /** The sequence number of the first message; each later one is one more. Greater than any that this identity ever used. */
  readonly seqno: bigint
  readonly params?: Partial<Params>
  readonly score?: Partial<ScoreParams>
  /** go's, or where nothing is signed js's: see message-id.ts. */
  readonly messageId?: MessageId
  /** Peers outside of all meshes that get, and whose we take, everything. */
  readonly direct?: readonly PeerId[]
  /** Shared with whoever reads the RPCs. */
  readonly authors?: Authors
  readonly names?: TopicNames
  readonly testExtension?: boolean
}

export type RouterInput =
  /** A stream of ours to the peer is open. `ips` are its addresses, where they say something of who it is. */
  | {
      readonly t: 'connect'
      readonly peer: PeerId
      readonly protocol: PubsubProtocol
      readonly outbound: boolean
      readonly ips: readonly string[]
    }
  | { readonly t: 'disconnect'; readonly peer: PeerId }
  /** Our stream to the peer broke, and another took its place: what was on its way may be lost. */
  | { readonly t: 'reopened'; readonly peer: PeerId }
  /** Our stream to the peer moved to a better connection; and a stream of the peer is read that it has not talked on before. */
  | { readonly t: 'moved'; readonly peer: PeerId }
  | { readonly t: 'anew'; readonly peer: PeerId }
  | { readonly t: 'rpc'; readonly peer: PeerId; readonly rpc: Rpc }
  /** The peer was sent many messages at once, and its kind drops what it can't check as they come. */
  | { readonly t: 'hurried'; readonly peer: PeerId }
  | { readonly t: 'leave'; readonly topic: string }
  | { readonly t: 'signed'; readonly ticket: number; readonly signature: Uint8Array | undefined }
  | { readonly t: 'verified'; readonly id: string; readonly valid: boolean }
  | { readonly t: 'verdict'; readonly id: string; readonly verdict: Verdict }
  /** Whether the application decides on the messages of a topic. */
  | { readonly t: 'validated'; readonly topic: string; readonly on: boolean }
  /** Parts that the peer sent in a topic are none: P₄. */
  | { readonly t: 'invalidParts'; readonly peer: PeerId; readonly topic: string }
  | { readonly t: 'ips'; readonly peer: PeerId; readonly ips: readonly string[] }
  | { readonly t: 'record'; readonly peer: PeerId; readonly record: Uint8Array }
  /** P₅ */
  | { readonly t: 'score'; readonly peer: PeerId; readonly value: number }
  | { readonly t: 'direct'; readonly peer: PeerId; readonly on: boolean }
  | { readonly t: 'time' }

export class Router {
  readonly #state: State
  readonly #validation: Validation
  #heartbeatAt: number
  #decayAt: number
  #directAt: number
  readonly #publishing: Publishing

  constructor(options: RouterOptions, now: number) {
    const { self, signing, random, testExtension = false } = options
    const params = checkParams({ ...defaultParams, ...options.params })
    const score = checkScoreParams({ ...defaultScoreParams, ...options.score })
    const messageId = options.messageId ?? (signing.t === 'StrictSign' ? originMessageId : contentMessageId)
    const { authors = new Authors(), names = new TopicNames() } = options
    this.#state = new State({ self, params, score, signing, messageId, authors, names, random, testExtension })
    this.#validation = new Validation(this.#state)
    for (const peer of options.direct ?? []) this.#state.direct.add(peer)
    this.#publishing = new Publishing(this.#state, options.seqno)
    this.#heartbeatAt = now + params.heartbeatDelay
    this.#decayAt = now + params.heartbeatDelay
    this.#directAt = this.#state.direct.size > 0 ? now + params.directDelay : Number.POSITIVE_INFINITY
  }

  /** When `time` is wanted next; never while there is nobody to talk to and nothing to forget. */
  get deadline(): number {
    const { peers, seen, scores, direct, topics, joined } = this.#state
    const idle = peers.size === 0 && seen.size === 0 && scores.retained === 0 && direct.size === 0 && topics.size === joined.size
    if (idle) return Number.POSITIVE_INFINITY
    return Math.min(this.#heartbeatAt, this.#decayAt, this.#directAt)
  }

  /** Messages that wait for a signature to be checked or a verdict: read no more while they are many. */
  get validating(): number {
    return this.#validation.size
  }

  /**
   * Messages that wait to be signed, or for the slowest peer: publish no more while they are many. Nobody waits for a peer that has taken
   * nothing from one heartbeat to the next.
   */
  get backlog(): number {
    let most = this.#publishing.waiting
    for (const { outbox, stalled } of this.#state.peers.values())
      if (outbox !== undefined && outbox.queued > most && !stalled) most = outbox.queued
    return most
  }

  get topics(): readonly string[] {
    return [...this.#state.joined].map(({ name }) => name)
  }

  /** Peers that are in the topic, and those of its mesh. */
  peers(topic: string): readonly PeerId[] {
    return idsOf(this.#state.topics.get(topic)?.peers)
  }

  /** Whether the peer is in a topic that we are in or publish to. */
  shares(id: PeerId): boolean {
    const { peers, joined, fanouts } = this.#state
    const peer = peers.get(id)
    if (peer === undefined) return false
    for (const topics of [joined, fanouts]) for (const topic of topics) if (topic.peers.has(peer)) return true
    return peer.direct
  }

  mesh(topic: string): readonly PeerId[] {
    return idsOf(this.#state.topics.get(topic)?.mesh)
  }

  /** Undefined for a peer that we have no stream to. */
  score(peer: PeerId): number | undefined {
    const found = this.#state.peers.get(peer)
    return found === undefined ? undefined : this.#state.score(found)
  }

  /** What it holds, for metrics and tests of its bounds. */
  get sizes(): Readonly<Record<'peers' | 'topics' | 'seen' | 'cached' | 'deliveries' | 'promises' | 'retained', number>> {
    const { peers, topics, seen, cache, deliveries, promises, scores } = this.#state
    return {
      peers: peers.size,
      topics: topics.size,
      seen: seen.size,
      cached: cache.size,
      deliveries: deliveries.size,
      promises: promises.size,
      retained: scores.retained,
    }
  }

  inspect(): Inspection {
    return inspect(this.#state)
  }

  poll(): RouterOutput | undefined {
    return this.#state.poll()
  }

  handle(input: RouterInput, now: number): void {
    const state = this.#state
    switch (input.t) {
      case 'rpc':
        return this.#rpc(input.peer, input.rpc, now)
      case 'verified':
        return this.#validation.verified(input.id, input.valid, now)
      case 'verdict':
        return this.#validation.verdict(input.id, input.verdict, now)
      case 'signed':
        return this.#publishing.signed(input.ticket, input.signature, now)
      case 'time':
        return this.#time(now)
      case 'connect':
        return this.#connect(input, now)
      case 'disconnect':
        return this.#disconnect(input.peer, now)
      case 'reopened':
        return this.#reopened(input.peer)
      case 'moved': {
        const peer = state.peers.get(input.peer)
        if (peer === undefined) return
        sayExtensions(state, peer)
        if (peer.outbox !== undefined) state.ready(peer)
        return
      }
      case 'anew': {
        const peer = state.peers.get(input.peer)
        if (peer !== undefined) peer.heard = false
        return
      }
      case 'hurried': {
        const peer = state.peers.get(input.peer)
        if (peer !== undefined) peer.hurriedUntil = state.ticks + state.params.historyGossip
        return
      }
      case 'leave':
        return this.#leave(input.topic, now)
      case 'validated': {
        const topic = state.topic(input.topic)
        topic.validated = input.on
        return state.forget(topic)
      }
      case 'invalidParts': {
        const [peer, topic] = [state.peers.get(input.peer), state.topics.get(input.topic)]
        if (peer === undefined || topic === undefined) return
        state.counts.invalid += 1
        return state.scores.invalid(peer.score, topic)
      }
      case 'ips': {
        const peer = state.peers.get(input.peer)
        if (peer !== undefined) state.scores.setIps(peer.score, input.ips)
        return
      }
      case 'record': {
        const peer = state.peers.get(input.peer)
        if (peer !== undefined) peer.record = input.record
        return
      }
      case 'score':
        return state.scores.setApp(input.peer, input.value, state.peers.get(input.peer)?.score)
      case 'direct':
        return this.#direct(input.peer, input.on, now)
    }
  }

  /** What to write to the peer next, after `send`, of at most `messages` messages: until it is undefined, or as much as can be written. */
  take(id: PeerId, messages = GOSSIP_MAX_LIST): Rpc | undefined {
    const peer = this.#state.peers.get(id)
    if (peer === undefined) return undefined
    const rpc = peer.outbox?.take(GOSSIP_MAX_SENT, this.#state.params.maxIDontWantLength, peer.unwanted, messages)
    if (rpc !== undefined) {
      peer.took = true
      peer.stalled = false
    } else if (peer.outbox?.empty !== false) {
      peer.outbox = undefined
      peer.ready = false
    }
    return rpc
  }

  /** Throws ERR_INVALID_ARGUMENT. Whether we were not in it before; `partial` may be another one then. */
  join(name: string, now: number, partial?: PartialRole): boolean {
    const state = this.#state
    checkTopic(name)
    const topic = state.topic(name)
    const joined = topic.mesh !== undefined
    if (joined && topic.partial === partial) return false
    if (!joined && state.joined.size >= GOSSIP_MAX_JOINED)
      throw new TabmeshError('ERR_INVALID_ARGUMENT', `${GOSSIP_MAX_JOINED} topics are joined already`)
    state.joined.add(topic)
    topic.partial = partial
    for (const peer of state.peers.values()) {
      peer.out.subscription(name, true, partial)
      state.ready(peer)
    }
    if (!joined) joinMesh(state, topic, now)
    return !joined
  }

  /**
   * Sends `data` to who is in the topic. The id of the message; undefined where the same was published before, which can only be where
   * ids are made of what is said. Throws ERR_INVALID_ARGUMENT.
   */
  publish(name: string, data: Uint8Array, now: number): string | undefined {
    checkTopic(name)
    return this.#publishing.publish(name, data, now)
  }

  /**
   * Sends parts of a message to `to`, or to who takes part in them in the topic's mesh, and remembers the metadata for gossip. To how many peers they
   * go: none that is too slow for those before. Throws ERR_INVALID_ARGUMENT.
   */
  publishParts(name: string, parts: PartsOut, to?: readonly PeerId[]): number {
    checkTopic(name)
    return publishParts(this.#state, name, parts, to)
  }

  #connect({ peer: id, protocol, outbound, ips }: Extract<RouterInput, { t: 'connect' }>, now: number): void {
    const state = this.#state
    if (state.peers.has(id)) this.#disconnect(id, now)
    const peer = new Peer(id, protocol, outbound, state.direct.has(id), state.scores.connect(id, ips))
    state.peers.set(id, peer)
    sayExtensions(state, peer)
    for (const { name, partial } of state.joined) peer.out.subscription(name, true, partial)
    if (peer.outbox !== undefined) state.ready(peer)
  }

  #reopened(id: PeerId): void {
    const state = this.#state
    const peer = state.peers.get(id)
    if (peer === undefined) return
    sayExtensions(state, peer)
    for (const { name, mesh, partial } of state.joined) {
      peer.out.subscription(name, true, partial)
      if (mesh?.has(peer)) peer.out.graft(name)
    }
    if (peer.outbox !== undefined) state.ready(peer)
  }

  #disconnect(id: PeerId, now: number): void {
    const state = this.#state
    const peer = state.peers.get(id)
    if (peer === undefined) return
    state.peers.delete(id)
    // What it owes its meshes is part of what is remembered of it.
    state.scores.disconnect(peer.score, now)
    for (const topic of [...peer.topics]) {
      if (topic.mesh?.delete(peer)) state.say({ t: 'mesh', peer: id, topic: topic.name, member: false })
      topic.fanout?.delete(peer)
      unsubscribed(state, peer, topic)
    }
    for (const { groups } of state.joined) groups?.forgetPeer(peer)
    peer.outbox = undefined
  }

  #leave(name: string, now: number): void {
    const state = this.#state
    const topic = state.topics.get(name)
    if (topic?.mesh === undefined) return
    for (const peer of state.peers.values()) {
      peer.out.subscription(name, false)
      state.ready(peer)
    }
    leaveMesh(state, topic, now)
    topic.partial = undefined
    topic.groups = undefined
    state.joined.delete(topic)
    state.forget(topic)
  }

  #direct(id: PeerId, on: boolean, now: number): void {
    const state = this.#state
    const peer = state.peers.get(id)
    if (on) state.direct.add(id)
    else state.direct.delete(id)
    if (peer !== undefined) {
      peer.direct = on
      if (on) for (const topic of peer.topics) dropFromMesh(state, topic, peer)
    } else if (on) this.#directAt = Math.min(this.#directAt, now)
  }

  #rpc(id: PeerId, rpc: Rpc, now: number): void {
    const state = this.#state
    const peer = state.peers.get(id)
    if (peer === undefined) return
    onExtensions(state, peer, rpc)
    for (const { topic: name, subscribe, partial } of rpc.subscriptions) {
      const topic = subscribe ? state.topic(name) : state.topics.get(name)
      if (topic === undefined) continue
      if (subscribe) {
        if (!topic.peers.has(peer) && subscribed(state, peer, topic)) welcome(state, topic, peer, now)
        setRole(topic, peer, partial)
      } else {
        dropFromMesh(state, topic, peer)
        unsubscribed(state, peer, topic)
      }
      state.forget(topic)
    }
    if (!peer.direct && state.score(peer) < state.thresholds.graylist) return
    if (rpc.publish.length > 0) this.#validation.received(peer, rpc.publish, now)
    const { control, parts } = rpc
    if (parts !== undefined) onParts(state, peer, parts)
    if (control === undefined) return
    onHave(state, peer, control.ihave, now)
    onWant(state, peer, control.iwant)
    if (control.graft.length > 0) onGraft(state, peer, control.graft, now)
    if (control.prune.length > 0) onPrune(state, peer, control.prune, now)
    onDontWant(state, peer, control.idontwant)
  }

  #time(now: number): void {
    const { params, scores, direct, peers } = this.#state
    if (now >= this.#decayAt) {
      scores.decay(peers.values(), now)
      this.#decayAt = now + scores.params.decayInterval
    }
    if (now >= this.#heartbeatAt) {
      heartbeat(this.#state, now)
      this.#validation.expire(GOSSIP_VALIDATE_TIMEOUT, now)
      this.#heartbeatAt = now + params.heartbeat
    }
    if (now < this.#directAt) return
    for (const peer of direct) if (!peers.has(peer)) this.#state.say({ t: 'connect', peer, record: undefined })
    this.#directAt = direct.size > 0 ? now + params.directTicks * params.heartbeat : Number.POSITIVE_INFINITY
  }
}

const idsOf = (peers: Iterable<Peer> | undefined): PeerId[] => {
  const ids: PeerId[] = []
  for (const { id } of peers ?? []) ids.push(id)
  return ids
}

const checkTopic = (name: string): void => {
  const length = utf8Length(name)
  if (length === 0 || length > GOSSIP_MAX_TOPIC)
    throw new TabmeshError('ERR_INVALID_ARGUMENT', `a topic name of ${length} bytes, where 1 to ${GOSSIP_MAX_TOPIC} are allowed`)
}
