import { createHash } from 'node:crypto'
import { xsalsa20 } from '@noble/ciphers/salsa.js'
import { describe, expect, it } from 'vitest'
import { property } from '../testing/property.ts'
import { XSalsa20 } from './xsalsa20.ts'

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const range = (from: number, count: number) => Uint8Array.from({ length: count }, (_, i) => from + i)

const key = range(0, 32)
const nonce = range(100, 24)

/** `size` bytes of keystream, from `block` on. */
const keystream = (size: number, block = 0): Uint8Array => {
  const bytes = new Uint8Array(size)
  new XSalsa20(key, nonce, block).xor(bytes)
  return bytes
}

describe('XSalsa20', () => {
  // github.com/davidlazar/go-crypto/salsa20, the cipher of go-libp2p, with the same key and nonce.
  it('is that of go-libp2p', () => {
    expect(hex(keystream(96))).toBe(
      [
        '687dffe12afa5fef7e0feb195d6cd992f49572d6194281e3c87fbb4e2106932c02b999c93ab6cee9b0fd23943784a3183eaa38a7e4a64b1ba60c42940a8b',
        'c988a86ff4184f379be4f51617620013dd65c190ae181286395f03e15304dbb29e64',
      ].join(''),
    )
    expect(createHash('sha256').update(keystream(100_000)).digest('hex')).toBe(
      '96a151e27a2368800ca9fd3cebda30e30c51d254ef0c2db39218426623694107',
    )
  })

  // golang.org/x/crypto/salsa20/salsa: XORKeyStream with the counter 2^32 - 1, over three blocks.
  it('counts blocks in 64 bits: a connection may carry more than 256 GiB', () => {
    const golden = [
      'd1e06870a5b66f4a0dbd135cb559f8d29e4fa77408c94ed69edc991433bc5465137eb2e6a5326b8467569aa5de0dac74ed0ec044a5740e9d249c50be3666f320',
      'd920cb7414a19c27364f4c834c28c1cf86cabc6e0cd3602b405d9ca61ff7d4ae6ecc6c2e0fa53d80ad0e7df3163a13f3ca32a1cac1bb1455e7254796302ce7ed',
      'a854b7479db8e4c71161377bf3cd3d44e80c795a2f2e31373a9c23ca81e8058ef6cc5503fbc12a4d61c5f3e6ea2ced647fcb1143fab3ffe73f49e58ad411d34b',
    ]
    expect(hex(keystream(192, 2 ** 32 - 1))).toBe(golden.join(''))
    expect(hex(keystream(64, 2 ** 32))).toBe(golden[1])
    expect(hex(keystream(64))).not.toBe(golden[1])
  })

  it('is that of noble, and goes on where it was, however the stream is cut', () => {
    property(200, (random) => {
      const [key, nonce] = [random.bytes(32), random.bytes(24)]
      const plain = random.bytes(1 + random.below(20_000))
      const cipher = new XSalsa20(key, nonce)
      const ciphered = plain.slice()
      for (let at = 0; at < plain.length; ) {
        const size = random.below([2, 70, 3_000][random.below(3)] as number)
        cipher.xor(ciphered.subarray(at, at + size))
        at += size
      }
      expect(Buffer.compare(ciphered, xsalsa20(key, nonce, plain))).toBe(0)
      new XSalsa20(key, nonce).xor(ciphered)
      expect(Buffer.compare(ciphered, plain)).toBe(0)
    })
  })

  it('takes keys and nonces that lie anywhere in a buffer', () => {
    const shifted = (bytes: Uint8Array) => {
      const buffer = new Uint8Array(bytes.length + 3)
      buffer.set(bytes, 3)
      return buffer.subarray(3)
    }
    const bytes = new Uint8Array(96)
    new XSalsa20(shifted(key), shifted(nonce)).xor(bytes)
    expect(hex(bytes)).toBe(hex(keystream(96)))
  })
})
