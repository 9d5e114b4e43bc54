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
import { CONNECTIONS_MAX, CONNECTIONS_MAX_PENDING_INBOUND, CONNECTIONS_MAX_PER_PEER, DIAL_TIMEOUT, STOP_TIMEOUT } from '../limits.ts'
import type { Outcome } from '../wire/conversation.ts'
import type { Muxer } from '../wire/muxer.ts'
import { makeStaticKey, type NoiseStaticKey, prepare } from '../wire/noise/handshake.ts'
import { Connection } from './connection.ts'
import { dial } from './dialer.ts'
import { Metrics } from './metrics.ts'
import { PeerStore } from './peer-store.ts'
import { Registrar } from './registrar.ts'
import type { DialOptions, DialTarget, Identified, Link, Net, NetEvent, OpenOptions, Service, Transport } from './service.ts'
import type { Direction, Stream } from './stream.ts'
import { type Upgraded, upgrade } from './upgrade.ts'

export interface NodeOptions {
  readonly host: Host
  readonly services: readonly Service[]
  readonly transports: readonly Transport[]
  readonly limits?: Partial<NodeLimits>
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
  readonly #staticKey: NoiseStaticKey = makeStaticKey()
  readonly #connections = new Map<string, Connection>()
  readonly #byPeer = new Map<PeerId, Connection[]>()
  readonly #dials = new Map<string, Joined>()
  readonly #announced = new Map<string, readonly Multiaddr[]>()
  readonly #pendingInbound = new Set<(fault: TabmeshError) => void>()
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
      max: CONNECTIONS_MAX,
      maxPerPeer: CONNECTIONS_MAX_PER_PEER,
      maxIncomingPending: CONNECTIONS_MAX_PENDING_INBOUND,
      dialTimeout: DIAL_TIMEOUT,
      ...options.limits,
    }
  }

  /** Starts the services, in the order of the list. */
  start(): void {
    prepare(this.#staticKey, this.host)
    for (const service of this.#registrar.services) service.start?.(this)
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

  /** Connections being made or open: zero after everything was closed. */
  get pending(): number {
    return this.#pendingInbound.size + this.#dials.size
  }

  dial(target: DialTarget, done: (outcome: Outcome<Connection>) => void, options: DialOptions = {}): Cancel {
    const peer = target.peer ?? targetOf(target.addresses)
    const refusal = this.#refuseDial(peer)
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
      this.#begin(key, joined, peer, addresses, options.timeout ?? this.#limits.dialTimeout)
    }
    const dialing = joined
    const waiter = (outcome: Outcome<Connection>): void => done(outcome)
    dialing.waiters.add(waiter)
    return () => {
      if (dialing.waiters.delete(waiter) && dialing.waiters.size === 0) dialing.cancel()
    }
  }

  #begin(key: string, joined: Joined, peer: PeerId | undefined, addresses: readonly Multiaddr[], timeout: number): void {
    const settle = (dialled: Outcome<Connection>): void => {
      this.#dials.delete(key)
      // WebRTC may fail while the relayed connection it was negotiated over stands: that one is usable.
      const standing = dialled.ok || peer === undefined ? undefined : this.connections(peer).find((each) => each.status === 'open')
      const outcome: Outcome<Connection> = standing === undefined ? dialled : { ok: true, value: standing }
      for (const waiter of [...joined.waiters]) waiter(outcome)
      joined.waiters.clear()
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
    if (this.#stopped || this.#stopping !== undefined) return refuse(link, new TabmeshError('ERR_STOPPED', 'this peer is stopped'), done)
    if (this.#pendingInbound.size >= this.#limits.maxIncomingPending) {
      return refuse(
        link,
        new TabmeshError('ERR_CONNECTION_LIMIT', `${this.#limits.maxIncomingPending} inbound connections are being secured`),
        done,
      )
    }
    if (link.t === 'muxed') {
      this.#take(link, native(link), 'inbound', done)
      return
    }
    let giveUp: ((fault: TabmeshError) => void) | undefined
    const abandon = (fault: TabmeshError): void => giveUp?.(fault)
    this.#pendingInbound.add(abandon)
    // What the link has in store may end the upgrade before it returns.
    giveUp = upgrade(
      link,
      { host: this.host, staticKey: this.#staticKey, role: 'listener', expectedPeer: peerIdOf(link.remoteAddr) },
      (outcome) => {
        this.#pendingInbound.delete(abandon)
        if (outcome.ok) this.#take(link, outcome.value, 'inbound', done)
        else done(outcome)
      },
    )
  }

  adopt(link: Link, peer: PeerId, done: (outcome: Outcome<Connection>) => void): void {
    this.#outbound(link, peer, done)
  }

  #outbound(link: Link, expectedPeer: PeerId | undefined, done: (outcome: Outcome<Connection>) => void): (fault: TabmeshError) => void {
    if (link.t === 'muxed') {
      this.#take(link, native(link), 'outbound', done)
      return () => {}
    }
    return upgrade(link, { host: this.host, staticKey: this.#staticKey, role: 'dialer', expectedPeer }, (outcome) => {
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
      discard(upgraded.mux(), refusal)
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
        onStream: (stream) => this.#registrar.deliver(stream),
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
    for (const service of this.#registrar.services) if (open()) service.onConnection?.(connection)
    if (!open()) return done({ ok: false, fault: new TabmeshError('ERR_CONNECTION_CLOSED', 'the remote hung up at once') })
    done({ ok: true, value: connection })
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
    for (const service of this.#registrar.services) service.onDisconnect?.(connection, fault)
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
    let wanted = true
    let opening: Stream | undefined
    const settle = (outcome: Outcome<Stream>): void => {
      if (!wanted) return
      wanted = false
      done(outcome)
    }
    const cancelDial = this.dial(
      target,
      (outcome) => {
        if (!outcome.ok) return settle(outcome)
        const candidates = this.connections(outcome.value.remotePeer)
        const usable = candidates.find((each) => each.status === 'open' && (options.allowLimited === true || !each.limited))
        if (usable === undefined) {
          const fault = candidates.some((each) => each.status === 'open')
            ? new TabmeshError('ERR_LIMITED_CONNECTION', `only a limited connection to ${outcome.value.remotePeer} is open`)
            : new TabmeshError('ERR_CONNECTION_CLOSED', `the connection to ${outcome.value.remotePeer} closed meanwhile`)
          return settle({ ok: false, fault })
        }
        const stream = usable.openStream(protocols, (fault) => {
          if (fault !== undefined) settle({ ok: false, fault })
          else this.host.defer(() => settle({ ok: true, value: stream }))
        })
        opening = stream
      },
      options,
    )
    return () => {
      if (!wanted) return
      wanted = false
      cancelDial()
      opening?.abort(new TabmeshError('ERR_STREAM_CLOSED', 'the opening of the stream was given up'))
    }
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
    for (const service of this.#registrar.services) service.onSelfChange?.()
  }

  #selfChanged(): void {
    this.emit({ t: 'protocols:change', protocols: this.protocols(false) })
    for (const service of this.#registrar.services) service.onSelfChange?.()
  }

  identified(connection: Connection, identified: Identified): void {
    connection.identified = identified
    const { addresses, protocols, agent, recordSeq } = identified
    this.peerStore.update(connection.remotePeer, { addresses, protocols, agent, recordSeq }, this.host.date())
    for (const service of this.#registrar.services) service.onIdentify?.(connection)
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
    for (const service of this.#registrar.services) service.stop?.()
    for (const joined of [...this.#dials.values()]) joined.cancel()
    for (const abandon of [...this.#pendingInbound]) abandon(fault)
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

/** The peer that all addresses end in, or undefined where they say nothing. */
const targetOf = (addresses: readonly Multiaddr[]): PeerId | undefined => {
  for (const address of addresses) {
    const peer = peerIdOf(address)
    if (peer !== undefined) return peer
  }
  return undefined
}

const isPlainCircuit = (address: Multiaddr): boolean =>
  address.parts.some((part) => part.name === 'p2p-circuit') && !address.parts.some((part) => part.name === 'webrtc')

/** Proven direct, then relayed, then direct but unproven; what its relay limits comes last. */
const preference = (connection: Connection): number =>
  (connection.status === 'open' ? 8 : 0) +
  (connection.direct && (connection.proven || connection.transport !== 'webrtc') ? 4 : 0) +
  (connection.limited ? 0 : 2)

const refuse = (link: Link, fault: TabmeshError, done: (outcome: Outcome<Connection>) => void): void => {
  if (link.t === 'pipe') link.channel.abort(fault)
  else discard(link.muxer, fault)
  done({ ok: false, fault })
}

const discard = (muxer: Muxer, fault: TabmeshError): void => {
  muxer.attach({ onStream: () => {}, onClose: () => {} })
  muxer.abort(fault)
}

/** A native multiplexer needs no upgrade. */
const native = ({ muxer, remotePeer, encryption }: Extract<Link, { t: 'muxed' }>): Upgraded => ({
  remotePeer,
  encryption,
  muxer: muxer.protocol,
  mux: () => muxer,
})
