/**
 * DCUtR as two machines, one for each side of the relayed connection (specs: relay/DCUtR.md §The Protocol).
 *
 *   Caller, who was dialled through the relay ("B"):
 *
 *     calling ── CONNECT ──▶ counting ── half a round trip ──▶ punching ── direct ──▶ over
 *        ▲ says CONNECT         says SYNC, is ready for            │
 *        │                      the other side's coming            │ eight round trips
 *        └──────────────── DCUTR_ATTEMPTS in all ──────────────────┘ ──▶ over, with a fault
 *
 *   Answerer, who dialled through the relay ("A"):
 *
 *     called ── CONNECT ──▶ waiting ── SYNC ──▶ punching ── direct, or DCUTR_PUNCH_TIMEOUT ──▶ over
 *                says CONNECT
 *
 * In the second attempt B knocks DCUTR_LATE later. Where B's door needs no punching (no NAT, or a port that is forwarded), knocks that cross can
 * spoil each other: each finds the other's port taken, or a listener that has stood aside. Where there is a NAT, A's knock meets B's when TCP repeats it.
 *
 * Whatever comes in another order is a fault of the remote. What is said on the connection that comes of it is said as if A had dialled: A is the
 * client. In its last attempt B is the client, as in go: older peers have the roles the other way round, and a peer that can't be
 * knocked at from outside may still let B in by its front door.
 *
 * Bounds: DCUTR_EXCHANGE_TIMEOUT for the messages of an attempt, DCUTR_PUNCH_TIMEOUT for its dials.
 */

import { remoteFault, TabmeshError } from '../../../errors.ts'
import type { Multiaddr } from '../../codec/multiaddr.ts'
import { DCUTR_ATTEMPTS, DCUTR_EXCHANGE_TIMEOUT, DCUTR_LATE, DCUTR_PUNCH_BRIEF, DCUTR_PUNCH_TIMEOUT } from '../../limits.ts'
import type { HolePunch } from './messages.ts'

/** For the security and the multiplexer of what comes of it. */
export type PunchRole = 'client' | 'server'

export type DcutrInput =
  | { readonly t: 'said'; readonly message: HolePunch }
  /** The stream is over, or unreadable. */
  | { readonly t: 'ended'; readonly fault: TabmeshError | undefined }
  /** There is a direct connection. */
  | { readonly t: 'direct' }
  | { readonly t: 'giveUp'; readonly fault: TabmeshError }
  | { readonly t: 'tick' }

export type DcutrOutput =
  /** A new stream, for the next attempt. */
  | { readonly t: 'open' }
  | { readonly t: 'say'; readonly message: HolePunch }
  /** All is said on this stream. */
  | { readonly t: 'finish' }
  /** From now on the other side may knock. */
  | { readonly t: 'ready'; readonly addresses: readonly Multiaddr[]; readonly role: PunchRole }
  /** Now. */
  | { readonly t: 'punch' }
  /** What is being dialled is given up. */
  | { readonly t: 'rest' }
  | { readonly t: 'over'; readonly fault: TabmeshError | undefined }

export interface DcutrOptions {
  /** Where we may be found, for the other side; not empty. */
  readonly own: readonly Multiaddr[]
  /** What of the other side's addresses is worth a try. */
  sift(addresses: readonly Multiaddr[]): readonly Multiaddr[]
}

type State = 'calling' | 'counting' | 'called' | 'waiting' | 'punching' | 'over'

export class Dcutr {
  readonly #options: DcutrOptions
  readonly #outputs: DcutrOutput[] = []
  readonly #caller: boolean
  #state: State
  #attempt = 1
  #saidAt: number
  #theirs: readonly Multiaddr[] = []
  /** How long an attempt that is not the last may take: the handshakes need some four round trips, and the relay's is no shorter. */
  #patience = DCUTR_PUNCH_TIMEOUT
  /** When it wants a tick; undefined when it is over. */
  deadline: number | undefined

  constructor(side: 'caller' | 'answerer', options: DcutrOptions, now: number) {
    this.#options = options
    this.#caller = side === 'caller'
    this.#saidAt = now
    this.#state = this.#caller ? 'calling' : 'called'
    this.deadline = now + DCUTR_EXCHANGE_TIMEOUT
    if (this.#caller) this.#call(now)
  }

  get over(): boolean {
    return this.#state === 'over'
  }

  poll(): DcutrOutput | undefined {
    return this.#outputs.shift()
  }

  handle(input: DcutrInput, now: number): void {
    if (this.#state === 'over') return
    switch (input.t) {
      case 'direct':
        return this.#finish(undefined)
      case 'giveUp':
        return this.#finish(input.fault)
      case 'ended':
        // Once all is said, the stream has done its work.
        if (this.#isTalking())
          this.#finish(input.fault ?? remoteFault('ERR_STREAM_CLOSED', 'the remote ended DCUtR where a message was due'))
        return
      case 'said':
        return this.#hear(input.message, now)
      case 'tick':
        if (this.deadline !== undefined && now >= this.deadline) this.#expire(now)
    }
  }

  #isTalking(): boolean {
    return this.#state === 'calling' || this.#state === 'called' || this.#state === 'waiting'
  }

  #hear(message: HolePunch, now: number): void {
    if (message.t === 'connect' && (this.#state === 'calling' || this.#state === 'called')) return this.#connected(message.addresses, now)
    if (message.t === 'sync' && this.#state === 'waiting') {
      this.#emit({ t: 'finish' })
      this.#emit({ t: 'ready', addresses: this.#theirs, role: 'client' })
      return this.#punch(now)
    }
    this.#finish(remoteFault('ERR_PROTOCOL', `DCUtR: ${message.t.toUpperCase()} came while ${this.#state}`))
  }

  #connected(addresses: readonly Multiaddr[], now: number): void {
    this.#theirs = this.#options.sift(addresses)
    if (this.#theirs.length === 0) {
      const what = `DCUtR: none of the ${addresses.length} addresses of the other side can be tried`
      return this.#finish(new TabmeshError('ERR_NO_ADDRESS', what))
    }
    if (!this.#caller) {
      this.#emit({ t: 'say', message: { t: 'connect', addresses: this.#options.own } })
      this.#state = 'waiting'
      return
    }
    this.#emit({ t: 'say', message: { t: 'sync' } })
    this.#emit({ t: 'finish' })
    this.#emit({ t: 'ready', addresses: this.#theirs, role: this.#attempt === DCUTR_ATTEMPTS ? 'client' : 'server' })
    this.#state = 'counting'
    const roundTrip = now - this.#saidAt
    this.#patience = Math.min(DCUTR_PUNCH_TIMEOUT, Math.max(DCUTR_PUNCH_BRIEF, 8 * roundTrip))
    this.deadline = now + roundTrip / 2 + (this.#attempt === 2 ? DCUTR_LATE : 0)
  }

  #expire(now: number): void {
    if (this.#state === 'counting') return this.#punch(now)
    if (this.#state !== 'punching')
      return this.#finish(new TabmeshError('ERR_TIMEOUT', `DCUtR: the other side was silent while ${this.#state}`))
    if (!this.#caller || this.#attempt === DCUTR_ATTEMPTS) {
      const what = `no direct connection came of ${this.#theirs.map(({ text }) => text).join(', ')}`
      return this.#finish(new TabmeshError('ERR_UNREACHABLE', what))
    }
    this.#emit({ t: 'rest' })
    this.#attempt += 1
    this.#call(now)
  }

  #call(now: number): void {
    this.#state = 'calling'
    this.#saidAt = now
    this.deadline = now + DCUTR_EXCHANGE_TIMEOUT
    this.#emit({ t: 'open' })
    this.#emit({ t: 'say', message: { t: 'connect', addresses: this.#options.own } })
  }

  #punch(now: number): void {
    this.#state = 'punching'
    this.deadline = now + (this.#caller && this.#attempt < DCUTR_ATTEMPTS ? this.#patience : DCUTR_PUNCH_TIMEOUT)
    this.#emit({ t: 'punch' })
  }

  #finish(fault: TabmeshError | undefined): void {
    this.#state = 'over'
    this.deadline = undefined
    this.#emit({ t: 'rest' })
    this.#emit({ t: 'over', fault })
  }

  #emit(output: DcutrOutput): void {
    this.#outputs.push(output)
  }
}
