/**
 * What is held for and against a peer, and the score that comes of it.
 * specs: pubsub/gossipsub/gossipsub-v1.1.md §The Score Function
 *
 *   score = cap(Σ topics: weight × (w₁P₁ + w₂P₂ + w₃P₃ + w₃bP₃b + w₄P₄)) + w₅P₅ + w₆P₆ + w₇P₇
 *
 * A peer that goes keeps a score of zero or below for `retainScore`, so that it is not better off by coming again; good scores are
 * forgotten (go). Bounds: GOSSIP_MAX_RETAINED of those that are gone; counters of a peer exist for topics we were in.
 */

import type { PeerId } from '../../codec/peer-id.ts'
import { GOSSIP_MAX_RETAINED } from '../../limits.ts'
import type { ScoreParams } from './score-params.ts'
import type { Topic } from './topic.ts'

export class TopicStats {
  readonly topic: Topic
  inMesh = false
  graftedAt = 0
  /** Brought up to date at each decay. */
  meshTime = 0
  /** It has been in the mesh long enough for P₃. */
  active = false
  first = 0
  mesh = 0
  failure = 0
  invalid = 0

  constructor(topic: Topic) {
    this.topic = topic
  }
}

export class PeerScore {
  readonly peer: PeerId
  connected = true
  /** Nothing counts for it any more. */
  forgotten = false
  /** When it is forgotten, once it is not connected. */
  expiresAt = 0
  topics: TopicStats[] = []
  /** P₅, as the application says. */
  app = 0
  /** P₇ */
  penalty = 0
  ips: readonly string[] = []

  constructor(peer: PeerId) {
    this.peer = peer
  }
}

export class Scores {
  readonly params: ScoreParams
  readonly #retained = new Map<PeerId, PeerScore>()
  readonly #app = new Map<PeerId, number>()
  /** How many peers have each IP address. */
  readonly #peersAt = new Map<string, number>()

  constructor(params: ScoreParams) {
    this.params = params
  }

  get retained(): number {
    return this.#retained.size
  }

  connect(peer: PeerId, ips: readonly string[]): PeerScore {
    const score = this.#retained.get(peer) ?? new PeerScore(peer)
    this.#retained.delete(peer)
    score.connected = true
    score.app = this.#app.get(peer) ?? 0
    this.setIps(score, ips)
    return score
  }

  disconnect(score: PeerScore, now: number): void {
    score.connected = false
    if (this.of(score) > 0) return this.#forget(score)
    for (const stats of score.topics) {
      stats.first = 0
      if (stats.inMesh) this.pruned(stats)
    }
    score.expiresAt = now + this.params.retainScore
    // Nothing to remember: it comes back as any other.
    if (score.penalty === 0 && score.topics.every(({ failure, invalid }) => failure === 0 && invalid === 0)) return this.#forget(score)
    this.#retained.set(score.peer, score)
    if (this.#retained.size <= GOSSIP_MAX_RETAINED) return
    const [oldest] = this.#retained.values()
    if (oldest !== undefined) this.#forget(oldest)
  }

  #forget(score: PeerScore): void {
    score.forgotten = true
    this.#retained.delete(score.peer)
    this.setIps(score, [])
    for (const { topic } of score.topics) topic.stats.delete(score)
    score.topics = []
  }

  setApp(peer: PeerId, value: number, score: PeerScore | undefined): void {
    if (value === 0) this.#app.delete(peer)
    else this.#app.set(peer, value)
    if (score !== undefined) score.app = value
  }

  setIps(score: PeerScore, ips: readonly string[]): void {
    if (ips.length === 0 && score.ips.length === 0) return
    for (const ip of score.ips) {
      const left = (this.#peersAt.get(ip) ?? 1) - 1
      if (left === 0) this.#peersAt.delete(ip)
      else this.#peersAt.set(ip, left)
    }
    score.ips = [...new Set(ips)]
    for (const ip of score.ips) this.#peersAt.set(ip, (this.#peersAt.get(ip) ?? 0) + 1)
  }

  of(score: PeerScore): number {
    const { params } = this
    let value = 0
    for (const stats of score.topics) {
      const scoring = stats.topic.scoring
      if (scoring === undefined) continue
      let topic = stats.first * scoring.firstMessageDeliveriesWeight
      if (stats.inMesh) {
        topic += Math.min(Math.floor(stats.meshTime / scoring.timeInMeshQuantum), scoring.timeInMeshCap) * scoring.timeInMeshWeight
      }
      topic += deficitOf(stats) * scoring.meshMessageDeliveriesWeight
      topic += stats.failure * scoring.meshFailurePenaltyWeight
      topic += stats.invalid * stats.invalid * scoring.invalidMessageDeliveriesWeight
      value += topic * scoring.topicWeight
    }
    if (params.topicScoreCap > 0 && value > params.topicScoreCap) value = params.topicScoreCap
    value += score.app * params.appSpecificWeight
    if (params.ipColocationFactorWeight !== 0) value += this.#colocation(score.ips) * params.ipColocationFactorWeight
    const excess = score.penalty - params.behaviourPenaltyThreshold
    if (excess > 0) value += excess * excess * params.behaviourPenaltyWeight
    return value
  }

  /** P₆ */
  #colocation(ips: readonly string[]): number {
    let factor = 0
    for (const ip of ips) {
      const surplus = (this.#peersAt.get(ip) ?? 0) - this.params.ipColocationFactorThreshold
      if (surplus > 0 && !this.params.ipColocationFactorAllowed.includes(ip)) factor += surplus * surplus
    }
    return factor
  }

  /** The counters of a peer in a topic; undefined where the topic is not scored, or the peer is gone and forgotten. */
  stats(score: PeerScore, topic: Topic): TopicStats | undefined {
    if (topic.scoring === undefined || score.forgotten) return undefined
    let stats = topic.stats.get(score)
    if (stats === undefined) {
      stats = new TopicStats(topic)
      topic.stats.set(score, stats)
      score.topics.push(stats)
    }
    return stats
  }

  graft(score: PeerScore, topic: Topic, now: number): void {
    const stats = this.stats(score, topic)
    if (stats === undefined) return
    stats.inMesh = true
    stats.graftedAt = now
    stats.meshTime = 0
    stats.active = false
  }

  prune(score: PeerScore, topic: Topic): void {
    const stats = this.stats(score, topic)
    if (stats !== undefined) this.pruned(stats)
  }

  /**
   * P₃b: whoever leaves the mesh owing deliveries is remembered for it. P₃ itself ends here, as the specification has it; in go it goes on
   * counting what a peer outside of the mesh does not deliver.
   */
  pruned(stats: TopicStats): void {
    stats.failure += deficitOf(stats)
    stats.inMesh = false
    stats.active = false
  }

  invalid(score: PeerScore, topic: Topic): void {
    const stats = this.stats(score, topic)
    if (stats !== undefined) stats.invalid += 1
  }

  /** §Parameter Decay */
  decay(scores: Iterable<{ readonly score: PeerScore }>, now: number): void {
    const { decayToZero, behaviourPenaltyDecay } = this.params
    const decayed = (value: number, factor: number): number => (value * factor < decayToZero ? 0 : value * factor)
    for (const { score } of scores) {
      for (const stats of score.topics) {
        const scoring = stats.topic.scoring
        if (scoring === undefined) continue
        if (stats.first > 0) stats.first = decayed(stats.first, scoring.firstMessageDeliveriesDecay)
        if (stats.mesh > 0) stats.mesh = decayed(stats.mesh, scoring.meshMessageDeliveriesDecay)
        if (stats.failure > 0) stats.failure = decayed(stats.failure, scoring.meshFailurePenaltyDecay)
        if (stats.invalid > 0) stats.invalid = decayed(stats.invalid, scoring.invalidMessageDeliveriesDecay)
        if (!stats.inMesh) continue
        stats.meshTime = now - stats.graftedAt
        if (stats.meshTime > scoring.meshMessageDeliveriesActivation) stats.active = true
      }
      if (score.penalty > 0) score.penalty = decayed(score.penalty, behaviourPenaltyDecay)
    }
    // In the order in which they went, but for those whose time was set anew. Retained scores do not decay (go).
    for (const score of this.#retained.values()) {
      if (score.expiresAt > now) break
      this.#forget(score)
    }
  }
}

/** P₃: the square of what a mesh peer should have delivered and has not. */
const deficitOf = (stats: TopicStats): number => {
  const scoring = stats.topic.scoring
  if (!stats.active || scoring === undefined || stats.mesh >= scoring.meshMessageDeliveriesThreshold) return 0
  const deficit = scoring.meshMessageDeliveriesThreshold - stats.mesh
  return deficit * deficit
}
