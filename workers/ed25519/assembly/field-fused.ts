// field.ts in floating point, for processors with a fused multiply-add: a · b + c, rounded once.
//
// An element is five limbs of 51 bits, limb i worth 2^(51·i): whole numbers in doubles, of either sign. A pair is five vectors, limb by limb.
// What is above 255 bits wraps: 2^255 ≡ 19. Reduced limbs are between −2^50 and 2^50 + 2^14; carried ones of sums a little less.
//
// A product of two limbs has up to 102 bits, and is cut in two by adding numbers so large that the rest is rounded away (a way well known for
// multiplying in doubles). With C = 3 · 2^102, whose unit in the last place is 2^51:
//
//     high = a·b + C                          C and a·b to the nearest multiple of 2^51
//     low  = a·b + (C + 3·2^51 − high)        3·2^51 and the rest, from −2^50 to 2^50, exactly: the bracket is exact, and so is the sum
//
// for −2^102 ≤ a·b ≤ 2^102, which is why one factor is to be reduced: 2^50 · 2^51 and a little. Within such a range of powers of two the bits of
// a double, read as an integer, go up by one with each unit, so columns are added up as integers, and what the constants add to the bits is
// taken off a column once, at its end.
//
// Instructions of relaxed SIMD may round twice where the processor has no fused one. Then all this is wrong: the host looks (../load.ts).

import { LANE, SCRATCH } from './memory'

const CUT: f64 = 3 * 5070602400912917605986812821504.0 // 3 · 2^102
const UNITS: f64 = 3 * 2251799813685248.0 // 3 · 2^51
const MASK: i64 = 0x7ffffffffffff

const HIGH_BITS: i64 = 0x4668000000000000 // of 3 · 2^102
const LOW_BITS: i64 = 0x4338000000000000 // of 3 · 2^51

// A column is no less than −2^59; 256 p make it positive, and 2^50 more is taken off again when it is a limb, so that it has either sign.
const OFFSET: i64 = 0x4000000000000
const LIFT: i64 = 256 * MASK + OFFSET
const LIFT_0: i64 = 256 * (MASK - 18) + OFFSET
/** Of the bits of 2^52: with them, an integer below it is a double that is larger by 2^52. */
const INTEGER_BITS: i64 = 0x4330000000000000
const INTEGER: f64 = 4503599627370496.0

const COLUMNS: usize = SCRATCH + 0x820

// @ts-ignore: decorator
@inline
function high(a: v128, b: v128): v128 {
  return v128.relaxed_madd<f64>(a, b, f64x2.splat(CUT))
}

// @ts-ignore: decorator
@inline
function low(a: v128, b: v128, cut: v128): v128 {
  return v128.relaxed_madd<f64>(a, b, f64x2.sub(f64x2.splat(CUT + UNITS), cut))
}

// @ts-ignore: decorator
@inline
function nineteen(a: v128): v128 {
  return i64x2.add(a, i64x2.add(i64x2.shl(a, 1), i64x2.shl(a, 4)))
}

// @ts-ignore: decorator
@inline
function plus(a: v128, b: v128): v128 {
  return i64x2.add(a, b)
}

/** What the constants in the bits of a column's parts come to, those that wrap nineteen times, taken off what lifts it. */
const COLUMN_0: i64 = LIFT_0 - (77 * LOW_BITS + 95 * HIGH_BITS)
const COLUMN_1: i64 = LIFT - (59 * LOW_BITS + 77 * HIGH_BITS)
const COLUMN_2: i64 = LIFT - (41 * LOW_BITS + 59 * HIGH_BITS)
const COLUMN_3: i64 = LIFT - (23 * LOW_BITS + 41 * HIGH_BITS)
const COLUMN_4: i64 = LIFT - (5 * LOW_BITS + 23 * HIGH_BITS)

export function multiply(out: usize, a: usize, b: usize): void {
  const a0 = v128.load(a)
  const a1 = v128.load(a, 16)
  const a2 = v128.load(a, 32)
  const a3 = v128.load(a, 48)
  const a4 = v128.load(a, 64)
  const b0 = v128.load(b)
  const b1 = v128.load(b, 16)
  const b2 = v128.load(b, 32)
  const b3 = v128.load(b, 48)
  const b4 = v128.load(b, 64)
  // Each column is the low parts of its own products and the high ones of the column before. They are stored as they are done, or the
  // compiler would begin them all and run out of registers. First those that wrap, from the fifth.
  let p = high(a0, b4)
  let q = high(a1, b3)
  let r = high(a2, b2)
  let s = high(a3, b1)
  let t = high(a4, b0)
  let lows = plus(plus(low(a0, b4, p), low(a1, b3, q)), plus(plus(low(a2, b2, r), low(a3, b1, s)), low(a4, b0, t)))
  let highs = plus(plus(p, q), plus(plus(r, s), t))
  v128.store(COLUMNS, lows, 64)
  p = high(a1, b4)
  q = high(a2, b3)
  r = high(a3, b2)
  s = high(a4, b1)
  lows = plus(plus(low(a1, b4, p), low(a2, b3, q)), plus(low(a3, b2, r), low(a4, b1, s)))
  v128.store(COLUMNS, plus(nineteen(plus(lows, highs)), i64x2.splat(COLUMN_0)))
  highs = plus(plus(p, q), plus(r, s))
  p = high(a2, b4)
  q = high(a3, b3)
  r = high(a4, b2)
  lows = plus(plus(low(a2, b4, p), low(a3, b3, q)), low(a4, b2, r))
  v128.store(COLUMNS, plus(nineteen(plus(lows, highs)), i64x2.splat(COLUMN_1)), 16)
  highs = plus(plus(p, q), r)
  p = high(a3, b4)
  q = high(a4, b3)
  lows = plus(low(a3, b4, p), low(a4, b3, q))
  v128.store(COLUMNS, plus(nineteen(plus(lows, highs)), i64x2.splat(COLUMN_2)), 32)
  highs = plus(p, q)
  p = high(a4, b4)
  v128.store(COLUMNS, plus(nineteen(plus(low(a4, b4, p), highs)), i64x2.splat(COLUMN_3)), 48)
  v128.store(COLUMNS, plus(v128.load(COLUMNS, 64), plus(nineteen(p), i64x2.splat(COLUMN_4))), 64)
  // Then the lower ones are added.
  p = high(a0, b0)
  v128.store(COLUMNS, plus(v128.load(COLUMNS), low(a0, b0, p)))
  highs = p
  p = high(a0, b1)
  q = high(a1, b0)
  lows = plus(low(a0, b1, p), low(a1, b0, q))
  v128.store(COLUMNS, plus(v128.load(COLUMNS, 16), plus(lows, highs)), 16)
  highs = plus(p, q)
  p = high(a0, b2)
  q = high(a1, b1)
  r = high(a2, b0)
  lows = plus(plus(low(a0, b2, p), low(a1, b1, q)), low(a2, b0, r))
  v128.store(COLUMNS, plus(v128.load(COLUMNS, 32), plus(lows, highs)), 32)
  highs = plus(plus(p, q), r)
  p = high(a0, b3)
  q = high(a1, b2)
  r = high(a2, b1)
  s = high(a3, b0)
  lows = plus(plus(low(a0, b3, p), low(a1, b2, q)), plus(low(a2, b1, r), low(a3, b0, s)))
  v128.store(COLUMNS, plus(v128.load(COLUMNS, 48), plus(lows, highs)), 48)
  highs = plus(plus(p, q), plus(r, s))
  // All are carried at once: each is below 2^60, and leaves fewer than 2^9 to the next.
  const c0 = v128.load(COLUMNS)
  const c1 = v128.load(COLUMNS, 16)
  const c2 = v128.load(COLUMNS, 32)
  const c3 = v128.load(COLUMNS, 48)
  const c4 = plus(v128.load(COLUMNS, 64), highs)
  const mask = i64x2.splat(MASK)
  v128.store(out, limb(plus(v128.and(c0, mask), nineteen(i64x2.shr_u(c4, 51)))))
  v128.store(out, limb(plus(v128.and(c1, mask), i64x2.shr_u(c0, 51))), 16)
  v128.store(out, limb(plus(v128.and(c2, mask), i64x2.shr_u(c1, 51))), 32)
  v128.store(out, limb(plus(v128.and(c3, mask), i64x2.shr_u(c2, 51))), 48)
  v128.store(out, limb(plus(v128.and(c4, mask), i64x2.shr_u(c3, 51))), 64)
}

/** Of integers from 0 to 2^52 the doubles, without the OFFSET. */
// @ts-ignore: decorator
@inline
function limb(integers: v128): v128 {
  return f64x2.sub(v128.or(integers, i64x2.splat(INTEGER_BITS)), f64x2.splat(INTEGER + <f64>OFFSET))
}

export function add(out: usize, a: usize, b: usize): void {
  v128.store(out, f64x2.add(v128.load(a), v128.load(b)))
  v128.store(out, f64x2.add(v128.load(a, 16), v128.load(b, 16)), 16)
  v128.store(out, f64x2.add(v128.load(a, 32), v128.load(b, 32)), 32)
  v128.store(out, f64x2.add(v128.load(a, 48), v128.load(b, 48)), 48)
  v128.store(out, f64x2.add(v128.load(a, 64), v128.load(b, 64)), 64)
}

export function subtract(out: usize, a: usize, b: usize): void {
  v128.store(out, f64x2.sub(v128.load(a), v128.load(b)))
  v128.store(out, f64x2.sub(v128.load(a, 16), v128.load(b, 16)), 16)
  v128.store(out, f64x2.sub(v128.load(a, 32), v128.load(b, 32)), 32)
  v128.store(out, f64x2.sub(v128.load(a, 48), v128.load(b, 48)), 48)
  v128.store(out, f64x2.sub(v128.load(a, 64), v128.load(b, 64)), 64)
}

/** To the nearest multiple of 2^51. */
// @ts-ignore: decorator
@inline
function over(a: v128): v128 {
  return f64x2.sub(f64x2.add(a, f64x2.splat(CUT)), f64x2.splat(CUT))
}

// @ts-ignore: decorator
@inline
function carried(a: v128, own: v128, below: v128, worth: f64): v128 {
  return f64x2.add(f64x2.sub(a, own), f64x2.mul(below, f64x2.splat(worth)))
}

/** What a limb has over, as the next one counts it. */
const NEXT: f64 = 1.0 / 2251799813685248.0

export function carry(out: usize, a: usize): void {
  const a0 = v128.load(a)
  const a1 = v128.load(a, 16)
  const a2 = v128.load(a, 32)
  const a3 = v128.load(a, 48)
  const a4 = v128.load(a, 64)
  const over0 = over(a0)
  const over1 = over(a1)
  const over2 = over(a2)
  const over3 = over(a3)
  const over4 = over(a4)
  v128.store(out, carried(a0, over0, over4, 19 * NEXT))
  v128.store(out, carried(a1, over1, over0, NEXT), 16)
  v128.store(out, carried(a2, over2, over1, NEXT), 32)
  v128.store(out, carried(a3, over3, over2, NEXT), 48)
  v128.store(out, carried(a4, over4, over3, NEXT), 64)
}

export function set(out: usize, value: i32): void {
  memory.fill(out, 0, 2 * LANE)
  v128.store(out, f64x2.splat(<f64>value))
}

export function gather(out: usize, first: usize, second: usize): void {
  v128.store(out, v128.load64_lane(second, v128.load64_zero(first), 1))
  v128.store(out, v128.load64_lane(second, v128.load64_zero(first, 8), 1, 8), 16)
  v128.store(out, v128.load64_lane(second, v128.load64_zero(first, 16), 1, 16), 32)
  v128.store(out, v128.load64_lane(second, v128.load64_zero(first, 24), 1, 24), 48)
  v128.store(out, v128.load64_lane(second, v128.load64_zero(first, 32), 1, 32), 64)
}

export function scatter(pair: usize, first: usize, second: usize): void {
  for (let i: usize = 0; i < 5; i++) {
    store<f64>(first + 8 * i, load<f64>(pair + 16 * i))
    store<f64>(second + 8 * i, load<f64>(pair + 16 * i, 8))
  }
}

export function negate(pair: usize, first: bool, second: bool): void {
  const signs = i64x2.replace_lane(i64x2.splat(<i64>first << 63), 1, <i64>second << 63)
  v128.store(pair, v128.xor(v128.load(pair), signs))
  v128.store(pair, v128.xor(v128.load(pair, 16), signs), 16)
  v128.store(pair, v128.xor(v128.load(pair, 32), signs), 32)
  v128.store(pair, v128.xor(v128.load(pair, 48), signs), 48)
  v128.store(pair, v128.xor(v128.load(pair, 64), signs), 64)
}

export function fromBytes(out: usize, lane: usize, bytes: usize): void {
  for (let i: usize = 0; i < 5; i++) {
    const bit = 51 * i
    store<f64>(out + 16 * i + 8 * lane, <f64>(<i64>(load<u64>(bytes + (bit >> 3)) >> (bit & 7)) & MASK))
  }
  carry(out, out)
}

/** A limb as an integer that is not negative: 2p more. */
// @ts-ignore: decorator
@inline
function integer(at: usize, lift: i64): i64 {
  return <i64>load<f64>(at) + 2 * lift
}

export function toBytes(bytes: usize, pair: usize, lane: usize): void {
  const from = pair + 8 * lane
  let a0 = integer(from, MASK - 18)
  let a1 = integer(from + 16, MASK)
  let a2 = integer(from + 32, MASK)
  let a3 = integer(from + 48, MASK)
  let a4 = integer(from + 64, MASK)
  // First below 2^255 and a little, then below 2^255; at last from p up it is p less, which is 19 more without the bit above.
  for (let i = 0; i < 3; i++) {
    if (i == 2) a0 += 19 * ((a4 + ((a3 + ((a2 + ((a1 + ((a0 + 19) >> 51)) >> 51)) >> 51)) >> 51)) >> 51)
    a1 += a0 >> 51
    a0 &= MASK
    a2 += a1 >> 51
    a1 &= MASK
    a3 += a2 >> 51
    a2 &= MASK
    a4 += a3 >> 51
    a3 &= MASK
    if (i < 2) a0 += 19 * (a4 >> 51)
    a4 &= MASK
  }
  store<i64>(bytes, a0 | (a1 << 51))
  store<i64>(bytes, (a1 >> 13) | (a2 << 38), 8)
  store<i64>(bytes, (a2 >> 26) | (a3 << 25), 16)
  store<i64>(bytes, (a3 >> 39) | (a4 << 12), 24)
}
