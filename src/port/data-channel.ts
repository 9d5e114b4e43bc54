/**
 * DataChannel: one RTCDataChannel as a Channel that keeps message boundaries: every `write` is one message.
 *
 * What is behind it is either the channel itself, transferred to this thread, or (`bridged`) a MessagePort whose other
 * end holds the channel on the main thread; see `bridge` in ../transports/webrtc.ts. It may come later than the first
 * write, and the first message may come before `open` (Chromium does both).
 *
 * Bounds: RTC_SEND_BUFFER bytes queued for sending, plus one message. Receiving has no bound here: SCTP gives a page none;
 * the framing above grants credit.
 */

import { RTC_LOW_WATER, RTC_SEND_BUFFER } from '../engine/limits.ts'
import { type Channel, Inlet, type Sink } from '../engine/wire/channel.ts'
import { TabmeshError } from '../errors.ts'

/** Page → engine over a bridge: a message, bytes that left the send buffer, or that the channel closed. */
export type BridgeNews = ArrayBuffer | number | 'open' | 'closed'
/** Engine → page: messages to send, or that the channel should close once they are sent. */
export type BridgeCommand = Uint8Array[] | 'close'

export class DataChannel implements Channel {
  readonly #inlet = new Inlet()
  #native: RTCDataChannel | undefined
  #port: MessagePort | undefined
  #queue: Uint8Array[] = []
  #queued = 0
  /** Sent into the bridge and not yet out of the page's send buffer. */
  #bridged = 0
  #ending = false
  #over = false
  readonly #onOver: ((channel: DataChannel) => void) | undefined

  /** `onOver` hears once that it is closed. */
  constructor(onOver?: (channel: DataChannel) => void) {
    this.#onOver = onOver
  }

  get credit(): number {
    if (this.#over || this.#ending) return 0
    return RTC_SEND_BUFFER - this.#queued - this.#bridged - (this.#native?.bufferedAmount ?? 0)
  }

  /** Says what carries it; called once, in the task that received `via`, so that no message is lost. */
  connect(via: RTCDataChannel | MessagePort): void {
    if ('readyState' in via) this.#connectNative(via)
    else this.#connectBridge(via)
  }

  write(bytes: Uint8Array): void {
    if (this.#over || this.#ending) return
    if (this.#native?.readyState === 'open' && this.#queue.length === 0) this.#send(this.#native, bytes)
    else {
      this.#queue.push(bytes)
      this.#queued += bytes.length
      if (this.#port !== undefined) this.#flush()
    }
  }

  /** Closes the channel behind what was written: a data channel has no half-close. */
  end(): void {
    if (this.#over || this.#ending) return
    this.#ending = true
    this.#flush()
  }

  abort(fault: TabmeshError): void {
    if (this.#over) return
    this.#ending = true
    this.#queue = []
    this.#closeVia()
    this.#close(fault)
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

  #connectNative(channel: RTCDataChannel): void {
    if (this.#over) return channel.close()
    this.#native = channel
    channel.binaryType = 'arraybuffer'
    channel.bufferedAmountLowThreshold = RTC_LOW_WATER
    channel.onmessage = ({ data }: MessageEvent<unknown>) => {
      if (data instanceof ArrayBuffer) this.#inlet.push(new Uint8Array(data))
    }
    channel.onbufferedamountlow = () => this.#inlet.drain()
    channel.onopen = () => this.#flush()
    channel.onclose = () => this.#close()
    if (channel.readyState === 'open') this.#flush()
    else if (channel.readyState === 'closed') this.#close()
  }

  #connectBridge(port: MessagePort): void {
    this.#port = port
    port.onmessage = ({ data }: MessageEvent<BridgeNews>) => {
      if (data instanceof ArrayBuffer) return this.#inlet.push(new Uint8Array(data))
      if (data === 'open') return this.#flush()
      if (data === 'closed') return this.#close()
      const stuck = this.credit <= 0
      this.#bridged -= data
      if (stuck && this.credit > 0) this.#inlet.drain()
    }
    if (this.#over) this.#closeVia()
    else this.#flush()
  }

  #flush(): void {
    const waiting = this.#queue
    const port = this.#port
    if (port !== undefined) {
      if (waiting.length > 0) {
        const owned = waiting.map((bytes) => (bytes.byteLength === bytes.buffer.byteLength ? bytes : bytes.slice()))
        port.postMessage(
          owned,
          owned.map((bytes) => bytes.buffer as ArrayBuffer),
        )
        this.#bridged += this.#queued
      }
    } else if (this.#native?.readyState === 'open') {
      for (const bytes of waiting) this.#send(this.#native, bytes)
    } else {
      return
    }
    const wasStuck = this.#queued > 0
    this.#queue = []
    this.#queued = 0
    if (this.#ending) this.#closeVia()
    else if (wasStuck && this.credit > 0) this.#inlet.drain()
  }

  #send(channel: RTCDataChannel, bytes: Uint8Array): void {
    try {
      channel.send(bytes as Uint8Array<ArrayBuffer>)
    } catch (cause) {
      // Closing, or the browser's own send buffer is full although ours bounds it.
      this.abort(new TabmeshError('ERR_STREAM_RESET', 'the data channel takes no more', { cause }))
    }
  }

  #closeVia(): void {
    this.#native?.close()
    this.#port?.postMessage('close' satisfies BridgeCommand)
  }

  #close(fault?: TabmeshError): void {
    if (this.#over) return
    this.#over = true
    this.#queue = []
    if (this.#native !== undefined) {
      this.#native.onmessage = null
      this.#native.onopen = null
      this.#native.onbufferedamountlow = null
      // Of a channel whose connection went first Chromium never tells that it is closed, and keeps whom somebody listens to.
      this.#native.onclose = null
    }
    this.#port?.close()
    this.#onOver?.(this)
    this.#inlet.close(fault)
  }
}
