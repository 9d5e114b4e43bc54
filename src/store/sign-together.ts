/**
 * Signatures by a key that is at hand: many that are asked for in one turn are made together (workers/ed25519/signer.ts), each in less
 * than half of the time that the platform takes for one. A key that is kept in the browser is not at hand, and never comes here.
 *
 *   sign ─▶ waits for the end of the turn ─┬─ SIGN_TOGETHER_FROM of them or more ─▶ WebAssembly, at once
 *                                          └─ fewer ─▶ one by one, by the platform
 *
 * Bounds: what is asked for in one turn. The module is made when it is first wanted, and kept.
 */

import { type Ed25519Instance, instantiateEd25519 } from '../../workers/ed25519/load.ts'
import { type Ed25519Signer, ed25519Signer } from '../../workers/ed25519/signer.ts'
import { SIGN_TOGETHER_FROM } from '../engine/limits.ts'
import type { Identity } from './identity.ts'

interface Waiting {
  readonly bytes: Uint8Array
  readonly done: Parameters<Identity['sign']>[1]
}

/** `single` signs by the same Ed25519 key, one by one; `seed` is its 32 bytes. */
export const signTogether = (
  single: Identity,
  seed: Uint8Array,
  instantiate: () => Ed25519Instance | undefined = instantiateEd25519,
): Identity => {
  let waiting: Waiting[] = []
  /** Null where it can't be had. */
  let signer: Ed25519Signer | null | undefined

  const load = (): Ed25519Signer | null => {
    const instance = instantiate()
    return instance === undefined ? null : ed25519Signer(instance, seed)
  }

  const sign = (): void => {
    const all = waiting
    waiting = []
    if (all.length >= SIGN_TOGETHER_FROM && signer === undefined) signer = load()
    const together = all.length >= SIGN_TOGETHER_FROM ? signer : null
    const some = together ? all.filter(({ bytes }) => together.takes(bytes)) : []
    for (const { bytes, done } of all) if (!together?.takes(bytes)) single.sign(bytes, done)
    const signatures = together ? together.sign(some.map(({ bytes }) => bytes)) : []
    signatures.forEach((signature, i) => {
      some[i]?.done(signature)
    })
  }

  return {
    publicKey: single.publicKey,
    sign(bytes, done) {
      if (waiting.push({ bytes, done }) === 1) queueMicrotask(sign)
    },
  }
}
