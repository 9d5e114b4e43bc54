/**
 * Diffie-Hellman on Curve25519 (RFC 7748 §6.1), the DH function of our Noise protocol (Noise §12.1).
 *
 * In plain JavaScript: just under a millisecond a time, three times a handshake. A host with X25519 in WebCrypto may take its place
 * one day; it is asynchronous, which is why the handshake calls `sharedSecret` from a single line.
 */

import { x25519 } from '@noble/curves/ed25519.js'

export interface X25519KeyPair {
  readonly privateKey: Uint8Array
  readonly publicKey: Uint8Array
}

/** Of both halves of a pair, and of the secret. */
export const X25519_SIZE = 32

export const x25519KeyPair = (privateKey: Uint8Array): X25519KeyPair => ({ privateKey, publicKey: x25519.getPublicKey(privateKey) })

/**
 * Undefined where the result is all zeros, that is where `publicKey` is one of the few points of low order: whoever sends
 * those knows the secret in advance (RFC 7748 §6.1 leaves the check to the protocol).
 */
export const sharedSecret = (privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array | undefined => {
  try {
    return x25519.getSharedSecret(privateKey, publicKey)
  } catch {
    // With both lengths right, noble refuses points of low order and nothing else.
    return undefined
  }
}
