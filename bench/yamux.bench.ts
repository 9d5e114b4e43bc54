/**
 * yamux from stream to stream over a synchronous pair in memory, without crypto: what the muxer itself costs.
 * `npx vitest bench bench/yamux.bench.ts`; one operation moves 64 MiB, so operations/s ÷ 16 is GiB/s.
 */

import { bench, describe } from 'vitest'
import type { Channel, Sink } from '../src/engine/wire/channel.ts'
import type { GatherChannel } from '../src/engine/wire/yamux/muxer.ts'
import { yamux } from '../src/engine/wire/yamux/muxer.ts'

const TOTAL = 64 * 1024 * 1024

/** Hands chunks straight to the other end's reader, with 1 MiB of credit for each turn. */
class End implements GatherChannel {
  far!: End
  credit = 1024 * 1024
  #sink: Sink | undefined

  write(bytes: Uint8Array): void {
    this.credit -= bytes.length
    this.far.#sink?.onData(bytes)
  }

  writev(chunks: readonly Uint8Array[]): void {
    for (const chunk of chunks) this.write(chunk)
  }

  /** What the other end releases. */
  release(bytes: number): void {
    this.far.credit += bytes
  }

  attach(sink: Sink): void {
    this.#sink = sink
  }

  detach(): void {}
  end(): void {}
  abort(): void {}
}

/** Moves TOTAL bytes in writes of `size` over `count` streams, which stay open from one call to the next. */
const mover = (size: number, count: number): (() => void) => {
  const deferred: (() => void)[] = []
  const host = { now: () => performance.now(), after: () => () => {}, defer: (run: () => void) => void deferred.push(run) }
  const [near, far] = [new End(), new End()]
  near.far = far
  far.far = near
  const dialer = yamux(near, 'dialer', host)
  const listener = yamux(far, 'listener', host)
  let received = 0
  dialer.attach({ onStream() {}, onClose() {} })
  listener.attach({
    onStream: (channel) =>
      channel.attach({
        onData(bytes) {
          received += bytes.length
          channel.release(bytes.length)
        },
        onEnd() {},
        onClose() {},
      }),
    onClose() {},
  })
  const body = new Uint8Array(size)
  const fill = (channel: Channel): void => {
    while (channel.credit > 0 && received < goal) channel.write(body)
  }
  let goal = 0
  const channels = Array.from({ length: count }, () => {
    const channel = dialer.open()
    channel.attach({ onData() {}, onDrain: () => fill(channel), onEnd() {}, onClose() {} })
    return channel
  })
  return () => {
    goal = received + TOTAL
    while (received < goal) {
      for (const channel of channels) fill(channel)
      for (let run = deferred.shift(); run !== undefined; run = deferred.shift()) run()
    }
  }
}

describe('yamux, 64 MiB from stream to stream', () => {
  bench('64 KiB writes, 1 stream', mover(64 * 1024, 1))
  bench('64 KiB writes, 16 streams', mover(64 * 1024, 16))
  bench('4 KiB writes, 1 stream', mover(4 * 1024, 1))
  bench('256 B writes, 1 stream', mover(256, 1))
})
