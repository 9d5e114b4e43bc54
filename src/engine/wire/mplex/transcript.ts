/**
 * For tests: messages and events as text, so that an exchange reads as a transcript. Streams are `i0` where the sender of the
 * message has opened them, else `r0`; in events `ours0` and `theirs0`.
 *
 *   'NEW i0'   'MESSAGE i0 5'   'CLOSE r0'   'RESET r0'   'data theirs0 5'   'closed ours0 ERR_STREAM_RESET'
 */

import { concat } from '../../codec/bytes.ts'
import { CLOSE, FrameReader, MAX_HEADER, MESSAGE, NEW, putHeader, RESET } from './frame.ts'
import type { Mplex } from './machine.ts'

/** A message, whatever its header says. */
export const frame = (id: number, flag: number, body: Uint8Array = new Uint8Array(0), length: number = body.length): Uint8Array => {
  const bytes = new Uint8Array(MAX_HEADER + body.length)
  const at = putHeader(bytes, 0, id, flag, length)
  bytes.set(body, at)
  return bytes.slice(0, at + body.length)
}

/** By the one who opened the stream, unless `side` is 0. */
export const open = (id: number, name: Uint8Array = new Uint8Array(0)): Uint8Array => frame(id, NEW, name)
export const data = (id: number, body: Uint8Array, side: 0 | 1 = 1): Uint8Array => frame(id, MESSAGE + side, body)
export const close = (id: number, side: 0 | 1 = 1): Uint8Array => frame(id, CLOSE + side)
export const reset = (id: number, side: 0 | 1 = 1): Uint8Array => frame(id, RESET + side)

const words = ['NEW', 'MESSAGE', 'MESSAGE', 'CLOSE', 'CLOSE', 'RESET', 'RESET']

/** The messages in what a machine put on the wire. */
export const frames = (chunks: readonly Uint8Array[] | undefined): string[] => {
  const reader = new FrameReader()
  const lines: string[] = []
  reader.push(concat(chunks ?? []))
  for (let part = reader.next(); part !== undefined; part = reader.next()) {
    if (part === 'refused') throw new Error(reader.refusal)
    if (part === 'body') continue
    const { flag, id, length } = reader
    const line = `${words[flag]} ${flag % 2 === 0 ? 'i' : 'r'}${id}`
    lines.push(flag === MESSAGE || flag === MESSAGE + 1 ? `${line} ${length}` : line)
  }
  if (!reader.atBoundary) throw new Error('what was sent ends within a message')
  return lines
}

const name = (key: number): string => `${key % 2 === 0 ? 'ours' : 'theirs'}${Math.floor(key / 2)}`

/** All that the machine has to tell. */
export const events = (machine: Mplex): string[] => {
  const lines: string[] = []
  for (let event = machine.poll(); event !== undefined; event = machine.poll()) {
    if (event.t === 'data') lines.push(`data ${name(event.key)} ${event.bytes.length}`)
    else if (event.t === 'closed')
      lines.push(['closed', name(event.key), ...(event.fault === undefined ? [] : [event.fault.code])].join(' '))
    else if (event.t === 'fault') lines.push(`fault ${event.fault.code}${event.fault.remote ? ' remote' : ''}`)
    else lines.push(`${event.t} ${name(event.key)}`)
  }
  return lines
}
