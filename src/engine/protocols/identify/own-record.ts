/**
 * Our signed peer record: sealed once for each change of our addresses, for whoever asks.
 *
 *   none ── ask ──▶ signing ──▶ sealed ── addresses change ──▶ none     who asks meanwhile waits for the one signature
 *
 * Bounds: one signature at a time; addresses of IDENTIFY_MAX_RECORD bytes, the first of the list, so that it fits an identify message.
 */

import type { Multiaddr } from '../../codec/multiaddr.ts'
import { IDENTIFY_MAX_RECORD } from '../../limits.ts'
import type { Net } from '../../net/service.ts'
import { sealPeerRecord } from '../../wire/signed-envelope.ts'
import { fitting } from './messages.ts'

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
    const { host, publicKey } = this.#net
    this.#lastSeq = Math.max(Math.floor(host.date()), this.#lastSeq + 1)
    const seal = sealPeerRecord(publicKey, { seq: BigInt(this.#lastSeq), addresses })
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
    const { addresses } = this.#net
    return addresses.slice(
      0,
      fitting(addresses, IDENTIFY_MAX_RECORD, ({ bytes }) => bytes.length + AROUND),
    )
  }
}

const textOf = (addresses: readonly Multiaddr[]): string => addresses.map(({ text }) => text).join(' ')
