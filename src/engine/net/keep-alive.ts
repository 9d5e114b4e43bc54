/**
 * Keep-alive: peers with a tag `keep-alive…` are dialled again when their last connection is lost.
 *
 *            lost, or tagged while away                 time has come, a place is free
 *   (none) ────────────────────────────▶ waiting ─────────────────────────────────────▶ dialling
 *      ▲                                    ▲                                               │
 *      │ connected, untagged, hung up       └────────────────── failed ────────────────────┘
 *      └── from any state
 *
 * The wait is a tenth of the time the peer has been away, from KEEP_ALIVE_RETRY_MIN to KEEP_ALIVE_RETRY_MAX, jittered so that those who
 * lost the same peer do not return as one. It goes on for as long as the peer is tagged: a peer that comes back after a night is found
 * within a minute. Who untags a peer when it is lost (the relay client does: it has its own way back) is not dialled for.
 *
 * Bounds: KEEP_ALIVE_MAX peers, KEEP_ALIVE_PARALLEL dials at a time.
 */

import type { PeerId } from '../codec/peer-id.ts'
import type { Cancel } from '../host.ts'
import { KEEP_ALIVE_MAX, KEEP_ALIVE_PARALLEL, KEEP_ALIVE_RETRY_MAX, KEEP_ALIVE_RETRY_MIN } from '../limits.ts'
import { KEEP_ALIVE } from './prune.ts'
import type { Net, Service } from './service.ts'

interface Away {
  /** On the clock of `now`. */
  readonly since: number
  /** When it is to be dialled; undefined while it is. */
  dueAt: number | undefined
}

export type KeepAliveInput =
  /** The peer is away and wanted. */
  | { readonly t: 'away'; readonly peer: PeerId }
  /** It is connected, or wanted no more. */
  | { readonly t: 'settled'; readonly peer: PeerId }
  /** The answer to `dial`, where that failed. */
  | { readonly t: 'failed'; readonly peer: PeerId }
  /** The network is there again: waiting makes no sense any more. */
  | { readonly t: 'online' }
  | { readonly t: 'time' }

export class KeepAlive {
  /** `random` gives numbers from 0 to below 1. */
  readonly #random: () => number
  readonly #away = new Map<PeerId, Away>()
  #dialling = 0
  #outputs: PeerId[] = []

  constructor(random: () => number) {
    this.#random = random
  }

  /** When `{ t: 'time' }` is due; undefined while nothing, or only answers, are waited for. */
  get deadline(): number | undefined {
    if (this.#dialling >= KEEP_ALIVE_PARALLEL) return undefined
    let earliest: number | undefined
    for (const { dueAt } of this.#away.values()) if (dueAt !== undefined && dueAt < (earliest ?? Number.POSITIVE_INFINITY)) earliest = dueAt
    return earliest
  }

  /** The next peer to dial. */
  poll(): PeerId | undefined {
    return this.#outputs.shift()
  }

  handle(input: KeepAliveInput, now: number): void {
    switch (input.t) {
      case 'away':
        if (this.#away.has(input.peer) || this.#away.size >= KEEP_ALIVE_MAX) break
        this.#away.set(input.peer, { since: now, dueAt: now + this.#wait(0) })
        break
      case 'settled': {
        const away = this.#away.get(input.peer)
        if (away !== undefined && away.dueAt === undefined) this.#dialling -= 1
        this.#away.delete(input.peer)
        this.#outputs = this.#outputs.filter((peer) => peer !== input.peer)
        break
      }
      case 'failed': {
        const away = this.#away.get(input.peer)
        if (away === undefined || away.dueAt !== undefined) break
        this.#dialling -= 1
        away.dueAt = now + this.#wait(now - away.since)
        break
      }
      case 'online':
        for (const away of this.#away.values()) if (away.dueAt !== undefined) away.dueAt = Math.min(away.dueAt, now + this.#wait(0))
        break
    }
    this.#begin(now)
  }

  #begin(now: number): void {
    const due = [...this.#away].filter(([, { dueAt }]) => dueAt !== undefined && dueAt <= now)
    due.sort(([, a], [, b]) => (a.dueAt ?? 0) - (b.dueAt ?? 0))
    for (const [peer, away] of due) {
      if (this.#dialling >= KEEP_ALIVE_PARALLEL) return
      this.#dialling += 1
      away.dueAt = undefined
      this.#outputs.push(peer)
    }
  }

  #wait(away: number): number {
    const full = Math.min(Math.max(away / 10, KEEP_ALIVE_RETRY_MIN), KEEP_ALIVE_RETRY_MAX)
    return Math.ceil(full * (0.5 + 0.5 * this.#random()))
  }
}

export const isKept = (tags: Readonly<Record<string, number>>): boolean => Object.keys(tags).some((name) => name.startsWith(KEEP_ALIVE))

export interface KeepAliveService extends Service {
  /** The tags of a peer have changed. */
  tagged(peer: PeerId): void
}

export const keepAlive = (): KeepAliveService => {
  let net: Net | undefined
  let timer: Cancel = () => {}
  const dials = new Map<PeerId, Cancel>()
  /** Peers that the user hung up on, until their connections have closed. */
  const hungUp = new Set<PeerId>()
  const machine = new KeepAlive(() => {
    const [a = 0, b = 0] = net?.host.random(2) ?? []
    return (a * 256 + b) / 65_536
  })

  const feed = (input: KeepAliveInput): void => {
    if (net === undefined) return
    const { host } = net
    machine.handle(input, host.now())
    for (let peer = machine.poll(); peer !== undefined; peer = machine.poll()) dial(peer, net)
    timer()
    const { deadline } = machine
    timer = deadline === undefined ? () => {} : host.after(Math.max(1, deadline - host.now()), () => feed({ t: 'time' }))
  }

  const dial = (peer: PeerId, by: Net): void => {
    if (!isKept(by.tags(peer))) return by.host.defer(() => feed({ t: 'settled', peer }))
    const cancel = by.dial({ peer, addresses: [] }, (outcome) => {
      if (dials.delete(peer)) feed({ t: outcome.ok ? 'settled' : 'failed', peer })
    })
    dials.set(peer, cancel)
  }

  const forget = (peer: PeerId): void => {
    const cancel = dials.get(peer)
    dials.delete(peer)
    cancel?.()
    feed({ t: 'settled', peer })
  }

  const connected = (peer: PeerId): boolean => net?.connections(peer).some(({ status }) => status !== 'closed') === true

  return {
    name: 'keep-alive',
    protocols: {},
    start(started) {
      net = started
    },
    tagged(peer) {
      if (net === undefined) return
      if (!isKept(net.tags(peer))) forget(peer)
      else if (!connected(peer)) feed({ t: 'away', peer })
    },
    onNetworkChange(there) {
      if (!there) return
      // A dial that began without a network hangs until its own deadline.
      for (const [peer, cancel] of [...dials]) {
        dials.delete(peer)
        cancel()
        feed({ t: 'failed', peer })
      }
      feed({ t: 'online' })
    },
    onConnection({ remotePeer }) {
      hungUp.delete(remotePeer)
      // Its dial, if there is one, is answered by this connection.
      if (!dials.has(remotePeer)) feed({ t: 'settled', peer: remotePeer })
    },
    onDisconnect({ remotePeer }) {
      if (net === undefined || connected(remotePeer)) return
      // Who is hung up on is let go; what the other services make of the loss comes first.
      if (!hungUp.delete(remotePeer) && isKept(net.tags(remotePeer))) feed({ t: 'away', peer: remotePeer })
    },
    onHangUp(peer) {
      if (connected(peer)) hungUp.add(peer)
      forget(peer)
    },
    stop() {
      timer()
      for (const cancel of dials.values()) cancel()
      net = undefined
    },
  }
}
