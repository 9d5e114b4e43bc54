/**
 * Codes that go-libp2p puts into the length field of a RST and of a go-away (go-libp2p core/network/mux.go and conn.go).
 * No specification has them and js and rust send none: they are advice, shown in messages, never depended on.
 */

import type { TabmeshError } from '../../../errors.ts'

// go-away, of the specification ("Session termination")
export const GO_AWAY_NORMAL = 0
export const GO_AWAY_PROTOCOL_ERROR = 1

// streams (RST)
export const STREAM_NO_CODE = 0
export const STREAM_NEGOTIATION_FAILED = 0x1001
export const STREAM_RESOURCE_LIMIT = 0x1002
export const STREAM_PROTOCOL_VIOLATION = 0x1004
export const STREAM_SHUTDOWN = 0x1007

/** Of streams from 0x1001 on, of connections from 0x1000 on: the numbering differs by one. */
const words = [
  'negotiation failed',
  'resource limit',
  'rate limited',
  'protocol violation',
  'supplanted',
  'garbage collected',
  'shutdown',
  'gated',
  'code out of range',
]
const sessionWords = ['normal', 'protocol error', 'internal error']

const describe = (code: number, word: string | undefined): string => {
  const number = `code 0x${code.toString(16)}`
  return word === undefined ? number : `${number}, ${word}`
}

export const describeReset = (code: number): string => (code === 0 ? 'no code' : describe(code, words[code - 0x1001]))

export const describeGoAway = (code: number): string => describe(code, sessionWords[code] ?? words[code - 0x1000])

/** The code that tells the remote why we give up a stream. */
export const resetCode = (fault: TabmeshError): number => {
  switch (fault.code) {
    case 'ERR_NO_PROTOCOL':
      return STREAM_NEGOTIATION_FAILED
    case 'ERR_STREAM_LIMIT':
    case 'ERR_STREAM_OVERFLOW':
    case 'ERR_FRAME_TOO_LARGE':
      return STREAM_RESOURCE_LIMIT
    case 'ERR_PROTOCOL':
    case 'ERR_DECODE':
      return STREAM_PROTOCOL_VIOLATION
    case 'ERR_CONNECTION_CLOSED':
    case 'ERR_STOPPED':
      return STREAM_SHUTDOWN
    default:
      return STREAM_NO_CODE
  }
}
