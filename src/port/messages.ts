/**
 * Everything that crosses the border between the page and the engine, in one place.
 *
 *   page ── commands (Comlink over one MessagePort) ─────────▶ engine
 *   page ◀─ events, questions, incoming streams (one port) ──── engine
 *   page ◀─ RTCPeerConnection calls and news (one MessagePort) ▶ engine
 *   page ◀─ data, credit (one MessagePort for each stream) ───▶ engine
 *   page ◀─ messages of pubsub, in batches (one lane) ────────▶ engine
 *   page ◀─ what happens in a room (one lane for each) ───────▶ engine
 *
 * The identity key never crosses, unless the application itself handed it in.
 */

import type { PlainError } from '../errors.ts'
import type { Gater } from '../types/gater.ts'
import type { PubsubState, SubscribeOptions } from '../types/pubsub.ts'
import type {
  ConnectionInfo,
  ConnectionOptions,
  KnownPeer,
  Metrics,
  OpenStreamOptions,
  PerfResult,
  Reachability,
  StreamInfo,
  Target,
} from '../types.ts'
import type { DhtCommands, DhtEvent, EngineDht } from './dht-messages.ts'
import type { PubsubSettings } from './pubsub-records.ts'
import type { FileAnswered, FileToSend, RoomJoined } from './room-records.ts'

/** The first message to a worker: what marks it as ours, and the ports. */
export interface EngineInit {
  readonly tabmesh: 'engine'
  readonly control: MessagePort
  readonly events: MessagePort
  readonly rtc: MessagePort
}

/** `PeerOptions` as far as the engine is concerned. */
export interface EngineOptions {
  readonly name: string
  readonly identity: 'persistent' | 'ephemeral' | { readonly privateKey: Uint8Array }
  readonly relays: readonly string[]
  /** Relays to hold a slot with at a time; undefined: all of them. */
  readonly reservations: number | undefined
  readonly bootstrap: readonly string[]
  /** Undefined: whatever the platform can. */
  readonly listen: readonly string[] | undefined
  readonly transports: {
    readonly webSocket: boolean
    readonly webTransport: boolean
    readonly webRTC: boolean
    readonly webRTCDirect: boolean
    readonly tcp: boolean
    readonly quic: boolean
    readonly circuitRelay: boolean
  }
  readonly encryption: readonly ('noise' | 'tls')[]
  readonly mplex: boolean | string
  readonly preSharedKey: string | Uint8Array | undefined
  readonly perf: boolean
  readonly dht: EngineDht | undefined
  readonly delegatedRouting: readonly string[]
  readonly pubsub: PubsubSettings | false
  readonly connections: Omit<ConnectionOptions, 'gater'>
  /** The hooks of the page's gater: what has none is not asked about, and no message is sent for it. */
  readonly gates: readonly GateName[]
  /** Whether the page may open only secure sockets: it was loaded over https. */
  readonly secureOnly: boolean
  /** Whether the page came from this machine or its network: then private addresses of others are worth a dial. */
  readonly near: boolean
  readonly dnsOverHttps: string | undefined
}

export type GateName = keyof Gater

/** What the gater's hook of this name is asked. */
export type GateQuestion = { readonly [N in GateName]: { readonly hook: N; readonly about: Parameters<Required<Gater>[N]>[0] } }[GateName]

export interface EngineStarted {
  readonly id: string
  readonly publicKey: Uint8Array
  readonly protocols: readonly string[]
  readonly addresses: readonly string[]
  /** The lane of published and heard messages (pubsub-records.ts); undefined where pubsub is off. */
  readonly pubsub: MessagePort | undefined
}

export type StreamOptions = Pick<OpenStreamOptions, 'allowLimited'>

/** Name → arguments and result of every command. */
export interface Commands extends DhtCommands {
  start: { args: EngineOptions; result: EngineStarted }
  stop: { args: undefined; result: undefined }
  dial: { args: Target; result: ConnectionInfo }
  hangUp: { args: string; result: undefined }
  openStream: {
    args: { target: Target; protocols: readonly string[]; options: StreamOptions }
    result: { info: StreamInfo; port: MessagePort }
  }
  handle: { args: { protocol: string; maxInbound?: number; allowLimited?: boolean }; result: undefined }
  unhandle: { args: string; result: undefined }
  ping: { args: Target; result: number }
  fetch: { args: { target: Target; key: Uint8Array }; result: Uint8Array | undefined }
  /** From now on the page answers the lookups of keys that begin with this. */
  handleFetch: { args: string; result: undefined }
  unhandleFetch: { args: string; result: undefined }
  /** The page's answer to a `lookup` event. */
  answerLookup: { args: LookupAnswer; result: undefined }
  /** The page's answer to a `gate` event. */
  answerGate: { args: { id: number; allowed: boolean }; result: undefined }
  perf: { args: { target: Target; upload: number; download: number }; result: PerfResult }
  /** Joins the topic; `validated`: the page decides on its messages; `partial`: what it has to do with parts of them. */
  subscribe: { args: { topic: string; validated: boolean; partial: SubscribeOptions['partial'] }; result: undefined }
  unsubscribe: { args: string; result: undefined }
  pubsub: { args: undefined; result: PubsubState }
  scorePeer: { args: { id: string; value: number }; result: undefined }
  rejectParts: { args: { id: string; topic: string }; result: undefined }
  directPeer: { args: { id: string; on: boolean }; result: undefined }
  /** Joins a room; `presence` is JSON. */
  joinRoom: { args: { name: string; password: string | undefined; presence: Uint8Array | undefined }; result: RoomJoined }
  leaveRoom: { args: number; result: undefined }
  /** Resolves when it has come there. */
  sendFile: { args: FileToSend; result: undefined }
  answerFile: { args: FileAnswered; result: undefined }
  /** What the page saw of the network. */
  network: { args: NetworkNews; result: undefined }
  metrics: { args: undefined; result: Metrics }
  peers: { args: undefined; result: readonly KnownPeer[] }
  peer: { args: string; result: KnownPeer | undefined }
  tagPeer: { args: { id: string; tag: string; value: number }; result: undefined }
  deletePeer: { args: string; result: boolean }
}

/** What the page found: a value, nothing, or an error of its own, which it reports itself. */
export interface LookupAnswer {
  readonly id: number
  readonly data: Uint8Array | undefined
  readonly failed: boolean
}

/** It went away; or it is there: again, or another, or this machine slept and does not know. */
export type NetworkNews = 'offline' | 'online'

export type CommandName = keyof Commands

/** What the engine exposes through Comlink. */
export interface EngineControl {
  run<N extends CommandName>(id: number, name: N, args: Commands[N]['args']): Promise<Commands[N]['result']>
  /** Gives a running command up; it rejects with ERR_STREAM_CLOSED, which nobody sees any more. */
  cancel(id: number): Promise<void>
}

/** Engine → page, beside the answers to commands. */
export type EngineEvent =
  | { readonly t: 'connection:open'; readonly info: ConnectionInfo }
  | { readonly t: 'connection:change'; readonly info: ConnectionInfo }
  | { readonly t: 'connection:close'; readonly info: ConnectionInfo; readonly error: PlainError | undefined }
  | { readonly t: 'peer:connect'; readonly peer: string }
  | { readonly t: 'peer:disconnect'; readonly peer: string }
  | {
      readonly t: 'peer:identify'
      readonly info: ConnectionInfo
      readonly protocols: readonly string[]
      readonly addresses: readonly string[]
      readonly agent: string
    }
  | { readonly t: 'addresses:change'; readonly addresses: readonly string[] }
  | { readonly t: 'reachability:change'; readonly reachability: Reachability; readonly addresses: readonly string[] }
  | { readonly t: 'protocols:change'; readonly protocols: readonly string[] }
  | { readonly t: 'relay:reserved'; readonly relay: string; readonly addresses: readonly string[]; readonly expires: number }
  | { readonly t: 'relay:lost'; readonly relay: string; readonly error: PlainError | undefined }
  | { readonly t: 'error'; readonly error: PlainError }
  /** A remote asks for the value under `key`: the page answers with `answerLookup` of the same `id`, or too late. */
  | { readonly t: 'lookup'; readonly id: number; readonly prefix: string; readonly key: Uint8Array; readonly peer: string }
  /** The gater is asked: the page answers with `answerGate` of the same `id`, or too late. */
  | { readonly t: 'gate'; readonly id: number; readonly question: GateQuestion }
  | { readonly t: 'dht'; readonly event: DhtEvent }
  /** A remote opened a stream of a protocol that the page handles. */
  | { readonly t: 'stream'; readonly info: StreamInfo; readonly connection: ConnectionInfo; readonly port: MessagePort }

/** Engine → page: what to do with RTCPeerConnection `id`. */
export type RtcCommand =
  /** `iceServers`: `stun:` URLs to use unless the application has configured servers of its own. */
  | { readonly t: 'create'; readonly id: number; readonly iceServers: readonly string[] }
  | { readonly t: 'makeOffer'; readonly id: number }
  | { readonly t: 'makeAnswer'; readonly id: number; readonly sdp: string }
  /** An offer that restarts ICE. */
  | { readonly t: 'restart'; readonly id: number }
  /** Data channel 0 and an offer with these credentials, where they are given; the page answers with a `channel` of that number. */
  | { readonly t: 'makeDirectOffer'; readonly id: number; readonly channel: number; readonly ufrag: string | undefined }
  | { readonly t: 'setAnswer'; readonly id: number; readonly sdp: string }
  | { readonly t: 'addCandidate'; readonly id: number; readonly json: string }
  /** The page answers with a `channel` of the same number. */
  | { readonly t: 'openChannel'; readonly id: number; readonly channel: number }
  | { readonly t: 'close'; readonly id: number }

/** Page → engine: what RTCPeerConnection `id` has to say. */
export type RtcNews =
  | { readonly t: 'description'; readonly id: number; readonly type: 'offer' | 'answer'; readonly sdp: string }
  | { readonly t: 'candidate'; readonly id: number; readonly json: string }
  | { readonly t: 'state'; readonly id: number; readonly state: 'connected' | 'disconnected' | 'failed' | 'closed' }
  /** ICE has found a path; DTLS follows. */
  | { readonly t: 'reached'; readonly id: number }
  | { readonly t: 'refused'; readonly id: number; readonly error: PlainError }
  /** A data channel: itself where it can be transferred, else a port that stands for it. `channel` is 0 if the remote opened it. */
  | {
      readonly t: 'channel'
      readonly id: number
      readonly channel: number
      readonly label: string
      readonly via: RTCDataChannel | MessagePort
    }
