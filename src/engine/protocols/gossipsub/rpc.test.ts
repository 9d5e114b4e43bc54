import { describe, expect, it } from 'vitest'
import { concat, utf8 } from '../../codec/bytes.ts'
import { bytes, message, nested, repeated, string } from '../../codec/protobuf.ts'
import { frame } from '../../codec/varint.ts'
import { GOSSIP_MAX_ID, GOSSIP_MAX_LIST, GOSSIP_MAX_OFFERED } from '../../limits.ts'
import { messageOf, peerOf, rpcOf } from '../../testing/gossip/lab.ts'
import { codeOf, decodes, mutate, property } from '../../testing/property.ts'
import { Author, Authors } from './authors.ts'
import { addSignature, readMessage, writeMessage } from './message.ts'
import { contentMessageId, originMessageId } from './message-id.ts'
import type { Rpc } from './rpc.ts'
import { RpcReader } from './rpc-reader.ts'
import { frameRpc, rpcLength } from './rpc-writer.ts'
import { latin1, TopicNames } from './text.ts'

const hex = (input: Uint8Array): string => Buffer.from(input).toString('hex')
const unhex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text.replaceAll(/\s/g, ''), 'hex'))
const reader = () => new RpcReader(new TopicNames(), new Authors(), originMessageId)
const read = (body: Uint8Array): Rpc => reader().read(body)
const unframe = (framed: Uint8Array): Uint8Array => framed.subarray(framed.length < 128 ? 1 : framed.length < 16_386 ? 2 : 3)
const there = (some: Parameters<typeof rpcOf>[0]): Rpc => read(unframe(frameRpc(rpcOf(some))))

const parts = { topic: 'a', group: Uint8Array.of(7), message: Uint8Array.of(1, 2), metadata: Uint8Array.of(0xff) }

describe('an RPC on the wire', () => {
  // By hand from the protobuf of go-libp2p-pubsub pb/rpc.proto; go's and js's encoders write fields in this order too.
  const golden: [string, Parameters<typeof rpcOf>[0], string][] = [
    ['subscribing', { subscriptions: [{ subscribe: true, topic: 'a' }] }, '07 0a05 0801 1201 61'],
    ['leaving', { subscriptions: [{ subscribe: false, topic: 'a' }] }, '07 0a05 0800 1201 61'],
    ['IHAVE', { ihave: [{ topic: 'a', ids: ['\x01\xff'] }] }, '0b 1a09 0a07 0a01 61 1202 01ff'],
    ['IWANT', { iwant: ['\x01', '\x02'] }, '0a 1a08 1206 0a01 01 0a01 02'],
    ['GRAFT', { graft: ['a'] }, '07 1a05 1a03 0a01 61'],
    ['PRUNE of 1.0', { prune: [{ topic: 'a', peers: [], backoff: undefined }] }, '07 1a05 2203 0a01 61'],
    [
      'PRUNE with back-off and peers',
      { prune: [{ topic: 'a', peers: [{ peer: Uint8Array.of(7), record: Uint8Array.of(8, 9) }], backoff: 60 }] },
      '12 1a10 220e 0a01 61 1207 0a01 07 1202 0809 183c',
    ],
    ['IDONTWANT', { idontwant: ['\x05'] }, '07 1a05 2a03 0a01 05'],
    ['no extensions', { extensions: { partial: false, test: false } }, '04 1a02 3200'],
    ['the test extension', { extensions: { partial: false, test: true } }, '09 1a07 3205 9091e218 01'],
    ['the message of the test extension', { test: true }, '05 9291e218 00'],
  ]
  // By proto.Marshal with go-libp2p-pubsub v0.17.0 pb/rpc.pb.go; that of `support` also has `requestsPartial: false`, which is left out here.
  const fromGo: typeof golden = [
    ['the extension of partial messages', { extensions: { partial: true, test: false } }, '06 1a04 3202 5001'],
    ['both extensions', { extensions: { partial: true, test: true } }, '0b 1a09 3207 5001 9091e218 01'],
    ['who requests parts', { subscriptions: [{ subscribe: true, topic: 'a', partial: 'request' }] }, '0b 0a09 0801 1201 61 1801 2001'],
    ['who supports parts', { subscriptions: [{ subscribe: true, topic: 'a', partial: 'support' }] }, '09 0a07 0801 1201 61 2001'],
    ['parts and metadata', { parts }, '0f 520d 0a01 61 1201 07 1a02 0102 2201 ff'],
    ['metadata', { parts: { ...parts, message: undefined } }, '0b 5209 0a01 61 1201 07 2201 ff'],
    [
      'parts that are empty, of a group that is',
      { parts: { topic: 'a', group: new Uint8Array(0), message: new Uint8Array(0), metadata: undefined } },
      '09 5207 0a01 61 1200 1a00',
    ],
    [
      'all of it',
      {
        subscriptions: [{ subscribe: true, topic: 'a', partial: 'request' }],
        extensions: { partial: true, test: false },
        parts: { ...parts, message: undefined },
      },
      '1c 0a09 0801 1201 61 1801 2001 1a04 3202 5001 5209 0a01 61 1201 07 2201 ff',
    ],
  ]
  for (const [name, some, text] of [...golden, ...fromGo]) {
    it(`writes and reads ${name}`, () => {
      const rpc = rpcOf(some)
      expect(hex(frameRpc(rpc))).toBe(hex(unhex(text)))
      expect(rpcLength(rpc)).toBe(unhex(text).length - 1)
      expect(there(some)).toEqual(rpc)
    })
  }

  it('carries messages as they are', () => {
    const sent = messageOf({ author: 1, seqno: 5, topic: 'some topic', data: utf8('hello') })
    const [got] = there({ publish: [sent] }).publish
    expect(got?.raw).toEqual(sent.raw)
    expect(got?.id).toBe(sent.id)
    expect(got?.author?.id).toBe(peerOf(1))
    expect([got?.topic, got?.data]).toEqual(['some topic', utf8('hello')])
  })

  it('reads what other encoders write: lists in pieces, fields we do not know, in any order', () => {
    const text = '1a05 1203 0a01 01   5a03 aabbcc   1a05 1203 0a01 02   0a09 1201 61 0801 2801 3001   1a02 3200'
    const rpc = read(unhex(text))
    expect(rpc.control?.iwant).toEqual(['\x01', '\x02'])
    expect(rpc.subscriptions).toEqual([{ subscribe: true, topic: 'a' }])
    // gossipsub-v1.3.md: unknown extensions are ignored.
    expect(read(unhex('1a04 3202 5801')).control?.extensions).toEqual({ partial: false, test: false })
  })

  it('reads go’s subscriptions, which name the fields of partial messages always', () => {
    const read1 = (text: string) => read(unhex(text)).subscriptions
    expect(read1('0a09 0801 1201 61 1800 2001')).toEqual([{ subscribe: true, topic: 'a', partial: 'support' }])
    expect(read1('0a09 0801 1201 61 1800 2000')).toEqual([{ subscribe: true, topic: 'a' }])
    // partial-messages.md: who requests supports, whether it says so or not; and who leaves has nothing to say.
    expect(read1('0a09 0801 1201 61 1801 2000')).toEqual([{ subscribe: true, topic: 'a', partial: 'request' }])
    expect(read1('0a09 0800 1201 61 1801 2001')).toEqual([{ subscribe: false, topic: 'a' }])
  })

  it('leaves out parts of no topic, or of one that can not be read', () => {
    expect(read(unhex('5203 1201 07')).parts).toBeUndefined()
    expect(read(unhex('5206 0a01 ff 1201 07')).parts).toBeUndefined()
  })

  it('leaves out what can not be read, and reads on', () => {
    expect(read(unhex('0a05 0801 1201 ff   0a05 0801 1201 61')).subscriptions).toEqual([{ subscribe: true, topic: 'a' }])
    expect(read(unhex('1202 1200')).publish).toEqual([])
    const long = 'x'.repeat(GOSSIP_MAX_ID + 1)
    expect(there({ iwant: [long, 'short'] }).control?.iwant).toEqual(['short'])
  })
})

describe('a message', () => {
  const names = new TopicNames()
  const authors = new Authors()
  const readOne = (raw: Uint8Array) => readMessage(raw, names, authors, originMessageId)

  it('is signed over the prefix and what comes before the signature (pubsub/README.md)', () => {
    const ours = writeMessage(names, 't', utf8('d'), new Author(Uint8Array.of(1)), new Uint8Array(8))
    const unsigned = ours.raw
    const bytes = concat([utf8('libp2p-pubsub:'), unsigned])
    expect(hex(unsigned)).toBe('0a01011201641a080000000000000000220174')
    expect(hex(ours.signingBytes())).toBe(hex(bytes))
    const signed = readOne(addSignature(unsigned, Uint8Array.of(9, 9), Uint8Array.of(8)))
    expect(hex(signed?.signingBytes() ?? new Uint8Array())).toBe(hex(bytes))
    expect([signed?.signature, signed?.key]).toEqual([Uint8Array.of(9, 9), Uint8Array.of(8)])
  })

  it('of ours has room for a signature of one length, and takes any', () => {
    const ours = () => writeMessage(names, 't', utf8('d'), new Author(Uint8Array.of(1)), new Uint8Array(8), 64)
    const unsigned = writeMessage(names, 't', utf8('d'), new Author(Uint8Array.of(1)), new Uint8Array(8)).raw
    for (const length of [64, 71]) {
      const message = ours()
      const signature = new Uint8Array(length).fill(7)
      expect(hex(message.signingBytes())).toBe(hex(concat([utf8('libp2p-pubsub:'), unsigned])))
      message.sign(signature, undefined)
      expect(hex(message.raw)).toBe(hex(addSignature(unsigned, signature, undefined)))
      expect(message.signature).toEqual(signature)
      expect(hex(message.signingBytes())).toBe(hex(concat([utf8('libp2p-pubsub:'), unsigned])))
    }
  })

  it('in another form than that which is signed is written anew, without what is not its own', () => {
    const plain = addSignature(
      writeMessage(names, 't', utf8('d'), new Author(Uint8Array.of(1)), new Uint8Array(8)).raw,
      Uint8Array.of(9),
      undefined,
    )
    for (const strange of [
      // The signature first; a field of the future behind; a long length; the data twice, of which the last counts.
      concat([unhex('2a0109'), writeMessage(names, 't', utf8('d'), new Author(Uint8Array.of(1)), new Uint8Array(8)).raw]),
      concat([plain, unhex('7a03616263')]),
      concat([unhex('0a8100 01'), plain.subarray(3)]),
      concat([unhex('120178'), plain]),
    ]) {
      expect(hex(readOne(strange)?.raw ?? new Uint8Array())).toBe(hex(plain))
    }
  })

  it('without a topic is none; with an empty one it is', () => {
    expect(readOne(unhex('120164'))).toBeUndefined()
    expect(readOne(unhex('120164 2200'))?.topic).toBe('')
    expect(readOne(unhex('2201ff'))).toBeUndefined()
  })

  it('has go’s id, or that of its content', () => {
    const message = messageOf({ author: 3, seqno: 258 })
    expect(message.id).toBe(`${message.author?.text}\0\0\0\0\0\0\x01\x02`)
    const unsigned = messageOf({ unsigned: true, data: utf8('abc') })
    // FIPS 180-2 §B.1
    expect(Buffer.from(unsigned.id, 'latin1').toString('hex')).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')
    expect(contentMessageId(unsigned)).toBe(unsigned.id)
  })

  it('lets go of a large buffer when it is kept', () => {
    const raw = messageOf({}).raw
    const large = new Uint8Array(100_000)
    large.set(raw, 500)
    const got = readOne(large.subarray(500, 500 + raw.length))
    got?.keep()
    expect(got?.raw.buffer.byteLength).toBeLessThan(20_000)
    expect(got?.data).toEqual(Uint8Array.of(1))
  })
})

describe('hostile bytes', () => {
  // The declared codec says the same of well-formed bytes as the one written for speed.
  const Have = message({ topic: string(1), ids: repeated(bytes(2), 10) })
  const Control = message({ ihave: repeated(nested(1, Have), 10) })
  const Outer = message({ publish: repeated(bytes(2), 10), control: nested(3, Control) })

  it('a hundred thousand ids cost no more than are looked at', () => {
    const id = unhex('1202 0102')
    const have = concat([unhex('0a01 61'), ...new Array(100_000).fill(id)])
    const body = concat([Uint8Array.of(0x1a), frame(concat([Uint8Array.of(0x0a), frame(have)]))])
    expect(read(body).control?.ihave[0]?.ids.length).toBe(GOSSIP_MAX_LIST)
  })

  it('lists have an end', () => {
    const many = (piece: string) => concat(new Array(GOSSIP_MAX_LIST + 10).fill(unhex(piece)))
    expect(read(many('0a05 0801 1201 61')).subscriptions.length).toBe(GOSSIP_MAX_LIST)
    expect(read(many('1203 2201 61')).publish.length).toBe(GOSSIP_MAX_LIST)
    expect(read(many('1a05 1a03 0a01 61')).control?.graft.length).toBe(GOSSIP_MAX_LIST)
    expect(read(many('1a05 2203 0a01 61')).control?.prune.length).toBe(GOSSIP_MAX_LIST)
    expect(read(many('1a05 1203 0a01 01')).control?.iwant.length).toBe(GOSSIP_MAX_LIST)
    const offers = concat([unhex('0a01 61'), ...new Array(1_000).fill(unhex('1203 0a01 07'))])
    const body = concat([Uint8Array.of(0x1a), frame(concat([Uint8Array.of(0x22), frame(offers)]))])
    expect(read(body).control?.prune[0]?.peers.length).toBe(GOSSIP_MAX_OFFERED)
  })

  for (const [what, text] of Object.entries({
    'a cut message': '1205 1203 61',
    'a cut length': '12 80',
    'a length beyond the end': '12 ff01 00',
    'a length of 64 bits': '12 ffffffffffffffff7f',
    'field number 0': '0201 00',
    'a group': '13',
    'a varint where bytes belong': '1202 1001',
    'parts that are cut short': '5203 0a05 61',
    'a list that ends inside another': '1a03 1205 0a01 01',
  })) {
    it(`refuses ${what}`, () => expect(codeOf(() => read(unhex(text)))).toBe('ERR_DECODE'))
  }

  it('never anything but a coded error', () => {
    const valid = unframe(
      frameRpc(
        rpcOf({
          subscriptions: [{ subscribe: true, topic: 'news' }],
          publish: [messageOf({}), messageOf({ seqno: 2 })],
          ihave: [{ topic: 'news', ids: ['one', 'two'] }],
          iwant: ['three'],
          graft: ['news'],
          prune: [{ topic: 'news', peers: [{ peer: Uint8Array.of(1), record: undefined }], backoff: 5 }],
          idontwant: ['four'],
          extensions: { partial: true, test: true },
          parts,
        }),
      ),
    )
    property(3_000, (random) => void decodes(() => read(mutate(random, valid))))
    property(1_000, (random) => void decodes(() => read(random.bytes(random.below(60)))))
  })

  it('reads what another codec writes, whatever it is', () => {
    property(300, (random) => {
      const some = (n: number): Uint8Array => random.bytes(random.below(n))
      const publish = [messageOf({ seqno: random.u32(), data: some(300) }).raw]
      const ihave = Array.from({ length: random.below(3) }, () => ({ topic: 'x'.repeat(random.below(20)), ids: [some(200), some(50)] }))
      const rpc = read(Outer.encode({ publish, control: { ihave } }))
      expect(rpc.publish.map(({ raw }) => raw)).toEqual(publish)
      expect(rpc.control?.ihave).toEqual(ihave.map(({ topic, ids }) => ({ topic, ids: ids.map((id) => latin1(id)) })))
      const again = Outer.decode(unframe(frameRpc(rpc)))
      expect(again.control?.ihave).toEqual(ihave)
    })
  })
})
