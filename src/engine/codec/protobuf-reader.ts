/**
 * Reads a protobuf message by its layout, in one pass over the bytes, without copying. Rules and bounds: protobuf.ts.
 */

import type { TabmeshError } from '../../errors.ts'
import { remoteFault } from '../../errors.ts'
import { fromUtf8 } from './bytes.ts'
import type { Layout, Plain, Slot } from './protobuf-layout.ts'
import { BOOL, BYTES, FIXED64, I32, I64, LEN, none, STRING, UINT, UINT64, VARINT, wireTypes } from './protobuf-layout.ts'

/** Low groups of a varint that a number holds exactly: 7 × 7 bits; three more groups make 64 and over. */
const LOW_GROUPS = 7
const HIGH_UNIT = 2 ** 49

export class Reader {
  readonly #bytes: Uint8Array
  #at = 0
  /** Bits 49 and up of the varint read last. */
  #high = 0

  constructor(input: Uint8Array) {
    this.#bytes = input
  }

  message(layout: Layout, end: number): Plain {
    const value = { ...layout.empty }
    while (this.#at < end) {
      const tag = this.#uint(end)
      const number = Math.floor(tag / 8)
      const wireType = tag % 8
      // Encoding §Message structure: field numbers have 29 bits.
      if (number === 0 || tag > 0xffff_ffff) throw this.#fault('a field of an impossible number')
      const slot = layout.byNumber.get(number)
      if (slot === undefined) {
        this.#skip(wireType, end)
        continue
      }
      if (wireType !== wireTypes[slot.kind]) throw this.#fault(`field ${number} of wire type ${wireType}`)
      const item = this.#value(slot, end)
      if (slot.max === undefined) value[slot.name] = item
      else {
        const items = value[slot.name] as unknown[]
        if (items === none) value[slot.name] = [item]
        else if (items.push(item) > slot.max) throw this.#fault(`field ${number} comes more than ${slot.max} times`)
      }
    }
    return value
  }

  #value(slot: Slot, end: number): unknown {
    switch (slot.kind) {
      case UINT:
        return this.#uint(end)
      case UINT64: {
        const low = this.#varint(end)
        return this.#high === 0 ? BigInt(low) : BigInt(low) + BigInt(this.#high) * BigInt(HIGH_UNIT)
      }
      case BOOL:
        return this.#varint(end) + this.#high !== 0
      case FIXED64: {
        const at = this.#advance(8, end)
        const view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset + at, 8)
        return view.getBigUint64(0, true)
      }
    }
    const from = this.#advance(this.#uint(end), end)
    const to = this.#at
    if (slot.kind === BYTES) return this.#bytes.subarray(from, to)
    if (slot.kind === STRING) return fromUtf8(this.#bytes, from, to)
    this.#at = from
    return this.message(slot.layout as Layout, to)
  }

  #skip(wireType: number, end: number): void {
    if (wireType === VARINT) this.#varint(end)
    else if (wireType === LEN) this.#advance(this.#uint(end), end)
    else if (wireType === I64) this.#advance(8, end)
    else if (wireType === I32) this.#advance(4, end)
    else throw this.#fault(`a field of wire type ${wireType}`)
  }

  /** Goes `count` bytes on and returns where it was. */
  #advance(count: number, end: number): number {
    const from = this.#at
    if (count > end - from) throw this.#fault(`${count} bytes where ${end - from} are left`)
    this.#at = from + count
    return from
  }

  /** A varint as a number; over 2^53 − 1 is a fault. */
  #uint(end: number): number {
    const low = this.#varint(end)
    if (this.#high === 0) return low
    const value = low + this.#high * HIGH_UNIT
    if (value > Number.MAX_SAFE_INTEGER) throw this.#fault('a number over 2^53 - 1')
    return value
  }

  /** The low 49 bits of a varint; the others are left in `#high`. */
  #varint(end: number): number {
    const input = this.#bytes
    let low = 0
    let high = 0
    let unit = 1
    for (let group = 0; this.#at < end; group++) {
      const byte = input[this.#at++] as number
      if (group === LOW_GROUPS) unit = 1
      if (group < LOW_GROUPS) low += (byte & 0x7f) * unit
      else high += (byte & 0x7f) * unit
      unit *= 0x80
      // The tenth byte holds bit 63 alone, and ends.
      if (group === 9 && byte > 1) throw this.#fault('a varint over 64 bits')
      if (byte < 0x80) {
        this.#high = high
        return low
      }
    }
    throw this.#fault('a varint that is cut short')
  }

  #fault(what: string): TabmeshError {
    return remoteFault('ERR_DECODE', `protobuf with ${what} at byte ${this.#at}`)
  }
}
