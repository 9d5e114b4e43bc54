/** RTCPeerConnection for Node: the engine's `Rtc` over node-datachannel. */

import type { Rtc } from '../../engine/protocols/webrtc-signaling/rtc.ts'
import { loadWebrtc } from './binding.ts'
import { type PeerConfiguration, type RtcConfiguration, readConfiguration } from './configuration.ts'
import { NativePeer } from './peer.ts'

/**
 * Peer connections with these ICE servers, or else with the `stun:` URLs that `relayed` tells when one is made. The native library is loaded at once: throws ERR_UNSUPPORTED where it is not installed,
 * ERR_INVALID_ARGUMENT for a configuration that can't be read.
 */
export const nodeRtc = (configuration: RtcConfiguration = {}, relayed: () => readonly string[] = () => []): Rtc => {
  const binding = loadWebrtc()
  const read = readConfiguration(configuration)
  /** Servers that the application named stand alone; else those of its relays do. */
  const configured = (): PeerConfiguration =>
    configuration.iceServers !== undefined ? read : { ...read, ...readConfiguration({ iceServers: [{ urls: relayed() }] }) }
  return { create: (signals) => new NativePeer(binding, configured(), signals) }
}
