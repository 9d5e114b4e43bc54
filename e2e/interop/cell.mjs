// One cell of the matrix: two peers meet over one transport, security and muxer, ping, echo 1 MB, measure 20 MB each way, and part.

import { expectedOf, TRANSPORTS } from './matrix.mjs'
import { parted, trial } from './trial.mjs'
import { within } from './waiting.mjs'

const PART_TIMEOUT = 5_000

/**
 * @typedef {import('./side.mjs').Side} Side
 * @typedef {import('./matrix.mjs').Pair} Pair
 * @typedef {import('./trial.mjs').Row} Row
 */

/**
 * @param {{ meet: (pair: Pair) => Promise<{ from: Side, to: Side, address: string }> }} cast
 * @param {Pair} pair
 * @param {(sides: Side[]) => void} met told who plays, for the message of a failure
 * @returns {Promise<Row>}
 */
export const runCell = async (cast, pair, met) => {
  const { from, to, address } = await cast.meet(pair)
  met([from, to])
  const row = await trial(from, to, { address, way: TRANSPORTS[pair.line.transport].name, expected: expectedOf(pair.line) })
  await part(from, to)
  return row
}

/**
 * Both hang up, because js-libp2p hears of the end of a WebRTC connection only when ICE gives up; then neither knows the other any more.
 *
 * @param {Side} from
 * @param {Side} to
 */
const part = async (from, to) => {
  await within(PART_TIMEOUT, `hanging up by ${from.kind}`, from.hangUp(to.peerId))
  await within(PART_TIMEOUT, `hanging up by ${to.kind}`, to.hangUp(from.peerId))
  await Promise.all([parted(from, to, PART_TIMEOUT), parted(to, from, PART_TIMEOUT)])
}
