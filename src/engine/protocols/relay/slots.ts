/**
 * Slots: who holds a reservation on this relay, and who is joined with whom. Pure; time is an argument.
 *
 *   (none) ── reserve ──▶ held ◀──┐ reserve: refreshed, never counted twice
 *      ▲                   └──────┘
 *      └── release (last connection gone), or expired
 *
 * Bounds: `maxReservations` peers with a slot; `maxCircuits` circuits, of which `maxCircuitsPerPeer` begin or end at one
 * peer. All reservations last equally long, so the order in which they were made is the order in which they expire.
 */

import type { PeerId } from '../../codec/peer-id.ts'
import {
  RELAY_MAX_CIRCUITS,
  RELAY_MAX_CIRCUITS_PER_PAIR,
  RELAY_MAX_CIRCUITS_PER_PEER,
  RELAY_MAX_RESERVATIONS,
  RELAY_RESERVATION_TTL,
  RELAY_VOUCHER_REUSE,
} from '../../limits.ts'
import { Status } from './messages.ts'

export interface SlotLimits {
  readonly maxReservations: number
  readonly maxCircuits: number
  readonly maxCircuitsPerPeer: number
  /** Milliseconds. */
  readonly reservationTtl: number
}

export const slotLimits = (limits: Partial<SlotLimits> = {}): SlotLimits => ({
  maxReservations: limits.maxReservations ?? RELAY_MAX_RESERVATIONS,
  maxCircuits: limits.maxCircuits ?? RELAY_MAX_CIRCUITS,
  maxCircuitsPerPeer: limits.maxCircuitsPerPeer ?? RELAY_MAX_CIRCUITS_PER_PEER,
  reservationTtl: limits.reservationTtl ?? RELAY_RESERVATION_TTL,
})

/** A reservation. */
export interface Slot {
  readonly peer: PeerId
  /** On the clock of `now`. */
  expiresAt: number
  /** The sealed promise for this expiry, once it is signed. */
  voucher: Uint8Array | undefined
}

export class Slots {
  readonly #limits: SlotLimits
  /** In the order of expiry. */
  readonly #slots = new Map<PeerId, Slot>()
  /** Circuits that begin or end at a peer. */
  readonly #circuitsOf = new Map<string, number>()
  #circuits = 0

  constructor(limits: SlotLimits) {
    this.#limits = limits
  }

  get reservations(): number {
    return this.#slots.size
  }

  get holders(): readonly PeerId[] {
    return [...this.#slots.keys()]
  }

  get circuits(): number {
    return this.#circuits
  }

  /** When `expire` is due next; undefined while nobody holds a slot. */
  get deadline(): number | undefined {
    return this.#slots.values().next().value?.expiresAt
  }

  get(peer: PeerId): Slot | undefined {
    return this.#slots.get(peer)
  }

  /** Undefined when there is no room. One that was made only just is answered as it is, so that asking often costs nothing. */
  reserve(peer: PeerId, now: number): Slot | undefined {
    this.expire(now)
    const held = this.#slots.get(peer)
    const expiresAt = now + this.#limits.reservationTtl
    // A refresh comes after more than half of the time: it must always prolong.
    const young = Math.min(RELAY_VOUCHER_REUSE, this.#limits.reservationTtl / 8)
    if (held?.voucher !== undefined && expiresAt - held.expiresAt < young) return held
    if (held === undefined && this.#slots.size >= this.#limits.maxReservations) return undefined
    const slot: Slot = { peer, expiresAt, voucher: undefined }
    this.#slots.delete(peer)
    this.#slots.set(peer, slot)
    return slot
  }

  release(peer: PeerId): boolean {
    return this.#slots.delete(peer)
  }

  expire(now: number): void {
    for (const slot of this.#slots.values()) {
      if (slot.expiresAt > now) return
      this.#slots.delete(slot.peer)
    }
  }

  /** Joins `source` with `target`, or tells the status that it is refused with. */
  join(source: PeerId, target: PeerId, now: number): Status {
    this.expire(now)
    if (source === target) return Status.MALFORMED_MESSAGE
    if (!this.#slots.has(target)) return Status.NO_RESERVATION
    const most = Math.max(this.#circuitsOf.get(source) ?? 0, this.#circuitsOf.get(target) ?? 0)
    if (this.#circuits >= this.#limits.maxCircuits || most >= this.#limits.maxCircuitsPerPeer) return Status.RESOURCE_LIMIT_EXCEEDED
    // One source must not use up what its target may have.
    const pair = `${source} ${target}`
    if ((this.#circuitsOf.get(pair) ?? 0) >= RELAY_MAX_CIRCUITS_PER_PAIR) return Status.RESOURCE_LIMIT_EXCEEDED
    this.#circuits += 1
    for (const key of [source, target, pair]) this.#count(key, 1)
    return Status.OK
  }

  /** The end of what `join` allowed. */
  part(source: PeerId, target: PeerId): void {
    this.#circuits -= 1
    for (const key of [source, target, `${source} ${target}`]) this.#count(key, -1)
  }

  #count(key: string, by: number): void {
    const count = (this.#circuitsOf.get(key) ?? 0) + by
    if (count > 0) this.#circuitsOf.set(key, count)
    else this.#circuitsOf.delete(key)
  }
}
