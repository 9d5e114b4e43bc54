/**
 * Splice: two channels tied together, so that what one brings the other takes, both ways, until both are over.
 *
 *   a ──onData──▶ [queue] ──write──▶ b        each way by itself:
 *   a ◀──write── [queue] ◀──onData── b        flowing ── a ends ──▶ draining ── queue empty ──▶ b ended
 *
 * Bytes are released to the side they came from only once the other side has taken them, so a slow reader slows its
 * writer down and nobody else. A reset on one side resets the other, and what is queued is dropped.
 *
 * Bounds: a queue holds at most the receive window of the channel it came from. Bytes are limited for each direction
 * (specs: relay/circuit-v2.md, `Limit.data`); time is limited by the caller through the returned `abort`.
 */

import { TabmeshError } from '../../errors.ts'
import { ByteQueue } from '../codec/byte-queue.ts'
import type { Channel, Sink } from './channel.ts'

/** Where a splice counts what it carries; many may share one. */
export interface Meter {
  bytes: number
}

export interface SpliceOptions {
  readonly meter?: Meter
  /** Bytes that may pass in each direction; unlimited if absent. */
  readonly limit?: number
  /** Called once, when both channels are over. */
  done?(): void
}

/** Ties `a` and `b`; both must have no reader. Returns a function that resets both. */
export const splice = (a: Channel, b: Channel, options: SpliceOptions = {}): ((fault: TabmeshError) => void) => {
  let open = 2
  const abort = (fault: TabmeshError): void => {
    toB.abandon()
    toA.abandon()
    a.abort(fault)
    b.abort(fault)
  }
  const closed = (): void => {
    open -= 1
    if (open === 0) options.done?.()
  }
  const toB = new Way(a, b, options, abort)
  const toA = new Way(b, a, options, abort)
  a.attach(new End(toB, toA, abort, closed))
  b.attach(new End(toA, toB, abort, closed))
  // What `a` had in store was written before `b` had a reader to hear of its drain.
  toB.flow()
  return abort
}

/** One direction: from a channel to the other. */
class Way {
  readonly #from: Channel
  readonly #to: Channel
  readonly #meter: Meter | undefined
  readonly #abort: (fault: TabmeshError) => void
  readonly #queue = new ByteQueue()
  /** Bytes that may still pass. */
  #left: number
  #ended = false
  #over = false

  constructor(from: Channel, to: Channel, { meter, limit }: SpliceOptions, abort: (fault: TabmeshError) => void) {
    this.#from = from
    this.#to = to
    this.#meter = meter
    this.#left = limit ?? Number.POSITIVE_INFINITY
    this.#abort = abort
  }

  push(bytes: Uint8Array): void {
    if (this.#over) return
    this.#left -= bytes.length
    if (this.#left < 0)
      return this.#abort(new TabmeshError('ERR_LIMITED_CONNECTION', 'the circuit has carried as much as its relay allows'))
    if (this.#queue.size > 0 || this.#to.credit <= 0) this.#queue.push(bytes)
    else this.#pass(bytes)
  }

  /** The other side takes bytes again. */
  flow(): void {
    while (!this.#over && this.#queue.size > 0 && this.#to.credit > 0) this.#pass(this.#queue.shift() as Uint8Array)
    this.#endWhenEmpty()
  }

  end(): void {
    this.#ended = true
    this.#endWhenEmpty()
  }

  /** Nothing passes any more. */
  abandon(): void {
    this.#over = true
    this.#queue.clear()
  }

  #endWhenEmpty(): void {
    if (!this.#ended || this.#over || this.#queue.size > 0) return
    this.#over = true
    this.#to.end()
  }

  #pass(bytes: Uint8Array): void {
    // The receiver owns what is written: count before it goes.
    const { length } = bytes
    if (this.#meter !== undefined) this.#meter.bytes += length
    this.#to.write(bytes)
    this.#from.release(length)
  }
}

/** The reader of one of the two channels. */
class End implements Sink {
  readonly #out: Way
  readonly #in: Way
  readonly #abort: (fault: TabmeshError) => void
  readonly #closed: () => void

  constructor(out: Way, into: Way, abort: (fault: TabmeshError) => void, closed: () => void) {
    this.#out = out
    this.#in = into
    this.#abort = abort
    this.#closed = closed
  }

  onData(bytes: Uint8Array): void {
    this.#out.push(bytes)
  }

  onDrain(): void {
    this.#in.flow()
  }

  onEnd(): void {
    this.#out.end()
  }

  onClose(fault?: TabmeshError): void {
    this.#closed()
    if (fault === undefined) this.#out.end()
    else this.#abort(fault)
  }
}
