/**
 * Gossip: telling peers outside of the mesh what there is (IHAVE), and asking for what is missing (IWANT).
 * specs: pubsub/gossipsub/gossipsub-v1.0.md §Gossip, gossipsub-v1.1.md §Adaptive Gossip Dissemination, §Spam Protection Measures
 *
 * Bounds, for each peer and heartbeat: `maxIHaveMessages` RPCs with IHAVE, `maxIHaveLength` ids asked for; a message is sent to one
 * peer `retransmissions` times at most.
 */

import { tellOfGroups } from './partial.ts'
import type { Peer } from './peer.ts'
import type { Have } from './rpc.ts'
import type { State } from './state.ts'
import type { Topic } from './topic.ts'

export const onHave = (state: State, peer: Peer, haves: readonly Have[], now: number): void => {
  if (haves.length === 0 || state.score(peer) < state.thresholds.gossip) return
  const { maxIHaveMessages, maxIHaveLength } = state.params
  peer.haves += 1
  if (peer.haves > maxIHaveMessages || peer.asked >= maxIHaveLength) return
  let missing: Set<string> | undefined
  for (const { topic, ids } of haves) {
    if (state.topics.get(topic)?.mesh === undefined) continue
    for (const id of ids) {
      if (state.seen.get(id) !== undefined) continue
      missing ??= new Set()
      missing.add(id)
    }
  }
  if (missing === undefined) return
  const asked = [...missing]
  state.shuffle(asked)
  asked.length = Math.min(asked.length, maxIHaveLength - peer.asked)
  peer.asked += asked.length
  state.promises.add(asked[state.setup.random(asked.length)] as string, peer.id, now)
  peer.out.want(asked)
  state.ready(peer)
}

export const onWant = (state: State, peer: Peer, ids: readonly string[]): void => {
  if (ids.length === 0 || state.score(peer) < state.thresholds.gossip) return
  const answered = new Set<string>()
  let tooOften = false
  for (const id of ids) {
    // What is on its way to it goes once: it was told of by others, too.
    if (answered.has(id) || peer.unwanted?.has(id) || peer.outbox?.has(id)) continue
    const message = state.cache.getFor(id, peer.id, state.params.retransmissions)
    if (message === false) tooOften = true
    if (message === undefined || message === false) continue
    answered.add(id)
    state.send(peer, message)
  }
  // It was told of a message in `historyGossip` heartbeats, and has asked for it more often than that. go only does not answer.
  if (tooOften) state.penalize(peer.score, 1)
}

/** Tells some of the topic's peers that are not in `exclude` what there is of late, and of `exclude` those that may have lost some of it. */
export const emitGossip = (state: State, topic: Topic, exclude: ReadonlySet<Peer>): void => {
  const { dLazy, gossipFactor } = state.params
  const { gossip } = state.thresholds
  const peers: Peer[] = []
  for (const peer of topic.peers) {
    if (peer.hasMesh && !peer.direct && !exclude.has(peer) && state.score(peer) >= gossip) peers.push(peer)
  }
  const target = Math.min(Math.max(dLazy, Math.floor(gossipFactor * peers.length)), peers.length)
  state.shuffle(peers, target)
  peers.length = target
  const ids = target === 0 ? undefined : state.recentIds().get(topic.name)
  const { inParts } = topic
  if (ids !== undefined) state.shuffle(ids)
  for (const peer of peers) {
    if (inParts?.has(peer)) tellOfGroups(state, topic, peer)
    else if (ids !== undefined) tell(state, topic, peer, ids)
  }
  // No other implementation gossips to its mesh, but all of them listen: see pace.ts. What is still to be sent, or was sent just now, is no news: a
  // peer that asked for it would be sent it once more by each that told of it, and be behind all the more.
  for (const peer of exclude) {
    if (peer.hurriedUntil < state.ticks || inParts?.has(peer)) continue
    const settled = state.settledIds().get(topic.name)
    if (settled === undefined) return
    const sent = settled.filter((id) => peer.outbox?.has(id) !== true)
    if (sent.length > 0) tell(state, topic, peer, sent)
  }
}

/** `ids` may be put in another order. */
const tell = (state: State, topic: Topic, peer: Peer, ids: string[]): void => {
  const { maxIHaveLength } = state.params
  let told = ids
  if (ids.length > maxIHaveLength) {
    // Others for each peer: together they cover more.
    state.shuffle(ids, maxIHaveLength)
    told = ids.slice(0, maxIHaveLength)
  }
  peer.out.have(topic.name, told)
  state.ready(peer)
}
