/**
 * Messages of circuit relay v2 (https://github.com/libp2p/specs/blob/master/relay/circuit-v2.md §Protobuf).
 *
 *   HopMessage    client ⇄ relay   RESERVE, CONNECT ▶ ◀ STATUS
 *   StopMessage   relay ⇄ target   CONNECT ▶ ◀ STATUS
 *
 * Enum fields are written even where they are 0: go reads them as `required`. Bounds: a frame is at most RELAY_MAX_FRAME
 * bytes, and so are the lists in it.
 */

import { TabmeshError } from '../../../errors.ts'
import type { Of } from '../../codec/protobuf.ts'
import { bytes, message, nested, repeated, uint, uint64 } from '../../codec/protobuf.ts'
import { RELAY_MAX_FRAME } from '../../limits.ts'
import type { Limit } from '../../net/service.ts'
import type { Conversation } from '../../wire/conversation.ts'
import { readFrame } from '../../wire/frame.ts'

export const HOP = '/libp2p/circuit/relay/0.2.0/hop'
export const STOP = '/libp2p/circuit/relay/0.2.0/stop'

export const HopType = { RESERVE: 0, CONNECT: 1, STATUS: 2 } as const
export const StopType = { CONNECT: 0, STATUS: 1 } as const

export const Status = {
  OK: 100,
  RESERVATION_REFUSED: 200,
  RESOURCE_LIMIT_EXCEEDED: 201,
  PERMISSION_DENIED: 202,
  CONNECTION_FAILED: 203,
  NO_RESERVATION: 204,
  MALFORMED_MESSAGE: 400,
  UNEXPECTED_MESSAGE: 401,
} as const
export type Status = (typeof Status)[keyof typeof Status]

/** `201 RESOURCE_LIMIT_EXCEEDED`, for messages and logs. */
export const nameStatus = (code: number | undefined): string => {
  const name = Object.entries(Status).find(([, value]) => value === code)?.[0]
  return code === undefined ? 'no status' : `${code} ${name ?? 'unknown to us'}`
}

/** The smallest entry of a list takes two bytes: a frame can't hold more. */
const MAX_LISTED = RELAY_MAX_FRAME / 2

const PeerMessage = message({ id: bytes(1), addrs: repeated(bytes(2), MAX_LISTED) })
const ReservationMessage = message({ expire: uint64(1), addrs: repeated(bytes(2), MAX_LISTED), voucher: bytes(3) })
const LimitMessage = message({ duration: uint(1), data: uint64(2) })

export const HopMessage = message({
  type: uint(1),
  peer: nested(2, PeerMessage),
  reservation: nested(3, ReservationMessage),
  limit: nested(4, LimitMessage),
  status: uint(5),
})
export type HopMessage = Of<typeof HopMessage>

export const StopMessage = message({ type: uint(1), peer: nested(2, PeerMessage), limit: nested(3, LimitMessage), status: uint(4) })
export type StopMessage = Of<typeof StopMessage>

/** What reading needs of `HopMessage` and `StopMessage`. */
interface Decoder<M> {
  decode(bytes: Uint8Array): M
}

/** Throws ERR_FRAME_TOO_LARGE, ERR_DECODE, ERR_STREAM_CLOSED. */
export function* readMessage<M>(decoder: Decoder<M>): Conversation<M> {
  return decoder.decode(yield* readFrame(RELAY_MAX_FRAME))
}

/** As `readMessage`; undefined for what is no message, which the remote shall be told before the stream ends. */
export function* readRequest<M>(decoder: Decoder<M>): Conversation<M | undefined> {
  try {
    return yield* readMessage(decoder)
  } catch (error) {
    if (error instanceof TabmeshError && (error.code === 'ERR_DECODE' || error.code === 'ERR_FRAME_TOO_LARGE')) return undefined
    throw error
  }
}

/** js writes milliseconds where the specification says seconds: no relay allows a circuit a day, but many allow two minutes. */
const SUSPECT_DURATION = 86_400

/** §Reservation: 0 means no limit, in either field; neither set means an unlimited circuit. */
export const readLimit = (wire: Of<typeof LimitMessage> | undefined): Limit | undefined => {
  const { duration = 0, data = 0n } = wire ?? {}
  if (duration === 0 && data === 0n) return undefined
  return {
    ...(duration === 0 ? {} : { duration: duration >= SUSPECT_DURATION ? duration : duration * 1000 }),
    ...(data === 0n ? {} : { data: data > Number.MAX_SAFE_INTEGER ? Number.MAX_SAFE_INTEGER : Number(data) }),
  }
}

export const writeLimit = (limit: Limit | undefined): { duration?: number; data?: bigint } | undefined => {
  if (limit?.duration === undefined && limit?.data === undefined) return undefined
  return {
    // A limit below one second must not read as none.
    ...(limit.duration === undefined ? {} : { duration: Math.max(1, Math.floor(limit.duration / 1000)) }),
    ...(limit.data === undefined ? {} : { data: BigInt(limit.data) }),
  }
}

export const hopStatus = (status: Status): Uint8Array => HopMessage.frame({ type: HopType.STATUS, status })
export const stopStatus = (status: Status): Uint8Array => StopMessage.frame({ type: StopType.STATUS, status })
