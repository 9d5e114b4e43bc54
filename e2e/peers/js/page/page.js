// @ts-nocheck: js-libp2p's packages and types are only there once the folder's own `npm ci` has run
//
// js-libp2p as a page: `window.jsPeer`, the counterpart of our own pages in interop tests and benchmarks. Everything runs on the main
// thread, as js-libp2p does. Types of what it offers: JsPage in build.mjs.

import { circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { identify, identifyPush } from '@libp2p/identify'
import { mplex } from '@libp2p/mplex'
import { noise } from '@libp2p/noise'
import { peerIdFromString } from '@libp2p/peer-id'
import { ping } from '@libp2p/ping'
import { preSharedKey } from '@libp2p/pnet'
import { webRTC, webRTCDirect } from '@libp2p/webrtc'
import { webSockets } from '@libp2p/websockets'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { connectionTo, describe, describeIdentify } from '../connections.mjs'
import { ECHO, handleEcho, handlePerf, PERF, runEcho, runPerf, runPing, YAMUX } from '../protocols.mjs'

const RESERVATION_TIMEOUT = 10_000
const COMMAND_TIMEOUT = 60_000
const MANY_STREAMS = 1024

let node

const within = (timeout = COMMAND_TIMEOUT) => AbortSignal.timeout(timeout)
const to = (target, signal) => connectionTo(node, target, { peerIdFromString, multiaddr, signal })
const addresses = () => node.getMultiaddrs().map(String)

window.jsPeer = {
  /** Resolves with the times when it listens through every relay. */
  async start({ relays = [], webrtc = true, muxers = ['yamux'], swarmKey } = {}) {
    const started = performance.now()
    const rtcConfiguration = { iceServers: [] }
    node = await createLibp2p({
      addresses: { listen: webrtc ? ['/webrtc'] : [] },
      transports: [
        webSockets(),
        circuitRelayTransport(),
        ...(webrtc ? [webRTC({ rtcConfiguration }), webRTCDirect({ rtcConfiguration: async () => ({ ...rtcConfiguration }) })] : []),
      ],
      connectionEncrypters: [noise()],
      streamMuxers: muxers.map((name) => (name === 'mplex' ? mplex() : yamux(YAMUX))),
      ...(swarmKey !== undefined && { connectionProtector: preSharedKey({ psk: new TextEncoder().encode(swarmKey) }) }),
      // a page's default gater refuses ws: and private addresses
      connectionGater: { denyDialMultiaddr: () => false },
      connectionManager: { inboundConnectionThreshold: 1000, maxIncomingPendingConnections: 1000 },
      services: {
        identify: identify(),
        identifyPush: identifyPush(),
        ping: ping({ maxInboundStreams: MANY_STREAMS, maxOutboundStreams: MANY_STREAMS }),
      },
    })
    const startMs = performance.now() - started
    const streams = { runOnLimitedConnection: true, maxInboundStreams: MANY_STREAMS, maxOutboundStreams: MANY_STREAMS }
    await node.handle(ECHO, handleEcho, streams)
    await node.handle(PERF, handlePerf, streams)
    await Promise.all(relays.map((relay) => this.listen(relay)))
    return { startMs, readyMs: performance.now() - started }
  },
  /** Dials a relay, reserves a slot, and resolves when the page has an address there. */
  async listen(relay) {
    await node.components.transportManager.listen([multiaddr(`${relay}/p2p-circuit`)])
    const deadline = performance.now() + RESERVATION_TIMEOUT
    while (!addresses().some((address) => address.startsWith(`${relay}/p2p-circuit`))) {
      if (performance.now() > deadline) {
        throw new Error(`no address through ${relay}: ${addresses().join(', ') || 'none at all'}`)
      }
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  },
  get id() {
    return node.peerId.toString()
  },
  addresses,
  async dial(target, { timeout } = {}) {
    const started = performance.now()
    const connection = await node.dial(target.startsWith('/') ? multiaddr(target) : peerIdFromString(target), { signal: within(timeout) })
    return { ...describe(connection), ms: performance.now() - started }
  },
  async ping(target, { timeout } = {}) {
    const signal = within(timeout)
    return runPing(await to(target, signal), { signal })
  },
  /** js-libp2p's own ping service, as an app calls it. */
  async servicePing(target, { timeout } = {}) {
    const started = performance.now()
    await node.services.ping.ping(target.startsWith('/') ? multiaddr(target) : peerIdFromString(target), { signal: within(timeout) })
    return performance.now() - started
  },
  async echo(target, { bytes, protocol, seed, timeout }) {
    const signal = within(timeout)
    return runEcho(await to(target, signal), { bytes, protocol, seed, signal })
  },
  async perf(target, { upload, download, timeout }) {
    const signal = within(timeout)
    return runPerf(await to(target, signal), { upload, download, signal })
  },
  async identify(target, { timeout } = {}) {
    const signal = within(timeout)
    return describeIdentify(await node.services.identify.identify(await to(target, signal), { signal }))
  },
  connections: () => node.getConnections().map(describe),
  async hangUp(peerId) {
    await node.hangUp(peerIdFromString(peerId))
  },
  async stop() {
    await node?.stop()
  },
}
