import { afterEach, describe, expect, it, vi } from 'vitest'
import { utf8 } from '../engine/codec/bytes.ts'
import { type PublicKey, privateKey } from '../engine/codec/keys.ts'
import { signWith } from '../engine/crypto/verify.ts'
import { nobleX25519, type X25519, type X25519KeyPair } from '../engine/crypto/x25519.ts'
import { prng } from '../engine/testing/prng.ts'
import { verifier, x25519 } from './web-crypto.ts'

const random = prng(1)
const text = utf8('text')
const verify = verifier()
const check = (key: PublicKey, bytes: Uint8Array, signature: Uint8Array): Promise<boolean> =>
  new Promise((resolve) => verify(key, bytes, signature, resolve))

afterEach(() => {
  vi.unstubAllGlobals()
})

const keys = [privateKey('Ed25519', random.bytes(32)), privateKey('secp256k1', random.bytes(32))]

/** An insecure origin: randomness, but no `subtle`. */
const withoutSubtle = (): void => {
  const { crypto } = globalThis
  vi.stubGlobal('crypto', { getRandomValues: (bytes: Uint8Array<ArrayBuffer>) => crypto.getRandomValues(bytes) })
}

describe.each([true, false])('signatures, on a secure origin: %s', (secure) => {
  it.each(keys)('of $type', async (key) => {
    if (!secure) withoutSubtle()
    const signature = signWith(key, text)
    expect(await check(key.publicKey, text, signature)).toBe(true)
    expect(await check(key.publicKey, utf8('other'), signature)).toBe(false)
    for (const bad of [new Uint8Array(0), new Uint8Array(64), new Uint8Array(1_000)]) {
      expect(await check(key.publicKey, text, bad)).toBe(false)
    }
  })

  it.each(['Ed25519', 'secp256k1', 'ECDSA', 'RSA'] as const)('of %s by a key that is none are false, not an error', async (type) => {
    if (!secure) withoutSubtle()
    expect(await check({ type, raw: new Uint8Array(7), encoded: new Uint8Array(0) } as PublicKey, text, new Uint8Array(64))).toBe(false)
  })
})

describe.each([true, false])('key agreement, on a secure origin: %s', (secure) => {
  it('gives both sides one secret, also where one of them has no WebCrypto, and none with a key of zeros', async () => {
    if (!secure) withoutSubtle()
    const here = await x25519()
    const there = nobleX25519((bytes) => random.bytes(bytes))
    const pairOf = (by: X25519): Promise<X25519KeyPair> => new Promise((resolve) => by.generate(resolve))
    const secretOf = (by: X25519, own: X25519KeyPair, publicKey: Uint8Array): Promise<Uint8Array | false> =>
      new Promise((resolve) => by.agree(own, publicKey, resolve))
    const [a, b] = [await pairOf(here), await pairOf(there)]
    const secret = await secretOf(here, a, b.publicKey)
    expect(secret).toHaveLength(32)
    expect(secret).toEqual(await secretOf(there, b, a.publicKey))
    expect(await secretOf(here, a, new Uint8Array(32))).toBe(false)
    expect((await pairOf(here)).publicKey).not.toEqual(a.publicKey)
  })
})

it('RSA is checked by the platform', async () => {
  const pair = await crypto.subtle.generateKey(
    { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256', modulusLength: 2048, publicExponent: Uint8Array.of(1, 0, 1) },
    true,
    ['sign', 'verify'],
  )
  const key = { type: 'RSA', raw: new Uint8Array(await crypto.subtle.exportKey('spki', pair.publicKey)) } as PublicKey
  const signature = new Uint8Array(await crypto.subtle.sign('RSASSA-PKCS1-v1_5', pair.privateKey, text as Uint8Array<ArrayBuffer>))
  expect(await check(key, text, signature)).toBe(true)
  expect(await check(key, utf8('other'), signature)).toBe(false)
})

it('signatures are told of in the order in which they were asked about, whoever is slow', async () => {
  const [key, other] = keys as [(typeof keys)[number], (typeof keys)[number]]
  const signature = signWith(key, text)
  const signatureOfOther = signWith(other, text)
  const { subtle } = crypto
  const waiting: (() => void)[] = []
  const held = (...args: Parameters<SubtleCrypto['verify']>): Promise<boolean> =>
    new Promise((resolve) => waiting.push(() => resolve(subtle.verify(...args))))
  vi.stubGlobal('crypto', { subtle: { importKey: subtle.importKey.bind(subtle), verify: held } })
  const told: [number, boolean][] = []
  const asked = [true, false, true, true].map(
    (right, i) =>
      new Promise<void>((resolve) =>
        verify(key.publicKey, right ? text : utf8('other'), signature, (valid) => {
          told.push([i, valid])
          resolve()
        }),
      ),
  )
  // In script, and so known at once.
  verify(other.publicKey, text, signatureOfOther, (valid) => told.push([4, valid]))
  while (waiting.length < 4) await new Promise((resolve) => setImmediate(resolve))
  for (const i of [3, 1, 2]) waiting[i]?.()
  await new Promise((resolve) => setTimeout(resolve, 20))
  expect(told).toEqual([])
  waiting[0]?.()
  await Promise.all(asked)
  expect(told).toEqual([
    [0, true],
    [1, false],
    [2, true],
    [3, true],
    [4, true],
  ])
})
