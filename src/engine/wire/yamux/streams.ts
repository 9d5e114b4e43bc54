/**
 * The streams of one connection: who may begin, what they hold together, and how they end.
 *
 * Bounds. `maxInbound` streams by the remote; ours wait in order while `maxOutbound` of them live or `maxUnacked` are not
 * acknowledged, YAMUX_MAX_WAITING at most. `windows` and `held` add up what all of them may hold, and do hold, unread.
 */

import type { TabmeshError } from '../../../errors.ts'
import { YAMUX_MAX_INBOUND, YAMUX_MAX_OUTBOUND, YAMUX_MAX_UNACKED, YAMUX_MAX_WAITING } from '../../limits.ts'
import type { EventQueue } from './events.ts'
import { UINT32_MAX } from './frame.ts'
import { Ring } from './ring.ts'
import { Stream } from './stream.ts'

export interface StreamLimits {
  readonly maxInbound?: number
  readonly maxOutbound?: number
  readonly maxUnacked?: number
  /** Bytes that one stream's receive window may grow to; YAMUX_MAX_WINDOW if absent. */
  readonly maxWindow?: number
}

export class Streams {
  /** Those with something to send, in turn. */
  readonly ring = new Ring<Stream>()
  /** Sizes of all receive windows together. */
  windows = 0
  /** Bytes that arrived and were not released. */
  held = 0

  readonly #events: EventQueue
  readonly #maxInbound: number
  readonly #maxOutbound: number
  readonly #maxUnacked: number
  readonly #maxWindow: number | undefined
  readonly #byId = new Map<number, Stream>()
  readonly #waiting: Stream[] = []
  #nextId: number
  #inbound = 0
  /** Ours that have begun. */
  #outbound = 0
  #unacked = 0

  constructor(firstId: 1 | 2, limits: StreamLimits, events: EventQueue) {
    this.#nextId = firstId
    this.#events = events
    this.#maxInbound = limits.maxInbound ?? YAMUX_MAX_INBOUND
    this.#maxOutbound = limits.maxOutbound ?? YAMUX_MAX_OUTBOUND
    this.#maxUnacked = limits.maxUnacked ?? YAMUX_MAX_UNACKED
    this.#maxWindow = limits.maxWindow
  }

  get size(): number {
    return this.#byId.size
  }

  get inboundFull(): boolean {
    return this.#inbound >= this.#maxInbound
  }

  get waitingFull(): boolean {
    return this.#waiting.length >= YAMUX_MAX_WAITING
  }

  get idsUsedUp(): boolean {
    return this.#nextId > UINT32_MAX
  }

  get(id: number): Stream | undefined {
    return this.#byId.get(id)
  }

  all(): Iterable<Stream> {
    return this.#byId.values()
  }

  /** One of ours. It may have to wait before it begins. */
  open(): Stream {
    const stream = new Stream(this.#nextId, false, this.#maxWindow)
    this.#nextId += 2
    this.#add(stream)
    stream.waiting = true
    this.#waiting.push(stream)
    this.#begin()
    return stream
  }

  /** One of the remote's. */
  accept(id: number): Stream {
    const stream = new Stream(id, true, this.#maxWindow)
    this.#inbound++
    this.#add(stream)
    this.#events.push({ t: 'stream', id })
    return stream
  }

  /** The remote has heard of the stream. */
  acknowledge(stream: Stream): void {
    if (stream.acked) return
    stream.acked = true
    this.#unacked--
    this.#begin()
  }

  /** Both sides have ended. */
  close(stream: Stream): void {
    stream.closed = true
    this.#events.push({ t: 'closed', id: stream.id })
    if (stream.window.held === 0) this.forget(stream)
  }

  cut(stream: Stream, fault: TabmeshError): void {
    if (!this.#byId.has(stream.id)) return
    this.forget(stream)
    this.#events.push({ t: 'closed', id: stream.id, fault })
  }

  forget(stream: Stream): void {
    if (!this.#byId.delete(stream.id)) return
    stream.closed = true
    stream.queue.clear()
    this.windows -= stream.window.size
    this.held -= stream.window.held
    if (stream.inbound) this.#inbound--
    else if (stream.waiting) this.#waiting.splice(this.#waiting.indexOf(stream), 1)
    else {
      this.#outbound--
      if (!stream.acked) this.#unacked--
      this.#begin()
    }
  }

  /** The connection is over; nothing is told of any stream. */
  clear(): void {
    this.ring.clear()
    this.#waiting.length = 0
    for (const stream of this.#byId.values()) stream.closed = true
    this.#byId.clear()
  }

  #add(stream: Stream): void {
    this.#byId.set(stream.id, stream)
    this.windows += stream.window.size
  }

  #begin(): void {
    while (this.#waiting.length > 0 && this.#unacked < this.#maxUnacked && this.#outbound < this.#maxOutbound) {
      const stream = this.#waiting.shift() as Stream
      stream.waiting = false
      this.#unacked++
      this.#outbound++
      this.ring.add(stream)
    }
  }
}
