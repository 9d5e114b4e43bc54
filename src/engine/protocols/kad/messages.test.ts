import { describe, expect, it } from 'vitest'
import { TabmeshError } from '../../../errors.ts'
import { utf8 } from '../../codec/bytes.ts'
import { publicKey } from '../../codec/keys.ts'
import { parseMultiaddr } from '../../codec/multiaddr.ts'
import { peerIdFromKey, peerIdToBytes } from '../../codec/peer-id.ts'
import { bytes, message, repeated, uint } from '../../codec/protobuf.ts'
import { readVarint } from '../../codec/varint.ts'
import { KAD_MAX_ADDRESSES, KAD_MAX_CLOSER, KAD_MAX_LISTED, KAD_MAX_PROVIDERS, KAD_MAX_SENT } from '../../limits.ts'
import { prng } from '../../testing/prng.ts'
import { codeOf, decodes, mutate, property } from '../../testing/property.ts'
import { decodeMessage, frameMessage, type KadMessage, type KadPeer, kadMessage } from './messages.ts'

const fromHex = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, 'hex'))
const seven = '12D3KooWRawPbxPtP1eZaJpumGnyWX2DcUyd3RQnydr3eAto4Az7'
const sevenHex = '002408011220ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c'
const there: KadPeer = {
  id: seven,
  addresses: [parseMultiaddr('/ip4/192.0.2.1/tcp/4001'), parseMultiaddr('/dns4/example.com/tcp/443/wss')],
  connection: 'none',
}
const content = fromHex('1220b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9')
const hello = utf8('/v/hello')
const random = prng(1)
const someone = (): string => peerIdFromKey(publicKey('Ed25519', random.bytes(32)))

const peerHex = `460a26${sevenHex}120804c0000201060fa11212360b6578616d706c652e636f6d0601bbde03`
// go-libp2p-kad-dht pb.Message, marshalled by google.golang.org/protobuf; 5001 is the cluster level, which nobody reads.
const golden: readonly [string, string, KadMessage][] = [
  ['FIND_NODE', `08041226${sevenHex}5001`, kadMessage('FIND_NODE', fromHex(sevenHex))],
  ['an answer to FIND_NODE', `080442${peerHex}5001`, kadMessage('FIND_NODE', new Uint8Array(0), { closer: [there] })],
  ['GET_VALUE', '080112082f762f68656c6c6f5001', kadMessage('GET_VALUE', hello)],
  [
    'PUT_VALUE, whose type is left out',
    '12082f762f68656c6c6f1a110a082f762f68656c6c6f1205776f726c645001',
    kadMessage('PUT_VALUE', hello, { record: { key: hello, value: utf8('world'), timeReceived: undefined } }),
  ],
  [
    'an answer to GET_VALUE',
    `080112082f762f68656c6c6f1a310a082f762f68656c6c6f1205776f726c642a1e323032362d30312d30325430333a30343a30352e3030303030303030365a42${peerHex}5001`,
    kadMessage('GET_VALUE', hello, {
      record: { key: hello, value: utf8('world'), timeReceived: '2026-01-02T03:04:05.000000006Z' },
      closer: [there],
    }),
  ],
  [
    'ADD_PROVIDER',
    `080212221220b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde94a${peerHex}5001`,
    kadMessage('ADD_PROVIDER', content, { providers: [there] }),
  ],
  [
    'an answer to GET_PROVIDERS',
    `080312221220b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde942${peerHex}4a${peerHex}5001`,
    kadMessage('GET_PROVIDERS', content, { providers: [there], closer: [there] }),
  ],
  ['PING', '08055001', kadMessage('PING', new Uint8Array(0))],
]

describe('kad messages', () => {
  it.each(golden)('of go are read: %s', (_what, hex, told) => {
    const read = decodeMessage(fromHex(hex))
    const plain = (all: KadMessage) => ({
      ...all,
      record: all.record,
      closer: all.closer.map(textOf),
      providers: all.providers.map(textOf),
    })
    expect(plain(read)).toEqual(plain(told))
  })

  it.each(golden)('are written as go does, but for the cluster level and what is 0: %s', (_what, hex, told) => {
    const expected = hex.slice(0, -4)
    const zero = told.type === 'PUT_VALUE' ? '0800' : ''
    expect(Buffer.from(unframed(frameMessage(told))).toString('hex')).toBe(zero + expected)
  })

  // js-libp2p packages/kad-dht/test/fixtures/msg-1, 3, 4 and 7, as it wrote them when type and cluster level were always there.
  it.each([
    ['080412082f762f68656c6c6f5000', 'FIND_NODE', '/v/hello'],
    ['080112082f762f68656c6c6f5000', 'GET_VALUE', '/v/hello'],
  ])('of js are read: %s', (hex, type, key) => {
    expect(decodeMessage(fromHex(hex))).toMatchObject({ type, key: utf8(key), closer: [], providers: [] })
  })

  it('of js name a provider', () => {
    const hex =
      '080212221220d18f46f364ebeeec500929c72a4898feb2747730b129d970de15cf80626ebcbc4a2e0a22122090c9620a79a8ba913d9f84394a32488494f98cf0ce4dddbb86cb44519970c4e01208047f00000106e4bb5000'
    const read = decodeMessage(fromHex(hex))
    expect([read.type, read.providers.map(textOf)]).toEqual([
      'ADD_PROVIDER',
      [{ id: 'QmY5qXEirbt8C43w5kY99w2UwnZPkCVjL63HVVdScHapuu', addresses: ['/ip4/127.0.0.1/tcp/58555'], connection: 'none' }],
    ])
  })

  it('survive a round trip, whatever is in them', () => {
    property(200, (chance) => {
      const peers = (): KadPeer[] =>
        Array.from({ length: chance.below(5) }, () => ({
          id: someone(),
          addresses: Array.from({ length: chance.below(4) }, () =>
            parseMultiaddr(`/ip4/192.0.2.${chance.below(256)}/tcp/${chance.below(65536)}`),
          ),
          connection: (['none', 'connected', 'possible', 'impossible'] as const)[chance.below(4)] as 'none',
        }))
      const key = chance.bytes(1 + chance.below(80))
      const record = chance.below(2) === 0 ? undefined : { key, value: chance.bytes(chance.below(300)), timeReceived: undefined }
      const told = kadMessage('GET_VALUE', key, { record, closer: peers(), providers: peers() })
      expect(decodeMessage(unframed(frameMessage(told)))).toEqual(told)
    })
  })

  it('of anything are read, or refused with a code', () => {
    property(500, (chance) => {
      const valid = fromHex((golden[chance.below(golden.length)] as (typeof golden)[number])[1])
      decodes(() => decodeMessage(mutate(chance, valid)))
      decodes(() => decodeMessage(chance.bytes(chance.below(100))))
    })
  })

  it('cut short at any byte are refused or shorter, and nothing else', () => {
    for (const [, hex] of golden) {
      const whole = fromHex(hex)
      for (let end = 0; end < whole.length; end++) decodes(() => decodeMessage(whole.subarray(0, end)))
    }
  })

  it('of a type that nobody knows are refused', () => {
    expect(codeOf(() => decodeMessage(fromHex('080612082f762f68656c6c6f')))).toBe('ERR_PROTOCOL')
  })
})

describe('what a remote lists', () => {
  const Peer = message({ id: bytes(1), addrs: repeated(bytes(2), 100_000) })
  const wire = message({ type: uint(1), key: bytes(2), closer: repeated(bytes(8), 100_000), providers: repeated(bytes(9), 100_000) })
  const encodePeer = (id: string, addresses: readonly string[] = ['/ip4/192.0.2.1/tcp/1']): Uint8Array =>
    Peer.encode({ id: peerIdToBytes(id), addrs: addresses.map((each) => parseMultiaddr(each).bytes) })

  it('is cut off: of 10,000 peers the first are read', () => {
    const ids = Array.from({ length: 10_000 }, someone)
    const list = ids.map((id) => encodePeer(id))
    const whole = wire.encode({ type: 3, key: content, closer: list, providers: list })
    const read = decodeMessage(whole)
    expect(read.closer.map(({ id }) => id)).toEqual(ids.slice(0, KAD_MAX_CLOSER))
    expect(read.providers.map(({ id }) => id)).toEqual(ids.slice(0, KAD_MAX_PROVIDERS))
  })

  it('is refused where it is beyond counting', () => {
    const nobody = Array.from({ length: KAD_MAX_LISTED + 1 }, () => new Uint8Array(0))
    expect(codeOf(() => decodeMessage(wire.encode({ type: 4, closer: nobody })))).toBe('ERR_DECODE')
  })

  it('counts each peer once, and nobody who is no peer', () => {
    const [a, b] = [someone(), someone()]
    const noPeer = Peer.encode({ id: utf8('not a multihash') })
    const read = decodeMessage(wire.encode({ type: 4, closer: [encodePeer(a), noPeer, encodePeer(a), encodePeer(b), Peer.encode({})] }))
    expect(read.closer.map(({ id }) => id)).toEqual([a, b])
  })

  it('has addresses of its peer only: those that name another are left out, its own name is taken away', () => {
    const [a, b] = [someone(), someone()]
    const addresses = [
      `/ip4/192.0.2.1/tcp/1/p2p/${a}`,
      `/ip4/192.0.2.2/tcp/2/p2p/${b}`,
      `/ip4/192.0.2.3/tcp/3/p2p/${b}/p2p-circuit/p2p/${a}`,
      '/ip4/192.0.2.4/tcp/4',
    ]
    const read = decodeMessage(wire.encode({ type: 4, closer: [encodePeer(a, addresses)] }))
    expect(read.closer[0]?.addresses.map(({ text }) => text)).toEqual([
      '/ip4/192.0.2.1/tcp/1',
      `/ip4/192.0.2.3/tcp/3/p2p/${b}/p2p-circuit`,
      '/ip4/192.0.2.4/tcp/4',
    ])
  })

  it('has so many addresses of a peer and no more', () => {
    const addresses = Array.from({ length: 1_000 }, (_, at) => `/ip4/192.0.2.1/tcp/${at}`)
    const read = decodeMessage(wire.encode({ type: 4, closer: [encodePeer(someone(), addresses)] }))
    expect(read.closer[0]?.addresses.length).toBe(KAD_MAX_ADDRESSES)
  })
})

describe('what we send', () => {
  const crowd = (addresses: number): KadPeer[] =>
    Array.from({ length: 20 }, () => ({
      id: someone(),
      addresses: Array.from({ length: addresses }, (_, at) => parseMultiaddr(`/dns4/a-rather-long-name.example.com/tcp/${4001 + at}/wss`)),
    }))

  it('fits what rust reads: first addresses go, then peers, and a record never', () => {
    const record = { key: hello, value: new Uint8Array(10_240 - 200) }
    for (const told of [
      kadMessage('GET_PROVIDERS', content, { closer: crowd(16), providers: crowd(16) }),
      kadMessage('GET_VALUE', hello, { closer: crowd(16), record }),
      kadMessage('FIND_NODE', content, { closer: crowd(2) }),
    ]) {
      const framed = frameMessage(told)
      expect(framed.length).toBeLessThanOrEqual(KAD_MAX_SENT)
      const read = decodeMessage(unframed(framed))
      expect(read.record?.value.length).toBe(told.record?.value.length)
      expect(read.closer.length).toBeGreaterThan(told.record === undefined ? 19 : 4)
      expect(read.closer[0]?.id).toBe(told.closer[0]?.id)
      expect(read.providers.length).toBe(told.providers.length)
    }
  })

  it('leaves room for both lists where both are too long', () => {
    const many = Array.from({ length: 8 }, () => crowd(2)).flat()
    const read = decodeMessage(unframed(frameMessage(kadMessage('GET_PROVIDERS', content, { closer: crowd(2), providers: many }))))
    expect(read.closer.length).toBe(20)
    expect(read.providers.length).toBeGreaterThan(30)
  })
})

const textOf = ({ id, addresses, connection }: KadPeer) => ({ id, addresses: addresses.map(({ text }) => text), connection })

/** The body of a frame that is whole. */
const unframed = (framed: Uint8Array): Uint8Array => {
  const length = readVarint(framed)
  if (length === undefined || length.next + length.value !== framed.length) throw new TabmeshError('ERR_DECODE', 'no whole frame')
  return framed.subarray(length.next)
}
