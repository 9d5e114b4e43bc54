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
  /**
   * Partial messages (https://github.com/libp2p/specs/blob/master/pubsub/gossipsub/partial-messages.md): `'request'` asks peers that can for parts of
   * messages in place of whole ones, and `'support'` sends parts to who asks, but takes messages whole. Either way who asks for parts gets no whole
   * message of this topic from this peer any more, its own included, but what `publishPartial` sends, and `partial` events tell of what comes.
   * Neither if absent.
   */
  partial?: 'request' | 'support'
}

/** Parts of a message, for `publishPartial`; text is sent as UTF-8. What they look like the application's peers agree on. */
export interface MessageParts {
  /** Which message they are of: what everybody knows before the message is whole, so no hash of it. Up to 256 bytes. */
  group: Uint8Array | string
  /** Some parts, up to 60 KiB with `metadata`: for those only who request parts. */
  message?: Uint8Array | string
  /** Which parts this peer has, and wants, up to 8 KiB; what is said later takes its place. */
  metadata?: Uint8Array | string
}

/** What a peer said of a message that goes in parts: some of them, or which it has and wants, or both. */
export interface PartialMessage {
  readonly topic: string
  /** The peer that sent it: it need not be in the topic. Nothing is signed, so what it says is for the application to check. */
  readonly from: string
  /** Whether it requests parts; else there is no use in sending it any, but metadata. */
  readonly requests: boolean
  readonly group: Uint8Array
  readonly message?: Uint8Array
  readonly metadata?: Uint8Array
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
  /** Parts of a message, or metadata, in a topic subscribed to with `partial`. */
  partial: PartialMessage
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
