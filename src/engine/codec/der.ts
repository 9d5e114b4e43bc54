/**
 * The DER that libp2p keys are wrapped in: RSA and ECDSA public keys as SubjectPublicKeyInfo (RFC 5280 §4.1), RSA
 * private keys as PKCS #1 (RFC 8017 §A.1.2), ECDSA private keys as SEC 1 (RFC 5915 §3), all four as PKCS #8 for WebCrypto.
 *
 * A public key is accepted in its one canonical encoding only, since the peer id is a hash of these bytes: it is read,
 * written again and compared. Bounds: RSA moduli of 2048 to 8192 bits and exponents of 32 bits, as go does.
 */

import { TabmeshError } from '../../errors.ts'
import { concat, equalBytes } from './bytes.ts'

/** go refuses smaller and larger ones: the small are weak and the large cost seconds to verify. */
const RSA_MIN_BITS = 2048
const RSA_MAX_BITS = 8192

const INTEGER = 0x02
const BIT_STRING = 0x03
const OCTET_STRING = 0x04
const SEQUENCE = 0x30
const EXPLICIT_0 = 0xa0
const EXPLICIT_1 = 0xa1

const bytesOf = (...bytes: number[]): Uint8Array => Uint8Array.from(bytes)
/** AlgorithmIdentifier: rsaEncryption 1.2.840.113549.1.1.1 with its NULL (RFC 3279 §2.3.1). */
const rsaEncryption = bytesOf(0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0)
/** prime256v1 1.2.840.10045.3.1.7 (RFC 5480 §2.1.1.1). */
const prime256v1 = bytesOf(6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7)
/** AlgorithmIdentifier: ecPublicKey 1.2.840.10045.2.1 on that curve. */
const ecPublicKey = concat([bytesOf(0x30, 19, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1), prime256v1])
/** id-Ed25519 1.3.101.112 (RFC 8410 §3). */
const idEd25519 = bytesOf(0x30, 5, 6, 3, 0x2b, 0x65, 0x70)
/** INTEGER 0: the version of PKCS #1 and PKCS #8. */
const version0 = bytesOf(INTEGER, 1, 0)

const malformed = (what: string) => new TabmeshError('ERR_INVALID_KEY', what)

const write = (tag: number, ...parts: Uint8Array[]): Uint8Array => {
  const body = concat(parts)
  const { length } = body
  const head = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return concat([bytesOf(tag, ...head), body])
}

/** Takes elements off `bytes` one after another. */
class Elements {
  #bytes: Uint8Array

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get rest(): Uint8Array {
    return this.#bytes
  }

  get tag(): number | undefined {
    return this.#bytes[0]
  }

  /** The content of the next element, which must be a `tag`. */
  take(tag: number): Uint8Array {
    const bytes = this.#bytes
    let length = bytes[1] ?? -1
    let at = 2
    if (length >= 0x80) {
      // Two bytes of length reach 65,535: no key is longer.
      const extra = length & 0x7f
      if (extra < 1 || extra > 2) throw malformed('DER of an unlikely length')
      length = 0
      for (let i = 0; i < extra; i++) length = (length << 8) | (bytes[at++] ?? 0)
    }
    if (bytes[0] !== tag || length < 0 || at + length > bytes.length) throw malformed('DER is cut short or of another kind of key')
    this.#bytes = bytes.subarray(at + length)
    return bytes.subarray(at, at + length)
  }
}

const rsaSpki = (n: Uint8Array, e: Uint8Array): Uint8Array =>
  write(SEQUENCE, rsaEncryption, write(BIT_STRING, bytesOf(0), write(SEQUENCE, write(INTEGER, n), write(INTEGER, e))))

/** Throws ERR_INVALID_KEY unless `spki` is the canonical encoding of an RSA key whose size is accepted. */
export const checkRsaSpki = (spki: Uint8Array): void => {
  const info = new Elements(new Elements(spki).take(SEQUENCE))
  info.take(SEQUENCE)
  const key = new Elements(new Elements(info.take(BIT_STRING).subarray(1)).take(SEQUENCE))
  const n = key.take(INTEGER)
  const e = key.take(INTEGER)
  if (!equalBytes(rsaSpki(n, e), spki)) throw malformed('RSA key is not in canonical DER')
  const bits = bitsOf(n)
  if (bits < RSA_MIN_BITS || bits > RSA_MAX_BITS) throw malformed(`RSA key of ${bits} bits`)
  // At most 31 bits, as go: verifying takes time with the exponent.
  if (bitsOf(e) < 2 || bitsOf(e) > 31 || (e.at(-1) ?? 0) % 2 === 0) throw malformed('RSA exponent out of range')
}

/** Bits of a positive DER integer in its shortest form (X.690 §8.3): the top bit of the first byte is the sign. */
const bitsOf = (integer: Uint8Array): number => {
  const [first = 0x80, second = 0] = integer
  if (first >= 0x80 || (first === 0 && second < 0x80)) throw malformed('RSA key holds an integer that is not canonical')
  return first === 0 ? (integer.length - 1) * 8 : (integer.length - 1) * 8 + 32 - Math.clz32(first)
}

/** The SPKI of a PKCS #1 private key. */
export const rsaSpkiOfPrivate = (pkcs1: Uint8Array): Uint8Array => {
  const whole = new Elements(pkcs1)
  const key = new Elements(whole.take(SEQUENCE))
  if (whole.rest.length > 0 || !equalBytes(key.take(INTEGER), bytesOf(0))) throw malformed('RSA private key is not PKCS #1')
  const spki = rsaSpki(key.take(INTEGER), key.take(INTEGER))
  // d, p, q and the three of the Chinese remainder theorem.
  for (let i = 0; i < 6; i++) key.take(INTEGER)
  if (key.rest.length > 0) throw malformed('RSA private key is not PKCS #1')
  return spki
}

/** The SPKI of an uncompressed P-256 point, 65 bytes. */
export const p256Spki = (point: Uint8Array): Uint8Array => write(SEQUENCE, ecPublicKey, write(BIT_STRING, bytesOf(0), point))

/** The uncompressed point inside a P-256 SPKI; whether it lies on the curve shows when a signature is verified. */
export const p256PointOf = (spki: Uint8Array): Uint8Array => {
  const point = spki.subarray(-65)
  if (point[0] !== 4 || !equalBytes(p256Spki(point), spki)) throw malformed('ECDSA key is not an uncompressed P-256 point in canonical DER')
  return point
}

/** Scalar, and the point where it is given, of a SEC 1 private key on P-256. */
export const p256Private = (sec1: Uint8Array): { scalar: Uint8Array; point: Uint8Array | undefined } => {
  const whole = new Elements(sec1)
  const key = new Elements(whole.take(SEQUENCE))
  const version = key.take(INTEGER)
  const scalar = key.take(OCTET_STRING)
  const curve = key.take(EXPLICIT_0)
  const point = key.tag === EXPLICIT_1 ? new Elements(key.take(EXPLICIT_1)).take(BIT_STRING).subarray(1) : undefined
  if (whole.rest.length > 0 || key.rest.length > 0 || version[0] !== 1 || scalar.length !== 32 || !equalBytes(curve, prime256v1)) {
    throw malformed('ECDSA private key is not SEC 1 on P-256')
  }
  return { scalar, point }
}

/** A private key as WebCrypto's `importKey('pkcs8', …)` takes it; secp256k1 is unknown there. */
export const pkcs8 = (type: 'Ed25519' | 'RSA' | 'ECDSA', raw: Uint8Array): Uint8Array =>
  type === 'Ed25519'
    ? write(SEQUENCE, version0, idEd25519, write(OCTET_STRING, write(OCTET_STRING, raw)))
    : write(SEQUENCE, version0, type === 'RSA' ? rsaEncryption : ecPublicKey, write(OCTET_STRING, raw))
