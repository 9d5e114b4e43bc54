/**
 * The nodes of a simulated DHT: who is there, what their tables are filled with, and who is nearest to a key. Each has a real table and a real server.
 *
 * Keys of peers and of contents are looked up here: those that a simulation places where it wants them are no hashes.
 */

import { publicKey } from '../../codec/keys.ts'
import { type Multiaddr, parseMultiaddr } from '../../codec/multiaddr.ts'
import { type PeerId, peerIdFromKey } from '../../codec/peer-id.ts'
import { KAD_REFRESH, KAD_STALE } from '../../limits.ts'
import { compareDistance, type Key, keyOf, PeerKeys } from '../../protocols/kad/keys.ts'
import type { KadPeer } from '../../protocols/kad/messages.ts'
import { Server } from '../../protocols/kad/server.ts'
import { ProviderStore, RecordStore } from '../../protocols/kad/stores.ts'
import { Table } from '../../protocols/kad/table.ts'
import type { Prng } from '../prng.ts'

export interface SimNode {
  readonly index: number
  readonly id: PeerId
  readonly key: Key
  readonly table: Table
  readonly server: Server
  readonly liar: boolean
  online: boolean
}

export class Population {
  readonly nodes: SimNode[] = []
  /** Of everybody: nobody dials. */
  readonly address: readonly Multiaddr[] = [parseMultiaddr('/ip4/192.0.2.1/tcp/1')]
  readonly #k: number
  readonly #random: Prng
  readonly #byId = new Map<PeerId, SimNode>()
  readonly #keys = new PeerKeys(Number.POSITIVE_INFINITY)
  readonly #peers = new Map<PeerId, KadPeer>()
  readonly #placed = new Map<PeerId, Key>()
  readonly #hashes = new Map<Uint8Array, Key>()
  readonly #ids = new Map<SimNode, Uint8Array>()

  constructor(k: number, random: Prng) {
    this.#k = k
    this.#random = random
  }

  add(liar: boolean): SimNode {
    const id = this.newId()
    const key = this.#keys.of(id)
    const table = new Table({
      self: key,
      keyOf: this.keyOf,
      admit: (addresses) => addresses,
      diverse: false,
      k: this.#k,
      random: () => this.#random.u32() / 0x1_0000_0000,
    })
    const server = new Server({
      table,
      records: new RecordStore(),
      providers: new ProviderStore(),
      k: this.#k,
      addressesOf: () => [],
      admit: (addresses) => addresses,
      keyOf: (bytes) => this.hash(bytes),
    })
    const node: SimNode = { index: this.nodes.length, id, key, table, server, liar, online: true }
    this.nodes.push(node)
    this.#byId.set(id, node)
    return node
  }

  newId(): PeerId {
    return peerIdFromKey(publicKey('Ed25519', this.#random.bytes(32)))
  }

  get(id: PeerId): SimNode | undefined {
    return this.#byId.get(id)
  }

  any(): SimNode {
    return this.nodes[this.#random.below(this.nodes.length)] as SimNode
  }

  /** One that may look for something. */
  honest(): SimNode {
    for (;;) {
      const node = this.any()
      if (node.online && !node.liar && node.table.size > 0) return node
    }
  }

  /** A peer as messages name it. */
  peer(id: PeerId): KadPeer {
    let peer = this.#peers.get(id)
    if (peer === undefined) {
      peer = { id, addresses: this.address, connection: 'none' }
      this.#peers.set(id, peer)
    }
    return peer
  }

  // ── keys ───────────────────────────────────────────────────────────────────────────────────────────────────

  readonly keyOf = (peer: PeerId): Key => this.#placed.get(peer) ?? this.#keys.of(peer)

  /** Gives a peer another key than its own. */
  place(peer: PeerId, key: Key): void {
    this.#placed.set(peer, key)
  }

  hash(bytes: Uint8Array): Key {
    return this.#hashes.get(bytes) ?? keyOf(bytes)
  }

  /** For as long as it is not forgotten, these very bytes have that hash. */
  remember(bytes: Uint8Array, hash = keyOf(bytes)): void {
    this.#hashes.set(bytes, hash)
  }

  forget(bytes: Uint8Array): void {
    this.#hashes.delete(bytes)
  }

  /** Bytes that have the node's key for their hash. */
  idBytes(node: SimNode): Uint8Array {
    let bytes = this.#ids.get(node)
    if (bytes === undefined) {
      bytes = Uint8Array.of(0x12, 32, ...node.key)
      this.#ids.set(node, bytes)
      this.remember(bytes, node.key)
    }
    return bytes
  }

  // ── tables ─────────────────────────────────────────────────────────────────────────────────────────────────

  /** Tables as they are after long: of each bucket up to k, by chance. */
  fill(now: number): void {
    const sorted = [...this.nodes].sort((a, b) => compareDistance(zero, a.key, b.key))
    for (const node of sorted) {
      // Bit by bit those who share the prefix lie side by side, and the half without the next bit is a bucket.
      let low = 0
      let high = sorted.length
      for (let bit = 0; high - low > 1 && bit < 256; bit++) {
        const isOne = bitOf(node.key, bit)
        const middle = split(sorted, low, high, bit)
        const [from, to] = isOne ? [low, middle] : [middle, high]
        const then = now - this.#random.below(KAD_REFRESH)
        for (const index of this.#some(from, to)) {
          const other = sorted[index] as SimNode
          node.table.handle({ t: 'speaks', peer: other.id, addresses: this.address }, then - this.#random.below(KAD_STALE - KAD_REFRESH))
          node.table.handle({ t: 'looked up', key: other.key }, then)
        }
        ;[low, high] = isOne ? [middle, high] : [low, middle]
      }
      drain(node.table)
    }
  }

  /** Up to k numbers from `from` and below `to`. */
  #some(from: number, to: number): number[] {
    if (to - from <= this.#k) return Array.from({ length: to - from }, (_, i) => from + i)
    const chosen = new Set<number>()
    while (chosen.size < this.#k) chosen.add(from + this.#random.below(to - from))
    return [...chosen]
  }

  /** Tells a node of another, as by a list of nodes to begin with. */
  introduce(node: SimNode, now: number): void {
    for (;;) {
      const other = this.any()
      if (!other.online || other === node) continue
      node.table.handle({ t: 'speaks', peer: other.id, addresses: this.address }, now)
      drain(node.table)
      return
    }
  }

  /** Who should store a record: those that are there, and nearest. */
  nearest(target: Key, count: number): SimNode[] {
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

  /** Of honest nodes that are there: how long their tables are, and which part of what is in them is gone. */
  tables(): { readonly size: number; readonly dead: number } {
    const there = this.nodes.filter(({ online, liar }) => online && !liar)
    let entries = 0
    let dead = 0
    for (const { table } of there) {
      for (const { peer } of table.contacts()) {
        entries += 1
        if (this.#byId.get(peer)?.online !== true) dead += 1
      }
    }
    return { size: entries / there.length, dead: dead / entries }
  }
}

const zero = new Uint8Array(32)

const drain = (table: Table): void => {
  while (table.poll() !== undefined);
}

export const bitOf = (key: Key, bit: number): boolean => (((key[bit >> 3] as number) >> (7 - (bit & 7))) & 1) === 1

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
