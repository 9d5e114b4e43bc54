/**
 * mplex over a secure channel: the machine, wired to channels and to the host's clock.
 *
 *   channel below ──bytes──▶ machine ──events──▶ a channel for each stream ──▶ protocols
 *                 ◀─writev── machine ◀─inputs───
 *
 *   open ── close ──▶ closing (queued data, end) ──▶ closed
 *     │ channel ends ──────────────────────────────────▲
 *     └── abort, channel lost, remote at fault ────────┘
 *
 * Output is flushed once for each turn of the engine, in gathered writes, for as long as the channel below gives credit. Its
 * input is released at once, unless the machine is paused: then the channel below holds the remote up.
 *
 * mplex is a chunk of its own, which most pages never load. A copy of TabmeshError in it would be another class, which
 * nothing of the engine would know for one of its errors: so the engine hands in its own, and the machine has plain faults.
 *
 * Bounds: those of the machine; a pause holds MPLEX_RECEIVE_BUFFER back at most, for below there may be nobody who can
 * wait; closing takes MPLEX_CLOSE_TIMEOUT.
 */

import type { TabmeshError } from '../../../errors.ts'
import type { Cancel, Host } from '../../host.ts'
import { MPLEX_CLOSE_TIMEOUT, MPLEX_PULL, MPLEX_RECEIVE_BUFFER } from '../../limits.ts'
import type { Channel, Sink } from '../channel.ts'
import { Inlet } from '../channel.ts'
import type { Muxer, MuxerSink } from '../muxer.ts'
import type { GatherChannel } from '../yamux/muxer.ts'
import type { Fault, MplexEvent, MplexInput } from './machine.ts'
import { Mplex } from './machine.ts'

export const MPLEX = '/mplex/6.7.0'

type ErrorClass = typeof TabmeshError
type Clock = Pick<Host, 'now' | 'after' | 'defer'>

/** The multiplexer, for the list of those that pipes may be given. `EngineError` is the engine's own TabmeshError. */
export const mplexKind = (EngineError: ErrorClass) => ({
  protocol: MPLEX,
  mux: (channel: GatherChannel, _role: 'dialer' | 'listener', host: Clock, { maxWindow }: { readonly maxWindow?: number } = {}): Muxer =>
    new MplexSession(channel, new Mplex(maxWindow === undefined ? {} : { receiveBuffer: maxWindow }), host, EngineError),
})

class MplexSession implements Muxer, Sink {
  readonly protocol = MPLEX
  readonly #below: GatherChannel
  readonly #machine: Mplex
  readonly #host: Clock
  readonly #EngineError: ErrorClass
  readonly #streams = new Map<number, StreamChannel>()
  #sink: MuxerSink | undefined
  #phase: 'open' | 'closing' | 'closed' = 'open'
  #belowEnded = false
  /** Received and not released: the channel below is to wait. */
  #heldBack = 0
  #dispatching = false
  #flushDue = false
  #alarmAt = Number.POSITIVE_INFINITY
  #cancelAlarm: Cancel = () => {}
  #cancelClosing: Cancel = () => {}

  constructor(below: GatherChannel, machine: Mplex, host: Clock, EngineError: ErrorClass) {
    this.#below = below
    this.#machine = machine
    this.#host = host
    this.#EngineError = EngineError
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
    // No stream has this key: whatever is asked of it comes to nothing.
    const channel = new StreamChannel(-1, this)
    channel.inlet.close(this.#error(opened))
    return channel
  }

  close(): void {
    if (this.#phase !== 'open') return
    this.#phase = 'closing'
    this.#closeStreams(this.#closedBy('this side'))
    this.#machine.handle({ t: 'leave' }, this.#host.now())
    this.#letGo()
    this.#cancelClosing = this.#host.after(MPLEX_CLOSE_TIMEOUT, () => this.#finish(undefined, this.#closedBy('this side')))
    this.#schedule()
  }

  abort(fault: TabmeshError): void {
    this.#finish(fault, fault)
  }

  // ── Sink of the channel below ────────────────────────────────────────────────────────────────────────────────

  onData(bytes: Uint8Array): void {
    if (this.#phase === 'closed') return
    this.#heldBack += bytes.length
    this.input({ t: 'bytes', bytes })
  }

  onDrain(): void {
    this.#schedule()
  }

  onEnd(): void {
    if (this.#phase === 'closed') return
    if (!this.#machine.atBoundary) {
      const what = 'the connection ended within a message'
      return this.abort(this.#error({ code: 'ERR_CONNECTION_CLOSED', what, remote: true }))
    }
    // Nothing can come any more, so nothing is worth sending.
    this.#phase = 'closing'
    this.#closeStreams(this.#closedBy('the remote'))
    this.#endBelow()
  }

  onClose(fault?: TabmeshError): void {
    this.#finish(this.#phase === 'closing' ? undefined : fault, undefined)
  }

  // ── for the streams ──────────────────────────────────────────────────────────────────────────────────────────

  credit(key: number): number {
    return this.#machine.credit(key)
  }

  input(input: MplexInput): void {
    this.#machine.handle(input, this.#host.now())
    this.#dispatch()
    this.#letGo()
    this.#schedule()
  }

  /** The stream is given up by our side. */
  drop(channel: StreamChannel, fault: TabmeshError): void {
    this.#streams.delete(channel.key)
    this.input({ t: 'reset', key: channel.key })
    channel.inlet.close(fault)
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

  #onEvent(event: MplexEvent): void {
    switch (event.t) {
      case 'data': {
        const channel = this.#streams.get(event.key)
        if (channel !== undefined) channel.inlet.push(event.bytes)
        // Nobody reads while we close, and nobody is to wait for it.
        else this.#machine.handle({ t: 'release', key: event.key, bytes: event.bytes.length }, this.#host.now())
        return
      }
      case 'drain':
        return this.#streams.get(event.key)?.inlet.drain()
      case 'end':
        return this.#streams.get(event.key)?.inlet.end()
      case 'stream':
        if (this.#phase === 'open') this.#sink?.onStream(this.#track(event.key))
        return
      case 'closed': {
        const channel = this.#streams.get(event.key)
        this.#streams.delete(event.key)
        return channel?.inlet.close(event.fault && this.#error(event.fault))
      }
      case 'fault':
        return this.abort(this.#error(event.fault))
    }
  }

  #track(key: number): StreamChannel {
    const channel = new StreamChannel(key, this)
    this.#streams.set(key, channel)
    return channel
  }

  #error({ code, what, remote }: Fault): TabmeshError {
    return new this.#EngineError(code, what, { remote })
  }

  #closedBy(who: string): TabmeshError {
    return this.#error({ code: 'ERR_CONNECTION_CLOSED', what: `${who} closed the connection`, remote: false })
  }

  // ── input ────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Lets the channel below bring more, unless that should wait, and can. */
  #letGo(): void {
    const bytes = this.#heldBack
    if (bytes === 0 || this.#phase === 'closed') return
    if (this.#phase === 'open' && this.#machine.paused && bytes < MPLEX_RECEIVE_BUFFER) return
    this.#heldBack = 0
    this.#below.release(bytes)
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
    const below = this.#below
    for (let credit = below.credit; credit > 0; credit = below.credit) {
      const chunks = this.#machine.pull(Math.min(credit, MPLEX_PULL), this.#host.now())
      if (chunks === undefined) break
      below.writev(chunks)
      this.#dispatch()
    }
    if (this.#machine.gone) this.#endBelow()
    this.#setAlarm()
  }

  /** Wakes the machine at its deadline. An alarm that turns out too early is set again, rather than moved with each read. */
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
    this.#cancelClosing = this.#host.after(MPLEX_CLOSE_TIMEOUT, () => this.#finish(undefined, this.#closedBy('this side')))
    this.#below.end()
  }

  /** `fault` is what the sink is told; `abort`, if any, ends the channel below at once. */
  #finish(fault: TabmeshError | undefined, abort: TabmeshError | undefined): void {
    this.#cancelClosing()
    if (this.#phase === 'closed') return
    this.#phase = 'closed'
    this.#cancelAlarm()
    if (abort !== undefined) this.#below.abort(abort)
    this.#closeStreams(fault ?? this.#closedBy('the remote'))
    this.#sink?.onClose(fault)
  }
}

class StreamChannel implements Channel {
  readonly key: number
  readonly inlet = new Inlet()
  readonly #session: MplexSession

  constructor(key: number, session: MplexSession) {
    this.key = key
    this.#session = session
  }

  get credit(): number {
    return this.#session.credit(this.key)
  }

  write(bytes: Uint8Array): void {
    if (!this.inlet.closed) this.#session.input({ t: 'write', key: this.key, bytes })
  }

  end(): void {
    if (!this.inlet.closed) this.#session.input({ t: 'end', key: this.key })
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
    this.#session.input({ t: 'release', key: this.key, bytes })
  }
}
