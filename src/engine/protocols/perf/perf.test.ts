import { describe, expect, it } from 'vitest'
import { TabmeshError } from '../../../errors.ts'
import { PERF_BLOCK, PERF_STALL, YAMUX_MAX_WINDOW } from '../../limits.ts'
import type { Stream } from '../../net/stream.ts'
import { type Exchange, exchange, scripted } from '../../testing/exchange.ts'
import type { Outcome } from '../../wire/conversation.ts'
import { identifyService } from '../identify/service.ts'
import { type Measured, measure, type Volume } from './client.ts'
import { PERF, perfService } from './service.ts'

const pair = (seed: number): Exchange => exchange(seed, { a: () => [identifyService()], b: () => [identifyService(), perfService()] })

/** Against a server that does as the test says. */
const against = (seed: number, onStream: (stream: Stream) => void): Exchange =>
  exchange(seed, { a: () => [identifyService()], b: () => [identifyService(), scripted(PERF, onStream)] })

const run = ({ connection, outcome, world }: Exchange, volume: Volume): Outcome<Measured> =>
  outcome(
    (done) =>
      void measure(connection.openStream([PERF]), volume, { now: () => world.now, after: (ms, wake) => world.after(ms, wake) }, done),
  )

const codeOf = (outcome: Outcome<unknown>): string => (outcome.ok ? 'ok' : outcome.fault.code)
const request = (...bytes: number[]): Uint8Array => Uint8Array.from(bytes)

describe('perf', () => {
  it('one way takes the time from the opening to the end, and is measured in its own direction only', () => {
    const lab = pair(1)
    const up = run(lab, { upload: 100_000, download: 0 })
    expect(up).toEqual({ ok: true, value: { upload: { bytes: 100_000, ms: 20 }, download: { bytes: 0, ms: 0 } } })
    const down = run(lab, { upload: 0, download: 100_000 })
    expect(down).toEqual({ ok: true, value: { upload: { bytes: 0, ms: 0 }, download: { bytes: 100_000, ms: 20 } } })
  })

  it('both ways over one stream: what is no whole block, and more than every window', () => {
    const lab = pair(2)
    const upload = 3 * 1_048_576 + 17
    const download = 2 * 1_048_576 + 1
    const measured = run(lab, { upload, download })
    if (!measured.ok) throw measured.fault
    expect([measured.value.upload.bytes, measured.value.download.bytes]).toEqual([upload, download])
    expect(measured.value.upload.ms).toBeGreaterThan(20)
    expect(measured.value.download.ms).toBeGreaterThan(0)
    lab.world.run(1_000)
    expect(lab.a.node.metrics.snapshot().protocols[PERF]).toEqual({ open: 0, total: 1, sent: upload + 8, received: download })
    expect(lab.b.node.metrics.snapshot().protocols[PERF]).toEqual({ open: 0, total: 1, sent: download, received: upload + 8 })
  })

  it('of nothing is a round trip', () => {
    expect(run(pair(3), { upload: 0, download: 0 })).toMatchObject({ ok: true, value: { upload: { bytes: 0, ms: 20 } } })
  })

  it('is not answered unless the service is mounted, and nowhere where a relay limits the connection', () => {
    const without = exchange(4, { a: () => [identifyService()], b: () => [identifyService()] })
    expect(codeOf(run(without, { upload: 1, download: 1 }))).toBe('ERR_NO_PROTOCOL')
    const { node } = pair(5).b
    expect([node.protocols(false).includes(PERF), node.protocols(true).includes(PERF)]).toEqual([true, false])
  })

  it('can be given up, and the remote hears of it', () => {
    const lab = pair(6)
    let outcome: Outcome<Measured> | undefined
    const giveUp = measure(lab.connection.openStream([PERF]), { upload: 1e9, download: 0 }, lab.a.node.host, (got) => {
      outcome = got
    })
    lab.world.run(100)
    giveUp(new TabmeshError('ERR_STREAM_CLOSED', 'enough'))
    lab.world.run(100)
    expect(outcome).toMatchObject({ ok: false, fault: { code: 'ERR_STREAM_CLOSED' } })
    expect([lab.connection.streams.size, [...lab.b.node.connections()][0]?.streams.size]).toEqual([0, 0])
    expect(codeOf(run(lab, { upload: 10, download: 10 }))).toBe('ok')
  })
})

describe('a perf server', () => {
  it('reads a request that comes byte by byte, and answers only when all has come', () => {
    const lab = pair(10)
    const stream = lab.connection.openStream([PERF])
    const heard = lab.listen(stream)
    for (const byte of [0, 0, 0, 0, 0, 0, 0, 5]) {
      stream.write(request(byte))
      lab.world.run(50)
    }
    expect(heard.bytes).toEqual([])
    stream.end()
    lab.world.run(100)
    expect(heard).toEqual({ bytes: [0, 0, 0, 0, 0], ended: true, closed: 'closed' })
  })

  it.each([0, 7])('resets a request of %i bytes', (length) => {
    const lab = pair(11)
    const stream = lab.connection.openStream([PERF])
    const heard = lab.listen(stream)
    stream.write(new Uint8Array(length))
    stream.end()
    lab.world.run(100)
    expect(heard).toEqual({ bytes: [], ended: false, closed: 'ERR_STREAM_RESET' })
  })

  it('asked for 2^64 − 1 bytes sends them as fast as they are read, and no more than a window ahead', () => {
    const lab = pair(12)
    const stream = lab.connection.openStream([PERF])
    let received = 0
    let reading = true
    stream.attach({
      onData({ length }) {
        received += length
        if (reading) stream.release(length)
      },
      onEnd: () => {},
      onClose: () => {},
    })
    stream.write(new Uint8Array(8).fill(255))
    stream.end()
    lab.world.run(300)
    expect(received).toBeGreaterThan(1_000_000)
    reading = false
    lab.world.run(1_000)
    const stopped = received
    lab.world.run(1_000)
    expect(received).toBe(stopped)
    const [there] = lab.b.node.connections()
    const [serving] = [...(there?.streams ?? [])].filter(({ protocol }) => protocol === PERF)
    expect((serving?.sent ?? 0) - received).toBeLessThan(YAMUX_MAX_WINDOW + PERF_BLOCK)
    stream.abort(new TabmeshError('ERR_STREAM_CLOSED', 'enough'))
    lab.world.run(1_000)
    expect(there?.streams.size).toBe(0)
  })

  it('serves one stream of a connection at a time', () => {
    const lab = pair(13)
    const first = lab.listen(lab.connection.openStream([PERF]))
    lab.world.run(100)
    const second = lab.listen(lab.connection.openStream([PERF]))
    lab.world.run(100)
    expect([first.closed, second.closed]).toEqual([undefined, 'ERR_STREAM_RESET'])
  })

  it.each([
    ['says nothing', () => {}],
    ['does not read its answer', (stream: Stream) => [stream.write(new Uint8Array(8).fill(1)), stream.end()]],
    ['stops in the middle of its upload', (stream: Stream) => stream.write(new Uint8Array(50_000))],
  ])('gives up on a client that %s', (_what, act) => {
    const lab = pair(14)
    const stream = lab.connection.openStream([PERF])
    let closed: string | undefined
    stream.attach({ onData: () => {}, onEnd: () => {}, onClose: (fault) => void (closed = fault?.code) })
    act(stream)
    lab.world.run(PERF_STALL - 1_000)
    expect(closed).toBeUndefined()
    lab.world.run(PERF_STALL + 2_000)
    expect(closed).toBe('ERR_STREAM_RESET')
  })
})

describe('a perf client', () => {
  const drained = (stream: Stream, atEnd: () => void): void =>
    stream.attach({ onData: ({ length }) => stream.release(length), onEnd: atEnd, onClose: () => {} })
  const volume = { upload: 1_000, download: 1_000 }

  it.each<[string, (stream: Stream) => void, string]>([
    [
      'sends more than it was asked for',
      (stream) => drained(stream, () => [stream.write(new Uint8Array(1_001)), stream.end()]),
      'ERR_PROTOCOL',
    ],
    ['sends less', (stream) => drained(stream, () => [stream.write(new Uint8Array(999)), stream.end()]), 'ERR_PROTOCOL'],
    ['sends nothing', (stream) => drained(stream, () => stream.end()), 'ERR_PROTOCOL'],
    ['resets', (stream) => stream.abort(new TabmeshError('ERR_STREAM_CLOSED', 'no')), 'ERR_STREAM_RESET'],
    ['reads nothing and sends nothing', (stream) => stream.attach({ onData: () => {}, onEnd: () => {}, onClose: () => {} }), 'ERR_TIMEOUT'],
    ['sends all and does not end', (stream) => drained(stream, () => stream.write(new Uint8Array(1_000))), 'ERR_TIMEOUT'],
  ])('refuses a server that %s', (_what, act, code) => {
    const lab = against(20, act)
    expect(codeOf(run(lab, volume))).toBe(code)
    lab.world.run(1_000)
    expect(lab.connection.streams.size).toBe(0)
    expect(lab.connection.status).toBe('open')
  })

  it('refuses an answer that begins before the upload is over: its times would be none', () => {
    const lab = against(21, (stream) => {
      stream.attach({ onData: () => {}, onEnd: () => {}, onClose: () => {} })
      stream.write(new Uint8Array(10))
    })
    expect(codeOf(run(lab, { upload: 10_000_000, download: 1_000 }))).toBe('ERR_PROTOCOL')
  })
})
