// @ts-nocheck: js-libp2p's packages and types are only there once this folder's own `npm ci` has run
//
// A js-libp2p peer as a process of its own (Node 22 or later). Started by client.mjs, or by hand:
//
//   node peer.mjs [--listen MULTIADDR]… [--relay MULTIADDR]… [--relay-server [--no-limits]]
//                 [--encryption noise|tls]… [--muxer yamux|mplex]… [--swarm-key FILE] [--certificate FILE]
//                 [--pubsub JSON] [--dht JSON] [--json]
//
// --listen        may repeat; also /p2p-circuit (any relay it meets) and /webrtc
// --relay         dials this relay, reserves a slot on it and listens there before it says that it is ready; may repeat
// --relay-server  is a circuit relay v2; with --no-limits its circuits carry no data or time limit
// --encryption    what it proposes on byte pipes, the best first; it answers the others too; may repeat
// --muxer         what it has, the best first: yamux unless told otherwise; may repeat
// --swarm-key     only peers of this private network
// --certificate   a PEM file with a certificate and its key, for /tls/ws
// --pubsub        gossipsub (rooms.mjs), as in {"signing":"StrictSign"}
// --dht           kad (dht.mjs), as in {"mode":"server","protocol":"/ipfs/kad/1.0.0"}
// --json          line-delimited JSON: first `{ peerId, addresses }` on stdout, then `{ id, cmd, … }` on stdin is answered by
//                 `{ id, result }` or `{ id, error }` on stdout. Without it: a listing for people.
//
// Serves echo, perf, ping and identify, all of them on limited connections too, and fetch: what is asked for below FETCH_PREFIX is answered
// with the key itself, FETCH_NOTHING with nothing. QUIC where @chainsafe/libp2p-quic is installed. No STUN server: nothing leaves this machine.
// Ends on SIGTERM, SIGINT, `stop`, and with --json when stdin ends.

import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { circuitRelayServer, circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { fetch } from '@libp2p/fetch'
import { identify, identifyPush } from '@libp2p/identify'
import { mplex } from '@libp2p/mplex'
import { noise } from '@libp2p/noise'
import { peerIdFromString } from '@libp2p/peer-id'
import { ping } from '@libp2p/ping'
import { preSharedKey } from '@libp2p/pnet'
import { tcp } from '@libp2p/tcp'
import { tls } from '@libp2p/tls'
import { webRTC, webRTCDirect } from '@libp2p/webrtc'
import { webSockets } from '@libp2p/websockets'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { connectionTo, describe, describeError, describeIdentify } from './connections.mjs'
import { ECHO, FETCH_NOTHING, FETCH_PREFIX, handleEcho, handlePerf, PERF, runEcho, runPerf, runPing, YAMUX } from './protocols.mjs'

const { values: flags } = parseArgs({
  options: {
    listen: { type: 'string', multiple: true, default: [] },
    relay: { type: 'string', multiple: true, default: [] },
    'relay-server': { type: 'boolean', default: false },
    'no-limits': { type: 'boolean', default: false },
    encryption: { type: 'string', multiple: true, default: ['noise'] },
    muxer: { type: 'string', multiple: true, default: ['yamux'] },
    'swarm-key': { type: 'string' },
    certificate: { type: 'string' },
    pubsub: { type: 'string' },
    dht: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
})

const RESERVATION_TIMEOUT = 10_000
const COMMAND_TIMEOUT = 60_000
/** Streams of one protocol on one connection: a test opens more at once than the default 32 in, 64 out. */
const MANY_STREAMS = 1024

const rtcConfiguration = { iceServers: [] }
const encrypters = { noise: noise(), tls: tls() }
const muxers = { yamux: yamux(YAMUX), mplex: mplex() }
const pem = flags.certificate === undefined ? undefined : readFileSync(flags.certificate)
const quic = await import('@chainsafe/libp2p-quic').then(
  ({ quic }) => quic(),
  () => undefined,
)

const privateKey = await generateKeyPair('Ed25519')
// Each takes a while to load, so only who wants it does.
const rooms = flags.pubsub === undefined ? undefined : await import('./rooms.mjs')
const kad = flags.dht === undefined ? undefined : await import('./dht.mjs')

const node = await createLibp2p({
  privateKey,
  addresses: {
    // a named relay is listened on by its address: the bare form would look for a second one
    listen: [
      ...flags.listen.filter((address) => flags.relay.length === 0 || address !== '/p2p-circuit'),
      ...flags.relay.map((address) => `${address}/p2p-circuit`),
    ],
  },
  transports: [
    tcp(),
    webSockets(pem === undefined ? {} : { https: { cert: pem, key: pem } }),
    circuitRelayTransport(),
    webRTC({ rtcConfiguration }),
    webRTCDirect({ rtcConfiguration: async () => ({ ...rtcConfiguration }) }),
    ...(quic === undefined ? [] : [quic]),
  ],
  connectionEncrypters: [...new Set([...flags.encryption, 'noise', 'tls'])].map((name) => encrypters[name]),
  streamMuxers: flags.muxer.map((name) => muxers[name]),
  ...(flags['swarm-key'] !== undefined && { connectionProtector: preSharedKey({ psk: readFileSync(flags['swarm-key']) }) }),
  connectionGater: { denyDialMultiaddr: () => false },
  // all peers of a test share one address; the default is 5 connections a second from each
  connectionManager: { inboundConnectionThreshold: 1000, maxIncomingPendingConnections: 1000 },
  // its pings wait behind the messages that it has to check, and a busy machine is no reason to leave
  ...(rooms && { connectionMonitor: { abortConnectionOnPingFailure: false } }),
  services: {
    // One more than its default of one: it asks by itself when it connects, and the command may come at the same time.
    identify: identify({ maxOutboundStreams: 2 }),
    identifyPush: identifyPush(),
    fetch: fetch(),
    ping: ping({ maxInboundStreams: MANY_STREAMS, maxOutboundStreams: MANY_STREAMS }),
    ...(rooms && { pubsub: rooms.pubsubService(JSON.parse(flags.pubsub)) }),
    ...(kad && { dht: kad.dhtService(JSON.parse(flags.dht)) }),
    ...(flags['relay-server'] && {
      relay: circuitRelayServer({
        maxInboundHopStreams: MANY_STREAMS,
        maxOutboundStopStreams: MANY_STREAMS,
        // its reservations outlive their connections until the 2 h are over, so the default 15 run out in a test
        reservations: { maxReservations: 10_000, applyDefaultLimit: !flags['no-limits'] },
      }),
    }),
  },
})

const streams = { runOnLimitedConnection: true, maxInboundStreams: MANY_STREAMS, maxOutboundStreams: MANY_STREAMS }
await node.handle(ECHO, handleEcho, streams)
await node.handle(PERF, handlePerf, streams)
node.services.fetch.registerLookupFunction(FETCH_PREFIX, async (key) => (Buffer.from(key).toString() === FETCH_NOTHING ? undefined : key))

const addresses = () => node.getMultiaddrs().map(String)
await relayed()

/** Waits until every relay of the command line gave us an address; the start itself goes on without one that failed. */
async function relayed() {
  const relays = flags.relay.map((address) => `${address}/p2p-circuit`)
  const missing = () => relays.filter((prefix) => !addresses().some((address) => address.startsWith(prefix)))
  const deadline = Date.now() + RESERVATION_TIMEOUT
  while (missing().length > 0) {
    if (Date.now() > deadline) {
      console.error(`no reservation on ${missing().join(', ')}; addresses: ${addresses().join(', ') || 'none'}`)
      process.exit(1)
    }
    await new Promise((resolve) => {
      node.addEventListener('self:peer:update', resolve, { once: true })
      setTimeout(resolve, 50)
    })
  }
}

const to = (target, signal) => connectionTo(node, target, { peerIdFromString, multiaddr, signal })

const commands = {
  addresses,
  async dial({ target }, signal) {
    const started = performance.now()
    const connection = await node.dial(target.startsWith('/') ? multiaddr(target) : peerIdFromString(target), { signal })
    return { ...describe(connection), ms: performance.now() - started }
  },
  ping: async ({ target }, signal) => runPing(await to(target, signal), { signal }),
  echo: async ({ target, protocol, bytes, seed }, signal) => runEcho(await to(target, signal), { protocol, bytes, seed, signal }),
  perf: async ({ target, upload, download }, signal) => runPerf(await to(target, signal), { upload, download, signal }),
  identify: async ({ target }, signal) => describeIdentify(await node.services.identify.identify(await to(target, signal), { signal })),
  async fetch({ target, key }, signal) {
    const value = await node.services.fetch.fetch((await to(target, signal)).remotePeer, key, { signal })
    return value === undefined ? null : Buffer.from(value).toString()
  },
  connections: () => node.getConnections().map(describe),
  async hangUp({ target, connection }, signal) {
    if (connection === undefined) {
      await node.hangUp(peerIdFromString(target), { signal })
    } else {
      await node
        .getConnections()
        .find(({ id }) => id === connection)
        ?.close({ signal })
    }
  },
  reservations: () => [...(node.services.relay?.reservations.keys() ?? [])].map(String),
  async stop() {
    setTimeout(end, 0)
  },
  ...rooms?.pubsubCommands(node),
  ...kad?.dhtCommands(node, privateKey),
}

let ending = false
async function end() {
  if (ending) {
    return
  }
  ending = true
  // node-datachannel's threads keep the process alive, and a stop waits for peers that may be gone: both have a bound
  setTimeout(() => process.exit(0), 3000).unref()
  await node.stop()
  process.exit(0)
}
process.on('SIGTERM', end)
process.on('SIGINT', end)

const print = (message) => process.stdout.write(`${JSON.stringify(message)}\n`)

if (flags.json) {
  print({ peerId: node.peerId.toString(), addresses: addresses() })
  const lines = createInterface({ input: process.stdin })
  lines.on('close', end)
  lines.on('line', async (line) => {
    const { id, cmd, timeout = COMMAND_TIMEOUT, ...args } = JSON.parse(line)
    try {
      if (!Object.hasOwn(commands, cmd)) {
        throw new Error(`no such command: ${cmd}`)
      }
      print({ id, result: (await commands[cmd](args, AbortSignal.timeout(timeout))) ?? null })
    } catch (err) {
      print({ id, error: describeError(err) })
    }
  })
} else {
  console.log([`js-libp2p peer ${node.peerId}`, ...addresses()].join('\n'))
}
