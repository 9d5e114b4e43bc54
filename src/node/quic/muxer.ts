/**
 * A QUIC connection as a Muxer: each of its bidirectional streams is a channel.
 *
 *   open ── close(): streams get QUIC_CLOSE_TIMEOUT to deliver what was written ──▶ closed
 *     └──── abort(), the remote's close, idle for QUIC_IDLE_TIMEOUT ─────────────▶ closed
 *
 * Bounds: QUIC_MAX_INBOUND streams that the remote may hold open, by QUIC's own MAX_STREAMS (RFC 9000 §4.6).
 */

import type { Host } from '../../engine/host.ts'
import { QUIC_CLOSE_TIMEOUT } from '../../engine/limits.ts'
import type { Channel } from '../../engine/wire/channel.ts'
import { closedChannel } from '../../engine/wire/channel.ts'
import type { Muxer, MuxerSink } from '../../engine/wire/muxer.ts'
import { TabmeshError } from '../../errors.ts'
import type { QuicConnection, QuicStream } from './binding.ts'
import { QuicChannel } from './stream.ts'

export const quicMuxer = (connection: QuicConnection, host: Pick<Host, 'after'>): Muxer => new QuicMuxer(connection, host)

class QuicMuxer implements Muxer {
  readonly protocol = '/quic-v1'
  readonly #connection: QuicConnection
  readonly #host: Pick<Host, 'after'>
  readonly #streams = new Set<QuicChannel>()
  #sink: MuxerSink | undefined
  #state: 'open' | 'closing' | 'closed' = 'open'

  constructor(connection: QuicConnection, host: Pick<Host, 'after'>) {
    this.#connection = connection
    this.#host = host
  }

  get rtt(): number | undefined {
    return this.#state === 'open' ? this.#connection.rtt() : undefined
  }

  attach(sink: MuxerSink): void {
    this.#sink = sink
    // Streams that the remote opened meanwhile wait inside QUIC.
    this.#accept()
    this.#connection.closed().then(
      () => this.#end(undefined),
      (cause: unknown) =>
        this.#end(new TabmeshError('ERR_CONNECTION_CLOSED', `the QUIC connection ended (${messageOf(cause)})`, { cause })),
    )
  }

  open(): Channel {
    if (this.#state !== 'open') return closedChannel(new TabmeshError('ERR_CONNECTION_CLOSED', 'the connection is closing'))
    const channel = this.#channel()
    this.#connection.outboundStream().then(
      (stream) => channel.open(stream),
      (cause: unknown) =>
        channel.lose(new TabmeshError('ERR_CONNECTION_CLOSED', `no QUIC stream could be opened (${messageOf(cause)})`, { cause })),
    )
    return channel
  }

  close(): void {
    if (this.#state !== 'open') return
    this.#state = 'closing'
    const fault = new TabmeshError('ERR_CONNECTION_CLOSED', 'this side closed the connection')
    for (const channel of this.#streams) channel.end()
    if (this.#streams.size === 0) return this.#cut(undefined)
    const timer = this.#host.after(QUIC_CLOSE_TIMEOUT, () => this.#cut(fault))
    this.#onEmpty = () => {
      timer()
      this.#cut(undefined)
    }
  }

  abort(fault: TabmeshError): void {
    this.#cut(fault)
  }

  #onEmpty: () => void = () => {}

  #channel(): QuicChannel {
    const channel = new QuicChannel((closed) => {
      this.#streams.delete(closed)
      if (this.#streams.size === 0) this.#onEmpty()
    })
    this.#streams.add(channel)
    return channel
  }

  #accept(): void {
    this.#connection.inboundStream().then(
      (stream: QuicStream) => {
        if (this.#state !== 'open') return
        const channel = this.#channel()
        channel.open(stream)
        this.#sink?.onStream(channel)
        this.#accept()
      },
      // The connection is over; `closed` tells.
      () => {},
    )
  }

  /** `fault` is for the streams; the sink of an orderly end hears of none. */
  #cut(fault: TabmeshError | undefined): void {
    if (this.#state === 'closed') return
    const orderly = this.#state === 'closing'
    this.#connection.abort()
    this.#end(orderly ? undefined : fault, fault)
  }

  #end(fault: TabmeshError | undefined, why = fault): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#onEmpty()
    this.#onEmpty = () => {}
    const lost = why ?? new TabmeshError('ERR_CONNECTION_CLOSED', 'the connection was closed')
    for (const channel of [...this.#streams]) channel.lose(lost)
    this.#sink?.onClose(fault)
  }
}

export const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))
