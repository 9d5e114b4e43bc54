/**
 * A topic that we or a peer of ours is in.
 *
 *   known ── a peer subscribes ──▶ peers          joined: has a mesh        published to without joining: has a fanout
 *
 * It is forgotten when nothing is known of it any more.
 */

import type { PeerId } from '../../codec/peer-id.ts'
import type { Groups } from './groups.ts'
import type { Peer } from './peer.ts'
import type { PartialRole } from './rpc.ts'
import type { PeerScore, TopicStats } from './score.ts'
import type { TopicScoreParams } from './score-params.ts'

export class Topic {
  readonly name: string
  /** Undefined where it is not scored. */
  readonly scoring: TopicScoreParams | undefined
  /** Subscribed to it. */
  readonly peers = new Set<Peer>()
  /** Of those, the ones that speak floodsub: they get everything. */
  floodsubPeers = 0
  mesh: Set<Peer> | undefined
  fanout: Set<Peer> | undefined
  publishedAt = 0
  /** What we have to do with parts of its messages, while we are in it. */
  partial: PartialRole | undefined
  /** Peers in it that ask for parts, and those that send them: all of the former and maybe others. */
  requesting: Set<Peer> | undefined
  supporting: Set<Peer> | undefined
  groups: Groups | undefined
  /** The application decides on its messages. */
  validated = false
  /** Until when peers may not be grafted. */
  backoffs: Map<PeerId, number> | undefined
  /** Of peers that did something in it, also of some that are gone. */
  readonly stats = new Map<PeerScore, TopicStats>()

  constructor(name: string, scoring: TopicScoreParams | undefined) {
    this.name = name
    this.scoring = scoring
  }

  /** Peers that have its messages in parts from us, and so never whole. */
  get inParts(): ReadonlySet<Peer> | undefined {
    return this.partial === undefined ? undefined : this.requesting
  }

  get forgettable(): boolean {
    return (
      this.peers.size === 0 &&
      this.mesh === undefined &&
      this.fanout === undefined &&
      !this.validated &&
      this.backoffs === undefined &&
      this.stats.size === 0
    )
  }
}
