/**
 * Bytes as text of one character each: message ids and authors are compared and looked up, which engines do best with strings.
 * And topic names, of which a stream says the same few again and again.
 */

import { fromUtf8, utf8 } from '../../codec/bytes.ts'
import { GOSSIP_MAX_TOPIC } from '../../limits.ts'

/** The bytes from `at` to `end`, one character each. */
export const latin1 = (bytes: Uint8Array, at = 0, end = bytes.length): string => {
  let text = ''
  while (at + 8 <= end) {
    text += String.fromCharCode(
      bytes[at] as number,
      bytes[at + 1] as number,
      bytes[at + 2] as number,
      bytes[at + 3] as number,
      bytes[at + 4] as number,
      bytes[at + 5] as number,
      bytes[at + 6] as number,
      bytes[at + 7] as number,
    )
    at += 8
  }
  while (at < end) text += String.fromCharCode(bytes[at++] as number)
  return text
}

/** Writes what `latin1` read, and returns where it ends. */
export const writeLatin1 = (text: string, out: Uint8Array, at: number): number => {
  for (let i = 0; i < text.length; i++) out[at++] = text.charCodeAt(i)
  return at
}

export const fromLatin1 = (text: string): Uint8Array => {
  const bytes = new Uint8Array(text.length)
  writeLatin1(text, bytes, 0)
  return bytes
}

/** Where something that was read before may be found again: cheap, and no worse than missing for who collides on purpose. */
export const slotOf = (bytes: Uint8Array, at: number, end: number, slots: number): number => {
  let hash = end - at
  for (let i = Math.max(at, end - 8); i < end; i++) hash = Math.imul(hash ^ (bytes[i] as number), 0x01000193)
  return (hash ^ (hash >>> 15)) & (slots - 1)
}

export const sameAs = (known: Uint8Array, bytes: Uint8Array, at: number, end: number): boolean => {
  if (known.length !== end - at) return false
  for (let i = 0; i < known.length; i++) if (known[i] !== bytes[at + i]) return false
  return true
}

const NAMES = 64

/** Reads topic names: one string for each name, whose hash the engine then knows. Bounds: NAMES names. */
export class TopicNames {
  readonly #bytes: (Uint8Array | undefined)[] = new Array(NAMES).fill(undefined)
  readonly #texts: string[] = new Array(NAMES).fill('')

  /** Undefined for a name that is too long or no UTF-8. */
  read(bytes: Uint8Array, at: number, end: number): string | undefined {
    const slot = slotOf(bytes, at, end, NAMES)
    const known = this.#bytes[slot]
    if (known !== undefined && sameAs(known, bytes, at, end)) return this.#texts[slot]
    if (end - at > GOSSIP_MAX_TOPIC) return undefined
    let text: string
    try {
      text = fromUtf8(bytes, at, end)
    } catch {
      return undefined
    }
    this.#bytes[slot] = utf8(text)
    this.#texts[slot] = text
    return text
  }
}
