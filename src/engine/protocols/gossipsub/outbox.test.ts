import { describe, expect, it } from 'vitest'
import { GOSSIP_MAX_QUEUED, GOSSIP_MAX_QUEUED_BYTES, GOSSIP_MAX_QUEUED_IDS, GOSSIP_MAX_SENT } from '../../limits.ts'
import { messageOf } from '../../testing/gossip/lab.ts'
import { property } from '../../testing/property.ts'
import type { Message } from './message.ts'
import { Outbox } from './outbox.ts'
import type { Rpc } from './rpc.ts'
import { rpcLength } from './rpc-writer.ts'

const all = (outbox: Outbox, max = GOSSIP_MAX_SENT): Rpc[] => {
  const rpcs: Rpc[] = []
  for (let rpc = outbox.take(max, 10); rpc !== undefined; rpc = outbox.take(max, 10)) rpcs.push(rpc)
  return rpcs
}

describe('what waits for a peer', () => {
  it('leaves together', () => {
    const outbox = new Outbox()
    const message = messageOf({})
    outbox.have('a', ['1'])
    outbox.message(message)
    outbox.graft('a')
    outbox.subscription('a', true)
    outbox.want(['2'])
    outbox.dontWant('3')
    outbox.prune({ topic: 'b', peers: [], backoff: 60 })
    expect(all(outbox)).toEqual([
      {
        subscriptions: [{ topic: 'a', subscribe: true }],
        publish: [message],
        control: {
          ihave: [{ topic: 'a', ids: ['1'] }],
          iwant: ['2'],
          graft: ['a'],
          prune: [{ topic: 'b', peers: [], backoff: 60 }],
          idontwant: ['3'],
          extensions: undefined,
        },
        parts: undefined,
        test: false,
      },
    ])
    expect(outbox.empty).toBe(true)
  })

  it('is known by its id until it has left or was dropped', () => {
    const outbox = new Outbox()
    const messages = Array.from({ length: 200 }, (_, seqno) => messageOf({ seqno }))
    const waiting = (): number => messages.filter(({ id }) => outbox.has(id)).length
    for (const each of messages.slice(0, 150)) outbox.message(each)
    expect(waiting()).toBe(150)
    for (const each of messages.slice(150)) outbox.message(each)
    expect(waiting()).toBe(200)
    outbox.take(GOSSIP_MAX_SENT, 10, undefined, 120)
    expect(messages.map(({ id }) => outbox.has(id))).toEqual(messages.map((_, n) => n >= 120))
    all(outbox)
    expect(waiting()).toBe(0)
    outbox.message(messages[0] as Message)
    for (let more = 0; more < GOSSIP_MAX_QUEUED; more++) outbox.message(messages[1] as Message)
    expect([waiting(), outbox.has(messages[0]?.id as string)]).toEqual([1, false])
  })

  it('says the last of what contradicts itself', () => {
    const outbox = new Outbox()
    outbox.graft('a')
    outbox.prune({ topic: 'a', peers: [], backoff: 60 })
    outbox.prune({ topic: 'b', peers: [], backoff: 60 })
    outbox.graft('b')
    outbox.subscription('a', true)
    outbox.subscription('a', false)
    const [rpc] = all(outbox)
    expect([rpc?.control?.graft, rpc?.control?.prune.map(({ topic }) => topic), rpc?.subscriptions]).toEqual([
      ['b'],
      ['a'],
      [{ topic: 'a', subscribe: false }],
    ])
  })

  it('is cut into RPCs that everybody reads: control, then messages, then gossip', () => {
    const outbox = new Outbox()
    const data = new Uint8Array(20_000)
    for (let seqno = 0; seqno < 10; seqno++) outbox.message(messageOf({ seqno, data }))
    outbox.have(
      'a',
      Array.from({ length: 5_000 }, (_, i) => `${i}`.padStart(46, ' ')),
    )
    outbox.want(Array.from({ length: 3_000 }, (_, i) => `${i}`.padStart(46, ' ')))
    outbox.graft('a')
    const rpcs = all(outbox)
    for (const rpc of rpcs) expect(rpcLength(rpc)).toBeLessThanOrEqual(GOSSIP_MAX_SENT)
    expect(rpcs[0]?.control?.graft).toEqual(['a'])
    const wants = rpcs.flatMap(({ control }) => control?.iwant ?? [])
    const haves = rpcs.flatMap(({ control }) => control?.ihave ?? []).flatMap(({ ids }) => ids)
    expect([wants.length, haves.length, rpcs.flatMap(({ publish }) => publish).length]).toEqual([3_000, 5_000, 10])
    const lastWant = rpcs.findLastIndex(({ control }) => (control?.iwant.length ?? 0) > 0)
    const firstMessage = rpcs.findIndex(({ publish }) => publish.length > 0)
    const lastMessage = rpcs.findLastIndex(({ publish }) => publish.length > 0)
    const firstHave = rpcs.findIndex(({ control }) => (control?.ihave.length ?? 0) > 0)
    expect([lastWant <= firstMessage, lastMessage <= firstHave]).toEqual([true, true])
    // ⌈480 kB of ids and 200 kB of messages ÷ 64 KiB⌉ and no more than one for each that did not fill up.
    expect(rpcs.length).toBeLessThan(13)
  })

  it('a message longer than an RPC should be goes alone', () => {
    const outbox = new Outbox()
    const large = messageOf({ data: new Uint8Array(200_000) })
    outbox.message(messageOf({ seqno: 2 }))
    outbox.message(large)
    outbox.message(messageOf({ seqno: 3 }))
    expect(all(outbox).map(({ publish }) => publish.length)).toEqual([1, 1, 1])
  })

  it('has a bound: the oldest messages and the oldest gossip go first', () => {
    const outbox = new Outbox()
    for (let seqno = 0; seqno < GOSSIP_MAX_QUEUED + 5; seqno++) outbox.message(messageOf({ seqno }))
    expect([outbox.queued, outbox.dropped]).toEqual([GOSSIP_MAX_QUEUED, 5])
    expect(
      all(outbox)
        .flatMap(({ publish }) => publish)[0]
        ?.seqno?.at(-1),
    ).toBe(5)
    const large = messageOf({ data: new Uint8Array(1_000_000) })
    for (let i = 0; i < 30; i++) outbox.message(large)
    expect(outbox.queued).toBe(Math.floor(GOSSIP_MAX_QUEUED_BYTES / large.raw.length))
    all(outbox)
    for (let i = 0; i < 50; i++) outbox.have(`${i}`, new Array(1_000).fill('x'))
    for (let i = 0; i < 50; i++) outbox.want(new Array(1_000).fill('x'))
    const rpcs = all(outbox)
    const haves = rpcs.flatMap(({ control }) => control?.ihave ?? [])
    expect(haves.reduce((sum, { ids }) => sum + ids.length, 0)).toBe(GOSSIP_MAX_QUEUED_IDS)
    expect(haves[0]?.topic).toBe('40')
    expect(rpcs.flatMap(({ control }) => control?.iwant ?? []).length).toBe(GOSSIP_MAX_QUEUED_IDS)
  })

  it('loses nothing, whatever the RPCs have room for', () => {
    property(200, (random) => {
      const outbox = new Outbox()
      const max = 300 + random.below(3_000)
      const ids = Array.from({ length: random.below(100) }, (_, i) => `${i}`.repeat(1 + random.below(20)))
      const topics = Array.from({ length: random.below(20) }, (_, i) => `${'t'.repeat(random.below(50))}${i}`)
      const messages = Array.from({ length: random.below(20) }, (_, seqno) => messageOf({ seqno, data: random.bytes(random.below(200)) }))
      for (const topic of topics) {
        outbox.subscription(topic, true)
        if (random.below(2) === 0) outbox.graft(topic)
        else outbox.prune({ topic, peers: [], backoff: 1 })
      }
      outbox.have('h', ids)
      outbox.want(ids)
      for (const message of messages) outbox.message(message)
      const rpcs = all(outbox, max)
      for (const rpc of rpcs) expect(rpcLength(rpc)).toBeLessThanOrEqual(max)
      expect(rpcs.flatMap(({ publish }) => publish)).toEqual(messages)
      expect(rpcs.flatMap(({ control }) => control?.iwant ?? [])).toEqual(ids)
      expect(rpcs.flatMap(({ control }) => control?.ihave ?? []).flatMap((have) => have.ids)).toEqual(ids)
      expect(rpcs.flatMap(({ subscriptions }) => subscriptions).map(({ topic }) => topic)).toEqual(topics)
      const control = rpcs.flatMap((rpc) => [...(rpc.control?.graft ?? []), ...(rpc.control?.prune ?? []).map(({ topic }) => topic)])
      expect(control.sort()).toEqual([...topics].sort())
    })
  })
})
