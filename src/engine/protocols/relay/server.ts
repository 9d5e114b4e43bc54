/**
 * What a relay answers its clients, and says to the target of a circuit, as conversations (specs: relay/circuit-v2.md).
 *
 *   readHopRequest   ◀ RESERVE, CONNECT, or what must be refused
 *   grant            STATUS OK, reservation with a signed voucher, limit ▶
 *   requestStop      CONNECT from A, limit ▶ ◀ STATUS OK; from then on the stream is the circuit
 */

import { TabmeshError } from '../../../errors.ts'
import type { Multiaddr } from '../../codec/multiaddr.ts'
import type { PeerId } from '../../codec/peer-id.ts'
import { peerIdToBytes } from '../../codec/peer-id.ts'
import type { Limit } from '../../net/service.ts'
import type { Conversation } from '../../wire/conversation.ts'
import { write } from '../../wire/conversation.ts'
import { namedPeer } from './client.ts'
import { HopMessage, HopType, nameStatus, readMessage, readRequest, Status, StopMessage, StopType, writeLimit } from './messages.ts'

export type HopRequest =
  | { readonly t: 'reserve' }
  | { readonly t: 'connect'; readonly target: PeerId }
  | { readonly t: 'refuse'; readonly status: Status }

export function* readHopRequest(): Conversation<HopRequest> {
  const request = yield* readRequest(HopMessage)
  switch (request?.type) {
    case HopType.RESERVE:
      return { t: 'reserve' }
    case HopType.CONNECT: {
      const target = namedPeer(request)
      return target === undefined ? { t: 'refuse', status: Status.MALFORMED_MESSAGE } : { t: 'connect', target }
    }
    case undefined:
      return { t: 'refuse', status: Status.MALFORMED_MESSAGE }
    default:
      return { t: 'refuse', status: Status.UNEXPECTED_MESSAGE }
  }
}

/** The frame that grants a reservation. `expire` is Unix seconds; `addresses` end in the relay's /p2p. */
export const granted = (expire: bigint, addresses: readonly Multiaddr[], voucher: Uint8Array, limit: Limit | undefined): Uint8Array =>
  HopMessage.frame({
    type: HopType.STATUS,
    reservation: { expire, addrs: addresses.map((address) => address.bytes), voucher },
    limit: writeLimit(limit),
    status: Status.OK,
  })

/** The frame that tells the dialer that its circuit stands. */
export const joined = (limit: Limit | undefined): Uint8Array =>
  HopMessage.frame({ type: HopType.STATUS, limit: writeLimit(limit), status: Status.OK })

/** Asks a target to take a circuit from `source`. Throws ERR_RELAY_REFUSED where it does not want to. */
export function* requestStop(source: PeerId, limit: Limit | undefined): Conversation<void> {
  yield* write(StopMessage.frame({ type: StopType.CONNECT, peer: { id: peerIdToBytes(source) }, limit: writeLimit(limit) }))
  const answer = yield* readMessage(StopMessage)
  if (answer.type === StopType.STATUS && answer.status === Status.OK) return
  throw new TabmeshError('ERR_RELAY_REFUSED', `the target answers type ${answer.type} with ${nameStatus(answer.status)}`)
}
