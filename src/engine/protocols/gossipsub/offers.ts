/**
 * Dials whom the router wants: direct peers, and peers that others offer in a PRUNE.
 *
 * An offered record counts only where it is signed by the peer that it is of. Bounds: GOSSIP_MAX_DIALS dials at a time, GOSSIP_MAX_DIALS_WAITING
 * that wait; more are left out.
 */

import type { Multiaddr } from '../../codec/multiaddr.ts'
import type { PeerId } from '../../codec/peer-id.ts'
import type { Cancel } from '../../host.ts'
import { GOSSIP_MAX_DIALS, GOSSIP_MAX_DIALS_WAITING } from '../../limits.ts'
import type { Net } from '../../net/service.ts'
import { openPeerRecord } from '../../wire/signed-envelope.ts'

interface Offer {
  readonly peer: PeerId
  readonly record: Uint8Array | undefined
}

interface Waiting extends Offer {
  readonly addresses: readonly Multiaddr[]
}

export class Offers {
  readonly #net: Net
  #waiting: Waiting[] = []
  readonly #underWay = new Map<PeerId, Cancel>()

  constructor(net: Net) {
    this.#net = net
  }

  /** `addresses` are our own knowledge of where the peer is. */
  add({ peer, record }: Offer, addresses: readonly Multiaddr[] = []): void {
    if (this.#net.connections(peer).length > 0 || this.#underWay.has(peer)) return
    if (this.#waiting.length >= GOSSIP_MAX_DIALS_WAITING || this.#waiting.some((other) => other.peer === peer)) return
    this.#waiting.push({ peer, record, addresses })
    this.#advance()
  }

  stop(): void {
    this.#waiting = []
    for (const cancel of this.#underWay.values()) cancel()
    this.#underWay.clear()
  }

  #advance(): void {
    while (this.#underWay.size < GOSSIP_MAX_DIALS) {
      const offer = this.#waiting.shift()
      if (offer === undefined) return
      const { peer, record, addresses } = offer
      this.#underWay.set(peer, () => {})
      if (record === undefined) this.#dial(peer, addresses)
      else this.#check(peer, record)
    }
  }

  #done(peer: PeerId): void {
    if (this.#underWay.delete(peer)) this.#advance()
  }

  #dial(peer: PeerId, addresses: readonly Multiaddr[]): void {
    const cancel = this.#net.dial({ peer, addresses }, () => this.#done(peer), { background: true })
    if (this.#underWay.has(peer)) this.#underWay.set(peer, cancel)
    else cancel()
  }

  #check(peer: PeerId, record: Uint8Array): void {
    const talk = openPeerRecord(record, peer)
    const step = (answer: boolean | undefined): void => {
      if (!this.#underWay.has(peer)) return
      try {
        const next = talk.next(answer)
        if (next.done) return this.#dial(peer, next.value.addresses)
        // The only thing it asks for.
        if (next.value.t === 'verify') this.#net.host.verify(next.value.key, next.value.bytes, next.value.signature, step)
      } catch {
        // Forged, or damaged: there is nothing to be done about it.
        this.#done(peer)
      }
    }
    step(undefined)
  }
}
