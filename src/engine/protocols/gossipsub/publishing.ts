/**
 * Messages of our own: numbered, signed, and sent in the order in which they were published.
 *
 *   publish ─▶ sign ─▶ … signed, and all before it ─▶ kept, and sent to whom forwarding.ts says ─▶ published
 *
 * Bounds: GOSSIP_MAX_DATA for a message; how many wait to be signed is for who publishes to limit, by `waiting`.
 */

import { TabmeshError } from '../../../errors.ts'
import { GOSSIP_MAX_DATA } from '../../limits.ts'
import { Author } from './authors.ts'
import { publish } from './forwarding.ts'
import { type Message, writeMessage } from './message.ts'
import { VALID } from './seen.ts'
import { seqnoBytes } from './signing.ts'
import type { State } from './state.ts'

/** Bytes of an Ed25519 signature (RFC 8032 §5.1.6), the one of most peers. */
const SIGNATURE = 64

/** A message on its way: unsigned, then ready, or given up where it could not be signed. */
interface Outgoing {
  readonly message: Message
  state: 'unsigned' | 'signed' | 'failed'
}

export class Publishing {
  readonly #state: State
  /** This peer, where messages are signed. */
  readonly #author: Author | undefined
  /** Of the next message. */
  readonly #seqno: Uint8Array
  /** In the order in which they were published, and the ticket of the first. */
  readonly #outgoing: Outgoing[] = []
  #first = 0

  /** `seqno` is that of the first message. */
  constructor(state: State, seqno: bigint) {
    this.#state = state
    const { signing } = state.setup
    this.#author = signing.t === 'StrictSign' ? new Author(signing.from) : undefined
    this.#seqno = seqnoBytes(seqno)
  }

  /** Messages that are not signed yet. */
  get waiting(): number {
    return this.#outgoing.length
  }

  /** The id; undefined where the same was published before. Throws ERR_INVALID_ARGUMENT. */
  publish(topic: string, data: Uint8Array, now: number): string | undefined {
    if (data.length > GOSSIP_MAX_DATA)
      throw new TabmeshError('ERR_INVALID_ARGUMENT', `a message of ${data.length} bytes, where ${GOSSIP_MAX_DATA} reach all peers`)
    const { setup, seen } = this.#state
    const { signing } = setup
    const message = this.#write(topic, data)
    message.id = setup.messageId(message)
    if (seen.get(message.id) !== undefined) return undefined
    seen.add(message.id, VALID, now)
    if (signing.t === 'StrictNoSign') {
      this.#send(message, now)
      return message.id
    }
    const ticket = this.#first + this.#outgoing.length
    this.#outgoing.push({ message, state: 'unsigned' })
    this.#state.say({ t: 'sign', ticket, bytes: message.signingBytes() })
    return message.id
  }

  /** The answer to `sign`; undefined where there is no signature to be had: that message is not sent. */
  signed(ticket: number, signature: Uint8Array | undefined, now: number): void {
    const outgoing = this.#outgoing[ticket - this.#first]
    const { signing } = this.#state.setup
    if (outgoing === undefined || signing.t === 'StrictNoSign') return
    if (signature !== undefined) outgoing.message.sign(signature, signing.key)
    outgoing.state = signature === undefined ? 'failed' : 'signed'
    for (let first = this.#outgoing[0]; first !== undefined && first.state !== 'unsigned'; first = this.#outgoing[0]) {
      this.#outgoing.shift()
      this.#first += 1
      const { message, state } = first
      if (state === 'signed') this.#send(message, now)
      else this.#state.say({ t: 'published', id: message.id, peers: undefined })
    }
  }

  #write(topic: string, data: Uint8Array): Message {
    const { names } = this.#state.setup
    if (this.#author === undefined) return writeMessage(names, topic, data)
    const message = writeMessage(names, topic, data, this.#author, this.#seqno, SIGNATURE)
    countUp(this.#seqno)
    return message
  }

  #send(message: Message, now: number): void {
    const topic = this.#state.topic(message.topic)
    const peers = publish(this.#state, topic, message, now)
    this.#state.forget(topic)
    this.#state.counts.published += 1
    this.#state.say({ t: 'published', id: message.id, peers })
  }
}

/** One more, big-endian, in place. */
const countUp = (bytes: Uint8Array): void => {
  for (let i = bytes.length - 1; i >= 0; i--) {
    bytes[i] = (bytes[i] as number) + 1
    if (bytes[i] !== 0) return
  }
}
