/**
 * RtcSession: a peer connection that is connected, as whoever restarts its ICE sees it (RFC 8445 §2.4, RFC 8829 §4.1.8).
 *
 * Its name is a hash of both first descriptions' fingerprints and credentials: the same on both sides, and of no other session. What is
 * negotiated later must keep to the fingerprint, for the same DTLS association goes on.
 */

import { sha256 } from '@noble/hashes/sha2.js'
import { utf8 } from '../../codec/bytes.ts'
import type { RtcPeer, RtcSignals } from './peer.ts'

export interface RtcSession {
  readonly peer: RtcPeer
  readonly name: Uint8Array
  /** The remote's certificate, as its description had it. */
  readonly fingerprint: string
  /** From now on `signals` hears what the peer connection has to say. */
  listen(signals: RtcSignals): void
}

/** `offer` and `answer` are the first descriptions, as they were sent. */
export const sessionName = (offer: string, answer: string): Uint8Array => sha256(utf8(`${essence(offer)}\n${essence(answer)}`))

const essence = (sdp: string): string => `${fingerprintLine(sdp)} ${attribute(sdp, 'ice-ufrag')} ${attribute(sdp, 'ice-pwd')}`

/** Empty where there is none. Hex digits may come in either case (RFC 8122 §5). */
export const fingerprintLine = (sdp: string): string => attribute(sdp, 'fingerprint').toLowerCase()

const attribute = (sdp: string, name: string): string => {
  const lead = `a=${name}:`
  const line = sdp.split(/\r?\n/).find((each) => each.startsWith(lead))
  return line === undefined ? '' : line.slice(lead.length).trim()
}
