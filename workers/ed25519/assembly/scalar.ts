// Numbers modulo the order of the base point, L = 2^252 + c with c of 125 bits (RFC 8032 §5.1), in limbs of 28 bits: nine of them are the
// 252 bits that wrap, 2^252 ≡ −c.

import { SCRATCH } from './memory'
import { HASH } from './sha512'

const MASK: i64 = 0xfffffff
const ORDER: usize = memory.data<u64>([0x5812631a5cf5d3ed, 0x14def9dea2f79cd6, 0, 0x1000000000000000])
const C: usize = memory.data<i64>([0xcf5d3ed, 0x12631a5, 0x79cd658, 0xf9dea2f, 0x14de])
/** Nineteen limbs of 64 bits. */
const X: usize = SCRATCH + 0x100

/** What limb `i`, 9 or higher, is worth modulo L is taken off the limbs nine below it and up. */
function fold(i: usize): void {
  const limb = load<i64>(X + 8 * i)
  store<i64>(X + 8 * i, 0)
  for (let j: usize = 0; j < 5; j++) {
    const at = X + 8 * (i - 9 + j)
    store<i64>(at, load<i64>(at) - limb * load<i64>(C + 8 * j))
  }
}

/** From limb `from` up into limb `to`, which is not carried itself. */
function carry(from: usize, to: usize): void {
  for (let at = X + 8 * from; at < X + 8 * to; at += 8) {
    const limb = load<i64>(at)
    store<i64>(at, limb & MASK)
    store<i64>(at, load<i64>(at, 8) + (limb >> 28), 8)
  }
}

/** The 512 bits at `out`: r + k · a, of 32 bytes each. */
export function multiplyAdd(out: usize, k: usize, a: usize, r: usize): void {
  memory.copy(out, r, 32)
  for (let i: usize = 0; i < 32; i += 4) {
    let over: u64 = 0
    for (let j: usize = 0; j < 32; j += 4) {
      // At most (2^32 − 1)^2 + 2 · (2^32 − 1): it fits.
      const sum = <u64>load<u32>(k + i) * <u64>load<u32>(a + j) + <u64>load<u32>(out + i + j) + over
      store<u32>(out + i + j, <u32>sum)
      over = sum >> 32
    }
    store<u32>(out + i + 32, <u32>over)
  }
}

/** The 512 bits at HASH, to 32 bytes at `out`: what they are modulo L. Overwrites four bytes behind them. */
export function reduceHash(out: usize): void {
  for (let i: usize = 0; i < 19; i++) {
    const bit = 28 * i
    store<i64>(X + 8 * i, <i64>((load<u64>(HASH + (bit >> 3)) >> (bit & 7)) & <u64>MASK))
  }
  for (let i: usize = 18; i >= 14; i--) fold(i)
  carry(5, 14)
  fold(14)
  carry(5, 13)
  for (let i: usize = 13; i >= 9; i--) fold(i)
  carry(0, 9)
  fold(9)
  carry(0, 9)
  // Now it is within 2^140 of [0, 2^252): below zero once in some 2^112, so that going another way then tells nobody anything.
  if (load<i64>(X, 72) < 0) {
    fold(9)
    carry(0, 9)
  }
  let bits: u64 = 0
  let count: u64 = 0
  let at = out
  for (let i: usize = 0; i < 10; i++) {
    bits |= <u64>load<i64>(X + 8 * i) << count
    count += 28
    for (; count >= 8; count -= 8) {
      store<u8>(at++, <u8>bits)
      bits >>= 8
    }
  }
  takeOrder(out)
}

/** Takes L off a number below 2 L where it can be: a mask decides, for it may be secret. */
function takeOrder(out: usize): void {
  let borrow: i64 = 0
  for (let i: usize = 0; i < 32; i += 4) {
    borrow += <i64>load<u32>(out + i) - <i64>load<u32>(ORDER + i)
    store<u32>(X + i, <u32>borrow)
    borrow >>= 32
  }
  // All ones where it was smaller.
  for (let i: usize = 0; i < 32; i += 8) {
    const less = load<i64>(X + i)
    store<i64>(out + i, less ^ ((less ^ load<i64>(out + i)) & borrow))
  }
}
