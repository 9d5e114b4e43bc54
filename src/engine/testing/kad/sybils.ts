/**
 * Those who lie in a simulated DHT. Around each content's key sybils sit nearer than any honest node; they, and the liars among the nodes, name nobody else
 * and know of no provider.
 */

import type { PeerId } from '../../codec/peer-id.ts'
import { compareDistance, type Key } from '../../protocols/kad/keys.ts'
import { type KadMessage, type KadPeer, kadMessage } from '../../protocols/kad/messages.ts'
import type { Prng } from '../prng.ts'
import type { Population } from './population.ts'

/** A sybil has so many bytes of its key in common with the content's: no honest node comes so near. */
const SHARED = 6

export class Sybils {
  readonly #population: Population
  readonly #random: Prng
  readonly #k: number
  /** By the bytes of the content. */
  readonly #around = new Map<Uint8Array, readonly KadPeer[]>()
  readonly #ids = new Set<PeerId>()

  constructor(population: Population, random: Prng, k: number) {
    this.#population = population
    this.#random = random
    this.#k = k
  }

  /** So many come, nearer to it than anybody. */
  surround(content: Uint8Array, count: number): void {
    const target = this.#population.hash(content)
    const nearness = new Map<KadPeer, Key>()
    for (let i = 0; i < count; i++) {
      const id = this.#population.newId()
      const near = target.slice()
      for (let at = SHARED; at < 32; at++) near[at] = this.#random.below(256)
      this.#population.place(id, near)
      this.#ids.add(id)
      nearness.set(this.#population.peer(id), near)
    }
    const sorted = [...nearness].sort(([, a], [, b]) => compareDistance(target, a, b))
    this.#around.set(
      content,
      sorted.map(([peer]) => peer),
    )
  }

  /** Whether it is a lie that `peer` answers with. */
  answersFor(peer: PeerId, { key }: KadMessage): boolean {
    if (this.#ids.has(peer)) return true
    const node = this.#population.get(peer)
    return node?.online === true && node.liar && this.#around.has(key)
  }

  lie({ type, key }: KadMessage): KadMessage {
    const sybils = this.#around.get(key) ?? []
    const start = sybils.length > this.#k ? this.#random.below(sybils.length) : 0
    return kadMessage(type, key, { closer: [...sybils.slice(start), ...sybils.slice(0, start)].slice(0, this.#k) })
  }
}
