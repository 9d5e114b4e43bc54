/**
 * What tests of multiplexers over a byte pipe put around them: the pipe below, the two sides, and those who read and write their streams.
 */

import type { TabmeshError } from '../../errors.ts'
import { concat, fromUtf8 } from '../codec/bytes.ts'
import type { Channel, Sink } from '../wire/channel.ts'
import type { Muxer } from '../wire/muxer.ts'
import type { GatherChannel } from '../wire/yamux/muxer.ts'
import type { Prng } from './prng.ts'

/** A channel as a multiplexer wants it, and as a secure channel is; counts the gathered writes. */
export const gathering = (channel: Channel): GatherChannel & { writes: number } => ({
  writes: 0,
  get credit() {
    return channel.credit
  },
  write: (bytes) => channel.write(bytes),
  writev(chunks) {
    this.writes++
    channel.write(concat(chunks))
  },
  end: () => channel.end(),
  abort: (fault) => channel.abort(fault),
  attach: (sink) => channel.attach(sink),
  detach: (rest) => channel.detach(rest),
  release: (bytes) => channel.release(bytes),
})

/** Reads a channel and writes down what happens to it. */
export class Reader implements Sink {
  readonly channel: Channel
  readonly log: string[] = []
  readonly chunks: Uint8Array[] = []
  /** Whether bytes are released as they come. */
  releasing: boolean

  constructor(channel: Channel, releasing = true) {
    this.channel = channel
    this.releasing = releasing
    channel.attach(this)
  }

  get text(): string {
    return fromUtf8(concat(this.chunks))
  }

  onData(bytes: Uint8Array): void {
    this.chunks.push(bytes)
    if (this.releasing) this.channel.release(bytes.length)
  }

  onDrain(): void {
    this.log.push('drain')
  }

  onEnd(): void {
    this.log.push('end')
  }

  onClose(fault?: TabmeshError): void {
    this.log.push(fault === undefined ? 'close' : `close ${fault.code}`)
  }
}

/** A multiplexer, the streams that its remote has opened, and how it ended. */
export class Side<M extends Muxer = Muxer> {
  readonly streams: Channel[] = []
  readonly log: string[] = []
  readonly muxer: M
  onStream: (channel: Channel) => void = (channel) => this.streams.push(channel)

  constructor(muxer: M) {
    this.muxer = muxer
    muxer.attach({
      onStream: (channel) => this.onStream(channel),
      onClose: (fault) => this.log.push(fault === undefined ? 'close' : `close ${fault.code}`),
    })
  }
}

/** Sends back all that comes, as the channel takes it, and holds the rest. */
export const echoPatiently = (channel: Channel): void => {
  const waiting: Uint8Array[] = []
  let ended = false
  const pump = () => {
    while (channel.credit > 0 && waiting.length > 0) {
      const bytes = waiting.shift() as Uint8Array
      const { length } = bytes
      channel.write(bytes)
      channel.release(length)
    }
    if (ended && waiting.length === 0) channel.end()
  }
  channel.attach({
    onData(bytes) {
      waiting.push(bytes)
      pump()
    },
    onDrain: pump,
    onEnd() {
      ended = true
      pump()
    },
    onClose() {},
  })
}

/** Opens a stream, writes all of `bytes` into it, in pieces of any size and as it takes them, and reads what comes back. */
export const sendPatiently = (channel: Channel, bytes: Uint8Array, random: Prng): Reader => {
  const reader = new Reader(channel)
  let at = 0
  const pump = () => {
    while (channel.credit > 0 && at < bytes.length) {
      const size = 1 + random.below(100_000)
      channel.write(bytes.slice(at, at + size))
      at += size
    }
    if (at >= bytes.length) channel.end()
  }
  reader.onDrain = pump
  pump()
  return reader
}
