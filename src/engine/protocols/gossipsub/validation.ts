/**
 * What becomes of a received message (specs: pubsub/README.md §Message Signing, gossipsub-v1.1.md §Extended Validators).
 *
 *   received ─┬─ not in the topic: nothing
 *             ├─ against the signature policy, or as if by us ─▶ P₄
 *             ├─ seen ─▶ counted as a duplicate
 *             └─ new ─ verify ─┬─ wrong ─▶ P₄; the next copy is verified, if there is one
 *                              └─ right ─▶ seen ─▶ IDONTWANT ─ validate ─┬─ accept ─▶ told, kept, forwarded
 *                                                                        ├─ reject ─▶ P₄ of all who sent it
 *                                                                        └─ ignore
 *
 * A message is seen only once its signature was checked: else whoever is first with a forged copy would keep the real one out. Copies
 * that come meanwhile wait for the verdict about the first one.
 *
 * Bounds: GOSSIP_MAX_VALIDATING messages being verified or validated; beyond, new ones are dropped as if they had not come (go). One
 * copy of a message from each peer.
 */

import { GOSSIP_MAX_VALIDATING } from '../../limits.ts'
import { sayDontWant } from './dont-want.ts'
import { forward } from './forwarding.ts'
import type { Message } from './message.ts'
import type { Peer } from './peer.ts'
import { IGNORED, INVALID, VALID, VALIDATING } from './seen.ts'
import { keepsPolicy, keyOf } from './signing.ts'
import type { State } from './state.ts'
import type { Topic } from './topic.ts'

export type Verdict = 'accept' | 'reject' | 'ignore'

interface Copy {
  readonly message: Message
  readonly peer: Peer
}

interface Pending extends Copy {
  readonly topic: Topic
  readonly since: number
}

export class Validation {
  readonly #state: State
  /** By id; the first copy is the one being verified. */
  readonly #verifying = new Map<string, Copy[]>()
  /** By id, in the order of their coming: what the application has to say. */
  readonly #validating = new Map<string, Pending>()

  constructor(state: State) {
    this.#state = state
  }

  /** Messages that wait for a verdict: with more than GOSSIP_MAX_VALIDATING, what comes is dropped. */
  get size(): number {
    return this.#verifying.size + this.#validating.size
  }

  #invalid(peer: Peer, topic: Topic): void {
    this.#state.counts.invalid += 1
    this.#state.scores.invalid(peer.score, topic)
  }

  received(peer: Peer, messages: readonly Message[], now: number): void {
    for (const message of messages) this.#received(peer, message, now)
  }

  #received(peer: Peer, message: Message, now: number): void {
    const state = this.#state
    const topic = state.topics.get(message.topic)
    if (topic?.mesh === undefined) return
    const { signing, self } = state.setup
    if (!keepsPolicy(message, signing)) return this.#invalid(peer, topic)
    const { id } = message
    const fate = state.seen.get(id)
    if (fate !== undefined) {
      state.counts.duplicates += 1
      if (fate === INVALID) state.scores.invalid(peer.score, topic)
      else if (fate !== IGNORED) state.deliveries.duplicate(id, topic, peer, now)
      return
    }
    const copies = this.#verifying.get(id)
    if (copies !== undefined) {
      if (!copies.some((copy) => copy.peer === peer)) copies.push({ message, peer })
      return
    }
    // go: nobody but us writes as us, and what we wrote we have seen.
    if (message.author !== undefined && message.author.id === self) return this.#invalid(peer, topic)
    if (this.size >= GOSSIP_MAX_VALIDATING) return
    if (signing.t === 'StrictNoSign') return this.#begin(topic, message, peer, now)
    this.#verify([{ message, peer }], topic)
  }

  /** Asks about the first of `copies` that has a key, if there is one. */
  #verify(copies: Copy[], topic: Topic): void {
    for (let copy = copies[0]; copy !== undefined; copy = copies[0]) {
      const { message, peer } = copy
      const key = keyOf(message)
      const { signature } = message
      if (key !== undefined && signature !== undefined) {
        this.#verifying.set(message.id, copies)
        return this.#state.say({ t: 'verify', id: message.id, key, bytes: message.signingBytes(), signature })
      }
      this.#invalid(peer, topic)
      copies.shift()
    }
  }

  verified(id: string, valid: boolean, now: number): void {
    const copies = this.#verifying.get(id)
    const copy = copies?.shift()
    if (copies === undefined || copy === undefined) return
    this.#verifying.delete(id)
    const { message, peer } = copy
    const topic = this.#state.topics.get(message.topic)
    // Left meanwhile.
    if (topic?.mesh === undefined) return
    if (!valid) {
      this.#invalid(peer, topic)
      return this.#verify(copies, topic)
    }
    this.#begin(topic, message, peer, now, copies)
  }

  #begin(topic: Topic, message: Message, peer: Peer, now: number, others: readonly Copy[] = []): void {
    const state = this.#state
    const { id } = message
    message.keep()
    state.seen.add(id, topic.validated ? VALIDATING : VALID, now)
    state.promises.fulfilled(id)
    sayDontWant(state, topic, message, peer)
    if (topic.validated || others.length > 0) {
      state.deliveries.begin(id, topic, peer)
      for (const other of others) state.deliveries.duplicate(id, topic, other.peer, now)
    }
    if (!topic.validated) return this.#accept(topic, message, peer, now)
    this.#validating.set(id, { message, peer, topic, since: now })
    state.say({ t: 'validate', message, from: peer.id })
  }

  verdict(id: string, verdict: Verdict, now: number): void {
    const pending = this.#validating.get(id)
    if (pending === undefined) return
    this.#validating.delete(id)
    const { message, peer, topic } = pending
    const { seen, deliveries, counts } = this.#state
    if (verdict === 'accept') {
      seen.settle(id, VALID)
      return this.#accept(topic, message, peer, now)
    }
    if (verdict === 'reject') {
      counts.invalid += 1
      seen.settle(id, INVALID)
      deliveries.rejected(id, topic, peer)
    } else {
      counts.ignored += 1
      seen.settle(id, IGNORED)
      deliveries.ignored(id)
    }
  }

  #accept(topic: Topic, message: Message, peer: Peer, now: number): void {
    const state = this.#state
    state.deliveries.accepted(message.id, topic, peer, now)
    if (topic.mesh === undefined) return
    state.counts.delivered += 1
    state.say({ t: 'message', message, from: peer.id })
    state.cache.put(message)
    forward(state, topic, message, peer, now)
  }

  /** The application has had `timeout` ms for each: what it says nothing about is ignored. */
  expire(timeout: number, now: number): void {
    for (const [id, { since }] of this.#validating) {
      if (since + timeout > now) break
      this.verdict(id, 'ignore', now)
    }
  }
}
