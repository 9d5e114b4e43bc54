/**
 * RTCPeerConnections in virtual time, for signalling: what they say to each other goes through the engine, as it does in
 * a page, and once both descriptions and a candidate each way have arrived the two find each other, or do not.
 *
 * As in a browser: a description takes a moment, candidates are gathered after it, the two sides hear that they are
 * connected at different times, and the `init` channel of the offerer arrives at the answerer.
 *
 * For WebRTC-direct there are listeners at addresses: they read the version from the answer that was made up for them, as a
 * real one does from STUN, and stay silent where they do not know it.
 */

import type { Cancel, Host } from '../host.ts'
import { printFingerprint } from '../protocols/webrtc-direct/sdp.ts'
import type { Channel } from '../wire/channel.ts'
import type { Rtc, RtcPeer, RtcSignals } from '../wire/webrtc/peer.ts'
import { INIT_LABEL, type RtcSink, type RtcState } from '../wire/webrtc/rtc.ts'
import { type FakeDataChannel, FakeRtc } from './fake-rtc.ts'

export interface FakeNetwork {
  /** What becomes of a pair that has signalled: it connects, its state becomes `failed`, or nothing is ever heard. */
  fate: 'connects' | 'fails' | 'silent'
  /** Milliseconds between the description and each candidate. */
  gathering: number
  /** Milliseconds from both sides' readiness to `connected`: of the offerer, of the answerer. */
  connecting: readonly [number, number]
  readonly peers: FakePeerConnection[]
  /** By `<host> <port>`. */
  readonly listeners: Map<string, FakeListener>
  /** Milliseconds until a path that nobody answers on counts as failed. */
  giveUp: number
  /** Whether credentials may be replaced: browsers may come to refuse it. */
  munging: boolean
}

export interface FakeListener {
  /** Versions that it knows. */
  readonly versions: readonly number[]
  /** Of its certificate. */
  readonly fingerprint: Uint8Array
  /** A dialer is connected: our end of its peer connection, channel 0, and what its certificate is. */
  accept(rtc: FakeRtc, handshake: FakeDataChannel, clientFingerprint: Uint8Array): void
}

export const fakeNetwork = (clock: Pick<Host, 'now' | 'after'>): FakeNetwork & { rtc(): Rtc } => {
  const network: FakeNetwork = {
    fate: 'connects',
    gathering: 3,
    connecting: [20, 25],
    peers: [],
    listeners: new Map(),
    giveUp: 15_000,
    munging: true,
  }
  const bySdp = new Map<string, FakePeerConnection>()
  return Object.assign(network, {
    rtc: (): Rtc => ({
      create(signals) {
        const peer = new FakePeerConnection(clock, network, bySdp, signals)
        network.peers.push(peer)
        return peer
      },
    }),
  })
}

const CANDIDATES = 3

/** As a browser makes it, shortened. */
const offerSdp = (fingerprint: Uint8Array, ufrag: string | undefined): string =>
  [
    'm=application 9 UDP/DTLS/SCTP webrtc-datachannel',
    `a=ice-ufrag:${ufrag ?? 'RhpO'}`,
    `a=ice-pwd:${ufrag ?? 'Lk04sAoNa7VRYzY6oVC7BEXa'}`,
    `a=fingerprint:sha-256 ${printFingerprint(fingerprint)}`,
    '',
  ].join('\r\n')

export class FakePeerConnection implements RtcPeer {
  readonly #clock: Pick<Host, 'now' | 'after'>
  readonly #network: FakeNetwork
  readonly #bySdp: Map<string, FakePeerConnection>
  readonly #signals: RtcSignals
  readonly #timers = new Set<Cancel>()
  readonly channels: FakeRtc
  /** What was asked of it. */
  readonly asked: string[] = []
  closed = false
  offers = false
  #remote: FakePeerConnection | undefined
  /** Of a dial without signalling. */
  #fingerprint: Uint8Array | undefined
  #candidates = 0
  #broken = false
  /** Of a restart: the remote's answer is there. */
  #described = false

  constructor(clock: Pick<Host, 'now' | 'after'>, network: FakeNetwork, bySdp: Map<string, FakePeerConnection>, signals: RtcSignals) {
    this.#clock = clock
    this.#network = network
    this.#bySdp = bySdp
    this.#signals = signals
    this.channels = new FakeRtc(clock, { latency: 5 })
  }

  makeOffer(): void {
    this.asked.push('makeOffer')
    this.offers = true
    this.#describe('offer')
  }

  makeAnswer(offer: string): void {
    this.asked.push('makeAnswer')
    this.#remote = this.#bySdp.get(offer)
    if (this.#remote === undefined) return this.#later(1, () => this.#signals.onRefused(new Error('an offer that does not parse')))
    // An offer of ours is rolled back.
    this.offers = false
    this.#candidates = 0
    this.#describe('answer')
  }

  restart(): void {
    this.asked.push('restart')
    this.offers = true
    this.#candidates = 0
    this.#described = false
    this.#describe('offer')
  }

  /** Nothing arrives any more on either side, until ICE is restarted and the network's fate lets it. */
  breakPath(): void {
    for (const each of [this, this.#remote]) {
      if (each === undefined) continue
      each.#broken = true
      each.channels.broken()
    }
  }

  makeDirectOffer(ufrag?: string): Channel {
    this.asked.push(ufrag === undefined ? 'makeDirectOffer' : `makeDirectOffer ${ufrag}`)
    this.#fingerprint = new Uint8Array(32).fill(this.#network.peers.length)
    this.#later(2, () => {
      if (ufrag !== undefined && !this.#network.munging) return this.#signals.onRefused(new Error('InvalidModificationError'))
      this.#signals.onDescription(offerSdp(this.#fingerprint as Uint8Array, ufrag))
    })
    return this.channels.negotiated()
  }

  setAnswer(answer: string): void {
    this.asked.push('setAnswer')
    if (this.#fingerprint !== undefined) return this.#reach(answer, this.#fingerprint)
    this.#remote = this.#bySdp.get(answer)
    if (this.#remote === undefined) return this.#later(1, () => this.#signals.onRefused(new Error('an answer that does not parse')))
    this.#described = true
    this.#tryToConnect()
  }

  addCandidate(json: string): void {
    this.asked.push('addCandidate')
    try {
      JSON.parse(json)
    } catch {
      return
    }
    this.#candidates += 1
    this.#tryToConnect()
  }

  openChannel(): Channel {
    return this.channels.openChannel()
  }

  attach(sink: RtcSink): void {
    this.channels.attach(sink)
  }

  close(): void {
    if (this.closed) return
    this.closed = true
    for (const cancel of this.#timers) cancel()
    this.channels.close()
  }

  tell(state: RtcState): void {
    this.#signals.onState(state)
    this.channels.tell(state)
  }

  /** Looks for the listener that the answer is made up for. */
  #reach(answer: string, fingerprint: Uint8Array): void {
    const [, host, port] = /^a=candidate:1 1 udp \d+ (\S+) (\d+) typ host\r$/m.exec(answer) ?? []
    const [, version] = /^a=ice-ufrag:libp2p\+webrtc\+v(\d)\//m.exec(answer) ?? []
    const listener = this.#network.listeners.get(`${host} ${port}`)
    if (listener?.versions.includes(Number(version)) !== true || this.#network.fate === 'silent')
      return this.#later(this.#network.giveUp, () => this.tell('failed'))
    const [ours, theirs] = this.#network.connecting
    this.#later(ours / 2, () => this.#signals.onReached?.())
    if (!answer.includes(printFingerprint(listener.fingerprint))) return this.#later(ours, () => this.tell('failed'))
    const remote = new FakeRtc(this.#clock, this.channels.path)
    this.channels.remote = remote
    remote.remote = this.channels
    FakeRtc.negotiate(this.channels, remote)
    this.#later(ours, () => this.tell('connected'))
    this.#later(theirs, () => listener.accept(remote, remote.negotiated(), fingerprint))
  }

  #describe(kind: 'offer' | 'answer'): void {
    const sdp = `${kind} ${this.#bySdp.size}`
    this.#bySdp.set(sdp, this)
    this.#later(2, () => {
      this.#signals.onDescription(sdp, kind)
      for (let i = 1; i <= CANDIDATES; i += 1) {
        this.#later(i * this.#network.gathering, () => this.#signals.onCandidate(JSON.stringify({ candidate: `candidate ${i}` })))
      }
    })
  }

  /** Called where a description or a candidate came; the offerer's side decides for both. */
  #tryToConnect(): void {
    const remote = this.#remote
    if (!this.offers) return remote?.offers === true ? remote.#tryToConnect() : undefined
    if (this.#broken && remote !== undefined) return this.#tryAgain(remote)
    if (remote === undefined || this.channels.remote !== undefined || this.#candidates === 0 || remote.#candidates === 0) return
    if (this.closed || remote.closed || this.#network.fate === 'silent') return
    const state = this.#network.fate === 'fails' ? 'failed' : 'connected'
    this.channels.remote = remote.channels
    remote.channels.remote = this.channels
    const [ours, theirs] = this.#network.connecting
    if (state === 'connected') this.#later(ours, () => this.channels.openChannel(INIT_LABEL))
    this.#later(ours, () => this.tell(state))
    remote.#later(theirs, () => remote.tell(state))
  }

  /** After a restart: the path is another one. */
  #tryAgain(remote: FakePeerConnection): void {
    if (!this.#described || this.#candidates === 0 || remote.#candidates === 0 || this.#network.fate !== 'connects') return
    for (const each of [this, remote]) {
      each.#broken = false
      each.#described = false
      each.#later(this.#network.connecting[0], () => {
        each.channels.whole()
        each.tell('connected')
      })
    }
  }

  #later(ms: number, run: () => void): void {
    const cancel = this.#clock.after(ms, () => {
      this.#timers.delete(cancel)
      if (!this.closed) run()
    })
    this.#timers.add(cancel)
  }
}
