/**
 * Frames: a protobuf message behind its unsigned varint length, the envelope of almost every libp2p protocol.
 *
 * `readFrame` and `writeFrame` are for conversations; `FrameReader` is for streams on which frames keep coming.
 * Bounds: the caller's `max` is checked before a byte of the body is kept.
 */

import { remoteFault } from '../../errors.ts'
import { concat } from '../codec/bytes.ts'
import { frame, readVarint } from '../codec/varint.ts'
import { type Conversation, read } from './conversation.ts'

/** One frame of at most `max` bytes; undefined where the stream ended before it began. */
export function* readFrameOrEnd(max: number): Conversation<Uint8Array | undefined> {
  const first = (yield { t: 'readSome', max: 1 }) as Uint8Array
  if (first.length === 0) return undefined
  let prefix = first
  let length = readVarint(prefix, 0)
  while (length === undefined) {
    prefix = concat([prefix, yield* read(1)])
    length = readVarint(prefix, 0)
  }
  checkLength(length.value, max)
  return yield* read(length.value)
}

/** One frame of at most `max` bytes; the end of the stream in its place is a fault. */
export function* readFrame(max: number): Conversation<Uint8Array> {
  const body = yield* readFrameOrEnd(max)
  if (body === undefined) throw remoteFault('ERR_STREAM_CLOSED', 'the remote ended the stream where a message was due')
  return body
}

export function* writeFrame(body: Uint8Array): Conversation<void> {
  yield { t: 'write', bytes: frame(body) }
}

const checkLength = (length: number, max: number): void => {
  if (length > max) throw remoteFault('ERR_FRAME_TOO_LARGE', `a message of ${length} bytes where ${max} are allowed`)
}

/** Cuts a byte stream into frames. `push` throws the coded fault of a stream that can't be understood any more. */
export class FrameReader {
  readonly #max: number
  #kept: Uint8Array[] = []
  #size = 0
  /** Bytes that must be there before it is worth looking again. */
  #need = 1

  constructor(max: number) {
    this.#max = max
  }

  /** The frames that `bytes` completes, in order; views of `bytes` where they lie in one chunk. */
  push(bytes: Uint8Array): Uint8Array[] {
    this.#size += bytes.length
    if (this.#size < this.#need) {
      this.#kept.push(bytes)
      return []
    }
    const whole = this.#kept.length === 0 ? bytes : concat([...this.#kept, bytes], this.#size)
    const frames: Uint8Array[] = []
    let at = 0
    this.#need = 1
    while (at < whole.length) {
      const length = readVarint(whole, at)
      if (length === undefined) {
        this.#need = whole.length - at + 1
        break
      }
      checkLength(length.value, this.#max)
      const end = length.next + length.value
      if (end > whole.length) {
        this.#need = end - at
        break
      }
      frames.push(whole.subarray(length.next, end))
      at = end
    }
    this.#kept = at < whole.length ? [whole.subarray(at)] : []
    this.#size = whole.length - at
    return frames
  }
}
