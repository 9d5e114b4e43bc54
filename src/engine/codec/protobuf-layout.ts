/**
 * What a declared protobuf message comes down to: the kinds of fields, their wire types, and the table that the
 * reader and the writer work from. Declarations and rules: protobuf.ts.
 */

// What a field holds. The wire type follows: see `wireTypes`.
export const UINT = 0
export const UINT64 = 1
export const BOOL = 2
export const FIXED64 = 3
export const BYTES = 4
export const STRING = 5
export const MESSAGE = 6
export type Kind = typeof UINT | typeof UINT64 | typeof BOOL | typeof FIXED64 | typeof BYTES | typeof STRING | typeof MESSAGE

export const VARINT = 0
export const I64 = 1
export const LEN = 2
export const I32 = 5
export const wireTypes = [VARINT, VARINT, VARINT, I64, LEN, LEN, LEN] as const

export interface Slot {
  readonly name: string
  readonly number: number
  readonly kind: Kind
  readonly layout: Layout | undefined
  /** Undefined for a field that is not repeated. */
  readonly max: number | undefined
}

export type Plain = Record<string, unknown>

export interface Layout {
  /** By falling number: the writer works from the end. */
  readonly slots: readonly Slot[]
  readonly byNumber: ReadonlyMap<number, Slot>
  /** A message of no fields, to be copied: all messages of a kind then have one shape, which engines are quick with. */
  readonly empty: Plain
}

export const none: readonly unknown[] = Object.freeze([])
