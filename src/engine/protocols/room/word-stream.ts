/**
 * A stream of words about one room: framed, sealed and numbered, one direction for each half.
 *
 * Sending: what the stream has no credit for waits in a queue; `drained` tells when that is empty. Receiving: bytes are released when they have been
 * taken in, and not while `hold` says that there is nowhere to put them.
 *
 * Bounds: ROOM_MAX_FRAME for a word; what waits to be written is for the owner to limit, by `waiting`.
 */

import { asTabmeshError, remoteFault, type TabmeshError } from '../../../errors.ts'
import { frame } from '../../codec/varint.ts'
import { ROOM_MAX_FRAME } from '../../limits.ts'
import type { Stream } from '../../net/stream.ts'
import { FrameReader } from '../../wire/frame.ts'
import type { Seal } from './seal.ts'

/** The writing half. */
export class WordWriter {
  readonly #stream: Stream
  readonly #seal: Seal
  #number = 0
  #queue: Uint8Array[] = []
  #ending = false
  /** Bytes that wait for credit. */
  waiting = 0

  constructor(stream: Stream, seal: Seal) {
    this.#stream = stream
    this.#seal = seal
  }

  get ready(): boolean {
    return this.waiting === 0 && this.#stream.credit > 0
  }

  /** In the open: the preamble. */
  open(bytes: Uint8Array): void {
    this.#put(frame(bytes))
  }

  write(word: Uint8Array): void {
    this.#put(frame(this.#seal.seal(this.#number++, word)))
  }

  flush(): void {
    while (this.#queue.length > 0 && this.#stream.credit > 0) {
      const bytes = this.#queue.shift() as Uint8Array
      this.waiting -= bytes.length
      this.#stream.write(bytes)
    }
    if (this.#ending && this.#queue.length === 0) this.#stream.end()
  }

  /** Behind what waits. */
  end(): void {
    this.#ending = true
    this.flush()
  }

  #put(bytes: Uint8Array): void {
    if (this.#queue.length === 0 && this.#stream.credit > 0) return this.#stream.write(bytes)
    this.waiting += bytes.length
    this.#queue.push(bytes)
  }
}

/** The reading half: bytes in, words out. Throws what the stream is aborted with. */
export class WordReader {
  readonly #frames: FrameReader
  #seal: Seal | undefined
  #number = 0

  /** `seal` where there is no preamble in this direction. */
  constructor(seal?: Seal, max = ROOM_MAX_FRAME) {
    this.#frames = new FrameReader(max)
    this.#seal = seal
  }

  /** `preamble` hears the first frame of a stream that has one, and says how the rest is sealed. */
  push(bytes: Uint8Array, word: (plain: Uint8Array) => void, preamble?: (bytes: Uint8Array) => Seal): void {
    for (const each of this.#frames.push(bytes)) {
      if (this.#seal === undefined) {
        if (preamble === undefined) return
        this.#seal = preamble(each)
        continue
      }
      const plain = this.#seal.open(this.#number++, each)
      if (plain === undefined) throw remoteFault('ERR_PROTOCOL', 'a word that is not sealed with the key of the room')
      word(plain)
    }
  }
}

/** Runs what reads a stream; what it throws aborts the stream, and is returned. */
export const guarded = (stream: Stream, run: () => void): TabmeshError | undefined => {
  try {
    run()
    return undefined
  } catch (error) {
    const fault = asTabmeshError(error, 'ERR_INTERNAL', stream.protocol)
    stream.abort(fault)
    return fault
  }
}
