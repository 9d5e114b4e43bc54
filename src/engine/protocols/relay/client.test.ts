import { describe, expect, it } from 'vitest'
import { encodeEnvelope, encodeVoucher, envelopeSigningBytes, peerRecordUse, voucherUse } from '../../codec/envelope.ts'
import { type PrivateKey, privateKey } from '../../codec/keys.ts'
import { parseMultiaddr } from '../../codec/multiaddr.ts'
import { peerIdFromKey, peerIdToBytes } from '../../codec/peer-id.ts'
import { signWith } from '../../crypto/verify.ts'
import { Play } from '../../testing/play.ts'
import { prng } from '../../testing/prng.ts'
import { answerStop, connect, reserve } from './client.ts'
import { HopMessage, HopType, Status, StopMessage, StopType, stopStatus } from './messages.ts'
import { sealVoucher } from './voucher.ts'

const random = prng(12)
const key = (): PrivateKey => privateKey('Ed25519', random.bytes(32))
const idOf = (each: PrivateKey) => peerIdFromKey(each.publicKey)
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

const relayKey = key()
const selfKey = key()
const otherKey = key()
const [relay, self, other] = [idOf(relayKey), idOf(selfKey), idOf(otherKey)]
const NOW = 1_767_225_600_000
const expire = BigInt(NOW / 1000 + 3600)
const address = parseMultiaddr(`/ip4/192.0.2.1/tcp/9090/ws/p2p/${relay}`)

const voucher = (signer = relayKey, names = relay, peer = self, use = voucherUse): Uint8Array => {
  const payload = encodeVoucher({ relay: names, peer, expiration: expire })
  return encodeEnvelope({
    publicKey: signer.publicKey,
    payloadType: use.payloadType,
    payload,
    signature: signWith(signer, envelopeSigningBytes(use, payload)),
  })
}

type Answer = Parameters<typeof HopMessage.encode>[0]
const ok = (more: Answer = {}): Answer => ({ type: HopType.STATUS, status: Status.OK, ...more })
const granting = (more: NonNullable<Answer['reservation']> = {}): Answer =>
  ok({ reservation: { expire, addrs: [address.bytes], voucher: voucher(), ...more } })

const reserving = (answer: Answer) => {
  const play = new Play(reserve(self, relay, () => NOW))
  expect(hex(play.written)).toBe('020800')
  return play.send(HopMessage.frame(answer))
}
const connecting = (answer: Answer) => {
  const play = new Play(connect(other))
  expect(hex(play.written)).toBe(hex(HopMessage.frame({ type: HopType.CONNECT, peer: { id: peerIdToBytes(other) } })))
  return play.send(HopMessage.frame(answer))
}

describe('RESERVE', () => {
  it('is granted: until when, where, with what limit and a voucher that holds', () => {
    const play = reserving({ ...granting(), limit: { duration: 120, data: 1024n } })
    expect(play.fault).toBeUndefined()
    expect(play.value).toMatchObject({ expires: NOW + 3_600_000, limit: { duration: 120_000, data: 1024 } })
    expect(play.value?.addresses.map((each) => each.text)).toEqual([address.text])
    expect(play.verified).toBe(1)
  })

  it('is granted without a voucher, without addresses, or with some that nobody can read', () => {
    expect(reserving(ok({ reservation: { expire } })).value).toMatchObject({ addresses: [], limit: undefined, voucher: undefined })
    const odd = reserving(granting({ addrs: [Uint8Array.of(0x04, 0x01), address.bytes, new Uint8Array(0)] }))
    expect(odd.value?.addresses.map((each) => each.text)).toEqual([address.text])
  })

  it('leaves what follows the answer on the stream', () => {
    const play = new Play(reserve(self, relay, () => NOW)).send(new Uint8Array([...HopMessage.frame(granting()), 1, 2, 3]))
    expect([...play.rest]).toEqual([1, 2, 3])
  })

  it.each([
    [Status.RESERVATION_REFUSED, 'ERR_RELAY_FULL'],
    [Status.RESOURCE_LIMIT_EXCEEDED, 'ERR_RELAY_FULL'],
    [Status.PERMISSION_DENIED, 'ERR_RELAY_REFUSED'],
    [Status.CONNECTION_FAILED, 'ERR_RELAY_REFUSED'],
    [Status.NO_RESERVATION, 'ERR_RELAY_REFUSED'],
    [Status.MALFORMED_MESSAGE, 'ERR_PROTOCOL'],
    [Status.UNEXPECTED_MESSAGE, 'ERR_PROTOCOL'],
    [0, 'ERR_PROTOCOL'],
    [777, 'ERR_PROTOCOL'],
    [undefined, 'ERR_PROTOCOL'],
  ])('refused with %s is %s, and the message says the status', (status, code) => {
    const { fault } = reserving({ type: HopType.STATUS, status })
    expect(fault?.code).toBe(code)
    expect(fault?.message).toContain(status === undefined ? 'no status' : String(status))
  })

  it.each([
    ['another type than STATUS', { ...granting(), type: HopType.RESERVE }],
    ['no type', { ...granting(), type: undefined }],
    ['no reservation', ok()],
    ['no expiry', granting({ expire: undefined })],
    ['an expiry in the past', granting({ expire: BigInt(NOW / 1000 - 1) })],
    ['an expiry now', granting({ expire: BigInt(NOW / 1000) })],
    ['a voucher that the relay did not sign', granting({ voucher: voucher(otherKey) })],
    ['a voucher of another relay', granting({ voucher: voucher(otherKey, other) })],
    ['a voucher that names another relay', granting({ voucher: voucher(relayKey, other) })],
    ['a voucher for another peer', granting({ voucher: voucher(relayKey, relay, other) })],
    ['an envelope of another use', granting({ voucher: voucher(relayKey, relay, self, peerRecordUse) })],
  ])('with %s is refused as ERR_PROTOCOL, the remote at fault', (_what, answer) => {
    expect(reserving(answer).fault).toMatchObject({ code: 'ERR_PROTOCOL', remote: true })
  })

  it('with a voucher that was altered, or is none, is refused', () => {
    const altered = voucher()
    altered[altered.length - 5] = (altered[altered.length - 5] ?? 0) ^ 1
    expect(reserving(granting({ voucher: altered })).fault).toMatchObject({ code: 'ERR_PROTOCOL', remote: true })
    expect(reserving(granting({ voucher: Uint8Array.of(1, 2, 3) })).fault).toMatchObject({ code: 'ERR_DECODE', remote: true })
  })

  it('for ever is a date that a Date can hold', () => {
    const { value } = reserving(granting({ expire: 2n ** 64n - 1n, voucher: undefined }))
    expect(new Date(value?.expires ?? Number.NaN).getTime()).toBe(8.64e15)
  })

  it('the voucher that our relay seals passes our own client', () => {
    const sealed = new Play(sealVoucher(relay, self, expire, relayKey.publicKey), relayKey).value
    expect(reserving(granting({ voucher: sealed })).fault).toBeUndefined()
  })
})

describe('CONNECT', () => {
  it('is granted, and the first bytes of the circuit stay on the stream', () => {
    const play = new Play(connect(other)).send(new Uint8Array([...HopMessage.frame(ok()), 7, 8]))
    expect(play).toMatchObject({ over: true, value: undefined, fault: undefined })
    expect([...play.rest]).toEqual([7, 8])
    expect(connecting(ok({ limit: { duration: 0, data: 64n } })).value).toEqual({ data: 64 })
  })

  it.each([
    [Status.RESERVATION_REFUSED, 'ERR_RELAY_REFUSED'],
    [Status.RESOURCE_LIMIT_EXCEEDED, 'ERR_RELAY_FULL'],
    [Status.PERMISSION_DENIED, 'ERR_RELAY_REFUSED'],
    [Status.CONNECTION_FAILED, 'ERR_DIAL_FAILED'],
    [Status.NO_RESERVATION, 'ERR_RELAY_NO_RESERVATION'],
    [Status.MALFORMED_MESSAGE, 'ERR_PROTOCOL'],
    [Status.UNEXPECTED_MESSAGE, 'ERR_PROTOCOL'],
    [undefined, 'ERR_PROTOCOL'],
  ])('refused with %s is %s', (status, code) => {
    const { fault } = connecting({ type: HopType.STATUS, status })
    expect(fault?.code).toBe(code)
    expect(fault?.message).toContain(status === undefined ? 'no status' : String(status))
  })

  it('answered with another type is refused', () => {
    expect(connecting({ type: HopType.CONNECT, status: Status.OK }).fault?.code).toBe('ERR_PROTOCOL')
  })
})

describe('STOP', () => {
  const stop = (request: Parameters<typeof StopMessage.encode>[0], allowed = true) =>
    new Play(answerStop(self, allowed)).send(StopMessage.frame(request))
  const source = { id: peerIdToBytes(other) }

  it('from our relay is taken, limit and all', () => {
    const play = stop({ type: StopType.CONNECT, peer: source, limit: { duration: 120_000, data: 5n } })
    expect(play.value).toEqual({ t: 'circuit', source: other, limit: { duration: 120_000, data: 5 } })
    expect(hex(play.written)).toBe(hex(stopStatus(Status.OK)))
    expect(play.ended).toBe(false)
  })

  it.each([
    ['from a relay we hold nothing on', { type: StopType.CONNECT, peer: source }, false, Status.PERMISSION_DENIED],
    ['without a peer', { type: StopType.CONNECT }, true, Status.MALFORMED_MESSAGE],
    ['with a peer without an id', { type: StopType.CONNECT, peer: {} }, true, Status.MALFORMED_MESSAGE],
    ['with a peer id that is none', { type: StopType.CONNECT, peer: { id: Uint8Array.of(1, 2, 3) } }, true, Status.MALFORMED_MESSAGE],
    ['from ourselves', { type: StopType.CONNECT, peer: { id: peerIdToBytes(self) } }, true, Status.MALFORMED_MESSAGE],
    ['of type STATUS', { type: StopType.STATUS, status: Status.OK }, true, Status.UNEXPECTED_MESSAGE],
    ['without a type', { peer: source }, true, Status.MALFORMED_MESSAGE],
  ])('%s is refused with its status', (_what, request, allowed, status) => {
    const play = stop(request, allowed)
    expect(play.value).toEqual({ t: 'refused', status })
    expect(hex(play.written)).toBe(hex(stopStatus(status)))
  })

  it('that is no message is answered as malformed', () => {
    expect(new Play(answerStop(self, true)).send(Uint8Array.of(2, 0xff, 0xff)).value).toEqual({
      t: 'refused',
      status: Status.MALFORMED_MESSAGE,
    })
    expect(new Play(answerStop(self, true)).send(Uint8Array.of(0x81, 0x20)).value).toEqual({
      t: 'refused',
      status: Status.MALFORMED_MESSAGE,
    })
  })
})
