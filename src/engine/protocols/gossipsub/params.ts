/**
 * The parameters of gossipsub with their defaults: those of go-libp2p-pubsub where the three implementations differ, but for flood
 * publishing, which the specification, js and rust have on.
 *
 * specs: pubsub/gossipsub/gossipsub-v1.0.md §Parameters, gossipsub-v1.1.md §Overview of New Parameters, gossipsub-v1.2.md §Parameters
 */

import { TabmeshError } from '../../../errors.ts'

export interface Params {
  /** Peers wanted in a mesh; fewer than `dLow` are topped up to it, more than `dHigh` cut down to it. */
  readonly d: number
  readonly dLow: number
  readonly dHigh: number
  /** Of those kept in a cut, how many by their score. */
  readonly dScore: number
  /** Peers of a mesh that we dialled, at least. */
  readonly dOut: number
  /** Peers that are told what there is, at least. */
  readonly dLazy: number
  /** The part of all peers that is told what there is. */
  readonly gossipFactor: number
  /** Heartbeats that a message is kept, and those in which it is gossiped about. */
  readonly historyLength: number
  readonly historyGossip: number
  /** Times that one peer may ask for the same message. */
  readonly retransmissions: number
  /** Milliseconds between heartbeats, and to the first one. */
  readonly heartbeat: number
  readonly heartbeatDelay: number
  /** Milliseconds that a topic we only publish to is remembered. */
  readonly fanoutTtl: number
  /** Whether what we publish goes to all peers of the topic and not to its mesh only. */
  readonly floodPublish: boolean
  /** Whether a PRUNE offers other peers, and how many. For peers that others come to first. */
  readonly peerExchange: boolean
  readonly prunePeers: number
  /** Milliseconds after a PRUNE, and after we left, in which neither side grafts the other. */
  readonly pruneBackoff: number
  readonly unsubscribeBackoff: number
  /** A GRAFT so soon after the PRUNE counts twice, in milliseconds. */
  readonly graftFlood: number
  /** Direct peers that are gone are dialled again each so many heartbeats, first after `directDelay` ms. */
  readonly directTicks: number
  readonly directDelay: number
  readonly opportunisticTicks: number
  readonly opportunisticPeers: number
  /** Ids that one peer may tell us, and the RPCs it may tell them in, between two heartbeats. */
  readonly maxIHaveLength: number
  readonly maxIHaveMessages: number
  /** Milliseconds in which a message that was offered has to come. */
  readonly iWantFollowUp: number
  /** IDONTWANT is for messages of so many bytes; remembered for `iDontWantTtl` heartbeats. */
  readonly iDontWantThreshold: number
  readonly iDontWantTtl: number
  readonly maxIDontWantLength: number
  readonly maxIDontWantMessages: number
  /** Milliseconds that a message's id is remembered. */
  readonly seenTtl: number
}

export const defaultParams: Params = {
  d: 6,
  dLow: 5,
  dHigh: 12,
  dScore: 4,
  dOut: 2,
  dLazy: 6,
  gossipFactor: 0.25,
  historyLength: 5,
  historyGossip: 3,
  retransmissions: 3,
  heartbeat: 1_000,
  heartbeatDelay: 100,
  fanoutTtl: 60_000,
  floodPublish: true,
  peerExchange: false,
  prunePeers: 16,
  pruneBackoff: 60_000,
  unsubscribeBackoff: 10_000,
  graftFlood: 10_000,
  directTicks: 300,
  directDelay: 1_000,
  opportunisticTicks: 60,
  opportunisticPeers: 2,
  maxIHaveLength: 5_000,
  maxIHaveMessages: 10,
  iWantFollowUp: 3_000,
  iDontWantThreshold: 1_024,
  iDontWantTtl: 3,
  maxIDontWantLength: 10,
  maxIDontWantMessages: 1_000,
  seenTtl: 120_000,
}

/** Throws ERR_INVALID_ARGUMENT. A mesh of none (d, dLow, dHigh and dOut 0) is that of a peer which only introduces others. */
export const checkParams = (params: Params): Params => {
  const wrong = (what: string): never => {
    throw new TabmeshError('ERR_INVALID_ARGUMENT', `gossipsub parameters with ${what}`)
  }
  for (const [name, value] of Object.entries(params)) {
    if (typeof value === 'number' && !(value >= 0)) wrong(`${name} of ${value}`)
  }
  const { d, dLow, dHigh, dScore, dOut, historyGossip, historyLength, heartbeat, opportunisticTicks, directTicks } = params
  if (historyGossip > historyLength) wrong('historyGossip over historyLength')
  if (historyLength < 1 || heartbeat < 1 || opportunisticTicks < 1 || directTicks < 1) wrong('an interval of none')
  if (d === 0 && dLow === 0 && dHigh === 0 && dOut === 0) return params
  if (dLow > d || d > dHigh) wrong('d not between dLow and dHigh')
  if (dScore > dHigh) wrong('dScore over dHigh')
  // gossipsub-v1.1.md §Outbound Mesh Quotas
  if (dOut >= dLow || dOut > d / 2) wrong('dOut not below dLow, or over half of d')
  return params
}
