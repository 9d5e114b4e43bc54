/**
 * Fanout: whom we publish to in a topic that we are not in (gossipsub-v1.0.md §Fanout). Kept for `fanoutTtl` after the last message.
 */

import { emitGossip } from './gossip.ts'
import type { Peer } from './peer.ts'
import type { State } from './state.ts'
import type { Topic } from './topic.ts'

/** The peers to publish to, chosen with the first message. */
export const fanoutOf = (state: State, topic: Topic, now: number): ReadonlySet<Peer> => {
  topic.publishedAt = now
  if (topic.fanout === undefined || topic.fanout.size === 0) {
    const { publish } = state.thresholds
    topic.fanout = new Set(state.pick(topic, state.params.d, (peer) => !peer.direct && state.score(peer) >= publish))
    state.fanouts.add(topic)
  }
  return topic.fanout
}

/** What a heartbeat does for one fanout. */
export const maintainFanout = (state: State, topic: Topic, now: number): void => {
  const { fanout } = topic
  if (fanout === undefined || topic.publishedAt + state.params.fanoutTtl < now) {
    topic.fanout = undefined
    state.fanouts.delete(topic)
    return state.forget(topic)
  }
  const { publish } = state.thresholds
  for (const peer of fanout) if (!topic.peers.has(peer) || state.score(peer) < publish) fanout.delete(peer)
  const missing = state.params.d - fanout.size
  if (missing > 0) {
    for (const peer of state.pick(topic, missing, (each) => !fanout.has(each) && !each.direct && state.score(each) >= publish))
      fanout.add(peer)
  }
  emitGossip(state, topic, fanout)
}
