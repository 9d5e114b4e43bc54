/**
 * The rooms of a peer, as a service.
 *
 *   join ─▶ the topic of gossipsub, the points of rendezvous ─▶ Room (room.ts)
 *   a stream of a member ─▶ its preamble says of which room ─▶ that room
 *
 * What it needs of gossipsub and rendezvous it is handed: protocols do not know each other. Connections that a relay limits are used where the relay
 * is one of ours: it was told to carry us.
 *
 * Bounds: ROOM_MAX_ROOMS rooms; ROOM_MAX_INBOUND streams of one connection.
 */

import { remoteFault, TabmeshError } from '../../../errors.ts'
import { peerIdOf, relayOf } from '../../codec/multiaddr.ts'
import type { PeerId } from '../../codec/peer-id.ts'
import { MSS_TIMEOUT, ROOM_FILE_MAX_OF_ONE, ROOM_MAX_INBOUND, ROOM_MAX_ROOMS } from '../../limits.ts'
import type { Connection } from '../../net/connection.ts'
import type { Net, Service } from '../../net/service.ts'
import type { Stream } from '../../net/stream.ts'
import { converse } from '../../wire/conversation.ts'
import { readFrame } from '../../wire/frame.ts'
import { type Announcements, Announcer } from './announcer.ts'
import type { Rendezvous } from './finder.ts'
import type { Pubsub, Verdict } from './gossip.ts'
import { decodePreamble, ROOM, ROOM_FILE } from './messages.ts'
import { hex, type Place } from './place.ts'
import { Room, type RoomEvent } from './room.ts'

export interface RoomsPubsub extends Pubsub {
  join(topic: string): unknown
  leave(topic: string): void
  validate(
    topic: string,
    validator:
      | ((
          message: { readonly author: { readonly id: PeerId | undefined } | undefined; readonly data: Uint8Array },
          from: PeerId,
          done: (verdict: Verdict) => void,
        ) => void)
      | undefined,
  ): void
}

export interface RoomsOptions {
  readonly pubsub: RoomsPubsub
  readonly rendezvous: Rendezvous
  /** Whether a peer is a relay that we were told to use. */
  isOurs(relay: PeerId): boolean
  /** How many of those there are. */
  readonly relays: number
  /** The protocol that tells a rendezvous point. */
  readonly point: string
  /** None if absent. */
  readonly announcements?: Announcements
}

export interface RoomsService extends Service {
  /** Throws ERR_INVALID_ARGUMENT where we are in that room. */
  join(place: Place, onEvent: (event: RoomEvent) => void, presence?: Uint8Array): Room
  leave(room: Room): void
  /** Whether a topic is one of a room, or of its announcements: what comes there is not for the application's own subscriptions. */
  isTopic(topic: string): boolean
  /** A peer has come into a topic. */
  subscribed(peer: PeerId, topic: string): void
}

const MAX_PREAMBLE = 256

export const roomsService = (options: RoomsOptions): RoomsService => {
  const { pubsub, rendezvous, isOurs, relays, point, announcements } = options
  const rooms = new Map<string, Room>()
  const announcers = new Map<Room, Announcer>()
  let net: Net

  const allows = ({ limited, remoteAddr }: Connection): boolean => {
    if (!limited) return true
    const relay = relayOf(remoteAddr)?.relay
    const peer = relay === undefined ? undefined : peerIdOf(relay)
    return peer !== undefined && isOurs(peer)
  }

  /** Relays of ours that we are connected with, and that are rendezvous points. */
  const points = (): PeerId[] =>
    net
      .connections()
      .flatMap(({ remotePeer, identified }) => (identified?.protocols.includes(point) && isOurs(remotePeer) ? [remotePeer] : []))

  const byTag = (tag: Uint8Array): Room | undefined => {
    const text = hex(tag)
    for (const room of rooms.values()) if (hex(room.place.tag) === text) return room
    return undefined
  }

  const leave = (room: Room): void => {
    const { topic } = room.place
    if (rooms.get(topic) !== room) return
    room.leave()
    rooms.delete(topic)
    quit(topic)
    const announcer = announcers.get(room)
    announcers.delete(room)
    announcer?.stop()
    if (announcer !== undefined) quit(announcer.topic)
  }

  const quit = (topic: string): void => {
    pubsub.validate(topic, undefined)
    pubsub.leave(topic)
  }

  /** Listens to a topic: what an author says there is for `hear`. */
  const listen = (topic: string, hear: (from: PeerId, data: Uint8Array) => Verdict): void => {
    pubsub.join(topic)
    pubsub.validate(topic, ({ author, data }, _from, done) => {
      const id = author?.id
      done(id === undefined ? 'ignore' : hear(id, data))
    })
  }

  const announce = (room: Room, made: Announcements): void => {
    const announcer = new Announcer(room.place.topic, made, {
      net,
      publish: (topic, data) => {
        pubsub.publish(topic, data)
      },
      get wanted() {
        return room.seeks
      },
      onFound: (peer) => room.found([{ peer }]),
    })
    announcers.set(room, announcer)
    listen(announcer.topic, (from, data) => announcer.heard(from, data))
  }

  return {
    name: 'rooms',
    protocols: {
      [ROOM]: { maxInbound: ROOM_MAX_INBOUND, allowLimited: true },
      [ROOM_FILE]: { maxInbound: ROOM_FILE_MAX_OF_ONE * 2, allowLimited: true },
    },
    start(given) {
      net = given
    },
    onStream(stream: Stream) {
      if (!allows(stream.connection)) {
        return stream.abort(
          new TabmeshError('ERR_LIMITED_CONNECTION', `no room over the relay's limited connection to ${stream.connection.remotePeer}`),
        )
      }
      converse(stream, readFrame(MAX_PREAMBLE), net.host, {
        timeout: MSS_TIMEOUT,
        what: 'the preamble of a room',
        done(outcome) {
          if (!outcome.ok) return
          let preamble: ReturnType<typeof decodePreamble>
          try {
            preamble = decodePreamble(outcome.value)
          } catch (error) {
            return stream.abort(error as TabmeshError)
          }
          const room = byTag(preamble.tag)
          if (room === undefined) return stream.abort(remoteFault('ERR_NOT_IN_ROOM', 'a stream about a room that we are not in'))
          room.accept(stream, preamble)
        },
      })
    },
    onConnection(connection) {
      for (const room of rooms.values()) room.connection(connection)
    },
    onDisconnect(connection) {
      for (const room of rooms.values()) room.connection(connection)
    },
    onIdentify(connection) {
      for (const at of points()) for (const room of rooms.values()) room.point(at)
      for (const room of rooms.values()) room.connection(connection)
    },
    onNetworkChange(online) {
      if (online) for (const room of rooms.values()) room.online()
    },
    stop() {
      for (const room of [...rooms.values()]) leave(room)
    },
    join(place, onEvent, presence) {
      if (net === undefined) throw new TabmeshError('ERR_STOPPED', 'rooms are not running')
      if (rooms.has(place.topic)) throw new TabmeshError('ERR_INVALID_ARGUMENT', 'this peer is in the room already')
      if (rooms.size >= ROOM_MAX_ROOMS) throw new TabmeshError('ERR_INVALID_ARGUMENT', `this peer is in ${ROOM_MAX_ROOMS} rooms already`)
      const room = new Room(place, {
        net,
        pubsub,
        rendezvous,
        allows,
        points: relays,
        onEvent,
      })
      listen(place.topic, (from, data) => room.published(from, data))
      rooms.set(place.topic, room)
      for (const at of points()) room.point(at)
      room.start(presence)
      if (announcements !== undefined && place.key === undefined) announce(room, announcements)
      return room
    },
    leave,
    isTopic: (topic) => rooms.has(topic) || [...announcers.values()].some((each) => each.topic === topic),
    subscribed(peer, topic) {
      rooms.get(topic)?.subscribed(peer)
    },
  }
}
