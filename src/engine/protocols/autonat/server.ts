/**
 * The server of AutoNAT v2: dials whoever asks for it, and tells what came of it.
 *
 *   (too many: rejected) ─▶ reading ─▶ (no address that we dial: refused) ─▶ dial data, a while ─▶ dialling ─▶ dial back ─▶ answered
 *
 * It dials with an identity that is thrown away after, on a node without listeners: a connection that is open to the client, or a hole that it made
 * in a NAT by dialling us, would prove nothing, and the client can't tell its own servers from others by who comes (go does the same).
 *
 * Nothing is done for who comes through a relay: where it is can't be seen.
 *
 * Bounds: those of policy.ts; AUTONAT_TIMEOUT for it all, AUTONAT_MAX_INBOUND streams of a connection.
 */

import { type ErrorCode, TabmeshError } from '../../../errors.ts'
import type { Multiaddr } from '../../codec/multiaddr.ts'
import type { PeerId } from '../../codec/peer-id.ts'
import type { Cancel } from '../../host.ts'
import {
  AUTONAT_DATA_MAX,
  AUTONAT_DATA_MIN,
  AUTONAT_DATA_WAIT,
  AUTONAT_DIAL_BACK_TIMEOUT,
  AUTONAT_DIAL_TIMEOUT,
  AUTONAT_MAX_INBOUND,
  AUTONAT_TIMEOUT,
} from '../../limits.ts'
import type { Connection } from '../../net/connection.ts'
import type { Net, Service } from '../../net/service.ts'
import type { Stream } from '../../net/stream.ts'
import { type Conversation, converse, type Outcome } from '../../wire/conversation.ts'
import { DIAL_BACK, DIAL_REQUEST } from './client.ts'
import { collectData, readRequest, respond, sendDialBack } from './conversation.ts'
import { DIAL_BACK_ERROR, DIAL_ERROR, DIAL_REFUSED, OK, REQUEST_REJECTED, UNUSED } from './messages.ts'
import { Allowance, type Choice, choose, networkOf } from './policy.ts'

/** How a server dials: as somebody that nobody knows. */
export interface Stranger {
  canDial(address: Multiaddr): boolean
  /** Always makes a connection of its own. `done` is called once, unless it is given up; the returned function ends it all, the connection too. */
  dial(peer: PeerId, address: Multiaddr, timeout: number, done: (outcome: Outcome<Connection>) => void): Cancel
}

export interface AutonatServerOptions {
  readonly stranger: Stranger
  /** Also dial addresses of private networks and of this machine, for tests and closed networks. */
  readonly allowPrivate?: boolean
}

/** Of a dial that failed for these, the client is not to hear that it can't be reached. */
const ours: ReadonlySet<ErrorCode> = new Set(['ERR_UNSUPPORTED', 'ERR_NO_TRANSPORT', 'ERR_GATED', 'ERR_INTERNAL', 'ERR_STOPPED'])

export const autonatServer = ({ stranger, allowPrivate = false }: AutonatServerOptions): Service => {
  let net: Net
  const allowance = new Allowance()
  /** What is under way, and how it is given up. */
  const serving = new Map<Stream, Cancel>()

  const answer = (stream: Stream, status: number, index = 0, dialStatus = UNUSED): void => {
    converse(stream, respond({ status, index, dialStatus }), net.host, {
      timeout: AUTONAT_TIMEOUT,
      what: 'answering a dial request',
      done: (outcome) => {
        if (outcome.ok) stream.finish(net.host)
      },
    })
  }

  const serve = (stream: Stream): void => {
    const { host } = net
    const { remotePeer: peer, remoteAddr: remote } = stream.connection
    const until = host.now() + AUTONAT_TIMEOUT
    const left = (): number => Math.max(1, until - host.now())
    let step: Cancel = () => {}
    const end = (): void => {
      step()
      if (serving.delete(stream)) allowance.finish(peer)
    }
    serving.set(stream, end)

    const finish = (status: number, index = 0, dialStatus = UNUSED): void => {
      end()
      answer(stream, status, index, dialStatus)
    }
    /** A part of the exchange; where it fails, the stream is gone with it. */
    const talk = <T>(conversation: Conversation<T>, what: string, done: (value: T) => void): void => {
      step = () => {}
      converse(stream, conversation, host, { timeout: left(), what, done: (outcome) => (outcome.ok ? done(outcome.value) : end()) })
    }
    /** Until something happens, nobody reads: a remote that gives up is heard all the same. */
    const idle = (): void =>
      stream.attach({
        // Nothing is due: what comes stays unreleased, a window of it at most.
        onData: () => {},
        onEnd: () => {},
        onClose: end,
      })

    const dial = ({ index, address }: Choice, nonce: bigint): void => {
      idle()
      if (!serving.has(stream)) return
      let dialling: Cancel = () => {}
      const done = (dialStatus: number): void => {
        stream.detach()
        finish(OK, index, dialStatus)
      }
      const refuse = (): void => {
        stream.detach()
        finish(DIAL_REFUSED)
      }
      step = () => dialling()
      dialling = stranger.dial(peer, address, Math.min(AUTONAT_DIAL_TIMEOUT, left()), (outcome) => {
        if (!serving.has(stream)) return
        if (!outcome.ok && ours.has(outcome.fault.code)) return refuse()
        if (!outcome.ok) return done(DIAL_ERROR)
        const back = outcome.value.openStream([DIAL_BACK])
        converse(back, sendDialBack(nonce), host, {
          timeout: Math.min(AUTONAT_DIAL_BACK_TIMEOUT, left()),
          what: 'a dial back',
          done: (told) => {
            if (serving.has(stream)) done(told.ok ? OK : DIAL_BACK_ERROR)
          },
        })
      })
    }

    talk(readRequest(), 'reading a dial request', ({ addresses, nonce }) => {
      const choice = choose(addresses, { peer, remote, allowPrivate, canDial: (address) => stranger.canDial(address) })
      if (choice === undefined) return finish(DIAL_REFUSED)
      if (!choice.needsData) return dial(choice, nonce)
      if (!allowance.takeData(host.now())) return finish(REQUEST_REJECTED)
      const bytes = AUTONAT_DATA_MIN + Math.floor(dice() * (AUTONAT_DATA_MAX - AUTONAT_DATA_MIN))
      talk(collectData(choice.index, bytes), 'collecting dial data', () => {
        idle()
        if (!serving.has(stream)) return
        step = host.after(dice() * AUTONAT_DATA_WAIT, () => {
          stream.detach()
          dial(choice, nonce)
        })
      })
    })
  }

  const dice = (): number => {
    const [a = 0, b = 0] = net.host.random(2)
    return ((a << 8) | b) / 65_536
  }

  return {
    name: 'autonat server',
    protocols: { [DIAL_REQUEST]: { maxInbound: AUTONAT_MAX_INBOUND } },
    start(started) {
      net = started
    },
    onStream(stream) {
      const { connection } = stream
      const { remotePeer, remoteAddr } = connection
      // The relay is all that is seen of it.
      if (!connection.direct) return answer(stream, DIAL_REFUSED)
      if (!allowance.take(remotePeer, networkOf(remoteAddr), net.host.now())) return answer(stream, REQUEST_REJECTED)
      serve(stream)
    },
    stop() {
      for (const stream of [...serving.keys()]) stream.abort(new TabmeshError('ERR_STOPPED', 'this peer dials for nobody any more'))
    },
  }
}
