/**
 * yamux over a secure channel: the machine, wired to channels and to the host's clock.
 *
 *   channel below ──bytes──▶ machine ──events──▶ a channel for each stream ──▶ protocols
 *                 ◀─writev── machine ◀─inputs───
 *
 *   open ── close ──▶ closing (queued data, go-away, end) ──▶ closed
 *     │ remote goes, channel ends ──────────────────────────────▲
 *     └── abort, channel lost, remote at fault ─────────────────┘
 *
 * Output is flushed once for each turn of the engine, in gathered writes, for as long as the channel below gives credit.
 * Its input is released at once: streams have windows of their own.
 *
 * Bounds: those of the machine; closing takes YAMUX_CLOSE_TIMEOUT, telling the remote its fault YAMUX_GO_AWAY_TIMEOUT.
 */

import { remoteFault, TabmeshError } from '../../../errors.ts'
import type { Cancel, Host } from '../../host.ts'
import { YAMUX_CLOSE_TIMEOUT, YAMUX_GO_AWAY_TIMEOUT, YAMUX_PULL } from '../../limits.ts'
import type { Channel, Sink } from '../channel.ts'
import { Inlet } from '../channel.ts'
import type { Muxer, MuxerSink } from '../muxer.ts'
import { describeGoAway, GO_AWAY_NORMAL, resetCode } from './codes.ts'
import type { YamuxEvent, YamuxInput } from './events.ts'
import type { YamuxOptions, YamuxRole } from './machine.ts'
import { Yamux } from './machine.ts'

/** The channel below: it gathers chunks itself, so that a header and its body go out together without a copy. */
export interface GatherChannel extends Channel {
  writev(chunks: readonly Uint8Array[]): void
}

export interface YamuxMuxer extends Muxer {
  /** The round trip in milliseconds, once a ping was answered. */
  readonly rtt: number | undefined
}

type Clock = Pick<Host, 'now' | 'after' | 'defer'>

/** `role` is that of the connection: who dialled it. */
export const yamux = (channel: GatherChannel, role: YamuxRole, host: Clock, options: Omit<YamuxOptions, 'role'> = {}): YamuxMuxer =>
  new YamuxSession(channel, new Yamux({ ...options, role }), host)

const closedBy = (who: string): TabmeshError => new TabmeshError('ERR_CONNECTION_CLOSED', `${who} closed the connection`)

class YamuxSession implements YamuxMuxer, Sink {
  readonly protocol = '/yamux/1.0.0'
  readonly #below: GatherChannel
  readonly #machine: Yamux
  readonly #host: Clock
  readonly #streams = new Map<number, StreamChannel>()
  #sink: MuxerSink | undefined
  #phase: 'open' | 'closing' | 'closed' = 'open'
  /** The remote said that it goes. */
  #remoteLeft = false
  #belowEnded = false
  #dispatching = false
  #flushDue = false
  #alarmAt = Number.POSITIVE_INFINITY
  #cancelAlarm: Cancel = () => {}
  #cancelClosing: Cancel = () => {}

  constructor(below: GatherChannel, machine: Yamux, host: Clock) {
    this.#below = below
    this.#machine = machine
    this.#host = host
  }

  get rtt(): number | undefined {
    return this.#machine.rtt
  }

  get heardAt(): number | undefined {
    return this.#machine.heardAt
  }

  // ── Muxer ────────────────────────────────────────────────────────────────────────────────────────────────────

  attach(sink: MuxerSink): void {
    this.#sink = sink
    this.#below.attach(this)
    this.#schedule()
  }

  open(): Channel {
    const opened = this.#machine.open()
    if (typeof opened === 'number') {
      const channel = this.#track(opened)
      this.#schedule()
      return channel
    }
    // Id 0 is no stream's: whatever is asked of it comes to nothing.
    const channel = new StreamChannel(0, this)
    channel.inlet.close(opened)
    return channel
  }

  close(): void {
    if (this.#phase !== 'open') return
    this.#phase = 'closing'
    this.#closeStreams(closedBy('this side'))
    this.#machine.handle({ t: 'goAway', code: GO_AWAY_NORMAL }, this.#host.now())
    this.#cancelClosing = this.#host.after(YAMUX_CLOSE_TIMEOUT, () => this.#finish(undefined, closedBy('this side')))
    this.#schedule()
  }

  abort(fault: TabmeshError): void {
    this.#finish(fault, fault)
  }

  // ── Sink of the channel below ────────────────────────────────────────────────────────────────────────────────

  onData(bytes: Uint8Array): void {
    if (this.#phase === 'closed') return
    this.input({ t: 'bytes', bytes })
    this.#below.release(bytes.length)
  }

  onDrain(): void {
    this.#schedule()
  }

  onEnd(): void {
    if (this.#phase === 'closed') return
    if (!this.#machine.atBoundary) return this.abort(remoteFault('ERR_CONNECTION_CLOSED', 'the connection ended within a frame'))
    // go sends no go-away when all is well. Nothing can come any more, so nothing is worth sending.
    this.#phase = 'closing'
    this.#closeStreams(closedBy('the remote'))
    this.#endBelow()
  }

  onClose(fault?: TabmeshError): void {
    const inOrder = this.#phase === 'closing' || this.#remoteLeft
    this.#finish(inOrder ? undefined : fault, undefined)
  }

  // ── for the streams ──────────────────────────────────────────────────────────────────────────────────────────

  credit(id: number): number {
    return this.#machine.credit(id)
  }

  input(input: YamuxInput): void {
    this.#machine.handle(input, this.#host.now())
    this.#dispatch()
    this.#schedule()
  }

  /** The stream is given up by our side. */
  drop(channel: StreamChannel, fault: TabmeshError): void {
    this.#streams.delete(channel.id)
    this.input({ t: 'reset', id: channel.id, code: resetCode(fault) })
    channel.inlet.close(fault)
    this.#closeIfDeserted()
  }

  // ── events ───────────────────────────────────────────────────────────────────────────────────────────────────

  /** Hands on what the machine has to tell. What readers do meanwhile is told in its turn, not in the middle. */
  #dispatch(): void {
    if (this.#dispatching) return
    this.#dispatching = true
    try {
      for (let event = this.#machine.poll(); event !== undefined; event = this.#machine.poll()) this.#onEvent(event)
    } finally {
      this.#dispatching = false
    }
  }

  #onEvent(event: YamuxEvent): void {
    switch (event.t) {
      case 'data': {
        const channel = this.#streams.get(event.id)
        if (channel !== undefined) channel.inlet.push(event.bytes)
        // Nobody reads while we close, but the remote must not stall before it hears of it.
        else this.#machine.handle({ t: 'release', id: event.id, bytes: event.bytes.length }, this.#host.now())
        return
      }
      case 'drain':
        return this.#streams.get(event.id)?.inlet.drain()
      case 'end':
        return this.#streams.get(event.id)?.inlet.end()
      case 'stream':
        if (this.#phase === 'open') this.#sink?.onStream(this.#track(event.id))
        return
      case 'closed': {
        const channel = this.#streams.get(event.id)
        this.#streams.delete(event.id)
        channel?.inlet.close(event.fault)
        return this.#closeIfDeserted()
      }
      case 'goAway': {
        if (event.code !== GO_AWAY_NORMAL) {
          return this.abort(remoteFault('ERR_CONNECTION_CLOSED', `the remote gave the connection up (${describeGoAway(event.code)})`))
        }
        this.#remoteLeft = true
        return this.#closeIfDeserted()
      }
      case 'fault':
        return this.#refuse(event.error)
      case 'pong':
        return
    }
  }

  #track(id: number): StreamChannel {
    const channel = new StreamChannel(id, this)
    this.#streams.set(id, channel)
    return channel
  }

  /** Once the remote goes and its last stream is over, nothing keeps the connection. */
  #closeIfDeserted(): void {
    if (this.#remoteLeft && this.#streams.size === 0) this.close()
  }

  // ── output ───────────────────────────────────────────────────────────────────────────────────────────────────

  #schedule(): void {
    if (this.#flushDue || this.#phase === 'closed' || this.#sink === undefined) return
    this.#flushDue = true
    this.#host.defer(this.#flush)
  }

  readonly #flush = (): void => {
    this.#flushDue = false
    if (this.#phase === 'closed' || this.#belowEnded) return
    for (let credit = this.#below.credit; credit > 0; credit = this.#below.credit) {
      const chunks = this.#machine.pull(Math.min(credit, YAMUX_PULL), this.#host.now())
      if (chunks === undefined) break
      this.#below.writev(chunks)
      this.#dispatch()
    }
    if (this.#machine.gone) this.#endBelow()
    this.#setAlarm()
  }

  /** Wakes the machine at its deadline. An alarm that turns out too early is set again, rather than moved with each ping. */
  #setAlarm(): void {
    const at = this.#machine.deadline
    if (at === undefined || at >= this.#alarmAt) return
    this.#cancelAlarm()
    this.#alarmAt = at
    this.#cancelAlarm = this.#host.after(Math.max(0, at - this.#host.now()), () => {
      this.#alarmAt = Number.POSITIVE_INFINITY
      this.input({ t: 'wake' })
      this.#setAlarm()
    })
  }

  // ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────

  #closeStreams(fault: TabmeshError): void {
    const channels = [...this.#streams.values()]
    this.#streams.clear()
    for (const channel of channels) channel.inlet.close(fault)
  }

  /** All is said: the remote should end its side too, but is not waited for for ever. */
  #endBelow(): void {
    if (this.#belowEnded) return
    this.#belowEnded = true
    this.#cancelClosing()
    this.#cancelClosing = this.#host.after(YAMUX_CLOSE_TIMEOUT, () => this.#finish(undefined, closedBy('this side')))
    this.#below.end()
  }

  /** The remote broke the rules, or is silent: it is told why, if there is something to tell and it listens. */
  #refuse(fault: TabmeshError): void {
    const goAway = this.#machine.pull(YAMUX_PULL, this.#host.now())
    if (goAway === undefined || this.#belowEnded) return this.#finish(fault, fault)
    this.#finish(fault, undefined)
    this.#cancelClosing = this.#host.after(YAMUX_GO_AWAY_TIMEOUT, () => this.#below.abort(fault))
    this.#below.writev(goAway)
    this.#below.end()
  }

  /** `fault` is what the sink is told; `abort`, if any, ends the channel below at once. */
  #finish(fault: TabmeshError | undefined, abort: TabmeshError | undefined): void {
    this.#cancelClosing()
    if (this.#phase === 'closed') return
    this.#phase = 'closed'
    this.#cancelAlarm()
    if (abort !== undefined) this.#below.abort(abort)
    this.#closeStreams(fault ?? closedBy('the remote'))
    this.#sink?.onClose(fault)
  }
}

class StreamChannel implements Channel {
  readonly id: number
  readonly inlet = new Inlet()
  readonly #session: YamuxSession

  constructor(id: number, session: YamuxSession) {
    this.id = id
    this.#session = session
  }

  get credit(): number {
    return this.#session.credit(this.id)
  }

  write(bytes: Uint8Array): void {
    if (!this.inlet.closed) this.#session.input({ t: 'write', id: this.id, bytes })
  }

  end(): void {
    if (!this.inlet.closed) this.#session.input({ t: 'end', id: this.id })
  }

  abort(fault: TabmeshError): void {
    this.#session.drop(this, fault)
  }

  attach(sink: Sink): void {
    this.inlet.attach(sink)
  }

  detach(rest?: Uint8Array): void {
    this.inlet.detach(rest)
  }

  release(bytes: number): void {
    this.#session.input({ t: 'release', id: this.id, bytes })
  }
}
