// One of our peers as the cases use it, in Node and in a page alike: the calls that the js-libp2p peers offer too (../peers/js), on the
// public API of tabmesh and nothing else.

import { ECHO, FETCH_NOTHING, FETCH_PREFIX, seededBytes, sha256 } from '../peers/js/protocols.mjs'
import { dhtOf } from './our-dht.mjs'
import { partsOf } from './our-parts.mjs'
import { roomsOf } from './our-rooms.mjs'

/** One write. */
const BLOCK = 64 * 1024
const TIMEOUT = 30_000

/**
 * @typedef {import('../../src/peer.ts').Peer} Peer
 * @typedef {import('../../src/types.ts').PeerOptions} PeerOptions
 * @typedef {import('../../src/types.ts').ConnectionInfo} ConnectionInfo
 * @typedef {{ timeout?: number, allowLimited?: boolean }} CallOptions
 */

/**
 * Starts a peer that serves echo, on limited connections too, perf and fetch.
 *
 * @param {(options: PeerOptions) => Promise<Peer>} createPeer
 * @param {PeerOptions} options
 */
export const startOurPeer = async (createPeer, options) => {
  const peer = await createPeer({ identity: 'ephemeral', rtcConfiguration: { iceServers: [] }, perf: true, ...options })
  /** @type {{ type: string, detail: any }[]} everything the peer has told, for `event` and for the message of a failure */
  const told = []
  const types = ['error', 'relay:reserved', 'relay:lost', 'peer:identify', 'connection:open', 'connection:close', 'addresses:change']
  for (const type of types) peer.addEventListener(/** @type {'error'} */ (type), ({ detail }) => void told.push({ type, detail }))
  await peer.handle(ECHO, (stream) => stream.readable.pipeTo(stream.writable), { allowLimited: true })
  await peer.handleFetch(FETCH_PREFIX, (key) => (key === FETCH_NOTHING ? undefined : key))

  return {
    ...roomsOf(peer),
    ...partsOf(peer),
    ...dhtOf(peer),
    peerId: peer.id,
    addresses: () => peer.addresses,
    /** Milliseconds, and what `peer.dial` says. @param {string} target @param {CallOptions} [options] */
    async dial(target, { timeout = TIMEOUT } = {}) {
      const started = performance.now()
      const connection = await peer.dial(target, { signal: AbortSignal.timeout(timeout) })
      return { ...connection, ms: performance.now() - started }
    },
    /** @param {string} target @param {CallOptions} [options] */
    ping: async (target, { timeout = TIMEOUT } = {}) => ({ rtt: await peer.ping(target, { signal: AbortSignal.timeout(timeout) }) }),
    /** @param {string} target @param {{ bytes: number, seed?: number } & CallOptions} options */
    echo: (target, options) => runEcho(peer, target, options),
    /** @param {string} target @param {{ upload?: number, download?: number } & CallOptions} options */
    perf: (target, options) => measure(peer, target, options),
    /** The value as text, null where there is none. @param {string} target @param {{ key: string } & CallOptions} options */
    async fetch(target, { key, timeout = TIMEOUT }) {
      const value = await peer.fetch(target, key, { signal: AbortSignal.timeout(timeout) })
      return value === undefined ? null : new TextDecoder().decode(value)
    },
    /** Opens a stream, writes this and leaves it open. @param {string} target @param {string} protocol @param {number[]} data @param {CallOptions} [options] */
    async write(target, protocol, data, { timeout = TIMEOUT } = {}) {
      const stream = await peer.openStream(target, protocol, { signal: AbortSignal.timeout(timeout) })
      await stream.writable.getWriter().write(Uint8Array.from(data))
    },
    /** Takes streams of a protocol, and reads them to no end. @param {string} protocol */
    sink: (protocol) => peer.handle(protocol, (stream) => stream.readable.pipeTo(new WritableStream())),
    connections: () => peer.connections,
    /** What the peer store knows. @param {string} id */
    known: (id) => peer.peerStore.get(id),
    /** @param {string} id */
    hangUp: (id) => peer.hangUp(id),
    /** The detail of the first event of that type, one that was already told included. @param {string} type @param {CallOptions} [options] */
    event: (type, { timeout = TIMEOUT } = {}) =>
      new Promise((resolve, reject) => {
        const before = told.find((each) => each.type === type)
        if (before !== undefined) return resolve(before.detail)
        const timer = setTimeout(() => reject(new Error(`no ${type} event within ${timeout} ms`)), timeout)
        peer.addEventListener(
          /** @type {'error'} */ (type),
          ({ detail }) => {
            clearTimeout(timer)
            resolve(detail)
          },
          { once: true },
        )
      }),
    told: () => told.map(({ type, detail }) => `${type} ${detail?.message ?? detail?.transport ?? detail?.relay ?? ''}`.trim()),
    stop: () => peer.stop(),
  }
}

/**
 * Sends `bytes` seeded bytes and checks that the same come back, by SHA-256.
 *
 * @param {Peer} peer
 * @param {string} target
 * @param {{ bytes: number, seed?: number } & CallOptions} options
 */
const runEcho = async (peer, target, { bytes, seed = 1, timeout = TIMEOUT, allowLimited = false }) => {
  const signal = AbortSignal.timeout(timeout)
  const sent = seededBytes(seed, bytes)
  const back = new Uint8Array(bytes)
  const started = performance.now()
  const stream = await peer.openStream(target, ECHO, { signal, allowLimited })
  return orAbort(stream, signal, async () => {
    let received = 0
    const reading = read(stream, (chunk) => {
      if (received + chunk.length > bytes) throw new Error(`sent ${bytes} bytes, at least ${received + chunk.length} came back`)
      back.set(chunk, received)
      received += chunk.length
    })
    await Promise.all([reading, write(stream, bytes, (from, to) => sent.subarray(from, to))])
    const ms = performance.now() - started
    if (received !== bytes) throw new Error(`sent ${bytes} bytes, ${received} came back before the end`)
    const hash = await sha256(sent)
    if (hash !== (await sha256(back))) throw new Error(`${bytes} bytes came back changed`)
    return { ms, bytes, sha256: hash }
  })
}

/**
 * What `peer.perf` says, in MB/s.
 *
 * @param {Peer} peer
 * @param {string} target
 * @param {{ upload?: number, download?: number } & CallOptions} options
 */
const measure = async (peer, target, { upload = 0, download = 0, timeout = TIMEOUT }) => {
  const result = await peer.perf(target, { upload, download, signal: AbortSignal.timeout(timeout) })
  const [up, down] = [result.upload, result.download]
  return { uploadMs: up.ms, downloadMs: down.ms, uploadMBps: up.bytes / 1000 / up.ms, downloadMBps: down.bytes / 1000 / down.ms }
}

/**
 * @param {import('../../src/peer-stream.ts').PeerStream} stream
 * @param {(chunk: Uint8Array) => void} onChunk
 */
const read = async (stream, onChunk) => {
  const reader = stream.readable.getReader()
  for (let step = await reader.read(); !step.done; step = await reader.read()) onChunk(step.value)
}

/**
 * @param {import('../../src/peer-stream.ts').PeerStream} stream
 * @param {number} total
 * @param {(from: number, to: number) => Uint8Array} piece
 */
const write = async (stream, total, piece) => {
  const writer = stream.writable.getWriter()
  for (let at = 0; at < total; at += BLOCK) await writer.write(piece(at, Math.min(total, at + BLOCK)))
  await writer.close()
}

/**
 * Runs `work`; where it fails, or the signal fires, the stream is given up.
 *
 * @template T
 * @param {import('../../src/peer-stream.ts').PeerStream} stream
 * @param {AbortSignal} signal
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
const orAbort = async (stream, signal, work) => {
  const abort = () => stream.abort(signal.reason)
  signal.addEventListener('abort', abort)
  try {
    return await work()
  } catch (error) {
    stream.abort(error)
    throw error
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
