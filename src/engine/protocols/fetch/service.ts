/**
 * The fetch service: answers remotes that ask for the value under a key. Whoever knows values registers a prefix and a lookup.
 *
 *   reading ── key ──▶ looking up ── value, none, failure ──▶ responding ──▶ ended
 *                └─ no lookup for it: none ────────────────────▲
 *
 * It is mounted while there is a lookup: what is never answered should not be told to others. The client: askFor in conversation.ts.
 *
 * Bounds: FETCH_MAX_INBOUND streams of a connection, none where a relay limits it; FETCH_TIMEOUT to read, FETCH_LOOKUP_TIMEOUT to
 * look up, FETCH_TIMEOUT to respond; FETCH_MAX_LOOKUPS lookups and FETCH_MAX_UNSENT bytes of responses for all peers together. What
 * is over those two is answered with ERROR, so that the remote knows to try later.
 */

import { TabmeshError } from '../../../errors.ts'
import { compareBytes, emptyBytes, equalBytes, utf8 } from '../../codec/bytes.ts'
import type { PeerId } from '../../codec/peer-id.ts'
import type { Cancel } from '../../host.ts'
import {
  FETCH_LOOKUP_TIMEOUT,
  FETCH_MAX_DATA,
  FETCH_MAX_INBOUND,
  FETCH_MAX_LOOKUPS,
  FETCH_MAX_UNSENT,
  FETCH_TIMEOUT,
} from '../../limits.ts'
import type { Net, Service } from '../../net/service.ts'
import type { Stream } from '../../net/stream.ts'
import { converse } from '../../wire/conversation.ts'
import { readRequest, respond } from './conversation.ts'
import { ERROR, NOT_FOUND, OK, type Response } from './messages.ts'

/** https://github.com/libp2p/specs/blob/master/fetch/README.md */
export const FETCH = '/libp2p/fetch/0.0.1'

export type Found =
  | { readonly t: 'value'; readonly data: Uint8Array }
  | { readonly t: 'none' }
  /** Why is not told to the remote: it is nobody's business. */
  | { readonly t: 'failed' }

/** Looks `key` up and calls `done`, once, now or later. The returned function is called if nobody waits any more. */
export type Lookup = (key: Uint8Array, remotePeer: PeerId, done: (found: Found) => void) => Cancel

export interface FetchService extends Service {
  /** Has `lookup` answer for the keys that begin with `prefix`, as far as there is no longer prefix. Throws ERR_PROTOCOL_TAKEN. */
  add(prefix: string, lookup: Lookup): void
  /** Whether there was one. */
  remove(prefix: string): boolean
  /** Prefixes that are answered for. */
  readonly size: number
}

const missing: Response = { status: NOT_FOUND, data: emptyBytes }
const failed = (words: string): Response => ({ status: ERROR, data: utf8(words) })

export const fetchService = (): FetchService => {
  let net: Net
  /** The longest prefix first. */
  let lookups: { readonly prefix: Uint8Array; readonly lookup: Lookup }[] = []
  let running = 0
  let unsent = 0

  const read = (stream: Stream): void => {
    converse(stream, readRequest(), net.host, {
      timeout: FETCH_TIMEOUT,
      what: 'reading a fetch request',
      done: (outcome) => {
        if (outcome.ok) lookUp(stream, outcome.value)
      },
    })
  }

  const lookUp = (stream: Stream, key: Uint8Array): void => {
    const found = lookups.find(({ prefix }) => prefix.length <= key.length && equalBytes(prefix, key.subarray(0, prefix.length)))
    if (found === undefined) return answer(stream, missing)
    if (running >= FETCH_MAX_LOOKUPS) return answer(stream, failed('too many requests at a time'))
    running += 1
    let over = false
    let giveUp: Cancel = () => {}
    const settle = (response: Response | undefined): void => {
      if (over) return
      over = true
      running -= 1
      timer()
      if (response === undefined) return
      stream.detach()
      answer(stream, response)
    }
    const timer = net.host.after(FETCH_LOOKUP_TIMEOUT, () => {
      settle(failed('the lookup took too long'))
      giveUp()
    })
    stream.attach({
      // Nothing more is due: what comes all the same stays unreleased, so a window of it at most.
      onData: () => {},
      onEnd: () => {},
      onClose() {
        settle(undefined)
        giveUp()
      },
    })
    if (over) return
    giveUp = found.lookup(key, stream.connection.remotePeer, (what) => settle(responseOf(what)))
  }

  const answer = (stream: Stream, response: Response): void => {
    const size = response.status === OK ? response.data.length : 0
    if (size > 0 && unsent + size > FETCH_MAX_UNSENT) return answer(stream, failed('too many answers at a time'))
    unsent += size
    converse(stream, respond(response), net.host, {
      timeout: FETCH_TIMEOUT,
      what: 'answering a fetch request',
      done: (outcome) => {
        unsent -= size
        if (outcome.ok) stream.finish(net.host)
      },
    })
  }

  return {
    name: 'fetch',
    protocols: { [FETCH]: { maxInbound: FETCH_MAX_INBOUND } },
    start(started) {
      net = started
    },
    onStream: read,
    get size() {
      return lookups.length
    },
    add(text, lookup) {
      const prefix = utf8(text)
      if (lookups.some((each) => equalBytes(each.prefix, prefix)))
        throw new TabmeshError('ERR_PROTOCOL_TAKEN', `keys that begin with '${text}' are answered already`)
      lookups = [...lookups, { prefix, lookup }].sort((a, b) => b.prefix.length - a.prefix.length || compareBytes(a.prefix, b.prefix))
    },
    remove(text) {
      const prefix = utf8(text)
      const before = lookups.length
      lookups = lookups.filter((each) => !equalBytes(each.prefix, prefix))
      return lookups.length < before
    },
  }
}

const responseOf = (found: Found): Response => {
  if (found.t === 'none') return missing
  if (found.t === 'failed') return failed('the lookup failed')
  return found.data.length > FETCH_MAX_DATA ? failed('the value is too large') : { status: OK, data: found.data }
}
