/**
 * DCUtR: from a relayed connection to a direct one, for peers that have TCP or QUIC (specs: relay/DCUtR.md).
 *
 *   relayed, inbound, remote identified ─▶ (WebRTC has its turn) ─▶ reversal: its public addresses are dialled ─┬─▶ direct
 *                                                                        │ none, or none answers                │
 *                                                                        ▼                                      │
 *                                              /libp2p/dcutr: both sides knock at once, DCUTR_ATTEMPTS times ───┤
 *                                                                        │ in vain                              ▼
 *                                                                        ▼                       answers a ping: the relayed ones
 *                                                                    (relayed)                   retire, and close when idle
 *
 * The side that was dialled begins; the other one answers. The relayed connection is usable all the time, and stays where nothing comes of it.
 * A change of the network has it tried again. Both sides retire the relayed connection: neither opens new streams on it then, so
 * that none is cut off; a remote that does not (go keeps its end) opens them on the direct one.
 *
 * How a socket is opened from a port that the outside knows is the host's affair (`Puncher`).
 *
 * Bounds: one peer at a time is one session, DCUTR_MAX_LIVE in all; the rest is the machine's.
 */

import { asTabmeshError, TabmeshError } from '../../../errors.ts'
import { encapsulate, type Multiaddr } from '../../codec/multiaddr.ts'
import type { PeerId } from '../../codec/peer-id.ts'
import type { Cancel } from '../../host.ts'
import {
  DCUTR_MAX_ADDRESSES,
  DCUTR_MAX_FRAME,
  DCUTR_MAX_INBOUND,
  DCUTR_MAX_LIVE,
  DCUTR_PATIENCE,
  DCUTR_REVERSAL_TIMEOUT,
} from '../../limits.ts'
import type { Connection } from '../../net/connection.ts'
import type { Link, Net, Service } from '../../net/service.ts'
import type { Stream } from '../../net/stream.ts'
import type { Outcome } from '../../wire/conversation.ts'
import { FrameReader } from '../../wire/frame.ts'
import { distanceOf, punchable, reversible, type ScopeOf } from './candidates.ts'
import { Dcutr, type DcutrInput, type PunchRole } from './machine.ts'
import { DCUTR, decodeHolePunch, encodeHolePunch } from './messages.ts'

/** What the host can do for it. */
export interface Puncher {
  /** Where the port that this connection was dialled from, and that `open` dials from, is seen outside; undefined where it was another port. */
  outside(connection: Connection): Multiaddr | undefined
  /**
   * From now on takes who comes from one of `addresses`; `punch` dials them all, `close` ends both. A native multiplexer is one that we dialled,
   * whatever the role; of a pipe the role of the session is ours.
   */
  open(net: Net, addresses: readonly Multiaddr[], onLink: (link: Link) => void): Hole
}

export interface Hole {
  punch(): void
  close(): void
}

export interface DcutrServiceOptions {
  readonly puncher: Puncher
  /** How far an address is. */
  readonly scopeOf: ScopeOf
  /** Proves a connection: the ping service's call. */
  ping(connection: Connection, done: (outcome: Outcome<number>) => void): void
  /** A protocol that leads to a direct connection too: where both sides speak it, it has DCUTR_PATIENCE before anything is tried here. */
  readonly after?: string
}

interface Session {
  readonly calls: boolean
  feed(input: DcutrInput): void
}

export const dcutrService = ({ puncher, scopeOf, ping, after }: DcutrServiceOptions): Service => {
  let net: Net
  /** Sessions in progress. `calls`: what is under way has begun here, and the other side is asked to. */
  const live = new Map<PeerId, Session>()
  /** Relayed connections that had their turn: once is enough, however often the remote introduces itself. */
  const tried = new WeakSet<Connection>()
  /** Those of them that no hole could be punched for yet: go speaks the protocol only once it knows where it is seen from outside, and so must we. */
  const lacking = new Set<Connection>()

  const directTo = (peer: PeerId): Connection | undefined => net.connections(peer).find((each) => each.direct && each.status === 'open')

  /** What we tell of where we are: ports that were seen from outside, then what we listen on. */
  const ownAddresses = (circuit: Connection): Multiaddr[] => {
    const seen = net.connections().flatMap((each) => puncher.outside(each) ?? [])
    return punchable([...seen, ...net.addresses], distanceOf(circuit.remoteAddr, scopeOf), net.self, scopeOf)
  }

  /** Direct and answered: the relayed connections have done their work. */
  const prove = (direct: Connection): void => {
    ping(direct, (outcome) => {
      if (!outcome.ok) return
      for (const each of net.connections(direct.remotePeer)) if (!each.direct) each.retire()
    })
  }

  const join = (link: Link, role: PunchRole, peer: PeerId): void => {
    if (role === 'server' && link.t === 'pipe') {
      net.accept({ ...link, remoteAddr: encapsulate(link.remoteAddr, `/p2p/${peer}`) })
      return
    }
    net.adopt(link, peer, (outcome) => {
      if (!outcome.ok) return
      // Two ways at once led there. Who dialled says which one stays, or each side would close the other one's choice.
      const made = net.connections(peer).filter((each) => each.direct && each.status === 'open' && each.direction === 'outbound')
      if (made.some((each) => each !== outcome.value)) outcome.value.close()
    })
  }

  /** One session over `circuit`, as the side that calls or, on `called`, as the one that answers. */
  const run = (circuit: Connection, own: readonly Multiaddr[], called?: Stream): void => {
    const { host } = net
    const peer = circuit.remotePeer
    const distance = distanceOf(circuit.remoteAddr, scopeOf)
    const sift = (addresses: readonly Multiaddr[]): Multiaddr[] => punchable(addresses, distance, peer, scopeOf)
    const machine = new Dcutr(called === undefined ? 'caller' : 'answerer', { own, sift }, host.now())
    let stream = called
    let hole: Hole | undefined
    let timer: Cancel = () => {}

    const attach = (to: Stream): void => {
      const frames = new FrameReader(DCUTR_MAX_FRAME)
      const isCurrent = (): boolean => stream === to
      to.attach({
        onData(bytes) {
          to.release(bytes.length)
          if (!isCurrent()) return
          try {
            for (const body of frames.push(bytes)) feed({ t: 'said', message: decodeHolePunch(body) })
          } catch (cause) {
            feed({ t: 'giveUp', fault: asTabmeshError(cause, 'ERR_PROTOCOL', 'DCUtR') })
          }
        },
        onEnd() {
          if (isCurrent()) feed({ t: 'ended', fault: undefined })
        },
        onClose(fault) {
          if (isCurrent()) feed({ t: 'ended', fault })
        },
      })
    }
    const act = (): void => {
      for (let output = machine.poll(); output !== undefined; output = machine.poll()) {
        switch (output.t) {
          case 'open':
            stream = circuit.openStream([DCUTR])
            attach(stream)
            break
          case 'say':
            stream?.write(encodeHolePunch(output.message))
            break
          case 'finish': {
            const done = stream
            stream = undefined
            done?.detach()
            done?.finish(host)
            break
          }
          case 'ready': {
            const { role } = output
            hole = puncher.open(net, output.addresses, (link) => join(link, role, peer))
            break
          }
          case 'punch':
            hole?.punch()
            break
          case 'rest':
            hole?.close()
            hole = undefined
            break
          case 'over': {
            const left = stream
            stream = undefined
            left?.abort(output.fault ?? new TabmeshError('ERR_STREAM_CLOSED', 'there is a direct connection'))
            if (live.get(peer) === session) live.delete(peer)
            break
          }
        }
      }
      timer()
      if (machine.deadline !== undefined) timer = host.after(Math.max(0, machine.deadline - host.now()), tick)
    }
    const feed = (input: DcutrInput): void => {
      machine.handle(input, host.now())
      act()
    }
    // A host's timer may be a little early by the host's own clock.
    const tick = (): void => feed({ t: 'tick' })
    const session: Session = { calls: called === undefined, feed }
    live.get(peer)?.feed({ t: 'giveUp', fault: new TabmeshError('ERR_STREAM_CLOSED', 'the other side began (again)') })
    live.set(peer, session)
    if (called !== undefined) attach(called)
    act()
  }

  /** Connection reversal; `done` hears that nothing came of it. Returns how to give up. */
  const reverse = (circuit: Connection, done: () => void): Cancel => {
    const peer = circuit.remotePeer
    const addresses = reversible(circuit.identified?.addresses ?? [], distanceOf(circuit.remoteAddr, scopeOf), scopeOf).slice(
      0,
      DCUTR_MAX_ADDRESSES,
    )
    if (addresses.length === 0) {
      done()
      return () => {}
    }
    return net.dial({ peer, addresses }, (outcome) => outcome.ok || done(), { timeout: DCUTR_REVERSAL_TIMEOUT, background: true })
  }

  /** As soon as both sides can. */
  const punch = (circuit: Connection): void => {
    const own = circuit.identified?.protocols.includes(DCUTR) === true ? ownAddresses(circuit) : []
    if (own.length === 0) return void lacking.add(circuit)
    lacking.delete(circuit)
    run(circuit, own)
  }

  const consider = (circuit: Connection): void => {
    const { remotePeer: peer, identified } = circuit
    if (circuit.direct || circuit.direction !== 'inbound' || circuit.status !== 'open' || identified === undefined) return
    if ((tried.has(circuit) && !lacking.has(circuit)) || directTo(peer) !== undefined || live.has(peer) || live.size >= DCUTR_MAX_LIVE)
      return
    if (lacking.has(circuit)) return punch(circuit)
    tried.add(circuit)
    let cancel: Cancel = () => {}
    const session: Session = {
      calls: false,
      feed({ t }) {
        // What has led to the connection ends by itself.
        if (t !== 'direct') cancel()
        if (live.get(peer) === session) live.delete(peer)
      },
    }
    live.set(peer, session)
    const begin = (): void => {
      if (live.get(peer) !== session) return
      cancel = reverse(circuit, () => {
        if (live.get(peer) !== session) return
        live.delete(peer)
        if (circuit.status === 'open') punch(circuit)
      })
    }
    const waits = after !== undefined && identified.protocols.includes(after) && net.protocols(circuit.limited).includes(after)
    if (waits) cancel = net.host.after(DCUTR_PATIENCE, begin)
    else begin()
  }

  return {
    name: 'dcutr',
    protocols: { [DCUTR]: { maxInbound: DCUTR_MAX_INBOUND, allowLimited: true } },
    upgrades: true,

    start(started) {
      net = started
    },

    onStream(stream) {
      const { connection } = stream
      const peer = connection.remotePeer
      const refuse = (code: 'ERR_PROTOCOL' | 'ERR_STREAM_LIMIT' | 'ERR_NO_ADDRESS', what: string): void =>
        stream.abort(new TabmeshError(code, `DCUtR with ${peer}: ${what}`))
      if (connection.direct) return refuse('ERR_PROTOCOL', 'the connection is direct already')
      if (connection.direction !== 'outbound') return refuse('ERR_PROTOCOL', 'the side that was dialled begins')
      if (directTo(peer) !== undefined) return refuse('ERR_PROTOCOL', 'there is a direct connection')
      // Both were dialled, and both began: one call is enough.
      if (live.get(peer)?.calls === true && net.self > peer) return refuse('ERR_STREAM_LIMIT', 'ours is under way')
      if (!live.has(peer) && live.size >= DCUTR_MAX_LIVE) return refuse('ERR_STREAM_LIMIT', `${live.size} are under way`)
      const own = ownAddresses(connection)
      if (own.length === 0) return refuse('ERR_NO_ADDRESS', 'nobody has told us where we are seen from outside')
      run(connection, own, stream)
    },

    onIdentify(connection) {
      consider(connection)
      // It may have told where we are seen from.
      if (connection.direct) for (const each of [...lacking]) consider(each)
    },

    onDisconnect(connection) {
      lacking.delete(connection)
    },

    onConnection(connection) {
      // Data channels are proved by who made them.
      if (!connection.direct || connection.transport === 'webrtc') return
      const { remotePeer: peer } = connection
      live.get(peer)?.feed({ t: 'direct' })
      if (net.connections(peer).some((each) => !each.direct && each.status === 'open')) prove(connection)
    },

    onHangUp(peer) {
      live.get(peer)?.feed({ t: 'giveUp', fault: new TabmeshError('ERR_CONNECTION_CLOSED', 'the peer was hung up on') })
    },

    onNetworkChange(online) {
      if (!online) return
      for (const each of net.connections()) {
        tried.delete(each)
        lacking.delete(each)
        consider(each)
      }
    },

    stop() {
      const fault = new TabmeshError('ERR_STOPPED', 'this peer is stopped')
      for (const { feed } of [...live.values()]) feed({ t: 'giveUp', fault })
    },
  }
}
