/**
 * Requests of others: their streams, one request after the other on each, over the Server machine.
 *
 *   stream ─▶ read a frame ─▶ server ─┬─ answer ─▶ write it ─▶ read the next one
 *                 │                   └─ refuse ─▶ reset
 *                 └─ the end: ended on our side too
 *
 * Bounds: KAD_MAX_INBOUND streams of a connection (the registrar's), KAD_MAX_REQUEST bytes, KAD_IDLE for a request to come, byte by byte or
 * not at all, KAD_REQUEST_TIMEOUT for its answer to be taken; and the server's.
 */

import { TabmeshError } from '../../../errors.ts'
import { KAD_IDLE, KAD_MAX_REQUEST, KAD_REQUEST_TIMEOUT } from '../../limits.ts'
import type { Net } from '../../net/service.ts'
import type { Stream } from '../../net/stream.ts'
import { type Conversation, converse, write } from '../../wire/conversation.ts'
import { readFrameOrEnd } from '../../wire/frame.ts'
import { decodeMessage, frameMessage, type KadMessage } from './messages.ts'
import type { Records } from './records.ts'
import type { Server } from './server.ts'

export class Answers {
  readonly #net: Net
  readonly #server: Server
  readonly #records: Records
  readonly #streams = new Map<number, Stream>()
  #tickets = 0

  constructor(net: Net, server: Server, records: Records) {
    this.#net = net
    this.#server = server
    this.#records = records
  }

  /** Reads the next request of a stream. */
  serve(stream: Stream): void {
    converse(stream, readRequest(), this.#net.host, {
      timeout: KAD_IDLE,
      what: 'reading a kad request',
      done: (outcome) => {
        if (!outcome.ok) return
        if (outcome.value === undefined) return stream.finish(this.#net.host)
        const ticket = this.#tickets++
        this.#streams.set(ticket, stream)
        this.#server.handle({ t: 'request', ticket, from: stream.connection.remotePeer, message: outcome.value }, this.#net.host.date())
        this.#drain()
      },
    })
  }

  /** Resets what is being answered. */
  stop(): void {
    for (const stream of this.#streams.values()) stream.abort(new TabmeshError('ERR_STOPPED', 'kad is not served any more'))
    this.#streams.clear()
  }

  #drain(): void {
    const { host } = this.#net
    for (let output = this.#server.poll(); output !== undefined; output = this.#server.poll()) {
      const { ticket } = output
      switch (output.t) {
        case 'validate':
          this.#records.validate(output.key, output.value, (fault) => {
            this.#server.handle({ t: 'validated', ticket, fault }, host.date())
            this.#drain()
          })
          break
        case 'select':
          this.#records.select(output.key, output.values, (best) => {
            this.#server.handle({ t: 'selected', ticket, best }, host.date())
            this.#drain()
          })
          break
        case 'refuse': {
          const stream = this.#streams.get(ticket)
          this.#streams.delete(ticket)
          stream?.abort(output.fault)
          break
        }
        case 'answer':
          this.#answer(ticket, output.message)
      }
    }
  }

  #answer(ticket: number, message: KadMessage | undefined): void {
    const stream = this.#streams.get(ticket)
    this.#streams.delete(ticket)
    if (stream === undefined) return
    // Deferred: requests that came together must not be answered one inside the other.
    if (message === undefined) return this.#net.host.defer(() => this.serve(stream))
    converse(stream, respond(message), this.#net.host, {
      timeout: KAD_REQUEST_TIMEOUT,
      what: 'answering a kad request',
      done: (outcome) => {
        if (outcome.ok) this.#net.host.defer(() => this.serve(stream))
      },
    })
  }
}

/** Undefined where the remote has ended the stream. */
function* readRequest(): Conversation<KadMessage | undefined> {
  const body = yield* readFrameOrEnd(KAD_MAX_REQUEST)
  return body === undefined ? undefined : decodeMessage(body)
}

function* respond(message: KadMessage): Conversation<void> {
  yield* write(frameMessage(message))
}
