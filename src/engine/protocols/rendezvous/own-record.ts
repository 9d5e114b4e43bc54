/**
 * Our signed peer record as rendezvous carries it: in the form of RFC 0003, since rust's server and its clients read no other, and one record of
 * another form makes such a client drop the whole answer it is in.
 *
 *   none ── ask ──▶ signing ──▶ sealed ── addresses change ──▶ none     who asks meanwhile waits for the one signature
 *
 * Bounds: one signature at a time; addresses of IDENTIFY_MAX_RECORD bytes, the first of the list: the same that identify tells, since the
 * newer of both records counts for who hears both.
 */

import { encodePeerRecord, routingRecordUse } from '../../codec/envelope.ts'
import type { Multiaddr } from '../../codec/multiaddr.ts'
import { IDENTIFY_MAX_RECORD } from '../../limits.ts'
import type { Net } from '../../net/service.ts'
import { sealEnvelope } from '../../wire/signed-envelope.ts'

/** Tags and lengths around an address in a record. */
const AROUND = 6

export class OwnRecord {
  readonly #net: Net
  #sealed: { readonly addresses: string; readonly envelope: Uint8Array } | undefined
  /** Set while a signature is waited for. */
  #waiting: ((envelope: Uint8Array | undefined) => void)[] | undefined
  /** The number of our last record: the next one is higher, whatever the clock says. */
  #lastSeq = 0

  constructor(net: Net) {
    this.#net = net
  }

  /** The addresses that a record would have now, in one text; empty where there are none. */
  get addresses(): string {
    return textOf(this.#addresses())
  }

  /** Calls back with the record of our present addresses; with undefined where it can't be signed. */
  ask(use: (envelope: Uint8Array | undefined) => void): void {
    const addresses = this.#addresses()
    if (this.#sealed?.addresses === textOf(addresses)) return use(this.#sealed.envelope)
    if (this.#waiting !== undefined) {
      this.#waiting.push(use)
      return
    }
    this.#waiting = [use]
    this.#seal(addresses)
  }

  #seal(addresses: readonly Multiaddr[]): void {
    const { host, publicKey, self } = this.#net
    this.#lastSeq = Math.max(Math.floor(host.date()), this.#lastSeq + 1)
    const payload = encodePeerRecord({ peerId: self, seq: BigInt(this.#lastSeq), addresses })
    const seal = sealEnvelope(publicKey, routingRecordUse, payload)
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
    const all = this.#net.addresses
    const end = all.findIndex(({ bytes }) => {
      room -= bytes.length + AROUND
      return room < 0
    })
    return end < 0 ? all : all.slice(0, end)
  }
}

const textOf = (addresses: readonly Multiaddr[]): string => addresses.map(({ text }) => text).join(' ')
