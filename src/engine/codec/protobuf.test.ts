import { describe, expect, it } from 'vitest'
import { TabmeshError } from '../../errors.ts'
import type { Prng } from '../testing/prng.ts'
import { codeOf, decodes, mutate, property } from '../testing/property.ts'
import { utf8 } from './bytes.ts'
import type { Of } from './protobuf.ts'
import { bool, bytes, fixed64, message, nested, repeated, string, uint, uint64 } from './protobuf.ts'

const unhex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text.replaceAll(' ', ''), 'hex'))
const hex = (encoded: Uint8Array): string => Buffer.from(encoded).toString('hex')

const Peer = message({ id: bytes(1), addresses: repeated(bytes(2), 3) })
const Status = message({
  type: uint(1),
  peer: nested(2, Peer),
  expire: uint64(3),
  limited: bool(4),
  text: string(5),
  at: fixed64(6),
  closer: repeated(nested(16, Peer), 2),
  // gossipsub's test extension has a number like this one.
  far: uint(6492434),
})
type Status = Of<typeof Status>

const absent: Status = {
  type: undefined,
  peer: undefined,
  expire: undefined,
  limited: undefined,
  text: undefined,
  at: undefined,
  closer: [],
  far: undefined,
}

describe('encoding', () => {
  it('writes the examples of the protobuf documentation', () => {
    // protobuf.dev/programming-guides/encoding §A Simple Message, §Length-Delimited Records, §Submessages
    expect(hex(message({ a: uint(1) }).encode({ a: 150 }))).toBe('089601')
    expect(hex(message({ b: string(2) }).encode({ b: 'testing' }))).toBe('120774657374696e67')
    const Test1 = message({ a: uint(1) })
    expect(hex(message({ c: nested(3, Test1) }).encode({ c: { a: 150 } }))).toBe('1a03089601')
  })

  it('keeps presence: what is set is written, be it zero, and what is not is not', () => {
    expect(hex(Status.encode({}))).toBe('')
    expect(hex(Status.encode({ type: 0, limited: false, text: '', peer: {}, expire: 0n }))).toBe(
      '0800 1200 1800 2000 2a00'.replaceAll(' ', ''),
    )
    expect(hex(Status.encode({ type: undefined, closer: [] }))).toBe('')
  })

  it('writes fields in the order of their numbers, whatever the order of declaration', () => {
    const Backward = message({ b: uint(2), a: uint(1) })
    expect(hex(Backward.encode({ b: 2, a: 1 }))).toBe('08011002')
  })

  it('frames without a second copy of the body', () => {
    expect(hex(Status.frame({ type: 1 }))).toBe('020801')
    expect(hex(Status.frame({}))).toBe('00')
  })

  it('writes numbers of all sizes', () => {
    expect(hex(Status.encode({ type: 2 ** 53 - 1 }))).toBe('08ffffffffffffff0f')
    expect(hex(Status.encode({ expire: 2n ** 64n - 1n }))).toBe('18ffffffffffffffffff01')
    expect(hex(Status.encode({ at: 0x0102030405060708n }))).toBe('310807060504030201')
  })

  it('refuses numbers that fit no field', () => {
    for (const type of [-1, 0.5, 2 ** 53]) expect(codeOf(() => Status.encode({ type }))).toBe('ERR_INVALID_ARGUMENT')
    for (const expire of [-1n, 2n ** 64n]) expect(codeOf(() => Status.encode({ expire }))).toBe('ERR_INVALID_ARGUMENT')
  })

  it('writes lengths and tags also where the room ends just before them', () => {
    const Data = message({ status: uint(1), data: bytes(2) })
    // The room of a writer doubles from 1,024 to 65,536 and is not kept beyond: each end is met once, then a byte further on.
    for (let size = 1; size <= 262_144; size *= 2) {
      for (let length = Math.max(0, size - 12); length <= size + 2; length += 1) {
        const data = new Uint8Array(length)
        const read = Data.decode(Data.encode({ status: 2, data }))
        expect([read.status, read.data?.length]).toEqual([2, length])
      }
    }
  })

  it('leaves earlier results alone when it goes on', () => {
    const first = Status.encode({ text: 'first' })
    const kept = hex(first)
    codeOf(() => Status.encode({ text: 'x'.repeat(50), type: -1 }))
    Status.encode({ text: 'y'.repeat(200_000) })
    Status.encode({ text: 'other' })
    expect(hex(first)).toBe(kept)
  })
})

describe('decoding', () => {
  it('reads nothing as a message of no fields', () => {
    expect(Status.decode(new Uint8Array(0))).toEqual(absent)
  })

  it('reads fields in any order; the last of a repeated singular one counts', () => {
    expect(Status.decode(unhex('1805 0801 0802'))).toEqual({ ...absent, expire: 5n, type: 2 })
  })

  it('reads longer varints than needed, up to ten bytes', () => {
    expect(Status.decode(unhex('08 8100')).type).toBe(1)
    expect(Status.decode(unhex('08 81808080808080808000')).type).toBe(1)
    expect(Status.decode(unhex('18 80808080808080808001')).expire).toBe(2n ** 63n)
    expect(Status.decode(unhex('20 80808080808080808001')).limited).toBe(true)
    expect(Status.decode(unhex('8800 07')).type).toBe(7)
  })

  it('skips unknown fields of every wire type', () => {
    expect(Status.decode(unhex('38ff01 3a03aabbcc 390102030405060708 3d01020304 0809'))).toEqual({ ...absent, type: 9 })
  })

  it('gives views of the input, wherever it lies in memory', () => {
    const input = unhex('ffff 0a 02 aabb').subarray(2)
    const { id } = Peer.decode(input)
    expect(id).toEqual(unhex('aabb'))
    expect(id?.buffer).toBe(input.buffer)
    expect(Status.decode(unhex('00 31 0807060504030201').subarray(1)).at).toBe(0x0102030405060708n)
  })

  const refused = {
    'a cut in a tag': '80',
    'a cut in a varint': '08 80',
    'a cut before a value': '08',
    'a cut in bytes': '2a 05 61',
    'a cut in a fixed value': '31 01',
    'a cut in an unknown field': '3d 01',
    'a length past the end of what holds it': '12 03 0a 05 61 00 00 00 00',
    'a length over 2^53': '2a ffffffffffffffffff01',
    'field number 0': '00 01',
    'a field number of 30 bits': '8080808010 01',
    'a group': '0b 0c',
    'an unknown group': '3b 3c',
    'the end of a group': '0c',
    'wire type 6': '0e',
    'wire type 7': '3f',
    'another wire type than declared': '0a 00',
    'bytes sent as a varint': '10 01',
    'a varint over ten bytes': '18 8080808080808080808001',
    'a varint over 64 bits': '18 80808080808080808002',
    'a number over 2^53 - 1': '08 8080808080808010',
    'text that is not UTF-8': '2a 01 ff',
  }
  for (const [what, input] of Object.entries(refused)) {
    it(`refuses ${what}`, () => {
      expect(codeOf(() => Status.decode(unhex(input)))).toBe('ERR_DECODE')
    })
  }

  it('says which byte is at fault, also inside of what is nested, and that the remote is', () => {
    const fault = ((): unknown => {
      try {
        return Status.decode(unhex('0801 12 03 0a 05 61'))
      } catch (error) {
        return error
      }
    })()
    expect(fault).toBeInstanceOf(TabmeshError)
    expect((fault as TabmeshError).message).toContain('5 bytes where 1 are left at byte 6')
    expect((fault as TabmeshError).remote).toBe(true)
  })

  it('refuses one more of a repeated field than is allowed', () => {
    const three = Peer.decode(unhex('1200 1200 1200'))
    expect(three.addresses).toHaveLength(3)
    expect(codeOf(() => Peer.decode(unhex('1200 1200 1200 1200')))).toBe('ERR_DECODE')
  })

  it('does not let one message see the repeated fields of another', () => {
    expect(Peer.decode(unhex('1200')).addresses).toHaveLength(1)
    expect(Peer.decode(new Uint8Array(0)).addresses).toHaveLength(0)
  })
})

describe('any message', () => {
  const randomPeer = (random: Prng): Of<typeof Peer> => ({
    id: random.below(2) === 0 ? undefined : random.bytes(random.below(40)),
    addresses: Array.from({ length: random.below(4) }, () => random.bytes(random.below(300))),
  })
  const u64 = (random: Prng): bigint => ((BigInt(random.u32()) << 32n) | BigInt(random.u32())) >> BigInt(random.below(64))
  const randomStatus = (random: Prng): Status => ({
    type: random.below(3) === 0 ? undefined : Math.floor(random.u32() / 2 ** random.below(32)),
    peer: random.below(3) === 0 ? undefined : randomPeer(random),
    expire: random.below(3) === 0 ? undefined : u64(random),
    limited: random.below(3) === 0 ? undefined : random.below(2) === 0,
    text: random.below(3) === 0 ? undefined : '日本\u{10ffff}x'.repeat(random.below(30)),
    at: random.below(3) === 0 ? undefined : u64(random),
    closer: Array.from({ length: random.below(3) }, () => randomPeer(random)),
    far: random.below(3) === 0 ? undefined : random.u32(),
  })

  it('comes back as it went', () => {
    property(500, (random) => {
      const status = randomStatus(random)
      const encoded = Status.encode(status)
      expect(Status.decode(encoded)).toEqual(status)
      expect(hex(Status.encode(Status.decode(encoded)))).toBe(hex(encoded))
    })
  })

  it('is refused or shorter when cut at any byte', () => {
    const whole = Status.encode({
      type: 300,
      peer: { id: utf8('id'), addresses: [utf8('a')] },
      expire: 2n ** 60n,
      text: 'text',
      at: 1n,
      far: 9,
    })
    let refusals = 0
    for (let cut = 0; cut < whole.length; cut++) {
      if (!decodes(() => expect(Status.decode(whole.subarray(0, cut))).not.toEqual(Status.decode(whole)))) refusals++
    }
    // Only between fields is a cut a message.
    expect(refusals).toBe(whole.length - 6)
  })

  it('gives a coded error or a message on noise', () => {
    property(2_000, (random) => {
      decodes(() => Status.decode(random.bytes(random.below(60))))
      decodes(() => Status.decode(mutate(random, Status.encode(randomStatus(random)))))
    })
  })
})
