/**
 * A QUIC stream as a channel (RFC 9000 §2, §3).
 *
 *   opening ── the stream is there ──▶ open ── end(): FIN behind what was written ──▶ half ── the remote's FIN ──▶ closed
 *      └──────────────────────────────── abort(), reset, the connection lost ────────────────────────────────────▶ closed with a fault
 *
 * Bounds: QUIC_SEND_BUFFER and one write out; QUIC_RECEIVE_WINDOW in, behind which reading stops and QUIC's own flow control
 * holds the sender.
 */

import { concat } from '../../engine/codec/bytes.ts'
import { QUIC_READ, QUIC_RECEIVE_WINDOW, QUIC_SEND_BUFFER, QUIC_WRITE } from '../../engine/limits.ts'
import { type Channel, Inlet, type Sink } from '../../engine/wire/channel.ts'
import { remoteFault, TabmeshError } from '../../errors.ts'
import type { QuicStream } from './binding.ts'

export class QuicChannel implements Channel {
  readonly #inlet = new Inlet()
  readonly #onClosed: (channel: QuicChannel) => void
  #stream: QuicStream | undefined
  #queue: Uint8Array[] = []
  /** Written and not yet taken by QUIC. */
  #queued = 0
  #writing = false
  #ending = false
  #finished = false
  #reading = false
  #unreleased = 0

  constructor(onClosed: (channel: QuicChannel) => void) {
    this.#onClosed = onClosed
  }

  /** The stream is there. */
  open(stream: QuicStream): void {
    if (this.#inlet.closed) return drop(stream)
    this.#stream = stream
    this.#pump()
    this.#fill()
  }

  get credit(): number {
    return this.#ending || this.#inlet.closed ? 0 : QUIC_SEND_BUFFER - this.#queued
  }

  write(bytes: Uint8Array): void {
    if (this.#ending || this.#inlet.closed || bytes.length === 0) return
    this.#queue.push(bytes)
    this.#queued += bytes.length
    this.#pump()
  }

  end(): void {
    if (this.#ending || this.#inlet.closed) return
    this.#ending = true
    this.#pump()
  }

  abort(fault: TabmeshError): void {
    if (this.#inlet.closed) return
    if (this.#stream !== undefined) drop(this.#stream)
    this.#close(fault)
  }

  attach(sink: Sink): void {
    this.#inlet.attach(sink)
  }

  detach(rest?: Uint8Array): void {
    this.#inlet.detach(rest)
  }

  release(bytes: number): void {
    this.#unreleased -= bytes
    this.#fill()
  }

  /** One write is under way at a time; what comes meanwhile leaves together. */
  #pump(): void {
    const stream = this.#stream
    if (stream === undefined || this.#writing || this.#inlet.closed) return
    const bytes = this.#next()
    if (bytes === undefined) {
      if (this.#ending && !this.#finished) this.#finish(stream)
      return
    }
    this.#writing = true
    stream.write(bytes).then(
      () => {
        this.#writing = false
        const full = this.#queued >= QUIC_SEND_BUFFER
        this.#queued -= bytes.length
        this.#pump()
        if (full && this.#queued < QUIC_SEND_BUFFER && !this.#ending) this.#inlet.drain()
      },
      (cause: unknown) => this.#fail('writing', cause),
    )
  }

  /** Small writes as one, up to QUIC_WRITE. */
  #next(): Uint8Array | undefined {
    let count = 0
    let size = 0
    for (; count < this.#queue.length; count++) {
      const { length } = this.#queue[count] as Uint8Array
      if (count > 0 && size + length > QUIC_WRITE) break
      size += length
    }
    const chunks = this.#queue.splice(0, count)
    return chunks.length > 1 ? concat(chunks) : chunks[0]
  }

  #finish(stream: QuicStream): void {
    this.#finished = true
    stream.finishWrite().then(
      () => this.#settle(),
      (cause: unknown) => this.#fail('ending', cause),
    )
  }

  #fill(): void {
    const stream = this.#stream
    if (stream === undefined || this.#reading || this.#inlet.ended || this.#inlet.closed || this.#unreleased >= QUIC_RECEIVE_WINDOW) return
    this.#reading = true
    stream.read(QUIC_READ).then(
      (bytes) => {
        this.#reading = false
        if (bytes === null || bytes === undefined) {
          this.#inlet.end()
          return this.#settle()
        }
        this.#unreleased += bytes.length
        // A view of its own, because Buffer's `slice` shares where the engine expects a copy.
        this.#inlet.push(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length))
        this.#fill()
      },
      (cause: unknown) => this.#fail('reading', cause),
    )
  }

  /** Both sides have ended. */
  #settle(): void {
    if (this.#finished && !this.#writing && this.#inlet.ended) this.#close(undefined)
  }

  #fail(what: string, cause: unknown): void {
    if (this.#inlet.closed) return
    const text = cause instanceof Error ? cause.message : String(cause)
    const reset = /reset by peer|stopped by peer|sending stopped/i.test(text)
    if (this.#stream !== undefined) drop(this.#stream)
    this.#close(
      reset
        ? remoteFault('ERR_STREAM_RESET', 'the remote reset the stream', cause)
        : new TabmeshError('ERR_CONNECTION_CLOSED', `${what} a QUIC stream failed (${text})`, { cause }),
    )
  }

  /** The connection is over, or the stream could not be opened. */
  lose(fault: TabmeshError): void {
    if (!this.#inlet.closed) this.#close(fault)
  }

  #close(fault: TabmeshError | undefined): void {
    this.#queue = []
    this.#queued = 0
    this.#inlet.close(fault)
    this.#onClosed(this)
  }
}

/** Resets both directions; where the connection is gone there is nothing to reset. */
const drop = (stream: QuicStream): void => {
  stream.resetWrite().catch(() => {})
  stream.stopRead().catch(() => {})
}
