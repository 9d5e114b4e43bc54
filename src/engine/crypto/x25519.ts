/**
 * Diffie-Hellman on Curve25519 (RFC 7748 §6.1), the DH function of our Noise protocol (Noise §12.1).
 *
 * A handshake makes one key pair and agrees three times. In a page's worker that took 1 to 4 ms in plain JavaScript and 0.1 to 0.4
 * with WebCrypto; the first time 3 to 6 and 2 to 4 (Chromium 156, a busy machine). So the host does it (`X25519`), with what is here where it has nothing better.
 */

import { x25519 } from '@noble/curves/ed25519.js'

export interface X25519KeyPair {
  readonly publicKey: Uint8Array
  /** Known only to the `X25519` that made the pair: bytes here, a CryptoKey that can't be read elsewhere. */
  readonly privateKey: unknown
}

/** Key agreement as a host offers it; may answer at once. */
export interface X25519 {
  generate(done: (pair: X25519KeyPair) => void): void
  /**
   * Answers false where the secret is all zeros, that is where `publicKey` is one of the few points of low order: whoever
   * sends those knows the secret in advance (RFC 7748 §6.1 leaves the check to the protocol).
   */
  agree(own: X25519KeyPair, publicKey: Uint8Array, done: (secret: Uint8Array | false) => void): void
}

/** Of both halves of a pair, and of the secret. */
export const X25519_SIZE = 32

export const x25519KeyPair = (privateKey: Uint8Array): X25519KeyPair => ({ privateKey, publicKey: x25519.getPublicKey(privateKey) })

/** The secret of a pair that `x25519KeyPair` made, or false: see `X25519.agree`. */
export const sharedSecret = ({ privateKey }: X25519KeyPair, publicKey: Uint8Array): Uint8Array | false => {
  try {
    return x25519.getSharedSecret(privateKey as Uint8Array, publicKey)
  } catch {
    // With both lengths right, noble refuses points of low order and nothing else.
    return false
  }
}

/** In JavaScript, for hosts without a native one. */
export const nobleX25519 = (random: (bytes: number) => Uint8Array): X25519 => ({
  generate: (done) => done(x25519KeyPair(random(X25519_SIZE))),
  agree: (own, publicKey, done) => done(sharedSecret(own, publicKey)),
})
