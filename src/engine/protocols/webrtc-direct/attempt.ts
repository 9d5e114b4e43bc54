/**
 * One attempt to reach a WebRTC-direct listener, in one version: a peer connection of its own, until DTLS is up.
 *
 *   makeDirectOffer ─ description ─▶ setAnswer ─ reached ─▶ connected ─▶ onConnected
 *        └───────────────┴─ refused ─────┴─ failed ───────────┴─ failed ─▶ onFailed
 */

import { remoteFault, TabmeshError } from '../../../errors.ts'
import type { Host } from '../../host.ts'
import type { Channel } from '../../wire/channel.ts'
import type { Rtc, RtcPeer } from '../../wire/webrtc/peer.ts'
import type { RtcState } from '../../wire/webrtc/rtc.ts'
import { credentialsOfSdp, type DirectTarget, directAnswer, fingerprintOfSdp, V1_PREFIX, V2_PREFIX } from './sdp.ts'

export type Version = 1 | 2

export interface Reached {
  readonly peer: RtcPeer
  /** Data channel 0. */
  readonly handshake: Channel
  /** Of our own certificate. */
  readonly fingerprint: Uint8Array
}

export interface AttemptEvents {
  /** The listener has answered: it speaks this version. */
  onReached(): void
  onConnected(reached: Reached): void
  /** The peer connection is closed. `final`: the other version would fare no better. */
  onFailed(fault: TabmeshError, final: boolean): void
}

export interface Attempt {
  /** Closes the peer connection; nothing is told. */
  giveUp(): void
}

/** None of the events is told before it returns. */
export const attempt = (
  rtc: Rtc,
  host: Pick<Host, 'random' | 'defer'>,
  target: DirectTarget,
  version: Version,
  events: AttemptEvents,
): Attempt => {
  let over = false
  let reached = false
  let fingerprint: Uint8Array | undefined
  const ufrag = version === 1 ? V1_PREFIX + iceChars(host.random(UFRAG_RANDOM)) : undefined

  const fail = (fault: TabmeshError, final: boolean): void => {
    if (over) return
    over = true
    peer.close()
    host.defer(() => events.onFailed(fault, final))
  }

  const onDescription = (sdp: string): void => {
    if (over) return
    try {
      fingerprint = fingerprintOfSdp(sdp)
      peer.setAnswer(directAnswer(target, ufrag ?? V2_PREFIX + credentialsOfSdp(sdp).pwd))
    } catch (cause) {
      fail(new TabmeshError('ERR_WEBRTC_FAILED', "the platform's own description is not what WebRTC-direct needs", { cause }), false)
    }
  }

  const onState = (state: RtcState): void => {
    if (over) return
    if (state === 'connected' && fingerprint !== undefined) {
      over = true
      events.onConnected({ peer, handshake, fingerprint })
    } else if (state === 'failed' || state === 'closed') {
      if (reached) fail(remoteFault('ERR_CERTHASH_MISMATCH', 'DTLS failed: the certificate is another one, or something broke it'), true)
      else fail(new TabmeshError('ERR_DIAL_TIMEOUT', `no answer to version ${version}`), false)
    }
  }

  const peer = rtc.create({
    onDescription,
    // The listener learns where we are from the checks themselves.
    onCandidate: () => {},
    onState,
    onReached() {
      if (over || reached) return
      reached = true
      events.onReached()
    },
    onRefused(cause) {
      // A limit of ours is no matter of versions.
      if (cause instanceof TabmeshError && cause.code === 'ERR_CONNECTION_LIMIT') fail(cause, true)
      else fail(new TabmeshError('ERR_WEBRTC_FAILED', `the platform refused version ${version}`, { cause }), false)
    },
  })
  const handshake = peer.makeDirectOffer(ufrag)
  return {
    giveUp() {
      if (over) return
      over = true
      peer.close()
    },
  }
}

/** js and go take 32 characters, rust 64; 192 bits are nobody's to guess. */
const UFRAG_RANDOM = 32

const ICE_CHARS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

/** One character for each byte: 64 characters, 256 values, so all are as likely. */
const iceChars = (random: Uint8Array): string => Array.from(random, (byte) => ICE_CHARS[byte & 63]).join('')
