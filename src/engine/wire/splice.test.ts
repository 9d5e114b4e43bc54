import { describe, expect, it } from 'vitest'
import { TabmeshError } from '../../errors.ts'
import { concat, equalBytes } from '../codec/bytes.ts'
import { channelPair, type PairedChannel } from '../testing/channel-pair.ts'
import { property } from '../testing/property.ts'
import type { Channel } from './channel.ts'
import { splice } from './splice.ts'

/** One end of a circuit: writes as credit allows, reads as much as it is told to. */
class Party {
  readonly channel: Channel
  readonly got: Uint8Array[] = []
  received = 0
  /** Bytes it takes before it stops reading. */
  appetite = Number.POSITIVE_INFINITY
  #unread = 0
  ended = false
  closed: { fault: TabmeshError | undefined } | undefined

  constructor(channel: Channel) {
    this.channel = channel
    channel.attach({
      onData: (bytes) => {
        this.got.push(bytes)
        this.received += bytes.length
        this.#unread += bytes.length
        this.read()
      },
      onEnd: () => {
        this.ended = true
      },
      onClose: (fault) => {
        this.closed = { fault }
      },
    })
  }

  read(): void {
    const count = Math.min(this.appetite, this.#unread)
    if (count === 0) return
    this.appetite -= count
    this.#unread -= count
    this.channel.release(count)
  }
}

/** a ⇄ [near ⇄ splice ⇄ far] ⇄ b, with nothing moving but in `settle`. */
const circuit = (options: { limit?: number; window?: number; seed?: number } = {}) => {
  const pairs = [channelPair(options), channelPair(options)] as const
  const [[aOuter, aInner], [bInner, bOuter]] = pairs as unknown as [[PairedChannel, PairedChannel], [PairedChannel, PairedChannel]]
  const meter = { bytes: 0 }
  let done = 0
  const a = new Party(aOuter)
  const b = new Party(bOuter)
  const cut = splice(aInner, bInner, {
    meter,
    ...(options.limit === undefined ? {} : { limit: options.limit }),
    done: () => void (done += 1),
  })
  const settle = (): void => {
    // What one pair delivers is written to the other: until neither moves.
    for (let still = 0, last = ''; still < 3; ) {
      aOuter.flush()
      bOuter.flush()
      const state = JSON.stringify([
        aOuter.written,
        aInner.written,
        bOuter.written,
        bInner.written,
        a.ended,
        b.ended,
        a.closed !== undefined,
        b.closed !== undefined,
        done,
      ])
      still = state === last ? still + 1 : 0
      last = state
    }
  }
  return { a, b, aInner, bInner, aOuter, bOuter, meter, cut, settle, done: () => done }
}

const bytes = (count: number, value = 1) => new Uint8Array(count).fill(value)

describe('two channels tied together', () => {
  it('carry bytes both ways, in order, and count them', () => {
    property(50, (random) => {
      const { a, b, settle, meter } = circuit({ seed: random.u32(), window: 70_000 })
      const sent: [Uint8Array[], Uint8Array[]] = [[], []]
      for (let i = 0; i < 40; i++) {
        const side = random.below(2) as 0 | 1
        const part = random.bytes(1 + random.below(5_000))
        const from = side === 0 ? a : b
        if (from.channel.credit > 0) {
          sent[side].push(part)
          from.channel.write(part)
        }
        if (random.below(4) === 0) settle()
      }
      settle()
      expect(equalBytes(concat(b.got), concat(sent[0]))).toBe(true)
      expect(equalBytes(concat(a.got), concat(sent[1]))).toBe(true)
      expect(meter.bytes).toBe(a.received + b.received)
    })
  })

  it('bring what was there before they were tied', () => {
    const [aOuter, aInner] = channelPair()
    const [bInner, bOuter] = channelPair()
    aOuter.write(bytes(10))
    aOuter.end()
    aOuter.flush()
    const b = new Party(bOuter)
    splice(aInner, bInner, { meter: { bytes: 0 }, done: () => {} })
    bOuter.flush()
    expect([b.received, b.ended]).toEqual([10, true])
  })

  it('pass each end on by itself: the other direction goes on', () => {
    const { a, b, settle, done } = circuit()
    a.channel.write(bytes(3))
    a.channel.end()
    settle()
    expect([b.received, b.ended, a.ended, done()]).toEqual([3, true, false, 0])
    b.channel.write(bytes(5))
    b.channel.end()
    settle()
    expect([a.received, a.ended, done()]).toEqual([5, true, 1])
    expect([a.closed, b.closed]).toEqual([{ fault: undefined }, { fault: undefined }])
  })

  it('pass a reset on, whichever side it comes from', () => {
    for (const side of ['a', 'b'] as const) {
      const all = circuit()
      const other = side === 'a' ? all.b : all.a
      all[side].channel.abort(new TabmeshError('ERR_STREAM_RESET', 'enough'))
      all.settle()
      expect(other.closed?.fault?.code).toBe('ERR_STREAM_RESET')
      expect(all.done()).toBe(1)
    }
  })

  it('are both reset when cut, once', () => {
    const { a, b, cut, settle, done } = circuit()
    cut(new TabmeshError('ERR_LIMITED_CONNECTION', 'time is up'))
    cut(new TabmeshError('ERR_LIMITED_CONNECTION', 'time is up'))
    settle()
    expect([a.closed?.fault?.code, b.closed?.fault?.code, done()]).toEqual(['ERR_STREAM_RESET', 'ERR_STREAM_RESET', 1])
  })

  it('that are over already are over', () => {
    const [, aInner] = channelPair()
    const [bInner, bOuter] = channelPair()
    const b = new Party(bOuter)
    aInner.abort(new TabmeshError('ERR_CONNECTION_CLOSED', 'gone'))
    let done = 0
    splice(aInner, bInner, { meter: { bytes: 0 }, done: () => void (done += 1) })
    bOuter.flush()
    expect([done, b.closed?.fault?.code]).toEqual([1, 'ERR_STREAM_RESET'])
  })
})

describe('a slow reader', () => {
  const WINDOW = 10_000

  it('stops its writer: what lies in the splice is one window, however much there is to send', () => {
    const { a, b, bInner, settle, meter } = circuit({ window: WINDOW })
    b.appetite = 0
    let written = 0
    for (let round = 0; round < 200; round++) {
      for (; a.channel.credit > 0; written += 1_000) a.channel.write(bytes(1_000))
      settle()
    }
    // b's window and a's window are full, and nothing else is anywhere.
    expect(b.received).toBe(WINDOW)
    expect(bInner.credit).toBeLessThanOrEqual(0)
    expect(written).toBe(2 * WINDOW)
    expect(meter.bytes).toBe(WINDOW)
    // It reads on, and all of it comes.
    b.appetite = Number.POSITIVE_INFINITY
    b.read()
    settle()
    expect(b.received).toBe(written)
    expect(a.channel.credit).toBe(WINDOW)
  })

  it('gets everything that was written before the end', () => {
    const { a, b, settle } = circuit({ window: WINDOW })
    b.appetite = 0
    for (let i = 0; i < 20; i++) a.channel.write(bytes(1_000))
    a.channel.end()
    settle()
    expect([b.received, b.ended]).toEqual([WINDOW, false])
    b.appetite = Number.POSITIVE_INFINITY
    b.read()
    settle()
    expect([b.received, b.ended]).toEqual([20_000, true])
  })

  it('does not slow the other direction', () => {
    const { a, b, settle } = circuit({ window: WINDOW })
    b.appetite = 0
    for (; a.channel.credit > 0; ) a.channel.write(bytes(1_000))
    settle()
    for (let i = 0; i < 50; i++) {
      b.channel.write(bytes(1_000))
      settle()
    }
    expect(a.received).toBe(50_000)
  })
})

describe('a limit', () => {
  it('is for each direction, to the byte; one more resets both', () => {
    const { a, b, settle, done } = circuit({ limit: 5_000 })
    a.channel.write(bytes(5_000))
    b.channel.write(bytes(5_000))
    settle()
    expect([a.received, b.received, done()]).toEqual([5_000, 5_000, 0])
    b.channel.write(bytes(1))
    settle()
    expect(a.received).toBe(5_000)
    expect([a.closed?.fault?.code, b.closed?.fault?.code, done()]).toEqual(['ERR_STREAM_RESET', 'ERR_STREAM_RESET', 1])
  })
})
