/**
 * PeerStream: a stream to another peer as the web's own ReadableStream and WritableStream, over a pipe to the engine.
 *
 * Backpressure is end to end: `writable` waits while the pipe has no credit, and bytes are released to the remote only
 * as the reader takes them.
 */

import { utf8 } from './engine/codec/bytes.ts'
import { PIPE_CREDIT } from './engine/limits.ts'
import { asTabmeshError, TabmeshError } from './errors.ts'
import { Pipe } from './port/pipe.ts'
import type { StreamInfo } from './types.ts'

export interface PeerStream {
  readonly id: string
  /** The protocol both sides agreed on. */
  readonly protocol: string
  readonly remotePeer: string
  readonly direction: 'inbound' | 'outbound'
  /** What the remote sends; errors with a TabmeshError when the stream is reset. */
  readonly readable: ReadableStream<Uint8Array>
  /** What goes to the remote; strings are sent as UTF-8. Chunks are copied: the caller keeps its buffers. */
  readonly writable: WritableStream<Uint8Array | string>
  /**
   * Ends both ways in order: what was written is sent, what still arrives is dropped. Resolves when the remote has ended
   * too; rejects if the stream fails before that.
   */
  close(): Promise<void>
  /** Gives the stream up both ways; the remote sees a reset. */
  abort(reason?: unknown): void
}

/** Bytes that wait in `readable` for a reader before the remote is slowed down, beside the pipe's own credit. */
const READ_AHEAD = PIPE_CREDIT

/** `onOver` is called once, when nothing passes any more. */
export const peerStream = (info: StreamInfo, port: MessagePort, onOver: () => void = () => {}): PeerStream => {
  const pipe = new Pipe(port)
  let over: { fault: TabmeshError | undefined } | undefined
  let resumeWriter: (() => void) | undefined
  let settleClosed: { resolve: () => void; reject: (fault: TabmeshError) => void } = { resolve: () => {}, reject: () => {} }
  const closed = new Promise<void>((resolve, reject) => {
    settleClosed = { resolve, reject }
  })
  let reading: ReadableStreamDefaultController<Uint8Array>
  let readableEnded = false
  let writing: WritableStreamDefaultController
  let discarding = false
  /** `close` was called while somebody else holds the writer: what was accepted before is sent, and nothing after it. */
  let ending = false
  /** Chunks that `writable` took before that, and those of them that are in the pipe. */
  let accepted = 0
  let passed = 0
  let delivered = 0
  let released = 0

  const release = (): void => {
    // What the queue still holds was not read yet.
    const queued = readableEnded ? 0 : READ_AHEAD - (reading.desiredSize ?? READ_AHEAD)
    const read = delivered - Math.max(0, queued)
    if (read > released) {
      pipe.release(read - released)
      released = read
    }
  }

  const endReadable = (): void => {
    if (readableEnded) return
    readableEnded = true
    reading.close()
  }

  /** What can't be sent breaks the writable, so the remote must not wait for its end. */
  const bytesOf = (chunk: unknown): Uint8Array => {
    if (typeof chunk === 'string') return utf8(chunk)
    // The page keeps what it passed in: bytes that cross to the engine are transferred, which would empty its buffer.
    if (chunk instanceof Uint8Array) return new Uint8Array(chunk)
    const error = new TabmeshError('ERR_INVALID_ARGUMENT', 'a stream takes Uint8Array or string')
    abort(error)
    throw error
  }

  const readable = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        reading = controller
      },
      pull: release,
      cancel(reason) {
        readableEnded = true
        abort(reason)
      },
    },
    { highWaterMark: READ_AHEAD, size: (chunk) => chunk.byteLength },
  )

  const sink: UnderlyingSink<Uint8Array | string> = {
    start(controller) {
      writing = controller
    },
    async write(chunk) {
      if (passed === accepted) throw closedError(info)
      const bytes = bytesOf(chunk)
      for (let at = 0; at < bytes.length; ) {
        if (over !== undefined) throw over.fault ?? closedError(info)
        if (pipe.credit <= 0) {
          await new Promise<void>((resume) => {
            resumeWriter = resume
          })
          continue
        }
        const end = Math.min(bytes.length, at + pipe.credit)
        pipe.write(bytes.length <= end - at ? bytes : bytes.slice(at, end))
        at = end
      }
      passed += 1
      if (ending && passed === accepted) pipe.end()
    },
    close() {
      pipe.end()
    },
    abort(reason) {
      abort(reason)
    },
  }
  // Asked for the size of each chunk in the call that writes it.
  const size = (): number => {
    if (!ending) accepted += 1
    return 1
  }
  const writable = new WritableStream(sink, { highWaterMark: 1, size })

  pipe.attach({
    onData(bytes) {
      if (discarding || readableEnded) return pipe.release(bytes.length)
      delivered += bytes.length
      reading.enqueue(bytes)
    },
    onDrain() {
      resumeWriter?.()
      resumeWriter = undefined
    },
    onEnd: endReadable,
    onClose(fault) {
      over = { fault }
      onOver()
      resumeWriter?.()
      if (fault === undefined) endReadable()
      else {
        if (!readableEnded) reading.error(fault)
        readableEnded = true
        writing.error(fault)
      }
      if (fault === undefined) settleClosed.resolve()
      else settleClosed.reject(fault)
    },
  })
  // Only a caller of close() minds.
  closed.catch(() => {})

  const abort = (reason?: unknown): void => {
    pipe.abort(asTabmeshError(reason, 'ERR_STREAM_RESET', `stream ${info.protocol} was given up`))
  }

  return {
    ...info,
    readable,
    writable,
    async close() {
      if (over !== undefined) return
      discarding = true
      // What waits may still be read, but the remote must be able to finish whether it is or not.
      pipe.release(delivered - released)
      released = delivered
      endReadable()
      if (writable.locked) {
        ending = true
        if (passed === accepted) pipe.end()
      } else {
        await writable.close().catch(() => pipe.end())
      }
      await closed
    },
    abort,
  }
}

const closedError = (info: StreamInfo): TabmeshError => new TabmeshError('ERR_STREAM_CLOSED', `stream ${info.protocol} has ended`)
