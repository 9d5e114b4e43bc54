/** RTCPeerConnection for Node: the engine's `Rtc` over node-datachannel. */

import type { Rtc } from '../../engine/protocols/webrtc-signaling/rtc.ts'
import { withStun } from '../../port/ice-servers.ts'
import { loadWebrtc } from './binding.ts'
import { type RtcConfiguration, readConfiguration } from './configuration.ts'
import { NativePeer } from './peer.ts'

/**
 * Peer connections with these ICE servers and the `stun:` URLs that `relayed` tells when one is made, as port/ice-servers.ts puts them together.
 * The native library is loaded at once: throws ERR_UNSUPPORTED where it is not installed,
 * ERR_INVALID_ARGUMENT for a configuration that can't be read.
 */
export const nodeRtc = (configuration: RtcConfiguration = {}, relayed: () => readonly string[] = () => []): Rtc => {
  const binding = loadWebrtc()
  readConfiguration(configuration)
  return { create: (signals) => new NativePeer(binding, readConfiguration(withStun(configuration, relayed())), signals) }
}
