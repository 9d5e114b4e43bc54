import { describe, expect, it } from 'vitest'
import { TabmeshError } from '../../errors.ts'
import { verifySignature } from '../crypto/verify.ts'
import { IDENTIFY_MAX_ADDRESSES } from '../limits.ts'
import { goRecord, goRecordOfVector, jsRecordOfVector, jsVoucher } from '../testing/envelope-vectors.ts'
import { specificationKeys } from '../testing/key-vectors.ts'
import { codeOf, decodes, mutate, property } from '../testing/property.ts'
import {
  decodeEnvelope,
  decodePeerRecord,
  decodeVoucher,
  encodeEnvelope,
  encodePeerRecord,
  encodeVoucher,
  envelopeSigningBytes,
  peerRecordUse,
  voucherUse,
} from './envelope.ts'
import { decodeMultiaddr, parseMultiaddr } from './multiaddr.ts'
import { peerIdFromKey, peerIdToBytes } from './peer-id.ts'

const unhex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'))
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

const A = '12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq'
const B = '16Uiu2HAmLhLvBoYaoZfaMUKuibM6ac163GwKY74c5kiSLg5KvLpY'

describe.each([
  ['go', { ...goRecord }],
  ['go, with the key of the specification', { ...goRecordOfVector, peerId: A }],
  ['js', { ...jsRecordOfVector, peerId: A }],
])('a peer record made by %s', (_, { envelope, ...record }) => {
  it('decodes, verifies in its domain only, and encodes to the same bytes', () => {
    const decoded = decodeEnvelope(unhex(envelope))
    expect(peerIdFromKey(decoded.publicKey)).toBe(record.peerId)
    expect(hex(decoded.payloadType)).toBe('0301')
    expect(hex(encodeEnvelope(decoded))).toBe(envelope)
    const { publicKey, payload, signature } = decoded
    expect(verifySignature(publicKey, envelopeSigningBytes(peerRecordUse, payload), signature)).toBe(true)
    expect(verifySignature(publicKey, envelopeSigningBytes({ ...peerRecordUse, domain: 'libp2p-routing-state' }, payload), signature)).toBe(
      false,
    )
    expect(verifySignature(publicKey, envelopeSigningBytes(voucherUse, payload), signature)).toBe(false)

    const peerRecord = decodePeerRecord(payload)
    expect(peerRecord.peerId).toBe(record.peerId)
    expect(peerRecord.seq).toBe(record.seq)
    expect(peerRecord.addresses.map(({ text }) => text)).toEqual(record.addresses)
    expect(hex(encodePeerRecord(peerRecord))).toBe(hex(payload))
  })

  it('is refused, or lacks something, when cut at any byte', () => {
    const bytes = unhex(envelope)
    for (let cut = 0; cut < bytes.length; cut++) expect(codeOf(() => decodeEnvelope(bytes.subarray(0, cut)))).toBe('ERR_DECODE')
    const { payload } = decodeEnvelope(bytes)
    const whole = decodePeerRecord(payload)
    for (let cut = 0; cut < payload.length; cut++) decodes(() => expect(decodePeerRecord(payload.subarray(0, cut))).not.toEqual(whole))
  })
})

describe('a voucher made by js', () => {
  it('decodes, verifies and encodes to the same bytes', () => {
    const { publicKey, payloadType, payload, signature } = decodeEnvelope(unhex(jsVoucher.envelope))
    expect(hex(payloadType)).toBe('0302')
    expect(verifySignature(publicKey, envelopeSigningBytes(voucherUse, payload), signature)).toBe(true)
    const voucher = decodeVoucher(payload)
    expect(voucher).toEqual({ relay: jsVoucher.relay, peer: jsVoucher.peer, expiration: jsVoucher.expiration })
    expect(hex(encodeVoucher(voucher))).toBe(hex(payload))
  })

  it('is refused without its peers', () => {
    expect(codeOf(() => decodeVoucher(new Uint8Array(0)))).toBe('ERR_INVALID_PEER_ID')
    expect(codeOf(() => decodeVoucher(unhex('0a0100')))).toBe('ERR_INVALID_PEER_ID')
  })
})

describe('what is signed', () => {
  it('is domain, payload type and payload, each behind its length', () => {
    // RFC 0002 §Signature Production / Verification.
    const bytes = envelopeSigningBytes({ domain: 'é', payloadType: unhex('0301') }, new Uint8Array(200).fill(7))
    expect(hex(bytes)).toBe(`02c3a9020301c801${'07'.repeat(200)}`)
  })
})

describe('an envelope', () => {
  const { publicKey, payloadType, payload, signature } = decodeEnvelope(unhex(jsRecordOfVector.envelope))
  const envelope = (key: Uint8Array): Uint8Array =>
    encodeEnvelope({ publicKey: { ...publicKey, encoded: key }, payloadType, payload, signature })

  it('needs a key and a signature', () => {
    expect(codeOf(() => decodeEnvelope(new Uint8Array(0)))).toBe('ERR_DECODE')
    expect(codeOf(() => decodeEnvelope(unhex(`0a24${hex(publicKey.encoded)}`)))).toBe('ERR_DECODE')
    expect(codeOf(() => decodeEnvelope(unhex('2a0100')))).toBe('ERR_DECODE')
  })

  it('refuses a key that is not canonical, and blames the remote', () => {
    expect(codeOf(() => decodeEnvelope(envelope(unhex(`${hex(publicKey.encoded)}1a00`))))).toBe('ERR_INVALID_KEY')
    try {
      decodeEnvelope(envelope(new Uint8Array(3)))
      expect.unreachable()
    } catch (error) {
      expect((error as TabmeshError).remote).toBe(true)
      expect((error as TabmeshError).cause).toBeInstanceOf(TabmeshError)
    }
  })

  it('of any key type comes back', () => {
    for (const vector of specificationKeys) {
      const encoded = unhex(vector.publicKey)
      expect(peerIdFromKey(decodeEnvelope(envelope(encoded)).publicKey)).toBe(vector.peerId)
    }
  })
})

describe('a peer record', () => {
  it('keeps sequence numbers of 64 bits', () => {
    const seq = 2n ** 64n - 1n
    expect(decodePeerRecord(encodePeerRecord({ peerId: A, seq, addresses: [] })).seq).toBe(seq)
  })

  it('reads a sequence number that proto3 left out as zero', () => {
    expect(decodePeerRecord(unhex(`0a26${hex(peerIdToBytes(A))}`))).toEqual({ peerId: A, seq: 0n, addresses: [] })
  })

  it('drops addresses that lead to another peer, and those that are malformed; keeps unknown ones', () => {
    const texts = [
      `/ip4/1.2.3.4/tcp/1/p2p/${A}`,
      `/ip4/1.2.3.4/tcp/2/p2p/${B}`,
      '/ip4/1.2.3.4/tcp/3',
      `/ip4/1.2.3.4/tcp/4/p2p/${B}/p2p-circuit`,
    ]
    const unknown = decodeMultiaddr(unhex('ff7f01'))
    const malformed = { ...unknown, bytes: unhex('0401') }
    const addresses = [...texts.map(parseMultiaddr), malformed, unknown]
    const record = decodePeerRecord(encodePeerRecord({ peerId: A, seq: 1n, addresses }))
    expect(record.addresses.map(({ text }) => text)).toEqual([texts[0], texts[2], texts[3], unknown.text])
  })

  it('refuses more addresses than there may be', () => {
    const addresses = new Array(IDENTIFY_MAX_ADDRESSES + 1).fill(parseMultiaddr('/tcp/1'))
    expect(codeOf(() => decodePeerRecord(encodePeerRecord({ peerId: A, seq: 1n, addresses })))).toBe('ERR_DECODE')
  })

  it('refuses to be of nobody', () => {
    expect(codeOf(() => decodePeerRecord(unhex('1001')))).toBe('ERR_INVALID_PEER_ID')
  })
})

describe('hostile bytes', () => {
  it('give a coded error or a value', () => {
    const valid = [goRecord, jsRecordOfVector, jsVoucher].map(({ envelope }) => unhex(envelope))
    property(1_000, (random) => {
      const bytes = random.below(3) === 0 ? random.bytes(random.below(100)) : mutate(random, valid[random.below(3)] ?? new Uint8Array(0))
      decodes(() => {
        const { payload } = decodeEnvelope(bytes)
        decodes(() => decodePeerRecord(payload))
        decodes(() => decodeVoucher(payload))
      })
    })
  })
})
