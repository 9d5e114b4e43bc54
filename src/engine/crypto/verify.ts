/**
 * Signatures of libp2p keys in pure JavaScript, synchronous: for hosts without WebCrypto, for key types that it does
 * not know, and for tests. What is signed: https://github.com/libp2p/specs/blob/master/peer-ids/peer-ids.md#key-types
 *
 *   Ed25519            64 bytes (RFC 8032)
 *   secp256k1, ECDSA   DER, over SHA-256; a high S is accepted, a low one is written
 *   RSA                PKCS #1 v1.5 over SHA-256: left to the host, since it needs no point arithmetic but a big library
 */

import { ed25519 } from '@noble/curves/ed25519.js'
import { p256 } from '@noble/curves/nist.js'
import { secp256k1 } from '@noble/curves/secp256k1.js'
import { sha512 } from '@noble/hashes/sha2.js'
import { TabmeshError } from '../../errors.ts'
import { concat, equalBytes } from '../codec/bytes.ts'
import { p256PointOf, p256Private } from '../codec/der.ts'
import type { PrivateKey, PublicKey } from '../codec/keys.ts'

/** Whether `key` signed `bytes`; undefined for RSA, which the host must check. Malformed signatures are false. */
export const verifySignature = (key: PublicKey, bytes: Uint8Array, signature: Uint8Array): boolean | undefined => {
  if (key.type === 'RSA') return undefined
  try {
    switch (key.type) {
      case 'Ed25519':
        return verifyEd25519(key.raw, bytes, signature)
      case 'secp256k1':
        return secp256k1.verify(signature, bytes, key.raw, { format: 'der', lowS: false })
      case 'ECDSA':
        // js signs with WebCrypto and sends its r ‖ s; DER is of that length once in 2^40 signatures.
        return p256.verify(signature, bytes, p256PointOf(key.raw), { format: signature.length === 64 ? 'compact' : 'der', lowS: false })
    }
  } catch {
    // The library throws at a signature that is no DER and at a key that is no point: neither signed anything.
    return false
  }
}

/**
 * RFC 8032 §5.1.7 as go, WebCrypto and OpenSSL read it: S·B − h·A encodes to R, byte for byte. The library's own check, the strict one too,
 * forgives an R that is off by a point of small order: a message so signed would be passed on from here to those who hold it against us.
 */
const verifyEd25519 = (key: Uint8Array, bytes: Uint8Array, signature: Uint8Array): boolean => {
  const { Point } = ed25519
  if (signature.length !== 64) return false
  const nonce = signature.subarray(0, 32)
  const s = littleEndian(signature.subarray(32))
  if (s >= Point.Fn.ORDER) return false
  const h = Point.Fn.create(littleEndian(sha512(concat([nonce, key, bytes]))))
  const author = Point.fromBytes(key)
  // Anybody can sign anything for such a key.
  if (author.isSmallOrder()) return false
  const point = Point.BASE.multiplyUnsafe(s).subtract(author.multiplyUnsafe(h))
  return equalBytes(point.toBytes(), nonce)
}

const littleEndian = (bytes: Uint8Array): bigint => bytes.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n)

/** Throws ERR_UNSUPPORTED for RSA. Deterministic (RFC 8032, RFC 6979). */
export const signWith = ({ type, raw }: PrivateKey, bytes: Uint8Array): Uint8Array => {
  switch (type) {
    case 'Ed25519':
      return ed25519.sign(bytes, raw)
    case 'secp256k1':
      return secp256k1.sign(bytes, raw, { format: 'der', lowS: true })
    case 'ECDSA':
      return p256.sign(bytes, p256Private(raw).scalar, { format: 'der', lowS: true })
    case 'RSA':
      throw new TabmeshError('ERR_UNSUPPORTED', 'signing with RSA needs WebCrypto')
  }
}
