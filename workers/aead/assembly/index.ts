// ChaCha20-Poly1305 (RFC 8439 §2.8) in 128-bit SIMD: the module that Noise runs on.
//
// The host puts key, nonce, associated data and text at the addresses below, calls `seal` or `open`, and reads the result
// from where the text was. The two halves explain themselves in chacha20.ts (four blocks of key stream at a time) and
// poly1305.ts (four blocks of message at a time).
//
// The first call of `xorFourBlocks` makes blocks 0 to 3 at once: block 0 is the one-time key of Poly1305 (§2.6), and
// blocks 1 to 3 are the first 192 bytes of key stream (§2.8: the text begins at counter 1). A message of up to
// 192 bytes therefore costs one pass of ChaCha20.
//
// Bounds: text of at most 65,535 bytes, associated data of at most 1,024; the host checks both.

import { xorFourBlocks } from './chacha20'
import { AD, KEY, KEYSTREAM, NONCE, TAG, TEXT, ZEROS } from './memory'
import { polyBegin, polyBlocks, polyEnd, polyFourBlocks } from './poly1305'

// Text shorter than this is quicker one block at a time: computing r⁴ costs as much as some ten blocks (measured).
const FOUR_LANES_FROM: usize = 256

export function keyAddress(): usize {
  return KEY
}

export function nonceAddress(): usize {
  return NONCE
}

export function adAddress(): usize {
  return AD
}

export function textAddress(): usize {
  return TEXT
}

// §2.8: the tag of AD ‖ pad16 ‖ ciphertext ‖ pad16 ‖ lengths. Overwrites the 32 bytes behind the text.
function authenticate(bytes: usize, adBytes: usize): void {
  polyBegin()
  if (adBytes > 0) {
    v128.store(AD + adBytes, i32x4.splat(0))
    polyBlocks(AD, (adBytes + 15) & ~15)
  }
  const padded = (bytes + 15) & ~15
  v128.store(TEXT + bytes, i32x4.splat(0))
  store<u64>(TEXT + padded, adBytes, 0)
  store<u64>(TEXT + padded, bytes, 8)
  let done: usize = 0
  if (bytes >= FOUR_LANES_FROM) {
    done = padded & ~63
    polyFourBlocks(TEXT, done)
  }
  polyBlocks(TEXT + done, padded - done + 16)
  polyEnd(TAG)
}

// §2.4: the text xored with the key stream from counter 1 on; blocks 1 to 3 are in KEYSTREAM already.
function cipher(bytes: usize): void {
  const first: usize = bytes < 192 ? bytes : 192
  for (let at: usize = 0; at < first; at += 16) {
    v128.store(TEXT + at, v128.xor(v128.load(TEXT + at), v128.load(KEYSTREAM + 64 + at)))
  }
  let counter = 4
  for (let at: usize = TEXT + 192; at < TEXT + bytes; at += 256) {
    xorFourBlocks(counter, at, at)
    counter += 4
  }
}

/** Encrypts `bytes` at TEXT in place; the tag follows them. */
export function seal(bytes: usize, adBytes: usize): void {
  xorFourBlocks(0, ZEROS, KEYSTREAM)
  cipher(bytes)
  authenticate(bytes, adBytes)
  v128.store(TEXT + bytes, v128.load(TAG))
}

/** Checks the tag behind `bytes` of ciphertext at TEXT and, only if it is right, decrypts them in place. */
export function open(bytes: usize, adBytes: usize): bool {
  const tag = v128.load(TEXT + bytes)
  xorFourBlocks(0, ZEROS, KEYSTREAM)
  authenticate(bytes, adBytes)
  // All sixteen bytes at once: the time does not tell how many were right (§4).
  if (v128.any_true(v128.xor(tag, v128.load(TAG)))) return false
  cipher(bytes)
  return true
}
