/**
 * Node: the engine. It owns the connections, mounts the services and answers their calls (`Net`); hosts drive it
 * and listen to its events.
 *
 *   dial ─▶ dialer ─▶ transport ─▶ link ───────────────────────┐
 *   accept (a transport's listener, a circuit) ─▶ accepting ─▶ ├─▶ upgrade ─▶ (gater) ─▶ room for it (capacity) ─▶ connection
 *   adopt (WebRTC after signalling) ─────────────────────────▶ ┘                                                      │
 *                                                                                               services, events ◀────┘
 */

import { TabmeshError } from '../../errors.ts'
import type { PublicKey } from '../codec/keys.ts'
import { type Multiaddr, withPeerId } from '../codec/multiaddr.ts'
import { type PeerId, peerIdFromKey } from '../codec/peer-id.ts'
import type { Cancel, Host } from '../host.ts'
import { PNET_MAX_WINDOW, STOP_TIMEOUT } from '../limits.ts'
import type { Channel } from '../wire/channel.ts'
import type { Outcome } from '../wire/conversation.ts'
import { makeStaticKey, type NoiseSession, prepare } from '../wire/noise/handshake.ts'
import { abandonLink, abandonMuxer } from './abandon.ts'
import { Accepting } from './accepting.ts'
import { Announced } from './announced.ts'
import { Awaiting } from './awaiting.ts'
import { BackOff } from './back-off.ts'
import { Capacity } from './capacity.ts'
import { Connection } from './connection.ts'
import { Dialer } from './dialer.ts'
import { ask, type Candidate, type Gater, type Question, screen } from './gater.ts'
import { type KeepAliveService, keepAlive } from './keep-alive.ts'
import { Metrics } from './metrics.ts'
import { type NodeLimits, type NodeOptions, nodeLimits } from './node-options.ts'
import { openStream } from './open-stream.ts'
import { PeerStore } from './peer-store.ts'
import { isSpare } from './prune.ts'
import { scopeOf } from './rank.ts'
import { Registrar } from './registrar.ts'
import { search } from './search.ts'
import type { AuthenticateOptions, DialOptions, DialTarget, Identified, Link, Net, NetEvent, OpenOptions, Service } from './service.ts'
import type { Direction, Stream } from './stream.ts'
import { Tags } from './tags.ts'
import { preference, twins } from './twins.ts'
import { type Admit, authenticate, NOISE, native, type Upgraded, type Upgrading, upgrade, yamuxKind } from './upgrade.ts'

export type { NodeOptions } from './node-options.ts'

export class Node implements Net {
  readonly host: Host
  readonly self: PeerId
  readonly publicKey: PublicKey
  readonly peerStore = new PeerStore(() => this.host.date())
  readonly metrics = new Metrics()
  readonly backOff: BackOff
  readonly #registrar: Registrar
  readonly #limits: NodeLimits
  readonly #onEvent: (event: NetEvent) => void
  readonly #upgrading: Upgrading
  readonly #connections = new Map<string, Connection>()
  readonly #byPeer = new Map<PeerId, Connection[]>()
  readonly #announced = new Announced()
  readonly #awaiting = new Awaiting()
  readonly #tags = new Tags()
  readonly #gater: Gater | undefined
  readonly #capacity: Capacity
  readonly #dialer: Dialer
  readonly #accepting: Accepting
  readonly #keepAlive: KeepAliveService
  #connectionCount = 0
  #stopping: { done: () => void; timer: Cancel } | undefined
  #stopped = false
  /** The platform says that there is no network. */
  #away = false

  constructor(options: NodeOptions) {
    this.host = options.host
    this.publicKey = options.host.publicKey
    this.self = peerIdFromKey(this.publicKey)
    this.backOff = options.backOff ?? new BackOff()
    this.#gater = options.gater
    this.#keepAlive = keepAlive()
    // Last, so that they see what the others made of it.
    this.#registrar = new Registrar([...options.services, this.#keepAlive, twins()])
    this.#onEvent = options.onEvent ?? (() => {})
    this.#limits = nodeLimits(options.limits)
    const { securities = [], propose = [NOISE], muxers = [yamuxKind], shield } = options
    const missing = propose.find((name) => name !== NOISE && securities.every(({ protocol }) => protocol !== name))
    if (missing !== undefined || propose.length === 0) throw new TabmeshError('ERR_UNSUPPORTED', `no security ${missing ?? 'at all'}`)
    const maxWindow = this.#limits.maxWindow ?? (shield === undefined ? undefined : PNET_MAX_WINDOW)
    this.#upgrading = { host: this.host, staticKey: makeStaticKey(), securities, propose, muxers, shield, maxWindow }
    this.#capacity = new Capacity({ ...this.#limits, maxPerNetwork: this.#limits.maxPerIp }, this.host, (peer) => this.tags(peer))
    this.#dialer = new Dialer({
      net: this,
      transports: options.transports,
      timeout: this.#limits.dialTimeout,
      confined: shield !== undefined,
      near: options.near ?? true,
      backOff: this.backOff,
      lookUpTxt: options.lookUpTxt,
      gater: options.gater,
      refuse: (peer) => this.#refuseDial(peer),
      known: (peer) => (this.peerStore.get(peer)?.addresses ?? []).map((address) => withPeerId(address, peer)),
      routes: (peer) =>
        this.#registrar.services.flatMap((service) => service.routes?.(peer) ?? []).map((address) => withPeerId(address, peer)),
      search: (peer, done) =>
        search(this.#registrar.services, peer, (addresses) => done(addresses.map((address) => withPeerId(address, peer)))),
      upgrade: (link, peer, done) => this.#upgrade(link, 'outbound', peer, done),
      failed: (peer) => this.#awaiting.settle(peer, undefined),
    })
    this.#accepting = new Accepting({
      host: this.host,
      capacity: this.#capacity,
      maxPending: this.#limits.maxIncomingPending,
      refuse: () => this.#refuse(),
      full: () => this.#connections.size >= this.#limits.max && this.#capacity.refusesStrangers(this.#connections),
      gate: (question, done) => this.gate(question, done),
      upgrade: (link, peer, done) => this.#upgrade(link, 'inbound', peer, done),
    })
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
    return [...(this.#byPeer.get(peer) ?? [])].sort((a, b) => preference(b, this.self) - preference(a, this.self))
  }

  /** Connections being made: dials and inbound upgrades. */
  get pending(): number {
    return this.#accepting.size + this.#dialer.size
  }

  /** Closes every connection to `peer` and gives up what would make another. */
  hangUp(peer: PeerId): void {
    this.#dialer.stop(new TabmeshError('ERR_CONNECTION_CLOSED', `${peer} was hung up on`), peer)
    this.#tell((service) => service.onHangUp?.(peer))
    for (const connection of this.connections(peer)) connection.close()
  }

  dial(target: DialTarget, done: (outcome: Outcome<Connection>) => void, options: DialOptions = {}): Cancel {
    const wanting = (outcome: Outcome<Connection>): void => {
      if (outcome.ok) outcome.value.wanted = true
      done(outcome)
    }
    return this.#dialer.dial(target, options.passing === true ? done : wanting, options)
  }

  release(connection: Connection, own: { readonly tag: string; readonly protocol: string }): boolean {
    const spare = isSpare(connection, own, this.tags(connection.remotePeer), (stream) => this.#registrar.spares(stream))
    if (spare) connection.close()
    return spare
  }

  accept(link: Link, done: (outcome: Outcome<Connection>) => void = () => {}): void {
    this.#accepting.accept(link, done)
  }

  adopt(link: Link, peer: PeerId, done: (outcome: Outcome<Connection>) => void): void {
    this.#upgrade(link, 'outbound', peer, done)
  }

  /** The network is away: until it is back nobody is taken for dead. */
  offline(): void {
    this.#away = true
    this.#tell((service) => service.onNetworkChange?.(false))
  }

  /** The network is there again, or is another one: what failed may work now. */
  online(): void {
    this.#away = false
    this.backOff.clear()
    this.#tell((service) => service.onNetworkChange?.(true))
  }

  #refuse(): TabmeshError | undefined {
    return this.#stopped || this.#stopping !== undefined ? new TabmeshError('ERR_STOPPED', 'this peer is stopped') : undefined
  }

  #refuseDial(peer: PeerId | undefined): TabmeshError | undefined {
    return peer === this.self ? new TabmeshError('ERR_SELF_DIAL', `cannot dial ${peer}`) : this.#refuse()
  }

  authenticate(
    channel: Channel,
    options: AuthenticateOptions,
    done: (outcome: Outcome<NoiseSession>) => void,
  ): (fault: TabmeshError) => void {
    return authenticate(channel, this.#upgrading, options, done)
  }

  /** Secures a link and makes a connection of it. The returned function gives up. */
  #upgrade(
    link: Link,
    direction: Direction,
    expectedPeer: PeerId | undefined,
    done: (outcome: Outcome<Connection>) => void,
  ): (fault: TabmeshError) => void {
    if (link.t === 'muxed') {
      if (expectedPeer === undefined || expectedPeer === link.remotePeer) return this.#admit(link, native(link), direction, done)
      const fault = new TabmeshError('ERR_PEER_ID_MISMATCH', `dialled ${expectedPeer}, found ${link.remotePeer}`)
      abandonLink(link, fault)
      done({ ok: false, fault })
      return () => {}
    }
    const gater = this.#gater
    const address = link.remoteAddr
    const admit: Admit | undefined =
      gater?.secured && ((peer, heard) => ask(gater, this.host, [{ t: 'secured', peer, direction, address }], heard))
    let giveUp: ((fault: TabmeshError) => void) | undefined
    const role = direction === 'outbound' ? 'dialer' : 'listener'
    const stop = upgrade(link, { ...this.#upgrading, role, expectedPeer, admit }, (outcome) => {
      if (outcome.ok) giveUp = this.#admit(link, outcome.value, direction, done)
      else done(outcome)
    })
    giveUp ??= stop
    return (fault) => giveUp?.(fault)
  }

  /** Asks the gater, where there is one, about a peer that has proved who it is. The returned function gives up. */
  #admit(
    link: Link,
    upgraded: Upgraded,
    direction: Direction,
    done: (outcome: Outcome<Connection>) => void,
  ): (fault: TabmeshError) => void {
    const candidate = {
      remotePeer: upgraded.remotePeer,
      remoteAddr: withPeerId(link.remoteAddr, upgraded.remotePeer),
      direction,
      transport: link.transport,
      limit: link.t === 'pipe' ? link.limit : undefined,
      encryption: upgraded.encryption,
      muxer: upgraded.muxer,
    }
    const letIn = (): void => this.#take(link, upgraded, candidate, done)
    if (this.#gater === undefined) {
      letIn()
      return () => {}
    }
    const { remotePeer: peer } = upgraded
    // A native multiplexer comes secured.
    const secured: Question[] = link.t === 'muxed' ? [{ t: 'secured', peer, direction, address: link.remoteAddr }] : []
    return screen(this.#gater, this.host, [...secured, { t: 'upgraded', candidate }], letIn, (fault) => {
      abandonMuxer(upgraded.mux(), fault)
      done({ ok: false, fault })
    })
  }

  /** Makes a connection of an authenticated peer, if the limits allow one more. */
  #take(link: Link, upgraded: Upgraded, candidate: Candidate, done: (outcome: Outcome<Connection>) => void): void {
    const { remotePeer } = upgraded
    const refusal = this.#refuseOutside(link) ?? this.#refuseConnection(candidate)
    if (refusal !== undefined) {
      abandonMuxer(upgraded.mux(), refusal)
      return done({ ok: false, fault: refusal })
    }
    const siblings = this.#byPeer.get(remotePeer) ?? []
    this.#connectionCount += 1
    const connection = new Connection({ ...candidate, id: `c${this.#connectionCount}`, openedAt: this.host.date() }, upgraded.mux, {
      host: this.host,
      answers: (each, protocol) => this.#registrar.answers(each, protocol),
      onStream: (stream) => this.#deliver(stream),
      onStreamClose: (stream) => this.metrics.closed(stream),
      onStreamOpen: (stream) => this.metrics.opened(stream),
      onChange: (each) => this.emit({ t: 'connection:change', connection: each }),
      onClose: (each, fault) => this.#drop(each, fault),
    })
    this.#connections.set(connection.id, connection)
    this.#byPeer.set(remotePeer, [...siblings, connection])
    this.emit({ t: 'connection:open', connection })
    this.metrics.connected(connection)
    this.#capacity.opened(connection)
    if (siblings.length === 0) this.emit({ t: 'peer:connect', peer: remotePeer })
    connection.start()
    const open = (): boolean => this.#connections.has(connection.id)
    this.#tell((service) => {
      if (open()) service.onConnection?.(connection)
    })
    if (open() && !connection.limited) this.#awaiting.settle(remotePeer, connection)
    if (!open()) return done({ ok: false, fault: new TabmeshError('ERR_CONNECTION_CLOSED', 'the remote hung up at once') })
    done({ ok: true, value: connection })
    this.#dialer.opened(connection)
    // Whatever the platform says of the network.
    if (this.#away && connection.direction === 'outbound' && connection.direct && scopeOf(connection.remoteAddr) > 0) this.online()
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

  /** In a private network: a link that its cipher does not go around, whoever made it. */
  #refuseOutside(link: Link): TabmeshError | undefined {
    return link.t === 'pipe' || this.#upgrading.shield === undefined
      ? undefined
      : new TabmeshError('ERR_PRIVATE_NETWORK', `a connection by ${link.transport} leaves the private network`)
  }

  #refuseConnection({ remotePeer, direction }: Candidate): TabmeshError | undefined {
    if (remotePeer === this.self) return new TabmeshError('ERR_SELF_DIAL', 'the remote is this peer itself')
    const refusal = this.#refuse()
    if (refusal !== undefined) return refusal
    const siblings = this.#byPeer.get(remotePeer)?.length ?? 0
    const limit = (): TabmeshError =>
      new TabmeshError('ERR_CONNECTION_LIMIT', `${this.#connections.size} connections are open, ${siblings} of them to ${remotePeer}`)
    if (siblings >= this.#limits.maxPerPeer) return limit()
    if (this.#connections.size < this.#limits.max || !this.#capacity.isFull(this.#connections)) return undefined
    return this.#capacity.makeRoom(this.#connections, direction, remotePeer) ? undefined : limit()
  }

  #drop(connection: Connection, fault: TabmeshError | undefined): void {
    if (!this.#connections.delete(connection.id)) return
    this.metrics.disconnected(connection)
    this.#capacity.closed(connection)
    const rest = (this.#byPeer.get(connection.remotePeer) ?? []).filter((each) => each !== connection)
    this.peerStore.touch(connection.remotePeer, this.host.date())
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
      mayUpgrade: this.#registrar.services.some(({ upgrades }) => upgrades === true),
      connections: (peer: PeerId) => this.connections(peer),
      dial: this.dial.bind(this),
    }
    return openStream(opener, target, protocols, options, done)
  }

  // ── what we tell of ourselves ──────────────────────────────────────────────────────────────────────────────

  get addresses(): readonly Multiaddr[] {
    return this.#announced.addresses
  }

  announce(source: string, addresses: readonly Multiaddr[]): void {
    if (!this.#announced.set(source, addresses)) return
    this.emit({ t: 'addresses:change', addresses: this.addresses })
    this.#tell((service) => service.onSelfChange?.())
  }

  #selfChanged(): void {
    this.emit({ t: 'protocols:change', protocols: this.protocols(false) })
    this.#tell((service) => service.onSelfChange?.())
  }

  identified(connection: Connection, told: Identified): void {
    const { remotePeer, remoteAddr, direction, direct, transport } = connection
    // A data channel's address is no place to call at.
    const dialled = direction === 'outbound' && direct && transport !== 'webrtc' ? remoteAddr : undefined
    const identified = this.peerStore.learn(remotePeer, told, this.host.date(), dialled)
    connection.identified = identified
    this.#tell((service) => service.onIdentify?.(connection))
    this.emit({ t: 'peer:identify', connection, identified })
    this.emit({ t: 'connection:change', connection })
  }

  emit(event: NetEvent): void {
    this.#onEvent(event)
  }

  // ── what a peer is to us ───────────────────────────────────────────────────────────────────────────────────

  tag(peer: PeerId, name: string, value: number | undefined): void {
    this.#tags.set(peer, name, value)
    this.#keepAlive.tagged(peer)
  }

  tags(peer: PeerId): Readonly<Record<string, number>> {
    return { ...this.peerStore.get(peer)?.tags, ...this.#tags.of(peer) }
  }

  /** The tags of a peer in the peer store have changed. */
  tagged(peer: PeerId): void {
    this.#keepAlive.tagged(peer)
  }

  gate(question: Question, done: (refusal: TabmeshError | undefined) => void): Cancel {
    if (this.#gater !== undefined) return ask(this.#gater, this.host, [question], done)
    done(undefined)
    return () => {}
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
    this.#dialer.stop(fault)
    this.#accepting.stop(fault)
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
