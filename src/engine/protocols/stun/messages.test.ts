import { describe, expect, it } from 'vitest'
import { prng } from '../../testing/prng.ts'
import { answerBinding } from './messages.ts'

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replace(/\s/g, ''), 'hex'))
const shown = (bytes: Uint8Array | undefined): string | undefined => bytes && Buffer.from(bytes).toString('hex')

/** RFC 5769 §2: its samples share one transaction id, and its answers say 192.0.2.1 and 2001:db8:… at port 32853. */
const ID = 'b7e7a701bc34d686fa87dfae'
const IPV4 = { address: Uint8Array.of(192, 0, 2, 1), port: 32_853 }
const IPV6 = { address: hex('2001 0db8 1234 5678 0011 2233 4455 6677'), port: 32_853 }
const request = (attributes = ''): Uint8Array => {
  const length = (attributes.replace(/\s/g, '').length / 2).toString(16).padStart(4, '0')
  return hex(`0001 ${length} 2112a442 ${ID} ${attributes}`)
}

describe('an answer to a binding request', () => {
  it('says where it came from, as RFC 5769 §2.2 writes it', () => {
    expect(shown(answerBinding(request(), IPV4))).toBe(`0101000c2112a442${ID}002000080001a147e112a643`)
  })

  it('says so over IPv6, as RFC 5769 §2.3 writes it', () => {
    expect(shown(answerBinding(request(), IPV6))).toBe(`010100182112a442${ID}002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9`)
  })

  it('carries a fingerprint where the request did, and none where it did not', () => {
    // Checksums by zlib's crc32, mixed with 0x5354554e.
    const asked = request('8028 0004 00000000')
    new DataView(asked.buffer).setUint32(24, crc(asked.subarray(0, 20)))
    const answer = answerBinding(asked, IPV4) as Uint8Array
    expect(answer.length).toBe(40)
    expect(new DataView(answer.buffer).getUint32(36)).toBe(crc(answer.subarray(0, 32)))
  })

  it('passes over attributes that need not be understood', () => {
    // SOFTWARE, padded to four bytes.
    expect(answerBinding(request('8022 0005 6162636465 000000'), IPV4)).toHaveLength(32)
  })

  it('is 420 with the numbers of attributes that must be understood and are not', () => {
    // USERNAME and PRIORITY, as an ICE check has them.
    expect(shown(answerBinding(request('0006 0004 61626364 0024 0004 6e0001ff'), IPV4))).toBe(
      `011100102112a442${ID}0009000400000414000a000400060024`,
    )
  })
})

describe('no answer is given to', () => {
  const none = (datagram: Uint8Array): void => expect(answerBinding(datagram, IPV4)).toBeUndefined()

  it('any other class or method', () => {
    for (const type of ['0101', '0111', '0011', '0002', '0003', '4001', '8001']) none(hex(`${type} 0000 2112a442 ${ID}`))
  })

  it('another magic cookie, as RFC 3489 had none', () => none(hex(`0001 0000 2112a443 ${ID}`)))

  it('a request cut at any byte', () => {
    const whole = request('8022 0004 61626364')
    for (let at = 0; at < whole.length; at++) none(whole.subarray(0, at))
  })

  it('an attribute that says it is longer than the datagram', () => none(request('8022 0100 61626364')))

  it('a wrong fingerprint, or one that is not the last', () => {
    none(request('8028 0004 00000000'))
    const early = request('8028 0004 00000000 8022 0004 61626364')
    new DataView(early.buffer).setUint32(24, crc(early.subarray(0, 20)))
    none(early)
  })

  it('a datagram of over 548 bytes', () => none(request(`8022 0220 ${'00'.repeat(544)}`)))

  it('noise: and no noise throws', () => {
    const random = prng(11)
    for (let round = 0; round < 5_000; round++) {
      const bytes = random.bytes(random.below(80))
      if (round % 2 === 0) bytes.set(request().subarray(0, Math.min(20, bytes.length)))
      const answer = answerBinding(bytes, IPV4)
      if (answer !== undefined) expect(answer.length).toBeLessThanOrEqual(bytes.length + 20)
    }
  })
})

/** By the definition, and not by the code under test: polynomial division of the reversed bits. */
function crc(bytes: Uint8Array): number {
  let rest = 0xffff_ffffn
  for (const byte of bytes) {
    rest ^= BigInt(byte)
    for (let bit = 0; bit < 8; bit++) rest = (rest >> 1n) ^ (rest & 1n ? 0xedb8_8320n : 0n)
  }
  return Number((rest ^ 0xffff_ffffn ^ 0x5354_554en) & 0xffff_ffffn)
}
