/**
 * Message ids: what tells one message from another. All peers of a topic have to make the same, or IHAVE, IWANT and IDONTWANT are about
 * nothing; and the three implementations do not by default: go joins `from` and `seqno`, js the public key and `seqno`, rust both
 * as text. Ours is go's. An application that meets js or rust peers as they come takes their form, or gives all of them the same function.
 */

import { sha256 } from '@noble/hashes/sha2.js'
import type { MessageId } from './message.ts'
import { keyOf } from './signing.ts'
import { latin1 } from './text.ts'

/** `from ‖ seqno`, go's default. */
export const originMessageId: MessageId = (message) => {
  const { author, raw, seqnoAt } = message
  const from = author === undefined ? '' : author.text
  return seqnoAt < 0 ? from : from + latin1(raw, seqnoAt, seqnoAt + message.seqnoLength)
}

/** SHA-256 of the data, js's default where nothing is signed: go has none there. Who says the same twice is heard once. */
export const contentMessageId: MessageId = (message) => latin1(sha256(message.data))

/** The author's public key ‖ seqno: js's default. */
const keyMessageId: MessageId = (message) => {
  const { raw, seqnoAt } = message
  const key = keyOf(message)
  const text = key === undefined ? '' : latin1(key.encoded)
  return seqnoAt < 0 ? text : text + latin1(raw, seqnoAt, seqnoAt + message.seqnoLength)
}

/** The author's peer id ‖ seqno, as text and in decimals: rust's default. */
const textMessageId: MessageId = ({ author, seqno }) => {
  let number = 0n
  for (const byte of seqno ?? []) number = (number << 8n) | BigInt(byte)
  return `${author?.id ?? ''}${number}`
}

/** By whose default it is, and `content`. */
export const messageIds = {
  go: originMessageId,
  js: keyMessageId,
  rust: textMessageId,
  content: contentMessageId,
} as const satisfies Readonly<Record<string, MessageId>>
