/**
 * DAG-CBOR (https://ipld.io/specs/codecs/dag-cbor/spec/), as much as is read of an IPNS record: one map of text to anything, of which
 * byte strings, text and integers from 0 are handed out. What else there is, is checked for its lengths and passed over.
 *
 * Bounds: the input's length; MAX_DEPTH of nesting. Every fault throws ERR_DECODE.
 */

import { remoteFault } from '../../../errors.ts'
import { fromUtf8 } from '../../codec/bytes.ts'

export type CborValue = Uint8Array | string | bigint | undefined

const MAX_DEPTH = 16

const fault = (what: string, at: number) => remoteFault('ERR_DECODE', `CBOR with ${what} at byte ${at}`)

/** The entries of the map that `input` is. */
export const decodeCborMap = (input: Uint8Array): Map<string, CborValue> => {
  const reader = new CborReader(input)
  const map = reader.map()
  if (reader.at !== input.length) throw fault('more behind it', reader.at)
  return map
}

// RFC 8949 §3.1: major types.
const UNSIGNED = 0
const BYTES = 2
const TEXT = 3
const ARRAY = 4
const MAP = 5
const TAG = 6

class CborReader {
  at = 0
  readonly #input: Uint8Array

  constructor(input: Uint8Array) {
    this.#input = input
  }

  map(): Map<string, CborValue> {
    const { major, value } = this.#head()
    if (major !== MAP) throw fault('something else than a map', 0)
    const map = new Map<string, CborValue>()
    for (let left = this.#length(value); left > 0; left--) {
      const at = this.at
      const key = this.#item(1)
      if (typeof key !== 'string') throw fault('a key that is no text', at)
      if (map.has(key)) throw fault('a key twice', at)
      map.set(key, this.#item(1))
    }
    return map
  }

  #item(depth: number): CborValue {
    if (depth > MAX_DEPTH) throw fault('too much nesting', this.at)
    const at = this.at
    const { major, value } = this.#head()
    switch (major) {
      case UNSIGNED:
        return value
      case BYTES:
      case TEXT: {
        const from = this.at
        this.at += this.#length(value)
        return major === BYTES ? this.#input.subarray(from, this.at) : fromUtf8(this.#input, from, this.at)
      }
      case ARRAY:
        for (let left = this.#length(value); left > 0; left--) this.#item(depth + 1)
        return undefined
      case MAP:
        for (let left = 2 * this.#length(value); left > 0; left--) this.#item(depth + 1)
        return undefined
      case TAG:
        // §Strictness: links are all that is tagged.
        if (value !== 42n) throw fault('an unknown tag', at)
        this.#item(depth + 1)
        return undefined
      default:
        // Negative integers; false, true, null and numbers of 64 bits.
        return undefined
    }
  }

  /** An item's first byte, and its argument in the shortest form (§Strictness). */
  #head(): { major: number; value: bigint } {
    const at = this.at
    const first = this.#input[this.at++]
    if (first === undefined) throw fault('its end', at)
    const major = first >> 5
    const info = first & 31
    if (info < 24) {
      if (major === 7 && (info < 20 || info > 22)) throw fault('a simple value', at)
      return { major, value: BigInt(info) }
    }
    const size = info === 24 ? 1 : info === 25 ? 2 : info === 26 ? 4 : info === 27 ? 8 : 0
    if (size === 0 || (major === 7 && size !== 8)) throw fault('an indefinite length', at)
    if (this.at + size > this.#input.length) throw fault('its end', at)
    let value = 0n
    for (let i = 0; i < size; i++) value = (value << 8n) | BigInt(this.#input[this.at++] as number)
    if (major !== 7 && value < (size === 1 ? 24n : 1n << BigInt(4 * size))) throw fault('a number longer than it need be', at)
    return { major, value }
  }

  /** A length that what is left can hold. */
  #length(value: bigint): number {
    if (value > BigInt(this.#input.length - this.at)) throw fault(`a length of ${value}`, this.at)
    return Number(value)
  }
}
