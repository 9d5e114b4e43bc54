/**
 * Room: a room as the application sees it, the page's end of a lane to the engine (port/rooms-port.ts). It knows no protocol.
 *
 *   send, sendTo ─▶ the lane, one batch a task ─▶ … ─▶ on its way, or there: resolved         the lane ─▶ at most PUBSUB_TASK ms a task ─▶ events
 *
 * Bounds: ROOM_MAX_MESSAGE for a message, PUBSUB_MAX_WAITING bytes that the engine has not taken; the lane's window of what was not told yet.
 */

import { fromUtf8, utf8 } from './engine/codec/bytes.ts'
import { PUBSUB_MAX_WAITING, ROOM_MAX_MESSAGE, ROOM_MAX_PRESENCE } from './engine/limits.ts'
import { asTabmeshError, inflateError, type PlainError, TabmeshError } from './errors.ts'
import type { PeerStream } from './peer-stream.ts'
import type { ControlClient } from './port/control.ts'
import { Lane, type Records } from './port/lane.ts'
import { LaneReader } from './port/lane-reader.ts'
import { FILE, JOIN, LEAVE, MESSAGE, PRESENCE, PROGRESS, REFUSED, type RoomJoined, SEND, SEND_TO, SENT, SHOW } from './port/room-records.ts'
import type { RoomEvents, RoomFile, RoomMessage, RoomPeer, SendFileOptions } from './types/room.ts'
import type { ConnectionInfo, StreamInfo } from './types.ts'

export interface RoomOwner {
  readonly control: ControlClient
  /** The best connection with a peer. */
  connection(peer: string): ConnectionInfo | undefined
  /** The page's end of a pipe, which ends with the peer. */
  stream(info: StreamInfo, port: MessagePort): PeerStream
  /** The room is not needed any more. */
  onLeft(): void
}

type Listener<E> = ((event: CustomEvent<E>) => void) | { handleEvent(event: CustomEvent<E>): void } | null

export interface Room<P = unknown> {
  addEventListener<K extends keyof RoomEvents>(
    type: K,
    listener: Listener<RoomEvents<P>[K]>,
    options?: boolean | AddEventListenerOptions,
  ): void
  removeEventListener<K extends keyof RoomEvents>(
    type: K,
    listener: Listener<RoomEvents<P>[K]>,
    options?: boolean | EventListenerOptions,
  ): void
}

interface Sending {
  readonly resolve: () => void
  readonly reject: (error: TabmeshError) => void
}

// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: the interface only narrows the listener types of EventTarget
export class Room<P = unknown> extends EventTarget {
  readonly name: string
  readonly #id: number
  readonly #owner: RoomOwner
  readonly #lane: Lane
  readonly #reader: LaneReader
  /** By peer, what it tells of itself. */
  readonly #members = new Map<string, P | undefined>()
  readonly #sending = new Map<number, Sending>()
  /** Of files on their way. */
  readonly #progress = new Map<number, (sent: number) => void>()
  #tickets = 0
  #presence: P | undefined
  #over: TabmeshError | undefined

  /** Made by the peer. */
  constructor(name: string, presence: P | undefined, { id, port, members }: RoomJoined, owner: RoomOwner) {
    super()
    this.name = name
    this.#id = id
    this.#owner = owner
    this.#presence = presence
    for (const [peer, told] of members) this.#members.set(peer, readPresence(told))
    this.#reader = new LaneReader(
      (records) => this.#read(records),
      () => this.#lane.done(),
    )
    this.#lane = new Lane(port, (batch) => this.#reader.push(batch))
  }

  /** Who is there, without this peer. A snapshot: ask again for what is now. */
  get peers(): Map<string, RoomPeer<P>> {
    const peers = new Map<string, RoomPeer<P>>()
    for (const [peer, presence] of this.#members) {
      const connection = this.#owner.connection(peer)
      const { transport, rtt } = connection ?? {}
      peers.set(peer, { direct: transport !== undefined && transport !== 'relay', transport, rtt, presence })
    }
    return peers
  }

  /**
   * Sends to all members. A string is sent as UTF-8, bytes are copied. Resolves when it is on its way, which waits while members are too slow for
   * what was sent before; nobody has to wait for that. Rejects with ERR_INVALID_ARGUMENT for over 1 MiB, ERR_PUBLISH_QUEUE when 64 MiB wait.
   */
  send(data: Uint8Array | string): Promise<void> {
    return this.#send(undefined, data)
  }

  /**
   * Sends to one member, in one row with what is sent to all: nobody else gets it. Resolves when it has come there. Rejects with ERR_NOT_IN_ROOM where the member is not there, or is gone
   * before that.
   */
  sendTo(peerId: string, data: Uint8Array | string): Promise<void> {
    return this.#send(peerId, data)
  }

  /**
   * Sends a file to one member, who is asked first. It goes on where it was when connections break, for up to two minutes without one; a
   * member whose page was started anew meanwhile, as the same peer, is asked again and gets it from the beginning. Resolves when
   * all of it has been handed on there, and its hash was right.
   *
   * Rejects with ERR_FILE_REFUSED where the member does not want it, ERR_NOT_IN_ROOM or ERR_CONNECTION_CLOSED where it is gone, ERR_FILE_READ where the
   * file changed meanwhile, or the reason of `signal`.
   */
  async sendFile(peerId: string, file: File | Blob, { name, onProgress, signal }: SendFileOptions = {}): Promise<void> {
    if (this.#over !== undefined) throw this.#over
    if (!(file instanceof Blob)) throw new TabmeshError('ERR_INVALID_ARGUMENT', 'a file is a File or a Blob')
    const ticket = this.#nextTicket()
    const { size } = file
    let reported = -1
    const report = (sent: number): void => {
      reported = sent
      onProgress?.({ sent, size })
    }
    this.#progress.set(ticket, report)
    const named = name ?? ('name' in file ? file.name : 'file')
    try {
      const args = { room: this.#id, peer: peerId, file, name: named, ticket }
      await this.#owner.control.run('sendFile', args, signal, { longest: Number.POSITIVE_INFINITY })
      // The last word may come by the lane behind the answer.
      if (reported < size) report(size)
    } finally {
      this.#progress.delete(ticket)
    }
  }

  /** What all members are told of this one: whatever JSON can say, 4 KiB of it. Change it by setting it anew; undefined takes it back. */
  get presence(): P | undefined {
    return this.#presence
  }

  /** Throws ERR_INVALID_ARGUMENT. */
  set presence(presence: P | undefined) {
    if (this.#over !== undefined) throw this.#over
    const bytes = encodePresence(presence)
    this.#presence = presence
    this.#lane.begin(SHOW, (bytes?.length ?? 0) + 4)
    this.#lane.bytes(bytes ?? none)
  }

  /** Says goodbye; nothing is told after this call. */
  async leave(): Promise<void> {
    if (this.#over !== undefined) return
    this.end(new TabmeshError('ERR_STOPPED', 'the room was left'))
    this.#owner.onLeft()
    await this.#owner.control.run('leaveRoom', this.#id)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.leave()
  }

  /** It is over: what waits rejects with `error`. Called by the peer. */
  end(error: TabmeshError): void {
    if (this.#over !== undefined) return
    this.#over = error
    this.#reader.end()
    this.#lane.close()
    this.#members.clear()
    for (const { reject } of this.#sending.values()) reject(error)
    this.#sending.clear()
  }

  #send(to: string | undefined, data: Uint8Array | string): Promise<void> {
    const promise = new Promise<void>((resolve, reject) => {
      if (this.#over !== undefined) throw this.#over
      const bytes = typeof data === 'string' ? utf8(data) : data
      if (!(bytes instanceof Uint8Array)) throw new TabmeshError('ERR_INVALID_ARGUMENT', 'a message is Uint8Array or string')
      if (bytes.length > ROOM_MAX_MESSAGE)
        throw new TabmeshError('ERR_INVALID_ARGUMENT', `a message of ${bytes.length} bytes, where ${ROOM_MAX_MESSAGE} are allowed`)
      if (this.#lane.waiting > PUBSUB_MAX_WAITING)
        throw new TabmeshError('ERR_PUBLISH_QUEUE', `${this.#lane.waiting} bytes wait to be sent`)
      const ticket = this.#nextTicket()
      this.#sending.set(ticket, { resolve, reject })
      this.#lane.begin(to === undefined ? SEND : SEND_TO, bytes.length + 12)
      this.#lane.u32(ticket)
      if (to !== undefined) this.#lane.text(to)
      this.#lane.bytes(bytes)
    })
    // Who does not wait for it does not mind, and a Node program must not end for it.
    promise.catch(noop)
    return promise
  }

  #read(records: Records): void {
    const kind = records.next()
    if (kind === SENT) return this.#settle(records.u32())?.resolve()
    if (kind === REFUSED) {
      const sending = this.#settle(records.u32())
      const error = inflateError(JSON.parse(fromUtf8(records.bytes())) as PlainError)
      return sending?.reject(asTabmeshError(error, 'ERR_INTERNAL', 'the engine'))
    }
    if (kind === PROGRESS) {
      const report = this.#progress.get(records.u32())
      const sent = readSize(records)
      return report?.(sent)
    }
    const peer = records.text()
    if (kind === FILE) return this.#tell('file', this.#offered(peer, records))
    if (kind === MESSAGE) {
      const isPrivate = records.u32() === 1
      // A copy: the application may keep, change or transfer it.
      return this.#tell('message', new Received(peer, records.bytes().slice(), isPrivate))
    }
    if (kind === LEAVE) {
      this.#members.delete(peer)
      return this.#tell('leave', { peer, reason: records.u32() === 1 ? 'left' : 'lost' })
    }
    const presence = readPresence<P>(records.bytes())
    this.#members.set(peer, presence)
    if (kind === JOIN || kind === PRESENCE) this.#tell(kind === JOIN ? 'join' : 'presence', { peer, presence })
  }

  #nextTicket(): number {
    this.#tickets = (this.#tickets + 1) >>> 0
    return this.#tickets
  }

  #offered(from: string, records: Records): RoomFile {
    const number = records.u32()
    const size = readSize(records)
    const [name, type] = [fromUtf8(records.bytes()), fromUtf8(records.bytes())]
    let decided = false
    const answer = (port: MessagePort | undefined): void => {
      if (decided) throw new TabmeshError('ERR_INVALID_ARGUMENT', `${name} was accepted or rejected before`)
      decided = true
      const transfer = port === undefined ? [] : [port]
      this.#owner.control.run('answerFile', { room: this.#id, file: number, port }, undefined, { transfer }).catch(noop)
    }
    return {
      from,
      name,
      type,
      size,
      accept: () => {
        const { port1, port2 } = new MessageChannel()
        answer(port2)
        const stream = this.#owner.stream({ id: `${this.name} ${number}`, protocol: 'file', remotePeer: from, direction: 'inbound' }, port1)
        // Nothing goes the other way.
        stream.writable.close().catch(noop)
        return stream.readable
      },
      reject: () => answer(undefined),
    }
  }

  #settle(ticket: number): Sending | undefined {
    const sending = this.#sending.get(ticket)
    this.#sending.delete(ticket)
    return sending
  }

  #tell<K extends keyof RoomEvents>(type: K, detail: RoomEvents<P>[K]): void {
    this.dispatchEvent(new CustomEvent(type, { detail }))
  }
}

const noop = (): void => {}

const readSize = (records: Records): number => records.u32() * 0x1_0000_0000 + records.u32()

const none = new Uint8Array(0)

class Received implements RoomMessage {
  readonly from: string
  readonly data: Uint8Array
  readonly private: boolean

  constructor(from: string, data: Uint8Array, isPrivate: boolean) {
    this.from = from
    this.data = data
    this.private = isPrivate
  }

  text(): string {
    return decoder.decode(this.data)
  }
}

const decoder = new TextDecoder()

/** As JSON; undefined for none. Throws ERR_INVALID_ARGUMENT. */
export const encodePresence = (presence: unknown): Uint8Array | undefined => {
  let text: string | undefined
  try {
    text = JSON.stringify(presence)
  } catch (cause) {
    throw new TabmeshError('ERR_INVALID_ARGUMENT', 'a presence that JSON has no form for', { cause })
  }
  const bytes = text === undefined ? undefined : utf8(text)
  if (bytes !== undefined && bytes.length > ROOM_MAX_PRESENCE)
    throw new TabmeshError('ERR_INVALID_ARGUMENT', `a presence of ${bytes.length} bytes, where ${ROOM_MAX_PRESENCE} are allowed`)
  return bytes
}

/** What a member tells of itself; what is no JSON is nothing. */
const readPresence = <P>(bytes: Uint8Array | undefined): P | undefined => {
  if (bytes === undefined || bytes.length === 0) return undefined
  try {
    return JSON.parse(fromUtf8(bytes)) as P
  } catch {
    return undefined
  }
}
