// @ts-nocheck: js-libp2p's packages and types are only there once the folder's own `npm ci` has run
//
// Never run: a js-libp2p peer with what tabmesh's one bundle has (WebSocket, relay, WebRTC, WebRTC-direct, private networks, Noise, yamux,
// identify and its pushes, ping, fetch, gossipsub, Kademlia), but for WebTransport, rooms, rendezvous, routers over HTTP and peers that are kept,
// which js-libp2p has in packages that this folder does without, or not at all. Bundled only to weigh it.

import { circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { fetch } from '@libp2p/fetch'
import { gossipsub } from '@libp2p/gossipsub'
import { identify, identifyPush } from '@libp2p/identify'
import { kadDHT } from '@libp2p/kad-dht'
import { noise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { preSharedKey } from '@libp2p/pnet'
import { webRTC, webRTCDirect } from '@libp2p/webrtc'
import { webSockets } from '@libp2p/websockets'
import { yamux } from '@libp2p/yamux'
import { createLibp2p } from 'libp2p'

const psk = new URLSearchParams(location.search).get('psk')

window.peer = await createLibp2p({
  addresses: { listen: ['/p2p-circuit', '/webrtc'] },
  transports: [webSockets(), webRTC(), webRTCDirect(), circuitRelayTransport()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  ...(psk && { connectionProtector: preSharedKey({ psk: new TextEncoder().encode(psk) }) }),
  services: { identify: identify(), identifyPush: identifyPush(), ping: ping(), fetch: fetch(), pubsub: gossipsub(), dht: kadDHT() },
})
