import { describe, expect, it } from 'vitest'
import { utf8 } from '../../codec/bytes.ts'
import { encodeEnvelope, encodePeerRecord, envelopeSigningBytes, peerRecordUse, routingRecordUse } from '../../codec/envelope.ts'
import { type PrivateKey, privateKey } from '../../codec/keys.ts'
import { encapsulate, parseMultiaddr } from '../../codec/multiaddr.ts'
import { peerIdFromKey } from '../../codec/peer-id.ts'
import { bytes, message, repeated, string } from '../../codec/protobuf.ts'
import { frame } from '../../codec/varint.ts'
import { signWith } from '../../crypto/verify.ts'
import {
  IDENTIFY_MAX_AGENT,
  IDENTIFY_MAX_FRAME,
  IDENTIFY_MAX_FRAMES,
  IDENTIFY_MAX_RECORD,
  IDENTIFY_MAX_SENT,
  MSS_MAX_LINE,
} from '../../limits.ts'
import { jsRecordOfVector } from '../../testing/envelope-vectors.ts'
import { goIdentify, goIdentifyInTwo, jsIdentify } from '../../testing/identify-vectors.ts'
import { specificationKeys } from '../../testing/key-vectors.ts'
import { Play } from '../../testing/play.ts'
import { decodes, mutate, property } from '../../testing/property.ts'
import { listen, tell, type Verified } from './conversation.ts'
import { encodeIdentify, type Identify, mergeIdentify } from './messages.ts'

const unhex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'))
const golden = specificationKeys.find(({ type }) => type === 'Ed25519') as (typeof specificationKeys)[number]
const ours = privateKey('Ed25519', new Uint8Array(32).fill(1))
const other = privateKey('Ed25519', new Uint8Array(32).fill(2))
const self = peerIdFromKey(ours.publicKey)
const texts = (list: readonly { text: string }[] | undefined): string[] | undefined => list?.map(({ text }) => text)
const addresses = (count: number): Identify['addresses'] =>
  Array.from({ length: count }, (_, at) => parseMultiaddr(`/ip4/192.0.2.${at % 250}/tcp/${4_001 + at}/ws`))

/** What comes of a stream of `peer` that brings these bytes and ends. */
const heard = (peer: string, ...sent: Uint8Array[]): Play<Verified> => {
  const play = new Play(listen(peer))
  for (const bytes of sent) play.send(bytes)
  return play.end()
}

/** The wire form without our rules. */
const wire = message({
  publicKey: bytes(1),
  listenAddrs: repeated(bytes(2), 9_999),
  protocols: repeated(string(3), 9_999),
  observedAddr: bytes(4),
  protocolVersion: string(5),
  agentVersion: string(6),
  signedPeerRecord: bytes(8),
})

interface Forged {
  signer?: PrivateKey
  envelopeKey?: PrivateKey
  subject?: PrivateKey
  use?: typeof peerRecordUse
  signedFor?: typeof peerRecordUse
  seq?: bigint
  addresses?: readonly string[]
}
const record = ({
  signer = ours,
  envelopeKey = signer,
  subject = ours,
  use = peerRecordUse,
  signedFor = use,
  seq = 7n,
  addresses = ['/memory/1'],
}: Forged): Uint8Array => {
  const payload = encodePeerRecord({ peerId: peerIdFromKey(subject.publicKey), seq, addresses: addresses.map(parseMultiaddr) })
  const signature = signWith(signer, envelopeSigningBytes(signedFor, payload))
  return encodeEnvelope({ publicKey: envelopeKey.publicKey, payloadType: use.payloadType, payload, signature })
}

describe('an identify message', () => {
  it('of go-libp2p, in one frame', () => {
    const { value } = heard(golden.peerId, unhex(goIdentify.stream))
    expect(value).toMatchObject({ agent: 'golden/1', protocolVersion: '', recordSeq: goIdentify.seq })
    expect(value?.publicKey).toEqual(unhex(golden.publicKey))
    expect(value?.protocols).toEqual(['/ipfs/id/1.0.0', '/ipfs/id/push/1.0.0', '/ipfs/ping/1.0.0'])
    expect(texts(value?.certified)).toEqual(['/ip4/192.0.2.1/tcp/4001', '/ip4/192.0.2.2/tcp/4002'])
    expect(texts(value?.addresses)).toEqual(texts(value?.certified))
    expect(value?.observed?.text).toMatch(/^\/ip4\/127\.0\.0\.1\/tcp\/\d+$/)
  })

  it('of go-libp2p, in two frames, wherever the stream is cut', () => {
    const stream = unhex(goIdentifyInTwo.stream)
    for (const cut of [1, 2, 1_000, 1_016, 1_017, 1_018, 1_019, stream.length - 1]) {
      const { value } = heard(golden.peerId, stream.subarray(0, cut), stream.subarray(cut))
      expect([value?.recordSeq, value?.addresses.length, value?.certified?.length, value?.agent]).toEqual([
        goIdentifyInTwo.seq,
        90,
        90,
        'golden/1',
      ])
    }
  })

  it('of js-libp2p, which puts our own id behind the address it sees', () => {
    const { value } = heard(golden.peerId, unhex(jsIdentify.stream))
    expect(value).toMatchObject({ agent: 'golden/1', protocolVersion: 'ipfs/0.1.0', recordSeq: jsIdentify.seq })
    expect(texts(value?.certified)).toEqual(jsRecordOfVector.addresses)
    expect(value?.observed?.text).toMatch(/^\/ip4\/127\.0\.0\.1\/tcp\/\d+$/)
  })

  it('of another peer than the stream is refused, whoever made it', () => {
    for (const { stream } of [goIdentify, goIdentifyInTwo, jsIdentify]) expect(heard(self, unhex(stream)).fault?.code).toBe('ERR_PROTOCOL')
  })

  it('cut or altered anywhere is read, in part or whole, or refused with a code', () => {
    const stream = unhex(goIdentify.stream)
    for (let cut = 0; cut < stream.length; cut += 1) expect(heard(golden.peerId, stream.subarray(0, cut)).fault).toBeDefined()
    property(100, (random) => {
      const { value, fault } = heard(golden.peerId, mutate(random, stream))
      expect((value === undefined) !== (fault === undefined)).toBe(true)
      decodes(() => mergeIdentify([mutate(random, stream.subarray(2))]))
    })
  })
})

describe('several frames', () => {
  const parts = [
    wire.frame({ protocols: ['/a', '/b'], listenAddrs: [parseMultiaddr('/memory/1').bytes], agentVersion: 'one', protocolVersion: 'v' }),
    wire.frame({
      protocols: ['/b', '/c'],
      listenAddrs: [parseMultiaddr('/memory/1').bytes, parseMultiaddr('/memory/2').bytes],
      agentVersion: 'two',
    }),
  ]

  it('add their lists up, each entry once, and later single values count', () => {
    expect(heard(self, ...parts).value).toMatchObject({ protocols: ['/a', '/b', '/c'], agent: 'two', protocolVersion: 'v' })
    expect(texts(heard(self, ...parts).value?.addresses)).toEqual(['/memory/1', '/memory/2'])
  })

  it('are read up to ten, and up to 8 KiB each', () => {
    const many = (count: number): Uint8Array[] => Array.from({ length: count }, (_, at) => wire.frame({ protocols: [`/p/${at}`] }))
    expect(heard(self, ...many(IDENTIFY_MAX_FRAMES)).value?.protocols.length).toBe(IDENTIFY_MAX_FRAMES)
    expect(heard(self, ...many(IDENTIFY_MAX_FRAMES + 1)).fault?.code).toBe('ERR_PROTOCOL')
    expect(heard(self, frame(new Uint8Array(IDENTIFY_MAX_FRAME + 1))).fault?.code).toBe('ERR_FRAME_TOO_LARGE')
    expect(heard(self).fault?.code).toBe('ERR_PROTOCOL')
  })
})

describe('what can not be used of a message', () => {
  it('are addresses that do not parse, each by itself', () => {
    const list = [
      Uint8Array.of(4, 1),
      parseMultiaddr('/memory/1').bytes,
      new Uint8Array(0),
      Uint8Array.of(0x80),
      parseMultiaddr('/memory/2').bytes,
    ]
    const { value } = heard(self, wire.frame({ listenAddrs: list, observedAddr: Uint8Array.of(4, 1), protocols: ['/a'] }))
    expect([texts(value?.addresses), value?.observed, value?.protocols]).toEqual([['/memory/1', '/memory/2'], undefined, ['/a']])
  })

  it('is an observed address of a relay', () => {
    const observedAddr = parseMultiaddr(`/ip4/192.0.2.1/tcp/1/p2p/${self}/p2p-circuit`).bytes
    expect(heard(self, wire.frame({ observedAddr })).value?.observed).toBeUndefined()
  })

  it('are names longer than a name can be, and what of an agent goes on for ever', () => {
    const { value } = heard(self, wire.frame({ protocols: [`/${'x'.repeat(MSS_MAX_LINE)}`, '/a'], agentVersion: 'x'.repeat(5_000) }))
    expect([value?.protocols, value?.agent?.length]).toEqual([['/a'], IDENTIFY_MAX_AGENT])
  })

  it.each<[string, Forged, string | undefined]>([
    ['none of that, if it is its own', {}, '/memory/1'],
    ['none of that, in the form of the RFC, which rust sends', { use: routingRecordUse }, '/memory/1'],
    ['a record of another peer', { signer: other, subject: other }, undefined],
    ['a record of another peer that it signed itself', { subject: other }, undefined],
    ['its record signed by another', { signer: other }, undefined],
    ['its record signed by another under its key', { signer: other, envelopeKey: ours }, undefined],
    ['a record signed for another use', { signedFor: routingRecordUse }, undefined],
    ['a record of an unknown kind', { use: { domain: 'libp2p-peer-record', payloadType: utf8('?') } }, undefined],
  ])('is %s: the unsigned addresses stand', (_what, forged, certified) => {
    const { value } = heard(self, wire.frame({ listenAddrs: [parseMultiaddr('/memory/5').bytes], signedPeerRecord: record(forged) }))
    expect([value?.certified?.[0]?.text, value?.recordSeq, value?.signedRecord !== undefined]).toEqual(
      certified === undefined ? [undefined, undefined, false] : [certified, 7n, true],
    )
    expect(texts(value?.addresses)).toEqual(['/memory/5'])
  })

  it('is what a record says of others', () => {
    const forged = record({ addresses: [`/memory/1/p2p/${peerIdFromKey(other.publicKey)}`, '/memory/2', `/memory/3/p2p/${self}`] })
    expect(texts(heard(self, wire.frame({ signedPeerRecord: forged })).value?.certified)).toEqual(['/memory/2', `/memory/3/p2p/${self}`])
  })
})

describe('our own message', () => {
  const signedRecord = record({ addresses: addresses(80).map(({ text }) => text) })
  const identify = (change: Partial<Identify>): Identify => ({
    publicKey: ours.publicKey.encoded,
    addresses: addresses(3),
    protocols: ['/ipfs/id/1.0.0', '/ipfs/ping/1.0.0'],
    observed: parseMultiaddr('/ip4/203.0.113.1/tcp/1'),
    protocolVersion: 'ipfs/0.1.0',
    agent: 'tabmesh/0.1.0',
    signedRecord,
    ...change,
  })
  const sent = (told: Identify): Uint8Array => new Play(tell(told)).written

  it('comes back as it went, in one frame with the key first', () => {
    const frames = encodeIdentify(identify({}))
    expect(frames.length).toBe(1)
    expect([...(frames[0] as Uint8Array).subarray(0, 4)]).toEqual([0x0a, 36, 0x08, 0x01])
    expect(heard(self, sent(identify({}))).value).toMatchObject({
      agent: 'tabmesh/0.1.0',
      recordSeq: 7n,
      protocols: identify({}).protocols,
    })
  })

  it('stays within what rust reads: addresses go first, from the end', () => {
    const told = identify({ addresses: addresses(400) })
    const frames = encodeIdentify(told)
    expect(frames.length).toBe(1)
    const length = sent(told).length
    expect(length).toBeLessThanOrEqual(IDENTIFY_MAX_SENT)
    expect(length).toBeGreaterThan(IDENTIFY_MAX_SENT - 20)
    const { value } = heard(self, sent(told))
    expect(value?.protocols).toEqual(told.protocols)
    expect(value?.recordSeq).toBe(7n)
    expect(texts(value?.addresses)).toEqual(texts(told.addresses)?.slice(0, value?.addresses.length))
  })

  it('keeps half of the room for addresses; names beyond it go into frames that rust does not read', () => {
    const told = identify({ addresses: addresses(300), protocols: Array.from({ length: 500 }, (_, at) => `/application/${at}/1.0.0`) })
    const frames = encodeIdentify(told)
    expect(frames.length).toBeGreaterThan(1)
    for (const each of frames) expect(frame(each).length).toBeLessThanOrEqual(IDENTIFY_MAX_SENT)
    const { value } = heard(self, sent(told))
    expect(value?.protocols).toEqual(told.protocols)
    expect(value?.addresses.length).toBeGreaterThan(60)
    const first = heard(self, frame(frames[0] as Uint8Array)).value
    expect(first?.recordSeq).toBe(7n)
    expect(first?.addresses.length).toBe(value?.addresses.length)
    expect(first?.protocols.length).toBeGreaterThan(30)
  })

  it('leaves out a record that leaves no room, and names that nobody can ask for', () => {
    const told = identify({
      signedRecord: new Uint8Array(3_500),
      addresses: addresses(50),
      protocols: ['/a', 'x'.repeat(MSS_MAX_LINE + 1)],
    })
    const { value } = heard(self, sent(told))
    expect([value?.signedRecord, value?.addresses.length, value?.protocols]).toEqual([undefined, 50, ['/a']])
  })

  it('ends somewhere: nine frames, which every implementation reads', () => {
    const told = identify({ protocols: Array.from({ length: 2_000 }, (_, at) => `/application/with/a/long/name/${at}/1.0.0`) })
    expect(encodeIdentify(told).length).toBe(IDENTIFY_MAX_FRAMES - 1)
    expect(heard(self, sent(told)).fault).toBeUndefined()
  })

  it('has room for a record of the greatest size, its addresses, the longest key and forty names', () => {
    // An RSA key of 2,048 bits makes a key of 294 bytes and a signature of 256.
    const list = addresses(200)
    const inRecord = list.slice(0, Math.floor(IDENTIFY_MAX_RECORD / ((list[0]?.bytes.length ?? 0) + 6)))
    const bare = record({ addresses: inRecord.map(({ text }) => text) })
    const told = identify({
      publicKey: new Uint8Array(299),
      addresses: inRecord,
      signedRecord: new Uint8Array(bare.length + 299 - 36 + 256 - 64),
      protocols: Array.from({ length: 40 }, (_, at) => `/application/${at}`),
    })
    expect(encodeIdentify(told).length).toBe(1)
    expect(wire.decode(encodeIdentify(told)[0] as Uint8Array).listenAddrs.length).toBe(inRecord.length)
  })
})

it('an address of ours that a record of another names is not the other one’s', () => {
  const address = encapsulate(parseMultiaddr('/memory/1'), `/p2p/${self}`)
  const { value } = heard(
    peerIdFromKey(other.publicKey),
    wire.frame({ signedPeerRecord: record({ signer: other, subject: other, addresses: [address.text] }) }),
  )
  expect(value?.certified).toEqual([])
})
