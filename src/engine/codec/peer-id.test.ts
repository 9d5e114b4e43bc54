import { createHash } from 'node:crypto'
import { base58btc } from 'multiformats/bases/base58'
import { describe, expect, it } from 'vitest'
import { specificationKeys } from '../testing/key-vectors.ts'
import { codeOf, decodes, mutate, property } from '../testing/property.ts'
import { decodePublicKey } from './keys.ts'
import { keyFromPeerId, parsePeerId, peerIdFromBytes, peerIdFromKey, peerIdToBytes, peerIdToCid } from './peer-id.ts'

const unhex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'))
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

describe.each(specificationKeys)('the id of a $type key', ({ publicKey, peerId }) => {
  it('is what go and js make of it', () => {
    expect(peerIdFromKey(decodePublicKey(unhex(publicKey)))).toBe(peerId)
  })

  it('goes to its multihash and back', () => {
    expect(peerIdFromBytes(peerIdToBytes(peerId))).toBe(peerId)
    const encoded = unhex(publicKey)
    const expected =
      encoded.length <= 42 ? `00${encoded.length.toString(16)}${publicKey}` : `1220${createHash('sha256').update(encoded).digest('hex')}`
    expect(hex(peerIdToBytes(peerId))).toBe(expected)
  })

  it('goes to a CID and back', () => {
    expect(parsePeerId(peerIdToCid(peerId))).toBe(peerId)
    expect(peerIdToCid(peerId)).toMatch(/^k/)
  })

  it('gives the key back where it holds it', () => {
    const key = keyFromPeerId(peerId)
    expect(key === undefined ? undefined : hex(key.encoded)).toBe(peerId.startsWith('Qm') ? undefined : publicKey)
  })

  it('is refused when cut at any byte', () => {
    const bytes = peerIdToBytes(peerId)
    for (let cut = 0; cut < bytes.length; cut++) expect(codeOf(() => peerIdFromBytes(bytes.subarray(0, cut)))).toBe('ERR_INVALID_PEER_ID')
    for (let cut = 0; cut < peerId.length; cut++) expect(codeOf(() => parsePeerId(peerId.slice(0, cut)))).toBe('ERR_INVALID_PEER_ID')
  })
})

describe('text forms', () => {
  // One peer in each: go-multiaddr multiaddr_test.go, go-libp2p 0.51, and specs peer-ids.md §Decoding.
  const forms = [
    ['QmcgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC', 'k2k4r8oqamigqdo6o7hsbfwd45y70oyynp98usk7zmyfrzpqxh1pohl7'],
    ['QmcgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC', 'bafzbeigvf25ytwc3akrijfecaotc74udrhcxzh2cx3we5qqnw5vgrei4bm'],
    ['12D3KooWCryG7Mon9orvQxcS1rYZjotPgpwoJNHHKcLLfE4Hf5mV', 'k51qzi5uqu5dhb6l8spkdx7yxafegfkee5by8h7lmjh2ehc2sgg34z7c15vzqs'],
    ['12D3KooWCryG7Mon9orvQxcS1rYZjotPgpwoJNHHKcLLfE4Hf5mV', 'bafzaajaiaejcalj543iwv2d7pkjt7ykvefrkfu7qjfi6sduakhso4lay6abn2d5u'],
    ['12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq', 'bafzaajaiaejcahwr5d5ofrfbis4l5d6uwr57hu5tjodrypfm6yaq6dsc2r2pzyt6'],
    ['16Uiu2HAmLhLvBoYaoZfaMUKuibM6ac163GwKY74c5kiSLg5KvLpY', 'bafzaajiiaijcca3xo7uzjzcsyilaj6i54cj44qk7kqzpoao5rti2pjx6udtdbp6kte'],
    ['QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N', 'bafzbeie5745rpv2m6tjyuugywy4d5ewrqgqqhfnf445he3omzpjbx5xqxe'],
  ] as const

  it('all name the peer that the base58btc form names', () => {
    for (const [id, cid] of forms) {
      expect(parsePeerId(id)).toBe(id)
      expect(parsePeerId(cid)).toBe(id)
      expect(parsePeerId(cid.toUpperCase()), 'upper case is a multibase of its own').toBe(id)
      const bytes = Uint8Array.of(1, 0x72, ...peerIdToBytes(id))
      expect(parsePeerId(base58btc.encode(bytes))).toBe(id)
      expect(parsePeerId(`f${hex(bytes)}`)).toBe(id)
    }
  })

  it('of base36 are those that go prints', () => {
    expect(peerIdToCid('QmcgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC')).toBe('k2k4r8oqamigqdo6o7hsbfwd45y70oyynp98usk7zmyfrzpqxh1pohl7')
    expect(peerIdToCid('12D3KooWCryG7Mon9orvQxcS1rYZjotPgpwoJNHHKcLLfE4Hf5mV')).toBe(
      'k51qzi5uqu5dhb6l8spkdx7yxafegfkee5by8h7lmjh2ehc2sgg34z7c15vzqs',
    )
  })

  const sha = '1220d52ebb89d85b02a284948203a62ff28389c57c9f42beec4ec20db76a68911c0b'
  const refused = {
    nothing: '',
    'no id at all': 'hello',
    'a foreign character, which the decoder takes for zero': '12D3KooWCryG7Mon9orvQxcS1rYZjotPgpwoJNHHKcLLfE4Hf5m丂',
    'a character that base58 leaves out': '12D3KooWCryG7Mon9orvQxcS1rYZjotPgpwoJNHHKcLLfE4Hf5m0',
    'a blank behind': '12D3KooWCryG7Mon9orvQxcS1rYZjotPgpwoJNHHKcLLfE4Hf5mV ',
    'base58 that is no multihash': '1111',
    // go-multiaddr TestInvalidP2PAddrString.
    'a CID of another codec': 'k2jmtxwoe2phm1hbqp0e7nufqf6umvuu2e9qd7ana7h411a0haqj6i2z',
    'a character that base36 leaves out': 'k2k4r8oqamigqdo6o7hsbfwd45y70oyynp98usk7zmyfrzpqxh1pohl-',
    'an unknown multibase': '?k2k4r8oqamigqdo6o7hsbfwd45y70oyynp98usk7zmyfrzpqxh1pohl7',
    'a CID of dag-pb': `f0170${sha}`,
    'a CID of raw bytes': `f0155${sha}`,
    'a multihash in a multibase, with no CID around it': `f${sha}`,
    'a CIDv0 in a multibase': `z${'QmcgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC'}`,
    // go-multiaddr TestConstructFails: a digest of more than 32 bytes.
    'a SHA-256 that is too long': 'QmxoHT6iViN5xAjoz1VZ553cL31U9F94ht3QvWR1FrEbZY',
    'text without end': `1${'2'.repeat(1_000_000)}`,
  }
  for (const [what, text] of Object.entries(refused)) {
    it(`are not ${what}`, () => {
      expect(codeOf(() => parsePeerId(text))).toBe('ERR_INVALID_PEER_ID')
    })
  }

  it('do not take one peer for two: a CID is no PeerId', () => {
    expect(codeOf(() => peerIdToBytes('k2k4r8oqamigqdo6o7hsbfwd45y70oyynp98usk7zmyfrzpqxh1pohl7'))).toBe('ERR_INVALID_PEER_ID')
  })
})

describe('multihashes', () => {
  const ed25519 = '080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e'
  const ecdsa = specificationKeys.find(({ type }) => type === 'ECDSA')?.publicKey ?? ''
  const refused = {
    nothing: '',
    'an identity of nothing': '0000',
    'an inlined key over 42 bytes': `005b${ecdsa}`,
    'an inlined key that is none': `0024${'11'.repeat(36)}`,
    'an inlined key that is not canonical': `0025${ed25519.replace('1220', '12a000')}`,
    'an inlined key with something behind it': `0026${ed25519}1a00`,
    'a hash shorter than it says': `1220${'11'.repeat(31)}`,
    'a hash longer than it says': `1220${'11'.repeat(33)}`,
    'a SHA-256 cut to 20 bytes': `1214${'11'.repeat(20)}`,
    'a SHA-1': `1114${'11'.repeat(20)}`,
    'a SHA2-512': `1340${'11'.repeat(64)}`,
    'a length in two bytes': `12a000${'11'.repeat(32)}`,
    // go-multiaddr TestInvalidP2PAddrBytes.
    "go's own example": '221220d52ebb89d85b02a284948203a62ff28389c57c9f42beec4ec20db76a6891',
  }
  for (const [what, bytes] of Object.entries(refused)) {
    it(`are not ${what}`, () => {
      expect(codeOf(() => peerIdFromBytes(unhex(bytes)))).toBe('ERR_INVALID_PEER_ID')
      expect(codeOf(() => parsePeerId(`f0172${bytes}`))).toBe('ERR_INVALID_PEER_ID')
    })
  }

  it('survive noise', () => {
    property(1_000, (random) => {
      decodes(() => peerIdFromBytes(random.bytes(random.below(50))))
      const bytes = mutate(random, unhex(`0024${ed25519}`))
      decodes(() => expect(hex(peerIdToBytes(peerIdFromBytes(bytes)))).toBe(hex(bytes)))
      decodes(() => parsePeerId(Buffer.from(random.bytes(random.below(60))).toString('latin1')))
    })
  })
})
