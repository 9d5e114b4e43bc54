/**
 * Stream: a muxed channel that speaks one agreed protocol.
 *
 *   outgoing, lazy:   open ── header + proposal + application bytes ──▶ … answer read before the first received byte;
 *                     the end of our side waits for the answer, unless the remote is known to take it before
 *   outgoing, asked:  open ── header + proposal ──▶ answer ── then ready
 *   incoming:         ready from the start: the listener's side negotiated before the service sees it
 *
 * To its user it is a Channel; what arrives before the negotiation's end waits in the channel below.
 */

import { TabmeshError } from '../../errors.ts'
import type { Host } from '../host.ts'
import { MSS_TIMEOUT, STREAM_FINISH_TIMEOUT } from '../limits.ts'
import type { Channel, Sink } from '../wire/channel.ts'
import { type Conversation, converse } from '../wire/conversation.ts'
import { lazyHead, readLazyAnswer, selectProtocol } from '../wire/multistream.ts'
import type { Connection } from './connection.ts'

export type Direction = 'inbound' | 'outbound'

export class Stream implements Channel, Sink {
  readonly id: string
  readonly connection: Connection
  readonly direction: Direction
  /** The agreed protocol; the first proposed one while several are still being negotiated. */
  protocol: string
  /** Payload bytes, for the metrics. */
  received = 0
  sent = 0
  readonly #channel: Channel
  #onGone: (() => void) | undefined
  #sink: Sink | undefined
  #ready: boolean
  /** What was written before the protocol was agreed, where that has to be waited for. */
  #held: Uint8Array[] | undefined
  #endHeld = false
  #attached = false
  #closed: { fault: TabmeshError | undefined } | undefined

  /** `onGone` is called once, when the stream is over. */
  constructor(id: string, connection: Connection, direction: Direction, protocol: string, channel: Channel, onGone: () => void) {
    this.id = id
    this.connection = connection
    this.direction = direction
    this.protocol = protocol
    this.#channel = channel
    this.#onGone = onGone
    this.#ready = direction === 'inbound'
  }

  /**
   * Starts an outgoing stream. With one protocol and `lazy` nothing is waited for. `ready`, if given, is called once:
   * with undefined when the protocol is agreed, with the fault when it can't be.
   */
  negotiate(protocols: readonly string[], lazy: boolean, host: Host, ready?: (fault: TabmeshError | undefined) => void): void {
    let talk: Conversation<string>
    if (lazy) {
      this.#channel.write(lazyHead(this.protocol))
      talk = answerOf(this.protocol)
    } else {
      talk = selectProtocol(protocols)
      this.#held = []
    }
    converse(this.#channel, talk, host, {
      timeout: MSS_TIMEOUT,
      what: `opening ${protocols.join(' or ')}`,
      onDrain: () => this.#sink?.onDrain?.(),
      done: (outcome) => {
        if (outcome.ok) {
          this.protocol = outcome.value
          this.#ready = true
          this.#letGo()
          ready?.(undefined)
          this.#flow()
        } else {
          ready?.(outcome.fault)
          this.onClose(outcome.fault)
        }
      },
    })
  }

  get credit(): number {
    if (this.#closed !== undefined) return 0
    // Before the protocol is agreed one write is held, and the next one waits.
    return this.#held === undefined ? this.#channel.credit : this.#held.length === 0 ? this.#channel.credit : 0
  }

  get closed(): boolean {
    return this.#closed !== undefined
  }

  write(bytes: Uint8Array): void {
    this.sent += bytes.length
    if (this.#held === undefined) this.#channel.write(bytes)
    else this.#held.push(bytes)
  }

  end(): void {
    if (this.#held === undefined && (this.#ready || this.#mayEndEarly)) this.#channel.end()
    else this.#endHeld = true
  }

  abort(fault: TabmeshError): void {
    this.#channel.abort(fault)
    // Nobody may be attached below to pass the close on.
    this.onClose(fault)
  }

  attach(sink: Sink): void {
    if (this.#sink !== undefined) throw new TabmeshError('ERR_INTERNAL', `stream ${this.protocol} has a reader already`)
    this.#sink = sink
    if (this.#closed !== undefined) this.#tellClosed()
    else this.#flow()
  }

  detach(rest?: Uint8Array): void {
    this.#sink = undefined
    // Before that the reader below is the negotiation.
    if (!this.#attached) return
    this.#attached = false
    if (rest !== undefined) this.received -= rest.length
    this.#channel.detach(rest)
  }

  /**
   * For a stream whose conversation is over: ends our side and drops what still comes, so that it closes when the
   * remote ends too, or after STREAM_FINISH_TIMEOUT.
   */
  finish(host: Host): void {
    this.end()
    const late = host.after(STREAM_FINISH_TIMEOUT, () =>
      this.abort(new TabmeshError('ERR_TIMEOUT', `${this.protocol}: the remote does not end the stream`)),
    )
    this.attach({
      onData: (bytes) => this.release(bytes.length),
      onEnd: () => {},
      onClose: late,
    })
  }

  release(bytes: number): void {
    this.#channel.release(bytes)
  }

  onData(bytes: Uint8Array): void {
    this.received += bytes.length
    this.#sink?.onData(bytes)
  }

  onDrain(): void {
    this.#sink?.onDrain?.()
  }

  onEnd(): void {
    this.#sink?.onEnd()
  }

  onClose(fault?: TabmeshError): void {
    if (this.#closed !== undefined) return
    this.#closed = { fault }
    const gone = this.#onGone
    this.#onGone = undefined
    gone?.()
    this.#tellClosed()
  }

  #letGo(): void {
    const held = this.#held ?? []
    this.#held = undefined
    for (const bytes of held) this.#channel.write(bytes)
    if (this.#endHeld) this.#channel.end()
    else if (held.length > 0 && this.credit > 0) this.#sink?.onDrain?.()
  }

  /**
   * Whether our end may reach the remote before it has answered the proposal. In js-libp2p what reads there after the
   * negotiation misses an end that came during it: it drops the data before that end, or waits for it for ever.
   */
  get #mayEndEarly(): boolean {
    return this.connection.identified?.agent.startsWith('tabmesh/') === true
  }

  #tellClosed(): void {
    const sink = this.#sink
    this.#sink = undefined
    sink?.onClose(this.#closed?.fault)
  }

  #flow(): void {
    if (!this.#ready || this.#sink === undefined || this.#attached) return
    this.#attached = true
    this.#channel.attach(this)
  }
}

function* answerOf(protocol: string): Conversation<string> {
  yield* readLazyAnswer(protocol)
  return protocol
}
