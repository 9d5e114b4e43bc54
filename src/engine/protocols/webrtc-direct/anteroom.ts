/**
 * Anteroom: a peer connection whose remote has not proven who it is. The streams that it opens meanwhile wait here, with what
 * they carry; nobody looks at them before the handshake is done.
 *
 *   rtc ── onChannel, onState ──▶ kept ── attach (the multiplexer, once the remote is known) ──▶ passed on
 *                                  └─ too much, failed, closed ──▶ onFault, once
 *
 * js and go open their first streams right behind the last message of the handshake, and another stream's bytes may overtake it.
 *
 * Bounds: RTC_MAX_INBOUND channels, DIRECT_EARLY_MAX bytes in all of them together.
 */

import { remoteFault, TabmeshError } from '../../../errors.ts'
import { concat } from '../../codec/bytes.ts'
import { DIRECT_EARLY_MAX, RTC_MAX_INBOUND } from '../../limits.ts'
import type { Channel } from '../../wire/channel.ts'
import type { RtcChannels, RtcSink, RtcState } from '../../wire/webrtc/rtc.ts'

interface Early {
  readonly channel: Channel
  readonly label: string
  readonly chunks: Uint8Array[]
}

export class Anteroom implements RtcChannels, RtcSink {
  readonly #rtc: RtcChannels
  readonly #onFault: (fault: TabmeshError) => void
  #early: Early[] = []
  #bytes = 0
  #state: RtcState | undefined
  #sink: RtcSink | undefined

  /** `onFault` may be called from within. */
  constructor(rtc: RtcChannels, onFault: (fault: TabmeshError) => void) {
    this.#rtc = rtc
    this.#onFault = onFault
    rtc.attach(this)
  }

  openChannel(): Channel {
    return this.#rtc.openChannel()
  }

  close(): void {
    this.#rtc.close()
  }

  attach(sink: RtcSink): void {
    this.#sink = sink
    for (const { channel, label, chunks } of this.#early.splice(0)) {
      channel.detach(concat(chunks))
      sink.onChannel(channel, label)
    }
    if (this.#state !== undefined) sink.onState(this.#state)
  }

  onChannel(channel: Channel, label: string): void {
    if (this.#sink !== undefined) return this.#sink.onChannel(channel, label)
    const early: Early = { channel, label, chunks: [] }
    this.#early.push(early)
    if (this.#early.length > RTC_MAX_INBOUND)
      return this.#refuse(remoteFault('ERR_STREAM_LIMIT', `${this.#early.length} streams before the handshake`))
    channel.attach({
      // Not released: that is for the reader who comes next.
      onData: (bytes) => {
        early.chunks.push(bytes)
        this.#bytes += bytes.length
        if (this.#bytes > DIRECT_EARLY_MAX)
          this.#refuse(remoteFault('ERR_STREAM_OVERFLOW', `over ${DIRECT_EARLY_MAX} bytes before the handshake`))
      },
      // The next reader is told both again.
      onEnd: () => {},
      onClose: () => {},
    })
  }

  onState(state: RtcState): void {
    this.#state = state
    if (this.#sink !== undefined) this.#sink.onState(state)
    else if (state === 'failed' || state === 'closed')
      this.#onFault(new TabmeshError('ERR_CONNECTION_CLOSED', `the peer connection became ${state} before the handshake was done`))
  }

  #refuse(fault: TabmeshError): void {
    for (const { channel, chunks } of this.#early.splice(0)) {
      chunks.length = 0
      channel.abort(fault)
    }
    this.#onFault(fault)
  }
}
