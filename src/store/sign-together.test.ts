import { describe, expect, it } from 'vitest'
import { instantiateEd25519 } from '../../workers/ed25519/load.ts'
import { privateKey } from '../engine/codec/keys.ts'
import { signWith, verifySignature } from '../engine/crypto/verify.ts'
import { SIGN_TOGETHER_FROM } from '../engine/limits.ts'
import { prng } from '../engine/testing/prng.ts'
import { signTogether } from './sign-together.ts'

const random = prng(16)

const signing = (instantiate = instantiateEd25519) => {
  const key = privateKey('Ed25519', random.bytes(32))
  const seen = { single: 0, instances: 0 }
  const identity = signTogether(
    {
      publicKey: key.publicKey,
      sign(bytes, done) {
        seen.single += 1
        done(signWith(key, bytes))
      },
    },
    key.raw,
    () => {
      seen.instances += 1
      return instantiate()
    },
  )
  /** Asks for all in one turn; whether each signature is right. */
  const ask = async (list: Uint8Array[]): Promise<boolean[]> => {
    const answers = await Promise.all(list.map((bytes) => new Promise<Uint8Array | Error>((done) => identity.sign(bytes, done))))
    return answers.map(
      (answer, i) => answer instanceof Uint8Array && verifySignature(key.publicKey, list[i] as Uint8Array, answer) === true,
    )
  }
  return { seen, ask }
}
const messages = (count: number): Uint8Array[] => Array.from({ length: count }, (_, i) => random.bytes(100 + i))

describe('what is asked for in one turn', () => {
  it('is signed one by one while it is little, and no module is made', async () => {
    const { seen, ask } = signing()
    expect(await ask(messages(SIGN_TOGETHER_FROM - 1))).toEqual(new Array(SIGN_TOGETHER_FROM - 1).fill(true))
    expect(seen).toEqual({ single: SIGN_TOGETHER_FROM - 1, instances: 0 })
  })

  it('is signed together when it is much, by one module for all turns', async () => {
    const { seen, ask } = signing()
    for (const count of [SIGN_TOGETHER_FROM, 300, 1]) expect(await ask(messages(count))).toEqual(new Array(count).fill(true))
    expect(seen).toEqual({ single: 1, instances: 1 })
  })

  it('but what is too long is signed by itself', async () => {
    const { seen, ask } = signing()
    expect(await ask([...messages(SIGN_TOGETHER_FROM), new Uint8Array(20_000)])).toEqual(new Array(SIGN_TOGETHER_FROM + 1).fill(true))
    expect(seen).toEqual({ single: 1, instances: 1 })
  })

  it('is signed one by one where WebAssembly is refused, which is asked once', async () => {
    const { seen, ask } = signing(() => undefined)
    for (let turn = 0; turn < 2; turn++) expect(await ask(messages(20))).toEqual(new Array(20).fill(true))
    expect(seen).toEqual({ single: 40, instances: 1 })
  })
})
