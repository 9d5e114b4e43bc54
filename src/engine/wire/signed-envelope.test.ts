import { describe, expect, it } from 'vitest'
import { decodeEnvelope, encodePeerRecord, encodeVoucher, peerRecordUse, routingRecordUse, voucherUse } from '../codec/envelope.ts'
import type { PrivateKey } from '../codec/keys.ts'
import { decodePrivateKey } from '../codec/keys.ts'
import { parseMultiaddr } from '../codec/multiaddr.ts'
import { peerIdFromKey } from '../codec/peer-id.ts'
import { signWith, verifySignature } from '../crypto/verify.ts'
import { goRecord, goRecordOfVector, jsRecordOfVector, jsVoucher } from '../testing/envelope-vectors.ts'
import { specificationKeys } from '../testing/key-vectors.ts'
import { codeOf } from '../testing/property.ts'
import type { Conversation } from './conversation.ts'
import { openEnvelope, openPeerRecord, sealEnvelope, sealPeerRecord } from './signed-envelope.ts'

const unhex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'))
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

const keyOf = (type: string): PrivateKey => decodePrivateKey(unhex(specificationKeys.find((each) => each.type === type)?.privateKey ?? ''))
const alice = keyOf('Ed25519')
const bob = keyOf('secp256k1')
const A = peerIdFromKey(alice.publicKey)
const B = peerIdFromKey(bob.publicKey)

/** Plays the host; tells what was asked. */
const run = <T>(talk: Conversation<T>, key: PrivateKey = alice, asked: string[] = []): T => {
  let result = talk.next()
  while (result.done !== true) {
    const ask = result.value
    asked.push(ask.t)
    if (ask.t === 'sign') result = talk.next(signWith(key, ask.bytes))
    else if (ask.t === 'verify') result = talk.next(verifySignature(ask.key, ask.bytes, ask.signature) ?? false)
    else throw new Error(`asked to ${ask.t}`)
  }
  return result.value
}

const addresses = jsRecordOfVector.addresses.map(parseMultiaddr)

describe('sealing', () => {
  it('makes the bytes that js makes, and that go makes', () => {
    expect(hex(run(sealPeerRecord(alice.publicKey, { seq: jsRecordOfVector.seq, addresses })))).toBe(jsRecordOfVector.envelope)
    expect(hex(run(sealPeerRecord(alice.publicKey, { seq: goRecordOfVector.seq, addresses })))).toBe(goRecordOfVector.envelope)
    expect(hex(run(sealEnvelope(alice.publicKey, voucherUse, encodeVoucher(jsVoucher))))).toBe(jsVoucher.envelope)
  })

  it('asks the host for one signature', () => {
    const asked: string[] = []
    run(sealPeerRecord(alice.publicKey, { seq: 1n, addresses }), alice, asked)
    expect(asked).toEqual(['sign'])
  })
})

describe('opening', () => {
  it('takes the records of go and js, and asks for one verification', () => {
    const asked: string[] = []
    expect(run(openPeerRecord(unhex(goRecord.envelope), goRecord.peerId), alice, asked)).toMatchObject({
      peerId: goRecord.peerId,
      seq: goRecord.seq,
    })
    expect(asked).toEqual(['verify'])
    expect(run(openPeerRecord(unhex(jsRecordOfVector.envelope), A))).toEqual({ peerId: A, seq: jsRecordOfVector.seq, addresses })
  })

  it('takes records in the form of the RFC, which rust writes', () => {
    const payload = encodePeerRecord({ peerId: A, seq: 7n, addresses })
    const sealed = run(sealEnvelope(alice.publicKey, routingRecordUse, payload))
    expect(run(openPeerRecord(sealed, A)).seq).toBe(7n)
  })

  it('takes records of every key type that the host verifies', () => {
    for (const type of ['Ed25519', 'secp256k1', 'ECDSA']) {
      const key = keyOf(type)
      const sealed = run(sealPeerRecord(key.publicKey, { seq: 1n, addresses }), key)
      expect(run(openPeerRecord(sealed)).peerId).toBe(peerIdFromKey(key.publicKey))
    }
  })

  const sealAs = (key: PrivateKey, peerId: string, use = peerRecordUse): Uint8Array =>
    run(sealEnvelope(key.publicKey, use, encodePeerRecord({ peerId, seq: 1n, addresses })), key)

  it('refuses the record of another peer than expected, before verifying', () => {
    const asked: string[] = []
    expect(codeOf(() => run(openPeerRecord(sealAs(bob, B), A), alice, asked))).toBe('ERR_PROTOCOL')
    expect(asked).toEqual([])
  })

  it('refuses a record signed by another than it is of, before verifying', () => {
    const asked: string[] = []
    expect(codeOf(() => run(openPeerRecord(sealAs(bob, A), B), alice, asked))).toBe('ERR_PROTOCOL')
    expect(codeOf(() => run(openPeerRecord(sealAs(bob, A)), alice, asked))).toBe('ERR_PROTOCOL')
    expect(asked).toEqual([])
  })

  it('refuses a signature of another key', () => {
    const forged = run(sealPeerRecord(alice.publicKey, { seq: 1n, addresses }), bob)
    expect(codeOf(() => run(openPeerRecord(forged, A)))).toBe('ERR_PROTOCOL')
  })

  it('refuses a record of which any bit was changed', () => {
    const sealed = unhex(jsRecordOfVector.envelope)
    for (let at = 0; at < sealed.length; at++) {
      const altered = sealed.slice()
      altered[at] = (altered[at] ?? 0) ^ (1 << (at % 8))
      expect(
        codeOf(() => run(openPeerRecord(altered, A))),
        `byte ${at}`,
      ).toBeDefined()
    }
  })

  it('refuses another payload type', () => {
    expect(codeOf(() => run(openPeerRecord(sealAs(alice, A, voucherUse), A)))).toBe('ERR_PROTOCOL')
    expect(codeOf(() => run(openPeerRecord(unhex(jsVoucher.envelope), A)))).toBeDefined()
  })

  it('refuses either payload type in the domain of the other', () => {
    for (const use of [
      { domain: routingRecordUse.domain, payloadType: peerRecordUse.payloadType },
      { domain: peerRecordUse.domain, payloadType: routingRecordUse.payloadType },
    ]) {
      expect(codeOf(() => run(openPeerRecord(sealAs(alice, A, use), A)))).toBe('ERR_PROTOCOL')
    }
  })

  it('takes a voucher for a voucher only', () => {
    const envelope = decodeEnvelope(unhex(jsVoucher.envelope))
    expect(hex(run(openEnvelope(envelope, voucherUse)))).toBe(hex(envelope.payload))
    expect(codeOf(() => run(openEnvelope(envelope, peerRecordUse)))).toBe('ERR_PROTOCOL')
  })
})
