/**
 * The AEAD that Noise transport runs on: ChaCha20-Poly1305 (RFC 8439 §2.8), synchronous so that no machine ever
 * waits for crypto. The host hands in the SIMD WebAssembly module, or the noble fallback where WebAssembly is
 * refused (a CSP without `wasm-unsafe-eval`).
 */

export interface Aead {
  /**
   * Encrypts the concatenation of `plaintext` and writes ciphertext ‖ tag (its total length + 16 bytes) into `out` at `at`.
   * `key` is 32 bytes, `nonce` 12. At most 65,519 bytes of plaintext in all; `ad` at most 64 bytes.
   */
  seal(key: Uint8Array, nonce: Uint8Array, plaintext: readonly Uint8Array[], out: Uint8Array, at: number, ad?: Uint8Array): void
  /**
   * Checks and decrypts `sealed` (ciphertext ‖ tag) and writes `sealed.length − 16` bytes into `out` at `at`.
   * Returns false, with nothing written, when the tag does not match or `sealed` is shorter than a tag.
   */
  open(key: Uint8Array, nonce: Uint8Array, sealed: Uint8Array, out: Uint8Array, at: number, ad?: Uint8Array): boolean
}

/** Bytes of the authentication tag (RFC 8439 §2.8). */
export const TAG = 16
