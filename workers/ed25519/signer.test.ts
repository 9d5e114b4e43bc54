import { setFlagsFromString } from 'node:v8'
import { ed25519 } from '@noble/curves/ed25519.js'
import { describe, expect, it } from 'vitest'
import { prng } from '../../src/engine/testing/prng.ts'
import { BATCH, type Ed25519Instance, instantiateFused, instantiateInteger, MAX_SIGNED } from './load.ts'
import { ed25519Signer } from './signer.ts'

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'))
const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** RFC 8032 §7.1, TEST 1, 2, 3 and SHA(abc). */
const vectors = [
  {
    seed: '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
    message: '',
    signature:
      'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
  },
  {
    seed: '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb',
    message: '72',
    signature:
      '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
  },
  {
    seed: 'c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7',
    message: 'af82',
    signature:
      '6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a',
  },
  {
    seed: '833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42',
    message:
      'ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f',
    signature:
      'dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704',
  },
]

const modules = [
  { name: 'fused', load: instantiateFused },
  { name: 'integer', load: instantiateInteger },
]
// What Node 20 has behind a flag is there in browsers.
setFlagsFromString('--experimental-wasm-relaxed-simd')

describe.each(modules)('signatures of our own ($name)', ({ load }) => {
  it.each(vectors)('of RFC 8032: $message', ({ seed, message, signature }) => {
    const signer = ed25519Signer(load() as Ed25519Instance, hex(seed))
    expect(signer.sign([hex(message)]).map(toHex)).toEqual([signature])
  })

  it('are to the bit those of another implementation, by any key, of any length, in batches of any size', () => {
    const random = prng(8032)
    for (let round = 0; round < 12; round++) {
      const seed = random.bytes(32)
      const signer = ed25519Signer(load() as Ed25519Instance, seed)
      const list = Array.from({ length: [1, 2, 3, BATCH - 1, BATCH, BATCH + 1][round % 6] as number }, (_, i) =>
        random.bytes(7 * i + round),
      )
      expect(signer.sign(list).map(toHex)).toEqual(list.map((bytes) => toHex(ed25519.sign(bytes, seed))))
    }
  })

  it('of the longest message, and of none that is longer', () => {
    const seed = new Uint8Array(32).fill(9)
    const signer = ed25519Signer(load() as Ed25519Instance, seed)
    const long = new Uint8Array(MAX_SIGNED).fill(1)
    expect(signer.takes(long)).toBe(true)
    expect(signer.takes(new Uint8Array(MAX_SIGNED + 1))).toBe(false)
    expect(signer.sign([]).length).toBe(0)
    expect(signer.sign([long]).map(toHex)).toEqual([toHex(ed25519.sign(long, seed))])
  })
})
