/**
 * Messages of ICE restart, a protocol of tabmesh's own: length-prefixed protobuf, as in WebRTC signalling, and the session that is meant.
 *
 *   { 1: type, 2: SDP, or JSON of an RTCIceCandidateInit, 3: the session's name (offer only) }
 */

import { remoteFault } from '../../../errors.ts'
import { bytes, message, string, uint } from '../../codec/protobuf.ts'
import { frame } from '../../codec/varint.ts'

export const ICE_RESTART = '/tabmesh/ice-restart/1.0.0'

const OFFER = 0
const ANSWER = 1
const CANDIDATE = 2
const UNKNOWN = 3
const BUSY = 4

const wire = message({ type: uint(1), data: string(2), session: bytes(3) })

export type RestartMessage =
  | { readonly t: 'offer'; readonly session: Uint8Array; readonly sdp: string }
  | { readonly t: 'answer'; readonly sdp: string }
  | { readonly t: 'candidate'; readonly json: string }
  /** The remote has no such session any more. */
  | { readonly t: 'unknown' }
  /** The remote's own offer is under way and comes first. */
  | { readonly t: 'busy' }

export const encodeRestart = (said: RestartMessage): Uint8Array => {
  switch (said.t) {
    case 'offer':
      return frame(wire.encode({ type: OFFER, data: said.sdp, session: said.session }))
    case 'answer':
      return frame(wire.encode({ type: ANSWER, data: said.sdp }))
    case 'candidate':
      return frame(wire.encode({ type: CANDIDATE, data: said.json }))
    case 'unknown':
      return frame(wire.encode({ type: UNKNOWN }))
    case 'busy':
      return frame(wire.encode({ type: BUSY }))
  }
}

/** Throws ERR_DECODE or ERR_PROTOCOL. */
export const decodeRestart = (body: Uint8Array): RestartMessage => {
  const { type, data = '', session } = wire.decode(body)
  switch (type) {
    case OFFER:
      if (session === undefined) throw remoteFault('ERR_PROTOCOL', 'an ICE restart names no session')
      return { t: 'offer', session, sdp: data }
    case ANSWER:
      return { t: 'answer', sdp: data }
    case CANDIDATE:
      return { t: 'candidate', json: data }
    case UNKNOWN:
      return { t: 'unknown' }
    case BUSY:
      return { t: 'busy' }
    default:
      throw remoteFault('ERR_PROTOCOL', `an ICE restart message of unknown type ${type}`)
  }
}
