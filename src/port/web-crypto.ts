/**
 * Signatures checked by WebCrypto where the platform has it, which is some ten times as fast as JavaScript and off this
 * thread; by @noble/curves elsewhere (insecure origins, key types and browsers that lack it).
 */

import type { PublicKey } from '../engine/codec/keys.ts'
import { verifySignature } from '../engine/crypto/verify.ts'

const RSA = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' } as const

export const verify = (key: PublicKey, bytes: Uint8Array, signature: Uint8Array, done: (valid: boolean) => void): void => {
  const inScript = (): void => done(verifySignature(key, bytes, signature) ?? false)
  const subtle = globalThis.crypto?.subtle as SubtleCrypto | undefined
  if (subtle === undefined || (key.type !== 'Ed25519' && key.type !== 'RSA')) return inScript()
  const algorithm = key.type === 'RSA' ? RSA : { name: 'Ed25519' }
  subtle
    .importKey(key.type === 'RSA' ? 'spki' : 'raw', key.raw as Uint8Array<ArrayBuffer>, algorithm, false, ['verify'])
    .then((imported) => subtle.verify(algorithm, imported, signature as Uint8Array<ArrayBuffer>, bytes as Uint8Array<ArrayBuffer>))
    .then(done, inScript)
}
