/**
 * RTCPeerConnections in virtual time, for signalling: what they say to each other goes through the engine, as it does in
 * a page, and once both descriptions and a candidate each way have arrived the two find each other, or do not.
 *
 * As in a browser: a description takes a moment, candidates are gathered after it, the two sides hear that they are
 * connected at different times, and the `init` channel of the offerer arrives at the answerer.
 */

import type { Cancel, Host } from '../host.ts'
import type { Rtc, RtcPeer, RtcSignals } from '../protocols/webrtc-signaling/rtc.ts'
import type { Channel } from '../wire/channel.ts'
import { INIT_LABEL, type RtcSink, type RtcState } from '../wire/webrtc/rtc.ts'
import { FakeRtc } from './fake-rtc.ts'

export interface FakeNetwork {
  /** What becomes of a pair that has signalled: it connects, its state becomes `failed`, or nothing is ever heard. */
  fate: 'connects' | 'fails' | 'silent'
  /** Milliseconds between the description and each candidate. */
  gathering: number
  /** Milliseconds from both sides' readiness to `connected`: of the offerer, of the answerer. */
  connecting: readonly [number, number]
  readonly peers: FakePeerConnection[]
}

export const fakeNetwork = (clock: Pick<Host, 'now' | 'after'>): FakeNetwork & { rtc(): Rtc } => {
  const network: FakeNetwork = { fate: 'connects', gathering: 3, connecting: [20, 25], peers: [] }
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
  #candidates = 0

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
    this.#describe('answer')
  }

  setAnswer(answer: string): void {
    this.asked.push('setAnswer')
    this.#remote = this.#bySdp.get(answer)
    if (this.#remote === undefined) return this.#later(1, () => this.#signals.onRefused(new Error('an answer that does not parse')))
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

  #describe(kind: string): void {
    const sdp = `${kind} ${this.#bySdp.size}`
    this.#bySdp.set(sdp, this)
    this.#later(2, () => {
      this.#signals.onDescription(sdp)
      for (let i = 1; i <= CANDIDATES; i += 1) {
        this.#later(i * this.#network.gathering, () => this.#signals.onCandidate(JSON.stringify({ candidate: `candidate ${i}` })))
      }
    })
  }

  /** Called where a description or a candidate came; the offerer's side decides for both. */
  #tryToConnect(): void {
    const remote = this.#remote
    if (!this.offers) return remote?.offers === true ? remote.#tryToConnect() : undefined
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

  #later(ms: number, run: () => void): void {
    const cancel = this.#clock.after(ms, () => {
      this.#timers.delete(cancel)
      if (!this.closed) run()
    })
    this.#timers.add(cancel)
  }
}
