/**
 * Gossip: what we say and hear on the room's topic. It is sealed with the key of the room, where that has one: whoever passes it on can't read it, and what
 * others have written comes to nothing.
 *
 * Bounds: seals of ROOM_CROWD * 4 authors are kept.
 */

import type { PeerId } from '../../codec/peer-id.ts'
import { ROOM_CROWD } from '../../limits.ts'
import type { Net } from '../../net/service.ts'
import { type Body, decodeBody, decodePublished, encodePublished, headOf } from './messages.ts'
import { hex, type Place } from './place.ts'
import { type Seal, sealOf } from './seal.ts'

/** What a room needs of gossipsub. */
export interface Pubsub {
  /** `done` hears when it is on its way, or can't be signed. */
  publish(topic: string, data: Uint8Array, done?: () => void): unknown
  /** Peers of ours that are in the topic. */
  peers(topic: string): readonly PeerId[]
}

export type Verdict = 'accept' | 'reject' | 'ignore'

export interface Published {
  readonly life: Uint8Array
  readonly number: number
  readonly body: Body
}

export class Gossip {
  readonly #place: Place
  readonly #net: Net
  readonly #pubsub: Pubsub
  readonly #life: Uint8Array
  readonly #seal: Seal
  /** Those of the last authors. */
  readonly #seals = new Map<string, Seal>()

  /** `life` is that of our stay in the room. */
  constructor(place: Place, net: Net, pubsub: Pubsub, life: Uint8Array) {
    this.#place = place
    this.#net = net
    this.#pubsub = pubsub
    this.#life = life
    this.#seal = sealOf(place.key, net.host.aead, 'gossip', net.self, life)
  }

  /** Peers of ours that are in the topic. */
  get peers(): readonly PeerId[] {
    return this.#pubsub.peers(this.#place.topic)
  }

  publish(number: number, plain: Uint8Array, done?: () => void): void {
    const head = headOf(this.#life, number)
    this.#pubsub.publish(this.#place.topic, encodePublished(head, this.#seal.seal(number, plain, head)), done)
  }

  /** What `from` has said there, or what is to be thought of what can't be read. */
  read(from: PeerId, data: Uint8Array): Published | Verdict {
    try {
      const read = decodePublished(data)
      if (read === undefined) return 'ignore'
      const { life, number, sealed, head } = read
      const plain = this.#sealOf(from, life).open(number, sealed, head)
      if (plain === undefined) return 'reject'
      const body = decodeBody(plain)
      // What is to come is a number as well: it must not look like a gap.
      return body === undefined ? 'accept' : { life, number, body }
    } catch {
      return 'reject'
    }
  }

  #sealOf(from: PeerId, life: Uint8Array): Seal {
    if (this.#place.key === undefined) return this.#seal
    const key = `${from}${hex(life)}`
    let seal = this.#seals.get(key)
    if (seal === undefined) {
      seal = sealOf(this.#place.key, this.#net.host.aead, 'gossip', from, life)
      // A few members make most of the traffic; of a crowd each is derived anew when its turn comes.
      if (this.#seals.size >= ROOM_CROWD * 4) this.#seals.clear()
      this.#seals.set(key, seal)
    }
    return seal
  }
}
