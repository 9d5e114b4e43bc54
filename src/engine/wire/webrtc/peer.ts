/**
 * What signalling and WebRTC-direct ask of an RTCPeerConnection, wherever that lives: on the page's main thread (it exists
 * nowhere else), in Node behind node-datachannel, or in a test.
 */

import type { Channel } from '../channel.ts'
import type { RtcChannels, RtcState } from './rtc.ts'

export interface Rtc {
  /** A new, unconnected peer connection; what it has to say goes to `signals`, never before `create` returned. */
  create(signals: RtcSignals): RtcPeer
}

export interface RtcPeer extends RtcChannels {
  /** Creates the `init` channel and an offer; `onDescription` hears of it before any candidate is gathered. */
  makeOffer(): void
  /** Takes the remote's offer and makes the answer; likewise. */
  makeAnswer(offer: string): void
  /**
   * For a dial without signalling: creates data channel 0 (negotiated, label '') and an offer, and contacts no ICE server.
   * With `ufrag` the offer's ice-ufrag and ice-pwd are replaced by it before it is set; `onDescription` hears what was set.
   * Returns channel 0, usable at once.
   */
  makeDirectOffer(ufrag?: string): Channel
  setAnswer(answer: string): void
  /** Makes an offer that restarts ICE; `onDescription` hears of it. Absent where that can't be done. */
  restart?(): void
  /** JSON of an RTCIceCandidateInit; a malformed or refused one is skipped. */
  addCandidate(json: string): void
}

export interface RtcSignals {
  /** The SDP that was asked for. `type` is told where ICE can be restarted, since an offer that was given up may still come. */
  onDescription(sdp: string, type?: 'offer' | 'answer'): void
  /** JSON of a gathered candidate. */
  onCandidate(json: string): void
  onState(state: RtcState): void
  /**
   * ICE has found a path; DTLS follows. `failed` before it means that nobody answered, and after it that the remote's
   * certificate is not the one of its description, or that DTLS broke. Optional, also for whoever makes the calls.
   */
  onReached?(): void
  /** A description was refused: the cause. */
  onRefused(cause: unknown): void
}
