/**
 * The engine's end of `peer.fetch`, `peer.handleFetch` and `peer.perf`: each call has a stream of its own; what others fetch the page looks up.
 *
 *   a remote asks ─▶ fetch service ── lookup ──▶ page ── answerLookup ──▶ fetch service ─▶ the remote
 *
 * Bounds: those of the services.
 */

import type { Cancel } from '../engine/host.ts'
import type { Node } from '../engine/net/node.ts'
import type { Stream } from '../engine/net/stream.ts'
import { fetchOver } from '../engine/protocols/fetch/client.ts'
import { FETCH, type Found, fetchService } from '../engine/protocols/fetch/service.ts'
import { measure } from '../engine/protocols/perf/client.ts'
import { PERF } from '../engine/protocols/perf/service.ts'
import type { Outcome } from '../engine/wire/conversation.ts'
import { TabmeshError } from '../errors.ts'
import type { PerfResult, Target } from '../types.ts'
import { type Commander, settle } from './control.ts'
import type { EngineEvent } from './messages.ts'

/** Works over a stream that is for nothing else; returns how to give up. */
type Use<T> = (stream: Stream, done: (outcome: Outcome<T>) => void) => (fault: TabmeshError) => void

type Open = (target: Target, protocol: string, done: (outcome: Outcome<Stream>) => void) => Cancel

export interface RequestsPort {
  readonly commands: Pick<Commander, 'fetch' | 'handleFetch' | 'unhandleFetch' | 'answerLookup' | 'perf'>
  /** Nobody waits for lookups any more. */
  forget(): void
}

/** `node` throws where the engine is not running; `open` is its `openStream`. */
export const requestsPort = (node: () => Node, open: Open, tell: (event: EngineEvent) => void): RequestsPort => {
  const lookups = fetchService()
  /** Lookups that the page is at. */
  const asked = new Map<number, (found: Found) => void>()
  let lookupCount = 0
  const commands: RequestsPort['commands'] = {
    fetch({ target, key }, resolve, reject) {
      const { host } = node()
      const found = (value: Uint8Array | undefined): void => resolve(value, value === undefined ? [] : [value.buffer as ArrayBuffer])
      const use: Use<Uint8Array | undefined> = (stream, done) => fetchOver(stream, key, host, done)
      return overStream(open, target, FETCH, use, settle(found, reject))
    },
    handleFetch(prefix, resolve) {
      const mounting = node()
      lookups.add(prefix, (key, peer, done) => {
        lookupCount += 1
        const id = lookupCount
        asked.set(id, done)
        tell({ t: 'lookup', id, prefix, key, peer })
        return () => asked.delete(id)
      })
      try {
        // What is never answered is not told to others.
        if (lookups.size === 1) mounting.mount(lookups)
      } catch (error) {
        lookups.remove(prefix)
        throw error
      }
      resolve(undefined)
      return undefined
    },
    unhandleFetch(prefix, resolve) {
      const mounted = node()
      if (lookups.remove(prefix) && lookups.size === 0) mounted.unmount(lookups)
      resolve(undefined)
      return undefined
    },
    answerLookup({ id, data, failed }, resolve) {
      const done = asked.get(id)
      asked.delete(id)
      done?.(failed ? { t: 'failed' } : data === undefined ? { t: 'none' } : { t: 'value', data })
      resolve(undefined)
      return undefined
    },
    perf({ target, ...volume }, resolve, reject) {
      const { host } = node()
      const use: Use<PerfResult> = (stream, done) => measure(stream, volume, host, done)
      return overStream(open, target, PERF, use, settle(resolve, reject))
    },
  }
  return { commands, forget: () => asked.clear() }
}

/** Opens a stream of `protocol` for `use`, and passes on what comes of it. The returned function gives both up. */
const overStream = <T>(open: Open, target: Target, protocol: string, use: Use<T>, done: (outcome: Outcome<T>) => void): Cancel => {
  let giveUp: ((fault: TabmeshError) => void) | undefined
  const stopOpening = open(target, protocol, (outcome) => {
    if (outcome.ok) giveUp = use(outcome.value, done)
    else done(outcome)
  })
  return () => {
    stopOpening()
    giveUp?.(new TabmeshError('ERR_STREAM_CLOSED', 'the call was given up'))
  }
}
