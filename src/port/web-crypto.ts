/**
 * Signatures checked by WebCrypto where the platform has it, which is some ten times as fast as JavaScript; by @noble/curves elsewhere (insecure
 * origins, key types and browsers that lack it); and those of authors of whom many come in batches (author-tables.ts).
 *
 * The platform checks several at a time and tells of them as they are done. Here they are told in the order in which they were asked for: what
 * one peer published in order is then heard in order.
 *
 * Bounds: what is asked for. A key is imported once for as long as the engine keeps it.
 */

import { type Ed25519Tables, ed25519Tables, instantiateEd25519 } from '../../workers/ed25519/load.ts'
import type { PublicKey } from '../engine/codec/keys.ts'
import { verifySignature } from '../engine/crypto/verify.ts'
import { nobleX25519, type X25519 } from '../engine/crypto/x25519.ts'
import type { Host } from '../engine/host.ts'
import { AuthorTables } from './author-tables.ts'

const RSA = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' } as const

interface Question {
  readonly done: (valid: boolean) => void
  valid: boolean | undefined
}

const keys = new WeakMap<PublicKey, Promise<CryptoKey>>()

const authorTables = (): Ed25519Tables | undefined => {
  const instance = instantiateEd25519()
  return instance && ed25519Tables(instance)
}

/** A host's `verify`. */
export const verifier = (tables = new AuthorTables(authorTables)): Host['verify'] => {
  /** What was asked for, in order, and the first of it that was not told. */
  let questions: Question[] = []
  let first = 0
  /** Keys of which a signature was right: whoever shows another may be one of whom many come. The key of a handshake is not met again. */
  const met = new WeakSet<PublicKey>()

  /** Tells of all that nothing unknown stands before. */
  const tell = (): void => {
    for (let question = questions[first]; question?.valid !== undefined; question = questions[first]) {
      first += 1
      question.done(question.valid)
    }
    if (first === questions.length) {
      questions = []
      first = 0
    } else if (first > 1_024 && first * 2 > questions.length) {
      questions = questions.slice(first)
      first = 0
    }
  }

  const settle = (question: Question, valid: boolean): void => {
    question.valid = valid
    tell()
  }

  const byPlatform = (question: Question, key: PublicKey, bytes: Uint8Array, signature: Uint8Array): void =>
    checkByPlatform(key, bytes, signature, (valid) => {
      settle(question, valid)
      if (!valid) return
      if (met.has(key)) tables.right(key)
      else met.add(key)
    })

  return (key, bytes, signature, done) => {
    const question: Question = { done, valid: undefined }
    questions.push(question)
    const checked = (right: boolean): void => (right ? settle(question, true) : byPlatform(question, key, bytes, signature))
    if (!met.has(key) || !tables.check(key, bytes, signature, checked)) byPlatform(question, key, bytes, signature)
  }
}

const checkByPlatform = (key: PublicKey, bytes: Uint8Array, signature: Uint8Array, done: (valid: boolean) => void): void => {
  const inScript = (): void => done(verifySignature(key, bytes, signature) ?? false)
  const subtle = globalThis.crypto?.subtle as SubtleCrypto | undefined
  if (subtle === undefined || (key.type !== 'Ed25519' && key.type !== 'RSA')) return inScript()
  const algorithm = key.type === 'RSA' ? RSA : { name: 'Ed25519' }
  let imported = keys.get(key)
  if (imported === undefined) {
    imported = subtle.importKey(key.type === 'RSA' ? 'spki' : 'raw', key.raw as Uint8Array<ArrayBuffer>, algorithm, false, ['verify'])
    keys.set(key, imported)
  }
  imported
    .then((with_) => subtle.verify(algorithm, with_, signature as Uint8Array<ArrayBuffer>, bytes as Uint8Array<ArrayBuffer>))
    .then(done, inScript)
}

/** X25519 by WebCrypto where the platform has it, else by @noble/curves. */
export const x25519 = async (): Promise<X25519> => {
  const subtle = globalThis.crypto?.subtle as SubtleCrypto | undefined
  try {
    await subtle?.generateKey('X25519', false, ['deriveBits'])
  } catch {
    return inScript()
  }
  return subtle === undefined ? inScript() : bySubtle(subtle)
}

const inScript = (): X25519 => nobleX25519((bytes) => crypto.getRandomValues(new Uint8Array(bytes)))

const bySubtle = (subtle: SubtleCrypto): X25519 => ({
  generate(done) {
    void (async () => {
      const { privateKey, publicKey } = (await subtle.generateKey('X25519', false, ['deriveBits'])) as CryptoKeyPair
      return { privateKey, publicKey: new Uint8Array(await subtle.exportKey('raw', publicKey)) }
    })().then(done)
  },
  agree({ privateKey }, publicKey, done) {
    subtle
      .importKey('raw', publicKey as Uint8Array<ArrayBuffer>, 'X25519', false, [])
      .then((remote) => subtle.deriveBits({ name: 'X25519', public: remote }, privateKey as CryptoKey, 256))
      .then(
        (secret) => done(new Uint8Array(secret)),
        // An all-zero secret is an OperationError (WebCrypto §X25519).
        () => done(false),
      )
  },
})
