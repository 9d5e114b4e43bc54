/**
 * The two messages of fetch (specs: fetch/README.md).
 *
 * Presence: js writes proto3, where OK is a status that is not there and an empty value no field at all; the specification is
 * proto2. So both fields are always written, and what is absent reads as OK and as no bytes.
 */

import { remoteFault } from '../../../errors.ts'
import { emptyBytes } from '../../codec/bytes.ts'
import { bytes, message, uint } from '../../codec/protobuf.ts'

const FetchRequest = message({ identifier: bytes(1) })
const FetchResponse = message({ status: uint(1), data: bytes(2) })

export const OK = 0
export const NOT_FOUND = 1
export const ERROR = 2
export type Status = typeof OK | typeof NOT_FOUND | typeof ERROR

export interface Response {
  readonly status: Status
  /** The value, or with ERROR what went wrong, in words. */
  readonly data: Uint8Array
}

/** With its length in front, as the other one. A key is text in the specification and bytes in js: the same on the wire. */
export const frameRequest = (key: Uint8Array): Uint8Array => FetchRequest.frame({ identifier: key })

export const frameResponse = ({ status, data }: Response): Uint8Array => FetchResponse.frame({ status, data })

/** The key. Throws ERR_DECODE. */
export const decodeRequest = (input: Uint8Array): Uint8Array => FetchRequest.decode(input).identifier ?? emptyBytes

/** Throws ERR_DECODE, and ERR_PROTOCOL for a status that nobody knows. */
export const decodeResponse = (input: Uint8Array): Response => {
  const { status = OK, data = emptyBytes } = FetchResponse.decode(input)
  if (status !== OK && status !== NOT_FOUND && status !== ERROR) throw remoteFault('ERR_PROTOCOL', `fetch answered with status ${status}`)
  return { status, data }
}
