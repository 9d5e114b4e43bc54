/**
 * StreamChannel: the Channel that one WebRTC stream is to its user. It joins the machine (stream.ts) to its data channel.
 *
 *   user ── write, end, abort, release ──▶ RtcStream ── frames, at the end of the turn ──▶ data channel
 *        ◀── Inlet ─────────────────────────────────── data, end, close ◀── messages ─────
 *
 * Frames are made when the turn ends, so that what is written piece by piece goes out as one message, with the credit
 * that is due.
 */

import type { TabmeshError } from '../../../errors.ts'
import { RTC_SEND_BUFFER, RTC_TURN } from '../../limits.ts'
import type { Channel, Sink } from '../channel.ts'
import { Inlet } from '../channel.ts'
import type { RtcStream, StreamInput } from './stream.ts'

/** What a stream needs of its connection. */
export interface StreamOwner {
  now(): number
  /** A message came. */
  heard(): void
  /** Bytes that the connection's channels may still take together. */
  readonly room: number
  /** `stream` has bytes in its data channel that are not on their way yet. */
  queued(stream: StreamChannel): void
  /** `stream` has more to send than there is room for. */
  block(stream: StreamChannel): void
  /** A data channel takes more. */
  drained(): void
  /** Calls `flush` of `stream` at the end of the turn. */
  schedule(stream: StreamChannel): void
  /** `deadline` has changed. */
  alarm(stream: StreamChannel): void
  /** The stream is over: its data channel is closed or closing. */
  forget(stream: StreamChannel): void
}

export class StreamChannel implements Channel, Sink {
  /** Set while the owner has it on its list for the end of the turn. */
  scheduled = false
  readonly inbound: boolean
  readonly #owner: StreamOwner
  readonly #lower: Channel
  readonly #machine: RtcStream
  readonly #inlet = new Inlet()
  #hungUp = false
  #polling = false
  /** Credit was above zero when last looked at. */
  #flowing = true

  constructor(owner: StreamOwner, lower: Channel, machine: RtcStream, inbound: boolean) {
    this.#owner = owner
    this.#lower = lower
    this.#machine = machine
    this.inbound = inbound
  }

  /** Takes the data channel into use: messages that wait in it are delivered. */
  start(): void {
    this.#lower.attach(this)
  }

  get deadline(): number | undefined {
    return this.#machine.deadline
  }

  get lingering(): boolean {
    return this.#machine.lingering
  }

  get over(): boolean {
    return this.#hungUp
  }

  /** Bytes in the data channel that are not on their way yet. */
  get unsent(): number {
    return RTC_SEND_BUFFER - this.#lower.credit
  }

  /** Received bytes that the reader has not released. */
  get unread(): number {
    return this.#machine.unread
  }

  // ── to the user: a Channel ──

  get credit(): number {
    return this.#inlet.closed ? 0 : this.#machine.credit(this.#lower.credit)
  }

  write(bytes: Uint8Array): void {
    this.handle({ t: 'write', bytes })
    this.#flowing = this.credit > 0
  }

  end(): void {
    this.handle({ t: 'end' })
  }

  abort(fault: TabmeshError): void {
    this.handle({ t: 'abort', fault })
  }

  attach(sink: Sink): void {
    this.#inlet.attach(sink)
  }

  detach(rest?: Uint8Array): void {
    this.#inlet.detach(rest)
  }

  release(bytes: number): void {
    this.handle({ t: 'release', bytes })
  }

  // ── to the data channel: its Sink ──

  onData(bytes: Uint8Array): void {
    this.#lower.release(bytes.length)
    this.#owner.heard()
    this.handle({ t: 'message', bytes })
  }

  onDrain(): void {
    if (this.#hungUp) return
    this.#owner.schedule(this)
    this.#owner.drained()
  }

  onEnd(): void {
    // A data channel has no half: `onClose` follows.
  }

  onClose(fault?: TabmeshError): void {
    this.handle({ t: 'gone', fault })
  }

  // ── the machine ──

  handle(input: StreamInput): void {
    this.#machine.handle(input, this.#owner.now())
    if (this.#hungUp) return
    this.#poll()
    if (!this.#hungUp) this.#owner.schedule(this)
  }

  /** The end of the turn: sends what may be sent, and tells a waiting writer when there is room again. */
  flush(): void {
    if (this.#hungUp) return
    this.#send()
    this.#poll()
    this.#owner.alarm(this)
    const flowing = this.credit > 0
    const drained = flowing && !this.#flowing
    this.#flowing = flowing
    if (drained) this.#inlet.drain()
  }

  #send(): void {
    const now = this.#owner.now()
    let sent = 0
    while (sent < RTC_TURN) {
      const message = this.#machine.transmit(Math.min(this.#lower.credit, this.#owner.room), now)
      if (message === undefined) break
      sent += message.length
      this.#lower.write(message)
      this.#owner.queued(this)
    }
    if (this.#hungUp || !this.#machine.wants) return
    if (this.#owner.room <= 0) this.#owner.block(this)
    else if (sent >= RTC_TURN) this.#owner.schedule(this)
  }

  /** Hands on what the machine has; what the user does meanwhile is handed on by the call that is already doing so. */
  #poll(): void {
    if (this.#polling) return
    this.#polling = true
    try {
      for (let output = this.#machine.poll(); output !== undefined; output = this.#machine.poll()) {
        switch (output.t) {
          case 'data':
            this.#inlet.push(output.bytes)
            break
          case 'end':
            this.#inlet.end()
            break
          case 'close':
            this.#inlet.close(output.fault)
            break
          case 'hangUp':
            // The last flags, then the close behind them; a last look, since nothing may come back into a stream that is over.
            this.#send()
            this.#hungUp = true
            this.#owner.forget(this)
            this.#lower.end()
            break
        }
      }
    } finally {
      this.#polling = false
    }
  }
}
