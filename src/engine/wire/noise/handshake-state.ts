/**
 * HandshakeState of the Noise Protocol Framework for the pattern XX (https://noiseprotocol.org/noise.html §5.3, §7.5):
 *
 *   -> e                    the initiator writes message 1
 *   <- e, ee, s, es         the responder message 2
 *   -> s, se                the initiator message 3, and both split
 *
 * Messages are read and written in that order by turns. It knows nothing of what the payloads say.
 */

import { remoteFault } from '../../../errors.ts'
import { concat, emptyBytes, utf8 } from '../../codec/bytes.ts'
import type { Aead } from '../../crypto/aead.ts'
import { TAG } from '../../crypto/aead.ts'
import type { X25519KeyPair } from '../../crypto/x25519.ts'
import { X25519_SIZE } from '../../crypto/x25519.ts'
import { agree, type Conversation } from '../conversation.ts'
import type { CipherState } from './cipher-state.ts'
import { SymmetricState } from './cipher-state.ts'

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
