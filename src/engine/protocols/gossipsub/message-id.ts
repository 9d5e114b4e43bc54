/**
 * Message ids: what tells one message from another. All peers of a topic have to make the same, or IHAVE, IWANT and IDONTWANT are about
 * nothing; and the three implementations do not by default: go joins `from` and `seqno`, js the public key and `seqno`, rust both
 * as text. Ours is go's. An application that meets js or rust peers gives all of them the same function.
 */

import { sha256 } from '@noble/hashes/sha2.js'
import type { MessageId } from './message.ts'
import { latin1 } from './text.ts'

/** `from ‖ seqno`, go's default. */
export const originMessageId: MessageId = (message) => {
  const { author, raw, seqnoAt } = message
  const from = author === undefined ? '' : author.text
  return seqnoAt < 0 ? from : from + latin1(raw, seqnoAt, seqnoAt + message.seqnoLength)
}

/** SHA-256 of the data, js's default where nothing is signed: go has none there. Who says the same twice is heard once. */
export const contentMessageId: MessageId = (message) => latin1(sha256(message.data))
