/**
 * Dialer: connects to peers, with one dial for all who want the same.
 *
 *   dial ─┬─ a connection that will do is open ─▶ done
 *         ├─ the same dial is under way ────────▶ joined
 *         └─ one address named: an attempt; else the ways found (ways.ts), and a race of them (race.ts) ─▶ done
 *
 *   a peer of whom no address is known, or none leads to it ─▶ looked for elsewhere (search.ts), and what is new is tried
 *   attempt   (gater) ─▶ transport ─▶ link ─▶ upgrade ─▶ connection
 *
 * Where all that is asked for is WebRTC, or just the peer, a relayed connection is open first. It gets RELAY_SETTLE to become a
 * direct one; then the callers are answered with it, and the rest goes on for its own sake.
 *
 * A connection that comes about otherwise answers a dial too. If it is our own, the rest of the dial is given up. If the remote made it, what is
 * under way goes on: both sides giving up what the other one holds for made would leave none.
 *
 * Bounds: DIAL_MAX_ADDRESSES addresses, DIAL_ADDRESS_TIMEOUT for each, one deadline for all; DIAL_MAX_SOCKETS sockets being opened at a
 * time. A failed dial says why for each address it tried.
 */

import { asTabmeshError, type ErrorCode, TabmeshError } from '../../errors.ts'
import { type Multiaddr, peerIdOf, relayOf } from '../codec/multiaddr.ts'
import type { PeerId } from '../codec/peer-id.ts'
import type { Cancel } from '../host.ts'
import { DIAL_ADDRESS_TIMEOUT, DIAL_MAX_SOCKETS, RELAY_SETTLE } from '../limits.ts'
import type { Outcome } from '../wire/conversation.ts'
import { abandonLink } from './abandon.ts'
import type { Connection } from './connection.ts'
import type { Dialling, Plan } from './dial-plan.ts'
import { ask } from './gater.ts'
import { race, type Tries } from './race.ts'
import { type Route, rank } from './rank.ts'
import type { DialOptions, DialTarget, Link, Net, Transport } from './service.ts'
import { allFailed, findWays, keyOf, tooLate } from './ways.ts'

type Waiter = (outcome: Outcome<Connection>) => void

export class Dialer {
  readonly #around: Dialling
  /** By what is wanted. */
  readonly #dials = new Map<string, Dial>()
  /** All of them; one that nobody joins any more is not among those above. */
  readonly #live = new Set<Dial>()
  /** Sockets being opened, and who waits to open one: callers before what goes on in the background. */
  #sockets = 0
  readonly #queue: { readonly background: boolean; readonly begin: () => void }[] = []

  constructor(around: Dialling) {
    this.#around = around
  }

  /** Dials under way. */
  get size(): number {
    return this.#live.size
  }

  dial(target: DialTarget, done: Waiter, options: DialOptions): Cancel {
    const { net, refuse, timeout } = this.#around
    const peer = target.peer ?? targetOf(target.addresses)
    const refusal = refuse(peer) ?? refuseMixed(peer, target.addresses)
    const open = peer === undefined || refusal !== undefined ? undefined : satisfying(net.connections(peer), target.addresses)
    if (refusal !== undefined || open !== undefined) {
      let wanted = true
      net.host.defer(() => {
        if (!wanted) return
        if (open !== undefined && open.status === 'open') done({ ok: true, value: open })
        else done({ ok: false, fault: refusal ?? new TabmeshError('ERR_CONNECTION_CLOSED', `the connection to ${peer} closed meanwhile`) })
      })
      return () => {
        wanted = false
      }
    }
    const named = target.addresses.length > 1 ? rank(target.addresses).map(({ address }) => address) : target.addresses
    const background = options.background === true
    return this.#join({ peer, named, background, timeout: options.timeout ?? timeout }).wait(done, options.settle ?? RELAY_SETTLE)
  }

  /** What waits for a connection that is there now is done. */
  opened(connection: Connection): void {
    for (const dial of [...this.#live]) if (dial.peer === connection.remotePeer) dial.opened(connection)
  }

  /** Gives up all dials, or those of one peer. */
  stop(fault: TabmeshError, peer?: PeerId): void {
    for (const dial of [...this.#live]) if (peer === undefined || dial.peer === peer) dial.stop(fault)
  }

  #join(plan: Plan): Dial {
    const texts = plan.named.map(({ text }) => text)
    const wish = `${plan.peer ?? ''} ${texts.sort().join(' ')}`
    // A caller's dial tries all that one in the background does; not the other way round.
    const key = plan.background && !this.#dials.has(wish) ? `${wish} background` : wish
    const joined = this.#dials.get(key)
    if (joined !== undefined) return joined
    const dial = new Dial(this.#around, plan, {
      attempt: (address, heard) => this.#attempt(plan, address, heard),
      closeDoor: () => {
        if (this.#dials.get(key) === dial) this.#dials.delete(key)
      },
      leave: () => {
        this.#live.delete(dial)
        return ![...this.#live].some((each) => each.peer === plan.peer)
      },
    })
    this.#dials.set(key, dial)
    this.#live.add(dial)
    return dial
  }

  // ── one address ────────────────────────────────────────────────────────────────────────────────────────────

  /** Tries one address. Answers once, unless it is given up, and never before it has returned. */
  #attempt({ peer, background, timeout: longest }: Plan, address: Multiaddr, done: Waiter): Cancel {
    const { net, transports, gater, backOff, confined } = this.#around
    const { host } = net
    const transport = transports.find((each) => each.matches(address))
    const timeout = Math.min(transport?.timeout ?? DIAL_ADDRESS_TIMEOUT, longest)
    let over = false
    let leave: Cancel = () => {}
    let timer: Cancel = () => {}
    let giveUp: Cancel = () => {}

    const end = (): boolean => {
      if (over) return false
      over = true
      timer()
      return true
    }
    /** `abandon` is what still goes on there. */
    const fail = (fault: TabmeshError, abandon: Cancel = () => {}): void => {
      if (!end()) return
      abandon()
      leave()
      if (!ours.has(fault.code)) backOff.failed(keyOf(address, peer), host.now())
      done({
        ok: false,
        fault: new TabmeshError(fault.code, `${address.text}`, { cause: fault, remote: fault.remote, errors: fault.errors }),
      })
    }
    const secure = (link: Link): void => {
      const abandon = this.#around.upgrade(link, peer ?? peerIdOf(address), (outcome) => {
        if (!outcome.ok) return fail(outcome.fault)
        if (!end()) return
        leave()
        backOff.succeeded(keyOf(address, peer))
        done(outcome)
      })
      giveUp = () => abandon(new TabmeshError('ERR_CONNECTION_CLOSED', 'another address was faster, or the dial was given up'))
    }
    const begin = (by: Transport): void => {
      timer = host.after(timeout, () => fail(new TabmeshError('ERR_DIAL_TIMEOUT', `no connection within ${timeout} ms`), giveUp))
      giveUp = dialWith(by, address, net, (link) => {
        if (!link.ok) return fail(link.fault)
        if (over) abandonLink(link.value, new TabmeshError('ERR_CONNECTION_CLOSED', 'the dial was given up'))
        else secure(link.value)
      })
    }

    if (confined && leavesNetwork(address)) {
      host.defer(() => fail(new TabmeshError('ERR_PRIVATE_NETWORK', `${address.text} leaves the private network`)))
    } else if (transport === undefined) {
      host.defer(() => fail(new TabmeshError('ERR_NO_TRANSPORT', `nothing here dials ${address.text}`)))
    } else {
      const enter = (): void => {
        leave = this.#enter(address, background, () => begin(transport))
      }
      if (gater?.dial === undefined) enter()
      else {
        host.defer(() => {
          if (over) return
          let asking = true
          const cancel = ask(gater, host, [{ t: 'dial', peer, address }], (refusal) => {
            asking = false
            if (refusal === undefined) enter()
            else fail(refusal)
          })
          if (asking) giveUp = cancel
        })
      }
    }
    return () => {
      if (!end()) return
      giveUp()
      leave()
    }
  }

  /** Begins when there is a socket to be had; what goes through a relay needs none of its own. Returns how to give it back. */
  #enter(address: Multiaddr, background: boolean, begin: () => void): Cancel {
    if (relayOf(address) !== undefined) {
      begin()
      return () => {}
    }
    let holds = this.#sockets < DIAL_MAX_SOCKETS
    const waiting = {
      background,
      begin: () => {
        holds = true
        begin()
      },
    }
    if (holds) {
      this.#sockets += 1
      begin()
    } else {
      const behind = background ? -1 : this.#queue.findIndex((each) => each.background)
      this.#queue.splice(behind < 0 ? this.#queue.length : behind, 0, waiting)
    }
    return () => {
      const at = this.#queue.indexOf(waiting)
      if (at >= 0) this.#queue.splice(at, 1)
      if (!holds) return
      holds = false
      const next = this.#queue.shift()
      if (next === undefined) this.#sockets -= 1
      else next.begin()
    }
  }
}

/** What a dial needs of the dialer. */
interface Party {
  attempt(address: Multiaddr, done: Waiter): Cancel
  /** From now on nobody joins it. */
  closeDoor(): void
  /** It is over; returns whether it was the last one of its peer. */
  leave(): boolean
}

/** One dial, and all who wait for it. */
class Dial {
  readonly #around: Dialling
  readonly #plan: Plan
  readonly #party: Party
  readonly #waiters = new Map<Waiter, { readonly settle: number; timer: Cancel }>()
  /** Whether a relayed connection will do in the end: no other way was asked for. */
  readonly #fallsBack: boolean
  /** Since when one is there, on the host's clock. */
  #relayedAt: number | undefined
  /** Somebody has been answered: what goes on does so for its own sake. */
  #answered = false
  #over = false
  readonly #faults: TabmeshError[] = []
  readonly #deadline: Cancel
  #finding: Cancel = () => {}
  #tries: Tries | undefined
  /** To be tried when all that is being tried has failed. */
  #later: readonly Route[] = []
  /** Set once it was looked for; gives that up. */
  #searching: Cancel | undefined
  readonly #tried = new Set<string>()

  constructor(around: Dialling, plan: Plan, party: Party) {
    this.#around = around
    this.#plan = plan
    this.#party = party
    const { host } = around.net
    this.#fallsBack = plan.peer !== undefined && plan.named.every(isWebrtc)
    if (this.#fallsBack && this.#standing() !== undefined) this.#relayedAt = host.now()
    this.#deadline = host.after(plan.timeout, () => this.#expire())
    // A waiter must not hear of the outcome before `dial` has returned to it.
    host.defer(() => this.#begin())
  }

  get peer(): PeerId | undefined {
    return this.#plan.peer
  }

  /** `settle`: how long a relayed connection waits for a direct one, in milliseconds. The returned function gives this caller's interest up. */
  wait(done: Waiter, settle: number): Cancel {
    const waiter: Waiter = (outcome) => done(outcome)
    this.#waiters.set(waiter, { settle, timer: () => {} })
    this.#arm(waiter)
    return () => {
      this.#waiters.get(waiter)?.timer()
      if (!this.#waiters.delete(waiter) || this.#waiters.size > 0 || this.#answered) return
      this.stop(new TabmeshError('ERR_CONNECTION_CLOSED', 'the dial was given up'))
    }
  }

  stop(fault: TabmeshError): void {
    this.#settle({ ok: false, fault })
  }

  opened(connection: Connection): void {
    if (this.#over || connection.status !== 'open') return
    const value = satisfying([connection], this.#plan.named)
    if (value !== undefined && (value.direct || !this.#fallsBack)) {
      const underWay = this.#tries !== undefined && this.#tries.running.length > 0
      if (value.direction === 'outbound' || !underWay) return this.#settle({ ok: true, value })
      this.#party.closeDoor()
      this.#tries?.halt()
      this.#later = []
      this.#answer({ ok: true, value })
    } else if (this.#fallsBack && this.#relayedAt === undefined) {
      this.#relayedAt = this.#around.net.host.now()
      for (const waiter of this.#waiters.keys()) this.#arm(waiter)
    }
  }

  #begin(): void {
    if (this.#over) return
    const { peer, named } = this.#plan
    const refusal = this.#around.refuse(peer)
    if (refusal !== undefined) return this.stop(refusal)
    const [address] = named
    if (address !== undefined && named.length === 1 && address.parts[0]?.name !== 'dnsaddr') return this.#try([{ address, delay: 0 }])
    this.#find(this.#around)
  }

  #find(around: Dialling): void {
    this.#finding = findWays(around, this.#plan, (ways) => {
      if (ways instanceof TabmeshError) return this.#search(ways)
      this.#faults.push(...ways.faults)
      this.#later = ways.later
      this.#try(ways.first)
    })
  }

  /** Nothing that is known has led to the peer: the dial fails with `fault` unless others know what has not been tried. */
  #search(fault: TabmeshError): void {
    const { peer, named, background } = this.#plan
    if (this.#searching !== undefined || peer === undefined || named.length > 0 || background || this.#standing() !== undefined)
      return this.#fail(fault)
    this.#tries = undefined
    this.#searching = this.#around.search(peer, (addresses) => {
      const fresh = addresses.filter(({ text }) => !this.#tried.has(text))
      if (fresh.length === 0) this.#fail(fault)
      else this.#find({ ...this.#around, known: () => fresh, routes: () => [] })
    })
    if (this.#searching === undefined) this.#fail(fault)
  }

  #try(routes: readonly Route[]): void {
    const failed = (faults: readonly TabmeshError[]): void => {
      this.#faults.push(...faults)
      const later = this.#later
      this.#later = []
      if (later.length > 0) return this.#try(later)
      this.#search(allFailed(this.#plan, this.#faults))
    }
    const { attempt } = this.#party
    for (const { address } of routes) this.#tried.add(address.text)
    const [only] = routes
    if (only === undefined || routes.length > 1) {
      const { host } = this.#around.net
      this.#tries = race<Connection>(routes, host, attempt, (end) => (end.ok ? this.#settle(end) : failed(end.faults)))
    } else {
      const cancel = attempt(only.address, (end) => (end.ok ? this.#settle(end) : failed([end.fault])))
      this.#tries = { cancel, halt: () => {}, running: [only.address], waiting: [], faults: [] }
    }
  }

  #expire(): void {
    const { running = [], waiting = [], faults = [] } = this.#tries ?? {}
    this.#fail(
      tooLate(this.#plan.timeout, [...this.#faults, ...faults], running, [...waiting, ...this.#later.map(({ address }) => address)]),
    )
  }

  #fail(fault: TabmeshError): void {
    const standing = this.#fallsBack ? this.#standing() : undefined
    this.#settle({ ok: false, fault }, standing)
  }

  /** The end of it. `standing` is what the callers get instead of a fault. */
  #settle(outcome: Outcome<Connection>, standing?: Connection): void {
    if (this.#over) return
    this.#over = true
    this.#party.closeDoor()
    const last = this.#party.leave()
    this.#deadline()
    this.#finding()
    this.#searching?.()
    this.#tries?.cancel()
    this.#answer(standing === undefined ? outcome : { ok: true, value: standing })
    if (!outcome.ok && last && this.peer !== undefined) this.#around.failed(this.peer)
  }

  #answer(outcome: Outcome<Connection>): void {
    this.#answered = true
    for (const waiter of [...this.#waiters.keys()]) this.#answerOne(waiter, outcome)
  }

  #answerOne(waiter: Waiter, outcome: Outcome<Connection>): void {
    this.#waiters.get(waiter)?.timer()
    if (this.#waiters.delete(waiter)) waiter(outcome)
  }

  /** Sets the time after which `waiter` gets the relayed connection, if there is one. */
  #arm(waiter: Waiter): void {
    const waiting = this.#waiters.get(waiter)
    if (waiting === undefined || this.#relayedAt === undefined) return
    const { host } = this.#around.net
    waiting.timer = host.after(Math.max(0, this.#relayedAt + waiting.settle - host.now()), () => {
      const value = this.#standing()
      // It is gone again: the next one has its own time.
      if (value === undefined) {
        this.#relayedAt = undefined
        return
      }
      this.#answered = true
      this.#answerOne(waiter, { ok: true, value })
    })
  }

  #standing(): Connection | undefined {
    const { peer } = this.#plan
    return peer === undefined ? undefined : this.#around.net.connections(peer).find((each) => each.status === 'open')
  }
}

/** A transport that throws has failed like one that says so, and takes nothing else with it. */
const dialWith = (transport: Transport, address: Multiaddr, net: Net, heard: (link: Outcome<Link>) => void): Cancel => {
  try {
    return transport.dial(address, net, heard)
  } catch (cause) {
    const fault = asTabmeshError(cause, 'ERR_NO_TRANSPORT', `${transport.name} can't dial ${address.text}`)
    net.host.defer(() => heard({ ok: false, fault }))
    return () => {}
  }
}

/** Faults that say nothing of the address: it may be dialled again as soon as somebody likes. */
const ours = new Set<ErrorCode>([
  'ERR_CONNECTION_LIMIT',
  'ERR_GATED',
  'ERR_INSECURE_CONTEXT',
  'ERR_INTERNAL',
  'ERR_NO_TRANSPORT',
  'ERR_PRIVATE_NETWORK',
  'ERR_SELF_DIAL',
  'ERR_STOPPED',
  'ERR_UNSUPPORTED',
])

/** The open connection that makes a dial unnecessary: any, unless a direct one is asked for and there is none. */
const satisfying = (connections: readonly Connection[], addresses: readonly Multiaddr[]): Connection | undefined => {
  const open = connections.filter((connection) => connection.status === 'open')
  // The best may be a relayed one still, while the direct one has not answered a ping.
  return addresses.length === 0 || addresses.some(isPlainCircuit) ? open[0] : open.find(({ direct }) => direct)
}

/** The peer that the first address which names one ends in, or undefined where they say nothing. */
const targetOf = (addresses: readonly Multiaddr[]): PeerId | undefined => {
  for (const address of addresses) {
    const peer = peerIdOf(address)
    if (peer !== undefined) return peer
  }
  return undefined
}

/** Addresses that end in different peers are no one dial. */
const refuseMixed = (peer: PeerId | undefined, addresses: readonly Multiaddr[]): TabmeshError | undefined => {
  const other = addresses.find((address) => (peerIdOf(address) ?? peer) !== peer)
  return other === undefined ? undefined : new TabmeshError('ERR_INVALID_ARGUMENT', `${other.text} is no address of ${peer}`)
}

const isWebrtc = (address: Multiaddr): boolean => address.parts.some((part) => part.name === 'webrtc')

const isPlainCircuit = (address: Multiaddr): boolean => address.parts.some((part) => part.name === 'p2p-circuit') && !isWebrtc(address)

/** Transports that secure themselves: there is no byte pipe that the cipher of a private network could go around. */
const selfSecured = new Set(['webrtc', 'webrtc-direct', 'webtransport', 'quic', 'quic-v1'])

/** Whether any part of the way to `address`, be it only to its relay, is outside of a network with a pre-shared key. */
const leavesNetwork = (address: Multiaddr): boolean => address.parts.some(({ name }) => selfSecured.has(name))
