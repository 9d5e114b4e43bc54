/**
 * Signalling machine: offer, answer and candidates between two RTCPeerConnections (specs: webrtc/webrtc.md).
 *
 *   offerer    start ─▶ offering ─ description ─▶ awaiting answer ─ answer ─▶ connecting ─ connected ─▶ done
 *   answerer   start ─▶ awaiting offer ─ offer ─▶ answering ─ description ─▶ connecting ─ connected ─▶ done
 *                    any state: deadline, a signal out of turn, connection failed ─▶ failed
 *
 * The offer leaves before any candidate: the host gathers only after it has handed out the description. That the two
 * are connected is read from the connection's state alone, never from the `init` channel: an answerer may open and
 * close that before anybody looks.
 *
 * Bounds: one description of SIGNALING_MAX_FRAME each way, SIGNALING_MAX_CANDIDATES candidates, SIGNALING_TIMEOUT.
 */

import { remoteFault, TabmeshError } from '../../../errors.ts'
import { SIGNALING_MAX_CANDIDATES, SIGNALING_TIMEOUT } from '../../limits.ts'
import type { RtcState } from '../../wire/webrtc/rtc.ts'
import type { Signal } from './messages.ts'

export type SignalingInput =
  /** The remote sent a signal. */
  | { readonly t: 'signal'; readonly signal: Signal }
  /** The remote ended the signalling stream, or it was lost. */
  | { readonly t: 'ended'; readonly fault: TabmeshError | undefined }
  /** Our RTCPeerConnection has made the description it was asked for. */
  | { readonly t: 'description'; readonly sdp: string }
  /** … has gathered a candidate (JSON). */
  | { readonly t: 'gathered'; readonly json: string }
  /** … has changed its connection state. */
  | { readonly t: 'state'; readonly state: RtcState }
  /** … refused a description. */
  | { readonly t: 'refused'; readonly cause: unknown }
  /** The caller lost interest, or what the remote sent can't be read. */
  | { readonly t: 'giveUp'; readonly fault: TabmeshError }
  | { readonly t: 'tick' }

export type SignalingOutput =
  | { readonly t: 'send'; readonly signal: Signal }
  /** Ask the RTCPeerConnection for an offer, an answer; give it the remote's answer or candidate. */
  | { readonly t: 'makeOffer' }
  | { readonly t: 'makeAnswer'; readonly offer: string }
  | { readonly t: 'setAnswer'; readonly answer: string }
  | { readonly t: 'addCandidate'; readonly json: string }
  | { readonly t: 'connected' }
  | { readonly t: 'failed'; readonly fault: TabmeshError }

type State = 'offering' | 'awaiting answer' | 'awaiting offer' | 'answering' | 'connecting' | 'done' | 'failed'

export class Signaling {
  /** When the machine wants a `tick`, in the time of `now`; undefined when it is over. */
  deadline: number | undefined
  #state: State
  #outputs: SignalingOutput[] = []
  #candidates = 0

  constructor(role: 'offerer' | 'answerer', now: number) {
    this.deadline = now + SIGNALING_TIMEOUT
    this.#state = role === 'offerer' ? 'offering' : 'awaiting offer'
    if (role === 'offerer') this.#outputs.push({ t: 'makeOffer' })
  }

  get over(): boolean {
    return this.#state === 'done' || this.#state === 'failed'
  }

  handle(input: SignalingInput, now: number): void {
    if (this.over) return
    switch (input.t) {
      case 'signal':
        return this.#signal(input.signal)
      case 'ended':
        // Once both descriptions are set the rest may come about without further candidates: the offerer closes the
        // stream as soon as it is connected, which may be before we are, and a relay may cut it any time.
        if (this.#state === 'connecting') return
        return this.#fail(new TabmeshError('ERR_WEBRTC_FAILED', `signalling ended while ${this.#state}`, { cause: input.fault }))
      case 'description':
        return this.#described(input.sdp)
      case 'gathered':
        return this.#send({ t: 'candidate', json: input.json })
      case 'state':
        if (input.state === 'connected') return this.#finish()
        if (input.state === 'failed' || input.state === 'closed') {
          this.#fail(new TabmeshError('ERR_WEBRTC_FAILED', `the peer connection became ${input.state}`))
        }
        return
      case 'refused':
        return this.#fail(new TabmeshError('ERR_WEBRTC_FAILED', `the browser refused while ${this.#state}`, { cause: input.cause }))
      case 'giveUp':
        return this.#fail(input.fault)
      case 'tick':
        if (this.deadline !== undefined && now >= this.deadline) {
          this.#fail(new TabmeshError('ERR_WEBRTC_FAILED', `not connected within ${SIGNALING_TIMEOUT} ms, still ${this.#state}`))
        }
    }
  }

  poll(): SignalingOutput | undefined {
    return this.#outputs.shift()
  }

  #signal(signal: Signal): void {
    if (signal.t === 'candidate') {
      this.#candidates += 1
      if (this.#candidates > SIGNALING_MAX_CANDIDATES) return this.#fail(remoteFault('ERR_PROTOCOL', 'too many ICE candidates'))
      // The end of candidates, in its three spellings, adds nothing.
      if (signal.json !== '' && signal.json !== 'null' && signal.json !== '""') this.#outputs.push({ t: 'addCandidate', json: signal.json })
      return
    }
    if (signal.t === 'offer' && this.#state === 'awaiting offer') {
      this.#state = 'answering'
      this.#outputs.push({ t: 'makeAnswer', offer: signal.sdp })
      return
    }
    if (signal.t === 'answer' && this.#state === 'awaiting answer') {
      this.#state = 'connecting'
      this.#outputs.push({ t: 'setAnswer', answer: signal.sdp })
      return
    }
    this.#fail(remoteFault('ERR_PROTOCOL', `an SDP ${signal.t} came while ${this.#state}`))
  }

  #described(sdp: string): void {
    if (this.#state === 'offering') {
      this.#state = 'awaiting answer'
      this.#send({ t: 'offer', sdp })
    } else if (this.#state === 'answering') {
      this.#state = 'connecting'
      this.#send({ t: 'answer', sdp })
    }
  }

  #send(signal: Signal): void {
    this.#outputs.push({ t: 'send', signal })
  }

  #finish(): void {
    this.#state = 'done'
    this.deadline = undefined
    this.#outputs.push({ t: 'connected' })
  }

  #fail(fault: TabmeshError): void {
    this.#state = 'failed'
    this.deadline = undefined
    this.#outputs.push({ t: 'failed', fault })
  }
}
