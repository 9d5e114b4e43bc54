/**
 * Framing of WebRTC streams (specs: webrtc/README.md §Multiplexing), and the flow control that we add to it.
 *
 *   one data-channel message = one frame = uvarint length ‖ protobuf { 1 flag, 2 message, 3 errorCode, 1157 credit, 1158 number }
 *
 * The writer puts exactly one whole frame in each message; the reader takes the channel for a byte stream, where frames
 * may straddle messages. Field 1 is proto2-optional, so FIN, which is 0, is written when it is meant and left out
 * otherwise. Unknown flags and fields are ignored.
 *
 * Flow control. The specification has none, so a slow reader can only buffer or reset. Peers of this implementation
 * tell each other how much they have read; go, js and rust skip the unknown field, and without it nothing changes.
 *
 *   sender                                              receiver
 *     first frame: message, credit = its own grant ──────▶  knows now that the sender obeys credit
 *     ◀────────────────── its first frame: credit = 512 KiB the grant counts from the stream's first byte
 *     at most 512 KiB of message bytes ──────────────────▶
 *     ◀───────────────────────────────── credit = 128 KiB   so much was read since: the sender may send as much more
 *
 *   - The first frame of either side carries its grant, whatever else it carries. A frame with credit alone is only sent
 *     to a remote that has shown the field: older rust takes a frame without message for the end of the stream.
 *   - Until the remote's first frame is there, at most RTC_UNGRANTED bytes are sent. If that frame has no credit, the
 *     remote has no flow control: from then on only the channel's own queue holds the sender back.
 *
 * Numbers. libdatachannel, which Node's peers and js stand on, may swap messages that come while its user takes a new channel over (two of its
 * threads empty one queue). So each frame that is sent before the remote has answered says how many went before it, but for the first, which
 * needs no number, and a peer of this implementation puts them in order. What is sent later can't be swapped: who answers has taken over.
 *
 * Bounds: frames sent are at most RTC_MAX_MESSAGE (RTC_CAUTIOUS_MESSAGE to a remote that may not take as much), frames received RTC_MAX_RECEIVED; a reader keeps less than one frame.
 */

import type { TabmeshError } from '../../../errors.ts'
import { remoteFault } from '../../../errors.ts'
import { varintLength, writeVarint } from '../../codec/varint.ts'
import { RTC_MAX_MESSAGE, RTC_MAX_RECEIVED } from '../../limits.ts'

export const FIN = 0
export const STOP_SENDING = 1
export const RESET = 2
export const FIN_ACK = 3
export type Flag = typeof FIN | typeof STOP_SENDING | typeof RESET | typeof FIN_ACK

/** Tags: field number × 8 + wire type. */
const FLAG_TAG = 0x08
const MESSAGE_TAG = 0x12
const CODE_TAG = 0x18
/** A field number is at most 2^29 - 1. */
const TAG_MAX = 0xffff_ffff
/** Field 1157: private to this implementation, far from what the specification may number next. Two bytes of tag. */
export const CREDIT_FIELD = 1_157
const CREDIT_TAG = CREDIT_FIELD * 8

export const NUMBER_FIELD = 1_158
const NUMBER_TAG = NUMBER_FIELD * 8

/** Credit is a uint32. */
export const CREDIT_MAX = 0xffff_ffff

export interface Frame {
  readonly flag: Flag | undefined
  /** A view of what was pushed, or a copy where a view would keep much more memory alive. */
  readonly message: Uint8Array | undefined
  readonly credit: number | undefined
  /** How many frames went before it; undefined in the first, and in those whose order is safe. */
  readonly number: number | undefined
  /** The reset code that go sends with RESET and STOP_SENDING: for people, not for decisions. */
  readonly code: number | undefined
}

/** Of a private field, with its tag. */
const fieldLength = (value: number | undefined): number => (value === undefined ? 0 : 2 + varintLength(value))

/** Message bytes that fit into one frame of `max` bytes beside `credit` and `number`: two bytes of prefix, one of tag, two of length. */
export const frameRoom = (credit: number | undefined, max: number = RTC_MAX_MESSAGE, number?: number): number =>
  max - 5 - fieldLength(credit) - fieldLength(number)

/** A frame that carries no message bytes. */
export const controlFrame = (flag: Flag | undefined, credit?: number, number?: number): Uint8Array => {
  const body = (flag === undefined ? 0 : 2) + fieldLength(credit) + fieldLength(number)
  const frame = new Uint8Array(1 + body)
  frame[0] = body
  let at = 1
  if (flag !== undefined) {
    frame[at++] = FLAG_TAG
    frame[at++] = flag
  }
  writeField(NUMBER_TAG, number, frame, writeField(CREDIT_TAG, credit, frame, at))
  return frame
}

/** Takes the next `bytes` bytes out of `outbox` into a frame; at most `frameRoom` of them. */
export const dataFrame = (outbox: Outbox, bytes: number, credit?: number, number?: number): Uint8Array => {
  const body = 1 + varintLength(bytes) + bytes + fieldLength(credit) + fieldLength(number)
  const frame = new Uint8Array(varintLength(body) + body)
  let at = writeVarint(body, frame, 0)
  frame[at++] = MESSAGE_TAG
  at = writeVarint(bytes, frame, at)
  outbox.take(bytes, frame, at)
  writeField(NUMBER_TAG, number, frame, writeField(CREDIT_TAG, credit, frame, at + bytes))
  return frame
}

/** Returns where it ends. */
const writeField = (tag: number, value: number | undefined, frame: Uint8Array, at: number): number =>
  value === undefined ? at : writeVarint(value, frame, writeVarint(tag, frame, at))

/** What waits to be framed: kept as it came, copied once, into its frame. */
export class Outbox {
  size = 0
  readonly #chunks: Uint8Array[] = []
  /** The first chunk not yet used up, and how much of it is used. */
  #first = 0
  #used = 0

  put(bytes: Uint8Array): void {
    if (bytes.length === 0) return
    this.#chunks.push(bytes)
    this.size += bytes.length
  }

  /** Moves the next `bytes` bytes, of `size`, to `frame` at `at`. */
  take(bytes: number, frame: Uint8Array, at: number): void {
    this.size -= bytes
    for (let left = bytes; left > 0; ) {
      const chunk = this.#chunks[this.#first] as Uint8Array
      const part = Math.min(left, chunk.length - this.#used)
      frame.set(part === chunk.length ? chunk : chunk.subarray(this.#used, this.#used + part), at)
      at += part
      left -= part
      this.#used += part
      if (this.#used === chunk.length) this.#pass()
    }
  }

  clear(): void {
    this.size = 0
    this.#chunks.length = 0
    this.#first = 0
    this.#used = 0
  }

  /** `shift` would move every chunk behind; so used ones are dropped once they are half of all. */
  #pass(): void {
    this.#chunks[this.#first++] = spent
    this.#used = 0
    if (this.#first * 2 >= this.#chunks.length) {
      this.#chunks.splice(0, this.#first)
      this.#first = 0
    }
  }
}

const spent = new Uint8Array(0)

/** Longest prefix: a frame of RTC_MAX_RECEIVED needs three bytes. */
const MAX_PREFIX = 3

/** Cuts the bytes of a channel into frames. `push` what came, then `next` until it returns undefined; a fault is final. */
export class FrameReader {
  #bytes: Uint8Array = spent
  #at = 0
  #end = 0
  #fault: TabmeshError | undefined

  push(bytes: Uint8Array): void {
    if (bytes.length === 0 || this.#fault !== undefined) return
    const left = this.#end - this.#at
    if (left === 0) {
      this.#bytes = bytes
      this.#at = 0
      this.#end = bytes.length
      return
    }
    if (this.#end + bytes.length > this.#bytes.length) {
      // What was pushed has no room behind it; what replaces it has room for as much again: a frame that comes byte by byte is copied a dozen times, not a thousand.
      const roomier = new Uint8Array(2 * (left + bytes.length))
      roomier.set(this.#bytes.subarray(this.#at, this.#end))
      this.#bytes = roomier
      this.#at = 0
      this.#end = left
    }
    // Views handed out end before `#at`; what is written now lies behind `#end`.
    this.#bytes.set(bytes, this.#end)
    this.#end += bytes.length
  }

  /** The next whole frame, the fault of the remote, or undefined when more bytes are needed. */
  next(): Frame | TabmeshError | undefined {
    if (this.#fault !== undefined) return this.#fault
    let body = 0
    let at = this.#at
    for (let i = 0; ; i++) {
      if (at === this.#end) return undefined
      const byte = this.#bytes[at++] as number
      body |= (byte & 0x7f) << (7 * i)
      if (body > RTC_MAX_RECEIVED || (byte >= 0x80 && i === MAX_PREFIX - 1)) {
        return this.#fail(remoteFault('ERR_FRAME_TOO_LARGE', `a WebRTC frame of over ${RTC_MAX_RECEIVED} bytes`))
      }
      if (byte < 0x80) {
        if (byte === 0 && i > 0) return this.#fail(malformed('its length is longer than it need be'))
        break
      }
    }
    if (this.#end - at < body) return undefined
    this.#at = at
    return this.#parse(at + body)
  }

  #fail(fault: TabmeshError): TabmeshError {
    this.#fault = fault
    this.#bytes = spent
    this.#at = this.#end = 0
    return fault
  }

  /** The protobuf from `#at` to `end`. */
  #parse(end: number): Frame | TabmeshError {
    let flag: Flag | undefined
    let message: Uint8Array | undefined
    let credit: number | undefined
    let number: number | undefined
    let code: number | undefined
    while (this.#at < end) {
      const tag = this.#varint(end)
      if (tag === FLAG_TAG) {
        const value = this.#varint(end)
        if (value < 0) return this.#fail(malformed('a field is cut short'))
        if (value <= FIN_ACK) flag = value as Flag
      } else if (tag === MESSAGE_TAG) {
        const bytes = this.#varint(end)
        if (bytes < 0 || bytes > end - this.#at) return this.#fail(malformed('a field is cut short'))
        message = this.#bytes.subarray(this.#at, this.#at + bytes)
        this.#at += bytes
      } else if (tag >= 8 && tag <= TAG_MAX && (tag & 7) === 0) {
        const value = this.#varint(end)
        if (value < 0) return this.#fail(malformed('a field is cut short'))
        if (tag === CREDIT_TAG) credit = Math.min(value, CREDIT_MAX)
        else if (tag === NUMBER_TAG) number = value
        else if (tag === CODE_TAG) code = value
      } else if (!this.#skip(tag, end)) return this.#fail(malformed('a field is cut short or of no known type'))
    }
    // A byte of message among kilobytes of padding must not keep them alive while it waits to be read.
    if (message !== undefined && message.length * 2 < message.buffer.byteLength) message = message.slice()
    return { flag, message, credit, number, code }
  }

  /** Passes over a field that is not a varint; false where that can't be done. */
  #skip(tag: number, end: number): boolean {
    // There is no field 0, and a tag that is cut short is -1.
    if (tag < 8 || tag > TAG_MAX) return false
    const type = tag & 7
    // Wire types: 1 is eight bytes, 2 has its length in front, 5 is four bytes; groups (3, 4) are long out of use.
    const bytes = type === 2 ? this.#varint(end) : type === 1 ? 8 : type === 5 ? 4 : -1
    if (bytes < 0 || bytes > end - this.#at) return false
    this.#at += bytes
    return true
  }

  /** A protobuf varint: ten bytes at most and in any form; -1 where it is cut short. Beyond 2^53 the value is rounded. */
  #varint(end: number): number {
    let value = 0
    for (let unit = 1, i = 0; i < 10 && this.#at < end; i++, unit *= 0x80) {
      const byte = this.#bytes[this.#at++] as number
      value += (byte & 0x7f) * unit
      if (byte < 0x80) return value
    }
    return -1
  }
}

const malformed = (how: string): TabmeshError => remoteFault('ERR_DECODE', `a WebRTC frame is malformed: ${how}`)
