import { describe, expect, it } from 'vitest'
import { codeOf, decodes, property } from '../testing/property.ts'
import { encodeVarint, frame, readVarint, varintLength, writeVarint } from './varint.ts'

const unhex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'))
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

// multiformats/unsigned-varint README §Spec; the last two: the borders of 32 bits and of exact numbers.
const vectors: readonly (readonly [number, string])[] = [
  [0, '00'],
  [1, '01'],
  [127, '7f'],
  [128, '8001'],
  [255, 'ff01'],
  [300, 'ac02'],
  [16384, '808001'],
  [2 ** 31 - 1, 'ffffffff07'],
  [2 ** 31, '8080808008'],
  [2 ** 32, '8080808010'],
  [2 ** 53 - 1, 'ffffffffffffff0f'],
]

describe('varint', () => {
  it('encodes and decodes the vectors', () => {
    for (const [value, bytes] of vectors) {
      expect(hex(encodeVarint(value))).toBe(bytes)
      expect(varintLength(value)).toBe(bytes.length / 2)
      expect(readVarint(unhex(bytes))).toEqual({ value, next: bytes.length / 2 })
    }
  })

  it('reads in the middle of other bytes', () => {
    expect(readVarint(unhex('ffac0201'), 1)).toEqual({ value: 300, next: 3 })
  })

  it('writes in place and says where it ends', () => {
    const out = new Uint8Array(4)
    expect(writeVarint(300, out, 1)).toBe(3)
    expect(hex(out)).toBe('00ac0200')
  })

  it('waits for more when cut at any byte', () => {
    for (const [, bytes] of vectors) {
      for (let cut = 0; cut < bytes.length; cut += 2) expect(readVarint(unhex(bytes.slice(0, cut)))).toBeUndefined()
    }
  })

  it('refuses a tenth byte without waiting for it', () => {
    expect(codeOf(() => readVarint(unhex('808080808080808080')))).toBe('ERR_DECODE')
    expect(codeOf(() => readVarint(unhex('80808080808080808001')))).toBe('ERR_DECODE')
    expect(readVarint(unhex('8080808080808080'))).toBeUndefined()
  })

  it('refuses a longer form than needed', () => {
    for (const bytes of ['8100', '8000', 'ac8200', 'ffffff00']) expect(codeOf(() => readVarint(unhex(bytes)))).toBe('ERR_DECODE')
  })

  it('refuses what a number does not hold exactly', () => {
    // 2^53, 2^53 + 1 and 2^63 − 1.
    for (const bytes of ['8080808080808010', '8180808080808010', 'ffffffffffffffff7f'])
      expect(codeOf(() => readVarint(unhex(bytes)))).toBe('ERR_DECODE')
    for (const value of [-1, 0.5, 2 ** 53, Number.NaN]) expect(codeOf(() => encodeVarint(value))).toBe('ERR_INVALID_ARGUMENT')
  })

  it('frames', () => {
    expect(hex(frame(unhex('aabb')))).toBe('02aabb')
    expect(hex(frame(new Uint8Array(0)))).toBe('00')
    expect(frame(new Uint8Array(300)).subarray(0, 2)).toEqual(unhex('ac02'))
  })

  it('round-trips any number', () => {
    property(2_000, (random) => {
      const value = Math.floor((random.u32() * 2 ** 21 + random.below(2 ** 21)) / 2 ** random.below(53))
      const bytes = encodeVarint(value)
      expect(readVarint(bytes)).toEqual({ value, next: bytes.length })
      expect(varintLength(value)).toBe(bytes.length)
    })
  })

  it('survives noise, and accepts nothing that it would write otherwise', () => {
    property(5_000, (random) => {
      const bytes = random.bytes(random.below(12)).map((byte) => (random.below(3) === 0 ? byte : byte | 0x80))
      decodes(() => {
        const read = readVarint(bytes)
        if (read !== undefined) expect(hex(encodeVarint(read.value))).toBe(hex(bytes.subarray(0, read.next)))
      })
    })
  })
})
