/**
 * Accepting: from a link that a remote made to a connection.
 *
 *   link ─▶ (gater: accept) ─▶ upgrade, or a native multiplexer ─▶ (gater: secured, upgraded) ─▶ connection
 *     └─ too many are being secured ─▶ the one that has taken longest gives way, or this one is refused
 *
 * Bounds: `maxPending` links at a time, of which relays bring three quarters at most, one public address half, and one peer that a relay announces
 * PENDING_PER_SOURCE. Each has the deadline of its upgrade; under a flood, one that is not done after PENDING_GRACE makes room.
 */

import { TabmeshError } from '../../errors.ts'
import { peerIdOf } from '../codec/multiaddr.ts'
import type { PeerId } from '../codec/peer-id.ts'
import type { Cancel, Host } from '../host.ts'
import { CONNECTIONS_IP_SHARE, PENDING_GRACE, PENDING_PER_SOURCE } from '../limits.ts'
import type { Outcome } from '../wire/conversation.ts'
import { abandonLink } from './abandon.ts'
import { type Capacity, count, networkOf } from './capacity.ts'
import type { Connection } from './connection.ts'
import type { Question } from './gater.ts'
import type { Link } from './service.ts'

/** What it needs of the node around it. */
export interface Hallway {
  readonly host: Host
  readonly capacity: Capacity
  readonly maxPending: number
  /** Why nobody is let in. */
  refuse(): TabmeshError | undefined
  /** Whether somebody who comes now would find no room. */
  full(): boolean
  gate(question: Question, done: (refusal: TabmeshError | undefined) => void): Cancel
  /** Secures and registers a link; the returned function gives up. */
  upgrade(link: Link, expected: PeerId | undefined, done: (outcome: Outcome<Connection>) => void): (fault: TabmeshError) => void
}

interface Pending {
  readonly relayed: boolean
  readonly since: number
  giveUp(fault: TabmeshError): void
}

export class Accepting {
  readonly #around: Hallway
  /** The longest waiting first. */
  readonly #pending = new Set<Pending>()
  #relayed = 0
  /** By the peer that a relay announces, and by network. */
  readonly #sources = new Map<string, number>()
  readonly #networks = new Map<string, number>()

  constructor(around: Hallway) {
    this.#around = around
  }

  /** Links that are not connections yet. */
  get size(): number {
    return this.#pending.size
  }

  stop(fault: TabmeshError): void {
    for (const pending of [...this.#pending]) pending.giveUp(fault)
  }

  accept(link: Link, done: (outcome: Outcome<Connection>) => void): void {
    const { host, gate, upgrade } = this.#around
    const announced = peerIdOf(link.remoteAddr)
    const network = networkOf(link.remoteAddr)
    const relayed = link.transport === 'relay'
    const refusal = this.#refuse(relayed, announced, network)
    if (refusal !== undefined) {
      abandonLink(link, refusal)
      return done({ ok: false, fault: refusal })
    }
    const step = { giveUp: (_fault: TabmeshError): void => {} }
    const pending: Pending = { relayed, since: host.now(), giveUp: (fault) => step.giveUp(fault) }
    const tally = (by: number): void => {
      if (relayed) this.#relayed += by
      count(this.#sources, announced, by)
      count(this.#networks, network, by)
    }
    this.#pending.add(pending)
    tally(1)
    const settle = (outcome: Outcome<Connection>): void => {
      if (!this.#pending.delete(pending)) return
      tally(-1)
      done(outcome)
    }
    const refuse = (fault: TabmeshError): void => {
      cancel()
      abandonLink(link, fault)
      settle({ ok: false, fault })
    }
    let cancel: Cancel = () => {}
    step.giveUp = refuse
    cancel = gate({ t: 'accept', address: link.remoteAddr }, (fault) => {
      if (!this.#pending.has(pending)) return
      if (fault !== undefined) return refuse(fault)
      // What the link has in store may end the upgrade before it returns.
      step.giveUp = () => {}
      const giveUp = upgrade(link, announced, settle)
      if (this.#pending.has(pending)) step.giveUp = giveUp
    })
  }

  #refuse(relayed: boolean, announced: PeerId | undefined, network: string | undefined): TabmeshError | undefined {
    const { capacity, maxPending, refuse, full } = this.#around
    const refusal = refuse() ?? capacity.refuseNetwork(network)
    if (refusal !== undefined) return refusal
    if (full()) return new TabmeshError('ERR_CONNECTION_LIMIT', 'all connections are taken, and nobody gives way')
    const limit = (what: string): TabmeshError => new TabmeshError('ERR_CONNECTION_LIMIT', `${what} are being secured`)
    const same = announced === undefined ? 0 : (this.#sources.get(announced) ?? 0)
    if (same >= PENDING_PER_SOURCE) return limit(`${same} connections of ${announced}`)
    const near = network === undefined ? 0 : (this.#networks.get(network) ?? 0)
    if (near >= Math.ceil(maxPending * CONNECTIONS_IP_SHARE)) return limit(`${near} connections from ${network}`)
    // Nobody who comes over a relay may keep others out: a quarter is left to those who come directly.
    const crowded = relayed && this.#relayed >= Math.ceil(maxPending * 0.75)
    if (!crowded && this.#pending.size < maxPending) return undefined
    const { size } = this.#pending
    return this.#makeRoom(crowded) ? undefined : limit(`${size} inbound connections`)
  }

  /** Handshakes take moments: one that has had its time gives way. */
  #makeRoom(relayed: boolean): boolean {
    const before = this.#around.host.now() - PENDING_GRACE
    for (const pending of this.#pending) {
      if (pending.since > before) return false
      if (relayed && !pending.relayed) continue
      pending.giveUp(new TabmeshError('ERR_CONNECTION_LIMIT', 'it was not secured in time, and others came'))
      return true
    }
    return false
  }
}
