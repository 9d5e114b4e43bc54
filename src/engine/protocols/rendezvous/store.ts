/**
 * Registrations: who is to be found in which namespace, until when. Pure; time is an argument.
 *
 *   (none) ── register ──▶ registered ◀─┐ register: a new serial number, so that it is told again, with its new time
 *      ▲                        └───────┘
 *      └── unregister, expired, gave way (shares.ts)
 *
 * Each has a serial number, and a cookie says how far somebody has been told (cookie.ts): all that came after is new to them. Of each peer
 * the newest record is kept, for all its namespaces: an older one that is sent again prolongs a registration and changes no address.
 *
 * Bounds: `maxRegistrations`, `maxPerPeer` of them for one peer, a record for each peer that has one; as many gone ones as there are others
 * (sequence.ts, expiry.ts). Where it is full, who has more than others gives way, counted by `party`: a network, that is, or the peer itself.
 */

import type { PeerId } from '../../codec/peer-id.ts'
import { RENDEZVOUS_MAX_ANSWER, RENDEZVOUS_MAX_FOUND, RENDEZVOUS_MAX_PER_PEER, RENDEZVOUS_MAX_REGISTRATIONS } from '../../limits.ts'
import { Cookies } from './cookie.ts'
import { Expiry } from './expiry.ts'
import type { Found } from './messages.ts'
import { Sequence } from './sequence.ts'
import { Shares } from './shares.ts'

export interface StoreLimits {
  readonly maxRegistrations: number
  readonly maxPerPeer: number
}

/** A peer's word on where it is. */
export interface SignedRecord {
  readonly seq: bigint
  /** The envelope, in bytes of its own. */
  readonly envelope: Uint8Array
}

export interface Discovered {
  readonly found: readonly Found[]
  readonly cookie: Uint8Array
}

interface Holder {
  readonly peer: PeerId
  readonly party: string
  record: SignedRecord
  /** By namespace; what was registered least lately comes first. */
  readonly registrations: Map<string, Registration>
}

interface Registration {
  readonly holder: Holder
  readonly namespace: string
  readonly serial: number
  /** On the clock of `now`. */
  readonly expiresAt: number
  gone: boolean
}

/** Tags, lengths and a ttl around the namespace and the record of one registration. */
const AROUND = 32

export class Store {
  readonly #limits: StoreLimits
  readonly #cookies: Cookies
  readonly #holders = new Map<PeerId, Holder>()
  readonly #namespaces = new Map<string, Sequence<Registration>>()
  readonly #all = new Sequence<Registration>()
  readonly #expiry = new Expiry<Registration>()
  readonly #shares = new Shares()
  #serial = 0

  /** `origin`: three random bytes, by which cookies of this store are known. */
  constructor(origin: Uint8Array, limits: Partial<StoreLimits> = {}) {
    this.#cookies = new Cookies(origin)
    this.#limits = {
      maxRegistrations: limits.maxRegistrations ?? RENDEZVOUS_MAX_REGISTRATIONS,
      maxPerPeer: limits.maxPerPeer ?? RENDEZVOUS_MAX_PER_PEER,
    }
  }

  get size(): number {
    return this.#all.size
  }

  get peers(): number {
    return this.#holders.size
  }

  get namespaces(): number {
    return this.#namespaces.size
  }

  /** When `expire` is due next; undefined while nobody is registered. */
  get deadline(): number | undefined {
    return this.#expiry.first?.expiresAt
  }

  /** Whether `register` would find room: to be asked before a signature is checked for it. */
  hasRoom(peer: PeerId, party: string, namespace: string, now: number): boolean {
    this.expire(now)
    const own = this.#holders.get(peer)?.registrations
    if (own?.has(namespace) === true) return true
    if ((own?.size ?? 0) >= this.#limits.maxPerPeer) return false
    return this.size < this.#limits.maxRegistrations || this.#shares.victim(this.#partyOf(peer, party), peer) !== undefined
  }

  /** `ttl` is milliseconds. False where there is no room. */
  register(peer: PeerId, party: string, namespace: string, record: SignedRecord, ttl: number, now: number): boolean {
    if (!this.hasRoom(peer, party, namespace, now)) return false
    let holder = this.#holders.get(peer)
    const before = holder?.registrations.get(namespace)
    if (before === undefined && this.size >= this.#limits.maxRegistrations) this.#giveWay(this.#partyOf(peer, party), peer)
    if (holder === undefined) {
      holder = { peer, party, record, registrations: new Map() }
      this.#holders.set(peer, holder)
    } else if (record.seq >= holder.record.seq) holder.record = record
    this.#serial += 1
    const registration: Registration = { holder, namespace, serial: this.#serial, expiresAt: now + ttl, gone: false }
    this.#add(registration)
    if (before !== undefined) this.#remove(before)
    return true
  }

  /** Whether there was one. */
  unregister(peer: PeerId, namespace: string): boolean {
    const registration = this.#holders.get(peer)?.registrations.get(namespace)
    if (registration === undefined) return false
    this.#remove(registration)
    return true
  }

  /**
   * Who is registered in `namespace`, or in any, and was not told to the holder of `cookie`; those who came first, first. What is over
   * `limit`, or the bounds of one answer, is left for the next cookie. Undefined for a cookie that is refused.
   */
  discover(namespace: string | undefined, limit: number, cookie: Uint8Array | undefined, now: number): Discovered | undefined {
    this.expire(now)
    const told = cookie === undefined ? 0 : this.#cookies.read(cookie, namespace)
    if (told === undefined) return undefined
    const found: Found[] = []
    let last = Math.min(told, this.#serial)
    let size = 0
    const most = Math.min(limit, RENDEZVOUS_MAX_FOUND)
    const sequence = namespace === undefined ? this.#all : this.#namespaces.get(namespace)
    for (const { holder, namespace: ns, serial, expiresAt } of sequence?.after(last) ?? []) {
      const { envelope } = holder.record
      size += envelope.length + 3 * ns.length + AROUND
      if (found.length >= most || (size > RENDEZVOUS_MAX_ANSWER && found.length > 0)) {
        return { found, cookie: this.#cookies.write(last, namespace) }
      }
      found.push({ namespace: ns, record: envelope, ttl: Math.max(1, Math.ceil((expiresAt - now) / 1000)) })
      last = serial
    }
    return { found, cookie: this.#cookies.write(this.#serial, namespace) }
  }

  /** Forgets what is over. */
  expire(now: number): void {
    for (;;) {
      const first = this.#expiry.first
      if (first === undefined || first.expiresAt > now) return
      this.#remove(first)
    }
  }

  /** A peer counts for the party that it came from first. */
  #partyOf(peer: PeerId, party: string): string {
    return this.#holders.get(peer)?.party ?? party
  }

  #giveWay(party: string, peer: PeerId): void {
    const victim = this.#shares.victim(party, peer)
    const oldest = victim === undefined ? undefined : this.#holders.get(victim)?.registrations.values().next().value
    if (oldest !== undefined) this.#remove(oldest)
  }

  #add(registration: Registration): void {
    const { holder, namespace } = registration
    // At the end, as what was registered last.
    holder.registrations.delete(namespace)
    holder.registrations.set(namespace, registration)
    let sequence = this.#namespaces.get(namespace)
    if (sequence === undefined) {
      sequence = new Sequence()
      this.#namespaces.set(namespace, sequence)
    }
    sequence.append(registration)
    this.#all.append(registration)
    this.#expiry.add(registration)
    this.#shares.add(holder.party, holder.peer, 1)
  }

  #remove(registration: Registration): void {
    const { holder, namespace } = registration
    registration.gone = true
    const sequence = this.#namespaces.get(namespace)
    sequence?.lost()
    if (sequence?.size === 0) this.#namespaces.delete(namespace)
    this.#all.lost()
    this.#expiry.lost()
    this.#shares.add(holder.party, holder.peer, -1)
    // One that is renewed has its place taken already.
    if (holder.registrations.get(namespace) === registration) holder.registrations.delete(namespace)
    if (holder.registrations.size === 0) this.#holders.delete(holder.peer)
  }
}
