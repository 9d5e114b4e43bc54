/**
 * Dialer: one dial of one target over several addresses.
 *
 *   rank ──▶ start the first ──(it fails, or HEAD_START passes)──▶ start the next ──▶ …
 *                    │
 *                    └─ link ─▶ upgrade ─▶ the first connection wins, the others are given up
 *
 * Bounds: DIAL_MAX_ADDRESSES addresses, DIAL_ADDRESS_TIMEOUT for each, one deadline for all. A failed dial says why
 * for each address it tried.
 */

import { asTabmeshError, TabmeshError } from '../../errors.ts'
import { type Multiaddr, peerIdOf } from '../codec/multiaddr.ts'
import type { PeerId } from '../codec/peer-id.ts'
import type { Cancel } from '../host.ts'
import { DIAL_ADDRESS_TIMEOUT, DIAL_HEAD_START, DIAL_MAX_ADDRESSES } from '../limits.ts'
import type { Outcome } from '../wire/conversation.ts'
import { abandonLink } from './abandon.ts'
import type { Connection } from './connection.ts'
import type { Link, Net, Transport } from './service.ts'

export interface DialPlan {
  readonly net: Net
  readonly transports: readonly Transport[]
  readonly peer: PeerId | undefined
  readonly addresses: readonly Multiaddr[]
  /** Milliseconds for all of it. */
  readonly timeout: number
  /** Secures and registers a link; the returned function gives up. */
  upgrade(link: Link, peer: PeerId | undefined, done: (outcome: Outcome<Connection>) => void): (fault: TabmeshError) => void
}

/** Direct ways first, in the order given; through a relay only after a head start. */
const rank = (address: Multiaddr): number => (address.parts.some((part) => part.name === 'p2p-circuit') ? 1 : 0)

export const dial = (plan: DialPlan, done: (outcome: Outcome<Connection>) => void): Cancel => {
  const { net } = plan
  const { host } = net
  const waiting = [...plan.addresses].sort((a, b) => rank(a) - rank(b)).slice(0, DIAL_MAX_ADDRESSES)
  const faults: TabmeshError[] = []
  /** Attempts in progress: how to give each up, and what it tries. */
  const attempts = new Map<Cancel, Multiaddr>()
  let settled = false
  let headStart: Cancel | undefined

  const settle = (outcome: Outcome<Connection>): void => {
    if (settled) return
    settled = true
    deadline()
    headStart?.()
    for (const cancel of [...attempts.keys()]) cancel()
    done(outcome)
  }

  const failed = (address: Multiaddr, fault: TabmeshError): void => {
    if (settled) return
    faults.push(new TabmeshError(fault.code, `${address.text}`, { cause: fault, remote: fault.remote, errors: fault.errors }))
    if (attempts.size === 0 && waiting.length === 0) settle({ ok: false, fault: summarise(plan, faults) })
    else startNext()
  }

  const startNext = (): void => {
    headStart?.()
    headStart = undefined
    const address = waiting.shift()
    if (address === undefined || settled) return
    if (waiting.length > 0) headStart = host.after(DIAL_HEAD_START, startNext)
    attempt(address)
  }

  const attempt = (address: Multiaddr): void => {
    const transport = plan.transports.find((each) => each.matches(address))
    if (transport === undefined) {
      failed(address, new TabmeshError('ERR_NO_TRANSPORT', `nothing here dials ${address.text}`))
      return
    }
    const timeout = Math.min(transport.timeout ?? DIAL_ADDRESS_TIMEOUT, plan.timeout)
    let giveUp: Cancel = () => {}
    const cancel = (): void => {
      attempts.delete(cancel)
      timer()
      giveUp()
    }
    const fail = (fault: TabmeshError): void => {
      if (!attempts.delete(cancel)) return
      timer()
      failed(address, fault)
    }
    const timer = host.after(timeout, () => {
      const abandon = giveUp
      fail(new TabmeshError('ERR_DIAL_TIMEOUT', `no connection within ${timeout} ms`))
      abandon()
    })
    attempts.set(cancel, address)
    giveUp = dialWith(transport, address, (link) => {
      if (!link.ok) return fail(link.fault)
      if (!attempts.has(cancel)) return abandonLink(link.value, new TabmeshError('ERR_CONNECTION_CLOSED', 'the dial was given up'))
      const abandon = plan.upgrade(link.value, plan.peer ?? peerIdOf(address), (outcome) => {
        if (!outcome.ok) return fail(outcome.fault)
        attempts.delete(cancel)
        timer()
        settle(outcome)
      })
      giveUp = () => abandon(new TabmeshError('ERR_CONNECTION_CLOSED', 'another address was faster, or the dial was given up'))
    })
  }

  /** A transport that throws has failed like one that says so, and takes nothing else with it. */
  const dialWith = (transport: Transport, address: Multiaddr, heard: (link: Outcome<Link>) => void): Cancel => {
    try {
      return transport.dial(address, net, heard)
    } catch (cause) {
      const fault = asTabmeshError(cause, 'ERR_NO_TRANSPORT', `${transport.name} can't dial ${address.text}`)
      host.defer(() => heard({ ok: false, fault }))
      return () => {}
    }
  }

  const deadline = host.after(plan.timeout, () => {
    const unfinished = [
      ...[...attempts.values()].map((address) => `${address.text} did not answer`),
      ...waiting.map((address) => `${address.text} was not reached in the list`),
    ]
    const late = unfinished.map((what) => new TabmeshError('ERR_DIAL_TIMEOUT', `${what} within ${plan.timeout} ms`))
    const fault = new TabmeshError('ERR_DIAL_TIMEOUT', `no connection within ${plan.timeout} ms`, { errors: [...faults, ...late] })
    settle({ ok: false, fault })
  })
  startNext()
  return () => settle({ ok: false, fault: new TabmeshError('ERR_CONNECTION_CLOSED', 'the dial was given up') })
}

/** Of all that `errors` holds, what the message repeats. */
const REASONS_SHOWN = 3

const summarise = (plan: DialPlan, faults: readonly TabmeshError[]): TabmeshError => {
  const whom = plan.peer ?? plan.addresses[0]?.text ?? 'nobody'
  const reasons = faults.slice(0, REASONS_SHOWN).map((fault) => `${fault.code} at ${fault.message.split(': ')[0]}`)
  const more = faults.length > REASONS_SHOWN ? `; and ${faults.length - REASONS_SHOWN} more` : ''
  return new TabmeshError('ERR_DIAL_FAILED', `no address of ${whom} could be reached (${reasons.join('; ')}${more})`, {
    errors: faults,
    cause: faults[0],
  })
}

/** The peer that the first address which names one ends in, or undefined where they say nothing. */
export const targetOf = (addresses: readonly Multiaddr[]): PeerId | undefined => {
  for (const address of addresses) {
    const peer = peerIdOf(address)
    if (peer !== undefined) return peer
  }
  return undefined
}

/** Addresses that end in different peers are no one dial. */
export const refuseMixed = (peer: PeerId | undefined, addresses: readonly Multiaddr[]): TabmeshError | undefined => {
  const other = addresses.find((address) => (peerIdOf(address) ?? peer) !== peer)
  return other === undefined ? undefined : new TabmeshError('ERR_INVALID_ARGUMENT', `${other.text} is no address of ${peer}`)
}

export const isWebrtc = (address: Multiaddr): boolean => address.parts.some((part) => part.name === 'webrtc')

export const isPlainCircuit = (address: Multiaddr): boolean =>
  address.parts.some((part) => part.name === 'p2p-circuit') && !isWebrtc(address)
