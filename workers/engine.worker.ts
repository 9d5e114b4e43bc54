/**
 * The engine in a worker: the host that gives it a clock, randomness, crypto, sockets and stores, and the list of
 * services that a page gets. The same script, loaded inline, leaves its entry under a global symbol instead.
 */

import { relayUrlToMultiaddr } from '../src/engine/codec/relay-url.ts'
import { nobleAead } from '../src/engine/crypto/noble-aead.ts'
import type { Host } from '../src/engine/host.ts'
import { Node } from '../src/engine/net/node.ts'
import type { Service, Transport } from '../src/engine/net/service.ts'
import { identifyService } from '../src/engine/protocols/identify/service.ts'
import { pingService } from '../src/engine/protocols/ping/service.ts'
import { relayClient } from '../src/engine/protocols/relay/service.ts'
import { webrtcService } from '../src/engine/protocols/webrtc-signaling/service.ts'
import type { StartEngine } from '../src/port/engine-port.ts'
import { serveEngine } from '../src/port/engine-port.ts'
import type { EngineInit } from '../src/port/messages.ts'
import { rtcOverPort } from '../src/port/rtc-remote.ts'
import { verify, x25519 } from '../src/port/web-crypto.ts'
import { openIdentity } from '../src/store/identity.ts'
import { webSocketTransport } from '../src/transports/web-socket.ts'
import { instantiateAead } from './aead/load.ts'

const start: StartEngine = async (options, rtcPort, onEvent) => {
  // First what may be refused, so that nothing is held when it is.
  const relays = options.relays.map(relayUrlToMultiaddr)
  const { identity, warning, release } = await openIdentity(options.identity, options.name)
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
    verify,
    x25519: await x25519(),
    aead: instantiateAead() ?? nobleAead,
    publicKey: identity.publicKey,
  }
  const ping = pingService()
  const services: Service[] = [identifyService(), ping]
  const transports: Transport[] = []
  const { webSocket, circuitRelay, webRTC } = options.transports
  if (webSocket) transports.push(webSocketTransport({ secureContext: options.secureOnly }))
  if (webRTC) {
    const webrtc = webrtcService({ rtc: rtcOverPort(rtcPort), ping: ping.ping })
    services.push(webrtc)
    transports.push(webrtc)
  }
  if (circuitRelay) {
    const listensOn = (what: string): boolean => options.listen === undefined || options.listen.some((address) => address.includes(what))
    const relay = relayClient({
      relays: listensOn('/p2p-circuit') || listensOn('/webrtc') ? relays : [],
      webrtc: webRTC && listensOn('/webrtc'),
    })
    services.push(relay)
    transports.push(relay)
  }
  const node = new Node({ host, services, transports, limits: options.connections, onEvent })
  return { node, ping: ping.ping, warnings: warning === undefined ? [] : [warning], close: release }
}

const entry = (init: EngineInit): void => serveEngine(init, start)

if (typeof DedicatedWorkerGlobalScope !== 'undefined' && globalThis instanceof DedicatedWorkerGlobalScope) {
  globalThis.addEventListener('message', ({ data }: MessageEvent<Partial<EngineInit> | undefined>) => {
    if (data?.tabmesh === 'engine') entry(data as EngineInit)
  })
}
;(globalThis as Record<symbol, unknown>)[Symbol.for('tabmesh.engine')] = entry
