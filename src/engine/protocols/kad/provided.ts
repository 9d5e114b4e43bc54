/**
 * What we provide (specs: kad-dht/README.md §Content provider advertisement): each key is told of again KAD_REPROVIDE after the last time,
 * a tenth sooner or later, so that not all of them fall due together.
 *
 * Bounds: KAD_MAX_PROVIDED keys.
 */

import { TabmeshError } from '../../../errors.ts'
import { toBase64Url } from '../../codec/multibase.ts'
import { KAD_MAX_PROVIDED, KAD_REPROVIDE } from '../../limits.ts'

export class Provided {
  readonly #keys = new Map<string, { readonly key: Uint8Array; at: number }>()
  /** From 0 to 1. */
  readonly #random: () => number

  constructor(random: () => number) {
    this.#random = random
  }

  get size(): number {
    return this.#keys.size
  }

  /** When the first one is due. */
  get deadline(): number {
    let deadline = Number.POSITIVE_INFINITY
    for (const { at } of this.#keys.values()) deadline = Math.min(deadline, at)
    return deadline
  }

  /** From now on, or again. Throws ERR_INVALID_ARGUMENT where there are too many. */
  add(key: Uint8Array, now: number): void {
    const name = toBase64Url(key)
    if (!this.#keys.has(name) && this.#keys.size >= KAD_MAX_PROVIDED) {
      throw new TabmeshError('ERR_INVALID_ARGUMENT', `${KAD_MAX_PROVIDED} keys are provided already`)
    }
    this.#keys.set(name, { key, at: now + KAD_REPROVIDE * (0.9 + 0.1 * this.#random()) })
  }

  delete(key: Uint8Array): boolean {
    return this.#keys.delete(toBase64Url(key))
  }

  /** Those that are due; each is put off by as long as after a success, and may be called for sooner by `add`. */
  due(now: number): Uint8Array[] {
    const due = [...this.#keys.values()].filter(({ at }) => at <= now)
    for (const each of due) each.at = now + KAD_REPROVIDE * (0.9 + 0.1 * this.#random())
    return due.map(({ key }) => key)
  }
}
