// tabmesh in a page, as the benchmark drives it; js.js has the same calls for js-libp2p. Times are milliseconds of the page's clock.

import { startOurPeer } from '/e2e/interop/our-peer.mjs'
import { ECHO } from '/e2e/peers/js/protocols.mjs'

let createPeer
let peer
let calls

/** Fetches and evaluates the library. */
export const load = async (url) => {
  const began = performance.now()
  ;({ createPeer } = await import(url))
  return performance.now() - began
}

/** @returns how long `createPeer` took */
export const start = async (options) => {
  let ms = 0
  const timed = async (all) => {
    const began = performance.now()
    peer = await createPeer(all)
    ms = performance.now() - began
    return peer
  }
  calls = await startOurPeer(timed, options)
  return ms
}

/** The address others reach this page at: relayed first, then over WebRTC. */
export const webrtcAddress = async () => {
  for (;;) {
    const address = peer.addresses.find((each) => each.includes('/p2p-circuit/webrtc/'))
    if (address !== undefined) return address
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

/** One ping as an application calls it; dials first where there is no connection. */
export const ping = async (target) => {
  const began = performance.now()
  await peer.ping(target)
  return performance.now() - began
}

export const hangUp = async (id) => {
  await peer.hangUp(id)
  while (peer.connections.some(({ remotePeer }) => remotePeer === id)) await new Promise((resolve) => setTimeout(resolve, 1))
}

/** Whether a connection to this peer is left. */
export const connected = (id) => peer.connections.some(({ remotePeer }) => remotePeer === id)

/** Dials, opens a stream and gets 32 bytes back. */
export const dialEcho = async (address, id, timeout) => {
  const began = performance.now()
  const signal = AbortSignal.timeout(timeout)
  await peer.dial(address, { signal })
  const stream = await peer.openStream(id, ECHO, { signal })
  const writer = stream.writable.getWriter()
  writer.write(new Uint8Array(32))
  const reader = stream.readable.getReader()
  for (let got = 0; got < 32; ) {
    const { value, done } = await reader.read()
    if (done) throw new Error('the echo ended early')
    got += value.length
  }
  const ms = performance.now() - began
  await writer.close()
  reader.releaseLock()
  await stream.close()
  return ms
}

/** How the page is connected to a peer, for the reader of the report. */
export const way = (id) =>
  peer.connections
    .filter(({ remotePeer }) => remotePeer === id)
    .map(({ transport }) => transport)
    .join('+')

/**
 * What a download sends first: more than a first window. A js-libp2p remote loses a request that comes in one piece with the stream's
 * proposal and its end (its reader is closed before the handler has it).
 */
const FIRST = 384 * 1024

export const upload = async (target, bytes) => (await calls.perf(target, { upload: bytes })).uploadMs
export const download = async (target, bytes) => (await calls.perf(target, { upload: FIRST, download: bytes })).downloadMs
/** There and back at the same time, on one stream. */
export const echo = async (target, bytes) => (await calls.echo(target, { bytes })).ms

export const dial = async (address) => {
  await peer.dial(address)
}

/** Resolves when somebody else is in the topic and in the mesh. */
export const subscribe = async (topic) => {
  await peer.pubsub.subscribe(topic)
  const meshed = async () => (await peer.pubsub.inspect()).topics.some(({ name, mesh }) => name === topic && mesh.length > 0)
  while (!(await meshed())) await new Promise((resolve) => setTimeout(resolve, 10))
}

let messages = []

/** Makes what is published next. */
export const prepare = async (count, bytes) => {
  messages = Array.from({ length: count }, () => crypto.getRandomValues(new Uint8Array(bytes)))
}

/** Publishes it in one go; resolves when all of it is on its way. */
export const publish = async (topic) => {
  await Promise.all(messages.map((data) => peer.pubsub.publish(topic, data)))
}

/** Resolves when so many came, or none for `patience` ms: how many did, and how long ago the last one. */
export const receive = (count, patience) =>
  new Promise((resolve) => {
    let got = 0
    let last = performance.now()
    const done = () => {
      clearInterval(timer)
      peer.pubsub.removeEventListener('message', hear)
      resolve({ got, ago: performance.now() - last })
    }
    const hear = () => {
      got += 1
      last = performance.now()
      if (got === count) done()
    }
    const timer = setInterval(() => performance.now() - last > patience && done(), 100)
    peer.pubsub.addEventListener('message', hear)
  })
