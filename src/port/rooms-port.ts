/**
 * The engine's end of rooms: the service, the rendezvous client that finds their members, and a lane for each room between it and the page
 * (../room.ts). Both services are mounted when the first room is joined.
 *
 *   page ── SEND ──▶ queue ── while gossip's backlog is low ──▶ room          room ── message, join, leave, presence ──▶ the lane ──▶ page
 *
 * Nothing piles up on the page: over PUBSUB_MAX_UNHEARD bytes no more is read from members, and so they wait too. A page that gives no sign of life for
 * PUBSUB_DEAF ms holds up nobody: what is said in the room is dropped then, but for what is said to it alone.
 *
 * Bounds: those, and ROOM_MAX_ROOMS. What the page sends is bounded there. Files go beside the lane: a pipe for each.
 */

import { type PeerId, parsePeerId } from '../engine/codec/peer-id.ts'
import type { Cancel } from '../engine/host.ts'
import { PUBSUB_BACKLOG, PUBSUB_DEAF, PUBSUB_MAX_UNHEARD, PUBSUB_RETRY, ROOM_FILE_MAX } from '../engine/limits.ts'
import type { Node } from '../engine/net/node.ts'
import type { GossipsubService } from '../engine/protocols/gossipsub/service.ts'
import { DISCOVERY_TOPIC, decodeAnnouncement, encodeAnnouncement } from '../engine/protocols/pubsub-peer-discovery/messages.ts'
import { AnnouncementSchedule } from '../engine/protocols/pubsub-peer-discovery/schedule.ts'
import { type RendezvousClient, rendezvousClient } from '../engine/protocols/rendezvous/client.ts'
import { RENDEZVOUS } from '../engine/protocols/rendezvous/messages.ts'
import type { Announcements } from '../engine/protocols/room/announcer.ts'
import type { FileSource } from '../engine/protocols/room/file-sender.ts'
import type { OfferedFile } from '../engine/protocols/room/files.ts'
import type { Place } from '../engine/protocols/room/place.ts'
import type { Room, RoomEvent } from '../engine/protocols/room/room.ts'
import { type RoomsService, roomsService } from '../engine/protocols/room/service.ts'
import { deflateError, TabmeshError } from '../errors.ts'
import { type Batch, Lane, Records } from './lane.ts'
import { Pipe } from './pipe.ts'
import type { TopicsOfRooms } from './pubsub-port.ts'
import {
  FILE,
  type FileAnswered,
  type FileToSend,
  JOIN,
  LEAVE,
  MESSAGE,
  PRESENCE,
  PROGRESS,
  REFUSED,
  type RoomJoined,
  SEND,
  SEND_TO,
  SENT,
} from './room-records.ts'

export interface RoomsPort extends TopicsOfRooms {
  /** `joined` is called when those who are there have been met. Throws ERR_INVALID_ARGUMENT. The returned function leaves again. */
  join(place: Place, presence: Uint8Array | undefined, joined: (room: RoomJoined) => void): Cancel
  leave(id: number): void
  /** Throws ERR_NOT_IN_ROOM, ERR_INVALID_ARGUMENT. The returned function gives it up. */
  sendFile(file: FileToSend, done: (fault: TabmeshError | undefined) => void): Cancel
  answerFile(answer: FileAnswered): void
  /** Leaves all; `done` is called when relays and members have heard of it, or soon after. */
  close(done: () => void): void
}

export interface RoomsPortOptions {
  readonly pubsub: GossipsubService
  isOurs(relay: PeerId): boolean
  /** Relays that there will be. */
  readonly relays: number
}

interface Entry {
  readonly room: Room
  readonly lane: RoomLane
}

export const roomsPort = (node: Node, { pubsub, isOurs, relays }: RoomsPortOptions): RoomsPort => {
  const entries = new Map<number, Entry>()
  let count = 0
  let services: { readonly rooms: RoomsService; readonly rendezvous: RendezvousClient } | undefined

  const mounted = (): RoomsService => {
    if (services === undefined) {
      const rendezvous = rendezvousClient({
        learn: (found) => {
          node.peerStore.certify(found.peer, found, node.host.date())
        },
      })
      const rooms = roomsService({ pubsub, rendezvous, isOurs, relays, point: RENDEZVOUS, announcements: announcementsOf(node) })
      node.mount(rendezvous)
      node.mount(rooms)
      services = { rooms, rendezvous }
    }
    return services.rooms
  }

  const leave = (id: number): void => {
    const entry = entries.get(id)
    if (entry === undefined) return
    entries.delete(id)
    services?.rooms.leave(entry.room)
    entry.lane.close()
  }

  return {
    isTopic: (topic) => services?.rooms.isTopic(topic) === true,
    subscribed: (peer, topic) => services?.rooms.subscribed(peer, topic),
    get holds() {
      for (const { lane } of entries.values()) if (lane.holds) return true
      return false
    },
    join(place, presence, joined) {
      const rooms = mounted()
      const { port1, port2 } = new MessageChannel()
      const id = ++count
      const lane: RoomLane = new RoomLane(port1, node, pubsub, () => {
        room.holds = lane.holds
        pubsub.resume()
      })
      let room: Room
      try {
        const hear = (event: RoomEvent): void => {
          if (event.t === 'ready') joined({ id, port: port2, members: lane.begin() })
          else lane.tell(event)
          if (lane.holds) room.holds = true
        }
        room = rooms.join(place, hear, presence)
      } catch (error) {
        lane.close()
        throw error
      }
      lane.room = room
      entries.set(id, { room, lane })
      return () => leave(id)
    },
    leave,
    sendFile({ room: id, peer, file, name, ticket }, done) {
      const entry = entries.get(id)
      if (entry === undefined) throw new TabmeshError('ERR_STOPPED', 'the room was left')
      const onProgress = (bytes: number): void => entry.lane.progress(ticket, bytes)
      return entry.room.sendFile(parsePeerId(peer), sourceOf(file, name), { onProgress, onOver: done })
    },
    answerFile({ room: id, file, port }) {
      const offered = entries.get(id)?.lane.takeOffer(file)
      if (port === undefined) return offered?.reject()
      const pipe = new Pipe(port)
      if (offered === undefined) pipe.abort(new TabmeshError('ERR_STREAM_CLOSED', 'the file is not offered any more'))
      else offered.accept(pipe)
    },
    close(done) {
      for (const id of [...entries.keys()]) leave(id)
      if (services === undefined) done()
      else services.rendezvous.leave(done)
    },
  }
}

const announcementsOf = (node: Node): Announcements => ({
  topicOf: (topic) => `${topic}/${DISCOVERY_TOPIC}`,
  write: () => encodeAnnouncement(node.publicKey, node.addresses),
  read(data, from) {
    try {
      const { peer, addresses } = decodeAnnouncement(data, from)
      node.peerStore.update(peer, { addresses }, node.host.date())
      return peer
    } catch {
      return undefined
    }
  },
  schedule: (now, random) => new AnnouncementSchedule(now, random),
})

/** Read as it is sent, a block at a time. */
const sourceOf = (file: Blob, name: string): FileSource => ({
  name,
  type: file.type,
  size: file.size,
  read(at, length, done) {
    file
      .slice(at, at + length)
      .arrayBuffer()
      .then(
        (buffer) => done(new Uint8Array(buffer)),
        (cause) => done(new TabmeshError('ERR_FILE_READ', name, { cause })),
      )
  },
})

interface Message {
  readonly ticket: number
  readonly to: string | undefined
  readonly data: Uint8Array
  /** Of its batch. */
  last: boolean
}

/** The lane of one room. */
class RoomLane {
  room: Room | undefined
  readonly #node: Node
  readonly #pubsub: GossipsubService
  readonly #lane: Lane
  /** Until the page has the room, who is there is only noted. */
  #members: Map<PeerId, Uint8Array | undefined> | undefined = new Map()
  /** Files that the page has not decided on. */
  readonly #offers = new Map<number, OfferedFile>()
  #offerCount = 0
  #heardAt: number
  #queue: Message[] = []
  #at = 0
  #retry: Cancel | undefined
  #pumping = false
  #closed = false

  constructor(port: MessagePort, node: Node, pubsub: GossipsubService, onSpace: () => void) {
    this.#node = node
    this.#pubsub = pubsub
    this.#heardAt = node.host.now()
    this.#lane = new Lane(
      port,
      (batch) => this.#take(batch),
      () => {
        this.#heardAt = node.host.now()
        onSpace()
      },
    )
  }

  get #full(): boolean {
    return this.#lane.waiting >= PUBSUB_MAX_UNHEARD
  }

  get #deaf(): boolean {
    return this.#node.host.now() - this.#heardAt >= PUBSUB_DEAF
  }

  /** What comes has to wait. */
  get holds(): boolean {
    return this.#full && !this.#deaf
  }

  /** The page gets the room: who is there. */
  begin(): [PeerId, Uint8Array | undefined][] {
    const members = [...(this.#members ?? [])]
    this.#members = undefined
    return members
  }

  tell(event: Exclude<RoomEvent, { t: 'ready' }>): void {
    if (this.#closed) return
    const lane = this.#lane
    if (lane.open) this.#heardAt = this.#node.host.now()
    const { t, peer } = event
    if (t === 'message') {
      if (this.#full && this.#deaf && !event.private) return
      lane.begin(MESSAGE, event.data.length + 16)
      lane.text(peer)
      lane.u32(event.private ? 1 : 0)
      return lane.bytes(event.data)
    }
    if (this.#members !== undefined && t !== 'file') {
      if (t === 'leave') this.#members.delete(peer)
      else this.#members.set(peer, event.presence)
      return
    }
    if (t === 'file') return this.#offer(event.file)
    lane.begin(t === 'join' ? JOIN : t === 'leave' ? LEAVE : PRESENCE, 64)
    lane.text(peer)
    if (t === 'leave') lane.u32(event.reason === 'left' ? 1 : 0)
    else lane.bytes(event.presence ?? none)
  }

  #offer(file: OfferedFile): void {
    const lane = this.#lane
    const number = ++this.#offerCount
    this.#offers.set(number, file)
    // Those that were taken back before anybody had decided.
    if (this.#offers.size > 2 * ROOM_FILE_MAX) for (const first of this.#offers.keys()) if (this.#offers.delete(first)) break
    lane.begin(FILE, 512)
    lane.text(file.peer)
    lane.u32(number)
    this.#writeSize(file.size)
    lane.utf8(file.name)
    lane.utf8(file.type)
  }

  #writeSize(size: number): void {
    this.#lane.u32(Math.floor(size / 0x1_0000_0000))
    this.#lane.u32(size % 0x1_0000_0000)
  }

  takeOffer(number: number): OfferedFile | undefined {
    const offer = this.#offers.get(number)
    this.#offers.delete(number)
    return offer
  }

  progress(ticket: number, bytes: number): void {
    if (this.#closed) return
    this.#lane.begin(PROGRESS, 12)
    this.#lane.u32(ticket)
    this.#writeSize(bytes)
  }

  #take(batch: Batch): void {
    const records = new Records(batch)
    let last: Message | undefined
    while (records.more) {
      const kind = records.next()
      if (kind === SEND || kind === SEND_TO) {
        const ticket = records.u32()
        const to = kind === SEND_TO ? records.text() : undefined
        last = { ticket, to, data: records.bytes(), last: false }
        this.#queue.push(last)
      } else {
        const presence = records.bytes()
        try {
          this.room?.tellPresence(presence.length === 0 ? undefined : presence.slice())
        } catch {
          // The page has checked its size.
        }
      }
    }
    if (last === undefined) this.#lane.done()
    else last.last = true
    this.#pump()
  }

  /** Sends until the backlog is high; goes on when a message is on its way, and looks again after a while. */
  #pump(): void {
    if (this.#pumping || this.#closed) return
    this.#pumping = true
    this.#retry?.()
    this.#retry = undefined
    while (this.#at < this.#queue.length && this.#pubsub.backlog < PUBSUB_BACKLOG) {
      const message = this.#queue[this.#at++] as Message
      this.#send(message)
      if (message.last) this.#lane.done()
    }
    this.#pumping = false
    if (this.#at < this.#queue.length) {
      this.#retry = this.#node.host.after(PUBSUB_RETRY, () => this.#pump())
    } else {
      this.#queue = []
      this.#at = 0
    }
  }

  #send({ ticket, to, data }: Message): void {
    const sent = (fault?: unknown): void => {
      if (this.#closed) return
      const lane = this.#lane
      lane.begin(fault === undefined ? SENT : REFUSED, 16)
      lane.u32(ticket)
      if (fault !== undefined) lane.utf8(JSON.stringify(deflateError(fault)))
      if (this.#queue.length > 0) this.#pump()
    }
    try {
      if (this.room === undefined) throw new TabmeshError('ERR_STOPPED', 'the room was left')
      if (to === undefined) this.room.send(data, () => sent())
      else this.room.sendTo(parsePeerId(to), data, sent)
    } catch (error) {
      sent(error)
    }
  }

  close(): void {
    this.#closed = true
    this.#retry?.()
    this.#lane.close()
  }
}

const none = new Uint8Array(0)
