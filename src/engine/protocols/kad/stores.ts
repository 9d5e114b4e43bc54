/**
 * What a server keeps for others (specs: kad-dht/README.md §Content provider advertisement, §Value storage): records of values, and who
 * provides what. In memory; a shelf, which a host puts under it, keeps it from one start to the next.
 *
 *   put ─▶ memory ─▶ shelf        load (at the start) ─▶ memory        sweep, each KAD_SWEEP: what is over goes, from both
 *
 * Lifetimes: KAD_RECORD_LIFE, KAD_PROVIDER_LIFE since it was stored or repeated, the addresses of a provider KAD_PROVIDER_ADDRESS_LIFE.
 * What is over is not handed out, swept or not. All of a kind live equally long: the oldest come first in the maps, and go first.
 *
 * Bounds: KAD_MAX_RECORDS and KAD_MAX_RECORDS_BYTES; KAD_MAX_CONTENTS, KAD_MAX_PROVIDERS_KEPT of each, KAD_MAX_PROVIDER_RECORDS in all,
 * of one peer KAD_MAX_PER_PROVIDER. Where there is no room, the oldest gives way. Times are Unix milliseconds.
 */

import { decodeMultiaddrs, type Multiaddr } from '../../codec/multiaddr.ts'
import { toBase64Url } from '../../codec/multibase.ts'
import { type PeerId, peerIdFromBytes, peerIdToBytes } from '../../codec/peer-id.ts'
import { bytes, message, repeated, uint } from '../../codec/protobuf.ts'
import {
  KAD_MAX_ADDRESSES,
  KAD_MAX_CONTENT_KEY,
  KAD_MAX_CONTENTS,
  KAD_MAX_KEY,
  KAD_MAX_PER_PROVIDER,
  KAD_MAX_PROVIDER_RECORDS,
  KAD_MAX_PROVIDERS_KEPT,
  KAD_MAX_RECORDS,
  KAD_MAX_RECORDS_BYTES,
  KAD_MAX_VALUE,
  KAD_PROVIDER_ADDRESS_LIFE,
  KAD_PROVIDER_LIFE,
  KAD_RECORD_LIFE,
} from '../../limits.ts'

/** Where a host keeps entries: IndexedDB, a disk. It does so when it can, and tells its own faults. */
export interface Shelf {
  put(name: string, bytes: Uint8Array): void
  delete(name: string): void
}

export const noShelf: Shelf = { put: () => {}, delete: () => {} }

export interface StoredRecord {
  readonly key: Uint8Array
  readonly value: Uint8Array
  readonly at: number
}

export interface StoredProvider {
  readonly peer: PeerId
  /** None once they have had their time. */
  readonly addresses: readonly Multiaddr[]
  readonly at: number
}

const Record = message({ key: bytes(1), value: bytes(2), at: uint(3) })
const Provider = message({ key: bytes(1), peer: bytes(2), addresses: repeated(bytes(3), KAD_MAX_ADDRESSES), at: uint(4) })

const encodeRecord = ({ key, value, at }: StoredRecord): Uint8Array => Record.encode({ key, value, at })

const encodeProvision = ({ key, peer, addresses, at }: Provision): Uint8Array =>
  Provider.encode({ key, peer: peerIdToBytes(peer), addresses: addresses.map((each) => each.bytes), at })

/** Clocks are set: what was stored in the future was stored now, or it would never be over. */
const past = (at: number | undefined, date: number): number => Math.min(at ?? 0, date)

export class RecordStore {
  readonly #shelf: Shelf
  readonly #records = new Map<string, StoredRecord>()
  #bytes = 0

  constructor(shelf: Shelf = noShelf) {
    this.#shelf = shelf
  }

  get size(): number {
    return this.#records.size
  }

  get bytes(): number {
    return this.#bytes
  }

  get(key: Uint8Array, date: number): StoredRecord | undefined {
    const record = this.#records.get(toBase64Url(key))
    return record !== undefined && date < record.at + KAD_RECORD_LIFE ? record : undefined
  }

  /** The caller has validated it. */
  put(key: Uint8Array, value: Uint8Array, date: number): void {
    const at = Math.floor(date)
    const name = toBase64Url(key)
    this.#drop(name)
    const record = { key, value, at }
    this.#keep(name, record)
    this.#shelf.put(name, encodeRecord(record))
  }

  delete(key: Uint8Array): void {
    this.#remove(toBase64Url(key))
  }

  /** What an earlier start kept, in any order; what can't be read, or is over, is taken off the shelf. */
  load(entries: Iterable<readonly [name: string, bytes: Uint8Array]>, date: number): void {
    const read: [string, StoredRecord][] = []
    for (const [name, input] of entries) {
      const record = readOr(() => {
        const { key, value, at } = Record.decode(input)
        if (key === undefined || value === undefined || key.length > KAD_MAX_KEY || value.length > KAD_MAX_VALUE) return undefined
        return toBase64Url(key) === name ? { key: key.slice(), value: value.slice(), at: past(at, date) } : undefined
      })
      if (record === undefined || date >= record.at + KAD_RECORD_LIFE) this.#shelf.delete(name)
      else if (!this.#records.has(name)) read.push([name, record])
    }
    const met = [...this.#records]
    this.#records.clear()
    this.#bytes = 0
    for (const [name, record] of [...read, ...met].sort(([, a], [, b]) => a.at - b.at)) this.#keep(name, record)
  }

  /** All of them as a shelf has them, for one that is written anew. */
  *entries(): Generator<readonly [name: string, bytes: Uint8Array]> {
    for (const [name, record] of this.#records) yield [name, encodeRecord(record)]
  }

  sweep(date: number): void {
    for (const [name, { at }] of this.#records) {
      if (date < at + KAD_RECORD_LIFE) return
      this.#remove(name)
    }
  }

  #keep(name: string, record: StoredRecord): void {
    this.#records.set(name, record)
    this.#bytes += record.key.length + record.value.length
    while (this.#records.size > KAD_MAX_RECORDS || this.#bytes > KAD_MAX_RECORDS_BYTES) {
      for (const [oldest] of this.#records) {
        this.#remove(oldest)
        break
      }
    }
  }

  #remove(name: string): void {
    if (this.#drop(name)) this.#shelf.delete(name)
  }

  #drop(name: string): boolean {
    const record = this.#records.get(name)
    if (record === undefined) return false
    this.#bytes -= record.key.length + record.value.length
    return this.#records.delete(name)
  }
}

interface Provision extends StoredProvider {
  readonly content: string
  readonly key: Uint8Array
}

export class ProviderStore {
  readonly #shelf: Shelf
  /** By content and peer, the oldest first. */
  readonly #all = new Map<string, Provision>()
  /** The same by content, the oldest first. */
  readonly #contents = new Map<string, Map<PeerId, Provision>>()
  readonly #counts = new Map<PeerId, number>()

  constructor(shelf: Shelf = noShelf) {
    this.#shelf = shelf
  }

  get size(): number {
    return this.#all.size
  }

  /** Contents that somebody provides. */
  get contents(): number {
    return this.#contents.size
  }

  /** Whoever provides `key`, the latest first. */
  get(key: Uint8Array, date: number): StoredProvider[] {
    const found: StoredProvider[] = []
    for (const { peer, addresses, at } of this.#contents.get(toBase64Url(key))?.values() ?? []) {
      if (date >= at + KAD_PROVIDER_LIFE) continue
      found.push({ peer, at, addresses: date < at + KAD_PROVIDER_ADDRESS_LIFE ? addresses : [] })
    }
    return found.reverse()
  }

  /** Whether there was room: a peer that has brought too much must wait for what it brought first to be over. */
  add(key: Uint8Array, peer: PeerId, addresses: readonly Multiaddr[], date: number): boolean {
    const content = toBase64Url(key)
    const name = nameOf(content, peer)
    if (!this.#all.has(name) && (this.#counts.get(peer) ?? 0) >= KAD_MAX_PER_PROVIDER) return false
    const at = Math.floor(date)
    const provision = { content, key, peer, addresses: addresses.slice(0, KAD_MAX_ADDRESSES), at }
    this.#drop(name)
    this.#keep(name, provision)
    this.#shelf.put(name, encodeProvision(provision))
    return true
  }

  delete(key: Uint8Array, peer: PeerId): void {
    this.#remove(nameOf(toBase64Url(key), peer))
  }

  load(entries: Iterable<readonly [name: string, bytes: Uint8Array]>, date: number): void {
    const read: [string, Provision][] = []
    for (const [name, input] of entries) {
      const provision = readOr((): Provision | undefined => {
        const { key, peer, addresses, at } = Provider.decode(input)
        if (key === undefined || peer === undefined || key.length > KAD_MAX_CONTENT_KEY) return undefined
        const content = toBase64Url(key)
        const id = peerIdFromBytes(peer)
        if (nameOf(content, id) !== name) return undefined
        return { content, key: key.slice(), peer: id, addresses: decodeMultiaddrs(addresses), at: past(at, date) }
      })
      if (provision === undefined || date >= provision.at + KAD_PROVIDER_LIFE) this.#shelf.delete(name)
      else if (!this.#all.has(name)) read.push([name, provision])
    }
    const met = [...this.#all]
    this.#all.clear()
    this.#contents.clear()
    this.#counts.clear()
    for (const [name, provision] of [...read, ...met].sort(([, a], [, b]) => a.at - b.at)) this.#keep(name, provision)
  }

  *entries(): Generator<readonly [name: string, bytes: Uint8Array]> {
    for (const [name, provision] of this.#all) yield [name, encodeProvision(provision)]
  }

  sweep(date: number): void {
    for (const [name, { at }] of this.#all) {
      if (date < at + KAD_PROVIDER_LIFE) return
      this.#remove(name)
    }
  }

  #keep(name: string, provision: Provision): void {
    const { content, peer } = provision
    this.#all.set(name, provision)
    let peers = this.#contents.get(content)
    if (peers === undefined) {
      peers = new Map()
      this.#contents.set(content, peers)
    }
    peers.set(peer, provision)
    this.#counts.set(peer, (this.#counts.get(peer) ?? 0) + 1)
    if (peers.size > KAD_MAX_PROVIDERS_KEPT) {
      for (const [oldest] of peers) {
        this.#remove(nameOf(content, oldest))
        break
      }
    }
    while (this.#all.size > KAD_MAX_PROVIDER_RECORDS || this.#contents.size > KAD_MAX_CONTENTS) {
      for (const [oldest] of this.#all) {
        this.#remove(oldest)
        break
      }
    }
  }

  #remove(name: string): void {
    if (this.#drop(name)) this.#shelf.delete(name)
  }

  #drop(name: string): boolean {
    const provision = this.#all.get(name)
    if (provision === undefined) return false
    const { content, peer } = provision
    this.#all.delete(name)
    const peers = this.#contents.get(content)
    peers?.delete(peer)
    if (peers?.size === 0) this.#contents.delete(content)
    const count = (this.#counts.get(peer) ?? 1) - 1
    if (count > 0) this.#counts.set(peer, count)
    else this.#counts.delete(peer)
    return true
  }
}

const nameOf = (content: string, peer: PeerId): string => `${content}/${peer}`

const readOr = <T>(read: () => T | undefined): T | undefined => {
  try {
    return read()
  } catch {
    return undefined
  }
}
