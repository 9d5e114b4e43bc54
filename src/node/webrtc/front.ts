/**
 * Front: the one UDP port of a WebRTC-direct listener, and the peer connections behind it.
 *
 *                        ┌─────────────── front ────────────────┐
 *   dialler ◀── UDP ──▶ public socket ◀── route ──▶ inner socket ◀── loopback ──▶ peer connection's own port
 *
 *   unknown address ── check whose USERNAME is one of WebRTC-direct ──▶ asked ── it answers a check of ours ──▶ onDialler
 *   known address ───▶ its route: passed on unread
 *
 * A peer connection is made for an address only when that has proven to be its sender's, so that a flood from forged
 * addresses costs no more than the answers to it. Why the ports are joined here and not by libdatachannel: binding.ts.
 *
 * A dialler goes on from another address (its network changed, its NAT forgot it) when the one it had is silent for DIRECT_QUIET
 * and the new one has proven itself; its checks name the route.
 *
 * Bounds: DIRECT_MAX_CHALLENGES answers in a second; DIRECT_MAX_ASKED addresses asked, the oldest give way; MAX_QUEUE bytes
 * that the system did not take, beyond which datagrams are dropped. Who opens routes bounds them.
 */

import { randomBytes } from 'node:crypto'
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import type { AddressInfo } from 'node:net'
import { DIRECT_MAX_ASKED, DIRECT_MAX_CHALLENGES, DIRECT_QUIET } from '../../engine/limits.ts'
import { credentialsOfUsername } from '../../engine/protocols/webrtc-direct/sdp.ts'
import { type Dialler, FrontRoute, type Route, type RouteOwner } from './route.ts'
import { makeCheck, TRANSACTION_ID, transactionOfAnswer, usernameOfCheck } from './stun.ts'

/** Peer connections are reached here and nowhere else. */
export const LOOPBACK = '127.0.0.1'
/** SCTP's window: what a burst of one connection is at most. The system may grant less. */
const SOCKET_BUFFER = 1024 * 1024
const MAX_QUEUE = 4 * 1024 * 1024
/** A dialler repeats its check every 50 to 500 ms: one answer of ours is enough for this long. */
const ASK_AGAIN = 200
/** RFC 6347 §4.1: the record that says goodbye. */
const DTLS_ALERT = 21
/** RFC 7983 §7. */
const isDtls = ([first = 0]: Buffer): boolean => first >= 20 && first <= 63

interface Asked {
  readonly dialler: Dialler
  readonly transaction: Buffer
  readonly at: number
}

export class Front implements RouteOwner {
  readonly #outer: Socket
  readonly #inner: Socket
  readonly #onDialler: (dialler: Dialler) => void
  readonly #asked = new Map<string, Asked>()
  readonly #byAddress = new Map<string, FrontRoute>()
  readonly #byPort = new Map<number, FrontRoute>()
  readonly #byUfrag = new Map<string, FrontRoute>()
  #second = 0
  #challenges = 0
  #accepting = true
  #closed: (() => void) | undefined

  /** Binds the port. Rejects with the system's error. */
  static async bind(host: string, port: number, family: 4 | 6, onDialler: (dialler: Dialler) => void): Promise<Front> {
    const options = { recvBufferSize: SOCKET_BUFFER, sendBufferSize: SOCKET_BUFFER, lookup: itself }
    const outer = createSocket({ ...options, type: `udp${family}`, ipv6Only: family === 6 })
    const inner = createSocket({ ...options, type: 'udp4' })
    try {
      await Promise.all([bound(outer, host, port), bound(inner, LOOPBACK, 0)])
    } catch (error) {
      outer.close()
      inner.close()
      throw error
    }
    return new Front(outer, inner, onDialler)
  }

  private constructor(outer: Socket, inner: Socket, onDialler: (dialler: Dialler) => void) {
    this.#outer = outer
    this.#inner = inner
    this.#onDialler = onDialler
    outer.on('message', (datagram, from) => this.#fromDialler(datagram, from))
    inner.on('message', (datagram, from) => this.#fromPeer(datagram, from))
    // Of single datagrams: the network is away, or one is too long for it. DTLS and SCTP know what to do.
    outer.on('error', () => {})
    inner.on('error', () => {})
  }

  get port(): number {
    return this.#outer.address().port
  }

  /** What peer connections take for the dialler's port. */
  get innerPort(): number {
    return this.#inner.address().port
  }

  get routes(): number {
    return this.#byAddress.size
  }

  /** Hears of no new dialler. */
  stopAccepting(): void {
    this.#accepting = false
    this.#asked.clear()
  }

  open(dialler: Dialler): Route {
    const route = new FrontRoute(this, dialler)
    this.#byAddress.set(route.key, route)
    this.#byUfrag.set(route.ufrag, route)
    return route
  }

  /** Frees the ports once every route has ended. */
  async close(): Promise<void> {
    this.stopAccepting()
    if (this.#byAddress.size > 0) {
      await new Promise<void>((done) => {
        this.#closed = done
      })
    }
    await Promise.all([this.#outer, this.#inner].map((socket) => new Promise<void>((done) => socket.close(() => done()))))
  }

  // ── from the dialler ──

  #fromDialler(datagram: Buffer, { address, port }: RemoteInfo): void {
    const key = `${address} ${port}`
    const route = this.#byAddress.get(key)
    if (route === undefined) return this.#fromStranger(key, datagram, address, port)
    route.heard = performance.now()
    if (isDtls(datagram)) {
      if (datagram[0] === DTLS_ALERT) this.#goodbye(route)
      if (!route.isReached) return route.hold(datagram)
    }
    if (route.port !== undefined && !route.muted) send(this.#inner, datagram, route.port, LOOPBACK)
  }

  #fromStranger(key: string, datagram: Buffer, host: string, port: number): void {
    if (!this.#accepting) return
    const asked = this.#asked.get(key)
    if (asked !== undefined && transactionOfAnswer(datagram)?.equals(asked.transaction)) {
      this.#asked.delete(key)
      return this.#proven(key, asked.dialler)
    }
    const names = usernameOfCheck(datagram)
    if (names === undefined) return
    const [ufrag, theirs] = names
    const now = performance.now()
    if (asked?.dialler.ufrag === ufrag && now - asked.at < ASK_AGAIN) return
    const route = this.#byUfrag.get(ufrag)
    if (route !== undefined && now - route.heard < DIRECT_QUIET) return
    const credentials = credentialsOfUsername(ufrag, theirs)
    if (credentials === undefined || !this.#affords(now)) return
    this.#ask(key, { host, port, ufrag, credentials, check: datagram }, now)
  }

  #affords(now: number): boolean {
    const second = Math.floor(now / 1_000)
    if (second !== this.#second) {
      this.#second = second
      this.#challenges = 0
    }
    this.#challenges += 1
    return this.#challenges <= DIRECT_MAX_CHALLENGES
  }

  #ask(key: string, dialler: Dialler, at: number): void {
    const transaction = randomBytes(TRANSACTION_ID)
    // The latest last.
    this.#asked.delete(key)
    this.#asked.set(key, { dialler, transaction, at })
    if (this.#asked.size > DIRECT_MAX_ASKED) {
      for (const eldest of this.#asked.keys()) {
        this.#asked.delete(eldest)
        break
      }
    }
    const { host, port, ufrag, credentials } = dialler
    send(this.#outer, makeCheck(transaction, `${credentials.ufrag}:${ufrag}`, credentials.pwd), port, host)
  }

  #proven(key: string, dialler: Dialler): void {
    const route = this.#byUfrag.get(dialler.ufrag)
    if (route === undefined) return this.#onDialler(dialler)
    if (performance.now() - route.heard < DIRECT_QUIET) return
    this.#byAddress.delete(route.key)
    route.host = dialler.host
    route.dialled = dialler.port
    route.key = key
    route.heard = performance.now()
    this.#byAddress.set(key, route)
  }

  // ── from the peer connection ──

  #fromPeer(datagram: Buffer, { address, port }: RemoteInfo): void {
    if (address !== LOOPBACK) return
    const route = this.#byPort.get(port) ?? this.#introduce(datagram, port)
    if (route === undefined) return
    route.told += 1
    send(this.#outer, datagram, route.dialled, route.host)
    if (datagram[0] === DTLS_ALERT) this.#goodbye(route)
  }

  /** The first that comes of a peer connection is a check of its own, which names both sides. */
  #introduce(datagram: Buffer, port: number): FrontRoute | undefined {
    const route = this.#byUfrag.get(usernameOfCheck(datagram)?.[1] ?? '')
    if (route === undefined || route.port !== undefined) return undefined
    route.port = port
    this.#byPort.set(port, route)
    return route
  }

  /** One side has ended DTLS: nothing worth waiting for comes behind it. */
  #goodbye(route: FrontRoute): void {
    route.saidGoodbye = true
    if (route.ended) this.remove(route)
  }

  // ── for routes ──

  handOver({ port }: FrontRoute, datagrams: readonly Buffer[]): void {
    if (port !== undefined) for (const datagram of datagrams) send(this.#inner, datagram, port, LOOPBACK)
  }

  remove(route: FrontRoute): void {
    clearTimeout(route.timer)
    if (route.port !== undefined && this.#byPort.get(route.port) === route) this.#byPort.delete(route.port)
    if (this.#byUfrag.get(route.ufrag) === route) this.#byUfrag.delete(route.ufrag)
    if (this.#byAddress.get(route.key) === route) this.#byAddress.delete(route.key)
    if (this.#byAddress.size === 0) this.#closed?.()
  }
}

/** Only addresses are sent to: nothing to look up, and so nothing to wait for. */
const itself = (host: string, _options: unknown, found: (error: null, address: string, family: number) => void): void =>
  found(null, host, host.includes(':') ? 6 : 4)

const send = (socket: Socket, datagram: Buffer, port: number, host: string): void => {
  if (socket.getSendQueueSize() < MAX_QUEUE) socket.send(datagram, port, host)
}

const bound = (socket: Socket, host: string, port: number): Promise<AddressInfo> =>
  new Promise((done, fail) => {
    socket.once('error', fail)
    socket.bind(port, host, () => {
      socket.off('error', fail)
      done(socket.address())
    })
  })
