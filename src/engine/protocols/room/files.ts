/**
 * The files of one room: those that we send (file-sender.ts) and those that we are offered (file-receiver.ts).
 *
 * Bounds: ROOM_FILE_MAX_OF_ONE from one member and ROOM_FILE_MAX in all, each way; what is offered beyond is refused. ROOM_FILE_MAX_DONE that
 * are over are remembered: their senders may not have heard of it.
 */

import { remoteFault, TabmeshError } from '../../../errors.ts'
import type { PeerId } from '../../codec/peer-id.ts'
import type { Cancel } from '../../host.ts'
import {
  ROOM_FILE_MAX,
  ROOM_FILE_MAX_DONE,
  ROOM_FILE_MAX_FRAME,
  ROOM_FILE_MAX_NAME,
  ROOM_FILE_MAX_OF_ONE,
  ROOM_FILE_MAX_TYPE,
} from '../../limits.ts'
import type { Connection } from '../../net/connection.ts'
import type { Net } from '../../net/service.ts'
import type { Stream } from '../../net/stream.ts'
import type { Channel } from '../../wire/channel.ts'
import { FileReceiver, type FileStream } from './file-receiver.ts'
import { type FileEvents, type FileOwner, FileSender, type FileSource } from './file-sender.ts'
import { decodeFileWord, encodeFileAnswer, type FileInfo, type FileWord } from './file-words.ts'
import type { Preamble } from './messages.ts'
import { hex, type Place } from './place.ts'
import { sealOf } from './seal.ts'
import { guarded, WordReader, WordWriter } from './word-stream.ts'

/** A file that a member would like us to have. */
export interface OfferedFile extends FileInfo {
  readonly peer: PeerId
  /** What comes is written to `out`, and its end is the end of the file, which is what was sent; giving `out` up gives the file up. */
  accept(out: Channel): void
  reject(): void
}

export interface FilesOwner {
  readonly net: Net
  readonly place: Place
  allows(connection: Connection): boolean
  /** Whether the peer is a member, or was one a moment ago. */
  expects(peer: PeerId): boolean
  onOffer(file: OfferedFile): void
}

export class Files {
  readonly #owner: FilesOwner
  readonly #senders = new Set<FileSender>()
  /** By the peer and the transfer's id. */
  readonly #receivers = new Map<string, FileReceiver>()
  /** Those that are over: whether all came. */
  readonly #done = new Map<string, boolean>()

  constructor(owner: FilesOwner) {
    this.#owner = owner
  }

  /** The returned function gives it up. Throws ERR_INVALID_ARGUMENT. */
  send(peer: PeerId, source: FileSource, events: FileEvents): Cancel {
    if (this.#senders.size >= ROOM_FILE_MAX) throw new TabmeshError('ERR_INVALID_ARGUMENT', `${ROOM_FILE_MAX} files are being sent already`)
    const { net, place, allows, expects } = this.#owner
    const owner: FileOwner = {
      net,
      place,
      expects: (each) => expects.call(this.#owner, each),
      reach(each, done) {
        const best = (): Connection | undefined => net.connections(each).find((one) => one.status === 'open' && allows(one))
        const open = best()
        if (open !== undefined) {
          let wanted = true
          net.host.defer(() => wanted && done({ ok: true, value: open }))
          return () => {
            wanted = false
          }
        }
        return net.dial(
          { peer: each, addresses: [] },
          (outcome) => {
            const made = outcome.ok ? best() : undefined
            if (made !== undefined) done({ ok: true, value: made })
            else
              done(
                outcome.ok
                  ? { ok: false, fault: new TabmeshError('ERR_LIMITED_CONNECTION', `only a limited connection to ${each} is open`) }
                  : outcome,
              )
          },
          { settle: 0 },
        )
      },
    }
    const sender = new FileSender(peer, shortened(source), owner, {
      onProgress: (bytes) => events.onProgress(bytes),
      onOver: (fault) => {
        this.#senders.delete(sender)
        events.onOver(fault)
      },
    })
    this.#senders.add(sender)
    sender.start()
    return () => sender.cancel(new TabmeshError('ERR_STREAM_CLOSED', 'the file was given up'))
  }

  /** A connection with the peer has come, or gone. */
  connection(peer: PeerId): void {
    for (const sender of [...this.#senders]) if (sender.peer === peer) sender.settle()
  }

  /** A stream of a member with a file, behind its preamble. */
  accept(stream: Stream, { salt }: Preamble): void {
    const { net, place } = this.#owner
    const { self, host } = net
    const peer = stream.connection.remotePeer
    const reader = new WordReader(sealOf(place.key, host.aead, 'file', peer, salt, self), ROOM_FILE_MAX_FRAME)
    const writer = new WordWriter(stream, sealOf(place.key, host.aead, 'file answer', self, salt, peer))
    const way: FileStream = { stream, writer }
    let receiver: FileReceiver | undefined
    /** The first word has been heard. */
    let begun = false
    const hear = (word: FileWord | undefined): void => {
      if (word === undefined) return
      if (begun) return receiver?.hear(word)
      if (word.t !== 'offer') throw remoteFault('ERR_PROTOCOL', 'a file that is not offered')
      begun = true
      receiver = this.#offered(way, peer, word)
    }
    stream.attach({
      onData: (bytes) => {
        const fault = guarded(stream, () => reader.push(bytes, (plain) => hear(decodeFileWord(plain))))
        if (fault !== undefined) return
        if (receiver === undefined) stream.release(bytes.length)
        else receiver.arrived(way, bytes.length)
      },
      onDrain: () => writer.flush(),
      onEnd: () => stream.end(),
      onClose: () => receiver?.detach(way),
    })
  }

  #offered(way: FileStream, peer: PeerId, { id, name, type, size }: Extract<FileWord, { t: 'offer' }>): FileReceiver | undefined {
    const key = `${peer} ${hex(id)}`
    const known = this.#receivers.get(key)
    if (known !== undefined) {
      known.attach(way)
      return known
    }
    const over = this.#done.get(key)
    let ofPeer = 0
    for (const each of this.#receivers.values()) if (each.peer === peer) ofPeer += 1
    const full = ofPeer >= ROOM_FILE_MAX_OF_ONE || this.#receivers.size >= ROOM_FILE_MAX
    if (over !== undefined || full || !this.#owner.expects(peer)) {
      way.writer.write(encodeFileAnswer(over === true ? { t: 'done' } : { t: 'refuse', corrupt: false }))
      way.writer.end()
      return undefined
    }
    const receiver = new FileReceiver(peer, { name: tame(name), type, size }, this.#owner.net.host, (done) => {
      this.#receivers.delete(key)
      this.#done.set(key, done)
      if (this.#done.size > ROOM_FILE_MAX_DONE) for (const first of this.#done.keys()) if (this.#done.delete(first)) break
    })
    this.#receivers.set(key, receiver)
    receiver.attach(way)
    const accept = (out: Channel): void => receiver.accept(out)
    const reject = (): void => receiver.reject()
    this.#owner.onOffer({ peer, ...receiver.info, accept, reject })
    return receiver
  }

  stop(): void {
    const fault = new TabmeshError('ERR_STOPPED', 'the room was left')
    for (const sender of [...this.#senders]) sender.cancel(fault)
    for (const receiver of [...this.#receivers.values()]) receiver.drop(fault)
  }
}

/** A name is no path, and has nothing in it that a terminal or a file system would take for an order. */
const tame = (name: string): string => {
  let clean = ''
  for (const letter of name) clean += letter < ' ' || letter === '/' || letter === '\\' || letter === '\x7f' ? '_' : letter
  return clean === '' || clean === '.' || clean === '..' ? 'file' : clean
}

/** What others read of a name and a type: a letter may take four bytes. */
const shortened = (source: FileSource): FileSource => ({
  name: source.name.slice(0, Math.floor(ROOM_FILE_MAX_NAME / 4)) === source.name ? source.name : endOf(source.name),
  type: source.type.length <= ROOM_FILE_MAX_TYPE / 4 ? source.type : '',
  size: source.size,
  read: (at, length, done) => source.read(at, length, done),
})

/** The end of a long name, which has its extension. */
const endOf = (name: string): string => [...name].slice(-Math.floor(ROOM_FILE_MAX_NAME / 4)).join('')
