import { createPublicKey, verify } from 'node:crypto'
import { setFlagsFromString } from 'node:v8'
import { ed25519 } from '@noble/curves/ed25519.js'
import { sha512 } from '@noble/hashes/sha2.js'
import { describe, expect, it, vi } from 'vitest'
import { prng } from '../../src/engine/testing/prng.ts'
import {
  BATCH,
  type Ed25519Instance,
  type Ed25519Signed,
  ed25519Tables,
  instantiateEd25519,
  instantiateFused,
  instantiateInteger,
} from './load.ts'

const { Point } = ed25519
const { Fn } = Point
const random = prng(25519)
// What Node 20 has behind a flag is there in browsers.
setFlagsFromString('--experimental-wasm-relaxed-simd')
const modules = [
  { name: 'fused', instance: instantiateFused() as Ed25519Instance },
  { name: 'integer', instance: instantiateInteger() as Ed25519Instance },
]

const author = () => {
  const seed = random.bytes(32)
  return { seed, key: ed25519.getPublicKey(seed) }
}
const littleEndian = (value: bigint): Uint8Array => Uint8Array.from({ length: 32 }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn))
const flipped = (bytes: Uint8Array, bit: number): Uint8Array => {
  const other = bytes.slice()
  other[bit >> 3] = (other[bit >> 3] as number) ^ (1 << (bit & 7))
  return other
}
/** By OpenSSL, which compares R as go does; noble multiplies by the cofactor first. */
const byNode = ({ signature, bytes, key }: Ed25519Signed): boolean => {
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(key).toString('base64url') }
  return verify(null, bytes, createPublicKey({ key: jwk, format: 'jwk' }), signature)
}

describe.each(modules)('signatures ($name)', ({ instance }) => {
  const tables = ed25519Tables(instance)
  it('of any length of message, by several authors in one batch, are right; one bit off, they are not', () => {
    const authors = Array.from({ length: 3 }, author)
    authors.forEach(({ key }, i) => {
      expect(tables.make(i + 1, key)).toBe(true)
    })
    const list: Ed25519Signed[] = Array.from({ length: BATCH }, (_, i) => {
      const { seed, key } = authors[i % 3] as ReturnType<typeof author>
      const bytes = random.bytes(i < 40 ? 16 * i + (i % 5) : i === 40 ? 16 * 1024 - 64 : 111 + i)
      return { table: (i % 3) + 1, key, bytes, signature: ed25519.sign(bytes, seed) }
    })
    expect(tables.check(list)).toEqual(list.map(() => true))
    for (let round = 0; round < 8; round++) {
      // S stays one that it takes.
      const off = list.map((each, i) => {
        const inMessage = i % 2 === 0 && each.bytes.length > 0
        return inMessage
          ? { ...each, bytes: flipped(each.bytes, random.below(8 * each.bytes.length)) }
          : { ...each, signature: flipped(each.signature, random.below(504)) }
      })
      expect(off.every(({ bytes, signature }) => tables.takes(bytes, signature))).toBe(true)
      expect(tables.check(off)).toEqual(list.map(() => false))
      const some = list.map((each, i) => (random.below(2) === 0 ? each : (off[i] as Ed25519Signed)))
      expect(tables.check(some)).toEqual(some.map((each) => list.includes(each)))
    }
  })

  it('by other keys, one after the other at the same place, are right', () => {
    for (let i = 0; i < 10; i++) {
      const { seed, key } = author()
      tables.make(4, key)
      const list = Array.from({ length: 40 }, () => {
        const bytes = random.bytes(random.below(200))
        return { table: 4, key, bytes, signature: ed25519.sign(bytes, seed) }
      })
      expect(tables.check(list).concat(tables.check(list.slice(0, 1)))).toEqual(new Array(41).fill(true))
    }
  })
})

describe.each(modules)('what some verifiers take and others do not is decided as go and RFC 8032 do ($name)', ({ instance }) => {
  const tables = ed25519Tables(instance)
  const a = 123_456_789n
  const key = Point.BASE.multiply(a).toBytes()
  const bytes = random.bytes(100)
  tables.make(5, key)
  const challenge = (nonce: Uint8Array): bigint => {
    const hash = sha512(Uint8Array.from([...nonce, ...key, ...bytes]))
    return Fn.create(hash.reduceRight((sum, byte) => (sum << 8n) + BigInt(byte), 0n))
  }
  /** S fits the multiple `r` of the base point, however `nonce` names it. */
  const signedWith = (r: bigint, nonce: Uint8Array): Ed25519Signed => {
    const s = Fn.create(r + challenge(nonce) * a)
    return { table: 5, key, bytes, signature: Uint8Array.from([...nonce, ...littleEndian(s)]) }
  }
  /** Of order 8. */
  const torsion = Point.fromHex('c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a')

  it('an R that is off by a point of small order is wrong', () => {
    const nonce = Point.BASE.multiply(77n)
    expect(tables.check([signedWith(77n, nonce.toBytes())])).toEqual([true])
    for (let i = 0, off = torsion; i < 7; i++, off = off.add(torsion)) {
      const signed = signedWith(77n, nonce.add(off).toBytes())
      expect([tables.check([signed]), byNode(signed)]).toEqual([[false], false])
    }
  })

  it('the neutral point as R is right as it is written, and wrong in another form', () => {
    const one = littleEndian(1n)
    expect(tables.check([signedWith(0n, one)])).toEqual([true])
    for (const other of [littleEndian(1n + (2n ** 255n - 19n)), flipped(one, 255)]) {
      expect(tables.check([signedWith(0n, other)])).toEqual([false])
    }
  })

  it('an S of L or more, and one of 63 bytes, are not for it', () => {
    const { signature } = signedWith(77n, Point.BASE.multiply(77n).toBytes())
    const s = signature.subarray(32).reduceRight((sum, byte) => (sum << 8n) + BigInt(byte), 0n)
    expect(tables.takes(bytes, Uint8Array.from([...signature.subarray(0, 32), ...littleEndian(s + Fn.ORDER)]))).toBe(false)
    expect(tables.takes(bytes, signature.subarray(0, 63))).toBe(false)
    expect(tables.takes(new Uint8Array(16 * 1024), signature)).toBe(false)
    expect(tables.takes(bytes, signature)).toBe(true)
  })

  it('keys outside of the base point’s group, and what is no key, get no table', () => {
    expect(tables.make(6, Point.BASE.multiply(a).add(torsion).toBytes())).toBe(false)
    expect(tables.make(6, torsion.toBytes())).toBe(false)
    expect(tables.make(6, littleEndian(2n ** 255n - 1n))).toBe(false)
    expect(tables.make(6, littleEndian(2n))).toBe(false)
    expect(tables.make(6, new Uint8Array(5))).toBe(false)
    expect(tables.make(6, key)).toBe(true)
  })
})

describe('which module', () => {
  const { Module, Instance } = WebAssembly
  const refused = class {
    constructor() {
      throw new WebAssembly.CompileError('no SIMD')
    }
  }
  /** Compiles the module as `change` made it. */
  const compiling = (change: (module: Uint8Array<ArrayBuffer>) => void): void => {
    const changed = class {
      constructor(bytes: Uint8Array<ArrayBuffer>) {
        change(bytes)
        // biome-ignore lint/correctness/noConstructorReturn: it stands in for the platform's
        return new Module(bytes)
      }
    }
    vi.stubGlobal('WebAssembly', { Module: changed, Instance })
  }
  /** f64x2.relaxed_madd and its neighbour f64x2.relaxed_nmadd, in whose place another kind of rounding would be as wrong. */
  const [madd, nmadd] = [Buffer.from([0xfd, 0x87, 0x02]), Buffer.from([0xfd, 0x88, 0x02])]
  const spoil = (module: Uint8Array<ArrayBuffer>): void => {
    const bytes = Buffer.from(module.buffer)
    for (let at = bytes.indexOf(madd); at >= 0; at = bytes.indexOf(madd, at)) bytes.set(nmadd, at)
  }

  it('the fused one, where it counts right; else the other', () => {
    try {
      let compiled = 0
      compiling(() => compiled++)
      expect(instantiateEd25519()).toBeDefined()
      expect(compiled).toBe(1)
      compiling(spoil)
      expect(instantiateFused()).toBeUndefined()
      const { seed, key } = author()
      const bytes = random.bytes(100)
      const other = ed25519Tables(instantiateEd25519() as Ed25519Instance)
      expect(other.make(1, key)).toBe(true)
      expect(other.check([{ table: 1, key, bytes, signature: ed25519.sign(bytes, seed) }])).toEqual([true])
      vi.stubGlobal('WebAssembly', { Module: refused, Instance })
      expect(instantiateEd25519()).toBeUndefined()
    } finally {
      vi.unstubAllGlobals()
    }
  })
})
