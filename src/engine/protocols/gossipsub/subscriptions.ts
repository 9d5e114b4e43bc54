/**
 * Who is in which topic (specs: pubsub/README.md §Stream management).
 *
 * Bounds: GOSSIP_MAX_TOPICS topics of one peer.
 */

import { GOSSIP_MAX_TOPICS } from '../../limits.ts'
import type { Peer } from './peer.ts'
import type { State } from './state.ts'
import type { Topic } from './topic.ts'

/** Whether the peer is now known to be in the topic. */
export const subscribed = (state: State, peer: Peer, topic: Topic): boolean => {
  if (topic.peers.has(peer)) return true
  if (peer.topics.length >= GOSSIP_MAX_TOPICS) return false
  topic.peers.add(peer)
  peer.topics.push(topic)
  if (!peer.hasMesh) topic.floodsubPeers += 1
  state.say({ t: 'subscription', peer: peer.id, topic: topic.name, subscribed: true })
  return true
}

/** The peer has left the topic, or us. It has to be out of the mesh before. */
export const unsubscribed = (state: State, peer: Peer, topic: Topic): void => {
  if (!topic.peers.delete(peer)) return
  const at = peer.topics.indexOf(topic)
  if (at >= 0) {
    peer.topics[at] = peer.topics[peer.topics.length - 1] as Topic
    peer.topics.pop()
  }
  if (!peer.hasMesh) topic.floodsubPeers -= 1
  topic.requesting?.delete(peer)
  topic.supporting?.delete(peer)
  state.say({ t: 'subscription', peer: peer.id, topic: topic.name, subscribed: false })
  state.forget(topic)
}
