/**
 * FileReceiver: takes one file of one member, over as many streams as it takes, and hands it on as fast as it is wanted.
 *
 *   offered ── accept ──▶ taking ── END, the hash is right, all handed on ──▶ done
 *      │                     ├── another hash ──────▶ over (ERR_FILE_CORRUPT)
 *      └── reject ──▶ over   ├── given up ──────────▶ over, the sender is told
 *                            └── CANCEL, or no stream for ROOM_FILE_PATIENCE ──▶ over
 *
 * Bytes are released to the sender when who reads them has taken them: a slow disk slows the sender down.
 *
 * Bounds: what waits for the reader is at most one stream's receive window.
 */

import { sha256 } from '@noble/hashes/sha2.js'
import { remoteFault, TabmeshError } from '../../../errors.ts'
import { ByteQueue } from '../../codec/byte-queue.ts'
import { equalBytes } from '../../codec/bytes.ts'
import type { PeerId } from '../../codec/peer-id.ts'
import type { Cancel, Host } from '../../host.ts'
import { ROOM_FILE_DECIDE, ROOM_FILE_PATIENCE, ROOM_FILE_REPORT } from '../../limits.ts'
import type { Stream } from '../../net/stream.ts'
import type { Channel } from '../../wire/channel.ts'
import { encodeFileAnswer, type FileAnswer, type FileInfo, type FileWord } from './file-words.ts'
import type { WordWriter } from './word-stream.ts'

export interface FileStream {
  readonly stream: Stream
  readonly writer: WordWriter
}

export class FileReceiver {
  readonly peer: PeerId
  readonly info: FileInfo
  readonly #host: Host
  readonly #onOver: (done: boolean) => void
  readonly #hash = sha256.create()
  readonly #queue = new ByteQueue()
  #way: FileStream | undefined
  #out: Channel | undefined
  #received = 0
  #handed = 0
  #reported = 0
  /** Bytes of the stream that are not released. */
  #owed = 0
  /** All has come, and it is what was sent. */
  #whole = false
  #timer: Cancel
  #over = false

  /** `onOver` is called once; `done`: all of it has been handed on. */
  constructor(peer: PeerId, info: FileInfo, host: Host, onOver: (done: boolean) => void) {
    this.peer = peer
    this.info = info
    this.#host = host
    this.#onOver = onOver
    this.#timer = host.after(ROOM_FILE_DECIDE, () => this.reject())
  }

  /** The sender's stream, the first one or one that takes its place. */
  attach(way: FileStream): void {
    const former = this.#way
    this.#way = way
    this.#owed = 0
    former?.stream.abort(new TabmeshError('ERR_STREAM_CLOSED', 'another stream has taken its place'))
    if (this.#out === undefined) return
    this.#timer()
    this.#say({ t: 'accept', at: this.#received })
  }

  /** The stream is gone; there may be another one. */
  detach(way: FileStream): void {
    if (this.#way !== way || this.#over) return
    this.#way = undefined
    if (this.#out === undefined) return
    this.#wait()
  }

  #wait(): void {
    this.#timer()
    this.#timer = this.#host.after(ROOM_FILE_PATIENCE, () =>
      this.fail(new TabmeshError('ERR_CONNECTION_CLOSED', `the rest of ${this.info.name} did not come`)),
    )
  }

  /** What came is written to `out`; giving that up gives the file up. */
  accept(out: Channel): void {
    if (this.#over || this.#out !== undefined)
      return out.abort(new TabmeshError('ERR_STREAM_CLOSED', `${this.info.name} is not offered any more`))
    this.#out = out
    this.#timer()
    out.attach({
      onData: (bytes) => out.release(bytes.length),
      onDrain: () => this.#flow(),
      onEnd: () => {},
      onClose: () => this.#refuse(false),
    })
    if (this.#way === undefined) this.#wait()
    else this.#say({ t: 'accept', at: 0 })
  }

  reject(): void {
    this.#refuse(false)
  }

  /** What the sender says. Throws ERR_PROTOCOL. */
  hear(word: FileWord): void {
    if (this.#over) return
    switch (word.t) {
      case 'offer':
        throw remoteFault('ERR_PROTOCOL', 'two offers on one stream')
      case 'cancel':
        return this.fail(remoteFault('ERR_STREAM_RESET', `the sender of ${this.info.name} gave it up`))
      case 'data':
        return this.#take(word.data)
      case 'end':
        return this.#end(word.hash)
    }
  }

  #take(data: Uint8Array): void {
    if (this.#out === undefined || this.#whole) throw remoteFault('ERR_PROTOCOL', 'bytes of a file that are not due')
    this.#received += data.length
    if (this.#received > this.info.size) return this.#corrupt()
    this.#hash.update(data)
    this.#queue.push(data)
    this.#flow()
  }

  #end(hash: Uint8Array): void {
    if (this.#out === undefined) throw remoteFault('ERR_PROTOCOL', 'the end of a file that was not accepted')
    if (this.#whole) return this.#flow()
    if (this.#received !== this.info.size || !equalBytes(this.#hash.digest(), hash)) return this.#corrupt()
    this.#whole = true
    this.#flow()
  }

  /** So many bytes have come on the stream, and been heard. */
  arrived(way: FileStream, bytes: number): void {
    if (this.#way !== way || this.#queue.size === 0) way.stream.release(bytes)
    else this.#owed += bytes
  }

  #flow(): void {
    const out = this.#out
    if (out === undefined || this.#over) return
    while (this.#queue.size > 0 && out.credit > 0) {
      const bytes = this.#queue.shift() as Uint8Array
      this.#handed += bytes.length
      out.write(bytes)
    }
    if (this.#handed - this.#reported >= ROOM_FILE_REPORT) {
      this.#reported = this.#handed
      this.#say({ t: 'have', at: this.#handed })
    }
    if (this.#queue.size > 0) return
    const owed = this.#owed
    this.#owed = 0
    if (owed > 0) this.#way?.stream.release(owed)
    if (!this.#whole) return
    this.#say({ t: 'done' })
    this.#finish(true)
    out.end()
  }

  #say(answer: FileAnswer): void {
    this.#way?.writer.write(encodeFileAnswer(answer))
  }

  #corrupt(): void {
    const { name } = this.info
    this.#say({ t: 'refuse', corrupt: true })
    this.fail(remoteFault('ERR_FILE_CORRUPT', `${name} is not what was sent`))
  }

  #refuse(corrupt: boolean): void {
    if (this.#over) return
    this.#say({ t: 'refuse', corrupt })
    this.#finish(false)
  }

  /** We leave. */
  drop(fault: TabmeshError): void {
    this.#refuse(false)
    this.#out?.abort(fault)
  }

  /** It comes to nothing. */
  fail(fault: TabmeshError): void {
    if (this.#over) return
    this.#finish(false)
    this.#out?.abort(fault)
  }

  #finish(done: boolean): void {
    this.#over = true
    this.#timer()
    this.#queue.clear()
    const way = this.#way
    this.#way = undefined
    if (way !== undefined) {
      if (this.#owed > 0) way.stream.release(this.#owed)
      way.writer.end()
    }
    this.#onOver(done)
  }
}
