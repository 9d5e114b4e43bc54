/**
 * What members of a room say to each other.
 *
 *   by gossip       version ‖ life ‖ number ‖ body                 the body sealed where the room has a password
 *   by stream       preamble: version ‖ tag of the room ‖ salt     then words, each sealed likewise, behind its length (wire/frame.ts)
 *
 * `life` is one stay of a member: when it began in milliseconds (6 bytes) and 6 random ones. A later stay is greater, and has numbers of its own. All that a
 * member says by gossip in one life is numbered from 0 without a gap: messages, their parts, and signs of life.
 *
 * A private word says behind how many of those it comes; one for all, in its fences (fence.ts), behind how many private ones of which member.
 *
 * Bounds: ROOM_MAX_PART for a part, ROOM_MAX_FENCES, ROOM_MAX_PRESENCE for what a member tells of itself.
 */

import { remoteFault } from '../../../errors.ts'
import { concat } from '../../codec/bytes.ts'
import { readVarint, varintLength, writeVarint } from '../../codec/varint.ts'
import { ROOM_MAX_FENCES, ROOM_MAX_PART, ROOM_MAX_PRESENCE } from '../../limits.ts'
import { FENCE } from './fence.ts'

export const ROOM = '/tabmesh/room/1.0.0'
export const ROOM_FILE = '/tabmesh/room-file/1.0.0'

const VERSION = 1
export const LIFE = 12
export const SALT = 16
const TAG = 32

/** What a member says by gossip, or again by stream to who has missed it. */
export type Body = Plain & { readonly fences?: Uint8Array }

type Plain =
  /** A message, or a part of one: it begins here, it ends here. */
  | { readonly t: 'message'; readonly data: Uint8Array; readonly begins: boolean; readonly ends: boolean }
  /** A sign of life: how many milliseconds until the next one, and what the member tells of itself. */
  | { readonly t: 'beat'; readonly interval: number; readonly presence: Uint8Array | undefined }
  | { readonly t: 'leave' }

export interface Published {
  /** What is in the open: the seal is around it as well. */
  readonly head: Uint8Array
  readonly life: Uint8Array
  readonly number: number
  /** The body, sealed. */
  readonly sealed: Uint8Array
}

export const headOf = (life: Uint8Array, number: number): Uint8Array => {
  const head = new Uint8Array(1 + LIFE + varintLength(number))
  head[0] = VERSION
  head.set(life, 1)
  writeVarint(number, head, 1 + LIFE)
  return head
}

export const encodePublished = (head: Uint8Array, sealed: Uint8Array): Uint8Array => concat([head, sealed])

/** Undefined for a version that is to come. Throws ERR_DECODE. */
export const decodePublished = (data: Uint8Array): Published | undefined => {
  if (data[0] !== VERSION) {
    if (data[0] === undefined || data[0] === 0) throw remoteFault('ERR_DECODE', 'a room message without a version')
    return undefined
  }
  if (data.length < 1 + LIFE) throw remoteFault('ERR_DECODE', 'a room message is cut short')
  const { value: number, next } = varint(data, 1 + LIFE)
  return { head: data.subarray(0, next), life: data.slice(1, 1 + LIFE), number, sealed: data.subarray(next) }
}

const MESSAGE = 0
/** Added to it: it goes on from the one before; it goes on in the next one. */
const CONTINUES = 1
const CONTINUED = 2
const BEAT = 4
const LEAVE = 5
/** How many fences, those, and the body. */
const FENCED = 8

export const encodeBody = (body: Body): Uint8Array => {
  const { fences } = body
  const plain = encodePlain(body)
  return fences === undefined ? plain : concat([Uint8Array.of(FENCED, fences.length / FENCE), fences, plain])
}

const encodePlain = (body: Plain): Uint8Array => {
  switch (body.t) {
    case 'message':
      return concat([Uint8Array.of(MESSAGE | (body.begins ? 0 : CONTINUES) | (body.ends ? 0 : CONTINUED)), body.data])
    case 'beat':
      return concat([Uint8Array.of(BEAT), beatOf(body)])
    case 'leave':
      return Uint8Array.of(LEAVE)
  }
}

/** Views of `bytes`. Throws ERR_DECODE, ERR_FRAME_TOO_LARGE; undefined for what is to come. */
export const decodeBody = (bytes: Uint8Array): Body | undefined => {
  if (bytes[0] !== FENCED) return decodePlain(bytes)
  const count = bytes[1] ?? 0
  const end = 2 + count * FENCE
  if (count > ROOM_MAX_FENCES) throw remoteFault('ERR_FRAME_TOO_LARGE', `a room message with ${count} fences`)
  const body = decodePlain(bytes.subarray(end))
  return body === undefined ? body : { ...body, fences: bytes.subarray(2, end) }
}

const decodePlain = (bytes: Uint8Array): Plain | undefined => {
  const [kind] = bytes
  switch (kind) {
    case MESSAGE:
    case MESSAGE | CONTINUES:
    case MESSAGE | CONTINUED:
    case MESSAGE | CONTINUES | CONTINUED:
      return { t: 'message', data: partOf(bytes, 1), begins: (kind & CONTINUES) === 0, ends: (kind & CONTINUED) === 0 }
    case BEAT:
      return { t: 'beat', ...readBeat(bytes, 1) }
    case LEAVE:
      return { t: 'leave' }
    case undefined:
      throw remoteFault('ERR_DECODE', 'a room message without a kind')
    default:
      return undefined
  }
}

/** What two members say to each other by stream. */
export type Word =
  /**
   * The first one: who I am in this life, the number of my next gossip and of the first private message that is to come here, what my fences for you are made
   * with, and a sign of life.
   */
  | {
      readonly t: 'hello'
      readonly life: Uint8Array
      readonly next: number
      readonly first: number
      /** FENCE bytes. */
      readonly secret: Uint8Array
      readonly interval: number
      readonly presence: Uint8Array | undefined
    }
  /** It comes behind those published before `after`. */
  | { readonly t: 'private'; readonly number: number; readonly after: number; readonly data: Uint8Array; readonly more: boolean }
  /** What you published from `from` up to, and not with, `to` has not come. */
  | { readonly t: 'repeat'; readonly from: number; readonly to: number }
  /** What I published. */
  | { readonly t: 'again'; readonly number: number; readonly body: Uint8Array }
  | { readonly t: 'leave' }
  /** Back on the same stream: private messages before this number have come. */
  | { readonly t: 'taken'; readonly number: number }

const HELLO = 0
const PRIVATE = 1
const PRIVATE_PART = 2
const REPEAT = 3
const AGAIN = 4
const BYE = 5
const TAKEN = 6

export const encodeWord = (word: Word): Uint8Array => {
  switch (word.t) {
    case 'hello':
      return concat([Uint8Array.of(HELLO), word.life, word.secret, varints(word.next, word.first), beatOf(word)])
    case 'private':
      return concat([Uint8Array.of(word.more ? PRIVATE_PART : PRIVATE), varints(word.number, word.after), word.data])
    case 'repeat':
      return concat([Uint8Array.of(REPEAT), varints(word.from, word.to)])
    case 'again':
      return concat([Uint8Array.of(AGAIN), varints(word.number), word.body])
    case 'leave':
      return Uint8Array.of(BYE)
    case 'taken':
      return concat([Uint8Array.of(TAKEN), varints(word.number)])
  }
}

/** Views of `bytes`. Throws ERR_DECODE, ERR_FRAME_TOO_LARGE; undefined for what is to come. */
export const decodeWord = (bytes: Uint8Array): Word | undefined => {
  switch (bytes[0]) {
    case HELLO: {
      const head = 1 + LIFE + FENCE
      if (bytes.length < head) throw remoteFault('ERR_DECODE', 'a greeting is cut short')
      const next = varint(bytes, head)
      const first = varint(bytes, next.next)
      const [life, secret] = [bytes.slice(1, 1 + LIFE), bytes.slice(1 + LIFE, head)]
      return { t: 'hello', life, secret, next: next.value, first: first.value, ...readBeat(bytes, first.next) }
    }
    case PRIVATE:
    case PRIVATE_PART: {
      const number = varint(bytes, 1)
      const after = varint(bytes, number.next)
      return {
        t: 'private',
        number: number.value,
        after: after.value,
        data: partOf(bytes, after.next),
        more: bytes[0] === PRIVATE_PART,
      }
    }
    case REPEAT: {
      const from = varint(bytes, 1)
      return { t: 'repeat', from: from.value, to: varint(bytes, from.next).value }
    }
    case AGAIN: {
      const { value, next } = varint(bytes, 1)
      return { t: 'again', number: value, body: bytes.subarray(next) }
    }
    case BYE:
      return { t: 'leave' }
    case TAKEN:
      return { t: 'taken', number: varint(bytes, 1).value }
    case undefined:
      throw remoteFault('ERR_DECODE', 'a word without a kind')
    default:
      return undefined
  }
}

export interface Preamble {
  readonly tag: Uint8Array
  /** Random: no two streams have the same keys. */
  readonly salt: Uint8Array
}

export const encodePreamble = ({ tag, salt }: Preamble): Uint8Array => concat([Uint8Array.of(VERSION), tag, salt])

/** Throws ERR_DECODE. */
export const decodePreamble = (bytes: Uint8Array): Preamble => {
  if (bytes[0] !== VERSION || bytes.length < 1 + TAG + SALT) throw remoteFault('ERR_DECODE', 'a stream of a room that says not of which')
  return { tag: bytes.slice(1, 1 + TAG), salt: bytes.slice(1 + TAG, 1 + TAG + SALT) }
}

interface Beat {
  readonly interval: number
  readonly presence: Uint8Array | undefined
}

/** A presence is JSON, which is never empty. */
const beatOf = ({ interval, presence }: Beat): Uint8Array =>
  presence === undefined ? varints(interval) : concat([varints(interval), presence])

const readBeat = (bytes: Uint8Array, at: number): Beat => {
  const { value: interval, next } = varint(bytes, at)
  const length = bytes.length - next
  if (length > ROOM_MAX_PRESENCE) throw remoteFault('ERR_FRAME_TOO_LARGE', `a presence of ${length} bytes`)
  // Kept: what it was read from is larger.
  return { interval, presence: length === 0 ? undefined : bytes.slice(next) }
}

const partOf = (bytes: Uint8Array, at: number): Uint8Array => {
  if (bytes.length - at > ROOM_MAX_PART) throw remoteFault('ERR_FRAME_TOO_LARGE', `a part of ${bytes.length - at} bytes`)
  return bytes.subarray(at)
}

const varints = (...numbers: number[]): Uint8Array => {
  const bytes = new Uint8Array(numbers.reduce((sum, each) => sum + varintLength(each), 0))
  let at = 0
  for (const each of numbers) at = writeVarint(each, bytes, at)
  return bytes
}

const varint = (bytes: Uint8Array, at: number): { value: number; next: number } => {
  const read = readVarint(bytes, at)
  if (read === undefined) throw remoteFault('ERR_DECODE', 'a number is cut short')
  return read
}
