/**
 * Lookups: what the page answers to others that fetch (`peer.handleFetch`), each by the prefix of its keys.
 *
 *   engine ── a key ──▶ the page's lookup ── its value, none, or that it failed ──▶ engine
 *
 * Bounds: a value of FETCH_MAX_DATA; for how many and for how long is asked, the engine sees to.
 */

import { utf8 } from './engine/codec/bytes.ts'
import { FETCH_MAX_DATA } from './engine/limits.ts'
import { TabmeshError } from './errors.ts'
import type { ControlClient } from './port/control.ts'
import type { EngineEvent } from './port/messages.ts'
import type { FetchLookup } from './types.ts'

export class Lookups {
  readonly #control: ControlClient
  readonly #fail: (error: TabmeshError) => void
  readonly #byPrefix = new Map<string, FetchLookup>()

  constructor(control: ControlClient, fail: (error: TabmeshError) => void) {
    this.#control = control
    this.#fail = fail
  }

  async add(prefix: string, lookup: FetchLookup): Promise<void> {
    if (this.#byPrefix.has(prefix)) throw new TabmeshError('ERR_PROTOCOL_TAKEN', `keys that begin with '${prefix}' are answered already`)
    this.#byPrefix.set(prefix, lookup)
    try {
      await this.#control.run('handleFetch', prefix)
    } catch (error) {
      this.#byPrefix.delete(prefix)
      throw error
    }
  }

  async remove(prefix: string): Promise<void> {
    this.#byPrefix.delete(prefix)
    await this.#control.run('unhandleFetch', prefix)
  }

  async answer({ id, prefix, key: bytes, peer: remotePeer }: Extract<EngineEvent, { t: 'lookup' }>): Promise<void> {
    let data: Uint8Array<ArrayBuffer> | undefined
    let failed = false
    try {
      const key = new TextDecoder().decode(bytes)
      const found = await this.#byPrefix.get(prefix)?.(key, { remotePeer, bytes })
      // A copy, for it is handed over and the page goes on with its own.
      if (found !== undefined) data = new Uint8Array(bytesOf(typeof found === 'string' ? utf8(found) : found))
    } catch (cause) {
      failed = true
      this.#fail(new TabmeshError('ERR_HANDLER', `the lookup of '${prefix}' failed`, { cause }))
    }
    // Nobody minds an answer that the engine does not live to hear.
    this.#control
      .run('answerLookup', { id, data, failed }, undefined, { transfer: data === undefined ? [] : [data.buffer] })
      .catch(() => {})
  }
}

/** What a lookup may return beside text. */
const bytesOf = (found: unknown): Uint8Array => {
  if (!(found instanceof Uint8Array)) throw new TabmeshError('ERR_INVALID_ARGUMENT', 'a lookup gives Uint8Array, string or undefined')
  if (found.length > FETCH_MAX_DATA) throw new TabmeshError('ERR_FRAME_TOO_LARGE', `a value of ${found.length} bytes`)
  return found
}
