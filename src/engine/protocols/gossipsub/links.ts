/**
 * The streams to and from each peer: which connection they are on, when they are opened, written to and read.
 *
 *   connected, speaks pubsub ─ settle ─▶ next ─ agreed ─▶ outbound ─┬─ a better connection ─▶ next …, then the old one ends
 *                                          ▲                        └─ broke ─▶ wait, REOPEN_TRIES times ─▶ settle
 *                                          └────────────────────────────────────┘
 *   a stream of the peer ─▶ inbound, read once outbound is there and the one before it was read to its end: nothing overtakes what it carried
 *
 * The router knows of a peer from our first stream on. A break of ours is no end as long as the peer's stream stands: what it said there
 * (where it is, whom it grafted) it does not say again.
 *
 * Bounds: two streams of ours and two of each peer; what waits for a slow one waits in the router.
 */

import type { PeerId } from '../../codec/peer-id.ts'
import type { Cancel } from '../../host.ts'
import {
  GOSSIP_BURST,
  GOSSIP_BURST_INTERVAL,
  GOSSIP_PATIENCE,
  GOSSIP_REOPEN_MIN,
  GOSSIP_REOPEN_TRIES,
  GOSSIP_STABLE,
} from '../../limits.ts'
import type { Connection } from '../../net/connection.ts'
import type { Net } from '../../net/service.ts'
import type { Stream } from '../../net/stream.ts'
import { Inbound } from './inbound.ts'
import { ipsOf } from './ips.ts'
import { notNeeded, Outbound, type OutboundOwner } from './outbound.ts'
import { Pace } from './pace.ts'
import { PUBSUB_PROTOCOLS } from './peer.ts'
import type { RouterInput } from './router.ts'
import type { Rpc } from './rpc.ts'
import type { RpcReader } from './rpc-reader.ts'

export interface LinksOwner {
  readonly net: Net
  readonly rpcs: RpcReader
  /** Whether pubsub may run over a connection. */
  allows(connection: Connection): boolean
  /** Whether the router has room for one more RPC; `resume` is called when it has again. */
  takes(): boolean
  /** What to write to the peer next, of at most `messages` messages. */
  take(peer: PeerId, messages?: number): Rpc | undefined
  handle(input: RouterInput): void
}

/** All that there is of one peer. */
interface Link {
  readonly peer: PeerId
  outbound: Outbound | undefined
  /** On its way, while `outbound` still works on another connection. */
  next: Outbound | undefined
  inbound: Inbound | undefined
  /** The one before: what the peer wrote there before it took another is still read. */
  former: Inbound | undefined
  /** The inbound stream is read. */
  reading: boolean
  /** It waits for the former one, which must go on or end. */
  patience: Cancel | undefined
  /** The router knows of the peer. */
  known: boolean
  failures: number
  openedAt: number
  retry: Cancel | undefined
  /** Of a peer that drops what comes too fast. */
  pace: Pace | undefined
  soon: Cancel | undefined
}

export class Links {
  readonly #owner: LinksOwner
  readonly #links = new Map<PeerId, Link>()
  /** Peers to be written to at the end of this turn. */
  readonly #dirty = new Set<Link>()
  /** Inbound streams that wait until the router takes more. */
  readonly #held = new Set<Inbound>()
  #flushing = false
  #stopped = false

  constructor(owner: LinksOwner) {
    this.#owner = owner
  }

  /** Of how many peers there is anything. */
  get peers(): number {
    return this.#links.size
  }

  /** Inbound streams wait for `resume`. */
  get holds(): boolean {
    return this.#held.size > 0
  }

  resume(): void {
    for (const inbound of [...this.#held]) {
      if (!this.#owner.takes()) return
      this.#held.delete(inbound)
      inbound.resume()
    }
  }

  /** Something waits for the peer: it is written at the end of this turn. */
  ready(peer: PeerId): void {
    const link = this.#links.get(peer)
    if (link !== undefined) this.#markDirty(link)
  }

  #markDirty(link: Link): void {
    this.#dirty.add(link)
    if (this.#flushing) return
    this.#flushing = true
    this.#owner.net.host.defer(() => this.flush())
  }

  flush(): void {
    this.#flushing = false
    const some = [...this.#dirty]
    this.#dirty.clear()
    for (const link of some) this.#pump(link)
  }

  #pump(link: Link): void {
    const { outbound, peer } = link
    const owner = this.#owner
    if (outbound === undefined) return
    if (checksAll(outbound.connection)) return outbound.pump(() => owner.take(peer))
    link.pace ??= new Pace()
    const { pace } = link
    const now = owner.net.host.now()
    outbound.pump(() => {
      const most = pace.at(now)
      const rpc = owner.take(peer, most)
      pace.sent(rpc?.publish.length ?? 0)
      if (rpc === undefined && most < GOSSIP_BURST) this.#later(link)
      return rpc
    })
    if (pace.hurries) owner.handle({ t: 'hurried', peer })
  }

  /** Messages may be waiting for their time. */
  #later(link: Link): void {
    link.soon ??= this.#owner.net.host.after(GOSSIP_BURST_INTERVAL, () => {
      link.soon = undefined
      this.#markDirty(link)
    })
  }

  /** Of two connections to a peer one may have been given up, and our stream would be all that keeps it. */
  look(): void {
    for (const { outbound, peer } of [...this.#links.values()]) {
      if (outbound !== undefined && outbound.connection.status !== 'open') this.settle(peer)
    }
  }

  /** Sees to it that our stream to `peer` is on the best connection that can have it. */
  settle(peer: PeerId): void {
    if (this.#stopped) return
    const heard = this.#links.get(peer)?.inbound?.stream.connection
    const best = this.#owner.net
      .connections(peer)
      .find(
        (each) => each.status === 'open' && this.#owner.allows(each) && (speaks(each) || (each === heard && each.identified === undefined)),
      )
    if (best === undefined) return this.#forgetUnused(peer)
    const link = this.#link(peer)
    if (link.retry !== undefined || link.outbound?.connection === best || link.next?.connection === best) return
    link.next?.abort(notNeeded())
    link.next = new Outbound(best, this.#ownerOf(link))
    link.next.open()
  }

  #link(peer: PeerId): Link {
    let link = this.#links.get(peer)
    if (link === undefined) {
      link = {
        peer,
        outbound: undefined,
        next: undefined,
        inbound: undefined,
        former: undefined,
        reading: false,
        patience: undefined,
        known: false,
        failures: 0,
        openedAt: 0,
        retry: undefined,
        pace: undefined,
        soon: undefined,
      }
      this.#links.set(peer, link)
    }
    return link
  }

  #forgetUnused(peer: PeerId): void {
    const link = this.#links.get(peer)
    if (link === undefined || link.outbound !== undefined || link.next !== undefined) return
    // It is read once we have a stream too; its connection is gone before that, and nobody else hears of its end.
    if (!link.reading && link.inbound?.stream.connection.status === 'closed') link.inbound = undefined
    if (link.inbound !== undefined) return
    link.retry?.()
    link.soon?.()
    link.patience?.()
    this.#links.delete(peer)
  }

  #ownerOf(link: Link): OutboundOwner {
    const { net, handle } = this.#owner
    const { peer } = link
    return {
      onOpen: (outbound, protocol) => {
        const { connection } = outbound
        const moved = link.outbound !== undefined
        link.outbound?.end()
        link.outbound = outbound
        link.next = undefined
        link.openedAt = net.host.now()
        const ips = ipsOf(connection)
        if (link.known) {
          handle({ t: 'ips', peer, ips })
          handle({ t: moved ? 'moved' : 'reopened', peer })
        } else {
          link.known = true
          handle({ t: 'connect', peer, protocol, outbound: connection.direction === 'outbound', ips })
        }
        this.tellRecord(connection)
        this.#markDirty(link)
        this.#read(link)
      },
      onDrain: (outbound) => {
        if (link.outbound === outbound) this.#markDirty(link)
      },
      onGone: (outbound) => {
        if (link.next === outbound) link.next = undefined
        else if (link.outbound === outbound) {
          link.outbound = undefined
          if (net.host.now() - link.openedAt >= GOSSIP_STABLE) link.failures = 0
        } else return
        if (!this.#stopped) this.#broke(link)
      },
    }
  }

  #broke(link: Link): void {
    const { net } = this.#owner
    const { peer } = link
    const wait = GOSSIP_REOPEN_MIN * 2 ** link.failures
    link.failures += 1
    const over = link.failures > GOSSIP_REOPEN_TRIES || !net.connections(peer).some(({ status }) => status === 'open')
    // What it said before it went still counts.
    const unread = link.inbound?.unread === true
    if (link.outbound === undefined && !unread && (over || link.inbound === undefined || !(link.reading || link.patience)))
      this.#disconnect(link)
    if (over) {
      // It speaks no pubsub any more, or not with us: what it still sends is not for us.
      if (link.outbound === undefined) link.inbound?.stream.abort(notNeeded())
      return this.#forgetUnused(peer)
    }
    link.retry?.()
    link.retry = net.host.after(wait, () => {
      link.retry = undefined
      this.settle(peer)
    })
  }

  #disconnect(link: Link): void {
    if (!link.known) return
    link.known = false
    this.#owner.handle({ t: 'disconnect', peer: link.peer })
  }

  /** Identify has learnt a peer's signed record, which peer exchange passes on. */
  tellRecord({ remotePeer, identified }: Connection): void {
    if (identified?.signedRecord !== undefined) this.#owner.handle({ t: 'record', peer: remotePeer, record: identified.signedRecord })
  }

  /** The peer opened a stream. */
  accept(stream: Stream): void {
    const link = this.#link(stream.connection.remotePeer)
    const { rpcs, takes, handle } = this.#owner
    const inbound: Inbound = new Inbound(stream, {
      rpcs,
      takes: () => {
        const room = takes()
        if (!room) this.#held.add(inbound)
        return room
      },
      onRpc: (rpc) => handle({ t: 'rpc', peer: link.peer, rpc }),
      onGone: () => {
        this.#held.delete(inbound)
        if (link.former === inbound) {
          link.former = undefined
          this.#read(link)
          this.#forgetUnused(link.peer)
        }
        if (link.inbound !== inbound) return
        link.inbound = undefined
        link.reading = false
        if (link.outbound === undefined) this.#disconnect(link)
        this.#forgetUnused(link.peer)
      },
    })
    this.#hasten(link)
    link.former?.stream.abort(notNeeded())
    link.former = link.inbound
    if (!link.reading) link.former?.stream.abort(notNeeded())
    link.inbound = inbound
    link.reading = false
    this.#read(link)
    this.settle(link.peer)
  }

  #read(link: Link): void {
    const { inbound, former } = link
    if (inbound === undefined || link.reading || link.outbound === undefined) return
    if (former === undefined) return this.#start(link, inbound)
    if (link.patience !== undefined) return
    const { received } = former.stream
    link.patience = this.#owner.net.host.after(GOSSIP_PATIENCE, () => {
      link.patience = undefined
      // A peer that lost its stream, or forgot it, does not end it.
      if (link.former === former && former.stream.received === received && !this.#held.has(former)) this.#start(link, inbound)
      else this.#read(link)
    })
  }

  #start(link: Link, inbound: Inbound): void {
    link.patience?.()
    link.patience = undefined
    link.reading = true
    this.#owner.handle({ t: 'anew', peer: link.peer })
    inbound.start()
  }

  /** Another stream comes: what waited waits no more. */
  #hasten(link: Link): void {
    if (link.inbound !== undefined && link.patience !== undefined) this.#start(link, link.inbound)
  }

  stop(): void {
    this.#stopped = true
    for (const { outbound, next, retry, soon, patience } of this.#links.values()) {
      outbound?.end()
      next?.abort(notNeeded())
      retry?.()
      soon?.()
      patience?.()
    }
    this.#links.clear()
  }
}

const speaks = ({ identified }: Connection): boolean =>
  identified?.protocols.some((each) => (PUBSUB_PROTOCOLS as readonly string[]).includes(each)) === true

/**
 * Whether the remote makes us wait rather than drop what it can't check at once: ours, js and rust do. go does not, and who knows of the others.
 * Besides, js and rust have other message ids by default, and hold IHAVE of what they then never see against us: more of it than need be
 * would have us graylisted there.
 */
const checksAll = ({ identified }: Connection): boolean =>
  identified !== undefined && /^(tabmesh|js-libp2p|rust-libp2p)\//.test(identified.agent)
