/**
 * Signing and verifying with all four types of libp2p keys, by OpenSSL
 * (https://github.com/libp2p/specs/blob/master/peer-ids/peer-ids.md#key-types). secp256k1 is left to noble: builds of
 * Node on BoringSSL do not have the curve.
 *
 * Bounds: KEPT_KEYS parsed public keys. Parsing a key takes as long as verifying with it (73 µs and 69 µs, Ed25519).
 */

import type { KeyObject } from 'node:crypto'
import { createPrivateKey, createPublicKey, sign as signWithOpenSsl, verify as verifyWithOpenSsl } from 'node:crypto'
import type { PrivateKey, PublicKey } from '../engine/codec/keys.ts'
import { signWith, verifySignature } from '../engine/crypto/verify.ts'
import { TabmeshError } from '../errors.ts'

/** Relays and meshes hear the same peers again and again; 1,024 of them take about 1 MB. */
const KEPT_KEYS = 1_024

/** RFC 8410 §7 and §4: all of the DER that stands before the 32 bytes of an Ed25519 key. */
const ED25519_PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex')
const ED25519_SPKI = Buffer.from('302a300506032b6570032100', 'hex')

/** Ed25519 hashes by itself; the others sign SHA-256. */
const digestOf = ({ type }: { readonly type: PublicKey['type'] }): 'sha256' | null => (type === 'Ed25519' ? null : 'sha256')

export const signer = (key: PrivateKey): ((bytes: Uint8Array) => Uint8Array) => {
  if (key.type === 'secp256k1') return (bytes) => signWith(key, bytes)
  let parsed: KeyObject
  try {
    parsed = parsePrivate(key)
  } catch (error) {
    throw new TabmeshError('ERR_INVALID_KEY', `${key.type} private key can't be used`, { cause: error })
  }
  const digest = digestOf(key)
  return (bytes) => plain(signWithOpenSsl(digest, bytes, parsed))
}

const parsePrivate = ({ type, raw }: PrivateKey): KeyObject => {
  if (type === 'Ed25519') return createPrivateKey({ key: Buffer.concat([ED25519_PKCS8, raw]), format: 'der', type: 'pkcs8' })
  return createPrivateKey({ key: Buffer.from(raw), format: 'der', type: type === 'RSA' ? 'pkcs1' : 'sec1' })
}

const parsePublic = ({ type, raw }: PublicKey): KeyObject =>
  createPublicKey({ key: type === 'Ed25519' ? Buffer.concat([ED25519_SPKI, raw]) : Buffer.from(raw), format: 'der', type: 'spki' })

export const verifier = (): ((key: PublicKey, bytes: Uint8Array, signature: Uint8Array) => boolean) => {
  const parsed = keyCache()
  return (key, bytes, signature) => {
    if (key.type === 'secp256k1') return verifySignature(key, bytes, signature) === true
    try {
      return verifyWithOpenSsl(digestOf(key), bytes, parsed(key), signature)
    } catch {
      // A key that is no point of its curve, or a signature that is no DER, signed nothing.
      return false
    }
  }
}

/** Keeps the keys used last: a Map remembers the order in which its entries were made. */
const keyCache = (): ((key: PublicKey) => KeyObject) => {
  const kept = new Map<string, KeyObject>()
  return (key) => {
    const name = Buffer.from(key.encoded.buffer, key.encoded.byteOffset, key.encoded.length).toString('latin1')
    const found = kept.get(name)
    const parsed = found ?? parsePublic(key)
    if (found !== undefined) kept.delete(name)
    else if (kept.size >= KEPT_KEYS) kept.delete(kept.keys().next().value as string)
    kept.set(name, parsed)
    return parsed
  }
}

/** The engine takes no Buffers: their `slice` shares where that of an Uint8Array copies. */
const plain = ({ buffer, byteOffset, length }: Buffer): Uint8Array => new Uint8Array(buffer, byteOffset, length)
