/**
 * What one stream has to send: chunks in order, cut only where a frame ends, never copied.
 *
 * Bounds: those of the channel in front of it, which takes YAMUX_SEND_QUEUE bytes and one write.
 */

export class SendQueue {
  /** Bytes queued. */
  bytes = 0
  #chunks: Uint8Array[] = []
  #head = 0

  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return
    this.#chunks.push(chunk)
    this.bytes += chunk.length
  }

  /** Moves exactly `count` bytes, which must be there, to the end of `into`. */
  move(count: number, into: Uint8Array[]): void {
    this.bytes -= count
    while (count > 0) {
      const chunk = this.#chunks[this.#head] as Uint8Array
      if (chunk.length > count) {
        into.push(chunk.subarray(0, count))
        this.#chunks[this.#head] = chunk.subarray(count)
        return
      }
      into.push(chunk)
      count -= chunk.length
      this.#head++
    }
    if (this.bytes === 0) this.clear()
    else if (this.#head >= 64 && this.#head * 2 > this.#chunks.length) {
      this.#chunks.splice(0, this.#head)
      this.#head = 0
    }
  }

  clear(): void {
    this.bytes = 0
    if (this.#chunks.length > 0) this.#chunks = []
    this.#head = 0
  }
}
