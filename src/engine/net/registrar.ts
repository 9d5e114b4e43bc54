/**
 * Registrar: which service answers which protocol, and whether one more stream of it may be opened.
 *
 * Bounds: a service's `maxInbound` streams of one protocol on one connection, STREAMS_MAX_INBOUND where it says nothing.
 */

import { TabmeshError } from '../../errors.ts'
import { STREAMS_MAX_INBOUND } from '../limits.ts'
import type { Connection } from './connection.ts'
import type { ProtocolOptions, Service } from './service.ts'
import type { Stream } from './stream.ts'

interface Mounted {
  readonly service: Service
  readonly options: ProtocolOptions
}

export class Registrar {
  /** In the order in which they hear of things. */
  readonly services: Service[]
  readonly #mounted = new Map<string, Mounted>()

  constructor(services: readonly Service[]) {
    this.services = [...services]
    for (const service of services) this.#register(service)
  }

  /** Throws ERR_PROTOCOL_TAKEN if one of the service's protocols is mounted already. */
  mount(service: Service): void {
    for (const protocol of Object.keys(service.protocols)) {
      if (this.#mounted.has(protocol)) throw new TabmeshError('ERR_PROTOCOL_TAKEN', `${protocol} is handled already`)
    }
    this.services.push(service)
    this.#register(service)
  }

  /** Whether it was mounted. */
  unmount(service: Service): boolean {
    const at = this.services.indexOf(service)
    if (at < 0) return false
    this.services.splice(at, 1)
    for (const protocol of Object.keys(service.protocols)) this.#mounted.delete(protocol)
    return true
  }

  /** Protocols answered; on limited connections only those that allow it. */
  protocols(limited: boolean): readonly string[] {
    const names: string[] = []
    for (const [protocol, { options }] of this.#mounted) if (!limited || options.allowLimited === true) names.push(protocol)
    return names
  }

  answers(connection: Connection, protocol: string): boolean {
    const mounted = this.#mounted.get(protocol)
    return mounted !== undefined && (!connection.limited || mounted.options.allowLimited === true)
  }

  /** Whether the service of this stream could do without its connection. */
  spares(stream: Stream): boolean {
    return this.#mounted.get(stream.protocol)?.service.spares?.(stream) === true
  }

  /** Hands a stream of the remote to its service, or aborts it where there are too many. */
  deliver(stream: Stream): void {
    const { connection, protocol } = stream
    const mounted = this.#mounted.get(protocol)
    if (mounted?.service.onStream === undefined) {
      return stream.abort(new TabmeshError('ERR_NO_PROTOCOL', `${protocol} is not handled any more`))
    }
    const max = mounted.options.maxInbound ?? STREAMS_MAX_INBOUND
    let open = 0
    for (const each of connection.streams) if (each.direction === 'inbound' && each.protocol === protocol) open += 1
    if (open > max)
      return stream.abort(new TabmeshError('ERR_STREAM_LIMIT', `${connection.remotePeer} has ${max} streams of ${protocol} open`))
    mounted.service.onStream(stream)
  }

  #register(service: Service): void {
    for (const [protocol, options] of Object.entries(service.protocols)) this.#mounted.set(protocol, { service, options })
  }
}
