// Arithmetic modulo p = 2^255 − 19, on two elements at a time: a pair (memory.ts).
//
// There are two ways of it, and a module is compiled for one of them: field-fused.ts needs the fused multiply-add of relaxed SIMD, and does two
// products in the time of one of field-integer.ts's, which runs wherever SIMD does.
//
// Of both: `multiply`, `carry` and `fromBytes` leave reduced elements; a sum or a difference of two reduced ones is not reduced, and of the two
// factors of a product at least one has to be.
//
// Whatever the numbers are, the steps are the same (but for `toBytes`, of what is no secret).

import * as fused from './field-fused'
import * as integer from './field-integer'
import { PAIR, SCRATCH } from './memory'

/** `out` = a · b; they may be the same. */
export function multiply(out: usize, a: usize, b: usize): void {
  if (ASC_FEATURE_RELAXED_SIMD) fused.multiply(out, a, b)
  else integer.multiply(out, a, b)
}

/** `out` = a + b, not reduced. */
export function add(out: usize, a: usize, b: usize): void {
  if (ASC_FEATURE_RELAXED_SIMD) fused.add(out, a, b)
  else integer.add(out, a, b)
}

/** `out` = a − b, not reduced. */
export function subtract(out: usize, a: usize, b: usize): void {
  if (ASC_FEATURE_RELAXED_SIMD) fused.subtract(out, a, b)
  else integer.subtract(out, a, b)
}

/** `out` = a, reduced. */
export function carry(out: usize, a: usize): void {
  if (ASC_FEATURE_RELAXED_SIMD) fused.carry(out, a)
  else integer.carry(out, a)
}

/** Both lanes become a small number. */
export function set(out: usize, value: i32): void {
  if (ASC_FEATURE_RELAXED_SIMD) fused.set(out, value)
  else integer.set(out, value)
}

/** Makes a pair of two lanes. */
export function gather(out: usize, first: usize, second: usize): void {
  if (ASC_FEATURE_RELAXED_SIMD) fused.gather(out, first, second)
  else integer.gather(out, first, second)
}

/** Writes the two lanes of a pair by themselves. */
export function scatter(pair: usize, first: usize, second: usize): void {
  if (ASC_FEATURE_RELAXED_SIMD) fused.scatter(pair, first, second)
  else integer.scatter(pair, first, second)
}

/** Negates the lanes that are to be. */
export function negate(pair: usize, first: bool, second: bool): void {
  if (ASC_FEATURE_RELAXED_SIMD) fused.negate(pair, first, second)
  else integer.negate(pair, first, second)
}

/** Of 32 bytes, little-endian, into one lane; the highest bit is left out. Reads five bytes behind them. */
export function fromBytes(out: usize, lane: usize, bytes: usize): void {
  if (ASC_FEATURE_RELAXED_SIMD) fused.fromBytes(out, lane, bytes)
  else integer.fromBytes(out, lane, bytes)
}

/** A lane of a reduced pair, as the number below p that it is, in 32 bytes. */
export function toBytes(bytes: usize, pair: usize, lane: usize): void {
  if (ASC_FEATURE_RELAXED_SIMD) fused.toBytes(bytes, pair, lane)
  else integer.toBytes(bytes, pair, lane)
}

export function copy(out: usize, pair: usize): void {
  memory.copy(out, pair, PAIR)
}

const BYTES: usize = SCRATCH + 0x600

/** Of a lane of a reduced pair. */
export function isZero(pair: usize, lane: usize): bool {
  toBytes(BYTES, pair, lane)
  return (load<u64>(BYTES) | load<u64>(BYTES, 8) | load<u64>(BYTES, 16) | load<u64>(BYTES, 24)) == 0
}

const Z2: usize = SCRATCH + 0x620
const Z9: usize = Z2 + PAIR
const Z11: usize = Z2 + 2 * PAIR
const A: usize = Z2 + 3 * PAIR
const B: usize = Z2 + 4 * PAIR
const C: usize = Z2 + 5 * PAIR

/** `out` = a squared `times` times. */
function squareTimes(out: usize, a: usize, times: i32): void {
  multiply(out, a, a)
  for (let i = 1; i < times; i++) multiply(out, out, out)
}

/** `out` = 1 / z = z^(p − 2), p − 2 = 2^255 − 21. */
export function invert(out: usize, z: usize): void {
  squareTimes(Z2, z, 1)
  squareTimes(A, Z2, 2)
  multiply(Z9, A, z)
  multiply(Z11, Z9, Z2)
  squareTimes(A, Z11, 1)
  multiply(A, A, Z9) // z^(2^5 − 1)
  squareTimes(B, A, 5)
  multiply(A, B, A) // 2^10 − 1
  squareTimes(B, A, 10)
  multiply(B, B, A) // 2^20 − 1
  squareTimes(C, B, 20)
  multiply(B, C, B) // 2^40 − 1
  squareTimes(B, B, 10)
  multiply(A, B, A) // 2^50 − 1
  squareTimes(B, A, 50)
  multiply(B, B, A) // 2^100 − 1
  squareTimes(C, B, 100)
  multiply(B, C, B) // 2^200 − 1
  squareTimes(B, B, 50)
  multiply(A, B, A) // 2^250 − 1
  squareTimes(A, A, 5)
  multiply(out, A, Z11)
}
