/**
 * Reservations: the machine that gets slots on relays and keeps them (specs: relay/circuit-v2.md §Reservation).
 *
 * One entry for each relay that may be used; of these, `wanted` are kept busy and the others wait as spares.
 *
 *             one more wanted         connected          reserved
 *      idle ──────────────▶ connecting ───────▶ reserving ───────▶ held ◀─────────────┐ reserved; or failed: it holds
 *       ▲                       │ failed            │ failed,       │ │ time to refresh │ until it expires, and is
 *       │                       ▼                   ▼ disconnected  │ └──▶ refreshing ──┘ tried again meanwhile
 *       └──── wait over ──── backing off ◀──────────────────────────┴────────┘
 *                               │                              lost: disconnected, expired
 *                               └── connected by somebody else ──▶ reserving
 *
 * The wait before another try is a tenth of the time the relay has been away, from RELAY_RETRY_MIN to RELAY_RETRY_MAX:
 * a relay that restarts is found again within moments, one that is gone for the night is asked once a minute, and
 * whenever it returns the reservation is back after a tenth of the outage. Relays that answered with a refusal are asked
 * less often. Every wait is jittered, so that the clients of a relay do not return as one.
 *
 * A spare does not wait for a relay that says nothing to run into its deadlines: after RELAY_SPARE_DELAY it is tried beside it, and who connects second
 * is a spare.
 *
 * A refresh comes at three quarters of the time or RELAY_REFRESH_AHEAD before its end, whichever is earlier, so that many
 * tries fit before it lapses; but not before RELAY_REFRESH_MIN unless the reservation is shorter than that.
 *
 * Bounds: RELAY_MAX_WANTED entries; each has at most one request under way.
 */

import { TabmeshError } from '../../../errors.ts'
import type { Multiaddr } from '../../codec/multiaddr.ts'
import type { PeerId } from '../../codec/peer-id.ts'
import {
  RELAY_MAX_WANTED,
  RELAY_REFRESH_AHEAD,
  RELAY_REFRESH_MIN,
  RELAY_REFUSED_RETRY,
  RELAY_RETRY_MAX,
  RELAY_RETRY_MIN,
  RELAY_SPARE_DELAY,
  RELAY_STABLE,
  RELAY_TTL_MAX,
} from '../../limits.ts'

export type RelayState =
  | { readonly t: 'idle' }
  | { readonly t: 'connecting' }
  | { readonly t: 'reserving' }
  | { readonly t: 'held'; readonly refreshAt: number; readonly expiresAt: number }
  | { readonly t: 'refreshing'; readonly expiresAt: number }
  | { readonly t: 'backing off'; readonly until: number }

/** A relay that may be used; the machine's own record, to be read by others. */
export interface Relay {
  readonly addresses: readonly Multiaddr[]
  /** Unknown until connected, where no address tells it. */
  readonly peer: PeerId | undefined
  readonly state: RelayState
}

interface Entry extends Relay {
  addresses: readonly Multiaddr[]
  peer: PeerId | undefined
  state: RelayState
  /** When the present run of trouble began. */
  troubleSince: number | undefined
  /** Since when the reservation has been held. */
  heldSince: number
  /** Refusals in a row. */
  refusals: number
  /** When the request under way was begun. */
  askedAt: number
  /** It has had its time: a spare may be tried beside it. */
  slow: boolean
}

export type ReservationInput =
  /** One more relay may be used; its peer id if known. An entry of the same peer or address gets the addresses instead. */
  | { readonly t: 'add'; readonly addresses: readonly Multiaddr[]; readonly peer?: PeerId }
  | { readonly t: 'remove'; readonly relay: Relay }
  /** The answer to `connect`. */
  | { readonly t: 'connected'; readonly relay: Relay; readonly peer: PeerId }
  /** There is a connection to this peer that nobody here asked for. */
  | { readonly t: 'met'; readonly peer: PeerId }
  /** The answer to `reserve`: the relay holds a slot for us for `ttl` ms. */
  | { readonly t: 'reserved'; readonly relay: Relay; readonly ttl: number }
  /** The other answer to `connect` and `reserve`. */
  | { readonly t: 'failed'; readonly relay: Relay; readonly fault: TabmeshError }
  /** The last connection to the relay is gone. */
  | { readonly t: 'disconnected'; readonly relay: Relay; readonly fault: TabmeshError | undefined }
  /** The connection that the reservation was made on is gone, but another one is open: the slot is asked for again. */
  | { readonly t: 'moved'; readonly relay: Relay }
  /** The network is there again: waiting makes no sense any more. */
  | { readonly t: 'online' }
  /** The deadline has come. */
  | { readonly t: 'time' }

export type ReservationOutput =
  | { readonly t: 'connect'; readonly relay: Relay }
  /** Asks for a slot over the connection to the relay. */
  | { readonly t: 'reserve'; readonly relay: Relay }
  /** A slot is held: for the first time, or still (`again`). */
  | { readonly t: 'reserved'; readonly relay: Relay; readonly again: boolean }
  | { readonly t: 'lost'; readonly relay: Relay; readonly fault: TabmeshError | undefined }
  /** A relay that we hold nothing on can't be used: told once for each run of trouble. */
  | { readonly t: 'trouble'; readonly relay: Relay; readonly fault: TabmeshError }

export class Reservations {
  readonly #wanted: number
  readonly #random: () => number
  #entries: Entry[] = []
  #outputs: ReservationOutput[] = []

  /** `wanted`: how many reservations to hold at a time. `random` gives numbers from 0 to below 1. */
  constructor(wanted: number, random: () => number) {
    this.#wanted = wanted
    this.#random = random
  }

  get relays(): readonly Relay[] {
    return this.#entries
  }

  /** When `{ t: 'time' }` is due, on the clock of `now`; undefined while only answers are waited for. */
  get deadline(): number | undefined {
    let earliest: number | undefined
    const spares = this.#wanted < this.#entries.length
    for (const entry of this.#entries) {
      const due = spares && isAsking(entry) && !entry.slow ? entry.askedAt + RELAY_SPARE_DELAY : dueOf(entry.state)
      if (due !== undefined && (earliest === undefined || due < earliest)) earliest = due
    }
    return earliest
  }

  poll(): ReservationOutput | undefined {
    return this.#outputs.shift()
  }

  handle(input: ReservationInput, now: number): void {
    switch (input.t) {
      case 'add':
        this.#add(input.addresses, input.peer)
        break
      case 'remove':
        this.#remove(input.relay)
        break
      case 'met':
        for (const entry of this.#entries) if (entry.peer === input.peer && entry.state.t === 'backing off') this.#reserve(entry, now)
        break
      case 'online':
        for (const entry of this.#entries) {
          // A dial that began without a network hangs until its own deadline: begin it anew.
          if (entry.state.t === 'backing off' || entry.state.t === 'connecting') entry.state = { t: 'idle' }
        }
        break
      case 'time':
        for (const entry of [...this.#entries]) this.#pass(entry, now)
        break
      default: {
        const entry = this.#entries.find((each) => each === input.relay)
        // It was removed, or merged with another, while its answer was on the way.
        if (entry !== undefined) this.#answer(entry, input, now)
      }
    }
    this.#fill(now)
  }

  #answer(entry: Entry, input: Extract<ReservationInput, { relay: Relay }>, now: number): void {
    const { state } = entry
    switch (input.t) {
      case 'connected':
        if (state.t === 'connecting') this.#connected(entry, input.peer, now)
        break
      case 'reserved':
        if (state.t === 'reserving' || state.t === 'refreshing') this.#hold(entry, input.ttl, now)
        break
      case 'failed':
        if (state.t === 'refreshing') {
          entry.refusals = isRefusal(input.fault) ? entry.refusals + 1 : 0
          if (entry.troubleSince === undefined || entry.troubleSince < entry.heldSince) entry.troubleSince = now
          entry.state = { t: 'held', refreshAt: now + this.#wait(entry, now), expiresAt: state.expiresAt }
        } else if (state.t === 'connecting' || state.t === 'reserving') this.#backOff(entry, input.fault, now)
        break
      case 'disconnected':
        if (state.t === 'held' || state.t === 'refreshing') this.#lose(entry, input.fault, now)
        else if (state.t === 'reserving') this.#backOff(entry, lost(input.fault), now)
        break
      case 'moved':
        if (state.t === 'held' || state.t === 'refreshing') this.#refresh(entry, state.expiresAt)
        else if (state.t === 'reserving') this.#reserve(entry, now)
        break
    }
  }

  #add(addresses: readonly Multiaddr[], peer: PeerId | undefined): void {
    const same = this.#entries.find((each) => (peer !== undefined && each.peer === peer) || shareOne(each.addresses, addresses))
    if (same !== undefined) {
      same.addresses = union(same.addresses, addresses)
      return
    }
    if (this.#entries.length >= RELAY_MAX_WANTED) return
    this.#entries.push({
      addresses,
      peer,
      state: { t: 'idle' },
      troubleSince: undefined,
      heldSince: 0,
      refusals: 0,
      askedAt: 0,
      slow: false,
    })
  }

  #remove(relay: Relay): void {
    const held = relay.state.t === 'held' || relay.state.t === 'refreshing'
    const before = this.#entries.length
    this.#entries = this.#entries.filter((each) => each !== relay)
    if (held && this.#entries.length < before) this.#outputs.push({ t: 'lost', relay, fault: undefined })
  }

  /** Two of the configured addresses may turn out to be one relay: the reservation is one for each peer. */
  #connected(entry: Entry, peer: PeerId, now: number): void {
    const other = this.#entries.find((each) => each !== entry && each.peer === peer)
    if (other === undefined) {
      entry.peer = peer
      // A spare was faster.
      if (entry.slow && this.#held() >= this.#wanted) entry.state = { t: 'idle' }
      else this.#reserve(entry, now)
      return
    }
    other.addresses = union(other.addresses, entry.addresses)
    this.#entries = this.#entries.filter((each) => each !== entry)
    if (other.state.t === 'idle' || other.state.t === 'connecting' || other.state.t === 'backing off') this.#reserve(other, now)
  }

  #held(): number {
    return this.#entries.filter(({ state }) => state.t === 'held' || state.t === 'refreshing').length
  }

  #reserve(entry: Entry, now: number): void {
    begin(entry, now)
    entry.state = { t: 'reserving' }
    this.#outputs.push({ t: 'reserve', relay: entry })
  }

  #refresh(entry: Entry, expiresAt: number): void {
    entry.state = { t: 'refreshing', expiresAt }
    this.#outputs.push({ t: 'reserve', relay: entry })
  }

  #hold(entry: Entry, ttl: number, now: number): void {
    const again = entry.state.t === 'refreshing'
    const span = Math.min(Math.max(ttl, 0), RELAY_TTL_MAX)
    if (!again) entry.heldSince = now
    else entry.troubleSince = undefined
    entry.refusals = 0
    entry.state = { t: 'held', refreshAt: now + Math.ceil(refreshAfter(span) * (0.9 + 0.1 * this.#random())), expiresAt: now + span }
    this.#outputs.push({ t: 'reserved', relay: entry, again })
  }

  #lose(entry: Entry, fault: TabmeshError | undefined, now: number): void {
    const old = entry.troubleSince === undefined || (entry.troubleSince < entry.heldSince && now - entry.heldSince >= RELAY_STABLE)
    if (old) entry.troubleSince = now
    const why = lost(fault)
    entry.state = { t: 'backing off', until: now + this.#wait(entry, now) }
    this.#outputs.push({ t: 'lost', relay: entry, fault: why })
  }

  #backOff(entry: Entry, fault: TabmeshError, now: number): void {
    const first = entry.troubleSince === undefined
    entry.troubleSince ??= now
    entry.refusals = isRefusal(fault) ? entry.refusals + 1 : 0
    entry.state = { t: 'backing off', until: now + this.#wait(entry, now) }
    if (first) this.#outputs.push({ t: 'trouble', relay: entry, fault })
  }

  /** Milliseconds until the next try. */
  #wait(entry: Entry, now: number): number {
    const away = now - (entry.troubleSince ?? now)
    const patient = entry.refusals === 0 ? RELAY_RETRY_MIN : RELAY_REFUSED_RETRY * 2 ** Math.min(entry.refusals - 1, 8)
    const full = Math.min(Math.max(away / 10, patient), RELAY_RETRY_MAX)
    return Math.ceil(full * (0.5 + 0.5 * this.#random()))
  }

  #pass(entry: Entry, now: number): void {
    const { state } = entry
    if (isAsking(entry) && now - entry.askedAt >= RELAY_SPARE_DELAY) entry.slow = true
    else if (state.t === 'backing off' && state.until <= now) entry.state = { t: 'idle' }
    // A page that slept finds both past: the slot is gone, whatever the relay would have said earlier.
    else if ((state.t === 'held' || state.t === 'refreshing') && state.expiresAt <= now) this.#lose(entry, undefined, now)
    else if (state.t === 'held' && state.refreshAt <= now) this.#refresh(entry, state.expiresAt)
  }

  /** Sets as many relays going as are wanted, in the order they were given. */
  #fill(now: number): void {
    let busy = 0
    for (const entry of this.#entries)
      if (entry.state.t !== 'idle' && entry.state.t !== 'backing off' && !(isAsking(entry) && entry.slow)) busy += 1
    for (const entry of this.#entries) {
      if (busy >= this.#wanted) return
      if (entry.state.t !== 'idle') continue
      begin(entry, now)
      entry.state = { t: 'connecting' }
      this.#outputs.push({ t: 'connect', relay: entry })
      busy += 1
    }
  }
}

const begin = (entry: Entry, now: number): void => {
  entry.askedAt = now
  entry.slow = false
}

const isAsking = ({ state }: Relay): boolean => state.t === 'connecting' || state.t === 'reserving'

/** Milliseconds after which a reservation of `ttl` milliseconds is refreshed. */
const refreshAfter = (ttl: number): number => {
  const ahead = Math.min(0.75 * ttl, ttl - RELAY_REFRESH_AHEAD)
  return Math.max(ahead, Math.min(RELAY_REFRESH_MIN, 0.75 * ttl), RELAY_RETRY_MIN)
}

const dueOf = (state: RelayState): number | undefined => {
  switch (state.t) {
    case 'held':
      return Math.min(state.refreshAt, state.expiresAt)
    case 'refreshing':
      return state.expiresAt
    case 'backing off':
      return state.until
    default:
      return undefined
  }
}

/** The relay answered, and will answer the same for a while. */
const isRefusal = ({ code }: TabmeshError): boolean =>
  code === 'ERR_RELAY_FULL' || code === 'ERR_RELAY_REFUSED' || code === 'ERR_NO_PROTOCOL'

const lost = (cause: TabmeshError | undefined): TabmeshError => new TabmeshError('ERR_RELAY_LOST', 'the reservation is gone', { cause })

const shareOne = (a: readonly Multiaddr[], b: readonly Multiaddr[]): boolean => a.some(({ text }) => b.some((each) => each.text === text))

const union = (a: readonly Multiaddr[], b: readonly Multiaddr[]): readonly Multiaddr[] => [
  ...a,
  ...b.filter(({ text }) => !a.some((each) => each.text === text)),
]
