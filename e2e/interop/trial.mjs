// What every cell does once there is a way from one peer to another: connect, ping, 1 MB echoed and compared by hash, 20 MB there and back.

import { until } from './lab.mjs'

const MB = 1_000_000
const ECHO_BYTES = MB
const PERF_BYTES = 20 * MB
const DIAL_TIMEOUT = 30_000
const TRANSFER_TIMEOUT = 60_000
/** A relayed connection that has done its work goes when it has been idle for a moment. */
const MOVE_TIMEOUT = 20_000

/**
 * @typedef {import('./lab.mjs').Side} Side
 * @typedef {import('./lab.mjs').Scene} Scene
 * @typedef {{ connect?: number, ping?: number, echo?: number, up?: number, down?: number, note?: string }} Row
 * Milliseconds, and MB/s.
 * @typedef {{ name: string, run: (scene: Scene) => Promise<Row> }} Case
 * @typedef {'websocket' | 'relay' | 'webrtc'} Way
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
 * @typedef {{ address: string, way: Way, limited?: boolean, perf?: boolean }} Plan
 * `address` is where to dial, `way` what the connection has to be in the end, `limited` whether its relay limits it; `perf: false` leaves
 * the 20 MB out.
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
 * @param {Side} from
 * @param {Side} to
 * @param {Plan} plan
 * @returns {Promise<Row>}
 */
export const afterDial = async (from, to, { address, way, limited = false, perf = true }) => {
  if (way === 'webrtc') await moved(from, to)
  await checkConnection(from, to, way, limited)
  await checkConnection(to, from, way, limited)
  // A js-libp2p peer finds its connection by the address; over WebRTC, both take the direct one.
  const target = way === 'webrtc' || from.kind.startsWith('our') ? to.peerId : address
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
 * Both sides have a connection of the kind that is wanted, and ours tells about it as it is.
 *
 * @param {Side} side
 * @param {Side} remote
 * @param {Way} way
 * @param {boolean} limited
 */
const checkConnection = async (side, remote, way, limited) => {
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
  if (side.kind.startsWith('js')) return
  const [encryption, muxer] = way === 'webrtc' ? ['dtls', '/webrtc'] : ['/noise', '/yamux/1.0.0']
  expect(connection.encryption === encryption, `encryption should be ${encryption}`, connection.encryption)
  expect(connection.muxer === muxer, `muxer should be ${muxer}`, connection.muxer)
}

/** @param {{ transport?: string, remoteAddr: string }} connection @returns {string} */
export const wayOf = ({ transport, remoteAddr }) =>
  transport ?? (remoteAddr.includes('/webrtc') ? 'webrtc' : remoteAddr.includes('/p2p-circuit') ? 'relay' : 'websocket')

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

/** Waits until `side` knows no connection to `remote` any more. @param {Side} side @param {Side} remote */
export const parted = (side, remote) =>
  until(
    MOVE_TIMEOUT,
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
