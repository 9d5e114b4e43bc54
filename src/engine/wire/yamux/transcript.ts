/**
 * For tests: frames and events as text, so that an exchange reads as a transcript.
 *
 *   'DATA SYN|FIN #1 5'   'UPDATE ACK #2 0'   'PING SYN 7'   'GO_AWAY 1'   'end #1'   'data #1 5'
 */

import { concat } from '../../codec/bytes.ts'
import { DATA, FrameReader, GO_AWAY, HEADER, PING, putHeader, WINDOW_UPDATE } from './frame.ts'
import type { Yamux } from './machine.ts'

/** A frame, whatever its header says. */
export const frame = (type: number, flags: number, id: number, length: number, body: Uint8Array = new Uint8Array(0)): Uint8Array => {
  const bytes = new Uint8Array(HEADER + body.length)
  putHeader(bytes, 0, type, flags, id, length)
  bytes.set(body, HEADER)
  return bytes
}

export const data = (id: number, body: Uint8Array, flags = 0): Uint8Array => frame(DATA, flags, id, body.length, body)
export const update = (id: number, delta: number, flags = 0): Uint8Array => frame(WINDOW_UPDATE, flags, id, delta)
export const ping = (flags: number, value: number): Uint8Array => frame(PING, flags, 0, value)
export const goAway = (code: number): Uint8Array => frame(GO_AWAY, 0, 0, code)

const typeWords = ['DATA', 'UPDATE', 'PING', 'GO_AWAY']
const flagWords = ['SYN', 'ACK', 'FIN', 'RST']

/** The frames in what a machine put on the wire. */
export const frames = (chunks: readonly Uint8Array[] | undefined): string[] => {
  const reader = new FrameReader()
  const lines: string[] = []
  reader.push(concat(chunks ?? []))
  for (let part = reader.next(); part !== undefined; part = reader.next()) {
    if (part === 'refused') throw new Error(reader.refusal)
    if (part === 'body') continue
    const words = [typeWords[reader.type] as string]
    const flags = flagWords.filter((_, bit) => (reader.flags & (1 << bit)) !== 0)
    if (flags.length > 0) words.push(flags.join('|'))
    if (reader.type <= WINDOW_UPDATE) words.push(`#${reader.id}`)
    lines.push([...words, reader.length].join(' '))
  }
  if (!reader.atBoundary) throw new Error('what was sent ends within a frame')
  return lines
}

/** All that the machine has to tell. */
export const events = (machine: Yamux): string[] => {
  const lines: string[] = []
  for (let event = machine.poll(); event !== undefined; event = machine.poll()) {
    if (event.t === 'data') lines.push(`data #${event.id} ${event.bytes.length}`)
    else if (event.t === 'closed') lines.push(event.fault === undefined ? `closed #${event.id}` : `closed #${event.id} ${event.fault.code}`)
    else if (event.t === 'pong') lines.push(`pong ${event.rtt}`)
    else if (event.t === 'goAway') lines.push(`goAway ${event.code}`)
    else if (event.t === 'fault') lines.push(`fault ${event.error.code}${event.error.remote ? ' remote' : ''}`)
    else lines.push(`${event.t} #${event.id}`)
  }
  return lines
}
