/**
 * One stream over one data channel, without the channel: flags, halves and closing (specs: webrtc/README.md §Closing).
 *
 *   send half      open ── end ──▶ ending ── queue sent, FIN ──▶ finished ── FIN_ACK, or its timeout ──▶ done
 *                    └────────┴────────────── STOP_SENDING (FIN) ──────┴───────────────────────────────▶ done
 *   receive half   open ── FIN (FIN_ACK) ──▶ done                   what comes after FIN is ignored
 *
 *   the application is told of the close   once we have ended, FIN is sent, and the remote's FIN is there
 *   the channel is closed                  once both halves are done
 *   abort, RESET, a malformed frame, too many bytes, channel gone ──▶ over, with a fault, at once
 *
 * A channel that goes without FIN is a reset: some peers drop the RESET they have queued when they close.
 *
 * rust-libp2p has no FIN_ACK: it never sends one and reads ours as FIN or as garbage. `habits` says so once the remote's
 * agent is known; before, the timeout alone makes up for it. FIN always goes in a frame of its own, since rust forgets
 * the bytes beside it; no frame without message goes out but FIN, FIN_ACK, RESET and what flow control allows.
 *
 * Frames with numbers are taken in their order (framing.ts): one that comes too early waits for those before it.
 *
 * Bounds: at most RTC_MAX_EARLY frames wait so, and count as unread; the queue holds what `credit` allowed and one write more; unread bytes as in flow.ts, also those of a stream that is over;
 * FIN is answered once.
 */

import { remoteFault, TabmeshError } from '../../../errors.ts'
import { RTC_MAX_EARLY, RTC_MAX_MESSAGE, RTC_SEND_BUFFER, RTC_TRICKLE_BYTES } from '../../limits.ts'
import type { Budget } from './flow.ts'
import { Inflow, Outflow } from './flow.ts'
import type { Frame } from './framing.ts'
import { controlFrame, dataFrame, FIN, FIN_ACK, FrameReader, frameRoom, Outbox, RESET, STOP_SENDING } from './framing.ts'

/** What is known of the remote's implementation; shared by the streams of a connection and changed as it is learned. */
export interface Habits {
  /** Milliseconds to wait for FIN_ACK. */
  finAckTimeout: number
  /** Whether it understands FIN_ACK. */
  finAck: boolean
  /** Bytes of one frame that it takes; one that knows our flow control takes RTC_MAX_MESSAGE. */
  maxMessage: number
}

export type StreamInput =
  /** A message came on the channel. */
  | { readonly t: 'message'; readonly bytes: Uint8Array }
  /** The channel has closed. */
  | { readonly t: 'gone'; readonly fault?: TabmeshError | undefined }
  | { readonly t: 'write'; readonly bytes: Uint8Array }
  | { readonly t: 'end' }
  | { readonly t: 'abort'; readonly fault: TabmeshError }
  /** The connection is closing in order: what has been ended may still be acknowledged, the rest is reset. */
  | { readonly t: 'retire'; readonly fault: TabmeshError }
  | { readonly t: 'release'; readonly bytes: number }
  /** `deadline` has come. */
  | { readonly t: 'time' }

export type StreamOutput =
  | { readonly t: 'data'; readonly bytes: Uint8Array }
  /** The remote ended its half. */
  | { readonly t: 'end' }
  /** For the application the stream is over. */
  | { readonly t: 'close'; readonly fault: TabmeshError | undefined }
  /** Close the channel, behind what `transmit` still has. Nothing follows. */
  | { readonly t: 'hangUp' }

export class RtcStream {
  /** When to come back with `time`, on the clock of `now`. */
  deadline: number | undefined
  readonly #habits: Habits
  readonly #reader = new FrameReader()
  readonly #outbox = new Outbox()
  readonly #outflow = new Outflow()
  readonly #inflow: Inflow
  readonly #outputs: StreamOutput[] = []
  #sending: 'open' | 'ending' | 'finished' | 'done' = 'open'
  #receiving: 'open' | 'done' = 'open'
  /** The application has ended, or has been told of the close. */
  #ended = false
  #closed = false
  /** The remote reads no more: what is written is dropped. */
  #stopped = false
  #over = false
  #first = true
  /** Frames sent, and taken in. */
  #sent = 0
  #taken = 0
  /** By number: frames that came before one that was sent before them. */
  #early: Map<number, Frame> | undefined
  /** Flags that wait for `transmit`. */
  #owesFinAck = false
  #owesFin = false
  #owesReset = false

  constructor(budget: Budget, habits: Habits) {
    this.#inflow = new Inflow(budget)
    this.#habits = habits
  }

  /** Bytes that may be written, where the channel takes `room` more. */
  credit(room: number): number {
    // Dropped at once: a writer must not be left waiting for a reader that has gone.
    if (this.#stopped) return RTC_SEND_BUFFER
    return Math.min(this.#outflow.room, room) - this.#outbox.size
  }

  /** Whether `transmit` would have data for a channel with room. */
  get wants(): boolean {
    return this.#outbox.size > 0 && this.#outflow.room > 0 && !this.#over
  }

  /** Whether the application has been told of the close, and only acknowledgements are waited for. */
  get lingering(): boolean {
    return this.#closed && !this.#over
  }

  /** Received bytes that the reader has not released. */
  get unread(): number {
    return this.#inflow.unread
  }

  handle(input: StreamInput, now: number): void {
    if (this.#over) return this.#afterwards(input)
    switch (input.t) {
      case 'message':
        return this.#onMessage(input.bytes)
      case 'write':
        if (this.#sending === 'open' && !this.#stopped && !this.#closed) this.#outbox.put(input.bytes)
        return
      case 'release':
        return this.#inflow.release(input.bytes)
      case 'end':
        this.#ended = true
        if (this.#sending === 'open') this.#sending = 'ending'
        return this.#settle()
      case 'abort':
        if (!this.#closed) this.#giveUp(input.fault)
        else this.#inflow.drop()
        return
      case 'retire':
        if (this.#sending !== 'finished') return this.#giveUp(input.fault)
        this.#receiving = 'done'
        return this.#close(input.fault)
      case 'gone':
        return this.#onGone(input.fault)
      case 'time':
        if (this.deadline === undefined || now < this.deadline) return
        return this.#finished()
    }
  }

  /** It ended in order, and what it received may still be read, or given up. */
  #afterwards(input: StreamInput): void {
    if (input.t === 'release') this.#inflow.release(input.bytes)
    else if (input.t === 'abort') this.#inflow.drop()
  }

  poll(): StreamOutput | undefined {
    return this.#outputs.shift()
  }

  /** The next message for the channel, which takes `room` more bytes; call until it returns undefined. Flags need no room. */
  transmit(room: number, now: number): Uint8Array | undefined {
    if (this.#owesReset) {
      this.#owesReset = false
      return controlFrame(RESET)
    }
    if (this.#over && !this.#owesFinAck && !this.#owesFin) return undefined
    // FIN_ACK is owed for what came and goes first: nothing queued should hold back the remote's close.
    if (this.#owesFinAck) {
      this.#owesFinAck = false
      return controlFrame(FIN_ACK, this.#credit(), this.#number())
    }
    const queued = this.#outbox.size
    if (queued > 0 && room > 0 && this.#outflow.room > 0) {
      const credit = this.#credit()
      const number = this.#number()
      const bytes = Math.min(
        queued,
        this.#outflow.room,
        // One message more than there is room for does no harm, but where little at a time is let through that is meant.
        room <= RTC_TRICKLE_BYTES ? room : queued,
        frameRoom(credit, this.#outflow.mutual ? RTC_MAX_MESSAGE : this.#habits.maxMessage, number),
      )
      this.#outflow.sent(bytes)
      return dataFrame(this.#outbox, bytes, credit, number)
    }
    if (this.#owesFin || (this.#sending === 'ending' && queued === 0)) {
      this.#owesFin = false
      if (this.#sending === 'ending') {
        this.#sending = 'finished'
        this.deadline = now + this.#habits.finAckTimeout
      }
      const frame = controlFrame(FIN, this.#credit(), this.#number())
      this.#settle()
      return frame
    }
    if (this.#receiving === 'open' && this.#outflow.mutual && this.#inflow.due)
      return controlFrame(undefined, this.#credit(), this.#number())
    return undefined
  }

  /** The credit for the frame being made: always in the first, later where the remote obeys it and enough was read. */
  #credit(): number | undefined {
    if (!this.#first && !(this.#outflow.mutual && this.#receiving === 'open' && this.#inflow.due)) return undefined
    this.#first = false
    return this.#inflow.take()
  }

  /** The number for the frame being made, until the remote has answered. */
  #number(): number | undefined {
    const number = this.#sent++
    return this.#taken === 0 && number > 0 && number <= RTC_MAX_EARLY ? number : undefined
  }

  #onMessage(bytes: Uint8Array): void {
    this.#reader.push(bytes)
    for (let frame = this.#reader.next(); frame !== undefined && !this.#over; frame = this.#reader.next()) {
      if (frame instanceof TabmeshError) return this.#giveUp(frame)
      this.#arrange(frame)
    }
  }

  /** Takes a frame in when its turn has come, and those that waited for it. */
  #arrange(frame: Frame): void {
    const { message, number } = frame
    if (message !== undefined && message.length > 0 && this.#receiving === 'open') {
      const fault = this.#inflow.receive(message.length, this.#outflow.mutual)
      if (fault !== undefined) return this.#giveUp(fault)
    }
    if (number !== undefined && number !== this.#taken) {
      this.#early ??= new Map()
      if (number < this.#taken || number > RTC_MAX_EARLY || this.#early.has(number)) return this.#giveUp(misnumbered())
      this.#early.set(number, frame)
      return
    }
    const early = this.#early
    // One without a number is the first, or comes when all those with numbers have.
    if (early !== undefined && number === undefined && this.#taken > 0) return this.#giveUp(misnumbered())
    this.#take(frame)
    if (early === undefined) return
    for (let next = early.get(this.#taken); next !== undefined && !this.#over; next = early.get(this.#taken)) {
      early.delete(this.#taken)
      // It was counted, and nobody reads what is behind the end.
      if (this.#receiving === 'done') this.#inflow.release(next.message?.length ?? 0)
      this.#take(next)
    }
    if (early.size === 0 || this.#over) this.#early = undefined
  }

  #take({ flag, message, credit, code }: Frame): void {
    this.#taken += 1
    this.#outflow.heard(credit)
    if (message !== undefined && message.length > 0 && this.#receiving === 'open') this.#outputs.push({ t: 'data', bytes: message })
    switch (flag) {
      case FIN:
        if (this.#receiving === 'done') return
        this.#receiving = 'done'
        this.#owesFinAck = this.#habits.finAck
        this.#outputs.push({ t: 'end' })
        return this.#settle()
      case FIN_ACK:
        if (this.#sending === 'finished') this.#finished()
        return
      case STOP_SENDING:
        // No FIN_ACK need follow it, and no RESET should answer it; FIN tells a remote that waits for one that we are done.
        if (this.#sending === 'done') return
        this.#stopped = true
        this.#outbox.clear()
        this.#owesFin = this.#sending !== 'finished'
        return this.#finished()
      case RESET: {
        const why = code === undefined || code === 0 ? '' : ` with code 0x${code.toString(16)}`
        const fault = remoteFault('ERR_STREAM_RESET', `the remote reset the stream${why}`)
        this.#close(fault)
        return this.#hangUp()
      }
    }
  }

  /** Nothing more will be heard about what we sent. */
  #finished(): void {
    this.#sending = 'done'
    this.deadline = undefined
    this.#settle()
  }

  /** Tells the application, and closes the channel, where the halves allow it. */
  #settle(): void {
    if (this.#receiving === 'open') return
    // Sent and ended, or stopped by a remote that ended itself: closed in order on both sides.
    if ((this.#ended && this.#sending === 'finished') || this.#sending === 'done') this.#close(undefined)
    if (this.#sending === 'done') this.#hangUp()
  }

  #onGone(cause: TabmeshError | undefined): void {
    if (!this.#closed) {
      const fault = cause ?? remoteFault('ERR_STREAM_RESET', 'the remote closed the data channel before the stream had ended')
      this.#close(fault)
    }
    this.#owesFinAck = this.#owesFin = false
    this.#hangUp()
  }

  /** Ends both halves from this side. */
  #giveUp(fault: TabmeshError): void {
    this.#close(fault)
    this.#owesReset = true
    this.#owesFinAck = this.#owesFin = false
    this.#hangUp()
  }

  #close(fault: TabmeshError | undefined): void {
    if (this.#closed) return
    this.#closed = true
    if (fault !== undefined) this.#inflow.drop()
    this.#outputs.push({ t: 'close', fault })
  }

  #hangUp(): void {
    if (this.#over) return
    this.#over = true
    this.deadline = undefined
    this.#outbox.clear()
    this.#inflow.close()
    this.#outputs.push({ t: 'hangUp' })
  }
}

const misnumbered = (): TabmeshError => remoteFault('ERR_MUXER', 'frames of a WebRTC stream have numbers that do not follow each other')
