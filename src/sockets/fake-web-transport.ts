/**
 * A WebTransport without a network, for tests: two ends of a session, whose streams are WHATWG streams that are piped to each other and
 * fail as Chromium's do. It remembers whether a session was closed while a stream of it was being aborted, which kills a tab there.
 */

import type { StreamHalves } from './web-stream-channel.ts'

/** What one pipe takes before its reader reads: the browser's own buffer, and QUIC's window behind it. */
export const FAKE_PIPE = 64 * 1024

interface Pipe {
  readonly readable: ReadableStream<Uint8Array>
  readonly writable: WritableStream<Uint8Array>
  fail(error: Error): void
}

export class FakeSession {
  readonly ready: Promise<void>
  readonly closed: Promise<WebTransportCloseInfo>
  readonly incomingBidirectionalStreams: ReadableStream
  readonly url: string
  readonly hashes: readonly Uint8Array[]
  /** Closed by this side while an abort was under way. */
  crashed = false
  /** Whether streams over the remote's limit wait, as the specification says, or fail, as in Chromium. */
  waits = true
  /** How it ended: undefined while it has not. */
  over: 'closed' | 'refused' | 'remote' | undefined
  readonly #streams = new Set<Pipe>()
  readonly #waiting: { readonly resolve: (halves: StreamHalves) => void; readonly reject: (error: Error) => void }[] = []
  #aborting = 0
  #incoming: ReadableStreamDefaultController | undefined
  #open = false
  #allowed = Number.POSITIVE_INFINITY
  #onStream: (halves: StreamHalves) => void = () => {}
  #settle: { readonly ready: PromiseWithResolvers; readonly closed: PromiseWithResolvers<WebTransportCloseInfo> }

  constructor(url: string, options: WebTransportOptions = {}) {
    this.url = url
    this.hashes = (options.serverCertificateHashes ?? []).map(({ value }) => value as Uint8Array)
    this.#settle = { ready: withResolvers(), closed: withResolvers() }
    this.ready = this.#settle.ready.promise
    this.closed = this.#settle.closed.promise
    // Who does not ask is not told.
    this.ready.catch(() => {})
    this.closed.catch(() => {})
    this.incomingBidirectionalStreams = new ReadableStream({
      start: (controller) => {
        this.#incoming = controller
      },
    })
  }

  // ── WebTransport ──

  createBidirectionalStream(): Promise<StreamHalves> {
    if (this.over !== undefined) return Promise.reject(new DOMException('The WebTransport connection is not open.', 'InvalidStateError'))
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject })
      this.#serve()
    })
  }

  /** The remote allows so many streams more. */
  allow(streams: number): void {
    this.#allowed += streams
    this.#serve()
  }

  close(): void {
    if (this.over !== undefined) return
    if (this.#aborting > 0) this.crashed = true
    this.#end('closed', sessionError('The session is closed.'))
    this.#settle.closed.resolve({})
  }

  // ── the remote's end ──

  /** Answers CONNECT; `onStream` gets the remote's halves of each stream that this side opens, `streams` of them at most. */
  answer(onStream: (halves: StreamHalves) => void, streams = Number.POSITIVE_INFINITY): void {
    this.#open = true
    this.#onStream = onStream
    this.#allowed = streams
    this.#settle.ready.resolve()
    this.#serve()
  }

  /** There is no session: in Chromium the same for a dead port, a wrong certificate and a 404. */
  refuse(): void {
    const error = sessionError('Opening handshake failed.')
    this.#end('refused', error)
    this.#settle.ready.reject(error)
    this.#settle.closed.reject(error)
  }

  /** The remote's halves of a stream that it opens. */
  openStream(): StreamHalves {
    const [near, far] = this.#pair()
    this.#incoming?.enqueue(near)
    return far
  }

  remoteClose(info: WebTransportCloseInfo = {}): void {
    this.#end('remote', sessionError('The session is closed.'))
    this.#settle.closed.resolve(info)
  }

  lose(): void {
    const error = sessionError('Connection lost.')
    this.#end('remote', error)
    this.#settle.closed.reject(error)
  }

  // ── inside ──

  #serve(): void {
    while (this.#open && this.#allowed > 0 && this.#waiting.length > 0) {
      this.#allowed -= 1
      const [near, far] = this.#pair()
      this.#waiting.shift()?.resolve(near)
      this.#onStream(far)
    }
    if (!this.#open || this.waits) return
    for (const { reject } of this.#waiting.splice(0)) reject(new DOMException('Failed to create bidirectional stream.', 'NetworkError'))
  }

  #end(how: FakeSession['over'], error: Error): void {
    this.over = how
    for (const pipe of this.#streams) pipe.fail(error)
    for (const { reject } of this.#waiting.splice(0))
      reject(new DOMException('The WebTransport connection is not open.', 'InvalidStateError'))
    this.#incoming?.error(error)
  }

  #pair(): [StreamHalves, StreamHalves] {
    const there = this.#pipe(true)
    const back = this.#pipe(false)
    return [
      { readable: back.readable, writable: there.writable },
      { readable: there.readable, writable: back.writable },
    ]
  }

  #pipe(ours: boolean): Pipe {
    let reading: ReadableStreamDefaultController<Uint8Array>
    let writing: WritableStreamDefaultController
    let resume = (): void => {}
    let stopped = false
    // An error waits until the write under way is done.
    const stop = (error: Error): void => {
      stopped = true
      writing.error(error)
      resume()
    }
    const readable = new ReadableStream<Uint8Array>(
      {
        start(controller) {
          reading = controller
        },
        pull: () => resume(),
        cancel: () => stop(streamError('Received STOP_SENDING.')),
      },
      { highWaterMark: FAKE_PIPE, size: (chunk) => chunk.length },
    )
    const writable = new WritableStream<Uint8Array>({
      start(controller) {
        writing = controller
        controller.signal.addEventListener('abort', () => resume())
      },
      async write(chunk, controller) {
        while ((reading.desiredSize ?? 0) <= 0 && !stopped && !controller.signal.aborted) {
          await new Promise<void>((wake) => {
            resume = wake
          })
        }
        if (!stopped && !controller.signal.aborted) reading.enqueue(chunk)
      },
      close: () => reading.close(),
      abort: async () => {
        if (ours) this.#aborting += 1
        await new Promise((later) => setTimeout(later, 1))
        if (ours) this.#aborting -= 1
        reading.error(streamError('Received RESET_STREAM.'))
      },
    })
    const pipe: Pipe = {
      readable,
      writable,
      fail(error) {
        stop(error)
        reading.error(error)
      },
    }
    this.#streams.add(pipe)
    return pipe
  }
}

type PromiseWithResolvers<T = void> = {
  readonly promise: Promise<T>
  readonly resolve: (value: T) => void
  readonly reject: (error: Error) => void
}

const withResolvers = <T>(): PromiseWithResolvers<T> => {
  let resolve: (value: T) => void = () => {}
  let reject: (error: Error) => void = () => {}
  const promise = new Promise<T>((done, fail) => {
    resolve = done
    reject = fail
  })
  return { promise, resolve, reject }
}

const streamError = (message: string): Error => Object.assign(new Error(message), { source: 'stream', streamErrorCode: 0 })
const sessionError = (message: string): Error => Object.assign(new Error(message), { source: 'session', streamErrorCode: null })
