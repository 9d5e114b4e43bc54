/**
 * Messages of mplex (specs: mplex/README.md "Message format"): two unsigned varints and a body.
 *
 *   ┌──────────────────────┬──────────┐
 *   │ stream id ‖ flag (3) │  length  │ body, `length` bytes: the data, or of a new stream its name
 *   └──────────────────────┴──────────┘
 *
 * The flag also says who has opened the stream: both sides count from 0, so an id alone names two streams.
 *
 * Bounds. The reader keeps no byte: headers are summed up as they come, bodies pass through as views. Ids end below 2^50,
 * where a number is exact: nobody counts that far.
 */

import { writeVarint } from '../../codec/varint.ts'
import { MPLEX_MAX_MESSAGE } from '../../limits.ts'

// "Flag Values". Those of one kind differ by who sends: the receiver of the stream, or (one more) its initiator.
export const NEW = 0
export const MESSAGE = 1
export const CLOSE = 3
export const RESET = 5

/** The longest header: an id of 50 bits with its flag, and the greatest length. */
export const MAX_HEADER = 8 + 3

/** unsigned-varint: nine bytes at most. */
const VARINT_MAX_BYTES = 9

/** Writes a header into `out` at `at` and returns where it ends. */
export const putHeader = (out: Uint8Array, at: number, id: number, flag: number, length: number): number =>
  writeVarint(length, out, writeVarint(id * 8 + flag, out, at))

const NOTHING = new Uint8Array(0)

/**
 * Takes the bytes of a connection apart, however they are cut.
 *
 *   push(bytes), then next() until undefined:
 *     'header'   the fields hold a message's header; `left` is what its body has still to come
 *     'body'     `body` is the next part of that body, `left` what follows it
 *     'refused'  the remote broke the framing, `refusal` says how; nothing is read any more
 *
 * The fields stand for the message in progress and change with the next call: one reader, no object per message.
 */
export class FrameReader {
  id = 0
  flag = 0
  length = 0
  /** Bytes of the current body that have not been handed out. */
  left = 0
  body: Uint8Array = NOTHING
  refusal: string | undefined

  #skipping = false
  #chunk: Uint8Array = NOTHING
  #at = 0
  /** Which varint is being read: the header's first, or the length. */
  #inLength = false
  #value = 0
  #unit = 1
  #bytes = 0

  /** Whether the bytes so far end between two messages. */
  get atBoundary(): boolean {
    return this.left === 0 && this.#bytes === 0 && !this.#inLength
  }

  /** The next bytes of the connection; what was pushed before must have been read. */
  push(bytes: Uint8Array): void {
    this.#chunk = bytes
    this.#at = 0
  }

  /** Drops what is left of the current body. */
  skip(): void {
    this.#skipping = true
  }

  next(): 'header' | 'body' | 'refused' | undefined {
    if (this.refusal !== undefined) return 'refused'
    if (this.left > 0) {
      const from = this.#at
      const size = Math.min(this.left, this.#chunk.length - from)
      if (size > 0) {
        this.left -= size
        this.#at += size
        if (!this.#skipping) {
          this.body = this.#chunk.subarray(from, this.#at)
          return 'body'
        }
      }
      if (this.left > 0) return this.#starve()
    }
    return this.#readHeader()
  }

  #readHeader(): 'header' | 'refused' | undefined {
    const chunk = this.#chunk
    while (this.#at < chunk.length) {
      const byte = chunk[this.#at++] as number
      this.#value += (byte & 0x7f) * this.#unit
      this.#unit *= 0x80
      this.#bytes++
      if (byte >= 0x80) {
        if (this.#bytes === VARINT_MAX_BYTES) return this.#refuse(`mplex varint of over ${VARINT_MAX_BYTES} bytes`)
        continue
      }
      if (byte === 0 && this.#bytes > 1) return this.#refuse('mplex varint that is longer than it need be')
      const value = this.#value
      this.#value = 0
      this.#unit = 1
      this.#bytes = 0
      if (!this.#inLength) {
        if (value > Number.MAX_SAFE_INTEGER) return this.#refuse('mplex stream id of over 50 bits')
        this.flag = value % 8
        this.id = Math.floor(value / 8)
        if (this.flag === 7) return this.#refuse('mplex message with flag 7, which means nothing')
        this.#inLength = true
        continue
      }
      if (value > MPLEX_MAX_MESSAGE) return this.#refuse(`mplex message of ${value} bytes`)
      this.#inLength = false
      this.#skipping = false
      this.length = value
      this.left = value
      return 'header'
    }
    return this.#starve()
  }

  #refuse(what: string): 'refused' {
    this.refusal = what
    this.#starve()
    return 'refused'
  }

  /** Lets go of the chunk: it is read, and its buffer should not live until the next one comes. */
  #starve(): undefined {
    this.#chunk = NOTHING
    this.#at = 0
    return undefined
  }
}

/** Headers of messages without a body, one behind the other in one buffer, so that they leave as one chunk. */
export class ControlQueue {
  #bytes = new Uint8Array(64)
  /** Bytes queued. */
  size = 0

  push(id: number, flag: number): void {
    if (this.size + MAX_HEADER > this.#bytes.length) {
      const larger = new Uint8Array(this.#bytes.length * 2)
      larger.set(this.#bytes)
      this.#bytes = larger
    }
    this.size = putHeader(this.#bytes, this.size, id, flag, 0)
  }

  /** All of them, as bytes of their own. */
  take(): Uint8Array {
    const taken = this.#bytes.slice(0, this.size)
    this.clear()
    return taken
  }

  clear(): void {
    this.size = 0
    // A flood leaves no large buffer behind.
    if (this.#bytes.length > 1_024) this.#bytes = new Uint8Array(64)
  }
}
