/**
 * Announcer: a second way to find members, where rendezvous does not do: without a relay, or with others than theirs. Members announce themselves, with
 * their addresses, on a topic beside the room's, as npm @libp2p/pubsub-peer-discovery does; whoever hears it dials them.
 *
 *   wanted, and time has come ─▶ announced          heard ─▶ known where it is ─▶ found
 *
 * Announced is only while somebody is to be found so: no rendezvous point answers, or, where there is no crowd, a member is heard that no stream
 * connects us with. Rooms with a password do without it: addresses of their members are nobody's business.
 *
 * Bounds: those of the schedule, which slows down in a crowd.
 */

import type { PeerId } from '../../codec/peer-id.ts'
import type { Cancel } from '../../host.ts'
import type { Net } from '../../net/service.ts'

/** What a room needs of pubsub-peer-discovery. */
export interface Announcements {
  topicOf(topic: string): string
  /** Ours, as it is now. */
  write(): Uint8Array
  /** Notes where the announced peer is, and tells who that is; undefined for what is no announcement of its author. */
  read(data: Uint8Array, from: PeerId): PeerId | undefined
  /** Says when to announce; `random` is from 0 to below 1. */
  schedule(now: number, random: () => number): Schedule
}

export interface Schedule {
  readonly deadline: number
  take(now: number): boolean
  heard(peer: PeerId, now: number): void
}

export interface AnnouncerOwner {
  readonly net: Net
  publish(topic: string, data: Uint8Array): void
  /** Whether we are to be announced. */
  readonly wanted: boolean
  onFound(peer: PeerId): void
}

export class Announcer {
  readonly topic: string
  readonly #announcements: Announcements
  readonly #owner: AnnouncerOwner
  readonly #schedule: Schedule
  #timer: Cancel = () => {}

  constructor(topic: string, announcements: Announcements, owner: AnnouncerOwner) {
    this.topic = announcements.topicOf(topic)
    this.#announcements = announcements
    this.#owner = owner
    const { host } = owner.net
    this.#schedule = announcements.schedule(host.now(), () => (host.random(1)[0] as number) / 256)
    this.#wait()
  }

  #wait(): void {
    const { host } = this.#owner.net
    this.#timer = host.after(Math.max(0, this.#schedule.deadline - host.now()), () => {
      const owner = this.#owner
      if (this.#schedule.take(host.now()) && owner.wanted && owner.net.addresses.length > 0)
        owner.publish(this.topic, this.#announcements.write())
      this.#wait()
    })
  }

  /** A message on the topic, signed by `from`. */
  heard(from: PeerId, data: Uint8Array): 'accept' | 'reject' {
    const peer = this.#announcements.read(data, from)
    if (peer === undefined) return 'reject'
    const { net } = this.#owner
    this.#schedule.heard(peer, net.host.now())
    if (peer !== net.self) net.host.defer(() => this.#owner.onFound(peer))
    return 'accept'
  }

  stop(): void {
    this.#timer()
  }
}
