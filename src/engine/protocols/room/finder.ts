/**
 * Finder: finds the members of a room and connects us with them.
 *
 *   at each rendezvous point: register, and watch ─▶ found ─┬─▶ dialled, ROOM_MAX_DIALS at a time ─▶ connected, or failed
 *   announced, or heard of, by gossip ──────────────────────┘
 *
 * Who comes looks as soon as it is registered itself: of two that come at once, at least one finds the other.
 *
 * Bounds: ROOM_LINKS connections are sought; ROOM_MAX_FOUND peers wait for their turn, those beyond are found again by a later look.
 */

import type { TabmeshError } from '../../../errors.ts'
import type { PeerId } from '../../codec/peer-id.ts'
import type { Cancel } from '../../host.ts'
import { ROOM_MAX_DIALS, ROOM_MAX_FOUND, ROOM_TTL } from '../../limits.ts'
import type { Net } from '../../net/service.ts'
import type { Outcome } from '../../wire/conversation.ts'

/** A peer that says it is there. Where it is the peer store knows: whoever hears of it tells it. */
export interface Found {
  readonly peer: PeerId
}

/** What a room needs of a rendezvous client. */
export interface Rendezvous {
  register(at: PeerId, namespace: string, options: { readonly ttl: number; onChange(state: { readonly t: string }): void }): unknown
  unregister(at: PeerId, namespace: string): boolean
  discover(at: PeerId, namespace: string, options: object, done: (outcome: Outcome<{ readonly peers: readonly Found[] }>) => void): Cancel
  watch(at: PeerId, namespace: string, options: { onFound(peers: readonly Found[]): void }): { look(): void; stop(): void }
}

export interface FinderOwner {
  readonly net: Net
  readonly rendezvous: Rendezvous
  readonly namespace: string
  /** Whether one more connection is wanted, and whether one with this peer is there or makes sense. */
  wants(peer: PeerId): boolean
  onConnected(peer: PeerId): void
  /** What there was to do has been done: all points have answered, and all who were found are connected, or are not to be had. */
  onSettled(): void
}

interface Point {
  readonly watch: { look(): void; stop(): void }
  giveUp: Cancel
  /** It has told who was there when we came. */
  looked: boolean
  /** And who was there when we were registered: nobody has come unnoticed. */
  answered: boolean
}

export class Finder {
  readonly #owner: FinderOwner
  readonly #points = new Map<PeerId, Point>()
  readonly #found = new Set<PeerId>()
  readonly #dials = new Map<PeerId, Cancel>()
  #stopped = false

  constructor(owner: FinderOwner) {
    this.#owner = owner
  }

  /** Points that have told all, and those that have told what they knew at first. */
  get answered(): number {
    return [...this.#points.values()].filter(({ answered }) => answered).length
  }

  get looked(): number {
    return [...this.#points.values()].filter(({ looked }) => looked).length
  }

  /** Nobody is being dialled. */
  get quiet(): boolean {
    return this.#dials.size === 0 && this.#found.size === 0
  }

  /** A rendezvous point of ours. */
  add(at: PeerId): void {
    if (this.#stopped || this.#points.has(at)) return
    const { rendezvous, namespace } = this.#owner
    const look = (last: boolean): void => {
      point.giveUp()
      point.giveUp = rendezvous.discover(at, namespace, {}, (outcome) => {
        if (outcome.ok) this.found(outcome.value.peers)
        point.looked = true
        if (last || !outcome.ok) point.answered = true
        this.#owner.onSettled()
      })
    }
    const watch = rendezvous.watch(at, namespace, { onFound: (peers) => this.found(peers) })
    const point: Point = { watch, giveUp: () => {}, looked: false, answered: false }
    this.#points.set(at, point)
    look(false)
    rendezvous.register(at, namespace, {
      ttl: ROOM_TTL,
      onChange: ({ t }) => {
        if (t === 'registered') {
          if (point.answered) watch.look()
          else look(true)
        } else if (t === 'failed') {
          point.answered = true
          this.#owner.onSettled()
        }
      },
    })
  }

  /** Looks everywhere, now. */
  look(): void {
    for (const { watch } of this.#points.values()) watch.look()
  }

  found(peers: readonly Found[]): void {
    if (this.#stopped) return
    for (const { peer } of peers) {
      if (this.#dials.has(peer) || this.#found.size >= ROOM_MAX_FOUND || !this.#owner.wants(peer)) continue
      this.#found.add(peer)
    }
    this.#next()
  }

  #next(): void {
    const { net, wants, onConnected, onSettled } = this.#owner
    for (const peer of this.#found) {
      if (this.#dials.size >= ROOM_MAX_DIALS) return
      this.#found.delete(peer)
      if (!wants.call(this.#owner, peer)) continue
      // Over a relay it works at once, and moves to a direct connection by itself.
      const cancel = net.dial(
        { peer, addresses: [] },
        (outcome) => {
          this.#dials.delete(peer)
          if (outcome.ok) onConnected.call(this.#owner, peer)
          this.#next()
        },
        { background: true, settle: 0 },
      )
      this.#dials.set(peer, cancel)
    }
    if (this.quiet) onSettled.call(this.#owner)
  }

  /** Looks whether a peer can be reached, whoever wants it; `done` is called once. */
  reach(peer: PeerId, done: (fault: TabmeshError | undefined) => void): void {
    if (this.#stopped) return
    const key = `reach ${peer}`
    if (this.#dials.has(key)) return
    const cancel = this.#owner.net.dial(
      { peer, addresses: [] },
      (outcome) => {
        this.#dials.delete(key)
        done(outcome.ok ? undefined : outcome.fault)
      },
      { settle: 0 },
    )
    this.#dials.set(key, cancel)
  }

  stop(): void {
    this.#stopped = true
    for (const [at, { watch, giveUp }] of this.#points) {
      giveUp()
      watch.stop()
      this.#owner.rendezvous.unregister(at, this.#owner.namespace)
    }
    for (const cancel of this.#dials.values()) cancel()
    this.#points.clear()
    this.#dials.clear()
    this.#found.clear()
  }
}
