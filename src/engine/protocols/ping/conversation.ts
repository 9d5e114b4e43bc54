/**
 * Ping as conversations (specs: ping/ping.md): 32 random bytes out, the same 32 back, as often as the opener likes.
 */

import { remoteFault } from '../../../errors.ts'
import { equalBytes } from '../../codec/bytes.ts'
import { type Conversation, end, read, readSome, write } from '../../wire/conversation.ts'

/** Bytes of one ping. */
export const PING_SIZE = 32

/** One ping: throws when the echo differs. */
export function* sendPing(payload: Uint8Array): Conversation<void> {
  yield* write(payload)
  const echo = yield* read(PING_SIZE)
  if (!equalBytes(payload, echo)) throw remoteFault('ERR_PROTOCOL', 'ping came back with other bytes')
}

/** Echoes whole pings until the opener ends its side; a part of one at the end is dropped, as in every implementation. */
export function* echoPings(): Conversation<void> {
  for (;;) {
    const ping = new Uint8Array(PING_SIZE)
    let filled = 0
    while (filled < PING_SIZE) {
      const part = yield* readSome(PING_SIZE - filled)
      if (part.length === 0) return yield* end()
      ping.set(part, filled)
      filled += part.length
    }
    yield* write(ping)
  }
}
