/**
 * To whom a message goes (gossipsub-v1.0.md §Message processing, gossipsub-v1.1.md §Flood Publishing).
 *
 *   ours        flood publishing: all peers of the topic with a score over `publish`; else as below, or the fanout where we are not in it
 *   another's   the mesh; direct peers; floodsub peers
 *
 * Never to whom it came from or who wrote it, and not to who does not want it, or wants it in parts. Both return to how many peers it goes.
 */

import { fanoutOf } from './fanout.ts'
import type { Message } from './message.ts'
import type { Peer } from './peer.ts'
import type { State } from './state.ts'
import type { Topic } from './topic.ts'

export const forward = (state: State, topic: Topic, message: Message, source: Peer | undefined, now: number): number => {
  const author = message.author?.id
  const { inParts } = topic
  let count = 0
  const members = topic.mesh ?? fanoutOf(state, topic, now)
  for (const peer of members) {
    if (peer === source || peer.id === author || peer.unwanted?.has(message.id) || inParts?.has(peer)) continue
    state.send(peer, message)
    count += 1
  }
  if (state.direct.size > 0) {
    for (const id of state.direct) {
      const peer = state.peers.get(id)
      if (peer === undefined || peer === source || id === author || !topic.peers.has(peer) || inParts?.has(peer)) continue
      state.send(peer, message)
      count += 1
    }
  }
  if (topic.floodsubPeers === 0) return count
  for (const peer of topic.peers) {
    if (peer.hasMesh || peer.direct || peer === source || peer.id === author || state.score(peer) < state.thresholds.publish) continue
    state.send(peer, message)
    count += 1
  }
  return count
}

/** A message of our own. */
export const publish = (state: State, topic: Topic, message: Message, now: number): number => {
  state.cache.put(message)
  if (!state.params.floodPublish) return forward(state, topic, message, undefined, now)
  const { inParts } = topic
  let count = 0
  for (const peer of topic.peers) {
    if ((!peer.direct && state.score(peer) < state.thresholds.publish) || inParts?.has(peer)) continue
    state.send(peer, message)
    count += 1
  }
  return count
}
