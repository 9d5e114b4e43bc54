/**
 * Seal: what keeps the traffic of a room with a password from everybody else. In an open room it lets everything through as it is.
 *
 * ChaCha20-Poly1305 under a key that is used by one sender, for one purpose, in one life: HKDF(room key, purpose ‖ sender ‖ life). The nonce is the
 * number of the message, which never comes twice there. So nobody can pass one's words off as another's, or in another place of the order: the
 * sender is who signed the message, or who is at the other end of the connection.
 */

import { hkdf } from '@noble/hashes/hkdf.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { concat, utf8 } from '../../codec/bytes.ts'
import type { PeerId } from '../../codec/peer-id.ts'
import { type Aead, TAG } from '../../crypto/aead.ts'

export interface Seal {
  /** `head` is not hidden, but part of what is sealed: at most 64 bytes. */
  seal(number: number, plain: Uint8Array, head?: Uint8Array): Uint8Array
  /** Undefined for what nobody with the key has sealed. */
  open(number: number, sealed: Uint8Array, head?: Uint8Array): Uint8Array | undefined
}

export type Purpose = 'gossip' | 'stream' | 'answer' | 'file' | 'file answer'

/** For an open room. */
const unsealed: Seal = { seal: (_number, plain) => plain, open: (_number, sealed) => sealed }

/** `life` is random: of the sender's stay in the room, or of the stream. `to` is the one that it is for, where it is for one. */
export const sealOf = (
  key: Uint8Array | undefined,
  aead: Aead,
  purpose: Purpose,
  from: PeerId,
  life: Uint8Array,
  to: PeerId = '',
): Seal => {
  if (key === undefined) return unsealed
  const own = hkdf(sha256, key, life, concat([utf8(`${purpose}/${from}/${to}/`), life]), 32)
  const nonce = new Uint8Array(12)
  const view = new DataView(nonce.buffer)
  const numbered = (number: number): Uint8Array => {
    view.setUint32(4, Math.floor(number / 0x1_0000_0000))
    view.setUint32(8, number >>> 0)
    return nonce
  }
  return {
    seal(number, plain, head) {
      const out = new Uint8Array(plain.length + TAG)
      aead.seal(own, numbered(number), [plain], out, 0, head)
      return out
    },
    open(number, sealed, head) {
      if (sealed.length < TAG) return undefined
      const out = new Uint8Array(sealed.length - TAG)
      return aead.open(own, numbered(number), sealed, out, 0, head) ? out : undefined
    },
  }
}
