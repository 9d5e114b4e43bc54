/**
 * multistream-select 1.0: two peers agree on the protocol of a pipe or of a stream.
 *
 * https://github.com/multiformats/multistream-select, and how libp2p uses it: specs connections/README.md.
 *
 *   line = uvarint length, newline counted ‖ UTF-8 text ‖ \n
 *
 *   dialer                                   listener
 *     header, proposal ───────────────────────▶
 *     ◀─────────────────────────────────────── header, the proposal again      agreed
 *     ◀─────────────────────────────────────── header, na
 *     next proposal ──────────────────────────▶                                until agreed or none is left
 *
 *   lazy: header, proposal, application bytes ▶ nothing is waited for; the answer is read before the first bytes back
 *
 * A line is read length first and then exactly to its end: what follows belongs to the next layer.
 *
 * Bounds: MSS_MAX_LINE bytes a line, so two bytes of length; MSS_MAX_ROUNDS proposals answered; one `ls` answered, with
 * at most LS_MAX_NAMES names; CACHE_LINES encoded lines are kept.
 */

import { remoteFault, TabmeshError } from '../../errors.ts'
import { concat, equalBytes, fromUtf8, utf8Length, writeUtf8 } from '../codec/bytes.ts'
import { varintLength, writeVarint } from '../codec/varint.ts'
import { MSS_MAX_LINE, MSS_MAX_ROUNDS } from '../limits.ts'
import type { Conversation } from './conversation.ts'
import { end, read, readSome, write } from './conversation.ts'

const NEWLINE = 0x0a
/** rust reads at most a thousand names from one answer. */
/** Bytes of a refused stream that are dropped in one go. */
const DROPPED_AT_ONCE = 65_536
const LS_MAX_NAMES = 1_000
/** What two bytes of length can say: rust reads no longer answer to `ls`. */
const LS_MAX_BYTES = 16_383
/** An application speaks some dozens of protocols; the names a remote makes up are never kept. */
const CACHE_LINES = 256

const cache = new Map<string, Uint8Array>()

const encodeLine = (text: string): Uint8Array => {
  const length = utf8Length(text) + 1
  const start = varintLength(length)
  const line = new Uint8Array(start + length)
  writeVarint(length, line, 0)
  line[writeUtf8(text, line, start)] = NEWLINE
  return line
}

/** The line that names `protocol`. Shared: to be read and copied from, never to be written to a channel, which would own it. */
export const frameLine = (protocol: string): Uint8Array => {
  const known = cache.get(protocol)
  if (known !== undefined) return known
  const line = encodeLine(protocol)
  if (protocol === '' || protocol.includes('\n') || line.length > MSS_MAX_LINE + 2) {
    throw new TabmeshError(
      'ERR_INVALID_ARGUMENT',
      `'${protocol.slice(0, 80)}' cannot be a protocol name: 1 to ${MSS_MAX_LINE - 1} bytes, no newline`,
    )
  }
  if (cache.size === CACHE_LINES) cache.delete(cache.keys().next().value as string)
  cache.set(protocol, line)
  return line
}

/** The first line of either side. */
export const HEADER = encodeLine('/multistream/1.0.0')
const NA = encodeLine('na')
const LS = encodeLine('ls')
/** The simultaneous-open extension is terminated; peers that still begin with it go on when told `na`. */
const SIMULTANEOUS = encodeLine('/libp2p/simultaneous-connect')

/** One line as its peer sent it, checked: length, text and newline. */
function* readLine(): Conversation<Uint8Array> {
  const first = (yield* read(1))[0] as number
  let length = first
  if (first >= 0x80) {
    const second = (yield* read(1))[0] as number
    if (second === 0) throw remoteFault('ERR_PROTOCOL', 'multistream: a length is longer than it need be')
    length = (first & 0x7f) | (second << 7)
  }
  // A second byte that says "more follow" makes at least 16,384.
  if (length > MSS_MAX_LINE) throw remoteFault('ERR_FRAME_TOO_LARGE', `multistream: a line of over ${MSS_MAX_LINE} bytes`)
  if (length === 0) throw remoteFault('ERR_PROTOCOL', 'multistream: an empty line')
  const line = yield* read(length)
  if (line[length - 1] !== NEWLINE) throw remoteFault('ERR_PROTOCOL', 'multistream: a line without its newline')
  return line
}

/** Whether `line`, which has lost its length, is what `framed` says, byte for byte. */
const says = (line: Uint8Array, framed: Uint8Array): boolean => {
  const start = framed.length - line.length
  return start === varintLength(line.length) && equalBytes(line, framed.subarray(start))
}

/** For errors: the text of a line, shortened, or the fact that it is none. */
const quote = (line: Uint8Array): string => `'${fromUtf8(line, 0, line.length - 1).slice(0, 80)}'`

function* readHeader(): Conversation<void> {
  const line = yield* readLine()
  if (!says(line, HEADER)) throw remoteFault('ERR_PROTOCOL', `multistream: the remote speaks ${quote(line)}, not /multistream/1.0.0`)
}

/** Whether the answer to `protocol` is yes. */
function* readAnswer(protocol: string): Conversation<boolean> {
  const line = yield* readLine()
  if (says(line, frameLine(protocol))) return true
  if (says(line, NA)) return false
  throw remoteFault('ERR_PROTOCOL', `multistream: ${quote(line)} answers '${protocol}'`)
}

const refused = (protocols: readonly string[]): TabmeshError =>
  new TabmeshError(
    'ERR_NO_PROTOCOL',
    `the remote refused ${protocols.map((each) => `'${each}'`).join(', ') || 'nothing: no protocol was proposed'}`,
  )

/** The dialer: proposes `protocols` in order and returns the first that the listener takes; ERR_NO_PROTOCOL if none. */
export function* selectProtocol(protocols: readonly string[]): Conversation<string> {
  let begun = false
  for (const protocol of protocols) {
    yield* write(begun ? frameLine(protocol).slice() : lazyHead(protocol))
    if (!begun) yield* readHeader()
    begun = true
    if (yield* readAnswer(protocol)) return protocol
  }
  throw refused(protocols)
}

/** What to put in front of the first application bytes of a lazy stream: header and proposal, the caller's to keep. */
export const lazyHead = (protocol: string): Uint8Array => concat([HEADER, frameLine(protocol)])

/** The other half of `lazyHead`: reads the answer. What was sent behind a refused proposal is lost: ERR_NO_PROTOCOL. */
export function* readLazyAnswer(protocol: string): Conversation<void> {
  yield* readHeader()
  if (!(yield* readAnswer(protocol))) throw refused([protocol])
}

/** The names spoken, or the judge of a name. Only names in a list can be told to a remote that asks `ls`. */
export type Supported = readonly string[] | ((name: string) => boolean)

/** The listener: returns the protocol that the dialer proposed and `supported` has; answers at most `rounds` proposals. */
export function* answerProtocols(supported: Supported, rounds: number = MSS_MAX_ROUNDS): Conversation<string> {
  yield* readHeader()
  yield* write(HEADER.slice())
  let listed = typeof supported === 'function'
  for (let round = 0; round < rounds; round++) {
    const line = yield* round === 0 ? readLine() : readLineAfterRefusal()
    if (says(line, LS)) {
      // Once: each answer may be many times the size of its question.
      yield* write(listed ? NA.slice() : list(supported as readonly string[]))
      listed = true
      continue
    }
    const name = fromUtf8(line, 0, line.length - 1)
    if (!says(line, SIMULTANEOUS) && (typeof supported === 'function' ? supported(name) : supported.includes(name))) {
      yield* write(frameOf(line))
      return name
    }
    yield* write(NA.slice())
  }
  throw remoteFault('ERR_PROTOCOL', `multistream: no agreement after ${rounds} proposals`)
}

/**
 * Behind a lazy proposal come the application's bytes, which are no line. A reset now would overtake the refusal that
 * explains it: our side ends, and what the remote has sent is dropped until it gives up (the caller's timeout bounds it).
 */
function* readLineAfterRefusal(): Conversation<Uint8Array> {
  try {
    return yield* readLine()
  } catch (error) {
    yield* end()
    while ((yield* readSome(DROPPED_AT_ONCE)).length > 0);
    throw error
  }
}

/** The line with its length again: what is echoed is what came, byte for byte. */
const frameOf = (line: Uint8Array): Uint8Array => {
  const start = varintLength(line.length)
  const framed = new Uint8Array(start + line.length)
  writeVarint(line.length, framed, 0)
  framed.set(line, start)
  return framed
}

/** The answer to `ls`: one line whose text is the lines of the names. */
const list = (names: readonly string[]): Uint8Array => {
  const lines: Uint8Array[] = []
  let size = 1
  for (const name of names) {
    const line = frameLine(name)
    if (lines.length === LS_MAX_NAMES || size + line.length > LS_MAX_BYTES) break
    lines.push(line)
    size += line.length
  }
  return frameOf(concat([...lines, Uint8Array.of(NEWLINE)], size))
}
