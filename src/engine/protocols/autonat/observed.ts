/**
 * Observed: what remotes say of where we are, and which addresses of ours follow from it. Nothing of it is believed: they are
 * candidates, for AutoNAT to confirm before anybody is told.
 *
 *   inbound connection     the remote dialled what it sees us at: its IP and port are those of the listener of that transport
 *   outbound connection    only the IP says something, for the port is one that the system chose: taken with each listener's own port
 *
 * Those that peers we dialled ourselves agree on come first: whoever likes to can come to us and say anything.
 *
 * Bounds: one observation for each connection; OBSERVED_MAX_PER_LISTENER candidates for each listener.
 */

import type { Multiaddr } from '../../codec/multiaddr.ts'
import { OBSERVED_ACTIVATION, OBSERVED_MAX_PER_LISTENER } from '../../limits.ts'
import type { TransportName } from '../../net/service.ts'
import type { Direction } from '../../net/stream.ts'
import type { Asked } from './conversation.ts'
import { atEndpoint, type Endpoint, endpointOf, transportOf } from './endpoint.ts'

export interface Observation {
  readonly direction: Direction
  readonly transport: TransportName
  /** Who says so: remotes of one source are one observer. */
  readonly observer: string
  readonly observed: Endpoint
}

interface Listener {
  readonly address: Multiaddr
  readonly endpoint: Endpoint
  readonly transport: TransportName | undefined
}

interface Tally {
  readonly endpoint: Pick<Endpoint, 'ip' | 'host' | 'port'>
  readonly observers: Set<string>
  /** Those of them that we dialled. */
  readonly chosen: Set<string>
}

export class Observed {
  #listeners: readonly Listener[] = []
  readonly #seen = new Map<object, Observation>()

  /** Where listeners are bound, `0.0.0.0` and `::` as they are. */
  listen(bound: readonly Multiaddr[]): void {
    this.#listeners = bound.flatMap((address) => {
      const endpoint = endpointOf(address)
      return endpoint === undefined ? [] : [{ address, endpoint, transport: transportOf(address) }]
    })
  }

  /** What the remote of `connection` says; it may say something else later. */
  note(connection: object, observation: Observation): void {
    this.#seen.set(connection, observation)
  }

  forget(connection: object): void {
    this.#seen.delete(connection)
  }

  get size(): number {
    return this.#seen.size
  }

  /** Addresses that may be ours, the most likely first. */
  candidates(): Asked[] {
    return this.#listeners.flatMap((listener) =>
      this.#tally(listener)
        .sort((a, b) => b.chosen.size - a.chosen.size || b.observers.size - a.observers.size)
        .slice(0, OBSERVED_MAX_PER_LISTENER)
        // What few have seen may be one liar's, who would have us pay for dials to somebody else.
        .map(({ endpoint, observers }) => ({
          address: atEndpoint(listener.address, endpoint),
          pays: observers.size >= OBSERVED_ACTIVATION,
        })),
    )
  }

  #tally({ endpoint: own, transport: kind }: Listener): Tally[] {
    const tallies = new Map<string, Tally>()
    for (const { direction, transport, observer, observed } of this.#seen.values()) {
      const inbound = direction === 'inbound'
      if (observed.ip.length !== own.ip.length || (inbound && (transport !== kind || observed.protocol !== own.protocol))) continue
      const { ip, host } = observed
      const port = inbound ? observed.port : own.port
      const key = `${host} ${port}`
      const tally = tallies.get(key) ?? { endpoint: { ip, host, port }, observers: new Set(), chosen: new Set() }
      tallies.set(key, tally)
      tally.observers.add(observer)
      if (!inbound) tally.chosen.add(observer)
    }
    return [...tallies.values()]
  }
}
