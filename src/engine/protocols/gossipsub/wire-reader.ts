/**
 * Walks over the fields of a protobuf message without making objects of them: pubsub's messages come by the ten thousand, and most are
 * duplicates of which only the id is looked at. The rules are those of codec/protobuf.ts.
 *
 * Throws ERR_DECODE. Bounds: reads no byte twice, and none beyond the end it was given.
 */

import { remoteFault } from '../../../errors.ts'

const VARINT = 0
const I64 = 1
const LEN = 2
const I32 = 5

export class WireReader {
  bytes: Uint8Array
  at: number
  end: number
  /** Whether all varints since this was set were in their shortest form. */
  shortest = true

  constructor(bytes: Uint8Array, at = 0, end = bytes.length) {
    this.bytes = bytes
    this.at = at
    this.end = end
  }

  /** A varint that fits 32 bits, as tags and lengths do. */
  small(): number {
    const first = this.bytes[this.at] as number
    if (this.at < this.end && first < 0x80) {
      this.at += 1
      return first
    }
    const value = this.varint()
    if (value > 0xffff_ffff) throw this.fault('a length over 32 bits')
    return value
  }

  /** A varint; beyond 2^53 it is only near its value. */
  varint(): number {
    let value = 0
    let unit = 1
    for (let group = 0; group < 10; group++) {
      if (this.at >= this.end) throw this.fault('a varint that is cut short')
      const byte = this.bytes[this.at++] as number
      value += (byte & 0x7f) * unit
      if (byte < 0x80) {
        if (byte === 0 && group > 0) this.shortest = false
        return value
      }
      unit *= 0x80
    }
    throw this.fault('a varint over 64 bits')
  }

  /** Goes into a length-delimited field: returns where it ends. */
  length(): number {
    const length = this.small()
    if (length > this.end - this.at) throw this.fault(`${length} bytes where ${this.end - this.at} are left`)
    return this.at + length
  }

  skip(tag: number): void {
    if (tag < 8) throw this.fault('a field of an impossible number')
    const wireType = tag & 7
    if (wireType === VARINT) this.varint()
    else if (wireType === LEN) this.at = this.length()
    else if (wireType === I64 || wireType === I32) {
      this.at += wireType === I64 ? 8 : 4
      if (this.at > this.end) throw this.fault('a fixed value that is cut short')
    } else throw this.fault(`a field of wire type ${wireType}`)
  }

  fault(what: string) {
    return remoteFault('ERR_DECODE', `pubsub RPC with ${what} at byte ${this.at}`)
  }
}
