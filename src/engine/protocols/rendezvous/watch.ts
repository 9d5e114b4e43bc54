/**
 * Watch: looks again and again who is new in one namespace of one rendezvous point.
 *
 *   looking ── found ──▶ told ── more where that came from ──▶ looking, with the next cookie
 *      ▲                   └── that was all ──▶ resting ─┐
 *      │     └── refused, or no way there ──▶ failed ────┤
 *      └── time has come, connected anew, `look` ────────┘
 *
 * The cookie makes the server tell each registration once, and again when it is renewed or changed. A server that does not know its cookie any
 * more tells everything.
 *
 * Bounds: one request at a time; RENDEZVOUS_MAX_PAGES of RENDEZVOUS_PAGE registrations without a rest.
 */

import type { TabmeshError } from '../../../errors.ts'
import type { PeerId } from '../../codec/peer-id.ts'
import type { Cancel } from '../../host.ts'
import { RENDEZVOUS_MAX_PAGES, RENDEZVOUS_PAGE } from '../../limits.ts'
import type { Connection } from '../../net/connection.ts'
import type { Net } from '../../net/service.ts'
import type { Outcome } from '../../wire/conversation.ts'
import type { Answered, FoundPeer } from './conversation.ts'
import { spread, waitAfter } from './desk.ts'

export interface WatchOptions {
  /** Milliseconds between two looks. */
  readonly interval: number
  /** Peers that are new or that have renewed their registration, verified. */
  onFound(peers: readonly FoundPeer[]): void
  /** A look failed; there will be another one. */
  onFault?(fault: TabmeshError): void
}

/** Asks once; the service's own. */
export type Look = (
  at: PeerId,
  namespace: string,
  limit: number,
  cookie: Uint8Array | undefined,
  done: (outcome: Outcome<Answered>, connection: Connection | undefined) => void,
) => Cancel

export class Watch {
  readonly at: PeerId
  readonly namespace: string
  readonly #net: Net
  readonly #look: Look
  readonly #options: WatchOptions
  #cookie: Uint8Array | undefined
  #connection: Connection | undefined
  #failures = 0
  #pages = 0
  #timer: Cancel = () => {}
  #giveUp: Cancel | undefined
  #stopped = false

  constructor(net: Net, look: Look, at: PeerId, namespace: string, options: WatchOptions) {
    this.#net = net
    this.#look = look
    this.at = at
    this.namespace = namespace
    this.#options = options
  }

  /** Looks now, whatever was planned. */
  look(): void {
    if (this.#stopped || this.#giveUp !== undefined) return
    this.#timer()
    this.#pages = 0
    this.#page()
  }

  connected(connection: Connection): void {
    if (connection.limited || this.#connection?.status === 'open') return
    this.#failures = 0
    this.look()
  }

  /** Until there is a connection again, nothing is done that would make one. */
  pause(): void {
    this.#timer()
    this.#giveUp?.()
    this.#giveUp = undefined
  }

  stop(): void {
    this.#stopped = true
    this.pause()
  }

  #page(): void {
    this.#giveUp = this.#look(this.at, this.namespace, RENDEZVOUS_PAGE, this.#cookie, (outcome, connection) => {
      this.#giveUp = undefined
      if (!outcome.ok) return this.#failed(outcome.fault)
      this.#failures = 0
      this.#connection = connection
      const { peers, cookie, told } = outcome.value
      this.#cookie = cookie
      if (peers.length > 0) this.#options.onFound(peers)
      // Whoever hears of it may have stopped, or looked again.
      if (this.#stopped || this.#giveUp !== undefined) return
      this.#pages += 1
      if (told >= RENDEZVOUS_PAGE && cookie !== undefined && this.#pages < RENDEZVOUS_MAX_PAGES) return this.#page()
      this.#rest(spread(this.#net, this.#options.interval))
    })
  }

  #failed(fault: TabmeshError): void {
    this.#failures += 1
    this.#options.onFault?.(fault)
    if (!this.#stopped && this.#giveUp === undefined) this.#rest(waitAfter(this.#net, this.#failures))
  }

  #rest(ms: number): void {
    this.#timer()
    this.#timer = this.#net.host.after(ms, () => this.look())
  }
}
