/**
 * The way between a dialler and its peer connection, through the front (front.ts).
 *
 *   asked, proven ─▶ open ── the peer connection's own check came ─▶ passing ── reached ─▶ DTLS too ── end ─▶ lingering ─▶ removed
 *
 * Bounds: MAX_HELD datagrams wait for `reached`; DIRECT_LINGER after the end.
 */

import { DIRECT_LINGER } from '../../engine/limits.ts'
import type { Credentials } from '../../engine/protocols/webrtc-direct/sdp.ts'

/** Datagrams of DTLS that come before the peer connection is ready for them: a ClientHello, in pieces. It would be repeated after a second. */
const MAX_HELD = 8
/** A closed peer connection has said all it has to say when it is silent for this long: it is torn down within milliseconds. */
const LAST_WORDS = 50

export interface Dialler {
  readonly host: string
  readonly port: number
  /** The name it gave to our side: the ufrag and password that we answer with. */
  readonly ufrag: string
  /** Its own. */
  readonly credentials: Credentials
  /** Its check, for the peer connection to answer: the next one may come half a second later. */
  readonly check: Buffer
}

/** The way between a dialler and its peer connection. */
export interface Route {
  /** It has reached the dialler, and waits for its DTLS: only now the dialler's check is answered, and what came of DTLS is passed on. */
  reached(): void
  /** Passes on nothing more of the dialler's. */
  mute(): void
  /** The peer connection is closed: what it still has to say is passed on, then the route is no more. */
  end(): void
}

/** What a route asks of its front. */
export interface RouteOwner {
  /** Sends what waited to the peer connection. */
  handOver(route: FrontRoute, datagrams: readonly Buffer[]): void
  remove(route: FrontRoute): void
}

export class FrontRoute implements Route {
  readonly #owner: RouteOwner
  readonly #held: Buffer[] = []
  readonly ufrag: string
  readonly check: Buffer
  host: string
  /** Of the dialler. */
  dialled: number
  key: string
  /** Of the peer connection. */
  port: number | undefined
  heard = performance.now()
  /** Datagrams from the peer connection. */
  told = 0
  isReached = false
  muted = false
  saidGoodbye = false
  ended = false
  timer: NodeJS.Timeout | undefined

  constructor(owner: RouteOwner, { host, port, ufrag, check }: Dialler) {
    this.#owner = owner
    this.host = host
    this.dialled = port
    this.key = `${host} ${port}`
    this.ufrag = ufrag
    this.check = check
  }

  reached(): void {
    if (this.isReached || this.ended) return
    this.isReached = true
    this.#owner.handOver(this, [this.check, ...this.#held.splice(0)])
  }

  /** Until the peer connection is silent. */
  #linger(until: number): void {
    const told = this.told
    this.timer = setTimeout(() => {
      if (this.told === told || performance.now() >= until) this.#owner.remove(this)
      else this.#linger(until)
    }, LAST_WORDS)
  }

  hold(datagram: Buffer): void {
    if (this.#held.length < MAX_HELD) this.#held.push(datagram)
  }

  mute(): void {
    this.muted = true
  }

  end(): void {
    if (this.ended) return
    this.ended = true
    if (this.port === undefined || this.saidGoodbye) this.#owner.remove(this)
    else this.#linger(performance.now() + DIRECT_LINGER)
  }
}
