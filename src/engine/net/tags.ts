/**
 * Tags: how much peers are worth keeping, to the services of this node. Name → value, as in the peer store, but only for as long as the
 * service says so: what a relay is to us now is no knowledge to be kept.
 *
 * Bounds: a service tags peers it deals with (its relays, its circuits), which are bounded there; values from 0 to 100.
 */

import type { PeerId } from '../codec/peer-id.ts'

export class Tags {
  readonly #tags = new Map<PeerId, Record<string, number>>()

  set(peer: PeerId, name: string, value: number | undefined): void {
    const { [name]: _before, ...rest } = this.#tags.get(peer) ?? {}
    const tags = value === undefined ? rest : { ...rest, [name]: Math.min(Math.max(value, 0), 100) }
    if (Object.keys(tags).length === 0) this.#tags.delete(peer)
    else this.#tags.set(peer, tags)
  }

  of(peer: PeerId): Readonly<Record<string, number>> {
    return this.#tags.get(peer) ?? {}
  }
}
