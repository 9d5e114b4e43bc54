/**
 * mplex (specs: mplex/README.md), without IO: bytes and wishes in, events and messages out. For old peers without yamux.
 *
 *   channel ── handle(input, now) ──▶ ┌──────────────────────┐ ── poll() until undefined ──▶ streams
 *   streams ── handle(input, now) ──▶ │ FrameReader  streams │ ── pull(bytes, now) ────────▶ channel
 *                                     └──────────────────────┘
 *
 *   open ── leave ──▶ leaving ── all was sent ──▶ gone         any ── a rule broken ──▶ gone
 *
 * mplex has no flow control: the remote can't be told to wait. What a slow reader leaves therefore first pauses the whole
 * connection (`paused`: whoever feeds the machine should stop, if it can), and then costs the reader its stream.
 *
 *   unread:   0 ───── a share of the buffer ─────────────────── MPLEX_RECEIVE_BUFFER
 *                 flows                        paused                              reset with ERR_STREAM_OVERFLOW
 *                                              └─ nothing taken for MPLEX_PAUSE_TIMEOUT ─▲
 *
 * Bounds. Unread bytes: MPLEX_RECEIVE_BUFFER a stream, MPLEX_MAX_UNREAD together. Streams: MPLEX_MAX_INBOUND by the remote,
 * MPLEX_MAX_OUTBOUND and MPLEX_MAX_WAITING of ours. A remote that goes over these more than MPLEX_MAX_STRIKES times in a
 * while is at fault, as is one that provokes MPLEX_MAX_CONTROL bytes of resets it does not take. Events: what one call
 * brings about, polled before the next.
 *
 * Faults are plain data here: see muxer.ts for why.
 */

import type { ErrorCode } from '../../../errors.ts'
import {
  MPLEX_MAX_CONTROL,
  MPLEX_MAX_INBOUND,
  MPLEX_MAX_OUTBOUND,
  MPLEX_MAX_SENT,
  MPLEX_MAX_STRIKES,
  MPLEX_MAX_UNREAD,
  MPLEX_MAX_WAITING,
  MPLEX_OPEN_BURST,
  MPLEX_OPEN_PERIOD,
  MPLEX_PAUSE_SHARE,
  MPLEX_PAUSE_TIMEOUT,
  MPLEX_RECEIVE_BUFFER,
  MPLEX_SEND_QUEUE,
  MPLEX_STRIKE_WINDOW,
  YAMUX_MAX_PINNED,
} from '../../limits.ts'
import { Ring } from '../yamux/ring.ts'
import { SeenIds } from '../yamux/seen-ids.ts'
import { CLOSE, ControlQueue, FrameReader, MAX_HEADER, MESSAGE, NEW, putHeader, RESET } from './frame.ts'
import { keyOf, Stream } from './stream.ts'

/** What becomes a TabmeshError. */
export interface Fault {
  readonly code: ErrorCode
  readonly what: string
  /** Whether the remote is to blame. */
  readonly remote: boolean
}

/** `key` is what `open` returned, or the event `stream` told. Times are milliseconds on the host's steady clock. */
export type MplexInput =
  /** What arrived on the connection; bodies are handed on as views of it. */
  | { readonly t: 'bytes'; readonly bytes: Uint8Array }
  /** Queues `bytes`, which now belong to the machine. */
  | { readonly t: 'write'; readonly key: number; readonly bytes: Uint8Array }
  /** Ends our side behind what is queued. */
  | { readonly t: 'end'; readonly key: number }
  /** Gives the stream up: nothing of it is told any more. */
  | { readonly t: 'reset'; readonly key: number }
  /** `bytes` of what the stream's `data` brought were used. */
  | { readonly t: 'release'; readonly key: number; readonly bytes: number }
  /** No more streams; gone once all that is queued was pulled. */
  | { readonly t: 'leave' }
  /** The deadline has come. */
  | { readonly t: 'wake' }

export type MplexEvent =
  /** The remote opened a stream. */
  | { readonly t: 'stream'; readonly key: number }
  | { readonly t: 'data'; readonly key: number; readonly bytes: Uint8Array }
  /** The stream's send queue has room again after it had none. */
  | { readonly t: 'drain'; readonly key: number }
  /** The remote ended its side. */
  | { readonly t: 'end'; readonly key: number }
  /** Both sides ended, or, with a fault, the stream was cut off. */
  | { readonly t: 'closed'; readonly key: number; readonly fault?: Fault }
  /** The connection is over: the remote broke a rule. */
  | { readonly t: 'fault'; readonly fault: Fault }

export interface MplexOptions {
  /** Bytes that one stream may have unread; MPLEX_RECEIVE_BUFFER at most, and if absent. */
  readonly receiveBuffer?: number
}

/** Headers of this many messages share one buffer. */
const HEADER_BATCH = 16

export class Mplex {
  readonly #receiveBuffer: number
  readonly #reader = new FrameReader()
  /** Ids that the remote has opened, as odd numbers: what SeenIds counts in. */
  readonly #seen = new SeenIds(1)
  readonly #streams = new Map<number, Stream>()
  readonly #ring = new Ring<Stream>()
  /** NEW and RESET. */
  readonly #control = new ControlQueue()
  /** Ours that may not begin yet, in order. */
  readonly #waiting: Stream[] = []
  /** When the last of ours began, MPLEX_OPEN_BURST of them. */
  readonly #begun: number[] = []
  /** When to look again whether one of ours may begin. */
  #beginAt: number | undefined
  /** When the remote last went over a limit. */
  readonly #strikes: number[] = []
  /** Streams that the connection waits for. */
  readonly #stalled = new Set<Stream>()
  #events: MplexEvent[] = []
  #polled = 0
  #phase: 'open' | 'leaving' | 'gone' = 'open'
  #nextId = 0
  #inbound = 0
  #outbound = 0
  #unread = 0
  /** Whose body is being read. */
  #bodyOf: Stream | undefined

  constructor({ receiveBuffer = MPLEX_RECEIVE_BUFFER }: MplexOptions = {}) {
    this.#receiveBuffer = Math.min(receiveBuffer, MPLEX_RECEIVE_BUFFER)
  }

  /** Streams that are not forgotten: open ones, and closed ones with bytes that their reader still holds. */
  get size(): number {
    return this.#streams.size
  }

  /** All that is to be said was pulled. */
  get gone(): boolean {
    return this.#phase === 'gone'
  }

  /** Whether what arrived so far ends between two messages. */
  get atBoundary(): boolean {
    return this.#reader.atBoundary
  }

  /** A reader is so far behind that nothing more should come for now. */
  get paused(): boolean {
    return this.#stalled.size > 0
  }

  /** When to hand in `wake`, on the clock of `now`. */
  get deadline(): number | undefined {
    if (this.#phase === 'gone') return undefined
    let at = this.#beginAt ?? Number.POSITIVE_INFINITY
    for (const { stalledSince } of this.#stalled) at = Math.min(at, (stalledSince as number) + MPLEX_PAUSE_TIMEOUT)
    return at === Number.POSITIVE_INFINITY ? undefined : at
  }

  /** Bytes that the stream may queue now; not above zero: wait for `drain`. */
  credit(key: number): number {
    const stream = this.#streams.get(key)
    return stream === undefined || stream.ending || stream.closed ? 0 : MPLEX_SEND_QUEUE - stream.queue.bytes
  }

  /** Opens a stream and returns its key, or why it can't be opened. Its first message goes out when its turn comes. */
  open(): number | Fault {
    if (this.#phase !== 'open') return { code: 'ERR_CONNECTION_CLOSED', what: 'the connection is closing', remote: false }
    if (this.#waiting.length >= MPLEX_MAX_WAITING)
      return { code: 'ERR_STREAM_LIMIT', what: `${MPLEX_MAX_WAITING} streams already wait for their turn to be opened`, remote: false }
    const stream = new Stream(this.#nextId++, false)
    this.#streams.set(stream.key, stream)
    this.#waiting.push(stream)
    return stream.key
  }

  handle(input: MplexInput, now: number): void {
    if (this.#phase === 'gone') return
    switch (input.t) {
      case 'bytes':
        return this.#receive(input.bytes, now)
      case 'write': {
        const stream = this.#streams.get(input.key)
        if (stream === undefined || stream.ending || stream.closed) return
        stream.queue.push(input.bytes)
        return this.#ring.add(stream)
      }
      case 'end': {
        const stream = this.#streams.get(input.key)
        if (stream === undefined || stream.closed) return
        stream.ending = true
        return this.#ring.add(stream)
      }
      case 'reset':
        return this.#reset(input.key)
      case 'release':
        return this.#release(input.key, input.bytes, now)
      case 'leave':
        this.#phase = 'leaving'
        return
      case 'wake':
        if (this.#beginAt !== undefined && this.#beginAt <= now) this.#beginAt = undefined
        for (const stream of [...this.#stalled]) {
          if (this.gone || now - (stream.stalledSince as number) < MPLEX_PAUSE_TIMEOUT) continue
          this.#cut(stream, `nothing was read of ${stream.unread} bytes for ${MPLEX_PAUSE_TIMEOUT} ms, and all other streams had to wait`)
        }
    }
  }

  poll(): MplexEvent | undefined {
    const event = this.#events[this.#polled]
    if (event !== undefined) this.#polled++
    else if (this.#polled > 0) {
      this.#events = []
      this.#polled = 0
    }
    return event
  }

  /**
   * What to put on the wire now, in order: `maxBytes`, or up to one message more, or what there is; undefined when there is
   * nothing. The chunks belong to the caller. Poll afterwards: sending makes room, and may close streams.
   */
  pull(maxBytes: number, now: number): Uint8Array[] | undefined {
    if (this.#phase === 'gone') return undefined
    this.#begin(now)
    const chunks: Uint8Array[] = []
    let size = this.#control.size
    if (size > 0) chunks.push(this.#control.take())
    let headers: Uint8Array | undefined
    let at = 0
    while (size < maxBytes) {
      const stream = this.#ring.take()
      if (stream === undefined) break
      // A turn is a message and, where it was the last, the CLOSE behind it.
      if (headers === undefined || at + 2 * MAX_HEADER > headers.length) {
        headers = new Uint8Array(HEADER_BATCH * MAX_HEADER)
        at = 0
      }
      const from = at
      const queued = stream.queue.bytes
      at = this.#send(stream, headers, at, chunks)
      size += at - from + queued - stream.queue.bytes
    }
    if (this.#phase === 'leaving' && this.#allSent) this.#leave()
    return chunks.length > 0 ? chunks : undefined
  }

  // ── what we do ───────────────────────────────────────────────────────────────────────────────────────────────

  /** One message of a stream whose turn it is; returns where the headers end. */
  #send(stream: Stream, headers: Uint8Array, at: number, chunks: Uint8Array[]): number {
    const { queue, id, side } = stream
    const queued = queue.bytes
    if (queued > 0) {
      const size = Math.min(queued, MPLEX_MAX_SENT)
      const end = putHeader(headers, at, id, MESSAGE + side, size)
      chunks.push(headers.subarray(at, end))
      queue.move(size, chunks)
      at = end
      if (queued >= MPLEX_SEND_QUEUE && queue.bytes < MPLEX_SEND_QUEUE && !stream.ending) this.#events.push({ t: 'drain', key: stream.key })
    }
    if (stream.ending && queue.bytes === 0) {
      const end = putHeader(headers, at, id, CLOSE + side, 0)
      chunks.push(headers.subarray(at, end))
      at = end
      stream.closeSent = true
      if (stream.remoteEnded) this.#close(stream)
    } else this.#ring.add(stream)
    return at
  }

  #begin(now: number): void {
    this.#beginAt = undefined
    while (this.#waiting.length > 0 && this.#outbound < MPLEX_MAX_OUTBOUND) {
      if (this.#begun.length === MPLEX_OPEN_BURST) {
        const at = (this.#begun[0] as number) + MPLEX_OPEN_PERIOD
        if (at > now) {
          this.#beginAt = at
          return
        }
        this.#begun.shift()
      }
      this.#begun.push(now)
      const stream = this.#waiting.shift() as Stream
      stream.waiting = false
      this.#outbound++
      // Names are for debugging only ("Opening a new stream"): none.
      this.#control.push(stream.id, NEW)
      this.#ring.add(stream)
    }
  }

  get #allSent(): boolean {
    for (const stream of this.#streams.values()) {
      if (!stream.closed && (stream.queue.bytes > 0 || (stream.ending && !stream.closeSent))) return false
    }
    return true
  }

  #reset(key: number): void {
    const stream = this.#streams.get(key)
    if (stream === undefined) return
    const { closed, waiting } = stream
    this.#forget(stream)
    // A stream that the remote has not heard of, or that is over, needs no RESET.
    if (!closed && !waiting) this.#sendReset(stream)
  }

  #sendReset({ id, side, inbound }: Stream): void {
    this.#control.push(id, RESET + side)
    // Of its own streams the remote can bring about as many as it likes.
    if (inbound && this.#control.size > MPLEX_MAX_CONTROL) this.#refuse('the remote provokes answers faster than it takes them')
  }

  #release(key: number, bytes: number, now: number): void {
    const stream = this.#streams.get(key)
    if (stream === undefined) return
    const used = Math.min(bytes, stream.unread)
    stream.unread -= used
    this.#unread -= used
    if (stream.stalledSince !== undefined) {
      if (stream.unread * 2 <= this.#pauseAt) this.#unstall(stream)
      else if (used > 0) stream.stalledSince = now
    }
    if (stream.closed && stream.unread === 0) this.#forget(stream)
  }

  // ── what the remote does ─────────────────────────────────────────────────────────────────────────────────────

  #receive(bytes: Uint8Array, now: number): void {
    const reader = this.#reader
    reader.push(bytes)
    while (this.#phase !== 'gone') {
      switch (reader.next()) {
        case undefined:
          return
        case 'refused':
          return this.#refuse(reader.refusal as string)
        case 'body':
          this.#onBody(now)
          break
        case 'header':
          this.#onHeader(now)
      }
    }
  }

  #onHeader(now: number): void {
    const reader = this.#reader
    const { id, flag } = reader
    this.#bodyOf = undefined
    if (flag === NEW) {
      reader.skip()
      return this.#onNew(id, now)
    }
    const inbound = flag % 2 === 0
    const stream = this.#streams.get(keyOf(id, inbound))
    // For a stream that is over or never was: silence, for our RESET and the remote's message may have crossed.
    if (stream === undefined || stream.closed || stream.waiting) return reader.skip()
    switch (inbound ? flag - 1 : flag) {
      case MESSAGE:
        if (stream.remoteEnded && reader.length > 0) {
          reader.skip()
          this.#lose(stream, { code: 'ERR_MUXER', what: 'the remote wrote to a stream that it had ended', remote: true })
          return this.#sendReset(stream)
        }
        this.#bodyOf = stream
        return
      case CLOSE:
        reader.skip()
        return this.#onEnd(stream)
      case RESET:
        reader.skip()
        return this.#lose(stream, { code: 'ERR_STREAM_RESET', what: 'the remote reset the stream', remote: true })
    }
  }

  #onNew(id: number, now: number): void {
    const use = this.#seen.use(id * 2 + 1)
    if (use === 'reused') return this.#refuse(`the remote opened stream ${id} twice`)
    const stream = new Stream(id, true)
    if (this.#phase !== 'open') return this.#sendReset(stream)
    if (use === 'unknown' || this.#inbound >= MPLEX_MAX_INBOUND) {
      this.#sendReset(stream)
      return this.#strike(now)
    }
    this.#inbound++
    this.#streams.set(stream.key, stream)
    this.#events.push({ t: 'stream', key: stream.key })
  }

  #onBody(now: number): void {
    const reader = this.#reader
    const stream = this.#bodyOf
    // It was reset while its body was on the way.
    if (stream === undefined || stream.closed) return reader.skip()
    let bytes = reader.body
    const unread = stream.unread + bytes.length
    const mine = unread > this.#receiveBuffer
    if (mine || this.#unread + bytes.length > MPLEX_MAX_UNREAD) {
      reader.skip()
      this.#cut(stream, mine ? `${unread} bytes wait to be read` : `the streams of this connection hold ${this.#unread} unread bytes`)
      return this.#strike(now)
    }
    // A few bytes that wait for their reader must not keep a whole read alive: the bounds count bytes, not buffers.
    if (bytes.length * YAMUX_MAX_PINNED < bytes.buffer.byteLength) bytes = bytes.slice()
    stream.unread = unread
    this.#unread += bytes.length
    if (stream.stalledSince === undefined && unread > this.#pauseAt) {
      stream.stalledSince = now
      this.#stalled.add(stream)
    }
    this.#events.push({ t: 'data', key: stream.key, bytes })
  }

  #onEnd(stream: Stream): void {
    if (stream.remoteEnded) return
    stream.remoteEnded = true
    // Nothing more comes of it, so nobody has to wait for its reader.
    this.#unstall(stream)
    this.#events.push({ t: 'end', key: stream.key })
    if (stream.closeSent) this.#close(stream)
  }

  // ── the ends ─────────────────────────────────────────────────────────────────────────────────────────────────

  get #pauseAt(): number {
    return this.#receiveBuffer * MPLEX_PAUSE_SHARE
  }

  #unstall(stream: Stream): void {
    stream.stalledSince = undefined
    this.#stalled.delete(stream)
  }

  /** Both sides have ended. */
  #close(stream: Stream): void {
    stream.closed = true
    this.#events.push({ t: 'closed', key: stream.key })
    if (stream.unread === 0) this.#forget(stream)
  }

  #lose(stream: Stream, fault: Fault): void {
    this.#forget(stream)
    this.#events.push({ t: 'closed', key: stream.key, fault })
  }

  /** Its reader is too slow: the remote is told that nothing of it is wanted any more. */
  #cut(stream: Stream, what: string): void {
    this.#lose(stream, { code: 'ERR_STREAM_OVERFLOW', what, remote: false })
    this.#sendReset(stream)
  }

  #forget(stream: Stream): void {
    if (!this.#streams.delete(stream.key)) return
    stream.closed = true
    stream.queue.clear()
    this.#unstall(stream)
    this.#unread -= stream.unread
    if (stream.inbound) this.#inbound--
    else if (stream.waiting) this.#waiting.splice(this.#waiting.indexOf(stream), 1)
    else this.#outbound--
  }

  #strike(now: number): void {
    this.#strikes.push(now)
    if (this.#strikes.length <= MPLEX_MAX_STRIKES) return
    const first = this.#strikes.shift() as number
    if (now - first < MPLEX_STRIKE_WINDOW)
      this.#refuse(`the remote went over the limits ${MPLEX_MAX_STRIKES + 1} times within ${now - first} ms`)
  }

  /** The remote broke a rule. mplex has no words to tell it so. */
  #refuse(what: string): void {
    if (this.#phase === 'gone') return
    this.#leave()
    this.#events.push({ t: 'fault', fault: { code: 'ERR_MUXER', what, remote: true } })
  }

  #leave(): void {
    this.#phase = 'gone'
    this.#bodyOf = undefined
    this.#ring.clear()
    this.#waiting.length = 0
    this.#stalled.clear()
    this.#control.clear()
    for (const stream of this.#streams.values()) stream.closed = true
    this.#streams.clear()
  }
}
