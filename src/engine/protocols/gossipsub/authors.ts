/**
 * Authors: what a message's `from` says, worked out once for each peer and not for each message.
 *
 * Bounds: AUTHORS of them; one that shares its place with another is worked out anew.
 */

import type { PublicKey } from '../../codec/keys.ts'
import type { PeerId } from '../../codec/peer-id.ts'
import { keyFromPeerId, peerIdFromBytes } from '../../codec/peer-id.ts'
import { latin1, sameAs, slotOf } from './text.ts'

/** A power of two. */
const AUTHORS = 512
/** The longest peer id, an inlined key, has 44 bytes. */
const MAX_FROM = 64

export class Author {
  readonly bytes: Uint8Array
  /** The bytes, one character each: the beginning of the message id. */
  readonly text: string
  #id: PeerId | undefined | null = null
  #key: PublicKey | undefined | null = null

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
    this.text = latin1(bytes)
  }

  /** Undefined where the bytes are no peer id. */
  get id(): PeerId | undefined {
    if (this.#id === null) this.#id = orUndefined(() => peerIdFromBytes(this.bytes))
    return this.#id
  }

  /** The key that the id inlines. */
  get key(): PublicKey | undefined {
    if (this.#key === null) {
      const { id } = this
      this.#key = id === undefined ? undefined : orUndefined(() => keyFromPeerId(id))
    }
    return this.#key
  }
}

export class Authors {
  readonly #slots: (Author | undefined)[]

  /** `slots` is a power of two. */
  constructor(slots = AUTHORS) {
    this.#slots = new Array(slots).fill(undefined)
  }

  /** Undefined for what is too long to be a peer id. */
  read(bytes: Uint8Array, at: number, end: number): Author | undefined {
    if (end - at > MAX_FROM) return undefined
    const slot = slotOf(bytes, at, end, this.#slots.length)
    const known = this.#slots[slot]
    if (known !== undefined && sameAs(known.bytes, bytes, at, end)) return known
    const author = new Author(bytes.slice(at, end))
    this.#slots[slot] = author
    return author
  }
}

const orUndefined = <T>(read: () => T): T | undefined => {
  try {
    return read()
  } catch {
    return undefined
  }
}
