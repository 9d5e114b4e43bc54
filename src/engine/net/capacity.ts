/**
 * Capacity: whether there is room for one more connection, and who gives way where there is none.
 *
 *   room ─▶ taken in
 *   full ─▶ the least worth (prune.ts), if it is worth no more than the newcomer ─▶ closed, the newcomer taken in
 *             └─ nobody, or too many gave way just now ─▶ the newcomer is refused
 *
 * We dial on purpose: for what we dial, whoever is least worth gives way. A flood of inbound newcomers may replace PRUNE_SHARE of all places
 * within PRUNE_GRACE and is refused beyond that, so that those who are here stay.
 *
 * Bounds: `max` connections and those that are closing, `maxPerPeer` of one peer, `maxPerNetwork` inbound ones of one public address (of IPv6
 * a /64, which is what one machine has).
 */

import { TabmeshError } from '../../errors.ts'
import { parseIp6 } from '../codec/ip.ts'
import { type Multiaddr, relayOf } from '../codec/multiaddr.ts'
import type { PeerId } from '../codec/peer-id.ts'
import type { Host } from '../host.ts'
import { PRUNE_GRACE, PRUNE_PAUSE, PRUNE_SHARE } from '../limits.ts'
import type { Connection } from './connection.ts'
import { leastWorth, worthOf } from './prune.ts'
import { scopeOf } from './rank.ts'
import type { Direction } from './stream.ts'

export interface CapacityLimits {
  readonly max: number
  readonly maxPerPeer: number
  readonly maxPerNetwork: number
}

export class Capacity {
  readonly #limits: CapacityLimits
  readonly #host: Pick<Host, 'now' | 'date'>
  readonly #tags: (peer: PeerId) => Readonly<Record<string, number>>
  /** Connections that gave way and have not closed yet. */
  readonly #leaving = new Set<Connection>()
  /** When newcomers were made room for, within the last PRUNE_GRACE. */
  #given: number[] = []
  /** Until then it is known that nobody gives way to a stranger. */
  #nobodyUntil = Number.NEGATIVE_INFINITY
  /** Inbound connections of one network. */
  readonly #networks = new Map<string, number>()

  constructor(limits: CapacityLimits, host: Pick<Host, 'now' | 'date'>, tags: (peer: PeerId) => Readonly<Record<string, number>>) {
    this.#limits = limits
    this.#host = host
    this.#tags = tags
  }

  /** Whether one more connection would be too many. */
  isFull(open: ReadonlyMap<string, Connection>): boolean {
    return open.size - this.#leaving.size >= this.#limits.max
  }

  /** Whether a remote that comes now would find no room, whoever it turned out to be. */
  refusesStrangers(open: ReadonlyMap<string, Connection>): boolean {
    return this.isFull(open) && this.#victim(open, 'inbound', Number.POSITIVE_INFINITY) === undefined
  }

  /** Has the least worth connection give way to one of `peer`; returns whether there was one. */
  makeRoom(open: ReadonlyMap<string, Connection>, direction: Direction, peer: PeerId): boolean {
    const worth = direction === 'outbound' ? Number.POSITIVE_INFINITY : worthOf(this.#tags(peer))
    const victim = this.#victim(open, direction, worth)
    if (victim === undefined) return false
    if (direction === 'inbound') this.#given.push(this.#host.now())
    this.#leaving.add(victim)
    victim.close(new TabmeshError('ERR_CONNECTION_LIMIT', `${open.size} connections are open, and this one gave way to a newer one`))
    return true
  }

  opened({ direction, remoteAddr }: Connection): void {
    if (direction === 'inbound') count(this.#networks, networkOf(remoteAddr), 1)
  }

  closed(connection: Connection): void {
    this.#leaving.delete(connection)
    if (connection.direction === 'inbound') count(this.#networks, networkOf(connection.remoteAddr), -1)
  }

  /** Why one more from `network` is too many. */
  refuseNetwork(network: string | undefined): TabmeshError | undefined {
    const open = network === undefined ? 0 : (this.#networks.get(network) ?? 0)
    return open < this.#limits.maxPerNetwork
      ? undefined
      : new TabmeshError('ERR_CONNECTION_LIMIT', `${open} connections from ${network} are open`)
  }

  #victim(open: ReadonlyMap<string, Connection>, direction: Direction, worth: number): Connection | undefined {
    const now = this.#host.now()
    if (direction === 'inbound') {
      this.#given = this.#given.filter((at) => now - at < PRUNE_GRACE)
      if (this.#given.length >= Math.max(1, this.#limits.max * PRUNE_SHARE) || now < this.#nobodyUntil) return undefined
    }
    const staying = [...open.values()].filter((each) => !this.#leaving.has(each))
    const [victim] = leastWorth(staying, 1, (peer) => this.#tags(peer as PeerId), this.#host.date())
    if (victim === undefined) this.#nobodyUntil = now + PRUNE_PAUSE
    return victim === undefined || worthOf(this.#tags(victim.remotePeer)) > worth ? undefined : victim
  }
}

/** What one party on the public network is: an IPv4 address, or the /64 of an IPv6 one; undefined for whom it does not tell apart. */
export const networkOf = (address: Multiaddr): string | undefined => {
  const [host] = address.parts
  // A relay stands for all that it carries, and a proxy on this machine or beside it for all the world.
  if (host?.value === undefined || scopeOf(address) !== 2 || relayOf(address) !== undefined) return undefined
  if (host.name === 'ip4') return host.value
  if (host.name !== 'ip6') return undefined
  const bytes = parseIp6(host.value)
  if (bytes === undefined) return undefined
  // An IPv4 address in an IPv6 socket (RFC 4291 §2.5.5.2).
  if (bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff) return bytes.subarray(12).join('.')
  return `${[...bytes.subarray(0, 8)].map((byte) => byte.toString(16).padStart(2, '0')).join('')}/64`
}

/** Adds to a tally that holds no zeros. */
export const count = (tally: Map<string, number>, key: string | undefined, by: number): void => {
  if (key === undefined) return
  const sum = (tally.get(key) ?? 0) + by
  if (sum > 0) tally.set(key, sum)
  else tally.delete(key)
}
