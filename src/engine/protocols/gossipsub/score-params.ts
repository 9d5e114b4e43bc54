/**
 * The parameters of the score function with their defaults.
 * specs: pubsub/gossipsub/gossipsub-v1.1.md §Overview of New Parameters
 *
 * The specification has no defaults, go scores nobody unless told how, js only misbehaviour. Ours are meant for rooms of people
 * and pages: invalid messages and broken rules cost, bringing messages first pays, and what depends on the traffic of an application
 * (P₃) or punishes who shares an address (P₆: a class behind one router, everybody behind one relay) is off until it is configured.
 */

import { TabmeshError } from '../../../errors.ts'

export interface TopicScoreParams {
  readonly topicWeight: number
  /** P₁: milliseconds in the mesh that make one point. */
  readonly timeInMeshWeight: number
  readonly timeInMeshQuantum: number
  readonly timeInMeshCap: number
  /** P₂ */
  readonly firstMessageDeliveriesWeight: number
  readonly firstMessageDeliveriesDecay: number
  readonly firstMessageDeliveriesCap: number
  /** P₃: deliveries of a mesh peer, first or within `window` ms of it; counted after `activation` ms in the mesh. */
  readonly meshMessageDeliveriesWeight: number
  readonly meshMessageDeliveriesDecay: number
  readonly meshMessageDeliveriesThreshold: number
  readonly meshMessageDeliveriesCap: number
  readonly meshMessageDeliveriesActivation: number
  readonly meshMessageDeliveriesWindow: number
  /** P₃b */
  readonly meshFailurePenaltyWeight: number
  readonly meshFailurePenaltyDecay: number
  /** P₄ */
  readonly invalidMessageDeliveriesWeight: number
  readonly invalidMessageDeliveriesDecay: number
}

export interface ScoreParams {
  /** By topic; `defaultTopic` for the others, which are not scored where that is undefined. */
  readonly topics: Readonly<Record<string, TopicScoreParams>>
  readonly defaultTopic: TopicScoreParams | undefined
  /** What all topics together may contribute; 0 for any amount. */
  readonly topicScoreCap: number
  /** P₅ */
  readonly appSpecificWeight: number
  /** P₆: peers of one IP address, and those that do not count. */
  readonly ipColocationFactorWeight: number
  readonly ipColocationFactorThreshold: number
  readonly ipColocationFactorAllowed: readonly string[]
  /** P₇: only what is over the threshold counts (go). */
  readonly behaviourPenaltyWeight: number
  readonly behaviourPenaltyThreshold: number
  readonly behaviourPenaltyDecay: number
  /** Milliseconds. */
  readonly decayInterval: number
  readonly decayToZero: number
  /** Milliseconds that the score of a peer that is gone is kept. */
  readonly retainScore: number
  readonly thresholds: Thresholds
}

/** gossipsub-v1.1.md §Score Thresholds; the values are those of js and rust. */
export interface Thresholds {
  readonly gossip: number
  readonly publish: number
  readonly graylist: number
  readonly acceptPx: number
  readonly opportunisticGraft: number
}

/** The factor by which a counter of 1 is at zero after `ms`, in steps of a second (go: ScoreParameterDecay). */
export const decayOver = (ms: number, decayToZero = 0.01): number => decayToZero ** (1_000 / ms)

export const defaultTopicScoreParams: TopicScoreParams = {
  topicWeight: 1,
  // A point a minute, five at most: who has been there longer stays, where nothing else tells peers apart.
  timeInMeshWeight: 1,
  timeInMeshQuantum: 60_000,
  timeInMeshCap: 5,
  // Above the threshold of opportunistic grafting (20) for who brings a message first each second or so.
  firstMessageDeliveriesWeight: 1,
  firstMessageDeliveriesDecay: decayOver(120_000),
  firstMessageDeliveriesCap: 40,
  meshMessageDeliveriesWeight: 0,
  meshMessageDeliveriesDecay: 0.5,
  meshMessageDeliveriesThreshold: 0,
  meshMessageDeliveriesCap: 0,
  meshMessageDeliveriesActivation: 5_000,
  meshMessageDeliveriesWindow: 10,
  meshFailurePenaltyWeight: 0,
  meshFailurePenaltyDecay: 0.5,
  // Four invalid messages outweigh all that can be earned, and two more are the graylist.
  invalidMessageDeliveriesWeight: -4,
  invalidMessageDeliveriesDecay: decayOver(600_000),
}

export const defaultScoreParams: ScoreParams = {
  topics: {},
  defaultTopic: defaultTopicScoreParams,
  topicScoreCap: 0,
  appSpecificWeight: 1,
  ipColocationFactorWeight: 0,
  ipColocationFactorThreshold: 10,
  ipColocationFactorAllowed: [],
  // Slow links break a promise now and then, and grafts cross: six are forgiven (as Ethereum's clients do).
  behaviourPenaltyWeight: -10,
  behaviourPenaltyThreshold: 6,
  behaviourPenaltyDecay: decayOver(600_000),
  decayInterval: 1_000,
  decayToZero: 0.01,
  retainScore: 3_600_000,
  thresholds: { gossip: -10, publish: -50, graylist: -80, acceptPx: 10, opportunisticGraft: 20 },
}

/** Throws ERR_INVALID_ARGUMENT where a sign or a bound is not the specification's. */
export const checkScoreParams = (params: ScoreParams): ScoreParams => {
  const wrong = (what: string): never => {
    throw new TabmeshError('ERR_INVALID_ARGUMENT', `score parameters with ${what}`)
  }
  const atMostZero = (name: string, value: number): void => {
    if (!(value <= 0)) wrong(`${name} of ${value}, which must not be positive`)
  }
  const atLeastZero = (name: string, value: number): void => {
    if (!(value >= 0)) wrong(`${name} of ${value}, which must not be negative`)
  }
  const factor = (name: string, value: number): void => {
    if (!(value > 0 && value < 1)) wrong(`${name} of ${value}, which must be between 0 and 1`)
  }
  atLeastZero('topicScoreCap', params.topicScoreCap)
  atLeastZero('appSpecificWeight', params.appSpecificWeight)
  atMostZero('ipColocationFactorWeight', params.ipColocationFactorWeight)
  if (params.ipColocationFactorThreshold < 1) wrong('ipColocationFactorThreshold below 1')
  atMostZero('behaviourPenaltyWeight', params.behaviourPenaltyWeight)
  atLeastZero('behaviourPenaltyThreshold', params.behaviourPenaltyThreshold)
  factor('behaviourPenaltyDecay', params.behaviourPenaltyDecay)
  factor('decayToZero', params.decayToZero)
  if (!(params.decayInterval >= 1_000)) wrong('decayInterval below a second')
  const { gossip, publish, graylist, acceptPx, opportunisticGraft } = params.thresholds
  if (!(gossip <= 0 && publish <= gossip && graylist <= publish)) wrong('thresholds that do not fall from gossip to publish to graylist')
  atLeastZero('acceptPx', acceptPx)
  atLeastZero('opportunisticGraft', opportunisticGraft)
  const topics = [...Object.values(params.topics), ...(params.defaultTopic === undefined ? [] : [params.defaultTopic])]
  for (const topic of topics) {
    atLeastZero('topicWeight', topic.topicWeight)
    atLeastZero('timeInMeshWeight', topic.timeInMeshWeight)
    if (!(topic.timeInMeshQuantum > 0)) wrong('timeInMeshQuantum of none')
    atLeastZero('firstMessageDeliveriesWeight', topic.firstMessageDeliveriesWeight)
    factor('firstMessageDeliveriesDecay', topic.firstMessageDeliveriesDecay)
    atMostZero('meshMessageDeliveriesWeight', topic.meshMessageDeliveriesWeight)
    factor('meshMessageDeliveriesDecay', topic.meshMessageDeliveriesDecay)
    if (topic.meshMessageDeliveriesCap < topic.meshMessageDeliveriesThreshold) wrong('meshMessageDeliveriesCap below its threshold')
    atMostZero('meshFailurePenaltyWeight', topic.meshFailurePenaltyWeight)
    factor('meshFailurePenaltyDecay', topic.meshFailurePenaltyDecay)
    atMostZero('invalidMessageDeliveriesWeight', topic.invalidMessageDeliveriesWeight)
    factor('invalidMessageDeliveriesDecay', topic.invalidMessageDeliveriesDecay)
  }
  return params
}
