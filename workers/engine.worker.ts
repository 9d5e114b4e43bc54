/**
 * The engine in a worker: the host that gives it a clock, randomness, crypto, sockets and stores, and the list of
 * services that a page gets. The same script, loaded inline, leaves its entry under a global symbol instead.
 */

import { parseMultiaddr } from '../src/engine/codec/multiaddr.ts'
import { relayUrlToMultiaddr } from '../src/engine/codec/relay-url.ts'
import { nobleAead } from '../src/engine/crypto/noble-aead.ts'
import type { Host } from '../src/engine/host.ts'
import { Node } from '../src/engine/net/node.ts'
import type { Service, Transport } from '../src/engine/net/service.ts'
import { type MuxerKind, yamuxKind } from '../src/engine/net/upgrade.ts'
import { iceRestart } from '../src/engine/protocols/ice-restart/service.ts'
import { identifyService } from '../src/engine/protocols/identify/service.ts'
import { kadService } from '../src/engine/protocols/kad/service.ts'
import { checkService } from '../src/engine/protocols/ping/check.ts'
import { pingService } from '../src/engine/protocols/ping/service.ts'
import { type RelayClient, relayClient } from '../src/engine/protocols/relay/service.ts'
import { stunClient } from '../src/engine/protocols/stun/service.ts'
import { webrtcDirectTransport } from '../src/engine/protocols/webrtc-direct/transport.ts'
import { webrtcService } from '../src/engine/protocols/webrtc-signaling/service.ts'
import { parseSwarmKey, pnetShield } from '../src/engine/wire/pnet.ts'
import { TabmeshError } from '../src/errors.ts'
import { kadOptions } from '../src/port/dht-port.ts'
import { dnsOverHttps } from '../src/port/dns-over-https.ts'
import type { StartEngine } from '../src/port/engine-port.ts'
import { serveEngine } from '../src/port/engine-port.ts'
import { httpRouters } from '../src/port/http-routers.ts'
import { keepRecords } from '../src/port/kad-shelf.ts'
import type { EngineInit } from '../src/port/messages.ts'
import { keepPeers } from '../src/port/peer-shelf.ts'
import { routingOf } from '../src/port/routing.ts'
import { rtcOverPort } from '../src/port/rtc-remote.ts'
import { verifier, x25519 } from '../src/port/web-crypto.ts'
import { openIdentity } from '../src/store/identity.ts'
import { peersInDatabase } from '../src/store/peers.ts'
import { recordsInDatabase } from '../src/store/records.ts'
import { webSocketTransport } from '../src/transports/web-socket.ts'
import { webTransportTransport } from '../src/transports/web-transport.ts'
import { instantiateAead } from './aead/load.ts'

const start: StartEngine = async (options, rtcPort, onEvent, gater, namespaces) => {
  // First what may be refused, so that nothing is held when it is.
  const relays = options.relays.map(relayUrlToMultiaddr)
  const bootstrap = options.bootstrap.map(parseMultiaddr)
  const routers = options.delegatedRouting.length > 0 ? httpRouters(options.delegatedRouting) : undefined
  const networkKey = options.preSharedKey === undefined ? undefined : parseSwarmKey(options.preSharedKey)
  const muxers = typeof options.mplex === 'string' ? [yamuxKind, await loadMplex(options.mplex)] : [yamuxKind]
  const lookUpTxt = options.dnsOverHttps === undefined ? undefined : dnsOverHttps(options.dnsOverHttps)
  const { identity, kept, warning, release } = await openIdentity(options.identity, options.name)
  const host: Host = {
    now: () => performance.now(),
    date: () => Date.now(),
    random: (bytes) => crypto.getRandomValues(new Uint8Array(bytes)),
    after(ms, wake) {
      const timer = setTimeout(wake, ms)
      return () => clearTimeout(timer)
    },
    defer: (run) => queueMicrotask(run),
    sign: identity.sign,
    verify: verifier(),
    x25519: await x25519(),
    aead: instantiateAead() ?? nobleAead,
    publicKey: identity.publicKey,
  }
  const ping = pingService()
  const check = checkService({
    ping: ping.ping,
    onSlow: (connection) => circuits?.replace(connection),
    onDead: () => host.defer(() => circuits?.online()),
  })
  const services: Service[] = [identifyService(), ping, check]
  let circuits: RelayClient | undefined
  const transports: Transport[] = []
  const { webSocket, circuitRelay } = options.transports
  // What secures itself would leave a private network.
  const { webTransport, webRTC, webRTCDirect } = networkKey === undefined ? options.transports : noTransports
  if (webSocket) transports.push(webSocketTransport({ secureContext: options.secureOnly }))
  if (webTransport) transports.push(webTransportTransport())
  const stun = stunClient()
  if (webRTC) services.push(stun)
  const rtc = rtcOverPort(rtcPort, stun.servers)
  if (webRTCDirect) transports.push(webrtcDirectTransport(rtc))
  if (webRTC) {
    const mender = iceRestart({
      check: check.check,
      checkAll: check.checkAll,
      circuit: (address, net, done) => circuits?.dial(address, net, done),
      routes: (peer) => circuits?.routes?.(peer) ?? [],
    })
    const webrtc = webrtcService({ rtc, ping: ping.ping, muxer: mender.muxer })
    services.push(mender, webrtc)
    transports.push(webrtc)
  }
  if (circuitRelay) {
    const listensOn = (what: string): boolean => options.listen === undefined || options.listen.some((address) => address.includes(what))
    const relay = relayClient({
      relays: listensOn('/p2p-circuit') || listensOn('/webrtc') ? relays : [],
      wanted: options.reservations,
      webrtc: webRTC && listensOn('/webrtc'),
    })
    circuits = relay
    services.push(relay)
    transports.push(relay)
  }
  const shielded = networkKey === undefined ? {} : { shield: pnetShield(networkKey) }
  const { near, connections: limits } = options
  const fail = (error: TabmeshError): void => onEvent({ t: 'error', error })
  const records = options.dht && kept ? keepRecords(recordsInDatabase(options.name), fail) : undefined
  const dht =
    options.dht &&
    kadService({
      ...(records && { shelves: records.shelves }),
      ...kadOptions(options.dht, { near: relays, bootstrap, transports }),
      namespaces,
      addressesOf: (peer) => node.peerStore.get(peer)?.addresses ?? [],
      serve: (server, on) => (on ? node.mount(server) : node.unmount(server)),
    })
  if (dht !== undefined) services.push(dht)
  if (routers !== undefined) services.push(routers)
  const node: Node = new Node({ host, services, transports, muxers, ...shielded, lookUpTxt, near, limits, gater, onEvent })
  const peers = kept ? await keepPeers(peersInDatabase(options.name), node.peerStore, host.date, fail) : undefined
  return {
    node,
    ping: ping.ping,
    routing: routingOf({ kad: dht, routers, host, namespaces }),
    warnings: [...(warning === undefined ? [] : [warning]), ...(peers?.warnings ?? [])],
    started() {
      peers?.started(node)
      if (dht !== undefined) void records?.open(dht)
    },
    async close() {
      await Promise.all([peers?.close(), records?.close()])
      release()
    },
  }
}

const noTransports = { webTransport: false, webRTC: false, webRTCDirect: false }

/** mplex, which few pages need, is a file of its own. It makes its errors with the class it is handed: a copy would be another one. */
const loadMplex = async (url: string): Promise<MuxerKind> => {
  try {
    const { mplexKind }: typeof import('../src/engine/wire/mplex/muxer.ts') = await import(/* @vite-ignore */ url)
    return mplexKind(TabmeshError)
  } catch (cause) {
    throw new TabmeshError('ERR_INVALID_ARGUMENT', `\`mplex\`: no tabmesh.mplex.js can be loaded from ${url}`, { cause })
  }
}

const entry = (init: EngineInit): void => serveEngine(init, start)

if (typeof DedicatedWorkerGlobalScope !== 'undefined' && globalThis instanceof DedicatedWorkerGlobalScope) {
  globalThis.addEventListener('message', ({ data }: MessageEvent<Partial<EngineInit> | undefined>) => {
    if (data?.tabmesh === 'engine') entry(data as EngineInit)
  })
}
;(globalThis as Record<symbol, unknown>)[Symbol.for('tabmesh.engine')] = entry
