/**
 * One try to restart ICE: offer, answer and candidates of a session that is connected already (RFC 8829 §4.1.8.1).
 *
 *   offerer    start ─▶ offering ─ description ─▶ awaiting answer ─ answer ─▶ confirming ─ alive ─▶ done
 *   answerer   start ─▶ answering ─ description ─▶ confirming ─ alive, or ended by the offerer ─▶ done
 *                any state: deadline, refused, ended, a message out of turn ─▶ failed
 *
 * The state of the peer connection proves nothing here, it may never have changed: what counts is that something arrives.
 *
 * Bounds: SIGNALING_MAX_CANDIDATES candidates of the remote, MEND_TRY_TIMEOUT.
 */

import { remoteFault, TabmeshError } from '../../../errors.ts'
import { MEND_TRY_TIMEOUT, SIGNALING_MAX_CANDIDATES } from '../../limits.ts'
import { fingerprintLine } from '../../wire/webrtc/session.ts'
import type { RestartMessage } from './messages.ts'

export type RestartInput =
  | { readonly t: 'message'; readonly message: RestartMessage }
  /** The remote ended the stream, or it was lost. */
  | { readonly t: 'ended'; readonly fault: TabmeshError | undefined }
  /** The peer connection has made the description it was asked for, gathered a candidate, refused a description. */
  | { readonly t: 'description'; readonly sdp: string }
  | { readonly t: 'gathered'; readonly json: string }
  | { readonly t: 'refused'; readonly cause: unknown }
  /** The path carries data again. */
  | { readonly t: 'alive' }
  | { readonly t: 'giveUp'; readonly fault: TabmeshError }
  | { readonly t: 'tick' }

export type RestartOutput =
  | { readonly t: 'send'; readonly message: RestartMessage }
  | { readonly t: 'makeOffer' }
  | { readonly t: 'makeAnswer'; readonly offer: string }
  | { readonly t: 'setAnswer'; readonly answer: string }
  | { readonly t: 'addCandidate'; readonly json: string }
  /** Both descriptions are there: find out when the path carries data, and say `alive`. */
  | { readonly t: 'confirm' }
  | { readonly t: 'done' }
  /** `unknown`: the remote has no such session, and never will have. */
  | { readonly t: 'failed'; readonly fault: TabmeshError; readonly unknown: boolean }

export type RestartRole = { readonly t: 'offerer' } | { readonly t: 'answerer'; readonly offer: string }

type State = 'offering' | 'awaiting answer' | 'answering' | 'confirming' | 'done' | 'failed'

export class Restart {
  readonly deadline: number
  /** When our offer left; an answerer has none. */
  offeredAt: number | undefined
  readonly #session: Uint8Array
  readonly #fingerprint: string
  readonly #role: RestartRole['t']
  #state: State
  #outputs: RestartOutput[] = []
  #candidates = 0

  /** `fingerprint` is that of the remote's certificate, to which its description must keep. */
  constructor(role: RestartRole, session: Uint8Array, fingerprint: string, now: number) {
    this.deadline = now + MEND_TRY_TIMEOUT
    this.#session = session
    this.#fingerprint = fingerprint
    this.#role = role.t
    this.#state = role.t === 'offerer' ? 'offering' : 'answering'
    if (role.t === 'offerer') this.#outputs.push({ t: 'makeOffer' })
    else if (this.#keeps(role.offer)) this.#outputs.push({ t: 'makeAnswer', offer: role.offer })
  }

  get over(): boolean {
    return this.#state === 'done' || this.#state === 'failed'
  }

  poll(): RestartOutput | undefined {
    return this.#outputs.shift()
  }

  handle(input: RestartInput, now: number): void {
    if (this.over) return
    switch (input.t) {
      case 'message':
        return this.#hear(input.message)
      case 'ended':
        // The offerer ends the stream once it is confirmed, which may be before we are; a relay may cut it any time.
        if (this.#state !== 'confirming')
          this.#fail(new TabmeshError('ERR_WEBRTC_FAILED', `it ended while ${this.#state}`, { cause: input.fault }))
        return
      case 'description':
        return this.#described(input.sdp, now)
      case 'gathered':
        // Those of an offer that is not said yet belong to an earlier one.
        if (this.#state === 'awaiting answer' || this.#state === 'confirming') this.#send({ t: 'candidate', json: input.json })
        return
      case 'refused':
        return this.#fail(new TabmeshError('ERR_WEBRTC_FAILED', 'the peer connection refuses it', { cause: input.cause }))
      case 'alive':
        this.#state = 'done'
        this.#outputs.push({ t: 'done' })
        return
      case 'giveUp':
        return this.#fail(input.fault)
      case 'tick':
        if (now >= this.deadline) this.#fail(new TabmeshError('ERR_TIMEOUT', `an ICE restart was ${this.#state} for too long`))
    }
  }

  #hear(message: RestartMessage): void {
    switch (message.t) {
      case 'answer':
        if (this.#state !== 'awaiting answer') return this.#outOfTurn('an answer')
        if (!this.#keeps(message.sdp)) return
        this.#outputs.push({ t: 'setAnswer', answer: message.sdp }, { t: 'confirm' })
        this.#state = 'confirming'
        return
      case 'candidate':
        this.#candidates += 1
        if (this.#candidates > SIGNALING_MAX_CANDIDATES)
          return this.#fail(remoteFault('ERR_PROTOCOL', `more than ${SIGNALING_MAX_CANDIDATES} candidates for an ICE restart`))
        this.#outputs.push({ t: 'addCandidate', json: message.json })
        return
      case 'offer':
        return this.#outOfTurn('another offer')
      case 'unknown':
      case 'busy':
        if (this.#role === 'answerer') return this.#outOfTurn('a refusal')
        return this.#fail(
          new TabmeshError(
            'ERR_WEBRTC_FAILED',
            message.t === 'busy' ? "the remote's own restart comes first" : 'the remote has no such session',
          ),
          message.t === 'unknown',
        )
    }
  }

  #described(sdp: string, now: number): void {
    if (this.#state === 'offering') {
      this.#state = 'awaiting answer'
      this.offeredAt = now
      this.#send({ t: 'offer', session: this.#session, sdp })
    } else if (this.#state === 'answering') {
      this.#state = 'confirming'
      this.#send({ t: 'answer', sdp })
      this.#outputs.push({ t: 'confirm' })
    }
  }

  /** Another certificate would be another session. */
  #keeps(sdp: string): boolean {
    if (fingerprintLine(sdp) === this.#fingerprint) return true
    this.#fail(remoteFault('ERR_PROTOCOL', 'an ICE restart comes with another certificate'))
    return false
  }

  #outOfTurn(what: string): void {
    this.#fail(remoteFault('ERR_PROTOCOL', `${what} while ${this.#state}`))
  }

  #send(message: RestartMessage): void {
    this.#outputs.push({ t: 'send', message })
  }

  #fail(fault: TabmeshError, unknown = false): void {
    this.#state = 'failed'
    this.#outputs.push({ t: 'failed', fault, unknown })
  }
}
