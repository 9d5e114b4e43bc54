/**
 * Twins: two connections with one peer, because both sides dialled at once. One of them is given up when it is idle.
 *
 *   A ── dials ──▶ B        both are open, and both sides know both ─▶ after TWIN_GRACE the one that the smaller peer id dialled retires:
 *   A ◀── dials ── B        no new streams of ours, those that are open go on, and it closes when the last one has ended
 *
 * Nobody has to agree on anything: direction and peer ids are the same on both sides. Only connections of one kind are twins: direct ones; relayed
 * ones without limits; limited ones. New streams prefer the one that stays from the start (see `outranks`), so that the other one falls idle.
 * A remote that knows no such rule keeps what it likes: it still has its streams served.
 *
 * Bounds: one timer for each peer that there are twins of.
 */

import type { PeerId } from '../codec/peer-id.ts'
import type { Cancel } from '../host.ts'
import { TWIN_GRACE } from '../limits.ts'
import type { Connection } from './connection.ts'
import type { Net, Service } from './service.ts'

type Twin = Pick<Connection, 'remotePeer' | 'direction' | 'direct' | 'limited' | 'transport' | 'proven' | 'status'>

/** Whether it was dialled by the greater of the two peer ids. */
export const outranks = ({ direction, remotePeer }: Twin, self: PeerId): boolean => (direction === 'outbound') === self > remotePeer

/**
 * Which of several connections new streams use: proven direct ones, then relayed ones without limits, then data channels that nobody has
 * answered on yet, then limited ones. Of twins the one that stays.
 */
export const preference = (connection: Twin, self: PeerId): number =>
  (connection.status === 'open' ? 16 : 0) +
  (connection.direct && works(connection) ? 8 : 0) +
  (connection.limited ? 0 : 4) +
  (works(connection) ? 2 : 0) +
  (outranks(connection, self) ? 1 : 0)

const kindOf = ({ direct, limited }: Twin): string => (direct ? 'direct' : limited ? 'limited' : 'relayed')

/** A data channel that was never answered on may be dead; everything else has had its handshake. */
const works = ({ transport, proven }: Twin): boolean => proven || transport !== 'webrtc'

/** Of the connections with one peer, those that are to go, and whether there are twins of which that can't be said yet. */
export const surplusOf = <C extends Twin>(
  connections: readonly C[],
  self: PeerId,
): { readonly surplus: C[]; readonly undecided: boolean } => {
  const open = connections.filter(({ status }) => status === 'open')
  const surplus: C[] = []
  let undecided = false
  for (const each of open) {
    if (outranks(each, self)) continue
    const staying = open.filter((other) => outranks(other, self) && kindOf(other) === kindOf(each))
    if (staying.some(works)) surplus.push(each)
    else if (staying.length > 0) undecided = true
  }
  return { surplus, undecided }
}

export const twins = (): Service => {
  let net: Net
  const timers = new Map<PeerId, Cancel>()

  const look = (peer: PeerId): void => {
    timers.delete(peer)
    const { surplus, undecided } = surplusOf(net.connections(peer), net.self)
    for (const each of surplus) each.retire()
    if (undecided) schedule(peer)
  }
  const schedule = (peer: PeerId): void => {
    if (!timers.has(peer))
      timers.set(
        peer,
        net.host.after(TWIN_GRACE, () => look(peer)),
      )
  }

  return {
    name: 'twins',
    protocols: {},
    start(started) {
      net = started
    },
    onConnection({ remotePeer }) {
      if (net.connections(remotePeer).length < 2) return
      // The grace is that of the younger one.
      timers.get(remotePeer)?.()
      timers.delete(remotePeer)
      schedule(remotePeer)
    },
    onDisconnect({ remotePeer }) {
      if (net.connections(remotePeer).length > 1) return
      timers.get(remotePeer)?.()
      timers.delete(remotePeer)
    },
    stop() {
      for (const cancel of timers.values()) cancel()
      timers.clear()
    },
  }
}
