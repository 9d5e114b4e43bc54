/**
 * Ring: streams with something to send, in turn; linked through the streams themselves, so that a turn allocates nothing. mplex has one too.
 */

export interface InRing<S> {
  /** Whether it has something for the wire when its turn comes. */
  readonly ready: boolean
  inRing: boolean
  next: S | undefined
}

export class Ring<S extends InRing<S>> {
  #first: S | undefined
  #last: S | undefined

  /** Appends the stream if it is ready and not in it yet. */
  add(stream: S): void {
    if (stream.inRing || !stream.ready) return
    stream.inRing = true
    if (this.#last === undefined) this.#first = stream
    else this.#last.next = stream
    this.#last = stream
  }

  /** The next stream that is ready, taken out. */
  take(): S | undefined {
    for (;;) {
      const stream = this.#first
      if (stream === undefined) return undefined
      this.#first = stream.next
      if (this.#first === undefined) this.#last = undefined
      stream.next = undefined
      stream.inRing = false
      if (stream.ready) return stream
    }
  }

  clear(): void {
    while (this.take() !== undefined);
  }
}
