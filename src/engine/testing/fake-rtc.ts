/**
 * Two peer connections that are each other's remote, in virtual time: what RTCPeerConnection is to the WebRTC muxer.
 *
 * As in a browser: messages keep their boundaries and order, `bufferedAmount` falls as the path carries them, a channel
 * arrives at the remote before its first message, and closing sends what is queued first.
 */

import { TabmeshError } from '../../errors.ts'
import type { Cancel, Host } from '../host.ts'
import { RTC_SEND_BUFFER } from '../limits.ts'
import { type Channel, Inlet, type Sink } from '../wire/channel.ts'
import type { RtcChannels, RtcSink, RtcState } from '../wire/webrtc/rtc.ts'

/** A clock that only moves when told, and runs what was deferred after each task, as a host does. */
export class FakeClock implements Pick<Host, 'now' | 'after' | 'defer'> {
  #now = 0
  #order = 0
  #tasks: { at: number; order: number; run: () => void }[] = []
  #deferred: (() => void)[] = []

  now(): number {
    return this.#now
  }

  after(ms: number, run: () => void): Cancel {
    const task = { at: this.#now + ms, order: this.#order++, run }
    // Most tasks come in order, so the place is found from the back.
    let place = this.#tasks.length
    while (place > 0 && (this.#tasks[place - 1] as { at: number }).at > task.at) place--
    this.#tasks.splice(place, 0, task)
    return () => {
      const at = this.#tasks.indexOf(task)
      if (at >= 0) this.#tasks.splice(at, 1)
    }
  }

  defer(run: () => void): void {
    this.#deferred.push(run)
  }

  /** Runs `turn` as one call from outside, then all that follows within `ms` milliseconds. */
  run(ms: number, turn: () => void = () => {}): void {
    const until = this.#now + ms
    this.#turn(turn)
    for (let task = this.#tasks[0]; task !== undefined && task.at <= until; task = this.#tasks[0]) {
      this.#tasks.shift()
      this.#now = task.at
      this.#turn(task.run)
    }
    this.#now = until
  }

  /** Timers and messages under way. */
  get waiting(): number {
    return this.#tasks.length
  }

  #turn(run: () => void): void {
    run()
    for (let next = this.#deferred.shift(); next !== undefined; next = this.#deferred.shift()) next()
  }
}

export interface FakePath {
  /** Milliseconds each way. */
  readonly latency?: number
  /** What the path carries each way, all channels together; without end if absent. */
  readonly bytesPerMs?: number
}

export class FakeRtc implements RtcChannels {
  readonly clock: Pick<Host, 'now' | 'after'>
  readonly path: FakePath
  remote: FakeRtc | undefined
  /** Every channel that either side opened and that is open still, as this side sees it. */
  readonly channels = new Set<FakeDataChannel>()
  /** All messages sent by this side, for tests that look at the wire. */
  readonly sent: Uint8Array[] = []
  keepSent = false
  bytesSent = 0
  messagesSent = 0
  closed = false
  /** When the path is free for the next message. */
  freeAt = 0
  /** What waits for a path that is broken, as SCTP sends it again when there is one; undefined while there is. */
  #held: (() => void)[] | undefined
  #sink: RtcSink | undefined
  #early: [Channel, string][] = []
  #zero: FakeDataChannel | undefined

  constructor(clock: Pick<Host, 'now' | 'after'>, path: FakePath) {
    this.clock = clock
    this.path = path
  }

  attach(sink: RtcSink): void {
    this.#sink = sink
    for (const [channel, label] of this.#early.splice(0)) sink.onChannel(channel, label)
  }

  openChannel(label = ''): FakeDataChannel {
    const near = new FakeDataChannel(this)
    if (this.closed || this.remote === undefined) {
      near.lose(new TabmeshError('ERR_CONNECTION_CLOSED', 'the peer connection is closed'))
      return near
    }
    const far = new FakeDataChannel(this.remote)
    near.far = far
    far.far = near
    this.channels.add(near)
    const remote = this.remote
    this.carry(0, () => {
      if (remote.closed) return
      remote.channels.add(far)
      if (remote.#sink === undefined) remote.#early.push([far, label])
      else remote.#sink.onChannel(far, label)
    })
    return near
  }

  /** Channel 0 of a negotiated pair: announced to nobody, and there on both sides. */
  negotiated(): FakeDataChannel {
    this.#zero ??= new FakeDataChannel(this)
    return this.#zero
  }

  /** What is written on channel 0 before there is a remote is lost: make both first. */
  static negotiate(one: FakeRtc, other: FakeRtc): void {
    const [near, far] = [one.negotiated(), other.negotiated()]
    near.far = far
    far.far = near
    one.channels.add(near)
    other.channels.add(far)
  }

  close(): void {
    if (this.closed) return
    this.closed = true
    this.#zero?.lose(undefined)
    for (const channel of [...this.channels]) channel.lose(undefined)
    this.carry(0, () => this.remote?.lost('closed'))
  }

  /** The path is gone, or the remote closed. */
  lost(state: 'failed' | 'closed'): void {
    if (this.closed) return
    this.closed = true
    this.#sink?.onState(state)
    for (const channel of [...this.channels]) channel.lose(undefined)
  }

  /** As the platform tells of a path that comes and goes. */
  tell(state: RtcState): void {
    this.#sink?.onState(state)
  }

  /** From now on nothing that this side sends arrives, until `whole`. */
  broken(): void {
    this.#held ??= []
  }

  whole(): void {
    const held = this.#held ?? []
    this.#held = undefined
    for (const send of held) send()
  }

  /** Runs `arrive` at the remote when the path has carried `bytes`. */
  carry(bytes: number, arrive: () => void, left: () => void = () => {}): void {
    if (this.#held !== undefined) return void this.#held.push(() => this.carry(bytes, arrive, left))
    const now = this.clock.now()
    const start = Math.max(now, this.freeAt)
    this.freeAt = start + (this.path.bytesPerMs === undefined ? 0 : bytes / this.path.bytesPerMs)
    this.clock.after(this.freeAt - now, left)
    this.clock.after(this.freeAt - now + (this.path.latency ?? 0), arrive)
  }
}

export class FakeDataChannel implements Channel {
  far: FakeDataChannel | undefined
  buffered = 0
  readonly #rtc: FakeRtc
  readonly #inlet = new Inlet()
  #state: 'open' | 'closing' | 'closed' = 'open'

  constructor(rtc: FakeRtc) {
    this.#rtc = rtc
  }

  get credit(): number {
    return RTC_SEND_BUFFER - this.buffered
  }

  write(bytes: Uint8Array): void {
    if (this.#state !== 'open') return
    const rtc = this.#rtc
    this.buffered += bytes.length
    rtc.bytesSent += bytes.length
    rtc.messagesSent++
    if (rtc.keepSent) rtc.sent.push(bytes)
    rtc.carry(
      bytes.length,
      () => this.far?.receive(bytes),
      () => {
        const full = this.credit <= 0
        this.buffered -= bytes.length
        if (full && this.credit > 0) this.#inlet.drain()
      },
    )
  }

  receive(bytes: Uint8Array): void {
    if (this.#state === 'open') this.#inlet.push(bytes)
  }

  end(): void {
    if (this.#state !== 'open') return
    this.#state = 'closing'
    this.#rtc.carry(0, () => {
      this.far?.lose(undefined)
      this.lose(undefined)
    })
  }

  abort(fault: TabmeshError): void {
    this.#inlet.close(fault)
    this.end()
  }

  lose(fault: TabmeshError | undefined): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#rtc.channels.delete(this)
    this.#inlet.close(fault)
  }

  attach(sink: Sink): void {
    this.#inlet.attach(sink)
  }

  detach(rest?: Uint8Array): void {
    this.#inlet.detach(rest)
  }

  release(): void {
    // SCTP has no credit of ours.
  }
}

export const fakeRtcPair = (clock: FakeClock, path: FakePath = {}): [FakeRtc, FakeRtc] => {
  const one = new FakeRtc(clock, path)
  const other = new FakeRtc(clock, path)
  one.remote = other
  other.remote = one
  return [one, other]
}
