/**
 * The little STUN that is asked before a peer connection is made: https://www.rfc-editor.org/rfc/rfc8445 (§7 checks),
 * https://www.rfc-editor.org/rfc/rfc8489 (§5 header, §14 attributes)
 *
 *   dialler ── check: USERNAME "ours:theirs" ──▶ front        whoever sent it may have forged where it came from
 *           ◀── check of ours, to that address ──
 *           ── its answer, with our transaction id ──▶        it is there
 */

import { createHmac } from 'node:crypto'
import { crc32 } from 'node:zlib'

/** §5: type, length, magic cookie, transaction id. */
const HEADER = 20
const MAGIC = 0x2112a442
const BINDING_REQUEST = 0x0001
const BINDING_SUCCESS = 0x0101
const BINDING_ERROR = 0x0111

const USERNAME = 0x0006
const MESSAGE_INTEGRITY = 0x0008
/** RFC 8445 §16.1. */
const PRIORITY = 0x0024
const ICE_CONTROLLED = 0x8029
const FINGERPRINT = 0x8028
/** RFC 8489 §14.7. */
const FINGERPRINT_MASK = 0x5354554e
/** RFC 8489 §14.3. */
const MAX_USERNAME = 513
/** Of a peer-reflexive candidate (RFC 8445 §5.1.2.1): nothing hangs on it here. */
const CHECK_PRIORITY = 1_845_501_695

export const TRANSACTION_ID = 12

const isStun = (datagram: Buffer): boolean =>
  datagram.length >= HEADER &&
  datagram.readUInt16BE(0) < 0x4000 &&
  datagram.readUInt32BE(4) === MAGIC &&
  datagram.readUInt16BE(2) === datagram.length - HEADER &&
  datagram.length % 4 === 0

/** The two names of a check, the receiver's first; undefined for anything else. */
export const usernameOfCheck = (datagram: Buffer): readonly [string, string] | undefined => {
  if (!isStun(datagram) || datagram.readUInt16BE(0) !== BINDING_REQUEST) return undefined
  for (let at = HEADER; at + 4 <= datagram.length; ) {
    const length = datagram.readUInt16BE(at + 2)
    const end = at + 4 + length
    if (end > datagram.length) return undefined
    if (datagram.readUInt16BE(at) === USERNAME) {
      const text = length <= MAX_USERNAME ? datagram.toString('latin1', at + 4, end) : ''
      const colon = text.indexOf(':')
      return colon < 0 ? undefined : [text.slice(0, colon), text.slice(colon + 1)]
    }
    at = (end + 3) & ~3
  }
  return undefined
}

/** The transaction that `datagram` answers; undefined for anything else. */
export const transactionOfAnswer = (datagram: Buffer): Buffer | undefined => {
  if (!isStun(datagram)) return undefined
  const type = datagram.readUInt16BE(0)
  return type === BINDING_SUCCESS || type === BINDING_ERROR ? datagram.subarray(8, HEADER) : undefined
}

/** A check as the listener would make it: `username` is "theirs:ours", `password` is theirs. */
export const makeCheck = (transaction: Uint8Array, username: string, password: string): Buffer => {
  const name = Buffer.from(username, 'latin1')
  const attributes: readonly (readonly [number, Buffer])[] = [
    [USERNAME, name],
    [PRIORITY, uint32(CHECK_PRIORITY)],
    [ICE_CONTROLLED, Buffer.from(transaction.subarray(0, 8))],
  ]
  const head = Buffer.alloc(HEADER)
  head.writeUInt16BE(BINDING_REQUEST, 0)
  head.writeUInt32BE(MAGIC, 4)
  head.set(transaction, 8)
  let message = Buffer.concat([head, ...attributes.map(([type, value]) => attribute(type, value))])
  // Both sums cover a header whose length counts them in (§14.5, §14.7).
  message.writeUInt16BE(message.length - HEADER + 24, 2)
  message = Buffer.concat([message, attribute(MESSAGE_INTEGRITY, createHmac('sha1', password).update(message).digest())])
  message.writeUInt16BE(message.length - HEADER + 8, 2)
  return Buffer.concat([message, attribute(FINGERPRINT, uint32((crc32(message) ^ FINGERPRINT_MASK) >>> 0))])
}

const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

const attribute = (type: number, value: Buffer): Buffer => {
  const bytes = Buffer.alloc(4 + ((value.length + 3) & ~3))
  bytes.writeUInt16BE(type, 0)
  bytes.writeUInt16BE(value.length, 2)
  bytes.set(value, 4)
  return bytes
}
