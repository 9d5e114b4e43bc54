/**
 * Check: is this connection still alive? Asked after a change of network, a sleep, or a silence.
 *
 *   check ─▶ ping ── answered, or anything else arrived ──▶ alive
 *              └──── nothing for so long ──▶ not alive      while the network is away there is no verdict: the wait begins anew with it
 *
 * A remote is dead only if a ping left and was not answered. A host that slept past the deadline (a frozen page, a throttled timer) finds
 * the answers behind it: it waits once more. After a change of network every connection is checked that nobody mends; one that is not alive is
 * closed, so that who needs it makes another. Whoever can make it anew beside it, as for a relay, hears earlier that it is slow.
 *
 * Bounds: one check of each connection at a time.
 */

import { TabmeshError } from '../../../errors.ts'
import type { Cancel } from '../../host.ts'
import { CHECK_MAX, CHECK_SLOW, CHECK_TIMEOUT } from '../../limits.ts'
import type { Connection } from '../../net/connection.ts'
import type { Net, Service, TransportName } from '../../net/service.ts'
import type { Outcome } from '../../wire/conversation.ts'

export interface CheckOptions {
  ping(connection: Connection, done: (outcome: Outcome<number>) => void): void
  /** Nothing has come for CHECK_SLOW; it may be dead. */
  onSlow?(connection: Connection): void
  /** A connection was found dead and closed. */
  onDead?(connection: Connection): void
}

export interface CheckService extends Service {
  /** `done` hears once whether the remote gave a sign of life within `patience` milliseconds, or four round trips. */
  check(connection: Connection, patience: number, done: (alive: boolean) => void): Cancel
  /** Checks all that nobody mends now. */
  checkAll(): void
}

export const checkService = ({ ping, onSlow, onDead }: CheckOptions): CheckService => {
  let net: Net
  let online = true
  /** Checks that wait for the network: what begins their wait anew. */
  const suspended = new Set<() => void>()
  const checks = new Map<Connection, Cancel>()

  const check: CheckService['check'] = (connection, patience, done) => {
    const { host } = net
    const wait = Math.min(CHECK_MAX, Math.max(patience, 4 * (connection.rtt ?? 0)))
    let began = 0
    let over = false
    let slept = false
    let timer: Cancel = () => {}
    const finish = (alive: boolean): void => {
      if (over) return
      cancel()
      done(alive)
    }
    const cancel = (): void => {
      over = true
      timer()
      suspended.delete(arm)
    }
    const ask = (): void =>
      ping(connection, (outcome) => {
        if (over) return
        if (outcome.ok) return finish(true)
        // One that was asked earlier gave up; every other fault is an answer, or says nothing about the remote, unless all of it closes.
        if (outcome.fault.code === 'ERR_TIMEOUT' && connection.status !== 'closed') ask()
        else host.defer(() => finish(connection.status !== 'closed'))
      })
    const arm = (): void => {
      suspended.delete(arm)
      timer()
      began = host.now()
      const due = began + wait
      timer = host.after(wait, () => {
        if ((connection.heardAt ?? Number.NEGATIVE_INFINITY) > began) return finish(true)
        if (!online) return void suspended.add(arm)
        if (host.now() - due < wait / 2 || slept) return finish(false)
        slept = true
        arm()
      })
    }
    arm()
    ask()
    return cancel
  }

  const checkOne = (connection: Connection): void => {
    if (checks.has(connection) || connection.status === 'closed' || mended.includes(connection.transport)) return
    const dead = (): void => {
      connection.abort(new TabmeshError('ERR_TIMEOUT', 'no ping was answered after the network changed'))
      onDead?.(connection)
    }
    const stage = (patience: number, silent: () => void): void => {
      const stop = check(connection, patience, (alive) => {
        checks.delete(connection)
        if (!alive && connection.status !== 'closed') silent()
      })
      checks.set(connection, stop)
    }
    // SCTP waits longer and longer before it sends again, and a new connection takes as long.
    if (connection.transport === 'webrtc-direct') return stage(CHECK_MAX, dead)
    stage(CHECK_SLOW, () => {
      stage(CHECK_TIMEOUT - CHECK_SLOW, dead)
      onSlow?.(connection)
    })
  }

  const checkAll = (): void => {
    for (const connection of net.connections()) checkOne(connection)
  }

  return {
    name: 'check',
    protocols: {},
    check,
    checkAll,
    start(started) {
      net = started
    },
    onNetworkChange(there) {
      online = there
      if (!there) return
      for (const again of [...suspended]) again()
      checkAll()
    },
    onDisconnect(connection) {
      checks.get(connection)?.()
      checks.delete(connection)
    },
    stop() {
      for (const cancel of checks.values()) cancel()
      checks.clear()
    },
  }
}

/** Others see to these: ICE is restarted, and a circuit is as alive as the connection to its relay. */
const mended: readonly TransportName[] = ['webrtc', 'relay']
