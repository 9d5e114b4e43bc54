// One of our peers as the cases use it, in Node and in a page alike: the calls that the js-libp2p peers offer too (../peers/js), on the
// public API of tabmesh and nothing else.

import { ECHO, PERF, seededBytes, sha256 } from '../peers/js/protocols.mjs'

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
 * Starts a peer that serves echo and perf, on limited connections too.
 *
 * @param {(options: PeerOptions) => Promise<Peer>} createPeer
 * @param {PeerOptions} options
 */
export const startOurPeer = async (createPeer, options) => {
  const peer = await createPeer({ identity: 'ephemeral', rtcConfiguration: { iceServers: [] }, ...options })
  /** @type {{ type: string, detail: any }[]} everything the peer has told, for `event` and for the message of a failure */
  const told = []
  const types = ['error', 'relay:reserved', 'relay:lost', 'peer:identify', 'connection:open', 'connection:close', 'addresses:change']
  for (const type of types) peer.addEventListener(/** @type {'error'} */ (type), ({ detail }) => void told.push({ type, detail }))
  await peer.handle(ECHO, (stream) => stream.readable.pipeTo(stream.writable), { allowLimited: true })
  await peer.handle(PERF, servePerf, { allowLimited: true })

  return {
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
    perf: (target, options) => runPerf(peer, target, options),
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
 * One perf exchange (libp2p/specs perf/perf.md): `upload` bytes there, then `download` back, at least one: it proves that all was read.
 *
 * @param {Peer} peer
 * @param {string} target
 * @param {{ upload?: number, download?: number } & CallOptions} options
 */
const runPerf = async (peer, target, { upload = 0, download = 0, timeout = TIMEOUT, allowLimited = false }) => {
  const signal = AbortSignal.timeout(timeout)
  const asked = Math.max(1, download)
  const stream = await peer.openStream(target, PERF, { signal, allowLimited })
  return orAbort(stream, signal, async () => {
    const head = new Uint8Array(8)
    new DataView(head.buffer).setBigUint64(0, BigInt(asked))
    const zeros = new Uint8Array(BLOCK)
    const started = performance.now()
    let [received, answered, sent] = [0, 0, 0]
    const reading = read(stream, (chunk) => {
      answered ||= performance.now()
      received += chunk.length
    })
    const writing = write(stream, 8 + upload, (from, to) => (from === 0 ? join(head, zeros, to) : zeros.subarray(0, to - from))).then(
      () => {
        sent = performance.now()
      },
    )
    await Promise.all([reading, writing])
    const downloadMs = performance.now() - sent
    if (received !== asked) throw new Error(`asked for ${asked} bytes, ${received} came`)
    const uploadMs = answered - started
    return { uploadMs, downloadMs, uploadMBps: upload / 1000 / uploadMs, downloadMBps: download / 1000 / downloadMs }
  })
}

/**
 * Serves perf: 8 bytes big-endian say how much is wanted back once the remote has finished.
 *
 * @param {import('../../src/peer-stream.ts').PeerStream} stream
 */
const servePerf = async (stream) => {
  const head = new Uint8Array(8)
  let received = 0
  await read(stream, (chunk) => {
    if (received < 8) head.set(chunk.subarray(0, 8 - received), received)
    received += chunk.length
  })
  if (received < 8) throw new Error(`a perf request needs 8 bytes, ${received} came`)
  const zeros = new Uint8Array(BLOCK)
  await write(stream, Number(new DataView(head.buffer).getBigUint64(0)), (from, to) => zeros.subarray(0, to - from))
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

/** @param {Uint8Array} head @param {Uint8Array} rest @param {number} length */
const join = (head, rest, length) => {
  const bytes = new Uint8Array(length)
  bytes.set(head)
  bytes.set(rest.subarray(0, length - head.length), head.length)
  return bytes
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
