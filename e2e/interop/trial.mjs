// What every cell does once there is a way from one peer to another: connect, ping, 1 MB echoed and compared by hash, 20 MB there and back.

import { until } from './waiting.mjs'

const MB = 1_000_000
const ECHO_BYTES = MB
const PERF_BYTES = 20 * MB
const DIAL_TIMEOUT = 30_000
const TRANSFER_TIMEOUT = 60_000
/** What is given a security and a muxer. */
const PIPES = ['tcp', 'websocket', 'relay']
/** The first that an address contains tells what it is an address of. */
const WAYS = /** @type {[string, Way][]} */ ([
  ['/webrtc-direct', 'webrtc-direct'],
  ['/webrtc', 'webrtc'],
  ['/p2p-circuit', 'relay'],
  ['/webtransport', 'webtransport'],
  ['/quic-v1', 'quic'],
  ['/ws', 'websocket'],
  ['/tcp/', 'tcp'],
])
/** A relayed connection that has done its work goes when it has been idle for a moment. */
const MOVE_TIMEOUT = 20_000

/**
 * @typedef {import('./side.mjs').Side} Side
 * @typedef {import('./lab.mjs').Scene} Scene
 * @typedef {{ connect?: number, ping?: number, echo?: number, up?: number, down?: number, note?: string }} Row
 * Milliseconds, and MB/s.
 * @typedef {{ name: string, run: (scene: Scene) => Promise<Row> }} Case
 * @typedef {import('../../src/types.ts').TransportName} Way
 * @typedef {import('./matrix.mjs').Expected} Expected
 */

/**
 * @param {unknown} condition
 * @param {string} what
 * @param {unknown} [seen]
 */
export const expect = (condition, what, seen) => {
  if (!condition) throw new Error(seen === undefined ? what : `${what}, not ${JSON.stringify(seen)}`)
}

/**
 * @typedef {{ address: string, way: Way, limited?: boolean, perf?: boolean, expected?: Expected }} Plan
 * `address` is where to dial, `way` what the connection has to be in the end, `limited` whether its relay limits it; `perf: false` leaves
 * the 20 MB out. `expected`: what both sides have to say of it; Noise and yamux on a pipe unless told otherwise.
 */

/**
 * Dials and does it all.
 *
 * @param {Side} from
 * @param {Side} to
 * @param {Plan} plan
 * @returns {Promise<Row>}
 */
export const trial = async (from, to, plan) => {
  const { ms } = await from.dial(plan.address, { timeout: DIAL_TIMEOUT })
  return { connect: ms, ...(await afterDial(from, to, plan)) }
}

/**
 * All of it but the dial.
 *
 * @param {Side} from
 * @param {Side} to
 * @param {Plan} plan
 * @returns {Promise<Row>}
 */
export const afterDial = async (from, to, { address, way, limited = false, perf = true, expected }) => {
  if (way === 'webrtc') await moved(from, to)
  expected ??= way === 'webrtc' ? { encryption: 'dtls', muxer: '/webrtc' } : { encryption: '/noise', muxer: '/yamux/1.0.0' }
  await checkConnection(from, to, { way, limited, expected })
  await checkConnection(to, from, { way, limited, expected })
  // A js-libp2p peer would leave a circuit for a direct connection, so it is told the address.
  const target = way === 'relay' && from.kind.startsWith('js') ? address : to.peerId
  const { rtt } = await from.ping(target)
  const echo = await from.echo(target, { bytes: ECHO_BYTES, timeout: TRANSFER_TIMEOUT, allowLimited: limited })
  /** @type {Row} */
  const row = { ping: rtt, echo: echo.ms }
  if (!perf) return row
  const { uploadMBps, downloadMBps } = await from.perf(target, {
    upload: PERF_BYTES,
    download: PERF_BYTES,
    timeout: TRANSFER_TIMEOUT,
    allowLimited: limited,
  })
  return { ...row, up: uploadMBps, down: downloadMBps }
}

/**
 * Waits until `from` has a direct connection and, if it is ours, until that has taken the relayed one's place.
 *
 * @param {Side} from
 * @param {Side} to
 */
export const moved = async (from, to) => {
  /** @type {unknown} */
  let seen
  await until(
    MOVE_TIMEOUT,
    () => `${from.kind} has not moved to WebRTC: ${JSON.stringify(seen)}`,
    async () => {
      const connections = (await from.connections()).filter(({ remotePeer }) => remotePeer === to.peerId)
      seen = connections.map(wayOf)
      if (from.kind.startsWith('js')) return connections.some((each) => wayOf(each) === 'webrtc') || undefined
      return (connections.length > 0 && connections.every((each) => wayOf(each) === 'webrtc')) || undefined
    },
  )
}

/**
 * `side` has a connection of the kind that is wanted, and tells about it as it is.
 *
 * @param {Side} side
 * @param {Side} remote
 * @param {{ way: Way, limited: boolean, expected: Expected }} wanted
 */
const checkConnection = async (side, remote, { way, limited, expected }) => {
  /** @type {unknown} */
  let seen
  const connection = await until(
    DIAL_TIMEOUT,
    () => `${side.kind} has no ${way} connection: ${JSON.stringify(seen)}`,
    async () => {
      const connections = (await side.connections()).filter(({ remotePeer }) => remotePeer === remote.peerId)
      seen = connections.map(wayOf)
      return connections.find((each) => wayOf(each) === way)
    },
  )
  const isLimited = connection.limited ?? connection.limits !== null
  expect(isLimited === limited, `${side.kind}: the connection should ${limited ? '' : 'not '}be limited`)
  const { encryption, muxer = connection.multiplexer } = connection
  // Beside pipes each implementation has words of its own for what a transport brings along; go-libp2p has none for a circuit either.
  if (!side.kind.startsWith('our') && (encryption === null || !PIPES.includes(way))) return
  expect(encryption === expected.encryption, `${side.kind}: encryption should be ${expected.encryption}`, encryption)
  if (expected.muxer !== undefined) expect(muxer === expected.muxer, `${side.kind}: muxer should be ${expected.muxer}`, muxer)
}

/** What a connection is; where nothing says it, its address does. @param {{ transport?: string, remoteAddr: string }} connection @returns {string} */
export const wayOf = ({ transport, remoteAddr }) => transport ?? WAYS.find(([part]) => remoteAddr.includes(part))?.[1] ?? 'unknown'

/**
 * The one address of `side` that goes through a relay, or that goes on to WebRTC from there.
 *
 * @param {Side} side
 * @param {'/p2p-circuit/p2p/' | '/p2p-circuit/webrtc/p2p/'} way
 */
export const addressOf = (side, way) =>
  until(
    DIAL_TIMEOUT,
    () => `${side.kind} has no ${way} address`,
    async () => (await side.addresses()).find((address) => address.includes(way)),
  )

/** Waits until `side` knows no connection to `remote` any more. @param {Side} side @param {Side} remote @param {number} [timeout] */
export const parted = (side, remote, timeout = MOVE_TIMEOUT) =>
  until(
    timeout,
    () => `${side.kind} still has a connection that ${remote.kind} hung up`,
    async () => (await side.connections()).every(({ remotePeer }) => remotePeer !== remote.peerId) || undefined,
  )

/**
 * The error that `work` has to end with.
 *
 * @param {string} what
 * @param {Promise<unknown>} work
 * @returns {Promise<any>}
 */
export const failure = (what, work) =>
  work.then(
    () => Promise.reject(new Error(`${what} should fail`)),
    (error) => error,
  )

/** Whether an error, or one that led to it, has this code. @param {any} error @param {string} code @returns {boolean} */
export const tells = (error, code) =>
  error?.code === code || tellsOne(error?.cause, code) || (error?.errors ?? []).some((/** @type {any} */ each) => tellsOne(each, code))

/** @param {any} error @param {string} code @returns {boolean} */
const tellsOne = (error, code) => error !== undefined && error !== null && tells(error, code)
