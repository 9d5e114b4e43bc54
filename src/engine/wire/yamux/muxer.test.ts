import { describe, expect, it } from 'vitest'
import { TabmeshError } from '../../../errors.ts'
import { concat, utf8 } from '../../codec/bytes.ts'
import { YAMUX_CLOSE_TIMEOUT, YAMUX_GO_AWAY_TIMEOUT } from '../../limits.ts'
import { channelPair } from '../../testing/channel-pair.ts'
import { echoPatiently, gathering, Reader, Side, sendPatiently } from '../../testing/muxer-sides.ts'
import { prng } from '../../testing/prng.ts'
import type { Channel } from '../channel.ts'
import { ACK, FIN, RST, SYN } from './frame.ts'
import { yamux } from './muxer.ts'
import { data, frames, goAway, ping, update } from './transcript.ts'

const KiB = 1024

/** A host whose clock stands still until it is moved. */
class Clock {
  network: () => void = () => {}
  timersSet = 0
  #now = 0
  #timers: { at: number; wake: () => void }[] = []
  #deferred: (() => void)[] = []

  now = () => this.#now
  defer = (run: () => void) => void this.#deferred.push(run)
  after = (ms: number, wake: () => void) => {
    this.timersSet++
    const timer = { at: this.#now + ms, wake }
    this.#timers.push(timer)
    return () => void (this.#timers = this.#timers.filter((each) => each !== timer))
  }

  get timers(): number {
    return this.#timers.length
  }

  /** Works the network until it is quiet; what an engine call deferred runs first. */
  settle(): void {
    do {
      for (let run = this.#deferred.shift(); run !== undefined; run = this.#deferred.shift()) run()
      this.network()
    } while (this.#deferred.length > 0)
  }

  advance(ms: number): void {
    const until = this.#now + ms
    for (;;) {
      this.settle()
      const next = this.#timers.filter((timer) => timer.at <= until).sort((a, b) => a.at - b.at)[0]
      if (next === undefined) break
      this.#timers = this.#timers.filter((timer) => timer !== next)
      this.#now = Math.max(this.#now, next.at)
      next.wake()
    }
    this.#now = until
  }
}

const pair = (options: Parameters<typeof channelPair>[0] = {}) => {
  const clock = new Clock()
  const [near, far] = channelPair(options)
  clock.network = () => near.flush()
  const below = gathering(near)
  const dialer = new Side(yamux(below, 'dialer', clock))
  const listener = new Side(yamux(gathering(far), 'listener', clock))
  clock.settle()
  return { clock, near, far, below, dialer, listener }
}

/** A muxer whose remote is the test. */
const alone = (window = 256 * KiB) => {
  const clock = new Clock()
  const [near, far] = channelPair({ window })
  clock.network = () => near.flush()
  const side = new Side(yamux(gathering(near), 'listener', clock))
  const arrived: Uint8Array[] = []
  const log: string[] = []
  far.attach({
    onData: (bytes) => {
      arrived.push(bytes)
      far.release(bytes.length)
    },
    onEnd: () => log.push('end'),
    onClose: (fault) => log.push(fault === undefined ? 'close' : `close ${fault.code}`),
  })
  const taken = (): string[] => {
    clock.settle()
    return frames(arrived.splice(0))
  }
  const send = (...chunks: Uint8Array[]): void => {
    far.write(concat(chunks))
    clock.settle()
  }
  clock.settle()
  expect(taken()).toEqual(['PING SYN 1'])
  return { clock, side, far, log, taken, send }
}

const aborted = new TabmeshError('ERR_PROTOCOL', 'the test gives up')

describe('streams', () => {
  it('carry bytes both ways and end in order', () => {
    const { clock, dialer, listener } = pair()
    const near = dialer.muxer.open()
    const nearReader = new Reader(near)
    near.write(utf8('question'))
    near.end()
    clock.settle()
    const far = listener.streams[0] as Channel
    const farReader = new Reader(far)
    expect([farReader.text, farReader.log]).toEqual(['question', ['end']])
    far.write(utf8('answer'))
    far.end()
    clock.settle()
    expect([nearReader.text, nearReader.log]).toEqual(['answer', ['end', 'close']])
    expect(farReader.log).toEqual(['end', 'close'])
  })

  it('a turn of the engine is one write below, whatever happens in it', () => {
    const { clock, dialer, below } = pair()
    const before = below.writes
    for (let i = 0; i < 20; i++) {
      const channel = dialer.muxer.open()
      channel.write(utf8('hello'))
      channel.write(utf8('world'))
      channel.end()
    }
    clock.settle()
    expect(below.writes - before).toBe(1)
  })

  it('keep what arrives while nobody reads, in order, across readers', () => {
    const { clock, dialer, listener } = pair()
    const near = dialer.muxer.open()
    near.write(utf8('one'))
    clock.settle()
    const far = listener.streams[0] as Channel
    const first = new Reader(far)
    expect(first.text).toBe('one')
    far.detach(utf8('ne'))
    near.write(utf8(' two'))
    near.end()
    clock.settle()
    const second = new Reader(far)
    expect([second.text, second.log]).toEqual(['ne two', ['end']])
  })

  it('a reset reaches the reader on the other side, with its code', () => {
    const { clock, dialer, listener } = pair()
    const near = dialer.muxer.open()
    const nearReader = new Reader(near)
    clock.settle()
    const farReader = new Reader(listener.streams[0] as Channel)
    near.abort(aborted)
    near.abort(aborted)
    clock.settle()
    expect(nearReader.log).toEqual(['close ERR_PROTOCOL'])
    expect(farReader.log).toEqual(['close ERR_STREAM_RESET'])
  })

  it('a writer that outruns the reader waits, and memory stays bounded', () => {
    const { clock, dialer, listener } = pair()
    const near = dialer.muxer.open()
    const nearReader = new Reader(near)
    let written = 0
    const fill = () => {
      while (near.credit > 0) {
        near.write(new Uint8Array(64 * KiB))
        written += 64 * KiB
      }
      clock.settle()
    }
    for (let i = 0; i < 50; i++) fill()
    // A window on the far side and a queue on ours.
    expect(written).toBe(512 * KiB)
    const far = listener.streams[0] as Channel
    const farReader = new Reader(far, false)
    expect(concat(farReader.chunks)).toHaveLength(256 * KiB)
    far.release(256 * KiB)
    clock.settle()
    expect(nearReader.log.at(-1)).toBe('drain')
    expect(concat(farReader.chunks)).toHaveLength(512 * KiB)
  })

  it('that nobody can open any more close with the reason', () => {
    const { side, send } = alone()
    send(goAway(0))
    const reader = new Reader(side.muxer.open())
    expect(reader.log).toEqual(['close ERR_CONNECTION_CLOSED'])
    expect(reader.channel.credit).toBe(0)
    reader.channel.write(utf8('x'))
    reader.channel.end()
    reader.channel.abort(aborted)
  })

  it('may be written, read, reset and opened in the middle of any event', () => {
    const { clock, dialer, listener } = pair()
    const log: string[] = []
    listener.onStream = (channel) => {
      channel.attach({
        onData(bytes) {
          channel.release(bytes.length)
          if (bytes.length > 3) channel.abort(aborted)
          else channel.write(bytes)
        },
        onEnd: () => channel.end(),
        onClose: (fault) => log.push(fault?.code ?? 'close'),
      })
    }
    const readers = ['yes', 'no', 'never'].map((text) => {
      const reader = new Reader(dialer.muxer.open())
      reader.channel.write(utf8(text))
      reader.channel.end()
      return reader
    })
    clock.settle()
    expect(readers.map((reader) => [reader.text, reader.log])).toEqual([
      ['yes', ['end', 'close']],
      ['no', ['end', 'close']],
      ['', ['close ERR_STREAM_RESET']],
    ])
    expect(log.sort()).toEqual(['ERR_PROTOCOL', 'close', 'close'])
  })

  it('move megabytes over a narrow channel that cuts at random, in both directions, many at once', () => {
    for (let seed = 1; seed <= 3; seed++) {
      const { clock, dialer, listener } = pair({ seed, window: 100_000 })
      const random = prng(seed)
      const echoes: Channel[] = []
      listener.onStream = (channel) => {
        echoes.push(channel)
        echoPatiently(channel)
      }
      const sent = Array.from({ length: 8 }, () => random.bytes(200_000 + random.below(800_000)))
      const readers = sent.map((bytes) => sendPatiently(dialer.muxer.open(), bytes, random))
      clock.settle()
      readers.forEach((reader, i) => {
        expect(reader.log, `seed ${seed}`).toEqual(['end', 'close'])
        expect(Buffer.compare(concat(reader.chunks), sent[i] as Uint8Array), `seed ${seed}`).toBe(0)
      })
      expect(echoes).toHaveLength(8)
    }
  })
})

describe('the connection', () => {
  it('closes in order: queued data, go-away, end', () => {
    const { clock, dialer, listener } = pair()
    const near = new Reader(dialer.muxer.open())
    near.channel.write(utf8('last words'))
    dialer.muxer.close()
    dialer.muxer.close()
    expect(near.log).toEqual(['close ERR_CONNECTION_CLOSED'])
    const heard: Reader[] = []
    listener.onStream = (channel) => heard.push(new Reader(channel))
    clock.settle()
    expect(heard.map((reader) => [reader.text, reader.log])).toEqual([['last words', ['close ERR_CONNECTION_CLOSED']]])
    expect([dialer.log, listener.log]).toEqual([['close'], ['close']])
    expect(clock.timers).toBe(0)
  })

  it('does not end streams that the app had not ended', () => {
    const { side, send, taken } = alone()
    send(data(1, utf8('hi'), SYN))
    new Reader(side.streams[0] as Channel)
    expect(taken()).toEqual(['UPDATE ACK #1 0'])
    side.muxer.close()
    expect(taken()).toEqual(['GO_AWAY 0'])
  })

  it('waits for windows while it closes, but not for ever', () => {
    const { clock, side, send, taken, log } = alone()
    send(update(1, 0, SYN))
    const reader = new Reader(side.streams[0] as Channel)
    reader.channel.write(new Uint8Array(256 * KiB))
    reader.channel.write(utf8('blocked'))
    side.muxer.close()
    expect(taken().join()).not.toContain('GO_AWAY')
    // What the remote goes on sending does not stall it.
    send(data(1, new Uint8Array(200 * KiB)))
    expect(taken()).toEqual([`UPDATE #1 ${200 * KiB}`])
    clock.advance(YAMUX_CLOSE_TIMEOUT - 1)
    expect(side.log).toEqual([])
    clock.advance(1)
    expect(side.log).toEqual(['close'])
    expect(log).toEqual(['close ERR_STREAM_RESET'])
    expect(clock.timers).toBe(0)
  })

  it('does not wait for ever for a remote that never ends', () => {
    const { clock, side, taken, log } = alone()
    side.muxer.close()
    expect(taken()).toEqual(['GO_AWAY 0'])
    expect(log).toEqual(['end'])
    clock.advance(YAMUX_CLOSE_TIMEOUT)
    expect(side.log).toEqual(['close'])
    expect(clock.timers).toBe(0)
  })

  it('of a remote that goes in order closes after its last stream', () => {
    const { side, send, taken, log } = alone()
    send(data(1, utf8('question'), SYN | FIN), goAway(0))
    expect(side.log).toEqual([])
    const reader = new Reader(side.streams[0] as Channel)
    reader.channel.write(utf8('answer'))
    reader.channel.end()
    expect(taken()).toEqual(['UPDATE ACK #1 0', 'DATA #1 6', 'UPDATE FIN #1 0', 'GO_AWAY 0'])
    expect([reader.log, log]).toEqual([['end', 'close'], ['end']])
  })

  it('of a remote that gives up ends at once, with its code', () => {
    const { side, send, log } = alone()
    send(update(1, 0, SYN))
    const reader = new Reader(side.streams[0] as Channel)
    send(goAway(0x1005))
    expect([side.log, reader.log]).toEqual([['close ERR_CONNECTION_CLOSED'], ['close ERR_CONNECTION_CLOSED']])
    expect(log).toEqual(['close ERR_STREAM_RESET'])
  })

  it('that ends without a go-away, as with go, closes in order', () => {
    const { clock, side, send, far, log } = alone()
    send(update(1, 0, SYN))
    const reader = new Reader(side.streams[0] as Channel)
    far.end()
    clock.settle()
    expect([side.log, reader.log, log]).toEqual([['close'], ['close ERR_CONNECTION_CLOSED'], ['end', 'close']])
    expect(clock.timers).toBe(0)
  })

  it('that ends within a frame does not', () => {
    const { clock, side, send, far } = alone()
    send(data(1, utf8('hello'), SYN).subarray(0, 14))
    far.end()
    clock.settle()
    expect(side.log).toEqual(['close ERR_CONNECTION_CLOSED'])
  })

  it('that is lost takes its streams with it', () => {
    const { clock, dialer, listener, near } = pair()
    const reader = new Reader(dialer.muxer.open())
    clock.settle()
    const farReader = new Reader(listener.streams[0] as Channel)
    near.abort(new TabmeshError('ERR_RELAY_LOST', 'cable cut'))
    clock.settle()
    expect([dialer.log, reader.log]).toEqual([['close ERR_RELAY_LOST'], ['close ERR_RELAY_LOST']])
    expect([listener.log, farReader.log]).toEqual([['close ERR_STREAM_RESET'], ['close ERR_STREAM_RESET']])
    expect(clock.timers).toBe(0)
  })

  it('that is aborted tells everybody why, once', () => {
    const { clock, dialer } = pair()
    const reader = new Reader(dialer.muxer.open())
    dialer.muxer.abort(aborted)
    dialer.muxer.abort(aborted)
    dialer.muxer.close()
    clock.settle()
    expect([dialer.log, reader.log]).toEqual([['close ERR_PROTOCOL'], ['close ERR_PROTOCOL']])
  })

  it('of a remote that breaks the rules ends with a go-away that says so', () => {
    const { clock, side, send, taken, log } = alone()
    send(update(1, 0, SYN))
    const reader = new Reader(side.streams[0] as Channel)
    expect(taken()).toEqual(['UPDATE ACK #1 0'])
    send(update(1, 0, SYN))
    expect([side.log, reader.log]).toEqual([['close ERR_MUXER'], ['close ERR_MUXER']])
    expect(taken()).toEqual(['GO_AWAY 1'])
    send(ping(SYN, 3), data(1, utf8('still here')))
    expect(taken()).toEqual([])
    expect(log).toEqual(['end'])
    clock.advance(YAMUX_GO_AWAY_TIMEOUT)
    expect(log).toEqual(['end', 'close ERR_STREAM_RESET'])
    expect(side.log).toEqual(['close ERR_MUXER'])
  })
})

describe('pings', () => {
  it('measure the round trip', () => {
    const { clock, side, send } = alone()
    expect(side.muxer.rtt).toBeUndefined()
    clock.advance(35)
    send(ping(ACK, 1))
    expect(side.muxer.rtt).toBe(35)
  })

  it('keep the connection alive every 30 s', () => {
    const { clock, dialer, listener } = pair()
    for (let i = 0; i < 100; i++) clock.advance(30_000)
    expect([dialer.log, listener.log]).toEqual([[], []])
    expect(clock.timers).toBe(2)
  })

  it('set no timer for each turn of the engine', () => {
    const { clock, dialer } = pair()
    const { timersSet } = clock
    for (let i = 0; i < 100; i++) {
      dialer.muxer.open()
      clock.settle()
    }
    expect(clock.timersSet).toBe(timersSet)
  })

  it('end it when nothing comes back', () => {
    const { clock, side, send, taken, log } = alone()
    send(ping(ACK, 1), update(1, 0, SYN))
    const reader = new Reader(side.streams[0] as Channel)
    taken()
    clock.advance(30_000)
    expect(taken()).toEqual(['PING SYN 2'])
    clock.advance(29_999)
    expect(side.log).toEqual([])
    clock.advance(1)
    expect([side.log, reader.log, log]).toEqual([['close ERR_TIMEOUT'], ['close ERR_TIMEOUT'], ['close ERR_STREAM_RESET']])
    expect(clock.timers).toBe(0)
  })

  it('are answered ahead of data that waits', () => {
    const { side, far, send, taken, clock } = alone(70 * KiB)
    send(update(1, 0, SYN), update(1, 1_000_000))
    const channel = side.streams[0] as Channel
    taken()
    far.detach()
    const got: Uint8Array[] = []
    channel.write(new Uint8Array(250 * KiB))
    clock.settle()
    // The channel below is full; a ping comes in meanwhile.
    far.write(ping(SYN, 9))
    far.attach({
      onData: (bytes) => {
        got.push(bytes)
        far.release(bytes.length)
      },
      onEnd() {},
      onClose() {},
    })
    clock.settle()
    const order = frames(got)
    expect(order.map((line) => line.split(' ')[0])).toEqual(['DATA', 'DATA', 'PING', 'DATA', 'DATA'])
  })
})

describe('a remote reset', () => {
  it('drops what its stream had kept, for nobody may trust half of it', () => {
    const { side, send } = alone()
    send(data(1, utf8('half'), SYN), update(1, 0x1003, RST))
    const reader = new Reader(side.streams[0] as Channel)
    expect([reader.text, reader.log]).toEqual(['', ['close ERR_STREAM_RESET']])
  })
})
