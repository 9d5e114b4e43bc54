/**
 * Link: the streams between us and one other member: ours, on the best connection there is, and the other's.
 *
 *   settle ─▶ ours: preamble, hello, what is not confirmed ─┬─ a better connection ─▶ another one, and the former ends behind what was written
 *                          ▲                                └─ broke ─▶ wait, ROOM_REOPEN_TRIES times ─▶ settle
 *                          └──────────────────────────────────────────┘
 *   accept ─▶ the other's: preamble, hello, …; the one before it is read to its end
 *
 * Bounds: one stream of ours and two of the other's; ROOM_MAX_UNCONFIRMED of what may be lost (it is asked for again) waits for credit.
 */

import { TabmeshError } from '../../../errors.ts'
import type { PeerId } from '../../codec/peer-id.ts'
import type { Cancel } from '../../host.ts'
import { ROOM_KEEPS_UP, ROOM_MAX_UNCONFIRMED, ROOM_REOPEN_MIN, ROOM_REOPEN_TRIES } from '../../limits.ts'
import type { Connection } from '../../net/connection.ts'
import type { Net } from '../../net/service.ts'
import type { Stream } from '../../net/stream.ts'
import { decodeWord, encodePreamble, encodeWord, type Preamble, ROOM, SALT, type Word } from './messages.ts'
import type { Place } from './place.ts'
import { hex } from './place.ts'
import { PrivateSent, type PrivateTaken } from './private.ts'
import { sealOf } from './seal.ts'
import { guarded, WordReader, WordWriter } from './word-stream.ts'

export interface LinkOwner {
  readonly net: Net
  readonly place: Place
  /** Whether the room may use a connection. */
  allows(connection: Connection): boolean
  /** Our greeting to a peer whose first private message on this stream has the number `first`. */
  hello(peer: PeerId, first: number): Uint8Array
  /** What it said, in which life; of private messages only that there was one. */
  onWord(peer: PeerId, word: Word, life: string): void
  /** A whole one; `after` as it says, `next` is the number of the one behind it. */
  onPrivate(peer: PeerId, life: string, message: { readonly after: number; readonly next: number; readonly data: Uint8Array }): void
  /** The application is behind: what comes has to wait. */
  readonly holds: boolean
  /** It has no stream of ours any more, and there is no connection to make one on. */
  onUnlinked(peer: PeerId): void
}

interface Ours {
  readonly stream: Stream
  readonly connection: Connection
  readonly writer: WordWriter
}

interface Theirs {
  readonly stream: Stream
  /** Bytes taken in and not released yet. */
  owed: number
}

export class Link {
  readonly peer: PeerId
  readonly #owner: LinkOwner
  readonly #sent = new PrivateSent()
  /** How far its private messages have come: outlives the link. */
  readonly taken: PrivateTaken
  #ours: Ours | undefined
  #theirs: Theirs | undefined
  #former: Theirs | undefined
  #failures = 0
  /** It has answered a greeting of ours. */
  greeted = false
  #retry: Cancel | undefined
  /** It does not speak of rooms there. */
  #refusedOn: Connection | undefined
  #stopped = false

  constructor(peer: PeerId, taken: PrivateTaken, owner: LinkOwner) {
    this.peer = peer
    this.taken = taken
    this.#owner = owner
  }

  /** There is a stream of ours. */
  get open(): boolean {
    return this.#ours !== undefined
  }

  /** There is one, on a connection that stands, and little waits for it. */
  get keepsUp(): boolean {
    return this.#ours !== undefined && this.#ours.connection.status !== 'closed' && this.#ours.writer.waiting <= ROOM_KEEPS_UP
  }

  /** Nothing of it is needed but its numbers. */
  get idle(): boolean {
    return this.#ours === undefined && this.#theirs === undefined && this.#former === undefined
  }

  /** The number of the next private message, where one is not confirmed; `leaving`: of those that will still come. */
  unconfirmed(leaving: boolean): number | undefined {
    return leaving ? this.#sent.written : this.#sent.open
  }

  /** Sees to it that our stream is on the best connection. */
  settle(): void {
    if (this.#stopped || this.#retry !== undefined) return
    const { net } = this.#owner
    const best = net.connections(this.peer).find((each) => each.status === 'open' && this.#owner.allows(each))
    if (best === undefined && this.#ours === undefined) return this.#owner.onUnlinked(this.peer)
    if (best === undefined || best === this.#ours?.connection || best === this.#refusedOn) return
    if (this.#ours !== undefined && this.#ours.connection.status === 'open' && best.identified === undefined) return
    const former = this.#ours
    this.#open(best)
    former?.writer.end()
  }

  #open(connection: Connection): void {
    const { net, place, hello } = this.#owner
    const { self, host } = net
    const { peer } = this
    const salt = host.random(SALT)
    let refused = false
    const stream = connection.openStream([ROOM], (fault) => {
      refused = fault?.code === 'ERR_NO_PROTOCOL'
    })
    const writer = new WordWriter(stream, sealOf(place.key, host.aead, 'stream', self, salt, peer))
    const ours: Ours = { stream, connection, writer }
    const reader = new WordReader(sealOf(place.key, host.aead, 'answer', peer, salt, self))
    this.#ours = ours
    this.#sent.rewind()
    writer.open(encodePreamble({ tag: place.tag, salt }))
    writer.write(hello(peer, this.#sent.first))
    stream.attach({
      onData: (bytes) => {
        guarded(stream, () => reader.push(bytes, (plain) => this.#answered(decodeWord(plain))))
        stream.release(bytes.length)
      },
      onDrain: () => this.#pump(ours),
      onEnd: () => stream.end(),
      onClose: (fault) => {
        if (this.#ours !== ours) return
        this.#ours = undefined
        if (refused || fault?.code === 'ERR_NO_PROTOCOL') this.#refusedOn = connection
        this.#broke()
      },
    })
    this.#pump(ours)
  }

  #pump(ours: Ours): void {
    const { writer } = ours
    writer.flush()
    if (this.#ours !== ours) return
    while (writer.ready) {
      const word = this.#sent.take()
      if (word === undefined) return
      writer.write(word)
    }
  }

  #answered(word: Word | undefined): void {
    if (word?.t !== 'taken') return
    this.#failures = 0
    this.greeted = true
    this.#sent.taken(word.number)
    this.#owner.onWord(this.peer, word, '')
  }

  #broke(): void {
    const { net } = this.#owner
    if (this.#stopped) return
    if (!net.connections(this.peer).some((each) => each.status === 'open' && this.#owner.allows(each)))
      return this.#owner.onUnlinked(this.peer)
    if (this.#failures >= ROOM_REOPEN_TRIES) return
    const wait = ROOM_REOPEN_MIN * 2 ** this.#failures
    this.#failures += 1
    this.#retry = net.host.after(wait, () => {
      this.#retry = undefined
      this.settle()
    })
  }

  /** A stream of the other's, behind its preamble. */
  accept(stream: Stream, { salt }: Preamble): void {
    const { net, place } = this.#owner
    const { self, host } = net
    const { peer } = this
    const reader = new WordReader(sealOf(place.key, host.aead, 'stream', peer, salt, self))
    const writer = new WordWriter(stream, sealOf(place.key, host.aead, 'answer', self, salt, peer))
    const theirs: Theirs = { stream, owed: 0 }
    this.#former?.stream.abort(new TabmeshError('ERR_STREAM_CLOSED', 'another stream has taken its place'))
    this.#former = this.#theirs
    this.#theirs = theirs
    // Whatever kept ours from being opened, the other is there now.
    this.#failures = 0
    this.#refusedOn = undefined
    let life: string | undefined
    /** It is to be told what has come: also when that was nothing new. */
    let due = false
    const tell = (): void => {
      if (!due || writer.waiting > 0) return
      due = false
      writer.write(encodeWord({ t: 'taken', number: this.taken.confirmed }))
    }
    const hear = (plain: Uint8Array): void => {
      const word = decodeWord(plain)
      if (word === undefined) return
      if (word.t === 'hello') {
        life = hex(word.life)
        due = true
        this.taken.begin(life, word.first, word.secret)
      } else if (life === undefined) {
        throw new TabmeshError('ERR_PROTOCOL', 'a member that does not greet', { remote: true })
      }
      if (word.t === 'private') {
        due = true
        const whole = this.taken.take(word)
        this.#owner.onWord(peer, word, life)
        if (whole !== undefined) this.#owner.onPrivate(peer, life, { after: word.after, next: word.number + 1, data: whole })
      } else this.#owner.onWord(peer, word, life)
    }
    stream.attach({
      onData: (bytes) => {
        const fault = guarded(stream, () => reader.push(bytes, hear))
        if (fault !== undefined) return
        // One answer for all that came together.
        tell()
        if (this.#owner.holds) theirs.owed += bytes.length
        else stream.release(bytes.length)
      },
      onDrain: () => {
        writer.flush()
        tell()
      },
      onEnd: () => stream.end(),
      onClose: () => {
        if (this.#former === theirs) this.#former = undefined
        if (this.#theirs === theirs) this.#theirs = undefined
      },
    })
    this.settle()
  }

  /** The application has caught up. */
  resume(): void {
    for (const theirs of [this.#former, this.#theirs]) {
      if (theirs === undefined || theirs.owed === 0) continue
      const { owed } = theirs
      theirs.owed = 0
      theirs.stream.release(owed)
    }
  }

  /** `done` hears when it has come, or why it won't. */
  send(data: Uint8Array, after: number, done: (fault: TabmeshError | undefined) => void): void {
    this.#sent.send(data, after, done)
    if (this.#ours === undefined) this.settle()
    else this.#pump(this.#ours)
  }

  /** What may be lost: it is not said where there is no stream, or too much waits for it. */
  say(word: Word): boolean {
    const ours = this.#ours
    if (ours === undefined || ours.writer.waiting > ROOM_MAX_UNCONFIRMED) return false
    ours.writer.write(encodeWord(word))
    return true
  }

  /** The member is gone: what was not confirmed won't be. */
  fail(fault: TabmeshError): void {
    // Should it come again, it may be another one.
    this.greeted = false
    this.#sent.fail(fault)
  }

  stop(): void {
    this.#stopped = true
    this.#retry?.()
    this.#retry = undefined
    this.#ours?.writer.end()
    this.#ours = undefined
    for (const theirs of [this.#former, this.#theirs]) theirs?.stream.end()
    this.fail(new TabmeshError('ERR_STOPPED', 'the room was left'))
  }
}
