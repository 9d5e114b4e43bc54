/**
 * Unsigned varint of multiformats: https://github.com/multiformats/unsigned-varint
 *
 * Little-endian base 128, seven bits a byte, the high bit says that more follow; at most nine bytes and the shortest
 * form only. The varints inside protobuf messages follow another rule (ten bytes, any form): see protobuf.ts.
 *
 * Bounds. Values over 2^53 − 1 are refused: no length, code or count of libp2p comes near.
 */

import { remoteFault, TabmeshError } from '../../errors.ts'

/** unsigned-varint §Practical maximum: nine bytes, 63 bits. */
export const VARINT_MAX_BYTES = 9

export const varintLength = (n: number): number => {
  let length = 1
  for (let rest = n; rest >= 0x80; rest = Math.floor(rest / 0x80)) length++
  return length
}

/** Writes `n`, an integer from 0 to 2^53 − 1, at `at` and returns where it ends. */
export const writeVarint = (n: number, out: Uint8Array, at: number): number => {
  let rest = n
  // Bitwise operators see 32 bits only.
  for (; rest > 0x7fff_ffff; rest = Math.floor(rest / 0x80)) out[at++] = (rest % 0x80) | 0x80
  for (; rest >= 0x80; rest >>>= 7) out[at++] = (rest & 0x7f) | 0x80
  out[at++] = rest
  return at
}

export const encodeVarint = (n: number): Uint8Array => {
  if (!Number.isSafeInteger(n) || n < 0)
    throw new TabmeshError('ERR_INVALID_ARGUMENT', `${n} has no varint: it is no integer from 0 to 2^53 - 1`)
  const bytes = new Uint8Array(varintLength(n))
  writeVarint(n, bytes, 0)
  return bytes
}

export interface Varint {
  readonly value: number
  /** Where the bytes after it begin. */
  readonly next: number
}

/**
 * The varint at `at`; undefined when `bytes` end inside it, so that more may be waited for. Throws ERR_DECODE for what
 * no more bytes can mend: a tenth byte, a longer form than needed, a value over 2^53 − 1.
 */
export const readVarint = (bytes: Uint8Array, at = 0): Varint | undefined => {
  let value = 0
  let unit = 1
  for (let i = at; i < bytes.length; i++, unit *= 0x80) {
    const byte = bytes[i] as number
    value += (byte & 0x7f) * unit
    if (byte < 0x80) {
      if (byte === 0 && i > at) throw remoteFault('ERR_DECODE', `varint at byte ${at} is longer than it need be`)
      // Rounding cannot bring a greater value back under the bound: 2^53 itself is exact.
      if (value > Number.MAX_SAFE_INTEGER) throw remoteFault('ERR_DECODE', `varint at byte ${at} is over 2^53 - 1`)
      return { value, next: i + 1 }
    }
    if (i - at === VARINT_MAX_BYTES - 1) throw remoteFault('ERR_DECODE', `varint at byte ${at} is over ${VARINT_MAX_BYTES} bytes`)
  }
  return undefined
}

/** `body` behind its length: the frame of almost every libp2p protocol. */
export const frame = (body: Uint8Array): Uint8Array => {
  const prefix = varintLength(body.length)
  const framed = new Uint8Array(prefix + body.length)
  writeVarint(body.length, framed, 0)
  framed.set(body, prefix)
  return framed
}
