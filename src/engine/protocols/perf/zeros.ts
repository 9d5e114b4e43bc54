/**
 * Zeros: so many bytes in blocks, written as the channel takes them. What both sides of perf send.
 *
 * Bounds: the channel's credit and one block.
 */

import { PERF_BLOCK } from '../../limits.ts'
import type { Channel } from '../../wire/channel.ts'

/**
 * All blocks are views of this one, so that measuring makes no garbage. As with what passes through a splice, no channel may alter or
 * transfer the buffer of a view: the byte more makes every block a part, never the whole.
 */
const zeros = new Uint8Array(PERF_BLOCK + 1)

export class Zeros {
  readonly #channel: Channel
  /** Whole blocks that are left: at most 2^48, which a number holds exactly. */
  #blocks: number
  /** Bytes behind the last whole block. */
  #rest: number

  constructor(channel: Channel, bytes: bigint) {
    this.#channel = channel
    this.#blocks = Number(bytes / BigInt(PERF_BLOCK))
    this.#rest = Number(bytes % BigInt(PERF_BLOCK))
  }

  /** Writes while there is credit; returns whether all is written. */
  flow(): boolean {
    const channel = this.#channel
    while (this.#blocks > 0 && channel.credit > 0) {
      this.#blocks -= 1
      channel.write(zeros.subarray(0, PERF_BLOCK))
    }
    if (this.#blocks === 0 && this.#rest > 0 && channel.credit > 0) {
      const rest = this.#rest
      this.#rest = 0
      channel.write(zeros.subarray(0, rest))
    }
    return this.#blocks === 0 && this.#rest === 0
  }
}
