// ChaCha20 (RFC 8439 §2.1 to §2.4), four blocks at a time.
//
// A block is a matrix of sixteen 32-bit words (§2.3). Here x0 … x15 are those sixteen words, and each is a vector whose
// four lanes are that word in four consecutive blocks, which differ only in their counter:
//
//            lane 0    lane 1    lane 2    lane 3
//     x0     "expa"    "expa"    "expa"    "expa"
//     x12    counter   counter+1 counter+2 counter+3
//
// So one vector instruction does the same step of four blocks and the rounds need no shuffle between words. At the
// end the matrix is transposed, four words at a time, to give each block its sixteen contiguous bytes.

import { KEY, NONCE } from './memory'

// Rotations by 16 and 8 move whole bytes, which one shuffle does; 12 and 7 need two shifts (§2.1).

@inline
function rotate16(v: v128): v128 {
  return v128.shuffle<u8>(v, v, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13)
}

@inline
function rotate12(v: v128): v128 {
  return v128.or(i32x4.shl(v, 12), i32x4.shr_u(v, 20))
}

@inline
function rotate8(v: v128): v128 {
  return v128.shuffle<u8>(v, v, 3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14)
}

@inline
function rotate7(v: v128): v128 {
  return v128.or(i32x4.shl(v, 7), i32x4.shr_u(v, 25))
}

// Four words (rows a b c d, one block a lane) of four blocks, xored into the text: 16 bytes at `from` in each of four
// 64-byte blocks.
@inline
function xorWords(a: v128, b: v128, c: v128, d: v128, from: usize, to: usize): void {
  const abLow = v128.shuffle<u32>(a, b, 0, 4, 1, 5)
  const cdLow = v128.shuffle<u32>(c, d, 0, 4, 1, 5)
  const abHigh = v128.shuffle<u32>(a, b, 2, 6, 3, 7)
  const cdHigh = v128.shuffle<u32>(c, d, 2, 6, 3, 7)
  v128.store(to, v128.xor(v128.load(from), v128.shuffle<u64>(abLow, cdLow, 0, 2)))
  v128.store(to, v128.xor(v128.load(from, 64), v128.shuffle<u64>(abLow, cdLow, 1, 3)), 64)
  v128.store(to, v128.xor(v128.load(from, 128), v128.shuffle<u64>(abHigh, cdHigh, 0, 2)), 128)
  v128.store(to, v128.xor(v128.load(from, 192), v128.shuffle<u64>(abHigh, cdHigh, 1, 3)), 192)
}

// §2.4: xors 256 bytes at `from` with blocks counter … counter+3 of the key stream, and writes them at `to`.
export function xorFourBlocks(counter: i32, from: usize, to: usize): void {
  // §2.3: the constants "expa" "nd 3" "2-by" "te k"; eight words of key; the counter; three words of nonce.
  const counters = i32x4.add(i32x4.splat(counter), i32x4(0, 1, 2, 3))
  let x0 = i32x4.splat(0x61707865)
  let x1 = i32x4.splat(0x3320646e)
  let x2 = i32x4.splat(0x79622d32)
  let x3 = i32x4.splat(0x6b206574)
  let x4 = v128.load_splat<u32>(KEY, 0)
  let x5 = v128.load_splat<u32>(KEY, 4)
  let x6 = v128.load_splat<u32>(KEY, 8)
  let x7 = v128.load_splat<u32>(KEY, 12)
  let x8 = v128.load_splat<u32>(KEY, 16)
  let x9 = v128.load_splat<u32>(KEY, 20)
  let x10 = v128.load_splat<u32>(KEY, 24)
  let x11 = v128.load_splat<u32>(KEY, 28)
  let x12 = counters
  let x13 = v128.load_splat<u32>(NONCE, 0)
  let x14 = v128.load_splat<u32>(NONCE, 4)
  let x15 = v128.load_splat<u32>(NONCE, 8)

  // §2.3: ten times four quarter rounds (§2.1) on the columns, then four on the diagonals.
  for (let i = 0; i < 10; i++) {
    // 0 4 8 12
    x0 = i32x4.add(x0, x4); x12 = rotate16(v128.xor(x12, x0))
    x8 = i32x4.add(x8, x12); x4 = rotate12(v128.xor(x4, x8))
    x0 = i32x4.add(x0, x4); x12 = rotate8(v128.xor(x12, x0))
    x8 = i32x4.add(x8, x12); x4 = rotate7(v128.xor(x4, x8))
    // 1 5 9 13
    x1 = i32x4.add(x1, x5); x13 = rotate16(v128.xor(x13, x1))
    x9 = i32x4.add(x9, x13); x5 = rotate12(v128.xor(x5, x9))
    x1 = i32x4.add(x1, x5); x13 = rotate8(v128.xor(x13, x1))
    x9 = i32x4.add(x9, x13); x5 = rotate7(v128.xor(x5, x9))
    // 2 6 10 14
    x2 = i32x4.add(x2, x6); x14 = rotate16(v128.xor(x14, x2))
    x10 = i32x4.add(x10, x14); x6 = rotate12(v128.xor(x6, x10))
    x2 = i32x4.add(x2, x6); x14 = rotate8(v128.xor(x14, x2))
    x10 = i32x4.add(x10, x14); x6 = rotate7(v128.xor(x6, x10))
    // 3 7 11 15
    x3 = i32x4.add(x3, x7); x15 = rotate16(v128.xor(x15, x3))
    x11 = i32x4.add(x11, x15); x7 = rotate12(v128.xor(x7, x11))
    x3 = i32x4.add(x3, x7); x15 = rotate8(v128.xor(x15, x3))
    x11 = i32x4.add(x11, x15); x7 = rotate7(v128.xor(x7, x11))
    // 0 5 10 15
    x0 = i32x4.add(x0, x5); x15 = rotate16(v128.xor(x15, x0))
    x10 = i32x4.add(x10, x15); x5 = rotate12(v128.xor(x5, x10))
    x0 = i32x4.add(x0, x5); x15 = rotate8(v128.xor(x15, x0))
    x10 = i32x4.add(x10, x15); x5 = rotate7(v128.xor(x5, x10))
    // 1 6 11 12
    x1 = i32x4.add(x1, x6); x12 = rotate16(v128.xor(x12, x1))
    x11 = i32x4.add(x11, x12); x6 = rotate12(v128.xor(x6, x11))
    x1 = i32x4.add(x1, x6); x12 = rotate8(v128.xor(x12, x1))
    x11 = i32x4.add(x11, x12); x6 = rotate7(v128.xor(x6, x11))
    // 2 7 8 13
    x2 = i32x4.add(x2, x7); x13 = rotate16(v128.xor(x13, x2))
    x8 = i32x4.add(x8, x13); x7 = rotate12(v128.xor(x7, x8))
    x2 = i32x4.add(x2, x7); x13 = rotate8(v128.xor(x13, x2))
    x8 = i32x4.add(x8, x13); x7 = rotate7(v128.xor(x7, x8))
    // 3 4 9 14
    x3 = i32x4.add(x3, x4); x14 = rotate16(v128.xor(x14, x3))
    x9 = i32x4.add(x9, x14); x4 = rotate12(v128.xor(x4, x9))
    x3 = i32x4.add(x3, x4); x14 = rotate8(v128.xor(x14, x3))
    x9 = i32x4.add(x9, x14); x4 = rotate7(v128.xor(x4, x9))
  }

  // §2.3: the input is added to the result. It is built again: to keep sixteen more vectors alive through the rounds
  // would only spill them.
  x0 = i32x4.add(x0, i32x4.splat(0x61707865))
  x1 = i32x4.add(x1, i32x4.splat(0x3320646e))
  x2 = i32x4.add(x2, i32x4.splat(0x79622d32))
  x3 = i32x4.add(x3, i32x4.splat(0x6b206574))
  x4 = i32x4.add(x4, v128.load_splat<u32>(KEY, 0))
  x5 = i32x4.add(x5, v128.load_splat<u32>(KEY, 4))
  x6 = i32x4.add(x6, v128.load_splat<u32>(KEY, 8))
  x7 = i32x4.add(x7, v128.load_splat<u32>(KEY, 12))
  x8 = i32x4.add(x8, v128.load_splat<u32>(KEY, 16))
  x9 = i32x4.add(x9, v128.load_splat<u32>(KEY, 20))
  x10 = i32x4.add(x10, v128.load_splat<u32>(KEY, 24))
  x11 = i32x4.add(x11, v128.load_splat<u32>(KEY, 28))
  x12 = i32x4.add(x12, counters)
  x13 = i32x4.add(x13, v128.load_splat<u32>(NONCE, 0))
  x14 = i32x4.add(x14, v128.load_splat<u32>(NONCE, 4))
  x15 = i32x4.add(x15, v128.load_splat<u32>(NONCE, 8))

  xorWords(x0, x1, x2, x3, from, to)
  xorWords(x4, x5, x6, x7, from + 16, to + 16)
  xorWords(x8, x9, x10, x11, from + 32, to + 32)
  xorWords(x12, x13, x14, x15, from + 48, to + 48)
}
