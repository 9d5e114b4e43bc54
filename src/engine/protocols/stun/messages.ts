/**
 * STUN binding requests and their answers: https://www.rfc-editor.org/rfc/rfc8489 (§5 header, §6.3 answering, §14 attributes)
 *
 *   request ─▶ success with XOR-MAPPED-ADDRESS: where the request came from, as the server sees it
 *   request with an attribute that must be understood and is not ─▶ error 420 with its number
 *   anything else ─▶ nothing
 *
 * No authentication, no state: an answer is made of its request and of where that came from.
 *
 * Bounds. A request of over STUN_MAX_REQUEST bytes is dropped unread. An answer has at most 12 bytes more than what its request must
 * have had, or 24 over IPv6, so that nobody can aim a flood by a forged source (RFC 8489 §16.1.2).
 */

import { STUN_MAX_REQUEST } from '../../limits.ts'

/** §5: type, length, magic cookie, transaction id. */
const HEADER = 20
const MAGIC = 0x2112a442
const BINDING_REQUEST = 0x0001
const BINDING_SUCCESS = 0x0101
const BINDING_ERROR = 0x0111

/** §14; below 0x8000 an attribute must be understood. */
const ERROR_CODE = 0x0009
const UNKNOWN_ATTRIBUTES = 0x000a
const XOR_MAPPED_ADDRESS = 0x0020
const FINGERPRINT = 0x8028
const OPTIONAL = 0x8000
/** §14.8. */
const UNKNOWN_ATTRIBUTE = 420
/** §14.7: what the checksum is mixed with, so that it is not mistaken for another protocol's. */
const FINGERPRINT_MASK = 0x5354554e
/** Of the numbers that an error lists: more is no mistake. */
const MAX_LISTED = 4

/** Where a datagram came from; `address` is 4 bytes, or 16. */
export interface Source {
  readonly address: Uint8Array
  readonly port: number
}

interface Request {
  /** The last 16 bytes of the header: magic cookie and transaction id. */
  readonly tail: Uint8Array
  readonly fingerprint: boolean
  readonly unknown: readonly number[]
}

/** The answer to `datagram`, or undefined where it deserves none. */
export const answerBinding = (datagram: Uint8Array, from: Source): Uint8Array | undefined => {
  const request = readRequest(datagram)
  if (request === undefined) return undefined
  const { unknown } = request
  if (unknown.length === 0) return write(BINDING_SUCCESS, request, [[XOR_MAPPED_ADDRESS, xorAddress(from, request.tail)]])
  return write(BINDING_ERROR, request, [
    [ERROR_CODE, Uint8Array.of(0, 0, Math.floor(UNKNOWN_ATTRIBUTE / 100), UNKNOWN_ATTRIBUTE % 100)],
    [UNKNOWN_ATTRIBUTES, Uint8Array.from(unknown.flatMap((type) => [type >> 8, type & 0xff]))],
  ])
}

const readRequest = (datagram: Uint8Array): Request | undefined => {
  if (datagram.length < HEADER || datagram.length > STUN_MAX_REQUEST || datagram.length % 4 !== 0) return undefined
  const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.length)
  if (view.getUint16(0) !== BINDING_REQUEST || view.getUint16(2) !== datagram.length - HEADER || view.getUint32(4) !== MAGIC)
    return undefined
  const unknown: number[] = []
  let fingerprint = false
  for (let at = HEADER; at < datagram.length; ) {
    const type = view.getUint16(at)
    const size = view.getUint16(at + 2)
    const next = at + 4 + Math.ceil(size / 4) * 4
    if (next > datagram.length) return undefined
    if (type === FINGERPRINT) {
      // §14.7: the last one, over all that stands before it.
      if (size !== 4 || next !== datagram.length || view.getUint32(at + 4) !== checksum(datagram.subarray(0, at))) return undefined
      fingerprint = true
    } else if (type < OPTIONAL && unknown.length < MAX_LISTED && !unknown.includes(type)) unknown.push(type)
    at = next
  }
  return { tail: datagram.subarray(4, HEADER), fingerprint, unknown }
}

/** §14.2: address and port, mixed with the header so that no router mistakes them for its own to rewrite. */
const xorAddress = ({ address, port }: Source, tail: Uint8Array): Uint8Array => {
  const value = new Uint8Array(4 + address.length)
  value[1] = address.length === 4 ? 0x01 : 0x02
  value[2] = (port >> 8) ^ (MAGIC >>> 24)
  value[3] = (port & 0xff) ^ ((MAGIC >>> 16) & 0xff)
  for (let i = 0; i < address.length; i++) value[4 + i] = (address[i] as number) ^ (tail[i] as number)
  return value
}

const write = (type: number, { tail, fingerprint }: Request, attributes: readonly (readonly [number, Uint8Array])[]): Uint8Array => {
  const padded = (size: number): number => Math.ceil(size / 4) * 4
  const body = attributes.reduce((sum, [, value]) => sum + 4 + padded(value.length), 0)
  const bytes = new Uint8Array(HEADER + body + (fingerprint ? 8 : 0))
  const view = new DataView(bytes.buffer)
  view.setUint16(0, type)
  view.setUint16(2, bytes.length - HEADER)
  bytes.set(tail, 4)
  let at = HEADER
  for (const [name, value] of attributes) {
    view.setUint16(at, name)
    view.setUint16(at + 2, value.length)
    bytes.set(value, at + 4)
    at += 4 + padded(value.length)
  }
  if (fingerprint) {
    view.setUint16(at, FINGERPRINT)
    view.setUint16(at + 2, 4)
    view.setUint32(at + 4, checksum(bytes.subarray(0, at)))
  }
  return bytes
}

/** §14.7: CRC-32 of ITU V.42, mixed with a mask. */
const checksum = (bytes: Uint8Array): number => {
  let crc = 0xffff_ffff
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb8_8320 : crc >>> 1
  }
  return (~crc ^ FINGERPRINT_MASK) >>> 0
}
