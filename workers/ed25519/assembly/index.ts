// Ed25519 signatures (RFC 8032 §5.1.7) by authors of whom many are checked: the modules behind ../load.ts. Those of our own are made in sign.ts.
//
// A signature R ‖ S of a message M by the key A is right if S·B − h·A encodes to R, byte for byte, where h = SHA-512(R ‖ A ‖ M). Both points
// are known beforehand, so their multiples come out of tables (point.ts): 32 additions of two points at a time instead of 250 doublings and some
// 100 additions. An encoding takes an inversion, which the signatures of a batch share.
//
//   host: KEY = B ─▶ makeTable(0)      KEY = −A ─▶ makeTable(n), S = L ─▶ vanishes(n)        once for each author
//   host: TEXT = R ‖ A ‖ M, S ─▶ begin(i, n, length) … ─▶ finish(count) ─▶ RESULTS
//
// The host takes only an A of the order of B, so that h is needed modulo that order, L, and only an S below 2^252.
//
// Bounds: 64 signatures a batch, 16 KiB of TEXT, tables 0 to 8.

import { ANSWERS, BATCH, KEY, LANE, NONCES, POINT, RESULTS, S, SCRATCH, SECRET, SIGNATURES, TABLE, TABLES, TEXT } from './memory'
import { addMultiples, clear, encodeBatch, gatherSums, invertBatch, isNeutral, makeTable, scatterSums, setStep, step, X } from './point'
import { reduceHash } from './scalar'
import { sha512 } from './sha512'
import { answer, commit, drawNonce } from './sign'

export { answer, commit, drawNonce, makeTable }

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

export function noncesAddress(): usize {
  return NONCES
}

export function secretAddress(): usize {
  return SECRET
}

export function answersAddress(): usize {
  return ANSWERS
}

const H: usize = SCRATCH + 0x580
const ENCODED: usize = SCRATCH + 0x5a8

/** Whether S times the point of a table is the neutral one. */
export function vanishes(number: usize): bool {
  const table = TABLES + number * TABLE
  clear()
  addMultiples(table, S, table, S)
  return isNeutral()
}

/** Both multiples of the `i`th of a batch; `length` bytes are at TEXT. */
export function begin(i: usize, table: usize, length: usize): void {
  v128.store(NONCES + 32 * i, v128.load(TEXT))
  v128.store(NONCES + 32 * i, v128.load(TEXT, 16), 16)
  sha512(TEXT, length)
  reduceHash(H)
  clear()
  addMultiples(TABLES, S, TABLES + table * TABLE, H)
  const signature = SIGNATURES + i * 8 * LANE
  scatterSums(signature, signature + 4 * LANE)
}

/** Whether each of the batch encodes to its R. */
export function finish(count: usize): void {
  // Two at a time; where they are odd the last is its own neighbour.
  const pairs = (count + 1) / 2
  for (let pair: usize = 0; pair < pairs; pair++) {
    const first = SIGNATURES + pair * 16 * LANE
    const second = pair + pair + 1 < count ? first + 8 * LANE : first
    gatherSums(first, second)
    setStep()
    gatherSums(first + 4 * LANE, second + 4 * LANE)
    step()
    memory.copy(BATCH + pair * POINT, X, POINT)
  }
  invertBatch(<i32>pairs, false)
  for (let i: usize = 0; i < count; i++) {
    encodeBatch(ENCODED, i)
    const nonce = NONCES + 32 * i
    const differs = v128.or(v128.xor(v128.load(ENCODED), v128.load(nonce)), v128.xor(v128.load(ENCODED, 16), v128.load(nonce, 16)))
    store<u8>(RESULTS + i, v128.any_true(differs) ? 0 : 1)
  }
}
