/**
 * Awaiting: callers that need a connection which no relay limits, while a direct one is being made.
 *
 * Bounds: each waits its own time and no longer.
 */

import type { PeerId } from '../codec/peer-id.ts'
import type { Cancel, Host } from '../host.ts'
import type { Connection } from './connection.ts'

export class Awaiting {
  readonly #waiting = new Map<PeerId, Set<(connection: Connection | undefined) => void>>()

  /** `done` gets the connection, or undefined when there will be none. The returned function gives up without a call. */
  wait(peer: PeerId, ms: number, host: Pick<Host, 'after'>, done: (connection: Connection | undefined) => void): Cancel {
    const waiters = this.#waiting.get(peer) ?? new Set()
    this.#waiting.set(peer, waiters)
    const leave = (): void => {
      timer()
      waiters.delete(waiter)
      if (waiters.size === 0) this.#waiting.delete(peer)
    }
    const waiter = (connection: Connection | undefined): void => {
      leave()
      done(connection)
    }
    const timer = host.after(ms, () => waiter(undefined))
    waiters.add(waiter)
    return leave
  }

  settle(peer: PeerId, connection: Connection | undefined): void {
    for (const waiter of [...(this.#waiting.get(peer) ?? [])]) waiter(connection)
  }
}
