/**
 * Node as the engine's host: clock, randomness, timers, keys.
 *
 * Every call into the engine comes from an event of Node (a socket, a timer) or from the program, each on a stack of
 * its own, so the engine is never entered while it runs. `sign` and `verify` answer at once: OpenSSL does both in tens
 * of microseconds, far less than a task on the thread pool costs.
 */

import { randomFillSync } from 'node:crypto'
import { instantiateAead } from '../../workers/aead/load.ts'
import type { PrivateKey } from '../engine/codec/keys.ts'
import type { Aead } from '../engine/crypto/aead.ts'
import { nobleAead } from '../engine/crypto/noble-aead.ts'
import type { Cancel, Host } from '../engine/host.ts'
import { signer, verifier } from './signatures.ts'
import { nodeX25519 } from './x25519.ts'

/** The longest that setTimeout counts; a longer one it would take for 1 ms. */
const LONGEST_TIMEOUT = 2 ** 31 - 1

/** A host that signs with `key`. Throws ERR_INVALID_KEY where OpenSSL does not take the key. */
export const nodeHost = (key: PrivateKey): Host => {
  const sign = signer(key)
  const verify = verifier()
  return {
    now: () => performance.now(),
    date: () => Date.now(),
    random: (bytes) => randomFillSync(new Uint8Array(bytes)),
    after,
    defer: deferrer(),
    sign: (bytes, done) => done(sign(bytes)),
    verify: (publicKey, bytes, signature, done) => done(verify(publicKey, bytes, signature)),
    x25519: nodeX25519,
    aead: aead(),
    publicKey: key.publicKey,
  }
}

/** One instance for the process: it keeps nothing between calls. */
let instance: Aead | undefined
const aead = (): Aead => (instance ??= instantiateAead() ?? nobleAead)

/**
 * Timers hold the process, as sockets do: a program that waits for a peer, or for a relay to come back, waits with
 * nothing but a timer pending and must not end silently. `stop` calls off every timer, and then the process may end.
 *
 * Node counts in whole milliseconds of its own clock and may be up to one early by ours; what is early waits again.
 */
const after = (ms: number, wake: () => void): Cancel => {
  if (ms === Number.POSITIVE_INFINITY) return () => {}
  const due = performance.now() + ms
  const look = (): void => {
    const left = due - performance.now()
    if (left > 0) timer = setTimeout(look, Math.min(left, LONGEST_TIMEOUT))
    else wake()
  }
  let timer = setTimeout(look, Math.min(ms, LONGEST_TIMEOUT))
  return () => clearTimeout(timer)
}

/**
 * A queue of our own, emptied by one microtask: 20 ns for each call, where queueMicrotask takes 106 and process.nextTick
 * 83 (Node 20). A microtask rather than a tick, because a tick waits for all microtasks when the engine was called from
 * one, and another of them could enter the engine first.
 */
const deferrer = (): ((run: () => void) => void) => {
  const queue: (() => void)[] = []
  let at = 0
  const empty = (): void => {
    try {
      while (at < queue.length) (queue[at++] as () => void)()
    } finally {
      // One that throws ends the process, unless the program listens; then the others still run.
      if (at < queue.length) queueMicrotask(empty)
      else at = queue.length = 0
    }
  }
  return (run) => {
    if (queue.push(run) === 1) queueMicrotask(empty)
  }
}
