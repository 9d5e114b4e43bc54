/**
 * NativePeer: one peer connection of node-datachannel as the engine's RtcPeer, and as what a WebRTC-direct listener answers with.
 *
 *   new ── makeOffer, makeAnswer, makeDirectOffer, answerDirectly ──▶ connecting ──▶ connected ──▶ failed | closed
 *    └──────────────────────────── close() ───────────────┴───────────────┴──▶ closed, told to nobody
 *
 * The native object is made with the description, since only then it is known whether ICE servers are to be asked, and is closed
 * once: by `close`, or when it has told that it is over. libdatachannel takes 'disconnected' for the end: 'closed' follows at
 * once. It hears the remote's DTLS close, so a remote that goes in order is gone at once.
 *
 * Whatever the engine hears of comes on a stack of its own, never inside one of its calls.
 *
 * Messages that come faster than they are taken pile up in the library, where nothing bounds them. Their number is not told,
 * but a turn in which fewer than QUEUE_TURN came has emptied the queue. After RTC_MAX_BURST messages without such a turn the
 * connection has failed.
 *
 * Candidates of an offer are told when its answer and the first of the answerer's candidates are there, or RTC_HOLD_CANDIDATES later.
 * libdatachannel would otherwise hear from an answerer that is near before it knows of the answer, or before it has found a path itself: then it drops
 * the first message of DTLS, which is repeated a second later, or begins the handshake before it has stored the fingerprint to compare with,
 * and fails.
 *
 * Bounds: RTC_MAX_INBOUND channels, and the `init` one, that the remote opened before anybody attached; RTC_MAX_NAMES names
 * among its candidates are looked up, each in a thread of the library's.
 */

import { isIP } from 'node:net'
import { RTC_HOLD_CANDIDATES, RTC_MAX_BURST, RTC_MAX_INBOUND, RTC_MAX_NAMES, RTC_MAX_RECEIVED } from '../../engine/limits.ts'
import { checkDataOnly, credentialsOfSdp, parseFingerprint } from '../../engine/protocols/webrtc-direct/sdp.ts'
import type { RtcPeer, RtcSignals } from '../../engine/protocols/webrtc-signaling/rtc.ts'
import { type Channel, closedChannel } from '../../engine/wire/channel.ts'
import { INIT_LABEL, type RtcSink, type RtcState } from '../../engine/wire/webrtc/rtc.ts'
import { TabmeshError } from '../../errors.ts'
import { type Binding, type NativeChannel, type NativeConfiguration, type NativeConnection, outside, QUEUE_TURN } from './binding.ts'
import { ChannelIds } from './channel-ids.ts'
import type { PeerConfiguration } from './configuration.ts'
import { type ChannelOwner, DataChannel } from './data-channel.ts'

/** What a WebRTC-direct listener answers with. */
export interface DirectAnswer {
  /** The offer that the dialer must have made. */
  readonly offer: string
  /** Our ufrag and password, which the dialer chose. */
  readonly ufrag: string
  readonly bindAddress: string
  /** PEM. */
  readonly certificate: string
  readonly key: string
}

export interface PeerEvents {
  /** The native connection is closed; told once. */
  onClosed(): void
  /** The remote sends more than we can take: what can stop it should. */
  onFlood(): void
}

/** The last of the library's ids; the channels that carry streams have those below. */
const GATE_ID = 1_023

/** Turns that closing waits for a queue that does not empty. */
const CLOSE_TURNS = 64

export class NativePeer implements RtcPeer, ChannelOwner {
  readonly #binding: Binding
  readonly #configuration: PeerConfiguration
  readonly #signals: RtcSignals
  readonly #events: PeerEvents | undefined
  #native: NativeConnection | undefined
  readonly #channels = new Set<DataChannel>()
  /** Undefined until the first of our channels has told which ids are ours. */
  #ids: ChannelIds | undefined
  readonly #idOf = new WeakMap<DataChannel, number>()
  #early: { channel: DataChannel; label: string }[] = []
  #sink: RtcSink | undefined
  #state: RtcState | undefined
  #reached = false
  /** A channel made before the connection is up; see binding.ts. */
  #gate: DataChannel | undefined
  #up = false
  #closed = false
  #names = 0
  #answered = false
  /** What is kept back until the answerer can be reached, and what ends that. */
  #held: string[] | undefined
  #holding: NodeJS.Timeout | undefined
  /** Messages ever, since the last turn, and since the last turn that emptied the queue. */
  #messages = 0
  #arrived = 0
  #burst = 0
  readonly #onTurn = (): void => this.#turn()

  constructor(binding: Binding, configuration: PeerConfiguration, signals: RtcSignals, events?: PeerEvents) {
    this.#binding = binding
    this.#configuration = configuration
    this.#signals = signals
    this.#events = events
  }

  makeOffer(): void {
    this.#step(() => {
      const native = this.#connect({})
      // Without a channel there would be nothing to gather candidates for.
      this.#keep(native.createDataChannel(INIT_LABEL), false).attach(deaf)
      this.#gate = this.#makeGate(native)
      native.setLocalDescription('offer')
      this.#held = []
      this.#holding = setTimeout(() => this.#tellHeld(), RTC_HOLD_CANDIDATES)
      this.#describe(native)
    })
  }

  makeAnswer(offer: string): void {
    this.#step(() => {
      const checked = this.#check(offer)
      const native = this.#connect({})
      this.#gate = this.#makeGate(native)
      native.setRemoteDescription(checked, 'offer')
      native.setLocalDescription('answer')
      this.#describe(native)
    })
  }

  makeDirectOffer(ufrag?: string): Channel {
    let channel: DataChannel | undefined
    this.#step(() => {
      const { iceTransportPolicy } = this.#configuration
      const native = this.#connect(iceTransportPolicy === 'relay' ? {} : { iceServers: [] })
      channel = this.#keep(native.createDataChannel('', { negotiated: true, id: 0 }), false)
      this.#gate = channel
      if (ufrag === undefined) native.setLocalDescription('offer')
      else native.setLocalDescription('offer', { iceUfrag: ufrag, icePwd: ufrag })
      this.#describe(native)
    })
    return channel ?? closedChannel(gone())
  }

  /** The listener's side of `makeDirectOffer`: nothing is signalled. Throws where the offer is refused. */
  answerDirectly({ offer, ufrag, bindAddress, certificate, key }: DirectAnswer): Channel {
    const native = this.#connect({
      iceServers: [],
      iceTransportPolicy: 'all',
      bindAddress,
      certificatePemFile: certificate,
      keyPemFile: key,
      // It is not known; Noise binds it.
      disableFingerprintVerification: true,
    })
    const channel = this.#keep(native.createDataChannel('', { negotiated: true, id: 0 }), false)
    this.#gate = channel
    native.setRemoteDescription(offer, 'offer')
    native.setLocalDescription('answer', { iceUfrag: ufrag, icePwd: ufrag })
    return channel
  }

  setAnswer(answer: string): void {
    this.#step(() => {
      this.#native?.setRemoteDescription(this.#check(answer), 'answer')
      this.#answered = true
      if (/^a=candidate:/m.test(answer)) this.#tellHeld()
    })
  }

  addCandidate(json: string): void {
    if (this.#closed) return
    // One that can't be parsed or resolved is skipped: others may do.
    try {
      const { candidate, sdpMid } = JSON.parse(json) as { candidate?: unknown; sdpMid?: unknown }
      if (typeof candidate !== 'string' || candidate === '' || !this.#admits(candidate)) return
      this.#native?.addRemoteCandidate(candidate, typeof sdpMid === 'string' ? sdpMid : '0')
      if (this.#answered) this.#tellHeld()
    } catch {}
  }

  openChannel(): Channel {
    if (this.#closed || this.#native === undefined) return closedChannel(gone())
    const id = this.#ids?.take()
    if (this.#ids !== undefined && id === undefined) return closedChannel(noneLeft())
    try {
      return this.#openAs(this.#native, id)
    } catch (cause) {
      // SCTP has just gone, or the library has no id left for the first.
      if (id !== undefined) this.#ids?.free(id)
      return closedChannel(/too many/i.test((cause as Error).message) ? noneLeft(cause) : gone())
    }
  }

  /** Opens a channel with that id, or with the one that the library gives it, which tells what the others will be. */
  #openAs(native: NativeConnection, id: number | undefined): DataChannel {
    const up = this.#state === 'connected'
    const channel = id === undefined ? native.createDataChannel('') : native.createDataChannel('', { id })
    const kept = this.#keep(channel, up)
    if (id !== undefined) this.#idOf.set(kept, id)
    else if (up && channel.getId() >= 0) {
      const first = channel.getId()
      this.#ids = new ChannelIds(first, Math.min(native.maxDataChannelId(), GATE_ID - 1))
      this.#idOf.set(kept, first)
    }
    return kept
  }

  attach(sink: RtcSink): void {
    this.#sink = sink
    const early = this.#early
    this.#early = []
    for (const { channel, label } of early) sink.onChannel(channel, label)
    if (this.#state !== undefined) sink.onState(this.#state)
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#early = []
    this.#closeSoon(CLOSE_TURNS)
  }

  /** SHA-256 of the remote's certificate, once connected. */
  remoteFingerprint(): Uint8Array | undefined {
    const told = this.#native?.remoteFingerprint()
    return told?.algorithm === 'sha-256' ? parseFingerprint(told.value) : undefined
  }

  // ── ChannelOwner ──

  onMessage(): void {
    this.#messages += 1
    this.#arrived += 1
    if (this.#arrived === 1) setImmediate(this.#onTurn)
  }

  onOpen(channel: DataChannel): void {
    if (channel !== this.#gate) return
    this.#gate = undefined
    if (this.#up) this.#tell('connected')
  }

  onGone(channel: DataChannel): void {
    this.#channels.delete(channel)
    const id = this.#idOf.get(channel)
    if (id !== undefined) this.#ids?.free(id)
  }

  // ── inside ──

  #turn(): void {
    this.#burst = this.#arrived < QUEUE_TURN ? 0 : this.#burst + this.#arrived
    this.#arrived = 0
    if (this.#burst < RTC_MAX_BURST || this.#closed) return
    this.#events?.onFlood()
    this.#tell('failed')
  }

  #connect(changes: Partial<NativeConfiguration>): NativeConnection {
    const { PeerConnection } = this.#binding
    const native = new PeerConnection('', {
      ...this.#configuration,
      disableAutoNegotiation: true,
      maxMessageSize: RTC_MAX_RECEIVED,
      ...changes,
    })
    this.#native = native
    // In this order; see binding.ts.
    native.onDataChannel(outside((channel) => this.#onChannel(channel)))
    native.onIceStateChange(outside((state) => this.#onIceState(state)))
    native.onStateChange(outside((state) => this.#onState(state)))
    return native
  }

  /** Negotiated with nobody: the remote does not hear of it. */
  #makeGate(native: NativeConnection): DataChannel {
    const gate = this.#keep(native.createDataChannel('', { negotiated: true, id: GATE_ID }), false)
    gate.attach(deaf)
    return gate
  }

  #describe(native: NativeConnection): void {
    const lines = native.localDescription()?.sdp.split('\r\n') ?? []
    const isCandidate = (line: string): boolean => line.startsWith('a=candidate:')
    const sdp = lines.filter((line) => !isCandidate(line) && line !== 'a=end-of-candidates').join('\r\n')
    const told = new Set<string>()
    const tell = (line: string, sdpMid: string): void => {
      const candidate = line.replace(/^a=/, '')
      if (this.#closed || told.has(candidate)) return
      told.add(candidate)
      const json = JSON.stringify({ candidate, sdpMid, sdpMLineIndex: 0 })
      if (this.#held !== undefined) this.#held.push(json)
      else this.#signals.onCandidate(json)
    }
    queueMicrotask(() => {
      if (this.#closed) return
      this.#signals.onDescription(sdp)
      // The library tells of those that come from now on, and not of those that are there already.
      for (const line of lines.filter(isCandidate)) tell(line, '0')
    })
    native.onLocalCandidate(outside(tell))
  }

  #tellHeld(): void {
    clearTimeout(this.#holding)
    const held = this.#held ?? []
    this.#held = undefined
    // Not inside of a call of the engine's.
    for (const json of held)
      queueMicrotask(() => {
        if (!this.#closed) this.#signals.onCandidate(json)
      })
  }

  #step(step: () => void): void {
    if (this.#closed) return
    try {
      step()
    } catch (cause) {
      queueMicrotask(() => {
        if (!this.#closed) this.#signals.onRefused(cause)
      })
    }
  }

  /** The description without candidates that are not looked up. Throws where it is of anything else than data channels. */
  #check(sdp: string): string {
    checkDataOnly(sdp)
    // What is no credential ends the process inside of the library.
    credentialsOfSdp(sdp)
    const lines = sdp.split(/\r?\n/)
    return lines.filter((line) => !line.startsWith('a=candidate:') || this.#admits(line)).join('\r\n')
  }

  /** Whether the address of a candidate is one, or a name that is worth a look-up: `.local` is what pages have instead of addresses. */
  #admits(candidate: string): boolean {
    const address = candidate.split(' ')[4] ?? ''
    if (isIP(address) !== 0) return true
    if (!/^[\w.-]{1,253}$/.test(address) || this.#names >= RTC_MAX_NAMES) return false
    this.#names += 1
    return true
  }

  #keep(native: NativeChannel, open: boolean): DataChannel {
    const channel = new DataChannel(native, open, this)
    this.#channels.add(channel)
    return channel
  }

  #onChannel(native: NativeChannel): void {
    const label = native.getLabel()
    const channel = this.#keep(native, true)
    if (this.#closed) channel.drop(undefined)
    else if (this.#sink !== undefined) this.#sink.onChannel(channel, label)
    else if (this.#early.length <= RTC_MAX_INBOUND) this.#early.push({ channel, label })
    else channel.abort(new TabmeshError('ERR_STREAM_LIMIT', 'the remote opened too many channels before the connection was taken in'))
  }

  #onIceState(state: string): void {
    if (this.#closed || this.#reached || (state !== 'connected' && state !== 'completed')) return
    this.#reached = true
    this.#signals.onReached?.()
  }

  #onState(state: string): void {
    if (state === 'connected') this.#up = true
    if (state === 'connected' && this.#gate !== undefined) return
    if (state === 'connected' || state === 'disconnected' || state === 'failed' || state === 'closed') this.#tell(state)
  }

  #tell(state: RtcState): void {
    if (this.#closed) return
    this.#state = state
    if (state === 'failed' || state === 'closed') {
      this.#closed = true
      this.#closeSoon(CLOSE_TURNS)
    }
    this.#signals.onState(state)
    this.#sink?.onState(state)
  }

  /** When what was on its way to us is here: the rest would be leaked. */
  #closeSoon(turns: number): void {
    const before = this.#messages
    setImmediate(() => {
      // The first turn of a flood may have begun before we looked.
      const full = this.#messages - before >= QUEUE_TURN || (this.#burst > 0 && turns === CLOSE_TURNS)
      if (full && turns > 0) this.#closeSoon(turns - 1)
      else this.#closeNative()
    })
  }

  #closeNative(): void {
    const fault = gone()
    clearTimeout(this.#holding)
    for (const channel of [...this.#channels]) channel.drop(fault)
    this.#native?.close()
    this.#native = undefined
    this.#events?.onClosed()
  }
}

const gone = (): TabmeshError => new TabmeshError('ERR_CONNECTION_CLOSED', 'the peer connection was closed')

const noneLeft = (cause?: unknown): TabmeshError =>
  new TabmeshError('ERR_STREAM_LIMIT', 'the peer connection has no data channel left', cause === undefined ? {} : { cause })

/** Of `init`, which carries nothing. */
const deaf = { onData: () => {}, onEnd: () => {}, onClose: () => {} }
