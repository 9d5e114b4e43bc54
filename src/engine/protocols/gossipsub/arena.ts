/**
 * Room for small pieces of bytes that are made by the ten thousand: an array of its own for each is what costs most about it.
 *
 * Bounds: a piece keeps SLAB bytes alive at most; what is over SLAB / 4 gets an array of its own.
 */

const SLAB = 16_384

let slab = new Uint8Array(SLAB)
let used = 0

/** `length` bytes, which share their buffer with others: never to be transferred. */
export const room = (length: number): Uint8Array => {
  if (length > SLAB / 4) return new Uint8Array(length)
  if (used + length > SLAB) {
    slab = new Uint8Array(SLAB)
    used = 0
  }
  used += length
  return slab.subarray(used - length, used)
}

export const copyOf = (bytes: Uint8Array): Uint8Array => {
  const copy = room(bytes.length)
  copy.set(bytes)
  return copy
}
