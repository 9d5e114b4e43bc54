/**
 * The public types of publish/subscribe: options, messages, verdicts, and what a look inside shows.
 */

import type { Inspection, PubsubPeer, PubsubTopic } from '../engine/protocols/gossipsub/inspect.ts'
import type { Params } from '../engine/protocols/gossipsub/params.ts'
import type { ScoreParams, Thresholds, TopicScoreParams } from '../engine/protocols/gossipsub/score-params.ts'
import type { Counts } from '../engine/protocols/gossipsub/state.ts'

export type { PubsubPeer, PubsubTopic }

/**
 * How this peer takes part in publish/subscribe (https://github.com/libp2p/specs/tree/master/pubsub/gossipsub). What all peers of a topic must agree
 * on is `signing` and `messageId`; the rest is each one's own.
 */
export interface GossipsubOptions {
  /**
   * `'StrictSign'`, the default: every message names its author, has a number and is signed, and others are refused. `'StrictNoSign'`: none of
   * these, and what has them is refused.
   */
  signing?: 'StrictSign' | 'StrictNoSign'
  /**
   * What tells messages apart: `'go'`, `'js'` or `'rust'`, the default of that implementation, or `'content'`, the SHA-256 of the data. By
   * default `'go'`, and `'content'` where nothing is signed. Peers that have another form get all messages, but can't be told in gossip which
   * there are. A function is for Node only: it is called for each copy of a message, and a page's engine is on another thread (ERR_UNSUPPORTED).
   */
  messageId?: 'go' | 'js' | 'rust' | 'content' | MessageIdFunction
  /** Peers, by id or by address with `/p2p/…`, that are kept connected outside of all meshes: they get, and we take from them, everything. */
  direct?: string[]
  /** Whether what this peer publishes goes to all peers of the topic that it knows, and not to its mesh only; on. */
  floodPublish?: boolean
  /** Whether peers that are sent away are told of others; off. For peers that many come to first. */
  peerExchange?: boolean
  /** Whether what this peer publishes to a topic it is in is a `message` event here too; off. */
  emitSelf?: boolean
  /** Sizes of the mesh, times and limits; the defaults are go's. */
  params?: Partial<GossipsubParams>
  /** How peers are scored, and from which scores on they are not listened to. */
  score?: Partial<GossipsubScoreParams>
}

/** Times are milliseconds. */
export type GossipsubParams = Omit<Params, 'floodPublish' | 'peerExchange'>
export type GossipsubScoreParams = ScoreParams
export type GossipsubTopicScoreParams = TopicScoreParams
export type GossipsubThresholds = Thresholds

/** What a message id is made of: bytes, or text that is taken as UTF-8; up to 256 bytes. Absent fields are those that unsigned messages have not. */
export type MessageIdFunction = (message: {
  readonly topic: string
  readonly from: string | undefined
  readonly data: Uint8Array
  readonly seqno: Uint8Array | undefined
  readonly key: Uint8Array | undefined
}) => Uint8Array | string

/** A message that somebody published. */
export interface PubsubMessage {
  readonly topic: string
  /** The peer that wrote and signed it; undefined where nothing is signed. */
  readonly from: string | undefined
  /** The peer that passed it on to us, which may be the author. */
  readonly via: string
  readonly data: Uint8Array
  /** What tells it from others, in hexadecimals. */
  readonly id: string
  /** The author's count, higher for each message; absent where nothing is signed. */
  readonly seqno?: bigint
  /** `data` as UTF-8. */
  text(): string
}

/**
 * `'accept'`: it is told here, and passed on. `'reject'`: it is neither, and counts against who sent it (gossipsub's P₄): for what no honest peer
 * sends. `'ignore'`: it is neither, and nobody's fault.
 */
export type MessageVerdict = 'accept' | 'reject' | 'ignore'

/**
 * Decides on what others publish to a topic, before anybody hears of it. It has 30 seconds; what takes longer, throws, rejects or answers anything
 * else is ignored, and the latter three are an `error` event of ERR_HANDLER.
 */
export type MessageValidator = (message: PubsubMessage) => MessageVerdict | Promise<MessageVerdict>

export interface SubscribeOptions {
  /** Everything that is rightly signed is accepted if absent. */
  validate?: MessageValidator
}

export interface PublishResult {
  /** The message's id, as its receivers see it. */
  readonly id: string
  /**
   * Peers that it is on its way to: those of the topic, or of its mesh without `floodPublish`. With none it is kept for some seconds, for peers
   * that come meanwhile.
   */
  readonly peers: number
}

/** A look inside: who is scored how, who is in which mesh. */
export interface PubsubState extends Inspection {
  /** Messages that this page was not told of, because it did not listen for too long. */
  readonly dropped: number
}

/** What happens in `peer.pubsub`, in the `detail` of the event of that name. */
export interface PubsubEvents {
  /** A message in a topic that this peer is in, once. */
  message: PubsubMessage
  /** A connected peer has come into a topic or left it, whether this peer is in it or not. */
  'subscription:change': { peer: string; topic: string; subscribed: boolean }
}

/** Counters of pubsub since the start. */
export interface PubsubMetrics extends Readonly<Counts> {
  /** Now: peers it talks to, topics this peer is in, and places in meshes, over all of them. */
  readonly peers: number
  readonly topics: number
  readonly mesh: number
  /** Messages that this page was not told of, because it did not listen for too long. */
  readonly dropped: number
}
