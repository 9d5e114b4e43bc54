/**
 * Back-offs: after a PRUNE neither side grafts the other for a while (gossipsub-v1.1.md §PRUNE Backoff and Peer Exchange).
 *
 * Bounds: GOSSIP_MAX_BACKOFFS peers of a topic, the oldest forgotten first; a remote's wish counts up to GOSSIP_MAX_BACKOFF.
 */

import type { PeerId } from '../../codec/peer-id.ts'
import { GOSSIP_MAX_BACKOFF, GOSSIP_MAX_BACKOFFS } from '../../limits.ts'
import type { State } from './state.ts'
import type { Topic } from './topic.ts'

/** Heartbeats that are waited on top, since the other side counts from when it hears of it. */
const SLACK = 2
/** Expired ones are looked for once in so many heartbeats (go). */
const SWEEP_TICKS = 15

/** For `ms` from now, or for as long as before where that is longer. */
export const backOff = (topic: Topic, peer: PeerId, ms: number, now: number): void => {
  topic.backoffs ??= new Map()
  const { backoffs } = topic
  const until = Math.max(backoffs.get(peer) ?? 0, now + Math.min(ms, GOSSIP_MAX_BACKOFF))
  backoffs.delete(peer)
  backoffs.set(peer, until)
  if (backoffs.size <= GOSSIP_MAX_BACKOFFS) return
  const [oldest] = backoffs.keys()
  if (oldest !== undefined) backoffs.delete(oldest)
}

/** Until when the peer should leave us alone; 0 where it may graft. */
export const backedOffUntil = (topic: Topic, peer: PeerId, now: number): number => {
  const until = topic.backoffs?.get(peer) ?? 0
  return now < until ? until : 0
}

/** Whether we leave the peer alone. */
export const isBackedOff = (state: State, topic: Topic, peer: PeerId, now: number): boolean => {
  const until = topic.backoffs?.get(peer)
  return until !== undefined && now < until + SLACK * state.params.heartbeat
}

export const sweepBackoffs = (state: State, now: number): void => {
  if (state.ticks % SWEEP_TICKS !== 0) return
  for (const topic of state.topics.values()) {
    for (const [peer, until] of topic.backoffs ?? []) if (until + SLACK * state.params.heartbeat < now) topic.backoffs?.delete(peer)
    if (topic.backoffs?.size === 0) topic.backoffs = undefined
    // Also those of which only a score was left, that is forgotten by now.
    state.forget(topic)
  }
}
