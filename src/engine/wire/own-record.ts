/**
 * Our signed peer record: sealed once for each change of our addresses, for whoever asks.
 *
 *   none ── ask ──▶ signing ──▶ sealed ── addresses change ──▶ none     who asks meanwhile waits for the one signature
 *
 * One is kept for each form (codec/envelope.ts). Bounds: one signature at a time; addresses of IDENTIFY_MAX_RECORD bytes, the first of the list, so that
 * it fits an identify message, in either form: the newer of both records counts for who hears both.
 */

import type { EnvelopeUse } from '../codec/envelope.ts'
import type { PublicKey } from '../codec/keys.ts'
import type { Multiaddr } from '../codec/multiaddr.ts'
import type { Host } from '../host.ts'
import { IDENTIFY_MAX_RECORD } from '../limits.ts'
import { sealPeerRecord } from './signed-envelope.ts'

/** Tags and lengths around an address in a record. */
const AROUND = 6

/** Whose record it is: of a `Net`, what this takes. */
interface Self {
  readonly host: Pick<Host, 'date' | 'sign'>
  readonly publicKey: PublicKey
  readonly addresses: readonly Multiaddr[]
}

export class OwnRecord {
  readonly #self: Self
  readonly #form: EnvelopeUse
  #sealed: { readonly addresses: string; readonly envelope: Uint8Array } | undefined
  /** Set while a signature is waited for. */
  #waiting: ((envelope: Uint8Array | undefined) => void)[] | undefined
  /** The number of our last record: the next one is higher, whatever the clock says. */
  #lastSeq = 0

  constructor(self: Self, form: EnvelopeUse) {
    this.#self = self
    this.#form = form
  }

  /** The addresses that a record would have now, in one text; empty where there are none. */
  get addresses(): string {
    return textOf(this.#addresses())
  }

  /** Calls back with the record of our present addresses; with undefined where we have none or it can't be signed. */
  ask(use: (envelope: Uint8Array | undefined) => void): void {
    const addresses = this.#addresses()
    if (addresses.length === 0) return use(undefined)
    if (this.#sealed?.addresses === textOf(addresses)) return use(this.#sealed.envelope)
    if (this.#waiting !== undefined) {
      this.#waiting.push(use)
      return
    }
    this.#waiting = [use]
    this.#seal(addresses)
  }

  #seal(addresses: readonly Multiaddr[]): void {
    const { host, publicKey } = this.#self
    this.#lastSeq = Math.max(Math.floor(host.date()), this.#lastSeq + 1)
    const seal = sealPeerRecord(publicKey, { seq: BigInt(this.#lastSeq), addresses }, this.#form)
    const first = seal.next()
    if (first.done === true || first.value.t !== 'sign') return this.#fail()
    host.sign(first.value.bytes, (signature) => {
      const sealed = signature instanceof Uint8Array ? seal.next(signature) : undefined
      if (sealed?.done !== true) return this.#fail()
      this.#sealed = { addresses: textOf(addresses), envelope: sealed.value }
      // Addresses that changed under the pen are signed again.
      for (const use of this.#release()) this.ask(use)
    })
  }

  #fail(): void {
    for (const use of this.#release()) use(undefined)
  }

  #release(): ((envelope: Uint8Array | undefined) => void)[] {
    const waiting = this.#waiting ?? []
    this.#waiting = undefined
    return waiting
  }

  #addresses(): readonly Multiaddr[] {
    let room = IDENTIFY_MAX_RECORD
    const all = this.#self.addresses
    const end = all.findIndex(({ bytes }) => {
      room -= bytes.length + AROUND
      return room < 0
    })
    return end < 0 ? all : all.slice(0, end)
  }
}

const textOf = (addresses: readonly Multiaddr[]): string => addresses.map(({ text }) => text).join(' ')
