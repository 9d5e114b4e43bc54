/**
 * Metrics: counters of connections by transport and of streams and bytes by protocol, since the start.
 *
 * Bounds: METRICS_MAX_PROTOCOLS protocols by name; what comes after counts as `other`.
 */

import { METRICS_MAX_PROTOCOLS } from '../limits.ts'
import type { Connection } from './connection.ts'
import type { Stream } from './stream.ts'

export interface ConnectionCounters {
  open: number
  total: number
}

export interface ProtocolCounters {
  open: number
  total: number
  /** Payload bytes of streams that are over. */
  received: number
  sent: number
}

export class Metrics {
  readonly #transports = new Map<string, ConnectionCounters>()
  readonly #protocols = new Map<string, ProtocolCounters>()
  readonly #streams = new Map<Stream, string>()

  connected({ transport }: Connection): void {
    const counters = this.#transports.get(transport) ?? { open: 0, total: 0 }
    this.#transports.set(transport, counters)
    counters.open += 1
    counters.total += 1
  }

  disconnected({ transport }: Connection): void {
    const counters = this.#transports.get(transport)
    if (counters !== undefined) counters.open -= 1
  }

  opened(stream: Stream): void {
    const known = this.#protocols.has(stream.protocol) || this.#protocols.size < METRICS_MAX_PROTOCOLS
    const name = known ? stream.protocol : 'other'
    const counters = this.#protocols.get(name) ?? { open: 0, total: 0, received: 0, sent: 0 }
    this.#protocols.set(name, counters)
    this.#streams.set(stream, name)
    counters.open += 1
    counters.total += 1
  }

  closed(stream: Stream): void {
    const name = this.#streams.get(stream)
    const counters = name === undefined ? undefined : this.#protocols.get(name)
    if (counters === undefined) return
    this.#streams.delete(stream)
    counters.open -= 1
    counters.received += stream.received
    counters.sent += stream.sent
  }

  /** A copy, with what open streams have carried so far. */
  snapshot(): { connections: Record<string, ConnectionCounters>; protocols: Record<string, ProtocolCounters> } {
    const connections: Record<string, ConnectionCounters> = {}
    for (const [transport, counters] of this.#transports) connections[transport] = { ...counters }
    const protocols: Record<string, ProtocolCounters> = {}
    for (const [protocol, counters] of this.#protocols) protocols[protocol] = { ...counters }
    for (const [stream, name] of this.#streams) {
      const counters = protocols[name]
      if (counters === undefined) continue
      counters.received += stream.received
      counters.sent += stream.sent
    }
    return { connections, protocols }
  }
}
