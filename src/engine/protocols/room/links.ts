/**
 * Links: with whom of the room we are connected. A link (link.ts) is there for each peer that may be a member and is at hand; the finder (finder.ts) looks
 * for those who are not.
 *
 *   in the topic, dialled, or found ─▶ met: both greet ─┬─ greeted: a member, tagged ── its connection goes ─▶ looked for again, or unreachable
 *                                                       └─ ROOM_MEET_TIMEOUT: not waited for any more
 *
 * Bounds: ROOM_LINKS connections are sought, and kept while their peers are members; ROOM_LINKS members that were lost, and how far the private messages of
 * ROOM_MAX_GONE had come that are gone, are remembered.
 */

import type { TabmeshError } from '../../../errors.ts'
import { concat } from '../../codec/bytes.ts'
import type { PeerId } from '../../codec/peer-id.ts'
import type { Cancel } from '../../host.ts'
import { ROOM_LINKS, ROOM_MAX_FENCES, ROOM_MAX_GONE, ROOM_MEET_TIMEOUT } from '../../limits.ts'
import { fenceOf, publicSecret, readFences } from './fence.ts'
import { Finder, type Found, type Rendezvous } from './finder.ts'
import { Link, type LinkOwner } from './link.ts'
import type { Members } from './members.ts'
import { hex } from './place.ts'
import { PrivateTaken } from './private.ts'

/** The worth of a member that we hold a connection with: it is dialled again when that breaks, and never pruned. */
const KEPT = 'keep-alive-room'
const WORTH = 20

export interface LinksOwner extends LinkOwner {
  readonly rendezvous: Rendezvous
  readonly members: Members
  /** What our fences for a member are made with. */
  secret(peer: PeerId): Uint8Array
  /** It is not connected, and all that is known of where it is leads nowhere. */
  onUnreachable(peer: PeerId): void
  /** Somebody who was waited for has greeted, or is not waited for any more. */
  onSettled(): void
}

export class Links {
  readonly #owner: LinksOwner
  readonly #finder: Finder
  readonly #links = new Map<PeerId, Link>()
  readonly #linkOwner: LinkOwner
  /** Of peers that there is no link with any more. */
  readonly #taken = new Map<PeerId, PrivateTaken>()
  /** Whom the finder has found, and who has not greeted yet. */
  readonly #unmet = new Set<PeerId>()
  /** Members that were lost, who may be back when the network is. */
  readonly #missed = new Set<PeerId>()
  readonly #waits = new Set<Cancel>()
  readonly #tag: string
  #left = false

  constructor(owner: LinksOwner) {
    const { net, place, rendezvous } = owner
    this.#owner = owner
    this.#tag = `${KEPT}-${hex(place.tag.subarray(0, 8))}`
    this.#finder = new Finder({
      net,
      rendezvous,
      namespace: place.namespace,
      wants: (peer) => this.#wants(peer),
      onConnected: (peer) => this.meet(peer),
      onSettled: () => owner.onSettled(),
    })
    this.#linkOwner = {
      net,
      place,
      allows: owner.allows,
      hello: owner.hello,
      onWord: owner.onWord,
      onPrivate: owner.onPrivate,
      onUnlinked: (peer) => this.#unlinked(peer),
      get holds() {
        return owner.holds
      },
    }
  }

  // ── those there are ────────────────────────────────────────────────────────────────────────────────────────

  get(peer: PeerId): Link | undefined {
    return this.#links.get(peer)
  }

  /** The link with a peer; made where there is none. */
  with(peer: PeerId): Link {
    let link = this.#links.get(peer)
    if (link === undefined) {
      link = new Link(peer, this.#taken.get(peer) ?? new PrivateTaken(), this.#linkOwner)
      this.#taken.delete(peer)
      this.#links.set(peer, link)
    }
    return link
  }

  /**
   * Those to all members, where there are few, each has one that keeps up, and all who are in the topic are members: then nothing needs to be signed, and
   * nobody passes on what the others have.
   */
  toAll(inTopic: readonly PeerId[]): readonly Link[] | undefined {
    const { members } = this.#owner
    if (members.size === 0 || members.size > ROOM_LINKS) return undefined
    for (const peer of inTopic) if (!members.has(peer)) return undefined
    const links: Link[] = []
    for (const peer of members.peers) {
      const link = this.#links.get(peer)
      if (link === undefined || !link.keepsUp) return undefined
      links.push(link)
    }
    return links
  }

  /** For a word for all: before it comes what was said to some of them alone. `leaving`: as far as that will still come. */
  fences(life: Uint8Array, number: number, leaving: boolean): Uint8Array | undefined {
    const fences: Uint8Array[] = []
    for (const link of this.#links.values()) {
      const next = link.unconfirmed(leaving)
      if (next === undefined) continue
      const secret = link.greeted ? this.#owner.secret(link.peer) : publicSecret(link.peer)
      if (fences.push(fenceOf(secret, life, number, next)) === ROOM_MAX_FENCES) break
    }
    return fences.length === 0 ? undefined : concat(fences)
  }

  /** The number of the private word of a peer that comes before its word for all, 0 for none. */
  before(peer: PeerId, life: Uint8Array, number: number, fences: Uint8Array): number {
    const secret = (this.#links.get(peer)?.taken ?? this.#taken.get(peer))?.secret
    const told = secret === undefined ? 0 : readFences(fences, secret, life, number)
    return told > 0 ? told : readFences(fences, publicSecret(this.#owner.net.self), life, number)
  }

  /** Those to members whom gossip has no stream to yet, or may not have one. */
  beside(inTopic: readonly PeerId[]): readonly Link[] {
    return [...this.#links.values()].filter(({ open, peer }) => open && this.#owner.members.has(peer) && !inTopic.includes(peer))
  }

  /** The application has caught up. */
  resume(): void {
    for (const link of this.#links.values()) link.resume()
  }

  // ── who comes ──────────────────────────────────────────────────────────────────────────────────────────────

  /** A peer of ours has come into the topic. */
  subscribed(peer: PeerId): void {
    if (this.#links.size < ROOM_LINKS * 4) this.meet(peer)
  }

  /** There is a connection with one who may be a member: both greet. */
  meet(peer: PeerId): void {
    if (this.#left) return
    const link = this.with(peer)
    link.settle()
    if (!link.open || this.#owner.members.has(peer) || this.#unmet.has(peer)) return
    this.#unmet.add(peer)
    const cancel = this.#owner.net.host.after(ROOM_MEET_TIMEOUT, () => {
      this.#waits.delete(cancel)
      this.#unmet.delete(peer)
      this.#owner.onSettled()
    })
    this.#waits.add(cancel)
  }

  greeted(peer: PeerId): void {
    this.#unmet.delete(peer)
  }

  /** The connection with a member is worth something. */
  keep(peer: PeerId): void {
    this.#owner.net.tag(peer, this.#tag, WORTH)
  }

  /** A member was heard, maybe by way of others: perhaps it can be reached as well. */
  joined(peer: PeerId): void {
    if (this.#links.get(peer)?.open === true) return
    if (this.#owner.net.connections(peer).length > 0) this.meet(peer)
    else this.#finder.found([{ peer }])
  }

  // ── who is looked for ──────────────────────────────────────────────────────────────────────────────────────

  /** One of our relays is connected. */
  point(at: PeerId): void {
    this.#finder.add(at)
    this.#seekMissed()
  }

  /** Somebody says that they are there. */
  found(peers: readonly Found[]): void {
    this.#finder.found(peers)
  }

  /** The network is there again. */
  online(): void {
    this.#finder.look()
    this.#seekMissed()
  }

  /** Looks for a member whose connection is gone. */
  reach(peer: PeerId): void {
    this.#finder.reach(peer, (fault) => {
      if (fault !== undefined) this.#owner.onUnreachable(peer)
      else this.#links.get(peer)?.settle()
    })
  }

  /** Whether there is somebody to be found yet: no relay tells of members, or one is heard that no stream connects us with. */
  get seeks(): boolean {
    if (this.#finder.looked === 0) return true
    const { members } = this.#owner
    // In a crowd not all are connected with all, and nobody is missing.
    if (members.size > ROOM_LINKS) return false
    for (const peer of members.peers) if (this.#links.get(peer)?.open !== true) return true
    return false
  }

  /** Nobody is being dialled, nor waited for. */
  get quiet(): boolean {
    return this.#finder.quiet && this.#unmet.size === 0
  }

  /** Rendezvous points that have told all, and those that have told what they knew at first. */
  get answered(): number {
    return this.#finder.answered
  }

  get looked(): number {
    return this.#finder.looked
  }

  /** A connection is sought with those found while there are few of them. */
  #wants(peer: PeerId): boolean {
    if (peer === this.#owner.net.self || this.#left) return false
    const link = this.#links.get(peer)
    if (link?.open === true) return false
    let open = 0
    for (const each of this.#links.values()) if (each.open) open += 1
    return open < ROOM_LINKS
  }

  #seekMissed(): void {
    const peers = [...this.#missed].map((peer) => ({ peer }))
    this.#missed.clear()
    this.#finder.found(peers)
  }

  // ── who goes ───────────────────────────────────────────────────────────────────────────────────────────────

  #unlinked(peer: PeerId): void {
    this.#unmet.delete(peer)
    this.#owner.onUnlinked(peer)
    // Later: the connection is just closing.
    if (this.#owner.members.has(peer)) this.#owner.net.host.defer(() => this.reach(peer))
    else this.#forget(peer)
    this.#owner.onSettled()
  }

  /** It is no member any more: what waits for it fails. */
  gone(peer: PeerId, lost: boolean, fault: TabmeshError): void {
    this.#owner.net.tag(peer, this.#tag, undefined)
    if (lost && this.#missed.size < ROOM_LINKS) this.#missed.add(peer)
    this.#links.get(peer)?.fail(fault)
    this.#forget(peer)
  }

  #forget(peer: PeerId): void {
    const link = this.#links.get(peer)
    if (link?.idle !== true) return
    this.#links.delete(peer)
    link.stop()
    // Who was away and comes back does not tell twice what came just before.
    link.taken.rest()
    this.#taken.set(peer, link.taken)
    if (this.#taken.size > ROOM_MAX_GONE) for (const first of this.#taken.keys()) if (this.#taken.delete(first)) break
  }

  /** We leave, and say so. */
  leave(): void {
    this.#left = true
    for (const cancel of this.#waits) cancel()
    this.#finder.stop()
    for (const link of this.#links.values()) {
      link.say({ t: 'leave' })
      link.stop()
      this.#owner.net.tag(link.peer, this.#tag, undefined)
    }
    this.#links.clear()
  }
}
