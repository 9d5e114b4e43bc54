/**
 * Who signs, and what is believed unsigned (specs: pubsub/README.md §Message Signing).
 *
 *   StrictSign      from, seqno and signature are there; the signature is by the key of `from`
 *   StrictNoSign    from, seqno, signature and key are absent
 *
 * The two do not talk to each other. A message that breaks the policy counts as invalid (P₄) for who sent it.
 */

import { equalBytes } from '../../codec/bytes.ts'
import type { PublicKey } from '../../codec/keys.ts'
import { decodePublicKey } from '../../codec/keys.ts'
import { keyFromPeerId, peerIdFromKey, peerIdToBytes } from '../../codec/peer-id.ts'
import type { Message } from './message.ts'

/** pubsub/README.md §The Message: 64 bits, big-endian. */
const SEQNO = 8

export type Signing =
  | { readonly t: 'StrictSign'; readonly from: Uint8Array; readonly key: Uint8Array | undefined }
  | { readonly t: 'StrictNoSign' }

/** Signs as the peer of this key, which is sent along where the peer id does not tell it. */
export const strictSign = (key: PublicKey): Signing => {
  const id = peerIdFromKey(key)
  return { t: 'StrictSign', from: peerIdToBytes(id), key: keyFromPeerId(id) === undefined ? key.encoded : undefined }
}

export const strictNoSign: Signing = { t: 'StrictNoSign' }

/** Whether the message has the fields that the policy asks for, and none that it forbids. */
export const keepsPolicy = (message: Message, signing: Signing): boolean =>
  signing.t === 'StrictNoSign'
    ? !message.hasSignature && !message.hasOrigin
    : message.hasSignature && message.author !== undefined && message.seqnoAt >= 0 && message.seqnoLength === SEQNO

/** The key that has to have signed the message; undefined where none can be it. */
export const keyOf = (message: Message): PublicKey | undefined => {
  const { author, key } = message
  if (author === undefined) return undefined
  // Also an inlined key may be sent along; it has to be the same one.
  if (key === undefined || (author.key !== undefined && equalBytes(key, author.key.encoded))) return author.key
  try {
    const sent = decodePublicKey(key)
    return peerIdFromKey(sent) === author.id ? sent : undefined
  } catch {
    return undefined
  }
}

/** The sequence number as messages carry it. */
export const seqnoBytes = (seqno: bigint): Uint8Array => {
  const bytes = new Uint8Array(SEQNO)
  let high = Number(BigInt.asUintN(32, seqno >> 32n))
  let low = Number(BigInt.asUintN(32, seqno))
  for (let i = 3; i >= 0; i--) {
    bytes[i] = high
    bytes[i + 4] = low
    high >>>= 8
    low >>>= 8
  }
  return bytes
}
