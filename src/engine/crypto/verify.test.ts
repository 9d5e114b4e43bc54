import { createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto'
import { ed25519 } from '@noble/curves/ed25519.js'
import { sha512 } from '@noble/hashes/sha2.js'
import { describe, expect, it } from 'vitest'
import type { PrivateKey } from '../codec/keys.ts'
import { decodePrivateKey, decodePublicKey, privateKey, publicKey } from '../codec/keys.ts'
import { goEd25519Keys, goEd25519Message, goKeys, goMessage, specificationKeys } from '../testing/key-vectors.ts'
import { codeOf, mutate, property } from '../testing/property.ts'
import { signWith, verifySignature } from './verify.ts'

const unhex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'))
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text))

const vectors = [
  ...goKeys.map((vector) => ({ ...vector, message: goMessage })),
  ...goEd25519Keys.map((vector) => ({ ...vector, message: goEd25519Message })),
  {
    // libp2p/js-libp2p packages/crypto/test/fixtures/go-key-secp256k1.ts, made by go.
    type: 'secp256k1' as const,
    message: goEd25519Message,
    privateKey: '08021220358f15db8c2014d570e8e3a622454e2273975a3cca443ec0c45375b13d381d18',
    publicKey: '08021221029c0ce5d53646ed47112560297a3e59b78b8cbd4bae37c7a0c236eeb91d0fbeaf',
    signature:
      '304402200e4c629e9f5d99439115e60989cd40087f6978c36078b0b50cf3d30af5c38d4102204110342c8e7f0809897c1c7a66e49e1c6b7cb0a6ed6993640ec2fe742c1899a9',
  },
]

describe.each(vectors.filter(({ type }) => type !== 'RSA'))('what go signed with $type', (vector) => {
  const key = decodePublicKey(unhex(vector.publicKey))
  const message = bytesOf(vector.message)
  const signature = unhex(vector.signature)

  it('verifies', () => {
    expect(verifySignature(key, message, signature)).toBe(true)
  })

  it('does not verify for another message, another signature or another key', () => {
    expect(verifySignature(key, bytesOf(`${vector.message}!`), signature)).toBe(false)
    const other = signature.slice()
    other[other.length - 1] = (other.at(-1) ?? 0) ^ 1
    expect(verifySignature(key, message, other)).toBe(false)
    const stranger = specificationKeys.find(({ type }) => type === key.type)
    expect(verifySignature(decodePublicKey(unhex(stranger?.publicKey ?? '')), message, signature)).toBe(false)
  })

  it('does not verify, and does not throw, when the signature is cut, longer or noise', () => {
    for (let cut = 0; cut < signature.length; cut += 7) expect(verifySignature(key, message, signature.subarray(0, cut))).toBe(false)
    expect(verifySignature(key, message, Uint8Array.of(...signature, 0))).toBe(false)
    property(20, (random) =>
      expect(verifySignature(key, message, mutate(random, signature))).toBe(hex(mutate(random, signature)) === hex(signature)),
    )
    property(20, (random) => expect(verifySignature(key, message, random.bytes(random.below(80)))).toBe(false))
  })

  it('is signed alike by us', () => {
    const own = decodePrivateKey(unhex(vector.privateKey))
    const signed = signWith(own, message)
    expect(verifySignature(own.publicKey, message, signed)).toBe(true)
    // go's ECDSA is not deterministic.
    if (vector.type !== 'ECDSA') expect(hex(signed)).toBe(hex(signature))
  })
})

describe('RSA', () => {
  const [rsa] = vectors
  it('is left to the host', () => {
    const key = decodePublicKey(unhex(rsa?.publicKey ?? ''))
    expect(verifySignature(key, bytesOf(goMessage), unhex(rsa?.signature ?? ''))).toBeUndefined()
    expect(codeOf(() => signWith(decodePrivateKey(unhex(rsa?.privateKey ?? '')), bytesOf(goMessage)))).toBe('ERR_UNSUPPORTED')
  })

  it('verifies there with the key as it is', () => {
    const { raw } = decodePublicKey(unhex(rsa?.publicKey ?? ''))
    const spki = createPublicKey({ key: Buffer.from(raw), format: 'der', type: 'spki' })
    expect(verify('sha256', bytesOf(goMessage), spki, unhex(rsa?.signature ?? ''))).toBe(true)
  })
})

describe('with the platform', () => {
  const message = bytesOf('across implementations')

  it('P-256: each verifies what the other signs, in DER and as js-libp2p sends it', () => {
    const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const own: PrivateKey = privateKey('ECDSA', new Uint8Array(pair.privateKey.export({ format: 'der', type: 'sec1' })))
    expect(verify('sha256', message, pair.publicKey, signWith(own, message))).toBe(true)
    expect(verifySignature(own.publicKey, message, new Uint8Array(sign('sha256', message, pair.privateKey)))).toBe(true)
    const raw = new Uint8Array(sign('sha256', message, { key: pair.privateKey, dsaEncoding: 'ieee-p1363' }))
    expect(verifySignature(own.publicKey, message, raw)).toBe(true)
  })

  it('Ed25519: the same signature', () => {
    const pair = generateKeyPairSync('ed25519')
    const own = privateKey('Ed25519', new Uint8Array(pair.privateKey.export({ format: 'der', type: 'pkcs8' }).subarray(-32)))
    expect(hex(signWith(own, message))).toBe(hex(sign(null, message, pair.privateKey)))
  })
})

describe('Ed25519: what some verifiers take and others do not', () => {
  const { Point } = ed25519
  const a = 987_654_321n
  const key = Point.BASE.multiply(a).toBytes()
  const message = bytesOf('to the letter')
  const number = (bytes: Uint8Array): bigint => BigInt(`0x${hex(bytes.slice().reverse())}`)
  const bytes = (value: bigint): Uint8Array => unhex(value.toString(16).padStart(64, '0')).reverse()
  /** The S that fits `r` times the base point, however `nonce` names it; `more` is added to it. */
  const signed = (r: bigint, nonce: Uint8Array, more = 0n): Uint8Array => {
    const h = number(sha512(Buffer.concat([nonce, key, message])))
    return new Uint8Array(Buffer.concat([nonce, bytes(Point.Fn.create(r + h * a) + more)]))
  }
  const check = (signature: Uint8Array): boolean | undefined => verifySignature(publicKey('Ed25519', key), message, signature)
  const byOpenSsl = (signature: Uint8Array): boolean => {
    const jwk = { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(key).toString('base64url') }
    return verify(null, message, createPublicKey({ key: jwk, format: 'jwk' }), signature)
  }

  it('an R that is off by a point of small order is wrong, as OpenSSL and go say', () => {
    const nonce = Point.BASE.multiply(77n)
    expect([check(signed(77n, nonce.toBytes())), byOpenSsl(signed(77n, nonce.toBytes()))]).toEqual([true, true])
    // Of order 8.
    const torsion = Point.fromHex('c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a')
    for (let i = 0, off = torsion; i < 7; i++, off = off.add(torsion)) {
      const signature = signed(77n, nonce.add(off).toBytes())
      expect([check(signature), byOpenSsl(signature)]).toEqual([false, false])
    }
  })

  it('an S that is L too big is wrong', () => {
    const nonce = Point.BASE.multiply(77n).toBytes()
    const signature = signed(77n, nonce, Point.Fn.ORDER)
    expect([check(signature), byOpenSsl(signature)]).toEqual([false, false])
  })
})

describe('the sign of S', () => {
  // Orders of the curves: SEC 2 §2.4.1, §2.4.2.
  const orders = {
    secp256k1: 0xffffffff_ffffffff_ffffffff_fffffffe_baaedce6_af48a03b_bfd25e8c_d0364141n,
    ECDSA: 0xffffffff_00000000_ffffffff_ffffffff_bce6faad_a7179e84_f3b9cac2_fc632551n,
  }
  const der = (r: bigint, s: bigint): Uint8Array => {
    const integer = (n: bigint): string => {
      const digits = n.toString(16)
      const padded = digits.length % 2 === 1 ? `0${digits}` : digits
      const positive = Number.parseInt(padded.slice(0, 2), 16) >= 0x80 ? `00${padded}` : padded
      return `02${(positive.length / 2).toString(16).padStart(2, '0')}${positive}`
    }
    const body = integer(r) + integer(s)
    return unhex(`30${(body.length / 2).toString(16).padStart(2, '0')}${body}`)
  }
  const read = (signature: Uint8Array): { r: bigint; s: bigint } => {
    const size = signature[3] ?? 0
    const r = BigInt(`0x${hex(signature.subarray(4, 4 + size))}`)
    return { r, s: BigInt(`0x${hex(signature.subarray(6 + size))}`) }
  }

  for (const type of ['secp256k1', 'ECDSA'] as const) {
    it(`${type}: a high one verifies, a low one is written`, () => {
      const key = decodePrivateKey(unhex(specificationKeys.find((each) => each.type === type)?.privateKey ?? ''))
      const message = bytesOf('either way')
      const { r, s } = read(signWith(key, message))
      expect(s <= orders[type] / 2n).toBe(true)
      expect(verifySignature(key.publicKey, message, der(r, s))).toBe(true)
      expect(verifySignature(key.publicKey, message, der(r, orders[type] - s))).toBe(true)
      expect(verifySignature(key.publicKey, message, der(r, orders[type] - s + 1n))).toBe(false)
    })
  }
})

describe('keys that are no points', () => {
  it('verify nothing', () => {
    const message = bytesOf('x')
    // The first x from 5 on that has no y: 5 on secp256k1, and a point off P-256.
    expect(verifySignature(publicKey('secp256k1', unhex(`02${'0'.repeat(63)}5`)), message, new Uint8Array(70))).toBe(false)
    const off = unhex(`3059301306072a8648ce3d020106082a8648ce3d03010703420004${'11'.repeat(64)}`)
    expect(verifySignature(publicKey('ECDSA', off), message, new Uint8Array(64).fill(1))).toBe(false)
    expect(verifySignature(publicKey('Ed25519', new Uint8Array(32).fill(0xff)), message, new Uint8Array(64))).toBe(false)
  })

  it('verify nothing where they are of small order', () => {
    // A = identity, R = identity, S = 0 holds for every message under laxer rules; RFC 8032 implementations differ, ours refuses.
    const identity = Uint8Array.of(1, ...new Uint8Array(31))
    expect(verifySignature(publicKey('Ed25519', identity), bytesOf('x'), Uint8Array.of(...identity, ...new Uint8Array(32)))).toBe(false)
  })
})
