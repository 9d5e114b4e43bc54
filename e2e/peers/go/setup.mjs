// Gets the go-libp2p peer ready to run: `go build` of this folder, once for each state of its sources.

import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildGoProgram } from '../go-program.mjs'

const dir = dirname(fileURLToPath(import.meta.url))

/** @type {Promise<{ binary: string, dir: string }> | undefined} */
let ready

/**
 * Builds the peer if this state of its sources has not been built yet. Rejects with a reason that can be printed after "skipped:" when
 * this machine can't have it: no Go, one that is too old, or modules that can't be loaded.
 *
 * @returns {Promise<{ binary: string, dir: string }>} the path of the program, and the folder of its sources
 */
export function ensureGoPeer() {
  ready ??= buildGoProgram('go-libp2p', dir, 'go-peer').then((binary) => ({ binary, dir }))
  return ready
}
