/**
 * A queue of bytes that arrive in chunks and leave in chunks, or in exact amounts, copied as rarely as can be.
 *
 * Bounds. A remote chooses how small its chunks are: those under SMALL that have to wait are gathered, so that a queue of n
 * bytes takes some n bytes of memory and not n objects. Taking from the front costs the same however long the queue is.
 */

/** Below this a chunk is cheaper to copy than to keep as an object of its own. */
const SMALL = 512
/** Small chunks are gathered into buffers of this size. */
const GATHER = 4_096

export class ByteQueue {
  /** Bytes in the queue. */
  size = 0
  #chunks: Uint8Array[] = []
  #head = 0
  /** The buffer that the last chunk is the beginning of, while it takes more. */
  #gather: Uint8Array | undefined

  push(bytes: Uint8Array): void {
    if (bytes.length === 0) return
    const waiting = this.size > 0
    this.size += bytes.length
    if (bytes.length >= SMALL || !waiting) {
      this.#gather = undefined
      this.#chunks.push(bytes)
      return
    }
    const last = this.#chunks.length - 1
    const used = this.#gather === undefined ? 0 : (this.#chunks[last] as Uint8Array).length
    if (this.#gather !== undefined && used + bytes.length <= GATHER) {
      this.#gather.set(bytes, used)
      this.#chunks[last] = this.#gather.subarray(0, used + bytes.length)
      return
    }
    this.#gather = new Uint8Array(GATHER)
    this.#gather.set(bytes)
    this.#chunks.push(this.#gather.subarray(0, bytes.length))
  }

  /** Puts `bytes` back in front. */
  unshift(bytes: Uint8Array): void {
    if (bytes.length === 0) return
    this.size += bytes.length
    if (this.#head > 0) this.#chunks[--this.#head] = bytes
    else this.#chunks.unshift(bytes)
  }

  /** The chunk at the front, or undefined when there is nothing. */
  shift(): Uint8Array | undefined {
    const chunk = this.#chunks[this.#head]
    if (chunk === undefined) return undefined
    this.size -= chunk.length
    this.#advance()
    return chunk
  }

  /** Exactly `count` bytes, which must be there; a copy only where they straddle chunks. */
  take(count: number): Uint8Array {
    const first = this.#chunks[this.#head]
    if (first === undefined || count === 0) return new Uint8Array(0)
    if (first.length === count) return this.shift() as Uint8Array
    this.size -= count
    if (first.length > count) {
      this.#cut(first, count)
      return first.subarray(0, count)
    }
    const whole = new Uint8Array(count)
    let at = 0
    while (at < count) {
      const chunk = this.#chunks[this.#head] as Uint8Array
      const part = Math.min(chunk.length, count - at)
      whole.set(part === chunk.length ? chunk : chunk.subarray(0, part), at)
      at += part
      if (part === chunk.length) this.#advance()
      else this.#cut(chunk, part)
    }
    return whole
  }

  clear(): void {
    this.size = 0
    this.#chunks = []
    this.#head = 0
    this.#gather = undefined
  }

  #cut(chunk: Uint8Array, count: number): void {
    if (this.#head === this.#chunks.length - 1) this.#gather = undefined
    this.#chunks[this.#head] = chunk.subarray(count)
  }

  #advance(): void {
    this.#head += 1
    if (this.#head === this.#chunks.length) {
      this.#chunks = []
      this.#head = 0
      this.#gather = undefined
    } else if (this.#head >= 64 && this.#head * 2 > this.#chunks.length) {
      this.#chunks.splice(0, this.#head)
      this.#head = 0
    }
  }
}
