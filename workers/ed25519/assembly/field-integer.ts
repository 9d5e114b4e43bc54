// field.ts in integers.
//
// An element is nine limbs of 29 bits, limb i worth 2^(29·i), as 32-bit integers in memory, and a pair is one element after the other. Nine limbs
// are 261 bits, and what is above them wraps: 2^261 ≡ 2^6 · 19 = 1,216. Limbs need not be exact. Those of reduced elements are between −2^16 and
// 2^29 + 2^16; the nine products of a column have to stay below 2^63:
//
//     reduced × reduced, difference × sum: 9 · 2^59        sum × sum: 9 · 2^60, too much: one of the two is carried first
//
// Columns are carried side by side rather than one after the other, twice: nothing waits for a chain of carries.

import { LANE, SCRATCH } from './memory'

const MASK: i64 = 0x1fffffff
const WRAP: i64 = 1216

export function multiply(out: usize, a: usize, b: usize): void {
  multiplyLane(out, a, b)
  multiplyLane(out + LANE, a + LANE, b + LANE)
}

function multiplyLane(out: usize, a: usize, b: usize): void {
  const a0: i64 = load<i32>(a, 0)
  const a1: i64 = load<i32>(a, 4)
  const a2: i64 = load<i32>(a, 8)
  const a3: i64 = load<i32>(a, 12)
  const a4: i64 = load<i32>(a, 16)
  const a5: i64 = load<i32>(a, 20)
  const a6: i64 = load<i32>(a, 24)
  const a7: i64 = load<i32>(a, 28)
  const a8: i64 = load<i32>(a, 32)
  const b0: i64 = load<i32>(b, 0)
  const b1: i64 = load<i32>(b, 4)
  const b2: i64 = load<i32>(b, 8)
  const b3: i64 = load<i32>(b, 12)
  const b4: i64 = load<i32>(b, 16)
  const b5: i64 = load<i32>(b, 20)
  const b6: i64 = load<i32>(b, 24)
  const b7: i64 = load<i32>(b, 28)
  const b8: i64 = load<i32>(b, 32)
  let c0 = a0 * b0
  let c1 = a0 * b1 + a1 * b0
  let c2 = a0 * b2 + a1 * b1 + a2 * b0
  let c3 = a0 * b3 + a1 * b2 + a2 * b1 + a3 * b0
  let c4 = a0 * b4 + a1 * b3 + a2 * b2 + a3 * b1 + a4 * b0
  let c5 = a0 * b5 + a1 * b4 + a2 * b3 + a3 * b2 + a4 * b1 + a5 * b0
  let c6 = a0 * b6 + a1 * b5 + a2 * b4 + a3 * b3 + a4 * b2 + a5 * b1 + a6 * b0
  let c7 = a0 * b7 + a1 * b6 + a2 * b5 + a3 * b4 + a4 * b3 + a5 * b2 + a6 * b1 + a7 * b0
  let c8 = a0 * b8 + a1 * b7 + a2 * b6 + a3 * b5 + a4 * b4 + a5 * b3 + a6 * b2 + a7 * b1 + a8 * b0
  const c9 = a1 * b8 + a2 * b7 + a3 * b6 + a4 * b5 + a5 * b4 + a6 * b3 + a7 * b2 + a8 * b1
  const c10 = a2 * b8 + a3 * b7 + a4 * b6 + a5 * b5 + a6 * b4 + a7 * b3 + a8 * b2
  const c11 = a3 * b8 + a4 * b7 + a5 * b6 + a6 * b5 + a7 * b4 + a8 * b3
  const c12 = a4 * b8 + a5 * b7 + a6 * b6 + a7 * b5 + a8 * b4
  const c13 = a5 * b8 + a6 * b7 + a7 * b6 + a8 * b5
  const c14 = a6 * b8 + a7 * b7 + a8 * b6
  const c15 = a7 * b8 + a8 * b7
  const c16 = a8 * b8
  // 2^261 ≡ 1,216: the upper columns, halved at 29 bits so that they fit, come back at the bottom.
  c0 += (c9 & MASK) * WRAP
  c1 += ((c10 & MASK) + (c9 >> 29)) * WRAP
  c2 += ((c11 & MASK) + (c10 >> 29)) * WRAP
  c3 += ((c12 & MASK) + (c11 >> 29)) * WRAP
  c4 += ((c13 & MASK) + (c12 >> 29)) * WRAP
  c5 += ((c14 & MASK) + (c13 >> 29)) * WRAP
  c6 += ((c15 & MASK) + (c14 >> 29)) * WRAP
  c7 += ((c16 & MASK) + (c15 >> 29)) * WRAP
  c8 += (c16 >> 29) * WRAP
  // Once: at most 34 bits are left, and 44 in the lowest.
  const d0 = (c0 & MASK) + (c8 >> 29) * WRAP
  const d1 = (c1 & MASK) + (c0 >> 29)
  const d2 = (c2 & MASK) + (c1 >> 29)
  const d3 = (c3 & MASK) + (c2 >> 29)
  const d4 = (c4 & MASK) + (c3 >> 29)
  const d5 = (c5 & MASK) + (c4 >> 29)
  const d6 = (c6 & MASK) + (c5 >> 29)
  const d7 = (c7 & MASK) + (c6 >> 29)
  const d8 = (c8 & MASK) + (c7 >> 29)
  // Twice: reduced.
  store<i32>(out, <i32>((d0 & MASK) + (d8 >> 29) * WRAP), 0)
  store<i32>(out, <i32>((d1 & MASK) + (d0 >> 29)), 4)
  store<i32>(out, <i32>((d2 & MASK) + (d1 >> 29)), 8)
  store<i32>(out, <i32>((d3 & MASK) + (d2 >> 29)), 12)
  store<i32>(out, <i32>((d4 & MASK) + (d3 >> 29)), 16)
  store<i32>(out, <i32>((d5 & MASK) + (d4 >> 29)), 20)
  store<i32>(out, <i32>((d6 & MASK) + (d5 >> 29)), 24)
  store<i32>(out, <i32>((d7 & MASK) + (d6 >> 29)), 28)
  store<i32>(out, <i32>((d8 & MASK) + (d7 >> 29)), 32)
}

export function add(out: usize, a: usize, b: usize): void {
  for (let at: usize = 0; at < 64; at += 16) v128.store(out + at, i32x4.add(v128.load(a + at), v128.load(b + at)))
  v128.store64_lane(out, i32x4.add(v128.load64_zero(a, 64), v128.load64_zero(b, 64)), 0, 64)
}

export function subtract(out: usize, a: usize, b: usize): void {
  for (let at: usize = 0; at < 64; at += 16) v128.store(out + at, i32x4.sub(v128.load(a + at), v128.load(b + at)))
  v128.store64_lane(out, i32x4.sub(v128.load64_zero(a, 64), v128.load64_zero(b, 64)), 0, 64)
}

export function carry(out: usize, a: usize): void {
  carryLane(out, a)
  carryLane(out + LANE, a + LANE)
}

/** Limbs of 29 bits, but for a few more or less that a neighbour carried over. */
function carryLane(out: usize, a: usize): void {
  const mask = i32x4.splat(<i32>MASK)
  const low = v128.load(a)
  const middle = v128.load(a, 16)
  const top = load<i32>(a, 32)
  const lowCarry = i32x4.shr_s(low, 29)
  const middleCarry = i32x4.shr_s(middle, 29)
  // Each limb gets what the one below it carries.
  const intoLow = v128.shuffle<i32>(i32x4.splat((top >> 29) * <i32>WRAP), lowCarry, 0, 4, 5, 6)
  const intoMiddle = v128.shuffle<i32>(lowCarry, middleCarry, 3, 4, 5, 6)
  v128.store(out, i32x4.add(v128.and(low, mask), intoLow))
  v128.store(out, i32x4.add(v128.and(middle, mask), intoMiddle), 16)
  store<i32>(out, (top & <i32>MASK) + i32x4.extract_lane(middleCarry, 3), 32)
}

export function set(out: usize, value: i32): void {
  memory.fill(out, 0, 2 * LANE)
  store<i32>(out, value)
  store<i32>(out + LANE, value)
}

export function gather(out: usize, first: usize, second: usize): void {
  memory.copy(out, first, LANE)
  memory.copy(out + LANE, second, LANE)
}

export function scatter(pair: usize, first: usize, second: usize): void {
  memory.copy(first, pair, LANE)
  memory.copy(second, pair + LANE, LANE)
}

export function negate(pair: usize, first: bool, second: bool): void {
  negateLane(pair, -(<i32>first))
  negateLane(pair + LANE, -(<i32>second))
}

/** By the sign: −1 or 0. A mask decides, for it may be secret. */
function negateLane(a: usize, sign: i32): void {
  const signs = i32x4.splat(sign)
  v128.store(a, i32x4.sub(v128.xor(v128.load(a), signs), signs))
  v128.store(a, i32x4.sub(v128.xor(v128.load(a, 16), signs), signs), 16)
  store<i32>(a, (load<i32>(a, 32) ^ sign) - sign, 32)
}

export function fromBytes(pair: usize, lane: usize, bytes: usize): void {
  const out = pair + lane * LANE
  for (let i: usize = 0; i < 9; i++) {
    const bit = 29 * i
    store<i32>(out + 4 * i, <i32>((load<u64>(bytes + (bit >> 3)) >> (bit & 7)) & <u64>MASK))
  }
  store<i32>(out, load<i32>(out, 32) & 0x7fffff, 32)
}

const A: usize = SCRATCH + 0x820
const B: usize = A + LANE

export function toBytes(bytes: usize, pair: usize, lane: usize): void {
  memory.copy(A, pair + lane * LANE, LANE)
  // 2^7 · p more: no limb is negative.
  store<i32>(A, load<i32>(A) + 2 * (<i32>MASK + 1 - <i32>WRAP))
  for (let at: usize = 4; at < LANE; at += 4) store<i32>(A + at, load<i32>(A + at) + 2 * <i32>MASK)
  // First below 2^261 and a little, then below 2^255 and a little, then below 2^255.
  for (let i = 0; i < 2; i++) {
    const over = ripple()
    store<i32>(A, load<i32>(A) + over * <i32>WRAP)
  }
  ripple()
  for (let i = 0; i < 2; i++) {
    const top = load<i32>(A, 32)
    store<i32>(A, top & 0x7fffff, 32)
    store<i32>(A, load<i32>(A) + 19 * (top >> 23))
    ripple()
  }
  // From p to 2^255 − 1: as much as p less.
  memory.copy(B, A, LANE)
  store<i32>(A, load<i32>(A) + 19)
  ripple()
  const from = load<i32>(A, 32) >> 23 == 0 ? B : A
  store<i32>(from, load<i32>(from, 32) & 0x7fffff, 32)
  let bits: u64 = 0
  let count: u64 = 0
  let at = bytes
  for (let limb: usize = 0; limb < LANE; limb += 4) {
    bits |= <u64>load<u32>(from + limb) << count
    count += 29
    for (; count >= 8; count -= 8) {
      store<u8>(at++, <u8>bits)
      bits >>= 8
    }
  }
  // 261 bits were written as 32 bytes and five zero bits.
}

/** Carries A from limb to limb, and returns what is above the last. */
function ripple(): i32 {
  let over = 0
  for (let at: usize = 0; at < LANE; at += 4) {
    const limb = load<i32>(A + at) + over
    store<i32>(A + at, limb & <i32>MASK)
    over = limb >> 29
  }
  return over
}
