/**
 * Pushes: who has to be told that we have changed, and when.
 *
 *   change ── PUSH_DELAY, at least PUSH_SPACING after the last ──▶ due: all who take pushes and know less ──▶ pushing ─┬─▶ told
 *                                              ▲                                                                     │ refused
 *                                              └───────────────────── PUSH_RETRY, PUSH_ATTEMPTS in all ◀──────────────┘
 *
 * What we tell has a version: whoever asked us has heard that of the moment, and needs no push of it.
 *
 * Bounds: PUSH_CONCURRENCY pushes under way, one for each connection.
 */

import type { Cancel } from '../../host.ts'
import {
  IDENTIFY_PUSH_ATTEMPTS,
  IDENTIFY_PUSH_CONCURRENCY,
  IDENTIFY_PUSH_DELAY,
  IDENTIFY_PUSH_RETRY,
  IDENTIFY_PUSH_SPACING,
} from '../../limits.ts'
import type { Connection } from '../../net/connection.ts'
import type { Net } from '../../net/service.ts'

/** https://github.com/libp2p/specs/blob/master/identify/README.md#identifypush */
export const IDENTIFY_PUSH = '/ipfs/id/push/1.0.0'

/** What a remote has heard of us. */
interface Told {
  /** Of what it was told last; -1 for nothing. */
  version: number
  /** The version that was pushed last, how often that failed, and when the next may go. */
  tried: number
  failures: number
  notBefore: number
}

export class Pushes {
  readonly #net: Net
  readonly #push: (connection: Connection, done: (taken: boolean) => void) => void
  readonly #told = new WeakMap<Connection, Told>()
  readonly #underWay = new Set<Connection>()
  #queue: Connection[] = []
  #version = 0
  /** When changes are pushed next, or were last. */
  #pushAt = Number.NEGATIVE_INFINITY
  #wake: { readonly at: number; readonly cancel: Cancel } | undefined

  /** `push` sends what we are to one connection and calls `done` with whether the remote took it. */
  constructor(net: Net, push: (connection: Connection, done: (taken: boolean) => void) => void) {
    this.#net = net
    this.#push = push
  }

  /** What we tell has changed. */
  changed(): void {
    this.#version += 1
    const now = this.#net.host.now()
    // Who comes later asks.
    if (this.#pushAt > now || this.#net.connections().length === 0) return
    this.#pushAt = Math.max(now + IDENTIFY_PUSH_DELAY, this.#pushAt + IDENTIFY_PUSH_SPACING)
    this.#wakeAt(this.#pushAt)
  }

  /** What we are at this moment is being told on this connection, whoever asked for it. */
  telling(connection: Connection): void {
    this.#toldOf(connection).version = this.#version
  }

  /** Only now is it known whether the remote takes pushes: it may have missed one. */
  identified(connection: Connection): void {
    if (this.#told.has(connection) && this.#due(connection)) this.#wakeAt(this.#net.host.now() + IDENTIFY_PUSH_DELAY)
  }

  stop(): void {
    this.#wake?.cancel()
    this.#queue = []
  }

  #toldOf(connection: Connection): Told {
    let told = this.#told.get(connection)
    if (told === undefined) {
      told = { version: -1, tried: -1, failures: 0, notBefore: 0 }
      this.#told.set(connection, told)
    }
    return told
  }

  #due(connection: Connection): boolean {
    if (connection.status !== 'open' || connection.identified?.protocols.includes(IDENTIFY_PUSH) !== true) return false
    if (this.#underWay.has(connection)) return false
    const { version, tried, failures } = this.#toldOf(connection)
    return version < this.#version && (tried < this.#version || failures < IDENTIFY_PUSH_ATTEMPTS)
  }

  #wakeAt(at: number): void {
    if (this.#wake !== undefined && this.#wake.at <= at) return
    this.#wake?.cancel()
    const { host } = this.#net
    const cancel = host.after(at - host.now(), () => {
      this.#wake = undefined
      this.#queue = this.#net.connections().filter((connection) => this.#due(connection))
      this.#advance()
    })
    this.#wake = { at, cancel }
  }

  #advance(): void {
    while (this.#underWay.size < IDENTIFY_PUSH_CONCURRENCY) {
      const connection = this.#queue.shift()
      if (connection === undefined) return
      if (!this.#due(connection)) continue
      const { notBefore } = this.#toldOf(connection)
      if (notBefore > this.#net.host.now()) this.#wakeAt(notBefore)
      else this.#begin(connection)
    }
  }

  #begin(connection: Connection): void {
    const told = this.#toldOf(connection)
    const before = told.version
    if (told.tried < this.#version) told.failures = 0
    told.tried = this.#version
    this.#underWay.add(connection)
    this.#push(connection, (taken) => {
      this.#underWay.delete(connection)
      if (!taken) {
        told.version = before
        told.failures += 1
        told.notBefore = this.#net.host.now() + IDENTIFY_PUSH_RETRY
      }
      // Refused, or we have changed again meanwhile.
      if (this.#due(connection)) this.#wakeAt(Math.max(told.notBefore, this.#pushAt, this.#net.host.now()))
      this.#advance()
    })
  }
}
