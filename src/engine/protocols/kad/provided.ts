/**
 * What we provide (specs: kad-dht/README.md §Content provider advertisement): each key is told of again KAD_REPROVIDE after the last time,
 * a tenth sooner or later, so that not all of them fall due together. A shelf keeps it from one start to the next.
 *
 * Bounds: KAD_MAX_PROVIDED keys, KAD_REPROVIDE_BATCH told again at a time. `now` is the host's clock, `date` Unix milliseconds.
 */

import { TabmeshError } from '../../../errors.ts'
import { toBase64Url } from '../../codec/multibase.ts'
import { bytes, message, uint } from '../../codec/protobuf.ts'
import { KAD_MAX_CONTENT_KEY, KAD_MAX_PROVIDED, KAD_REPROVIDE, KAD_REPROVIDE_BATCH, KAD_REPROVIDE_RETRY } from '../../limits.ts'
import { noShelf, type Shelf } from './stores.ts'

interface Kept {
  readonly key: Uint8Array
  /** When it is to be told of again, on the host's clock. */
  at: number
  /** When it was last told of. */
  readonly date: number
}

const Stored = message({ key: bytes(1), date: uint(2) })

export class Provided {
  readonly #keys = new Map<string, Kept>()
  /** From 0 to 1. */
  readonly #random: () => number
  readonly #shelf: Shelf

  constructor(random: () => number, shelf: Shelf = noShelf) {
    this.#random = random
    this.#shelf = shelf
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

  has(key: Uint8Array): boolean {
    return this.#keys.has(toBase64Url(key))
  }

  /** From now on, or again. Throws ERR_INVALID_ARGUMENT where there are too many. */
  add(key: Uint8Array, now: number, date: number): void {
    const name = toBase64Url(key)
    if (!this.#keys.has(name) && this.#keys.size >= KAD_MAX_PROVIDED) {
      throw new TabmeshError('ERR_INVALID_ARGUMENT', `${KAD_MAX_PROVIDED} keys are provided already`)
    }
    this.#tell(name, { key, at: now + this.#interval(), date: Math.floor(date) })
  }

  delete(key: Uint8Array): boolean {
    const name = toBase64Url(key)
    const known = this.#keys.delete(name)
    if (known) this.#shelf.delete(name)
    return known
  }

  /** It could not be told. */
  failed(key: Uint8Array, now: number): void {
    const kept = this.#keys.get(toBase64Url(key))
    if (kept !== undefined) kept.at = now + KAD_REPROVIDE_RETRY * (1 + this.#random())
  }

  /** Some of those that are due; each is put off by as long as after a success, unless it `failed`. */
  due(now: number, date: number): Uint8Array[] {
    const due = [...this.#keys].filter(([, { at }]) => at <= now).slice(0, KAD_REPROVIDE_BATCH)
    for (const [name, { key }] of due) this.#tell(name, { key, at: now + this.#interval(), date: Math.floor(date) })
    return due.map(([, { key }]) => key)
  }

  /** What an earlier start provided; what can't be read is taken off the shelf. What is due already is, within a minute. */
  load(entries: Iterable<readonly [name: string, bytes: Uint8Array]>, now: number, date: number): void {
    for (const [name, input] of entries) {
      const key = keyOf(name, input)
      if (key === undefined || this.#keys.size >= KAD_MAX_PROVIDED) this.#shelf.delete(name)
      else if (!this.#keys.has(name)) {
        const told = Math.min(Stored.decode(input).date ?? 0, date)
        this.#keys.set(name, { key, at: now + Math.max(60_000 * this.#random(), told + this.#interval() - date), date: told })
      }
    }
  }

  *entries(): Generator<readonly [name: string, bytes: Uint8Array]> {
    for (const [name, { key, date }] of this.#keys) yield [name, Stored.encode({ key, date })]
  }

  #interval(): number {
    return KAD_REPROVIDE * (0.9 + 0.1 * this.#random())
  }

  #tell(name: string, kept: Kept): void {
    this.#keys.set(name, kept)
    this.#shelf.put(name, Stored.encode({ key: kept.key, date: kept.date }))
  }
}

const keyOf = (name: string, input: Uint8Array): Uint8Array | undefined => {
  try {
    const { key } = Stored.decode(input)
    return key !== undefined && key.length <= KAD_MAX_CONTENT_KEY && toBase64Url(key) === name ? key.slice() : undefined
  } catch {
    return undefined
  }
}
