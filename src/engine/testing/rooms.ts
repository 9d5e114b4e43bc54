/** Members of rooms in a World, around one relay that is their rendezvous point: for the tests of rooms. */

import { sha512 } from '@noble/hashes/sha2.js'
import { TabmeshError } from '../../errors.ts'
import { concat, equalBytes, fromUtf8, utf8 } from '../codec/bytes.ts'
import type { PublicKey } from '../codec/keys.ts'
import type { PeerId } from '../codec/peer-id.ts'
import { type GossipsubService, gossipsubService } from '../protocols/gossipsub/service.ts'
import { identifyService } from '../protocols/identify/service.ts'
import { DISCOVERY_TOPIC, decodeAnnouncement, encodeAnnouncement } from '../protocols/pubsub-peer-discovery/messages.ts'
import { AnnouncementSchedule } from '../protocols/pubsub-peer-discovery/schedule.ts'
import { rendezvousClient } from '../protocols/rendezvous/client.ts'
import { RENDEZVOUS } from '../protocols/rendezvous/messages.ts'
import type { Announcements } from '../protocols/room/announcer.ts'
import { openPlace, type Place } from '../protocols/room/place.ts'
import type { Room, RoomEvent } from '../protocols/room/room.ts'
import { type RoomsService, roomsService } from '../protocols/room/service.ts'
import { type Point, pointIn } from './rendezvous.ts'
import { World, type WorldNode } from './world.ts'

export interface Guest extends WorldNode {
  readonly name: string
  readonly self: PeerId
  readonly pubsub: GossipsubService
  readonly rooms: RoomsService
  /** All its connections break. */
  cut(): void
  /** It sleeps: connections break, and nothing runs until it wakes. */
  sleep(): void
  /** Nothing runs, and nobody sees why. */
  freeze(): void
  wake(): void
}

export interface Seat {
  readonly room: Room
  readonly guest: Guest
  readonly events: RoomEvent[]
  /** What was heard, of whom, in order: `b: hello`. Private messages in brackets. */
  heard(): string[]
  /** Who is there, by name. */
  members(): string[]
  send(text: string): void
}

export class Lounge {
  readonly world: World
  readonly relay: Point
  readonly guests: Guest[] = []

  constructor(seed: number, latency?: number) {
    this.world = new World(seed, latency)
    // Thousands of signatures, none of which is what is tested here: a hash stands for each.
    const make = this.world.host.bind(this.world)
    this.world.host = () => {
      const host = make()
      const signature = (by: PublicKey, bytes: Uint8Array): Uint8Array => sha512(concat([by.encoded, bytes]))
      host.sign = (bytes, done) => host.defer(() => done(signature(host.publicKey, bytes)))
      host.verify = (by, bytes, given, done) => host.defer(() => done(equalBytes(given, signature(by, bytes))))
      return host
    }
    this.relay = pointIn(this.world)
  }

  nameOf(peer: PeerId): string {
    return this.guests.find(({ self }) => self === peer)?.name ?? 'nobody'
  }

  guest(name: string, connected = true): Guest {
    const { world, relay } = this
    const rendezvous = rendezvousClient({ learn: (found) => void node.node.peerStore.certify(found.peer, found, node.node.host.date()) })
    const pubsub = gossipsubService({
      onMessage: () => {},
      onSubscription: (peer, topic, subscribed) => {
        if (subscribed) rooms.subscribed(peer, topic)
      },
    })
    const announcements: Announcements = {
      topicOf: (topic) => `${topic}/${DISCOVERY_TOPIC}`,
      write: () => encodeAnnouncement(node.node.publicKey, node.node.addresses),
      read(data, from) {
        const { peer, addresses } = decodeAnnouncement(data, from)
        node.node.peerStore.update(peer, { addresses }, node.node.host.date())
        return peer
      },
      schedule: (now, random) => new AnnouncementSchedule(now, random),
    }
    const rooms = roomsService({
      pubsub,
      rendezvous,
      isOurs: (peer) => peer === relay.node.self,
      relays: 1,
      point: RENDEZVOUS,
      announcements,
    })
    let asleep = false
    let missed: (() => void)[] = []
    const node = world.node((host) => {
      const { after, defer } = host
      const later = (run: () => void) => () => void (asleep ? missed.push(run) : run())
      host.after = (ms, run) => after(ms, later(run))
      host.defer = (run) => defer(later(run))
      return { services: [identifyService(), rooms, rendezvous, pubsub] }
    })
    const cut = (): void => {
      for (const connection of node.node.connections()) connection.abort(new TabmeshError('ERR_CONNECTION_CLOSED', 'cut'))
    }
    const guest: Guest = {
      ...node,
      name,
      self: node.node.self,
      pubsub,
      rooms,
      cut,
      freeze() {
        asleep = true
      },
      sleep() {
        asleep = true
        cut()
        world.silence(node.address)
      },
      wake() {
        asleep = false
        const runs = missed
        missed = []
        for (const run of runs) world.defer(run)
        world.listen(node.address, node.node)
        node.node.online()
      },
    }
    this.guests.push(guest)
    if (connected) this.connect(guest)
    return guest
  }

  connect(guest: Guest): void {
    guest.node.dial({ addresses: [this.relay.address] }, () => {})
    this.world.run(500)
  }

  enter(guest: Guest, place: Place | string = 'kitchen'): Seat {
    const events: RoomEvent[] = []
    const room = guest.rooms.join(typeof place === 'string' ? openPlace(place) : place, (event) => {
      events.push(event.t === 'message' ? { ...event, data: event.data.slice() } : event)
    })
    return {
      room,
      guest,
      events,
      heard: () =>
        events.flatMap((event) => {
          if (event.t !== 'message') return []
          const text = `${this.nameOf(event.peer)}: ${fromUtf8(event.data)}`
          return [event.private ? `(${text})` : text]
        }),
      members: () => {
        const there = new Set<string>()
        for (const event of events) {
          if (event.t === 'join') there.add(this.nameOf(event.peer))
          if (event.t === 'leave') there.delete(this.nameOf(event.peer))
        }
        return [...there].sort()
      },
      send: (text) => room.send(utf8(text)),
    }
  }

  /** One after the other, each waits until it is ready. */
  seat(names: string, place?: Place | string): Seat[] {
    return [...names].map((name) => {
      const seat = this.enter(this.guest(name), place)
      this.world.run(10_000, () => seat.events.some(({ t }) => t === 'ready'))
      return seat
    })
  }
}
