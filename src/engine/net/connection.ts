/**
 * Connection: an authenticated peer behind a multiplexer.
 *
 *            abort(), muxer closed        last stream gone for RETIRE_GRACE
 *   open ─────────────────────▶ closed ◀──────────┐
 *     ├── retire() ───────────▶ retiring ─────────┤   takes no new streams of ours; the remote's are still served
 *     └── close() ────────────▶ retiring ─────────┘   as soon as the remote has heard of it
 *
 * Bounds: the muxer limits the streams of one connection, the registrar those of one protocol.
 */

import { TabmeshError } from '../../errors.ts'
import type { Multiaddr } from '../codec/multiaddr.ts'
import type { PeerId } from '../codec/peer-id.ts'
import type { Cancel, Host } from '../host.ts'
import { MSS_TIMEOUT, RETIRE_GRACE } from '../limits.ts'
import { type Channel, closedChannel } from '../wire/channel.ts'
import { converse } from '../wire/conversation.ts'
import { answerProtocols } from '../wire/multistream.ts'
import type { Muxer } from '../wire/muxer.ts'
import type { Identified, Limit, TransportName } from './service.ts'
import { type Direction, Stream } from './stream.ts'

export interface ConnectionDetails {
  readonly id: string
  readonly remotePeer: PeerId
  readonly remoteAddr: Multiaddr
  readonly direction: Direction
  readonly transport: TransportName
  readonly limit: Limit | undefined
  readonly encryption: string
  /** The name of the multiplexer. */
  readonly muxer: string
  /** Unix milliseconds. */
  readonly openedAt: number
}

/** What a connection needs of the node around it. */
export interface ConnectionOwner {
  readonly host: Host
  /** The protocols answered on this connection, in no order. */
  answers(connection: Connection, protocol: string): boolean
  onStream(stream: Stream): void
  /** For the metrics: a stream of either side began, or is over. */
  onStreamOpen(stream: Stream): void
  onStreamClose(stream: Stream): void
  /** Something that `ConnectionInfo` shows has changed. */
  onChange(connection: Connection): void
  onClose(connection: Connection, fault: TabmeshError | undefined): void
}

export class Connection {
  readonly id: string
  readonly remotePeer: PeerId
  readonly remoteAddr: Multiaddr
  readonly direction: Direction
  readonly transport: TransportName
  readonly limit: Limit | undefined
  readonly encryption: string
  readonly muxer: string
  readonly openedAt: number
  readonly streams = new Set<Stream>()
  identified: Identified | undefined
  /** A ping or identify was answered here: new streams prefer it over a relayed one. */
  proven = false
  /** Somebody dialled the peer to have a connection, and not in passing. */
  wanted = false
  status: 'open' | 'retiring' | 'closed' = 'open'
  readonly #mux: () => Muxer
  #session: Muxer | undefined
  readonly #owner: ConnectionOwner
  #streamCount = 0
  /** Streams of the remote whose protocol is not agreed yet. */
  #answering = 0
  #pinged: number | undefined
  /** Why we closed it, where that is not the user's wish. */
  #why: TabmeshError | undefined
  #retireTimer: Cancel | undefined

  constructor(details: ConnectionDetails, mux: () => Muxer, owner: ConnectionOwner) {
    this.id = details.id
    this.remotePeer = details.remotePeer
    this.remoteAddr = details.remoteAddr
    this.direction = details.direction
    this.transport = details.transport
    this.limit = details.limit
    this.encryption = details.encryption
    this.openedAt = details.openedAt
    this.muxer = details.muxer
    this.#mux = mux
    this.#owner = owner
  }

  /** Begins to serve the remote's streams; called once, when the node has taken the connection in. */
  start(): void {
    this.#muxer.attach({
      onStream: (channel) => this.#answer(channel),
      onClose: (fault) => this.#closed(fault),
    })
  }

  /** Made with the first use. */
  get #muxer(): Muxer {
    this.#session ??= this.#mux()
    return this.#session
  }

  /** Round trip in milliseconds, where a ping or the muxer has measured it. */
  get rtt(): number | undefined {
    return this.#pinged ?? this.#session?.rtt
  }

  /** When the remote last gave a sign of life, where the muxer knows. */
  get heardAt(): number | undefined {
    return this.#session?.heardAt
  }

  /** The multiplexer, once it is in use: for who made it and looks after it. */
  get carrier(): Muxer | undefined {
    return this.#session
  }

  get limited(): boolean {
    return this.limit !== undefined
  }

  get direct(): boolean {
    return this.transport !== 'relay'
  }

  /**
   * Opens a stream at once. Where the remote is known to speak the protocol, or nothing is known yet, no round trip is
   * waited for; `ready` hears when the protocol is agreed or why it can't be.
   */
  openStream(protocols: readonly string[], ready?: (fault: TabmeshError | undefined) => void): Stream {
    const known = this.identified?.protocols
    const spoken = known === undefined ? protocols[0] : protocols.find((each) => known.includes(each))
    const lazy = spoken !== undefined && (known !== undefined || protocols.length === 1)
    const stream = this.#track('outbound', spoken ?? (protocols[0] as string), this.#open())
    // A stream that could not be opened has failed before this returns.
    let failed: TabmeshError | undefined
    stream.negotiate(protocols, lazy, this.#owner.host, (fault) => {
      failed = fault
      if (!lazy) ready?.(fault)
    })
    if (lazy) ready?.(failed)
    return stream
  }

  #open(): Channel {
    if (this.status !== 'closed') return this.#muxer.open()
    return closedChannel(new TabmeshError('ERR_CONNECTION_CLOSED', `the connection to ${this.remotePeer} is closed`))
  }

  /** Says goodbye, sends what is queued, closes. From now on it takes no new streams of ours. `why` is told on our side. */
  close(why?: TabmeshError): void {
    this.#why ??= why
    if (this.status === 'open') {
      this.status = 'retiring'
      this.#owner.onChange(this)
    }
    this.#muxer.close()
  }

  abort(fault: TabmeshError): void {
    this.#muxer.abort(fault)
  }

  /** A ping was answered: its round trip in milliseconds. */
  measured(rtt: number): void {
    this.#pinged = rtt
    this.proven = true
    this.#owner.onChange(this)
  }

  /** Takes no new streams; closes once the last one has been gone for RETIRE_GRACE. */
  retire(): void {
    if (this.status !== 'open') return
    this.status = 'retiring'
    this.#owner.onChange(this)
    this.#closeWhenIdle()
  }

  #closeWhenIdle(): void {
    this.#retireTimer?.()
    this.#retireTimer = undefined
    if (this.status !== 'retiring' || this.streams.size + this.#answering > 0) return
    this.#retireTimer = this.#owner.host.after(RETIRE_GRACE, () => this.close())
  }

  #track(direction: Direction, protocol: string, channel: Channel): Stream {
    this.#streamCount += 1
    const stream = new Stream(`${this.id}/${this.#streamCount}`, this, direction, protocol, channel, () => {
      this.streams.delete(stream)
      this.#owner.onStreamClose(stream)
      this.#closeWhenIdle()
      this.#owner.onChange(this)
    })
    this.streams.add(stream)
    this.#closeWhenIdle()
    this.#owner.onStreamOpen(stream)
    this.#owner.onChange(this)
    return stream
  }

  #answer(channel: Channel): void {
    this.#answering += 1
    this.#closeWhenIdle()
    converse(
      channel,
      answerProtocols((protocol) => this.#owner.answers(this, protocol)),
      this.#owner.host,
      {
        timeout: MSS_TIMEOUT,
        what: 'answering a new stream',
        done: (outcome) => {
          this.#answering -= 1
          if (this.status === 'closed') return
          if (outcome.ok) this.#owner.onStream(this.#track('inbound', outcome.value, channel))
          else this.#closeWhenIdle()
        },
      },
    )
  }

  #closed(broken: TabmeshError | undefined): void {
    if (this.status === 'closed') return
    this.status = 'closed'
    this.#retireTimer?.()
    const fault = broken ?? this.#why
    const why = fault ?? new TabmeshError('ERR_CONNECTION_CLOSED', `the connection to ${this.remotePeer} was closed`)
    for (const stream of [...this.streams]) stream.abort(why)
    this.#owner.onClose(this, fault)
  }
}
