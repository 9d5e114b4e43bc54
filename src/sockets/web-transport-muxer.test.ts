/** Streams and sessions of WebTransport against a remote in memory. */

import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { WT_CLOSE_TIMEOUT, WT_MAX_INBOUND, WT_MAX_OPENING, WT_OPEN_RETRY, WT_RECEIVE_WINDOW, WT_SEND_BUFFER } from '../engine/limits.ts'
import type { Channel } from '../engine/wire/channel.ts'
import { TabmeshError } from '../errors.ts'
import { FAKE_PIPE, FakeSession } from './fake-web-transport.ts'
import type { StreamHalves } from './web-stream-channel.ts'
import { WebTransportMuxer } from './web-transport-muxer.ts'

const fault = new TabmeshError('ERR_STOPPED', 'enough')

/** Timers that a test sets off by hand. */
const clock = () => {
  const timers = new Set<{ readonly ms: number; readonly wake: () => void }>()
  return {
    after(ms: number, wake: () => void) {
      const timer = { ms, wake }
      timers.add(timer)
      return () => timers.delete(timer)
    },
    get set() {
      return [...timers].map(({ ms }) => ms)
    },
    strike(ms: number) {
      for (const timer of timers) {
        if (timer.ms !== ms) continue
        timers.delete(timer)
        timer.wake()
      }
    },
  }
}

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
const bytes = (words: string): Uint8Array => new TextEncoder().encode(words)

/** Reads a channel and writes down what it is told; releases at once unless told not to. */
const reader = (channel: Channel, releasing = true) => {
  const state = { log: [] as string[], size: 0, release: (count: number) => channel.release(count) }
  channel.attach({
    onData(chunk) {
      state.size += chunk.length
      state.log.push(chunk.length < 100 ? text(chunk) : `${chunk.length} bytes`)
      if (releasing) channel.release(chunk.length)
    },
    onDrain: () => state.log.push('drain'),
    onEnd: () => state.log.push('end'),
    onClose: (why) => state.log.push(why === undefined ? 'close' : `close ${why.code}`),
  })
  return state
}

/** Until nothing moves any more: everything here is microtasks and timers of a millisecond. */
const settle = async (): Promise<void> => {
  for (let i = 0; i < 4; i += 1) {
    await turn()
    await new Promise((later) => setTimeout(later, 2))
  }
}

const connect = (streams?: number) => {
  const session = new FakeSession('https://192.0.2.1:4001/')
  const timers = clock()
  const muxer = new WebTransportMuxer(session as never, session.url, timers)
  const remote: StreamHalves[] = []
  session.answer((halves) => remote.push(halves), streams)
  const log: string[] = []
  const inbound: Channel[] = []
  const attach = () =>
    muxer.attach({
      onStream: (channel) => inbound.push(channel),
      onClose: (why) => log.push(why === undefined ? 'closed' : `closed ${why.code}: ${why.message.split(': ')[0]}`),
    })
  attach()
  return { session, timers, muxer, remote, log, inbound }
}

const opened = async () => {
  const it = connect()
  const channel = it.muxer.open()
  await settle()
  const [far] = it.remote
  if (far === undefined) throw new Error('no stream came')
  return { ...it, channel, far, farWriter: far.writable.getWriter(), farReader: far.readable.getReader() }
}

describe('a stream', () => {
  it('sends what was written before it was there, in order, and ends in order both ways', async () => {
    const { muxer, remote } = connect()
    const channel = muxer.open()
    const { log } = reader(channel)
    channel.write(bytes('one '))
    channel.write(bytes('two '))
    channel.end()
    channel.write(bytes('late'))
    await settle()

    let came = ''
    for await (const chunk of remote[0]?.readable ?? []) came += text(chunk)
    expect(came).toBe('one two ')
    const writer = remote[0]?.writable.getWriter()
    await writer?.write(bytes('answer'))
    expect(log).toEqual(['answer'])
    await writer?.close()
    await settle()
    expect(log).toEqual(['answer', 'end', 'close'])
  })

  it('has credit for a bound of bytes and says when half of them have left', async () => {
    const { channel, farReader } = await opened()
    const { log } = reader(channel)
    let written = 0
    for (; channel.credit > 0; written += 10_000) channel.write(new Uint8Array(10_000))
    expect(written).toBeLessThan(WT_SEND_BUFFER + 10_000)
    await settle()
    expect(channel.credit).toBeLessThan(WT_SEND_BUFFER / 2)
    expect(log).toEqual([])

    let read = 0
    while (log.length === 0) read += (await farReader.read()).value?.length ?? 0
    expect(log).toEqual(['drain'])
    expect(channel.credit).toBeGreaterThanOrEqual(WT_SEND_BUFFER / 2)
    while (read < written) read += (await farReader.read()).value?.length ?? 0
    await settle()
    expect(channel.credit).toBe(WT_SEND_BUFFER)
    expect(log).toEqual(['drain'])
  })

  it('that floods while nobody uses the bytes is stopped, and goes on as they are used', async () => {
    const { channel, farWriter } = await opened()
    const state = reader(channel, false)
    const piece = 16 * 1024
    const total = 4 * 1024 * 1024
    let taken = 0
    const flood = (async () => {
      for (let at = 0; at < total; at += piece) {
        await farWriter.write(new Uint8Array(piece))
        taken += piece
      }
    })()
    await settle()
    expect(state.size).toBeGreaterThanOrEqual(WT_RECEIVE_WINDOW)
    expect(state.size).toBeLessThan(WT_RECEIVE_WINDOW + piece)
    expect(taken).toBeLessThanOrEqual(state.size + FAKE_PIPE + piece)

    for (let used = 0; used < total; ) {
      const some = state.size - used
      used += some
      channel.release(some)
      await turn()
    }
    await flood
    expect(state.size).toBe(total)
  })

  it('keeps at most a window for a reader that has not come yet', async () => {
    const { channel, farWriter } = await opened()
    for (let i = 0; i < 100; i += 1) farWriter.write(new Uint8Array(16 * 1024)).catch(() => {})
    await settle()
    expect(reader(channel, false).size).toBeLessThan(WT_RECEIVE_WINDOW + 16 * 1024)
  })

  it('that the remote resets is closed with a fault, told once, and reset in the other direction too', async () => {
    const { channel, farWriter, farReader } = await opened()
    const { log } = reader(channel)
    await farWriter.abort()
    await settle()
    expect(log).toEqual(['close ERR_STREAM_RESET'])
    await expect(farReader.read()).rejects.toThrow('RESET_STREAM')
    channel.abort(fault)
    channel.write(bytes('x'))
    channel.end()
    await settle()
    expect(log).toEqual(['close ERR_STREAM_RESET'])
  })

  it('that we give up is a reset at the remote, in both directions', async () => {
    const { channel, farWriter, farReader } = await opened()
    const { log } = reader(channel)
    channel.write(bytes('begun'))
    channel.abort(fault)
    channel.abort(fault)
    await settle()
    expect(log).toEqual(['close ERR_STOPPED'])
    await expect(farReader.read()).rejects.toThrow('RESET_STREAM')
    await expect(farWriter.write(bytes('x'))).rejects.toThrow('STOP_SENDING')
  })

  it('that we give up before it is there is reset as soon as it is', async () => {
    const { muxer, remote } = connect()
    const channel = muxer.open()
    const { log } = reader(channel)
    channel.write(bytes('begun'))
    channel.abort(fault)
    expect(log).toEqual(['close ERR_STOPPED'])
    await settle()
    await expect(remote[0]?.readable.getReader().read()).rejects.toThrow('RESET_STREAM')
  })

  it('drops what is written once the remote reads no more, lets no writer wait, and ends in order on both sides', async () => {
    const { channel, farWriter, farReader } = await opened()
    const { log } = reader(channel)
    while (channel.credit > 0) channel.write(new Uint8Array(100_000))
    await settle()
    await farReader.cancel()
    await settle()
    expect(log).toEqual(['drain'])
    for (let i = 0; i < 10; i += 1) channel.write(new Uint8Array(100_000))
    expect(channel.credit).toBe(WT_SEND_BUFFER)

    await farWriter.write(bytes('that will do'))
    await farWriter.close()
    await settle()
    expect(log).toEqual(['drain', 'that will do', 'end'])
    // Whoever reads may still have to think about it, and is not cut short.
    channel.end()
    expect(log).toEqual(['drain', 'that will do', 'end', 'close'])
  })

  it('can be read on after its own end', async () => {
    const { channel, farWriter, farReader } = await opened()
    const { log } = reader(channel)
    channel.end()
    expect((await farReader.read()).done).toBe(true)
    await settle()
    await farWriter.write(bytes('still here'))
    await settle()
    expect(log).toEqual(['still here'])
    expect(channel.credit).toBe(0)
  })
})

describe('a session', () => {
  it('hands on the streams of the remote, also those that came before anybody asked', async () => {
    const session = new FakeSession('https://192.0.2.1:4001/')
    const muxer = new WebTransportMuxer(session as never, session.url, clock())
    session.answer(() => {})
    const first = session.openStream()
    await settle()
    const streams: Channel[] = []
    muxer.attach({ onStream: (channel) => streams.push(channel), onClose: () => {} })
    session.openStream()
    await settle()
    expect(streams.length).toBe(2)
    streams[0]?.write(bytes('hello'))
    expect(text((await first.readable.getReader().read()).value ?? bytes(''))).toBe('hello')
  })

  it('refuses streams over the limit and takes new ones when old ones are gone', async () => {
    const { session, inbound } = connect()
    const remote: StreamHalves[] = []
    for (let i = 0; i < WT_MAX_INBOUND + 3; i += 1) remote.push(session.openStream())
    await settle()
    expect(inbound.length).toBe(WT_MAX_INBOUND)
    for (const refused of remote.slice(WT_MAX_INBOUND)) await expect(refused.readable.getReader().read()).rejects.toThrow('RESET_STREAM')

    inbound[0]?.abort(fault)
    session.openStream()
    await settle()
    expect(inbound.length).toBe(WT_MAX_INBOUND + 1)
  })

  it('lets streams wait that the remote does not allow yet, up to a limit', async () => {
    const { muxer, remote } = connect(2)
    muxer.open()
    muxer.open()
    await settle()
    expect(remote.length).toBe(2)
    const waiting = Array.from({ length: WT_MAX_OPENING }, () => reader(muxer.open()))
    await settle()
    expect(remote.length).toBe(2)
    expect(waiting.every(({ log }) => log.length === 0)).toBe(true)
    expect(reader(muxer.open()).log).toEqual(['close ERR_STREAM_LIMIT'])
  })

  it('opens streams in their order where the browser refuses those over the limit of the remote, as Chromium does', async () => {
    const { session, muxer, remote, timers, log } = connect(1)
    session.waits = false
    const channels = Array.from({ length: 5 }, () => muxer.open())
    const logs = channels.map((channel) => reader(channel).log)
    for (const [i, channel] of channels.entries()) channel.write(Uint8Array.of(0x30 + i))
    await settle()
    expect(remote.length).toBe(1)
    expect(timers.set).toEqual([WT_OPEN_RETRY])
    timers.strike(WT_OPEN_RETRY)
    await settle()
    expect(remote.length).toBe(1)

    channels[2]?.abort(fault)
    session.allow(3)
    timers.strike(WT_OPEN_RETRY)
    await settle()
    const first = await Promise.all(remote.map(({ readable }) => readable.getReader().read()))
    expect(first.map(({ value }) => text(value ?? bytes('')))).toEqual(['0', '1', '3', '4'])
    expect(timers.set).toEqual([])
    expect(logs).toEqual([[], [], ['close ERR_STOPPED'], [], []])

    const late = reader(muxer.open())
    await settle()
    expect(timers.set).toEqual([WT_OPEN_RETRY])
    muxer.abort(fault)
    await settle()
    expect(late.log).toEqual(['close ERR_STOPPED'])
    expect(log).toEqual(['closed ERR_STOPPED: enough'])
    expect(timers.set).toEqual([])
  })

  it('closes behind what was written', async () => {
    const { session, muxer, remote, log } = connect()
    const ended = muxer.open()
    const open = muxer.open()
    const logs = [reader(ended).log, reader(open).log]
    ended.write(bytes('last words'))
    ended.end()
    open.write(bytes('half a sent'))
    muxer.close()
    expect(logs).toEqual([['close ERR_CONNECTION_CLOSED'], ['close ERR_CONNECTION_CLOSED']])
    expect(session.over).toBeUndefined()

    const reading = remote.map(({ readable }) => readable.getReader().read())
    expect((await Promise.all(reading)).map(({ value }) => text(value ?? bytes('')))).toEqual(['last words', 'half a sent'])
    await settle()
    expect(session.over).toBe('closed')
    expect(log).toEqual(['closed'])
    muxer.close()
    muxer.abort(fault)
    expect(log).toEqual(['closed'])
  })

  it('closes without what the remote does not read, when the time for it is over', async () => {
    const { session, muxer, timers, log } = connect()
    const channel = muxer.open()
    channel.write(new Uint8Array(FAKE_PIPE))
    channel.write(new Uint8Array(FAKE_PIPE))
    muxer.close()
    await settle()
    expect(session.over).toBeUndefined()
    timers.strike(WT_CLOSE_TIMEOUT)
    await settle()
    expect(session.over).toBe('closed')
    expect(session.crashed).toBe(false)
    expect(log).toEqual(['closed'])
    expect(timers.set).toEqual([])
  })

  it('is closed only when the aborts of its streams are done', async () => {
    const { session, muxer, log, timers } = connect()
    const logs = [reader(muxer.open()).log, reader(muxer.open()).log]
    await settle()
    muxer.abort(fault)
    expect(logs).toEqual([['close ERR_STOPPED'], ['close ERR_STOPPED']])
    expect(log).toEqual(['closed ERR_STOPPED: enough'])
    expect(session.over).toBeUndefined()
    await settle()
    expect(session.over).toBe('closed')
    expect(session.crashed).toBe(false)
    expect(timers.set).toEqual([])
    expect(reader(muxer.open()).log).toEqual(['close ERR_STOPPED'])
  })

  it('is closed at once where there is nothing to abort', () => {
    const { session, muxer } = connect()
    muxer.open()
    muxer.abort(fault)
    expect(session.over).toBe('closed')
  })

  for (const [what, end, told] of [
    ['the remote closes in order', (session: FakeSession) => session.remoteClose(), 'closed'],
    [
      'the remote closes with a code',
      (session: FakeSession) => session.remoteClose({ closeCode: 0x47415445, reason: 'no' }),
      'closed ERR_CONNECTION_CLOSED: the WebTransport session ended with code 0x47415445, gated, no',
    ],
    [
      'the network loses',
      (session: FakeSession) => session.lose(),
      'closed ERR_CONNECTION_CLOSED: the WebTransport session ended without a goodbye',
    ],
  ] as const) {
    it(`that ${what} tells each stream and its owner once`, async () => {
      const { session, muxer, log, inbound } = connect()
      const streams = [muxer.open()]
      session.openStream()
      await settle()
      streams.push(...inbound)
      const logs = streams.map((stream) => reader(stream).log)
      end(session)
      streams.push(muxer.open())
      await settle()
      expect(logs).toEqual([['close ERR_CONNECTION_CLOSED'], ['close ERR_CONNECTION_CLOSED']])
      expect(reader(streams[2] as Channel).log).toEqual(['close ERR_CONNECTION_CLOSED'])
      expect(log).toEqual([told])
      muxer.abort(fault)
      muxer.close()
      expect(log).toEqual([told])
    })
  }

  it('that was over before anybody asked says so then', async () => {
    const session = new FakeSession('https://192.0.2.1:4001/')
    const muxer = new WebTransportMuxer(session as never, session.url, clock())
    const { log } = reader(muxer.open())
    session.refuse()
    await settle()
    expect(log).toEqual(['close ERR_WEBTRANSPORT_FAILED'])
    const told: (string | undefined)[] = []
    muxer.attach({ onStream: () => {}, onClose: (why) => told.push(why?.code) })
    expect(told).toEqual(['ERR_WEBTRANSPORT_FAILED'])
  })
})
