/**
 * FileSender: sends one file to one member, over as many streams as it takes.
 *
 *             a connection                ACCEPT offset              all written, END         DONE
 *   reaching ─────────────▶ offered ───────────────────▶ sending ────────────────────▶ ended ─────▶ over
 *      ▲                        │ broke                     │ broke, or a direct connection is there    │
 *      └── a while ─────────────┴───────────────────────────┴───────────────────────────────────────────┘
 *   from any state: REFUSE, `cancel`, nothing for ROOM_FILE_PATIENCE ─▶ over
 *
 * It is read in blocks, as the stream takes them, and hashed when a block is read for the first time: what is sent again after a break is not
 * hashed twice.
 *
 * Bounds: two blocks of ROOM_FILE_BLOCK; one stream.
 */

import { sha256 } from '@noble/hashes/sha2.js'
import { remoteFault, TabmeshError } from '../../../errors.ts'
import type { PeerId } from '../../codec/peer-id.ts'
import type { Cancel } from '../../host.ts'
import {
  ROOM_FILE_BLOCK,
  ROOM_FILE_CHUNK,
  ROOM_FILE_MAX_FRAME,
  ROOM_FILE_PATIENCE,
  ROOM_FILE_RETRY_MAX,
  ROOM_FILE_RETRY_MIN,
} from '../../limits.ts'
import type { Connection } from '../../net/connection.ts'
import type { Net } from '../../net/service.ts'
import type { Stream } from '../../net/stream.ts'
import type { Outcome } from '../../wire/conversation.ts'
import { decodeFileAnswer, encodeFileWord, FILE_ID, type FileAnswer, type FileInfo } from './file-words.ts'
import { encodePreamble, ROOM_FILE, SALT } from './messages.ts'
import type { Place } from './place.ts'
import { sealOf } from './seal.ts'
import { guarded, WordReader, WordWriter } from './word-stream.ts'

export interface FileOwner {
  readonly net: Net
  readonly place: Place
  /** The best connection that may be used, one made for it where there is none. */
  reach(peer: PeerId, done: (outcome: Outcome<Connection>) => void): Cancel
  /** Whether it is still worth waiting for. */
  expects(peer: PeerId): boolean
}

/** Where the bytes come from. */
export interface FileSource extends FileInfo {
  /** Reads `length` bytes from `at` on; `done` is called once, later, with just as many, or why not. */
  read(at: number, length: number, done: (bytes: Uint8Array | TabmeshError) => void): void
}

export interface FileEvents {
  /** The receiver has so many bytes. */
  onProgress(bytes: number): void
  /** Called once. */
  onOver(fault: TabmeshError | undefined): void
}

interface Way {
  readonly stream: Stream
  readonly connection: Connection
  readonly writer: WordWriter
  accepted: boolean
}

export class FileSender {
  readonly peer: PeerId
  readonly #source: FileSource
  readonly #owner: FileOwner
  readonly #events: FileEvents
  readonly #id: Uint8Array
  readonly #hash = sha256.create()
  /** Bytes that are in the hash. */
  #hashed = 0
  #digest: Uint8Array | undefined
  #way: Way | undefined
  /** Blocks that wait to be written, the first one from `#offset` on. */
  #blocks: Uint8Array[] = []
  #offset = 0
  /** Where the next block begins. */
  #readAt = 0
  #reading = false
  /** A block that was asked for before a break is not for now. */
  #turn = 0
  #ended = false
  #confirmed = 0
  #failures = 0
  #aliveAt: number
  #giveUp: Cancel | undefined
  #timer: Cancel | undefined
  #over = false

  constructor(peer: PeerId, source: FileSource, owner: FileOwner, events: FileEvents) {
    this.peer = peer
    this.#source = source
    this.#owner = owner
    this.#events = events
    this.#id = owner.net.host.random(FILE_ID)
    this.#aliveAt = owner.net.host.now()
  }

  start(): void {
    this.#reach()
  }

  /** A connection has come or gone: a direct one takes over from a relayed one. */
  settle(): void {
    if (this.#over) return
    const way = this.#way
    if (way === undefined) {
      // What was waited for may be there now.
      if (this.#timer !== undefined && this.#owner.net.connections(this.peer).some(({ status }) => status === 'open')) this.#reach()
      return
    }
    const [best] = this.#owner.net.connections(this.peer)
    if (best === undefined || best === way.connection || !best.direct || way.connection.direct || best.status !== 'open') return
    if (best.identified === undefined && !best.proven) return
    this.#way = undefined
    this.#open(best)
    way.stream.abort(new TabmeshError('ERR_STREAM_CLOSED', 'the file goes on over a direct connection'))
  }

  cancel(fault: TabmeshError): void {
    this.#way?.writer.write(encodeFileWord({ t: 'cancel' }))
    this.#finish(fault)
  }

  #reach(): void {
    this.#timer?.()
    this.#timer = undefined
    this.#giveUp?.()
    this.#giveUp = this.#owner.reach(this.peer, (outcome) => {
      this.#giveUp = undefined
      if (this.#over || this.#way !== undefined) return
      if (outcome.ok) this.#open(outcome.value)
      else this.#lost(outcome.fault)
    })
  }

  #open(connection: Connection): void {
    const { net, place } = this.#owner
    const { self, host } = net
    const { peer } = this
    const { name, type, size } = this.#source
    const salt = host.random(SALT)
    const stream = connection.openStream([ROOM_FILE])
    const writer = new WordWriter(stream, sealOf(place.key, host.aead, 'file', self, salt, peer))
    const reader = new WordReader(sealOf(place.key, host.aead, 'file answer', peer, salt, self), ROOM_FILE_MAX_FRAME)
    const way: Way = { stream, connection, writer, accepted: false }
    this.#way = way
    writer.open(encodePreamble({ tag: place.tag, salt }))
    writer.write(encodeFileWord({ t: 'offer', id: this.#id, size, type, name }))
    stream.attach({
      onData: (bytes) => {
        const fault = guarded(stream, () =>
          reader.push(bytes, (plain) => {
            if (this.#way === way) this.#answered(way, decodeFileAnswer(plain))
          }),
        )
        if (fault === undefined) stream.release(bytes.length)
      },
      onDrain: () => {
        // Also what is left to be said when it is over.
        writer.flush()
        this.#pump()
      },
      onEnd: () => stream.end(),
      onClose: (fault) => {
        if (this.#way !== way) return
        this.#way = undefined
        this.#lost(fault ?? remoteFault('ERR_STREAM_CLOSED', 'the receiver ended the stream early'))
      },
    })
  }

  #answered(way: Way, answer: FileAnswer | undefined): void {
    this.#aliveAt = this.#owner.net.host.now()
    switch (answer?.t) {
      case 'accept':
        // What we never had in the hash can't have come from us.
        if (way.accepted || answer.at > this.#hashed) throw remoteFault('ERR_PROTOCOL', `a file that begins at byte ${answer.at}`)
        way.accepted = true
        return this.#begin(answer.at)
      case 'have':
        if (answer.at <= this.#confirmed || answer.at > this.#hashed) return
        this.#failures = 0
        this.#confirmed = answer.at
        return this.#events.onProgress(answer.at)
      case 'done': {
        const { size } = this.#source
        if (this.#confirmed < size) this.#events.onProgress(size)
        return this.#finish(undefined)
      }
      case 'refuse':
        return this.#finish(
          answer.corrupt
            ? new TabmeshError('ERR_FILE_CORRUPT', `${this.#source.name} came to ${this.peer} with another hash`)
            : new TabmeshError('ERR_FILE_REFUSED', `${this.peer} does not want ${this.#source.name}`),
        )
    }
  }

  #begin(at: number): void {
    this.#turn += 1
    this.#reading = false
    this.#blocks = []
    this.#offset = 0
    this.#readAt = at
    this.#ended = false
    this.#fill()
    this.#pump()
  }

  #fill(): void {
    const { size } = this.#source
    if (this.#reading || this.#blocks.length > 1 || this.#readAt >= size) return
    const turn = this.#turn
    const at = this.#readAt
    const length = Math.min(ROOM_FILE_BLOCK, size - at)
    this.#reading = true
    this.#source.read(at, length, (read) => {
      if (this.#over || this.#turn !== turn) return
      this.#reading = false
      if (read instanceof TabmeshError) return this.cancel(read)
      if (read.length !== length) return this.cancel(new TabmeshError('ERR_FILE_READ', `${this.#source.name} is shorter than it was`))
      const fresh = at + length - this.#hashed
      if (fresh > 0) {
        this.#hash.update(fresh === length ? read : read.subarray(length - fresh))
        this.#hashed += fresh
      }
      this.#readAt = at + length
      this.#blocks.push(read)
      this.#fill()
      this.#pump()
    })
  }

  #pump(): void {
    const way = this.#way
    if (way === undefined) return
    const { writer } = way
    writer.flush()
    while (way.accepted && writer.ready && this.#way === way) {
      const [block] = this.#blocks
      if (block === undefined) break
      const end = Math.min(block.length, this.#offset + ROOM_FILE_CHUNK)
      writer.write(encodeFileWord({ t: 'data', data: block.subarray(this.#offset, end) }))
      this.#offset = end
      if (end < block.length) continue
      this.#blocks.shift()
      this.#offset = 0
      this.#fill()
    }
    if (!way.accepted || this.#ended || this.#reading || this.#blocks.length > 0 || this.#readAt < this.#source.size) return
    this.#ended = true
    this.#digest ??= this.#hash.digest()
    writer.write(encodeFileWord({ t: 'end', hash: this.#digest }))
  }

  #lost(fault: TabmeshError): void {
    if (this.#over) return
    const { net, expects } = this.#owner
    const { host } = net
    if (fault.code === 'ERR_NO_PROTOCOL' || !expects.call(this.#owner, this.peer) || host.now() - this.#aliveAt > ROOM_FILE_PATIENCE) {
      return this.#finish(new TabmeshError('ERR_CONNECTION_CLOSED', `${this.#source.name} did not get to ${this.peer}`, { cause: fault }))
    }
    const wait = Math.min(ROOM_FILE_RETRY_MIN * 2 ** this.#failures, ROOM_FILE_RETRY_MAX)
    this.#failures += 1
    this.#timer?.()
    this.#timer = host.after(wait, () => this.#reach())
  }

  #finish(fault: TabmeshError | undefined): void {
    if (this.#over) return
    this.#over = true
    const way = this.#way
    this.#way = undefined
    this.#blocks = []
    this.#timer?.()
    this.#giveUp?.()
    way?.writer.end()
    this.#events.onOver(fault)
  }
}
