import { describe, expect, it } from 'vitest'
import { concat } from '../codec/bytes.ts'
import { encodeEnvelope, encodePeerRecord, envelopeSigningBytes, peerRecordUse } from '../codec/envelope.ts'
import { privateKey } from '../codec/keys.ts'
import { encapsulate, type Multiaddr, parseMultiaddr } from '../codec/multiaddr.ts'
import { type PeerId, peerIdFromKey } from '../codec/peer-id.ts'
import { signWith } from '../crypto/verify.ts'
import { STORED_PEER_MAX } from '../limits.ts'
import { prng } from '../testing/prng.ts'
import { decodeStoredPeer, encodeStoredPeer, type StoredPeer } from './stored-peer.ts'

const key = privateKey('Ed25519', new Uint8Array(32).fill(7))
const id = peerIdFromKey(key.publicKey)
const addresses = (...ports: number[]): Multiaddr[] => ports.map((port) => parseMultiaddr(`/ip4/192.0.2.1/tcp/${port}/ws`))
/** As identify hands them on: the record need not say whose they are. */
const named = (...ports: number[]): Multiaddr[] => addresses(...ports).map((address) => encapsulate(address, `/p2p/${id}`))

const envelopeOf = (peerId: PeerId, seq: bigint, list: readonly Multiaddr[]): Uint8Array => {
  const payload = encodePeerRecord({ peerId, seq, addresses: list })
  const signature = signWith(key, envelopeSigningBytes(peerRecordUse, payload))
  return encodeEnvelope({ publicKey: key.publicKey, payloadType: peerRecordUse.payloadType, payload, signature })
}

const full: StoredPeer = {
  id,
  signed: { seq: 2n ** 63n, addresses: named(1, 2), envelope: envelopeOf(id, 2n ** 63n, addresses(1, 2)), at: 1_750_000_000_000 },
  heard: [
    { address: parseMultiaddr('/dns4/example.org/tcp/443/wss'), at: 1_750_000_000_001, told: true },
    { address: parseMultiaddr('/memory/3'), at: 1_750_000_000_002, told: false },
  ],
  protocols: ['/ipfs/id/1.0.0', '/é/1'],
  agent: 'x/1',
  tags: { 'keep-alive': 1, room: 100 },
  seenAt: 1_750_000_000_003,
}
const bare: StoredPeer = { id, signed: undefined, heard: [], protocols: [], agent: undefined, tags: {}, seenAt: 0 }
const encoded = (peer: StoredPeer): Uint8Array => encodeStoredPeer(peer) as Uint8Array
const codeOf = (run: () => unknown): string => {
  try {
    run()
  } catch (error) {
    return (error as { code: string }).code
  }
  return 'none'
}

describe('a stored peer', () => {
  it.each([
    ['all there is to know', full],
    ['nothing but its id', bare],
  ])('comes back with %s', (_what, peer) => {
    expect(decodeStoredPeer(encoded(peer))).toEqual(peer)
  })

  it('of a newer version is nothing to us, whatever else is in it', () => {
    expect(decodeStoredPeer(Uint8Array.of(0x08, 2))).toBeUndefined()
    // Field 2, here a number.
    expect(decodeStoredPeer(Uint8Array.of(0x08, 9, 0x10, 1))).toBeUndefined()
  })

  it('with a field of a later time is read without it', () => {
    expect(decodeStoredPeer(concat([encoded(full), Uint8Array.of(0xfa, 0x01, 2, 1, 1)]))).toEqual(full)
  })

  it.each([
    ['nothing', new Uint8Array(0)],
    ['text', new TextEncoder().encode('not a peer')],
    ['version 0', Uint8Array.of(0x08, 0)],
    ['a version alone', Uint8Array.of(0x08, 1)],
    ['too much', concat([encoded(full), Uint8Array.of(0x7a, 0x80, 0x80, 0x02), new Uint8Array(STORED_PEER_MAX)])],
    ['a record of another peer', encoded({ ...full, id: peerIdFromKey(privateKey('Ed25519', new Uint8Array(32)).publicKey) })],
    ['a record that is none', encoded({ ...full, signed: { ...full.signed, envelope: Uint8Array.of(1) } as never })],
  ])('that is damaged is refused: %s', (_what, bytes) => {
    expect(codeOf(() => decodeStoredPeer(bytes))).toBe('ERR_DECODE')
  })

  it('cut at any byte, or with any of them changed, is a peer, nothing to us, or damaged', () => {
    const whole = encoded(full)
    const seed = 4
    const random = prng(seed)
    const outcomes = { peer: 0, newer: 0, ERR_DECODE: 0 } as Record<string, number>
    const judge = (bytes: Uint8Array): void => {
      let outcome = 'peer'
      const code = codeOf(() => {
        if (decodeStoredPeer(bytes) === undefined) outcome = 'newer'
      })
      if (code !== 'none') outcome = code
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
    }
    for (let length = 0; length < whole.length; length += 1) judge(whole.subarray(0, length))
    for (let round = 0; round < 2_000; round += 1) {
      const bytes = whole.slice()
      bytes[random.below(bytes.length)] = random.below(256)
      judge(bytes)
    }
    expect(Object.keys(outcomes).sort(), `seed ${seed}`).toEqual(['ERR_DECODE', 'newer', 'peer'])
    expect(outcomes.ERR_DECODE).toBeGreaterThan(whole.length / 2)
  })

  it('that is too long goes without what identify tells anew, then without what was heard, and not at all if that is not enough', () => {
    const long = 'x'.repeat(1_000)
    const many = { ...full, protocols: Array.from({ length: 100 }, (_, index) => `/${index}/${long}`) }
    expect(decodeStoredPeer(encoded(many))).toEqual({ ...full, protocols: [], agent: undefined })
    const wide = Array.from({ length: 25 }, (_, index) => parseMultiaddr(`/dns4/${index}.${'a'.repeat(1_500)}/tcp/1`))
    const wider = { ...many, heard: wide.map((address) => ({ address, at: 1, told: true })) }
    expect(decodeStoredPeer(encoded(wider))).toEqual({ ...full, protocols: [], agent: undefined, heard: [] })
    expect(encodeStoredPeer({ ...full, tags: { [long.repeat(40)]: 1 } })).toBeUndefined()
  })
})
