/**
 * Peer connections whose native library is loaded by the first of them: most peers in Node never make one, and it takes 30 ms and
 * some megabytes.
 */

import { createRequire } from 'node:module'
import type { Rtc, RtcPeer, RtcSignals } from '../engine/protocols/webrtc-signaling/rtc.ts'
import { closedChannel } from '../engine/wire/channel.ts'
import { asTabmeshError, type TabmeshError } from '../errors.ts'

/** Whether the package is there; whether it has a binary for this platform shows when it is loaded. */
export const isInstalled = (name: string): boolean => {
  try {
    createRequire(import.meta.url).resolve(name)
    return true
  } catch {
    return false
  }
}

/** What `load` throws is told to each peer connection that is asked for, as a refusal. */
export const lazyRtc = (load: () => Rtc): Rtc => {
  let loaded: Rtc | undefined
  const get = (): Rtc => {
    loaded ??= load()
    return loaded
  }
  return {
    create(signals) {
      let rtc: Rtc
      try {
        rtc = get()
      } catch (error) {
        return refusing(signals, asTabmeshError(error, 'ERR_UNSUPPORTED', 'WebRTC could not be loaded'))
      }
      return rtc.create(signals)
    },
  }
}

/** A peer connection that there is not. */
const refusing = (signals: RtcSignals, fault: TabmeshError): RtcPeer => {
  let closed = false
  const refuse = (): void =>
    queueMicrotask(() => {
      if (!closed) signals.onRefused(fault)
    })
  return {
    makeOffer: refuse,
    makeAnswer: refuse,
    makeDirectOffer() {
      refuse()
      return closedChannel(fault)
    },
    setAnswer: () => {},
    addCandidate: () => {},
    openChannel: () => closedChannel(fault),
    attach: () => {},
    close() {
      closed = true
    },
  }
}
