/**
 * From a WebRTC-direct connection to a link: Noise over data channel 0 proves who is at the other end, and its prologue that
 * nobody sits in between (specs: webrtc/webrtc-direct.md §Connection Security).
 *
 *   listener = Noise initiator                          dialer = Noise responder
 *      │ ── 1 ─────────────────────────────────────────────▶ │
 *      │ ◀─ 2  who the dialer is ─────────────────────────── │
 *      │ ── 3  who the listener is ────────────────────────▶ │
 *    link                                                   link     channel 0 stays open
 *
 * DTLS encrypts; it took any certificate of the dialer's, and the one that the address named of the listener's. Both
 * fingerprints are in the prologue, so a handshake that works says that the two DTLS ends are the two Noise ends.
 *
 * Bounds: handshake-channel.ts, anteroom.ts; `timeout`.
 */

import { TabmeshError } from '../../../errors.ts'
import { concat, utf8 } from '../../codec/bytes.ts'
import type { Multiaddr } from '../../codec/multiaddr.ts'
import type { PeerId } from '../../codec/peer-id.ts'
import type { Cancel } from '../../host.ts'
import type { Link, Net } from '../../net/service.ts'
import type { Channel } from '../../wire/channel.ts'
import type { Outcome } from '../../wire/conversation.ts'
import { webrtcMuxer } from '../../wire/webrtc/muxer.ts'
import type { RtcChannels } from '../../wire/webrtc/rtc.ts'
import { Anteroom } from './anteroom.ts'
import { HandshakeChannel } from './handshake-channel.ts'
import { certhashOf } from './sdp.ts'

const PROLOGUE = utf8('libp2p-webrtc-noise:')

/** What both sides put into Noise. Each fingerprint is the SHA-256 of a DTLS certificate, 32 bytes. */
export const directPrologue = (clientFingerprint: Uint8Array, serverFingerprint: Uint8Array): Uint8Array =>
  concat([PROLOGUE, certhashOf(clientFingerprint), certhashOf(serverFingerprint)])

export interface SecureDirectOptions {
  readonly role: 'dialer' | 'listener'
  readonly prologue: Uint8Array
  readonly remoteAddr: Multiaddr
  /** The peer that must answer; any if absent. */
  readonly expectedPeer?: PeerId | undefined
  /** Milliseconds; UPGRADE_TIMEOUT if absent. */
  readonly timeout?: number
}

/**
 * Secures `rtc`, which nobody has attached to, over its channel 0. When it fails, `rtc` is closed. `done` is called once, maybe before
 * this returns; the returned function gives up.
 */
export const secureDirect = (
  net: Pick<Net, 'host' | 'authenticate'> & Partial<Pick<Net, 'connections'>>,
  rtc: RtcChannels,
  handshake: Channel,
  { role, prologue, remoteAddr, expectedPeer, timeout }: SecureDirectOptions,
  done: (outcome: Outcome<Link>) => void,
): Cancel => {
  let settled = false
  let giveUp = (_fault: TabmeshError): void => {}
  const fail = (fault: TabmeshError): void => {
    if (settled) return
    settled = true
    giveUp(fault)
    rtc.close()
    done({ ok: false, fault })
  }
  const pipe = new HandshakeChannel(handshake)
  const anteroom = new Anteroom(rtc, fail)
  const noise = role === 'dialer' ? 'responder' : 'initiator'
  const options = { role: noise, expectedPeer, prologue, ...(timeout === undefined ? {} : { timeout }) } as const
  if (settled) return () => {}
  giveUp = net.authenticate(pipe, options, (outcome) => {
    if (settled) return
    if (!outcome.ok) return fail(outcome.fault)
    settled = true
    pipe.settle()
    const { remotePeer } = outcome.value
    const agent = (): string | undefined => net.connections?.(remotePeer).find((each) => each.identified !== undefined)?.identified?.agent
    const muxer = webrtcMuxer(anteroom, net.host, { agent })
    done({ ok: true, value: { t: 'muxed', muxer, transport: 'webrtc-direct', remoteAddr, remotePeer, encryption: 'dtls' } })
  })
  return () => fail(new TabmeshError('ERR_CONNECTION_CLOSED', 'the handshake was given up'))
}
