/**
 * The public types: plain values only. A peer id is its text, a multiaddr is its text, payloads are Uint8Array.
 */

import type { Inspection, PubsubPeer, PubsubTopic } from './engine/protocols/gossipsub/inspect.ts'
import type { Params } from './engine/protocols/gossipsub/params.ts'
import type { ScoreParams, Thresholds, TopicScoreParams } from './engine/protocols/gossipsub/score-params.ts'
import type { Counts } from './engine/protocols/gossipsub/state.ts'
import type { TabmeshError } from './errors.ts'

export type { ErrorCode } from './errors.ts'
export type { PubsubPeer, PubsubTopic }

/** How long to wait and when to stop waiting. */
export interface CallOptions {
  /** Gives the call up; it then rejects with the signal's reason. */
  signal?: AbortSignal
}

export interface PeerOptions {
  /** Relays to hold a reservation with: multiaddr, or `http(s)://` / `ws(s)://` URL. */
  relays?: string[]
  /** How many of `relays` to hold a reservation with at a time, in the order they are given; the others are spares. All of them by default. */
  reservations?: number
  /** Multiaddrs dialled at the start; failures are `error` events. */
  bootstrap?: string[]
  /**
   * `'persistent'` keeps one key in this origin's IndexedDB (default in a browser), `'ephemeral'` makes a new one each
   * time (default elsewhere), `privateKey` is a libp2p protobuf key.
   */
  identity?: 'persistent' | 'ephemeral' | { privateKey: Uint8Array }
  /** Database name, so that two peers may live on one origin; `'tabmesh'` by default. */
  name?: string
  /**
   * Where the engine runs: a dedicated worker of its own (default in a browser), inline on the calling thread (default
   * elsewhere), the URL of `tabmesh.worker.js` (for a CSP without `blob:`), or a worker that runs it.
   */
  worker?: 'dedicated' | 'inline' | string | URL | Worker
  /** Multiaddrs to listen on; in a browser `/p2p-circuit` and `/webrtc`, both by default. */
  listen?: string[]
  transports?: TransportOptions
  /** ICE servers; by default the STUN of the relays in use, so that no third party is contacted. */
  rtcConfiguration?: RTCConfiguration
  connections?: ConnectionOptions
  /** Node only: what is proposed when a byte pipe is dialled, the best first; `['noise']`. Listeners answer both. */
  encryption?: ('noise' | 'tls')[]
  /** Speak mplex to old peers that have no yamux. In a page the URL of `tabmesh.mplex.js`, which is loaded then. */
  mplex?: boolean | string | URL
  /**
   * The key of a private network: the text of a `swarm.key` file, or its 32 bytes. Only TCP, WebSocket and relays are
   * used then; WebRTC and WebTransport would leave the network.
   */
  preSharedKey?: string | Uint8Array
  /**
   * A page's resolver for `/dnsaddr` addresses: the URL of a DNS-over-HTTPS server (RFC 8484), which then learns what is looked up. None by
   * default; Node asks the system's.
   */
  dnsOverHttps?: string
  /**
   * Node only: ask the network's router, by NAT-PMP or, with `npm install nat-upnp-rejetto`, UPnP, to let others reach the ports that are listened
   * on. Off: whether a router opens its door is for its owner to say.
   */
  portMapping?: boolean
  /** The DHT (`peer.dht`, and `dial` of a peer whose addresses nobody knows); `false` for none. A client of the public network if absent. */
  dht?: DhtOptions | false
  /**
   * HTTP servers that find peers, providers and IPNS records for those who do not look in the DHT themselves: base URLs of `/routing/v1`. They are
   * asked beside the DHT, and learn what is looked for. None by default.
   */
  delegatedRouting?: string[]
  /** Answer `/perf/1.0.0`: anyone may then measure, at the cost of this peer's bandwidth. Off. */
  perf?: boolean
  /** Publish/subscribe by gossipsub, see `peer.pubsub`; on. `false` speaks none of its protocols. */
  pubsub?: GossipsubOptions | false
  /** Gives the start up. */
  signal?: AbortSignal
  /** Hears what happens inside; also `localStorage.debug = 'tabmesh:*'`. */
  logger?: (entry: LogEntry) => void
}

/** Kademlia, as libp2p specifies it. Its first peers are those of `bootstrap`, and whoever else is met that serves it. */
export interface DhtOptions {
  /**
   * `'client'` asks and is not asked (default). `'server'` answers others too, and keeps records for them: for peers that others can dial. `'auto'`
   * is a server while others reach this peer (Node).
   */
  mode?: 'client' | 'server' | 'auto'
  /** `/ipfs/kad/1.0.0` by default; `/ipfs/lan/kad/1.0.0` of a `'lan'`. A network of your own has its own. */
  protocol?: string
  /**
   * Whose addresses count: those that anybody can dial, or only those of private networks, or all. By default `'any'` where this page or the peers
   * that it begins with are on this machine or in a private network, else `'public'`.
   */
  network?: 'public' | 'lan' | 'any'
  /** What records in namespaces of your own must be, besides `pk` and `ipns`: `{ app: (key, value) => … }` is for keys `/app/…`. */
  validators?: Record<string, RecordValidator>
  /** Which of several valid ones is the best; the first if absent. */
  selectors?: Record<string, RecordSelector>
}

/** Only `true` is valid; a throw refuses too. It has 5 seconds. The key is whole, with its namespace. */
export type RecordValidator = (key: Uint8Array, value: Uint8Array) => boolean | Promise<boolean>

/** The place of the best value. It has 5 seconds. */
export type RecordSelector = (key: Uint8Array, values: Uint8Array[]) => number | Promise<number>

export interface FoundPeer {
  readonly id: string
  /** As others say: to be dialled, `/p2p/<id>` included. May be none. */
  readonly addresses: readonly string[]
}

export interface GetOptions extends CallOptions {
  /** How many peers must have the same value for it to be enough; 3. 0: all are asked. */
  quorum?: number
  /** Hears of each valid value that is better than those before it, as soon as one is found; the last of them is the result. */
  onValue?: (value: Uint8Array) => void
}

/** Each is on where the platform has it. */
export interface TransportOptions {
  webSocket?: boolean
  /** A page's. */
  webTransport?: boolean
  webRTCDirect?: boolean
  /** Node's. */
  tcp?: boolean
  /** Node's, where the package `@chainsafe/libp2p-quic` is installed. */
  quic?: boolean
  circuitRelay?: boolean
  /** `bridge: true` keeps data channels on the main thread even where they could be transferred to the worker. */
  webRTC?: boolean | { bridge?: boolean }
}

export interface ConnectionOptions {
  /** Connections, all together; 100. */
  max?: number
  /** Connections to one peer; 8. */
  maxPerPeer?: number
  /**
   * Inbound connections from one public address (of IPv6 a /64); half of `max`. Addresses of this machine and of private networks are not
   * counted: a proxy there speaks for everybody.
   */
  maxPerIp?: number
  /** Inbound connections that are still being secured; 32. */
  maxIncomingPending?: number
  /** Milliseconds for one dial; 30,000. */
  dialTimeout?: number
  /** Decides with whom this peer deals; everybody if absent. */
  gater?: Gater
}

/**
 * The application decides with whom its peer deals. Only the hooks that are there when the peer starts are asked, each as a method of the gater,
 * several at a time.
 *
 * `true` allows. `false` refuses: with ERR_GATED here, among the `errors` of a dial; the remote sees a closed connection and is not told why. A
 * hook that throws, rejects or answers anything else refuses too, and is an `error` event of ERR_HANDLER. One that has not answered within
 * 5 seconds refuses as well: the remote does not wait for ever.
 */
export interface Gater {
  /** Before an address is tried: nothing of it has been contacted yet. */
  dial?(attempt: DialAttempt): Verdict
  /** Somebody has come: nothing of it has been read yet. */
  accept?(newcomer: Newcomer): Verdict
  /** The remote has proved who it is, on a connection of either direction. */
  secured?(remote: SecuredRemote): Verdict
  /** The connection is whole, and nobody has heard of it yet. */
  upgraded?(connection: UpgradedConnection): Verdict
  /** A relay's: a peer wants to be reachable through it. A peer that is no relay is never asked. */
  reservation?(request: ReservationRequest): Verdict
}

export type Verdict = boolean | Promise<boolean>

export interface DialAttempt {
  /** Undefined where the address does not tell, and nobody knows. */
  readonly remotePeer: string | undefined
  readonly remoteAddr: string
}

export interface Newcomer {
  /** Where it comes from, as a socket or a relay has it; behind a relay with the peer id that the relay announces, which is not proved yet. */
  readonly remoteAddr: string
}

export interface SecuredRemote {
  readonly remotePeer: string
  readonly remoteAddr: string
  readonly direction: 'inbound' | 'outbound'
}

export type UpgradedConnection = Pick<
  ConnectionInfo,
  'remotePeer' | 'remoteAddr' | 'direction' | 'transport' | 'limited' | 'encryption' | 'muxer'
>

export interface ReservationRequest {
  readonly remotePeer: string
}

export interface LogEntry {
  /** Unix milliseconds. */
  time: number
  scope: string
  message: string
  detail?: unknown
}

/** A peer id, a multiaddr, or several multiaddrs of one peer. */
export type Target = string | readonly string[]

export type TransportName = 'websocket' | 'relay' | 'webrtc' | 'webtransport' | 'webrtc-direct' | 'tcp' | 'quic' | 'memory'

/** A snapshot; `peer.connections` holds fresh ones. */
export interface ConnectionInfo {
  readonly id: string
  readonly remotePeer: string
  readonly remoteAddr: string
  readonly direction: 'inbound' | 'outbound'
  readonly transport: TransportName
  /** Whether its relay limits it in time or bytes. */
  readonly limited: boolean
  readonly encryption: string
  readonly muxer: string
  /** Unix milliseconds. */
  readonly openedAt: number
  /** Streams open on it. */
  readonly streams: number
  /** Milliseconds, once measured. */
  readonly rtt: number | undefined
  /** Where the remote sees us come from, as it says; not over a relay, which is all that it sees there. */
  readonly observedAddr: string | undefined
}

export interface StreamInfo {
  readonly id: string
  readonly protocol: string
  readonly remotePeer: string
  readonly direction: 'inbound' | 'outbound'
}

export interface OpenStreamOptions extends CallOptions {
  /** Whether a connection that its relay limits will do. */
  allowLimited?: boolean
}

export interface HandleOptions {
  /** Streams that one connection's remote may have open at a time; 32. */
  maxInbound?: number
  /** Whether to answer on connections that their relay limits. */
  allowLimited?: boolean
}

/** What the remote of a `fetch` asks for. */
export interface FetchRequest {
  readonly remotePeer: string
  /** The key as it came: it need not be text. */
  readonly bytes: Uint8Array
}

/** Looks up the value under a key; undefined if there is none. Its throw or rejection tells the remote that it failed, and no more. */
export type FetchLookup = (key: string, request: FetchRequest) => Uint8Array | string | undefined | Promise<Uint8Array | string | undefined>

export interface PerfOptions extends CallOptions {
  /** Bytes to send; 0. */
  upload?: number
  /** Bytes to have sent back; 0. */
  download?: number
}

/** With both directions in one call, the first byte of the answer is where the upload's time ends and the download's begins. */
export interface PerfResult {
  readonly upload: { readonly bytes: number; readonly ms: number }
  readonly download: { readonly bytes: number; readonly ms: number }
}

/** What the peer store knows of a peer. */
export interface KnownPeer {
  readonly id: string
  /** All that are known, the certified ones first. */
  readonly addresses: readonly string[]
  /** Those that the peer itself has signed. */
  readonly certified: readonly string[]
  readonly protocols: readonly string[]
  readonly agent: string | undefined
  readonly tags: Readonly<Record<string, number>>
  /** Unix milliseconds. */
  readonly seenAt: number
}

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

export interface JoinOptions<P = unknown> extends CallOptions {
  /**
   * Makes the room end-to-end private: its topic, its namespace at relays and the key of all that is said in it are derived from name and password.
   * Who has another password is in another room. Hashing takes some 300 ms, in the engine.
   */
  password?: string
  /** What members are told of this one from the start: see `room.presence`. */
  presence?: P
}

/** A member of a room, as it is now. */
export interface RoomPeer<P = unknown> {
  /** Whether there is a connection with it that no relay carries. */
  readonly direct: boolean
  /** What carries the connection; undefined where there is none of our own: others pass on what is said. */
  readonly transport: TransportName | undefined
  /** Milliseconds, once measured. */
  readonly rtt: number | undefined
  /** What it tells of itself; undefined where it tells nothing. */
  readonly presence: P | undefined
}

export interface RoomMessage {
  readonly from: string
  readonly data: Uint8Array
  /** Whether it was sent to this peer only, by `sendTo`. */
  readonly private: boolean
  /** `data` as UTF-8. */
  text(): string
}

export interface SendFileOptions extends CallOptions {
  /** What the receiver sees; the file's own name by default. */
  name?: string
  /** Called as the receiver takes it, about each MiB; `sent` bytes of `size` are there. */
  onProgress?: (progress: { sent: number; size: number }) => void
}

/** A file that a member sends to this peer. Nothing of it comes before `accept`; who does neither has rejected it after ten minutes. */
export interface RoomFile {
  readonly from: string
  /** As the sender says, without what would lead to another folder. */
  readonly name: string
  /** MIME, as the sender says; may be empty. */
  readonly type: string
  readonly size: number
  /**
   * Its bytes, as they come: it is sent no faster than they are read, and never in memory as a whole. The stream closes when all has come and its
   * hash is that of what was sent; else it fails: with ERR_FILE_CORRUPT, or where the rest did not come. Cancelling it gives the file up. Once.
   */
  accept(): ReadableStream<Uint8Array>
  reject(): void
}

/** What happens in a room, in the `detail` of the event of that name. */
export interface RoomEvents<P = unknown> {
  /**
   * Something that another member said. What one member says to all comes in the order in which it did, each message once; and so does what it says
   * to this peer alone, beside that. What is lost on the way is asked for again; only what can't be had within five seconds is left out.
   */
  message: RoomMessage
  join: { peer: string; presence: P | undefined }
  /**
   * `'left'` by its own word, or `'lost'`: it closed its page, sleeps or has no network. That shows within some seconds where its connections break, and
   * after 30 seconds in any case (later in rooms of more than 50 members).
   */
  leave: { peer: string; reason: 'left' | 'lost' }
  /** A member has changed what it tells of itself. Of several changes within a moment only the last one is told. */
  presence: { peer: string; presence: P | undefined }
  /** A member sends a file to this peer. */
  file: RoomFile
}

/** Whether others can dial us without a relay, as far as they have said (AutoNAT). */
export type Reachability = 'public' | 'private' | 'unknown'

/** What happened, in the `detail` of the event of that name. */
export interface PeerEvents {
  'peer:connect': { peer: string }
  'peer:disconnect': { peer: string }
  'peer:identify': { peer: string; protocols: readonly string[]; addresses: readonly string[]; agent: string; connection: ConnectionInfo }
  'connection:open': ConnectionInfo
  /** Its streams, its round trip or what it is used for have changed; at most ten times a second. */
  'connection:change': ConnectionInfo
  'connection:close': ConnectionInfo & { error: TabmeshError | undefined }
  'addresses:change': { addresses: readonly string[] }
  /** Others have found out whether they reach us without a relay; `addresses` are those they reached. Never in a page, which nobody can dial. */
  'reachability:change': { reachability: Reachability; addresses: readonly string[] }
  /** `addresses` are what others can dial us at through it, `expires` Unix milliseconds. */
  'relay:reserved': { relay: string; addresses: readonly string[]; expires: number }
  'relay:lost': { relay: string; error: TabmeshError | undefined }
  error: TabmeshError
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

/** Counters since the start. */
export interface Metrics {
  /** Undefined where pubsub is off. */
  readonly pubsub: PubsubMetrics | undefined
  readonly connections: Readonly<Record<string, { open: number; total: number }>>
  readonly protocols: Readonly<Record<string, { open: number; total: number; received: number; sent: number }>>
}
