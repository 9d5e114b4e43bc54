// @ts-nocheck: js-libp2p's packages and types are only there once e2e/peers/js is installed
//
// js-libp2p with gossipsub in a page, as the benchmark drives it (bench/pages/ours.js has the same calls). Bundled by bench/js-pubsub.mjs.

import { circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { gossipsub } from '@libp2p/gossipsub'
import { identify, identifyPush } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { webRTC } from '@libp2p/webrtc'
import { webSockets } from '@libp2p/websockets'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'

let node

export const load = async () => 0

export const start = async ({ relays = [] }) => {
  node = await createLibp2p({
    addresses: { listen: ['/webrtc', ...relays.map((relay) => `${relay}/p2p-circuit`)] },
    transports: [webSockets(), circuitRelayTransport(), webRTC({ rtcConfiguration: { iceServers: [] } })],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    // a page's default gater refuses ws: and private addresses
    connectionGater: { denyDialMultiaddr: () => false },
    services: { identify: identify(), identifyPush: identifyPush(), pubsub: gossipsub() },
  })
}

export const webrtcAddress = async () => {
  for (;;) {
    const address = node
      .getMultiaddrs()
      .map(String)
      .find((each) => each.includes('/p2p-circuit/webrtc/'))
    if (address !== undefined) return address
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

export const dial = async (address) => {
  await node.dial(multiaddr(address))
}

export const subscribe = async (topic) => {
  node.services.pubsub.subscribe(topic)
  while (node.services.pubsub.getSubscribers(topic).length === 0 || node.services.pubsub.getMeshPeers(topic).length === 0)
    await new Promise((resolve) => setTimeout(resolve, 10))
}

let messages = []

/** Makes what is published next. */
export const prepare = async (count, bytes) => {
  messages = Array.from({ length: count }, () => crypto.getRandomValues(new Uint8Array(bytes)))
}

/** Publishes it in one go; resolves when all of it is on its way. */
export const publish = async (topic) => {
  await Promise.all(messages.map((data) => node.services.pubsub.publish(topic, data)))
}

/** Resolves when so many came, or none for `patience` ms: how many did, and how long ago the last one. */
export const receive = (count, patience) =>
  new Promise((resolve) => {
    let got = 0
    let last = performance.now()
    const done = () => {
      clearInterval(timer)
      node.services.pubsub.removeEventListener('message', hear)
      resolve({ got, ago: performance.now() - last })
    }
    const hear = () => {
      got += 1
      last = performance.now()
      if (got === count) done()
    }
    const timer = setInterval(() => performance.now() - last > patience && done(), 100)
    node.services.pubsub.addEventListener('message', hear)
  })
