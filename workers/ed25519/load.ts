/**
 * The WebAssembly modules (assembly/) that check many Ed25519 signatures of the same few authors (RFC 8032 §5.1.7). With a table of multiples of
 * an author's key a signature takes some 6 µs with the one that needs a fused multiply-add, and some 16 with the other, where the browser's own
 * check, which knows nothing of the key beforehand, takes 50.
 *
 * What they say is right is right by the letter: R is compared byte for byte with what it has to be, as go does. They take no S from 2^252 on, of
 * which one in 2^127 is honest, and no key outside of the base point's group, of which none is: about those somebody else has to be asked.
 *
 * Compiled and instantiated when it is first wanted, which takes some 10 ms with the base point's table, and 1 to 2 ms for each table later.
 *
 * Bounds: TABLES authors of 512 KiB each, in one instance of 5 MiB that is touched as tables are made; BATCH signatures at a time; MAX_SIGNED bytes.
 */

import { ed25519 } from '@noble/curves/ed25519.js'
import { fusedModule } from './fused.generated.ts'
import { integerModule } from './integer.generated.ts'

/** What assembly/index.ts exports. */
export interface Ed25519Exports {
  readonly memory: { readonly buffer: ArrayBuffer }
  keyAddress(): number
  scalarAddress(): number
  textAddress(): number
  resultsAddress(): number
  makeTable(table: number): void
  vanishes(table: number): number
  begin(i: number, table: number, length: number): void
  finish(count: number): void
  noncesAddress(): number
  secretAddress(): number
  answersAddress(): number
  drawNonce(i: number, length: number): void
  commit(count: number): void
  answer(i: number, length: number): void
}

/** The little of WebAssembly's types that is used here. */
interface WebAssemblyApi {
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (module: object) => { readonly exports: unknown }
}

/** One signature to check. */
export interface Ed25519Signed {
  /** By which author: the number of the table. */
  readonly table: number
  readonly key: Uint8Array
  readonly bytes: Uint8Array
  readonly signature: Uint8Array
}

export interface Ed25519Tables {
  /** Makes the table of an author's key, in place of what was there; whether the key is one that this can check for. */
  make(table: number, key: Uint8Array): boolean
  /** Whether this can say that the signature is right: the platform can of any. */
  takes(bytes: Uint8Array, signature: Uint8Array): boolean
  /** For each of `list`, at most BATCH that it takes, whether it is right. */
  check(list: readonly Ed25519Signed[]): boolean[]
}

/** Tables for authors: from 1 to this. */
export const TABLES = 8
/** Signatures of one call: they share an inversion, which after so many is no more than what each takes anyway. */
export const BATCH = 64
/** The longest message. Hashing is what longer ones take, and the platform is quicker at that. */
export const MAX_SIGNED = 16 * 1024 - 64

const BASE = 0
const ORDER = littleEndian(ed25519.Point.Fn.ORDER)

/** An instance with the base point's table. */
export interface Ed25519Instance {
  readonly wasm: Ed25519Exports
  readonly memory: Uint8Array
  makeTable(table: number, point: typeof ed25519.Point.BASE): void
  /** Whether so many times the table's point is the neutral one. */
  vanishes(table: number, scalar: Uint8Array): boolean
}

/** Where relaxed SIMD and a fused multiply-add are there. */
export const instantiateFused = (): Ed25519Instance | undefined => instantiate(fusedModule)

/** Where SIMD is there. */
export const instantiateInteger = (): Ed25519Instance | undefined => instantiate(integerModule)

/** The quickest that works here, or undefined where WebAssembly or its SIMD instructions are refused. */
export const instantiateEd25519 = (): Ed25519Instance | undefined => instantiateFused() ?? instantiateInteger()

const instantiate = (base64: string): Ed25519Instance | undefined => {
  const api = (globalThis as { WebAssembly?: WebAssemblyApi }).WebAssembly
  if (api === undefined) return undefined
  try {
    const module = new api.Module(Uint8Array.from(atob(base64), (char) => char.charCodeAt(0)))
    return withBase(new api.Instance(module).exports as Ed25519Exports)
  } catch {
    return undefined
  }
}

/** Undefined where it does not count right. */
const withBase = (wasm: Ed25519Exports): Ed25519Instance | undefined => {
  const memory = new Uint8Array(wasm.memory.buffer)
  const keyAt = wasm.keyAddress()
  const scalarAt = wasm.scalarAddress()
  const instance: Ed25519Instance = {
    wasm,
    memory,
    makeTable(table, point) {
      const { x, y } = point.toAffine()
      memory.set(littleEndian(x), keyAt)
      memory.set(littleEndian(y), keyAt + 32)
      wasm.makeTable(table)
    },
    vanishes(table, scalar) {
      memory.set(scalar, scalarAt)
      return wasm.vanishes(table) !== 0
    },
  }
  instance.makeTable(BASE, ed25519.Point.BASE)
  // Where a multiply-add is rounded twice, nothing of the table is right, and L times the base point is some other point.
  return instance.vanishes(BASE, ORDER) ? instance : undefined
}

/** Checks signatures of authors of whom many come. */
export const ed25519Tables = ({ wasm, memory, makeTable, vanishes }: Ed25519Instance): Ed25519Tables => {
  const scalarAt = wasm.scalarAddress()
  const textAt = wasm.textAddress()
  const resultsAt = wasm.resultsAddress()
  const { begin, finish } = wasm
  return {
    make(table, key) {
      try {
        // Throws at what is no point, or is one written in another way than RFC 8032 has it.
        makeTable(table, ed25519.Point.fromBytes(key).negate())
      } catch {
        return false
      }
      return vanishes(table, ORDER)
    },

    takes: (bytes, signature) => bytes.length <= MAX_SIGNED && signature.length === 64 && (signature[63] as number) < 0x10,

    check(list) {
      let i = 0
      for (const { table, key, bytes, signature } of list) {
        memory.set(signature, textAt)
        // Over the second half, which is no part of what is hashed.
        memory.copyWithin(scalarAt, textAt + 32, textAt + 64)
        memory.set(key, textAt + 32)
        memory.set(bytes, textAt + 64)
        begin(i++, table, 64 + bytes.length)
      }
      finish(i)
      return list.map((_, at) => memory[resultsAt + at] === 1)
    },
  }
}

function littleEndian(value: bigint): Uint8Array {
  const bytes = new Uint8Array(32)
  for (let i = 0; i < 32; i++, value >>= 8n) bytes[i] = Number(value & 0xffn)
  return bytes
}
