// Ed25519 signatures of our own (RFC 8032 §5.1.6), many at a time: r = SHA-512(prefix ‖ M), R = r·B, k = SHA-512(R ‖ A ‖ M), S = r + k·a.
//
//   host: SECRET = a        TEXT = prefix ‖ M ─▶ drawNonce(i, length) …
//                           ─▶ commit(count) ─▶ R in NONCES        TEXT = R ‖ A ‖ M ─▶ answer(i, length) … ─▶ S in ANSWERS
//
// Here everything is secret but what comes out. So nothing that is known from r or a decides where to go or what to read: of a table all
// eight entries are read that a digit could name, and the one is kept by masks. Digits are of base 16, −8 to 8: of the base point's table
// (point.ts) the multiples 1 to 8 in each window, and 16 to 128 by sixteen for the next digit. Additions, products and inversion are the same steps for
// all numbers.
//
// Bounds: 64 signatures at a time, 16 KiB of TEXT.

import { gather, negate } from './field'
import { ANSWERS, BATCH, ENTRY, LANE, MULTIPLES, NEUTRAL, NONCES, POINT, SCALARS, SECRET, SELECTED, TABLES, TEXT, WINDOWS } from './memory'
import { addNext, clear, encodeBatch, invertBatch, MINUS, PLUS, PRODUCT, X, Z } from './point'
import { multiplyAdd, reduceHash } from './scalar'
import { HASH, sha512 } from './sha512'

const SCALAR: usize = 32

/** The scalar r of the `i`th message, of which `length` bytes with the prefix are at TEXT. */
export function drawNonce(i: usize, length: usize): void {
  sha512(TEXT, length)
  reduceHash(SCALARS + i * SCALAR)
}

/** Each R. */
export function commit(count: usize): void {
  const pairs = (count + 1) / 2
  for (let pair: usize = 0; pair < pairs; pair++) {
    const first = SCALARS + 2 * SCALAR * pair
    clear()
    addSecretMultiples(first, pair + pair + 1 < count ? first + SCALAR : first)
    memory.copy(BATCH + pair * POINT, X, POINT)
  }
  invertBatch(<i32>pairs, false)
  for (let i: usize = 0; i < count; i++) encodeBatch(NONCES + i * SCALAR, i)
}

/** S of the `i`th message; `length` bytes of R ‖ A ‖ M are at TEXT. */
export function answer(i: usize, length: usize): void {
  sha512(TEXT, length)
  reduceHash(ANSWERS + i * SCALAR)
  multiplyAdd(HASH, ANSWERS + i * SCALAR, SECRET, SCALARS + i * SCALAR)
  reduceHash(ANSWERS + i * SCALAR)
}

/** To each sum adds its scalar, of 32 bytes and below 2^253, times the base point. */
function addSecretMultiples(firstScalar: usize, secondScalar: usize): void {
  let firstOver = 0
  let secondOver = 0
  for (let i = 0; i < 2 * WINDOWS; i++) {
    const shift = (i & 1) << 2
    let first = ((<i32>load<u8>(firstScalar + (i >> 1)) >> shift) & 15) + firstOver
    firstOver = (first + 8) >> 4
    first -= firstOver << 4
    let second = ((<i32>load<u8>(secondScalar + (i >> 1)) >> shift) & 15) + secondOver
    secondOver = (second + 8) >> 4
    second -= secondOver << 4
    const window = TABLES + <usize>((i >> 1) * MULTIPLES) * ENTRY
    const unit: usize = (i & 1) == 0 ? 1 : 16
    select(SELECTED, window, unit, first)
    select(SELECTED + 128, window, unit, second)
    gather(MINUS, SELECTED, SELECTED + 128)
    gather(PLUS, SELECTED + LANE, SELECTED + 128 + LANE)
    gather(PRODUCT, SELECTED + 2 * LANE, SELECTED + 128 + 2 * LANE)
    negate(PRODUCT, first < 0, second < 0)
    addNext(Z)
  }
}

/** The entry of a digit, or the neutral one; of a negative digit y − x and y + x in each other's places. */
function select(out: usize, window: usize, unit: usize, digit: i32): void {
  const negative = digit >> 31
  const magnitude = (digit ^ negative) - negative
  memory.copy(out, NEUTRAL, ENTRY)
  for (let k = 1; k <= 8; k++) {
    const entry = window + (<usize>k * unit - 1) * ENTRY
    // All ones where they are equal: of a number from 0 to 15, one less than it is negative for 0 alone.
    const mask = i32x4.splat(((magnitude ^ k) - 1) >> 31)
    for (let at: usize = 0; at < ENTRY; at += 16) v128.store(out + at, v128.bitselect(v128.load(entry + at), v128.load(out + at), mask))
  }
  for (let at: usize = 0; at < LANE; at += 4) {
    const minus = load<i32>(out + at)
    const plus = load<i32>(out + LANE + at)
    const change = (minus ^ plus) & negative
    store<i32>(out + at, minus ^ change)
    store<i32>(out + LANE + at, plus ^ change)
  }
}
