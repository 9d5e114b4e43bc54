/**
 * Credit of one WebRTC stream, both ways: who may still send how much. The rules are in framing.ts.
 *
 *   sending   unknown ── first frame has credit ──▶ granted    room = all grants − all sent
 *             (room = RTC_UNGRANTED − sent)
 *                     ── first frame has none ────▶ free       room without end
 *
 *   receiving bytes come in ─▶ unread ─▶ released by the reader ─▶ returned to the sender, a quarter grant at a time
 *
 * Bounds. Unread bytes of one stream: the grant (at least RTC_UNGRANTED) of a remote that obeys credit, RTC_RECEIVE_BUFFER
 * of one that does not; of all streams of a connection together: RTC_MAX_UNREAD; of all connections of a node: RTC_MAX_UNREAD_NODE.
 * Whoever goes over one of the first three is reset. Over the last one it is the fullest stream of the connection that holds the
 * most: a hundred peers that are read slowly should not pay for one that floods.
 */

import type { TabmeshError } from '../../../errors.ts'
import { remoteFault } from '../../../errors.ts'
import { RTC_CREDIT, RTC_MAX_GRANTS, RTC_MAX_UNREAD, RTC_MAX_UNREAD_NODE, RTC_RECEIVE_BUFFER, RTC_UNGRANTED } from '../../limits.ts'

/** What all WebRTC connections of one node share. */
export class NodeBudget {
  /** Bytes received and not released, on all of them. */
  unread = 0
  readonly max: number
  readonly #connections = new Set<Budget>()

  /** `max`: bytes that may wait. */
  constructor(max = RTC_MAX_UNREAD_NODE) {
    this.max = max
  }

  enter(connection: Budget): void {
    this.#connections.add(connection)
  }

  leave(connection: Budget): void {
    this.#connections.delete(connection)
  }

  /** Has the connection that holds the most give some of it up. */
  relieve(): void {
    let fullest: Budget | undefined
    for (const each of this.#connections) if (fullest === undefined || each.unread > fullest.unread) fullest = each
    fullest?.shed()
  }
}

/** A node has one host: so its connections find what they share, whichever protocol made them. */
const nodes = new WeakMap<object, NodeBudget>()

export const nodeBudget = (host: object): NodeBudget => {
  let budget = nodes.get(host)
  if (budget === undefined) {
    budget = new NodeBudget()
    nodes.set(host, budget)
  }
  return budget
}

/** What all streams of one connection share. */
export interface Budget {
  /** Bytes received and not released. */
  unread: number
  /** Initial grants of the streams that are open. */
  granted: number
  readonly node: NodeBudget
  /** Resets the stream that holds the most, at the end of the turn. */
  shed(): void
}

export class Outflow {
  #mode: 'unknown' | 'granted' | 'free' = 'unknown'
  /** May go below zero: what was sent ungranted counts against the first grant. */
  #room: number = RTC_UNGRANTED

  /** Message bytes that may be sent now. */
  get room(): number {
    return this.#room
  }

  /** Every frame of the remote, in order: the first decides whether there is credit at all. */
  heard(credit: number | undefined): void {
    if (this.#mode === 'unknown') {
      this.#mode = credit === undefined ? 'free' : 'granted'
      this.#room = credit === undefined ? Number.POSITIVE_INFINITY : this.#room - RTC_UNGRANTED + credit
    } else if (this.#mode === 'granted' && credit !== undefined) {
      this.#room = Math.min(this.#room + credit, Number.MAX_SAFE_INTEGER)
    }
  }

  /** Whether the remote obeys our credit too. */
  get mutual(): boolean {
    return this.#mode === 'granted'
  }

  sent(bytes: number): void {
    this.#room -= bytes
  }
}

export class Inflow {
  /** Bytes received and not released. */
  unread = 0
  readonly #budget: Budget
  /** The initial grant; undefined before it is taken for the first frame. */
  #grant: number | undefined
  /** What the remote may still send, should it obey credit. */
  #room: number = RTC_UNGRANTED
  /** Released, and not yet returned to the sender. */
  #released = 0

  constructor(budget: Budget) {
    this.#budget = budget
  }

  /** Credit that is worth a frame of its own; nothing is taken. */
  get due(): boolean {
    return this.#grant === undefined || this.#released * 4 >= this.#grant
  }

  /** The credit to put into the next frame: the grant into the first one, then what was released since. */
  take(): number {
    let credit = this.#released
    if (this.#grant === undefined) {
      this.#grant = this.#budget.granted + RTC_CREDIT <= RTC_MAX_GRANTS ? RTC_CREDIT : RTC_UNGRANTED
      this.#budget.granted += this.#grant
      // The grant counts from the first byte, as RTC_UNGRANTED did.
      credit += this.#grant
      this.#room -= RTC_UNGRANTED
    }
    this.#released = 0
    this.#room += credit
    return credit
  }

  /** Counts `bytes` that came in, and returns a fault if they are too many. `mutual`: the remote obeys credit. */
  receive(bytes: number, mutual: boolean): TabmeshError | undefined {
    this.unread += bytes
    this.#room -= bytes
    this.#budget.unread += bytes
    this.#budget.node.unread += bytes
    if (mutual && this.#room < 0) return remoteFault('ERR_MUXER', 'the remote sent more than its credit')
    if (this.unread > RTC_RECEIVE_BUFFER)
      return remoteFault('ERR_STREAM_OVERFLOW', `${RTC_RECEIVE_BUFFER} bytes wait to be read on a WebRTC stream`)
    if (this.#budget.unread > RTC_MAX_UNREAD)
      return remoteFault('ERR_STREAM_OVERFLOW', `${RTC_MAX_UNREAD} bytes wait to be read on a WebRTC connection`)
    if (this.#budget.node.unread > this.#budget.node.max) this.#budget.node.relieve()
    return undefined
  }

  /** The reader has used `bytes` of them. */
  release(bytes: number): void {
    const used = Math.min(bytes, this.unread)
    this.unread -= used
    this.#released += used
    this.#budget.unread -= used
    this.#budget.node.unread -= used
  }

  /** The stream is over: gives its grant back. What is unread counts until it is released, or dropped. */
  close(): void {
    this.#budget.granted -= this.#grant ?? 0
    this.#grant = 0
  }

  /** Nobody will read what is unread. */
  drop(): void {
    this.release(this.unread)
  }
}
