/**
 * Channel: one ordered, reliable byte pipe with credit both ways.
 *
 * All that the engine knows of IO. A WebSocket, a data channel, a WebTransport stream, a relayed circuit, a muxed
 * stream and the pipe to the application are all channels.
 *
 *               attach            data…            remote end         both ended, aborted, or lost
 *   (buffering) ──────▶ (flowing) ─────▶ (flowing) ─────────▶ (half) ──────────────────────────▶ closed
 *        ▲                 │
 *        └──── detach ─────┘   what arrives while nobody is attached is kept and delivered at the next attach
 *
 * Bounds. Sending: a writer asks `credit` first and may overshoot it by one write, so a channel queues at most its
 * credit plus one write. Receiving: bytes count against the sender's credit until `release`d, so an inlet holds at
 * most one window.
 */

import type { TabmeshError } from '../../errors.ts'
import { ByteQueue } from '../codec/byte-queue.ts'

export interface Channel {
  /** Bytes that may be written now. At zero or below: wait for `onDrain`. */
  readonly credit: number
  /** Takes ownership of `bytes`. After `end` or close it does nothing: `onClose` has told, or will tell, why. */
  write(bytes: Uint8Array): void
  /** Ends our write side behind what was written; reading goes on. Idempotent. */
  end(): void
  /** Ends both sides at once and drops what is queued. The sink's `onClose` gets `fault`. Idempotent. */
  abort(fault: TabmeshError): void
  /** Makes `sink` the reader and delivers, synchronously, what arrived meanwhile. One reader at a time. */
  attach(sink: Sink): void
  /** Takes the reader away; `rest` (bytes it was given but did not use) goes back to the front. */
  detach(rest?: Uint8Array): void
  /** Tells that `bytes` received bytes were used, so that the sender may send as many more. */
  release(bytes: number): void
}

/** The reader of a channel. Calls come in this order: data*, end?, close; nothing follows close. */
export interface Sink {
  /** The receiver owns `bytes`, but may share its buffer with other views: copy before transferring. */
  onData(bytes: Uint8Array): void
  /** Credit is above zero again after it was not. */
  onDrain?(): void
  /** The remote ended its write side. */
  onEnd(): void
  /** The channel is over: no `fault` when both sides had ended, else why. Called exactly once, own `abort` included. */
  onClose(fault?: TabmeshError): void
}

/**
 * The receive side that every channel has: keeps what arrives while nobody is attached.
 *
 * Calls of one sink never nest, except for the close that a fault brings: what comes while a sink is inside a call waits until
 * the call returns. Each reader is told the end and the close, also those that an earlier reader was told.
 */
export class Inlet {
  #sink: Sink | undefined
  readonly #kept = new ByteQueue()
  #ended = false
  #endTold = false
  #closed: { fault: TabmeshError | undefined } | undefined
  /** Which reader this is: a call may return after its sink has given way to the next. */
  #reader = 0
  /** The present reader is inside a call. */
  #busy = false

  get attached(): boolean {
    return this.#sink !== undefined
  }

  get ended(): boolean {
    return this.#ended
  }

  get closed(): boolean {
    return this.#closed !== undefined
  }

  push(bytes: Uint8Array): void {
    if (this.#closed !== undefined || this.#ended || bytes.length === 0) return
    if (this.#sink === undefined || this.#busy || this.#kept.size > 0) {
      this.#kept.push(bytes)
      return
    }
    this.#call(this.#sink, bytes)
    // What came, or who, while the sink was inside the call.
    if (this.#kept.size > 0 || this.#ended || this.#closed !== undefined) this.#deliver()
  }

  drain(): void {
    this.#sink?.onDrain?.()
  }

  end(): void {
    if (this.#ended || this.#closed !== undefined) return
    this.#ended = true
    this.#deliver()
  }

  /** A fault drops what is kept and is told at once; an orderly close comes behind what is kept. */
  close(fault?: TabmeshError): void {
    if (this.#closed !== undefined) return
    this.#closed = { fault }
    if (fault === undefined) return this.#deliver()
    this.#kept.clear()
    this.#tellClosed()
  }

  attach(sink: Sink): void {
    if (this.#sink !== undefined) throw new Error('a channel has one reader at a time')
    this.#sink = sink
    this.#endTold = false
    this.#deliver()
  }

  detach(rest?: Uint8Array): void {
    this.#sink = undefined
    this.#reader += 1
    this.#busy = false
    if (rest !== undefined && this.#closed?.fault === undefined) this.#kept.unshift(rest)
  }

  /** In order, one at a time: a sink may detach, or another attach, in the middle of any call. */
  #deliver(): void {
    while (this.#sink !== undefined && !this.#busy) {
      if (this.#closed?.fault !== undefined) return this.#tellClosed()
      const bytes = this.#kept.shift()
      if (bytes === undefined && (!this.#ended || this.#endTold)) break
      this.#call(this.#sink, bytes)
    }
    if (this.#closed !== undefined && !this.#busy) this.#tellClosed()
  }

  /** Gives `bytes` to the sink, or the end where there are none. */
  #call(sink: Sink, bytes: Uint8Array | undefined): void {
    const reader = this.#reader
    this.#busy = true
    try {
      if (bytes !== undefined) sink.onData(bytes)
      else {
        this.#endTold = true
        sink.onEnd()
      }
    } finally {
      if (this.#reader === reader) this.#busy = false
    }
  }

  #tellClosed(): void {
    const sink = this.#sink
    this.#sink = undefined
    this.#reader += 1
    this.#busy = false
    sink?.onClose(this.#closed?.fault)
  }
}

/** A channel that could not be opened: it is closed with `fault`. */
export const closedChannel = (fault: TabmeshError): Channel => {
  const inlet = new Inlet()
  inlet.close(fault)
  return {
    credit: 0,
    write: () => {},
    end: () => {},
    abort: () => {},
    attach: (sink) => inlet.attach(sink),
    detach: (rest) => inlet.detach(rest),
    release: () => {},
  }
}
