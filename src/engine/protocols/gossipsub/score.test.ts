import { describe, expect, it } from 'vitest'
import { GOSSIP_MAX_RETAINED } from '../../limits.ts'
import { Lab, peerOf } from '../../testing/gossip/lab.ts'
import { codeOf } from '../../testing/property.ts'
import { checkParams, defaultParams } from './params.ts'
import {
  checkScoreParams,
  decayOver,
  defaultScoreParams,
  defaultTopicScoreParams,
  type ScoreParams,
  type TopicScoreParams,
} from './score-params.ts'

const nothing: TopicScoreParams = {
  ...defaultTopicScoreParams,
  timeInMeshWeight: 0,
  firstMessageDeliveriesWeight: 0,
  invalidMessageDeliveriesWeight: 0,
}
const withTopic = (topic: Partial<TopicScoreParams>, more: Partial<ScoreParams> = {}) => ({
  score: { defaultTopic: { ...nothing, ...topic }, ...more },
})
const meshOf = (peers: number, options = {}): Lab => {
  const lab = new Lab(options)
  lab.peers(0, peers)
  lab.join()
  return lab
}
const scores = (lab: Lab, count: number): (number | undefined)[] => Array.from({ length: count }, (_, n) => lab.router.score(peerOf(n)))

describe('the score', () => {
  it('P₁: time in the mesh, in quanta, up to its cap', () => {
    const lab = meshOf(1, withTopic({ timeInMeshWeight: 2, timeInMeshQuantum: 1_000, timeInMeshCap: 10 }))
    lab.peers(1, 2)
    lab.run(5_200)
    expect(scores(lab, 2)[0]).toBe(10)
    lab.run(60_000)
    expect(scores(lab, 2)[0]).toBe(20)
  })

  it('P₂: first deliveries, up to its cap, less by and by', () => {
    const lab = meshOf(2, withTopic({ firstMessageDeliveriesWeight: 1, firstMessageDeliveriesCap: 3, firstMessageDeliveriesDecay: 0.5 }))
    lab.publish(0, { seqno: 1 }, { seqno: 2 })
    lab.publish(1, { seqno: 1 }, { seqno: 3 })
    expect(scores(lab, 2)).toEqual([2, 1])
    lab.publish(0, { seqno: 4 }, { seqno: 5 }, { seqno: 6 })
    expect(scores(lab, 2)).toEqual([3, 1])
    lab.run(100)
    expect(scores(lab, 2)).toEqual([1.5, 0.5])
    lab.run(10_000)
    expect(scores(lab, 2)).toEqual([0, 0])
  })

  it('P₃: what a mesh peer owes, squared, after its activation; P₃b: is remembered when it goes', () => {
    const lab = meshOf(
      3,
      withTopic({
        meshMessageDeliveriesWeight: -1,
        meshMessageDeliveriesThreshold: 4,
        meshMessageDeliveriesCap: 10,
        meshMessageDeliveriesDecay: 0.999,
        meshMessageDeliveriesActivation: 2_000,
        meshMessageDeliveriesWindow: 50,
        meshFailurePenaltyWeight: -1,
        meshFailurePenaltyDecay: 0.999,
      }),
    )
    lab.run(1_500)
    for (let seqno = 1; seqno <= 5; seqno++) {
      lab.publish(0, { seqno })
      // Within the window, and twice: counts once. Later than that: does not count.
      if (seqno <= 2) for (let time = 0; time < 2; time++) lab.publish(1, { seqno })
      lab.now += 51
      lab.publish(2, { seqno })
    }
    expect(scores(lab, 3)).toEqual([0, 0, 0])
    lab.run(700)
    expect(lab.mesh(3)).toEqual([0])
    const [first, second, third] = scores(lab, 3)
    expect(first).toBe(0)
    expect(second).toBeCloseTo(-4, 1)
    expect(third).toBeCloseTo(-16, 1)
  })

  it('P₃ counts copies that come while the message is validated', () => {
    const lab = meshOf(
      2,
      withTopic({
        meshMessageDeliveriesWeight: -1,
        meshMessageDeliveriesThreshold: 1,
        meshMessageDeliveriesCap: 10,
        meshMessageDeliveriesDecay: 0.999,
        meshMessageDeliveriesActivation: 1_000,
        meshMessageDeliveriesWindow: 0,
      }),
    )
    lab.router.handle({ t: 'validated', topic: 'news', on: true }, 0)
    for (let seqno = 1; seqno <= 3; seqno++) {
      const [message] = lab.publish(0, { seqno })
      lab.now += 500
      lab.publish(1, { seqno })
      lab.router.handle({ t: 'verdict', id: message?.id ?? '', verdict: 'accept' }, lab.now)
    }
    lab.run(1_000)
    expect(lab.mesh(2)).toEqual([0, 1])
  })

  it('P₄: invalid messages, squared', () => {
    const lab = meshOf(1, withTopic({ invalidMessageDeliveriesWeight: -1, topicWeight: 2 }))
    for (let seqno = 1; seqno <= 3; seqno++) lab.publish(0, { seqno, wrong: true })
    expect(scores(lab, 1)).toEqual([-18])
  })

  it('P₅: what the application says, also before the peer is there', () => {
    const lab = new Lab({ score: { appSpecificWeight: 2 } })
    lab.router.handle({ t: 'score', peer: peerOf(0), value: 3 }, 0)
    lab.peers(0, 1)
    expect(scores(lab, 1)).toEqual([6])
    lab.router.handle({ t: 'score', peer: peerOf(0), value: -1 }, 0)
    expect(scores(lab, 1)).toEqual([-2])
  })

  it('P₆: peers of one address beyond the threshold, squared', () => {
    const lab = new Lab({
      score: { ipColocationFactorWeight: -1, ipColocationFactorThreshold: 2, ipColocationFactorAllowed: ['10.0.0.1'] },
    })
    lab.peers(0, 4, { ips: ['192.0.2.1'] })
    lab.peers(4, 8, { ips: ['10.0.0.1'] })
    expect(scores(lab, 8)).toEqual([-4, -4, -4, -4, 0, 0, 0, 0])
    lab.router.handle({ t: 'ips', peer: peerOf(0), ips: ['192.0.2.2'] }, 0)
    lab.router.handle({ t: 'disconnect', peer: peerOf(1) }, 0)
    expect(scores(lab, 4)).toEqual([0, undefined, 0, 0])
  })

  it('P₇: only what is over its threshold', () => {
    const lab = meshOf(1, { score: { behaviourPenaltyThreshold: 3 } })
    lab.rpc(0, { prune: [{ topic: 'news', peers: [], backoff: 60 }] })
    lab.rpc(0, { graft: ['news'] })
    expect(scores(lab, 1)).toEqual([0])
    lab.rpc(0, { graft: ['news'] })
    expect(scores(lab, 1)).toEqual([-10])
  })

  it('of all topics together has a cap, and topics that are not scored do not count', () => {
    const lab = new Lab({ score: { topicScoreCap: 2, topics: { quiet: nothing } } })
    lab.peers(0, 1, { topics: ['news', 'quiet'] })
    lab.join()
    lab.join('quiet')
    lab.publish(0, ...Array.from({ length: 5 }, (_, seqno) => ({ seqno })), { topic: 'quiet', seqno: 9, wrong: true })
    expect(scores(lab, 1)).toEqual([2])
  })
})

describe('who goes and comes again', () => {
  it('has its bad score still, and not its good one', () => {
    const lab = meshOf(3)
    lab.publish(0, {})
    lab.publish(1, { seqno: 2, wrong: true })
    for (const n of [0, 1, 2]) lab.router.handle({ t: 'disconnect', peer: peerOf(n) }, lab.now)
    expect(lab.router.sizes.retained).toBe(1)
    lab.run(60_000)
    lab.peers(0, 3)
    expect(scores(lab, 3)).toEqual([0, -4, 0])
  })

  it('is forgotten after an hour', () => {
    const lab = meshOf(1)
    lab.publish(0, { wrong: true })
    lab.router.handle({ t: 'disconnect', peer: peerOf(0) }, lab.now)
    lab.run(3_601_000)
    expect(lab.router.sizes.retained).toBe(0)
    lab.peers(0, 1)
    expect(scores(lab, 1)).toEqual([0])
  })

  it('is remembered among a limited number, and leaves nothing else behind', () => {
    const lab = new Lab()
    lab.join()
    for (let n = 0; n < GOSSIP_MAX_RETAINED + 50; n++) {
      lab.peers(n, n + 1, { topics: ['news', `topic of ${n}`] })
      lab.publish(n, { seqno: n, wrong: true })
      lab.router.handle({ t: 'disconnect', peer: peerOf(n) }, lab.now)
      lab.settle()
      lab.clear()
    }
    expect(lab.router.sizes).toMatchObject({ peers: 0, retained: GOSSIP_MAX_RETAINED, topics: 1, deliveries: 0 })
  })

  it('does not count for what is decided after it went', () => {
    const lab = meshOf(1)
    lab.router.handle({ t: 'validated', topic: 'news', on: true }, 0)
    const [message] = lab.publish(0, {})
    lab.router.handle({ t: 'disconnect', peer: peerOf(0) }, 0)
    lab.router.handle({ t: 'verdict', id: message?.id ?? '', verdict: 'reject' }, 0)
    lab.router.handle({ t: 'validated', topic: 'news', on: false }, 0)
    lab.leave()
    lab.run(60_000)
    expect(lab.router.sizes).toMatchObject({ topics: 0, retained: 0 })
  })
})

describe('a peer below the graylist', () => {
  it('is not listened to, but for where it is', () => {
    const lab = meshOf(2)
    lab.router.handle({ t: 'score', peer: peerOf(0), value: -81 }, 0)
    lab.clear()
    lab.publish(0, {})
    lab.rpc(0, { graft: ['news'], ihave: [{ topic: 'news', ids: ['x'] }], subscriptions: [{ subscribe: true, topic: 'other' }] })
    expect([lab.messages(), lab.sent(0)]).toEqual([[], []])
    expect(lab.router.peers('other')).toEqual([peerOf(0)])
  })
})

describe('parameters', () => {
  it('that contradict the specification are refused', () => {
    for (const wrong of [{ dLow: 7 }, { dOut: 4 }, { historyGossip: 6 }, { d: -1 }, { heartbeat: 0 }, { d: Number.NaN }]) {
      expect(
        codeOf(() => checkParams({ ...defaultParams, ...wrong })),
        JSON.stringify(wrong),
      ).toBe('ERR_INVALID_ARGUMENT')
    }
    for (const wrong of [
      { behaviourPenaltyWeight: 1 },
      { decayToZero: 0 },
      { decayInterval: 10 },
      { ipColocationFactorThreshold: 0 },
      { thresholds: { ...defaultScoreParams.thresholds, publish: 0 } },
      { defaultTopic: { ...defaultTopicScoreParams, firstMessageDeliveriesDecay: 1 } },
      { topics: { a: { ...defaultTopicScoreParams, invalidMessageDeliveriesWeight: 1 } } },
    ]) {
      expect(
        codeOf(() => checkScoreParams({ ...defaultScoreParams, ...wrong })),
        JSON.stringify(wrong),
      ).toBe('ERR_INVALID_ARGUMENT')
    }
    expect(checkScoreParams(defaultScoreParams)).toBe(defaultScoreParams)
  })

  it('of decay say how long it takes', () => {
    expect(decayOver(10_000) ** 10).toBeCloseTo(0.01)
  })
})
