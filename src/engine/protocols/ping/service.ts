/**
 * The ping service: measures round trips and proves that a connection carries data both ways.
 *
 * Bounds: one outgoing ping for each connection at a time (later callers share its answer), PING_MAX_INBOUND streams
 * of the remote, PING_TIMEOUT for an answer.
 */

import type { TabmeshError } from '../../../errors.ts'
import { PING_MAX_INBOUND, PING_TIMEOUT } from '../../limits.ts'
import type { Connection } from '../../net/connection.ts'
import type { Net, Service } from '../../net/service.ts'
import type { Stream } from '../../net/stream.ts'
import { converse, type Outcome } from '../../wire/conversation.ts'
import { echoPings, PING_SIZE, sendPing } from './conversation.ts'

/** https://github.com/libp2p/specs/blob/master/ping/ping.md */
export const PING = '/ipfs/ping/1.0.0'

export interface PingService extends Service {
  /** The round trip in milliseconds. */
  ping(connection: Connection, done: (outcome: Outcome<number>) => void): void
}

export const pingService = (): PingService => {
  let net: Net
  const waiting = new Map<Connection, ((outcome: Outcome<number>) => void)[]>()

  const ping = (connection: Connection, done: (outcome: Outcome<number>) => void): void => {
    const others = waiting.get(connection)
    if (others !== undefined) {
      others.push(done)
      return
    }
    const listeners = [done]
    waiting.set(connection, listeners)
    const settle = (outcome: Outcome<number>): void => {
      waiting.delete(connection)
      if (outcome.ok) {
        connection.measured(outcome.value)
      }
      for (const listener of listeners) listener(outcome)
    }
    const stream = connection.openStream([PING])
    const sent = net.host.now()
    converse(stream, sendPing(net.host.random(PING_SIZE)), net.host, {
      timeout: PING_TIMEOUT,
      what: `ping ${connection.remotePeer}`,
      done: (outcome) => {
        if (outcome.ok) stream.finish(net.host)
        settle(outcome.ok ? { ok: true, value: net.host.now() - sent } : outcome)
      },
    })
  }

  return {
    name: 'ping',
    protocols: { [PING]: { maxInbound: PING_MAX_INBOUND, allowLimited: true } },
    start(started) {
      net = started
    },
    onStream(stream: Stream) {
      // rust keeps one stream open for as long as the connection lives: no deadline on the whole.
      converse(stream, echoPings(), net.host, {
        timeout: Number.POSITIVE_INFINITY,
        what: 'answering pings',
        done: (outcome: Outcome<void>) => {
          if (outcome.ok) stream.finish(net.host)
        },
      })
    },
    onDisconnect(connection: Connection, _fault: TabmeshError | undefined) {
      waiting.delete(connection)
    },
    ping,
  }
}
