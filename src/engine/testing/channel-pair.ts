/**
 * Two channels that are each other's far end, in memory: what one writes the other is given.
 *
 * Nothing is delivered by itself, and nothing inside the call that caused it: deliveries queue up until `flush` runs them, one
 * after the other. A test thereby chooses when the network works. With a seed, chunks are cut and joined at random, as
 * networks do.
 *
 * Bounds. Each direction has a window: bytes written and not yet released are taken off the writer's `credit`.
 */

import { remoteFault, TabmeshError } from '../../errors.ts'
import { concat } from '../codec/bytes.ts'
import type { Channel, Sink } from '../wire/channel.ts'
import { Inlet } from '../wire/channel.ts'
import type { Prng } from './prng.ts'
import { prng } from './prng.ts'

export interface ChannelPairOptions {
  /** Bytes that a side may have on the way and unreleased; 256 KiB unless told. */
  readonly window?: number
  /** Cuts and joins chunks at random; absent, they arrive as they were written. */
  readonly seed?: number
}

export interface PairedChannel extends Channel {
  /** Delivers what is under way, in both directions, and what that brings about, until nothing is. */
  flush(): void
  /** Bytes written by this side in all. */
  readonly written: number
}

interface Pair {
  readonly window: number
  readonly random: Prng | undefined
  readonly ends: PairedEnd[]
  running: boolean
}

/** Chunks are cut and joined to at most this, so that a test of many bytes stays quick. */
const MAX_CHUNK = 100_000

export const channelPair = (options: ChannelPairOptions = {}): [PairedChannel, PairedChannel] => {
  const { window = 256 * 1024, seed } = options
  const pair: Pair = { window, random: seed === undefined ? undefined : prng(seed), ends: [], running: false }
  const near = new PairedEnd(pair)
  const far = new PairedEnd(pair)
  pair.ends.push(near, far)
  return [near, far]
}

class PairedEnd implements PairedChannel {
  readonly #pair: Pair
  readonly #inlet = new Inlet()
  written = 0
  /** Written by this side and not yet released by the other. */
  #unreleased = 0
  /** Delivered to this side and not yet released by it. */
  #unread = 0
  #ended = false
  #closed = false

  // On the way to this side.
  readonly #coming: Uint8Array[] = []
  #endComing = false
  #drainComing = false
  #closeComing: { fault: TabmeshError | undefined } | undefined

  constructor(pair: Pair) {
    this.#pair = pair
  }

  get #far(): PairedEnd {
    const [a, b] = this.#pair.ends as [PairedEnd, PairedEnd]
    return a === this ? b : a
  }

  get credit(): number {
    return this.#pair.window - this.#unreleased
  }

  write(bytes: Uint8Array): void {
    if (this.#ended || this.#closed || bytes.length === 0) return
    this.written += bytes.length
    this.#unreleased += bytes.length
    this.#far.#coming.push(bytes)
  }

  end(): void {
    if (this.#ended || this.#closed) return
    this.#ended = true
    this.#far.#endComing = true
  }

  abort(fault: TabmeshError): void {
    if (this.#closed) return
    const far = this.#far
    if (!far.#closed) far.#closeComing = { fault: remoteFault('ERR_STREAM_RESET', 'the other side aborted', fault) }
    this.#close(fault)
  }

  attach(sink: Sink): void {
    this.#inlet.attach(sink)
  }

  detach(rest?: Uint8Array): void {
    this.#inlet.detach(rest)
  }

  release(bytes: number): void {
    if (bytes > this.#unread) throw new TabmeshError('ERR_INTERNAL', `released ${bytes} bytes of ${this.#unread}`)
    this.#unread -= bytes
    const far = this.#far
    const stuck = far.credit <= 0
    far.#unreleased -= bytes
    if (stuck && far.credit > 0) far.#drainComing = true
  }

  flush(): void {
    const pair = this.#pair
    if (pair.running) return
    pair.running = true
    try {
      const [a, b] = pair.ends as [PairedEnd, PairedEnd]
      for (let moved = true; moved; ) moved = pair.random?.below(2) === 1 ? b.#deliver() || a.#deliver() : a.#deliver() || b.#deliver()
    } finally {
      pair.running = false
    }
  }

  #close(fault: TabmeshError | undefined): void {
    this.#closed = true
    this.#coming.length = 0
    this.#inlet.close(fault)
  }

  /** Delivers one thing; false when there was none. */
  #deliver(): boolean {
    if (this.#closed) return false
    if (this.#closeComing !== undefined) this.#close(this.#closeComing.fault)
    else if (this.#drainComing) {
      this.#drainComing = false
      this.#inlet.drain()
    } else if (this.#coming.length > 0) {
      const bytes = this.#nextChunk()
      this.#unread += bytes.length
      this.#inlet.push(bytes)
    } else if (this.#endComing) {
      this.#endComing = false
      this.#inlet.end()
    } else if (this.#ended && this.#inlet.ended) this.#close(undefined)
    else return false
    return true
  }

  #nextChunk(): Uint8Array {
    const { random } = this.#pair
    if (random === undefined) return this.#coming.shift() as Uint8Array
    // One byte every now and then, a few often, many mostly.
    const most = [1, 40, 3_000, MAX_CHUNK][random.below(4)] as number
    const parts: Uint8Array[] = []
    for (let left = 1 + random.below(most); left > 0; ) {
      const chunk = this.#coming.shift()
      if (chunk === undefined) break
      parts.push(chunk.subarray(0, left))
      if (chunk.length > left) this.#coming.unshift(chunk.subarray(left))
      left -= chunk.length
    }
    return concat(parts)
  }
}
