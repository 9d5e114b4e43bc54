// Ed25519 signatures (RFC 8032 §5.1.7) by authors of whom many are checked: the module behind ../load.ts.
//
// A signature R ‖ S of a message M by the key A is right if S·B − h·A encodes to R, byte for byte, where h = SHA-512(R ‖ A ‖ M). Both points
// are known beforehand, so their multiples come out of tables (point.ts): 64 additions instead of 250 doublings and some 100 additions. An
// encoding takes an inversion, which the signatures of a batch share.
//
//   host: KEY = B ─▶ makeTable(0)      KEY = −A ─▶ makeTable(n), S = L ─▶ vanishes(n)        once for each author
//   host: TEXT = R ‖ A ‖ M, S ─▶ begin(i, n, length) … ─▶ finish(count) ─▶ RESULTS
//
// The host takes only an A of the order of B, so that h is needed modulo that order, L, and only an S below 2^252.
//
// Bounds: 64 signatures a batch, 16 KiB of TEXT, tables 0 to 8.

import { multiply, toBytes } from './field'
import { BATCH, ELEMENT, KEY, NONCES, POINT, RESULTS, S, SCRATCH, TABLE, TABLES, TEXT } from './memory'
import { addMultiple, clear, invertBatch, isNeutral, makeTable, X } from './point'
import { reduceHash } from './scalar'
import { sha512 } from './sha512'

export { makeTable }

export function keyAddress(): usize {
  return KEY
}

export function scalarAddress(): usize {
  return S
}

export function textAddress(): usize {
  return TEXT
}

export function resultsAddress(): usize {
  return RESULTS
}

const H: usize = SCRATCH + 0x580
const ENCODED: usize = SCRATCH + 0x5a8

/** Whether S times the point of a table is the neutral one. */
export function vanishes(table: usize): bool {
  clear()
  addMultiple(TABLES + table * TABLE, S)
  return isNeutral()
}

/** S·B − h·A of the `i`th of a batch; `length` bytes are at TEXT. */
export function begin(i: usize, table: usize, length: usize): void {
  v128.store(NONCES + 32 * i, v128.load(TEXT))
  v128.store(NONCES + 32 * i, v128.load(TEXT, 16), 16)
  sha512(TEXT, length)
  reduceHash(H)
  clear()
  addMultiple(TABLES, S)
  addMultiple(TABLES + table * TABLE, H)
  memory.copy(BATCH + i * POINT, X, POINT)
}

/** Whether each of the batch encodes to its R. */
export function finish(count: i32): void {
  invertBatch(count)
  for (let i: usize = 0; i < <usize>count; i++) {
    const x = BATCH + i * POINT
    const z = x + 2 * ELEMENT
    multiply(x, x, z)
    multiply(x + ELEMENT, x + ELEMENT, z)
    // The lowest bit of x is the highest of the encoding.
    toBytes(ENCODED, x)
    const sign = load<u8>(ENCODED) << 7
    toBytes(ENCODED, x + ELEMENT)
    store<u8>(ENCODED, load<u8>(ENCODED, 31) | sign, 31)
    const nonce = NONCES + 32 * i
    const differs = v128.or(v128.xor(v128.load(ENCODED), v128.load(nonce)), v128.xor(v128.load(ENCODED, 16), v128.load(nonce, 16)))
    store<u8>(RESULTS + i, v128.any_true(differs) ? 0 : 1)
  }
}
