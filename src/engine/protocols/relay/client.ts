/**
 * What a client says to a relay, and answers it, as conversations (specs: relay/circuit-v2.md).
 *
 *   reserve       RESERVE ▶ ◀ STATUS OK, reservation, limit
 *   connect       CONNECT to B ▶ ◀ STATUS OK, limit; from then on the stream is the circuit
 *   answerStop    ◀ CONNECT from A, limit; STATUS OK ▶; from then on the stream is the circuit
 *
 * A refusal is an error of its own code that says the relay's status.
 */

import type { ErrorCode } from '../../../errors.ts'
import { remoteFault, TabmeshError } from '../../../errors.ts'
import type { Multiaddr } from '../../codec/multiaddr.ts'
import { decodeMultiaddrs } from '../../codec/multiaddr.ts'
import type { PeerId } from '../../codec/peer-id.ts'
import { peerIdFromBytes, peerIdToBytes } from '../../codec/peer-id.ts'
import type { Limit } from '../../net/service.ts'
import type { Conversation } from '../../wire/conversation.ts'
import { write } from '../../wire/conversation.ts'
import {
  HopMessage,
  HopType,
  nameStatus,
  readLimit,
  readMessage,
  readRequest,
  Status,
  StopMessage,
  StopType,
  stopStatus,
} from './messages.ts'
import { checkVoucher } from './voucher.ts'

/** The latest time a `Date` can hold, for relays that promise eternity. */
const LAST_DATE = 8.64e15

export interface Reservation {
  /** Unix milliseconds. */
  readonly expires: number
  /** What the relay says it can be reached at, undecodable ones left out; not to be trusted further than that. */
  readonly addresses: readonly Multiaddr[]
  /** What holds for circuits to us. */
  readonly limit: Limit | undefined
  /** The relay's signed promise, verified; a few relays give none. */
  readonly voucher: Uint8Array | undefined
}

/** Asks `relay` for a slot, or for the one we have to last longer. `date` tells Unix milliseconds, when the answer is there. */
export function* reserve(self: PeerId, relay: PeerId, date: () => number): Conversation<Reservation> {
  yield* write(HopMessage.frame({ type: HopType.RESERVE }))
  const answer = yield* readStatus('the reservation', reserveRefusals)
  const { reservation } = answer
  if (reservation?.expire === undefined) throw remoteFault('ERR_PROTOCOL', 'the relay grants a reservation without saying until when')
  const expires = Math.min(Number(reservation.expire) * 1000, LAST_DATE)
  const ago = date() - expires
  if (ago >= 0) throw remoteFault('ERR_PROTOCOL', `by the clock of this device the reservation ended ${Math.ceil(ago / 1000)} s ago`)
  if (reservation.voucher !== undefined) yield* checkVoucher(reservation.voucher, relay, self)
  return {
    expires,
    addresses: decodeMultiaddrs(reservation.addrs),
    limit: readLimit(answer.limit),
    voucher: reservation.voucher,
  }
}

/** Asks for a circuit to `target`; undefined for an unlimited one. */
export function* connect(target: PeerId): Conversation<Limit | undefined> {
  yield* write(HopMessage.frame({ type: HopType.CONNECT, peer: { id: peerIdToBytes(target) } }))
  const answer = yield* readStatus('the circuit', connectRefusals)
  return readLimit(answer.limit)
}

/** go and js say RESERVATION_REFUSED only for want of a slot, rust RESOURCE_LIMIT_EXCEEDED. */
const reserveRefusals: Readonly<Record<number, ErrorCode>> = {
  [Status.RESERVATION_REFUSED]: 'ERR_RELAY_FULL',
  [Status.RESOURCE_LIMIT_EXCEEDED]: 'ERR_RELAY_FULL',
  [Status.PERMISSION_DENIED]: 'ERR_RELAY_REFUSED',
  [Status.CONNECTION_FAILED]: 'ERR_RELAY_REFUSED',
  [Status.NO_RESERVATION]: 'ERR_RELAY_REFUSED',
}

const connectRefusals: Readonly<Record<number, ErrorCode>> = {
  [Status.RESERVATION_REFUSED]: 'ERR_RELAY_REFUSED',
  [Status.RESOURCE_LIMIT_EXCEEDED]: 'ERR_RELAY_FULL',
  [Status.PERMISSION_DENIED]: 'ERR_RELAY_REFUSED',
  [Status.CONNECTION_FAILED]: 'ERR_DIAL_FAILED',
  [Status.NO_RESERVATION]: 'ERR_RELAY_NO_RESERVATION',
}

function* readStatus(what: string, refusals: Readonly<Record<number, ErrorCode>>): Conversation<HopMessage> {
  const answer = yield* readMessage(HopMessage)
  if (answer.type !== HopType.STATUS) throw remoteFault('ERR_PROTOCOL', `the relay answers with a message of type ${answer.type}`)
  if (answer.status === Status.OK) return answer
  const refusal = answer.status === undefined ? undefined : refusals[answer.status]
  // 400 and 401 find fault with what we said, and any other number is not in the specification.
  if (refusal === undefined) throw remoteFault('ERR_PROTOCOL', `the relay answers ${nameStatus(answer.status)}`)
  throw new TabmeshError(refusal, `the relay refuses ${what} with ${nameStatus(answer.status)}`)
}

/** What came of a relay's wish to hand us a circuit. */
export type StopOutcome =
  | { readonly t: 'circuit'; readonly source: PeerId; readonly limit: Limit | undefined }
  | { readonly t: 'refused'; readonly status: Status }

/** Answers a relay; `allowed` says whether it is one that we hold a reservation with. A refusal leaves the stream to be finished. */
export function* answerStop(self: PeerId, allowed: boolean): Conversation<StopOutcome> {
  const request = yield* readRequest(StopMessage)
  const outcome = judgeStop(request, self, allowed)
  yield* write(stopStatus(outcome.t === 'circuit' ? Status.OK : outcome.status))
  return outcome
}

const judgeStop = (request: StopMessage | undefined, self: PeerId, allowed: boolean): StopOutcome => {
  if (request?.type === undefined) return { t: 'refused', status: Status.MALFORMED_MESSAGE }
  if (request.type !== StopType.CONNECT) return { t: 'refused', status: Status.UNEXPECTED_MESSAGE }
  const source = namedPeer(request)
  if (source === undefined || source === self) return { t: 'refused', status: Status.MALFORMED_MESSAGE }
  return allowed ? { t: 'circuit', source, limit: readLimit(request.limit) } : { t: 'refused', status: Status.PERMISSION_DENIED }
}

/** The peer that a CONNECT names; undefined where it names none or what is no peer id. */
export const namedPeer = ({ peer }: HopMessage | StopMessage): PeerId | undefined => {
  if (peer?.id === undefined) return undefined
  try {
    return peerIdFromBytes(peer.id)
  } catch {
    return undefined
  }
}
