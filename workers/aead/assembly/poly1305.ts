// Poly1305 (RFC 8439 §2.5): the message, in blocks of 16 bytes with a bit set above each, is a polynomial evaluated at r
// modulo p = 2^130 − 5, by Horner's rule:  h ← (h + block) · r.
//
// Two forms. The scalar one takes one block a step with 32-bit limbs. The four-lane one takes four blocks a step,
// lane j the blocks j, j+4, j+8, …, each lane its own Horner's rule with r⁴ instead of r:
//
//     h0 ← (h0 + m0)·r⁴    h1 ← (h1 + m1)·r⁴    h2 ← (h2 + m2)·r⁴    h3 ← (h3 + m3)·r⁴        then m4 … m7, and so on
//
// and in the last step the lanes are multiplied by r⁴, r³, r², r instead, which gives every block the power it would
// have had one after the other, so that the sum of the lanes is the h that the scalar form goes on with.
//
// Numbers of 130 bits are five limbs of 26 in the lanes: a product of two limbs is 52 bits, and five of them, one
// factor times five (2^130 ≡ 5), stay under 2^64. Between the two forms h is stored as 32-bit limbs h0 … h3 and h4.

import { ACCUMULATOR, KEYSTREAM, POWERS, R } from './memory'

const LOW_32: u64 = 0xffffffff
const LOW_26: u64 = 0x3ffffff

// §2.5.1: r is the first half of the one-time key, with 22 of its bits cleared; h begins at zero.
export function polyBegin(): void {
  memory.fill(ACCUMULATOR, 0, 40)
  store<u64>(R, load<u32>(KEYSTREAM, 0) & 0x0fffffff, 0)
  store<u64>(R, load<u32>(KEYSTREAM, 4) & 0x0ffffffc, 8)
  store<u64>(R, load<u32>(KEYSTREAM, 8) & 0x0ffffffc, 16)
  store<u64>(R, load<u32>(KEYSTREAM, 12) & 0x0ffffffc, 24)
}

// Adds `bytes` (a multiple of 16) at `from`, one block at a time.
export function polyBlocks(from: usize, bytes: usize): void {
  let h0 = load<u64>(ACCUMULATOR, 0)
  let h1 = load<u64>(ACCUMULATOR, 8)
  let h2 = load<u64>(ACCUMULATOR, 16)
  let h3 = load<u64>(ACCUMULATOR, 24)
  let h4 = load<u64>(ACCUMULATOR, 32)
  const r0 = load<u64>(R, 0)
  const r1 = load<u64>(R, 8)
  const r2 = load<u64>(R, 16)
  const r3 = load<u64>(R, 24)
  // What exceeds 2^130 wraps times five: 2^128·r ≡ (5/4)·r, whole because the lowest two bits of r1 … r3 are cleared.
  const s1 = r1 + (r1 >> 2)
  const s2 = r2 + (r2 >> 2)
  const s3 = r3 + (r3 >> 2)
  const end = from + bytes
  for (let block = from; block < end; block += 16) {
    // h += block + 2^128, carried so that the products below fit (32 + 28 bits and three sums).
    h0 += load<u32>(block, 0)
    h1 += load<u32>(block, 4) + (h0 >> 32)
    h0 &= LOW_32
    h2 += load<u32>(block, 8) + (h1 >> 32)
    h1 &= LOW_32
    h3 += load<u32>(block, 12) + (h2 >> 32)
    h2 &= LOW_32
    h4 += 1 + (h3 >> 32)
    h3 &= LOW_32
    // h ·= r
    const d0 = h0 * r0 + h1 * s3 + h2 * s2 + h3 * s1
    const d1 = h0 * r1 + h1 * r0 + h2 * s3 + h3 * s2 + h4 * s1 + (d0 >> 32)
    const d2 = h0 * r2 + h1 * r1 + h2 * r0 + h3 * s3 + h4 * s2 + (d1 >> 32)
    const d3 = h0 * r3 + h1 * r2 + h2 * r1 + h3 * r0 + h4 * s3 + (d2 >> 32)
    h4 = h4 * r0 + (d3 >> 32)
    // What is above 130 bits, times five, comes back at the bottom: q + 4q with q = h4 / 4.
    h0 = (d0 & LOW_32) + (h4 >> 2) + (h4 & ~3)
    h1 = d1 & LOW_32
    h2 = d2 & LOW_32
    h3 = d3 & LOW_32
    h4 &= 3
  }
  store<u64>(ACCUMULATOR, h0, 0)
  store<u64>(ACCUMULATOR, h1, 8)
  store<u64>(ACCUMULATOR, h2, 16)
  store<u64>(ACCUMULATOR, h3, 24)
  store<u64>(ACCUMULATOR, h4, 32)
}

// ── four lanes ──────────────────────────────────────────────────────────────────────────────────────────────────

// POWERS holds two tables of nine vectors: limbs 0 … 4 of the multiplier, then limbs 1 … 4 times five. In the first every lane
// is r⁴; in the second the lanes are r⁴, r³, r², r.
const LAST: usize = 144

// A power of r in five limbs, the result of `timesR`.
let p0: u64 = 0
let p1: u64 = 0
let p2: u64 = 0
let p3: u64 = 0
let p4: u64 = 0

function timesR(r0: u64, r1: u64, r2: u64, r3: u64, r4: u64): void {
  const s1 = r1 * 5
  const s2 = r2 * 5
  const s3 = r3 * 5
  const s4 = r4 * 5
  let d0 = p0 * r0 + p1 * s4 + p2 * s3 + p3 * s2 + p4 * s1
  let d1 = p0 * r1 + p1 * r0 + p2 * s4 + p3 * s3 + p4 * s2 + (d0 >> 26)
  const d2 = p0 * r2 + p1 * r1 + p2 * r0 + p3 * s4 + p4 * s3 + (d1 >> 26)
  const d3 = p0 * r3 + p1 * r2 + p2 * r1 + p3 * r0 + p4 * s4 + (d2 >> 26)
  const d4 = p0 * r4 + p1 * r3 + p2 * r2 + p3 * r1 + p4 * r0 + (d3 >> 26)
  d0 = (d0 & LOW_26) + (d4 >> 26) * 5
  p0 = d0 & LOW_26
  p1 = (d1 & LOW_26) + (d0 >> 26)
  p2 = d2 & LOW_26
  p3 = d3 & LOW_26
  p4 = d4 & LOW_26
}

// Writes the power into one lane of the second table.
function storePower(lane: usize): void {
  const at = POWERS + LAST + lane * 4
  store<u32>(at, <u32>p0, 0)
  store<u32>(at, <u32>p1, 16)
  store<u32>(at, <u32>p2, 32)
  store<u32>(at, <u32>p3, 48)
  store<u32>(at, <u32>p4, 64)
  store<u32>(at, <u32>p1 * 5, 80)
  store<u32>(at, <u32>p2 * 5, 96)
  store<u32>(at, <u32>p3 * 5, 112)
  store<u32>(at, <u32>p4 * 5, 128)
}

function computePowers(): void {
  const w0 = load<u64>(R, 0)
  const w1 = load<u64>(R, 8)
  const w2 = load<u64>(R, 16)
  const w3 = load<u64>(R, 24)
  const r0 = w0 & LOW_26
  const r1 = ((w0 >> 26) | (w1 << 6)) & LOW_26
  const r2 = ((w1 >> 20) | (w2 << 12)) & LOW_26
  const r3 = ((w2 >> 14) | (w3 << 18)) & LOW_26
  const r4 = w3 >> 8
  p0 = r0
  p1 = r1
  p2 = r2
  p3 = r3
  p4 = r4
  storePower(3)
  timesR(r0, r1, r2, r3, r4)
  storePower(2)
  timesR(r0, r1, r2, r3, r4)
  storePower(1)
  timesR(r0, r1, r2, r3, r4)
  storePower(0)
  v128.store(POWERS, i32x4.splat(<i32>p0), 0)
  v128.store(POWERS, i32x4.splat(<i32>p1), 16)
  v128.store(POWERS, i32x4.splat(<i32>p2), 32)
  v128.store(POWERS, i32x4.splat(<i32>p3), 48)
  v128.store(POWERS, i32x4.splat(<i32>p4), 64)
  v128.store(POWERS, i32x4.splat(<i32>(p1 * 5)), 80)
  v128.store(POWERS, i32x4.splat(<i32>(p2 * 5)), 96)
  v128.store(POWERS, i32x4.splat(<i32>(p3 * 5)), 112)
  v128.store(POWERS, i32x4.splat(<i32>(p4 * 5)), 128)
}

// a·u + b·v + c·w + d·x + e·y in the lower (upper) two lanes, as 64-bit sums.

@inline
function sumLow(a: v128, u: v128, b: v128, v: v128, c: v128, w: v128, d: v128, x: v128, e: v128, y: v128): v128 {
  const ab = i64x2.add(i64x2.extmul_low_i32x4_u(a, u), i64x2.extmul_low_i32x4_u(b, v))
  const abc = i64x2.add(ab, i64x2.extmul_low_i32x4_u(c, w))
  return i64x2.add(i64x2.add(abc, i64x2.extmul_low_i32x4_u(d, x)), i64x2.extmul_low_i32x4_u(e, y))
}

@inline
function sumHigh(a: v128, u: v128, b: v128, v: v128, c: v128, w: v128, d: v128, x: v128, e: v128, y: v128): v128 {
  const ab = i64x2.add(i64x2.extmul_high_i32x4_u(a, u), i64x2.extmul_high_i32x4_u(b, v))
  const abc = i64x2.add(ab, i64x2.extmul_high_i32x4_u(c, w))
  return i64x2.add(i64x2.add(abc, i64x2.extmul_high_i32x4_u(d, x)), i64x2.extmul_high_i32x4_u(e, y))
}

@inline
function carry(from: v128): v128 {
  return i64x2.shr_u(from, 26)
}

// Five times the carry: 2^130 ≡ 5.
@inline
function carry5(from: v128): v128 {
  const c = i64x2.shr_u(from, 26)
  return i64x2.add(c, i64x2.shl(c, 2))
}

// The sum of the four lanes.
@inline
function lanes(v: v128): u64 {
  return (
    <u64>(<u32>i32x4.extract_lane(v, 0)) +
    <u64>(<u32>i32x4.extract_lane(v, 1)) +
    <u64>(<u32>i32x4.extract_lane(v, 2)) +
    <u64>(<u32>i32x4.extract_lane(v, 3))
  )
}

// Adds `bytes` (a multiple of 64, not zero) at `from`, four blocks at a time.
export function polyFourBlocks(from: usize, bytes: usize): void {
  computePowers()
  // The h of what came before (associated data) belongs in front of the first block: lane 0.
  const zero = i32x4.splat(0)
  let g0 = load<u64>(ACCUMULATOR, 0)
  let g1 = load<u64>(ACCUMULATOR, 8)
  let g2 = load<u64>(ACCUMULATOR, 16)
  let g3 = load<u64>(ACCUMULATOR, 24)
  let g4 = load<u64>(ACCUMULATOR, 32)
  g1 += g0 >> 32
  g0 &= LOW_32
  g2 += g1 >> 32
  g1 &= LOW_32
  g3 += g2 >> 32
  g2 &= LOW_32
  g4 += g3 >> 32
  g3 &= LOW_32
  let h0 = i32x4.replace_lane(zero, 0, <i32>(g0 & LOW_26))
  let h1 = i32x4.replace_lane(zero, 0, <i32>(((g0 >> 26) | (g1 << 6)) & LOW_26))
  let h2 = i32x4.replace_lane(zero, 0, <i32>(((g1 >> 20) | (g2 << 12)) & LOW_26))
  let h3 = i32x4.replace_lane(zero, 0, <i32>(((g2 >> 14) | (g3 << 18)) & LOW_26))
  let h4 = i32x4.replace_lane(zero, 0, <i32>((g3 >> 8) | (g4 << 24)))

  const limb = i32x4.splat(0x3ffffff)
  const limb64 = i64x2.splat(0x3ffffff)
  const bit128 = i32x4.splat(1 << 24)
  let r0 = v128.load(POWERS, 0)
  let r1 = v128.load(POWERS, 16)
  let r2 = v128.load(POWERS, 32)
  let r3 = v128.load(POWERS, 48)
  let r4 = v128.load(POWERS, 64)
  let s1 = v128.load(POWERS, 80)
  let s2 = v128.load(POWERS, 96)
  let s3 = v128.load(POWERS, 112)
  let s4 = v128.load(POWERS, 128)

  const last = from + bytes - 64
  for (let at = from; ; at += 64) {
    // Transposes four blocks to four words, a block a lane; cuts the words into limbs; adds them and 2^128.
    const b0 = v128.load(at, 0)
    const b1 = v128.load(at, 16)
    const b2 = v128.load(at, 32)
    const b3 = v128.load(at, 48)
    const low01 = v128.shuffle<u32>(b0, b1, 0, 4, 1, 5)
    const low23 = v128.shuffle<u32>(b2, b3, 0, 4, 1, 5)
    const high01 = v128.shuffle<u32>(b0, b1, 2, 6, 3, 7)
    const high23 = v128.shuffle<u32>(b2, b3, 2, 6, 3, 7)
    const w0 = v128.shuffle<u64>(low01, low23, 0, 2)
    const w1 = v128.shuffle<u64>(low01, low23, 1, 3)
    const w2 = v128.shuffle<u64>(high01, high23, 0, 2)
    const w3 = v128.shuffle<u64>(high01, high23, 1, 3)
    h0 = i32x4.add(h0, v128.and(w0, limb))
    h1 = i32x4.add(h1, v128.and(v128.or(i32x4.shr_u(w0, 26), i32x4.shl(w1, 6)), limb))
    h2 = i32x4.add(h2, v128.and(v128.or(i32x4.shr_u(w1, 20), i32x4.shl(w2, 12)), limb))
    h3 = i32x4.add(h3, v128.and(v128.or(i32x4.shr_u(w2, 14), i32x4.shl(w3, 18)), limb))
    h4 = i32x4.add(h4, v128.or(i32x4.shr_u(w3, 8), bit128))

    if (at == last) {
      r0 = v128.load(POWERS, LAST)
      r1 = v128.load(POWERS, LAST + 16)
      r2 = v128.load(POWERS, LAST + 32)
      r3 = v128.load(POWERS, LAST + 48)
      r4 = v128.load(POWERS, LAST + 64)
      s1 = v128.load(POWERS, LAST + 80)
      s2 = v128.load(POWERS, LAST + 96)
      s3 = v128.load(POWERS, LAST + 112)
      s4 = v128.load(POWERS, LAST + 128)
    }

    // h ·= r: limb k is the sum of h[i]·r[k − i], times five where k − i is negative.
    let l0 = sumLow(h0, r0, h1, s4, h2, s3, h3, s2, h4, s1)
    let l1 = sumLow(h0, r1, h1, r0, h2, s4, h3, s3, h4, s2)
    let l2 = sumLow(h0, r2, h1, r1, h2, r0, h3, s4, h4, s3)
    let l3 = sumLow(h0, r3, h1, r2, h2, r1, h3, r0, h4, s4)
    let l4 = sumLow(h0, r4, h1, r3, h2, r2, h3, r1, h4, r0)
    // Carries in two interleaved chains; afterwards limbs exceed 26 bits by no more than a few units.
    l1 = i64x2.add(l1, carry(l0)); l0 = v128.and(l0, limb64)
    l4 = i64x2.add(l4, carry(l3)); l3 = v128.and(l3, limb64)
    l2 = i64x2.add(l2, carry(l1)); l1 = v128.and(l1, limb64)
    l0 = i64x2.add(l0, carry5(l4)); l4 = v128.and(l4, limb64)
    l3 = i64x2.add(l3, carry(l2)); l2 = v128.and(l2, limb64)
    l1 = i64x2.add(l1, carry(l0)); l0 = v128.and(l0, limb64)
    l4 = i64x2.add(l4, carry(l3)); l3 = v128.and(l3, limb64)

    let u0 = sumHigh(h0, r0, h1, s4, h2, s3, h3, s2, h4, s1)
    let u1 = sumHigh(h0, r1, h1, r0, h2, s4, h3, s3, h4, s2)
    let u2 = sumHigh(h0, r2, h1, r1, h2, r0, h3, s4, h4, s3)
    let u3 = sumHigh(h0, r3, h1, r2, h2, r1, h3, r0, h4, s4)
    let u4 = sumHigh(h0, r4, h1, r3, h2, r2, h3, r1, h4, r0)
    u1 = i64x2.add(u1, carry(u0)); u0 = v128.and(u0, limb64)
    u4 = i64x2.add(u4, carry(u3)); u3 = v128.and(u3, limb64)
    u2 = i64x2.add(u2, carry(u1)); u1 = v128.and(u1, limb64)
    u0 = i64x2.add(u0, carry5(u4)); u4 = v128.and(u4, limb64)
    u3 = i64x2.add(u3, carry(u2)); u2 = v128.and(u2, limb64)
    u1 = i64x2.add(u1, carry(u0)); u0 = v128.and(u0, limb64)
    u4 = i64x2.add(u4, carry(u3)); u3 = v128.and(u3, limb64)

    h0 = v128.shuffle<u32>(l0, u0, 0, 2, 4, 6)
    h1 = v128.shuffle<u32>(l1, u1, 0, 2, 4, 6)
    h2 = v128.shuffle<u32>(l2, u2, 0, 2, 4, 6)
    h3 = v128.shuffle<u32>(l3, u3, 0, 2, 4, 6)
    h4 = v128.shuffle<u32>(l4, u4, 0, 2, 4, 6)
    if (at == last) break
  }

  // The sum of the lanes, back in limbs of 32 bits.
  let k0 = lanes(h0)
  let k1 = lanes(h1)
  let k2 = lanes(h2)
  let k3 = lanes(h3)
  let k4 = lanes(h4)
  for (let i = 0; i < 2; i++) {
    k1 += k0 >> 26
    k0 &= LOW_26
    k2 += k1 >> 26
    k1 &= LOW_26
    k3 += k2 >> 26
    k2 &= LOW_26
    k4 += k3 >> 26
    k3 &= LOW_26
    k0 += (k4 >> 26) * 5
    k4 &= LOW_26
  }
  k1 += k0 >> 26
  k0 &= LOW_26
  store<u64>(ACCUMULATOR, (k0 | (k1 << 26)) & LOW_32, 0)
  store<u64>(ACCUMULATOR, ((k1 >> 6) | (k2 << 20)) & LOW_32, 8)
  store<u64>(ACCUMULATOR, ((k2 >> 12) | (k3 << 14)) & LOW_32, 16)
  store<u64>(ACCUMULATOR, ((k3 >> 18) | (k4 << 8)) & LOW_32, 24)
  store<u64>(ACCUMULATOR, k4 >> 24, 32)
}

// ── the tag ─────────────────────────────────────────────────────────────────────────────────────────────────────

// §2.5.1: h reduced fully, plus s (the second half of the one-time key) modulo 2^128.
export function polyEnd(tag: usize): void {
  let h0 = load<u64>(ACCUMULATOR, 0)
  let h1 = load<u64>(ACCUMULATOR, 8)
  let h2 = load<u64>(ACCUMULATOR, 16)
  let h3 = load<u64>(ACCUMULATOR, 24)
  let h4 = load<u64>(ACCUMULATOR, 32)
  // Two passes: the first may leave a carry that goes around once more.
  for (let i = 0; i < 2; i++) {
    h1 += h0 >> 32
    h0 &= LOW_32
    h2 += h1 >> 32
    h1 &= LOW_32
    h3 += h2 >> 32
    h2 &= LOW_32
    h4 += h3 >> 32
    h3 &= LOW_32
    h0 += (h4 >> 2) * 5
    h4 &= 3
  }
  // g = h + 5 reaches 2^130 exactly when h ≥ p: then g − 2^130 is the reduced value. No branch on it: a mask chooses.
  const g0 = h0 + 5
  const g1 = h1 + (g0 >> 32)
  const g2 = h2 + (g1 >> 32)
  const g3 = h3 + (g2 >> 32)
  const g4 = h4 + (g3 >> 32)
  const reduced: u64 = 0 - (g4 >> 2)
  h0 = (h0 & ~reduced) | (g0 & reduced)
  h1 = (h1 & ~reduced) | (g1 & reduced)
  h2 = (h2 & ~reduced) | (g2 & reduced)
  h3 = (h3 & ~reduced) | (g3 & reduced)
  h0 = (h0 & LOW_32) + load<u32>(KEYSTREAM, 16)
  h1 = (h1 & LOW_32) + load<u32>(KEYSTREAM, 20) + (h0 >> 32)
  h2 = (h2 & LOW_32) + load<u32>(KEYSTREAM, 24) + (h1 >> 32)
  h3 = (h3 & LOW_32) + load<u32>(KEYSTREAM, 28) + (h2 >> 32)
  store<u32>(tag, <u32>h0, 0)
  store<u32>(tag, <u32>h1, 4)
  store<u32>(tag, <u32>h2, 8)
  store<u32>(tag, <u32>h3, 12)
}
