/**
 * What a server answers (specs: kad-dht/README.md §RPC messages), with the IO taken out: requests in, answers and refusals out.
 *
 *   FIND_NODE, GET_VALUE, GET_PROVIDERS, PING ─▶ answer
 *   ADD_PROVIDER ─▶ stored, and no answer
 *   PUT_VALUE ─▶ validate ─▶ validated ─▶ (there is another: select ─▶ selected) ─▶ stored, and the same as the answer
 *
 * What is over by its own word is not handed out, before its time in the store or after.
 *
 * Refused, and so the stream reset: no key, or one that is too long; a record of another key, invalid, or worse than the one there is;
 * providers of whom none is the sender with an address. Whoever asks is not told of itself, nor of us, unless that is whom it looks for.
 *
 * Bounds: KAD_MAX_VALIDATING records on their way into the store; those of the stores; k peers an answer.
 */

import { remoteFault, TabmeshError } from '../../../errors.ts'
import { equalBytes } from '../../codec/bytes.ts'
import type { Multiaddr } from '../../codec/multiaddr.ts'
import { type PeerId, peerIdFromBytes } from '../../codec/peer-id.ts'
import {
  KAD_K,
  KAD_MAX_ADDRESSES_SENT,
  KAD_MAX_CONTENT_KEY,
  KAD_MAX_KEY,
  KAD_MAX_PROVIDERS_KEPT,
  KAD_MAX_VALIDATING,
  KAD_MAX_VALUE,
} from '../../limits.ts'
import { type Key, keyOf } from './keys.ts'
import { type KadMessage, type KadPeer, kadMessage, type PeerState } from './messages.ts'
import type { ProviderStore, RecordStore, StoredRecord } from './stores.ts'
import type { Table } from './table.ts'
import { printTime } from './time.ts'

export interface ServerOptions {
  readonly table: Table
  readonly records: RecordStore
  readonly providers: ProviderStore
  readonly k?: number
  /** Where a peer is that may be no server: one we are connected to, one that was met; and ourselves. */
  addressesOf(peer: PeerId): readonly Multiaddr[]
  /** Of the addresses that a provider gives, those that count in this network. */
  admit(addresses: readonly Multiaddr[]): readonly Multiaddr[]
  isConnected?(peer: PeerId): boolean
  /** Whether a record that was valid when it was stored is so no more. */
  isOver?(key: Uint8Array, value: Uint8Array, date: number): boolean
  /** A simulation knows the keys already. */
  keyOf?(key: Uint8Array): Key
}

export type ServerInput =
  | { readonly t: 'request'; readonly ticket: number; readonly from: PeerId; readonly message: KadMessage }
  | { readonly t: 'validated'; readonly ticket: number; readonly fault: TabmeshError | undefined }
  | { readonly t: 'selected'; readonly ticket: number; readonly best: number }

export type ServerOutput =
  /** No message where none is due. */
  | { readonly t: 'answer'; readonly ticket: number; readonly message: KadMessage | undefined }
  | { readonly t: 'refuse'; readonly ticket: number; readonly fault: TabmeshError }
  | { readonly t: 'validate'; readonly ticket: number; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly t: 'select'; readonly ticket: number; readonly key: Uint8Array; readonly values: readonly Uint8Array[] }

export class Server {
  readonly #options: ServerOptions
  readonly #k: number
  /** Records that are being looked at, by ticket. */
  readonly #putting = new Map<number, KadMessage>()
  readonly #outputs: ServerOutput[] = []

  constructor(options: ServerOptions) {
    this.#options = options
    this.#k = options.k ?? KAD_K
  }

  /** `date` is Unix milliseconds. */
  handle(input: ServerInput, date: number): void {
    switch (input.t) {
      case 'request':
        return this.#request(input.ticket, input.from, input.message, date)
      case 'validated':
        return this.#validated(input.ticket, input.fault, date)
      case 'selected':
        return this.#selected(input.ticket, input.best, date)
    }
  }

  poll(): ServerOutput | undefined {
    return this.#outputs.shift()
  }

  #request(ticket: number, from: PeerId, request: KadMessage, date: number): void {
    const { type, key } = request
    if (key.length === 0 && type !== 'PING') return this.#refuse(ticket, `${type} without a key`)
    const max = type === 'ADD_PROVIDER' || type === 'GET_PROVIDERS' ? KAD_MAX_CONTENT_KEY : KAD_MAX_KEY
    if (key.length > max) return this.#refuse(ticket, `${type} with a key of ${key.length} bytes`)
    switch (type) {
      case 'PING':
        return this.#answer(ticket, kadMessage('PING', key))
      case 'FIND_NODE':
        return this.#answer(ticket, kadMessage(type, key, { closer: this.#findNode(key, from) }))
      case 'GET_VALUE': {
        const stored = this.#stored(key, date)
        const record = stored && { key, value: stored.value, timeReceived: printTime(stored.at) }
        return this.#answer(ticket, kadMessage(type, key, { record, closer: this.#closer(key, from) }))
      }
      case 'GET_PROVIDERS':
        return this.#answer(ticket, kadMessage(type, key, { providers: this.#providersOf(key, date), closer: this.#closer(key, from) }))
      case 'ADD_PROVIDER':
        return this.#addProvider(ticket, from, request, date)
      case 'PUT_VALUE':
        return this.#putValue(ticket, request)
    }
  }

  /** One that is over is forgotten: it must not keep a valid one out either. */
  #stored(key: Uint8Array, date: number): StoredRecord | undefined {
    const { records, isOver } = this.#options
    const stored = records.get(key, date)
    if (stored === undefined || isOver?.(key, stored.value, date) !== true) return stored
    records.delete(key)
    return undefined
  }

  #closer(key: Uint8Array, from: PeerId): KadPeer[] {
    const { table, keyOf: hash = keyOf } = this.#options
    return table.closest(hash(key), this.#k, from).map(({ peer, addresses }) => this.#told(peer, addresses))
  }

  /** go and js: whoever is looked for comes first, be it a server or not. */
  #findNode(key: Uint8Array, from: PeerId): KadPeer[] {
    const closer = this.#closer(key, from)
    let target: PeerId
    try {
      target = peerIdFromBytes(key)
    } catch {
      // Any bytes may be looked for.
      return closer
    }
    if (closer[0]?.id === target) return closer
    const addresses = this.#options.addressesOf(target)
    return addresses.length === 0 ? closer : [this.#told(target, addresses), ...closer.slice(0, this.#k - 1)]
  }

  #told(id: PeerId, all: readonly Multiaddr[]): KadPeer {
    const addresses = all.length > KAD_MAX_ADDRESSES_SENT ? all.slice(0, KAD_MAX_ADDRESSES_SENT) : all
    const connection: PeerState = this.#options.isConnected?.(id) === true ? 'connected' : 'none'
    return { id, addresses, connection }
  }

  #providersOf(key: Uint8Array, date: number): KadPeer[] {
    return this.#options.providers
      .get(key, date)
      .slice(0, KAD_MAX_PROVIDERS_KEPT)
      .map(({ peer, addresses }) => this.#told(peer, addresses.length > 0 ? addresses : this.#options.addressesOf(peer)))
  }

  #addProvider(ticket: number, from: PeerId, { key, providers }: KadMessage, date: number): void {
    const own = providers.find(({ id, addresses }) => id === from && addresses.length > 0)
    if (own === undefined) return this.#refuse(ticket, 'ADD_PROVIDER without its sender and an address of it')
    // One behind a relay has no address that counts, but may be found by its id all the same (go).
    if (!this.#options.providers.add(key, from, this.#options.admit(own.addresses), date)) {
      return this.#refuse(ticket, `more than the contents that ${from} may provide`)
    }
    this.#answer(ticket, undefined)
  }

  #putValue(ticket: number, { key, record }: KadMessage): void {
    if (record === undefined || !equalBytes(record.key, key)) return this.#refuse(ticket, 'PUT_VALUE without a record of its key')
    if (record.value.length > KAD_MAX_VALUE) return this.#refuse(ticket, `PUT_VALUE of ${record.value.length} bytes`)
    if (this.#putting.size >= KAD_MAX_VALIDATING) {
      const fault = new TabmeshError('ERR_STREAM_LIMIT', `${KAD_MAX_VALIDATING} records are being validated already`)
      this.#outputs.push({ t: 'refuse', ticket, fault })
      return
    }
    this.#putting.set(ticket, kadMessage('PUT_VALUE', key, { record: { key, value: record.value } }))
    this.#outputs.push({ t: 'validate', ticket, key, value: record.value })
  }

  #validated(ticket: number, fault: TabmeshError | undefined, date: number): void {
    const put = this.#putting.get(ticket)
    if (put?.record === undefined) return
    if (fault !== undefined) {
      this.#putting.delete(ticket)
      this.#outputs.push({ t: 'refuse', ticket, fault })
      return
    }
    const present = this.#stored(put.key, date)
    if (present === undefined || equalBytes(present.value, put.record.value)) return this.#store(ticket, put, date)
    this.#outputs.push({ t: 'select', ticket, key: put.key, values: [present.value, put.record.value] })
  }

  #selected(ticket: number, best: number, date: number): void {
    const put = this.#putting.get(ticket)
    if (put === undefined) return
    if (best === 1) return this.#store(ticket, put, date)
    this.#putting.delete(ticket)
    this.#refuse(ticket, 'PUT_VALUE of a record that is worse than the one there is')
  }

  #store(ticket: number, put: KadMessage, date: number): void {
    this.#putting.delete(ticket)
    if (put.record !== undefined) this.#options.records.put(put.key, put.record.value, date)
    this.#answer(ticket, put)
  }

  #answer(ticket: number, message: KadMessage | undefined): void {
    this.#outputs.push({ t: 'answer', ticket, message })
  }

  #refuse(ticket: number, what: string): void {
    this.#outputs.push({ t: 'refuse', ticket, fault: remoteFault('ERR_PROTOCOL', what) })
  }
}
