/**
 * Thousands of Kademlia servers over virtual time and a network with latency, churn and liars. Same options and seed, same run.
 *
 *   time 0     a network that has been there for long: every table is filled from its buckets' peers, by chance
 *   provide    `contents` providers look up the k nearest of their key and tell them
 *   churn      for `minutes`, `churn` of all nodes an hour go for good, and as many others come: who comes, or has nobody left in its table,
 *              is told of one node, looks itself up and refreshes its buckets; tables refresh, and check, by their own deadlines
 *   find       each content is looked for from another node that is there
 *
 * The tables, lookups and servers are the real ones; messages are handed over as they are. A request to one who is gone is not answered:
 * its asker learns it after DEAD_AFTER, as from a dial.
 *
 * Liars (`liars`, a part of all nodes) name nobody but sybils, and know of no provider: for each content there are `sybils` of them, nearer
 * to its key than any honest node, who came after it was provided (else they would be the ones who store it).
 */

import { sha256 } from '@noble/hashes/sha2.js'
import { publicKey } from '../../codec/keys.ts'
import { type Multiaddr, parseMultiaddr } from '../../codec/multiaddr.ts'
import { type PeerId, peerIdFromKey } from '../../codec/peer-id.ts'
import { KAD_ALPHA, KAD_K, KAD_PATHS, KAD_REFRESH, KAD_REFRESH_TIMEOUT, KAD_STALE } from '../../limits.ts'
import { compareDistance, type Key, keyOf, PeerKeys } from '../../protocols/kad/keys.ts'
import { type Ending, Lookup } from '../../protocols/kad/lookup.ts'
import { type KadMessage, type KadPeer, kadMessage } from '../../protocols/kad/messages.ts'
import { Server } from '../../protocols/kad/server.ts'
import { ProviderStore, RecordStore } from '../../protocols/kad/stores.ts'
import { type Contact, Table } from '../../protocols/kad/table.ts'
import { Histogram } from '../gossip/tally.ts'
import { Wheel } from '../gossip/wheel.ts'
import { type Prng, prng } from '../prng.ts'

export interface KadSimulationOptions {
  readonly nodes: number
  readonly contents: number
  /** The part of all nodes that goes, and comes, within an hour. */
  readonly churn: number
  /** Of churn, before anything is looked for. */
  readonly minutes: number
  readonly liars: number
  /** For each content, nearer to it than anybody honest. */
  readonly sybils: number
  readonly paths: number
  readonly k: number
  readonly alpha: number
  /** Milliseconds one way. */
  readonly latency: readonly [number, number]
  readonly seed: number
}

export const defaultKadOptions: KadSimulationOptions = {
  nodes: 1_000,
  contents: 500,
  churn: 0,
  minutes: 60,
  liars: 0,
  sybils: 0,
  paths: KAD_PATHS,
  k: KAD_K,
  alpha: KAD_ALPHA,
  latency: [10, 100],
  seed: 1,
}

export interface KadReport {
  readonly looked: number
  readonly found: number
  /** Steps from whoever looks to whoever told it of a provider. */
  readonly hops: Histogram
  /** The longest way that a lookup went at all. */
  readonly depth: Histogram
  /** Until the first provider. */
  readonly milliseconds: Histogram
  /** Until the end of a lookup that goes on to its end. */
  readonly whole: Histogram
  /** Requests until the first provider, and of whole lookups. */
  readonly messages: Histogram
  readonly wholeMessages: Histogram
  readonly endings: Readonly<Record<Ending, number>>
  /** Of those who should store a record, being the nearest when it was provided, the part that did. */
  readonly placed: number
  readonly tableSize: number
  /** Of a table, the part that is not there any more. */
  readonly dead: number
  /** All requests, those of churn too. */
  readonly requests: number
}

interface SimNode {
  readonly index: number
  readonly id: PeerId
  readonly key: Key
  readonly table: Table
  readonly server: Server
  readonly liar: boolean
  online: boolean
}

interface Query {
  readonly node: SimNode
  readonly lookup: Lookup
  readonly message: KadMessage
  readonly began: number
  readonly hops: Map<PeerId, number>
  depth: number
  wakesAt: number
  answered?: (from: PeerId, answer: KadMessage, hop: number) => void
  done?: (ending: Ending, closest: readonly Contact[]) => void
}

type Event =
  | { readonly t: 'request'; readonly from: SimNode; readonly to: PeerId; readonly query: Query | undefined; readonly message: KadMessage }
  | {
      readonly t: 'response'
      readonly from: PeerId
      readonly query: Query | undefined
      readonly to: SimNode
      readonly message: KadMessage | undefined
    }
  | { readonly t: 'wake'; readonly query: Query }
  | { readonly t: 'tables' }
  | { readonly t: 'churn' }

/** What a dial to one who is gone takes. */
const DEAD_AFTER = 5_000
/** How often tables are looked at for their deadlines. */
const TABLES_EVERY = 5_000
/** Any time will do. */
const DATE = 1_750_000_000_000

export class KadSimulation {
  readonly options: KadSimulationOptions
  readonly nodes: SimNode[] = []
  readonly #random: Prng
  readonly #wheel = new Wheel<Event>()
  readonly #byId = new Map<PeerId, SimNode>()
  readonly #keys: PeerKeys
  readonly #address: readonly Multiaddr[] = [parseMultiaddr('/ip4/192.0.2.1/tcp/1')]
  readonly #peers = new Map<PeerId, KadPeer>()
  /** The sybils around a key, by the content's text. */
  readonly #sybils = new Map<Key, readonly KadPeer[]>()
  readonly #sybilIds = new Set<PeerId>()
  readonly #sybilKeys = new Map<PeerId, Key>()
  readonly #hashes = new Map<Uint8Array, Key>()
  #requests = 0
  #tickets = 0
  #running = 0
  #churning = false

  constructor(options: Partial<KadSimulationOptions> = {}) {
    this.options = { ...defaultKadOptions, ...options }
    this.#random = prng(this.options.seed)
    this.#keys = new PeerKeys(Number.POSITIVE_INFINITY)
    const liars = Math.round(this.options.nodes * this.options.liars)
    for (let i = 0; i < this.options.nodes; i++) this.#add(i < liars)
    this.#fill()
  }

  get now(): number {
    return this.#wheel.now
  }

  run(): KadReport {
    const { contents, churn, minutes } = this.options
    const honest = (): SimNode => {
      for (;;) {
        const node = this.nodes[this.#random.below(this.nodes.length)] as SimNode
        if (node.online && !node.liar && node.table.size > 0) return node
      }
    }
    const keys = Array.from({ length: contents }, () => Uint8Array.of(0x12, 32, ...this.#random.bytes(32)))
    for (const key of keys) this.#hashes.set(key, keyOf(key))

    let placed = 0
    let due = 0
    this.#each(keys, (key, done) => {
      const provider = honest()
      const providers = [this.#peer(provider.id)]
      this.#query(provider, key, kadMessage('FIND_NODE', key), {
        done: (_ending, closest) => {
          const nearest = this.#nearest(this.#hash(key), this.options.k)
          const told = new Set(closest.map(({ peer }) => peer))
          due += nearest.length
          placed += nearest.filter((each) => told.has(each.id) || each === provider).length
          for (const { peer } of closest) this.#send(provider, peer, undefined, kadMessage('ADD_PROVIDER', key, { providers }))
          done()
        },
      })
    })

    if (churn > 0) this.#churn(minutes)
    if (this.options.liars > 0) for (const key of keys) this.#surround(key)

    const report = {
      hops: new Histogram(),
      depth: new Histogram(),
      milliseconds: new Histogram(),
      whole: new Histogram(),
      messages: new Histogram(),
      wholeMessages: new Histogram(),
    }
    const endings: Record<Ending, number> = { converged: 0, exhausted: 0, stopped: 0, timeout: 0 }
    let found = 0
    this.#each(keys, (key, done) => {
      let isFound = false
      const query = this.#query(honest(), key, kadMessage('GET_PROVIDERS', key), {
        answered: (_from, { providers }, hop) => {
          if (isFound || providers.length === 0) return
          isFound = true
          found += 1
          report.hops.add(hop)
          report.milliseconds.add(this.now - query.began)
          report.messages.add(query.lookup.asked)
        },
        done: (ending) => {
          endings[ending] += 1
          report.whole.add(this.now - query.began)
          report.wholeMessages.add(query.lookup.asked)
          report.depth.add(query.depth)
          done()
        },
      })
    })

    const there = this.nodes.filter(({ online, liar }) => online && !liar)
    let entries = 0
    let dead = 0
    for (const { table } of there) {
      for (const { peer } of table.contacts()) {
        entries += 1
        if (this.#byId.get(peer)?.online !== true) dead += 1
      }
    }
    return {
      ...report,
      looked: keys.length,
      found,
      endings,
      placed: placed / due,
      tableSize: entries / there.length,
      dead: dead / entries,
      requests: this.#requests,
    }
  }

  /** Runs `begin` for each, some at a time, until all are done. */
  #each<T>(items: readonly T[], begin: (item: T, done: () => void) => void): void {
    let next = 0
    this.#running = 0
    const more = (): void => {
      while (next < items.length && this.#running < 64) {
        this.#running += 1
        begin(items[next++] as T, () => {
          this.#running -= 1
          more()
        })
      }
    }
    more()
    while (this.#running > 0) this.#wheel.run(this.now + 1_000, this.#happen)
    this.#wheel.run(this.now + 1_000, this.#happen)
  }

  #add(liar: boolean): SimNode {
    const id = peerIdFromKey(publicKey('Ed25519', this.#random.bytes(32)))
    const key = this.#keys.of(id)
    const table = new Table({
      self: key,
      keyOf: this.#keyOf,
      admit: (addresses) => addresses,
      diverse: false,
      k: this.options.k,
      random: () => this.#random.u32() / 0x1_0000_0000,
    })
    const server = new Server({
      table,
      records: new RecordStore(),
      providers: new ProviderStore(),
      k: this.options.k,
      addressesOf: () => [],
      admit: (addresses) => addresses,
      keyOf: (bytes) => this.#hash(bytes),
    })
    const node: SimNode = { index: this.nodes.length, id, key, table, server, liar, online: true }
    this.nodes.push(node)
    this.#byId.set(id, node)
    return node
  }

  readonly #keyOf = (peer: PeerId): Key => this.#sybilKeys.get(peer) ?? this.#keys.of(peer)

  #hash(bytes: Uint8Array): Key {
    return this.#hashes.get(bytes) ?? keyOf(bytes)
  }

  #peer(id: PeerId): KadPeer {
    let peer = this.#peers.get(id)
    if (peer === undefined) {
      peer = { id, addresses: this.#address, connection: 'none' }
      this.#peers.set(id, peer)
    }
    return peer
  }

  /** Tables as they are after long: of each bucket up to k, by chance. */
  #fill(): void {
    const sorted = [...this.nodes].sort((a, b) => compareDistance(zero, a.key, b.key))
    for (const node of sorted) {
      // Bit by bit those who share the prefix lie side by side, and the half without the next bit is a bucket.
      let low = 0
      let high = sorted.length
      for (let bit = 0; high - low > 1 && bit < 256; bit++) {
        const isOne = bitOf(node.key, bit)
        const middle = split(sorted, low, high, bit)
        const [from, to] = isOne ? [low, middle] : [middle, high]
        const then = this.now - this.#random.below(KAD_REFRESH)
        for (const index of this.#some(from, to)) {
          const other = sorted[index] as SimNode
          node.table.handle({ t: 'speaks', peer: other.id, addresses: this.#address }, then - this.#random.below(KAD_STALE - KAD_REFRESH))
          node.table.handle({ t: 'looked up', key: other.key }, then)
        }
        ;[low, high] = isOne ? [middle, high] : [low, middle]
      }
      drain(node.table)
    }
  }

  /** Up to k numbers from `from` and below `to`. */
  #some(from: number, to: number): number[] {
    const { k } = this.options
    if (to - from <= k) return Array.from({ length: to - from }, (_, i) => from + i)
    const chosen = new Set<number>()
    while (chosen.size < k) chosen.add(from + this.#random.below(to - from))
    return [...chosen]
  }

  /** Who should store a record: those that are there, and nearest. */
  #nearest(target: Key, count: number): SimNode[] {
    let nearest: SimNode[] = []
    for (const node of this.nodes) {
      if (!node.online) continue
      const last = nearest[count - 1]
      if (last !== undefined && compareDistance(target, last.key, node.key) <= 0) continue
      nearest.push(node)
      nearest.sort((a, b) => compareDistance(target, a.key, b.key))
      nearest = nearest.slice(0, count)
    }
    return nearest
  }

  #surround(key: Uint8Array): void {
    const target = this.#hash(key)
    const peers: KadPeer[] = []
    for (let i = 0; i < this.options.sybils; i++) {
      const id = peerIdFromKey(publicKey('Ed25519', this.#random.bytes(32)))
      const near = target.slice()
      for (let at = 6; at < 32; at++) near[at] = this.#random.below(256)
      this.#sybilKeys.set(id, near)
      this.#sybilIds.add(id)
      peers.push(this.#peer(id))
    }
    peers.sort((a, b) => compareDistance(target, this.#keyOf(a.id), this.#keyOf(b.id)))
    this.#sybils.set(key, peers)
  }

  #query(node: SimNode, key: Uint8Array, message: KadMessage, on: Pick<Query, 'answered' | 'done'>, refreshes = false): Query {
    const { k, alpha, paths } = this.options
    const target = this.#hash(key)
    const lookup = new Lookup(
      {
        target,
        self: node.id,
        seeds: node.table.closest(target, k),
        keyOf: this.#keyOf,
        admit: (addresses) => addresses,
        k,
        alpha,
        // A refresh is to meet peers, and has nothing that a liar could keep from it.
        paths: refreshes ? 1 : paths,
        ...(refreshes ? { timeout: KAD_REFRESH_TIMEOUT } : {}),
      },
      this.now,
    )
    const query: Query = { node, lookup, message, began: this.now, hops: new Map(), depth: 0, wakesAt: 0, ...on }
    this.#drive(query)
    return query
  }

  #drive(query: Query): void {
    const { lookup, node, hops, message } = query
    for (let output = lookup.poll(); output !== undefined; output = lookup.poll()) {
      if (output.t === 'ask') {
        hops.set(output.contact.peer, output.hop)
        this.#send(node, output.contact.peer, query, message)
      } else if (output.t === 'abandon') {
        if (output.late) node.table.handle({ t: 'failed', peer: output.peer }, this.now)
      } else if (output.t === 'done') query.done?.(output.ending, output.closest)
    }
    if (lookup.over || query.wakesAt > this.now) return
    query.wakesAt = Math.ceil(Math.max(this.now + 1, Math.min(lookup.deadline, this.now + 15_000)))
    this.#wheel.put(query.wakesAt, { t: 'wake', query })
  }

  #send(from: SimNode, to: PeerId, query: Query | undefined, message: KadMessage): void {
    this.#requests += 1
    this.#wheel.put(this.now + this.#latency(), { t: 'request', from, to, query, message })
  }

  #latency(): number {
    const [least, most] = this.options.latency
    return least + this.#random.below(most - least + 1)
  }

  readonly #happen = (event: Event): void => {
    switch (event.t) {
      case 'request':
        return this.#onRequest(event.from, event.to, event.query, event.message)
      case 'response':
        return this.#onResponse(event.from, event.query, event.to, event.message)
      case 'wake': {
        const { lookup } = event.query
        if (lookup.over) return
        if (lookup.deadline <= this.now) lookup.handle({ t: 'time' }, this.now)
        return this.#drive(event.query)
      }
      case 'tables':
        return this.#lookAtTables()
      case 'churn':
        return this.#change()
    }
  }

  #onRequest(from: SimNode, to: PeerId, query: Query | undefined, message: KadMessage): void {
    const respond = (answer: KadMessage | undefined, after: number): void => {
      this.#wheel.put(this.now + after, { t: 'response', from: to, query, to: from, message: answer })
    }
    const node = this.#byId.get(to)
    if (this.#sybilIds.has(to) || (node?.online === true && node.liar && this.#sybils.has(message.key))) {
      return respond(this.#lie(message), this.#latency())
    }
    if (node?.online !== true) return respond(undefined, DEAD_AFTER)
    // Whoever asks is a server too: it was seen.
    node.table.handle({ t: 'speaks', peer: from.id, addresses: this.#address }, this.now)
    const ticket = this.#tickets++
    node.server.handle({ t: 'request', ticket, from: from.id, message }, DATE + this.now)
    for (let output = node.server.poll(); output !== undefined; output = node.server.poll()) {
      if (output.t === 'answer' && output.message !== undefined) respond(output.message, this.#latency())
    }
    this.#drainTable(node)
  }

  #lie({ type, key }: KadMessage): KadMessage {
    const sybils = this.#sybils.get(key) ?? []
    const start = sybils.length > this.options.k ? this.#random.below(sybils.length) : 0
    return kadMessage(type, key, { closer: [...sybils.slice(start), ...sybils.slice(0, start)].slice(0, this.options.k) })
  }

  #onResponse(peer: PeerId, query: Query | undefined, to: SimNode, message: KadMessage | undefined): void {
    if (!to.online) return
    to.table.handle(message === undefined ? { t: 'failed', peer } : { t: 'speaks', peer, addresses: this.#address }, this.now)
    this.#drainTable(to)
    if (query === undefined || query.lookup.over) return
    if (message === undefined) query.lookup.handle({ t: 'failed', peer }, this.now)
    else {
      const hop = query.hops.get(peer) ?? 0
      query.depth = Math.max(query.depth, hop)
      query.answered?.(peer, message, hop)
      query.lookup.handle({ t: 'answered', peer, closer: message.closer }, this.now)
    }
    this.#drive(query)
  }

  #drainTable(node: SimNode): void {
    for (let output = node.table.poll(); output !== undefined; output = node.table.poll()) {
      if (!this.#churning) continue
      if (output.t === 'check') this.#send(node, output.contact.peer, undefined, kadMessage('FIND_NODE', this.#idBytes(node)))
      else if (output.t === 'refresh') this.#refresh(node, output.prefix)
    }
  }

  /** A key whose hash is the node's own, or shares so many bits with it: a simulation need not look for one. */
  #refresh(node: SimNode, prefix: number | 'self'): void {
    const key = new Uint8Array(34)
    key.set([0x12, 32])
    key.set(this.#random.bytes(32), 2)
    const hash = node.key.slice()
    if (prefix !== 'self') {
      hash.set(sha256(key))
      for (let bit = 0; bit <= prefix; bit++) setBit(hash, bit, bit === prefix ? !bitOf(node.key, bit) : bitOf(node.key, bit))
    }
    this.#hashes.set(key, hash)
    this.#query(node, key, kadMessage('FIND_NODE', key), { done: () => void this.#hashes.delete(key) }, true)
  }

  readonly #ids = new Map<SimNode, Uint8Array>()

  #idBytes(node: SimNode): Uint8Array {
    let bytes = this.#ids.get(node)
    if (bytes === undefined) {
      bytes = Uint8Array.of(0x12, 32, ...node.key)
      this.#ids.set(node, bytes)
      this.#hashes.set(bytes, node.key)
    }
    return bytes
  }

  #churn(minutes: number): void {
    const end = this.now + minutes * 60_000
    this.#churning = true
    this.#wheel.put(this.now + 1, { t: 'churn' })
    this.#wheel.put(this.now + 1, { t: 'tables' })
    this.#wheel.run(end, this.#happen)
    // Lookups go on under churn: it stops with the simulation.
  }

  #lookAtTables(): void {
    for (const node of this.nodes) {
      if (!node.online || node.liar) continue
      if (node.table.size === 0) this.#introduce(node)
      if (node.table.deadline > this.now) continue
      node.table.handle({ t: 'time' }, this.now)
      this.#drainTable(node)
    }
    this.#wheel.put(this.now + TABLES_EVERY, { t: 'tables' })
  }

  /** As by a list of nodes to begin with. */
  #introduce(node: SimNode): void {
    for (;;) {
      const other = this.nodes[this.#random.below(this.nodes.length)] as SimNode
      if (!other.online || other === node) continue
      node.table.handle({ t: 'speaks', peer: other.id, addresses: this.#address }, this.now)
      drain(node.table)
      return
    }
  }

  /** One goes, and another comes. */
  #change(): void {
    const { churn, nodes } = this.options
    for (let tries = 0; tries < 100; tries++) {
      const node = this.nodes[this.#random.below(this.nodes.length)] as SimNode
      if (!node.online || node.liar) continue
      node.online = false
      break
    }
    const fresh = this.#add(false)
    this.#introduce(fresh)
    const every = 3_600_000 / (churn * nodes)
    this.#wheel.put(this.now + Math.max(1, Math.min(Math.round(every * (0.5 + this.#random.u32() / 0x1_0000_0000)), 16_000)), {
      t: 'churn',
    })
  }
}

const zero = new Uint8Array(32)

const drain = (table: Table): void => {
  while (table.poll() !== undefined);
}

const bitOf = (key: Key, bit: number): boolean => (((key[bit >> 3] as number) >> (7 - (bit & 7))) & 1) === 1

const setBit = (key: Key, bit: number, on: boolean): void => {
  const mask = 1 << (7 - (bit & 7))
  key[bit >> 3] = on ? (key[bit >> 3] as number) | mask : (key[bit >> 3] as number) & ~mask
}

/** Where, among nodes in order that share what is before it, those with this bit begin. */
const split = (sorted: readonly SimNode[], from: number, to: number, bit: number): number => {
  let low = from
  let high = to
  while (low < high) {
    const middle = (low + high) >> 1
    if (bitOf((sorted[middle] as SimNode).key, bit)) high = middle
    else low = middle + 1
  }
  return low
}
