/**
 * Data channel 0 of WebRTC-direct as the byte pipe that Noise runs over (specs: webrtc/webrtc-direct.md §Connection Security),
 * and what is left of it afterwards.
 *
 *   before settle()   frames ─▶ bytes; RESET, a malformed frame, too many bytes, the end of the channel ─▶ closed with a fault
 *   after settle()    open and silent: FIN is answered, all else is dropped
 *
 * The specification has it closed after the handshake. js and go leave it open, and a rust listener breaks when it is
 * closed (rust-libp2p issue 5986), which itself sends FIN.
 *
 * Bounds: DIRECT_HANDSHAKE_MAX received bytes before `settle`, less than one frame after it.
 */

import { remoteFault, type TabmeshError } from '../../../errors.ts'
import { DIRECT_HANDSHAKE_MAX, RTC_CAUTIOUS_MESSAGE } from '../../limits.ts'
import type { Channel, Sink } from '../../wire/channel.ts'
import { Inlet } from '../../wire/channel.ts'
import { controlFrame, dataFrame, FIN, FIN_ACK, type Frame, FrameReader, frameRoom, Outbox, RESET } from '../../wire/webrtc/framing.ts'

/** Noise's messages have up to 64 KiB; who the remote is, and how much it takes at once, is not known yet. */
const ROOM = frameRoom(undefined, RTC_CAUTIOUS_MESSAGE)

export class HandshakeChannel implements Channel, Sink {
  readonly #lower: Channel
  readonly #inlet = new Inlet()
  readonly #reader = new FrameReader()
  readonly #outbox = new Outbox()
  #received = 0
  #settled = false
  /** The remote has ended its half. */
  #ended = false
  /** What still comes is not looked at. */
  #deaf = false

  constructor(lower: Channel) {
    this.#lower = lower
    lower.attach(this)
  }

  /** The handshake is done. */
  settle(): void {
    this.#settled = true
  }

  // ── to Noise: a Channel ──

  get credit(): number {
    return this.#inlet.closed ? 0 : this.#lower.credit
  }

  write(bytes: Uint8Array): void {
    if (this.#inlet.closed) return
    this.#outbox.put(bytes)
    while (this.#outbox.size > 0) this.#lower.write(dataFrame(this.#outbox, Math.min(this.#outbox.size, ROOM)))
  }

  end(): void {
    // Neither side ends it.
  }

  abort(fault: TabmeshError): void {
    this.#deaf = true
    this.#lower.abort(fault)
    this.#inlet.close(fault)
  }

  attach(sink: Sink): void {
    this.#inlet.attach(sink)
  }

  detach(rest?: Uint8Array): void {
    this.#inlet.detach(rest)
  }

  release(): void {
    // Bounded by DIRECT_HANDSHAKE_MAX and not by credit.
  }

  // ── to the data channel: its Sink ──

  onData(bytes: Uint8Array): void {
    this.#lower.release(bytes.length)
    if (this.#deaf) return
    this.#received += bytes.length
    if (!this.#settled && this.#received > DIRECT_HANDSHAKE_MAX)
      return this.#refuse(remoteFault('ERR_STREAM_OVERFLOW', `a handshake of more than ${DIRECT_HANDSHAKE_MAX} bytes`))
    this.#reader.push(bytes)
    for (let frame = this.#reader.next(); frame !== undefined && !this.#deaf; frame = this.#reader.next()) {
      if ('flag' in frame) this.#onFrame(frame)
      else this.#refuse(frame)
    }
  }

  onDrain(): void {
    this.#inlet.drain()
  }

  onEnd(): void {
    // A data channel has no half: `onClose` follows.
  }

  onClose(fault?: TabmeshError): void {
    this.#refuse(fault ?? remoteFault('ERR_CONNECTION_CLOSED', 'the remote closed the handshake'))
  }

  #onFrame({ flag, message }: Frame): void {
    if (message !== undefined && !this.#settled && !this.#ended) this.#inlet.push(message)
    if (flag === RESET) this.#refuse(remoteFault('ERR_STREAM_RESET', 'the remote gave the handshake up'))
    if (flag !== FIN || this.#ended) return
    this.#ended = true
    this.#lower.write(controlFrame(FIN_ACK))
    if (!this.#settled) this.#inlet.end()
  }

  #refuse(fault: TabmeshError): void {
    this.#deaf = true
    if (!this.#settled) this.#inlet.close(fault)
  }
}
