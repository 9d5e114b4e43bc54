import { describe, expect, it } from 'vitest'
import { TabmeshError } from '../../../errors.ts'
import { concat, utf8 } from '../../codec/bytes.ts'
import { MPLEX_CLOSE_TIMEOUT, MPLEX_MAX_MESSAGE, MPLEX_OPEN_PERIOD, MPLEX_PAUSE_TIMEOUT } from '../../limits.ts'
import type { MuxerKind } from '../../net/upgrade.ts'
import { echoPatiently, gathering, Reader, Side, sendPatiently } from '../../testing/muxer-sides.ts'
import { prng } from '../../testing/prng.ts'
import { World } from '../../testing/world.ts'
import type { Channel } from '../channel.ts'
import { mplexKind } from './muxer.ts'
import { close, data, frame, frames, open, reset } from './transcript.ts'

const KiB = 1024
const kind: MuxerKind = mplexKind(TabmeshError)

/** `ms` of virtual time are enough for anything but a timeout. */
const SETTLE = 500

const pair = (seed = 1) => {
  const world = new World(seed)
  const [near, far] = world.pipe()
  const below = gathering(near)
  const dialer = new Side(kind.mux(below, 'dialer', world.host(), {}))
  const listener = new Side(kind.mux(gathering(far), 'listener', world.host(), {}))
  const settle = () => world.run(SETTLE)
  return { world, settle, near, below, dialer, listener }
}

/** A muxer whose remote is the test. */
const alone = () => {
  const world = new World(1)
  const [near, far] = world.pipe()
  const side = new Side(kind.mux(gathering(near), 'listener', world.host(), {}))
  const remote = new Reader(far)
  const taken = (): string[] => {
    world.run(SETTLE)
    return frames(remote.chunks.splice(0))
  }
  const send = (...chunks: Uint8Array[]): void => {
    far.write(concat(chunks))
    world.run(SETTLE)
  }
  return { world, side, far, log: remote.log, taken, send }
}

const aborted = new TabmeshError('ERR_PROTOCOL', 'the test gives up')

describe('streams', () => {
  it('carry bytes both ways and end in order', () => {
    const { settle, dialer, listener } = pair()
    const near = new Reader(dialer.muxer.open())
    near.channel.write(utf8('question'))
    near.channel.end()
    settle()
    const far = new Reader(listener.streams[0] as Channel)
    expect([far.text, far.log]).toEqual(['question', ['end']])
    far.channel.write(utf8('answer'))
    far.channel.end()
    settle()
    expect([near.text, near.log, far.log]).toEqual(['answer', ['end', 'close'], ['end', 'close']])
  })

  it('of both sides have the same ids, and are not mixed up', () => {
    const { settle, dialer, listener } = pair()
    const ours = new Reader(dialer.muxer.open())
    const theirs = new Reader(listener.muxer.open())
    ours.channel.write(utf8('from the dialer'))
    theirs.channel.write(utf8('from the listener'))
    settle()
    const atListener = new Reader(listener.streams[0] as Channel)
    const atDialer = new Reader(dialer.streams[0] as Channel)
    expect([atListener.text, atDialer.text]).toEqual(['from the dialer', 'from the listener'])
    atDialer.channel.abort(aborted)
    settle()
    expect([theirs.log, ours.log, atListener.log]).toEqual([['close ERR_STREAM_RESET'], [], []])
  })

  it('a turn of the engine is one write below, whatever happens in it', () => {
    const { settle, dialer, below } = pair()
    for (let i = 0; i < 5; i++) {
      const channel = dialer.muxer.open()
      channel.write(utf8('hello'))
      channel.write(utf8('world'))
      channel.end()
    }
    settle()
    expect(below.writes).toBe(1)
  })

  it('beyond the burst open a period later, with what was written meanwhile', () => {
    const { world, settle, dialer, listener } = pair()
    const heard: Reader[] = []
    listener.onStream = (channel) => heard.push(new Reader(channel))
    for (let i = 0; i < 12; i++) {
      const channel = dialer.muxer.open()
      channel.write(utf8(`${i}`))
      channel.end()
    }
    settle()
    expect(heard.map(({ text }) => text)).toEqual(['0', '1', '2', '3', '4'])
    world.run(MPLEX_OPEN_PERIOD)
    expect(heard).toHaveLength(10)
    world.run(MPLEX_OPEN_PERIOD)
    expect(heard.map(({ text }) => text).slice(10)).toEqual(['10', '11'])
  })

  it('that wait to be opened while nothing can be sent set no alarm after alarm', () => {
    const world = new World(1)
    // At the far side nobody reads.
    const [near] = world.pipe()
    const host = world.host()
    let alarms = 0
    const counting = { ...host, after: (ms: number, wake: () => void) => host.after(ms, () => [alarms++, wake()]) }
    const side = new Side(kind.mux(gathering(near), 'dialer', counting, {}))
    side.muxer.open().write(new Uint8Array(600 * KiB))
    for (let i = 0; i < 9; i++) side.muxer.open()
    world.run(60_000)
    expect(near.credit).toBeLessThanOrEqual(0)
    expect(alarms).toBe(1)
  })

  it('keep what arrives while nobody reads, in order, across readers', () => {
    const { settle, dialer, listener } = pair()
    const near = dialer.muxer.open()
    near.write(utf8('one'))
    settle()
    const far = listener.streams[0] as Channel
    expect(new Reader(far).text).toBe('one')
    far.detach(utf8('ne'))
    near.write(utf8(' two'))
    near.end()
    settle()
    const second = new Reader(far)
    expect([second.text, second.log]).toEqual(['ne two', ['end']])
  })

  it('a reset reaches the reader on the other side', () => {
    const { settle, dialer, listener } = pair()
    const near = new Reader(dialer.muxer.open())
    settle()
    const far = new Reader(listener.streams[0] as Channel)
    near.channel.abort(aborted)
    near.channel.abort(aborted)
    settle()
    expect([near.log, far.log]).toEqual([['close ERR_PROTOCOL'], ['close ERR_STREAM_RESET']])
  })

  it('may be written, read, reset and opened in the middle of any event', () => {
    const { settle, dialer, listener } = pair()
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
    settle()
    expect(readers.map((reader) => [reader.text, reader.log])).toEqual([
      ['yes', ['end', 'close']],
      ['no', ['end', 'close']],
      ['', ['close ERR_STREAM_RESET']],
    ])
    expect(log.sort()).toEqual(['ERR_PROTOCOL', 'close', 'close'])
  })

  it('move megabytes through a narrow channel, in both directions, many at once', () => {
    for (let seed = 1; seed <= 3; seed++) {
      const { world, dialer, listener } = pair(seed)
      const random = prng(seed)
      listener.onStream = echoPatiently
      const sent = Array.from({ length: 8 }, () => random.bytes(200_000 + random.below(800_000)))
      const readers = sent.map((bytes) => sendPatiently(dialer.muxer.open(), bytes, random))
      world.run(60_000)
      readers.forEach((reader, i) => {
        expect(reader.log, `seed ${seed}`).toEqual(['end', 'close'])
        expect(Buffer.compare(concat(reader.chunks), sent[i] as Uint8Array), `seed ${seed}`).toBe(0)
      })
    }
  })
})

describe('a reader that falls behind', () => {
  /** Writes as fast as the channel takes it. */
  const flood = (channel: Channel, size: number): void => {
    const pump = () => {
      while (size > 0 && channel.credit > 0) {
        channel.write(new Uint8Array(Math.min(size, 64 * KiB)))
        size -= 64 * KiB
      }
      if (size <= 0) channel.end()
    }
    channel.attach({ onData() {}, onDrain: pump, onEnd() {}, onClose() {} })
    pump()
  }

  it('holds the remote up: it gets 20 MB, piece by piece, from a sender that knows no flow control', () => {
    const { world, dialer, listener } = pair()
    flood(dialer.muxer.open(), 20 * 1024 * KiB)
    world.run(SETTLE)
    const far = new Reader(listener.streams[0] as Channel, false)
    let received = 0
    let most = 0
    while (!far.log.includes('end')) {
      world.run(1_000)
      const bytes = concat(far.chunks.splice(0)).length
      most = Math.max(most, bytes)
      received += bytes
      far.channel.release(bytes)
    }
    expect(received).toBe(20 * 1024 * KiB)
    expect(most).toBeLessThanOrEqual(MPLEX_MAX_MESSAGE + 512 * KiB)
  })

  it('loses its stream when it reads nothing, and the others go on', () => {
    const { world, dialer, listener } = pair()
    flood(dialer.muxer.open(), 20 * 1024 * KiB)
    const other = new Reader(dialer.muxer.open())
    world.run(SETTLE)
    const [flooded, echoed] = listener.streams.map((channel, i) => new Reader(channel, i > 0))
    other.channel.write(utf8('am I heard?'))
    world.run(MPLEX_PAUSE_TIMEOUT + SETTLE)
    expect([flooded?.log, echoed?.text]).toEqual([['close ERR_STREAM_OVERFLOW'], 'am I heard?'])
    expect([dialer.log, listener.log]).toEqual([[], []])
    expect(world.waiting).toBe(0)
  })

  it('holds nothing up any more once it is given up, or the connection closes', () => {
    for (const givesUp of [true, false]) {
      const { world, dialer, listener } = pair()
      flood(dialer.muxer.open(), 20 * 1024 * KiB)
      world.run(SETTLE)
      const far = new Reader(listener.streams[0] as Channel, false)
      world.run(SETTLE)
      if (givesUp) far.channel.abort(aborted)
      else listener.muxer.close()
      world.run(SETTLE)
      const other = new Reader(dialer.muxer.open())
      other.channel.write(utf8('hello'))
      world.run(SETTLE)
      if (givesUp) expect(new Reader(listener.streams[1] as Channel).text).toBe('hello')
      else expect([dialer.log, listener.log]).toEqual([['close'], ['close']])
    }
  })
})

describe('the connection', () => {
  it('closes in order: queued data, end', () => {
    const { world, settle, dialer, listener } = pair()
    const near = new Reader(dialer.muxer.open())
    near.channel.write(utf8('last words'))
    dialer.muxer.close()
    dialer.muxer.close()
    expect(near.log).toEqual(['close ERR_CONNECTION_CLOSED'])
    const heard: Reader[] = []
    listener.onStream = (channel) => heard.push(new Reader(channel))
    settle()
    expect(heard.map((reader) => [reader.text, reader.log])).toEqual([['last words', ['close ERR_CONNECTION_CLOSED']]])
    expect([dialer.log, listener.log, world.waiting]).toEqual([['close'], ['close'], 0])
  })

  it('opens nothing any more while it closes', () => {
    const { side, send, taken } = alone()
    send(open(0))
    ;(side.streams[0] as Channel).write(new Uint8Array(300 * KiB))
    side.muxer.close()
    const late = new Reader(side.muxer.open())
    expect([late.log, late.channel.credit]).toEqual([['close ERR_CONNECTION_CLOSED'], 0])
    send(open(1))
    expect(taken().some((line) => line === 'MESSAGE r0 65536')).toBe(true)
    expect(side.streams).toHaveLength(1)
  })

  it('does not wait for ever for a remote that never ends', () => {
    const { world, side, taken, log } = alone()
    side.muxer.close()
    expect(taken()).toEqual([])
    expect([log, side.log]).toEqual([['end'], []])
    world.run(MPLEX_CLOSE_TIMEOUT)
    expect([side.log, world.waiting]).toEqual([['close'], 0])
  })

  it('that the remote ends closes in order', () => {
    const { world, side, send, far, log } = alone()
    send(open(0), data(0, utf8('x')))
    const reader = new Reader(side.streams[0] as Channel)
    far.end()
    world.run(SETTLE)
    expect([side.log, reader.log, log]).toEqual([['close'], ['close ERR_CONNECTION_CLOSED'], ['close']])
    expect(world.waiting).toBe(0)
  })

  it('that ends within a message does not', () => {
    const { world, side, send, far } = alone()
    send(open(0), data(0, utf8('hello')).subarray(0, 4))
    far.end()
    world.run(SETTLE)
    expect(side.log).toEqual(['close ERR_CONNECTION_CLOSED'])
  })

  it('that is lost takes its streams with it', () => {
    const { world, settle, dialer, listener, near } = pair()
    const reader = new Reader(dialer.muxer.open())
    settle()
    const far = new Reader(listener.streams[0] as Channel)
    near.abort(new TabmeshError('ERR_RELAY_LOST', 'cable cut'))
    settle()
    expect([dialer.log, reader.log]).toEqual([['close ERR_RELAY_LOST'], ['close ERR_RELAY_LOST']])
    expect([listener.log, far.log]).toEqual([['close ERR_CONNECTION_CLOSED'], ['close ERR_CONNECTION_CLOSED']])
    expect(world.waiting).toBe(0)
  })

  it('that is aborted tells everybody why, once', () => {
    const { settle, dialer } = pair()
    const reader = new Reader(dialer.muxer.open())
    dialer.muxer.abort(aborted)
    dialer.muxer.abort(aborted)
    dialer.muxer.close()
    settle()
    expect([dialer.log, reader.log]).toEqual([['close ERR_PROTOCOL'], ['close ERR_PROTOCOL']])
  })

  it.each([
    ['opens a stream twice', open(0)],
    ['sends flag 7', frame(3, 7)],
    ['announces too much', frame(0, 2, new Uint8Array(0), MPLEX_MAX_MESSAGE + 1)],
  ])('of a remote that %s ends at once, with the code', (_, broken) => {
    const { world, side, send, log } = alone()
    send(open(0))
    const reader = new Reader(side.streams[0] as Channel)
    send(broken, open(1), data(1, utf8('more')), close(1), reset(1))
    expect([side.log, reader.log]).toEqual([['close ERR_MUXER'], ['close ERR_MUXER']])
    expect([log, side.streams.length, world.waiting]).toEqual([['close ERR_CONNECTION_CLOSED'], 1, 0])
  })
})

it('its errors are those of the class it was given: it may be a bundle of its own', () => {
  class Other extends TabmeshError {}
  const world = new World(1)
  const [near] = world.pipe()
  const muxer = mplexKind(Other).mux(gathering(near), 'dialer', world.host())
  muxer.attach({ onStream() {}, onClose() {} })
  muxer.close()
  let fault: TabmeshError | undefined
  muxer.open().attach({ onData() {}, onEnd() {}, onClose: (why) => (fault = why) })
  expect(fault).toBeInstanceOf(Other)
})
