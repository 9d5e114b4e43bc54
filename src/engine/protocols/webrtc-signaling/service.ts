/**
 * WebRTC between browsers: signals over the connection there is (usually relayed), then moves to the direct one.
 *
 *   relayed connection, remote identified ─▶ dial its /webrtc address ─▶ offer over the relay ─▶ direct connection
 *                                                    │ fails: the relayed one stays        │ answers a ping
 *                                                    ▼                                     ▼
 *                                                 (usable)                      relayed one retires, closes when idle
 *
 * The side that dialled the relayed connection makes the offer and retires it; the other side answers. Both are a
 * service (signalling streams) and a transport (`/p2p-circuit/webrtc` addresses). Where both dial at once there are two
 * of each, and each side retires its own.
 *
 * Bounds: SIGNALING_MAX_INBOUND offers of one peer being answered at a time, SIGNALING_MAX_LIVE of all; the rest is the
 * machine's.
 */

import { asTabmeshError, TabmeshError } from '../../../errors.ts'
import { type Multiaddr, parseMultiaddr, peerIdOf, relayOf } from '../../codec/multiaddr.ts'
import type { PeerId } from '../../codec/peer-id.ts'
import { SIGNALING_MAX_FRAME, SIGNALING_MAX_INBOUND, SIGNALING_MAX_LIVE, SIGNALING_TIMEOUT, STREAM_FINISH_TIMEOUT } from '../../limits.ts'
import type { Connection } from '../../net/connection.ts'
import type { Link, Net, Service, Transport } from '../../net/service.ts'
import type { Stream } from '../../net/stream.ts'
import type { Outcome } from '../../wire/conversation.ts'
import { FrameReader } from '../../wire/frame.ts'
import type { Muxer } from '../../wire/muxer.ts'
import { type WebrtcMuxer, webrtcMuxer } from '../../wire/webrtc/muxer.ts'
import { fingerprintLine, type RtcSession, sessionName } from '../../wire/webrtc/session.ts'
import { Signaling, type SignalingInput } from './machine.ts'
import { decodeSignal, encodeSignal, SIGNALING } from './messages.ts'
import type { Rtc, RtcSignals } from './rtc.ts'

export interface WebrtcOptions {
  readonly rtc: Rtc
  /** Proves a connection: the ping service's call. */
  ping(connection: Connection, done: (outcome: Outcome<number>) => void): void
  /** Makes the multiplexer of a session that has connected, for whoever mends it later. */
  muxer?(session: RtcSession): WebrtcMuxer
}

export const webrtcService = ({ rtc, ping, muxer: makeMuxer }: WebrtcOptions): Service & Transport => {
  let net: Net
  /** Signallings in progress: how to give each up, and with whom. */
  const live = new Map<(fault: TabmeshError) => void, { readonly peer: PeerId; readonly answering: boolean }>()
  /** Connections for which a direct one was tried: once is enough, however often the remote introduces itself. */
  const upgraded = new WeakSet<Connection>()

  /** Signals over `stream` until connected; `done` gets the direct link. The returned function gives up. */
  const signal = (
    role: 'offerer' | 'answerer',
    stream: Stream,
    done: (outcome: Outcome<Link>) => void,
  ): ((fault: TabmeshError) => void) => {
    const { host } = net
    const { connection } = stream
    // Made first: an address that leaves no room for what is added to it must not fail later.
    const link = linkTo(connection)
    const machine = new Signaling(role, host.now())
    const frames = new FrameReader(SIGNALING_MAX_FRAME)

    const act = (): void => {
      for (let output = machine.poll(); output !== undefined; output = machine.poll()) {
        switch (output.t) {
          case 'send':
            stream.write(encodeSignal(output.signal))
            break
          case 'makeOffer':
            peer.makeOffer()
            break
          case 'makeAnswer':
            offer = output.offer
            peer.makeAnswer(output.offer)
            break
          case 'setAnswer':
            answer = output.answer
            peer.setAnswer(output.answer)
            break
          case 'addCandidate':
            peer.addCandidate(output.json)
            break
          case 'connected':
            timer()
            // The offerer ends the stream; an answerer that did so first would cut off what js still sends.
            if (role === 'offerer' || remoteEnded) finish()
            else timer = host.after(STREAM_FINISH_TIMEOUT, finish)
            live.delete(abandon)
            done({ ok: true, value: { ...link, muxer: muxerOf(connection, sessionOf()) } })
            break
          case 'failed':
            timer()
            peer.close()
            stream.abort(output.fault)
            live.delete(abandon)
            done({ ok: false, fault: output.fault })
            break
        }
      }
    }
    let remoteEnded = false
    const finish = (): void => {
      stream.detach()
      stream.finish(host)
    }
    const feed = (input: SignalingInput): void => {
      machine.handle(input, host.now())
      act()
    }
    const abandon = (fault: TabmeshError): void => feed({ t: 'giveUp', fault })
    // The two descriptions, which name the session.
    let offer = ''
    let answer = ''
    let signals: RtcSignals = {
      onDescription(sdp) {
        if (role === 'offerer') offer = sdp
        else answer = sdp
        feed({ t: 'description', sdp })
      },
      onCandidate: (json) => feed({ t: 'gathered', json }),
      onState: (state) => feed({ t: 'state', state }),
      onRefused: (cause) => feed({ t: 'refused', cause }),
    }
    const peer = rtc.create({
      onDescription: (sdp, type) => signals.onDescription(sdp, type),
      onCandidate: (json) => signals.onCandidate(json),
      onState: (state) => signals.onState(state),
      onRefused: (cause) => signals.onRefused(cause),
    })
    const sessionOf = (): RtcSession => ({
      peer,
      name: sessionName(offer, answer),
      fingerprint: fingerprintLine(role === 'offerer' ? answer : offer),
      listen(next) {
        signals = next
      },
    })
    live.set(abandon, { peer: connection.remotePeer, answering: role === 'answerer' })
    // A host's timer may be a little early by the host's own clock.
    const tick = (): void => {
      timer = host.after(Math.max(1, (machine.deadline ?? host.now()) - host.now()), tick)
      feed({ t: 'tick' })
    }
    let timer = host.after(SIGNALING_TIMEOUT, tick)
    stream.attach({
      onData(bytes) {
        stream.release(bytes.length)
        if (machine.over) return
        try {
          for (const body of frames.push(bytes)) feed({ t: 'signal', signal: decodeSignal(body) })
        } catch (cause) {
          feed({ t: 'giveUp', fault: asTabmeshError(cause, 'ERR_PROTOCOL', 'signalling') })
        }
      },
      onEnd() {
        remoteEnded = true
        feed({ t: 'ended', fault: undefined })
        if (!machine.over) return
        timer()
        stream.end()
      },
      onClose(fault) {
        remoteEnded = true
        feed({ t: 'ended', fault })
        if (machine.over) timer()
      },
    })
    act()
    return abandon
  }

  /** One stranger must not make the page hold all the peer connections it can. */
  const refuseOffer = (from: PeerId): TabmeshError | undefined => {
    let all = 0
    let same = 0
    for (const { peer, answering } of live.values()) {
      if (!answering) continue
      all += 1
      if (peer === from) same += 1
    }
    return all < SIGNALING_MAX_LIVE && same < SIGNALING_MAX_INBOUND
      ? undefined
      : new TabmeshError('ERR_STREAM_LIMIT', `${all} WebRTC offers are being answered, ${same} of them of ${from}`)
  }

  const muxerOf = (over: Connection, session: RtcSession): Muxer => {
    const muxer = makeMuxer?.(session) ?? webrtcMuxer(session.peer, net.host)
    if (over.identified !== undefined) muxer.remoteAgent(over.identified.agent)
    return muxer
  }

  /** Direct and answered: the relayed connections that this side dialled have done their work. */
  const prove = (direct: Connection): void => {
    ping(direct, (outcome) => {
      if (!outcome.ok) return
      for (const relayed of net.connections(direct.remotePeer)) {
        if (!relayed.direct && relayed.direction === 'outbound') relayed.retire()
      }
    })
  }

  return {
    name: 'webrtc',
    protocols: { [SIGNALING]: { maxInbound: SIGNALING_MAX_INBOUND, allowLimited: true } },
    upgrades: true,
    timeout: SIGNALING_TIMEOUT,

    start(started) {
      net = started
    },

    onStream(stream) {
      const refusal = refuseOffer(stream.connection.remotePeer)
      if (refusal !== undefined) return stream.abort(refusal)
      signal('answerer', stream, (outcome) => {
        if (outcome.ok) net.accept(outcome.value)
      })
    },

    onHangUp(peer) {
      const fault = new TabmeshError('ERR_WEBRTC_FAILED', 'the peer was hung up on')
      for (const [abandon, signaling] of [...live]) if (signaling.peer === peer) abandon(fault)
    },

    stop() {
      const fault = new TabmeshError('ERR_STOPPED', 'this peer is stopped')
      for (const abandon of [...live.keys()]) abandon(fault)
    },

    onIdentify(connection) {
      const speaks = connection.identified?.protocols.includes(SIGNALING) === true
      if (!speaks || connection.direct || connection.direction !== 'outbound' || connection.status !== 'open') return
      const direct = net.connections(connection.remotePeer).filter((each) => each.direct && each.status === 'open')
      // Both sides dialled: the other one's offer came first.
      if (direct.some((each) => each.proven)) return connection.retire()
      if (direct.length > 0 || upgraded.has(connection)) return
      upgraded.add(connection)
      // Joins the dial that may have opened this relayed connection; if it fails, the relayed one stays.
      net.dial({ peer: connection.remotePeer, addresses: [webrtcAddress(connection.remoteAddr)] }, () => {})
    },

    onConnection(connection) {
      if (connection.transport === 'webrtc') prove(connection)
    },

    matches: (address) => {
      const names = address.parts.map((part) => part.name)
      return names.includes('p2p-circuit') && names.indexOf('webrtc') > names.indexOf('p2p-circuit')
    },

    dial(address, _net, done) {
      const peer = peerIdOf(address)
      let giveUp = (_fault: TabmeshError): void => {}
      let wanted = true
      const cancelDial = net.dial({ ...(peer === undefined ? {} : { peer }), addresses: [circuitAddress(address)] }, (outcome) => {
        if (!wanted) return
        if (!outcome.ok) return done(outcome)
        const stream = outcome.value.openStream([SIGNALING])
        try {
          giveUp = signal('offerer', stream, done)
        } catch (cause) {
          const fault = asTabmeshError(cause, 'ERR_WEBRTC_FAILED', 'signalling could not begin')
          stream.abort(fault)
          done({ ok: false, fault })
        }
      })
      return () => {
        wanted = false
        cancelDial()
        giveUp(new TabmeshError('ERR_WEBRTC_FAILED', 'the dial was given up'))
      }
    },
  }
}

const linkTo = (over: Connection): Omit<Extract<Link, { t: 'muxed' }>, 'muxer'> => ({
  t: 'muxed',
  transport: 'webrtc',
  remoteAddr: over.direct ? parseMultiaddr(`/webrtc/p2p/${over.remotePeer}`) : webrtcAddress(over.remoteAddr),
  remotePeer: over.remotePeer,
  encryption: 'dtls',
})

/** `<relay>/p2p-circuit/p2p/T` → `<relay>/p2p-circuit/webrtc/p2p/T` */
const webrtcAddress = (circuit: Multiaddr): Multiaddr => throughRelay(circuit, '/p2p-circuit/webrtc')

/** The inverse: how to reach the same peer through the relay. */
const circuitAddress = (webrtc: Multiaddr): Multiaddr => throughRelay(webrtc, '/p2p-circuit')

const throughRelay = (address: Multiaddr, way: string): Multiaddr => {
  const peer = peerIdOf(address)
  return parseMultiaddr(`${relayOf(address)?.relay?.text ?? ''}${way}${peer === undefined ? '' : `/p2p/${peer}`}`)
}
