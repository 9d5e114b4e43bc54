/**
 * Writes a protobuf message by its layout, from the end to the front: every length is known by the time it is to be
 * written, and text is encoded once.
 */

import { TabmeshError } from '../../errors.ts'
import { utf8Length, writeUtf8 } from './bytes.ts'
import type { Layout, Plain, Slot } from './protobuf-layout.ts'
import { BOOL, BYTES, FIXED64, MESSAGE, STRING, UINT, UINT64, wireTypes } from './protobuf-layout.ts'
import { varintLength, writeVarint } from './varint.ts'

/** Kept between messages so that a small one costs a single allocation. */
let scratch = new Uint8Array(1024)
/** Room is not kept beyond this. */
const SCRATCH_MAX = 65_536

export class Writer {
  #bytes = scratch
  #at = scratch.length

  get length(): number {
    return this.#bytes.length - this.#at
  }

  take(): Uint8Array {
    if (this.#bytes.length <= SCRATCH_MAX) scratch = this.#bytes
    return this.#bytes.slice(this.#at)
  }

  message(layout: Layout, value: object): void {
    for (const slot of layout.slots) {
      const item = (value as Plain)[slot.name]
      if (item === undefined) continue
      if (slot.max === undefined) this.#field(slot, item)
      else for (let i = (item as unknown[]).length - 1; i >= 0; i--) this.#field(slot, (item as unknown[])[i])
    }
  }

  uint(n: number): void {
    if (!Number.isSafeInteger(n) || n < 0) throw new TabmeshError('ERR_INVALID_ARGUMENT', `${n} does not fit an unsigned field`)
    // First the room: making it may replace the bytes.
    const at = this.#room(varintLength(n))
    writeVarint(n, this.#bytes, at)
  }

  #field({ kind, number, layout }: Slot, item: unknown): void {
    switch (kind) {
      case UINT:
        this.uint(item as number)
        break
      case UINT64:
        this.#uint64(item as bigint)
        break
      case BOOL:
        this.uint(item === true ? 1 : 0)
        break
      case FIXED64: {
        const at = this.#room(8)
        new DataView(this.#bytes.buffer).setBigUint64(at, item as bigint, true)
        break
      }
      case BYTES: {
        const { length } = item as Uint8Array
        const at = this.#room(length)
        this.#bytes.set(item as Uint8Array, at)
        this.uint(length)
        break
      }
      case STRING: {
        const length = utf8Length(item as string)
        const at = this.#room(length)
        writeUtf8(item as string, this.#bytes, at)
        this.uint(length)
        break
      }
      case MESSAGE: {
        const before = this.length
        this.message(layout as Layout, item as object)
        this.uint(this.length - before)
      }
    }
    this.uint(number * 8 + wireTypes[kind])
  }

  #uint64(n: bigint): void {
    if (n <= Number.MAX_SAFE_INTEGER) return this.uint(Number(n))
    if (BigInt.asUintN(64, n) !== n) throw new TabmeshError('ERR_INVALID_ARGUMENT', `${n} does not fit 64 bits`)
    let rest = n
    const groups: number[] = []
    for (; rest >= 0x80n; rest >>= 7n) groups.push(Number(rest & 0x7fn) | 0x80)
    groups.push(Number(rest))
    const at = this.#room(groups.length)
    this.#bytes.set(groups, at)
  }

  /** Makes room for `count` bytes in front of what is written and returns where they go. */
  #room(count: number): number {
    if (count > this.#at) {
      const { length } = this
      const larger = new Uint8Array(Math.max(this.#bytes.length * 2, count + length))
      larger.set(this.#bytes.subarray(this.#at), larger.length - length)
      this.#bytes = larger
      this.#at = larger.length - length
    }
    this.#at -= count
    return this.#at
  }
}
