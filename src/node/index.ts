/**
 * tabmesh for Node: the same `createPeer`, with the engine inline and Node's transports. A bot, a test, a server.
 *
 * Of `PeerOptions`, `worker` is a page's own; `listen` takes what the table in listen.ts has, beside `/p2p-circuit` and `/webrtc`; `tls`
 * is Node's own; a `'persistent'` identity is kept in the folder `name`. What a peer is made of: start.ts.
 */

import { engineDht, judgesOf } from '../dht.ts'
import { TabmeshError } from '../errors.ts'
import { Peer } from '../peer.ts'
import { serveEngine } from '../port/engine-port.ts'
import { gatesOf } from '../port/gates.ts'
import type { EngineOptions } from '../port/messages.ts'
import { messageIdOf, pubsubSettings } from '../pubsub.ts'
import type { PeerOptions } from '../types.ts'
import type { AutonatOptions } from './autonat.ts'
import { starter, type TlsOptions } from './start.ts'

export type { Dht } from '../dht.ts'
export { type ErrorCode, TabmeshError } from '../errors.ts'
export type { Peer, StreamHandler } from '../peer.ts'
export type { PeerStoreView } from '../peer-store-view.ts'
export type { PeerStream } from '../peer-stream.ts'
export type { Pubsub } from '../pubsub.ts'
export type { Room } from '../room.ts'
export type * from '../types/gater.ts'
export type * from '../types/pubsub.ts'
export type * from '../types/room.ts'
export type * from '../types.ts'
export type { AutonatOptions } from './autonat.ts'
export type { TlsOptions } from './start.ts'

export interface NodePeerOptions extends PeerOptions {
  /** Certificates of `wss`: the one to show, and whom else to trust. */
  tls?: TlsOptions
  /**
   * Asks other peers which of this peer's addresses can be reached, before anybody is told of those that others see it at; and answers
   * the same question once it is reachable itself. On where it listens.
   */
  autonat?: boolean | AutonatOptions
}

/** Starts a peer in this process. Rejects with ERR_INVALID_MULTIADDR, ERR_UNSUPPORTED or ERR_STORE for options it can't meet. */
export const createPeer = async (options: NodePeerOptions = {}): Promise<Peer> => {
  options.signal?.throwIfAborted()
  if (options.worker !== undefined && options.worker !== 'inline')
    throw new TabmeshError('ERR_UNSUPPORTED', 'in Node the engine runs inline')
  const engineOptions = optionsOf(options)
  const control = new MessageChannel()
  const events = new MessageChannel()
  const rtc = new MessageChannel()
  serveEngine(
    { control: control.port2, events: events.port2, rtc: rtc.port2 },
    starter({
      tls: options.tls,
      rtcConfiguration: options.rtcConfiguration,
      wanted: options.transports ?? {},
      autonat: options.autonat,
      portMapping: options.portMapping === true,
    }),
    { messageId: messageIdOf(options.pubsub) },
  )
  const end = (): void => {
    // Node's ports keep the process alive until both ends are closed.
    for (const { port1, port2 } of [control, events, rtc]) {
      port1.close()
      port2.close()
    }
  }
  const engine = { control: control.port1, events: events.port1, onDeath: () => {}, end }
  return Peer.start(engine, engineOptions, {
    signal: options.signal,
    log: options.logger ?? (() => {}),
    gater: options.connections?.gater,
    judges: judgesOf(options.dht),
    emitSelf: options.pubsub !== false && options.pubsub?.emitSelf,
  })
}

const optionsOf = ({ connections: { gater, ...limits } = {}, ...options }: PeerOptions): EngineOptions => ({
  name: options.name ?? 'tabmesh',
  identity: options.identity ?? 'ephemeral',
  relays: options.relays ?? [],
  reservations: options.reservations,
  bootstrap: options.bootstrap ?? [],
  listen: options.listen ?? [],
  transports: {
    webSocket: options.transports?.webSocket ?? true,
    webTransport: false,
    webRTC: options.transports?.webRTC !== false,
    webRTCDirect: options.transports?.webRTCDirect ?? true,
    tcp: options.transports?.tcp ?? true,
    quic: options.transports?.quic ?? true,
    circuitRelay: options.transports?.circuitRelay ?? true,
  },
  encryption: options.encryption ?? ['noise'],
  mplex: options.mplex !== undefined && options.mplex !== false,
  preSharedKey: options.preSharedKey,
  perf: options.perf ?? false,
  delegatedRouting: options.delegatedRouting ?? [],
  dht: engineDht(options.dht, false),
  pubsub: pubsubSettings(options.pubsub),
  connections: limits,
  gates: gatesOf(gater),
  secureOnly: false,
  near: true,
  dnsOverHttps: undefined,
})
