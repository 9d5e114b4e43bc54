/**
 * Host: all that the engine asks of the world around it. The worker, the Node process and the simulator each
 * implement it; the engine itself has no clock, no randomness and no IO.
 *
 * Contract: a host calls into the engine from one place at a time (never while an engine call is running), and runs
 * what was `defer`red once that call has returned.
 */

import type { TabmeshError } from '../errors.ts'
import type { PublicKey } from './codec/keys.ts'
import type { Aead } from './crypto/aead.ts'
import type { X25519 } from './crypto/x25519.ts'

/** Calls off a timer; harmless when it has already run. */
export type Cancel = () => void

export interface Host {
  /** Milliseconds that never go back, from any origin: for deadlines and round trips. */
  now(): number
  /** Unix time in milliseconds: for what goes on the wire (expiries, sequence numbers). */
  date(): number
  /** `bytes` fresh random bytes, fit for keys. */
  random(bytes: number): Uint8Array
  /** Calls `wake` after `ms` milliseconds, or later where the host sleeps. */
  after(ms: number, wake: () => void): Cancel
  /** Calls `run` when the engine call in progress has returned, before the host turns to other work. */
  defer(run: () => void): void
  /** Signs with the identity key, which may live where the engine can't see it. May answer at once. */
  sign(bytes: Uint8Array, done: (signature: Uint8Array | TabmeshError) => void): void
  /** Checks a signature by any libp2p key. May answer at once; a key type the host can't check answers false. */
  verify(key: PublicKey, bytes: Uint8Array, signature: Uint8Array, done: (valid: boolean) => void): void
  /** Key agreement on Curve25519. */
  readonly x25519: X25519
  /** ChaCha20-Poly1305, synchronous. */
  readonly aead: Aead
  /** The public half of the identity key. */
  readonly publicKey: PublicKey
}
