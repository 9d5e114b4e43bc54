/**
 * Registration: keeps us to be found in one namespace of one rendezvous point.
 *
 *                 no addresses yet                                   RENDEZVOUS_RENEW of its time has passed,
 *   waiting ◀──────────────────────┐                                 connected anew, other addresses
 *      └── addresses ──▶ asking ───┴── OK ──▶ registered ──────────────────────────────────────────┐
 *                          ▲ └── refused, or no way there ──▶ failed ── a while, connected anew ──┐  │
 *                          └──────────────────────────────────────────────────────────────────────┴──┘
 *   from any state: stop ─▶ stopped (told to the server)
 *
 * Who asks for a shorter time than the server allows is registered for what the server gives unasked. Connected anew: a server that was started anew
 * has forgotten us.
 *
 * Bounds: one request at a time; RENDEZVOUS_RENEW_MIN between two that renew, waits up to RENDEZVOUS_RETRY_MAX.
 */

import { TabmeshError } from '../../../errors.ts'
import type { PeerId } from '../../codec/peer-id.ts'
import type { Cancel } from '../../host.ts'
import { RENDEZVOUS_RENEW, RENDEZVOUS_RENEW_MIN, RENDEZVOUS_SETTLE } from '../../limits.ts'
import type { Connection } from '../../net/connection.ts'
import type { Net } from '../../net/service.ts'
import type { OwnRecord } from '../../wire/own-record.ts'
import { askToRegister, readTtl } from './conversation.ts'
import { ask, refusal, spread, waitAfter } from './desk.ts'
import { type RegisterAnswer, Status } from './messages.ts'

export type RegistrationState =
  /** There is nothing to tell yet, for nobody could dial us; or the user has hung up on the server. */
  | { readonly t: 'waiting' }
  | { readonly t: 'asking' }
  /** Until then, on the clock of the host. */
  | { readonly t: 'registered'; readonly until: number }
  /** It will be tried again. */
  | { readonly t: 'failed'; readonly fault: TabmeshError }
  | { readonly t: 'stopped' }

export interface RegisterOptions {
  /** Seconds; what the server gives unasked where absent. */
  readonly ttl?: number | undefined
  /** Hears of every other state, never before `register` has returned. */
  onChange?(state: RegistrationState): void
}

export class Registration {
  state: RegistrationState = { t: 'waiting' }
  readonly at: PeerId
  readonly namespace: string
  readonly #net: Net
  readonly #own: OwnRecord
  readonly #onChange: (state: RegistrationState) => void
  #ttl: number | undefined
  /** What was told to the server last, and over which connection. */
  #told: { readonly addresses: string; readonly connection: Connection | undefined } | undefined
  #failures = 0
  #timer: Cancel = () => {}
  #giveUp: Cancel | undefined
  /** Asked again while the answer was waited for. */
  #again = false
  #paused = false

  constructor(net: Net, own: OwnRecord, at: PeerId, namespace: string, { ttl, onChange = () => {} }: RegisterOptions) {
    this.#net = net
    this.#own = own
    this.at = at
    this.namespace = namespace
    this.#ttl = ttl
    this.#onChange = onChange
  }

  get #stopped(): boolean {
    return this.state.t === 'stopped'
  }

  start(): void {
    this.#askIn(0)
  }

  /** A connection to the server has opened. */
  connected(connection: Connection): void {
    if (this.#stopped || connection.limited || this.#told?.connection?.status === 'open') return
    this.#paused = false
    this.#failures = 0
    this.#askIn(0)
  }

  /** Our addresses may be others now. */
  moved(): void {
    if (this.#stopped || this.#paused || this.#own.addresses === '' || this.#own.addresses === this.#told?.addresses) return
    this.#askIn(RENDEZVOUS_SETTLE)
  }

  /** Until there is a connection again, nothing is done that would make one. */
  pause(): void {
    if (this.#stopped) return
    this.#paused = true
    this.#end()
    this.#become({ t: 'waiting' })
  }

  /** Whether the server has to be told. */
  stop(): boolean {
    const told = this.#told !== undefined || this.#giveUp !== undefined
    this.#end()
    this.state = { t: 'stopped' }
    return told
  }

  #end(): void {
    this.#timer()
    this.#giveUp?.()
    this.#giveUp = undefined
    this.#again = false
  }

  #become(state: RegistrationState): void {
    this.state = state
    this.#net.host.defer(() => {
      if (this.state === state) this.#onChange(state)
    })
  }

  #askIn(ms: number): void {
    if (this.#giveUp !== undefined) {
      this.#again = true
      return
    }
    this.#timer()
    this.#timer = this.#net.host.after(ms, () => this.#ask())
  }

  #ask(): void {
    const { addresses } = this.#own
    if (addresses === '') return this.#wait()
    let wanted = true
    this.#giveUp = () => {
      wanted = false
    }
    this.#become({ t: 'asking' })
    this.#own.ask((record) => {
      if (!wanted) return
      if (record === undefined && this.#own.addresses === '') return this.#wait()
      if (record === undefined) return this.#failed(new TabmeshError('ERR_INVALID_KEY', 'our own record could not be signed'))
      const talk = () => askToRegister(this.namespace, record, this.#ttl)
      this.#giveUp = ask(this.#net, this.at, talk, (outcome, connection) => {
        if (!outcome.ok) return this.#failed(outcome.fault)
        this.#told = { addresses, connection }
        this.#answered(outcome.value)
      })
    })
  }

  /** For addresses. */
  #wait(): void {
    this.#giveUp = undefined
    this.#again = false
    this.#become({ t: 'waiting' })
  }

  #answered(answer: RegisterAnswer): void {
    if (answer.t === 'refused') {
      if (answer.status !== Status.E_INVALID_TTL || this.#ttl === undefined) return this.#failed(refusal(this.at, answer))
      this.#ttl = undefined
      this.#giveUp = undefined
      return this.#askIn(0)
    }
    this.#failures = 0
    const ttl = (answer.ttl === undefined && this.#ttl !== undefined ? this.#ttl : readTtl(answer.ttl)) * 1000
    this.#become({ t: 'registered', until: this.#net.host.now() + ttl })
    const moved = this.#own.addresses !== this.#told?.addresses
    this.#next(moved, Math.max(RENDEZVOUS_RENEW_MIN, spread(this.#net, ttl * RENDEZVOUS_RENEW)))
  }

  #failed(fault: TabmeshError): void {
    this.#failures += 1
    this.#become({ t: 'failed', fault })
    this.#next(this.#again, waitAfter(this.#net, this.#failures))
  }

  #next(soon: boolean, ms: number): void {
    this.#giveUp = undefined
    this.#again = false
    this.#askIn(soon ? Math.min(ms, RENDEZVOUS_SETTLE) : ms)
  }
}
