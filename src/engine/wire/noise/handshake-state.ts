/**
 * The three processing objects of the Noise Protocol Framework (https://noiseprotocol.org/noise.html §5), with ChaChaPoly
 * and SHA256, for the pattern XX (§7.5):
 *
 *   CipherState      a key and how many messages it has served
 *   SymmetricState   what both sides have hashed and mixed so far; splits into two CipherStates
 *   HandshakeState   -> e                    the initiator writes message 1
 *                    <- e, ee, s, es         the responder message 2
 *                    -> s, se                the initiator message 3, and both split
 *
 * Messages are read and written in that order by turns. None of them knows what the payloads say.
 * Bounds. A key seals 2^64 − 1 messages: the last nonce is reserved (§5.1), and the session ends before it.
 */

import { hkdf } from '@noble/hashes/hkdf.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { remoteFault, TabmeshError } from '../../../errors.ts'
import { concat, emptyBytes, utf8 } from '../../codec/bytes.ts'
import type { Aead } from '../../crypto/aead.ts'
import { TAG } from '../../crypto/aead.ts'
import type { X25519KeyPair } from '../../crypto/x25519.ts'
import { X25519_SIZE } from '../../crypto/x25519.ts'
import { agree, type Conversation } from '../conversation.ts'

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

const PROTOCOL_NAME = utf8('Noise_XX_25519_ChaChaPoly_SHA256')

type Token = 'e' | 's' | 'ee' | 'es' | 'se'
const XX: readonly (readonly Token[])[] = [['e'], ['e', 'ee', 's', 'es'], ['s', 'se']]

/** A sealed static key. */
const SEALED_KEY = X25519_SIZE + TAG

export interface HandshakeKeys {
  readonly initiator: boolean
  readonly staticKey: X25519KeyPair
  /** Fresh for every handshake. */
  readonly ephemeral: X25519KeyPair
  readonly prologue: Uint8Array
}

export class HandshakeState {
  readonly #keys: HandshakeKeys
  readonly #state: SymmetricState
  #messages = 0
  #remoteEphemeral: Uint8Array = emptyBytes
  #remoteStatic: Uint8Array = emptyBytes

  constructor(aead: Aead, keys: HandshakeKeys) {
    this.#keys = keys
    this.#state = new SymmetricState(aead, PROTOCOL_NAME)
    this.#state.mixHash(keys.prologue)
  }

  /** The static key of the other side, once its message is read. */
  get remoteStatic(): Uint8Array {
    return this.#remoteStatic
  }

  get hash(): Uint8Array {
    return this.#state.hash
  }

  *write(payload: Uint8Array): Conversation<Uint8Array> {
    const { ephemeral, staticKey } = this.#keys
    const parts: Uint8Array[] = []
    for (const token of this.#next()) {
      if (token === 'e') {
        parts.push(ephemeral.publicKey)
        this.#state.mixHash(ephemeral.publicKey)
      } else if (token === 's') parts.push(this.#state.encryptAndHash(staticKey.publicKey))
      else yield* this.#mix(token)
    }
    parts.push(this.#state.encryptAndHash(payload))
    return concat(parts)
  }

  /** Answers with the payload. Throws ERR_ENCRYPTION_FAILED where `message` is not the next one of this handshake. */
  *read(message: Uint8Array): Conversation<Uint8Array> {
    let at = 0
    for (const token of this.#next()) {
      if (token === 'e') {
        this.#remoteEphemeral = this.#part(message, at, X25519_SIZE)
        this.#state.mixHash(this.#remoteEphemeral)
        at += X25519_SIZE
      } else if (token === 's') {
        this.#remoteStatic = this.#state.decryptAndHash(this.#part(message, at, SEALED_KEY))
        at += SEALED_KEY
      } else yield* this.#mix(token)
    }
    return this.#state.decryptAndHash(message.subarray(at))
  }

  /** The keys of the transport. */
  split(): { send: CipherState; receive: CipherState } {
    const [first, second] = this.#state.split()
    return this.#keys.initiator ? { send: first, receive: second } : { send: second, receive: first }
  }

  #next(): readonly Token[] {
    return XX[this.#messages++] as readonly Token[]
  }

  #part(message: Uint8Array, at: number, size: number): Uint8Array {
    if (message.length < at + size) throw remoteFault('ERR_ENCRYPTION_FAILED', `noise: handshake message ${this.#messages} is too short`)
    return message.subarray(at, at + size)
  }

  /** The first letter of a token is the initiator's key, the second the responder's. The one place that runs Diffie-Hellman. */
  *#mix(token: 'ee' | 'es' | 'se'): Conversation<void> {
    const { initiator, ephemeral, staticKey } = this.#keys
    const own = (initiator ? token[0] : token[1]) === 'e' ? ephemeral : staticKey
    const remote = (initiator ? token[1] : token[0]) === 'e' ? this.#remoteEphemeral : this.#remoteStatic
    const secret = yield* agree(own, remote)
    // All zeros, known to the whole world: refused, though Noise would allow it (§12.1).
    if (secret === false) throw remoteFault('ERR_ENCRYPTION_FAILED', 'noise: the remote sent a public key of low order')
    this.#state.mixKey(secret)
  }
}
