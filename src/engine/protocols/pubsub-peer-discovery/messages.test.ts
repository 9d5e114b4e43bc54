import { describe, expect, it } from 'vitest'
import { privateKey } from '../../codec/keys.ts'
import { encapsulate, parseMultiaddr } from '../../codec/multiaddr.ts'
import { peerIdFromKey } from '../../codec/peer-id.ts'
import { bytes as bytesField, message, repeated } from '../../codec/protobuf.ts'
import { ANNOUNCEMENT_MAX, ANNOUNCEMENT_MAX_ADDRESSES } from '../../limits.ts'
import { codeOf, decodes, mutate, property } from '../../testing/property.ts'
import { DISCOVERY_TOPIC, decodeAnnouncement, encodeAnnouncement } from './messages.ts'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const key = privateKey('Ed25519', new Uint8Array(32).fill(1)).publicKey
const peer = peerIdFromKey(key)
const other = peerIdFromKey(privateKey('Ed25519', new Uint8Array(32).fill(2)).publicKey)
const address = (text: string) => parseMultiaddr(text)
const Wire = message({ publicKey: bytesField(1), addrs: repeated(bytesField(2), 10_000) })
const textsOf = (data: Uint8Array, from?: string) => decodeAnnouncement(data, from).addresses.map(({ text }) => text)

describe('an announcement', () => {
  it('is the protobuf of js, on its topic', () => {
    // npm @libp2p/pubsub-peer-discovery, src/peer.proto: message Peer { bytes publicKey = 1; repeated bytes addrs = 2; }, by hand.
    const id = hex(address(`/p2p/${peer}`).bytes)
    expect(hex(encodeAnnouncement(key, [address('/ip4/127.0.0.1/tcp/1')]))).toBe(
      `0a24${hex(key.encoded)}12${(8 + id.length / 2).toString(16)}047f000001060001${id}`,
    )
    expect(DISCOVERY_TOPIC).toBe('_peer-discovery._p2p._pubsub')
  })

  it('is read as it is written, with and without /p2p', () => {
    const addresses = [address('/ip4/192.0.2.1/tcp/1/ws'), address(`/ip4/192.0.2.1/tcp/2/p2p/${other}/p2p-circuit/p2p/${peer}`)]
    const read = decodeAnnouncement(encodeAnnouncement(key, addresses), peer)
    expect(read.peer).toBe(peer)
    expect(read.addresses.map(({ text }) => text)).toEqual([`/ip4/192.0.2.1/tcp/1/ws/p2p/${peer}`, addresses[1]?.text])
    expect(textsOf(Wire.encode({ publicKey: key.encoded, addrs: [address('/ip4/192.0.2.1/tcp/1').bytes] }))).toEqual([
      `/ip4/192.0.2.1/tcp/1/p2p/${peer}`,
    ])
  })

  it('says nothing of anybody but its author', () => {
    const data = encodeAnnouncement(key, [])
    expect(codeOf(() => decodeAnnouncement(data, other))).toBe('ERR_PROTOCOL')
    const addrs = [address(`/ip4/192.0.2.1/tcp/1/p2p/${other}`).bytes, address('/ip4/192.0.2.2/tcp/1').bytes]
    expect(textsOf(Wire.encode({ publicKey: key.encoded, addrs }), peer)).toEqual([`/ip4/192.0.2.2/tcp/1/p2p/${peer}`])
  })

  it('without a key, with one that is none, or too large, is refused; an address that is none is left out', () => {
    expect(codeOf(() => decodeAnnouncement(new Uint8Array(0), undefined))).toBe('ERR_DECODE')
    expect(codeOf(() => decodeAnnouncement(Wire.encode({ publicKey: Uint8Array.of(1, 2) }), undefined))).toBe('ERR_INVALID_KEY')
    expect(codeOf(() => decodeAnnouncement(new Uint8Array(ANNOUNCEMENT_MAX + 1), undefined))).toBe('ERR_FRAME_TOO_LARGE')
    const addrs = [new Uint8Array(0), Uint8Array.of(0xff, 0xff), address('/ip4/192.0.2.2/tcp/1').bytes]
    expect(textsOf(Wire.encode({ publicKey: key.encoded, addrs }))).toEqual([`/ip4/192.0.2.2/tcp/1/p2p/${peer}`])
  })

  it('has as many addresses as fit, of ours and of others', () => {
    const many = Array.from({ length: 1_000 }, (_, port) => address(`/ip4/192.0.2.1/tcp/${port}`))
    const short = encodeAnnouncement(key, many)
    expect(short.length).toBeLessThanOrEqual(ANNOUNCEMENT_MAX)
    expect(textsOf(short).length).toBe(ANNOUNCEMENT_MAX_ADDRESSES)
    const long = many.map((each) => encapsulate(each, `/http-path/${'x'.repeat(300)}`))
    expect(encodeAnnouncement(key, long).length).toBeLessThanOrEqual(ANNOUNCEMENT_MAX)
    expect(textsOf(Wire.encode({ publicKey: key.encoded, addrs: many.slice(0, 200).map(({ bytes }) => bytes) })).length).toBe(
      ANNOUNCEMENT_MAX_ADDRESSES,
    )
  })

  it('of anything is read or refused with a code', () => {
    const valid = encodeAnnouncement(key, [address('/ip4/192.0.2.1/tcp/1/ws')])
    for (let length = 0; length < valid.length; length++) decodes(() => decodeAnnouncement(valid.subarray(0, length), peer))
    property(500, (random) => {
      decodes(() => decodeAnnouncement(mutate(random, valid), undefined))
      decodes(() => decodeAnnouncement(random.bytes(random.below(100)), undefined))
    })
  })
})
