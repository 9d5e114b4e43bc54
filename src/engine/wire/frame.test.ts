import { describe, expect, it } from 'vitest'
import { TabmeshError } from '../../errors.ts'
import { concat } from '../codec/bytes.ts'
import { encodeVarint, frame } from '../codec/varint.ts'
import { Play } from '../testing/play.ts'
import { codeOf, property } from '../testing/property.ts'
import { FrameReader, readFrame, readFrameOrEnd, writeFrame } from './frame.ts'

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values)

/** Pieces of `whole` in front of which `cuts` fall. */
const cutAt = (whole: Uint8Array, ...cuts: number[]): Uint8Array[] => {
  const edges = [0, ...cuts, whole.length]
  return edges.slice(1).map((end, at) => whole.slice(edges[at], end))
}

describe('a frame that is read', () => {
  it('comes whole, at every cut, and takes nothing behind it', () => {
    const body = new Uint8Array(200).fill(7)
    const wire = concat([frame(body), bytes(9, 9)])
    for (let cut = 0; cut <= wire.length; cut += 1) {
      const play = new Play(readFrame(200))
      for (const piece of cutAt(wire, cut)) play.send(piece)
      expect(play.value).toEqual(body)
      expect(play.rest).toEqual(bytes(9, 9))
    }
  })

  it('may be empty', () => {
    expect(new Play(readFrame(10)).send(bytes(0)).value).toEqual(new Uint8Array(0))
  })

  it('may be as long as is allowed and no longer: refused before a byte of the body is waited for', () => {
    expect(new Play(readFrame(300)).send(encodeVarint(300)).over).toBe(false)
    expect(new Play(readFrame(300)).send(encodeVarint(301)).fault?.code).toBe('ERR_FRAME_TOO_LARGE')
    expect(new Play(readFrame(300)).send(encodeVarint(2 ** 53 - 1)).fault?.remote).toBe(true)
  })

  it.each([
    ['a length longer than it need be', bytes(0x80, 0x00)],
    ['a length over nine bytes', bytes(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)],
    ['a length over 2^53 - 1', bytes(0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10)],
  ])('is refused for %s', (_what, wire) => {
    const play = new Play(readFrame(300)).send(wire)
    expect(play.fault?.code).toBe('ERR_DECODE')
    expect(play.fault?.remote).toBe(true)
    expect(codeOf(() => new FrameReader(300).push(wire))).toBe('ERR_DECODE')
  })

  it('may be missing at the end, but not be cut by it', () => {
    expect(new Play(readFrameOrEnd(10)).end().over).toBe(true)
    expect(new Play(readFrameOrEnd(10)).end().fault).toBeUndefined()
    expect(new Play(readFrame(10)).end().fault?.code).toBe('ERR_STREAM_CLOSED')
    for (const part of [bytes(0x80), bytes(2), bytes(2, 1)]) {
      expect(new Play(readFrameOrEnd(10)).send(part).end().fault).toBeInstanceOf(TabmeshError)
    }
  })

  it('is what was written', () => {
    expect(new Play(writeFrame(bytes(1, 2, 3))).written).toEqual(bytes(3, 1, 2, 3))
  })
})

describe('a reader of frames', () => {
  const bodies = [bytes(), bytes(1), new Uint8Array(130).fill(2), bytes(), bytes(3, 4)]
  const wire = concat(bodies.map(frame))

  it('gives each of them once, at every two cuts', () => {
    for (let first = 0; first <= wire.length; first += 1) {
      for (let second = first; second <= wire.length; second += 1) {
        const reader = new FrameReader(130)
        const got = cutAt(wire, first, second).flatMap((piece) => reader.push(piece))
        if (got.length !== bodies.length || !got.every((body, at) => Buffer.compare(body, bodies[at] as Uint8Array) === 0))
          throw new Error(`cut at ${first} and ${second}`)
      }
    }
  })

  it('gives them as soon as they are whole, a byte at a time', () => {
    const reader = new FrameReader(130)
    const counts = Array.from(wire, (byte) => reader.push(bytes(byte)).length)
    const ends = bodies.map((_, at) => concat(bodies.slice(0, at + 1).map(frame)).length - 1)
    expect(counts.flatMap((count, at) => (count > 0 ? [at] : []))).toEqual(ends)
  })

  it('refuses what is too long as soon as its length is there', () => {
    const reader = new FrameReader(130)
    expect(codeOf(() => reader.push(encodeVarint(131).slice(0, 1)))).toBeUndefined()
    expect(codeOf(() => reader.push(encodeVarint(131).slice(1)))).toBe('ERR_FRAME_TOO_LARGE')
  })

  it('gives what was sent, however it is cut', () => {
    property(100, (random) => {
      const sent = Array.from({ length: random.below(20) }, () => random.bytes(random.below(300)))
      const whole = concat(sent.map(frame))
      const reader = new FrameReader(300)
      const got: Uint8Array[] = []
      for (let at = 0; at < whole.length; ) {
        const size = random.below(random.below(2) === 0 ? 4 : 400)
        got.push(...reader.push(whole.slice(at, at + size)))
        at += size
      }
      expect(got).toEqual(sent)
    })
  })
})
