/**
 * The client of fetch (specs: fetch/README.md).
 *
 * Bounds: FETCH_TIMEOUT from the request to the last byte of the answer, FETCH_MAX_RESPONSE bytes of it.
 */

import type { TabmeshError } from '../../../errors.ts'
import type { Host } from '../../host.ts'
import { FETCH_TIMEOUT } from '../../limits.ts'
import type { Stream } from '../../net/stream.ts'
import { converse, type Outcome } from '../../wire/conversation.ts'
import { askFor } from './conversation.ts'

/** Asks over `stream`, which is for nothing else, for the value under `key`. Returns how to give up. */
export const fetchOver = (
  stream: Stream,
  key: Uint8Array,
  host: Host,
  done: (outcome: Outcome<Uint8Array | undefined>) => void,
): ((fault: TabmeshError) => void) =>
  converse(stream, askFor(key), host, {
    timeout: FETCH_TIMEOUT,
    what: `fetch from ${stream.connection.remotePeer}`,
    done(outcome) {
      if (outcome.ok) stream.finish(host)
      done(outcome)
    },
  })
