/**
 * The stream on which we talk to a peer, and which says whether there is one: opened when the peer is known to speak pubsub, and moved
 * when there is a better connection to it.
 *
 *            open            agreed              credit
 *   (none) ───────▶ opening ───────▶ open ─ pump ───────▶ one frame for each RPC, until there is nothing or no credit left
 *                      │ refused       │ lost
 *                      └──▶ onGone ◀───┘
 *
 * Nothing is read from it: what the remote writes there is dropped (go resets the stream for it).
 */

import { TabmeshError } from '../../../errors.ts'
import type { Connection } from '../../net/connection.ts'
import type { Stream } from '../../net/stream.ts'
import type { Sink } from '../../wire/channel.ts'
import { PUBSUB_PROTOCOLS, type PubsubProtocol } from './peer.ts'
import type { Rpc } from './rpc.ts'
import { frameRpc } from './rpc-writer.ts'

export interface OutboundOwner {
  onOpen(outbound: Outbound, protocol: PubsubProtocol): void
  /** It can be written to again. */
  onDrain(outbound: Outbound): void
  /** Called once, whether it was ever open or not. */
  onGone(outbound: Outbound): void
}

export class Outbound implements Sink {
  readonly connection: Connection
  ready = false
  readonly #owner: OutboundOwner
  #stream: Stream | undefined
  #gone = false

  constructor(connection: Connection, owner: OutboundOwner) {
    this.connection = connection
    this.#owner = owner
  }

  open(): void {
    let agreed = false
    const stream = this.connection.openStream(PUBSUB_PROTOCOLS, (fault) => {
      if (fault !== undefined) return this.onClose()
      agreed = true
      if (this.#stream !== undefined) this.#open(this.#stream)
    })
    this.#stream = stream
    if (this.#gone) return
    stream.attach(this)
    if (agreed) this.#open(stream)
  }

  #open(stream: Stream): void {
    if (this.ready || this.#gone) return
    this.ready = true
    this.#owner.onOpen(this, stream.protocol as PubsubProtocol)
  }

  /** Writes what `take` gives. */
  pump(take: () => Rpc | undefined): void {
    const stream = this.#stream
    if (stream === undefined || !this.ready) return
    while (!this.#gone && stream.credit > 0) {
      const rpc = take()
      if (rpc === undefined) return
      stream.write(frameRpc(rpc))
    }
  }

  /** What was written still goes out. */
  end(): void {
    this.#gone = true
    this.#stream?.end()
  }

  abort(fault: TabmeshError): void {
    this.#gone = true
    this.#stream?.abort(fault)
  }

  onData(bytes: Uint8Array): void {
    this.#stream?.release(bytes.length)
  }

  onDrain(): void {
    if (!this.#gone) this.#owner.onDrain(this)
  }

  onEnd(): void {}

  onClose(): void {
    if (this.#gone) return
    this.#gone = true
    this.#owner.onGone(this)
  }
}

/** Why a stream that is not needed is given up. */
export const notNeeded = (): TabmeshError => new TabmeshError('ERR_STREAM_CLOSED', 'another pubsub stream took its place')
