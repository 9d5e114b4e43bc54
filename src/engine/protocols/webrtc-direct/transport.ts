/**
 * WebRTC-direct dialled: `/ip4/…/udp/…/webrtc-direct/certhash/…` (specs: webrtc/webrtc-direct.md). No signalling: the address has
 * all that an SDP answer says.
 *
 *   version 2 ──┬─ connected ─▶ Noise on channel 0 (handshake.ts) ─▶ link            the other version is given up
 *               ├─ refused, or no path ───────┐
 *               └─ HEAD_START, no path yet ───┴─▶ version 1 beside it
 *
 * Nobody refuses a version: a listener that does not know it drops the checks, and a browser tells only after 15 s or more that no
 * path works. go knows both, js and rust know version 1, and Chromium may come to refuse version 1 (sdp.ts). A listener
 * that answered version 1 is asked for that first the next time.
 *
 * Bounds: two peer connections for each dial; DIRECT_MAX_REMEMBERED listeners; DIRECT_TIMEOUT.
 */

import { asTabmeshError, TabmeshError } from '../../../errors.ts'
import { type Multiaddr, peerIdOf } from '../../codec/multiaddr.ts'
import type { Cancel } from '../../host.ts'
import { DIRECT_HEAD_START, DIRECT_MAX_REMEMBERED, DIRECT_TIMEOUT } from '../../limits.ts'
import type { Link, Net, Transport } from '../../net/service.ts'
import type { Outcome } from '../../wire/conversation.ts'
import type { Rtc } from '../../wire/webrtc/peer.ts'
import { type Attempt, type AttemptEvents, attempt, type Reached, type Version } from './attempt.ts'
import { directPrologue, secureDirect } from './handshake.ts'
import { directTarget, isDirectAddress } from './sdp.ts'

export const webrtcDirectTransport = (rtc: Rtc): Transport => {
  /** Listeners that answered version 1, the latest last. */
  const old = new Set<string>()
  const remember = (listener: string, version: Version): void => {
    old.delete(listener)
    if (version === 1) old.add(listener)
    if (old.size <= DIRECT_MAX_REMEMBERED) return
    for (const eldest of old) {
      old.delete(eldest)
      break
    }
  }

  const dial = (address: Multiaddr, net: Net, done: (outcome: Outcome<Link>) => void): Cancel => {
    const { host } = net
    const target = directTarget(address)
    const until = host.now() + DIRECT_TIMEOUT
    const listener = `${target.host} ${target.port}`
    const waiting: Version[] = old.has(listener) ? [1, 2] : [2, 1]
    const attempts = new Map<Version, Attempt>()
    const faults: TabmeshError[] = []
    let headStart: Cancel = () => {}
    let settled = false
    let giveUp: Cancel = () => {}

    const end = (): void => {
      settled = true
      headStart()
      deadline()
      for (const each of attempts.values()) each.giveUp()
      attempts.clear()
    }
    const fail = (fault: TabmeshError): void => {
      end()
      done({ ok: false, fault })
    }

    const failed = (version: Version, fault: TabmeshError, final: boolean): void => {
      if (settled) return
      attempts.delete(version)
      if (final) return fail(fault)
      faults.push(fault)
      if (waiting.length > 0) start()
      else if (attempts.size === 0) fail(unreachable(address, faults))
    }

    const connected = (version: Version, { peer, handshake, fingerprint }: Reached): void => {
      if (settled) return peer.close()
      attempts.delete(version)
      end()
      remember(listener, version)
      const prologue = directPrologue(fingerprint, target.fingerprint)
      const options = {
        role: 'dialer',
        prologue,
        remoteAddr: address,
        expectedPeer: peerIdOf(address),
        timeout: Math.max(1, until - host.now()),
      } as const
      giveUp = secureDirect(net, peer, handshake, options, done)
    }

    const start = (): void => {
      headStart()
      const version = waiting.shift()
      if (version === undefined || settled) return
      if (waiting.length > 0) headStart = host.after(DIRECT_HEAD_START, start)
      const events: AttemptEvents = {
        // The listener speaks this version: the other one has nothing to add.
        onReached: () => headStart(),
        onConnected: (reached) => connected(version, reached),
        onFailed: (fault, final) => failed(version, fault, final),
      }
      try {
        attempts.set(version, attempt(rtc, host, target, version, events))
      } catch (cause) {
        const fault = asTabmeshError(cause, 'ERR_WEBRTC_FAILED', 'no peer connection could be made')
        host.defer(() => failed(version, fault, true))
      }
    }

    const deadline = host.after(DIRECT_TIMEOUT, () => {
      for (const version of attempts.keys())
        faults.push(new TabmeshError('ERR_DIAL_TIMEOUT', `version ${version} was not answered within ${DIRECT_TIMEOUT} ms`))
      fail(unreachable(address, faults))
    })
    start()
    return () => {
      if (!settled) end()
      giveUp()
    }
  }

  return { name: 'webrtc-direct', matches: isDirectAddress, dial }
}

const unreachable = (address: Multiaddr, faults: readonly TabmeshError[]): TabmeshError =>
  new TabmeshError('ERR_DIAL_TIMEOUT', `nobody answered at ${address.text}`, { cause: faults[0], errors: faults })
