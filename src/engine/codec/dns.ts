/**
 * DNS messages, as far as asking for TXT records over HTTPS goes: https://www.rfc-editor.org/rfc/rfc1035 §3.3.14, §4.1; RFC 8484
 *
 *   query   header ‖ name, TXT, IN            answer   header ‖ questions ‖ records of any type, of which TXT are read
 *
 * Bounds. DNS_MAX_MESSAGE bytes, DNS_MAX_RECORDS records read; names are passed over and never followed, so no pointer can lead in circles.
 */

import { remoteFault, TabmeshError } from '../../errors.ts'
import { DNS_MAX_MESSAGE, DNS_MAX_RECORDS } from '../limits.ts'
import { fromUtf8, utf8 } from './bytes.ts'

const HEADER = 12
const RECURSION_DESIRED = 0x0100
const RESPONSE = 0x8000
const TRUNCATED = 0x0200
const NAME_ERROR = 3
const TXT = 16
const INTERNET = 1

/** A query for the TXT records of `name`. Its id is 0, so that caches between see one question (RFC 8484 §4.1). Throws ERR_INVALID_ARGUMENT. */
export const encodeTxtQuery = (name: string): Uint8Array => {
  const labels = name.replace(/\.$/, '').split('.').map(utf8)
  const size = labels.reduce((sum, label) => sum + 1 + label.length, 1)
  // RFC 1035 §2.3.4.
  if (size > 255 || labels.some((label) => label.length === 0 || label.length > 63)) {
    throw new TabmeshError('ERR_INVALID_ARGUMENT', `${JSON.stringify(name)} is no name that DNS has`)
  }
  const query = new Uint8Array(HEADER + size + 4)
  const view = new DataView(query.buffer)
  view.setUint16(2, RECURSION_DESIRED)
  view.setUint16(4, 1)
  let at = HEADER
  for (const label of labels) {
    query[at] = label.length
    query.set(label, at + 1)
    at += 1 + label.length
  }
  view.setUint16(at + 1, TXT)
  view.setUint16(at + 3, INTERNET)
  return query
}

/** The texts of the TXT records in an answer; none where the name does not exist. Throws ERR_DECODE for what is no answer. */
export const decodeTxtAnswer = (answer: Uint8Array): string[] => {
  if (answer.length < HEADER || answer.length > DNS_MAX_MESSAGE) throw bad(`${answer.length} bytes`)
  const view = new DataView(answer.buffer, answer.byteOffset, answer.length)
  const flags = view.getUint16(2)
  const code = flags & 0x0f
  if ((flags & RESPONSE) === 0 || (flags & TRUNCATED) !== 0) throw bad('it is no answer, or a part of one')
  if (code === NAME_ERROR) return []
  if (code !== 0) throw bad(`the resolver failed with code ${code}`)
  const counts = { questions: view.getUint16(4), records: Math.min(view.getUint16(6), DNS_MAX_RECORDS) }
  if (counts.questions > 1) throw bad('it answers several questions')
  let at = HEADER
  const need = (bytes: number): number => {
    if (at + bytes > answer.length) throw bad('it ends early')
    at += bytes
    return at - bytes
  }
  /** To its end: labels, closed by an empty one or by a pointer. */
  const passName = (): void => {
    for (;;) {
      const length = answer[need(1)] as number
      if (length === 0) return
      if (length >= 0xc0) {
        need(1)
        return
      }
      if (length > 63) throw bad('a label is over 63 bytes')
      need(length)
    }
  }
  for (let question = 0; question < counts.questions; question++) {
    passName()
    need(4)
  }
  const texts: string[] = []
  for (let record = 0; record < counts.records; record++) {
    passName()
    const fixed = need(10)
    const size = view.getUint16(fixed + 8)
    const start = need(size)
    if (view.getUint16(fixed) === TXT && view.getUint16(fixed + 2) === INTERNET) texts.push(textOf(answer.subarray(start, start + size)))
  }
  return texts
}

/** RFC 1035 §3.3.14: one or more character strings, which are one text (RFC 7208 §3.3 joins them so). */
const textOf = (data: Uint8Array): string => {
  let text = ''
  for (let at = 0; at < data.length; ) {
    const end = at + 1 + (data[at] as number)
    if (end > data.length) throw bad('a text is longer than its record')
    text += fromUtf8(data, at + 1, end)
    at = end
  }
  return text
}

const bad = (why: string) => remoteFault('ERR_DECODE', `an answer from DNS: ${why}`)
