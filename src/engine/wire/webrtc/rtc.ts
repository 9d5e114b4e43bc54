/**
 * RtcChannels: what the engine asks of a peer connection once it is there, wherever RTCPeerConnection lives.
 *
 * Each data channel is a Channel with three particulars:
 *   - Every `write` is one data-channel message and every message that comes is one `onData`: boundaries are kept.
 *   - `credit` is RTC_SEND_BUFFER − bufferedAmount. Received bytes are `release`d at once: SCTP has no credit of ours, but a
 *     bridge between threads may.
 *   - There is no half-close: `end` closes the channel behind what was written, as RTCDataChannel.close() does, and so does
 *     `abort`, dropping what was received. A closed channel tells `onClose`, with a fault where it was not closed in order.
 */

import type { Channel } from '../channel.ts'

export interface RtcChannels {
  /**
   * A new channel: reliable, ordered, label '', not negotiated, its id chosen by the platform. Usable at once: what is
   * written before it is open is queued and counts against its credit. If it can't be opened, it closes with the fault.
   */
  openChannel(): Channel
  /** Called once. Channels that the remote opened meanwhile, and what they received, are kept (bounded) and delivered then. */
  attach(sink: RtcSink): void
  /** Closes the connection. Channels still open close; the sink may hear 'closed' or nothing. Idempotent. */
  close(): void
}

export interface RtcSink {
  /** The remote opened a channel. */
  onChannel(channel: Channel, label: string): void
  /** 'disconnected' may heal, 'failed' only by an ICE restart; 'closed' is final. */
  onState(state: RtcState): void
}

export type RtcState = 'connected' | 'disconnected' | 'failed' | 'closed'

/** js and we open this one so that there is something to negotiate; it never carries a stream. */
export const INIT_LABEL = 'init'
