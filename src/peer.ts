/**
 * Peer: the page's end of an engine. Small: it mirrors what the engine tells and passes calls on; it knows no protocol.
 */

import { type Dht, type DhtPort, openDht } from './dht.ts'
import { utf8 } from './engine/codec/bytes.ts'
import { FETCH_MAX_KEY } from './engine/limits.ts'
import { asTabmeshError, inflateError, type PlainError, TabmeshError } from './errors.ts'
import { Lookups } from './lookups.ts'
import { type PeerStoreView, peerStoreView } from './peer-store-view.ts'
import { type PeerStream, peerStream } from './peer-stream.ts'
import { ControlClient } from './port/control.ts'
import { decide } from './port/gates.ts'
import type { EngineEvent, EngineOptions, EngineStarted, GateQuestion, NetworkNews } from './port/messages.ts'
import type { Judges } from './port/namespaces.ts'
import type { RoomJoined } from './port/room-records.ts'
import { Pubsub } from './pubsub.ts'
import { encodePresence, Room } from './room.ts'
import type { Gater } from './types/gater.ts'
import type { JoinOptions } from './types/room.ts'
import type {
  CallOptions,
  ConnectionInfo,
  FetchLookup,
  HandleOptions,
  LogEntry,
  Metrics,
  OpenStreamOptions,
  PeerEvents,
  PerfOptions,
  PerfResult,
  Reachability,
  StreamInfo,
  Target,
} from './types.ts'

/** Bytes a millisecond: a perf call that is slower and yet never stands still is given up in the end. */
const SLOWEST = 10

/** A remote's stream of a protocol that the application handles. Its throw or rejection resets the stream. */
export type StreamHandler = (stream: PeerStream, context: { remotePeer: string; connection: ConnectionInfo }) => void | Promise<void>

/** What `Peer` needs of the engine that it fronts; `launch` makes it in a browser, Node has its own. */
export interface EngineHandle {
  readonly control: MessagePort
  readonly events: MessagePort
  onDeath: (error: TabmeshError) => void
  end(): void
}

/** What of the options is the page's own. */
interface Extras {
  /** Has the hooks that `options.gates` names. */
  gater?: Gater | undefined
  /** Has the functions that `options.dht` names. */
  judges?: Judges | undefined
  /** Whether the application hears what it publishes itself. */
  emitSelf?: boolean | undefined
}

export interface Peer {
  addEventListener<K extends keyof PeerEvents>(
    type: K,
    listener: ((event: CustomEvent<PeerEvents[K]>) => void) | { handleEvent(event: CustomEvent<PeerEvents[K]>): void } | null,
    options?: boolean | AddEventListenerOptions,
  ): void
  removeEventListener<K extends keyof PeerEvents>(
    type: K,
    listener: ((event: CustomEvent<PeerEvents[K]>) => void) | { handleEvent(event: CustomEvent<PeerEvents[K]>): void } | null,
    options?: boolean | EventListenerOptions,
  ): void
}

// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: the interface only narrows the listener types of EventTarget
export class Peer extends EventTarget {
  /** Our peer id, base58btc. */
  readonly id: string
  /** Our public key, libp2p protobuf. */
  readonly publicKey: Uint8Array
  readonly peerStore: PeerStoreView
  readonly dht: Dht
  /** Publish/subscribe: topics that all who are in them hear, whoever is connected to whom. */
  readonly pubsub: Pubsub
  readonly #control: ControlClient
  readonly #engine: EngineHandle
  readonly #log: (entry: LogEntry) => void
  readonly #gater: Gater | undefined
  readonly #connections = new Map<string, ConnectionInfo>()
  readonly #handlers = new Map<string, StreamHandler>()
  readonly #lookups: Lookups
  /** Those that are not over: a port does not tell when the engine at its other end is gone. */
  readonly #streams = new Set<PeerStream>()
  readonly #rooms = new Set<Room>()
  readonly #onStopped: () => void
  readonly #dht: DhtPort
  #addresses: readonly string[] = []
  #protocols: readonly string[]
  #reachability: Reachability = 'unknown'
  #stopping: Promise<void> | undefined

  private constructor(
    started: EngineStarted,
    control: ControlClient,
    engine: EngineHandle,
    log: (entry: LogEntry) => void,
    { gater, judges = { validators: {}, selectors: {} }, emitSelf = false }: Extras,
    onStopped: () => void,
  ) {
    super()
    this.id = started.id
    this.publicKey = started.publicKey
    this.#protocols = started.protocols
    this.#addresses = started.addresses
    this.#control = control
    this.#engine = engine
    this.#log = log
    this.#gater = gater
    this.#onStopped = onStopped
    this.peerStore = peerStoreView(control)
    this.#lookups = new Lookups(control, (error) => this.#emit('error', error))
    this.#dht = openDht(control, judges, (error) => this.#emit('error', error))
    this.dht = this.#dht.dht
    this.pubsub = new Pubsub({
      self: started.id,
      port: started.pubsub,
      control,
      emitSelf,
      fail: (error) => this.#emit('error', error),
    })
    engine.events.onmessage = ({ data }: MessageEvent<EngineEvent>) => this.#hear(data)
    engine.onDeath = (error) => this.#die(error)
  }

  /** Starts `engine`; `createPeer` is what applications call. */
  static async start(
    engine: EngineHandle,
    options: EngineOptions,
    extras: Extras & {
      signal?: AbortSignal | undefined
      log: (entry: LogEntry) => void
      onStopped?: () => void
      /** What tells of the network where the host can't see it; returns how to end that. */
      watch?: (tell: (news: NetworkNews) => void) => () => void
    },
  ): Promise<Peer> {
    const control = new ControlClient(engine.control, options.connections.dialTimeout)
    engine.onDeath = (error) => control.die(error)
    try {
      const started = await control.run('start', options, extras.signal)
      const endWatch = extras.watch?.((news) => {
        control.run('network', news).catch(() => {})
      })
      return new Peer(started, control, engine, extras.log, extras, () => {
        endWatch?.()
        extras.onStopped?.()
      })
    } catch (error) {
      // An engine that does not end with its worker (inline, or in the application's) may have started all the same.
      control.run('stop', undefined).catch(() => {})
      control.die(asTabmeshError(error, 'ERR_STOPPED', 'the start was given up'))
      engine.end()
      throw error instanceof TabmeshError && error.code === 'ERR_ENGINE_DIED'
        ? new TabmeshError('ERR_ENGINE_START', 'the engine did not start', { cause: error })
        : error
    }
  }

  /** What others can dial us at, `/p2p/<id>` included. */
  get addresses(): string[] {
    return this.#addresses.map((address) => `${address}/p2p/${this.id}`)
  }

  /** Whether others can dial us without a relay; `unknown` until they have said, and always in a page. */
  get reachability(): Reachability {
    return this.#reachability
  }

  /** Protocols that we answer. */
  get protocols(): string[] {
    return [...this.#protocols]
  }

  get connections(): ConnectionInfo[] {
    return [...this.#connections.values()]
  }

  /** Peers with an open connection. */
  get peers(): string[] {
    return [...new Set(this.connections.map((connection) => connection.remotePeer))]
  }

  /**
   * Connects. A peer id, and addresses with a relayed way, resolve with the first connection that works, which moves to a
   * direct one by itself; a `/webrtc` address alone waits for the direct one and resolves with the relayed one if there is
   * none to be had. Rejects with ERR_DIAL_FAILED and one error for each address.
   */
  async dial(target: Target, options: CallOptions = {}): Promise<ConnectionInfo> {
    const info = await this.#control.run('dial', target, options.signal)
    return this.#connections.get(info.id) ?? info
  }

  /** Closes every connection to a peer. */
  async hangUp(peerId: string): Promise<void> {
    await this.#control.run('hangUp', peerId)
  }

  /** Opens a stream over the best connection, dialling first where there is none. With several protocols, the remote's first choice of ours. */
  async openStream(target: Target, protocol: string | readonly string[], options: OpenStreamOptions = {}): Promise<PeerStream> {
    const protocols = typeof protocol === 'string' ? [protocol] : protocol
    if (protocols.length === 0 || protocols.some((each) => each === ''))
      throw new TabmeshError('ERR_INVALID_ARGUMENT', 'no protocol was named')
    const { allowLimited } = options
    const args = { target, protocols, options: allowLimited === undefined ? {} : { allowLimited } }
    const { info, port } = await this.#control.run('openStream', args, options.signal)
    return this.#stream(info, port)
  }

  /** Answers streams of `protocol`. Rejects with ERR_PROTOCOL_TAKEN if it is handled already. */
  async handle(protocol: string, handler: StreamHandler, options: HandleOptions = {}): Promise<void> {
    if (this.#handlers.has(protocol)) throw new TabmeshError('ERR_PROTOCOL_TAKEN', `${protocol} is handled already`)
    this.#handlers.set(protocol, handler)
    const { maxInbound, allowLimited } = options
    try {
      await this.#control.run('handle', {
        protocol,
        ...(maxInbound === undefined ? {} : { maxInbound }),
        ...(allowLimited === undefined ? {} : { allowLimited }),
      })
    } catch (error) {
      this.#handlers.delete(protocol)
      throw error
    }
  }

  async unhandle(protocol: string): Promise<void> {
    this.#handlers.delete(protocol)
    await this.#control.run('unhandle', protocol)
  }

  /** The round trip in milliseconds; dials first where there is no connection. */
  async ping(target: Target, options: CallOptions = {}): Promise<number> {
    return this.#control.run('ping', target, options.signal)
  }

  /**
   * Asks a peer for the value under a key of at most 1 KiB (`/libp2p/fetch/0.0.1`); undefined if it has none. A value has at most
   * 4 MiB and 10 seconds. Rejects with ERR_FETCH_FAILED where the peer could not look it up.
   */
  async fetch(target: Target, key: string | Uint8Array, options: CallOptions = {}): Promise<Uint8Array | undefined> {
    const bytes = typeof key === 'string' ? utf8(key) : new Uint8Array(key)
    if (bytes.length > FETCH_MAX_KEY)
      throw new TabmeshError('ERR_INVALID_ARGUMENT', `a key has ${FETCH_MAX_KEY} bytes at most, not ${bytes.length}`)
    return this.#control.run('fetch', { target, key: bytes }, options.signal)
  }

  /**
   * Answers others that `fetch` a key that begins with `prefix`; the longest of several prefixes counts. Rejects with
   * ERR_PROTOCOL_TAKEN if the prefix is answered already. A lookup has 8 seconds.
   */
  async handleFetch(prefix: string, lookup: FetchLookup): Promise<void> {
    await this.#lookups.add(prefix, lookup)
  }

  async unhandleFetch(prefix: string): Promise<void> {
    await this.#lookups.remove(prefix)
  }

  /**
   * Measures how fast bytes go to a peer that answers `/perf/1.0.0` (option `perf`), and back. Runs in the engine, over the best
   * connection that no relay limits. Rejects with ERR_TIMEOUT when nothing moves for 30 seconds.
   */
  async perf(target: Target, { upload = 0, download = 0, signal }: PerfOptions = {}): Promise<PerfResult> {
    for (const bytes of [upload, download]) {
      if (!Number.isSafeInteger(bytes) || bytes < 0) throw new TabmeshError('ERR_INVALID_ARGUMENT', `${bytes} is not a number of bytes`)
    }
    return this.#control.run('perf', { target, upload, download }, signal, { longest: (upload + download) / SLOWEST })
  }

  /**
   * Joins a room: finds its members by the relays of this peer, connects with them, directly where that works and through a relay until then, and
   * tells each what all others say. Resolves when those who are there have been met, or after six seconds. With a `password` nobody else learns
   * the room's name, who is in it, or what is said.
   *
   * Rejects with ERR_INVALID_ARGUMENT for a name of over 200 bytes and for a room that this peer is in; ERR_UNSUPPORTED without `pubsub`.
   */
  async join<P = unknown>(name: string, { password, presence, signal }: JoinOptions<P> = {}): Promise<Room<P>> {
    const args = { name: String(name), password, presence: encodePresence(presence) }
    const discard = ({ id }: RoomJoined): void => void this.#control.run('leaveRoom', id).catch(() => {})
    const joined = await this.#control.run('joinRoom', args, signal, { discard })
    const room: Room<P> = new Room<P>(args.name, presence, joined, {
      control: this.#control,
      connection: (peer) => this.#bestConnection(peer),
      stream: (info, port) => this.#stream(info, port),
      onLeft: () => this.#rooms.delete(room as Room),
    })
    this.#rooms.add(room as Room)
    return room
  }

  /** A direct one, if there is one. */
  #bestConnection(peer: string): ConnectionInfo | undefined {
    let best: ConnectionInfo | undefined
    for (const each of this.#connections.values()) {
      if (each.remotePeer === peer && (best === undefined || best.transport === 'relay')) best = each
    }
    return best
  }

  async metrics(): Promise<Metrics> {
    return this.#control.run('metrics', undefined)
  }

  /** Closes everything in order, then ends the engine. Every call after it rejects with ERR_STOPPED. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  async #stop(): Promise<void> {
    try {
      await this.#control.run('stop', undefined)
    } finally {
      this.#shut(new TabmeshError('ERR_STOPPED', 'this peer is stopped'))
    }
  }

  #die(error: TabmeshError): void {
    if (this.#stopping !== undefined) return
    this.#stopping = Promise.resolve()
    const { connections, peers } = this
    this.#shut(error)
    for (const connection of connections) this.#emit('connection:close', { ...connection, error })
    for (const peer of peers) this.#emit('peer:disconnect', { peer })
    this.#emit('error', error)
  }

  #shut(error: TabmeshError): void {
    this.#connections.clear()
    this.#addresses = []
    this.#control.die(error)
    for (const stream of this.#streams) stream.abort(error)
    this.pubsub.end(error)
    for (const room of this.#rooms) room.end(error)
    this.#rooms.clear()
    this.#engine.events.close()
    this.#engine.end()
    this.#onStopped()
  }

  #hear(event: EngineEvent): void {
    switch (event.t) {
      case 'connection:open':
        this.#connections.set(event.info.id, event.info)
        return this.#emit('connection:open', event.info)
      case 'connection:change':
        if (!this.#connections.has(event.info.id)) return
        this.#connections.set(event.info.id, event.info)
        return this.#emit('connection:change', event.info)
      case 'connection:close':
        this.#connections.delete(event.info.id)
        return this.#emit('connection:close', { ...event.info, error: inflate(event.error) })
      case 'peer:connect':
        return this.#emit('peer:connect', { peer: event.peer })
      case 'peer:disconnect':
        return this.#emit('peer:disconnect', { peer: event.peer })
      case 'peer:identify': {
        const { info, protocols, addresses, agent } = event
        return this.#emit('peer:identify', { peer: info.remotePeer, protocols, addresses, agent, connection: info })
      }
      case 'addresses:change':
        this.#addresses = event.addresses
        return this.#emit('addresses:change', { addresses: this.addresses })
      case 'reachability:change':
        this.#reachability = event.reachability
        return this.#emit('reachability:change', {
          reachability: event.reachability,
          addresses: event.addresses.map((address) => `${address}/p2p/${this.id}`),
        })
      case 'protocols:change':
        this.#protocols = event.protocols
        return
      case 'relay:reserved':
        return this.#emit('relay:reserved', {
          relay: event.relay,
          addresses: event.addresses.map((address) => `${address}/p2p/${this.id}`),
          expires: event.expires,
        })
      case 'relay:lost':
        return this.#emit('relay:lost', { relay: event.relay, error: inflate(event.error) })
      case 'error': {
        const error = inflate(event.error)
        return error === undefined ? undefined : this.#emit('error', error)
      }
      case 'lookup':
        void this.#lookups.answer(event)
        return
      case 'dht':
        return this.#dht.hear(event.event)
      case 'gate':
        void this.#decide(event.id, event.question)
        return
      case 'stream':
        return this.#serve(this.#stream(event.info, event.port), event.connection)
    }
  }

  #stream(info: StreamInfo, port: MessagePort): PeerStream {
    const stream = peerStream(info, port, () => this.#streams.delete(stream))
    this.#streams.add(stream)
    return stream
  }

  #serve(stream: PeerStream, connection: ConnectionInfo): void {
    const handler = this.#handlers.get(stream.protocol)
    if (handler === undefined) return stream.abort(new TabmeshError('ERR_NO_PROTOCOL', `${stream.protocol} is not handled any more`))
    const failed = (cause: unknown): void => {
      const error = new TabmeshError('ERR_HANDLER', `the handler of ${stream.protocol} failed`, { cause })
      stream.abort(error)
      this.#emit('error', error)
    }
    try {
      Promise.resolve(handler(stream, { remotePeer: stream.remotePeer, connection })).catch(failed)
    } catch (error) {
      failed(error)
    }
  }

  async #decide(id: number, question: GateQuestion): Promise<void> {
    if (this.#gater === undefined) return
    const allowed = await decide(this.#gater, question, (error) => this.#emit('error', error))
    this.#control.run('answerGate', { id, allowed }).catch(() => {})
  }

  #emit<K extends keyof PeerEvents>(type: K, detail: PeerEvents[K]): void {
    this.#log({ time: Date.now(), scope: `tabmesh:${type.split(':')[0]}`, message: type, detail })
    this.dispatchEvent(new CustomEvent(type, { detail }))
  }
}

const inflate = (error: PlainError | undefined): TabmeshError | undefined =>
  error === undefined ? undefined : asTabmeshError(inflateError(error), 'ERR_INTERNAL', 'the engine')
