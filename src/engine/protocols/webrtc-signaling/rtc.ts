/**
 * What signalling asks of an RTCPeerConnection, wherever that lives: on the page's main thread (it exists nowhere
 * else), in Node behind node-datachannel, or in a test.
 */

import type { RtcChannels, RtcState } from '../../wire/webrtc/rtc.ts'

export interface Rtc {
  /** A new, unconnected peer connection; what it has to say goes to `signals`, never before `create` returned. */
  create(signals: RtcSignals): RtcPeer
}

export interface RtcPeer extends RtcChannels {
  /** Creates the `init` channel and an offer; `onDescription` hears of it before any candidate is gathered. */
  makeOffer(): void
  /** Takes the remote's offer and makes the answer; likewise. */
  makeAnswer(offer: string): void
  setAnswer(answer: string): void
  /** JSON of an RTCIceCandidateInit; a malformed or refused one is skipped. */
  addCandidate(json: string): void
}

export interface RtcSignals {
  /** The SDP that was asked for. */
  onDescription(sdp: string): void
  /** JSON of a gathered candidate. */
  onCandidate(json: string): void
  onState(state: RtcState): void
  /** A description was refused: the cause. */
  onRefused(cause: unknown): void
}
