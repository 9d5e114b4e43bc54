/**
 * Bytes: the few helpers that every codec needs.
 *
 * UTF-8 (RFC 3629) is written here because the platform's encoder is no part of the language, and the libraries that
 * wrap it bring every multibase with them. What it carries is short (names, topics, addresses): 20 bytes of ASCII take
 * as long as in the platform's decoder, 2,000 take thirty times as long (8 µs). Joining is written here because
 * the usual library hands out views of Node's shared pool.
 */

import { compare } from 'uint8arrays/compare'
import { equals } from 'uint8arrays/equals'
import { remoteFault } from '../../errors.ts'

export const emptyBytes = new Uint8Array(0)

/** Whether both hold the same bytes. Not in constant time: never for secrets. */
export const equalBytes: (a: Uint8Array, b: Uint8Array) => boolean = equals

/** Order by bytes, the shorter first where one begins the other: below, at or above zero. */
export const compareBytes: (a: Uint8Array, b: Uint8Array) => number = compare

/** One array with all chunks in it; `length` saves the adding up where the caller knows it. */
export const concat = (chunks: readonly Uint8Array[], length?: number): Uint8Array => {
  let total = length ?? 0
  if (length === undefined) for (const chunk of chunks) total += chunk.length
  const whole = new Uint8Array(total)
  let at = 0
  for (const chunk of chunks) {
    whole.set(chunk, at)
    at += chunk.length
  }
  return whole
}

/** Bytes of `text` in UTF-8. A lone surrogate counts, and is written, as U+FFFD, as everywhere on the web. */
export const utf8Length = (text: string): number => {
  let length = 0
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    if (unit < 0x80) length += 1
    else if (unit < 0x800) length += 2
    else if (isPair(text, i)) {
      length += 4
      i++
    } else length += 3
  }
  return length
}

const isPair = (text: string, at: number): boolean =>
  (text.charCodeAt(at) & 0xfc00) === 0xd800 && (text.charCodeAt(at + 1) & 0xfc00) === 0xdc00

/** Writes `text` at `at` and returns where it ends; `out` has room for `utf8Length(text)` bytes. */
export const writeUtf8 = (text: string, out: Uint8Array, at: number): number => {
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    if (unit < 0x80) {
      out[at++] = unit
      continue
    }
    if (unit < 0x800) {
      out[at++] = 0xc0 | (unit >> 6)
    } else if (isPair(text, i)) {
      const point = 0x10000 + ((unit & 0x3ff) << 10) + (text.charCodeAt(++i) & 0x3ff)
      out[at++] = 0xf0 | (point >> 18)
      out[at++] = 0x80 | ((point >> 12) & 0x3f)
      out[at++] = 0x80 | ((point >> 6) & 0x3f)
      out[at++] = 0x80 | (point & 0x3f)
      continue
    } else if (unit >> 11 === 0x1b) {
      out[at++] = 0xef
      out[at++] = 0xbf
      out[at++] = 0xbd
      continue
    } else {
      out[at++] = 0xe0 | (unit >> 12)
      out[at++] = 0x80 | ((unit >> 6) & 0x3f)
    }
    out[at++] = 0x80 | (unit & 0x3f)
  }
  return at
}

export const utf8 = (text: string): Uint8Array => {
  const bytes = new Uint8Array(utf8Length(text))
  writeUtf8(text, bytes, 0)
  return bytes
}

/** The text of `bytes` from `from` to `to`. Throws ERR_DECODE where it is not well-formed UTF-8; keeps a byte order mark. */
export const fromUtf8 = (bytes: Uint8Array, from = 0, to = bytes.length): string => {
  let text = ''
  let at = from
  while (at < to) {
    // Eight ASCII characters at a time: three times as fast as one by one.
    while (at + 8 <= to) {
      const a = bytes[at] as number
      const b = bytes[at + 1] as number
      const c = bytes[at + 2] as number
      const d = bytes[at + 3] as number
      const e = bytes[at + 4] as number
      const f = bytes[at + 5] as number
      const g = bytes[at + 6] as number
      const h = bytes[at + 7] as number
      if ((a | b | c | d | e | f | g | h) >= 0x80) break
      text += String.fromCharCode(a, b, c, d, e, f, g, h)
      at += 8
    }
    if (at === to) break
    const first = bytes[at++] as number
    if (first < 0x80) {
      text += String.fromCharCode(first)
      continue
    }
    // RFC 3629 §4: the first byte tells the length; the least code point of each length refuses over-long forms.
    const more = first < 0xc2 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : first < 0xf5 ? 3 : 0
    let point = first & (0x3f >> more)
    if (more === 0 || at + more > to) throw malformed(at - 1)
    for (let i = 0; i < more; i++) {
      const next = bytes[at++] as number
      if ((next & 0xc0) !== 0x80) throw malformed(at - 1)
      point = (point << 6) | (next & 0x3f)
    }
    if (point < (more === 2 ? 0x800 : more === 3 ? 0x10000 : 0) || point > 0x10ffff || point >> 11 === 0x1b) throw malformed(at - 1 - more)
    text += String.fromCodePoint(point)
  }
  return text
}

const malformed = (at: number) => remoteFault('ERR_DECODE', `text is not UTF-8 at byte ${at}`)
