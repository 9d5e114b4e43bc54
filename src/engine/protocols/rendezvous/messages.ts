/**
 * Messages of rendezvous (https://github.com/libp2p/specs/blob/master/rendezvous/README.md §Protobuf).
 *
 *   client                                server
 *     REGISTER { namespace, record, ttl }   ▶ ◀ REGISTER_RESPONSE { status, ttl }
 *     UNREGISTER { namespace }              ▶     (no answer)
 *     DISCOVER { namespace, limit, cookie } ▶ ◀ DISCOVER_RESPONSE { status, registrations, cookie }
 *
 * One message and its answer for each stream, behind their lengths. What has a value is written, be it 0: rust takes an absent type, status
 * or ttl for a fault. A namespace is text; one that is not UTF-8 is a fault.
 *
 * Bounds: RENDEZVOUS_MAX_READ registrations in a message; its size is the reader's.
 */

import { remoteFault } from '../../../errors.ts'
import { bytes, message, nested, repeated, string, uint, uint64 } from '../../codec/protobuf.ts'
import { RENDEZVOUS_MAX_READ } from '../../limits.ts'

export const RENDEZVOUS = '/rendezvous/1.0.0'

export const Type = { REGISTER: 0, REGISTER_RESPONSE: 1, UNREGISTER: 2, DISCOVER: 3, DISCOVER_RESPONSE: 4 } as const

export const Status = {
  OK: 0,
  E_INVALID_NAMESPACE: 100,
  E_INVALID_SIGNED_PEER_RECORD: 101,
  E_INVALID_TTL: 102,
  E_INVALID_COOKIE: 103,
  E_NOT_AUTHORIZED: 200,
  E_INTERNAL_ERROR: 300,
  E_UNAVAILABLE: 400,
} as const
export type Status = (typeof Status)[keyof typeof Status]

const names = new Map<number, string>(Object.entries(Status).map(([name, status]) => [status, name]))

/** A status by its name; those that nobody knows, by their number. */
export const nameStatus = (status: number): string => names.get(status) ?? `status ${status}`

const Register = message({ ns: string(1), signedPeerRecord: bytes(2), ttl: uint64(3) })
const RegisterResponse = message({ status: uint(1), statusText: string(2), ttl: uint64(3) })
const Unregister = message({ ns: string(1) })
const Discover = message({ ns: string(1), limit: uint64(2), cookie: bytes(3) })
const DiscoverResponse = message({
  registrations: repeated(nested(1, Register), RENDEZVOUS_MAX_READ),
  cookie: bytes(2),
  status: uint(3),
  statusText: string(4),
})
const Message = message({
  type: uint(1),
  register: nested(2, Register),
  registerResponse: nested(3, RegisterResponse),
  unregister: nested(4, Unregister),
  discover: nested(5, Discover),
  discoverResponse: nested(6, DiscoverResponse),
})

export interface RegisterRequest {
  readonly t: 'register'
  /** Undefined where it is missing, as the other two. */
  readonly namespace: string | undefined
  /** A signed peer record in its envelope. */
  readonly record: Uint8Array | undefined
  /** Seconds. */
  readonly ttl: bigint | undefined
}

export interface DiscoverRequest {
  readonly t: 'discover'
  /** All of them where it is undefined. */
  readonly namespace: string | undefined
  readonly limit: bigint | undefined
  readonly cookie: Uint8Array | undefined
}

export type Request = RegisterRequest | { readonly t: 'unregister'; readonly namespace: string | undefined } | DiscoverRequest

/** With its length in front, as all that follow. */
export const frameRegister = (namespace: string, record: Uint8Array, ttl: number | undefined): Uint8Array =>
  Message.frame({
    type: Type.REGISTER,
    register: { ns: namespace, signedPeerRecord: record, ttl: ttl === undefined ? undefined : BigInt(ttl) },
  })

export const frameUnregister = (namespace: string): Uint8Array => Message.frame({ type: Type.UNREGISTER, unregister: { ns: namespace } })

export const frameDiscover = (namespace: string | undefined, limit: number | undefined, cookie: Uint8Array | undefined): Uint8Array =>
  Message.frame({ type: Type.DISCOVER, discover: { ns: namespace, limit: limit === undefined ? undefined : BigInt(limit), cookie } })

/** Views of `input`. Throws ERR_DECODE, and ERR_PROTOCOL for what is no request. */
export const decodeRequest = (input: Uint8Array): Request => {
  const { type, register, unregister, discover } = Message.decode(input)
  switch (type) {
    case Type.REGISTER:
      return { t: 'register', namespace: register?.ns, record: register?.signedPeerRecord, ttl: register?.ttl }
    case Type.UNREGISTER:
      return { t: 'unregister', namespace: unregister?.ns }
    case Type.DISCOVER:
      return { t: 'discover', namespace: discover?.ns, limit: discover?.limit, cookie: discover?.cookie }
    default:
      throw remoteFault('ERR_PROTOCOL', `rendezvous request of type ${type}`)
  }
}

/** A refusal, in either answer. */
export interface Refused {
  readonly t: 'refused'
  readonly status: number
  /** The server's own words, if it has any. */
  readonly text: string
}

export type RegisterAnswer = { readonly t: 'registered' /** Seconds. */; readonly ttl: bigint | undefined } | Refused

export interface WireRegistration {
  readonly namespace: string | undefined
  readonly record: Uint8Array | undefined
  /** Seconds. */
  readonly ttl: bigint | undefined
}

export type DiscoverAnswer =
  | { readonly t: 'found'; readonly registrations: readonly WireRegistration[]; readonly cookie: Uint8Array | undefined }
  | Refused

export const frameRegistered = (ttl: number): Uint8Array =>
  Message.frame({ type: Type.REGISTER_RESPONSE, registerResponse: { status: Status.OK, ttl: BigInt(ttl) } })

export const frameRegisterRefused = (status: Status, statusText: string): Uint8Array =>
  Message.frame({ type: Type.REGISTER_RESPONSE, registerResponse: { status, statusText } })

export interface Found {
  readonly namespace: string
  readonly record: Uint8Array
  /** Seconds. */
  readonly ttl: number
}

export const frameFound = (found: readonly Found[], cookie: Uint8Array): Uint8Array =>
  Message.frame({
    type: Type.DISCOVER_RESPONSE,
    discoverResponse: {
      registrations: found.map(({ namespace, record, ttl }) => ({ ns: namespace, signedPeerRecord: record, ttl: BigInt(ttl) })),
      cookie,
      status: Status.OK,
    },
  })

export const frameDiscoverRefused = (status: Status, statusText: string): Uint8Array =>
  Message.frame({ type: Type.DISCOVER_RESPONSE, discoverResponse: { status, statusText } })

/** Throws ERR_DECODE, and ERR_PROTOCOL for another message than the one that is due. */
export const decodeRegisterAnswer = (input: Uint8Array): RegisterAnswer => {
  const { type, registerResponse } = Message.decode(input)
  if (type !== Type.REGISTER_RESPONSE) throw unexpected(type, 'REGISTER')
  // proto3 leaves zeros out.
  const { status = Status.OK, statusText = '', ttl } = registerResponse ?? { status: undefined }
  if (status !== Status.OK) return { t: 'refused', status, text: statusText }
  return { t: 'registered', ttl }
}

/** The same for DISCOVER. Views of `input`. */
export const decodeDiscoverAnswer = (input: Uint8Array): DiscoverAnswer => {
  const { type, discoverResponse } = Message.decode(input)
  if (type !== Type.DISCOVER_RESPONSE) throw unexpected(type, 'DISCOVER')
  const { status = Status.OK, statusText = '', registrations = [], cookie } = discoverResponse ?? { status: undefined }
  if (status !== Status.OK) return { t: 'refused', status, text: statusText }
  return {
    t: 'found',
    registrations: registrations.map(({ ns, signedPeerRecord, ttl }) => ({ namespace: ns, record: signedPeerRecord, ttl })),
    cookie,
  }
}

const unexpected = (type: number | undefined, request: string) =>
  remoteFault('ERR_PROTOCOL', `rendezvous answered ${request} with a message of type ${type}`)
