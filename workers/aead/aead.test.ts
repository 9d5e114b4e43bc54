import { chacha20poly1305 } from '@noble/ciphers/chacha.js'
import { describe, expect, it } from 'vitest'
import type { Aead } from '../../src/engine/crypto/aead.ts'
import { nobleAead } from '../../src/engine/crypto/noble-aead.ts'
import type { Prng } from '../../src/engine/testing/prng.ts'
import { prng } from '../../src/engine/testing/prng.ts'
import { instantiateAead } from './load.ts'
import { oneTimeKeyVectors, sealVectors, streamVectors } from './vectors/rfc8439.ts'
import wycheproof from './vectors/wycheproof.json' with { type: 'json' }

const hex = (text: string) => new Uint8Array(Buffer.from(text, 'hex'))
const same = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0

const MAX = 65_519
/** Around every block, four-block stride and threshold of the implementation. */
const boundaries = [
  0,
  1,
  15,
  16,
  17,
  31,
  32,
  33,
  47,
  48,
  63,
  64,
  65,
  127,
  128,
  129,
  175,
  176,
  191,
  192,
  193,
  207,
  208,
  239,
  240,
  241,
  255,
  256,
  257,
  271,
  272,
  303,
  304,
  305,
  319,
  320,
  321,
  383,
  384,
  385,
  447,
  448,
  449,
  511,
  512,
  513,
  703,
  704,
  705,
  1_023,
  1_024,
  1_025,
  4_095,
  4_096,
  4_097,
  16_384,
  32_767,
  65_472,
  65_503,
  65_504,
  MAX - 1,
  MAX,
]
const adSizes = [0, 1, 12, 15, 16, 17, 32, 63, 64]

// One conformance suite, every implementation.
describe.each([
  { name: 'the SIMD module', aead: instantiateAead() as Aead },
  { name: 'noble', aead: nobleAead },
])('$name', ({ aead }) => {
  const seal = (key: Uint8Array, nonce: Uint8Array, text: Uint8Array, ad?: Uint8Array): Uint8Array => {
    const out = new Uint8Array(text.length + 16)
    aead.seal(key, nonce, [text], out, 0, ad)
    return out
  }
  /** The text, or undefined where it is refused, in which case nothing may have been written. */
  const open = (key: Uint8Array, nonce: Uint8Array, sealed: Uint8Array, ad?: Uint8Array): Uint8Array | undefined => {
    const size = Math.max(0, sealed.length - 16)
    const out = new Uint8Array(size + 8).fill(0xa5)
    const opened = aead.open(key, nonce, sealed, out, 4, ad)
    const frame = opened ? [...out.subarray(0, 4), ...out.subarray(4 + size)] : [...out]
    expect(frame.every((byte) => byte === 0xa5)).toBe(true)
    return opened ? out.subarray(4, 4 + size) : undefined
  }

  it('is there', () => expect(aead).toBeDefined())

  describe('RFC 8439', () => {
    it.each(sealVectors)('$from', ({ key, nonce, ad, text, sealed }) => {
      expect(seal(key, nonce, text, ad)).toEqual(sealed)
      expect(open(key, nonce, sealed, ad)).toEqual(text)
    })

    it.each(streamVectors)('$from: the key stream', ({ key, nonce, counter, text, ciphertext }) => {
      const at = (counter - 1) * 64
      const padded = new Uint8Array(at + text.length)
      padded.set(text, at)
      expect(seal(key, nonce, padded).subarray(at, padded.length)).toEqual(ciphertext)
    })

    it.each(oneTimeKeyVectors)('$from: the key of the tag', ({ key, nonce, oneTimeKey }) => {
      // §2.5 in integers, over the one block there is without text and data: both lengths, zero.
      const number = (bytes: Uint8Array) => BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`)
      const r = number(oneTimeKey.subarray(0, 16)) & 0x0ffffffc0ffffffc0ffffffc0fffffffn
      const tag = ((((1n << 128n) * r) % ((1n << 130n) - 5n)) + number(oneTimeKey.subarray(16))) % (1n << 128n)
      expect(number(seal(key, nonce, new Uint8Array(0)))).toBe(tag)
    })
  })

  describe('Wycheproof', () => {
    it.each(wycheproof.tests)('$id $flags $comment', (test) => {
      const [key, nonce, ad, text, sealed] = [hex(test.key), hex(test.nonce), hex(test.ad), hex(test.text), hex(test.sealed)]
      if (test.valid) {
        expect(seal(key, nonce, text, ad)).toEqual(sealed)
        expect(open(key, nonce, sealed, ad)).toEqual(text)
      } else expect(open(key, nonce, sealed, ad)).toBeUndefined()
    })
  })

  const fresh = (random: Prng) => ({ key: random.bytes(32), nonce: random.bytes(12) })

  describe('against noble', () => {
    it.each(boundaries)('%i bytes', (size) => {
      const random = prng(size)
      for (const adSize of adSizes) {
        const { key, nonce } = fresh(random)
        const [text, ad] = [random.bytes(size), random.bytes(adSize)]
        const expected = chacha20poly1305(key, nonce, ad).encrypt(text)
        expect(same(seal(key, nonce, text, ad), expected), `${adSize} bytes of data`).toBe(true)
        expect(same(open(key, nonce, expected, ad) as Uint8Array, text), `${adSize} bytes of data`).toBe(true)
      }
    })

    it('random sizes, one after the other on the same memory', () => {
      const seed = 8439
      const random = prng(seed)
      for (let i = 0; i < 400; i++) {
        const { key, nonce } = fresh(random)
        const text = random.bytes(random.below(i % 4 === 0 ? MAX + 1 : 1_500))
        const ad = random.below(2) === 0 ? random.bytes(random.below(65)) : undefined
        const expected = chacha20poly1305(key, nonce, ad).encrypt(text)
        expect(same(seal(key, nonce, text, ad), expected), `seed ${seed}, ${i}`).toBe(true)
        expect(same(open(key, nonce, expected, ad) as Uint8Array, text), `seed ${seed}, ${i}`).toBe(true)
      }
    })

    it('ciphertext of ones and of zeros, which carries furthest', () => {
      const random = prng(1305)
      for (let i = 0; i < 200; i++) {
        const { key, nonce } = fresh(random)
        const size = random.below(3_000)
        const stream = chacha20poly1305(key, nonce).encrypt(new Uint8Array(size)).subarray(0, size)
        const target = i % 4 === 0 ? 0x00 : 0xff
        const text = stream.map((byte) => byte ^ target)
        const ad = new Uint8Array(random.below(65)).fill(0xff)
        const expected = chacha20poly1305(key, nonce, ad).encrypt(text)
        expect(expected.subarray(0, size).every((byte) => byte === target)).toBe(true)
        expect(same(seal(key, nonce, text, ad), expected), `${i}`).toBe(true)
        expect(same(open(key, nonce, expected, ad) as Uint8Array, text), `${i}`).toBe(true)
      }
    })
  })

  describe('where the bytes are', () => {
    const random = prng(28)
    const { key, nonce } = fresh(random)

    it('text is gathered from any number of parts, empty ones too', () => {
      for (const size of [0, 1, 300, 5_000, MAX]) {
        const text = random.bytes(size)
        const parts: Uint8Array[] = [new Uint8Array(0)]
        for (let at = 0; at < size; ) {
          const part = text.subarray(at, at + 1 + random.below(size / 3))
          parts.push(part, new Uint8Array(0))
          at += part.length
        }
        const out = new Uint8Array(size + 16)
        aead.seal(key, nonce, parts, out, 0)
        expect(same(out, seal(key, nonce, text))).toBe(true)
      }
      const none = new Uint8Array(16)
      aead.seal(key, nonce, [], none, 0)
      expect(none).toEqual(seal(key, nonce, new Uint8Array(0)))
    })

    it('output goes where it is asked for and nowhere else', () => {
      const text = random.bytes(1_000)
      const out = new Uint8Array(1_100).fill(0xa5)
      aead.seal(key, nonce, [text], out, 3)
      expect(same(out.subarray(3, 1_019), seal(key, nonce, text))).toBe(true)
      expect([...out.subarray(0, 3), ...out.subarray(1_019)].every((byte) => byte === 0xa5)).toBe(true)
    })

    it('input may be a view at any offset, and is left as it was', () => {
      const text = random.bytes(777).subarray(5)
      const before = text.slice()
      const sealed = seal(key.slice(), nonce, text)
      const shifted = new Uint8Array(sealed.length + 1)
      shifted.set(sealed, 1)
      expect(same(open(key, nonce, shifted.subarray(1)) as Uint8Array, before)).toBe(true)
      expect(same(text, before)).toBe(true)
      expect(same(shifted.subarray(1), sealed)).toBe(true)
    })

    it('may be the same buffer for both', () => {
      const text = random.bytes(500)
      const sealed = seal(key, nonce, text)
      expect(aead.open(key, nonce, sealed, sealed, 0)).toBe(true)
      expect(same(sealed.subarray(0, 500), text)).toBe(true)
    })
  })

  describe('refused, with nothing written', () => {
    const random = prng(16)
    const { key, nonce } = fresh(random)

    it('a flipped bit in any byte of ciphertext, tag, data, nonce and key', () => {
      for (const size of [0, 1, 33, 300]) {
        const [text, ad] = [random.bytes(size), random.bytes(20)]
        const sealed = seal(key, nonce, text, ad)
        for (const part of [sealed, ad, nonce, key]) {
          for (let i = 0; i < part.length; i++) {
            const bit = 1 << random.below(8)
            part[i] = (part[i] as number) ^ bit
            expect(open(key, nonce, sealed, ad), `byte ${i}`).toBeUndefined()
            part[i] = (part[i] as number) ^ bit
          }
        }
        expect(open(key, nonce, sealed, ad)).toEqual(text)
      }
    })

    it('a flipped bit in a long message', () => {
      const sealed = seal(key, nonce, random.bytes(MAX))
      for (let i = 0; i < 50; i++) {
        const at = random.below(sealed.length)
        sealed[at] = (sealed[at] as number) ^ 0x80
        expect(open(key, nonce, sealed), `byte ${at}`).toBeUndefined()
        sealed[at] = (sealed[at] as number) ^ 0x80
      }
    })

    it('data added, left out or moved into the text', () => {
      const text = random.bytes(64)
      const ad = random.bytes(16)
      expect(open(key, nonce, seal(key, nonce, text, ad))).toBeUndefined()
      expect(open(key, nonce, seal(key, nonce, text), ad)).toBeUndefined()
      expect(open(key, nonce, seal(key, nonce, text, new Uint8Array(16)), new Uint8Array(15))).toBeUndefined()
    })

    it('anything shorter than a tag, and every message cut short', () => {
      for (let size = 0; size < 16; size++) expect(open(key, nonce, random.bytes(size))).toBeUndefined()
      const sealed = seal(key, nonce, random.bytes(100))
      for (let size = 16; size < sealed.length; size++) expect(open(key, nonce, sealed.subarray(0, size))).toBeUndefined()
    })
  })

  describe('a wrong call throws a RangeError and does no harm', () => {
    const { key, nonce } = fresh(prng(1))
    const out = new Uint8Array(70_000)

    it('more text than a Noise message holds', () => {
      expect(() => aead.seal(key, nonce, [new Uint8Array(MAX + 1)], out, 0)).toThrow(RangeError)
      expect(() => aead.seal(key, nonce, [new Uint8Array(MAX), new Uint8Array(1)], out, 0)).toThrow(RangeError)
      expect(() => aead.open(key, nonce, new Uint8Array(MAX + 17), out, 0)).toThrow(RangeError)
      const { sealed, ...vector } = sealVectors[0] as (typeof sealVectors)[0]
      expect(seal(vector.key, vector.nonce, vector.text, vector.ad)).toEqual(sealed)
    })

    it('an output that is too short', () => {
      expect(() => aead.seal(key, nonce, [new Uint8Array(10)], new Uint8Array(25), 0)).toThrow(RangeError)
      expect(() => aead.seal(key, nonce, [new Uint8Array(10)], new Uint8Array(30), 5)).toThrow(RangeError)
      const sealed = seal(key, nonce, new Uint8Array(10))
      expect(() => aead.open(key, nonce, sealed, new Uint8Array(9), 0)).toThrow(RangeError)
    })

    it('a key or nonce of the wrong length', () => {
      for (const size of [0, 31, 33]) expect(() => aead.seal(new Uint8Array(size), nonce, [], out, 0)).toThrow(RangeError)
      for (const size of [0, 8, 11, 13, 24]) expect(() => aead.seal(key, new Uint8Array(size), [], out, 0)).toThrow(RangeError)
    })
  })
})

describe('without WebAssembly', () => {
  const without = (WebAssembly: unknown): Aead | undefined => {
    const global = globalThis as { WebAssembly?: unknown }
    const real = global.WebAssembly
    global.WebAssembly = WebAssembly
    try {
      return instantiateAead()
    } finally {
      global.WebAssembly = real
    }
  }

  it('there is no module', () => expect(without(undefined)).toBeUndefined())

  it('or where it is refused', () => {
    const refuse = () => {
      throw new Error('refused by the content security policy')
    }
    expect(without({ Module: refuse, Instance: refuse })).toBeUndefined()
  })
})
