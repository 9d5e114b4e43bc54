/**
 * What protocols and transports are to the engine, and what the engine (`Net`) is to them.
 *
 * A service is a protocol as the host mounts it. A transport turns an address into a link and never calls up. The set
 * of both is a list handed to the node, so an application pays only for what it uses. Protocols never import each
 * other: what they need of one another (a dial, a ping, an identified peer) they get from `Net`.
 */

import type { TabmeshError } from '../../errors.ts'
import type { PublicKey } from '../codec/keys.ts'
import type { Multiaddr } from '../codec/multiaddr.ts'
import type { PeerId } from '../codec/peer-id.ts'
import type { Cancel, Host } from '../host.ts'
import type { Channel } from '../wire/channel.ts'
import type { Outcome } from '../wire/conversation.ts'
import type { Muxer } from '../wire/muxer.ts'
import type { NoiseSession } from '../wire/noise/handshake.ts'
import type { Connection } from './connection.ts'
import type { Question } from './gater.ts'
import type { Stream } from './stream.ts'

/** What a relay allows on a circuit (specs: relay/circuit-v2.md, `Limit`); absent fields are unlimited. */
export interface Limit {
  /** Milliseconds the circuit may live. */
  readonly duration?: number
  /** Bytes it may carry in each direction. */
  readonly data?: number
}

/** What a transport returns: a way to a peer that is not yet a connection. */
export type Link =
  /** A plain byte pipe: security and muxing are added to it. */
  | {
      readonly t: 'pipe'
      readonly channel: Channel
      readonly transport: TransportName
      readonly remoteAddr: Multiaddr
      /** Set on a circuit whose relay limits it: only protocols that allow it run there. */
      readonly limit?: Limit
    }
  /** A native multiplexer, already secured and bound to an authenticated peer. */
  | {
      readonly t: 'muxed'
      readonly muxer: Muxer
      readonly transport: TransportName
      readonly remoteAddr: Multiaddr
      readonly remotePeer: PeerId
      /** What protects it, for `ConnectionInfo.encryption`: `/noise`, `/tls/1.0.0`, `dtls`. */
      readonly encryption: string
    }

export type TransportName = 'websocket' | 'relay' | 'webrtc' | 'webtransport' | 'webrtc-direct' | 'tcp' | 'quic' | 'memory'

export interface Transport {
  readonly name: TransportName
  /** Milliseconds that one address may take where DIAL_ADDRESS_TIMEOUT is too little. */
  readonly timeout?: number
  /** Whether `dial` can try this address at all. Cheap and pure. */
  matches(address: Multiaddr): boolean
  /** Tries one address; `done` is called once, never before `dial` returns. The returned function gives up and closes what there is. */
  dial(address: Multiaddr, net: Net, done: (outcome: Outcome<Link>) => void): Cancel
}

export interface ProtocolOptions {
  /** Streams of it that one connection's remote may have open at a time; STREAMS_MAX_INBOUND if absent. */
  readonly maxInbound?: number
  /** Whether it may run on a connection that its relay limits. */
  readonly allowLimited?: boolean
}

export interface Service {
  readonly name: string
  /** Protocol ids it answers, with their limits. */
  readonly protocols: Readonly<Record<string, ProtocolOptions>>
  /** It makes direct connections to those whom only a relay connects: a stream that may not run over that one waits for it. */
  readonly upgrades?: boolean
  /** Called once with the engine, before any other call. */
  start?(net: Net): void
  /** A remote opened a stream of one of `protocols`; the service attaches to it or aborts it. */
  onStream?(stream: Stream): void
  onConnection?(connection: Connection): void
  /** The connection is gone; `fault` tells why unless it was closed in order. */
  onDisconnect?(connection: Connection, fault: TabmeshError | undefined): void
  /** Identify has told what the remote of this connection speaks and where it listens. */
  onIdentify?(connection: Connection): void
  /** Whether this stream of one of `protocols`, of either side, is no reason to keep its connection. None is, if absent. */
  spares?(stream: Stream): boolean
  /** The user wants no connection to `peer` any more: what would make one is given up. */
  onHangUp?(peer: PeerId): void
  /** Addresses under which this service would look for a peer of which no address is known. */
  routes?(peer: PeerId): readonly Multiaddr[]
  /** Looks for a peer elsewhere, when no other address of it has led to it; `done` is called once, after the call has returned, perhaps with none. */
  search?(peer: PeerId, done: (addresses: readonly Multiaddr[]) => void): Cancel
  /** What this peer tells others of itself (addresses, protocols) has changed. */
  onSelfChange?(): void
  /** The network is away, or is there: again, as another one, or after a sleep. */
  onNetworkChange?(online: boolean): void
  stop?(): void
}

/** What identify learnt about the remote of a connection. */
export interface Identified {
  readonly protocols: readonly string[]
  /** The certified ones where there are any, else what it said unsigned. */
  readonly addresses: readonly Multiaddr[]
  /** Those of its verified record. */
  readonly certified: readonly Multiaddr[] | undefined
  readonly agent: string
  readonly protocolVersion: string
  /** How the remote sees us; meaningless over a relay. */
  readonly observed: Multiaddr | undefined
  /** The signed envelope, when it was verified, and its number: newer ones are higher. */
  readonly signedRecord: Uint8Array | undefined
  readonly recordSeq: bigint | undefined
}

export interface DialOptions {
  /** Milliseconds for the whole dial; DIAL_TIMEOUT if absent. */
  readonly timeout?: number
  /** Nobody waits for it: addresses that failed lately are left alone, and ERR_BACK_OFF says for how long where there are no others. */
  readonly background?: boolean
  /** Milliseconds that an open relayed connection waits for the direct one negotiated over it before it is the answer; RELAY_SETTLE if absent. */
  readonly settle?: number
  /** The caller needs the connection for a moment only, and may `release` it then. */
  readonly passing?: boolean
}

export interface OpenOptions {
  /** Whether a connection limited by its relay will do. */
  readonly allowLimited?: boolean
}

/** How a transport has Noise prove who is at the other end of a stream of its own. */
export interface AuthenticateOptions {
  readonly role: 'initiator' | 'responder'
  /** The peer that must answer; any if absent. */
  readonly expectedPeer?: PeerId | undefined
  /** What both sides must agree on besides: the fingerprints of WebRTC-direct. */
  readonly prologue?: Uint8Array
  /** Milliseconds; UPGRADE_TIMEOUT if absent. */
  readonly timeout?: number
}

/** Who is dialled: a peer, addresses, or both. */
export interface DialTarget {
  /** The peer that must answer; read from the addresses where absent; any peer if they do not say either. */
  readonly peer?: PeerId
  readonly addresses: readonly Multiaddr[]
}

/** What happens, for whoever shows it: the port to the page, the relay's log, a test. */
export type NetEvent =
  | { readonly t: 'connection:open'; readonly connection: Connection }
  | { readonly t: 'connection:close'; readonly connection: Connection; readonly fault: TabmeshError | undefined }
  | { readonly t: 'connection:change'; readonly connection: Connection }
  | { readonly t: 'peer:connect'; readonly peer: PeerId }
  | { readonly t: 'peer:disconnect'; readonly peer: PeerId }
  | { readonly t: 'peer:identify'; readonly connection: Connection; readonly identified: Identified }
  | { readonly t: 'addresses:change'; readonly addresses: readonly Multiaddr[] }
  | { readonly t: 'protocols:change'; readonly protocols: readonly string[] }
  | { readonly t: 'relay:reserved'; readonly relay: PeerId; readonly expires: number; readonly addresses: readonly Multiaddr[] }
  | { readonly t: 'relay:lost'; readonly relay: PeerId; readonly fault: TabmeshError | undefined }
  /** Whether anybody can dial us without a relay, and the addresses that others have reached us at. */
  | {
      readonly t: 'reachability:change'
      readonly reachability: 'public' | 'private' | 'unknown'
      readonly addresses: readonly Multiaddr[]
    }
  | { readonly t: 'error'; readonly error: TabmeshError }

/** The engine as services and transports see it. */
export interface Net {
  readonly host: Host
  readonly self: PeerId
  readonly publicKey: PublicKey
  /** What we can be dialled at, without our `/p2p`. */
  readonly addresses: readonly Multiaddr[]
  /** Protocols we answer; on limited connections only those that allow it. */
  protocols(limited: boolean): readonly string[]
  /** Open connections, all or those to one peer, best first. */
  connections(peer?: PeerId): readonly Connection[]
  /** Connects, or answers with the connection there is. The returned function gives this caller's interest up. */
  dial(target: DialTarget, done: (outcome: Outcome<Connection>) => void, options?: DialOptions): Cancel
  /**
   * Closes a connection that a dial in passing has opened, unless somebody has a use for it: dialled the peer otherwise, tagged it, or has a stream
   * open. The caller's own tag, and its streams, do not count. Returns whether it closes.
   */
  release(connection: Connection, own: { readonly tag: string; readonly protocol: string }): boolean
  /** A remote came to us: secures and muxes the link and makes a connection of it. */
  accept(link: Link, done?: (outcome: Outcome<Connection>) => void): void
  /** Makes a connection of a link we dialled ourselves to `peer`, outside of `dial`. */
  adopt(link: Link, peer: PeerId, done: (outcome: Outcome<Connection>) => void): void
  /**
   * Runs Noise over `channel`, for transports that bring their own multiplexer and security but not a proof of identity (WebTransport,
   * WebRTC-direct). Afterwards the channel is detached and whole; on failure it is aborted. Returns how to give up.
   */
  authenticate(
    channel: Channel,
    options: AuthenticateOptions,
    done: (outcome: Outcome<NoiseSession>) => void,
  ): (fault: TabmeshError) => void
  /** How much a peer is worth keeping to whoever calls it `name`: 0 to 100, or undefined for no more. `keep-alive…` keeps it, see prune.ts. */
  tag(peer: PeerId, name: string, value: number | undefined): void
  /** All tags of a peer: those of the services and those in the peer store. */
  tags(peer: PeerId): Readonly<Record<string, number>>
  /** Asks the application's gater, if there is one; `done` hears why not, or undefined. May answer at once. */
  gate(question: Question, done: (refusal: TabmeshError | undefined) => void): Cancel
  /** Replaces the addresses that `source` (a service's name) knows us under. */
  announce(source: string, addresses: readonly Multiaddr[]): void
  /** Records what identify learnt; tells the services and listeners. */
  identified(connection: Connection, identified: Identified): void
  emit(event: NetEvent): void
}
