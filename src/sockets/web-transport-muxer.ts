/**
 * A WebTransport session as a Muxer: each of its bidirectional streams is a channel
 * (https://github.com/libp2p/specs/blob/master/webtransport/README.md, https://www.w3.org/TR/webtransport/).
 *
 *   connecting ──▶ open ── close(): streams get WT_CLOSE_TIMEOUT to send what was written ──▶ closed
 *        │           └──── abort(), the remote's close, a lost connection ─────────────────▶ closed
 *        └─ refused, nothing there, a certificate of another hash ────────────────────────▶ closed
 *
 * Streams are opened while the session still connects: the browser holds them until it is there. In Chromium a tab dies when a
 * stream is aborted and its session closed in one task, so a close waits until the aborts before it are done.
 *
 * Bounds: WT_MAX_INBOUND streams that the remote may hold open, WT_MAX_OPENING that we wait for. Unidirectional streams and
 * datagrams, which libp2p has no use for, are not read: the browser stops the first by flow control and drops the others.
 */

import type { Cancel, Host } from '../engine/host.ts'
import { WT_CLOSE_TIMEOUT, WT_MAX_INBOUND, WT_MAX_OPENING, WT_OPEN_RETRY } from '../engine/limits.ts'
import type { Channel } from '../engine/wire/channel.ts'
import { closedChannel } from '../engine/wire/channel.ts'
import type { Muxer, MuxerSink } from '../engine/wire/muxer.ts'
import { TabmeshError } from '../errors.ts'
import type { StreamHalves, StreamOwner } from './web-stream-channel.ts'
import { WebStreamChannel } from './web-stream-channel.ts'

/** What is used of the platform's class. */
export type Session = Pick<WebTransport, 'ready' | 'closed' | 'incomingBidirectionalStreams' | 'createBidirectionalStream' | 'close'>

export class WebTransportMuxer implements Muxer, StreamOwner {
  readonly protocol = '/webtransport'
  readonly #session: Session
  readonly #url: string
  readonly #host: Pick<Host, 'after'>
  readonly #streams = new Set<WebStreamChannel>()
  #inbound = 0
  /** Streams that the browser is asked for, and behind them those that it refused or was not asked for yet. */
  #asked = 0
  #waiting: WebStreamChannel[] = []
  #retry: Cancel | undefined
  /** Resets that are not done. */
  #resetting = 0
  #sink: MuxerSink | undefined
  #state: 'open' | 'closing' | 'closed' = 'open'
  #ready = false
  /** Why it closed; none when it was in order. */
  #fault: TabmeshError | undefined
  /** The session was told to close, or is over: its streams must not be touched. */
  #left = false
  #timer: Cancel | undefined

  constructor(session: Session, url: string, host: Pick<Host, 'after'>) {
    this.#session = session
    this.#url = url
    this.#host = host
    session.ready.then(() => {
      this.#ready = true
    }, ignore)
    session.closed.then(
      ({ closeCode = 0, reason = '' }) =>
        this.#gone(closeCode === 0 ? undefined : gone(`with code ${describe(closeCode)} ${reason}`.trim())),
      (cause: unknown) => this.#gone(this.#ready ? gone('without a goodbye', cause) : unreachable(this.#url, cause)),
    )
  }

  // ── Muxer ──

  attach(sink: MuxerSink): void {
    if (this.#sink !== undefined) throw new TabmeshError('ERR_INTERNAL', 'a muxer has one sink')
    this.#sink = sink
    // Streams that the remote opened meanwhile wait in the browser.
    if (this.#state === 'closed') sink.onClose(this.#fault)
    else this.#accept(this.#session.incomingBidirectionalStreams.getReader() as ReadableStreamDefaultReader<StreamHalves>)
  }

  open(): Channel {
    if (this.#state !== 'open') return closedChannel(this.#fault ?? closed())
    const opening = this.#asked + this.#waiting.length
    if (opening >= WT_MAX_OPENING) return closedChannel(new TabmeshError('ERR_STREAM_LIMIT', `${opening} streams wait to be opened`))
    const channel = this.#add(false)
    if (this.#waiting.length > 0) this.#waiting.push(channel)
    else this.#ask(channel)
    return channel
  }

  close(): void {
    if (this.#state !== 'open') return
    this.#state = 'closing'
    for (const stream of [...this.#streams]) stream.retire(closed())
    if (this.#streams.size === 0) return this.#finish(undefined)
    this.#timer = this.#host.after(WT_CLOSE_TIMEOUT, () => this.#finish(undefined))
  }

  abort(fault: TabmeshError): void {
    this.#finish(fault)
  }

  // ── StreamOwner ──

  reset(abort: () => Promise<unknown>): void {
    if (this.#left) return
    this.#resetting += 1
    void abort().then(() => {
      this.#resetting -= 1
      if (this.#state === 'closed') this.#leaveWhenQuiet()
    })
  }

  forget(channel: WebStreamChannel): void {
    if (!this.#streams.delete(channel)) return
    if (channel.inbound) this.#inbound -= 1
    if (this.#state === 'closing' && this.#streams.size === 0) this.#finish(undefined)
  }

  // ── inside ──

  #add(inbound: boolean): WebStreamChannel {
    const channel = new WebStreamChannel(this, inbound)
    this.#streams.add(channel)
    if (inbound) this.#inbound += 1
    return channel
  }

  #ask(channel: WebStreamChannel, again = false): void {
    this.#asked += 1
    this.#session.createBidirectionalStream().then(
      (halves: StreamHalves) => {
        this.#asked -= 1
        if (this.#left) return
        channel.open(halves)
        this.#askAgain()
      },
      () => {
        this.#asked -= 1
        if (this.#state === 'closed') return
        // The session is over, which it tells itself, or the remote allows no more streams for now.
        if (again) this.#waiting.unshift(channel)
        else this.#waiting.push(channel)
        this.#retry ??= this.#host.after(WT_OPEN_RETRY, () => {
          this.#retry = undefined
          this.#askAgain()
        })
      },
    )
  }

  /** The next of those that wait, one at a time. */
  #askAgain(): void {
    if (this.#asked > 0 || this.#retry !== undefined) return
    this.#waiting = this.#waiting.filter((channel) => this.#streams.has(channel))
    const next = this.#waiting.shift()
    if (next !== undefined) this.#ask(next, true)
  }

  #accept(reader: ReadableStreamDefaultReader<StreamHalves>): void {
    const onStream = ({ done, value }: ReadableStreamReadResult<StreamHalves>): void => {
      if (done || this.#left) return
      if (this.#state !== 'open' || this.#inbound >= WT_MAX_INBOUND) {
        this.reset(() => Promise.all([value.writable.abort().catch(ignore), value.readable.cancel().catch(ignore)]))
      } else {
        const channel = this.#add(true)
        channel.open(value)
        this.#sink?.onStream(channel)
      }
      reader.read().then(onStream, ignore)
    }
    // It fails with the session, which tells itself.
    reader.read().then(onStream, ignore)
  }

  /** This side ends it: every stream is told and reset, then the session closed. */
  #finish(fault: TabmeshError | undefined): void {
    if (this.#state === 'closed') return
    this.#end(fault, (stream) => stream.abort(fault ?? closed()))
    this.#leaveWhenQuiet()
    if (!this.#left) this.#timer = this.#host.after(WT_CLOSE_TIMEOUT, () => this.#leave())
  }

  /** The session is over. */
  #gone(fault: TabmeshError | undefined): void {
    this.#left = true
    this.#timer?.()
    if (this.#state === 'closed') return
    // What comes in while we close is the answer to that.
    const why = this.#state === 'closing' ? undefined : fault
    this.#end(why, (stream) => stream.lose(why ?? closed()))
  }

  #end(fault: TabmeshError | undefined, tell: (stream: WebStreamChannel) => void): void {
    this.#state = 'closed'
    this.#fault = fault
    this.#timer?.()
    this.#retry?.()
    for (const stream of [...this.#streams]) tell(stream)
    this.#streams.clear()
    this.#waiting = []
    this.#sink?.onClose(fault)
  }

  #leaveWhenQuiet(): void {
    if (this.#resetting === 0) this.#leave()
  }

  #leave(): void {
    if (this.#left) return
    this.#left = true
    this.#timer?.()
    try {
      this.#session.close()
    } catch {
      // It was over already.
    }
  }
}

/** go-libp2p's only code of its own: the connection gater refused us (go-libp2p p2p/transport/webtransport). */
const GATED = 0x47415445

const describe = (code: number): string => (code === GATED ? '0x47415445, gated,' : `0x${code.toString(16)}`)

const closed = (): TabmeshError => new TabmeshError('ERR_CONNECTION_CLOSED', 'the WebTransport session was closed')

const gone = (how: string, cause?: unknown): TabmeshError =>
  new TabmeshError('ERR_CONNECTION_CLOSED', `the WebTransport session ended ${how}`, { cause })

/** The browser does not say which, so that pages can't probe networks. */
const unreachable = (url: string, cause: unknown): TabmeshError =>
  new TabmeshError('ERR_WEBTRANSPORT_FAILED', `no WebTransport session at ${url}`, { cause })

const ignore = (): void => {}
