import { describe, expect, it } from 'vitest'
import { codeOf, decodes, property } from '../testing/property.ts'
import { compareBytes, concat, equalBytes, fromUtf8, utf8, utf8Length } from './bytes.ts'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const unhex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'))

describe('bytes', () => {
  it('joins chunks, also into a length that is known', () => {
    const chunks = [Uint8Array.of(1, 2), new Uint8Array(0), Uint8Array.of(3)]
    expect(concat(chunks)).toEqual(Uint8Array.of(1, 2, 3))
    expect(concat(chunks, 3)).toEqual(Uint8Array.of(1, 2, 3))
    expect(concat([])).toEqual(new Uint8Array(0))
  })

  it('shares no memory with a pool', () => {
    expect(concat([Uint8Array.of(1)]).buffer.byteLength).toBe(1)
  })

  it('compares', () => {
    expect(equalBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 2))).toBe(true)
    expect(equalBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 3))).toBe(false)
    expect(equalBytes(Uint8Array.of(1, 2), Uint8Array.of(1))).toBe(false)
    const sorted = [[2], [1, 0], [], [1]].map((list) => Uint8Array.from(list)).sort(compareBytes)
    expect(sorted.map((each) => [...each])).toEqual([[], [1], [1, 0], [2]])
  })
})

describe('UTF-8', () => {
  // One of each length, the borders between lengths, and a byte order mark: RFC 3629 §3, §6.
  const texts = [
    '',
    'a',
    '\u007f\u0080',
    '\u07ff\u0800',
    'né',
    '日本語',
    '\ud7ff\ue000\uffff',
    '\u{10000}\u{10ffff}',
    '🦊🦊',
    '\ufefftext',
    '/ipfs/id/1.0.0',
  ]

  it('writes what the platform writes, and reads it back', () => {
    for (const text of texts) {
      expect(hex(utf8(text))).toBe(Buffer.from(text).toString('hex'))
      expect(utf8Length(text)).toBe(Buffer.byteLength(text))
      expect(fromUtf8(utf8(text))).toBe(text)
    }
  })

  it('writes a lone surrogate as the replacement character', () => {
    for (const text of ['\ud800', 'a\ud800b', '\udc00\ud800', '\ud83e\ud83e\udd8a'])
      expect(hex(utf8(text))).toBe(Buffer.from(text).toString('hex'))
  })

  it('reads a part of an array', () => {
    expect(fromUtf8(utf8('[né]'), 1, 4)).toBe('né')
    expect(codeOf(() => fromUtf8(utf8('né'), 0, 2))).toBe('ERR_DECODE')
  })

  it('refuses what RFC 3629 §3 and §10 refuse', () => {
    const malformed = {
      'a continuation by itself': '80',
      'an over-long slash': 'c0af',
      'an over-long NUL of three bytes': 'e08080',
      'an over-long NUL of four bytes': 'f0808080',
      'a surrogate': 'eda080',
      'beyond U+10FFFF': 'f4908080',
      'a byte that never occurs': 'ff',
      'a cut': 'e697',
      'a cut by another character': 'e69761',
    }
    for (const [what, bytes] of Object.entries(malformed))
      expect(
        codeOf(() => fromUtf8(unhex(bytes))),
        what,
      ).toBe('ERR_DECODE')
  })

  it('agrees with the platform on noise', () => {
    const platform = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
    property(3_000, (random) => {
      // Runs of ASCII around it reach the part of the decoder that takes eight at a time.
      const ascii = (): number[] => Array.from({ length: random.below(20) }, () => random.below(128))
      const middle = random
        .bytes(1 + random.below(4))
        .map((byte, i) => (i === 0 ? byte | 0xc0 : random.below(3) === 0 ? byte : 0x80 | (byte & 0x3f)))
      const bytes = Uint8Array.from([...ascii(), ...middle, ...ascii()])
      let expected: string | undefined
      try {
        expected = platform.decode(bytes)
      } catch {
        expected = undefined
      }
      expect(decodes(() => expect(fromUtf8(bytes)).toBe(expected))).toBe(expected !== undefined)
    })
  })
})
