/**
 * Fence: says to one member, within a word for all, that something said to it alone comes before. What is said to one goes by its stream and what is said to
 * all often by gossip, and neither way waits for the other; so whoever hears such a word waits until it has heard the other.
 *
 *   fence = SHA-256(secret ‖ life ‖ number of the word), 16 bytes ⊕ (8 zeros ‖ number of the private word that comes next)
 *
 * The secret is one that both have: the sender makes it for each member, and greets with it. So nobody else learns for whom a fence is, and there are none but
 * while something private is not confirmed. Who has not been greeted yet has no secret: then it is the peer id, and whoever looks for it can see that its
 * first private message is on its way.
 *
 * Bounds: ROOM_MAX_FENCES in a word; a fence holds up a word for ROOM_GAP (members.ts).
 */

import { sha256 } from '@noble/hashes/sha2.js'
import { concat, utf8 } from '../../codec/bytes.ts'
import type { PeerId } from '../../codec/peer-id.ts'

export const FENCE = 16
const ZEROS = 8

/** What our greeting tells a member; `own` is random, and of our stay. */
export const secretFor = (own: Uint8Array, peer: PeerId): Uint8Array => sha256(concat([own, utf8(peer)])).slice(0, FENCE)

/** For one that has not been greeted. */
export const publicSecret = (peer: PeerId): Uint8Array => utf8(peer)

/** In the word `number` of a life: private words before `next` come before it. */
export const fenceOf = (secret: Uint8Array, life: Uint8Array, number: number, next: number): Uint8Array => {
  const fence = mask(secret, life, number)
  const view = new DataView(fence.buffer)
  view.setUint32(8, (view.getUint32(8) ^ Math.floor(next / 0x1_0000_0000)) >>> 0)
  view.setUint32(12, (view.getUint32(12) ^ next) >>> 0)
  return fence
}

/** The number that a fence for us has, 0 where there is none. */
export const readFences = (fences: Uint8Array, secret: Uint8Array, life: Uint8Array, number: number): number => {
  const own = mask(secret, life, number)
  const view = new DataView(own.buffer)
  const theirs = new DataView(fences.buffer, fences.byteOffset, fences.length)
  for (let at = 0; at + FENCE <= fences.length; at += FENCE) {
    let ours = true
    for (let i = 0; i < ZEROS; i++) ours = ours && fences[at + i] === own[i]
    if (!ours) continue
    return ((theirs.getUint32(at + 8) ^ view.getUint32(8)) >>> 0) * 0x1_0000_0000 + ((theirs.getUint32(at + 12) ^ view.getUint32(12)) >>> 0)
  }
  return 0
}

const mask = (secret: Uint8Array, life: Uint8Array, number: number): Uint8Array => {
  const at = new Uint8Array(8)
  const view = new DataView(at.buffer)
  view.setUint32(0, Math.floor(number / 0x1_0000_0000))
  view.setUint32(4, number >>> 0)
  return sha256(concat([secret, life, at])).slice(0, FENCE)
}
