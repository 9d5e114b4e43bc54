/**
 * What goes out, and in which order: control frames first, so that a ping is answered whatever the load, then one frame
 * of each stream in turn, so that none starves another.
 *
 *   pull ─▶ [ pongs, resets, ping, window updates and ACKs ] [header][body…] [header][body…] …
 *             one chunk                                       headers share one buffer; bodies are what was written
 *
 * SYN and ACK ride on the first data frame if there is data, so that opening a stream costs no frame of its own. FIN never
 * does: js-libp2p reads the flags of a frame first, and a stream that has ended drops what comes after.
 *
 * Bounds. Frames that the remote provokes (pongs, resets of its streams): YAMUX_MAX_CONTROL, beyond which it is at
 * fault. Window updates: one for each stream. Data: the streams' own queues.
 */

import { YAMUX_MAX_CONTROL, YAMUX_MAX_FRAME, YAMUX_SEND_QUEUE } from '../../limits.ts'
import type { EventQueue } from './events.ts'
import { ACK, DATA, FIN, GO_AWAY, HEADER, HeaderQueue, PING, putHeader, RST, SYN, WINDOW_UPDATE } from './frame.ts'
import type { Pings } from './pings.ts'
import type { Stream } from './stream.ts'
import type { Streams } from './streams.ts'

/** Headers allocated together for the data frames of one pull. */
const HEADER_BATCH = 16

export class Sender {
  readonly #streams: Streams
  readonly #pings: Pings
  readonly #events: EventQueue
  readonly #control = new HeaderQueue()
  /** Streams with a grant or an ACK to send. */
  #listed: Stream[] = []

  constructor(streams: Streams, pings: Pings, events: EventQueue) {
    this.#streams = streams
    this.#pings = pings
    this.#events = events
  }

  /** Whether the remote has provoked more answers than it takes. */
  get flooded(): boolean {
    return this.#control.size > YAMUX_MAX_CONTROL
  }

  /** Whether a control frame is left to pull. */
  get pending(): boolean {
    return this.#control.size > 0
  }

  answerPing(value: number): void {
    this.#control.push(PING, ACK, 0, value)
  }

  reset(id: number, code: number): void {
    this.#control.push(WINDOW_UPDATE, RST, id, code)
  }

  /** The stream has a grant or an ACK to send. */
  list(stream: Stream): void {
    if (stream.listed) return
    stream.listed = true
    this.#listed.push(stream)
  }

  /** The last frame; `only` drops all before it. */
  goAway(code: number, only: boolean): void {
    if (only) this.#control.clear()
    this.#listed = []
    this.#control.push(GO_AWAY, 0, 0, code)
  }

  clear(): void {
    this.#control.clear()
    this.#listed = []
  }

  /** Whether every stream has sent all that was written to it. */
  get allSent(): boolean {
    for (const stream of this.#streams.all()) {
      if (!stream.closed && (stream.queue.bytes > 0 || (stream.ending && !stream.finSent))) return false
    }
    return true
  }

  /** Control frames alone, onto `chunks`; returns their size. */
  pullControl(chunks: Uint8Array[]): number {
    const { size } = this.#control
    if (size > 0) chunks.push(this.#control.take())
    return size
  }

  pull(maxBytes: number, now: number, chunks: Uint8Array[]): void {
    if (this.#pings.wanted) this.#control.push(PING, SYN, 0, this.#pings.take(now))
    if (this.#listed.length > 0) this.#pushGrants()
    let size = this.pullControl(chunks)
    let headers: Uint8Array | undefined
    let at = 0
    while (size < maxBytes) {
      const stream = this.#streams.ring.take()
      if (stream === undefined) return
      if (headers === undefined || at === headers.length) {
        headers = new Uint8Array(HEADER_BATCH * HEADER)
        at = 0
      }
      size += HEADER + this.#send(stream, headers, at, chunks)
      at += HEADER
    }
  }

  #pushGrants(): void {
    for (const stream of this.#listed) {
      stream.listed = false
      if (stream.closed) continue
      // An ACK alone rides on the frame that is due.
      if (stream.grant === 0 && (!stream.ackDue || stream.ready)) continue
      this.#control.push(WINDOW_UPDATE, stream.ackDue ? ACK : 0, stream.id, stream.grant)
      stream.ackDue = false
      stream.grant = 0
    }
    this.#listed = []
  }

  /** One frame of a stream whose turn it is; returns the size of its body. */
  #send(stream: Stream, headers: Uint8Array, at: number, chunks: Uint8Array[]): number {
    const { queue } = stream
    const queued = queue.bytes
    const body = Math.min(queued, stream.credit, YAMUX_MAX_FRAME)
    let flags = 0
    if (stream.synDue) flags = SYN
    else if (stream.ackDue) flags = ACK
    stream.synDue = false
    stream.ackDue = false
    if (stream.ending && queued === 0) {
      flags |= FIN
      stream.finSent = true
    }
    // Without data a window update carries the flags, as in go and js.
    putHeader(headers, at, body > 0 ? DATA : WINDOW_UPDATE, flags, stream.id, body)
    chunks.push(headers.subarray(at, at + HEADER))
    if (body > 0) {
      stream.credit -= body
      queue.move(body, chunks)
      if (queued >= YAMUX_SEND_QUEUE && queue.bytes < YAMUX_SEND_QUEUE && !stream.ending) this.#events.push({ t: 'drain', id: stream.id })
    }
    if (stream.finSent && stream.remoteEnded) this.#streams.close(stream)
    else this.#streams.ring.add(stream)
    return body
  }
}
