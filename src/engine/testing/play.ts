/**
 * Plays the other side of a conversation by hand: hands in what it sends and keeps what it is sent.
 *
 * The conversation runs until it wants more than there is; `Play.send` and `Play.end` go on from there. Signatures are asked of a key.
 */

import { TabmeshError } from '../../errors.ts'
import { concat } from '../codec/bytes.ts'
import type { PrivateKey } from '../codec/keys.ts'
import { signWith, verifySignature } from '../crypto/verify.ts'
import { sharedSecret } from '../crypto/x25519.ts'
import type { Answer, Ask, Conversation } from '../wire/conversation.ts'

export class Play<T> {
  readonly #talk: Conversation<T>
  readonly #key: PrivateKey | undefined
  #incoming: Uint8Array = new Uint8Array(0)
  #incomingEnded = false
  #ask: Ask | undefined
  #written: Uint8Array[] = []
  /** Whether the conversation ended its side. */
  ended = false
  value: T | undefined
  fault: TabmeshError | undefined
  over = false
  verified = 0

  /** `key` signs, where the conversation asks for it. */
  constructor(talk: Conversation<T>, key?: PrivateKey) {
    this.#talk = talk
    this.#key = key
    this.#step(undefined)
  }

  /** What it wrote since this was last read. */
  get written(): Uint8Array {
    return concat(this.#written.splice(0))
  }

  /** What was sent to it and not read. */
  get rest(): Uint8Array {
    return this.#incoming
  }

  send(bytes: Uint8Array): this {
    this.#incoming = concat([this.#incoming, bytes])
    this.#goOn()
    return this
  }

  end(): this {
    this.#incomingEnded = true
    this.#goOn()
    return this
  }

  #goOn(): void {
    const ask = this.#ask
    if (ask === undefined || this.over) return
    const answer = this.#answer(ask)
    if (answer !== undefined) this.#step(answer)
  }

  #take(count: number): Uint8Array {
    const taken = this.#incoming.subarray(0, count)
    this.#incoming = this.#incoming.subarray(count)
    return taken
  }

  /** Undefined while a read must wait. */
  #answer(ask: Ask): Answer {
    switch (ask.t) {
      case 'read':
        if (this.#incoming.length >= ask.bytes) return this.#take(ask.bytes)
        if (!this.#incomingEnded) return undefined
        this.over = true
        this.fault = new TabmeshError('ERR_STREAM_CLOSED', 'the remote ended the stream early')
        return undefined
      case 'readSome':
        return this.#incoming.length > 0 || this.#incomingEnded ? this.#take(Math.min(ask.max, this.#incoming.length)) : undefined
      case 'sign':
        if (this.#key === undefined) throw new Error('asks for a signature, but has no key')
        return signWith(this.#key, ask.bytes)
      case 'verify':
        this.verified += 1
        return verifySignature(ask.key, ask.bytes, ask.signature) ?? false
      case 'keyPair':
        throw new Error('asks for a key pair, which nobody here makes')
      case 'agree':
        return sharedSecret(ask.own, ask.publicKey)
      default:
        return undefined
    }
  }

  #step(answer: Answer): void {
    let next = answer
    try {
      for (;;) {
        const step = this.#talk.next(next)
        if (step.done === true) {
          this.value = step.value
          this.over = true
          return
        }
        const ask = step.value
        if (ask.t === 'write') this.#written.push(ask.bytes)
        else if (ask.t === 'end') this.ended = true
        this.#ask = ask
        next = this.#answer(ask)
        if (next === undefined && ask.t !== 'write' && ask.t !== 'end') return
      }
    } catch (error) {
      if (!(error instanceof TabmeshError)) throw error
      this.fault = error
      this.over = true
    }
  }
}

/** The value of a conversation that asks for nothing but key agreement with pairs of `x25519KeyPair`. */
export const settle = <T>(talk: Conversation<T>): T => {
  let step = talk.next()
  while (step.done !== true) {
    const ask = step.value
    if (ask.t !== 'agree') throw new Error(`asks for ${ask.t}`)
    step = talk.next(sharedSecret(ask.own, ask.publicKey))
  }
  return step.value
}
