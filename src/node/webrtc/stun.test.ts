import { createHmac } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { prng } from '../../engine/testing/prng.ts'
import { makeCheck, TRANSACTION_ID, transactionOfAnswer, usernameOfCheck } from './stun.ts'

/** RFC 5769 §2.1: a check whose USERNAME is evtj:h6vY. */
const sample = Buffer.from(
  '000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74002400046e0001ff80290008932ff9b151263b36' +
    '0006000965 76746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf'.replace(/ /g, ''),
  'hex',
)

describe('the names of a check', () => {
  it("are read from the RFC's sample", () => expect(usernameOfCheck(sample)).toEqual(['evtj', 'h6vY']))

  it('are in none that is cut, or longer than it says', () => {
    for (let at = 0; at < sample.length; at++) expect(usernameOfCheck(sample.subarray(0, at))).toBeUndefined()
    expect(usernameOfCheck(Buffer.concat([sample, Buffer.alloc(4)]))).toBeUndefined()
  })

  it('are split at the first colon', () => {
    expect(usernameOfCheck(makeCheck(new Uint8Array(TRANSACTION_ID), 'a:b:c', 'x'))).toEqual(['a', 'b:c'])
    expect(usernameOfCheck(makeCheck(new Uint8Array(TRANSACTION_ID), 'nothing', 'x'))).toBeUndefined()
  })

  it('are not looked for where a message has one of another kind', () => {
    for (const type of [0x0101, 0x0111, 0x0011, 0x0003, 0x4001]) {
      const other = Buffer.from(sample)
      other.writeUInt16BE(type, 0)
      expect(usernameOfCheck(other)).toBeUndefined()
    }
  })

  it('never make it fail, whatever comes', () => {
    const random = prng(11)
    for (let i = 0; i < 20_000; i++) {
      const mangled = Buffer.from(sample)
      for (let n = random.below(6); n >= 0; n--) mangled[random.below(mangled.length)] = random.below(256)
      usernameOfCheck(mangled)
      transactionOfAnswer(mangled)
    }
  })
})

describe('a check of ours', () => {
  const check = makeCheck(prng(1).bytes(TRANSACTION_ID), 'theirs:libp2p+webrtc+v1/ours', 'secret')

  it('is signed and summed as RFC 8489 §14.5 and §14.7 want', () => {
    const signed = Buffer.from(check.subarray(0, check.length - 32))
    signed.writeUInt16BE(check.length - 20 - 8, 2)
    expect(check.subarray(check.length - 28, check.length - 8)).toEqual(createHmac('sha1', 'secret').update(signed).digest())
    expect(check.readUInt32BE(check.length - 4)).toBe((crc32(check.subarray(0, check.length - 8)) ^ 0x5354554e) >>> 0)
    // The sums of the RFC's sample are of the same bytes.
    expect(sample.readUInt32BE(sample.length - 4)).toBe((crc32(sample.subarray(0, sample.length - 8)) ^ 0x5354554e) >>> 0)
  })

  it('is known again by the transaction of its answer', () => {
    expect(transactionOfAnswer(check)).toBeUndefined()
    for (const type of [0x0101, 0x0111]) {
      const answer = Buffer.from(check)
      answer.writeUInt16BE(type, 0)
      expect(transactionOfAnswer(answer)).toEqual(check.subarray(8, 20))
    }
  })
})
