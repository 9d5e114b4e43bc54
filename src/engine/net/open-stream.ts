/**
 * Opening a stream to a peer: over its best connection, dialling first where there is none.
 *
 *   dial ─▶ connections, best first ─┬─ one that may be used, be it relayed ─▶ open ─▶ protocol agreed ─▶ done
 *                                    └─ only limited ones ─▶ wait for the direct one under way ─▶ open
 *
 * A connection that closes before it has answered is not the end: the next best is tried, once each.
 *
 * Bounds: the dial's deadline, LIMITED_WAIT for a direct connection, the negotiation's own.
 */

import { TabmeshError } from '../../errors.ts'
import type { PeerId } from '../codec/peer-id.ts'
import type { Cancel, Host } from '../host.ts'
import { LIMITED_WAIT } from '../limits.ts'
import type { Outcome } from '../wire/conversation.ts'
import type { Awaiting } from './awaiting.ts'
import type { Connection } from './connection.ts'
import type { DialOptions, DialTarget, OpenOptions } from './service.ts'
import type { Stream } from './stream.ts'

/** What it needs of the node. */
export interface Opener {
  readonly host: Host
  readonly awaiting: Awaiting
  /** Whether a limited connection may still become a direct one. */
  readonly mayUpgrade: boolean
  connections(peer: PeerId): readonly Connection[]
  dial(target: DialTarget, done: (outcome: Outcome<Connection>) => void, options: DialOptions): Cancel
}

/** `done` hears of the stream when its protocol is agreed, which for one the remote is known to speak is at once. */
export const openStream = (
  opener: Opener,
  target: DialTarget,
  protocols: readonly string[],
  options: OpenOptions & DialOptions,
  done: (outcome: Outcome<Stream>) => void,
): Cancel => {
  const { host } = opener
  let wanted = true
  let opening: Stream | undefined
  let giveUp: Cancel = () => {}
  const tried = new Set<Connection>()

  const settle = (outcome: Outcome<Stream>): void => {
    if (!wanted) return
    wanted = false
    done(outcome)
  }
  const fail = (fault: TabmeshError): void => settle({ ok: false, fault })

  const over = (connection: Connection): void => {
    tried.add(connection)
    const stream = connection.openStream(protocols, (fault) => {
      if (fault === undefined) host.defer(() => settle({ ok: true, value: stream }))
      else if (connection.status === 'open' || next(connection.remotePeer) === undefined) fail(fault)
      else host.defer(() => (wanted ? choose(connection.remotePeer) : undefined))
    })
    opening = stream
  }

  const next = (peer: PeerId): Connection | undefined =>
    opener.connections(peer).find((each) => each.status === 'open' && !tried.has(each) && (options.allowLimited === true || !each.limited))

  const choose = (peer: PeerId): void => {
    const usable = next(peer)
    if (usable !== undefined) return over(usable)
    if (!opener.connections(peer).some((each) => each.status === 'open')) {
      return fail(new TabmeshError('ERR_CONNECTION_CLOSED', `the connection to ${peer} closed meanwhile`))
    }
    const limited = (): void => fail(new TabmeshError('ERR_LIMITED_CONNECTION', `only a limited connection to ${peer} is open`))
    if (!opener.mayUpgrade) return limited()
    giveUp = opener.awaiting.wait(peer, LIMITED_WAIT, host, (direct) => (direct === undefined ? limited() : over(direct)))
  }

  // Data flows over the relay at once; streams opened later use the direct connection, once there is one.
  const dialled = (outcome: Outcome<Connection>): void => (outcome.ok ? choose(outcome.value.remotePeer) : fail(outcome.fault))
  giveUp = opener.dial(target, dialled, { settle: 0, ...options })
  return () => {
    if (!wanted) return
    wanted = false
    giveUp()
    opening?.abort(new TabmeshError('ERR_STREAM_CLOSED', 'the opening of the stream was given up'))
  }
}
