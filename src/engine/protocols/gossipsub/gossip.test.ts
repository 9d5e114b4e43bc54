import { describe, expect, it } from 'vitest'
import { GOSSIP_MAX_UNWANTED } from '../../limits.ts'
import { Lab, messageOf, peerOf } from '../../testing/gossip/lab.ts'
import { MESHSUB_11 } from './peer.ts'

const KiB = 1_024

/** In the mesh: peers 0 to 5. Outside: 6 to 15. */
const room = (params = {}): Lab => {
  const lab = new Lab({ params: { floodPublish: false, ...params } })
  lab.peers(0, 6)
  lab.join()
  lab.peers(6, 16)
  lab.run(200)
  lab.clear()
  return lab
}

describe('gossip', () => {
  it('tells peers outside of the mesh what came, three heartbeats long', () => {
    const lab = room()
    const [message] = lab.publish(0, {})
    lab.clear()
    for (let beat = 0; beat < 3; beat++) {
      lab.run(1_000)
      const told = lab.who(16, ({ control }) => control?.ihave.some(({ ids }) => ids.includes(message?.id ?? '')) === true)
      expect(told).toHaveLength(6)
      expect(Math.min(...told)).toBeGreaterThan(5)
    }
    lab.run(1_000)
    expect(lab.who(16, ({ control }) => (control?.ihave.length ?? 0) > 0)).toEqual([])
  })

  it('sends what is asked for, three times, and five heartbeats long; more often costs', () => {
    const lab = new Lab({ params: { floodPublish: false }, score: { behaviourPenaltyThreshold: 0 } })
    lab.peers(0, 6)
    lab.join()
    lab.peers(6, 8)
    const [message] = lab.publish(0, {})
    lab.clear()
    const id = message?.id as string
    for (let time = 0; time < 5; time++) lab.rpc(6, { iwant: [id, id, 'never heard of'] })
    expect(lab.sent(6).flatMap(({ publish }) => publish)).toEqual([message, message, message])
    expect(lab.router.score(peerOf(6))).toBe(-40)
    lab.run(4_000)
    lab.rpc(7, { iwant: [id] })
    expect(lab.sent(7).flatMap(({ publish }) => publish)).toEqual([message])
    lab.run(2_000)
    lab.rpc(7, { iwant: [id] })
    expect(lab.sent(7).flatMap(({ publish }) => publish)).toEqual([])
  })

  it('asks for what it has not seen, in topics it is in', () => {
    const lab = room()
    const [seen] = lab.publish(0, {})
    lab.clear()
    lab.rpc(6, {
      ihave: [
        { topic: 'news', ids: [seen?.id as string, 'new'] },
        { topic: 'other', ids: ['elsewhere'] },
      ],
    })
    expect(lab.sent(6).map(({ control }) => control?.iwant)).toEqual([['new']])
  })

  it('who tells of messages and does not send them breaks a promise, unless somebody else did', () => {
    const lab = new Lab({ score: { behaviourPenaltyThreshold: 0 } })
    lab.peers(0, 3)
    lab.join()
    const real = messageOf({ seqno: 5 })
    lab.rpc(0, { ihave: [{ topic: 'news', ids: ['a lie'] }] })
    lab.rpc(1, { ihave: [{ topic: 'news', ids: [real.id] }] })
    lab.rpc(2, { publish: [real] })
    lab.run(3_000)
    expect(lab.router.score(peerOf(0))).toBe(0)
    lab.run(200)
    expect(lab.router.score(peerOf(0))).toBe(-10)
    expect(lab.router.score(peerOf(1))).toBe(0)
    expect(lab.router.sizes.promises).toBe(0)
  })

  it('also tells a mesh peer that was sent messages in a hurry, for three heartbeats, what it has had time to see', () => {
    const lab = room()
    lab.router.handle({ t: 'hurried', peer: peerOf(2) }, lab.now)
    const ids: string[] = []
    const told: number[][] = []
    for (let beat = 0; beat < 5; beat++) {
      ids.push(lab.publish(0, { seqno: beat })[0]?.id as string)
      lab.clear()
      lab.run(1_000)
      const gossip = lab.sent(2).flatMap(({ control }) => control?.ihave ?? [])
      told.push(gossip.flatMap((have) => have.ids.map((id) => ids.indexOf(id)).sort()))
    }
    expect(told).toEqual([[], [0], [0, 1], [], []])
  })

  it('a message that waits for a peer is not told of, nor sent twice to who has heard of it elsewhere', () => {
    const lab = room()
    lab.slow.add(peerOf(2))
    const [message] = lab.publish(0, {})
    lab.run(1_000)
    lab.router.handle({ t: 'hurried', peer: peerOf(2) }, lab.now)
    lab.clear()
    lab.run(1_000)
    expect(lab.sent(2)).toEqual([])
    for (let time = 0; time < 5; time++) lab.rpc(2, { iwant: [message?.id as string] })
    expect(lab.router.take(peerOf(2))?.publish).toEqual([message])
    expect(lab.router.take(peerOf(2))).toBe(undefined)
    expect(lab.router.score(peerOf(2))).toBe(0)
  })

  it('is neither heard nor told below its threshold', () => {
    const lab = room()
    const [message] = lab.publish(0, {})
    for (let n = 6; n < 16; n++) lab.router.handle({ t: 'score', peer: peerOf(n), value: n === 6 ? -9 : -11 }, lab.now)
    lab.clear()
    for (const n of [6, 7]) lab.rpc(n, { iwant: [message?.id as string], ihave: [{ topic: 'news', ids: ['other'] }] })
    expect(lab.sent(6).map(({ publish, control }) => [publish, control?.iwant])).toEqual([[[message], ['other']]])
    expect(lab.sent(7)).toEqual([])
    lab.run(1_000)
    expect(lab.who(16, ({ control }) => (control?.ihave.length ?? 0) > 0)).toEqual([6])
  })

  it('listens to ten RPCs of a peer between heartbeats, and asks for five thousand ids', () => {
    const lab = room()
    let count = 0
    const ids = (n: number): string[] => Array.from({ length: n }, () => `${count++}`)
    const asked = (n: number): number => lab.sent(n).reduce((sum, { control }) => sum + (control?.iwant.length ?? 0), 0)
    for (let i = 0; i < 20; i++) lab.rpc(6, { ihave: [{ topic: 'news', ids: ids(1) }] })
    expect(asked(6)).toBe(10)
    for (let i = 0; i < 5; i++) lab.rpc(7, { ihave: [{ topic: 'news', ids: ids(3_000) }] })
    expect(asked(7)).toBe(5_000)
    lab.run(1_000)
    lab.rpc(7, { ihave: [{ topic: 'news', ids: ids(1) }] })
    expect(asked(7)).toBe(1)
  })
})

describe('IDONTWANT', () => {
  const data = new Uint8Array(KiB)

  it('is said of large messages, to the mesh, before they are validated, to who understands it', () => {
    const lab = new Lab()
    lab.peers(0, 3)
    lab.peers(3, 4, { protocol: MESHSUB_11 })
    lab.join()
    lab.router.handle({ t: 'validated', topic: 'news', on: true }, 0)
    lab.clear()
    lab.publish(0, { data: data.subarray(1) })
    expect(lab.who(4, () => true)).toEqual([])
    const [large] = lab.publish(0, { seqno: 2, data })
    expect(lab.who(4, ({ control }) => control?.idontwant[0] === large?.id)).toEqual([1, 2])
    expect(lab.messages()).toEqual([])
  })

  it('is not said of what is not signed by its author', () => {
    const lab = new Lab()
    lab.peers(0, 2)
    lab.join()
    lab.clear()
    lab.publish(0, { data, wrong: true })
    expect(lab.who(2, () => true)).toEqual([])
  })

  it('is heeded for three heartbeats', () => {
    const lab = new Lab()
    lab.peers(0, 3)
    lab.join()
    lab.clear()
    const message = messageOf({})
    lab.rpc(1, { idontwant: [message.id] })
    lab.run(2_000)
    lab.rpc(0, { publish: [message] })
    expect(lab.who(3, ({ publish }) => publish.length > 0)).toEqual([2])
    lab.rpc(1, { iwant: [message.id] })
    expect(lab.sent(1)).toEqual([])
    lab.run(1_000)
    lab.rpc(1, { iwant: [message.id] })
    expect(lab.sent(1).flatMap(({ publish }) => publish)).toEqual([message])
  })

  it('is taken back out of what waits to be sent', () => {
    const lab = new Lab()
    lab.peers(0, 2)
    lab.join()
    lab.clear()
    const message = messageOf({})
    lab.router.handle(
      { t: 'rpc', peer: peerOf(0), rpc: { subscriptions: [], publish: [message], control: undefined, parts: undefined, test: false } },
      0,
    )
    const verify = lab.router.poll()
    if (verify?.t !== 'verify') throw new Error('expected the question whether it is signed')
    lab.router.handle({ t: 'verified', id: verify.id, valid: true }, 0)
    lab.router.handle(
      {
        t: 'rpc',
        peer: peerOf(1),
        rpc: {
          subscriptions: [],
          publish: [],
          control: { ihave: [], iwant: [], graft: [], prune: [], idontwant: [message.id], extensions: undefined },
          parts: undefined,
          test: false,
        },
      },
      0,
    )
    lab.settle()
    expect(lab.sent(1).flatMap(({ publish }) => publish)).toEqual([])
  })

  it('ten ids at a time are heeded, as many as are sent, and no more than have room', () => {
    const lab = new Lab()
    lab.peers(0, 2)
    lab.join()
    lab.clear()
    lab.router.handle(
      {
        t: 'rpc',
        peer: peerOf(0),
        rpc: {
          subscriptions: [],
          publish: Array.from({ length: 25 }, (_, seqno) => messageOf({ seqno, data })),
          control: undefined,
          parts: undefined,
          test: false,
        },
      },
      0,
    )
    lab.settle()
    expect(
      lab
        .sent(1)
        .map(({ control }) => control?.idontwant.length ?? 0)
        .slice(0, 3),
    ).toEqual([10, 10, 5])
    const eleven = Array.from({ length: 11 }, (_, seqno) => messageOf({ author: 5, seqno }))
    lab.rpc(1, { idontwant: eleven.map(({ id }) => id) })
    lab.rpc(0, { publish: eleven })
    expect(lab.sent(1).flatMap(({ publish }) => publish)).toEqual([eleven[10]])
    for (let i = 0; i < 2_000; i++) lab.rpc(1, { idontwant: Array.from({ length: 10 }, (_, j) => `${i} ${j}`) })
    const late = messageOf({ author: 6 })
    lab.rpc(1, { idontwant: [late.id] })
    lab.rpc(0, { publish: [late] })
    expect(GOSSIP_MAX_UNWANTED).toBeLessThan(20_000)
    expect(lab.sent(1).flatMap(({ publish }) => publish)).toEqual([late])
  })
})

describe('extensions', () => {
  it('are said in the first RPC, once; who says them twice pays for it', () => {
    const lab = new Lab({ testExtension: true })
    lab.router.handle({ t: 'connect', peer: peerOf(0), protocol: '/meshsub/1.3.0', outbound: false, ips: [] }, 0)
    lab.settle()
    expect(lab.sent(0).map(({ control }) => control?.extensions)).toEqual([{ partial: true, test: true }])
    lab.rpc(0, { extensions: { partial: false, test: true } })
    expect(lab.sent(0).map(({ test }) => test)).toEqual([true])
    expect(lab.router.score(peerOf(0))).toBe(0)
    lab.rpc(0, { extensions: { partial: false, test: true } })
    expect(lab.sent(0)).toEqual([])
    expect(lab.router.score(peerOf(0))).toBe(-160)
  })

  it('are said on each stream of ours, and heard on each of the peer’s', () => {
    const lab = new Lab()
    lab.router.handle({ t: 'connect', peer: peerOf(0), protocol: '/meshsub/1.3.0', outbound: false, ips: [] }, 0)
    for (const t of ['moved', 'reopened'] as const) lab.router.handle({ t, peer: peerOf(0) }, 0)
    lab.settle()
    // Nothing was taken in between, so it is all one.
    expect(lab.sent(0).map(({ control }) => control?.extensions)).toEqual([{ partial: true, test: false }])
    lab.router.handle({ t: 'moved', peer: peerOf(0) }, 0)
    lab.settle()
    expect(lab.sent(0).map(({ control }) => control?.extensions)).toEqual([{ partial: true, test: false }])
    for (let stream = 0; stream < 5; stream++) {
      lab.router.handle({ t: 'anew', peer: peerOf(0) }, 0)
      lab.rpc(0, { extensions: { partial: true, test: false } })
    }
    expect(lab.router.score(peerOf(0))).toBe(0)
  })

  it('are not said to who does not know of them', () => {
    const lab = new Lab({ testExtension: true })
    lab.peers(0, 1)
    lab.router.handle({ t: 'moved', peer: peerOf(0) }, 0)
    lab.settle()
    expect(lab.sent(0)).toEqual([])
  })
})
