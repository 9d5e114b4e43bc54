/**
 * tabmesh for web pages: the public face.
 */

import { engineDht, judgesOf } from './dht.ts'
import { TabmeshError } from './errors.ts'
import { launch } from './launch.ts'
import { consoleLogger } from './log.ts'
import { watchNetwork } from './network.ts'
import { Peer } from './peer.ts'
import { gatesOf } from './port/gates.ts'
import type { EngineOptions } from './port/messages.ts'
import { messageIdOf, pubsubSettings } from './pubsub.ts'
import { hostRtc } from './transports/webrtc.ts'
import type { PeerOptions } from './types.ts'

export type { Dht } from './dht.ts'
export { type ErrorCode, TabmeshError } from './errors.ts'
export type { Peer, StreamHandler } from './peer.ts'
export type { PeerStoreView } from './peer-store-view.ts'
export type { PeerStream } from './peer-stream.ts'
export type { Pubsub } from './pubsub.ts'
export type { Room } from './room.ts'
export type * from './types/gater.ts'
export type * from './types/pubsub.ts'
export type * from './types/room.ts'
export type * from './types.ts'

/**
 * Starts a peer: brings up the engine, opens the identity, reserves at the relays in the background.
 *
 * Rejects with ERR_ENGINE_START where no engine can be had, ERR_INVALID_MULTIADDR or ERR_INVALID_ARGUMENT for options
 * that make no sense, or the reason of `signal`.
 */
export const createPeer = async (options: PeerOptions = {}): Promise<Peer> => {
  options.signal?.throwIfAborted()
  const engineOptions = optionsOf(options)
  if (messageIdOf(options.pubsub) !== undefined)
    throw new TabmeshError('ERR_UNSUPPORTED', '`pubsub.messageId` is a function, and the engine of a page is on another thread')
  const engine = await launch(options.worker)
  const { webRTC } = options.transports ?? {}
  const closeRtc =
    typeof RTCPeerConnection === 'undefined'
      ? () => engine.rtc.close()
      : hostRtc(engine.rtc, { configuration: options.rtcConfiguration ?? {}, bridge: typeof webRTC === 'object' && webRTC.bridge === true })
  try {
    return await Peer.start(engine, engineOptions, {
      signal: options.signal,
      gater: options.connections?.gater,
      judges: judgesOf(options.dht),
      emitSelf: options.pubsub !== false && options.pubsub?.emitSelf,
      log: options.logger ?? consoleLogger(),
      onStopped: closeRtc,
      watch: watchNetwork,
    })
  } catch (error) {
    closeRtc()
    throw error
  }
}

const optionsOf = ({ connections: { gater, ...limits } = {}, ...options }: PeerOptions): EngineOptions => ({
  name: options.name ?? 'tabmesh',
  identity: options.identity ?? 'persistent',
  relays: options.relays ?? [],
  reservations: options.reservations,
  bootstrap: options.bootstrap ?? [],
  listen: options.listen,
  transports: {
    webSocket: options.transports?.webSocket ?? true,
    webTransport: options.transports?.webTransport ?? true,
    webRTC: options.transports?.webRTC !== false && typeof RTCPeerConnection !== 'undefined',
    webRTCDirect: options.transports?.webRTCDirect !== false && typeof RTCPeerConnection !== 'undefined',
    tcp: false,
    quic: false,
    circuitRelay: options.transports?.circuitRelay ?? true,
  },
  encryption: ['noise'],
  // Resolved here: the worker may have a blob URL, which nothing is relative to.
  mplex: typeof options.mplex === 'boolean' || options.mplex === undefined ? false : new URL(options.mplex, globalThis.location?.href).href,
  preSharedKey: options.preSharedKey,
  perf: options.perf ?? false,
  delegatedRouting: options.delegatedRouting ?? [],
  dht: engineDht(options.dht, isNear(globalThis.location?.hostname ?? '')),
  pubsub: pubsubSettings(options.pubsub),
  connections: limits,
  gates: gatesOf(gater),
  secureOnly: globalThis.location?.protocol === 'https:',
  near: isNear(globalThis.location?.hostname ?? ''),
  dnsOverHttps: options.dnsOverHttps,
})

/** A page of this machine, of a private network, or of a file or an extension, which are at home anywhere. */
const isNear = (host: string): boolean =>
  /^(|localhost|.+\.localhost|.+\.local|\[::1\]|\[f[cd].*\]|127\..*|10\..*|192\.168\..*|172\.(1[6-9]|2\d|3[01])\..*)$/.test(host)
