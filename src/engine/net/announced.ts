/**
 * Announced: the addresses that we tell others of, by who knows of them (a listener, the relay client, and for what others see of us AutoNAT).
 *
 * Bounds: each source bounds its own.
 */

import type { Multiaddr } from '../codec/multiaddr.ts'

export class Announced {
  readonly #sources = new Map<string, readonly Multiaddr[]>()

  /** Each once, in the order of the sources. */
  get addresses(): readonly Multiaddr[] {
    const byText = new Map<string, Multiaddr>()
    for (const list of this.#sources.values()) for (const address of list) byText.set(address.text, address)
    return [...byText.values()]
  }

  /** Replaces what `source` knows; returns whether that is anything new. */
  set(source: string, addresses: readonly Multiaddr[]): boolean {
    const before = this.#sources.get(source) ?? []
    if (before.length === addresses.length && before.every(({ text }, at) => text === addresses[at]?.text)) return false
    this.#sources.set(source, addresses)
    return true
  }
}
