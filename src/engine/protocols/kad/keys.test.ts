import { describe, expect, it } from 'vitest'
import { utf8 } from '../../codec/bytes.ts'
import { property } from '../../testing/property.ts'
import { commonPrefix, compareDistance, keyOf, lookForPrefix, PeerKeys } from './keys.ts'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

// go-libp2p-kbucket 0.9.0 (ConvertPeerID, CommonPrefixLen, SortClosestPeers) of Ed25519 keys whose seeds are 32 times 1, 2 … 6, and 7.
const seven = '12D3KooWRawPbxPtP1eZaJpumGnyWX2DcUyd3RQnydr3eAto4Az7'
const six = [
  ['12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5', 256],
  ['12D3KooWJWoaqZhDaoEFshF7Rh1bpY9ohihFhzcW6d69Lr2NASuq', 1],
  ['12D3KooWRndVhVZPCiQwHBBBdg769GyrPUW13zxwqQyf9r3ANaba', 3],
  ['12D3KooWPT98FXMfDQYavZm66EeVjTqP9Nnehn1gyaydqV8L8BQw', 2],
  ['12D3KooWHFd1gyNYFqxt7ke9FY2VoVVWY2XSPhvL9vg2pB6wQGfa', 0],
  ['12D3KooWK98A5qKRAA9qZccvoJLvcLu68PCFZLNfdd81iQLvHj6W', 0],
] as const
const nearestToHello = [0, 2, 3, 1, 5, 4]

describe('keys', () => {
  const { of } = new PeerKeys()

  it('are those of go', () => {
    expect(hex(of(seven))).toBe('f88ff96e561cd45e0f266f269a5e4c79e40e7567bb2752a11294cd0438055a0b')
    expect(hex(keyOf(utf8('/v/hello')))).toBe('ec404978872dbe3cf0dc4016e16600d62dd4b815d0277765afd9db098e145f5c')
    expect(commonPrefix(of(seven), keyOf(utf8('/v/hello')))).toBe(3)
    expect(six.map(([peer]) => commonPrefix(of(peer), of(six[0][0])))).toEqual(six.map(([, bits]) => bits))
  })

  it('are in the order of go by their distance', () => {
    const target = keyOf(utf8('hello'))
    const sorted = six.map(([peer]) => peer).sort((a, b) => compareDistance(target, of(a), of(b)))
    expect(sorted).toEqual(nearestToHello.map((at) => six[at]?.[0]))
  })

  it('compare as their XORs do when read as numbers, and share bits as these have zeros', () => {
    const number = (a: Uint8Array, b: Uint8Array): bigint => BigInt(`0x${hex(a.map((byte, at) => byte ^ (b[at] as number)))}`)
    property(200, (random) => {
      const [target, a, b] = [random.bytes(32), random.bytes(32), random.bytes(32)]
      // Near ones too.
      b.set(a.subarray(0, random.below(33)))
      const [x, y] = [number(target, a), number(target, b)]
      expect(Math.sign(compareDistance(target, a, b))).toBe(x < y ? -1 : x > y ? 1 : 0)
      expect(commonPrefix(a, b)).toBe(256 - (number(a, b) === 0n ? 0 : number(a, b).toString(2).length))
    })
  })

  it('of a wanted prefix are found, and look like peer ids', () => {
    property(13, (random) => {
      const self = random.bytes(32)
      for (const prefix of [0, 1, 5, 8]) {
        const id = lookForPrefix(self, prefix, (bytes) => random.bytes(bytes))
        expect([id[0], id[1], id.length, commonPrefix(self, keyOf(id))]).toEqual([0x12, 32, 34, prefix])
      }
    })
  })

  it('are kept for so many peers and no more', () => {
    const keys = new PeerKeys(2)
    const [a, b, c] = six.map(([peer]) => peer)
    const first = keys.of(a as string)
    expect(keys.of(a as string)).toBe(first)
    keys.of(b as string)
    keys.of(c as string)
    expect(keys.of(a as string)).not.toBe(first)
    expect(keys.of(a as string)).toEqual(first)
  })
})
