/**
 * CipherState and SymmetricState of the Noise Protocol Framework (https://noiseprotocol.org/noise.html §5.1, §5.2), with
 * ChaChaPoly and SHA256.
 *
 * Bounds. A key seals 2^64 − 1 messages: the last nonce is reserved (§5.1), and the session ends before it.
 */

import { hkdf } from '@noble/hashes/hkdf.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { remoteFault, TabmeshError } from '../../../errors.ts'
import { concat, emptyBytes } from '../../codec/bytes.ts'
import type { Aead } from '../../crypto/aead.ts'
import { TAG } from '../../crypto/aead.ts'

const U32 = 0x1_0000_0000

/** A key and how many messages it has served. */
export class CipherState {
  readonly key: Uint8Array
  /** §12.3: four bytes of zeros, then n in little-endian. */
  readonly #nonce = new Uint8Array(12)
  readonly #view = new DataView(this.#nonce.buffer)
  // n in two halves: one number is exact only up to 2^53.
  #low: number
  #high: number

  /** `low` and `high` are the halves of the first n, zero but in tests. */
  constructor(key: Uint8Array, low = 0, high = 0) {
    this.key = key
    this.#low = low
    this.#high = high
  }

  /** Whether the key may serve `messages` more, fewer than 2^32. */
  allows(messages: number): boolean {
    return this.#high < U32 - 1 || this.#low + messages < U32
  }

  /** The nonce of the next message, and counts that message. The bytes are good until the next call. */
  nextNonce(): Uint8Array {
    if (!this.allows(1)) throw new TabmeshError('ERR_ENCRYPTION_FAILED', 'the nonces of this session are used up')
    this.#view.setUint32(4, this.#low, true)
    this.#view.setUint32(8, this.#high, true)
    this.#low++
    if (this.#low === U32) {
      this.#low = 0
      this.#high++
    }
    return this.#nonce
  }
}

/** The chaining key and transcript hash of a handshake, and the key it is at. */
export class SymmetricState {
  readonly #aead: Aead
  #chainingKey: Uint8Array
  #hash: Uint8Array
  #cipher: CipherState | undefined

  /** InitializeSymmetric. `protocolName` is 32 bytes here, the size of the hash, and is therefore not hashed itself. */
  constructor(aead: Aead, protocolName: Uint8Array) {
    this.#aead = aead
    this.#hash = protocolName
    this.#chainingKey = protocolName
  }

  /** GetHandshakeHash: the same on both sides when the handshake is over, and never again (§11.2). */
  get hash(): Uint8Array {
    return this.#hash
  }

  mixHash(data: Uint8Array): void {
    this.#hash = sha256(concat([this.#hash, data]))
  }

  mixKey(material: Uint8Array): void {
    const [chainingKey, key] = this.#derive(material)
    this.#chainingKey = chainingKey
    this.#cipher = new CipherState(key)
  }

  encryptAndHash(plaintext: Uint8Array): Uint8Array {
    let sealed = plaintext
    if (this.#cipher !== undefined) {
      sealed = new Uint8Array(plaintext.length + TAG)
      this.#aead.seal(this.#cipher.key, this.#cipher.nextNonce(), [plaintext], sealed, 0, this.#hash)
    }
    this.mixHash(sealed)
    return sealed
  }

  /** Throws ERR_ENCRYPTION_FAILED where `sealed` is not what the remote sealed at this point of this handshake. */
  decryptAndHash(sealed: Uint8Array): Uint8Array {
    let plaintext = sealed
    if (this.#cipher !== undefined) {
      plaintext = new Uint8Array(Math.max(0, sealed.length - TAG))
      if (!this.#aead.open(this.#cipher.key, this.#cipher.nextNonce(), sealed, plaintext, 0, this.#hash)) {
        throw remoteFault('ERR_ENCRYPTION_FAILED', 'noise: a handshake message does not authenticate')
      }
    }
    this.mixHash(sealed)
    return plaintext
  }

  /** The keys of the transport: the initiator sends with the first and receives with the second. */
  split(): [CipherState, CipherState] {
    const [first, second] = this.#derive(emptyBytes)
    return [new CipherState(first), new CipherState(second)]
  }

  /** §4.3: HKDF with two outputs is RFC 5869 with the chaining key as salt and no info. */
  #derive(material: Uint8Array): [Uint8Array, Uint8Array] {
    const output = hkdf(sha256, material, this.#chainingKey, emptyBytes, 64)
    return [output.slice(0, 32), output.slice(32)]
  }
}
