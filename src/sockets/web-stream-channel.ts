/**
 * A stream of WebTransport as a channel: the two halves are WHATWG streams (https://streams.spec.whatwg.org).
 *
 *              open(halves)          end(), and all is written or the remote reads no more
 *   (opening) ─────────────▶ open ──────────────────────────────────────────▶ sent ──┐
 *                              └─────── the remote's end ───────▶ received ──────────┴──▶ closed
 *   any ── abort(), a reset of the remote, the session's end ───────────────────────────▶ closed with a fault
 *
 * What is written before the stream is there waits. Only one write is handed down at a time: a WritableStream does no more at once, and
 * small ones are gathered meanwhile. Once the remote reads no more (STOP_SENDING), what we write is dropped: go's `Close` says that
 * together with FIN, so it is no fault, and not our end either, which may still be a while.
 *
 * Bounds: WT_SEND_BUFFER and one write out. In, we read only while less than WT_RECEIVE_WINDOW is unreleased; then the browser's
 * pipe fills and QUIC's flow control (RFC 9000 §4) stops the remote. What QUIC holds of unread streams counts against the window of
 * the whole connection: in Chromium 156 the third flood that nobody reads stops every stream beside it, until one is given up.
 */

import { ByteQueue } from '../engine/codec/byte-queue.ts'
import { WT_RECEIVE_WINDOW, WT_SEND_BUFFER } from '../engine/limits.ts'
import type { Channel, Sink } from '../engine/wire/channel.ts'
import { Inlet } from '../engine/wire/channel.ts'
import type { TabmeshError } from '../errors.ts'
import { remoteFault } from '../errors.ts'

export interface StreamHalves {
  readonly readable: ReadableStream<Uint8Array>
  readonly writable: WritableStream<Uint8Array>
}

/** What a stream needs of its session. */
export interface StreamOwner {
  /** Resets both halves, in the order that the session's own close needs. */
  reset(abort: () => Promise<unknown>): void
  /** The stream is over, and nothing of it is under way any more. */
  forget(channel: WebStreamChannel): void
}

export class WebStreamChannel implements Channel {
  /** The remote opened it. */
  readonly inbound: boolean
  readonly #owner: StreamOwner
  readonly #inlet = new Inlet()
  readonly #queue = new ByteQueue()
  #writer: WritableStreamDefaultWriter<Uint8Array> | undefined
  #reader: ReadableStreamDefaultReader<Uint8Array> | undefined
  /** Bytes handed down that have not been taken yet. */
  #writing = 0
  #full = false
  #ended = false
  /** Our half is over: all of it was taken, or the remote reads no more. */
  #sent = false
  #reading = false
  /** Received bytes that the reader has not released. */
  #unread = 0
  /** Given up: nothing of it is wanted any more. */
  #lost = false

  constructor(owner: StreamOwner, inbound: boolean) {
    this.#owner = owner
    this.inbound = inbound
  }

  get credit(): number {
    if (this.#ended || this.#inlet.closed) return 0
    // Dropped at once: a writer must not be left waiting for a reader that has gone.
    return this.#sent ? WT_SEND_BUFFER : WT_SEND_BUFFER - this.#queue.size - this.#writing
  }

  write(bytes: Uint8Array): void {
    if (this.#ended || this.#sent || this.#inlet.closed) return
    this.#queue.push(bytes)
    this.#full = this.credit <= 0
    this.#send()
  }

  end(): void {
    if (this.#ended || this.#inlet.closed) return
    this.#ended = true
    this.#send()
    this.#settle()
  }

  abort(fault: TabmeshError): void {
    if (this.#inlet.closed) return
    this.#reset()
    this.lose(fault)
  }

  attach(sink: Sink): void {
    this.#inlet.attach(sink)
  }

  detach(rest?: Uint8Array): void {
    this.#inlet.detach(rest)
  }

  release(bytes: number): void {
    this.#unread -= bytes
    this.#receive()
  }

  // ── what the session says ──────────────────────────────────────────────────────────────────────────────────

  /** The stream is there. */
  open({ readable, writable }: StreamHalves): void {
    this.#writer = writable.getWriter()
    this.#reader = readable.getReader()
    if (this.#lost) return this.#reset()
    this.#writer.closed.then(this.#onSent, this.#onNotSent)
    this.#send()
    this.#receive()
  }

  /** The stream ended with its session, or could not be opened. */
  lose(fault: TabmeshError): void {
    this.#lost = true
    this.#queue.clear()
    this.#inlet.close(fault)
    this.#owner.forget(this)
  }

  /** The session closes in order: tells the user, and sends what was written. What was not ended is not: the session's end says so. */
  retire(fault: TabmeshError): void {
    this.#inlet.close(fault)
    this.#forgetWhenIdle()
  }

  // ── sending ────────────────────────────────────────────────────────────────────────────────────────────────

  #send(): void {
    if (this.#writing > 0 || this.#writer === undefined || this.#sent) return
    const bytes = this.#queue.shift()
    if (bytes !== undefined) {
      this.#writing = bytes.length
      this.#writer.write(bytes).then(this.#onWritten, ignore)
    } else if (this.#ended) this.#writer.close().catch(ignore)
  }

  readonly #onWritten = (): void => {
    this.#writing = 0
    this.#send()
    // Half of the buffer must have left, so that a writer is woken for more than a few bytes.
    if (this.#full && this.#queue.size + this.#writing <= WT_SEND_BUFFER / 2) this.#drain()
    this.#forgetWhenIdle()
  }

  #drain(): void {
    this.#full = false
    if (!this.#ended) this.#inlet.drain()
  }

  readonly #onSent = (): void => {
    this.#sent = true
    this.#settle()
  }

  readonly #onNotSent = (cause: unknown): void => {
    if (isSessions(cause) || this.#sent) return
    this.#sent = true
    this.#queue.clear()
    this.#writing = 0
    if (this.#full && !this.#inlet.closed) this.#drain()
    this.#settle()
  }

  // ── receiving ──────────────────────────────────────────────────────────────────────────────────────────────

  #receive(): void {
    if (this.#reading || this.#reader === undefined || this.#unread >= WT_RECEIVE_WINDOW) return
    if (this.#inlet.ended || this.#inlet.closed) return
    this.#reading = true
    this.#reader.read().then(this.#onRead, this.#onNotRead)
  }

  readonly #onRead = ({ done, value }: ReadableStreamReadResult<Uint8Array>): void => {
    this.#reading = false
    if (this.#inlet.closed) return
    if (done) {
      this.#inlet.end()
      return this.#settle()
    }
    this.#unread += value.length
    this.#inlet.push(value)
    this.#receive()
  }

  readonly #onNotRead = (cause: unknown): void => {
    if (isSessions(cause)) return
    const code = (cause as Partial<WebTransportError>)?.streamErrorCode ?? 0
    const why = code === 0 ? '' : ` with code 0x${code.toString(16)}`
    this.abort(remoteFault('ERR_STREAM_RESET', `the remote reset the stream${why}`, cause))
  }

  // ── the end ────────────────────────────────────────────────────────────────────────────────────────────────

  #settle(): void {
    if (this.#ended && this.#sent && this.#inlet.ended) this.#inlet.close()
    this.#forgetWhenIdle()
  }

  #forgetWhenIdle(): void {
    if (this.#inlet.closed && (this.#sent || (!this.#ended && this.#queue.size + this.#writing === 0))) this.#owner.forget(this)
  }

  #reset(): void {
    const writer = this.#writer
    const reader = this.#reader
    if (writer === undefined || reader === undefined) return
    // A half each: neither says anything about the other.
    this.#owner.reset(() => Promise.all([writer.abort().catch(ignore), reader.cancel().catch(ignore)]))
  }
}

/** Whether a stream failed because its session did, which the session tells itself, and knows why. */
const isSessions = (cause: unknown): boolean => (cause as Partial<WebTransportError> | undefined)?.source === 'session'

const ignore = (): void => {}
