import { describe, expect, it } from 'vitest'
import { utf8 } from '../../codec/bytes.ts'
import { privateKey } from '../../codec/keys.ts'
import { peerIdFromKey } from '../../codec/peer-id.ts'
import { signWith, verifySignature } from '../../crypto/verify.ts'
import { GOSSIP_MAX_DATA, GOSSIP_MAX_SENT, GOSSIP_MAX_VALIDATING } from '../../limits.ts'
import { Lab, messageOf, peerOf } from '../../testing/gossip/lab.ts'
import { codeOf } from '../../testing/property.ts'
import { FLOODSUB } from './peer.ts'
import { rpcLength } from './rpc-writer.ts'
import { strictNoSign, strictSign } from './signing.ts'

const INVALID = -4

const inRoom = (peers: number, options = {}): Lab => {
  const lab = new Lab(options)
  lab.peers(0, peers)
  lab.join()
  lab.clear()
  return lab
}
const publishes = ({ publish }: { publish: readonly unknown[] }): boolean => publish.length > 0

describe('a received message', () => {
  it('is told once and goes on to the mesh, but not back, nor to its author', () => {
    const lab = inRoom(6)
    const [message] = lab.publish(0, { author: 3 })
    lab.publish(1, { author: 3 })
    lab.publish(0, { author: 3 })
    expect(lab.messages()).toEqual([message?.id])
    expect(lab.who(6, publishes)).toEqual([1, 2, 4, 5])
  })

  it('of a topic we are not in is nothing to us', () => {
    const lab = inRoom(3)
    lab.publish(0, { topic: 'other' })
    expect([lab.messages(), lab.who(3, () => true), lab.router.sizes.seen]).toEqual([[], [], 0])
  })

  it('with a wrong signature counts against its sender, and keeps nobody else out', () => {
    const lab = inRoom(3)
    lab.publish(0, { wrong: true })
    expect(lab.router.score(peerOf(0))).toBe(INVALID)
    lab.publish(1, {})
    expect(lab.messages()).toHaveLength(1)
    expect(lab.who(3, publishes)).toEqual([0, 2])
  })

  it('is verified once; copies wait for the first, and stand in for it', () => {
    const lab = inRoom(4, { verifiesItself: true })
    lab.publish(0, { wrong: true })
    lab.publish(1, {})
    lab.publish(1, {})
    lab.publish(2, {})
    expect(lab.events.map(({ t }) => t)).toEqual(['verify'])
    const { id } = messageOf({})
    lab.router.handle({ t: 'verified', id, valid: false }, 0)
    lab.settle()
    expect(lab.events.map(({ t }) => t)).toEqual(['verify', 'verify'])
    lab.router.handle({ t: 'verified', id, valid: true }, 0)
    lab.router.handle({ t: 'verified', id, valid: true }, 0)
    lab.settle()
    expect(lab.events.map(({ t }) => t)).toEqual(['verify', 'verify', 'message'])
    expect([0, 1, 2].map((n) => lab.router.score(peerOf(n)))).toEqual([INVALID, 1, 0])
  })

  for (const [what, options] of Object.entries({
    unsigned: { unsigned: true },
    'as if by ourselves': { author: 1_000_000 },
  })) {
    it(`${what} counts against its sender`, () => {
      const lab = inRoom(2)
      lab.publish(0, options)
      expect([lab.messages(), lab.router.score(peerOf(0))]).toEqual([[], INVALID])
    })
  }

  it('with a seqno of another length than eight bytes, or of no peer, counts against its sender', async () => {
    const { addSignature, readMessage, writeMessage } = await import('./message.ts')
    const { Author, Authors } = await import('./authors.ts')
    const { TopicNames } = await import('./text.ts')
    const { originMessageId } = await import('./message-id.ts')
    const make = (from: Uint8Array | undefined, seqno: Uint8Array | undefined) =>
      readMessage(
        addSignature(writeMessage(new TopicNames(), 'news', utf8('x'), from && new Author(from), seqno).raw, new Uint8Array(64), undefined),
        new TopicNames(),
        new Authors(),
        originMessageId,
      )
    const from = messageOf({}).from
    for (const message of [
      make(from, new Uint8Array(7)),
      make(from, undefined),
      make(undefined, new Uint8Array(8)),
      make(Uint8Array.of(1), new Uint8Array(8)),
    ]) {
      const lab = inRoom(2)
      if (message !== undefined) lab.rpc(0, { publish: [message] })
      expect([lab.messages(), lab.router.score(peerOf(0))]).toEqual([[], INVALID])
    }
  })

  it('where nothing is signed says nothing of its author', () => {
    const lab = inRoom(2, { signing: strictNoSign })
    lab.publish(0, {})
    expect([lab.messages(), lab.router.score(peerOf(0))]).toEqual([[], INVALID])
    lab.publish(1, { unsigned: true })
    expect(lab.messages()).toHaveLength(1)
  })

  it('is dropped while too many wait, as if it had not come', () => {
    const lab = inRoom(2, { verifiesItself: true })
    lab.publish(0, ...Array.from({ length: GOSSIP_MAX_VALIDATING + 10 }, (_, seqno) => ({ seqno })))
    expect(lab.router.validating).toBe(GOSSIP_MAX_VALIDATING)
    for (const event of lab.events.splice(0)) if (event.t === 'verify') lab.router.handle({ t: 'verified', id: event.id, valid: true }, 0)
    lab.publish(1, { seqno: GOSSIP_MAX_VALIDATING + 5 })
    expect(lab.events.filter(({ t }) => t === 'verify')).toHaveLength(1)
  })

  it('is forgotten after two minutes, and then new again', () => {
    const lab = inRoom(2)
    lab.publish(0, {})
    lab.run(119_000)
    lab.publish(1, {})
    expect(lab.messages()).toHaveLength(1)
    lab.run(3_000)
    expect(lab.router.sizes).toMatchObject({ seen: 0, cached: 0, deliveries: 0 })
    lab.publish(1, {})
    expect(lab.messages()).toHaveLength(2)
  })
})

describe('the application decides', () => {
  const validated = (): Lab => {
    const lab = inRoom(4)
    lab.router.handle({ t: 'validated', topic: 'news', on: true }, 0)
    lab.publish(0, {})
    lab.publish(1, {})
    expect(lab.events.map(({ t }) => t)).toEqual(['validate'])
    return lab
  }
  const { id } = messageOf({})

  it('accept: told and passed on', () => {
    const lab = validated()
    lab.router.handle({ t: 'verdict', id, verdict: 'accept' }, 0)
    lab.settle()
    expect(lab.messages()).toEqual([id])
    expect(lab.who(4, publishes)).toEqual([1, 2, 3])
  })

  it('reject: counts against all who sent it, also later', () => {
    const lab = validated()
    lab.router.handle({ t: 'verdict', id, verdict: 'reject' }, 0)
    lab.publish(2, {})
    expect([0, 1, 2, 3].map((n) => lab.router.score(peerOf(n)))).toEqual([INVALID, INVALID, INVALID, 0])
    expect([lab.messages(), lab.who(4, () => true)]).toEqual([[], []])
  })

  it('ignore: nothing comes of it', () => {
    const lab = validated()
    lab.router.handle({ t: 'verdict', id, verdict: 'ignore' }, 0)
    lab.publish(2, {})
    expect([0, 1, 2].map((n) => lab.router.score(peerOf(n)))).toEqual([0, 0, 0])
    expect([lab.messages(), lab.who(4, () => true)]).toEqual([[], []])
  })

  it('silence: as ignore, after a while', () => {
    const lab = validated()
    lab.run(31_000)
    expect(lab.router.validating).toBe(0)
    lab.router.handle({ t: 'verdict', id, verdict: 'accept' }, lab.now)
    lab.settle()
    expect(lab.messages()).toEqual([])
  })
})

describe('publishing', () => {
  it('goes to all of the topic by flood publishing, else to the mesh', () => {
    const lab = new Lab()
    lab.peers(0, 12)
    lab.join()
    lab.clear()
    lab.router.handle({ t: 'score', peer: peerOf(11), value: -51 }, 0)
    lab.router.publish('news', utf8('hi'), 0)
    lab.settle()
    expect(lab.who(12, publishes)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    const other = new Lab({ params: { floodPublish: false } })
    other.peers(0, 11)
    other.peers(11, 12, { protocol: FLOODSUB })
    other.join()
    other.clear()
    other.router.publish('news', utf8('hi'), 0)
    other.settle()
    expect(other.who(12, publishes)).toEqual([...other.mesh(12), 11])
  })

  it('to a topic that we are not in goes to a few, the same for a minute', () => {
    const lab = new Lab({ params: { floodPublish: false } })
    lab.peers(0, 20)
    const say = (): number[] => {
      lab.router.publish('news', utf8('hi'), lab.now)
      lab.settle()
      return lab.who(20, publishes)
    }
    const first = say()
    expect(first).toHaveLength(6)
    expect(say()).toEqual(first)
    lab.run(30_000)
    expect(say()).toEqual(first)
    // Then they are the mesh.
    lab.join()
    expect(lab.mesh(20)).toEqual(first)
  })

  it('is signed, one number after the other, and leaves in that order whatever the signing takes', () => {
    const key = privateKey('Ed25519', new Uint8Array(32).fill(1))
    const self = peerIdFromKey(key.publicKey)
    const lab = new Lab({ self, signing: strictSign(key.publicKey), seqno: 41n })
    lab.peers(0, 1)
    lab.join()
    lab.clear()
    for (const word of ['one', 'two', 'three']) lab.router.publish('news', utf8(word), 0)
    const asked = [lab.router.poll(), lab.router.poll(), lab.router.poll()]
    expect(lab.router.backlog).toBe(3)
    for (const ask of [asked[2], asked[0]]) {
      if (ask?.t !== 'sign') throw new Error('expected to be asked for a signature')
      lab.router.handle({ t: 'signed', ticket: ask.ticket, signature: signWith(key, ask.bytes) }, 0)
    }
    // The second can not be signed: it is not sent, and holds up nobody.
    lab.router.handle({ t: 'signed', ticket: 1, signature: undefined }, 0)
    lab.settle()
    const messages = lab.sent(0).flatMap(({ publish }) => publish)
    expect(messages.map(({ data }) => Buffer.from(data).toString())).toEqual(['one', 'three'])
    expect(messages.map(({ seqno }) => seqno?.at(-1))).toEqual([41, 43])
    for (const message of messages) {
      expect(message.author?.id).toBe(self)
      expect(verifySignature(key.publicKey, message.signingBytes(), message.signature ?? new Uint8Array())).toBe(true)
    }
  })

  it('by a key that the peer id does not tell sends it along', () => {
    const key = privateKey('ECDSA', ecdsaKey())
    const lab = new Lab({ self: peerIdFromKey(key.publicKey), signing: strictSign(key.publicKey) })
    lab.peers(0, 1)
    lab.clear()
    lab.router.publish('news', utf8('hi'), 0)
    lab.settle()
    const message = lab.sent(0).flatMap(({ publish }) => publish)[0]
    expect(message?.key).toEqual(key.publicKey.encoded)
    // And who gets it knows whose key has to fit.
    const other = new Lab({ verifiesItself: true })
    other.peers(0, 1)
    other.join()
    if (message !== undefined) other.rpc(0, { publish: [message] })
    expect(other.events.at(-1)).toMatchObject({ t: 'verify', key: { type: 'ECDSA' } })
  })

  it('has a size that all implementations take', () => {
    const lab = inRoom(1)
    expect(codeOf(() => lab.router.publish('news', new Uint8Array(GOSSIP_MAX_DATA + 1), 0))).toBe('ERR_INVALID_ARGUMENT')
    expect(codeOf(() => lab.router.publish('', utf8('x'), 0))).toBe('ERR_INVALID_ARGUMENT')
    expect(codeOf(() => lab.router.publish('x'.repeat(1_025), utf8('x'), 0))).toBe('ERR_INVALID_ARGUMENT')
    for (let i = 0; i < 5; i++) lab.router.publish('news', new Uint8Array(GOSSIP_MAX_DATA), 0)
    lab.settle()
    const rpcs = lab.sent(0)
    expect(rpcs).toHaveLength(5)
    for (const rpc of rpcs) expect(rpcLength(rpc)).toBeLessThanOrEqual(GOSSIP_MAX_SENT)
  })

  it('the same twice, where nothing tells the two apart, is said once', () => {
    const lab = inRoom(1, { signing: strictNoSign })
    expect(lab.router.publish('news', utf8('x'), 0)).toBeDefined()
    expect(lab.router.publish('news', utf8('x'), 0)).toBeUndefined()
  })
})

/** SEC 1 of the scalar 1, without its public key. */
const ecdsaKey = (): Uint8Array => {
  const scalar = new Uint8Array(32)
  scalar[31] = 1
  return Uint8Array.of(0x30, 0x31, 2, 1, 1, 4, 32, ...scalar, 0xa0, 0x0a, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7)
}
