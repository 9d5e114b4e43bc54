/**
 * What a node is made of, and its limits: the host's choice, or ours.
 */

import { TabmeshError } from '../../errors.ts'
import type { Host } from '../host.ts'
import {
  CONNECTIONS_IP_SHARE,
  CONNECTIONS_MAX,
  CONNECTIONS_MAX_PENDING_INBOUND,
  CONNECTIONS_MAX_PER_PEER,
  DIAL_TIMEOUT,
} from '../limits.ts'
import type { BackOff } from './back-off.ts'
import type { LookUpTxt } from './dnsaddr.ts'
import type { Gater } from './gater.ts'
import type { NetEvent, Service, Transport } from './service.ts'
import type { MuxerKind, Security, Shield } from './upgrade.ts'

export interface NodeOptions {
  readonly host: Host
  readonly services: readonly Service[]
  readonly transports: readonly Transport[]
  readonly limits?: Partial<NodeLimits>
  /** What a listener answers beside Noise: TLS in Node. */
  readonly securities?: readonly Security[]
  /** What is proposed for byte pipes, the best first; Noise alone if absent, which saves a round trip. */
  readonly propose?: readonly string[]
  /** The best first; yamux alone if absent. */
  readonly muxers?: readonly MuxerKind[]
  /** The cipher of a private network: goes around every byte pipe. */
  readonly shield?: Shield
  /** Whether we are on a private network, or this machine is all there is: else what others advertise in theirs is left alone. Yes, if absent. */
  readonly near?: boolean
  /** Which addresses failed lately; one of its own if absent. */
  readonly backOff?: BackOff
  /** DNS, for /dnsaddr; without it such addresses fail. */
  readonly lookUpTxt?: LookUpTxt | undefined
  /** Everything is allowed if absent. */
  readonly gater?: Gater | undefined
  /** Hears everything that happens; throws are the listener's own. */
  onEvent?(event: NetEvent): void
}

export interface NodeLimits {
  /** Connections, all together. */
  readonly max: number
  readonly maxPerPeer: number
  /** Inbound connections from one public address (of IPv6 a /64); half of all by default. */
  readonly maxPerIp: number
  /** Inbound connections that have not finished their upgrade. */
  readonly maxIncomingPending: number
  /** Milliseconds for one dial. */
  readonly dialTimeout: number
  /** Bytes that one stream may have in our memory unread: what a relay joins many of should be small. */
  readonly maxWindow: number | undefined
}

/** Throws ERR_INVALID_ARGUMENT for what is no number from 1. */
export const nodeLimits = (limits: Partial<NodeLimits> = {}): NodeLimits => {
  const max = atLeastOne('max', limits.max, CONNECTIONS_MAX)
  return {
    max,
    maxPerPeer: atLeastOne('maxPerPeer', limits.maxPerPeer, CONNECTIONS_MAX_PER_PEER),
    maxPerIp: atLeastOne('maxPerIp', limits.maxPerIp, Math.ceil(max * CONNECTIONS_IP_SHARE)),
    maxIncomingPending: atLeastOne('maxIncomingPending', limits.maxIncomingPending, CONNECTIONS_MAX_PENDING_INBOUND),
    dialTimeout: atLeastOne('dialTimeout', limits.dialTimeout, DIAL_TIMEOUT),
    maxWindow: limits.maxWindow,
  }
}

const atLeastOne = (name: string, value: number | undefined, otherwise: number): number => {
  if (value === undefined) return otherwise
  if (!(value >= 1)) throw new TabmeshError('ERR_INVALID_ARGUMENT', `connections.${name} is ${value}, not a number from 1`)
  return value
}
