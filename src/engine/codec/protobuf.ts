/**
 * Protocol buffers, as much of them as libp2p uses: https://protobuf.dev/programming-guides/encoding/
 *
 * A message is declared once and gives the types, the encoder and the decoder:
 *
 *   const Peer = message({ id: bytes(1), addresses: repeated(bytes(2), 500) })
 *   const Status = message({ type: uint(1), peer: nested(2, Peer), expire: uint64(3) })
 *   type Status = Of<typeof Status>        // { type: number | undefined, peer: { id…, addresses… } | undefined, expire: bigint | undefined }
 *
 * Presence is kept: a field that is absent decodes to undefined and a field that is set is written, be it 0, which is
 * what peers with `required` fields ask for. Repeated fields decode to an array, empty at least. Unknown fields are skipped;
 * of a field that comes twice the last one counts. Fields are written in the order of their numbers.
 *
 * Decoded `bytes` are views of the input: copy what is kept for long. Every fault throws ERR_DECODE and tells the byte:
 * a cut, a length past the end of what holds it, field number 0, groups, another wire type than declared, text that is
 * not UTF-8, a varint over ten bytes or 64 bits (longer forms than needed are allowed here, unlike in varint.ts).
 *
 * Bounds. Decoding takes memory in proportion to the input: a repeated field has a greatest count, and messages nest
 * as deep as they are declared.
 */

import type { Kind, Layout, Plain, Slot } from './protobuf-layout.ts'
import { BOOL, BYTES, FIXED64, MESSAGE, none, STRING, UINT, UINT64 } from './protobuf-layout.ts'
import { Reader } from './protobuf-reader.ts'
import { Writer } from './protobuf-writer.ts'

/** One field; `D` is what it decodes to and `E` what it encodes from. */
export interface Field<D, E = D> {
  readonly number: number
  readonly kind: Kind
  readonly layout?: Layout
  readonly '~types'?: [D, E]
}

export interface Repeated<D, E = D> extends Field<D, E> {
  readonly max: number
}

/** A number: a varint up to 2^53 − 1; enums too. */
export const uint = (number: number): Field<number> => ({ number, kind: UINT })
/** A bigint: a varint of 64 bits. */
export const uint64 = (number: number): Field<bigint> => ({ number, kind: UINT64 })
export const bool = (number: number): Field<boolean> => ({ number, kind: BOOL })
/** A bigint: eight bytes, little-endian. */
export const fixed64 = (number: number): Field<bigint> => ({ number, kind: FIXED64 })
export const bytes = (number: number): Field<Uint8Array> => ({ number, kind: BYTES })
export const string = (number: number): Field<string> => ({ number, kind: STRING })
export const nested = <D, E>(number: number, { layout }: Message<D, E>): Field<D, E> => ({ number, kind: MESSAGE, layout })
/** At most `max` of them; one more is a fault. */
export const repeated = <D, E>(field: Field<D, E>, max: number): Repeated<D, E> => ({ ...field, max })

type Fields = Record<string, Field<unknown> | Repeated<unknown>>
type Decoded<F> = {
  [K in keyof F]: F[K] extends Repeated<infer D, unknown> ? readonly D[] : F[K] extends Field<infer D, unknown> ? D | undefined : never
}
type Encodable<F> = {
  readonly [K in keyof F]?:
    | (F[K] extends Repeated<unknown, infer E> ? readonly E[] : F[K] extends Field<unknown, infer E> ? E : never)
    | undefined
}

export interface Message<D, E = D> {
  encode(value: E): Uint8Array
  /** The encoding behind its length as an unsigned varint, without copying it again. */
  frame(value: E): Uint8Array
  /** Throws ERR_DECODE. */
  decode(bytes: Uint8Array): D
  readonly layout: Layout
}

/** What a message decodes to. */
export type Of<M> = M extends Message<infer D, unknown> ? D : never

export const message = <F extends Fields>(fields: F): Message<Decoded<F>, Encodable<F>> => {
  const slots: Slot[] = []
  const empty: Plain = {}
  for (const [name, field] of Object.entries(fields)) {
    const max = 'max' in field ? field.max : undefined
    slots.push({ name, number: field.number, kind: field.kind, layout: field.layout, max })
    empty[name] = max === undefined ? undefined : none
  }
  slots.sort((a, b) => b.number - a.number)
  const layout: Layout = { slots, byNumber: new Map(slots.map((slot) => [slot.number, slot])), empty }
  return {
    layout,
    encode(value) {
      const writer = new Writer()
      writer.message(layout, value)
      return writer.take()
    },
    frame(value) {
      const writer = new Writer()
      writer.message(layout, value)
      writer.uint(writer.length)
      return writer.take()
    },
    decode: (input) => new Reader(input).message(layout, input.length) as Decoded<F>,
  }
}
