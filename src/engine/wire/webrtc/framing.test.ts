import { describe, expect, it } from 'vitest'
import { TabmeshError } from '../../../errors.ts'
import { RTC_MAX_MESSAGE, RTC_MAX_RECEIVED } from '../../limits.ts'
import { prng } from '../../testing/prng.ts'
import {
  controlFrame,
  dataFrame,
  FIN,
  FIN_ACK,
  type Flag,
  type Frame,
  FrameReader,
  frameRoom,
  Outbox,
  RESET,
  STOP_SENDING,
} from './framing.ts'

const hex = (bytes: Uint8Array | undefined) => (bytes === undefined ? undefined : Buffer.from(bytes).toString('hex'))
const unhex = (text: string) => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'))
const utf8 = (text: string) => Uint8Array.from(Buffer.from(text))

const framed = (bytes: Uint8Array, credit?: number, number?: number) => {
  const outbox = new Outbox()
  outbox.put(bytes)
  return dataFrame(outbox, bytes.length, credit, number)
}

/** All frames in `pieces`, pushed one by one; stops at a fault. */
const readAll = (...pieces: Uint8Array[]): (Frame | TabmeshError)[] => {
  const reader = new FrameReader()
  const frames: (Frame | TabmeshError)[] = []
  for (const piece of pieces) {
    reader.push(piece)
    for (let frame = reader.next(); frame !== undefined; frame = reader.next()) {
      frames.push(frame)
      if (frame instanceof TabmeshError) return frames
    }
  }
  return frames
}
const plain = (frame: Frame | TabmeshError | undefined) =>
  frame === undefined || frame instanceof TabmeshError ? frame?.code : { ...frame, message: hex(frame.message) }
const blank = { flag: undefined, message: undefined, credit: undefined, number: undefined, code: undefined }

describe('WebRTC frames', () => {
  // What js-libp2p's generated codec (packages/transport-webrtc/src/private-to-public/pb/message.ts) writes behind its
  // length prefix: `uint32(8)` and the flag, `uint32(18)` and the bytes. Each row is also how we write it.
  const golden: [string, string, Partial<Frame>, () => Uint8Array][] = [
    ['FIN, though it is 0', '02 08 00', { flag: FIN }, () => controlFrame(FIN)],
    ['STOP_SENDING', '02 08 01', { flag: STOP_SENDING }, () => controlFrame(STOP_SENDING)],
    ['RESET', '02 08 02', { flag: RESET }, () => controlFrame(RESET)],
    ['FIN_ACK', '02 08 03', { flag: FIN_ACK }, () => controlFrame(FIN_ACK)],
    ['a message', '07 12 05 68656c6c6f', { message: utf8('hello') }, () => framed(utf8('hello'))],
    // Field 1157: tag 1157 × 8 = 9256 = a8 48; 1 MiB = 80 80 40.
    [
      'a message with credit',
      '0c 12 05 68656c6c6f a848 808040',
      { message: utf8('hello'), credit: 1_048_576 },
      () => framed(utf8('hello'), 1_048_576),
    ],
    ['credit alone', '05 a848 808010', { credit: 262_144 }, () => controlFrame(undefined, 262_144)],
    ['FIN with credit', '07 0800 a848 808040', { flag: FIN, credit: 1_048_576 }, () => controlFrame(FIN, 1_048_576)],
    ['a number', '07 120161 b048 8101', { message: utf8('a'), number: 129 }, () => framed(utf8('a'), undefined, 129)],
    ['a number beside credit and flag', '08 0800 a84805 b04801', { flag: FIN, credit: 5, number: 1 }, () => controlFrame(FIN, 5, 1)],
    ['the greatest credit', '07 a848 ffffffff0f', { credit: 0xffff_ffff }, () => controlFrame(undefined, 0xffff_ffff)],
  ]
  for (const [what, wire, fields, written] of golden) {
    it(`writes and reads ${what}`, () => {
      expect(hex(written())).toBe(hex(unhex(wire)))
      expect(readAll(unhex(wire)).map(plain)).toEqual([plain({ ...blank, ...fields })])
    })
  }

  it('reads what others write and we do not', () => {
    const rows: [string, string, Partial<Frame>][] = [
      ['flag and message in one', '06 0800 12026869', { flag: FIN, message: utf8('hi') }],
      ['the fields the other way round', '06 12026869 0800', { flag: FIN, message: utf8('hi') }],
      ['an empty frame', '00', {}],
      ['an empty message', '02 1200', { message: new Uint8Array(0) }],
      ["go's reset code", '05 0802 188220', { flag: RESET, code: 0x1002 }],
      ['an unknown flag', '02 0804', {}],
      ['a flag of ten bytes (-1 as int32)', '0b 08 ffffffffffffffffff01', {}],
      ['a flag longer than it need be', '03 08 8100', { flag: STOP_SENDING }],
      ['the last of two flags', '04 0800 0802', { flag: RESET }],
      ['the last of two messages', '06 120161 120162', { message: utf8('b') }],
      ['unknown fields of every type', '16 2005 2a026869 310102030405060708 3d01020304 0800', { flag: FIN }],
      ['a known field of an unknown type', '05 0a0100 0803', { flag: FIN_ACK }],
      ['credit beyond its 32 bits', '08 a848 ffffffffff7f', { credit: 0xffff_ffff }],
    ]
    for (const [what, wire, fields] of rows) expect(readAll(unhex(wire)).map(plain), what).toEqual([plain({ ...blank, ...fields })])
  })

  it('fills one message to the last byte and never more', () => {
    for (const credit of [undefined, 0, 300_000, 0xffff_ffff]) {
      const room = frameRoom(credit)
      const frame = framed(new Uint8Array(room), credit)
      expect(frame.length).toBe(RTC_MAX_MESSAGE)
      // rust reads bodies of at most 16,382 bytes (misc/webrtc-utils/src/stream.rs).
      expect(readAll(frame).map(plain)).toEqual([plain({ ...blank, message: new Uint8Array(room), credit })])
    }
    for (const size of [1, 2, 121, 122, 123, 124, 125, 126, 127, 128, 129, 16_000]) {
      const message = prng(size).bytes(size)
      expect(readAll(framed(message)).map(plain)).toEqual([plain({ ...blank, message })])
    }
  })

  it('hands out views where that costs no memory', () => {
    const wire = framed(new Uint8Array(1_000))
    const [frame] = readAll(wire) as Frame[]
    expect(frame?.message?.buffer).toBe(wire.buffer)
  })

  it('does not let a byte of message keep a message of padding alive', () => {
    // 1 byte of message and 200,000 bytes of an unknown field.
    const wire = Buffer.concat([unhex('c8 9a 0c 1201ff 2a c09a0c'), Buffer.alloc(200_000)])
    wire.set(unhex('c7 9a 0c'), 0)
    const [frame] = readAll(Uint8Array.from(wire)) as Frame[]
    expect(frame?.message?.buffer.byteLength).toBe(1)
  })

  it('takes the channel for a byte stream, wherever it is cut', () => {
    for (let seed = 1; seed <= 300; seed++) {
      const random = prng(seed)
      const frames: Partial<Frame>[] = Array.from({ length: 1 + random.below(12) }, () => {
        const flag = random.below(3) === 0 ? (random.below(4) as Flag) : undefined
        const credit = random.below(3) === 0 ? random.u32() : undefined
        return flag === undefined && random.below(4) > 0
          ? { message: random.bytes(1 + random.below(random.below(4) === 0 ? 16_000 : 50)), ...(credit === undefined ? {} : { credit }) }
          : { flag, credit }
      })
      const wire = Buffer.concat(
        frames.map((each) => (each.message === undefined ? controlFrame(each.flag, each.credit) : framed(each.message, each.credit))),
      )
      const pieces: Uint8Array[] = []
      const most = 1 + random.below([1, 5, 100, 20_000][random.below(4)] as number)
      for (let at = 0; at < wire.length; ) {
        const size = random.below(most + 1)
        pieces.push(Uint8Array.from(wire.subarray(at, at + size)))
        at += size
      }
      // Only at the end, so that a view that was written over would show.
      expect(readAll(...pieces).map(plain), `seed ${seed}`).toEqual(frames.map((each) => plain({ ...blank, ...each })))
    }
  })

  it('reads a great frame that comes byte by byte in reasonable time', () => {
    const reader = new FrameReader()
    const wire = framed(prng(7).bytes(RTC_MAX_RECEIVED - 10))
    const frames: (Frame | TabmeshError)[] = []
    for (let i = 0; i < wire.length; i++) {
      reader.push(wire.slice(i, i + 1))
      const frame = reader.next()
      if (frame !== undefined) frames.push(frame)
    }
    expect(frames.map((each) => (each as Frame).message?.length)).toEqual([RTC_MAX_RECEIVED - 10])
  })
})

describe('the frame reader refuses', () => {
  const rows: [string, string, string][] = [
    // 257 KiB = 263,168 = 80 88 10
    ['a frame over the cap, before its body', '81 88 10', 'ERR_FRAME_TOO_LARGE'],
    ['a length of four bytes', '80 80 80 01', 'ERR_FRAME_TOO_LARGE'],
    ['a length that does not end', 'ff ff ff', 'ERR_FRAME_TOO_LARGE'],
    ['a length that is longer than it need be', '82 00 08 00', 'ERR_DECODE'],
    ['a message longer than its frame', '03 12 02 61', 'ERR_DECODE'],
    ['a message of a length without end', '0c 12 ffffffffffffffffffff ff', 'ERR_DECODE'],
    ['a flag without value', '01 08', 'ERR_DECODE'],
    ['a tag cut short', '01 88', 'ERR_DECODE'],
    ['a value of eleven bytes', '0d 08 ffffffffffffffffffff 01 00', 'ERR_DECODE'],
    ['field 0', '02 00 00', 'ERR_DECODE'],
    ['a field number over 29 bits', '08 80808080 80 01 00 00', 'ERR_DECODE'],
    ['a group', '02 23 24', 'ERR_DECODE'],
    ['eight bytes that are seven', '08 31 01020304050607', 'ERR_DECODE'],
    ['four bytes that are three', '04 3d 010203', 'ERR_DECODE'],
    ['credit without value', '02 a8 48', 'ERR_DECODE'],
  ]
  for (const [what, wire, code] of rows) {
    it(what, () => {
      const [fault, ...more] = readAll(unhex(wire))
      expect(fault).toBeInstanceOf(TabmeshError)
      expect(fault).toMatchObject({ code, remote: true })
      expect(more).toEqual([])
    })
  }

  it('anything after a fault', () => {
    const reader = new FrameReader()
    reader.push(unhex('0108'))
    const fault = reader.next()
    reader.push(controlFrame(FIN))
    expect(reader.next()).toBe(fault)
  })

  it('nothing that it has not seen whole: truncated at every byte it waits', () => {
    const wire = unhex('0f 0800 12026869 188220 a848 808040 00')
    wire[0] = wire.length - 1 - 1
    const whole = wire.subarray(0, wire.length - 1)
    for (let cut = 0; cut < whole.length; cut++) expect(readAll(whole.slice(0, cut))).toEqual([])
    expect(readAll(whole)).toHaveLength(1)
  })

  it('noise with a code, never with a crash', () => {
    for (let seed = 1; seed <= 5_000; seed++) {
      const random = prng(seed)
      const body = random.bytes(1 + random.below(40))
      // Half of them with a length that fits, so that the protobuf is reached.
      if (seed % 2) body[0] = body.length - 1
      for (const frame of readAll(body)) {
        if (frame instanceof TabmeshError) expect(['ERR_DECODE', 'ERR_FRAME_TOO_LARGE'], `seed ${seed}`).toContain(frame.code)
      }
    }
  })
})

describe('the outbox', () => {
  it('gives back what was put, in order, in whatever portions', () => {
    for (let seed = 1; seed <= 100; seed++) {
      const random = prng(seed)
      const outbox = new Outbox()
      const put: Uint8Array[] = []
      const taken: Uint8Array[] = []
      for (let i = 0; i < 400; i++) {
        if (random.below(2)) {
          const bytes = random.bytes(random.below(random.below(10) ? 20 : 2_000))
          put.push(bytes.slice())
          outbox.put(bytes)
        } else {
          const part = new Uint8Array(Math.min(outbox.size, random.below(500)))
          outbox.take(part.length, part, 0)
          taken.push(part)
        }
      }
      const rest = new Uint8Array(outbox.size)
      outbox.take(rest.length, rest, 0)
      expect(outbox.size).toBe(0)
      expect(hex(Buffer.concat([...taken, rest])), `seed ${seed}`).toBe(hex(Buffer.concat(put)))
    }
  })
})
