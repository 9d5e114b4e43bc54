import { describe, expect, it } from 'vitest'
import { parseMultiaddr } from '../../codec/multiaddr.ts'
import { peerIdToBytes } from '../../codec/peer-id.ts'
import {
  decodeDialBack,
  decodeMessage,
  decodeResponse1,
  frameData,
  frameDataRequest,
  frameDial1,
  frameDialBack,
  frameDialBackResponse,
  frameRequest,
  frameResponse,
} from './messages.ts'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const from = (text: string): Uint8Array => new Uint8Array(Buffer.from(text.replaceAll(' ', ''), 'hex'))
const address = parseMultiaddr('/ip4/1.2.3.4/tcp/4001')

// Laid out by hand from the field numbers of go-libp2p's p2p/protocol/autonatv2/pb/autonatv2.proto and js-libp2p's
// packages/protocol-autonat-v2/src/pb/index.proto, which are the same.
describe('messages of version 2', () => {
  it('a request: the addresses, and eight bytes of nonce, the lowest first', () => {
    const bytes = '15 0a13 0a08 0401020304060fa1 11 0807060504030201'.replaceAll(' ', '')
    expect(hex(frameRequest({ addresses: [address.bytes], nonce: 0x0102030405060708n }))).toBe(bytes)
    expect(decodeMessage(from(bytes).subarray(1))).toEqual({
      t: 'request',
      request: { addresses: [address.bytes], nonce: 0x0102030405060708n },
    })
  })

  it('an answer', () => {
    const bytes = '0a 1208 08c801 1002 18c801'.replaceAll(' ', '')
    expect(hex(frameResponse({ status: 200, index: 2, dialStatus: 200 }))).toBe(bytes)
    expect(decodeMessage(from(bytes).subarray(1))).toEqual({ t: 'response', response: { status: 200, index: 2, dialStatus: 200 } })
  })

  it('an answer in which go leaves out the zeros: the first address, refused without a status', () => {
    expect(decodeMessage(from('1206 08c801 18c801'))).toEqual({ t: 'response', response: { status: 200, index: 0, dialStatus: 200 } })
    expect(decodeMessage(from('1200'))).toEqual({ t: 'response', response: { status: 0, index: 0, dialStatus: 0 } })
  })

  it('dial data, asked for and sent', () => {
    expect(hex(frameDataRequest({ index: 1, bytes: 30_000 }))).toBe('081a06080110b0ea01')
    expect(decodeMessage(from('1a06 0801 10b0ea01'))).toEqual({ t: 'dataRequest', dataRequest: { index: 1, bytes: 30_000 } })
    expect(hex(frameData(new Uint8Array(3)))).toBe('0722050a03000000')
    expect(decodeMessage(from('2205 0a03 000000'))).toEqual({ t: 'data', data: new Uint8Array(3) })
  })

  it('a dial back of ten bytes, which is all that rust reads, and its answer', () => {
    expect(hex(frameDialBack(0xfffffffffffffffen))).toBe('0909feffffffffffffff')
    expect(decodeDialBack(from('09feffffffffffffff'))).toBe(0xfffffffffffffffen)
    expect(hex(frameDialBackResponse())).toBe('020800')
  })

  it('of no kind, and of two kinds, is refused', () => {
    for (const bytes of ['', '1a00 1200', '2a00'])
      expect(() => decodeMessage(from(bytes)), bytes).toThrow(expect.objectContaining({ code: 'ERR_PROTOCOL', remote: true }))
  })

  it('cut anywhere, or with a number that is none, is refused with a code', () => {
    const whole = from('0a13 0a08 0401020304060fa1 11 0807060504030201')
    for (let at = 1; at < whole.length; at++)
      expect(() => decodeMessage(whole.subarray(0, at)), `${at}`).toThrow(expect.objectContaining({ code: 'ERR_DECODE' }))
    // 2^64 − 1 bytes of dial data.
    expect(() => decodeMessage(from('1a0c 0800 10ffffffffffffffffff01'))).toThrow(expect.objectContaining({ code: 'ERR_DECODE' }))
  })
})

// go-libp2p: p2p/host/autonat/pb/autonat.proto.
describe('messages of version 1', () => {
  const self = '12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5'

  it('a request names us, and where we might be; the type is there though it is zero', () => {
    const id = hex(peerIdToBytes(self))
    expect(hex(frameDial1(self, [address]))).toBe(`380800123 40a32 0a26 ${id} 1208 0401020304060fa1`.replaceAll(' ', ''))
  })

  it('an answer tells which address it was', () => {
    expect(decodeResponse1(from('0801 1a0c 0800 1a08 0401020304060fa1'))).toEqual({ status: 0, address: address.bytes })
    expect(decodeResponse1(from('0801 1a07 0864 1203 6e6f70'))).toEqual({ status: 100, address: undefined })
  })

  it('what is no answer is refused', () => {
    for (const bytes of ['0800', '0801', '0800 1200'])
      expect(() => decodeResponse1(from(bytes)), bytes).toThrow(expect.objectContaining({ code: 'ERR_PROTOCOL' }))
  })
})
