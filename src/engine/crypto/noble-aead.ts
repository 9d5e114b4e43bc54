/**
 * The AEAD in plain JavaScript, by @noble/ciphers: for where WebAssembly is refused. It behaves as the SIMD module does
 * (one conformance suite runs on both: workers/aead) at a fifth of its speed, and a tenth for small messages.
 */

import { chacha20poly1305 } from '@noble/ciphers/chacha.js'
import type { Aead } from './aead.ts'
import { TAG } from './aead.ts'

/** A Noise message less its tag, as in the SIMD module: what one refuses, both do. */
const MAX_PLAINTEXT = 65_519

export const nobleAead: Aead = {
  seal(key, nonce, plaintext, out, at, ad) {
    let size = 0
    for (const part of plaintext) size += part.length
    if (size > MAX_PLAINTEXT) throw new RangeError(`AEAD: more than ${MAX_PLAINTEXT} bytes of plaintext`)
    // Gathered where the ciphertext goes: noble encrypts in place, so this is the only copy.
    let end = at
    for (const part of plaintext) {
      out.set(part, end)
      end += part.length
    }
    chacha20poly1305(key, nonce, ad).encrypt(out.subarray(at, end), out.subarray(at, end + TAG))
  },

  open(key, nonce, sealed, out, at, ad) {
    const size = sealed.length - TAG
    if (size < 0) return false
    if (size > MAX_PLAINTEXT) throw new RangeError(`AEAD: more than ${MAX_PLAINTEXT} bytes of ciphertext`)
    const cipher = chacha20poly1305(key, nonce, ad)
    const target = out.subarray(at, at + size)
    if (target.length < size) throw new RangeError('AEAD: the output buffer is too short')
    try {
      // noble checks the tag before it writes anything.
      cipher.decrypt(sealed, target)
      return true
    } catch {
      return false
    }
  },
}
