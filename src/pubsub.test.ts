import { describe, expect, it } from 'vitest'
import {
  GOSSIP_MAX_DATA,
  GOSSIP_MAX_GROUP,
  GOSSIP_MAX_METADATA,
  GOSSIP_MAX_PARTS,
  GOSSIP_MAX_TOPIC,
  PUBSUB_MAX_WAITING,
} from './engine/limits.ts'
import { TabmeshError } from './errors.ts'
import type { Peer } from './peer.ts'
import { messageIdOf, pubsubSettings } from './pubsub.ts'
import { Lab } from './testing/lab.ts'
import type { GossipsubOptions, MessageParts, PartialMessage, PubsubMessage, SubscribeOptions } from './types/pubsub.ts'

interface Member {
  readonly peer: Peer
  readonly address: string
  readonly heard: PubsubMessage[]
  readonly errors: TabmeshError[]
}

const member = async (lab: Lab, pubsub: GossipsubOptions | false = {}): Promise<Member> => {
  const emitSelf = pubsub !== false && pubsub.emitSelf
  const { peer, address } = await lab.peer({ pubsub: pubsubSettings(pubsub) }, { messageId: messageIdOf(pubsub), emitSelf })
  const heard: PubsubMessage[] = []
  const errors: TabmeshError[] = []
  peer.pubsub.addEventListener('message', ({ detail }) => heard.push(detail))
  peer.addEventListener('error', ({ detail }) => errors.push(detail))
  return { peer, address, heard, errors }
}

/** Each dials the one before, and all are in the topic. */
const line = async (lab: Lab, count: number, pubsub: GossipsubOptions = {}, topic = 'news'): Promise<Member[]> => {
  const members: Member[] = []
  for (let i = 0; i < count; i++) {
    const made = await member(lab, pubsub)
    await lab.wait(made.peer.pubsub.subscribe(topic))
    const before = members.at(-1)
    if (before !== undefined) await lab.wait(made.peer.dial(before.address))
    members.push(made)
  }
  await lab.until(() => members.every(({ peer }, i) => peer.pubsub.subscribers(topic).length === neighbours(i, count)))
  // A heartbeat or two, until meshes are made.
  for (let i = 0; i < 150; i++) await lab.pass(20)
  return members
}

const neighbours = (i: number, count: number): number => (i === 0 || i === count - 1 ? Math.min(1, count - 1) : 2)
const texts = ({ heard }: Member): string[] => heard.map((message) => message.text())

describe('a topic', () => {
  it('is heard by those who are in it, with all that there is to know', async () => {
    const lab = new Lab()
    const [a, b, c] = (await line(lab, 3)) as [Member, Member, Member]
    expect([a.peer.pubsub.topics, a.peer.pubsub.subscribers('news'), a.peer.pubsub.subscribers('other')]).toEqual([
      ['news'],
      [b.peer.id],
      [],
    ])
    const { id, peers: count } = await lab.wait(a.peer.pubsub.publish('news', 'grüße'))
    expect(count).toBe(1)
    await lab.until(() => c.heard.length > 0)
    const [message] = c.heard
    expect([texts(a), texts(b), texts(c)]).toEqual([[], ['grüße'], ['grüße']])
    expect(message).toMatchObject({ topic: 'news', from: a.peer.id, via: b.peer.id, id })
    expect([message?.data, typeof message?.seqno, id.length]).toEqual([new TextEncoder().encode('grüße'), 'bigint', 92])
  })

  it('takes bytes, and leaves the caller its own', async () => {
    const lab = new Lab()
    const [a, b] = (await line(lab, 2)) as [Member, Member]
    const bytes = Uint8Array.of(1, 2, 3)
    const published = a.peer.pubsub.publish('news', bytes)
    bytes.fill(9)
    await lab.wait(published)
    await lab.until(() => b.heard.length > 0)
    expect([bytes, b.heard[0]?.data]).toEqual([Uint8Array.of(9, 9, 9), Uint8Array.of(1, 2, 3)])
    // What was heard is the application's: nothing else is in that buffer.
    expect(b.heard[0]?.data.buffer.byteLength).toBe(3)
  })

  it('that was left is heard no more, and its peers know', async () => {
    const lab = new Lab()
    const [a, b] = (await line(lab, 2)) as [Member, Member]
    const changes: unknown[] = []
    a.peer.pubsub.addEventListener('subscription:change', ({ detail }) => changes.push(detail))
    await lab.wait(b.peer.pubsub.unsubscribe('news'))
    await lab.wait(b.peer.pubsub.unsubscribe('news'))
    await lab.until(() => changes.length > 0)
    expect(changes).toEqual([{ peer: b.peer.id, topic: 'news', subscribed: false }])
    expect([b.peer.pubsub.topics, a.peer.pubsub.subscribers('news')]).toEqual([[], []])
    expect(await lab.wait(a.peer.pubsub.publish('news', 'x'))).toMatchObject({ peers: 0 })
    await lab.wait(b.peer.pubsub.subscribe('news'))
    await lab.until(() => changes.length > 1)
    await lab.wait(a.peer.pubsub.publish('news', 'y'))
    await lab.until(() => b.heard.length > 0)
    expect(texts(b)).toContain('y')
  })

  it('need not be joined to publish to it', async () => {
    const lab = new Lab()
    const [a, b] = (await line(lab, 2)) as [Member, Member]
    await lab.wait(b.peer.pubsub.subscribe('other'))
    await lab.until(() => a.peer.pubsub.subscribers('other').length === 1)
    expect(await lab.wait(a.peer.pubsub.publish('other', 'hi'))).toMatchObject({ peers: 1 })
    await lab.until(() => b.heard.length > 0)
    expect([texts(b), a.peer.pubsub.topics]).toEqual([['hi'], ['news']])
  })

  it('carries 5,000 messages published in one task, in order, whole and once', async () => {
    const lab = new Lab()
    // Unsigned: signatures in script take their time.
    const members = (await line(lab, 3, { signing: 'StrictNoSign' })) as [Member, Member, Member]
    const all = Array.from({ length: 5_000 }, (_, i) => `${i}`)
    const results = await lab.wait(Promise.all(all.map((text) => members[0].peer.pubsub.publish('news', text))))
    expect(new Set(results.map(({ id }) => id)).size).toBe(all.length)
    // Who passes a message on may tell its own application later.
    await lab.until(() => [members[1], members[2]].every(({ heard }) => heard.length >= all.length))
    expect(texts(members[1])).toEqual(all)
    expect(texts(members[2])).toEqual(all)
  })

  it('is told to who published, where he wants that', async () => {
    const lab = new Lab()
    const [a, b] = (await line(lab, 2, { emitSelf: true })) as [Member, Member]
    const { id } = await lab.wait(a.peer.pubsub.publish('news', 'x'))
    await lab.wait(a.peer.pubsub.publish('other', 'not joined'))
    await lab.until(() => b.heard.length > 0)
    expect(a.heard.map(({ id, from, data }) => ({ id, from, data }))).toEqual([{ id, from: a.peer.id, data: Uint8Array.of(120) }])
  })
})

describe('a validator', () => {
  it('decides what is told and passed on, at once or later; what fails is ignored and reported', async () => {
    const lab = new Lab()
    const [a, b, c] = (await line(lab, 3)) as [Member, Member, Member]
    const asked: string[] = []
    await lab.wait(
      b.peer.pubsub.subscribe('news', {
        validate: (message) => {
          const text = message.text()
          asked.push(text)
          expect([message.from, message.via, message.topic]).toEqual([a.peer.id, a.peer.id, 'news'])
          if (text === 'throws') throw new Error('mine')
          if (text === 'nonsense') return true as never
          if (text === 'later') return new Promise((resolve) => setImmediate(() => resolve('accept')))
          if (text === 'rejects') return Promise.reject(new Error('mine'))
          return text as 'accept'
        },
      }),
    )
    const words = ['accept', 'reject', 'ignore', 'later', 'throws', 'rejects', 'nonsense']
    await lab.wait(Promise.all(words.map((text) => a.peer.pubsub.publish('news', text))))
    await lab.until(() => c.heard.length >= 2)
    for (let i = 0; i < 50; i++) await lab.pass(20)
    expect(asked).toEqual(words)
    expect([texts(b).sort(), texts(c).sort()]).toEqual([
      ['accept', 'later'],
      ['accept', 'later'],
    ])
    expect(b.errors.map(({ code }) => code)).toEqual(['ERR_HANDLER', 'ERR_HANDLER', 'ERR_HANDLER'])
    const { peers } = await lab.wait(b.peer.pubsub.inspect())
    expect(peers.find(({ id }) => id === a.peer.id)?.score).toBeLessThan(1)
    expect((await lab.wait(b.peer.metrics())).pubsub).toEqual({
      ...{ published: 0, delivered: 2, duplicates: 0, invalid: 1, ignored: 4, parts: 0, partsDropped: 0 },
      // Who sent what was rejected is out of the mesh.
      ...{ peers: 2, topics: 1, mesh: 1, dropped: 0 },
    })
    expect((await lab.wait(a.peer.metrics())).pubsub).toMatchObject({ published: words.length })
    // Without it everything is taken again.
    await lab.wait(b.peer.pubsub.subscribe('news'))
    await lab.wait(a.peer.pubsub.publish('news', 'reject'))
    await lab.until(() => texts(c).includes('reject'))
  })

  it('that never answers: its message is ignored after a while, and nothing else waits for it', async () => {
    const lab = new Lab()
    const [a, b] = (await line(lab, 2)) as [Member, Member]
    const validate = (message: PubsubMessage): Promise<'accept'> | 'accept' =>
      message.text() === 'never' ? new Promise(() => {}) : 'accept'
    await lab.wait(b.peer.pubsub.subscribe('news', { validate }))
    await lab.wait(a.peer.pubsub.publish('news', 'never'))
    await lab.wait(a.peer.pubsub.publish('news', 'now'))
    await lab.until(() => b.heard.length > 0)
    lab.world.run(40_000)
    await lab.pass(20)
    expect(texts(b)).toEqual(['now'])
  })
})

describe('what makes no sense is refused', () => {
  it('in calls', async () => {
    const lab = new Lab()
    const { peer } = await member(lab)
    const { pubsub } = peer
    const long = 'x'.repeat(GOSSIP_MAX_TOPIC + 1)
    expect(await lab.codeOf(pubsub.subscribe(long))).toBe('ERR_INVALID_ARGUMENT')
    expect(pubsub.topics).toEqual([])
    expect(await lab.codeOf(pubsub.subscribe(7 as never))).toBe('ERR_INVALID_ARGUMENT')
    expect(await lab.codeOf(pubsub.subscribe('x', { validate: 'accept' as never }))).toBe('ERR_INVALID_ARGUMENT')
    expect(await lab.codeOf(pubsub.publish(long, 'x'))).toBe('ERR_INVALID_ARGUMENT')
    expect(await lab.codeOf(pubsub.publish('x', 7 as never))).toBe('ERR_INVALID_ARGUMENT')
    expect(await lab.codeOf(pubsub.publish('x', new Uint8Array(GOSSIP_MAX_DATA + 1)))).toBe('ERR_INVALID_ARGUMENT')
    expect(await lab.codeOf(pubsub.publish('x', new Uint8Array(GOSSIP_MAX_DATA)))).toBe('ok')
    expect(await lab.codeOf(pubsub.setScore('nobody', 1))).toBe('ERR_INVALID_PEER_ID')
    expect(await lab.codeOf(pubsub.setScore(peer.id, Number.NaN))).toBe('ERR_INVALID_ARGUMENT')
  })

  it.each<[string, GossipsubOptions]>([
    ['d', { params: { d: 1 } }],
    ['thresholds', { score: { thresholds: { gossip: 1, publish: 0, graylist: 0, acceptPx: 0, opportunisticGraft: 0 } } }],
    ['signing', { signing: 'sometimes' as never }],
    ['messageId', { messageId: 'perl' as never }],
    ['direct', { direct: ['/ip4/127.0.0.1/tcp/1'] }],
  ])('in options: %s', async (_name, given) => {
    const lab = new Lab()
    expect(await lab.codeOf(member(lab, given))).toBe('ERR_INVALID_ARGUMENT')
  })

  it('when pubsub is off', async () => {
    const lab = new Lab()
    const { peer } = await member(lab, false)
    expect(peer.protocols.filter((name) => /meshsub|floodsub/.test(name))).toEqual([])
    expect(await lab.codeOf(peer.pubsub.subscribe('x'))).toBe('ERR_UNSUPPORTED')
    expect(await lab.codeOf(peer.pubsub.publish('x', 'y'))).toBe('ERR_UNSUPPORTED')
    expect(await lab.codeOf(peer.pubsub.inspect())).toBe('ERR_UNSUPPORTED')
    expect([peer.pubsub.topics, peer.pubsub.subscribers('x')]).toEqual([[], []])
  })

  it('when the peer is stopped; what waits rejects', async () => {
    const lab = new Lab()
    const { peer } = await member(lab)
    const waiting = peer.pubsub.publish('x', 'y')
    // Nobody need mind.
    void peer.pubsub.publish('x', 'z')
    peer.pubsub.end(new TabmeshError('ERR_STOPPED', 'over'))
    expect(await lab.codeOf(waiting)).toBe('ERR_STOPPED')
    await lab.wait(peer.stop())
    expect(await lab.codeOf(peer.pubsub.publish('x', 'y'))).toBe('ERR_STOPPED')
    expect(await lab.codeOf(peer.pubsub.subscribe('x'))).toBe('ERR_STOPPED')
    expect(peer.pubsub.topics).toEqual([])
  })

  it('without signatures, what was said before', async () => {
    const lab = new Lab()
    const [a, b] = (await line(lab, 2, { signing: 'StrictNoSign' })) as [Member, Member]
    expect(await lab.codeOf(a.peer.pubsub.publish('news', 'ping'))).toBe('ok')
    expect(await lab.codeOf(a.peer.pubsub.publish('news', 'ping'))).toBe('ERR_DUPLICATE_MESSAGE')
    await lab.until(() => b.heard.length > 0)
    expect(b.heard.map(({ from, seqno, id }) => [from, seqno, id.length])).toEqual([[undefined, undefined, 64]])
  })

  it('when too much waits to be published', async () => {
    const lab = new Lab()
    const { peer } = await member(lab)
    const data = new Uint8Array(GOSSIP_MAX_DATA)
    const all = Array.from({ length: Math.ceil(PUBSUB_MAX_WAITING / GOSSIP_MAX_DATA) + 10 }, () => peer.pubsub.publish('x', data))
    const codes = all.map((each) => lab.codeOf(each))
    peer.pubsub.end(new TabmeshError('ERR_STOPPED', 'enough'))
    const said = await Promise.all(codes)
    expect(new Set(said.slice(0, 1_000))).toEqual(new Set(['ERR_STOPPED']))
    expect(new Set(said.slice(-5))).toEqual(new Set(['ERR_PUBLISH_QUEUE']))
  })
})

describe('message ids', () => {
  it.each<['go' | 'js' | 'rust' | 'content', number]>([
    ['go', 46],
    ['js', 44],
    ['content', 32],
  ])('of the form of %s', async (messageId, bytes) => {
    const lab = new Lab()
    const [a, b] = (await line(lab, 2, { messageId })) as [Member, Member]
    const { id } = await lab.wait(a.peer.pubsub.publish('news', 'x'))
    await lab.until(() => b.heard.length > 0)
    expect([b.heard[0]?.id, id.length / 2]).toEqual([id, bytes])
  })

  it('of the form of rust: the author’s peer id and the number in decimals', async () => {
    const lab = new Lab()
    const [a, b] = (await line(lab, 2, { messageId: 'rust' })) as [Member, Member]
    await lab.wait(a.peer.pubsub.publish('news', 'x'))
    await lab.until(() => b.heard.length > 0)
    const [message] = b.heard
    expect(Buffer.from(message?.id ?? '', 'hex').toString()).toBe(`${a.peer.id}${message?.seqno}`)
  })

  it('by a function; where it fails go’s form is taken and the failure reported', async () => {
    const lab = new Lab()
    const [a, b] = (await line(lab, 2, {
      messageId: ({ topic, data, from }) => {
        if (data[0] === 120) throw new Error('mine')
        return data[0] === 121 ? '' : `${topic} ${data[0]} ${from}`
      },
    })) as [Member, Member]
    expect((await lab.wait(a.peer.pubsub.publish('news', 'a'))).id).toBe(Buffer.from(`news 97 ${a.peer.id}`).toString('hex'))
    expect((await lab.wait(a.peer.pubsub.publish('news', 'x'))).id.length).toBe(92)
    expect((await lab.wait(a.peer.pubsub.publish('news', 'y'))).id.length).toBe(92)
    await lab.until(() => b.heard.length === 3)
    expect(new Set(a.errors.map(({ code }) => code))).toEqual(new Set(['ERR_HANDLER']))
  })
})

describe('a direct peer', () => {
  it('is dialled at its address, and hears everything without a mesh', async () => {
    const lab = new Lab()
    const a = await member(lab)
    const b = await member(lab, { direct: [`${a.address}/p2p/${a.peer.id}`] })
    await lab.wait(a.peer.pubsub.setDirect(b.peer.id, true))
    for (const { peer } of [a, b]) await lab.wait(peer.pubsub.subscribe('news'))
    await lab.until(() => a.peer.pubsub.subscribers('news').length === 1 && b.peer.pubsub.subscribers('news').length === 1)
    for (let i = 0; i < 100; i++) await lab.pass(20)
    await lab.wait(b.peer.pubsub.publish('news', 'x'))
    await lab.until(() => a.heard.length > 0)
    const { peers, topics } = await lab.wait(a.peer.pubsub.inspect())
    expect(peers).toMatchObject([{ id: b.peer.id, direct: true, topics: ['news'] }])
    expect(topics).toMatchObject([{ name: 'news', joined: true, peers: [b.peer.id], mesh: [] }])
  })
})

describe('partial messages', () => {
  interface Some {
    readonly member: Member
    readonly parts: PartialMessage[]
  }

  /** Two that have a part in them. */
  const pair = async (lab: Lab, roles: readonly SubscribeOptions['partial'][]): Promise<Some[]> => {
    const members = await line(lab, roles.length)
    const some: Some[] = []
    for (const [i, partial] of roles.entries()) {
      const parts: PartialMessage[] = []
      const each = members[i] as Member
      each.peer.pubsub.addEventListener('partial', ({ detail }) => parts.push(detail))
      await lab.wait(each.peer.pubsub.subscribe('news', partial === undefined ? {} : { partial }))
      some.push({ member: each, parts })
    }
    for (let i = 0; i < 10; i++) await lab.pass(20)
    return some
  }

  it('go to who requests them, in place of whole ones', async () => {
    const lab = new Lab()
    const [a, b] = (await pair(lab, ['support', 'request'])) as [Some, Some]
    const { pubsub } = a.member.peer
    expect(await lab.wait(pubsub.publish('news', 'whole'))).toMatchObject({ peers: 0 })
    const message = Uint8Array.of(1, 2, 3)
    const published = pubsub.publishPartial('news', { group: 'block 1', message, metadata: '110' })
    message.fill(9)
    expect(await lab.wait(published)).toEqual({ peers: 1 })
    await lab.until(() => b.parts.length > 0)
    const text = new TextEncoder()
    expect(b.parts).toEqual([
      {
        topic: 'news',
        from: a.member.peer.id,
        requests: false,
        group: text.encode('block 1'),
        message: Uint8Array.of(1, 2, 3),
        metadata: text.encode('110'),
      },
    ])
    // Who only supports them is told which parts there are, and has messages whole.
    const back = b.member.peer.pubsub
    expect(await lab.wait(back.publishPartial('news', { group: 'block 1', message, metadata: '111' }))).toEqual({ peers: 1 })
    await lab.until(() => a.parts.length > 0)
    expect(a.parts[0]).toMatchObject({ from: b.member.peer.id, requests: true, metadata: text.encode('111') })
    expect(a.parts[0]).not.toHaveProperty('message')
    await lab.wait(pubsub.rejectPartial(a.parts[0] as PartialMessage))
    expect((await lab.wait(pubsub.inspect())).counts.invalid).toBe(1)
    await lab.wait(back.publish('news', 'whole, too'))
    await lab.until(() => a.member.heard.length > 0)
    expect([texts(a.member), texts(b.member)]).toEqual([['whole, too'], []])
    const { topics } = await lab.wait(pubsub.inspect())
    expect(topics[0]).toMatchObject({ requestPartial: [b.member.peer.id], supportPartial: [b.member.peer.id] })
    expect((await lab.wait(a.member.peer.metrics())).pubsub).toMatchObject({ parts: 1, partsDropped: 0 })
  })

  it('go to the peers that are named, and to nobody who has no part in them', async () => {
    const lab = new Lab()
    const [a, b, c] = (await pair(lab, ['request', 'request', undefined])) as [Some, Some, Some]
    const { pubsub } = b.member.peer
    const parts = { group: Uint8Array.of(7), metadata: '1' }
    expect(await lab.wait(pubsub.publishPartial('news', parts))).toEqual({ peers: 1 })
    expect(await lab.wait(pubsub.publishPartial('news', parts, { to: [a.member.peer.id] }))).toEqual({ peers: 1 })
    expect(await lab.wait(pubsub.publishPartial('news', parts, { to: [] }))).toEqual({ peers: 0 })
    await lab.until(() => a.parts.length === 2)
    expect(c.parts).toEqual([])
    expect(await lab.wait(pubsub.publish('news', 'whole'))).toMatchObject({ peers: 1 })
    await lab.until(() => c.member.heard.length > 0)
    expect(texts(a.member)).toEqual([])
  })

  it('that make no sense are refused', async () => {
    const lab = new Lab()
    const [a] = (await pair(lab, ['request', 'request'])) as [Some, Some]
    const { pubsub } = a.member.peer
    const metadata = '1'
    const refused = async (topic: string, parts: object, options?: object): Promise<void> => {
      const published = pubsub.publishPartial(topic, parts as MessageParts, options)
      expect((await lab.wait(published.catch((error: TabmeshError) => error))) as unknown).toMatchObject({ code: 'ERR_INVALID_ARGUMENT' })
    }
    await refused('other', { group: 'a', metadata })
    await refused('news', { metadata })
    await refused('news', { group: 'a' })
    await refused('news', { group: 'a', metadata: 5 })
    await refused('news', { group: 'a'.repeat(GOSSIP_MAX_GROUP + 1), metadata })
    await refused('news', { group: 'a', metadata: new Uint8Array(GOSSIP_MAX_METADATA + 1) })
    await refused('news', { group: 'a', message: new Uint8Array(GOSSIP_MAX_PARTS), metadata })
    const stranger = lab.wait(pubsub.publishPartial('news', { group: 'a', metadata }, { to: ['nobody'] }))
    await expect(stranger).rejects.toMatchObject({ code: 'ERR_INVALID_PEER_ID' })
    await expect(lab.wait(pubsub.subscribe('news', { partial: 'yes' as 'request' }))).rejects.toMatchObject({
      code: 'ERR_INVALID_ARGUMENT',
    })
    await lab.wait(pubsub.subscribe('news'))
    await refused('news', { group: 'a', metadata })
    // What waits when the peer stops rejects, and nobody has to mind.
    await lab.wait(pubsub.subscribe('news', { partial: 'request' }))
    const late = pubsub.publishPartial('news', { group: 'a', metadata })
    await lab.wait(a.member.peer.stop())
    await expect(late).rejects.toMatchObject({ code: 'ERR_STOPPED' })
  })
})
