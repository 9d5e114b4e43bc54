/**
 * A socket of Node as a channel: TCP, and TLS on anything.
 *
 *            end()                                   the remote's end                     both ended
 *   open ──────────▶ write side ended ──┐   open ──────────────────▶ read side ended ──┬─────────────▶ closed
 *     │                                 └──────────────────────────────────────────────┘
 *     │      abort(), or the socket breaks
 *     └───────────────────────────────────▶ closed with a fault
 *
 * Bounds: TCP_SEND_BUFFER and one write out; TCP_RECEIVE_WINDOW, one read and what the stream keeps while it is paused (64 KiB) in.
 */

import type { Socket } from 'node:net'
import { TCP_RECEIVE_WINDOW, TCP_SEND_BUFFER } from '../engine/limits.ts'
import type { Sink } from '../engine/wire/channel.ts'
import { Inlet } from '../engine/wire/channel.ts'
import type { SecureChannel } from '../engine/wire/noise/secure-channel.ts'
import { TabmeshError } from '../errors.ts'

export interface SocketKind {
  /** Gives the socket up at once, for `fault`. */
  drop(socket: Socket, fault: TabmeshError): void
  /** What an error of the socket means. */
  faultOf(error: NodeJS.ErrnoException): TabmeshError
}

/** Takes over a socket that is connected; it must be one that may be half open. */
export class SocketChannel implements SecureChannel {
  readonly #socket: Socket
  readonly #kind: SocketKind
  readonly #inlet = new Inlet()
  #full = false
  #ended = false
  #unreleased = 0
  #paused = false

  constructor(socket: Socket, kind: SocketKind) {
    this.#socket = socket
    this.#kind = kind
    socket.on('data', (data: Buffer) => this.#receive(data))
    socket.on('end', () => this.#inlet.end())
    socket.on('error', (error) => this.abort(kind.faultOf(error)))
    socket.on('close', () => this.#inlet.close(this.#ended && this.#inlet.ended ? undefined : cutOff()))
  }

  get credit(): number {
    return this.#ended || this.#inlet.closed ? 0 : TCP_SEND_BUFFER - this.#socket.writableLength
  }

  write(bytes: Uint8Array): void {
    if (this.#ended || this.#inlet.closed || bytes.length === 0) return
    this.#socket.write(bytes, this.#sent)
    if (this.#socket.writableLength >= TCP_SEND_BUFFER) this.#full = true
  }

  writev(chunks: readonly Uint8Array[]): void {
    if (chunks.length === 1) return this.write(chunks[0] as Uint8Array)
    this.#socket.cork()
    for (const chunk of chunks) this.write(chunk)
    this.#socket.uncork()
  }

  /** Half of the buffer must have left, so that a writer is woken for more than a few bytes. One function for all writes. */
  readonly #sent = (): void => {
    if (!this.#full || this.#ended || this.#inlet.closed || this.#socket.writableLength > TCP_SEND_BUFFER / 2) return
    this.#full = false
    this.#inlet.drain()
  }

  end(): void {
    if (this.#ended || this.#inlet.closed) return
    this.#ended = true
    this.#socket.end()
  }

  abort(fault: TabmeshError): void {
    if (this.#inlet.closed) return
    // First, so that what the socket says of its end finds the channel closed.
    this.#inlet.close(fault)
    this.#kind.drop(this.#socket, fault)
  }

  attach(sink: Sink): void {
    this.#inlet.attach(sink)
  }

  detach(rest?: Uint8Array): void {
    this.#inlet.detach(rest)
  }

  release(bytes: number): void {
    this.#unreleased -= bytes
    if (!this.#paused || this.#unreleased > TCP_RECEIVE_WINDOW / 2 || this.#inlet.closed) return
    this.#paused = false
    this.#socket.resume()
  }

  #receive(data: Buffer): void {
    if (this.#inlet.closed) return
    this.#unreleased += data.length
    // Before the reader sees the bytes: what it releases at once must find the count, and the pause, as they are.
    if (!this.#paused && this.#unreleased > TCP_RECEIVE_WINDOW) {
      this.#paused = true
      this.#socket.pause()
    }
    // A view without Buffer's own `slice`, which shares where the engine expects a copy.
    this.#inlet.push(new Uint8Array(data.buffer, data.byteOffset, data.length))
  }
}

const cutOff = (): TabmeshError => new TabmeshError('ERR_CONNECTION_CLOSED', 'the socket closed before both sides had ended')
