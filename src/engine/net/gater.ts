/**
 * Gater: the application decides with whom this peer deals. Each hook is asked at its own moment and answers when it can.
 *
 *   dial          before an address is tried                                (peer, address)
 *   accept        a remote has come, before a byte of it is read            (address)
 *   secured       the remote has proved who it is                           (peer, direction, address)
 *   upgraded      the connection is whole, before anybody hears of it       (what it is)
 *   reservation   a peer wants a slot on us as a relay                      (peer)
 *
 * A hook that is not there allows. One that throws, or does not answer within GATER_TIMEOUT, refuses: who writes a gater
 * would rather lose a connection than have one that nobody looked at. What is refused ends with ERR_GATED on our side; the remote sees
 * no more than a closed connection.
 *
 * Bounds: one question at a time for each attempt, link and request, all of which have bounds of their own.
 */

import { TabmeshError } from '../../errors.ts'
import type { Multiaddr } from '../codec/multiaddr.ts'
import type { PeerId } from '../codec/peer-id.ts'
import type { Cancel, Host } from '../host.ts'
import { GATER_TIMEOUT } from '../limits.ts'
import type { ConnectionDetails } from './connection.ts'
import type { Direction } from './stream.ts'

export type Answer = (allowed: boolean) => void

/** What is known of a connection before it is one. */
export type Candidate = Pick<ConnectionDetails, 'remotePeer' | 'remoteAddr' | 'direction' | 'transport' | 'limit' | 'encryption' | 'muxer'>

/** A hook may return what to call when nobody waits for its answer any more; it is called once, whoever ended the wait. */
export interface Gater {
  dial?(peer: PeerId | undefined, address: Multiaddr, answer: Answer): Asked
  accept?(address: Multiaddr, answer: Answer): Asked
  secured?(peer: PeerId, direction: Direction, address: Multiaddr, answer: Answer): Asked
  upgraded?(candidate: Candidate, answer: Answer): Asked
  reservation?(peer: PeerId, answer: Answer): Asked
}

// biome-ignore lint/suspicious/noConfusingVoidType: a hook that has nothing to clean up returns nothing
export type Asked = Cancel | void

export type Question =
  | { readonly t: 'dial'; readonly peer: PeerId | undefined; readonly address: Multiaddr }
  | { readonly t: 'accept'; readonly address: Multiaddr }
  | { readonly t: 'secured'; readonly peer: PeerId; readonly direction: Direction; readonly address: Multiaddr }
  | { readonly t: 'upgraded'; readonly candidate: Candidate }
  | { readonly t: 'reservation'; readonly peer: PeerId }

/** Puts the questions one after the other; `done` hears of the first refusal or, at the end, of none. May answer at once. */
export const ask = (
  gater: Gater,
  host: Pick<Host, 'after'>,
  questions: readonly Question[],
  done: (refusal: TabmeshError | undefined) => void,
): Cancel => {
  let cancel: Cancel = () => {}
  let over = false
  const next = (at: number): void => {
    const question = questions[at]
    if (question === undefined) return done(undefined)
    let open = true
    let forget: Asked
    const end = (): void => {
      timer()
      forget?.()
      forget = undefined
    }
    const settle = (refusal: TabmeshError | undefined): void => {
      if (!open || over) return
      open = false
      end()
      if (refusal !== undefined) done(refusal)
      else next(at + 1)
    }
    const refuse = (how: string, cause?: unknown): void => settle(new TabmeshError('ERR_GATED', `${describe(question)} ${how}`, { cause }))
    const timer = host.after(GATER_TIMEOUT, () => refuse(`was not allowed within ${GATER_TIMEOUT} ms`))
    cancel = end
    const decide = (allowed: boolean): void => (allowed === true ? settle(undefined) : refuse('was refused'))
    // What follows an answer is none of the hook's business: it is not to run inside of its call.
    let inside = true
    let early: boolean | undefined
    try {
      forget = put(gater, question, (allowed) => {
        if (inside) early ??= allowed
        else decide(allowed)
      })
    } catch (cause) {
      return refuse('could not be decided on', cause)
    } finally {
      inside = false
    }
    // The hook itself may have ended what asks.
    if (over) end()
    else if (early !== undefined) decide(early)
  }
  next(0)
  return () => {
    over = true
    cancel()
  }
}

/** Has somebody wait for the answers: exactly one of `letIn` and `turnAway` is called. The returned function gives up with a fault. */
export const screen = (
  gater: Gater,
  host: Pick<Host, 'after'>,
  questions: readonly Question[],
  letIn: () => void,
  turnAway: (fault: TabmeshError) => void,
): ((fault: TabmeshError) => void) => {
  let waits = true
  let cancel: Cancel = () => {}
  const decide = (refusal: TabmeshError | undefined): void => {
    if (!waits) return
    waits = false
    cancel()
    if (refusal === undefined) letIn()
    else turnAway(refusal)
  }
  cancel = ask(gater, host, questions, decide)
  return decide
}

const put = (gater: Gater, question: Question, answer: Answer): Asked => {
  switch (question.t) {
    case 'dial':
      return gater.dial === undefined ? answer(true) : gater.dial(question.peer, question.address, answer)
    case 'accept':
      return gater.accept === undefined ? answer(true) : gater.accept(question.address, answer)
    case 'secured':
      return gater.secured === undefined ? answer(true) : gater.secured(question.peer, question.direction, question.address, answer)
    case 'upgraded':
      return gater.upgraded === undefined ? answer(true) : gater.upgraded(question.candidate, answer)
    case 'reservation':
      return gater.reservation === undefined ? answer(true) : gater.reservation(question.peer, answer)
  }
}

const describe = (question: Question): string => {
  switch (question.t) {
    case 'dial':
      return `dialling ${question.address.text}`
    case 'accept':
      return `a connection from ${question.address.text}`
    case 'secured':
      return `${question.direction === 'inbound' ? 'a connection of' : 'the connection to'} ${question.peer}`
    case 'upgraded':
      return `the connection with ${question.candidate.remotePeer}`
    case 'reservation':
      return `a reservation of ${question.peer}`
  }
}
