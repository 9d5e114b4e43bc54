import { describe, expect, it } from 'vitest'
import { concat, fromUtf8, utf8 } from '../engine/codec/bytes.ts'
import { RTC_LOW_WATER, RTC_SEND_BUFFER } from '../engine/limits.ts'
import type { Channel } from '../engine/wire/channel.ts'
import { TabmeshError } from '../errors.ts'
import { DataChannel } from './data-channel.ts'

/** As much of an RTCDataChannel as is used, driven by hand. */
class FakeChannel {
  readyState: 'connecting' | 'open' | 'closing' | 'closed'
  bufferedAmount = 0
  bufferedAmountLowThreshold = 0
  binaryType = 'blob'
  refuses = false
  readonly sent: Uint8Array[] = []
  onmessage: ((event: { data: unknown }) => void) | null = null
  onopen: (() => void) | null = null
  onclose: (() => void) | null = null
  onbufferedamountlow: (() => void) | null = null

  constructor(state: 'connecting' | 'open' | 'closed') {
    this.readyState = state
  }

  send(bytes: Uint8Array): void {
    if (this.readyState !== 'open' || this.refuses) throw new DOMException('refused', 'OperationError')
    this.sent.push(bytes.slice())
    this.bufferedAmount += bytes.length
  }

  close(): void {
    if (this.readyState !== 'closed') this.readyState = 'closing'
  }

  open(): void {
    this.readyState = 'open'
    this.onopen?.()
  }

  closed(): void {
    this.readyState = 'closed'
    this.onclose?.()
  }
}

const connect = (channel: DataChannel, native: FakeChannel): void => channel.connect(native as unknown as RTCDataChannel)

const listen = (channel: Channel): string[] => {
  const log: string[] = []
  channel.attach({
    onData: (bytes) => log.push(fromUtf8(bytes)),
    onDrain: () => log.push('drain'),
    onEnd: () => log.push('end'),
    onClose: (fault) => log.push(fault?.code ?? 'close'),
  })
  return log
}

const message = (text: string): { data: ArrayBuffer } => ({ data: utf8(text).slice().buffer })

describe('a data channel of this thread', () => {
  it('sends each write as one message, those before it is open behind one another', () => {
    const channel = new DataChannel()
    const native = new FakeChannel('connecting')
    channel.write(utf8('a'))
    connect(channel, native)
    channel.write(utf8('b'))
    expect(native.sent).toEqual([])
    expect(channel.credit).toBe(RTC_SEND_BUFFER - 2)
    native.open()
    channel.write(utf8('c'))
    expect(native.sent.map((bytes) => fromUtf8(bytes))).toEqual(['a', 'b', 'c'])
    expect(native.binaryType).toBe('arraybuffer')
  })

  it('delivers each message, also before it is open, and drops text', () => {
    const channel = new DataChannel()
    const native = new FakeChannel('connecting')
    connect(channel, native)
    native.onmessage?.(message('early'))
    native.onmessage?.({ data: 'text' })
    const log = listen(channel)
    native.open()
    native.onmessage?.(message('late'))
    expect(log.filter((each) => each !== 'drain')).toEqual(['early', 'late'])
  })

  it('has credit as the browser sends, and says so', () => {
    const channel = new DataChannel()
    const native = new FakeChannel('open')
    connect(channel, native)
    const log = listen(channel)
    channel.write(new Uint8Array(RTC_SEND_BUFFER))
    expect(channel.credit).toBe(0)
    native.bufferedAmount = native.bufferedAmountLowThreshold
    native.onbufferedamountlow?.()
    expect(log).toEqual(['drain'])
    expect(channel.credit).toBe(RTC_SEND_BUFFER - RTC_LOW_WATER)
  })

  it('closes behind what was written, and is over when the browser says so', () => {
    const channel = new DataChannel()
    const native = new FakeChannel('connecting')
    connect(channel, native)
    const log = listen(channel)
    channel.write(utf8('last'))
    channel.end()
    channel.write(utf8('late'))
    channel.end()
    expect([channel.credit, native.readyState, log]).toEqual([0, 'connecting', []])
    native.open()
    expect([native.sent.map((bytes) => fromUtf8(bytes)), native.readyState]).toEqual([['last'], 'closing'])
    native.onmessage?.(message('still coming'))
    native.closed()
    native.onclose?.()
    expect(log).toEqual(['still coming', 'close'])
  })

  it('aborts at once, whether it is there or not', () => {
    for (const state of ['open', 'connecting', 'later'] as const) {
      const channel = new DataChannel()
      const native = new FakeChannel(state === 'later' ? 'open' : state)
      if (state !== 'later') connect(channel, native)
      const log = listen(channel)
      channel.write(utf8('x'))
      channel.abort(new TabmeshError('ERR_STREAM_RESET', 'a test'))
      channel.abort(new TabmeshError('ERR_TIMEOUT', 'a test'))
      if (state === 'later') connect(channel, native)
      expect(native.readyState).toBe('closing')
      native.onmessage?.(message('late'))
      native.closed()
      expect(log).toEqual(['ERR_STREAM_RESET'])
      expect(channel.credit).toBe(0)
    }
  })

  it('that the browser takes no more for closes with a code; one that was closed before, in order', () => {
    const full = new DataChannel()
    const native = new FakeChannel('open')
    connect(full, native)
    const log = listen(full)
    native.refuses = true
    full.write(utf8('x'))
    expect([log, native.readyState]).toEqual([['ERR_STREAM_RESET'], 'closing'])
    const gone = new DataChannel()
    connect(gone, new FakeChannel('closed'))
    expect(listen(gone)).toEqual(['close'])
  })
})

describe('a data channel of the page, behind a port', () => {
  const until = async (holds: () => boolean): Promise<void> => {
    while (!holds()) await new Promise((resolve) => setImmediate(resolve))
  }
  const make = () => {
    const { port1, port2 } = new MessageChannel()
    const got: unknown[] = []
    port2.onmessage = ({ data }: MessageEvent<unknown>) => got.push(data)
    return { channel: new DataChannel(), port: port1, page: port2, got }
  }

  it('passes messages, credit, the close and its news', async () => {
    const { channel, port, page, got } = make()
    const log = listen(channel)
    channel.write(utf8('a'))
    channel.connect(port)
    const view = new Uint8Array([1, 2, 3]).subarray(1)
    channel.write(view)
    await until(() => got.length === 2)
    expect(concat((got as Uint8Array[][]).flat())).toEqual(Uint8Array.of(97, 2, 3))
    expect(view.length).toBe(2)
    channel.write(new Uint8Array(RTC_SEND_BUFFER))
    expect(channel.credit).toBeLessThanOrEqual(0)
    log.splice(0)
    page.postMessage(RTC_SEND_BUFFER)
    await until(() => log.length > 0)
    expect([log, channel.credit]).toEqual([['drain'], RTC_SEND_BUFFER - 3])
    page.postMessage('open')
    page.postMessage(utf8('hello').slice().buffer)
    await until(() => log.includes('hello'))
    channel.end()
    await until(() => got.includes('close'))
    page.postMessage('closed')
    await until(() => log.includes('close'))
    page.close()
  })

  it('aborted before it came is closed when it comes', async () => {
    const { channel, port, page, got } = make()
    const log = listen(channel)
    channel.abort(new TabmeshError('ERR_STREAM_RESET', 'a test'))
    channel.connect(port)
    await until(() => got.length > 0)
    expect([got, log]).toEqual([['close'], ['ERR_STREAM_RESET']])
    page.close()
  })
})
