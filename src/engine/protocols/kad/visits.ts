/**
 * Visits: connections that were opened for a request alone go again when nobody needs them any more. A lookup asks some seventy servers, and
 * a page has a hundred places.
 *
 *   opened for a request ─▶ busy ◀──▶ idle ──KAD_KEEP_CONNECTION, or one too many──▶ released ─┬─ nobody else has a use for it ─▶ closed
 *                                      ▲                                                       ├─ somebody dialled the peer ────▶ theirs
 *                                      └──────── has a stream or a tag of others: later ───────┘
 *
 * Who is in the table stays there: it is known by its addresses, and asked over a new connection.
 *
 * Bounds: KAD_MAX_KEPT_CONNECTIONS idle ones; of more, the one that was idle for longest goes.
 */

import type { Cancel } from '../../host.ts'
import { KAD_KEEP_CONNECTION, KAD_MAX_KEPT_CONNECTIONS } from '../../limits.ts'
import type { Connection } from '../../net/connection.ts'
import type { Net } from '../../net/service.ts'

interface Visit {
  /** Requests under way on it. */
  busy: number
  timer: Cancel
}

export class Visits {
  readonly #net: Net
  readonly #release: (connection: Connection) => boolean
  /** Who became idle last comes last. */
  readonly #visits = new Map<Connection, Visit>()

  /** `release` closes a connection if nobody else has a use for it, and returns whether it did. */
  constructor(net: Net, release: (connection: Connection) => boolean) {
    this.#net = net
    this.#release = release
  }

  get size(): number {
    return this.#visits.size
  }

  /** It was opened for a request of ours. */
  opened(connection: Connection): void {
    if (!this.#visits.has(connection) && connection.direction === 'outbound') this.#visits.set(connection, { busy: 0, timer: () => {} })
  }

  begin(connection: Connection): void {
    const visit = this.#visits.get(connection)
    if (visit === undefined) return
    visit.busy += 1
    visit.timer()
  }

  end(connection: Connection): void {
    const visit = this.#visits.get(connection)
    if (visit === undefined) return
    visit.busy -= 1
    if (visit.busy > 0) return
    this.#rest(connection, visit)
    let idle = 0
    for (const { busy } of this.#visits.values()) if (busy === 0) idle += 1
    for (const [each, { busy }] of this.#visits) {
      if (idle <= KAD_MAX_KEPT_CONNECTIONS) return
      if (busy > 0) continue
      idle -= 1
      this.#let(each)
    }
  }

  closed(connection: Connection): void {
    this.#visits.get(connection)?.timer()
    this.#visits.delete(connection)
  }

  stop(): void {
    for (const { timer } of this.#visits.values()) timer()
    this.#visits.clear()
  }

  #rest(connection: Connection, visit: Visit): void {
    visit.timer()
    this.#visits.delete(connection)
    this.#visits.set(connection, visit)
    visit.timer = this.#net.host.after(KAD_KEEP_CONNECTION, () => this.#let(connection))
  }

  #let(connection: Connection): void {
    const visit = this.#visits.get(connection)
    if (visit === undefined) return
    if (connection.wanted || this.#release(connection)) this.closed(connection)
    else this.#rest(connection, visit)
  }
}
