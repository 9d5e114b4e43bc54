import { describe, expect, it } from 'vitest'
import { TabmeshError } from '../../../errors.ts'
import {
  RTC_CAUTIOUS_MESSAGE,
  RTC_CLOSE_TIMEOUT,
  RTC_CREDIT,
  RTC_FIN_ACK_BRIEF,
  RTC_FIN_ACK_TIMEOUT,
  RTC_MAX_GRANTS,
  RTC_MAX_INBOUND,
  RTC_MAX_MESSAGE,
  RTC_RECEIVE_BUFFER,
  RTC_SEND_BUFFER,
  RTC_SEND_TOTAL,
  RTC_UNGRANTED,
} from '../../limits.ts'
import { FakeClock, type FakePath, type FakeRtc, fakeRtcPair } from '../../testing/fake-rtc.ts'
import { prng } from '../../testing/prng.ts'
import type { Channel, Sink } from '../channel.ts'
import { NodeBudget, nodeBudget } from './flow.ts'
import { controlFrame, dataFrame, FIN, FIN_ACK, FrameReader, Outbox, RESET } from './framing.ts'
import { type WebrtcMuxer, type WebrtcMuxerOptions, webrtcMuxer } from './muxer.ts'

const utf8 = (text: string) => Uint8Array.from(Buffer.from(text))
const fault = new TabmeshError('ERR_STREAM_CLOSED', 'enough')

/** Reads a channel and keeps what happened. */
class Reader implements Sink {
  readonly channel: Channel
  /** Whether bytes are released as they come. */
  greedy = true
  chunks: Uint8Array[] = []
  bytes = 0
  drains = 0
  events: string[] = []
  onDrained: () => void = () => {}
  onBytes: (bytes: Uint8Array) => void = () => {}

  constructor(channel: Channel) {
    this.channel = channel
    channel.attach(this)
  }

  onData(bytes: Uint8Array): void {
    this.bytes += bytes.length
    if (this.bytes < 1_000_000) this.chunks.push(bytes)
    if (this.greedy) this.channel.release(bytes.length)
    this.onBytes(bytes)
  }

  onDrain(): void {
    this.drains++
    this.onDrained()
  }

  onEnd(): void {
    this.events.push('end')
  }

  onClose(fault?: TabmeshError): void {
    this.events.push(`close ${fault?.code ?? 'in order'}`)
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString()
  }
}

interface Peer {
  muxer: WebrtcMuxer
  rtc: FakeRtc
  streams: Reader[]
  closed: string[]
}

/** Two muxers over one fake connection; each reads the streams that the other opens. */
const connected = (options: { path?: FakePath; muxer?: WebrtcMuxerOptions } = {}) => {
  const clock = new FakeClock()
  const peers = fakeRtcPair(clock, options.path ?? { latency: 10 }).map((rtc): Peer => {
    const peer: Peer = { muxer: webrtcMuxer(rtc, clock, options.muxer), rtc, streams: [], closed: [] }
    peer.muxer.attach({
      onStream: (channel) => peer.streams.push(new Reader(channel)),
      onClose: (fault) => peer.closed.push(fault?.code ?? 'in order'),
    })
    return peer
  })
  return { clock, a: peers[0] as Peer, b: peers[1] as Peer }
}

/** One muxer, its remote played by hand. */
const facingRemote = (options: WebrtcMuxerOptions = {}) => {
  const clock = new FakeClock()
  const [rtc, remote] = fakeRtcPair(clock, { latency: 10 })
  const streams: Reader[] = []
  const muxer = webrtcMuxer(rtc, clock, options)
  muxer.attach({ onStream: (channel) => streams.push(new Reader(channel)), onClose: () => {} })
  return { clock, rtc, remote, streams, muxer }
}

const framesOf = (messages: Uint8Array[]) =>
  messages.map((message) => {
    const reader = new FrameReader()
    reader.push(message)
    const frame = reader.next()
    if (frame === undefined || frame instanceof TabmeshError || reader.next() !== undefined) throw new Error('not one whole frame')
    return frame
  })
const framed = (text: string) => {
  const outbox = new Outbox()
  outbox.put(utf8(text))
  return dataFrame(outbox, outbox.size)
}

describe('the WebRTC muxer', () => {
  it('carries a question and an answer, and closes both channels', () => {
    const { clock, a, b } = connected()
    let asker: Reader | undefined
    clock.run(0, () => {
      asker = new Reader(a.muxer.open())
      asker.channel.write(utf8('ask'))
      asker.channel.end()
    })
    clock.run(15)
    const answerer = b.streams[0] as Reader
    expect(answerer.text).toBe('ask')
    expect(answerer.events).toEqual(['end'])
    clock.run(15, () => {
      answerer.channel.write(utf8('answer'))
      answerer.channel.end()
    })
    expect(answerer.events).toEqual(['end', 'close in order'])
    expect(asker?.text).toBe('answer')
    expect(asker?.events).toEqual(['end', 'close in order'])
    clock.run(100)
    expect([a.rtc.channels.size, b.rtc.channels.size]).toEqual([0, 0])
  })

  it('closes halves in either order, and from both sides at once', () => {
    for (const [first, second] of [
      [0, 30],
      [30, 0],
      [0, 0],
      [0, 10],
      [10, 0],
    ] as const) {
      const { clock, a, b } = connected()
      let mine: Reader | undefined
      clock.run(20, () => {
        mine = new Reader(a.muxer.open())
        mine.channel.write(utf8('hello'))
      })
      const theirs = b.streams[0] as Reader
      clock.after(first, () => mine?.channel.end())
      clock.after(second, () => theirs.channel.end())
      clock.run(200)
      expect([mine?.events, theirs.events]).toEqual([
        ['end', 'close in order'],
        ['end', 'close in order'],
      ])
      expect([a.rtc.channels.size, b.rtc.channels.size]).toEqual([0, 0])
      // No FIN_ACK was waited for in vain.
      expect(clock.now()).toBeLessThan(RTC_FIN_ACK_TIMEOUT)
    }
  })

  it('resets, from either side', () => {
    const { clock, a, b } = connected()
    const mine: Reader[] = []
    clock.run(20, () => {
      for (let i = 0; i < 2; i++) {
        const reader = new Reader(a.muxer.open())
        reader.channel.write(utf8('x'))
        mine.push(reader)
      }
    })
    clock.run(50, () => {
      mine[0]?.channel.abort(fault)
      b.streams[1]?.channel.abort(fault)
      b.streams[1]?.channel.write(utf8('nothing follows'))
    })
    expect(mine.map((each) => each.events)).toEqual([['close ERR_STREAM_CLOSED'], ['close ERR_STREAM_RESET']])
    expect(b.streams.map((each) => each.events)).toEqual([['close ERR_STREAM_RESET'], ['close ERR_STREAM_CLOSED']])
    expect([a.rtc.channels.size, b.rtc.channels.size]).toEqual([0, 0])
  })

  it('sends what is written in one turn as one message, and no message over its limit', () => {
    const { clock, a, b } = connected()
    a.rtc.keepSent = true
    let channel: Channel | undefined
    clock.run(5, () => {
      channel = a.muxer.open()
      for (const part of ['one, ', 'two, ', 'three']) channel.write(utf8(part))
    })
    expect(framesOf(a.rtc.sent).map(({ message, credit }) => [Buffer.from(message ?? []).toString(), credit])).toEqual([
      ['one, two, three', RTC_CREDIT],
    ])
    const writes = (): (number | undefined)[] => {
      a.rtc.sent.length = 0
      clock.run(5, () => {
        channel?.write(new Uint8Array(10))
        channel?.write(new Uint8Array(10_000))
      })
      return framesOf(a.rtc.sent).map(({ message }) => message?.length)
    }
    // Three bytes are its number.
    expect(writes()).toEqual([4_088, 4_088, 10_010 - 2 * 4_088])
    expect(Math.max(...a.rtc.sent.map((each) => each.length))).toBe(RTC_CAUTIOUS_MESSAGE)
    // Its first frame is there, and has credit: it takes more at once.
    clock.run(100, () => b.streams[0]?.channel.write(utf8('go on')))
    a.rtc.sent.length = 0
    clock.run(5, () => channel?.write(new Uint8Array(40_000)))
    expect(framesOf(a.rtc.sent).map(({ message }) => message?.length)).toEqual([16_379, 16_379, 40_000 - 2 * 16_379])
    expect(Math.max(...a.rtc.sent.map((each) => each.length))).toBe(RTC_MAX_MESSAGE)
  })

  it('sends large messages only to those who are known to take them', () => {
    for (const [agent, largest] of [
      ['js-libp2p/3.3.11 UserAgent=v22', RTC_MAX_MESSAGE],
      ['rust-libp2p/0.56', RTC_MAX_MESSAGE],
      ['kubo/0.39.0/', RTC_CAUTIOUS_MESSAGE],
      ['', RTC_CAUTIOUS_MESSAGE],
    ] as const) {
      const { clock, muxer, rtc } = facingRemote()
      muxer.remoteAgent(agent)
      rtc.keepSent = true
      clock.run(50, () => muxer.open().write(new Uint8Array(50_000)))
      expect(Math.max(...rtc.sent.map((each) => each.length)), agent).toBe(largest)
    }
  })

  it('asks for the agent with each stream until it is known', () => {
    let asked = 0
    const agents = [undefined, undefined, 'rust-libp2p/0.56', 'kubo/0.39.0/']
    const { clock, rtc, muxer } = facingRemote({ agent: () => agents[asked++] })
    const largest = (): number => {
      rtc.sent.length = 0
      rtc.keepSent = true
      clock.run(5, () => muxer.open().write(new Uint8Array(20_000)))
      return Math.max(...rtc.sent.map((each) => each.length))
    }
    expect([largest(), largest(), largest(), largest()]).toEqual([
      RTC_CAUTIOUS_MESSAGE,
      RTC_CAUTIOUS_MESSAGE,
      RTC_MAX_MESSAGE,
      RTC_MAX_MESSAGE,
    ])
    expect(asked).toBe(3)
  })

  it('a thousand streams, some hundreds at a time, in random order, lose nothing', () => {
    const seed = 7
    const random = prng(seed)
    const { clock, a, b } = connected({ path: { latency: 5, bytesPerMs: 5_000 } })
    const muxers = [a.muxer, b.muxer]
    const total = 1_000
    const done: string[] = []
    let opened = 0
    // Every stream is echoed.
    const echo = (peer: Peer) => {
      for (const reader of peer.streams.splice(0)) {
        const back = () => {
          for (const chunk of reader.chunks.splice(0)) reader.channel.write(chunk)
          if (reader.events[0] === 'end') reader.channel.end()
        }
        reader.onBytes = back
        const onEnd = reader.onEnd.bind(reader)
        reader.onEnd = () => {
          onEnd()
          back()
        }
        back()
      }
    }
    const openOne = () => {
      if (opened === total) return
      const n = opened++
      const reader = new Reader((muxers[n % 2] as WebrtcMuxer).open())
      const body = random.bytes(1 + random.below(random.below(20) ? 300 : 100_000))
      const close = reader.onClose.bind(reader)
      reader.onClose = (why) => {
        close(why)
        expect(Buffer.concat(reader.chunks).equals(body), `stream ${n}, seed ${seed}`).toBe(true)
        done.push(reader.events.join(', '))
        openOne()
      }
      reader.channel.write(body.slice())
      reader.channel.end()
    }
    clock.run(0, () => {
      for (let i = 0; i < 300; i++) openOne()
    })
    for (let turn = 0; turn < 20_000 && done.length < total; turn++) {
      clock.run(1, () => {
        echo(a)
        echo(b)
      })
    }
    expect(done).toHaveLength(total)
    expect(new Set(done)).toEqual(new Set(['end, close in order']))
    clock.run(200)
    expect([a.rtc.channels.size, b.rtc.channels.size]).toEqual([0, 0])
  })

  it('10 MB past a slow reader: neither side holds more than its bounds', () => {
    const { clock, a, b } = connected({ path: { latency: 20, bytesPerMs: 50_000 } })
    const total = 10_000_000
    let wrote = 0
    let queued = 0
    let writer: Reader | undefined
    const chunk = 50_000
    const write = () => {
      const channel = (writer as Reader).channel
      while (wrote < total && channel.credit > 0) {
        channel.write(new Uint8Array(chunk))
        wrote += chunk
        if (wrote === total) channel.end()
      }
    }
    clock.run(0, () => {
      writer = new Reader(a.muxer.open())
      writer.onDrained = write
      write()
    })
    clock.run(50)
    const reader = b.streams[0] as Reader
    reader.greedy = false
    // The first bytes came while it was greedy, so count from here.
    let read = reader.bytes
    let most = 0
    for (let turn = 0; read < total && turn < 10_000; turn++) {
      clock.run(10, () => {
        most = Math.max(most, reader.bytes - read)
        queued = Math.max(queued, wrote - reader.bytes)
        const part = Math.min(100_000, reader.bytes - read)
        read += part
        reader.channel.release(part)
      })
    }
    expect(read).toBe(total)
    expect(reader.events).toEqual(['end'])
    expect(most).toBeLessThanOrEqual(RTC_CREDIT)
    // It was the credit that held the writer: a grant under way and one write, far from all.
    expect(most).toBeGreaterThan(RTC_CREDIT / 2)
    expect(queued).toBeLessThanOrEqual(RTC_CREDIT + RTC_SEND_BUFFER + chunk)
  })

  it('a fast reader does not cost the sender its speed: credit comes back in time', () => {
    const { clock, a, b } = connected({ path: { latency: 20, bytesPerMs: 10_000 } })
    let left = 10_000_000
    clock.run(0, () => {
      const writer = new Reader(a.muxer.open())
      writer.onDrained = () => {
        while (left > 0 && writer.channel.credit > 0) {
          writer.channel.write(new Uint8Array(10_000))
          left -= 10_000
        }
      }
      writer.onDrained()
    })
    clock.run(1_150)
    // A second at the path's speed and a round trip and a half.
    expect(b.streams[0]?.bytes).toBe(10_000_000)
  })

  it('many streams at once fill the connection no more than one does, and each has its turn', () => {
    const { clock, a, b } = connected({ path: { latency: 5, bytesPerMs: 10_000 } })
    let most = 0
    const readers: Reader[] = []
    clock.run(1, () => {
      for (let i = 0; i < 30; i += 1) {
        const reader = new Reader(a.muxer.open())
        readers.push(reader)
        reader.channel.write(new Uint8Array(100_000))
        reader.channel.end()
      }
    })
    for (let ms = 0; ms < 600; ms += 1) {
      clock.run(1)
      const unsent = [...a.rtc.channels].reduce((sum, channel) => sum + channel.buffered, 0)
      most = Math.max(most, unsent)
    }
    expect(b.streams.map(({ bytes }) => bytes)).toEqual(readers.map(() => 100_000))
    expect(most).toBeGreaterThan(0)
    // One message over, for the one that was begun.
    expect(most).toBeLessThanOrEqual(RTC_SEND_TOTAL + 2 * RTC_MAX_MESSAGE)
  })

  it('a remote without flow control is held by its channel alone, and reset when it floods', () => {
    const { clock, rtc, remote, streams, muxer } = facingRemote()
    const channel = remote.openChannel()
    rtc.keepSent = true
    clock.run(20, () => channel.write(framed('old')))
    const reader = streams[0] as Reader
    clock.run(20, () => reader.channel.write(new Uint8Array(3_000_000)))
    clock.run(200)
    expect(rtc.bytesSent).toBeGreaterThan(3_000_000)
    reader.greedy = false
    clock.run(100, () => {
      const outbox = new Outbox()
      outbox.put(new Uint8Array(RTC_RECEIVE_BUFFER + 1_000_000))
      while (outbox.size > 16_000) channel.write(dataFrame(outbox, 16_000))
    })
    expect(reader.events).toEqual(['close ERR_STREAM_OVERFLOW'])
    expect(framesOf(rtc.sent).at(-1)?.flag).toBe(RESET)
    expect(remote.channels.size).toBe(0)
    expect(muxer.open().credit).toBeGreaterThan(0)
  })

  it('gives an ended stream its time for FIN_ACK, rust less', () => {
    for (const [agent, wait] of [
      ['js-libp2p/3.0.0', RTC_FIN_ACK_TIMEOUT],
      ['rust-libp2p/0.56.0', RTC_FIN_ACK_BRIEF],
    ] as const) {
      const { clock, rtc, remote, streams, muxer } = facingRemote()
      muxer.remoteAgent(agent)
      const channel = remote.openChannel()
      rtc.keepSent = true
      clock.run(20, () => channel.write(framed('ask')))
      clock.run(20, () => {
        streams[0]?.channel.write(utf8('answer'))
        streams[0]?.channel.end()
        channel.write(controlFrame(FIN))
      })
      const flags = framesOf(rtc.sent).map(({ flag }) => flag)
      expect(flags).toEqual(agent.startsWith('rust') ? [undefined, FIN] : [undefined, FIN, FIN_ACK])
      expect(streams[0]?.events).toEqual(['end', 'close in order'])
      clock.run(wait - 40)
      expect(rtc.channels.size).toBe(1)
      clock.run(60)
      expect(rtc.channels.size).toBe(0)
    }
  })

  it('grants no more than the connection can hold, and takes grants back', () => {
    const { clock, a } = connected()
    a.rtc.keepSent = true
    const streams: Channel[] = []
    const open = () => {
      const channel = a.muxer.open()
      channel.write(utf8('x'))
      streams.push(channel)
    }
    clock.run(50, () => {
      for (let i = 0; i < RTC_MAX_GRANTS / RTC_CREDIT + 1; i++) open()
    })
    const grants = framesOf(a.rtc.sent).map(({ credit }) => credit)
    expect(grants.slice(-2)).toEqual([RTC_CREDIT, RTC_UNGRANTED])
    // Two, since the small grant counts too.
    clock.run(50, () => {
      for (const each of streams.splice(0, 2)) each.abort(fault)
    })
    clock.run(50, open)
    expect(framesOf(a.rtc.sent).at(-1)?.credit).toBe(RTC_CREDIT)
  })

  it('minds the FIN_ACK of every stream, with one timer', () => {
    const { clock, rtc, remote, streams } = facingRemote()
    for (let i = 0; i < 5; i++) {
      const channel = remote.openChannel()
      clock.run(100, () => channel.write(controlFrame(FIN)))
      clock.run(1_000, () => streams[i]?.channel.end())
    }
    expect(rtc.channels.size).toBe(5)
    expect(clock.waiting).toBe(1)
    // The first ended at 100 ms, each next one 1,100 ms later; closing takes 10 ms more.
    clock.run(100 + RTC_FIN_ACK_TIMEOUT - clock.now() - 1)
    expect(rtc.channels.size).toBe(5)
    for (let left = 4; left >= 0; left--) {
      clock.run(50)
      expect(rtc.channels.size).toBe(left)
      clock.run(1_050)
    }
    expect(clock.waiting).toBe(0)
  })

  it('resets streams beyond what the remote may open, and takes new ones when old ones are done', () => {
    const { clock, a, b } = connected()
    const mine: Reader[] = []
    const open = () => {
      const reader = new Reader(a.muxer.open())
      reader.channel.write(utf8('x'))
      mine.push(reader)
    }
    clock.run(100, () => {
      for (let i = 0; i < RTC_MAX_INBOUND + 3; i++) open()
    })
    expect(b.streams).toHaveLength(RTC_MAX_INBOUND)
    expect(mine.map((each) => each.events).filter((each) => each[0] === 'close ERR_STREAM_RESET')).toHaveLength(3)
    clock.run(100, () => b.streams[0]?.channel.abort(fault))
    clock.run(100, () => open())
    expect(b.streams).toHaveLength(RTC_MAX_INBOUND + 1)
  })

  it('takes no stream for the init channel, keeps nothing of it, and refuses a second one', () => {
    const { clock, rtc, remote, streams } = facingRemote()
    clock.run(50, () => {
      const init = remote.openChannel('init')
      init.write(framed('not a stream'))
    })
    expect([streams.length, rtc.channels.size]).toEqual([0, 1])
    clock.run(50, () => remote.openChannel('init'))
    expect([streams.length, rtc.channels.size]).toEqual([0, 1])
    // The specification asks for an empty label and forbids to insist on it.
    clock.run(50, () => remote.openChannel('labelled').write(framed('hi')))
    expect(streams.map((each) => each.text)).toEqual(['hi'])
  })

  it('keeps what came before it had a sink, and streams that came before their reader', () => {
    const clock = new FakeClock()
    const [rtc, remote] = fakeRtcPair(clock)
    const muxer = webrtcMuxer(rtc, clock)
    clock.run(10, () => {
      const channel = remote.openChannel()
      channel.write(framed('early '))
      channel.write(framed('bird'))
      const dead = remote.openChannel()
      dead.write(controlFrame(RESET))
    })
    const streams: Channel[] = []
    clock.run(10, () => muxer.attach({ onStream: (channel) => streams.push(channel), onClose: () => {} }))
    // The second was reset before anyone could have seen it.
    expect(streams).toHaveLength(1)
    expect(new Reader(streams[0] as Channel).text).toBe('early bird')
  })

  it('counts a channel that closes without FIN as reset', () => {
    const { clock, remote, streams } = facingRemote()
    const channel = remote.openChannel()
    clock.run(20, () => channel.write(framed('half a')))
    clock.run(20, () => channel.end())
    expect(streams[0]?.events).toEqual(['close ERR_STREAM_RESET'])
  })

  it('ends a stream that sends garbage, and no other', () => {
    const { clock, remote, streams, rtc } = facingRemote()
    rtc.keepSent = true
    const bad = remote.openChannel()
    const good = remote.openChannel()
    clock.run(50, () => {
      good.write(framed('fine'))
      bad.write(Uint8Array.of(0xff, 0xff, 0xff, 0xff))
    })
    expect(streams.map((each) => each.events)).toEqual([['close ERR_FRAME_TOO_LARGE'], []])
    expect(framesOf(rtc.sent).map(({ flag }) => flag)).toEqual([RESET])
  })

  it('survives noise on many channels', () => {
    for (let seed = 1; seed <= 60; seed++) {
      const random = prng(seed)
      const { clock, rtc, remote, streams } = facingRemote()
      const channels = Array.from({ length: 8 }, () => remote.openChannel())
      for (let step = 0; step < 60; step++) {
        clock.run(1, () => {
          const channel = channels[random.below(8)]
          const kind = random.below(4)
          if (kind === 0) channel?.write(random.bytes(random.below(200)))
          else if (kind === 1) channel?.write(controlFrame(random.below(4) as 0, random.below(2) ? random.u32() : undefined))
          else if (kind === 2) channel?.write(framed('x'.repeat(1 + random.below(500))))
          else {
            const stream = streams[random.below(8)]
            if (random.below(3)) stream?.channel.write(random.bytes(random.below(1_000)))
            else if (random.below(2)) stream?.channel.end()
            else stream?.channel.abort(fault)
          }
        })
      }
      clock.run(RTC_FIN_ACK_TIMEOUT + 100, () => remote.close())
      for (const { events } of streams) {
        expect(events.filter((each) => each.startsWith('close')).length, `seed ${seed}`).toBe(1)
        expect(events.at(-1), `seed ${seed}`).toMatch(/^close/)
      }
      expect(rtc.channels.size, `seed ${seed}`).toBe(0)
      expect(clock.waiting, `seed ${seed}`).toBe(0)
    }
  })
})

describe('closing the WebRTC muxer', () => {
  it('with no streams is immediate, and the remote hears of it', () => {
    const { clock, a, b } = connected()
    clock.run(50, () => a.muxer.close())
    expect([a.closed, b.closed]).toEqual([['in order'], ['in order']])
    expect(a.rtc.closed).toBe(true)
    clock.run(50, () => a.muxer.close())
    expect(a.closed).toEqual(['in order'])
  })

  it('waits for the FIN_ACK of what had ended, so that nothing of it is lost', () => {
    const { clock, a, b } = connected({ path: { latency: 20, bytesPerMs: 10_000 } })
    let reader: Reader | undefined
    clock.run(50, () => {
      reader = new Reader(a.muxer.open())
      reader.channel.write(utf8('hello'))
    })
    clock.run(1, () => b.streams[0]?.channel.end())
    clock.run(60)
    clock.run(1, () => {
      reader?.channel.write(new Uint8Array(200_000))
      reader?.channel.end()
      a.muxer.close()
    })
    expect(reader?.events).toEqual(['end', 'close in order'])
    expect([a.closed, a.rtc.closed]).toEqual([[], false])
    clock.run(200)
    expect(b.streams[0]?.bytes).toBe(200_005)
    expect(b.streams[0]?.events).toEqual(['end', 'close in order'])
    expect([a.closed, b.closed]).toEqual([['in order'], ['in order']])
    expect(clock.now()).toBeLessThan(RTC_CLOSE_TIMEOUT)
    expect(clock.waiting).toBe(0)
  })

  it('ends open streams with a code, takes no new ones, and does not wait for a silent remote', () => {
    const { clock, rtc, remote, streams, muxer } = facingRemote()
    const [open, ended] = [remote.openChannel(), remote.openChannel()]
    clock.run(50, () => {
      open.write(framed('x'))
      ended.write(framed('y'))
      ended.write(controlFrame(FIN))
    })
    clock.run(50, () => streams[1]?.channel.end())
    let late: Reader | undefined
    clock.run(50, () => {
      muxer.close()
      late = new Reader(muxer.open())
      remote.openChannel()
    })
    expect(streams.map((each) => each.events)).toEqual([['close ERR_CONNECTION_CLOSED'], ['end', 'close in order']])
    expect(late?.events).toEqual(['close ERR_CONNECTION_CLOSED'])
    expect(rtc.closed).toBe(false)
    clock.run(RTC_CLOSE_TIMEOUT)
    expect(rtc.closed).toBe(true)
    clock.run(RTC_FIN_ACK_TIMEOUT)
    expect(clock.waiting).toBe(0)
  })

  it('by abort, or because the path broke, tells everyone why', () => {
    const ways: [(peer: Peer) => void, string, string][] = [
      [(peer) => peer.muxer.abort(fault), 'ERR_STREAM_CLOSED', 'ERR_STREAM_CLOSED'],
      [(peer) => peer.rtc.lost('failed'), 'ERR_CONNECTION_CLOSED', 'ERR_CONNECTION_CLOSED'],
      [(peer) => peer.rtc.lost('closed'), 'in order', 'ERR_CONNECTION_CLOSED'],
    ]
    for (const [way, toSink, toStream] of ways) {
      const { clock, a } = connected()
      let reader: Reader | undefined
      clock.run(30, () => {
        reader = new Reader(a.muxer.open())
        reader.channel.write(utf8('x'))
      })
      clock.run(30, () => way(a))
      expect(a.closed).toEqual([toSink])
      expect(reader?.events).toEqual([`close ${toStream}`])
      clock.run(RTC_FIN_ACK_TIMEOUT)
      expect(a.closed).toEqual([toSink])
      expect(new Reader(a.muxer.open()).events).toEqual(['close ERR_CONNECTION_CLOSED'])
    }
  })

  it("a 'disconnected' that heals changes nothing", () => {
    const { clock, a, b } = connected()
    clock.run(50, () => {
      new Reader(a.muxer.open()).channel.write(utf8('still here'))
    })
    a.rtc.tell('disconnected')
    a.rtc.tell('connected')
    expect(b.streams[0]?.text).toBe('still here')
    expect(a.closed).toEqual([])
  })
})

describe('the connections of one node', () => {
  const MAX = 1_000_000

  /** Muxers that share `MAX`, each facing a remote that is played by hand and has no flow control. */
  const several = (count: number) => {
    const clock = new FakeClock()
    const node = new NodeBudget(MAX)
    const connections = Array.from({ length: count }, () => {
      const [rtc, remote] = fakeRtcPair(clock, { latency: 1 })
      const streams: Reader[] = []
      const closed: string[] = []
      const muxer = webrtcMuxer(rtc, clock, { node })
      const onStream = (channel: Channel): void => {
        const reader = new Reader(channel)
        reader.greedy = false
        streams.push(reader)
      }
      // As the node does with the streams of a connection that is gone.
      const onClose = (why?: TabmeshError): void => {
        closed.push(why?.code ?? 'in order')
        for (const { channel } of streams) channel.abort(why ?? fault)
      }
      muxer.attach({ onStream, onClose })
      return { rtc, remote, streams, closed, muxer }
    })
    return { clock, node, connections }
  }
  const piece = (bytes: number): Uint8Array => {
    const outbox = new Outbox()
    outbox.put(new Uint8Array(bytes))
    return dataFrame(outbox, bytes)
  }

  it('have one host, and so one bound', () => {
    const [one, other] = [new FakeClock(), new FakeClock()]
    expect(nodeBudget(one)).toBe(nodeBudget(one))
    expect(nodeBudget(one)).not.toBe(nodeBudget(other))
    const rtcs = fakeRtcPair(one)
    for (const rtc of rtcs) webrtcMuxer(rtc, one).attach({ onStream: () => {}, onClose: () => {} })
    one.run(10, () => rtcs[0].openChannel().write(piece(1_000)))
    expect(nodeBudget(one).unread).toBe(1_000)
  })

  it('pay for a flood with the stream that floods, and no slow reader with it', () => {
    const { clock, node, connections } = several(20)
    const [flooder, ...others] = connections
    for (const { remote } of others) clock.run(5, () => remote.openChannel().write(piece(10_000)))
    const [small, large] = [flooder?.remote.openChannel(), flooder?.remote.openChannel()]
    clock.run(5, () => small?.write(piece(15_000)))
    let most = 0
    for (let sent = 0; sent < 3 * MAX; sent += 16_000) {
      clock.run(1, () => large?.write(piece(16_000)))
      most = Math.max(most, node.unread)
    }
    clock.run(50)
    // One message may come before the turn ends.
    expect(most).toBeLessThanOrEqual(MAX + 16_000)
    expect(flooder?.streams.map(({ events }) => events)).toEqual([[], ['close ERR_STREAM_OVERFLOW']])
    for (const { streams, closed } of others) expect([streams[0]?.events, closed]).toEqual([[], []])
    expect(node.unread).toBe(19 * 10_000 + 15_000)
    for (const { muxer } of connections) muxer.abort(fault)
    expect(node.unread).toBe(0)
  })

  it('count what is unread of streams that are over, and end the connection that hides it there', () => {
    const { clock, node, connections } = several(2)
    const [hider, other] = connections
    const finishes = (): void => {
      const channel = hider?.remote.openChannel()
      clock.run(5, () => {
        channel?.write(piece(16_000))
        channel?.write(controlFrame(FIN))
      })
      clock.run(5, () => hider?.streams.at(-1)?.channel.end())
      clock.run(5, () => channel?.write(controlFrame(FIN_ACK)))
      clock.run(5)
    }
    for (let i = 0; i < 60; i++) finishes()
    expect(hider?.streams[0]?.events).toEqual(['end', 'close in order'])
    expect(hider?.rtc.channels.size).toBe(0)
    expect(node.unread).toBe(60 * 16_000)
    // What is read, or given up, makes room.
    hider?.streams[0]?.channel.release(16_000)
    hider?.streams[1]?.channel.abort(fault)
    expect(node.unread).toBe(58 * 16_000)
    expect(hider?.streams[1]?.events).toEqual(['end', 'close in order'])
    const channel = other?.remote.openChannel()
    for (let i = 0; i < 10; i++) clock.run(5, () => channel?.write(piece(16_000)))
    expect([hider?.closed, other?.closed, other?.streams[0]?.events]).toEqual([['ERR_STREAM_OVERFLOW'], [], []])
    expect(node.unread).toBe(10 * 16_000)
  })

  it('are forgotten when they close', () => {
    const { clock, node, connections } = several(2)
    const [one, other] = connections
    clock.run(5, () => one?.remote.openChannel().write(piece(16_000)))
    one?.remote.close()
    clock.run(10)
    expect(node.unread).toBe(0)
    const channel = other?.remote.openChannel()
    for (let sent = 0; sent <= MAX; sent += 16_000) clock.run(1, () => channel?.write(piece(16_000)))
    clock.run(10)
    expect(other?.streams[0]?.events).toEqual(['close ERR_STREAM_OVERFLOW'])
    expect(node.unread).toBe(0)
  })
})

describe('while the network is away', () => {
  const talk = (): { clock: FakeClock; near: FakeRtc; muxer: WebrtcMuxer; stream: Channel; far: () => number } => {
    const clock = new FakeClock()
    const [near, other] = fakeRtcPair(clock, { latency: 5 })
    const muxer = webrtcMuxer(near, clock)
    const remote = webrtcMuxer(other, clock)
    let got = 0
    muxer.attach({ onStream: () => {}, onClose: () => {} })
    remote.attach({
      onStream: (channel) =>
        channel.attach({
          onData: (bytes) => {
            got += bytes.length
            channel.release(bytes.length)
            channel.write(bytes)
          },
          onEnd: () => {},
          onClose: () => {},
        }),
      onClose: () => {},
    })
    const stream = muxer.open()
    stream.attach({ onData: (bytes) => stream.release(bytes.length), onEnd: () => {}, onClose: () => {} })
    clock.run(100, () => stream.write(new Uint8Array(10)))
    return { clock, near, muxer, stream, far: () => got }
  }

  it('a few small messages are all that is sent, and when it is back one at a time until the remote is heard', () => {
    const { clock, near, muxer, stream, far } = talk()
    near.broken()
    clock.run(0, () => muxer.network(false))
    const before = near.messagesSent
    for (let i = 0; i < 100; i += 1) clock.run(100, () => stream.write(new Uint8Array(100)))
    expect(near.messagesSent - before).toBe(3)
    clock.run(350, () => muxer.network(true))
    expect(near.messagesSent - before).toBe(7)
    clock.run(1_000, () => near.whole())
    expect(far()).toBe(10_010)
  })

  it('all goes on at once where the path works after all', () => {
    const { clock, muxer, stream, far } = talk()
    clock.run(0, () => muxer.network(false))
    clock.run(1_000, () => stream.write(new Uint8Array(100_000)))
    expect(far()).toBe(100_010)
  })

  it('all goes after a while even if nothing is ever heard', () => {
    const { clock, near, muxer, stream } = talk()
    near.broken()
    clock.run(0, () => muxer.network(false))
    clock.run(0, () => muxer.network(true))
    clock.run(5_000, () => stream.write(new Uint8Array(100_000)))
    expect(near.bytesSent).toBeGreaterThan(100_000)
  })
})
