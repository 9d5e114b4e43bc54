/**
 * tabmesh for Node: the same `createPeer`, with the engine inline and Node's transports. A bot, a test, a server.
 *
 * Of `PeerOptions`, `worker`, `rtcConfiguration` and the WebRTC transport are a page's own; `listen` takes WebSocket
 * addresses (`/ip4/127.0.0.1/tcp/0/ws`) beside `/p2p-circuit`; a `'persistent'` identity is kept in the folder `name`.
 */

import { decodePrivateKey, type PrivateKey } from '../engine/codec/keys.ts'
import { type Multiaddr, parseMultiaddr } from '../engine/codec/multiaddr.ts'
import { relayUrlToMultiaddr } from '../engine/codec/relay-url.ts'
import { Node } from '../engine/net/node.ts'
import { identifyService } from '../engine/protocols/identify/service.ts'
import { pingService } from '../engine/protocols/ping/service.ts'
import { relayClient } from '../engine/protocols/relay/service.ts'
import { TabmeshError } from '../errors.ts'
import { Peer } from '../peer.ts'
import { type StartEngine, serveEngine } from '../port/engine-port.ts'
import type { EngineOptions } from '../port/messages.ts'
import type { PeerOptions } from '../types.ts'
import { nodeHost } from './host.ts'
import { loadIdentity, newIdentity } from './identity.ts'
import { reachableAddresses } from './interfaces.ts'
import { wsTransport } from './ws-dialer.ts'
import { listenWs, type WsListener } from './ws-listener.ts'

export { type ErrorCode, TabmeshError } from '../errors.ts'
export type { Peer, PeerStoreView, StreamHandler } from '../peer.ts'
export type { PeerStream } from '../peer-stream.ts'
export type * from '../types.ts'

/** Starts a peer in this process. Rejects with ERR_INVALID_MULTIADDR, ERR_UNSUPPORTED or ERR_STORE for options it can't meet. */
export const createPeer = async (options: PeerOptions = {}): Promise<Peer> => {
  options.signal?.throwIfAborted()
  if (options.worker !== undefined && options.worker !== 'inline')
    throw new TabmeshError('ERR_UNSUPPORTED', 'in Node the engine runs inline')
  const control = new MessageChannel()
  const events = new MessageChannel()
  const rtc = new MessageChannel()
  serveEngine({ control: control.port2, events: events.port2, rtc: rtc.port2 }, start)
  const end = (): void => {
    // Node's ports keep the process alive until both ends are closed.
    for (const { port1, port2 } of [control, events, rtc]) {
      port1.close()
      port2.close()
    }
  }
  const engine = { control: control.port1, events: events.port1, onDeath: () => {}, end }
  return Peer.start(engine, engineOptions(options), { signal: options.signal, log: options.logger ?? (() => {}) })
}

const engineOptions = (options: PeerOptions): EngineOptions => ({
  name: options.name ?? 'tabmesh',
  identity: options.identity ?? 'ephemeral',
  relays: options.relays ?? [],
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
  connections: options.connections ?? {},
  secureOnly: false,
})

const start: StartEngine = async (options, _rtc, onEvent) => {
  const ping = pingService()
  const relay = relayClient({ relays: options.relays.map(relayUrlToMultiaddr) })
  const node = new Node({
    host: nodeHost(await identityOf(options)),
    services: [identifyService(), ping, ...(options.transports.circuitRelay ? [relay] : [])],
    transports: [...(options.transports.webSocket ? [wsTransport()] : []), ...(options.transports.circuitRelay ? [relay] : [])],
    limits: options.connections,
    onEvent,
  })
  const listeners: WsListener[] = []
  try {
    for (const address of (options.listen ?? []).filter((each) => each !== '/p2p-circuit').map(parseMultiaddr)) {
      listeners.push(await listenWs(address, { accept: (link) => node.accept(link) }))
    }
  } catch (error) {
    await closeAll(listeners)
    throw error
  }
  const listening: Multiaddr[] = listeners.flatMap((listener) => reachableAddresses(listener.address))
  return {
    node,
    ping: ping.ping,
    warnings: [],
    started: () => node.announce('listen', listening),
    close: () => closeAll(listeners),
  }
}

const closeAll = async (listeners: readonly WsListener[]): Promise<void> => {
  await Promise.all(listeners.map((listener) => listener.close()))
}

const identityOf = async ({ identity, name }: EngineOptions): Promise<PrivateKey> => {
  if (identity === 'ephemeral') return newIdentity()
  return identity === 'persistent' ? loadIdentity(name) : decodePrivateKey(identity.privateKey)
}
