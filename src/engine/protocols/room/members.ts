/**
 * Members: who is in the room. A pure machine: what they say goes in, what is to be told and said comes out.
 *
 *   heard of (a frame, a greeting) ─▶ member ─┬─ says that it leaves, all before that told ─────────────▶ gone ('left')
 *                                             ├─ no sign of life for ROOM_MISSED of its beats ──────────▶ gone ('lost')
 *                                             ├─ its connection broke and nobody finds it, ROOM_LOST ───▶ gone ('lost')
 *                                             └─ speaks from a later life (it was started anew) ────────▶ gone ('lost'), and a member again
 *
 * Of the gone the life and the next number are remembered: what is repeated of them is not told twice, and who was only away goes on where it
 * was. After a sleep of our own all others have as long again to be heard.
 *
 * Bounds: ROOM_MAX_MEMBERS members; when there are as many, those whom a stream connects with us come in for those that are only heard of.
 * ROOM_MAX_GONE remembered. ROOM_MAX_HELD_BYTES_OF_ALL wait for what is missing, or for the rest of a message.
 */

import type { PeerId } from '../../codec/peer-id.ts'
import { ROOM_BEAT, ROOM_LOST, ROOM_MAX_GONE, ROOM_MAX_HELD_BYTES_OF_ALL, ROOM_MAX_MEMBERS, ROOM_MISSED, ROOM_SLEPT } from '../../limits.ts'
import { Member } from './member.ts'
import type { Body } from './messages.ts'
import { hex } from './place.ts'
import type { Aside } from './sequence.ts'

export interface Hello {
  readonly life: Uint8Array
  readonly next: number
  /** The number of the first private word that may not have come. */
  readonly first: number
  readonly interval: number
  readonly presence: Uint8Array | undefined
}

export type MembersInput =
  /** By gossip, signed by `from`. */
  | {
      readonly t: 'published'
      readonly from: PeerId
      readonly life: Uint8Array
      readonly number: number
      readonly body: Body
      /** Of how many private words it comes behind. */
      readonly before: number
    }
  /** By its own stream. */
  | { readonly t: 'hello'; readonly peer: PeerId; readonly hello: Hello }
  | {
      readonly t: 'again'
      readonly peer: PeerId
      readonly life: string
      readonly number: number
      readonly body: Body
      readonly before: number
    }
  | ({ readonly t: 'private'; readonly peer: PeerId; readonly life: string } & Aside)
  /** Anything else by its own stream. */
  | { readonly t: 'heard'; readonly peer: PeerId }
  | { readonly t: 'goodbye'; readonly peer: PeerId }
  /** There is a stream to it, or no more. */
  | { readonly t: 'linked'; readonly peer: PeerId; readonly on: boolean }
  /** Its connection is gone, and it could not be reached again. */
  | { readonly t: 'unreachable'; readonly peer: PeerId }
  | { readonly t: 'time' }

export type MembersOutput =
  | { readonly t: 'join'; readonly peer: PeerId; readonly presence: Uint8Array | undefined }
  | { readonly t: 'leave'; readonly peer: PeerId; readonly reason: 'left' | 'lost' }
  | { readonly t: 'presence'; readonly peer: PeerId; readonly presence: Uint8Array | undefined }
  /** May be a view of what came. */
  | { readonly t: 'message'; readonly peer: PeerId; readonly data: Uint8Array; readonly private: boolean }
  /** Ask it for what it published in this range. */
  | { readonly t: 'ask'; readonly peer: PeerId; readonly from: number; readonly to: number }
  /** Give a sign of life: there is a newcomer who may not know of us, or we have slept. */
  | { readonly t: 'beat'; readonly soon: boolean }

interface Gone {
  readonly life: string
  readonly next: number | undefined
  readonly privates: number
  /** By its own word: that life is over. */
  readonly left: boolean
}

interface Said {
  readonly number: number
  readonly body: Body
  readonly before: number
}

/** Between two looks at who has not been heard. */
const SWEEP = 500

export class Members {
  readonly #self: PeerId
  readonly #members = new Map<PeerId, Member>()
  readonly #gone = new Map<PeerId, Gone>()
  /** Those whose order has a deadline. */
  readonly #gaps = new Set<Member>()
  #sweepAt = Number.POSITIVE_INFINITY
  #held = 0
  #outputs: MembersOutput[] = []

  constructor(self: PeerId) {
    this.#self = self
  }

  get size(): number {
    return this.#members.size
  }

  /** Bytes that wait for what is missing, or for the rest of a message. */
  get waiting(): number {
    return this.#held
  }

  has(peer: PeerId): boolean {
    return this.#members.has(peer)
  }

  /** Whether it is there, or was, and has not said that it leaves. */
  expects(peer: PeerId): boolean {
    return this.#members.has(peer) || this.#gone.get(peer)?.left === false
  }

  get peers(): IterableIterator<PeerId> {
    return this.#members.keys()
  }

  /** Whether one more message of `from` is taken: asked before any work is done for it. */
  admits(from: PeerId, now: number): boolean {
    return this.#members.get(from)?.admits(now) ?? true
  }

  get deadline(): number {
    let earliest = this.#sweepAt
    for (const { order } of this.#gaps) earliest = Math.min(earliest, order.deadline)
    return earliest
  }

  poll(): MembersOutput | undefined {
    return this.#outputs.shift()
  }

  handle(input: MembersInput, now: number): void {
    switch (input.t) {
      case 'published':
        return this.#published(input.from, hex(input.life), input, now)
      case 'hello':
        return this.#greeted(input.peer, input.hello, now)
      case 'again': {
        const member = this.#members.get(input.peer)
        if (member?.life === input.life) this.#take(member, input, now)
        return
      }
      case 'private':
        return this.#private(input, now)
      case 'heard':
        return this.#members.get(input.peer)?.heard(now)
      case 'goodbye': {
        const member = this.#members.get(input.peer)
        if (member === undefined) return
        member.saidGoodbye = true
        // What it said before may be on its way to us by others.
        if (this.#gaps.has(member)) member.lostAt = now + ROOM_LOST
        else this.#remove(member, 'left')
        return
      }
      case 'linked': {
        const member = this.#members.get(input.peer)
        if (member !== undefined) member.linked = input.on
        return
      }
      case 'unreachable': {
        const member = this.#members.get(input.peer)
        if (member !== undefined) member.lostAt = Math.min(member.lostAt, now + ROOM_LOST)
        return
      }
      case 'time':
        return this.#time(now)
    }
  }

  #published(from: PeerId, life: string, said: Said, now: number): void {
    if (from === this.#self) return
    const known = this.#members.get(from)
    const gone = this.#gone.get(from)
    const last = known ?? gone
    if (last !== undefined && life < last.life) return
    if (known === undefined && gone?.life === life && (gone.left || said.number < (gone.next ?? 0))) return
    const member = known?.life === life ? known : this.#admit(from, life, undefined, false, now)
    if (member !== undefined) this.#take(member, said, now)
  }

  #greeted(peer: PeerId, { life, next, first, interval, presence }: Hello, now: number): void {
    if (peer === this.#self) return
    const text = hex(life)
    const known = this.#members.get(peer)
    const gone = this.#gone.get(peer)
    const last = known ?? gone
    if (last !== undefined && text < last.life) return
    if (known === undefined && gone?.life === text && gone.left) return
    let member = known
    if (known?.life !== text) member = this.#admit(peer, text, presence, true, now)
    else this.#tellsPresence(known, presence, next - 1)
    if (member === undefined) return
    member.linked = true
    member.presenceOf = Math.max(member.presenceOf, next - 1)
    member.promises(interval)
    member.heard(now)
    this.#count(member, () => member.order.base(next, first, now))
    this.#deliver(member, now)
  }

  #take(member: Member, { number, body, before }: Said, now: number): void {
    // What was heard before says nothing of now.
    if (!this.#count(member, () => member.order.take(number, body, before, now))) return
    member.heard(now)
    if (body.t === 'beat') {
      member.promises(body.interval)
      this.#tellsPresence(member, body.presence, number)
    }
    if (this.#held > ROOM_MAX_HELD_BYTES_OF_ALL) member.order.skip()
    this.#deliver(member, now)
  }

  #private({ peer, life, after, next, data }: Extract<MembersInput, { t: 'private' }>, now: number): void {
    const member = this.#members.get(peer)
    if (member?.life !== life) return void this.#outputs.push({ t: 'message', peer, data, private: true })
    this.#count(member, () => member.order.takePrivate({ after, next, data }, now))
    if (this.#held > ROOM_MAX_HELD_BYTES_OF_ALL) member.order.skip()
    this.#deliver(member, now)
  }

  /** Keeps count of the bytes that wait. */
  #count<T>({ order }: Member, run: () => T): T {
    const before = order.held
    const result = run()
    this.#held += order.held - before
    return result
  }

  #tellsPresence(member: Member, presence: Uint8Array | undefined, number: number): void {
    if (number <= member.presenceOf) return
    member.presenceOf = number
    if (same(member.presence, presence)) return
    member.presence = presence
    this.#outputs.push({ t: 'presence', peer: member.peer, presence })
  }

  /** All that is next in its order. */
  #deliver(member: Member, now: number): void {
    const { order, peer } = member
    for (;;) {
      const body = this.#count(member, () => order.poll(now))
      if (body === undefined) break
      if (body.t === 'private') this.#outputs.push({ t: 'message', peer, data: body.data, private: true })
      if (body.t === 'leave') return this.#remove(member, 'left')
      if (body.t !== 'message') continue
      const waiting = member.assembling
      const data = member.assemble(body, ROOM_MAX_HELD_BYTES_OF_ALL - this.#held + waiting)
      this.#held += member.assembling - waiting
      if (data !== undefined) this.#outputs.push({ t: 'message', peer, data, private: false })
    }
    if (order.deadline === Number.POSITIVE_INFINITY) this.#gaps.delete(member)
    else this.#gaps.add(member)
    if (member.saidGoodbye && !this.#gaps.has(member)) this.#remove(member, 'left')
  }

  #admit(peer: PeerId, life: string, presence: Uint8Array | undefined, linked: boolean, now: number): Member | undefined {
    const former = this.#members.get(peer)
    if (former !== undefined) this.#remove(former, 'lost')
    if (this.#members.size >= ROOM_MAX_MEMBERS && !(linked && this.#makeRoom())) return undefined
    const member = new Member(peer, life, now)
    const gone = this.#gone.get(peer)
    if (gone?.life === life && gone.next !== undefined) member.order.base(gone.next, gone.privates, now)
    this.#gone.delete(peer)
    member.presence = presence
    member.linked = linked
    this.#members.set(peer, member)
    if (this.#sweepAt === Number.POSITIVE_INFINITY) this.#sweepAt = now + SWEEP
    this.#outputs.push({ t: 'join', peer, presence })
    if (!linked) this.#outputs.push({ t: 'beat', soon: true })
    return member
  }

  /** The longest known of those that are only heard of gives way. */
  #makeRoom(): boolean {
    for (const member of this.#members.values()) {
      if (member.linked) continue
      this.#remove(member, 'lost')
      return true
    }
    return false
  }

  #remove(member: Member, reason: 'left' | 'lost'): void {
    const { peer, life, order } = member
    this.#members.delete(peer)
    this.#gaps.delete(member)
    this.#held -= order.held + member.assembling
    for (let rest = order.rest(); rest !== undefined; rest = order.rest())
      this.#outputs.push({ t: 'message', peer, data: rest.data, private: true })
    this.#gone.delete(peer)
    this.#gone.set(peer, { life, next: order.next, privates: order.privates, left: reason === 'left' })
    if (this.#gone.size > ROOM_MAX_GONE) {
      for (const first of this.#gone.keys()) {
        this.#gone.delete(first)
        break
      }
    }
    if (this.#members.size === 0) this.#sweepAt = Number.POSITIVE_INFINITY
    this.#outputs.push({ t: 'leave', peer, reason })
  }

  #time(now: number): void {
    for (const member of [...this.#gaps]) {
      const { order, peer } = member
      if (now < order.deadline) continue
      const missing = order.missing(now)
      if (missing !== undefined) this.#outputs.push({ t: 'ask', peer, from: missing[0], to: missing[1] })
      order.time(now)
      this.#deliver(member, now)
    }
    if (now < this.#sweepAt) return
    const slept = now >= this.#sweepAt + ROOM_SLEPT
    if (slept) this.#outputs.push({ t: 'beat', soon: false })
    this.#sweepAt = now + SWEEP
    for (const member of [...this.#members.values()]) {
      if (slept) member.heardAt = Math.max(member.heardAt, now - member.interval * (ROOM_MISSED - 1) + ROOM_BEAT / 2)
      else if (now >= member.goneAt) this.#remove(member, member.saidGoodbye ? 'left' : 'lost')
    }
  }
}

const same = (a: Uint8Array | undefined, b: Uint8Array | undefined): boolean =>
  a === b || (a !== undefined && b !== undefined && a.length === b.length && a.every((byte, at) => byte === b[at]))
