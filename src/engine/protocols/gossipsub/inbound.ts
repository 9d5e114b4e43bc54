/**
 * The stream on which a peer talks to us: cuts it into RPCs, and holds back what the router can't take yet.
 *
 * Bounds: one window of the stream. What waits here is not released, so that the peer waits too.
 */

import { asTabmeshError } from '../../../errors.ts'
import { GOSSIP_MAX_RPC } from '../../limits.ts'
import type { Stream } from '../../net/stream.ts'
import type { Sink } from '../../wire/channel.ts'
import { FrameReader } from '../../wire/frame.ts'
import type { Rpc } from './rpc.ts'
import type { RpcReader } from './rpc-reader.ts'

export interface InboundOwner {
  readonly rpcs: RpcReader
  /** Whether an RPC may come now; otherwise `resume` is called later. */
  takes(): boolean
  onRpc(rpc: Rpc): void
  onGone(): void
}

export class Inbound implements Sink {
  readonly stream: Stream
  readonly #owner: InboundOwner
  readonly #frames = new FrameReader(GOSSIP_MAX_RPC)
  #waiting: Uint8Array[] = []
  #at = 0
  /** Bytes received and not released. */
  #owed = 0
  #busy = false
  /** The remote has ended it; it is closed; nothing of it counts any more. */
  #ended = false
  #closed = false
  #refused = false

  constructor(stream: Stream, owner: InboundOwner) {
    this.stream = stream
    this.#owner = owner
  }

  /** Something of it waits. */
  get unread(): boolean {
    return this.#at < this.#waiting.length
  }

  /** Begins to read. */
  start(): void {
    this.stream.attach(this)
  }

  onData(bytes: Uint8Array): void {
    this.#owed += bytes.length
    try {
      for (const frame of this.#frames.push(bytes)) if (frame.length > 0) this.#waiting.push(frame)
    } catch (error) {
      return this.#refuse(error)
    }
    this.resume()
  }

  resume(): void {
    if (this.#busy || this.#refused) return
    this.#busy = true
    try {
      while (this.#at < this.#waiting.length && this.#owner.takes()) {
        const rpc = this.#owner.rpcs.read(this.#waiting[this.#at++] as Uint8Array)
        this.#owner.onRpc(rpc)
      }
    } catch (error) {
      return this.#refuse(error)
    } finally {
      this.#busy = false
    }
    if (this.#at < this.#waiting.length) return
    this.#waiting = []
    this.#at = 0
    if (this.#closed) return this.#owner.onGone()
    const owed = this.#owed
    this.#owed = 0
    if (owed > 0) this.stream.release(owed)
    if (this.#ended) this.stream.end()
  }

  #refuse(error: unknown): void {
    this.#refused = true
    this.#waiting = []
    this.stream.abort(asTabmeshError(error, 'ERR_INTERNAL', `reading pubsub from ${this.stream.connection.remotePeer}`))
  }

  onEnd(): void {
    this.#ended = true
    if (!this.unread) this.stream.end()
  }

  /** What came before is still read. */
  onClose(): void {
    this.#closed = true
    if (!this.unread || this.#refused) this.#owner.onGone()
  }
}
