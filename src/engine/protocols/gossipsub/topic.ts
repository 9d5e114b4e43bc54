/**
 * A topic that we or a peer of ours is in.
 *
 *   known ── a peer subscribes ──▶ peers          joined: has a mesh        published to without joining: has a fanout
 *
 * It is forgotten when nothing is known of it any more.
 */

import type { PeerId } from '../../codec/peer-id.ts'
import type { Peer } from './peer.ts'
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
