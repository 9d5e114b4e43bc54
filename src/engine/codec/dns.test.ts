import { describe, expect, it } from 'vitest'
import { prng } from '../testing/prng.ts'
import { decodeTxtAnswer, encodeTxtQuery } from './dns.ts'

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replace(/\s/g, ''), 'hex'))
const text = (value: string): string => Buffer.from(value).toString('hex')
/** One record: its name as a pointer to the question's, type, class, an hour, its data. */
const record = (type: string, data: string): string =>
  `c00c ${type} 0001 00000e10 ${(data.length / 2).toString(16).padStart(4, '0')} ${data}`
const QUESTION = `0161 00 0010 0001`
const answer = (flags: string, ...records: string[]): Uint8Array =>
  hex(`0000 ${flags} 0001 ${records.length.toString(16).padStart(4, '0')} 0000 0000 ${QUESTION} ${records.join('')}`)
const strings = (...values: string[]): string => values.map((value) => value.length.toString(16).padStart(2, '0') + text(value)).join('')

describe('a TXT query', () => {
  it('is written as RFC 1035 §4.1 says', () => {
    // The name of RFC 8484 §4.1.1's example, asked for TXT instead of A.
    expect(Buffer.from(encodeTxtQuery('www.example.com')).toString('hex')).toBe(
      '00000100000100000000000003777777076578616d706c6503636f6d0000100001',
    )
    expect(encodeTxtQuery('www.example.com.')).toEqual(encodeTxtQuery('www.example.com'))
  })

  it('is refused for what is no name', () => {
    for (const name of ['', '.', 'a..b', `${'a'.repeat(64)}.b`, `${'a.'.repeat(127)}ab`])
      expect(() => encodeTxtQuery(name)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARGUMENT' }))
  })
})

describe('an answer', () => {
  it('gives the texts of its TXT records, the strings of one joined', () => {
    const got = decodeTxtAnswer(
      answer('8180', record('0010', strings('dnsaddr=/ip4/1', '.2.3.4')), record('0005', '0162c00c'), record('0010', strings('x'))),
    )
    expect(got).toEqual(['dnsaddr=/ip4/1.2.3.4', 'x'])
  })

  it('of no name is no text', () => expect(decodeTxtAnswer(answer('8183'))).toEqual([]))

  it('is refused where the resolver failed, where it is cut short and where it is a query', () => {
    for (const flags of ['8182', '8185', '8380', '0100']) {
      expect(() => decodeTxtAnswer(answer(flags))).toThrow(expect.objectContaining({ code: 'ERR_DECODE' }))
    }
  })

  it('is refused cut at any byte', () => {
    const whole = answer('8180', record('0010', strings('hello')))
    for (let at = 0; at < whole.length; at++) {
      expect(() => decodeTxtAnswer(whole.subarray(0, at)), `cut at ${at}`).toThrow(expect.objectContaining({ code: 'ERR_DECODE' }))
    }
  })

  it('is refused where a text is longer than its record', () => {
    expect(() => decodeTxtAnswer(answer('8180', record('0010', '05616263')))).toThrow(expect.objectContaining({ code: 'ERR_DECODE' }))
  })

  it('of noise is texts or ERR_DECODE, and never anything else', () => {
    const random = prng(5)
    for (let round = 0; round < 3_000; round++) {
      const bytes = answer('8180', record('0010', strings('hello')))
      for (let change = 0; change < 4; change++) bytes[random.below(bytes.length)] = random.below(256)
      try {
        decodeTxtAnswer(bytes)
      } catch (error) {
        expect(error).toMatchObject({ code: 'ERR_DECODE' })
      }
    }
  })
})
