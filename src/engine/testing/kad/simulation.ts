/**
 * Thousands of Kademlia servers over virtual time and a network with latency, churn and liars. Same options and seed, same run.
 *
 *   time 0     a network that has been there for long: every table is filled from its buckets' peers, by chance
 *   provide    `contents` providers look up the k nearest of their key and tell them
 *   churn      for `minutes`, `churn` of all nodes an hour go for good, and as many others come: who comes, or has nobody left in its table,
 *              is told of one node, looks itself up and refreshes its buckets; tables refresh, and check, by their own deadlines
 *   find       each content is looked for from another node that is there
 *
 * Who there is: population.ts. The tables, lookups and servers are the real ones; messages are handed over as they are. A request to one who is gone is not answered:
 * its asker learns it after DEAD_AFTER, as from a dial.
 *
 * Liars (`liars`, a part of all nodes) and sybils, `sybils` for each content: sybils.ts. Sybils come after it was provided (else they would be the ones who
 * store it).
 */

import { sha256 } from '@noble/hashes/sha2.js'
import type { PeerId } from '../../codec/peer-id.ts'
import { KAD_ALPHA, KAD_K, KAD_PATHS, KAD_REFRESH_TIMEOUT } from '../../limits.ts'
import type { Key } from '../../protocols/kad/keys.ts'
import { type Ending, Lookup } from '../../protocols/kad/lookup.ts'
import { type KadMessage, kadMessage } from '../../protocols/kad/messages.ts'
import type { Contact } from '../../protocols/kad/table.ts'
import { Histogram } from '../gossip/tally.ts'
import { Wheel } from '../gossip/wheel.ts'
import { type Prng, prng } from '../prng.ts'
import { bitOf, Population, type SimNode } from './population.ts'
import { Sybils } from './sybils.ts'

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
  readonly #random: Prng
  readonly #wheel = new Wheel<Event>()
  readonly #population: Population
  readonly #sybils: Sybils
  #requests = 0
  #tickets = 0
  #running = 0
  #churning = false

  constructor(options: Partial<KadSimulationOptions> = {}) {
    this.options = { ...defaultKadOptions, ...options }
    this.#random = prng(this.options.seed)
    const { nodes, liars, k } = this.options
    this.#population = new Population(k, this.#random)
    this.#sybils = new Sybils(this.#population, this.#random, k)
    for (let i = 0; i < nodes; i++) this.#population.add(i < Math.round(nodes * liars))
    this.#population.fill(this.now)
  }

  get now(): number {
    return this.#wheel.now
  }

  run(): KadReport {
    const { contents, churn, minutes, liars, sybils, k } = this.options
    const population = this.#population
    const keys = Array.from({ length: contents }, () => Uint8Array.of(0x12, 32, ...this.#random.bytes(32)))
    for (const key of keys) population.remember(key)

    let placed = 0
    let due = 0
    this.#each(keys, (key, done) => {
      const provider = population.honest()
      const providers = [population.peer(provider.id)]
      this.#query(provider, key, kadMessage('FIND_NODE', key), {
        done: (_ending, closest) => {
          const nearest = population.nearest(population.hash(key), k)
          const told = new Set(closest.map(({ peer }) => peer))
          due += nearest.length
          placed += nearest.filter((each) => told.has(each.id) || each === provider).length
          for (const { peer } of closest) this.#send(provider, peer, undefined, kadMessage('ADD_PROVIDER', key, { providers }))
          done()
        },
      })
    })

    if (churn > 0) this.#churn(minutes)
    if (liars > 0) for (const key of keys) this.#sybils.surround(key, sybils)

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
      const query = this.#query(population.honest(), key, kadMessage('GET_PROVIDERS', key), {
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

    const { size, dead } = population.tables()
    return {
      ...report,
      looked: keys.length,
      found,
      endings,
      placed: placed / due,
      tableSize: size,
      dead,
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

  #query(node: SimNode, key: Uint8Array, message: KadMessage, on: Pick<Query, 'answered' | 'done'>, refreshes = false): Query {
    const { k, alpha, paths } = this.options
    const target = this.#population.hash(key)
    const lookup = new Lookup(
      {
        target,
        self: node.id,
        seeds: node.table.closest(target, k),
        keyOf: this.#population.keyOf,
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
    if (this.#sybils.answersFor(to, message)) return respond(this.#sybils.lie(message), this.#latency())
    const node = this.#population.get(to)
    if (node?.online !== true) return respond(undefined, DEAD_AFTER)
    // Whoever asks is a server too: it was seen.
    node.table.handle({ t: 'speaks', peer: from.id, addresses: this.#population.address }, this.now)
    const ticket = this.#tickets++
    node.server.handle({ t: 'request', ticket, from: from.id, message }, DATE + this.now)
    for (let output = node.server.poll(); output !== undefined; output = node.server.poll()) {
      if (output.t === 'answer' && output.message !== undefined) respond(output.message, this.#latency())
    }
    this.#drainTable(node)
  }

  #onResponse(peer: PeerId, query: Query | undefined, to: SimNode, message: KadMessage | undefined): void {
    if (!to.online) return
    to.table.handle(message === undefined ? { t: 'failed', peer } : { t: 'speaks', peer, addresses: this.#population.address }, this.now)
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
      if (output.t === 'check') this.#send(node, output.contact.peer, undefined, kadMessage('FIND_NODE', this.#population.idBytes(node)))
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
    this.#population.remember(key, hash)
    this.#query(node, key, kadMessage('FIND_NODE', key), { done: () => this.#population.forget(key) }, true)
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
    for (const node of this.#population.nodes) {
      if (!node.online || node.liar) continue
      if (node.table.size === 0) this.#population.introduce(node, this.now)
      if (node.table.deadline > this.now) continue
      node.table.handle({ t: 'time' }, this.now)
      this.#drainTable(node)
    }
    this.#wheel.put(this.now + TABLES_EVERY, { t: 'tables' })
  }

  /** One goes, and another comes. */
  #change(): void {
    const { churn, nodes } = this.options
    for (let tries = 0; tries < 100; tries++) {
      const node = this.#population.any()
      if (!node.online || node.liar) continue
      node.online = false
      break
    }
    this.#population.introduce(this.#population.add(false), this.now)
    const every = 3_600_000 / (churn * nodes)
    this.#wheel.put(this.now + Math.max(1, Math.min(Math.round(every * (0.5 + this.#random.u32() / 0x1_0000_0000)), 16_000)), {
      t: 'churn',
    })
  }
}

const setBit = (key: Key, bit: number, on: boolean): void => {
  const mask = 1 << (7 - (bit & 7))
  key[bit >> 3] = on ? (key[bit >> 3] as number) | mask : (key[bit >> 3] as number) & ~mask
}
