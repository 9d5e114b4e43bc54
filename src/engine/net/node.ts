/**
 * Node: the engine. It owns the connections, mounts the services and answers their calls (`Net`); hosts drive it
 * and listen to its events.
 *
 *   dial ─▶ dialer ─▶ transport ─▶ link ─▶ upgrade ─▶ ┐
 *   accept (a transport's listener, a circuit) ─▶ upgrade ─▶ ├─▶ connection ─▶ services, events
 *   adopt (WebRTC after signalling) ─────────────────────────▶ ┘
 */

import { TabmeshError } from '../../errors.ts'
import type { PublicKey } from '../codec/keys.ts'
import { encapsulate, type Multiaddr, peerIdOf } from '../codec/multiaddr.ts'
import { type PeerId, peerIdFromKey } from '../codec/peer-id.ts'
import type { Cancel, Host } from '../host.ts'
import {
  CONNECTIONS_MAX,
  CONNECTIONS_MAX_PENDING_INBOUND,
  CONNECTIONS_MAX_PER_PEER,
  DIAL_TIMEOUT,
  PENDING_PER_SOURCE,
  STOP_TIMEOUT,
} from '../limits.ts'
import type { Channel } from '../wire/channel.ts'
import type { Outcome } from '../wire/conversation.ts'
import { makeStaticKey, type NoiseSession, prepare } from '../wire/noise/handshake.ts'
import { abandonLink, abandonMuxer } from './abandon.ts'
import { Awaiting } from './awaiting.ts'
import { Connection } from './connection.ts'
import { dial, isPlainCircuit, isWebrtc, refuseMixed, targetOf } from './dialer.ts'
import { Metrics } from './metrics.ts'
import { openStream } from './open-stream.ts'
import { PeerStore } from './peer-store.ts'
import { Registrar } from './registrar.ts'
import type {
  AuthenticateOptions,
  DialOptions,
  DialTarget,
  Identified,
  Link,
  Net,
  NetEvent,
  OpenOptions,
  Service,
  Transport,
} from './service.ts'
import type { Direction, Stream } from './stream.ts'
import {
  authenticate,
  type MuxerKind,
  NOISE,
  type Security,
  type Shield,
  type Upgraded,
  type Upgrading,
  upgrade,
  yamuxKind,
} from './upgrade.ts'

export interface NodeOptions {
  readonly host: Host
  readonly services: readonly Service[]
  readonly transports: readonly Transport[]
  readonly limits?: Partial<NodeLimits>
  /** What a listener answers beside Noise: TLS in Node. */
  readonly securities?: readonly Security[]
  /** What is proposed for byte pipes, the best first; Noise alone if absent, which saves a round trip. */
  readonly propose?: readonly string[]
  /** The best first; yamux alone if absent. */
  readonly muxers?: readonly MuxerKind[]
  /** The cipher of a private network: goes around every byte pipe. */
  readonly shield?: Shield
  /** Hears everything that happens; throws are the listener's own. */
  onEvent?(event: NetEvent): void
}

export interface NodeLimits {
  /** Connections, all together. */
  readonly max: number
  readonly maxPerPeer: number
  /** Inbound connections that have not finished their upgrade. */
  readonly maxIncomingPending: number
  /** Milliseconds for one dial. */
  readonly dialTimeout: number
  /** Bytes that one stream may have in our memory unread: what a relay joins many of should be small. */
  readonly maxWindow: number | undefined
}

/** What a dial sets out with. */
interface Begin {
  readonly peer: PeerId | undefined
  readonly addresses: readonly Multiaddr[]
  /** Whether a relayed connection will do in the end. */
  readonly fallBack: boolean
  readonly timeout: number
}

/** A dial in progress that later callers for the same peer join. */
interface Joined {
  readonly waiters: Set<(outcome: Outcome<Connection>) => void>
  cancel: Cancel
}

export class Node implements Net {
  readonly host: Host
  readonly self: PeerId
  readonly publicKey: PublicKey
  readonly peerStore = new PeerStore()
  readonly metrics = new Metrics()
  readonly #registrar: Registrar
  readonly #transports: readonly Transport[]
  readonly #limits: NodeLimits
  readonly #onEvent: (event: NetEvent) => void
  readonly #upgrading: Upgrading
  readonly #connections = new Map<string, Connection>()
  readonly #byPeer = new Map<PeerId, Connection[]>()
  readonly #dials = new Map<string, Joined>()
  readonly #announced = new Map<string, readonly Multiaddr[]>()
  readonly #awaiting = new Awaiting()
  /** How to give up each upgrade of a remote, and who it is said to be. */
  readonly #pendingInbound = new Map<(fault: TabmeshError) => void, PeerId | undefined>()
  #connectionCount = 0
  #stopping: { done: () => void; timer: Cancel } | undefined
  #stopped = false

  constructor(options: NodeOptions) {
    this.host = options.host
    this.publicKey = options.host.publicKey
    this.self = peerIdFromKey(this.publicKey)
    this.#registrar = new Registrar(options.services)
    this.#transports = options.transports
    this.#onEvent = options.onEvent ?? (() => {})
    this.#limits = {
      max: atLeastOne('max', options.limits?.max, CONNECTIONS_MAX),
      maxPerPeer: atLeastOne('maxPerPeer', options.limits?.maxPerPeer, CONNECTIONS_MAX_PER_PEER),
      maxIncomingPending: atLeastOne('maxIncomingPending', options.limits?.maxIncomingPending, CONNECTIONS_MAX_PENDING_INBOUND),
      dialTimeout: atLeastOne('dialTimeout', options.limits?.dialTimeout, DIAL_TIMEOUT),
      maxWindow: options.limits?.maxWindow,
    }
    const { securities = [], propose = [NOISE], muxers = [yamuxKind], shield } = options
    const missing = propose.find((name) => name !== NOISE && securities.every(({ protocol }) => protocol !== name))
    if (missing !== undefined || propose.length === 0) throw new TabmeshError('ERR_UNSUPPORTED', `no security ${missing ?? 'at all'}`)
    const { maxWindow } = this.#limits
    this.#upgrading = { host: this.host, staticKey: makeStaticKey(), securities, propose, muxers, shield, maxWindow }
  }

  /** Starts the services, in the order of the list. */
  start(): void {
    prepare(this.#upgrading.staticKey, this.host)
    this.#tell((service) => service.start?.(this))
  }

  /** A service that throws is a defect of its own: the others still hear, and whoever listens is told. */
  #tell(call: (service: Service) => void): void {
    for (const service of [...this.#registrar.services]) this.#guard(service.name, () => call(service))
  }

  #guard(what: string, run: () => void): void {
    try {
      run()
    } catch (cause) {
      this.emit({ t: 'error', error: new TabmeshError('ERR_INTERNAL', `${what} threw`, { cause }) })
    }
  }

  // ── protocols ──────────────────────────────────────────────────────────────────────────────────────────────

  /** Mounts a service on a running node; ERR_PROTOCOL_TAKEN if one of its protocols is mounted already. */
  mount(service: Service): void {
    this.#registrar.mount(service)
    service.start?.(this)
    this.#selfChanged()
  }

  unmount(service: Service): void {
    if (!this.#registrar.unmount(service)) return
    service.stop?.()
    this.#selfChanged()
  }

  protocols(limited: boolean): readonly string[] {
    return this.#registrar.protocols(limited)
  }

  // ── connections ────────────────────────────────────────────────────────────────────────────────────────────

  connections(peer?: PeerId): readonly Connection[] {
    if (peer === undefined) return [...this.#connections.values()]
    return [...(this.#byPeer.get(peer) ?? [])].sort((a, b) => preference(b) - preference(a))
  }

  /** Connections being made: dials and inbound upgrades. */
  get pending(): number {
    return this.#pendingInbound.size + this.#dials.size
  }

  /** Closes every connection to `peer` and gives up what would make another. */
  hangUp(peer: PeerId): void {
    for (const [key, joined] of [...this.#dials]) if (key.startsWith(`${peer} `)) joined.cancel()
    this.#tell((service) => service.onHangUp?.(peer))
    for (const connection of this.connections(peer)) connection.close()
  }

  dial(target: DialTarget, done: (outcome: Outcome<Connection>) => void, options: DialOptions = {}): Cancel {
    const peer = target.peer ?? targetOf(target.addresses)
    const refusal = this.#refuseDial(peer) ?? refuseMixed(peer, target.addresses)
    const open = peer === undefined ? undefined : this.#satisfies(peer, target.addresses)
    if (refusal !== undefined || open !== undefined) {
      let wanted = true
      this.host.defer(() => {
        if (!wanted) return
        if (open !== undefined && open.status === 'open') done({ ok: true, value: open })
        else done({ ok: false, fault: refusal ?? new TabmeshError('ERR_CONNECTION_CLOSED', `the connection to ${peer} closed meanwhile`) })
      })
      return () => {
        wanted = false
      }
    }
    const addresses = target.addresses.length > 0 || peer === undefined ? target.addresses : this.#addressesOf(peer)
    const key = `${peer ?? ''} ${target.addresses.map((address) => address.text).join(' ')}`
    let joined = this.#dials.get(key)
    if (joined === undefined) {
      joined = { waiters: new Set(), cancel: () => {} }
      this.#dials.set(key, joined)
      // Without a direct path the relayed connection that WebRTC was negotiated over will do, unless other addresses were asked for.
      const fallBack = target.addresses.every(isWebrtc)
      this.#begin(key, joined, { peer, addresses, fallBack, timeout: options.timeout ?? this.#limits.dialTimeout })
    }
    const dialing = joined
    const waiter = (outcome: Outcome<Connection>): void => done(outcome)
    dialing.waiters.add(waiter)
    return () => {
      if (dialing.waiters.delete(waiter) && dialing.waiters.size === 0) dialing.cancel()
    }
  }

  #begin(key: string, joined: Joined, { peer, addresses, fallBack, timeout }: Begin): void {
    const settle = (dialled: Outcome<Connection>): void => {
      this.#dials.delete(key)
      const standing =
        dialled.ok || !fallBack || peer === undefined ? undefined : this.connections(peer).find((each) => each.status === 'open')
      const outcome: Outcome<Connection> = standing === undefined ? dialled : { ok: true, value: standing }
      for (const waiter of [...joined.waiters]) if (joined.waiters.delete(waiter)) waiter(outcome)
      if (!dialled.ok && peer !== undefined) this.#awaiting.settle(peer, undefined)
    }
    // A waiter must not hear of the outcome before `dial` has returned to it.
    this.host.defer(() => {
      if (joined.waiters.size === 0) return settle({ ok: false, fault: new TabmeshError('ERR_CONNECTION_CLOSED', 'the dial was given up') })
      const refusal = this.#refuseDial(peer)
      if (refusal !== undefined) return settle({ ok: false, fault: refusal })
      if (addresses.length === 0) {
        return settle({ ok: false, fault: new TabmeshError('ERR_NO_ADDRESS', `no address of ${peer ?? 'the target'} is known`) })
      }
      joined.cancel = dial(
        {
          net: this,
          transports: this.#transports,
          peer,
          addresses,
          timeout,
          upgrade: (link, expected, done) => this.#outbound(link, expected, done),
        },
        settle,
      )
    })
  }

  #refuseDial(peer: PeerId | undefined): TabmeshError | undefined {
    if (this.#stopped || this.#stopping !== undefined) return new TabmeshError('ERR_STOPPED', 'this peer is stopped')
    if (peer === this.self) return new TabmeshError('ERR_SELF_DIAL', `cannot dial ${peer}`)
    return undefined
  }

  /** The open connection that makes a dial unnecessary: any, unless a direct one is asked for and there is none. */
  #satisfies(peer: PeerId, addresses: readonly Multiaddr[]): Connection | undefined {
    const best = this.connections(peer).find((connection) => connection.status === 'open')
    if (best === undefined || best.direct || addresses.length === 0) return best
    return addresses.some(isPlainCircuit) ? best : undefined
  }

  #addressesOf(peer: PeerId): readonly Multiaddr[] {
    const known = this.peerStore.get(peer)?.addresses ?? []
    const routed = this.#registrar.services.flatMap((service) => service.routes?.(peer) ?? [])
    const complete = [...known, ...routed].map((address) =>
      peerIdOf(address) === undefined ? encapsulate(address, `/p2p/${peer}`) : address,
    )
    return [...new Map(complete.map((address) => [address.text, address])).values()]
  }

  accept(link: Link, done: (outcome: Outcome<Connection>) => void = () => {}): void {
    const announced = peerIdOf(link.remoteAddr)
    const refusal = this.#refuseInbound(link, announced)
    if (refusal !== undefined) {
      abandonLink(link, refusal)
      return done({ ok: false, fault: refusal })
    }
    if (link.t === 'muxed') {
      this.#take(link, native(link), 'inbound', done)
      return
    }
    let giveUp: ((fault: TabmeshError) => void) | undefined
    const abandon = (fault: TabmeshError): void => giveUp?.(fault)
    this.#pendingInbound.set(abandon, announced)
    // What the link has in store may end the upgrade before it returns.
    giveUp = upgrade(link, { ...this.#upgrading, role: 'listener', expectedPeer: announced }, (outcome) => {
      this.#pendingInbound.delete(abandon)
      if (outcome.ok) this.#take(link, outcome.value, 'inbound', done)
      else done(outcome)
    })
  }

  adopt(link: Link, peer: PeerId, done: (outcome: Outcome<Connection>) => void): void {
    this.#outbound(link, peer, done)
  }

  authenticate(
    channel: Channel,
    options: AuthenticateOptions,
    done: (outcome: Outcome<NoiseSession>) => void,
  ): (fault: TabmeshError) => void {
    return authenticate(channel, this.#upgrading, options, done)
  }

  #outbound(link: Link, expectedPeer: PeerId | undefined, done: (outcome: Outcome<Connection>) => void): (fault: TabmeshError) => void {
    if (link.t === 'muxed') {
      if (expectedPeer === undefined || expectedPeer === link.remotePeer) this.#take(link, native(link), 'outbound', done)
      else {
        const fault = new TabmeshError('ERR_PEER_ID_MISMATCH', `dialled ${expectedPeer}, found ${link.remotePeer}`)
        abandonLink(link, fault)
        done({ ok: false, fault })
      }
      return () => {}
    }
    return upgrade(link, { ...this.#upgrading, role: 'dialer', expectedPeer }, (outcome) => {
      if (outcome.ok) this.#take(link, outcome.value, 'outbound', done)
      else done(outcome)
    })
  }

  /** Makes a connection of an authenticated peer, if the limits allow one more. */
  #take(link: Link, upgraded: Upgraded, direction: Direction, done: (outcome: Outcome<Connection>) => void): void {
    const { remotePeer } = upgraded
    const siblings = this.#byPeer.get(remotePeer) ?? []
    const refusal = this.#refuseConnection(remotePeer, siblings.length)
    if (refusal !== undefined) {
      abandonMuxer(upgraded.mux(), refusal)
      return done({ ok: false, fault: refusal })
    }
    this.#connectionCount += 1
    const connection = new Connection(
      {
        id: `c${this.#connectionCount}`,
        remotePeer,
        remoteAddr: peerIdOf(link.remoteAddr) === undefined ? encapsulate(link.remoteAddr, `/p2p/${remotePeer}`) : link.remoteAddr,
        direction,
        transport: link.transport,
        limit: link.t === 'pipe' ? link.limit : undefined,
        encryption: upgraded.encryption,
        muxer: upgraded.muxer,
        openedAt: this.host.date(),
      },
      upgraded.mux,
      {
        host: this.host,
        answers: (each, protocol) => this.#registrar.answers(each, protocol),
        onStream: (stream) => this.#deliver(stream),
        onStreamClose: (stream) => this.metrics.closed(stream),
        onStreamOpen: (stream) => this.metrics.opened(stream),
        onChange: (each) => this.emit({ t: 'connection:change', connection: each }),
        onClose: (each, fault) => this.#drop(each, fault),
      },
    )
    this.#connections.set(connection.id, connection)
    this.#byPeer.set(remotePeer, [...siblings, connection])
    this.emit({ t: 'connection:open', connection })
    this.metrics.connected(connection)
    if (siblings.length === 0) this.emit({ t: 'peer:connect', peer: remotePeer })
    connection.start()
    const open = (): boolean => this.#connections.has(connection.id)
    this.#tell((service) => {
      if (open()) service.onConnection?.(connection)
    })
    if (open() && !connection.limited) this.#awaiting.settle(remotePeer, connection)
    if (!open()) return done({ ok: false, fault: new TabmeshError('ERR_CONNECTION_CLOSED', 'the remote hung up at once') })
    done({ ok: true, value: connection })
  }

  #deliver(stream: Stream): void {
    this.#guard(`the handler of ${stream.protocol}`, () => {
      try {
        this.#registrar.deliver(stream)
      } catch (cause) {
        stream.abort(new TabmeshError('ERR_INTERNAL', `the handler of ${stream.protocol} threw`, { cause }))
        throw cause
      }
    })
  }

  #refuseInbound(link: Link, announced: PeerId | undefined): TabmeshError | undefined {
    if (this.#stopped || this.#stopping !== undefined) return new TabmeshError('ERR_STOPPED', 'this peer is stopped')
    const pending = this.#pendingInbound.size
    // Nobody who comes over a relay may keep others out: a quarter is left to those who come directly.
    const max = link.transport === 'relay' ? Math.ceil(this.#limits.maxIncomingPending * 0.75) : this.#limits.maxIncomingPending
    if (pending >= max) return new TabmeshError('ERR_CONNECTION_LIMIT', `${pending} inbound connections are being secured`)
    let same = 0
    if (announced !== undefined) for (const source of this.#pendingInbound.values()) if (source === announced) same += 1
    return same < PENDING_PER_SOURCE
      ? undefined
      : new TabmeshError('ERR_CONNECTION_LIMIT', `${same} connections of ${announced} are being secured`)
  }

  #refuseConnection(remotePeer: PeerId, siblings: number): TabmeshError | undefined {
    if (remotePeer === this.self) return new TabmeshError('ERR_SELF_DIAL', 'the remote is this peer itself')
    if (this.#connections.size >= this.#limits.max || siblings >= this.#limits.maxPerPeer) {
      return new TabmeshError(
        'ERR_CONNECTION_LIMIT',
        `${this.#connections.size} connections are open, ${siblings} of them to ${remotePeer}`,
      )
    }
    return this.#stopped || this.#stopping !== undefined ? new TabmeshError('ERR_STOPPED', 'this peer is stopped') : undefined
  }

  #drop(connection: Connection, fault: TabmeshError | undefined): void {
    if (!this.#connections.delete(connection.id)) return
    this.metrics.disconnected(connection)
    const rest = (this.#byPeer.get(connection.remotePeer) ?? []).filter((each) => each !== connection)
    if (rest.length === 0) this.#byPeer.delete(connection.remotePeer)
    else this.#byPeer.set(connection.remotePeer, rest)
    this.#tell((service) => service.onDisconnect?.(connection, fault))
    this.emit({ t: 'connection:close', connection, fault })
    if (rest.length === 0) this.emit({ t: 'peer:disconnect', peer: connection.remotePeer })
    if (this.#connections.size === 0) this.#finishStop()
  }

  /**
   * Opens a stream to a peer over its best connection, dialling first where there is none. `done` hears of the stream when
   * its protocol is agreed, which for a protocol the remote is known to speak is at once.
   */
  openStream(
    target: DialTarget,
    protocols: readonly string[],
    done: (outcome: Outcome<Stream>) => void,
    options: OpenOptions & DialOptions = {},
  ): Cancel {
    const opener = {
      host: this.host,
      awaiting: this.#awaiting,
      mayUpgrade: this.#transports.some((transport) => transport.name === 'webrtc'),
      connections: (peer: PeerId) => this.connections(peer),
      dial: this.dial.bind(this),
    }
    return openStream(opener, target, protocols, options, done)
  }

  // ── what we tell of ourselves ──────────────────────────────────────────────────────────────────────────────

  get addresses(): readonly Multiaddr[] {
    const byText = new Map<string, Multiaddr>()
    for (const list of this.#announced.values()) for (const address of list) byText.set(address.text, address)
    return [...byText.values()]
  }

  announce(source: string, addresses: readonly Multiaddr[]): void {
    const before = this.#announced.get(source) ?? []
    if (before.length === addresses.length && before.every((address, at) => address.text === addresses[at]?.text)) return
    this.#announced.set(source, addresses)
    this.emit({ t: 'addresses:change', addresses: this.addresses })
    this.#tell((service) => service.onSelfChange?.())
  }

  #selfChanged(): void {
    this.emit({ t: 'protocols:change', protocols: this.protocols(false) })
    this.#tell((service) => service.onSelfChange?.())
  }

  identified(connection: Connection, identified: Identified): void {
    connection.identified = identified
    const { addresses, protocols, agent, recordSeq } = identified
    this.peerStore.update(connection.remotePeer, { addresses, protocols, agent, recordSeq }, this.host.date())
    this.#tell((service) => service.onIdentify?.(connection))
    this.emit({ t: 'peer:identify', connection, identified })
    this.emit({ t: 'connection:change', connection })
  }

  emit(event: NetEvent): void {
    this.#onEvent(event)
  }

  // ── the end ────────────────────────────────────────────────────────────────────────────────────────────────

  /** Closes everything in order, or by force after STOP_TIMEOUT; then calls `done`. */
  stop(done: () => void): void {
    if (this.#stopped) return this.host.defer(done)
    if (this.#stopping !== undefined) {
      const earlier = this.#stopping.done
      this.#stopping.done = () => {
        earlier()
        done()
      }
      return
    }
    const fault = new TabmeshError('ERR_STOPPED', 'this peer is stopped')
    this.#stopping = {
      done,
      timer: this.host.after(STOP_TIMEOUT, () => {
        for (const connection of this.connections()) connection.abort(fault)
        this.#finishStop()
      }),
    }
    this.#tell((service) => service.stop?.())
    for (const joined of [...this.#dials.values()]) joined.cancel()
    for (const abandon of [...this.#pendingInbound.keys()]) abandon(fault)
    if (this.#connections.size === 0) this.host.defer(() => this.#finishStop())
    else for (const connection of this.connections()) connection.close()
  }

  #finishStop(): void {
    const stopping = this.#stopping
    if (stopping === undefined) return
    this.#stopping = undefined
    this.#stopped = true
    stopping.timer()
    stopping.done()
  }
}

/** Proven direct first; then, the older first, relayed and direct but unproven; what its relay limits comes last. */
const preference = (connection: Connection): number =>
  (connection.status === 'open' ? 8 : 0) +
  (connection.direct && (connection.proven || connection.transport !== 'webrtc') ? 4 : 0) +
  (connection.limited ? 0 : 2)

/** A limit of the caller's, or ours; ERR_INVALID_ARGUMENT for what is no number from 1. */
const atLeastOne = (name: string, value: number | undefined, otherwise: number): number => {
  if (value === undefined) return otherwise
  if (!(value >= 1)) throw new TabmeshError('ERR_INVALID_ARGUMENT', `connections.${name} is ${value}, not a number from 1`)
  return value
}

/** A native multiplexer needs no upgrade. */
const native = ({ muxer, remotePeer, encryption }: Extract<Link, { t: 'muxed' }>): Upgraded => ({
  remotePeer,
  encryption,
  muxer: muxer.protocol,
  mux: () => muxer,
})
