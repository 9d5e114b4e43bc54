/**
 * DataChannel: one data channel of node-datachannel as a Channel that keeps message boundaries: every `write` is one message.
 *
 *   connecting ── onOpen ──▶ open ── end, behind what was written ──▶ closing ── onClosed ──▶ closed
 *        └──────── abort, the connection is gone ───────────────────────┴───────────────────────┘
 *
 * A channel opened on a connection that is up takes messages at once: SCTP keeps them behind the request to open it.
 *
 * The native channel is closed a turn later, when the messages that had come are delivered: those that wait in the queue
 * between the library's thread and ours are leaked by `close`. Where the queue does not empty it waits CLOSE_TURNS turns.
 *
 * Bounds: RTC_SEND_BUFFER bytes queued for sending, plus one message. Receiving has no bound here: the framing above grants credit.
 */

import { RTC_LOW_WATER, RTC_SEND_BUFFER } from '../../engine/limits.ts'
import { type Channel, Inlet, type Sink } from '../../engine/wire/channel.ts'
import { TabmeshError } from '../../errors.ts'
import { type NativeChannel, outside, QUEUE_TURN } from './binding.ts'

const CLOSE_TURNS = 16

export interface ChannelOwner {
  /** A channel that was not open is. */
  onOpen(channel: DataChannel): void
  /** A message came. */
  onMessage(): void
  /** The native channel is closed; told once. */
  onGone(channel: DataChannel): void
}

export class DataChannel implements Channel {
  readonly #native: NativeChannel
  readonly #owner: ChannelOwner
  readonly #inlet = new Inlet()
  #open: boolean
  /** Written before it was open. */
  #queue: Uint8Array[] = []
  #queued = 0
  #ending = false
  #over = false
  /** The native channel is closed, or told to. */
  #closed = false
  /** Messages that came after the channel was done with, since the last turn. */
  #late = 0

  constructor(native: NativeChannel, open: boolean, owner: ChannelOwner) {
    this.#native = native
    this.#open = open
    this.#owner = owner
    if (!open) native.onOpen(outside(() => this.#onOpen()))
    // Callbacks of one turn come in the order of these calls: what was sent before the close is read before it.
    native.onMessage(outside((message) => this.#onMessage(message)))
    native.setBufferedAmountLowThreshold(RTC_LOW_WATER)
    native.onBufferedAmountLow(outside(() => this.#inlet.drain()))
    native.onClosed(outside(() => this.#onClosed()))
  }

  get credit(): number {
    if (this.#over || this.#ending) return 0
    return RTC_SEND_BUFFER - this.#queued - (this.#open ? this.#native.bufferedAmount() : 0)
  }

  write(bytes: Uint8Array): void {
    if (this.#over || this.#ending) return
    if (this.#open) return this.#send(bytes)
    this.#queue.push(bytes)
    this.#queued += bytes.length
  }

  end(): void {
    if (this.#over || this.#ending) return
    this.#ending = true
    if (this.#open) this.#closeNative(CLOSE_TURNS)
  }

  abort(fault: TabmeshError): void {
    if (this.#over) return
    this.#over = true
    this.#queue = []
    this.#queued = 0
    this.#inlet.close(fault)
    if (!this.#ending || !this.#open) this.#closeNative(CLOSE_TURNS)
  }

  /** The connection is being closed, in a turn of its own: closes the native channel with it. */
  drop(fault: TabmeshError | undefined): void {
    this.#finish(fault)
    this.#closeNative(0)
  }

  attach(sink: Sink): void {
    this.#inlet.attach(sink)
  }

  detach(rest?: Uint8Array): void {
    this.#inlet.detach(rest)
  }

  release(): void {
    // Nothing below takes credit for what was received.
  }

  #onOpen(): void {
    if (this.#open || this.#over) return
    this.#open = true
    const stuck = this.credit <= 0
    const waiting = this.#queue
    this.#queue = []
    this.#queued = 0
    for (const bytes of waiting) this.#send(bytes)
    if (this.#ending) this.#closeNative(CLOSE_TURNS)
    else if (stuck && this.credit > 0) this.#inlet.drain()
    this.#owner.onOpen(this)
  }

  #onMessage(message: string | Buffer | ArrayBuffer): void {
    this.#owner.onMessage()
    if (this.#over || this.#ending) this.#late += 1
    else if (message instanceof ArrayBuffer) this.#inlet.push(new Uint8Array(message))
    // A view of its own kind: a Buffer's slice does not copy.
    else if (typeof message !== 'string') this.#inlet.push(new Uint8Array(message.buffer, message.byteOffset, message.byteLength))
  }

  #onClosed(): void {
    this.#closed = true
    this.#finish(undefined)
    this.#owner.onGone(this)
  }

  #finish(fault: TabmeshError | undefined): void {
    if (this.#over) return
    this.#over = true
    this.#queue = []
    this.#queued = 0
    this.#inlet.close(fault)
  }

  #send(bytes: Uint8Array): void {
    if (this.#over) return
    try {
      this.#native.sendMessageBinary(bytes)
    } catch (cause) {
      this.abort(new TabmeshError('ERR_STREAM_RESET', 'the data channel takes no more', { cause }))
    }
  }

  #closeNative(turns: number): void {
    if (this.#closed) return
    if (turns > 0) {
      this.#late = 0
      setImmediate(() => this.#closeNative(this.#late < QUEUE_TURN ? 0 : turns - 1))
      return
    }
    this.#closed = true
    this.#native.close()
  }
}
