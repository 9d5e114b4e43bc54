/**
 * Pipe: a byte pipe across a MessagePort, the same at both ends: data crosses as transferred buffers.
 *
 *   messages: Uint8Array[] (transferred) · number (bytes the other end has used) · 'end' · PlainError (abort)
 *
 * What is written within one turn leaves as one message. Large chunks that own their buffer are transferred as they
 * are; small ones and views are gathered into one fresh buffer first. Never structured-cloned.
 *
 * Bounds: PIPE_CREDIT bytes each way that the other end has not used yet, plus one write.
 */

import { concat } from '../engine/codec/bytes.ts'
import { PIPE_CREDIT } from '../engine/limits.ts'
import { type Channel, Inlet, type Sink } from '../engine/wire/channel.ts'
import { deflateError, inflateError, type PlainError, TabmeshError } from '../errors.ts'

type PipeMessage = Uint8Array[] | number | 'end' | PlainError

/** From here on a chunk that owns its buffer is cheaper to transfer by itself than to copy. */
const TRANSFER_WHOLE = 4_096

export class Pipe implements Channel {
  readonly #port: MessagePort
  readonly #inlet = new Inlet()
  #queue: Uint8Array[] = []
  #scheduled = false
  /** Bytes sent that the other end has not used yet. */
  #unused = 0
  /** Bytes received and used that the other end was not told of. */
  #used = 0
  #ending = false
  #endSent = false
  #over = false

  constructor(port: MessagePort) {
    this.#port = port
    port.onmessage = ({ data }: MessageEvent<PipeMessage>) => this.#receive(data)
  }

  get credit(): number {
    return this.#over || this.#ending ? 0 : PIPE_CREDIT - this.#unused
  }

  write(bytes: Uint8Array): void {
    if (this.#over || this.#ending || bytes.length === 0) return
    this.#unused += bytes.length
    this.#queue.push(bytes)
    this.#schedule()
  }

  end(): void {
    if (this.#over || this.#ending) return
    this.#ending = true
    this.#schedule()
  }

  abort(fault: TabmeshError): void {
    if (this.#over) return
    this.#port.postMessage(deflateError(fault))
    this.#close(fault)
  }

  attach(sink: Sink): void {
    this.#inlet.attach(sink)
  }

  detach(rest?: Uint8Array): void {
    this.#inlet.detach(rest)
  }

  release(bytes: number): void {
    this.#used += bytes
    // Half of the credit: a message wakes the other thread, and the writer has the other half meanwhile.
    if (this.#used < PIPE_CREDIT / 2 || this.#over) return
    this.#port.postMessage(this.#used)
    this.#used = 0
  }

  #receive(message: PipeMessage): void {
    if (this.#over) return
    if (Array.isArray(message)) {
      for (const bytes of message) this.#inlet.push(bytes)
    } else if (typeof message === 'number') {
      const stuck = this.#unused >= PIPE_CREDIT
      this.#unused -= message
      if (stuck && this.#unused < PIPE_CREDIT) this.#inlet.drain()
    } else if (message === 'end') {
      this.#inlet.end()
      if (this.#endSent) this.#close()
    } else {
      const error = inflateError(message)
      this.#close(
        error instanceof TabmeshError ? error : new TabmeshError('ERR_STREAM_RESET', 'the other end gave the stream up', { cause: error }),
      )
    }
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    queueMicrotask(() => {
      this.#scheduled = false
      this.#flush()
    })
  }

  #flush(): void {
    if (this.#over) return
    if (this.#queue.length > 0) {
      const chunks = pack(this.#queue)
      this.#queue = []
      this.#port.postMessage(
        chunks,
        chunks.map((chunk) => chunk.buffer as ArrayBuffer),
      )
    }
    if (this.#ending && !this.#endSent) {
      this.#endSent = true
      this.#port.postMessage('end')
      if (this.#inlet.ended) this.#close()
    }
  }

  #close(fault?: TabmeshError): void {
    if (this.#over) return
    this.#over = true
    this.#queue = []
    this.#port.onmessage = null
    // What was posted is still delivered; then the port can go.
    this.#port.close()
    this.#inlet.close(fault)
  }
}

/** Chunks that each own their whole buffer: large ones as they are, runs of others copied together. */
const pack = (chunks: readonly Uint8Array[]): Uint8Array[] => {
  const packed: Uint8Array[] = []
  let run: Uint8Array[] = []
  const closeRun = (): void => {
    if (run.length > 0) packed.push(concat(run))
    run = []
  }
  for (const chunk of chunks) {
    if (chunk.length >= TRANSFER_WHOLE && chunk.byteLength === chunk.buffer.byteLength) {
      closeRun()
      packed.push(chunk)
    } else {
      run.push(chunk)
    }
  }
  closeRun()
  return packed
}
