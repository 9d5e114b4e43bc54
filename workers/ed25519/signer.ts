/**
 * Ed25519 signatures by a key that is at hand (RFC 8032 §5.1.6), many at a time: some 12 µs each with the module that needs a fused multiply-add, and
 * some 20 with the other, where the browser takes 29. By itself one takes as long here as there. A key that the browser keeps can't come here.
 *
 * The module's steps are the same for every key and message (assembly/sign.ts).
 *
 * Bounds: BATCH signatures at a time, of MAX_SIGNED bytes.
 */

import { ed25519 } from '@noble/curves/ed25519.js'
import { BATCH, type Ed25519Instance, MAX_SIGNED } from './load.ts'

export interface Ed25519Signer {
  /** Whether this can sign it. */
  takes(bytes: Uint8Array): boolean
  /** A signature for each of `list`, of any number that it takes. */
  sign(list: readonly Uint8Array[]): Uint8Array[]
}

/** `seed` is the private key, 32 bytes. */
export const ed25519Signer = ({ wasm, memory }: Ed25519Instance, seed: Uint8Array): Ed25519Signer => {
  const textAt = wasm.textAddress()
  const noncesAt = wasm.noncesAddress()
  const answersAt = wasm.answersAddress()
  const { head: secret, prefix, pointBytes: key } = ed25519.utils.getExtendedPublicKey(seed)
  memory.set(secret, wasm.secretAddress())

  const signSome = (list: readonly Uint8Array[]): Uint8Array[] => {
    list.forEach((bytes, i) => {
      memory.set(prefix, textAt)
      memory.set(bytes, textAt + 32)
      wasm.drawNonce(i, 32 + bytes.length)
    })
    wasm.commit(list.length)
    return list.map((bytes, i) => {
      const nonceAt = noncesAt + 32 * i
      memory.copyWithin(textAt, nonceAt, nonceAt + 32)
      memory.set(key, textAt + 32)
      memory.set(bytes, textAt + 64)
      wasm.answer(i, 64 + bytes.length)
      const signature = new Uint8Array(64)
      signature.set(memory.subarray(nonceAt, nonceAt + 32))
      signature.set(memory.subarray(answersAt + 32 * i, answersAt + 32 * i + 32), 32)
      return signature
    })
  }

  return {
    takes: (bytes) => bytes.length <= MAX_SIGNED,
    sign(list) {
      const signatures: Uint8Array[] = []
      for (let from = 0; from < list.length; from += BATCH) signatures.push(...signSome(list.slice(from, from + BATCH)))
      return signatures
    },
  }
}
