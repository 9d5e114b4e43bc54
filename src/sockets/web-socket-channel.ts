/**
 * A WebSocket as a channel (https://github.com/libp2p/specs/blob/master/websockets/README.md, RFC 6455).
 *
 * Binary messages carry the bytes; where one ends and the next begins means nothing. This file is shared by the page
 * (src/transports) and Node (src/node), which may not import each other: all that differs between the browser's
 * WebSocket and that of `ws` is behind `MessageSocket`.
 *
 *            end()                        the remote's close (1000, 1005, or the echo of ours)
 *   open ──────────▶ closing (1000 sent) ─────────────────────────────────────────────────────▶ closed
 *     │                    any other close, abort(), a text message, too large a message
 *     └───────────────────────────────────────────────────────────────────────────────────────▶ closed with a fault
 *
 * WebSocket has no half-close: a close frame ends both directions. So `end` closes behind what was written, and what
 * the remote had not sent by then is lost: a browser drops what arrives after its own `close`.
 *
 * Bounds: WS_SEND_BUFFER and one write out; WS_RECEIVE_WINDOW and one read in where the socket can be paused,
 * WS_RECEIVE_MAX where it can't; WS_MAX_MESSAGE for one message.
 */

import { WS_MAX_MESSAGE, WS_MAX_SENT, WS_RECEIVE_MAX, WS_RECEIVE_WINDOW, WS_SEND_BUFFER } from '../engine/limits.ts'
import type { Channel, Sink } from '../engine/wire/channel.ts'
import { Inlet } from '../engine/wire/channel.ts'
import type { ErrorCode } from '../errors.ts'
import { remoteFault, TabmeshError } from '../errors.ts'

/** An open WebSocket. Its owner reports what happens to it by `receive`, `refuseText`, `fail` and `closed`. */
export interface MessageSocket {
  /** Bytes taken by `send` that have not left yet. */
  readonly queued: number
  send(bytes: Uint8Array): void
  /** `queued` is over the limit: call `check` when it may have fallen, until it answers true. */
  watch(check: () => boolean): void
  /** Starts the closing handshake, behind what is queued. */
  close(code: number, reason: string): void
  /** Gives up at once; `code` and `reason` reach the remote where the platform lets them. */
  drop(code: number, reason: string): void
  /** Stops and resumes reading; absent where the platform can't. */
  readonly pause?: (() => void) | undefined
  readonly resume?: (() => void) | undefined
}

/** RFC 6455 §7.4.1. */
export const CLOSE_NORMAL = 1000
export const CLOSE_GOING_AWAY = 1001
const CLOSE_UNSUPPORTED = 1003
const CLOSE_NO_STATUS = 1005
const CLOSE_TOO_BIG = 1009
/** Registered with IANA later. */
const CLOSE_TRY_LATER = 1013
/** §7.4.2: the first code for private use; the reason says which fault it was. */
const CLOSE_ABORTED = 4000

const closeCodes: { readonly [code in ErrorCode]?: number } = {
  ERR_STOPPED: CLOSE_GOING_AWAY,
  ERR_FRAME_TOO_LARGE: CLOSE_TOO_BIG,
  ERR_CONNECTION_LIMIT: CLOSE_TRY_LATER,
}

export class WebSocketChannel implements Channel {
  /** What `end` closes with: a server that stops says 1001. */
  endCode = CLOSE_NORMAL
  /** Bytes that came in all. */
  received = 0
  readonly #socket: MessageSocket
  readonly #inlet = new Inlet()
  #full = false
  #ended = false
  #unreleased = 0
  #paused = false

  constructor(socket: MessageSocket) {
    this.#socket = socket
  }

  get credit(): number {
    return this.#ended || this.#inlet.closed ? 0 : WS_SEND_BUFFER - this.#socket.queued
  }

  /** Whether reading is stopped because the reader is behind: then the remote can't answer a ping either. */
  get paused(): boolean {
    return this.#paused
  }

  write(bytes: Uint8Array): void {
    if (this.#ended || this.#inlet.closed || bytes.length === 0) return
    if (bytes.length <= WS_MAX_SENT) this.#socket.send(bytes)
    else for (let at = 0; at < bytes.length; at += WS_MAX_SENT) this.#socket.send(bytes.subarray(at, at + WS_MAX_SENT))
    if (this.#full || this.#socket.queued < WS_SEND_BUFFER) return
    this.#full = true
    this.#socket.watch(this.#check)
  }

  /** Half of the buffer must have left, so that a writer is woken for more than a few bytes. */
  readonly #check = (): boolean => {
    if (!this.#ended && !this.#inlet.closed && this.#socket.queued > WS_SEND_BUFFER / 2) return false
    this.#full = false
    if (!this.#ended) this.#inlet.drain()
    return true
  }

  end(): void {
    if (this.#ended || this.#inlet.closed) return
    this.#ended = true
    this.#socket.close(this.endCode, '')
  }

  abort(fault: TabmeshError): void {
    this.#abort(fault, closeCodes[fault.code] ?? CLOSE_ABORTED)
  }

  #abort(fault: TabmeshError, code: number): void {
    if (this.#inlet.closed) return
    this.#socket.drop(code, fault.code)
    this.#inlet.close(fault)
  }

  attach(sink: Sink): void {
    this.#inlet.attach(sink)
  }

  detach(rest?: Uint8Array): void {
    this.#inlet.detach(rest)
  }

  release(bytes: number): void {
    this.#unreleased -= bytes
    if (!this.#paused || this.#unreleased > WS_RECEIVE_WINDOW / 2 || this.#inlet.closed) return
    this.#paused = false
    this.#socket.resume?.()
  }

  // ── what the socket's owner reports ────────────────────────────────────────────────────────────────────────

  /** A binary message. */
  receive(bytes: Uint8Array): void {
    if (this.#inlet.closed) return
    if (bytes.length > WS_MAX_MESSAGE) return this.abort(remoteFault('ERR_FRAME_TOO_LARGE', `a WebSocket message of ${bytes.length} bytes`))
    this.received += bytes.length
    this.#unreleased += bytes.length
    // Before the reader sees the bytes: what it releases at once must find the count, and the pause, as they are.
    if (!this.#paused && this.#unreleased > WS_RECEIVE_WINDOW && this.#socket.pause !== undefined) {
      this.#paused = true
      this.#socket.pause()
    }
    this.#inlet.push(bytes)
    if (this.#unreleased > WS_RECEIVE_MAX) {
      this.abort(new TabmeshError('ERR_STREAM_OVERFLOW', `${this.#unreleased} bytes received from a WebSocket wait for their reader`))
    }
  }

  refuseText(): void {
    this.#abort(remoteFault('ERR_PROTOCOL', 'a WebSocket text message came, and only binary ones carry bytes'), CLOSE_UNSUPPORTED)
  }

  /** The socket broke; whatever it reports after that says nothing new. */
  fail(fault: TabmeshError): void {
    this.abort(fault)
  }

  /** The socket is closed, and nothing comes after it. */
  closed(code: number, reason: string): void {
    const orderly = code === CLOSE_NORMAL || code === CLOSE_NO_STATUS || (this.#ended && code === this.endCode)
    if (orderly) this.#inlet.end()
    this.#inlet.close(
      orderly ? undefined : new TabmeshError('ERR_CONNECTION_CLOSED', `the WebSocket closed with ${describe(code, reason)}`),
    )
  }
}

/** 1006 is made up by the side that saw no close frame at all (RFC 6455 §7.1.5). */
const describe = (code: number, reason: string): string =>
  code === 1006 ? 'no goodbye (1006)' : reason === '' ? `code ${code}` : `code ${code} ${JSON.stringify(reason)}`
