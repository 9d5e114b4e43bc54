/**
 * The DHT on a node (specs: kad-dht/README.md): table, lookups, stores and streams put together, and what an application asks of it.
 *
 *   identify says that a peer speaks the protocol ─▶ it is asked, and answers ─▶ table ─▶ refreshes and checks, by its own deadlines
 *   client mode   asks and is not asked: the protocol is not mounted            (a page)
 *   server mode   `server` is mounted too, and so is in what we tell others     (Node)
 *   auto          server while we are known to be reachable, client else
 *
 *   no peer in the table          those of `bootstrap` are dialled, now and each KAD_BOOTSTRAP_AGAIN; others who are connected are asked
 *
 * What an application asks: operations.ts. Keys of content are multihashes.
 *
 * Bounds: those of the parts. On a connection that its relay limits nothing is asked or answered.
 */

import { asTabmeshError, TabmeshError } from '../../../errors.ts'
import type { Multiaddr } from '../../codec/multiaddr.ts'
import { type PeerId, peerIdToBytes } from '../../codec/peer-id.ts'
import type { Cancel } from '../../host.ts'
import {
  KAD_ALPHA,
  KAD_BOOTSTRAP_AGAIN,
  KAD_K,
  KAD_MAX_INBOUND,
  KAD_MAX_PROBES,
  KAD_PATHS,
  KAD_REFRESH_TIMEOUT,
  KAD_REPROVIDE_PAUSE,
  KAD_SWEEP,
  KAD_TAG,
} from '../../limits.ts'
import type { Connection } from '../../net/connection.ts'
import type { DialTarget, Net, Service } from '../../net/service.ts'
import type { Outcome } from '../../wire/conversation.ts'
import { Answers } from './answers.ts'
import { keyOf, lookForPrefix, PeerKeys } from './keys.ts'
import { type KadPeer, kadMessage, ownAddresses } from './messages.ts'
import { admitFor, type Network, reachOf } from './network.ts'
import { type Operations, operations } from './operations.ts'
import { Provided } from './provided.ts'
import { Queries } from './query.ts'
import { type Namespace, type Records, recordsOf } from './records.ts'
import { isOfRemote, Requests, TAG, type Target } from './requests.ts'
import { Server } from './server.ts'
import { ProviderStore, RecordStore, type Shelf } from './stores.ts'
import { type Contact, Table, type TableInput } from './table.ts'

export const KAD = '/ipfs/kad/1.0.0'
export const LAN_KAD = '/ipfs/lan/kad/1.0.0'

/** Where what is to outlast this start is kept. */
export interface Shelves {
  readonly records: Shelf
  readonly providers: Shelf
  readonly provided: Shelf
}

/** What is on them, by the name of each entry. */
export type Shelved = { readonly [kind in keyof Shelves]: Iterable<readonly [name: string, bytes: Uint8Array]> }

export interface KadOptions {
  readonly protocol?: string
  readonly mode?: 'client' | 'server' | 'auto'
  readonly network?: Network
  /** The application's own namespaces. */
  readonly namespaces?: Readonly<Record<string, Namespace>>
  readonly shelves?: Shelves
  readonly k?: number
  readonly alpha?: number
  readonly paths?: number
  /** Whether we have a transport for an address; for all, if absent. */
  dialable?(address: Multiaddr): boolean
  /** Dialled whenever the table is empty, but for the start, when they are their owner's to dial. */
  readonly bootstrap?: readonly DialTarget[]
  /** Where else a peer may be found: the peer store. */
  addressesOf?(peer: PeerId): readonly Multiaddr[]
  /** Mounts `server` on the node, or takes it off. */
  serve?(server: Service, on: boolean): void
}

export interface KadService extends Service, Omit<Operations, 'announce'> {
  /** What is mounted in server mode. */
  readonly server: Service
  readonly serving: boolean
  readonly records: RecordStore
  readonly providers: ProviderStore
  /** Takes in what an earlier start has kept; may be called again with more of it. Not before the start. */
  load(shelved: Partial<Shelved>): void
  /** What is to be kept. */
  readonly shelved: Shelved
  /** Whether somebody is known, or will be: those it begins with. */
  readonly hopeful: boolean
  /** Peers in the routing table. */
  readonly peers: readonly Contact[]
  /** In `auto`: whether anybody can dial us. */
  reachable(isReachable: boolean): void
  /** Tells the nearest that we have `key`, now and each KAD_REPROVIDE; the outcome is how many took it. */
  provide(key: Uint8Array, done: (outcome: Outcome<number>) => void): Cancel
  /** Whether it was provided; what others have heard is over by itself. */
  unprovide(key: Uint8Array): boolean
}

export const kadService = (options: KadOptions = {}): KadService => {
  const { protocol = KAD, mode = 'client', network = 'public', k = KAD_K, alpha = KAD_ALPHA, paths = KAD_PATHS } = options
  const admit = admitFor(network, (address) => options.dialable?.(address) ?? true)
  /** In the public network nobody has us dial in our own, be it for one who is a client of it. */
  const isOfNetwork = (address: Multiaddr): boolean => network !== 'public' || reachOf(address) !== 'lan'
  const recordStore = new RecordStore(options.shelves?.records)
  const providerStore = new ProviderStore(options.shelves?.providers)
  const keys = new PeerKeys()
  let net: Net
  let records: Records
  let table: Table
  let requests: Requests
  let queries: Queries
  let answers: Answers | undefined
  let provided: Provided
  let asked: Operations
  let isServing = false
  let isOnline = true
  let stopped = false
  let tableTimer: Cancel = () => {}
  /** What it is set to. */
  let tableDue = Number.POSITIVE_INFINITY
  /** Those who are being asked whether they are there. */
  const checking = new Set<PeerId>()
  let sweepTimer: Cancel = () => {}
  let feedTimer: Cancel = () => {}
  let provideTimer: Cancel = () => {}

  const random = (): number => {
    const [a = 0, b = 0, c = 0] = net.host.random(3)
    return (a * 65_536 + b * 256 + c) / 16_777_216
  }

  // ── the table ────────────────────────────────────────────────────────────────────────────────────────────────

  const tell = (input: TableInput): void => {
    // Nobody is gone only because our own network is.
    if (stopped || (input.t === 'failed' && !isOnline)) return
    table.handle(input, net.host.now())
    drainTable()
  }

  const drainTable = (): void => {
    for (let output = table.poll(); output !== undefined; output = table.poll()) {
      if (output.t === 'in') {
        net.tag(output.contact.peer, TAG, KAD_TAG)
        queries.fed()
      } else if (output.t === 'out') {
        net.tag(output.peer, TAG, undefined)
        if (table.size === 0) feed()
      } else if (output.t === 'check') check(output.contact)
      else if (output.t === 'refresh') refresh(output.prefix)
    }
    const { deadline } = table
    if (deadline === tableDue || stopped) return
    tableTimer()
    tableDue = deadline
    if (deadline === Number.POSITIVE_INFINITY) return
    tableTimer = net.host.after(Math.max(0, deadline - net.host.now()), () => {
      tableDue = Number.POSITIVE_INFINITY
      tell({ t: 'time' })
    })
  }

  /** Looks for a first peer: among those who are connected, and those to begin with. */
  const feed = (): void => {
    feedTimer()
    if (table.size > 0 || stopped) return
    feedTimer = net.host.after(KAD_BOOTSTRAP_AGAIN, feed)
    if (!isOnline) return
    for (const connection of net.connections()) meet(connection)
    for (const target of options.bootstrap ?? []) net.dial(target, (outcome) => outcome.ok && meet(outcome.value), { background: true })
  }

  const meet = (connection: Connection): void => {
    const { remotePeer: peer, identified, limited } = connection
    if (identified === undefined || limited) return
    requests.forget(peer)
    if (!identified.protocols.includes(protocol)) return tell({ t: 'silent', peer })
    const addresses = ownAddresses(peer, toldBy(connection))
    if (table.has(peer)) return tell({ t: 'speaks', peer, addresses })
    // To say that one speaks it is cheap: who is new is asked something first (so does go).
    if (admit(addresses).length > 0 && !checking.has(peer) && checking.size < KAD_MAX_PROBES) check({ peer, addresses })
  }

  const check = ({ peer, addresses }: Target): void => {
    checking.add(peer)
    requests.ask({ peer, addresses }, kadMessage('FIND_NODE', peerIdToBytes(net.self)), (outcome) => {
      checking.delete(peer)
      if (outcome.ok) tell({ t: 'speaks', peer, addresses })
      else if (isOfRemote(outcome.fault)) tell({ t: 'failed', peer })
    })
  }

  const refresh = (prefix: number | 'self'): void => {
    if (!isOnline) return
    const own = peerIdToBytes(net.self)
    const key = prefix === 'self' ? own : lookForPrefix(keyOf(own), prefix, (bytes) => net.host.random(bytes))
    queries.run({ message: kadMessage('FIND_NODE', key), paths: 1, timeout: KAD_REFRESH_TIMEOUT, done: () => {} })
  }

  /** Addresses that we know ourselves, from connections and from whoever keeps them. */
  const addressesOf = (peer: PeerId): readonly Multiaddr[] => {
    if (peer === net.self) return net.addresses
    const known = table.get(peer)?.addresses ?? []
    if (known.length > 0) return known
    const told = net.connections(peer).flatMap((connection) => toldBy(connection))
    return ownAddresses(peer, told.length > 0 ? told : (options.addressesOf?.(peer) ?? []))
  }

  const toldBy = ({ identified, direction, direct, remoteAddr }: Connection): readonly Multiaddr[] => [
    ...(identified?.certified ?? identified?.addresses ?? []),
    ...(direction === 'outbound' && direct ? [remoteAddr] : []),
  ]

  const complete = (peer: KadPeer): KadPeer => (admit(peer.addresses).length > 0 ? peer : { ...peer, addresses: addressesOf(peer.id) })

  // ── what we provide ──────────────────────────────────────────────────────────────────────────────────────────

  const announce: Operations['announce'] = (key, done) => {
    const cancel = asked.announce(key, done)
    if (isServing) providerStore.add(key, net.self, admit(net.addresses), net.host.date())
    return cancel
  }

  const provide: KadService['provide'] = (key, done) => {
    const before = provided.has(key)
    let isOver = false
    const end = (isTold: boolean): void => {
      if (isOver) return
      isOver = true
      if (isTold || stopped) return
      // What was never told of is not provided; what was before is told again before long.
      if (before) provided.failed(key, net.host.now())
      else provided.delete(key)
      scheduleProvided()
    }
    const cancel = announce(key, (outcome) => {
      end(outcome.ok)
      done(outcome)
    })
    provided.add(key, net.host.now(), net.host.date())
    scheduleProvided()
    return () => {
      cancel()
      end(false)
    }
  }

  const scheduleProvided = (): void => {
    provideTimer()
    if (provided.size === 0 || stopped) return
    provideTimer = net.host.after(Math.max(KAD_REPROVIDE_PAUSE, provided.deadline - net.host.now()), () => {
      for (const key of provided.due(net.host.now(), net.host.date())) {
        announce(key, (outcome) => {
          if (outcome.ok) return
          provided.failed(key, net.host.now())
          scheduleProvided()
        })
      }
      scheduleProvided()
    })
  }

  // ── server mode ──────────────────────────────────────────────────────────────────────────────────────────────

  const server: Service = {
    name: 'kad server',
    protocols: { [protocol]: { maxInbound: KAD_MAX_INBOUND } },
    onStream(stream) {
      if (answers === undefined) stream.abort(new TabmeshError('ERR_NO_PROTOCOL', `${protocol} is not served`))
      else answers.serve(stream)
    },
  }

  const serve = (on: boolean): void => {
    if (on === isServing || stopped) return
    isServing = on
    if (!on) answers?.stop()
    try {
      options.serve?.(server, on)
    } catch (error) {
      isServing = !on
      net.emit({ t: 'error', error: asTabmeshError(error, 'ERR_INTERNAL', 'changing the mode of kad') })
    }
  }

  const sweep = (): void => {
    const date = net.host.date()
    recordStore.sweep(date)
    providerStore.sweep(date)
    sweepTimer = net.host.after(KAD_SWEEP, sweep)
  }

  return {
    name: 'kad',
    protocols: {},
    server,
    records: recordStore,
    providers: providerStore,
    get serving() {
      return isServing
    },
    get hopeful() {
      return table.size > 0 || (options.bootstrap ?? []).length > 0
    },
    get peers() {
      return table.contacts()
    },
    start(started) {
      net = started
      records = recordsOf(net.host, options.namespaces)
      table = new Table({ self: keyOf(peerIdToBytes(net.self)), keyOf: keys.of, admit, diverse: network === 'public', k, random })
      requests = new Requests(net, protocol)
      queries = new Queries({ net, requests, table, keyOf: keys.of, admit, k, alpha, paths, tellTable: tell, complete })
      provided = new Provided(random, options.shelves?.provided)
      const isConnected = (peer: PeerId): boolean => net.connections(peer).length > 0
      const machine = new Server({
        table,
        records: recordStore,
        providers: providerStore,
        k,
        addressesOf,
        admit,
        isConnected,
        isOver: records.isOver,
      })
      asked = operations({
        net,
        queries,
        requests,
        table,
        namespaces: records,
        records: recordStore,
        providers: providerStore,
        admit,
        addressesOf,
        tellTable: tell,
        isServing: () => isServing,
      })
      answers = new Answers(net, machine, records)
      sweepTimer = net.host.after(KAD_SWEEP, sweep)
      feedTimer = net.host.after(KAD_BOOTSTRAP_AGAIN, feed)
      // The node is not whole before this call returns.
      if (mode === 'server') net.host.defer(() => serve(true))
    },
    onIdentify: meet,
    onDisconnect: (connection) => requests.closed(connection),
    onNetworkChange(online) {
      isOnline = online
      if (!online) return
      requests.forget()
      feed()
    },
    search(peer, done) {
      // Where nobody is known, and nobody will be, a dial need not wait to be told so.
      if (table.size > 0 || (options.bootstrap ?? []).length > 0)
        return asked.findPeer(peer, (outcome) => done(outcome.ok ? (outcome.value?.addresses ?? []).filter(isOfNetwork) : []))
      net.host.defer(() => done([]))
      return () => {}
    },
    reachable(isReachable) {
      if (mode === 'auto') serve(isReachable)
    },
    stop() {
      stopped = true
      tableTimer()
      sweepTimer()
      feedTimer()
      provideTimer()
      queries.stop()
      requests.stop()
      answers?.stop()
    },
    load({ records: stored = [], providers = [], provided: promised = [] }) {
      const date = net.host.date()
      recordStore.load(stored, date)
      providerStore.load(providers, date)
      provided.load(promised, net.host.now(), date)
      scheduleProvided()
    },
    get shelved() {
      return { records: recordStore.entries(), providers: providerStore.entries(), provided: provided.entries() }
    },
    provide,
    unprovide(key) {
      providerStore.delete(key, net.self)
      return provided.delete(key)
    },
    findPeer: (peer, done) => asked.findPeer(peer, done),
    closestPeers: (key, onPeer, done) => asked.closestPeers(key, onPeer, done),
    findProviders: (key, onProvider, done) => asked.findProviders(key, onProvider, done),
    put: (key, value, done) => asked.put(key, value, done),
    get: (key, how, done) => asked.get(key, how, done),
  }
}
