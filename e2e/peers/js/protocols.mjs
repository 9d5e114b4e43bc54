// What the js-libp2p peer speaks beyond libp2p's own services, in Node and in a page: echo, perf and ping, both ends, on js streams.
//
// js-libp2p 3 streams are event targets. Three of their habits shape this file:
// - `for await (const chunk of stream)` queues without a bound, so everything here listens to 'message' and uses pause() and resume();
// - `onDrain()` keeps its first promise for ever and so waits only once, so everything here waits for the 'drain' event itself;
// - a reader with more than 4 MiB unread is aborted. yamux's window grows to 16 MiB, so a paused reader meets that limit unless it is
//   raised (YAMUX); over WebRTC pause() tells the other side nothing at all, so nothing here pauses there.
//
// perf: https://github.com/libp2p/specs/blob/master/perf/perf.md  ping: https://github.com/libp2p/specs/blob/master/ping/ping.md

/**
 * @typedef {import('./connections.mjs').JsChunk} JsChunk
 * @typedef {import('./connections.mjs').JsStream} JsStream
 * @typedef {import('./connections.mjs').JsConnection} JsConnection
 */

export const ECHO = '/echo/1.0.0'
export const PERF = '/perf/1.0.0'
export const PING = '/ipfs/ping/1.0.0'
/** What a peer answers fetch with below this prefix is the key itself, and nothing under FETCH_NOTHING. */
export const FETCH_PREFIX = '/interop/'
export const FETCH_NOTHING = `${FETCH_PREFIX}nothing`

/** Options for yamux(): a paused stream may hold all of the window that it has granted. */
export const YAMUX = { streamOptions: { maxReadBufferLength: 17 * 1024 * 1024 } }

const PING_BYTES = 32
/** One write. A WebRTC stream cuts it into its 16 KiB messages, yamux into its 64 KiB frames. */
const BLOCK = 64 * 1024

/**
 * Bytes that a seed repeats (xorshift32).
 *
 * @param {number} seed
 * @param {number} length bytes
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function seededBytes(seed, length) {
  const words = new Uint32Array(Math.ceil(length / 4))
  let x = seed >>> 0 || 0x9e3779b9
  for (let i = 0; i < words.length; i++) {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    words[i] = x
  }
  return new Uint8Array(words.buffer, 0, length)
}

/**
 * @param {Uint8Array<ArrayBuffer>} bytes
 * @returns {Promise<string>} hexadecimal
 */
export async function sha256(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/**
 * Resolves when the stream can take more; rejects when it closes or the signal fires first.
 *
 * @param {JsStream} stream
 * @param {AbortSignal} [signal]
 */
function drained(stream, signal) {
  return new Promise((resolve, reject) => {
    const done = (/** @type {() => void} */ settle) => () => {
      stream.removeEventListener('drain', onDrain)
      stream.removeEventListener('close', onClose)
      signal?.removeEventListener('abort', onAbort)
      settle()
    }
    const onDrain = done(() => resolve(undefined))
    const onClose = done(() => reject(new Error(`the stream closed (${stream.status}) with bytes still to send`)))
    const onAbort = done(() => reject(signal?.reason))
    stream.addEventListener('drain', onDrain)
    stream.addEventListener('close', onClose)
    signal?.addEventListener('abort', onAbort)
  })
}

/**
 * Sends `total` bytes, `blockAt(offset, length)` by block, no faster than the stream takes them.
 *
 * @param {JsStream} stream
 * @param {number} total
 * @param {(offset: number, length: number) => Uint8Array} blockAt
 * @param {AbortSignal} [signal]
 */
async function sendBlocks(stream, total, blockAt, signal) {
  for (let offset = 0; offset < total; offset += BLOCK) {
    signal?.throwIfAborted()
    const more = stream.send(blockAt(offset, Math.min(BLOCK, total - offset)))
    if (!more) {
      await drained(stream, signal)
    }
  }
}

/**
 * Calls `onChunk` with what arrives, and resolves at the remote's clean end. An end that is not clean, or the signal, rejects.
 *
 * @param {JsStream} stream
 * @param {(chunk: JsChunk) => void} onChunk
 * @param {AbortSignal} [signal]
 */
function receive(stream, onChunk, signal) {
  return new Promise((resolve, reject) => {
    const onMessage = (/** @type {any} */ event) => {
      try {
        onChunk(event.data)
      } catch (err) {
        settle(() => reject(err))
      }
    }
    // a reset ends the reading before it closes the stream
    const onEnd = () =>
      settle(() =>
        stream.status === 'reset' || stream.status === 'aborted'
          ? reject(new Error(`the stream was ${stream.status} while its bytes were read`))
          : resolve(undefined),
      )
    const onClose = (/** @type {any} */ event) => {
      if (event.error != null) {
        settle(() => reject(event.error))
      } else {
        settle(() => resolve(undefined))
      }
    }
    const onAbort = () => settle(() => reject(signal?.reason))
    const settle = (/** @type {() => void} */ how) => {
      stream.removeEventListener('message', onMessage)
      stream.removeEventListener('end', onEnd)
      stream.removeEventListener('close', onClose)
      signal?.removeEventListener('abort', onAbort)
      how()
    }
    signal?.addEventListener('abort', onAbort)
    stream.addEventListener('close', onClose)
    stream.addEventListener('end', onEnd)
    stream.addEventListener('message', onMessage)
    if (stream.readableEnded) {
      onEnd()
    }
  })
}

/**
 * Serves `/echo/1.0.0`: every byte back, then the end.
 *
 * @param {JsStream} stream
 */
export async function handleEcho(stream) {
  const canPause = stream.channel === undefined
  stream.addEventListener('drain', () => {
    if (canPause && stream.readStatus === 'paused') {
      stream.resume()
    }
  })
  try {
    await receive(stream, (chunk) => {
      const more = stream.send(chunk)
      if (!more && canPause && stream.readStatus === 'readable') {
        stream.pause()
      }
    })
    await stream.close()
  } catch (err) {
    stream.abort(err)
  }
}

/**
 * Serves `/perf/1.0.0`: 8 bytes big-endian say how much is wanted back once the remote has finished sending.
 *
 * @param {JsStream} stream
 */
export async function handlePerf(stream) {
  const head = new Uint8Array(8)
  let received = 0
  try {
    await receive(stream, (chunk) => {
      if (received < 8) {
        head.set(chunk.subarray(0, Math.min(8 - received, chunk.byteLength)), received)
      }
      received += chunk.byteLength
    })
    if (received < 8) {
      throw new Error(`a perf request needs 8 bytes, ${received} came`)
    }
    const zeros = new Uint8Array(BLOCK)
    await sendBlocks(stream, Number(new DataView(head.buffer).getBigUint64(0)), (_, length) => zeros.subarray(0, length))
    await stream.close()
  } catch (err) {
    stream.abort(err)
  }
}

/**
 * @param {JsConnection} connection
 * @param {string} protocol
 * @param {AbortSignal} [signal]
 * @returns {Promise<JsStream>}
 */
function open(connection, protocol, signal) {
  return connection.newStream(protocol, { runOnLimitedConnection: true, ...(signal && { signal }) })
}

/**
 * Sends `bytes` seeded bytes and checks that the same come back, by SHA-256. `ms` runs from the opening of the stream to the last byte.
 *
 * @param {JsConnection} connection
 * @param {{ protocol?: string, bytes: number, seed?: number, signal?: AbortSignal }} options
 * @returns {Promise<{ ms: number, openMs: number, bytes: number, sha256: string }>}
 */
export async function runEcho(connection, { protocol = ECHO, bytes, seed = 1, signal }) {
  const sent = seededBytes(seed, bytes)
  const back = new Uint8Array(bytes)
  const started = performance.now()
  const stream = await open(connection, protocol, signal)
  const opened = performance.now()
  let received = 0
  let finished = opened
  try {
    const reading = receive(
      stream,
      (chunk) => {
        if (received + chunk.byteLength > bytes) {
          throw new Error(`sent ${bytes} bytes, at least ${received + chunk.byteLength} came back`)
        }
        back.set(chunk.subarray(), received)
        received += chunk.byteLength
        finished = performance.now()
      },
      signal,
    )
    // close() waits for the remote's FIN_ACK over WebRTC, so the reader must not wait for it
    const writing = sendBlocks(stream, bytes, (offset, length) => sent.subarray(offset, offset + length), signal).then(() =>
      stream.close(signal && { signal }),
    )
    await Promise.all([reading, writing])
    if (received !== bytes) {
      throw new Error(`sent ${bytes} bytes, ${received} came back before the end`)
    }
  } catch (err) {
    stream.abort(err)
    throw err
  }
  const hash = await sha256(sent)
  if (hash !== (await sha256(back))) {
    throw new Error(`${bytes} bytes came back changed`)
  }
  return { ms: finished - started, openMs: opened - started, bytes, sha256: hash }
}

/**
 * One perf exchange on one stream: `upload` bytes there, then `download` bytes back, at least one: the answer is what proves that the
 * remote has read the upload, and a js stream that was cut off ends as cleanly as one that was finished. `uploadMs` is up to the answer's
 * first byte, `downloadMs` from the end of our sending to its last.
 *
 * @param {JsConnection} connection
 * @param {{ upload?: number, download?: number, protocol?: string, signal?: AbortSignal }} options
 * @returns {Promise<{ openMs: number, uploadMs: number, downloadMs: number, uploadMBps: number, downloadMBps: number }>}
 */
export async function runPerf(connection, { upload = 0, download = 0, protocol = PERF, signal }) {
  const asked = Math.max(download, 1)
  const before = performance.now()
  const stream = await open(connection, protocol, signal)
  const started = performance.now()
  let received = 0
  let answered = 0
  try {
    const reading = receive(
      stream,
      (chunk) => {
        answered ||= performance.now()
        received += chunk.byteLength
      },
      signal,
    )
    const head = new Uint8Array(8)
    new DataView(head.buffer).setBigUint64(0, BigInt(asked))
    const zeros = new Uint8Array(BLOCK)
    let sent = 0
    const writing = (async () => {
      if (!stream.send(head)) {
        await drained(stream, signal)
      }
      await sendBlocks(stream, upload, (_, length) => zeros.subarray(0, length), signal)
      sent = performance.now()
      await stream.close(signal && { signal })
    })()
    await Promise.all([reading, writing])
    const finished = performance.now()
    if (received !== asked) {
      throw new Error(`asked for ${asked} bytes, ${received} came`)
    }
    const uploadMs = answered - started
    const downloadMs = finished - sent
    return {
      openMs: started - before,
      uploadMs,
      downloadMs,
      uploadMBps: upload / 1000 / uploadMs,
      downloadMBps: download / 1000 / downloadMs,
    }
  } catch (err) {
    stream.abort(err)
    throw err
  }
}

/**
 * One ping on a stream of its own, over this very connection (the libp2p service would leave a limited one and dial again).
 *
 * @param {JsConnection} connection
 * @param {{ signal?: AbortSignal }} [options]
 * @returns {Promise<{ ms: number, rtt: number }>} `ms` with the opening of the stream, `rtt` without
 */
export async function runPing(connection, { signal } = {}) {
  const before = performance.now()
  const stream = await open(connection, PING, signal)
  const data = crypto.getRandomValues(new Uint8Array(PING_BYTES))
  const back = new Uint8Array(PING_BYTES)
  const started = performance.now()
  let received = 0
  let finished = 0
  try {
    const reading = receive(
      stream,
      (chunk) => {
        if (received + chunk.byteLength > PING_BYTES) {
          throw new Error('a ping came back longer than it went')
        }
        back.set(chunk.subarray(), received)
        received += chunk.byteLength
        finished = performance.now()
      },
      signal,
    )
    stream.send(data)
    await Promise.all([reading, stream.close(signal && { signal })])
    if (received !== PING_BYTES || data.some((byte, i) => byte !== back[i])) {
      throw new Error('a ping came back changed')
    }
  } catch (err) {
    stream.abort(err)
    throw err
  }
  return { ms: finished - before, rtt: finished - started }
}
