/**
 * The public types: plain values only. A peer id is its text, a multiaddr is its text, payloads are Uint8Array. Beside them are those of the gater, of
 * pubsub and of rooms (types/).
 */

import type { TabmeshError } from './errors.ts'
import type { Gater } from './types/gater.ts'
import type { GossipsubOptions, PubsubMetrics } from './types/pubsub.ts'

export type { ErrorCode } from './errors.ts'

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
   * time (default elsewhere), `privateKey` is a libp2p protobuf key. A persistent key can be used by a page but not read; the others are in
   * the memory of the engine's worker, which signs many messages at once in less than half of the time with them.
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

/** Counters since the start. */
export interface Metrics {
  /** Undefined where pubsub is off. */
  readonly pubsub: PubsubMetrics | undefined
  readonly connections: Readonly<Record<string, { open: number; total: number }>>
  readonly protocols: Readonly<Record<string, { open: number; total: number; received: number; sent: number }>>
}
