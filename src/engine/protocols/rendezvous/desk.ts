/**
 * Desk: what those who deal with rendezvous points have in common: a way to one, requests, refusals as faults, and the wait after a failure.
 *
 * Bounds: RENDEZVOUS_TIMEOUT for a request and its answer, as much again to verify what came.
 */

import { TabmeshError } from '../../../errors.ts'
import type { PeerId } from '../../codec/peer-id.ts'
import type { Cancel } from '../../host.ts'
import { RENDEZVOUS_RETRY, RENDEZVOUS_RETRY_MAX, RENDEZVOUS_TIMEOUT } from '../../limits.ts'
import type { Connection } from '../../net/connection.ts'
import type { Net } from '../../net/service.ts'
import { type Conversation, converse, type Outcome } from '../../wire/conversation.ts'
import { nameStatus, RENDEZVOUS, type Refused, Status } from './messages.ts'

/** Characters of the server's own words that are passed on. */
const MAX_WORDS = 200

/**
 * Has `talk` with the rendezvous point `at`, over the connection there is, or one that is dialled. `done` is called once, never before this has
 * returned, and not if it is given up, which the returned function does.
 */
export const ask = <T>(
  net: Net,
  at: PeerId,
  talk: () => Conversation<T>,
  done: (outcome: Outcome<T>, connection: Connection | undefined) => void,
): Cancel => {
  let wanted = true
  let giveUp: Cancel = () => {}
  // A stream may fail as it is opened.
  const settle = (outcome: Outcome<T>, connection: Connection | undefined): void =>
    net.host.defer(() => {
      if (!wanted) return
      wanted = false
      done(outcome, connection)
    })
  const over = (connection: Connection): void => {
    if (connection.limited) {
      const fault = new TabmeshError('ERR_LIMITED_CONNECTION', `only a limited connection to the rendezvous point ${at} is open`)
      return settle({ ok: false, fault }, connection)
    }
    const stream = connection.openStream([RENDEZVOUS])
    const cut = converse(stream, talk(), net.host, {
      timeout: 2 * RENDEZVOUS_TIMEOUT,
      what: `rendezvous with ${at}`,
      done: (outcome) => {
        if (outcome.ok) stream.finish(net.host)
        settle(outcome, connection)
      },
    })
    giveUp = () => cut(new TabmeshError('ERR_STREAM_CLOSED', 'the request was given up'))
  }
  const open = openTo(net, at)
  if (open !== undefined) {
    over(open)
  } else {
    giveUp = net.dial(
      { peer: at, addresses: [] },
      (outcome) => {
        if (!wanted) return
        if (outcome.ok) over(openTo(net, at) ?? outcome.value)
        else settle(outcome, undefined)
      },
      { background: true },
    )
  }
  return () => {
    if (!wanted) return
    wanted = false
    giveUp()
  }
}

/** The best connection to a rendezvous point that may be used. */
export const openTo = (net: Net, at: PeerId): Connection | undefined =>
  net.connections(at).find((each) => each.status === 'open' && !each.limited)

/** What a refusal is to whoever asked. */
export const refusal = (at: PeerId, { status, text }: Refused): TabmeshError => {
  // They end up in logs and on screens.
  const words = text.replace(/\p{C}+/gu, ' ').slice(0, MAX_WORDS)
  const said = words === '' ? '' : ` (${words})`
  const code = status === Status.E_UNAVAILABLE ? 'ERR_RELAY_FULL' : 'ERR_RELAY_REFUSED'
  return new TabmeshError(code, `the rendezvous point ${at} answers ${nameStatus(status)}${said}`)
}

/** Milliseconds to wait after so many failures in a row, a fifth more or less: those who lost the same server do not return as one. */
export const waitAfter = (net: Net, failures: number): number =>
  spread(net, Math.min(RENDEZVOUS_RETRY_MAX, RENDEZVOUS_RETRY * 2 ** Math.min(failures - 1, 16)))

/** `ms`, a fifth more or less. */
export const spread = (net: Net, ms: number): number => {
  const [a = 0, b = 0] = net.host.random(2)
  return ms * (0.8 + (0.4 * ((a << 8) | b)) / 65_536)
}
