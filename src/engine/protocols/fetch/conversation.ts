/**
 * Fetch as conversations (specs: fetch/README.md): one request, one response, one stream. js reads no second request.
 */

import { remoteFault } from '../../../errors.ts'
import { fromUtf8 } from '../../codec/bytes.ts'
import { FETCH_MAX_KEY, FETCH_MAX_RESPONSE } from '../../limits.ts'
import { type Conversation, write } from '../../wire/conversation.ts'
import { readFrame } from '../../wire/frame.ts'
import { decodeRequest, decodeResponse, ERROR, frameRequest, frameResponse, OK, type Response } from './messages.ts'

/** Room for the field around a key. */
const MAX_REQUEST = FETCH_MAX_KEY + 16
/** Characters of the remote's own words that are passed on. */
const MAX_WORDS = 200

/** The value under `key`, or undefined if the remote has none. Throws ERR_FETCH_FAILED with the remote's words. */
export function* askFor(key: Uint8Array): Conversation<Uint8Array | undefined> {
  yield* write(frameRequest(key))
  const { status, data } = decodeResponse(yield* readFrame(FETCH_MAX_RESPONSE))
  // What it was read from may be larger, and be shared.
  if (status === OK) return data.slice()
  if (status === ERROR) throw remoteFault('ERR_FETCH_FAILED', `the remote answered '${wordsOf(data)}'`)
  return undefined
}

/** The key that the remote asks for, in bytes of its own. */
export function* readRequest(): Conversation<Uint8Array> {
  const key = decodeRequest(yield* readFrame(MAX_REQUEST))
  if (key.length > FETCH_MAX_KEY) throw remoteFault('ERR_FRAME_TOO_LARGE', `fetch asks for a key of ${key.length} bytes`)
  return key.slice()
}

/** Ends when the stream has taken it, not only queued it. */
export function* respond(response: Response): Conversation<void> {
  yield* write(frameResponse(response))
}

/** What a remote says ends up in logs and on screens: in one line, and not more than a line. */
const wordsOf = (data: Uint8Array): string => {
  try {
    return fromUtf8(data.subarray(0, 4 * MAX_WORDS))
      .replace(/\p{C}+/gu, ' ')
      .slice(0, MAX_WORDS)
  } catch {
    return 'words that are not UTF-8'
  }
}
