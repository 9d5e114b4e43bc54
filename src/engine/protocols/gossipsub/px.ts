/**
 * Peer exchange: a PRUNE may say whom else to ask (gossipsub-v1.1.md §PRUNE Backoff and Peer Exchange).
 *
 * Only peers of good standing are told, and told of; and only who has a score over `acceptPx` is listened to. Records are passed on as
 * they came: whoever dials checks them. Bounds: `prunePeers` of a PRUNE.
 */

import type { PeerId } from '../../codec/peer-id.ts'
import { peerIdFromBytes, peerIdToBytes } from '../../codec/peer-id.ts'
import type { Peer } from './peer.ts'
import type { Offered, Prune } from './rpc.ts'
import { none } from './rpc.ts'
import type { State } from './state.ts'
import type { Topic } from './topic.ts'

/** The PRUNE for `peer`, offering others where `offer` says so. */
export const pruneFor = (state: State, topic: Topic, peer: Peer, offer: boolean, unsubscribe = false): Prune => {
  // gossipsub-v1.0.md: nothing but the topic.
  if (!peer.hasPx) return { topic: topic.name, peers: none, backoff: undefined }
  const { pruneBackoff, unsubscribeBackoff } = state.params
  return {
    topic: topic.name,
    peers: offer && state.params.peerExchange ? offersFor(state, topic, peer) : none,
    backoff: Math.ceil((unsubscribe ? unsubscribeBackoff : pruneBackoff) / 1_000),
  }
}

const offersFor = (state: State, topic: Topic, peer: Peer): Offered[] =>
  state
    .pick(topic, state.params.prunePeers, (other) => other !== peer && state.score(other) >= 0)
    .map((other) => ({ peer: peerIdToBytes(other.id), record: other.record }))

/** Connects to whom a PRUNE offers; `score` is that of its sender. */
export const acceptOffers = (state: State, offers: readonly Offered[], score: number): void => {
  if (offers.length === 0 || score < state.thresholds.acceptPx) return
  const some = [...offers]
  state.shuffle(some)
  for (const { peer, record } of some.slice(0, state.params.prunePeers)) {
    const id = idOf(peer)
    if (id === undefined || id === state.setup.self || state.peers.has(id)) continue
    state.say({ t: 'connect', peer: id, record: record?.slice() })
  }
}

const idOf = (bytes: Uint8Array): PeerId | undefined => {
  try {
    return peerIdFromBytes(bytes)
  } catch {
    return undefined
  }
}
