/**
 * A look inside the router, for metrics and for whoever wants to know why a message came, or did not: plain values, made when asked for.
 */

import type { Peer } from './peer.ts'
import type { Counts, State } from './state.ts'

export interface PubsubPeer {
  readonly id: string
  /** By the score function; below 0 it is in no mesh, and below the thresholds it is not talked to. */
  readonly score: number
  readonly direct: boolean
  /** Whether we dialled it. */
  readonly outbound: boolean
  /** Topics it is in. */
  readonly topics: readonly string[]
  /** Messages that wait for it; and whether it has taken none for a heartbeat or two. */
  readonly queued: number
  readonly stalled: boolean
}

export interface PubsubTopic {
  readonly name: string
  readonly joined: boolean
  /** Peers that are in it, those of our mesh, and those to whom we publish without being in it. */
  readonly peers: readonly string[]
  readonly mesh: readonly string[]
  readonly fanout: readonly string[]
  /** Peers that ask for parts of its messages, and those that send them; the former are among the latter. */
  readonly requestPartial: readonly string[]
  readonly supportPartial: readonly string[]
}

export interface Inspection {
  readonly peers: readonly PubsubPeer[]
  readonly topics: readonly PubsubTopic[]
  /** Message ids that are remembered, and messages that are kept for peers that ask for them. */
  readonly seen: number
  readonly cached: number
  readonly counts: Readonly<Counts>
}

export const inspect = (state: State): Inspection => ({
  peers: [...state.peers.values()].map((peer) => ({
    id: peer.id,
    score: state.score(peer),
    direct: peer.direct,
    outbound: peer.outbound,
    topics: peer.topics.map(({ name }) => name),
    queued: peer.outbox?.queued ?? 0,
    stalled: peer.stalled,
  })),
  topics: [...state.topics.values()].map(({ name, peers, mesh, fanout, requesting, supporting }) => ({
    name,
    joined: mesh !== undefined,
    peers: idsOf(peers),
    mesh: idsOf(mesh),
    fanout: idsOf(fanout),
    requestPartial: idsOf(requesting),
    supportPartial: idsOf(supporting),
  })),
  seen: state.seen.size,
  cached: state.cache.size,
  counts: { ...state.counts },
})

const idsOf = (peers: Iterable<Peer> = []): string[] => [...peers].map(({ id }) => id)
