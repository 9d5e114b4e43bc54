/**
 * The SIMD WebAssembly module (assembly/) as the engine's `Aead`: ChaCha20-Poly1305 (RFC 8439 §2.8).
 *
 * Compiled and instantiated synchronously, about 1 ms, in workers, Node and pages (Chromium's main thread refuses only
 * modules over 8 MB). Text goes straight into the module's memory and from there straight into the caller's buffer: one
 * copy in, one copy out.
 *
 * Bounds: 65,519 bytes of plaintext (one Noise message), 1,024 of associated data; one instance is 128 KiB.
 */

import type { Aead } from '../../src/engine/crypto/aead.ts'
import { aeadModule } from './module.generated.ts'

/** What assembly/index.ts exports. */
interface AeadExports {
  readonly memory: { readonly buffer: ArrayBuffer }
  keyAddress(): number
  nonceAddress(): number
  adAddress(): number
  textAddress(): number
  seal(bytes: number, adBytes: number): void
  open(bytes: number, adBytes: number): number
}

/** The little of WebAssembly's types that is used here: neither ES2023 nor every version of Node's types has them. */
interface WebAssemblyApi {
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (module: object) => { readonly exports: unknown }
}

const TAG = 16
const MAX_PLAINTEXT = 65_519
const MAX_AD = 1_024

/**
 * A new instance, or undefined where WebAssembly or its SIMD instructions are refused: a content security policy
 * without `wasm-unsafe-eval`, Safari in lockdown mode, an old engine. `nobleAead` takes its place there.
 */
export const instantiateAead = (): Aead | undefined => {
  const api = (globalThis as { WebAssembly?: WebAssemblyApi }).WebAssembly
  if (api === undefined) return undefined
  try {
    const module = new api.Module(Uint8Array.from(atob(aeadModule), (char) => char.charCodeAt(0)))
    return aeadOf(new api.Instance(module).exports as AeadExports)
  } catch {
    return undefined
  }
}

const aeadOf = (wasm: AeadExports): Aead => {
  const memory = new Uint8Array(wasm.memory.buffer)
  const keyAt = wasm.keyAddress()
  const nonceAt = wasm.nonceAddress()
  const adAt = wasm.adAddress()
  const textAt = wasm.textAddress()
  // Called through locals: exports looked up on the instance at each call cost more than a small message does.
  const { seal, open } = wasm

  const set = (key: Uint8Array, nonce: Uint8Array, ad: Uint8Array | undefined): number => {
    if (key.length !== 32 || nonce.length !== 12) throw new RangeError('AEAD: the key has 32 bytes and the nonce 12')
    memory.set(key, keyAt)
    memory.set(nonce, nonceAt)
    if (ad === undefined) return 0
    if (ad.length > MAX_AD) throw new RangeError(`AEAD: more than ${MAX_AD} bytes of associated data`)
    memory.set(ad, adAt)
    return ad.length
  }

  return {
    seal(key, nonce, plaintext, out, at, ad) {
      let size = 0
      for (const part of plaintext) {
        // Checked before each copy: what lies behind the text is the end of the memory.
        if (size + part.length > MAX_PLAINTEXT) throw new RangeError(`AEAD: more than ${MAX_PLAINTEXT} bytes of plaintext`)
        memory.set(part, textAt + size)
        size += part.length
      }
      seal(size, set(key, nonce, ad))
      out.set(memory.subarray(textAt, textAt + size + TAG), at)
    },

    open(key, nonce, sealed, out, at, ad) {
      const size = sealed.length - TAG
      if (size < 0) return false
      if (size > MAX_PLAINTEXT) throw new RangeError(`AEAD: more than ${MAX_PLAINTEXT} bytes of ciphertext`)
      memory.set(sealed, textAt)
      if (open(size, set(key, nonce, ad)) === 0) return false
      out.set(memory.subarray(textAt, textAt + size), at)
      return true
    },
  }
}
