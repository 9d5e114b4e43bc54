/**
 * A lookup (specs: kad-dht/README.md §Peer routing): asks those who are nearest to a key for those who are nearer, until the k nearest
 * that it has heard of have all answered. What it asks for (peers, providers, a value) is its driver's business.
 *
 *   seeds ─▶ heard ──ask──▶ waiting ──┬─ answered ─▶ answered; whom it named: heard
 *                             │       └─ failed, or KAD_REQUEST_TIMEOUT ─▶ failed
 *                             └─ KAD_SLOW ─▶ slow: may answer yet, but others are asked in its place, and the end does not wait for it
 *
 *   near:  has answered, and nobody nearer of whom anybody has spoken is waited for or still to be asked: one of the k nearest, unless
 *          somebody nearer is heard of yet. So they are told nearest first, but for the latecomers; in the end all k have been
 *   done:  converged   on each path the k nearest, but for those who failed, have answered
 *          exhausted   nobody is left to ask        stopped   by the driver        timeout   of the whole
 *
 * Disjoint paths (Baumgart & Mies, S/Kademlia §4.4): the seeds are dealt out to several paths. Whom one path has asked no other asks, and
 * what an answer names only its path hears of. So liars, who name each other, lead one path astray, or use themselves up: each path ends
 * with k of its own.
 *
 * Bounds: of one answer KAD_MAX_CLOSER peers; KAD_LOOKUP_MAX_HEARD peers, KAD_LOOKUP_MAX_ASKED requests, alpha at a time; of these, where
 * others wait, at most KAD_LOOKUP_SHARE for those whom one peer alone has named. Each deadline is an output: nothing hangs.
 */

import type { PeerId } from '../../codec/peer-id.ts'
import {
  KAD_ALPHA,
  KAD_K,
  KAD_LOOKUP_MAX_ASKED,
  KAD_LOOKUP_MAX_HEARD,
  KAD_LOOKUP_SHARE,
  KAD_LOOKUP_TIMEOUT,
  KAD_MAX_CLOSER,
  KAD_REQUEST_TIMEOUT,
  KAD_SLOW,
} from '../../limits.ts'
import { compareDistance, type Key } from './keys.ts'
import type { KadPeer } from './messages.ts'
import type { Admit } from './network.ts'
import type { Contact } from './table.ts'

export interface LookupOptions {
  readonly target: Key
  readonly self: PeerId
  /** Whom to begin with: the nearest of the table, the nearest first. */
  readonly seeds: readonly Contact[]
  readonly keyOf: (peer: PeerId) => Key
  /** Whom we can ask. */
  readonly admit: Admit
  readonly k?: number
  readonly alpha?: number
  readonly paths?: number
  readonly requestTimeout?: number
  /** Milliseconds after which others are asked in the place of one who has not answered. */
  readonly slow?: number
  readonly timeout?: number
}

export type LookupInput =
  | { readonly t: 'answered'; readonly peer: PeerId; readonly closer: readonly KadPeer[] }
  | { readonly t: 'failed'; readonly peer: PeerId }
  /** What was looked for is found, or nobody wants it any more. */
  | { readonly t: 'stop' }
  | { readonly t: 'time' }

export type Ending = 'converged' | 'exhausted' | 'stopped' | 'timeout'

export type LookupOutput =
  | { readonly t: 'ask'; readonly contact: Contact; readonly path: number; readonly hop: number }
  /** Its answer is not waited for any more; `late` is its own fault. */
  | { readonly t: 'abandon'; readonly peer: PeerId; readonly late: boolean }
  /** One of the nearest, as far as is known; each once. */
  | { readonly t: 'near'; readonly contact: Contact }
  | { readonly t: 'done'; readonly ending: Ending; readonly closest: readonly Contact[] }

type State = 'heard' | 'waiting' | 'slow' | 'answered' | 'failed'

interface Heard extends Contact {
  state: State
  /** The path that asked it; those of others have lost it then. */
  path: number
  /** Steps from us: 1 for a seed. */
  readonly hop: number
  /** Who alone has named it; undefined for a seed, and once a second one has. */
  by: PeerId | undefined
  /** On whose account it was asked. */
  account: PeerId | undefined
  askedAt: number
  /** It was put out as `near`. */
  told: boolean
}

interface Path {
  readonly index: number
  /** The nearest first. */
  readonly list: Heard[]
  over: boolean
}

export class Lookup {
  readonly #options: LookupOptions
  readonly #k: number
  readonly #alpha: number
  readonly #requestTimeout: number
  readonly #slowAfter: number
  readonly #paths: Path[]
  readonly #heard = new Map<PeerId, Heard>()
  /** All of them, the nearest first. */
  readonly #near: Heard[] = []
  /** Both in the order in which they were asked. */
  readonly #waiting = new Set<Heard>()
  readonly #slow = new Set<Heard>()
  readonly #answered: Heard[] = []
  /** Of each peer, how many of those it named are waited for. */
  readonly #shares = new Map<PeerId, number>()
  readonly #until: number
  #asked = 0
  #turn = 0
  #over = false
  #outputs: LookupOutput[] = []

  constructor(options: LookupOptions, now: number) {
    this.#options = options
    this.#k = options.k ?? KAD_K
    this.#alpha = options.alpha ?? KAD_ALPHA
    this.#requestTimeout = options.requestTimeout ?? KAD_REQUEST_TIMEOUT
    this.#slowAfter = Math.min(options.slow ?? KAD_SLOW, this.#requestTimeout)
    this.#until = now + (options.timeout ?? KAD_LOOKUP_TIMEOUT)
    const { seeds, paths = 1 } = options
    const count = Math.max(1, Math.min(paths, seeds.length))
    this.#paths = Array.from({ length: count }, (_, index) => ({ index, list: [], over: false }))
    seeds.forEach((seed, at) => {
      this.#hear(this.#paths[at % count] as Path, seed, 1, undefined)
    })
    this.#go(now)
  }

  /** Requests that were made. */
  get asked(): number {
    return this.#asked
  }

  get over(): boolean {
    return this.#over
  }

  /** When `time` is wanted next. */
  get deadline(): number {
    if (this.#over) return Number.POSITIVE_INFINITY
    let deadline = this.#until
    for (const { askedAt } of this.#slow) {
      deadline = Math.min(deadline, askedAt + this.#requestTimeout)
      break
    }
    for (const { askedAt } of this.#waiting) return Math.min(deadline, askedAt + this.#slowAfter)
    return deadline
  }

  handle(input: LookupInput, now: number): void {
    if (this.#over) return
    switch (input.t) {
      case 'answered': {
        const heard = this.#settle(input.peer, 'answered')
        if (heard === undefined) return
        this.#answered.push(heard)
        this.#learn(heard, input.closer)
        break
      }
      case 'failed':
        if (this.#settle(input.peer, 'failed') === undefined) return
        break
      case 'stop':
        return this.#end('stopped')
      case 'time':
        if (now >= this.#until) return this.#end('timeout')
        this.#lateness(now)
    }
    this.#go(now)
  }

  poll(): LookupOutput | undefined {
    return this.#outputs.shift()
  }

  /** Whoever has answered, the nearest first, at most `count`. */
  closest(count = this.#k): Contact[] {
    return this.#closest(count).map(contactOf)
  }

  #closest(count = this.#k): Heard[] {
    const { target } = this.#options
    return [...this.#answered].sort((a, b) => compareDistance(target, a.key, b.key)).slice(0, count)
  }

  #tell(heard: Heard): void {
    if (heard.told) return
    heard.told = true
    this.#outputs.push({ t: 'near', contact: contactOf(heard) })
  }

  #tellNearest(): void {
    let count = 0
    for (const heard of this.#near) {
      if (heard.state === 'heard' || heard.state === 'waiting') return
      // Nobody waits for the slow.
      if (heard.state !== 'answered') continue
      this.#tell(heard)
      count += 1
      if (count === this.#k) return
    }
  }

  /** Undefined where nothing was asked of `peer`, or it has been settled. */
  #settle(peer: PeerId, state: 'answered' | 'failed'): Heard | undefined {
    const heard = this.#heard.get(peer)
    if (heard === undefined || !(this.#waiting.delete(heard) || this.#slow.delete(heard))) return undefined
    heard.state = state
    this.#charge(heard.account, -1)
    return heard
  }

  #lateness(now: number): void {
    for (const heard of this.#waiting) {
      if (heard.askedAt + this.#slowAfter > now) break
      heard.state = 'slow'
      this.#waiting.delete(heard)
      this.#slow.add(heard)
    }
    for (const { peer, askedAt } of this.#slow) {
      if (askedAt + this.#requestTimeout > now) break
      this.#settle(peer, 'failed')
      this.#outputs.push({ t: 'abandon', peer, late: true })
    }
  }

  #learn({ peer: by, path, hop }: Heard, closer: readonly KadPeer[]): void {
    const list = this.#paths[path]
    if (list === undefined) return
    const { self, admit, keyOf } = this.#options
    const count = Math.min(closer.length, KAD_MAX_CLOSER)
    for (let at = 0; at < count; at++) {
      const { id, addresses } = closer[at] as KadPeer
      if (id === self || id === by) continue
      const known = this.#heard.get(id)
      if (known !== undefined) {
        if (known.by !== by) known.by = undefined
        this.#insert(list.list, known)
        continue
      }
      const usable = admit(addresses)
      if (usable.length > 0) this.#hear(list, { peer: id, key: keyOf(id), addresses: usable }, hop + 1, by)
    }
  }

  #hear(path: Path, { peer, key, addresses }: Contact, hop: number, by: PeerId | undefined): void {
    if (this.#heard.has(peer) || this.#heard.size >= KAD_LOOKUP_MAX_HEARD) return
    const heard: Heard = { peer, key, addresses, state: 'heard', path: -1, hop, by, account: undefined, askedAt: 0, told: false }
    this.#heard.set(peer, heard)
    this.#insert(this.#near, heard)
    this.#insert(path.list, heard)
  }

  #insert(list: Heard[], heard: Heard): void {
    // One that a path has asked is of no use to another, and its own has it.
    if (heard.state !== 'heard') return
    const { target } = this.#options
    let low = 0
    let high = list.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (compareDistance(target, (list[middle] as Heard).key, heard.key) < 0) low = middle + 1
      else high = middle
    }
    if (list[low] !== heard) list.splice(low, 0, heard)
  }

  /** Asks as many as may be asked, each path in its turn; ends where there is nobody to wait for. */
  #go(now: number): void {
    this.#tellNearest()
    let idle = 0
    while (this.#waiting.size < this.#alpha && idle < this.#paths.length) {
      const path = this.#paths[this.#turn % this.#paths.length] as Path
      this.#turn += 1
      const next = path.over || this.#asked >= KAD_LOOKUP_MAX_ASKED ? undefined : this.#next(path)
      if (next === undefined) {
        idle += 1
        continue
      }
      idle = 0
      this.#ask(next, path, now)
    }
    if (this.#waiting.size > 0) return
    const converged = this.#asked < KAD_LOOKUP_MAX_ASKED && this.#answered.length >= this.#k
    // In a small network, or a slow one, everybody counts.
    if (!converged && this.#slow.size > 0) return
    this.#end(converged ? 'converged' : 'exhausted')
  }

  /** The nearest of the k nearest that may be asked. Where each of them has answered, the path is over. */
  #next(path: Path): Heard | undefined {
    const share = Math.max(1, Math.floor(this.#alpha * KAD_LOOKUP_SHARE))
    let counted = 0
    let waits = false
    let stalled: Heard | undefined
    for (const heard of path.list) {
      if (heard.state === 'failed' || heard.state === 'slow' || (heard.state !== 'heard' && heard.path !== path.index)) continue
      if (heard.state === 'waiting') waits = true
      if (heard.state === 'heard') {
        if (heard.by === undefined || (this.#shares.get(heard.by) ?? 0) < share) return heard
        // Its turn comes; those behind it need not wait for that.
        stalled ??= heard
        continue
      }
      counted += 1
      if (counted === this.#k) break
    }
    path.over = stalled === undefined && !waits && (counted === this.#k || this.#slow.size === 0)
    // Nobody else on this path: then it is not in anybody's way.
    return stalled !== undefined && this.#waiting.size < share ? stalled : undefined
  }

  #ask(heard: Heard, path: Path, now: number): void {
    heard.state = 'waiting'
    heard.path = path.index
    heard.askedAt = now
    this.#waiting.add(heard)
    heard.account = heard.by
    this.#charge(heard.account, 1)
    this.#asked += 1
    this.#outputs.push({ t: 'ask', contact: heard, path: path.index, hop: heard.hop })
  }

  #charge(account: PeerId | undefined, change: 1 | -1): void {
    if (account !== undefined) this.#shares.set(account, (this.#shares.get(account) ?? 0) + change)
  }

  #end(ending: Ending): void {
    this.#over = true
    for (const { peer } of [...this.#slow, ...this.#waiting]) this.#outputs.push({ t: 'abandon', peer, late: false })
    this.#slow.clear()
    this.#waiting.clear()
    const closest = this.#closest()
    if (ending !== 'stopped') for (const heard of closest) this.#tell(heard)
    this.#outputs.push({ t: 'done', ending, closest: closest.map(contactOf) })
  }
}

const contactOf = ({ peer, key, addresses }: Contact): Contact => ({ peer, key, addresses })
