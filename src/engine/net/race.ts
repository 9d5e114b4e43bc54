/**
 * Race: the addresses of one peer, tried in the order of their rank; the first connection wins, the others are given up.
 *
 *   start the first ──(it fails, or the next one's head start has passed)──▶ start the next ──▶ …
 *
 * Happy Eyeballs (RFC 8305 §5) with the delays of rank.ts: an attempt that fails ends its head start over the next one.
 *
 * Bounds: DIAL_MAX_PARALLEL attempts at a time; the dial around it has the deadline.
 */

import type { TabmeshError } from '../../errors.ts'
import type { Multiaddr } from '../codec/multiaddr.ts'
import type { Cancel, Host } from '../host.ts'
import { DIAL_MAX_PARALLEL } from '../limits.ts'
import type { Outcome } from '../wire/conversation.ts'
import type { Route } from './rank.ts'

/** Addresses that are being tried. */
export interface Tries {
  /** Gives up all of it. */
  cancel: Cancel
  /** Begins no more attempts; those under way go on. */
  halt(): void
  /** Those under way, and those still to come. */
  readonly running: readonly Multiaddr[]
  readonly waiting: readonly Multiaddr[]
  /** Of those that have failed. */
  readonly faults: readonly TabmeshError[]
}

export type Attempt<T> = (address: Multiaddr, done: (outcome: Outcome<T>) => void) => Cancel

/** `done` hears of the first success, or of every fault; `attempt` answers once, never before it has returned. */
export const race = <T>(
  routes: readonly Route[],
  host: Pick<Host, 'after'>,
  attempt: Attempt<T>,
  done: (outcome: { readonly ok: true; readonly value: T } | { readonly ok: false; readonly faults: readonly TabmeshError[] }) => void,
): Tries => {
  const waiting = [...routes]
  const running = new Map<Multiaddr, Cancel>()
  const faults: TabmeshError[] = []
  let over = false
  let headStart: Cancel = () => {}

  const halt = (): void => {
    headStart()
    waiting.length = 0
  }
  const cancel = (): void => {
    over = true
    halt()
    for (const giveUp of running.values()) giveUp()
    running.clear()
  }

  const startNext = (): void => {
    headStart()
    headStart = () => {}
    if (running.size >= DIAL_MAX_PARALLEL) return
    const route = waiting.shift()
    if (route === undefined) return
    const [next] = waiting
    if (next !== undefined) headStart = host.after(next.delay - route.delay, startNext)
    const { address } = route
    running.set(
      address,
      attempt(address, (outcome) => {
        running.delete(address)
        if (over) return
        if (outcome.ok) {
          cancel()
          return done(outcome)
        }
        faults.push(outcome.fault)
        if (running.size > 0 || waiting.length > 0) return startNext()
        done({ ok: false, faults })
      }),
    )
  }
  startNext()

  return {
    cancel,
    halt,
    faults,
    get running() {
      return [...running.keys()]
    },
    get waiting() {
      return waiting.map(({ address }) => address)
    },
  }
}
