/**
 * The mesh of a topic: who gets every message of it from us, and the other way round.
 * specs: pubsub/gossipsub/gossipsub-v1.0.md §Mesh maintenance, gossipsub-v1.1.md §Heartbeat Maintenance, §Outbound Mesh Quotas
 *
 *              we GRAFT, or its GRAFT is taken                score below 0, too many, PRUNE, leaves
 *   outside ────────────────────────────────────▶ in the mesh ────────────────────────────────────▶ backed off ─▶ outside
 *
 * Where the specification leaves room, this does as go does.
 */

import { backedOffUntil, backOff, isBackedOff } from './back-off.ts'
import type { Peer } from './peer.ts'
import { acceptOffers, pruneFor } from './px.ts'
import type { Prune } from './rpc.ts'
import type { State } from './state.ts'
import { subscribed } from './subscriptions.ts'
import type { Topic } from './topic.ts'

const enter = (state: State, topic: Topic, mesh: Set<Peer>, peer: Peer, now: number): void => {
  mesh.add(peer)
  state.scores.graft(peer.score, topic, now)
  state.say({ t: 'mesh', peer: peer.id, topic: topic.name, member: true })
}

const exit = (state: State, topic: Topic, mesh: Set<Peer>, peer: Peer): void => {
  if (!mesh.delete(peer)) return
  state.scores.prune(peer.score, topic)
  state.say({ t: 'mesh', peer: peer.id, topic: topic.name, member: false })
}

const graft = (state: State, topic: Topic, mesh: Set<Peer>, peer: Peer, now: number): void => {
  enter(state, topic, mesh, peer, now)
  peer.out.graft(topic.name)
  state.ready(peer)
}

const sendPrune = (state: State, topic: Topic, peer: Peer, offer: boolean, unsubscribe = false): void => {
  peer.out.prune(pruneFor(state, topic, peer, offer, unsubscribe))
  state.ready(peer)
}

const prune = (state: State, topic: Topic, mesh: Set<Peer>, peer: Peer, offer: boolean, now: number): void => {
  exit(state, topic, mesh, peer)
  backOff(topic, peer.id, state.params.pruneBackoff, now)
  sendPrune(state, topic, peer, offer)
}

/** The peer is gone, or is not in the topic any more. */
export const dropFromMesh = (state: State, topic: Topic, peer: Peer): void => {
  if (topic.mesh !== undefined) exit(state, topic, topic.mesh, peer)
  topic.fanout?.delete(peer)
}

export const joinMesh = (state: State, topic: Topic, now: number): void => {
  const mesh = new Set<Peer>()
  const grafts = (peer: Peer): boolean =>
    !mesh.has(peer) && !peer.direct && state.score(peer) >= 0 && !isBackedOff(state, topic, peer.id, now)
  // Those we published to already are in on it, where they may be.
  for (const peer of topic.fanout ?? []) if (grafts(peer)) mesh.add(peer)
  for (const peer of state.pick(topic, state.params.d - mesh.size, grafts)) mesh.add(peer)
  topic.fanout = undefined
  state.fanouts.delete(topic)
  topic.mesh = mesh
  for (const peer of mesh) graft(state, topic, mesh, peer, now)
}

export const leaveMesh = (state: State, topic: Topic, now: number): void => {
  const { mesh } = topic
  if (mesh === undefined) return
  topic.mesh = undefined
  for (const peer of [...mesh]) {
    exit(state, topic, mesh, peer)
    sendPrune(state, topic, peer, true, true)
    backOff(topic, peer.id, state.params.unsubscribeBackoff, now)
  }
}

export const onGraft = (state: State, peer: Peer, names: readonly string[], now: number): void => {
  const score = state.score(peer)
  const { params } = state
  // go: once a GRAFT was out of place, none of the PRUNEs in this answer offers peers.
  let offer = true
  const refused: Topic[] = []
  for (const name of names) {
    const topic = state.topics.get(name)
    const mesh = topic?.mesh
    // §Spam Protection Measures: an answer would be what a flood of them wants, and tell what we are not in.
    if (topic === undefined || mesh === undefined) {
      offer = false
      continue
    }
    if (mesh.has(peer) || !peer.hasMesh) continue
    if (peer.direct) {
      offer = false
      refused.push(topic)
      continue
    }
    const until = backedOffUntil(topic, peer.id, now)
    if (until > 0) {
      offer = false
      state.penalize(peer.score, now < until + params.graftFlood - params.pruneBackoff ? 2 : 1)
      backOff(topic, peer.id, params.pruneBackoff, now)
      refused.push(topic)
      continue
    }
    if (score < 0) {
      offer = false
      backOff(topic, peer.id, params.pruneBackoff, now)
      refused.push(topic)
      continue
    }
    if (mesh.size >= params.dHigh && !peer.outbound) {
      backOff(topic, peer.id, params.pruneBackoff, now)
      refused.push(topic)
      continue
    }
    // Who grafts is in the topic, whether that was said or not (rust).
    if (subscribed(state, peer, topic)) enter(state, topic, mesh, peer, now)
  }
  for (const topic of refused) sendPrune(state, topic, peer, offer)
}

export const onPrune = (state: State, peer: Peer, prunes: readonly Prune[], now: number): void => {
  const score = state.score(peer)
  for (const { topic: name, peers, backoff = 0 } of prunes) {
    const topic = state.topics.get(name)
    if (topic?.mesh === undefined) continue
    exit(state, topic, topic.mesh, peer)
    backOff(topic, peer.id, backoff > 0 ? backoff * 1_000 : state.params.pruneBackoff, now)
    acceptOffers(state, peers, score)
  }
}

/**
 * A peer has come into a topic of ours. Where the mesh has too few it is grafted at once, as rust does: until the next heartbeat, which is when
 * go and js would, nothing that others publish is passed on to it, and what it misses then it is told of by nobody.
 */
export const welcome = (state: State, topic: Topic, peer: Peer, now: number): void => {
  const { mesh } = topic
  if (mesh === undefined || mesh.size >= state.params.dLow || mesh.has(peer) || peer.direct || !peer.hasMesh) return
  if (state.score(peer) >= 0 && !isBackedOff(state, topic, peer.id, now)) graft(state, topic, mesh, peer, now)
}

/** What a heartbeat does for one mesh. */
export const maintainMesh = (state: State, topic: Topic, mesh: Set<Peer>, now: number): void => {
  const { d, dLow, dHigh, dOut } = state.params
  const mayGraft = (peer: Peer): boolean => !mesh.has(peer) && !peer.direct && !isBackedOff(state, topic, peer.id, now)
  for (const peer of [...mesh]) if (state.score(peer) < 0) prune(state, topic, mesh, peer, false, now)

  if (mesh.size < dLow) {
    for (const peer of state.pick(topic, d - mesh.size, (each) => mayGraft(each) && state.score(each) >= 0))
      graft(state, topic, mesh, peer, now)
  }
  // go cuts at dHigh already, and the specification above it; then a mesh that is full for others is not full for long.
  if (mesh.size >= dHigh && mesh.size > d) cut(state, topic, mesh, now)

  if (mesh.size >= dLow) {
    const missing = dOut - outboundIn(mesh)
    if (missing > 0) {
      for (const peer of state.pick(topic, missing, (each) => each.outbound && mayGraft(each) && state.score(each) >= 0))
        graft(state, topic, mesh, peer, now)
    }
  }
  if (state.ticks % state.params.opportunisticTicks === 0 && mesh.size > 1) improve(state, topic, mesh, mayGraft, now)
}

const outboundIn = (peers: Iterable<Peer>): number => {
  let count = 0
  for (const peer of peers) if (peer.outbound) count += 1
  return count
}

/** Keeps `d` peers: the best by score, others by chance, and enough of those that we dialled. */
const cut = (state: State, topic: Topic, mesh: Set<Peer>, now: number): void => {
  const { d, dScore, dOut } = state.params
  const scores = new Map<Peer, number>()
  for (const peer of mesh) scores.set(peer, state.score(peer))
  const peers = [...mesh]
  state.shuffle(peers)
  peers.sort((a, b) => (scores.get(b) as number) - (scores.get(a) as number))
  const best = peers.slice(0, dScore)
  const others = peers.slice(dScore)
  state.shuffle(others)
  const kept = [...best, ...others.slice(0, d - best.length)].slice(0, d)
  let missing = dOut - outboundIn(kept)
  for (const peer of others.slice(d - best.length)) {
    if (missing <= 0) break
    if (!peer.outbound) continue
    // In the place of the last one that came to us.
    const at = kept.findLastIndex((each) => !each.outbound)
    if (at < 0) break
    kept.splice(at, 1)
    kept.push(peer)
    missing -= 1
  }
  const keep = new Set(kept)
  for (const peer of peers) if (!keep.has(peer)) prune(state, topic, mesh, peer, true, now)
}

/** §Opportunistic Grafting: a mesh whose median is poor gets some of the better ones outside. */
const improve = (state: State, topic: Topic, mesh: Set<Peer>, mayGraft: (peer: Peer) => boolean, now: number): void => {
  const scores = [...mesh].map((peer) => state.score(peer)).sort((a, b) => a - b)
  const median = scores[scores.length >> 1] as number
  if (median >= state.thresholds.opportunisticGraft) return
  for (const peer of state.pick(topic, state.params.opportunisticPeers, (each) => mayGraft(each) && state.score(each) > median))
    graft(state, topic, mesh, peer, now)
}
