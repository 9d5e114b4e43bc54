/**
 * Lane: many small records across a MessagePort, both ways, as transferred batches.
 *
 *   messages: Batch (its buffer transferred) · number (batches that the other end is done with)
 *
 * What is written within one turn leaves together. While LANE_WINDOW batches are on their way, the next ones fill up: a slow reader gets
 * fewer and larger messages, not more of them. Texts that come again and again (topics, peer ids) are said once in a batch.
 *
 * Bounds: LANE_WINDOW batches of LANE_BATCH bytes on their way; what waits behind them, `waiting`, is for the writer to limit.
 */

import { utf8Length, writeUtf8 } from '../engine/codec/bytes.ts'
import { LANE_BATCH, LANE_WINDOW } from '../engine/limits.ts'

export interface Batch {
  /** Records, one after the other; the buffer may be longer. */
  readonly bytes: ArrayBuffer
  readonly length: number
  /** What the records name by number. */
  readonly texts: readonly string[]
}

type LaneMessage = Batch | number

/** The first buffer of a batch: most batches of a quiet lane are one record, those of a busy one are full, and a little more. */
const QUIET = 512
const BUSY = LANE_BATCH + 1_024

export class Lane {
  /** Bytes that are written and not on their way. */
  waiting = 0
  readonly #port: MessagePort
  readonly #onSpace: () => void
  #full: Batch[] = []
  #bytes = new Uint8Array(0)
  #view = new DataView(this.#bytes.buffer)
  #at = 0
  /** Of the next buffer. */
  #size = QUIET
  #texts: string[] = []
  #numbers = new Map<string, number>()
  #onTheirWay = 0
  #scheduled = false
  #closed = false

  /** `onSpace`: the other end is done with a batch, and more may be on its way. */
  constructor(port: MessagePort, onBatch: (batch: Batch) => void, onSpace: () => void = () => {}) {
    this.#port = port
    this.#onSpace = onSpace
    port.onmessage = ({ data }: MessageEvent<LaneMessage>) => {
      if (typeof data !== 'number') return onBatch(data)
      this.#onTheirWay -= data
      this.#flush()
      this.#onSpace()
    }
  }

  /** Whether what is written now leaves at the end of this turn. */
  get open(): boolean {
    return this.#onTheirWay < LANE_WINDOW
  }

  /** Begins a record of about `length` bytes beside its texts; it is sent with what follows. */
  begin(kind: number, length: number): void {
    if (this.#at >= LANE_BATCH) this.#finish()
    this.#room(length + 1)
    this.#bytes[this.#at++] = kind
    if (this.#scheduled) return
    this.#scheduled = true
    queueMicrotask(() => {
      this.#scheduled = false
      this.#flush()
    })
  }

  /** A whole record of a number, a text and bytes, at a stroke. */
  record(kind: number, value: number, text: string, bytes: Uint8Array): void {
    const { length } = bytes
    this.begin(kind, length + 12)
    const view = this.#view
    const at = this.#at
    view.setUint32(at, value)
    view.setUint32(at + 4, this.#numberOf(text))
    view.setUint32(at + 8, length)
    this.#bytes.set(bytes, at + 12)
    this.#move(length + 12)
  }

  u32(value: number): void {
    this.#room(4)
    this.#view.setUint32(this.#at, value)
    this.#move(4)
  }

  /** A text that is likely to come again. */
  text(text: string): void {
    this.u32(this.#numberOf(text))
  }

  #numberOf(text: string): number {
    let number = this.#numbers.get(text)
    if (number === undefined) {
      number = this.#texts.push(text) - 1
      this.#numbers.set(text, number)
    }
    return number
  }

  bytes(bytes: Uint8Array): void {
    this.u32(bytes.length)
    this.#room(bytes.length)
    this.#bytes.set(bytes, this.#at)
    this.#move(bytes.length)
  }

  /** Read as bytes. */
  utf8(text: string): void {
    const length = utf8Length(text)
    this.u32(length)
    this.#room(length)
    writeUtf8(text, this.#bytes, this.#at)
    this.#move(length)
  }

  /** One byte for each character; read as bytes. */
  latin1(text: string): void {
    const { length } = text
    this.u32(length)
    this.#room(length)
    for (let i = 0; i < length; i++) this.#bytes[this.#at + i] = text.charCodeAt(i)
    this.#move(length)
  }

  /** A batch that came has been dealt with. */
  done(): void {
    if (!this.#closed) this.#port.postMessage(1)
  }

  close(): void {
    this.#closed = true
    this.#port.onmessage = null
    this.#port.close()
  }

  #room(length: number): void {
    const needed = this.#at + length
    if (needed <= this.#bytes.length) return
    const bytes = new Uint8Array(Math.max(this.#size, needed, this.#bytes.length * 2))
    bytes.set(this.#bytes.subarray(0, this.#at))
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer)
  }

  #move(length: number): void {
    this.#at += length
    this.waiting += length
  }

  #finish(): void {
    if (this.#at === 0) return
    this.#full.push({ bytes: this.#bytes.buffer, length: this.#at, texts: this.#texts })
    this.#bytes = new Uint8Array(0)
    this.#size = this.#at >= LANE_BATCH ? BUSY : QUIET
    this.#at = 0
    this.#texts = []
    this.#numbers = new Map()
  }

  #flush(): void {
    while (!this.#closed && this.open) {
      if (this.#full.length === 0) this.#finish()
      const batch = this.#full.shift()
      if (batch === undefined) {
        this.waiting = 0
        return
      }
      this.#onTheirWay += 1
      this.waiting = Math.max(0, this.waiting - batch.length)
      this.#port.postMessage(batch, [batch.bytes])
    }
  }
}

/** Reads a batch, in the order in which it was written. */
export class Records {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #texts: readonly string[]
  #at = 0

  constructor({ bytes, length, texts }: Batch) {
    this.#bytes = new Uint8Array(bytes, 0, length)
    this.#view = new DataView(bytes)
    this.#texts = texts
  }

  get more(): boolean {
    return this.#at < this.#bytes.length
  }

  /** The kind of the next record. */
  next(): number {
    return this.#bytes[this.#at++] ?? 0
  }

  u32(): number {
    this.#at += 4
    return this.#view.getUint32(this.#at - 4)
  }

  text(): string {
    return this.#texts[this.u32()] ?? ''
  }

  /** A number that was written as eight bytes; undefined for any other bytes. */
  u64(): bigint | undefined {
    const length = this.u32()
    this.#at += length
    return length === 8 ? this.#view.getBigUint64(this.#at - 8) : undefined
  }

  /** Bytes in a buffer of their own. */
  copy(): Uint8Array {
    const bytes = this.bytes()
    // Takes half as long as `slice`.
    const copy = new Uint8Array(bytes.length)
    copy.set(bytes)
    return copy
  }

  /** A part of the batch's buffer. */
  bytes(): Uint8Array {
    const length = this.u32()
    this.#at += length
    return this.#bytes.subarray(this.#at - length, this.#at)
  }
}
