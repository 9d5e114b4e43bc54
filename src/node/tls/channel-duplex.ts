/**
 * A channel as a Duplex, for what in Node speaks streams only: OpenSSL, over TCP, a WebSocket or a circuit alike.
 *
 * Bounds: nothing is queued here beyond the stream's own marks. What the reader has not taken is not released; what the channel has
 * no credit for is not taken from the writer. A channel that both have ended is closed within TLS_CLOSE_TIMEOUT.
 */

import { Duplex } from 'node:stream'
import { concat } from '../../engine/codec/bytes.ts'
import { TLS_CLOSE_TIMEOUT } from '../../engine/limits.ts'
import type { Channel, Sink } from '../../engine/wire/channel.ts'
import type { TabmeshError } from '../../errors.ts'

export interface DuplexOwner {
  /** Sees what arrives, before the stream does. */
  onData(bytes: Uint8Array): void
  /** The channel is over; the stream tells what it still holds, and nothing more. */
  onClose(fault: TabmeshError | undefined): void
  /** What the channel is aborted with when the stream is destroyed. */
  reason(): TabmeshError
}

export interface ChannelDuplex {
  readonly stream: Duplex
  /** Begins to read: what has come already, be it the channel's close, is told before this returns. */
  start(): void
}

/** Takes the channel over. The stream is destroyed with it, and it with the stream. */
export const duplexOf = (channel: Channel, owner: DuplexOwner): ChannelDuplex => {
  /** Bytes that the stream holds and the remote must not replace by others yet. */
  let held = 0
  let closed = false
  let finished = false
  let closing: NodeJS.Timeout | undefined
  /** The write that waits for credit. */
  let blocked: (() => void) | undefined

  const written = (done: () => void): void => {
    if (closed || channel.credit > 0) done()
    else blocked = done
  }
  const stream = new Duplex({
    read() {
      const bytes = held
      held = 0
      if (bytes > 0 && !closed) channel.release(bytes)
    },
    write(chunk: Buffer, _encoding, done) {
      channel.write(plain(chunk))
      written(done)
    },
    // What OpenSSL hands out in pieces leaves in one.
    writev(chunks: { chunk: Buffer }[], done) {
      channel.write(concat(chunks.map(({ chunk }) => chunk)))
      written(done)
    },
    final(done) {
      finished = true
      channel.end()
      done()
    },
    destroy(_error, done) {
      // OpenSSL is done when both sides have said goodbye, and the remote's end may be on its way still.
      if (finished && !closed) closing = setTimeout(() => channel.abort(owner.reason()), TLS_CLOSE_TIMEOUT)
      else channel.abort(owner.reason())
      done(null)
    },
  })
  const sink: Sink = {
    onData(bytes) {
      if (stream.destroyed) return channel.release(bytes.length)
      owner.onData(bytes)
      held += bytes.length
      if (stream.push(bytes)) stream.read(0)
    },
    onDrain() {
      const done = blocked
      blocked = undefined
      done?.()
    },
    onEnd() {
      if (!stream.destroyed) stream.push(null)
    },
    onClose(fault) {
      closed = true
      clearTimeout(closing)
      blocked?.()
      blocked = undefined
      if (fault !== undefined) stream.destroy()
      owner.onClose(fault)
    },
  }
  return { stream, start: () => channel.attach(sink) }
}

const plain = ({ buffer, byteOffset, length }: Buffer): Uint8Array => new Uint8Array(buffer, byteOffset, length)
