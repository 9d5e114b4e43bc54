/**
 * The key space (specs: kad-dht/README.md §Distance): keys are the SHA-256 of what they stand for, 256 bits, and the distance of two is
 * their XOR, read as a number.
 *
 *   peer        SHA-256 of the multihash of its id        content   SHA-256 of the CID's multihash        record   SHA-256 of its key
 *
 * Bounds: PeerKeys keeps as many as it is told; one hash takes 2 µs.
 */

import { sha256 } from '@noble/hashes/sha2.js'
import { concat } from '../../codec/bytes.ts'
import { type PeerId, peerIdToBytes } from '../../codec/peer-id.ts'

/** 32 bytes. */
export type Key = Uint8Array

export const KEY_BITS = 256

export const keyOf = (bytes: Uint8Array): Key => sha256(bytes)

/** Below, at or above zero: whether `a` is nearer to `target` than `b`. */
export const compareDistance = (target: Key, a: Key, b: Key): number => {
  for (let i = 0; i < 32; i++) {
    const x = a[i] as number
    const y = b[i] as number
    if (x !== y) return (x ^ (target[i] as number)) - (y ^ (target[i] as number))
  }
  return 0
}

/** Bits that both begin with: of a peer's key and ours, the bucket that the peer belongs in; 256 where they are the same. */
export const commonPrefix = (a: Key, b: Key): number => {
  for (let i = 0; i < 32; i++) {
    const different = (a[i] as number) ^ (b[i] as number)
    if (different !== 0) return i * 8 + Math.clz32(different) - 24
  }
  return KEY_BITS
}

/** The keys of peers, of which the same ones are asked for again and again. */
export class PeerKeys {
  readonly #max: number
  readonly #keys = new Map<PeerId, Key>()

  constructor(max = 4_096) {
    this.#max = max
  }

  /** Throws ERR_INVALID_PEER_ID. */
  of = (peer: PeerId): Key => {
    let key = this.#keys.get(peer)
    if (key !== undefined) return key
    key = keyOf(peerIdToBytes(peer))
    this.#keys.set(peer, key)
    if (this.#keys.size > this.#max) for (const [oldest] of this.#keys) if (this.#keys.delete(oldest)) break
    return key
  }
}

/** Code and length of a SHA-256 multihash. */
const SHA2_256 = Uint8Array.of(0x12, 32)

/**
 * Something to look for whose key has exactly `prefix` bits in common with `self`: a peer id (of nobody), as FIND_NODE asks for. It takes
 * 2^prefix hashes and more; of more than 16 times as many it gives up, which happens once in nine million times, and returns the nearest.
 */
export const lookForPrefix = (self: Key, prefix: number, random: (bytes: number) => Uint8Array): Uint8Array => {
  const id = concat([SHA2_256, random(32)])
  const view = new DataView(id.buffer)
  let best = id.slice()
  let bestBits = -1
  for (let tries = 2 ** (prefix + 5); tries > 0; tries--) {
    const bits = commonPrefix(self, keyOf(id))
    if (bits === prefix) return id
    if (bits > bestBits && bits < prefix) {
      bestBits = bits
      best = id.slice()
    }
    view.setUint32(2, (view.getUint32(2) + 1) >>> 0)
  }
  return best
}
