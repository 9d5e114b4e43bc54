/**
 * A published message (specs: pubsub/README.md §The Message).
 *
 *   Message = { 1: from, 2: data, 3: seqno (8 bytes, big-endian), 4: topic, 5: signature, 6: key }
 *
 * It is kept as the bytes it came in, and its fields are places in them: most messages are duplicates, of which only the id is looked
 * at, and what is passed on needs no encoding. What is signed is `libp2p-pubsub:` and the fields without 5 and 6 in the order of
 * their numbers, so a message that came in any other form, or with fields that are none of its own, is written anew first: who gets
 * it from us must come to the same verdict as we did.
 */

import { emptyBytes, utf8, utf8Length, writeUtf8 } from '../../codec/bytes.ts'
import { varintLength, writeVarint } from '../../codec/varint.ts'
import { GOSSIP_MAX_PINNED } from '../../limits.ts'
import { copyOf, room } from './arena.ts'
import type { Author, Authors } from './authors.ts'
import type { TopicNames } from './text.ts'
import { WireReader } from './wire-reader.ts'

const FROM = 0x0a
const DATA = 0x12
const SEQNO = 0x1a
const TOPIC = 0x22
const SIGNATURE = 0x2a
const KEY = 0x32
/** The last tag that is one of the above with any wire type. */
const LAST = 0x37

/** pubsub/README.md §Message Signing */
const SIGN_PREFIX = utf8('libp2p-pubsub:')

/** Tells messages apart, one character a byte. The same at all peers of a topic. */
export type MessageId = (message: Message) => string

/** A field's place; absent where `at` is negative. */
interface Places {
  fromAt: number
  fromEnd: number
  dataAt: number
  dataEnd: number
  seqnoAt: number
  seqnoEnd: number
  topicAt: number
  topicEnd: number
  signatureAt: number
  signatureEnd: number
  keyAt: number
  keyEnd: number
  /** Where the signed fields end. */
  signedEnd: number
}

const nowhere = (): Places => ({
  fromAt: -1,
  fromEnd: -1,
  dataAt: -1,
  dataEnd: -1,
  seqnoAt: -1,
  seqnoEnd: -1,
  topicAt: -1,
  topicEnd: -1,
  signatureAt: -1,
  signatureEnd: -1,
  keyAt: -1,
  keyEnd: -1,
  signedEnd: 0,
})

export class Message {
  /** The encoded message. */
  raw: Uint8Array
  readonly topic: string
  readonly author: Author | undefined
  id = ''
  readonly #places: Places
  /** What is signed stands before `raw` in its buffer: SIGN_PREFIX, and no copy is made of the rest. */
  #prefixed: boolean

  constructor(raw: Uint8Array, topic: string, author: Author | undefined, places: Places, prefixed: boolean) {
    this.raw = raw
    this.topic = topic
    this.author = author
    this.#places = places
    this.#prefixed = prefixed
  }

  get from(): Uint8Array | undefined {
    return this.#view(this.#places.fromAt, this.#places.fromEnd)
  }

  get data(): Uint8Array {
    return this.#view(this.#places.dataAt, this.#places.dataEnd) ?? emptyBytes
  }

  get seqno(): Uint8Array | undefined {
    return this.#view(this.#places.seqnoAt, this.#places.seqnoEnd)
  }

  get signature(): Uint8Array | undefined {
    return this.#view(this.#places.signatureAt, this.#places.signatureEnd)
  }

  get key(): Uint8Array | undefined {
    return this.#view(this.#places.keyAt, this.#places.keyEnd)
  }

  get dataLength(): number {
    return this.#places.dataEnd - this.#places.dataAt
  }

  /** Negative where it is absent. */
  get seqnoAt(): number {
    return this.#places.seqnoAt
  }

  get seqnoLength(): number {
    return this.#places.seqnoEnd - this.#places.seqnoAt
  }

  get hasSignature(): boolean {
    return this.#places.signatureAt >= 0
  }

  /** Whether it says anything of who made it. */
  get hasOrigin(): boolean {
    const { fromAt, seqnoAt, keyAt } = this.#places
    return fromAt >= 0 || seqnoAt >= 0 || keyAt >= 0
  }

  /** What the signature is over. The message moves to where the prefix stands before it, and so lets go of what it came in. */
  signingBytes(): Uint8Array {
    if (!this.#prefixed) {
      const raw = prefixed(this.raw.length)
      raw.set(this.raw)
      this.raw = raw
      this.#prefixed = true
    }
    const { buffer, byteOffset } = this.raw
    return new Uint8Array(buffer, byteOffset - SIGN_PREFIX.length, SIGN_PREFIX.length + this.#places.signedEnd)
  }

  /** Lets go of what it came in, where that is much larger. */
  keep(): void {
    if (!this.#prefixed && this.raw.buffer.byteLength > GOSSIP_MAX_PINNED * this.raw.length) this.raw = copyOf(this.raw)
  }

  /** Adds the signature to a message of ours that had none, and the `key` where the peer id does not tell it. */
  sign(signature: Uint8Array, key: Uint8Array | undefined): void {
    const places = this.#places
    const { signedEnd } = places
    places.signatureEnd = signedEnd + fieldLength(signature.length)
    places.signatureAt = places.signatureEnd - signature.length
    if (key === undefined && this.raw.length === places.signatureEnd) {
      writeField(SIGNATURE, signature, this.raw, signedEnd)
      return
    }
    this.raw = addSignature(this.raw.subarray(0, signedEnd), signature, key)
    this.#prefixed = false
    if (key === undefined) return
    places.keyEnd = this.raw.length
    places.keyAt = places.keyEnd - key.length
  }

  #view(at: number, end: number): Uint8Array | undefined {
    return at < 0 ? undefined : this.raw.subarray(at, end)
  }
}

/** Undefined where it has no topic, or none that can be read. Throws ERR_DECODE. */
export const readMessage = (raw: Uint8Array, names: TopicNames, authors: Authors, messageId: MessageId): Message | undefined => {
  const places = nowhere()
  const reader = new WireReader(raw)
  let canonical = true
  let last = 0
  while (reader.at < reader.end) {
    const tag = reader.small()
    if (tag <= last || tag > LAST) canonical = false
    last = tag
    if (tag > LAST || tag < 8) {
      reader.skip(tag)
      continue
    }
    if ((tag & 7) !== 2) throw reader.fault(`message field ${tag >> 3} of wire type ${tag & 7}`)
    const end = reader.length()
    const { at } = reader
    switch (tag) {
      case FROM:
        places.fromAt = at
        places.fromEnd = end
        break
      case DATA:
        places.dataAt = at
        places.dataEnd = end
        break
      case SEQNO:
        places.seqnoAt = at
        places.seqnoEnd = end
        break
      case TOPIC:
        places.topicAt = at
        places.topicEnd = end
        break
      case SIGNATURE:
        places.signatureAt = at
        places.signatureEnd = end
        break
      default:
        places.keyAt = at
        places.keyEnd = end
    }
    if (tag < SIGNATURE) places.signedEnd = end
    reader.at = end
  }
  if (places.topicAt < 0) return undefined
  if (!canonical || !reader.shortest) return readMessage(rewrite(raw, places), names, authors, messageId)
  const topic = names.read(raw, places.topicAt, places.topicEnd)
  if (topic === undefined) return undefined
  const author = places.fromAt < 0 ? undefined : authors.read(raw, places.fromAt, places.fromEnd)
  const message = new Message(raw, topic, author, places, false)
  message.id = messageId(message)
  return message
}

const fieldLength = (length: number): number => 1 + varintLength(length) + length

const writeField = (tag: number, bytes: Uint8Array, out: Uint8Array, at: number): number => {
  out[at++] = tag
  at = writeVarint(bytes.length, out, at)
  out.set(bytes, at)
  return at + bytes.length
}

const rewrite = (raw: Uint8Array, places: Places): Uint8Array => {
  const fields: [number, number, number][] = [
    [FROM, places.fromAt, places.fromEnd],
    [DATA, places.dataAt, places.dataEnd],
    [SEQNO, places.seqnoAt, places.seqnoEnd],
    [TOPIC, places.topicAt, places.topicEnd],
    [SIGNATURE, places.signatureAt, places.signatureEnd],
    [KEY, places.keyAt, places.keyEnd],
  ]
  const there = fields.filter(([, at]) => at >= 0)
  const out = new Uint8Array(there.reduce((sum, [, at, end]) => sum + fieldLength(end - at), 0))
  let to = 0
  for (const [tag, at, end] of there) to = writeField(tag, raw.subarray(at, end), out, to)
  return out
}

/**
 * A message of ours before it is signed, without its id; without `author` and `seqno` where nothing is. With room for a signature of as many
 * bytes, another one has it copied.
 */
export const writeMessage = (
  names: TopicNames,
  topic: string,
  data: Uint8Array,
  author?: Author,
  seqno?: Uint8Array,
  signature = 0,
): Message => {
  const topicLength = utf8Length(topic)
  let length = fieldLength(data.length) + fieldLength(topicLength)
  if (author !== undefined) length += fieldLength(author.bytes.length)
  if (seqno !== undefined) length += fieldLength(seqno.length)
  const raw = prefixed(length + (signature > 0 ? fieldLength(signature) : 0))
  const places = nowhere()
  let at = 0
  if (author !== undefined) {
    at = writeField(FROM, author.bytes, raw, at)
    places.fromAt = at - author.bytes.length
    places.fromEnd = at
  }
  at = writeField(DATA, data, raw, at)
  places.dataAt = at - data.length
  places.dataEnd = at
  if (seqno !== undefined) {
    at = writeField(SEQNO, seqno, raw, at)
    places.seqnoAt = at - seqno.length
    places.seqnoEnd = at
  }
  raw[at++] = TOPIC
  places.topicAt = writeVarint(topicLength, raw, at)
  places.topicEnd = writeUtf8(topic, raw, places.topicAt)
  places.signedEnd = places.topicEnd
  // As peers read it.
  const name = names.read(raw, places.topicAt, places.topicEnd) ?? topic
  return new Message(raw, name, author, places, true)
}

/** Room for so many bytes of a message, behind SIGN_PREFIX. */
const prefixed = (length: number): Uint8Array => {
  const bytes = room(SIGN_PREFIX.length + length)
  bytes.set(SIGN_PREFIX)
  return bytes.subarray(SIGN_PREFIX.length)
}

/** The signed message. `key` where the peer id does not tell it. */
export const addSignature = (unsigned: Uint8Array, signature: Uint8Array, key: Uint8Array | undefined): Uint8Array => {
  const out = room(unsigned.length + fieldLength(signature.length) + (key === undefined ? 0 : fieldLength(key.length)))
  out.set(unsigned)
  const at = writeField(SIGNATURE, signature, out, unsigned.length)
  if (key !== undefined) writeField(KEY, key, out, at)
  return out
}
