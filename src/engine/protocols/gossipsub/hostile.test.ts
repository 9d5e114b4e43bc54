import { describe, expect, it } from 'vitest'
import { GOSSIP_MAX_BACKOFFS, GOSSIP_MAX_CACHED, GOSSIP_MAX_SEEN, GOSSIP_MAX_TOPICS } from '../../limits.ts'
import { Lab, messageOf, peerOf } from '../../testing/gossip/lab.ts'
import { property } from '../../testing/property.ts'
import { backOff } from './back-off.ts'
import { MessageCache } from './message-cache.ts'
import { Seen, VALID } from './seen.ts'
import { Topic } from './topic.ts'

const room = (): Lab => {
  const lab = new Lab()
  lab.peers(0, 7)
  lab.join()
  lab.clear()
  return lab
}

describe('a peer that floods', () => {
  it('with GRAFTs is out of the mesh, and then not listened to', () => {
    const lab = room()
    lab.rpc(0, { prune: [{ topic: 'news', peers: [], backoff: 60 }] })
    for (let i = 0; i < 100; i++) lab.rpc(0, { graft: new Array(1_000).fill('news') })
    expect(lab.mesh(7)).not.toContain(0)
    expect(lab.router.score(peerOf(0))).toBeLessThan(-80)
    // One PRUNE for each RPC at most, while it was listened to.
    expect(lab.sent(0).length).toBeLessThan(10)
  })

  it('with PRUNEs full of peers has nobody dialled', () => {
    const lab = room()
    const peers = Array.from({ length: 16 }, (_, n) => ({ peer: Uint8Array.of(n), record: new Uint8Array(1_000) }))
    for (let i = 0; i < 1_000; i++) lab.rpc(0, { prune: [{ topic: 'news', peers, backoff: 60 }] })
    expect(lab.events.filter(({ t }) => t === 'connect')).toEqual([])
    lab.router.handle({ t: 'score', peer: peerOf(0), value: 100 }, 0)
    lab.rpc(0, { prune: [{ topic: 'news', peers, backoff: 60 }] })
    expect(lab.events.filter(({ t }) => t === 'connect')).toEqual([])
  })

  it('with ids that do not exist is asked a bounded number, and pays for its lies', () => {
    const lab = room()
    let count = 0
    for (let beat = 0; beat < 12; beat++) {
      for (let i = 0; i < 50; i++) lab.rpc(0, { ihave: [{ topic: 'news', ids: Array.from({ length: 2_000 }, () => `lie ${count++}`) }] })
      lab.run(1_000)
    }
    expect(lab.sent(0).flatMap(({ control }) => control?.iwant ?? []).length).toBeLessThanOrEqual(12 * 5_000)
    expect(lab.router.score(peerOf(0))).toBeLessThan(-80)
    lab.run(5_000)
    expect(lab.router.sizes.promises).toBe(0)
  })

  it('with IWANT of nothing, or of the same again and again, gets nothing more and pays', () => {
    const lab = room()
    const [message] = lab.publish(1, {})
    lab.clear()
    for (let i = 0; i < 50; i++)
      lab.rpc(0, { iwant: [...new Array(100).fill(message?.id), ...Array.from({ length: 1_000 }, (_, j) => `${i} ${j}`)] })
    expect(lab.sent(0).flatMap(({ publish }) => publish)).toHaveLength(3)
    expect(lab.router.score(peerOf(0))).toBeLessThan(-10)
  })

  it('with subscriptions is in so many topics and no more, and they go with it', () => {
    const lab = new Lab()
    lab.peers(0, 1)
    for (let i = 0; i < 5; i++) {
      lab.rpc(0, { subscriptions: Array.from({ length: 1_000 }, (_, j) => ({ subscribe: true, topic: `${i} ${j}` })) })
      lab.rpc(0, { subscriptions: Array.from({ length: 1_000 }, (_, j) => ({ subscribe: false, topic: `unknown ${i} ${j}` })) })
    }
    expect(lab.router.sizes.topics).toBe(GOSSIP_MAX_TOPICS)
    // No room to be in ours: it can not be grafted either.
    lab.join()
    lab.rpc(0, { subscriptions: [{ subscribe: true, topic: 'more' }], graft: ['more'] })
    expect(lab.router.sizes.topics).toBe(GOSSIP_MAX_TOPICS)
    lab.router.handle({ t: 'disconnect', peer: peerOf(0) }, 0)
    lab.leave()
    expect(lab.router.sizes.topics).toBe(0)
  })

  it('with one message, over and over, is told of once', () => {
    const lab = room()
    lab.publish(0, ...new Array(5_000).fill({}))
    expect([lab.messages().length, lab.router.sizes.seen]).toEqual([1, 1])
  })

  it('with messages nobody signed is not listened to after six', () => {
    const lab = room()
    for (let seqno = 0; seqno < 100; seqno++) lab.publish(0, { seqno, wrong: true })
    expect(lab.router.score(peerOf(0))).toBeLessThan(-80)
    expect(lab.router.score(peerOf(0))).toBeGreaterThan(-150)
    lab.run(1_000)
    expect(lab.mesh(7)).not.toContain(0)
  })

  it('as a stranger, who is not connected, is nobody', () => {
    const lab = room()
    lab.rpc(50, { publish: [messageOf({})], graft: ['news'], subscriptions: [{ subscribe: true, topic: 'x' }] })
    lab.router.handle({ t: 'disconnect', peer: peerOf(50) }, 0)
    lab.router.handle({ t: 'verified', id: 'x', valid: true }, 0)
    lab.router.handle({ t: 'verdict', id: 'x', verdict: 'accept' }, 0)
    lab.router.handle({ t: 'signed', ticket: 5, signature: new Uint8Array(64) }, 0)
    expect([lab.router.poll(), lab.router.sizes.topics]).toEqual([undefined, 1])
  })
})

describe('what is kept has bounds', () => {
  it('ids', () => {
    const seen = new Seen(120_000)
    for (let i = 0; i < GOSSIP_MAX_SEEN + 1_000; i++) seen.add(`${i}`, VALID, i)
    expect(seen.size).toBe(GOSSIP_MAX_SEEN)
    expect([seen.get('999'), seen.get('1000')]).toEqual([undefined, VALID])
  })

  it('messages', () => {
    const cache = new MessageCache(3, 5)
    const data = new Uint8Array(1_000_000)
    const ids = Array.from({ length: 40 }, (_, seqno) => messageOf({ seqno, data })).map((message) => {
      cache.put(message)
      return message.id
    })
    expect(cache.size).toBe(Math.floor(GOSSIP_MAX_CACHED / (data.length + 150)))
    expect(cache.get(ids[0] as string)).toBeUndefined()
    expect(cache.gossip().get('news')?.length).toBe(cache.size)
  })

  it('back-offs', () => {
    const topic = new Topic('news', undefined)
    for (let n = 0; n < GOSSIP_MAX_BACKOFFS + 10; n++) backOff(topic, `${n}`, 60_000, 0)
    expect(topic.backoffs?.size).toBe(GOSSIP_MAX_BACKOFFS)
  })

  it('ids are remembered for their time and a heartbeat, whatever comes between', () => {
    property(20, (random) => {
      const seen = new Seen(10_000)
      const born = new Map<string, number>()
      let now = 0
      for (let i = 0; i < 500; i++) {
        now += random.below(200)
        const id = `${random.below(2_000)}`
        if (seen.get(id) === undefined) {
          born.set(id, now)
          seen.add(id, VALID, now)
        }
        if (random.below(4) === 0) seen.sweep(now)
        for (const [other, at] of born) if (now - at < 10_000 && seen.get(other) !== VALID) throw new Error(`${other} is forgotten`)
      }
      seen.sweep(now)
      seen.sweep(now + 10_001)
      expect(seen.size).toBe(0)
    })
  })
})

describe('whatever peers say', () => {
  it('nothing throws, the mesh is of its topic, and what is gone is gone', () => {
    property(40, (random) => {
      const lab = new Lab()
      const topics = ['a', 'b', 'c']
      const topic = (): string => topics[random.below(3)] as string
      const some = <T>(make: () => T): T[] => Array.from({ length: random.below(3) }, make)
      const present = new Set<number>()
      for (let i = 0; i < 400; i++) {
        const n = random.below(15)
        switch (random.below(8)) {
          case 0:
            lab.peers(n, n + 1, { topics: some(topic), outbound: random.below(2) === 0 })
            present.add(n)
            break
          case 1:
            if (random.below(3) > 0) break
            lab.router.handle({ t: 'disconnect', peer: peerOf(n) }, lab.now)
            present.delete(n)
            break
          case 2:
            lab.router.join(topic(), lab.now)
            break
          case 3:
            if (random.below(3) === 0) lab.leave(topic())
            break
          case 4:
            lab.run(random.below(3_000))
            break
          case 5:
            lab.publish(n, ...some(() => ({ topic: topic(), seqno: random.below(50), wrong: random.below(9) === 0 })))
            break
          case 6:
            lab.router.publish(topic(), random.bytes(5), lab.now)
            break
          default:
            lab.rpc(n, {
              graft: some(topic),
              prune: some(() => ({ topic: topic(), peers: [], backoff: random.below(100) })),
              ihave: some(() => ({ topic: topic(), ids: some(() => messageOf({ seqno: random.below(60) }).id) })),
              iwant: some(() => messageOf({ seqno: random.below(60) }).id),
              idontwant: some(() => messageOf({ seqno: random.below(60) }).id),
              subscriptions: some(() => ({ subscribe: random.below(2) === 0, topic: topic() })),
            })
        }
        lab.settle()
        for (const name of topics) {
          const members = lab.router.mesh(name)
          const subscribed = new Set(lab.router.peers(name))
          for (const member of members) expect(subscribed.has(member)).toBe(true)
          if (!lab.router.topics.includes(name)) expect(members).toEqual([])
        }
        expect(lab.router.sizes.peers).toBe(present.size)
      }
      for (const n of present) lab.router.handle({ t: 'disconnect', peer: peerOf(n) }, lab.now)
      for (const name of topics) lab.leave(name)
      lab.run(2 * 3_600_000)
      expect(lab.router.sizes).toEqual({ peers: 0, topics: 0, seen: 0, cached: 0, deliveries: 0, promises: 0, retained: 0 })
      expect(lab.router.deadline).toBe(Number.POSITIVE_INFINITY)
    })
  })
})
