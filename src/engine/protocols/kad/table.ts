/**
 * The routing table (specs: kad-dht/README.md §Kademlia routing table, §Bootstrap process): of every distance, up to k peers that are
 * known to be there. A bucket for each count of bits that a peer's key begins with in common with ours.
 *
 *   speaks ─▶ admitted? ─┬─ room in its bucket ─▶ in the table ──▶ failed, silent ─▶ out; the newest replacement takes its place
 *                        └─ full ─▶ kept as a replacement; who was not heard of for longest is checked
 *
 *   time ─▶ refresh: our own key, and one of each bucket that is not full or has nobody in reserve, to be looked up
 *        └▶ check:   who has not answered for KAD_STALE
 *
 * Only who speaks the protocol gets in, by having answered, with addresses that `admit` lets through: who was merely named by others
 * never does. Who has been there for long is never pushed out by who came just now (Maymounkov & Mazières §4.1).
 *
 * Bounds: k peers and KAD_REPLACEMENTS beside them in each of 256 buckets, of which an honest network fills log₂(size / k); of one
 * network of addresses KAD_MAX_PER_NETWORK; KAD_MAX_CHECKS checks under way. To find the k nearest looks at two buckets, mostly.
 */

import type { Multiaddr } from '../../codec/multiaddr.ts'
import type { PeerId } from '../../codec/peer-id.ts'
import {
  KAD_FIRST_REFRESH,
  KAD_K,
  KAD_MAX_CHECKS,
  KAD_MAX_PER_NETWORK,
  KAD_MAX_PER_NETWORK_AND_BUCKET,
  KAD_REFRESH,
  KAD_REFRESH_BUCKETS,
  KAD_REPLACEMENTS,
  KAD_STALE,
} from '../../limits.ts'
import { commonPrefix, compareDistance, type Key } from './keys.ts'
import { type Admit, networksOf } from './network.ts'

export interface Contact {
  readonly peer: PeerId
  readonly key: Key
  readonly addresses: readonly Multiaddr[]
}

interface Entry extends Contact {
  addresses: readonly Multiaddr[]
  networks: readonly string[]
  /** When it last answered. */
  seenAt: number
  /** It is being asked whether it is there. */
  checking: boolean
}

interface Bucket {
  /** Who was heard of most recently comes last. */
  readonly entries: Entry[]
  /** The newest comes last. */
  readonly replacements: Entry[]
  refreshAt: number
}

export type TableInput =
  /** It answered a request. No addresses: those that are known are as good. */
  | { readonly t: 'speaks'; readonly peer: PeerId; readonly addresses?: readonly Multiaddr[] }
  /** A dial or a request failed. */
  | { readonly t: 'failed'; readonly peer: PeerId }
  /** Identify says that it does not speak the protocol, or no more. */
  | { readonly t: 'silent'; readonly peer: PeerId }
  /** A key in this bucket was looked up for another reason. */
  | { readonly t: 'looked up'; readonly key: Key }
  | { readonly t: 'time' }

export type TableOutput =
  /** Ask it anything: the answer, or none, comes back as `speaks` or `failed`. */
  | { readonly t: 'check'; readonly contact: Contact }
  /** Look up a key that has so many bits in common with ours, or our own. */
  | { readonly t: 'refresh'; readonly prefix: number | 'self' }
  | { readonly t: 'in'; readonly contact: Contact }
  | { readonly t: 'out'; readonly peer: PeerId }

export interface TableOptions {
  readonly self: Key
  readonly keyOf: (peer: PeerId) => Key
  readonly admit: Admit
  /** Whether to keep any one network from filling the table: not where all are in one. */
  readonly diverse: boolean
  readonly k?: number
  /** Milliseconds between the refreshes of a bucket. */
  readonly refresh?: number
  /** Milliseconds of silence after which a peer is checked. */
  readonly stale?: number
  /** From 0 to 1. */
  readonly random: () => number
}

export class Table {
  readonly #options: TableOptions
  readonly #k: number
  readonly #refresh: number
  readonly #stale: number
  readonly #buckets: (Bucket | undefined)[] = []
  readonly #known = new Map<PeerId, Entry>()
  /** Of each network of addresses, who is in the table. */
  readonly #networks = new Map<string, number>()
  #outputs: TableOutput[] = []
  #selfAt = Number.POSITIVE_INFINITY
  #checkAt = Number.POSITIVE_INFINITY
  #checking = 0

  constructor(options: TableOptions) {
    this.#options = options
    this.#k = options.k ?? KAD_K
    this.#refresh = options.refresh ?? KAD_REFRESH
    this.#stale = options.stale ?? KAD_STALE
  }

  get size(): number {
    return this.#known.size
  }

  has(peer: PeerId): boolean {
    return this.#known.has(peer)
  }

  get(peer: PeerId): Contact | undefined {
    return this.#known.get(peer)
  }

  /** All of them, the farthest buckets first. */
  contacts(): Contact[] {
    return this.#buckets.flatMap((bucket) => bucket?.entries ?? [])
  }

  /** How many are in each bucket, the farthest first. */
  get sizes(): number[] {
    return Array.from(this.#buckets, (bucket) => bucket?.entries.length ?? 0)
  }

  /** When `time` is wanted next. */
  get deadline(): number {
    if (this.#known.size === 0) return Number.POSITIVE_INFINITY
    let deadline = Math.min(this.#selfAt, this.#checkAt)
    for (let at = 0; at < Math.min(this.#buckets.length, KAD_REFRESH_BUCKETS); at++) {
      const bucket = this.#buckets[at]
      if (bucket !== undefined && bucket.entries.length > 0) deadline = Math.min(deadline, bucket.refreshAt)
    }
    return deadline
  }

  handle(input: TableInput, now: number): void {
    switch (input.t) {
      case 'speaks':
        return this.#speaks(input.peer, input.addresses, now)
      case 'failed':
      case 'silent':
        return this.#gone(input.peer)
      case 'looked up': {
        const bucket = this.#buckets[commonPrefix(this.#options.self, input.key)]
        if (bucket !== undefined) bucket.refreshAt = this.#later(now)
        return
      }
      case 'time':
        return this.#time(now)
    }
  }

  poll(): TableOutput | undefined {
    return this.#outputs.shift()
  }

  /** The nearest to `target`, the nearest first, at most `count`. */
  closest(target: Key, count = this.#k, except?: PeerId): Contact[] {
    const shared = commonPrefix(this.#options.self, target)
    const buckets = this.#buckets
    const found: Contact[] = []
    const add = (from: number, to: number): void => {
      const before = found.length
      for (let at = from; at <= to; at++) for (const entry of buckets[at]?.entries ?? []) if (entry.peer !== except) found.push(entry)
      if (found.length - before > 1) sortFrom(found, before, target)
    }
    // Whoever shares more bits with the target than we do; then those who share as many; then one bit less with each bucket.
    add(shared, Math.min(shared, buckets.length - 1))
    if (found.length < count) add(shared + 1, buckets.length - 1)
    for (let at = Math.min(shared, buckets.length) - 1; at >= 0 && found.length < count; at--) add(at, at)
    return found.length > count ? found.slice(0, count) : found
  }

  #speaks(peer: PeerId, told: readonly Multiaddr[] | undefined, now: number): void {
    const known = this.#known.get(peer)
    if (known !== undefined) {
      const addresses = told === undefined ? known.addresses : this.#options.admit(told)
      if (addresses.length === 0) return this.#gone(peer)
      if (addresses !== known.addresses) this.#move(known, addresses)
      known.seenAt = now
      this.#checked(known)
      const { entries } = this.#bucketOf(known.key, now)
      if (entries.at(-1) !== known) {
        entries.splice(entries.indexOf(known), 1)
        entries.push(known)
      }
      return
    }
    const addresses = this.#options.admit(told ?? [])
    const key = this.#options.keyOf(peer)
    const prefix = commonPrefix(this.#options.self, key)
    // That is us.
    if (addresses.length === 0 || prefix === 256) return
    const networks = this.#options.diverse ? networksOf(addresses) : []
    const entry: Entry = { peer, key, addresses, networks, seenAt: now, checking: false }
    const bucket = this.#bucketOf(key, now)
    const again = bucket.replacements.findIndex((each) => each.peer === peer)
    if (again >= 0) bucket.replacements.splice(again, 1)
    if (bucket.entries.length < this.#k && this.#isDiverse(bucket, networks)) return this.#enter(bucket, entry, now)
    bucket.replacements.push(entry)
    if (bucket.replacements.length > KAD_REPLACEMENTS) bucket.replacements.shift()
    const [oldest] = bucket.entries
    // Asked once in a while, and not for every newcomer: a flood of them must not make us knock at the same door all the time.
    if (oldest !== undefined && now - oldest.seenAt >= this.#refresh) this.#check(oldest)
  }

  #enter(bucket: Bucket, entry: Entry, now: number): void {
    bucket.entries.push(entry)
    this.#known.set(entry.peer, entry)
    this.#count(entry.networks, 1)
    this.#outputs.push({ t: 'in', contact: entry })
    if (this.#selfAt === Number.POSITIVE_INFINITY) this.#selfAt = now + KAD_FIRST_REFRESH
    this.#checkAt = Math.min(this.#checkAt, entry.seenAt + this.#stale)
  }

  #gone(peer: PeerId): void {
    const entry = this.#known.get(peer)
    const bucket = this.#buckets[commonPrefix(this.#options.self, this.#options.keyOf(peer))]
    if (bucket === undefined) return
    const waiting = bucket.replacements.findIndex((each) => each.peer === peer)
    if (waiting >= 0) bucket.replacements.splice(waiting, 1)
    if (entry === undefined) return
    this.#checked(entry)
    this.#known.delete(peer)
    bucket.entries.splice(bucket.entries.indexOf(entry), 1)
    this.#count(entry.networks, -1)
    this.#outputs.push({ t: 'out', peer })
    const next = bucket.replacements.findLastIndex((each) => this.#isDiverse(bucket, each.networks))
    if (next < 0) return
    const [replacement] = bucket.replacements.splice(next, 1)
    if (replacement !== undefined) this.#enter(bucket, replacement, replacement.seenAt)
  }

  /** It has other addresses than before. */
  #move(entry: Entry, addresses: readonly Multiaddr[]): void {
    entry.addresses = addresses
    if (!this.#options.diverse) return
    this.#count(entry.networks, -1)
    entry.networks = networksOf(addresses)
    this.#count(entry.networks, 1)
  }

  #isDiverse(bucket: Bucket, networks: readonly string[]): boolean {
    return networks.every(
      (network) =>
        (this.#networks.get(network) ?? 0) < KAD_MAX_PER_NETWORK &&
        bucket.entries.filter((each) => each.networks.includes(network)).length < KAD_MAX_PER_NETWORK_AND_BUCKET,
    )
  }

  #count(networks: readonly string[], change: 1 | -1): void {
    for (const network of networks) {
      const count = (this.#networks.get(network) ?? 0) + change
      if (count > 0) this.#networks.set(network, count)
      else this.#networks.delete(network)
    }
  }

  #check(entry: Entry): void {
    if (entry.checking || this.#checking >= KAD_MAX_CHECKS) return
    entry.checking = true
    this.#checking += 1
    this.#outputs.push({ t: 'check', contact: entry })
  }

  #checked(entry: Entry): void {
    if (!entry.checking) return
    entry.checking = false
    this.#checking -= 1
  }

  #time(now: number): void {
    if (this.#known.size === 0) {
      this.#selfAt = Number.POSITIVE_INFINITY
      return
    }
    if (now >= this.#selfAt) {
      this.#selfAt = this.#later(now)
      this.#outputs.push({ t: 'refresh', prefix: 'self' })
    }
    for (let prefix = 0; prefix < Math.min(this.#buckets.length, KAD_REFRESH_BUCKETS); prefix++) {
      const bucket = this.#buckets[prefix]
      if (bucket === undefined || bucket.entries.length === 0 || now < bucket.refreshAt) continue
      bucket.refreshAt = this.#later(now)
      // A full one with others in reserve keeps itself up: who is gone is found out by checks, and lookups go through it anyway.
      if (bucket.entries.length === this.#k && bucket.replacements.length > 0) continue
      this.#outputs.push({ t: 'refresh', prefix })
    }
    if (now >= this.#checkAt) this.#checkStale(now)
  }

  #checkStale(now: number): void {
    let next = Number.POSITIVE_INFINITY
    for (const bucket of this.#buckets) {
      for (const entry of bucket?.entries ?? []) {
        // Those who find no room among the checks, and those whose check comes to nothing, are looked at again before long.
        const isStale = now - entry.seenAt >= this.#stale
        if (isStale) this.#check(entry)
        next = Math.min(next, isStale ? now + this.#refresh / 10 : entry.seenAt + this.#stale)
      }
    }
    this.#checkAt = next
  }

  #bucketOf(key: Key, now: number): Bucket {
    const at = commonPrefix(this.#options.self, key)
    while (this.#buckets.length <= at) this.#buckets.push(undefined)
    let bucket = this.#buckets[at]
    if (bucket === undefined) {
      // Soon, but not all at the same time.
      bucket = { entries: [], replacements: [], refreshAt: now + KAD_FIRST_REFRESH * (1 + 9 * this.#options.random()) }
      this.#buckets[at] = bucket
    }
    return bucket
  }

  #later(now: number): number {
    return now + this.#refresh * (0.9 + 0.2 * this.#options.random())
  }
}

const sortFrom = (list: Contact[], from: number, target: Key): void => {
  const part = from === 0 ? list : list.slice(from)
  part.sort((a, b) => compareDistance(target, a.key, b.key))
  if (from > 0) for (let i = 0; i < part.length; i++) list[from + i] = part[i] as Contact
}
