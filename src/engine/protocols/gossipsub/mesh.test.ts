import { describe, expect, it } from 'vitest'
import { Lab, peerOf } from '../../testing/gossip/lab.ts'
import { FLOODSUB, MESHSUB_10 } from './peer.ts'

const grafted = (rpc: { control?: { graft: readonly string[] } | undefined }): boolean => rpc.control?.graft.includes('news') === true
const pruned = (rpc: { control?: { prune: readonly { topic: string }[] } | undefined }): boolean =>
  rpc.control?.prune.some(({ topic }) => topic === 'news') === true

describe('the mesh', () => {
  it('is told of and grafted when we join, with as many peers as it should have', () => {
    const lab = new Lab()
    lab.peers(0, 20)
    lab.join()
    expect(lab.mesh(20)).toHaveLength(6)
    const subscribed = lab.who(20, ({ subscriptions }) => subscriptions.some(({ subscribe, topic }) => subscribe && topic === 'news'))
    expect(subscribed).toHaveLength(20)
  })

  it('grafts exactly those that are in it', () => {
    const lab = new Lab()
    lab.peers(0, 20)
    lab.join()
    expect(lab.who(20, grafted)).toEqual(lab.mesh(20))
  })

  it('has too few: who comes is grafted at once, and others at a heartbeat', () => {
    const lab = new Lab()
    lab.join()
    lab.router.handle({ t: 'score', peer: peerOf(1), value: -1 }, 0)
    lab.peers(0, 4)
    expect(lab.mesh(4)).toEqual([0, 2, 3])
    expect(lab.who(4, ({ control }) => control?.graft.includes('news') === true)).toEqual([0, 2, 3])
    lab.peers(4, 20)
    expect(lab.mesh(20)).toEqual([0, 2, 3, 4, 5])
    lab.run(1_000)
    expect(lab.mesh(20)).toHaveLength(5)
    lab.rpc(0, { prune: [{ topic: 'news', peers: [], backoff: 60 }] })
    // Who left and comes back is not welcome yet.
    lab.rpc(0, { subscriptions: [{ subscribe: false, topic: 'news' }] })
    lab.rpc(0, { subscriptions: [{ subscribe: true, topic: 'news' }] })
    expect(lab.mesh(20)).toEqual([2, 3, 4, 5])
    lab.run(1_000)
    expect(lab.mesh(20)).toHaveLength(6)
  })

  it('is cut to its size when it is too large; those cut are left alone for a minute', () => {
    const lab = new Lab()
    lab.join()
    lab.run(200)
    lab.peers(0, 20)
    for (let n = 0; n < 12; n++) lab.rpc(n, { graft: ['news'] })
    expect(lab.mesh(20)).toHaveLength(12)
    // Full for those that come to us.
    lab.clear()
    lab.rpc(12, { graft: ['news'] })
    expect(lab.who(20, pruned)).toEqual([12])
    lab.run(1_000)
    const kept = lab.mesh(20)
    expect(kept).toHaveLength(6)
    const cut = lab.who(20, pruned)
    expect([...kept, ...cut].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])
    // All others leave: nobody of those cut is grafted before its time, with two heartbeats on top.
    for (const n of kept) lab.router.handle({ t: 'disconnect', peer: peerOf(n) }, lab.now)
    for (let n = 12; n < 20; n++) lab.router.handle({ t: 'disconnect', peer: peerOf(n) }, lab.now)
    lab.run(60_000)
    expect(lab.mesh(20)).toEqual([])
    lab.run(3_000)
    expect(lab.mesh(20)).toEqual(cut)
  })

  it('keeps the best by score when it is cut', () => {
    const lab = new Lab()
    lab.join()
    lab.peers(0, 12)
    const best = [1, 4, 7, 9]
    for (const n of best) lab.router.handle({ t: 'score', peer: peerOf(n), value: 10 }, 0)
    for (let n = 0; n < 12; n++) lab.rpc(n, { graft: ['news'] })
    lab.run(200)
    expect(lab.mesh(12)).toHaveLength(6)
    expect(lab.mesh(12)).toEqual(expect.arrayContaining(best))
  })

  it('keeps and seeks peers that we dialled', () => {
    const lab = new Lab()
    lab.join()
    lab.peers(0, 14)
    lab.peers(14, 16, { outbound: true })
    for (let n = 0; n < 12; n++) lab.rpc(n, { graft: ['news'] })
    // The mesh is full, but not for these.
    lab.rpc(14, { graft: ['news'] })
    lab.rpc(15, { graft: ['news'] })
    expect(lab.mesh(16)).toHaveLength(14)
    lab.run(200)
    expect(lab.mesh(16)).toHaveLength(6)
    expect(lab.mesh(16)).toEqual(expect.arrayContaining([14, 15]))

    const other = new Lab()
    other.join()
    other.peers(0, 6)
    other.run(200)
    other.peers(6, 8, { outbound: true })
    other.run(1_000)
    expect(other.mesh(8)).toEqual([0, 1, 2, 3, 4, 6, 7])
  })

  it('lets go of peers below zero, offering them nobody', () => {
    const lab = new Lab({ params: { peerExchange: true } })
    lab.peers(0, 5)
    lab.join()
    lab.router.handle({ t: 'score', peer: peerOf(3), value: -1 }, 0)
    lab.clear()
    lab.run(200)
    expect(lab.mesh(5)).toEqual([0, 1, 2, 4])
    expect(lab.sent(3).flatMap(({ control }) => control?.prune ?? [])).toEqual([{ topic: 'news', peers: [], backoff: 60 }])
    // And does not take it back, not even when it would be better off.
    lab.rpc(3, { graft: ['news'] })
    expect(lab.sent(3).some(pruned)).toBe(true)
  })

  it('is left with a PRUNE and a short back-off', () => {
    const lab = new Lab()
    lab.peers(0, 3)
    lab.join()
    lab.clear()
    lab.leave()
    const [rpc] = lab.sent(1)
    expect(rpc?.subscriptions).toEqual([{ subscribe: false, topic: 'news' }])
    expect(rpc?.control?.prune).toEqual([{ topic: 'news', peers: [], backoff: 10 }])
    lab.join()
    expect(lab.mesh(3)).toEqual([])
    lab.run(13_000)
    expect(lab.mesh(3)).toEqual([0, 1, 2])
  })

  it('loses who leaves the topic, or us, and tells of it', () => {
    const lab = new Lab()
    lab.peers(0, 3)
    lab.join()
    lab.clear()
    lab.rpc(0, { subscriptions: [{ subscribe: false, topic: 'news' }] })
    lab.router.handle({ t: 'disconnect', peer: peerOf(1) }, lab.now)
    lab.settle()
    expect(lab.mesh(3)).toEqual([2])
    expect(lab.router.peers('news')).toEqual([peerOf(2)])
    expect(lab.events).toEqual([
      { t: 'mesh', peer: peerOf(0), topic: 'news', member: false },
      { t: 'subscription', peer: peerOf(0), topic: 'news', subscribed: false },
      { t: 'mesh', peer: peerOf(1), topic: 'news', member: false },
      { t: 'subscription', peer: peerOf(1), topic: 'news', subscribed: false },
    ])
  })

  it('takes no floodsub peers, and tells 1.0 peers nothing but the topic', () => {
    const lab = new Lab()
    lab.peers(0, 1, { protocol: FLOODSUB })
    lab.peers(1, 2, { protocol: MESHSUB_10 })
    lab.join()
    lab.rpc(0, { graft: ['news'] })
    expect(lab.mesh(2)).toEqual([1])
    lab.clear()
    lab.leave()
    expect(lab.sent(1).flatMap(({ control }) => control?.prune ?? [])).toEqual([{ topic: 'news', peers: [], backoff: undefined }])
  })

  it('a GRAFT in the time of a back-off costs, twice where it comes at once', () => {
    const lab = new Lab({ score: { behaviourPenaltyThreshold: 0 } })
    lab.peers(0, 1)
    lab.join()
    lab.rpc(0, { prune: [{ topic: 'news', peers: [], backoff: 60 }] })
    expect(lab.mesh(1)).toEqual([])
    lab.rpc(0, { graft: ['news'] })
    expect(lab.mesh(1)).toEqual([])
    expect(lab.router.score(peerOf(0))).toBe(-40)
    lab.now += 30_000
    lab.rpc(0, { graft: ['news'] })
    // Its time began anew with the GRAFT before: half of it is over.
    expect(lab.router.score(peerOf(0))).toBe(-90)
  })

  it('heeds the time that a PRUNE asks for, within reason', () => {
    const lab = new Lab()
    lab.peers(0, 2)
    lab.join()
    lab.rpc(0, { prune: [{ topic: 'news', peers: [], backoff: 5 }] })
    lab.rpc(1, { prune: [{ topic: 'news', peers: [], backoff: 2 ** 50 }] })
    lab.run(8_000)
    expect(lab.mesh(2)).toEqual([0])
    lab.run(3_600_000)
    expect(lab.mesh(2)).toEqual([0, 1])
  })

  it('does not answer a GRAFT for what we are not in', () => {
    const lab = new Lab()
    lab.peers(0, 1)
    lab.rpc(0, { graft: ['other', 'news'] })
    expect(lab.sent(0)).toEqual([])
  })

  it('crossing GRAFTs meet', () => {
    const lab = new Lab()
    lab.peers(0, 1)
    lab.join()
    lab.clear()
    lab.rpc(0, { graft: ['news'] })
    expect([lab.mesh(1), lab.sent(0)]).toEqual([[0], []])
  })

  it('that is poor gets better peers, once a minute', () => {
    const lab = new Lab()
    lab.peers(0, 6)
    lab.join()
    lab.peers(6, 10)
    for (let n = 6; n < 10; n++) lab.router.handle({ t: 'score', peer: peerOf(n), value: 5 }, 0)
    lab.run(58_000)
    expect(lab.mesh(10)).toEqual([0, 1, 2, 3, 4, 5])
    lab.run(2_000)
    expect(lab.mesh(10)).toHaveLength(8)
  })

  it('of a peer that only introduces others is none (gossipsub-v1.1.md §Recommendations for Network Operators)', () => {
    const lab = new Lab({ params: { d: 0, dLow: 0, dHigh: 0, dOut: 0, dScore: 0, peerExchange: true } })
    lab.join()
    lab.peers(0, 5)
    lab.clear()
    lab.rpc(0, { graft: ['news'] })
    expect(lab.mesh(5)).toEqual([])
    expect(lab.sent(0).flatMap(({ control }) => control?.prune ?? [])[0]?.peers).toHaveLength(4)
  })
})

describe('peer exchange', () => {
  it('offers others of good standing, with their records', () => {
    const lab = new Lab({ params: { peerExchange: true } })
    lab.peers(0, 13)
    lab.router.handle({ t: 'record', peer: peerOf(1), record: Uint8Array.of(1, 2, 3) }, 0)
    lab.router.handle({ t: 'score', peer: peerOf(2), value: -1 }, 0)
    lab.join()
    for (let n = 1; n < 13; n++) if (n !== 2) lab.rpc(n, { graft: ['news'] })
    lab.rpc(0, { graft: ['news'] })
    lab.clear()
    lab.run(200)
    const offers = Array.from({ length: 13 }, (_, n) => lab.sent(n))
      .flat()
      .flatMap(({ control }) => control?.prune ?? [])
    expect(offers.length).toBe(6)
    for (const { peers } of offers) expect(peers.length).toBe(11)
    expect(offers.some(({ peers }) => peers.some(({ record }) => record?.length === 3))).toBe(true)
  })

  it('is heeded where the score allows it, and for peers that we do not have', () => {
    const lab = new Lab()
    lab.peers(0, 2)
    lab.join()
    const offer = (n: number) => ({ peer: Uint8Array.from(idBytes(n)), record: undefined })
    const peers = [offer(1), offer(5), { peer: Uint8Array.of(1, 2, 3), record: undefined }]
    lab.clear()
    lab.rpc(0, { prune: [{ topic: 'news', peers, backoff: 60 }] })
    expect(lab.events.filter(({ t }) => t === 'connect')).toEqual([])
    lab.router.handle({ t: 'score', peer: peerOf(0), value: 10 }, 0)
    lab.rpc(0, { prune: [{ topic: 'news', peers, backoff: 60 }] })
    expect(lab.events.filter(({ t }) => t === 'connect')).toEqual([{ t: 'connect', peer: peerOf(5), record: undefined }])
  })
})

describe('direct peers', () => {
  it('are dialled, first and again, are in no mesh, and get everything', () => {
    const lab = new Lab({ direct: [peerOf(0)], params: { floodPublish: false } })
    lab.join()
    lab.run(1_000)
    expect(lab.events).toEqual([{ t: 'connect', peer: peerOf(0), record: undefined }])
    lab.run(300_000)
    expect(lab.events).toHaveLength(2)
    lab.peers(0, 3)
    lab.run(1_000)
    expect(lab.mesh(3)).toEqual([1, 2])
    lab.clear()
    lab.rpc(0, { graft: ['news'] })
    expect(lab.sent(0).some(pruned)).toBe(true)
    lab.publish(1, {})
    expect(lab.who(3, ({ publish }) => publish.length > 0)).toEqual([0, 2])
    // Whatever is held against it.
    lab.router.handle({ t: 'score', peer: peerOf(0), value: -1_000 }, lab.now)
    lab.publish(0, { seqno: 2 })
    expect(lab.messages()).toHaveLength(2)
  })
})

const idBytes = (n: number): Uint8Array => {
  const raw = new Uint8Array(38)
  raw.set([0, 36, 8, 1, 18, 32])
  new DataView(raw.buffer).setUint32(6, n + 1)
  return raw
}
