import { describe, expect, it } from 'vitest'
import { utf8 } from '../../codec/bytes.ts'
import { message, string, uint } from '../../codec/protobuf.ts'
import { codeOf, decodes, mutate, property } from '../../testing/property.ts'
import { decodeSignal, encodeSignal, type Signal } from './messages.ts'

const wire = message({ type: uint(1), data: string(2) })

describe('a signal', () => {
  it.each<[Signal, string]>([
    // The type of an offer is written though it is 0: js requires the field.
    [{ t: 'offer', sdp: 'v=0' }, '07 08 00 12 03 76 3d 30'],
    [{ t: 'answer', sdp: 'v=0' }, '07 08 01 12 03 76 3d 30'],
    [{ t: 'candidate', json: '{}' }, '06 08 02 12 02 7b 7d'],
    [{ t: 'candidate', json: '' }, '04 08 02 12 00'],
  ])('%j is %s', (signal, hex) => {
    const framed = encodeSignal(signal)
    expect(Buffer.from(framed).toString('hex')).toBe(hex.replaceAll(' ', ''))
    expect(decodeSignal(framed.subarray(1))).toEqual(signal)
  })

  it('may come without data', () => {
    expect(decodeSignal(wire.encode({ type: 2, data: undefined }))).toEqual({ t: 'candidate', json: '' })
  })

  it('of another type, or of none, is refused', () => {
    expect(codeOf(() => decodeSignal(wire.encode({ type: 3, data: '' })))).toBe('ERR_PROTOCOL')
    expect(codeOf(() => decodeSignal(wire.encode({ type: undefined, data: 'v=0' })))).toBe('ERR_PROTOCOL')
    expect(codeOf(() => decodeSignal(utf8('nonsense')))).toBe('ERR_DECODE')
  })

  it('that is damaged is refused with a code or read as another', () => {
    property(300, (random) => {
      const valid = encodeSignal({ t: 'offer', sdp: 'v=0\r\no=- 1 2 IN IP4 0.0.0.0' }).subarray(1)
      decodes(() => decodeSignal(mutate(random, valid)))
    })
  })
})
