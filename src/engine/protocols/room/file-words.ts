/**
 * What is said on a stream that carries a file from one member of a room to another: words as on the room's other streams (word-stream.ts).
 *
 *   sender     OFFER  id, size, type, name  ─▶  DATA …  ─▶  END  SHA-256 of the whole file             CANCEL at any time
 *   receiver   ACCEPT offset to begin at    ─▶  HAVE offset taken …  ─▶  DONE                          REFUSE at any time
 *
 * A stream that breaks is replaced by another one with the same id; the receiver says how far it is.
 *
 * Bounds: ROOM_FILE_CHUNK of data in a word, ROOM_FILE_MAX_NAME, ROOM_FILE_MAX_TYPE.
 */

import { remoteFault } from '../../../errors.ts'
import { concat, fromUtf8, utf8 } from '../../codec/bytes.ts'
import { encodeVarint, readVarint } from '../../codec/varint.ts'
import { ROOM_FILE_CHUNK, ROOM_FILE_MAX_NAME, ROOM_FILE_MAX_TYPE } from '../../limits.ts'

export interface FileInfo {
  readonly name: string
  /** MIME; may be empty. */
  readonly type: string
  readonly size: number
}

/** Bytes of a transfer's id, and of a hash. */
export const FILE_ID = 16
const HASH = 32

export type FileWord =
  | ({ readonly t: 'offer'; readonly id: Uint8Array } & FileInfo)
  | { readonly t: 'data'; readonly data: Uint8Array }
  | { readonly t: 'end'; readonly hash: Uint8Array }
  | { readonly t: 'cancel' }

export type FileAnswer =
  | { readonly t: 'accept'; readonly at: number }
  | { readonly t: 'have'; readonly at: number }
  | { readonly t: 'done' }
  | { readonly t: 'refuse'; readonly corrupt: boolean }

const OFFER = 0
const DATA = 1
const END = 2
const CANCEL = 3

export const encodeFileWord = (word: FileWord): Uint8Array => {
  switch (word.t) {
    case 'offer': {
      const { id, size, type, name } = word
      const [typeBytes, nameBytes] = [utf8(type), utf8(name)]
      return concat([Uint8Array.of(OFFER), id, encodeVarint(size), encodeVarint(typeBytes.length), typeBytes, nameBytes])
    }
    case 'data':
      return concat([Uint8Array.of(DATA), word.data])
    case 'end':
      return concat([Uint8Array.of(END), word.hash])
    case 'cancel':
      return Uint8Array.of(CANCEL)
  }
}

/** Throws ERR_DECODE, ERR_FRAME_TOO_LARGE; undefined for what is to come. */
export const decodeFileWord = (bytes: Uint8Array): FileWord | undefined => {
  switch (bytes[0]) {
    case OFFER: {
      if (bytes.length < 1 + FILE_ID) throw cutShort()
      const size = varint(bytes, 1 + FILE_ID)
      const typeLength = varint(bytes, size.next)
      const nameAt = typeLength.next + typeLength.value
      if (nameAt > bytes.length) throw cutShort()
      if (typeLength.value > ROOM_FILE_MAX_TYPE || bytes.length - nameAt > ROOM_FILE_MAX_NAME)
        throw remoteFault('ERR_FRAME_TOO_LARGE', 'the name or type of a file')
      const [type, name] = [fromUtf8(bytes, typeLength.next, nameAt), fromUtf8(bytes, nameAt)]
      return { t: 'offer', id: bytes.slice(1, 1 + FILE_ID), size: size.value, type, name }
    }
    case DATA:
      if (bytes.length > 1 + ROOM_FILE_CHUNK) throw remoteFault('ERR_FRAME_TOO_LARGE', `a part of a file of ${bytes.length} bytes`)
      return { t: 'data', data: bytes.subarray(1) }
    case END:
      if (bytes.length !== 1 + HASH) throw cutShort()
      return { t: 'end', hash: bytes.slice(1) }
    case CANCEL:
      return { t: 'cancel' }
    case undefined:
      throw cutShort()
    default:
      return undefined
  }
}

const ACCEPT = 0
const HAVE = 1
const DONE = 2
const REFUSE = 3

export const encodeFileAnswer = (answer: FileAnswer): Uint8Array => {
  switch (answer.t) {
    case 'accept':
    case 'have':
      return concat([Uint8Array.of(answer.t === 'accept' ? ACCEPT : HAVE), encodeVarint(answer.at)])
    case 'done':
      return Uint8Array.of(DONE)
    case 'refuse':
      return Uint8Array.of(REFUSE, answer.corrupt ? 1 : 0)
  }
}

/** Throws ERR_DECODE; undefined for what is to come. */
export const decodeFileAnswer = (bytes: Uint8Array): FileAnswer | undefined => {
  switch (bytes[0]) {
    case ACCEPT:
    case HAVE:
      return { t: bytes[0] === ACCEPT ? 'accept' : 'have', at: varint(bytes, 1).value }
    case DONE:
      return { t: 'done' }
    case REFUSE:
      return { t: 'refuse', corrupt: bytes[1] === 1 }
    case undefined:
      throw cutShort()
    default:
      return undefined
  }
}

const cutShort = () => remoteFault('ERR_DECODE', 'a word about a file is cut short')

const varint = (bytes: Uint8Array, at: number): { value: number; next: number } => {
  const read = readVarint(bytes, at)
  if (read === undefined) throw cutShort()
  return read
}
