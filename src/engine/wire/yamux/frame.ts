/**
 * Frames of yamux 1.0 (specs: yamux/README.md "Framing"): a 12-byte header, big-endian, and for data frames a body.
 *
 *    0         1        2          4            8          12
 *   ┌─────────┬────────┬──────────┬────────────┬───────────┐
 *   │ version │  type  │  flags   │ stream id  │  length   │ body, `length` bytes, of data frames only
 *   └─────────┴────────┴──────────┴────────────┴───────────┘
 *
 * Bounds. The reader keeps at most 11 bytes, of a header that came in parts. Bodies pass through as views of what came
 * in, as they come: a whole body is never waited for and never copied.
 */

import { YAMUX_MAX_WINDOW } from '../../limits.ts'

/** Bytes of a header. */
export const HEADER = 12

// "Type Field"
export const DATA = 0
export const WINDOW_UPDATE = 1
export const PING = 2
export const GO_AWAY = 3

// "Flag Field"
export const SYN = 1
export const ACK = 2
export const FIN = 4
export const RST = 8

/** Stream ids, windows and codes are 32 bits wide. */
export const UINT32_MAX = 0xffff_ffff

/** Writes a header into `out` at `at`. */
export const putHeader = (out: Uint8Array, at: number, type: number, flags: number, id: number, length: number): void => {
  out[at] = 0
  out[at + 1] = type
  out[at + 2] = flags >>> 8
  out[at + 3] = flags
  out[at + 4] = id >>> 24
  out[at + 5] = id >>> 16
  out[at + 6] = id >>> 8
  out[at + 7] = id
  out[at + 8] = length >>> 24
  out[at + 9] = length >>> 16
  out[at + 10] = length >>> 8
  out[at + 11] = length
}

const uint32 = (bytes: Uint8Array, at: number): number =>
  (((bytes[at] as number) << 24) | ((bytes[at + 1] as number) << 16) | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number)) >>> 0

const NOTHING = new Uint8Array(0)

/**
 * Takes the bytes of a connection apart, however they are cut.
 *
 *   push(bytes), then next() until undefined:
 *     'header'   the fields hold a frame's header; `left` is what its body has still to come
 *     'body'     `body` is the next part of that body, `left` what follows it
 *     'refused'  the remote broke the framing, `refusal` says how; nothing is read any more
 *
 * The fields stand for the frame in progress and change with the next call: one reader, no object per frame.
 */
export class FrameReader {
  type = 0
  flags = 0
  id = 0
  length = 0
  /** Bytes of the current body that have not been handed out. */
  left = 0
  body: Uint8Array = NOTHING
  refusal: string | undefined

  #skipping = false
  #chunk: Uint8Array = NOTHING
  #at = 0
  readonly #part = new Uint8Array(HEADER)
  #partSize = 0

  /** Whether the bytes so far end between two frames. */
  get atBoundary(): boolean {
    return this.left === 0 && this.#partSize === 0
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
      const size = Math.min(this.left, this.#chunk.length - this.#at)
      if (size > 0) {
        const from = this.#at
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
    const here = this.#chunk.length - this.#at
    if (this.#partSize === 0 && here >= HEADER) {
      this.#at += HEADER
      return this.#parse(this.#chunk, this.#at - HEADER)
    }
    const size = Math.min(HEADER - this.#partSize, here)
    for (let i = 0; i < size; i++) this.#part[this.#partSize + i] = this.#chunk[this.#at + i] as number
    this.#at += size
    this.#partSize += size
    if (this.#partSize < HEADER) return this.#starve()
    this.#partSize = 0
    return this.#parse(this.#part, 0)
  }

  /** Lets go of the chunk: it is read, and its buffer should not live until the next one comes. */
  #starve(): undefined {
    this.#chunk = NOTHING
    this.#at = 0
    return undefined
  }

  #parse(bytes: Uint8Array, at: number): 'header' | 'refused' {
    this.type = bytes[at + 1] as number
    this.flags = ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number)
    this.id = uint32(bytes, at + 4)
    this.length = uint32(bytes, at + 8)
    this.#skipping = false
    const refusal = this.#check(bytes[at] as number)
    if (refusal === undefined) {
      this.left = this.type === DATA ? this.length : 0
      return 'header'
    }
    this.refusal = refusal
    this.#starve()
    return 'refused'
  }

  /** What is wrong with any header, whatever the state of its stream. */
  #check(version: number): string | undefined {
    if (version !== 0) return `yamux version ${version}`
    if (this.type > GO_AWAY) return `yamux frame of unknown type ${this.type}`
    if (this.type <= WINDOW_UPDATE && this.id === 0) return 'yamux stream frame on the id of the session'
    if (this.type >= PING && this.id !== 0) return 'yamux session frame on the id of a stream'
    // No window is ever larger, so no body may be, not even one that is dropped.
    if (this.type === DATA && this.length > YAMUX_MAX_WINDOW) return `yamux body of ${this.length} bytes`
    return undefined
  }
}

/** Headers that wait to go out, one behind the other in one buffer, so that they leave as one chunk. */
export class HeaderQueue {
  #bytes = new Uint8Array(16 * HEADER)
  #size = 0

  /** Bytes queued. */
  get size(): number {
    return this.#size
  }

  push(type: number, flags: number, id: number, length: number): void {
    if (this.#size === this.#bytes.length) {
      const larger = new Uint8Array(this.#bytes.length * 2)
      larger.set(this.#bytes)
      this.#bytes = larger
    }
    putHeader(this.#bytes, this.#size, type, flags, id, length)
    this.#size += HEADER
  }

  /** All of them, as bytes of their own. */
  take(): Uint8Array {
    const taken = this.#bytes.slice(0, this.#size)
    this.clear()
    return taken
  }

  clear(): void {
    this.#size = 0
    // A flood leaves no large buffer behind.
    if (this.#bytes.length > 256 * HEADER) this.#bytes = new Uint8Array(16 * HEADER)
  }
}
