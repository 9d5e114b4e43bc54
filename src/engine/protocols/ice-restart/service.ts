/**
 * ICE restart between tabmesh peers, `/tabmesh/ice-restart/1.0.0`: a direct connection outlives a change of network.
 *
 *   fine ── disconnected, change of network, silence ─▶ checking ── a sign of life ──▶ fine
 *    │                                                    │ none
 *    └── failed ─────────────────────────────────────────▶ mending ── a sign of life ──▶ fine
 *                                                             │ MEND_TIMEOUT, or the remote knows nothing of it
 *                                                             ▼
 *                                                          closed, and dialled anew by the side that dialled it
 *
 * Mending: a circuit to the peer, a stream on it, and over that an offer that restarts ICE, its answer and candidates; again after a while
 * where that fails. The DTLS and SCTP associations go on: what was written arrives, once and in order. Either side may begin, as only one of
 * them may know that the network is back. Of two offers that cross, that of the greater peer id stands, unless it is without an answer for
 * MEND_ANSWER_TIMEOUT. The session is named by a hash that only its two ends know, and only its own authenticated peer may restart it.
 *
 * A path on which nothing of ours was answered for MEND_SILENCE is checked, because no browser tells of a NAT that changed its address
 * before 5 s. While the network is away nothing is concluded. A session whose ICE still holds is not closed for want of answers: its remote
 * may be a frozen page.
 *
 * Bounds: one try (try.ts) of each session at a time; those of machine.ts and ways.ts; MEND_MAX_INBOUND streams of one peer.
 */

import { TabmeshError } from '../../../errors.ts'
import { equalBytes } from '../../codec/bytes.ts'
import type { Multiaddr } from '../../codec/multiaddr.ts'
import type { PeerId } from '../../codec/peer-id.ts'
import type { Cancel } from '../../host.ts'
import {
  CHECK_BRIEF,
  MEND_ANSWER_TIMEOUT,
  MEND_LOOK_AGAIN,
  MEND_MAX_INBOUND,
  MEND_RETRY_MAX,
  MEND_RETRY_MIN,
  MEND_SILENCE,
  MEND_TIMEOUT,
  MEND_TRY_TIMEOUT,
} from '../../limits.ts'
import type { Connection } from '../../net/connection.ts'
import type { Net, Service } from '../../net/service.ts'
import type { Stream } from '../../net/stream.ts'
import type { FrameReader } from '../../wire/frame.ts'
import type { Muxer } from '../../wire/muxer.ts'
import { type WebrtcMuxer, webrtcMuxer } from '../../wire/webrtc/muxer.ts'
import type { RtcState } from '../../wire/webrtc/rtc.ts'
import type { RtcSession } from '../../wire/webrtc/session.ts'
import type { RestartRole } from './machine.ts'
import { encodeRestart, ICE_RESTART } from './messages.ts'
import { awaitOffer, type Check, deaf, Try } from './try.ts'
import { type CircuitDial, circuitsTo, openCircuit } from './ways.ts'

export interface IceRestartOptions {
  /** The check service's. */
  readonly check: Check
  /** A path is silent, and others may be too. */
  checkAll(): void
  /** The relay transport's `dial`. */
  circuit: CircuitDial
  /** Addresses of a peer through relays of ours. */
  routes(peer: PeerId): readonly Multiaddr[]
}

export interface IceRestart extends Service {
  /** A muxer for a session that has just connected; it is mended from then on. */
  muxer(session: RtcSession): WebrtcMuxer
}

/** A session, and what is done about it. */
interface Kept {
  readonly session: RtcSession
  readonly muxer: WebrtcMuxer
  connection: Connection | undefined
  state: RtcState
  /** While it is mended. */
  trouble: { until: number; tries: number } | undefined
  checking: Cancel | undefined
  /** A circuit that is being opened for a try. */
  opening: Cancel | undefined
  trying: Try | undefined
  retry: Cancel | undefined
  /** Looks for a silence. */
  watch: Cancel | undefined
  /** Since when a check has found it alive. */
  aliveAt: number
}

export const iceRestart = ({ check, checkAll, circuit, routes }: IceRestartOptions): IceRestart => {
  let net: Net
  let online = true
  const kept = new Set<Kept>()
  /** Those whose connection is not taken in yet, and may never be. */
  const made = new WeakMap<Muxer, Kept>()

  /** Both sides can: ours where the platform lets it, theirs where identify has told. */
  const mendable = ({ session, connection }: Kept): boolean =>
    session.peer.restart !== undefined && connection?.identified?.protocols.includes(ICE_RESTART) === true

  // ── is it alive? ───────────────────────────────────────────────────────────────────────────────────────────

  const doubt = (it: Kept): void => {
    const { connection } = it
    if (connection === undefined || it.checking !== undefined || it.trouble !== undefined || !mendable(it)) return
    it.checking = check(connection, CHECK_BRIEF, (alive) => {
      it.checking = undefined
      it.aliveAt = net.host.now()
      if (!alive) mend(it)
      else if (it.state === 'failed') mend(it)
    })
  }

  /** Something was sent: if nothing at all comes back for a while, the path is checked. */
  const watch = (it: Kept): void => {
    if (it.watch !== undefined) return
    const look = (): void => {
      it.watch = undefined
      const { spokeAt } = it.muxer
      if (spokeAt === undefined || !kept.has(it)) return
      const due = Math.max(spokeAt + Math.max(MEND_SILENCE, 4 * (it.connection?.rtt ?? 0)), it.aliveAt + MEND_LOOK_AGAIN) - net.host.now()
      if (due > 0) {
        it.watch = net.host.after(Math.ceil(due), look)
        return
      }
      if (!online || !mendable(it)) return
      doubt(it)
      // What silenced this path, as a NAT with another address does, may have silenced the way to the relay.
      checkAll()
    }
    it.watch = net.host.after(MEND_SILENCE, look)
  }

  const hear = (it: Kept, state: RtcState): boolean => {
    const before = it.state
    it.state = state
    if (state === 'connected') {
      if (it.trouble !== undefined && it.trying === undefined) recovered(it)
      return false
    }
    if (state === 'closed') {
      // Orderly, unless the path was broken: then the browser gave it up (Firefox does so at once).
      if (before !== 'failed' && it.trouble === undefined) return false
      lose(it, new TabmeshError('ERR_CONNECTION_CLOSED', 'the browser closed the broken path to the peer'))
      return true
    }
    if (!mendable(it)) return false
    if (state === 'failed') mend(it)
    else doubt(it)
    return true
  }

  // ── mending ────────────────────────────────────────────────────────────────────────────────────────────────

  const mend = (it: Kept): void => {
    if (it.trouble !== undefined || it.connection === undefined) return
    it.checking?.()
    it.checking = undefined
    it.trouble = { until: net.host.now() + MEND_TIMEOUT, tries: 0 }
    // New streams rather use a circuit until it has answered again.
    it.connection.proven = false
    begin(it)
  }

  const recovered = (it: Kept): void => {
    it.retry?.()
    it.retry = undefined
    it.trouble = undefined
    it.aliveAt = net.host.now()
    const { connection } = it
    if (connection === undefined) return
    connection.proven = true
    for (const each of net.connections(connection.remotePeer)) if (!each.direct && each.direction === 'outbound') each.retire()
  }

  const waysTo = ({ remotePeer, remoteAddr, identified }: Connection): readonly Multiaddr[] => [
    remoteAddr,
    ...(identified?.addresses ?? []),
    ...routes(remotePeer),
  ]

  const begin = (it: Kept): void => {
    const { connection, trouble } = it
    it.retry?.()
    it.retry = undefined
    if (!online || trouble === undefined || connection === undefined || it.trying !== undefined || it.opening !== undefined) return
    if (net.host.now() >= trouble.until) return exhausted(it)
    trouble.tries += 1
    const peer = connection.remotePeer
    const circuits = circuitsTo(peer, waysTo(connection))
    const timer = net.host.after(MEND_TRY_TIMEOUT, () => {
      it.opening?.()
      it.opening = undefined
      again(it)
    })
    const stop = openCircuit(circuits, circuit, net, peer, (outcome) => {
      timer()
      it.opening = undefined
      if (it.trouble === undefined || it.trying !== undefined) {
        if (outcome.ok) outcome.value.retire()
        return
      }
      if (!outcome.ok) return again(it)
      restart(it, outcome.value.openStream([ICE_RESTART]), { t: 'offerer' })
    })
    it.opening = () => {
      timer()
      stop()
    }
  }

  const again = (it: Kept): void => {
    const { trouble } = it
    if (trouble === undefined || it.retry !== undefined || !online) return
    const wait = Math.min(MEND_RETRY_MAX, MEND_RETRY_MIN * 2 ** Math.min(trouble.tries - 1, 8))
    it.retry = net.host.after(Math.max(1, Math.min(wait, trouble.until - net.host.now())), () => begin(it))
  }

  /** No path for so long. */
  const exhausted = (it: Kept): void => {
    if (it.state === 'failed')
      return lose(it, new TabmeshError('ERR_CONNECTION_CLOSED', 'the path to the peer broke, and no other was found'))
    // ICE holds: the remote may be a page that is frozen.
    it.trouble = undefined
  }

  const lose = (it: Kept, fault: TabmeshError): void => {
    const { connection } = it
    if (connection === undefined) return it.muxer.abort(fault)
    const { remotePeer: peer, direction } = connection
    const addresses = circuitsTo(peer, waysTo(connection), '/p2p-circuit/webrtc')
    connection.abort(fault)
    // By these names the circuit that is left of the tries is no answer.
    if (direction === 'outbound' && addresses.length > 0) net.dial({ peer, addresses }, () => {}, { background: true })
  }

  /** One try over `stream`. */
  const restart = (it: Kept, stream: Stream, role: RestartRole, frames?: FrameReader): Try => {
    const { session, connection } = it
    const current = new Try(
      {
        host: net.host,
        session,
        connection,
        check,
        onOver() {
          if (it.trying === current) it.trying = undefined
        },
        onDone: () => recovered(it),
        onFailed(cause, unknown) {
          if (unknown) lose(it, new TabmeshError('ERR_CONNECTION_CLOSED', 'the remote gave the broken path up', { cause }))
          else again(it)
        },
      },
      stream,
      role,
      frames,
    )
    it.trying = current
    current.start()
    return current
  }

  // ── the remote restarts ────────────────────────────────────────────────────────────────────────────────────

  const answer = (stream: Stream, offer: { readonly session: Uint8Array; readonly sdp: string }, frames: FrameReader): Try | undefined => {
    const peer = stream.connection.remotePeer
    const it = [...kept].find(({ session, connection }) => connection?.remotePeer === peer && equalBytes(session.name, offer.session))
    const refuse = (t: 'unknown' | 'busy'): undefined => {
      stream.write(encodeRestart({ t }))
      stream.detach()
      stream.finish(net.host)
    }
    if (it === undefined || it.session.peer.restart === undefined) return refuse('unknown')
    const ours = it.trying?.offeredAt
    if (ours !== undefined && net.self > peer && net.host.now() - ours < MEND_ANSWER_TIMEOUT) return refuse('busy')
    const earlier = it.trying
    it.trying = undefined
    earlier?.handle({ t: 'giveUp', fault: new TabmeshError('ERR_WEBRTC_FAILED', "the remote's own restart came first") })
    it.retry?.()
    it.retry = undefined
    it.opening?.()
    it.opening = undefined
    return restart(it, stream, { t: 'answerer', offer: offer.sdp }, frames)
  }

  const forget = (it: Kept): void => {
    kept.delete(it)
    it.trouble = undefined
    it.checking?.()
    it.opening?.()
    it.retry?.()
    it.watch?.()
    it.trying?.handle({ t: 'giveUp', fault: new TabmeshError('ERR_CONNECTION_CLOSED', 'the connection was closed') })
    it.session.listen(deaf)
  }

  return {
    name: 'ice restart',
    protocols: { [ICE_RESTART]: { maxInbound: MEND_MAX_INBOUND, allowLimited: true } },

    muxer(session) {
      const muxer = webrtcMuxer(session.peer, net.host, { onState: (state) => hear(it, state), onSpeak: () => watch(it) })
      const it: Kept = {
        session,
        muxer,
        connection: undefined,
        state: 'connected',
        trouble: undefined,
        checking: undefined,
        opening: undefined,
        trying: undefined,
        retry: undefined,
        watch: undefined,
        aliveAt: 0,
      }
      made.set(muxer, it)
      return muxer
    },

    start(started) {
      net = started
    },

    onConnection(connection) {
      // A circuit that is being opened may hang on an earlier connection to the same relay.
      if (connection.direct && connection.transport !== 'webrtc') {
        for (const each of kept) {
          if (each.opening === undefined) continue
          each.opening()
          each.opening = undefined
          begin(each)
        }
      }
      const it = connection.carrier === undefined ? undefined : made.get(connection.carrier)
      if (it === undefined) return
      it.connection = connection
      kept.add(it)
    },

    onDisconnect(connection) {
      for (const it of kept) if (it.connection === connection) forget(it)
    },

    onNetworkChange(there) {
      online = there
      for (const it of kept) {
        it.muxer.network(there)
        if (!there) continue
        const { spokeAt } = it.muxer
        const silent = it.state !== 'connected' || (spokeAt !== undefined && net.host.now() - spokeAt > MEND_SILENCE)
        if (it.trouble === undefined) {
          if (silent && mendable(it)) mend(it)
          else doubt(it)
        } else {
          it.trouble.until = net.host.now() + MEND_TIMEOUT
          it.trouble.tries = 0
          begin(it)
        }
      }
    },

    onStream(stream) {
      awaitOffer(stream, net.host, (offer, frames) => answer(stream, offer, frames))
    },

    stop() {
      for (const it of [...kept]) forget(it)
    },
  }
}
