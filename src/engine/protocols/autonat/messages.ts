/**
 * The messages of AutoNAT v2 (specs: autonat/autonat-v2.md, "RPC Messages") and v1 (specs: autonat/autonat-v1.md).
 *
 * Presence: v2 is proto3, where a zero is a field that is not there. Ours are always written, and what is absent reads as zero. Of a
 * v2 message exactly one of its four kinds is there.
 *
 * Bounds: a frame has AUTONAT_MAX_MESSAGE bytes, so a list has no more addresses than those hold.
 */

import { remoteFault } from '../../../errors.ts'
import { emptyBytes } from '../../codec/bytes.ts'
import type { Multiaddr } from '../../codec/multiaddr.ts'
import { type PeerId, peerIdToBytes } from '../../codec/peer-id.ts'
import { bytes, fixed64, message, nested, repeated, string, uint } from '../../codec/protobuf.ts'
import { AUTONAT_MAX_MESSAGE } from '../../limits.ts'

/** An empty address takes two bytes. */
const MOST = AUTONAT_MAX_MESSAGE / 2

const DialRequest = message({ addrs: repeated(bytes(1), MOST), nonce: fixed64(2) })
const DialResponse = message({ status: uint(1), addrIdx: uint(2), dialStatus: uint(3) })
const DialDataRequest = message({ addrIdx: uint(1), numBytes: uint(2) })
const DialDataResponse = message({ data: bytes(1) })
const Message = message({
  dialRequest: nested(1, DialRequest),
  dialResponse: nested(2, DialResponse),
  dialDataRequest: nested(3, DialDataRequest),
  dialDataResponse: nested(4, DialDataResponse),
})
const DialBack = message({ nonce: fixed64(1) })
const DialBackResponse = message({ status: uint(1) })

/** `ResponseStatus` of v2. */
export const INTERNAL_ERROR = 0
export const REQUEST_REJECTED = 100
export const DIAL_REFUSED = 101
export const OK = 200
/** `DialStatus` of v2; its OK is the same. */
export const UNUSED = 0
export const DIAL_ERROR = 100
export const DIAL_BACK_ERROR = 101

export interface Request {
  readonly addresses: readonly Uint8Array[]
  readonly nonce: bigint
}

export interface Response {
  readonly status: number
  /** Of the address that was dialled, in the request. */
  readonly index: number
  readonly dialStatus: number
}

export interface DataRequest {
  readonly index: number
  readonly bytes: number
}

export type Told =
  | { readonly t: 'request'; readonly request: Request }
  | { readonly t: 'response'; readonly response: Response }
  | { readonly t: 'dataRequest'; readonly dataRequest: DataRequest }
  | { readonly t: 'data'; readonly data: Uint8Array }

export const frameRequest = ({ addresses, nonce }: Request): Uint8Array => Message.frame({ dialRequest: { addrs: addresses, nonce } })

export const frameResponse = ({ status, index, dialStatus }: Response): Uint8Array =>
  Message.frame({ dialResponse: { status, addrIdx: index, dialStatus } })

export const frameDataRequest = ({ index, bytes: numBytes }: DataRequest): Uint8Array =>
  Message.frame({ dialDataRequest: { addrIdx: index, numBytes } })

export const frameData = (data: Uint8Array): Uint8Array => Message.frame({ dialDataResponse: { data } })

/** Throws ERR_DECODE, and ERR_PROTOCOL for a message of no kind or of several. */
export const decodeMessage = (input: Uint8Array): Told => {
  const { dialRequest, dialResponse, dialDataRequest, dialDataResponse } = Message.decode(input)
  const kinds: Told[] = []
  if (dialRequest !== undefined) kinds.push({ t: 'request', request: { addresses: dialRequest.addrs, nonce: dialRequest.nonce ?? 0n } })
  if (dialResponse !== undefined) {
    const { status = INTERNAL_ERROR, addrIdx = 0, dialStatus = UNUSED } = dialResponse
    kinds.push({ t: 'response', response: { status, index: addrIdx, dialStatus } })
  }
  if (dialDataRequest !== undefined) {
    const { addrIdx = 0, numBytes = 0 } = dialDataRequest
    kinds.push({ t: 'dataRequest', dataRequest: { index: addrIdx, bytes: numBytes } })
  }
  if (dialDataResponse !== undefined) kinds.push({ t: 'data', data: dialDataResponse.data ?? emptyBytes })
  const [kind] = kinds
  if (kind === undefined || kinds.length > 1) throw remoteFault('ERR_PROTOCOL', `AutoNAT message of ${kinds.length} kinds`)
  return kind
}

export const frameDialBack = (nonce: bigint): Uint8Array => DialBack.frame({ nonce })

/** The nonce. Throws ERR_DECODE. */
export const decodeDialBack = (input: Uint8Array): bigint => DialBack.decode(input).nonce ?? 0n

/** OK is the only status there is. */
export const frameDialBackResponse = (): Uint8Array => DialBackResponse.frame({ status: 0 })

// ── v1 ───────────────────────────────────────────────────────────────────────────────────────────────────────────

const Dial1 = message({ peer: nested(1, message({ id: bytes(1), addrs: repeated(bytes(2), MOST) })) })
const Response1 = message({ status: uint(1), statusText: string(2), addr: bytes(3) })
const Message1 = message({ type: uint(1), dial: nested(2, Dial1), dialResponse: nested(3, Response1) })

const DIAL = 0
const DIAL_RESPONSE = 1
/** `ResponseStatus` of v1. */
export const V1_OK = 0
export const V1_DIAL_ERROR = 100
export const V1_DIAL_REFUSED = 101

export interface Response1 {
  readonly status: number
  /** Which address answered, in bytes. */
  readonly address: Uint8Array | undefined
}

export const frameDial1 = (self: PeerId, addresses: readonly Multiaddr[]): Uint8Array =>
  Message1.frame({ type: DIAL, dial: { peer: { id: peerIdToBytes(self), addrs: addresses.map((each) => each.bytes) } } })

/** Throws ERR_DECODE, and ERR_PROTOCOL for what is no answer. */
export const decodeResponse1 = (input: Uint8Array): Response1 => {
  const { type, dialResponse } = Message1.decode(input)
  if (type !== DIAL_RESPONSE || dialResponse === undefined) throw remoteFault('ERR_PROTOCOL', `AutoNAT v1 answered with type ${type}`)
  return { status: dialResponse.status ?? V1_OK, address: dialResponse.addr }
}
