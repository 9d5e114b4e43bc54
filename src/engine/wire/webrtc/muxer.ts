/**
 * WebRTC as a Muxer: one data channel for each stream (specs: webrtc/README.md, webrtc/webrtc.md).
 *
 *   rtc ── onChannel ──▶ StreamChannel ──▶ sink.onStream        the channel labelled 'init' carries no stream
 *   open() ──▶ rtc.openChannel ──▶ StreamChannel
 *
 *   open ── close() ──▶ closing ── last FIN_ACK, or RTC_CLOSE_TIMEOUT ──▶ closed
 *     └────── abort(), connection failed or closed ─────────────────────────┘
 *
 * Bounds: RTC_MAX_INBOUND streams of the remote; the bytes that streams hold in flow.ts, which also covers all of them
 * together; one `init` channel is left to the remote to close, and what comes on it is dropped.
 */

import { remoteFault, TabmeshError } from '../../../errors.ts'
import type { Cancel, Host } from '../../host.ts'
import {
  RTC_CAUTIOUS_MESSAGE,
  RTC_CLOSE_TIMEOUT,
  RTC_DRAIN_POLL,
  RTC_FIN_ACK_BRIEF,
  RTC_FIN_ACK_TIMEOUT,
  RTC_MAX_INBOUND,
  RTC_MAX_MESSAGE,
  RTC_SEND_TOTAL,
  RTC_TRICKLE,
  RTC_TRICKLE_AWAY,
  RTC_TRICKLE_AWAY_MAX,
  RTC_TRICKLE_BYTES,
  RTC_TRICKLE_MAX,
} from '../../limits.ts'
import type { Channel } from '../channel.ts'
import { closedChannel } from '../channel.ts'
import type { Muxer, MuxerSink } from '../muxer.ts'
import { type Budget, type NodeBudget, nodeBudget } from './flow.ts'
import { controlFrame, RESET } from './framing.ts'
import type { RtcChannels, RtcSink, RtcState } from './rtc.ts'
import { INIT_LABEL } from './rtc.ts'
import type { Habits } from './stream.ts'
import { RtcStream } from './stream.ts'
import type { StreamOwner } from './stream-channel.ts'
import { StreamChannel } from './stream-channel.ts'

export interface WebrtcMuxerOptions {
  /** Milliseconds to wait for FIN_ACK before a data channel is closed without it; RTC_FIN_ACK_TIMEOUT if absent. */
  readonly finAckTimeout?: number
  /** Streams that the remote may hold open; RTC_MAX_INBOUND if absent. */
  readonly maxInbound?: number
  /** What it shares with the node's other WebRTC connections; that of `host` if absent. */
  readonly node?: NodeBudget
  /** Which implementation the remote says it is, asked until it is known: when the connection begins, identify has not run. */
  agent?(): string | undefined
  /** Hears every state first; true where it is taken care of, so that 'failed' need not be the end. */
  onState?(state: RtcState): boolean
  /** Something was sent, the first since the remote was last heard. */
  onSpeak?(): void
}

export interface WebrtcMuxer extends Muxer {
  /** Tells which implementation the remote says it is (identify's agentVersion), so that its habits are met. */
  remoteAgent(agent: string): void
  /** When something last came from the remote. */
  readonly heardAt: number
  /** Since when what was sent has had no answer at all; undefined where nothing was sent since the remote was last heard. */
  readonly spokeAt: number | undefined
  /**
   * The network is away, or there again. Until the remote is heard what is sent is held back but for a few small messages: it would be lost,
   * fill SCTP's window, and SCTP would wait up to 3 s (Chromium) before it tries again, however long the network has been there.
   */
  network(online: boolean): void
}

export const webrtcMuxer = (rtc: RtcChannels, host: Pick<Host, 'now' | 'after' | 'defer'>, options: WebrtcMuxerOptions = {}): WebrtcMuxer =>
  new RtcMuxer(rtc, host, options)

class RtcMuxer implements WebrtcMuxer, RtcSink, StreamOwner {
  readonly protocol = '/webrtc'
  readonly #rtc: RtcChannels
  readonly #host: Pick<Host, 'now' | 'after' | 'defer'>
  readonly #maxInbound: number
  readonly #habits: Habits
  /** Undefined once it has answered. */
  #agent: (() => string | undefined) | undefined
  readonly #budget: Budget
  readonly #onState: ((state: RtcState) => boolean) | undefined
  readonly #onSpeak: (() => void) | undefined
  heardAt = 0
  spokeAt: number | undefined
  /** While things are held back: since when, how many small messages may still go, and how much now. */
  #held: { readonly since: number; left: number; room: number } | undefined
  #cancelHeld: Cancel = () => {}
  #shedding = false
  readonly #streams = new Set<StreamChannel>()
  #inbound = 0
  #sink: MuxerSink | undefined
  #state: 'open' | 'closing' | 'closed' = 'open'
  #initSeen = false
  /** Streams to flush at the end of the turn. */
  #due: StreamChannel[] = []
  #deferred = false
  /** Streams whose data channels hold bytes that are not on their way yet, and those that wait for room. */
  readonly #unsent = new Set<StreamChannel>()
  readonly #blocked = new Set<StreamChannel>()
  #cancelPoll: Cancel | undefined
  #hurried = false
  readonly #flushAll = (): void => this.#flush()
  /** The earliest deadline that the timer is set for. */
  #alarmAt = Number.POSITIVE_INFINITY
  #cancelAlarm: Cancel = () => {}
  #cancelClose: Cancel = () => {}

  constructor(rtc: RtcChannels, host: Pick<Host, 'now' | 'after' | 'defer'>, options: WebrtcMuxerOptions) {
    this.#rtc = rtc
    this.#host = host
    this.#maxInbound = options.maxInbound ?? RTC_MAX_INBOUND
    this.#agent = options.agent
    this.#onState = options.onState
    this.#onSpeak = options.onSpeak
    this.#budget = { unread: 0, granted: 0, node: options.node ?? nodeBudget(host), shed: () => this.#shed() }
    this.#habits = { finAckTimeout: options.finAckTimeout ?? RTC_FIN_ACK_TIMEOUT, finAck: true, maxMessage: RTC_CAUTIOUS_MESSAGE }
  }

  // ── Muxer ──

  attach(sink: MuxerSink): void {
    if (this.#sink !== undefined) throw new TabmeshError('ERR_INTERNAL', 'a muxer has one sink')
    this.#sink = sink
    this.#budget.node.enter(this.#budget)
    this.#rtc.attach(this)
  }

  open(): Channel {
    if (this.#state !== 'open') return closedChannel(gone())
    const stream = this.#add(this.#rtc.openChannel(), false)
    stream.start()
    return stream
  }

  close(): void {
    if (this.#state !== 'open') return
    // What was written and ended leaves now, whatever room there is: nobody comes back to it.
    this.#hurried = true
    for (const stream of this.#streams) this.schedule(stream)
    while (this.#due.length > 0) this.#flush()
    this.#state = 'closing'
    for (const stream of [...this.#streams]) stream.handle({ t: 'retire', fault: gone() })
    this.#flush()
    if (this.#streams.size === 0) return this.#finish(undefined)
    this.#cancelClose = this.#host.after(RTC_CLOSE_TIMEOUT, () => this.#finish(undefined))
  }

  abort(fault: TabmeshError): void {
    this.#finish(fault)
  }

  remoteAgent(agent: string): void {
    this.#agent = undefined
    if (/^(tabmesh|js-libp2p|rust-libp2p)\//.test(agent)) this.#habits.maxMessage = RTC_MAX_MESSAGE
    if (!agent.startsWith('rust-libp2p')) return
    this.#habits.finAck = false
    this.#habits.finAckTimeout = Math.min(this.#habits.finAckTimeout, RTC_FIN_ACK_BRIEF)
  }

  // ── RtcSink ──

  onChannel(channel: Channel, label: string): void {
    if (label === INIT_LABEL) return this.#onInit(channel)
    if (this.#state !== 'open' || this.#inbound >= this.#maxInbound) return refuse(channel)
    const stream = this.#add(channel, true)
    stream.start()
    // It may have been reset already, in the messages that waited.
    if (!stream.over) this.#sink?.onStream(stream)
  }

  onState(state: RtcState): void {
    if (this.#state === 'closed' || this.#onState?.(state) === true) return
    if (state === 'failed') this.#finish(new TabmeshError('ERR_CONNECTION_CLOSED', 'the path to the peer broke'))
    else if (state === 'closed') this.#finish(undefined)
  }

  /** Its opener closes it; js and browsers reuse its id once that is done, so it is not held open from here. */
  #onInit(channel: Channel): void {
    if (this.#initSeen || this.#state !== 'open') return refuse(channel)
    this.#initSeen = true
    discard(channel)
  }

  // ── StreamOwner ──

  now(): number {
    return this.#host.now()
  }

  get room(): number {
    if (this.#hurried) return Number.POSITIVE_INFINITY
    if (this.#held !== undefined) return this.#held.room
    let unsent = 0
    for (const stream of this.#unsent) {
      const bytes = stream.unsent
      if (bytes > 0) unsent += bytes
      else this.#unsent.delete(stream)
    }
    return RTC_SEND_TOTAL - unsent
  }

  heard(): void {
    this.heardAt = this.#host.now()
    this.spokeAt = undefined
    if (this.#held !== undefined && this.heardAt >= this.#held.since) this.#letGo()
  }

  network(online: boolean): void {
    if (this.#state !== 'open' || (online && this.#held === undefined)) return
    this.#cancelHeld()
    const every = online ? RTC_TRICKLE : RTC_TRICKLE_AWAY
    // What was on its way when the network went is no sign that it is there.
    const held = {
      since: this.#host.now() + (online ? 0 : RTC_TRICKLE_AWAY),
      left: online ? RTC_TRICKLE_MAX : RTC_TRICKLE_AWAY_MAX,
      room: 0,
    }
    this.#held = held
    const trickle = (): void => {
      if (held.left === 0) return online ? this.#letGo() : undefined
      held.left -= 1
      held.room = RTC_TRICKLE_BYTES
      this.#cancelHeld = this.#host.after(every, trickle)
      this.drained()
    }
    this.#cancelHeld = this.#host.after(online ? 0 : every, trickle)
  }

  #letGo(): void {
    this.#held = undefined
    this.#cancelHeld()
    this.drained()
  }

  queued(stream: StreamChannel): void {
    if (this.#held !== undefined) this.#held.room = 0
    if (this.spokeAt === undefined) {
      this.spokeAt = this.#host.now()
      this.#onSpeak?.()
    }
    if (this.#streams.has(stream)) this.#unsent.add(stream)
  }

  block(stream: StreamChannel): void {
    this.#blocked.add(stream)
    if (this.#held !== undefined) return
    this.#cancelPoll ??= this.#host.after(RTC_DRAIN_POLL, () => {
      this.#cancelPoll = undefined
      this.drained()
    })
  }

  /** In the order in which they came to wait: each has its turn. */
  drained(): void {
    if (this.#blocked.size === 0) return
    const blocked = [...this.#blocked]
    this.#blocked.clear()
    for (const stream of blocked) this.schedule(stream)
  }

  schedule(stream: StreamChannel): void {
    if (stream.scheduled) return
    stream.scheduled = true
    this.#due.push(stream)
    if (this.#deferred) return
    this.#deferred = true
    this.#host.defer(this.#flushAll)
  }

  alarm(stream: StreamChannel): void {
    const at = stream.deadline
    if (at === undefined || at >= this.#alarmAt || this.#state === 'closed') return
    this.#cancelAlarm()
    this.#alarmAt = at
    this.#cancelAlarm = this.#host.after(Math.max(0, at - this.#host.now()), () => this.#onAlarm())
  }

  forget(stream: StreamChannel): void {
    this.#unsent.delete(stream)
    this.#blocked.delete(stream)
    if (!this.#streams.delete(stream)) return
    if (stream.inbound) this.#inbound--
    if (this.#state === 'closing' && this.#streams.size === 0) this.#host.defer(() => this.#finish(undefined))
  }

  // ── inside ──

  #add(channel: Channel, inbound: boolean): StreamChannel {
    const agent = this.#agent?.()
    if (agent !== undefined) this.remoteAgent(agent)
    const stream = new StreamChannel(this, channel, new RtcStream(this.#budget, this.#habits), inbound)
    this.#streams.add(stream)
    if (inbound) this.#inbound++
    return stream
  }

  #flush(): void {
    this.#deferred = false
    const due = this.#due
    this.#due = []
    for (const stream of due) {
      stream.scheduled = false
      stream.flush()
    }
  }

  /** The node holds too much, and this connection the most of it: called from within a stream, so that it waits for the end of the turn. */
  #shed(): void {
    if (this.#shedding) return
    this.#shedding = true
    this.#host.defer(() => {
      this.#shedding = false
      let fullest: StreamChannel | undefined
      for (const stream of this.#streams) if (fullest === undefined || stream.unread > fullest.unread) fullest = stream
      const { unread, max } = this.#budget.node
      if (unread <= max) return
      const fault = remoteFault('ERR_STREAM_OVERFLOW', `${max} bytes wait to be read on all WebRTC connections`)
      // Streams that are over may be what holds it all; they go with the connection only.
      if (fullest === undefined || fullest.unread === 0) this.#finish(fault)
      else fullest.handle({ t: 'abort', fault })
    })
  }

  /** One timer for all: an alarm that was answered in time is not called off, it finds nothing to do. */
  #onAlarm(): void {
    this.#alarmAt = Number.POSITIVE_INFINITY
    const now = this.#host.now()
    for (const stream of [...this.#streams]) {
      if (stream.deadline !== undefined && stream.deadline <= now) stream.handle({ t: 'time' })
      if (!stream.over) this.alarm(stream)
    }
  }

  #finish(fault: TabmeshError | undefined): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#cancelAlarm()
    this.#cancelClose()
    this.#cancelPoll?.()
    this.#cancelHeld()
    this.#budget.node.leave(this.#budget)
    for (const stream of [...this.#streams]) stream.handle({ t: 'gone', fault: fault ?? gone() })
    this.#due = []
    this.#rtc.close()
    this.#sink?.onClose(fault)
  }
}

const gone = (): TabmeshError => new TabmeshError('ERR_CONNECTION_CLOSED', 'the WebRTC connection was closed')

/** Resets a channel that can't become a stream. */
const refuse = (channel: Channel): void => {
  discard(channel)
  channel.write(controlFrame(RESET))
  channel.end()
}

/** Reads a channel to nowhere, so that nothing piles up in it. */
const discard = (channel: Channel): void =>
  channel.attach({
    onData: (bytes) => channel.release(bytes.length),
    onEnd: () => {},
    onClose: () => {},
  })
