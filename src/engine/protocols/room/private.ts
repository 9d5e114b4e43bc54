/**
 * Private messages between two members, in order and once, whatever happens to the streams they travel on.
 *
 *   send ─▶ unconfirmed ── written to the stream there is ── `taken` ─▶ done        a new stream begins with all that is unconfirmed
 *
 * Each says behind how many of the words for all it comes: `after`.
 *
 * Bounds: what is unconfirmed is for who sends it to limit; ROOM_MAX_MESSAGE for a message being put together.
 */

import { remoteFault, type TabmeshError } from '../../../errors.ts'
import { concat } from '../../codec/bytes.ts'
import { ROOM_MAX_MESSAGE, ROOM_MAX_PART } from '../../limits.ts'
import { encodeWord, type Word } from './messages.ts'

interface Sent {
  readonly number: number
  readonly word: Uint8Array
  /** Of the last part of a message. */
  readonly done: ((fault: TabmeshError | undefined) => void) | undefined
}

/** Ours to one member. */
export class PrivateSent {
  #unconfirmed: Sent[] = []
  /** Of those, how many were written to the present stream. */
  #written = 0
  #next = 0

  /** The number of the first that is not confirmed: what a new stream begins with. */
  get first(): number {
    return this.#unconfirmed[0]?.number ?? this.#next
  }

  /** The number of the next one, where something is not confirmed. */
  get open(): number | undefined {
    return this.#unconfirmed.length === 0 ? undefined : this.#next
  }

  /** The number behind the last message that is written as a whole, where it is not confirmed. */
  get written(): number | undefined {
    for (let at = this.#written - 1; at >= 0; at--) {
      const { number, done } = this.#unconfirmed[at] as Sent
      if (done !== undefined) return number + 1
    }
    return undefined
  }

  /** It comes behind the words for all before number `after`. */
  send(data: Uint8Array, after: number, done: (fault: TabmeshError | undefined) => void): void {
    let at = 0
    do {
      const end = Math.min(data.length, at + ROOM_MAX_PART)
      const number = this.#next++
      const last = end === data.length
      const word = encodeWord({ t: 'private', number, after, data: data.subarray(at, end), more: !last })
      this.#unconfirmed.push({ number, word, done: last ? done : undefined })
      at = end
    } while (at < data.length)
  }

  /** The next one to write, if there is one. */
  take(): Uint8Array | undefined {
    const next = this.#unconfirmed[this.#written]
    if (next !== undefined) this.#written += 1
    return next?.word
  }

  /** All that is unconfirmed goes again, on another stream. */
  rewind(): void {
    this.#written = 0
  }

  taken(number: number): void {
    let count = 0
    while (count < this.#written && (this.#unconfirmed[count] as Sent).number < number) count += 1
    if (count === 0) return
    this.#written -= count
    for (const { done } of this.#unconfirmed.splice(0, count)) done?.(undefined)
  }

  fail(fault: TabmeshError): void {
    const failed = this.#unconfirmed
    this.#unconfirmed = []
    this.#written = 0
    for (const { done } of failed) done?.(fault)
  }
}

/** Those of one member to us. */
export class PrivateTaken {
  #life: string | undefined
  /** What the member's fences for us are made with, in its present life. */
  secret: Uint8Array | undefined
  #next = 0
  #parts: Uint8Array[] = []
  #size = 0

  /** All before it need not be sent again: a message is confirmed when it is whole, so that nobody is left with its rest alone. */
  get confirmed(): number {
    return this.#next - this.#parts.length
  }

  /** Nothing comes for a while: what is not whole is sent again. */
  rest(): void {
    this.#next = this.confirmed
    this.#parts = []
    this.#size = 0
  }

  /** The member has greeted: this stream begins with number `first` of its life. */
  begin(life: string, first: number, secret: Uint8Array): void {
    this.secret = secret
    if (this.#life === life && first <= this.#next) return
    this.#life = life
    this.#next = first
    this.#parts = []
    this.#size = 0
  }

  /** The message that this one completes, if it is new. Throws ERR_PROTOCOL, ERR_FRAME_TOO_LARGE. */
  take({ number, data, more }: Extract<Word, { t: 'private' }>): Uint8Array | undefined {
    if (number < this.#next) return undefined
    if (number > this.#next || this.#life === undefined)
      throw remoteFault('ERR_PROTOCOL', `private message ${number} where ${this.#next} is due`)
    this.#next += 1
    if (!more && this.#size === 0) return data
    this.#size += data.length
    if (this.#size > ROOM_MAX_MESSAGE) throw remoteFault('ERR_FRAME_TOO_LARGE', `a message of over ${ROOM_MAX_MESSAGE} bytes`)
    this.#parts.push(data.slice())
    if (more) return undefined
    const whole = concat(this.#parts, this.#size)
    this.#parts = []
    this.#size = 0
    return whole
  }
}
