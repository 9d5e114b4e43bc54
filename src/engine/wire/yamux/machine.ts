/**
 * yamux 1.0 (specs: yamux/README.md), without IO: bytes and wishes in, events and frames out.
 *
 *              handle(input, now)                          poll() until undefined
 *   channel ──────────────────────▶ ┌──────────────────┐ ────────────────────────▶ streams
 *   streams ──────────────────────▶ │ FrameReader      │
 *                                   │ Streams   Pings  │     pull(bytes, now)
 *                                   │ Sender           │ ────────────────────────▶ channel
 *                                   └──────────────────┘
 *
 *   open ── goAway ──▶ leaving ── all was sent ──▶ gone         any ── a rule broken, silence ──▶ gone
 *
 * Bounds. Streams: see streams.ts; frames to send: sender.ts; received bytes that nobody used: each stream's window, and
 * YAMUX_MAX_WINDOWS in all. Of a closed stream nothing stays but its place in `SeenIds`. Events: what one call brings
 * about, polled before the next.
 */

import { remoteFault, TabmeshError } from '../../../errors.ts'
import {
  YAMUX_MAX_PINNED,
  YAMUX_MAX_WAITING,
  YAMUX_MAX_WINDOWS,
  YAMUX_PING_INTERVAL,
  YAMUX_PING_TIMEOUT,
  YAMUX_SEND_QUEUE,
} from '../../limits.ts'
import {
  describeReset,
  GO_AWAY_NORMAL,
  GO_AWAY_PROTOCOL_ERROR,
  STREAM_NO_CODE,
  STREAM_PROTOCOL_VIOLATION,
  STREAM_RESOURCE_LIMIT,
  STREAM_SHUTDOWN,
} from './codes.ts'
import type { YamuxEvent, YamuxInput } from './events.ts'
import { EventQueue } from './events.ts'
import { ACK, DATA, FIN, FrameReader, PING, RST, SYN, UINT32_MAX, WINDOW_UPDATE } from './frame.ts'
import { Pings } from './pings.ts'
import { SeenIds } from './seen-ids.ts'
import { Sender } from './sender.ts'
import type { Stream } from './stream.ts'
import type { StreamLimits } from './streams.ts'
import { Streams } from './streams.ts'

/** Who dialled the connection: its streams have odd ids. */
export type YamuxRole = 'dialer' | 'listener'

export interface YamuxOptions extends StreamLimits {
  readonly role: YamuxRole
  /** Milliseconds between pings; `false`: only those that are asked for. */
  readonly pingInterval?: number | false
  readonly pingTimeout?: number
}

export class Yamux {
  readonly #dialer: boolean
  readonly #events = new EventQueue()
  readonly #reader = new FrameReader()
  readonly #seen: SeenIds
  readonly #pings: Pings
  readonly #streams: Streams
  readonly #sender: Sender
  #phase: 'open' | 'leaving' | 'gone' = 'open'
  #remoteLeft = false
  /** Whose body is being read, and whether FIN follows it. */
  #bodyOf: Stream | undefined
  #bodyEnds = false

  constructor(options: YamuxOptions) {
    this.#dialer = options.role === 'dialer'
    this.#seen = new SeenIds(this.#dialer ? 2 : 1)
    const interval = options.pingInterval ?? YAMUX_PING_INTERVAL
    this.#pings = new Pings(interval === false ? undefined : interval, options.pingTimeout ?? YAMUX_PING_TIMEOUT)
    this.#streams = new Streams(this.#dialer ? 1 : 2, options, this.#events)
    this.#sender = new Sender(this.#streams, this.#pings, this.#events)
  }

  /** Streams that are not forgotten: open ones, and closed ones with bytes that their reader still holds. */
  get size(): number {
    return this.#streams.size
  }

  /** Milliseconds, once a ping was answered. */
  get rtt(): number | undefined {
    return this.#pings.rtt
  }

  /** When something last arrived, on the clock of `now`. */
  get heardAt(): number {
    return this.#pings.heardAt
  }

  /** When to hand in `wake`, on the clock of `now`. */
  get deadline(): number | undefined {
    return this.#phase === 'gone' ? undefined : this.#pings.deadline
  }

  /** Our last frame was pulled. */
  get gone(): boolean {
    return this.#phase === 'gone' && !this.#sender.pending
  }

  /** Whether what arrived so far ends between two frames. */
  get atBoundary(): boolean {
    return this.#reader.atBoundary
  }

  /** Bytes that the stream may queue now; not above zero: wait for `drain`. */
  credit(id: number): number {
    const stream = this.#streams.get(id)
    return stream === undefined || stream.ending || stream.closed ? 0 : YAMUX_SEND_QUEUE - stream.queue.bytes
  }

  /** Opens a stream and returns its id, or why it can't be opened. Its first frame goes out when its turn comes. */
  open(): number | TabmeshError {
    if (this.#phase !== 'open') return new TabmeshError('ERR_CONNECTION_CLOSED', 'the connection is closing')
    if (this.#remoteLeft) return new TabmeshError('ERR_CONNECTION_CLOSED', 'the remote is closing the connection')
    if (this.#streams.waitingFull) {
      return new TabmeshError('ERR_STREAM_LIMIT', `${YAMUX_MAX_WAITING} streams already wait for the remote to accept them`)
    }
    if (this.#streams.idsUsedUp) return new TabmeshError('ERR_STREAM_LIMIT', 'the connection has used up its stream ids')
    return this.#streams.open().id
  }

  handle(input: YamuxInput, now: number): void {
    if (this.#phase === 'gone') return
    switch (input.t) {
      case 'bytes':
        return this.#receive(input.bytes, now)
      case 'write':
        return this.#write(input.id, input.bytes)
      case 'end':
        return this.#end(input.id)
      case 'reset':
        return this.#reset(input.id, input.code ?? STREAM_NO_CODE)
      case 'release':
        return this.#release(input.id, input.bytes, now)
      case 'ping':
        return this.#pings.ask()
      case 'goAway':
        return this.#goAway(input.code)
      case 'wake':
        if (this.#pings.wake(now)) this.#giveUp()
    }
  }

  poll(): YamuxEvent | undefined {
    return this.#events.poll()
  }

  /**
   * What to put on the wire now, in order: `maxBytes`, or up to one frame more, or what there is; undefined when there is
   * nothing. The chunks belong to the caller. Poll afterwards: sending makes room, and may close streams.
   */
  pull(maxBytes: number, now: number): Uint8Array[] | undefined {
    const chunks: Uint8Array[] = []
    if (this.#phase !== 'gone') this.#sender.pull(maxBytes, now, chunks)
    if (this.#phase === 'leaving' && this.#sender.allSent) this.#leave(GO_AWAY_NORMAL, false)
    if (this.#phase === 'gone') this.#sender.pullControl(chunks)
    return chunks.length > 0 ? chunks : undefined
  }

  // ── what we do ───────────────────────────────────────────────────────────────────────────────────────────────

  #write(id: number, bytes: Uint8Array): void {
    const stream = this.#streams.get(id)
    if (stream === undefined || stream.ending || stream.closed) return
    stream.queue.push(bytes)
    this.#streams.ring.add(stream)
  }

  #end(id: number): void {
    const stream = this.#streams.get(id)
    if (stream === undefined || stream.closed) return
    stream.ending = true
    this.#streams.ring.add(stream)
  }

  #reset(id: number, code: number): void {
    const stream = this.#streams.get(id)
    if (stream === undefined) return
    const { closed, synDue, inbound } = stream
    this.#streams.forget(stream)
    // A stream that the remote has not heard of, or that is over, needs no RST.
    if (!closed && !synDue) this.#sendReset(id, code, inbound)
  }

  #release(id: number, bytes: number, now: number): void {
    const stream = this.#streams.get(id)
    if (stream === undefined) return
    const { window } = stream
    const { held, size } = window
    const returned = window.release(bytes, now, this.#pings.rtt, YAMUX_MAX_WINDOWS - this.#streams.windows)
    this.#streams.held -= held - window.held
    this.#streams.windows += window.size - size
    if (stream.closed) {
      if (window.held === 0) this.#streams.forget(stream)
    } else if (returned > 0 && !stream.remoteEnded) {
      stream.grant += returned
      this.#sender.list(stream)
    }
  }

  #goAway(code: number): void {
    if (code === GO_AWAY_NORMAL) this.#phase = 'leaving'
    else this.#leave(code, false)
  }

  // ── what the remote does ─────────────────────────────────────────────────────────────────────────────────────

  #receive(bytes: Uint8Array, now: number): void {
    const reader = this.#reader
    this.#pings.heard(now)
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
          if (reader.type <= WINDOW_UPDATE) this.#onStreamFrame()
          else if (reader.type === PING) this.#onPing(now)
          else this.#onGoAway(reader.length)
      }
    }
  }

  #onStreamFrame(): void {
    const { type, flags, id, length } = this.#reader
    this.#bodyOf = undefined
    const stream = (flags & SYN) !== 0 ? this.#onSyn(id, flags) : this.#streams.get(id)
    // For a stream that is over or never was: silence, for our RST and the remote's frame may have crossed.
    if (stream === undefined || stream.closed || stream.synDue) return this.#reader.skip()
    if ((flags & RST) !== 0) {
      this.#reader.skip()
      // go puts a code into the length: it is never credit.
      const code = type === DATA ? STREAM_NO_CODE : length
      return this.#streams.cut(stream, remoteFault('ERR_STREAM_RESET', `the remote reset the stream (${describeReset(code)})`))
    }
    this.#streams.acknowledge(stream)
    if (type === WINDOW_UPDATE) this.#onCredit(stream, length)
    else if (length > 0) this.#onData(stream, length, (flags & FIN) !== 0)
    if ((flags & FIN) !== 0 && this.#bodyOf === undefined) this.#onEnd(stream)
  }

  /** The new stream, unless it is refused. */
  #onSyn(id: number, flags: number): Stream | undefined {
    if ((id % 2 === 1) === this.#dialer) return this.#refuse(`the remote opened stream ${id}, an id that is ours to use`)
    const use = this.#seen.use(id)
    if (use === 'reused') return this.#refuse(`the remote opened stream ${id} twice`)
    if ((flags & RST) !== 0) return undefined
    if (this.#phase !== 'open') return this.#sendReset(id, STREAM_SHUTDOWN, true)
    if (use === 'unknown' || this.#streams.inboundFull) return this.#sendReset(id, STREAM_RESOURCE_LIMIT, true)
    const stream = this.#streams.accept(id)
    this.#sender.list(stream)
    return stream
  }

  #onCredit(stream: Stream, length: number): void {
    stream.credit += length
    if (stream.credit > UINT32_MAX) return this.#refuse(`the send window of stream ${stream.id} is over 32 bits`)
    this.#streams.ring.add(stream)
  }

  #onData(stream: Stream, length: number, ends: boolean): void {
    const { window, id, inbound } = stream
    if (!window.admit(length)) return this.#refuse(`stream ${id} overran its window by ${length - window.credit} bytes`)
    let fault: TabmeshError | undefined
    if (stream.remoteEnded) fault = remoteFault('ERR_MUXER', 'the remote wrote to a stream that it had ended')
    else if (this.#streams.held + length > YAMUX_MAX_WINDOWS) {
      fault = new TabmeshError('ERR_STREAM_OVERFLOW', `the streams of this connection hold ${this.#streams.held} unread bytes`)
    }
    if (fault === undefined) {
      this.#bodyOf = stream
      this.#bodyEnds = ends
      return
    }
    this.#reader.skip()
    this.#streams.cut(stream, fault)
    this.#sendReset(id, fault.remote ? STREAM_PROTOCOL_VIOLATION : STREAM_RESOURCE_LIMIT, inbound)
  }

  #onBody(now: number): void {
    const reader = this.#reader
    const stream = this.#bodyOf
    // It was reset while its body was on the way.
    if (stream === undefined || stream.closed) return reader.skip()
    let bytes = reader.body
    // A few bytes that wait for their reader must not keep a whole read alive: windows count bytes, not buffers.
    if (bytes.length * YAMUX_MAX_PINNED < bytes.buffer.byteLength) bytes = bytes.slice()
    stream.window.arrive(bytes.length, now)
    this.#streams.held += bytes.length
    this.#events.push({ t: 'data', id: stream.id, bytes })
    if (reader.left > 0) return
    this.#bodyOf = undefined
    if (this.#bodyEnds) this.#onEnd(stream)
  }

  #onEnd(stream: Stream): void {
    if (stream.closed || stream.remoteEnded) return
    stream.remoteEnded = true
    this.#events.push({ t: 'end', id: stream.id })
    if (stream.finSent) this.#streams.close(stream)
  }

  #onPing(now: number): void {
    const { flags, length } = this.#reader
    if ((flags & SYN) !== 0) {
      this.#sender.answerPing(length)
      return this.#checkFlood()
    }
    const rtt = (flags & ACK) !== 0 ? this.#pings.answer(length, now) : undefined
    if (rtt !== undefined) this.#events.push({ t: 'pong', rtt })
  }

  #onGoAway(code: number): void {
    this.#events.push({ t: 'goAway', code })
    if (this.#remoteLeft) return
    this.#remoteLeft = true
    // Of these the remote will not hear any more.
    const unheard = [...this.#streams.all()].filter((stream) => stream.synDue)
    for (const stream of unheard) this.#streams.cut(stream, remoteFault('ERR_CONNECTION_CLOSED', 'the remote is closing the connection'))
  }

  // ── refusals and the end ─────────────────────────────────────────────────────────────────────────────────────

  /** `inbound`: the remote can bring about as many of these as it likes. */
  #sendReset(id: number, code: number, inbound: boolean): undefined {
    this.#sender.reset(id, code)
    if (inbound) this.#checkFlood()
  }

  #checkFlood(): void {
    if (this.#sender.flooded) this.#refuse('the remote provokes answers faster than it takes them')
  }

  /** The remote broke a rule. */
  #refuse(what: string): undefined {
    if (this.#phase === 'gone') return
    this.#leave(GO_AWAY_PROTOCOL_ERROR, true)
    this.#events.push({ t: 'fault', error: remoteFault('ERR_MUXER', what) })
  }

  /** The remote is silent: a go-away would not reach it either. */
  #giveUp(): void {
    this.#leave(GO_AWAY_NORMAL, true)
    this.#sender.clear()
    this.#events.push({ t: 'fault', error: new TabmeshError('ERR_TIMEOUT', 'nothing came from the remote since the last ping') })
  }

  #leave(code: number, only: boolean): void {
    this.#phase = 'gone'
    this.#bodyOf = undefined
    this.#streams.clear()
    this.#sender.goAway(code, only)
  }
}
