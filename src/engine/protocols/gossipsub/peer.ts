/**
 * A peer that we have a pubsub stream to: what it speaks, what it told us, and what it may still do before the next heartbeat.
 */

import type { PeerId } from '../../codec/peer-id.ts'
import { Outbox } from './outbox.ts'
import type { PeerScore } from './score.ts'
import type { Topic } from './topic.ts'

/** https://github.com/libp2p/specs/blob/master/pubsub/gossipsub/README.md, best first. */
export const MESHSUB_13 = '/meshsub/1.3.0'
export const MESHSUB_12 = '/meshsub/1.2.0'
export const MESHSUB_11 = '/meshsub/1.1.0'
export const MESHSUB_10 = '/meshsub/1.0.0'
export const FLOODSUB = '/floodsub/1.0.0'

export const PUBSUB_PROTOCOLS = [MESHSUB_13, MESHSUB_12, MESHSUB_11, MESHSUB_10, FLOODSUB] as const
export type PubsubProtocol = (typeof PUBSUB_PROTOCOLS)[number]

export class Peer {
  readonly id: PeerId
  readonly score: PeerScore
  /** Said once and again: that something waits for this peer. */
  readonly sendOutput: { readonly t: 'send'; readonly peer: PeerId }
  /** Features of the protocol it was agreed to speak with us. */
  readonly hasMesh: boolean
  readonly hasPx: boolean
  readonly hasIDontWant: boolean
  readonly hasExtensions: boolean
  /** We dialled it. */
  readonly outbound: boolean
  direct: boolean
  /** Its signed peer record, to be offered to others. */
  record: Uint8Array | undefined
  /** Topics it is subscribed to. */
  topics: Topic[] = []
  /** Since the last heartbeat: its RPCs with IHAVE, the ids we asked it for, its RPCs with IDONTWANT. */
  haves = 0
  asked = 0
  dontWants = 0
  /** Ids that it does not want, and the heartbeats for which that is remembered. */
  unwanted: Map<string, number> | undefined
  outbox: Outbox | undefined
  /** `sendOutput` was said, and not everything taken since. */
  ready = false
  /** It has taken something since the last heartbeat; or it has not, though there was something. */
  took = true
  stalled = false
  /** Up to this heartbeat it is told of what it was sent, though it is in the mesh: it may have dropped some. */
  hurriedUntil = 0
  /** An RPC of its stream was read, and what its extensions are. */
  heard = false
  testExtension = false
  /** It knows partial messages. */
  partial = false

  constructor(id: PeerId, protocol: PubsubProtocol, outbound: boolean, direct: boolean, score: PeerScore) {
    this.id = id
    this.score = score
    this.outbound = outbound
    this.direct = direct
    this.sendOutput = { t: 'send', peer: id }
    const version = PUBSUB_PROTOCOLS.indexOf(protocol)
    this.hasMesh = version <= PUBSUB_PROTOCOLS.indexOf(MESHSUB_10)
    this.hasPx = version <= PUBSUB_PROTOCOLS.indexOf(MESHSUB_11)
    this.hasIDontWant = version <= PUBSUB_PROTOCOLS.indexOf(MESHSUB_12)
    this.hasExtensions = version === PUBSUB_PROTOCOLS.indexOf(MESHSUB_13)
  }

  get out(): Outbox {
    this.outbox ??= new Outbox()
    return this.outbox
  }
}
