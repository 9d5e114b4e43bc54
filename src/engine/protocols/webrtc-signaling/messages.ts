/**
 * Messages of WebRTC signalling (specs: webrtc/webrtc.md, "Signaling Protocol").
 */

import { remoteFault } from '../../../errors.ts'
import { message, string, uint } from '../../codec/protobuf.ts'
import { frame } from '../../codec/varint.ts'

export const SIGNALING = '/webrtc-signaling/0.0.1'

const SDP_OFFER = 0
const SDP_ANSWER = 1
const ICE_CANDIDATE = 2

const wire = message({ type: uint(1), data: string(2) })

export type Signal =
  | { readonly t: 'offer'; readonly sdp: string }
  | { readonly t: 'answer'; readonly sdp: string }
  /** JSON of an RTCIceCandidateInit; empty or `null` for the end of candidates. */
  | { readonly t: 'candidate'; readonly json: string }

/** The frame of a signal, length prefix included. The type is written even where it is 0: peers require it. */
export const encodeSignal = (signal: Signal): Uint8Array => {
  switch (signal.t) {
    case 'offer':
      return frame(wire.encode({ type: SDP_OFFER, data: signal.sdp }))
    case 'answer':
      return frame(wire.encode({ type: SDP_ANSWER, data: signal.sdp }))
    case 'candidate':
      return frame(wire.encode({ type: ICE_CANDIDATE, data: signal.json }))
  }
}

/** Throws ERR_DECODE or ERR_PROTOCOL. */
export const decodeSignal = (body: Uint8Array): Signal => {
  const { type, data } = wire.decode(body)
  switch (type) {
    case SDP_OFFER:
      return { t: 'offer', sdp: data ?? '' }
    case SDP_ANSWER:
      return { t: 'answer', sdp: data ?? '' }
    case ICE_CANDIDATE:
      return { t: 'candidate', json: data ?? '' }
    default:
      throw remoteFault('ERR_PROTOCOL', `signal of unknown type ${type}`)
  }
}
