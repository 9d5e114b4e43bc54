/**
 * Keys as libp2p writes them: https://github.com/libp2p/specs/blob/master/peer-ids/peer-ids.md#keys
 *
 *   PublicKey, PrivateKey = { 1: Type, 2: Data }    RSA 0, Ed25519 1, secp256k1 2, ECDSA (P-256) 3
 *
 * A peer id is made of these very bytes, so they are accepted in one form only: both fields, in order, shortest
 * varints, nothing after them. Bounds: an RSA key of 8192 bits encodes to 1,066 bytes, its private key to some 4,700.
 */

import { ed25519 } from '@noble/curves/ed25519.js'
import { p256 } from '@noble/curves/nist.js'
import { secp256k1 } from '@noble/curves/secp256k1.js'
import { TabmeshError } from '../../errors.ts'
import { concat, equalBytes } from './bytes.ts'
import { checkRsaSpki, p256PointOf, p256Private, p256Spki, rsaSpkiOfPrivate } from './der.ts'
import { encodeVarint, readVarint } from './varint.ts'

/** In the order of their numbers on the wire. */
const keyTypes = ['RSA', 'Ed25519', 'secp256k1', 'ECDSA'] as const
export type KeyType = (typeof keyTypes)[number]

export interface PublicKey {
  readonly type: KeyType
  /** Ed25519: 32 bytes. secp256k1: the compressed point, 33 bytes. RSA and ECDSA: SubjectPublicKeyInfo in DER. */
  readonly raw: Uint8Array
  /** The canonical protobuf: what peer ids and handshakes carry. */
  readonly encoded: Uint8Array
}

export interface PrivateKey {
  readonly type: KeyType
  /** Ed25519: the seed, 32 bytes. secp256k1: the scalar, 32 bytes. RSA: PKCS #1 in DER. ECDSA: SEC 1 in DER. */
  readonly raw: Uint8Array
  readonly publicKey: PublicKey
}

const invalid = (what: string) => new TabmeshError('ERR_INVALID_KEY', what)

const encode = (type: KeyType, data: Uint8Array): Uint8Array =>
  concat([Uint8Array.of(0x08, keyTypes.indexOf(type), 0x12), encodeVarint(data.length), data])

const decode = (bytes: Uint8Array): { type: KeyType; data: Uint8Array } => {
  const type = keyTypes[bytes[1] ?? -1]
  if (bytes[0] !== 0x08 || bytes[2] !== 0x12 || type === undefined) throw invalid('key is not a canonical protobuf of a known type')
  let size: ReturnType<typeof readVarint>
  try {
    size = readVarint(bytes, 3)
  } catch (error) {
    throw asKeyError(error)
  }
  if (size === undefined || size.next + size.value !== bytes.length) throw invalid('key is not as long as it says')
  return { type, data: bytes.subarray(size.next) }
}

const asKeyError = (error: unknown) =>
  error instanceof TabmeshError && error.code === 'ERR_INVALID_KEY'
    ? error
    : new TabmeshError('ERR_INVALID_KEY', 'key is malformed', { cause: error })

/** Throws ERR_INVALID_KEY unless `raw` is the one form of such a key. That a point lies on its curve shows when it verifies. */
const checkPublic = (type: KeyType, raw: Uint8Array): void => {
  if (type === 'RSA') checkRsaSpki(raw)
  else if (type === 'ECDSA') p256PointOf(raw)
  else if (type === 'Ed25519' && raw.length !== 32) throw invalid(`Ed25519 key of ${raw.length} bytes`)
  else if (type === 'secp256k1' && (raw.length !== 33 || (raw[0] !== 2 && raw[0] !== 3)))
    throw invalid('secp256k1 key is not a compressed point')
}

/** A public key from its bytes; copies nothing. Throws ERR_INVALID_KEY. */
export const publicKey = (type: KeyType, raw: Uint8Array): PublicKey => {
  checkPublic(type, raw)
  return { type, raw, encoded: encode(type, raw) }
}

/** Throws ERR_INVALID_KEY. The key shares the memory of `bytes`. */
export const decodePublicKey = (bytes: Uint8Array): PublicKey => {
  const { type, data } = decode(bytes)
  checkPublic(type, data)
  return { type, raw: data, encoded: bytes }
}

/** A private key from what `PrivateKey.raw` holds, its public key derived. Throws ERR_INVALID_KEY. */
export const privateKey = (type: KeyType, raw: Uint8Array): PrivateKey => {
  try {
    return { type, raw, publicKey: publicKey(type, derive(type, raw)) }
  } catch (error) {
    throw asKeyError(error)
  }
}

const derive = (type: KeyType, raw: Uint8Array): Uint8Array => {
  switch (type) {
    case 'Ed25519':
      return ed25519.getPublicKey(raw)
    case 'secp256k1':
      return secp256k1.getPublicKey(raw, true)
    case 'RSA':
      return rsaSpkiOfPrivate(raw)
    case 'ECDSA': {
      const { scalar, point } = p256Private(raw)
      const derived = p256.getPublicKey(scalar, false)
      if (point !== undefined && !equalBytes(point, derived)) throw invalid('ECDSA private key holds the public key of another')
      return p256Spki(derived)
    }
  }
}

/** Throws ERR_INVALID_KEY. Reads the older Ed25519 form of 96 bytes too, which repeats the public key. */
export const decodePrivateKey = (bytes: Uint8Array): PrivateKey => {
  const { type, data } = decode(bytes)
  if (type !== 'Ed25519') return privateKey(type, data)
  if (data.length !== 64 && data.length !== 96) throw invalid(`Ed25519 private key of ${data.length} bytes`)
  const key = privateKey(type, data.subarray(0, 32))
  // Signing with a public key that is not the seed's own gives the seed away.
  for (let at = 32; at < data.length; at += 32) {
    if (!equalBytes(data.subarray(at, at + 32), key.publicKey.raw)) throw invalid('Ed25519 private key holds the public key of another')
  }
  return key
}

export const encodePrivateKey = ({ type, raw, publicKey: own }: PrivateKey): Uint8Array =>
  encode(type, type === 'Ed25519' ? concat([raw, own.raw]) : raw)
