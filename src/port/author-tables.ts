/**
 * Ed25519 signatures of authors of whom many come, checked a batch at a time with a table for each author (workers/ed25519), which takes a fraction
 * of what the platform takes for one.
 *
 *   an author's first AUTHOR_TABLE_FROM right signatures ─▶ the platform       then ─▶ the batch of this turn ─┬─ right
 *                                                                                                              └─ not ─▶ the platform
 *
 * So whoever says little, or has no right signature to show, costs nothing here; and no signature is refused on this module's word alone.
 *
 * Bounds: the module's tables, of which the one that was used least recently makes room; making one is worth some twenty to forty checks, and an author
 * whose table went has to show AUTHOR_TABLE_FROM signatures again.
 */

import { BATCH, type Ed25519Signed, type Ed25519Tables, TABLES } from '../../workers/ed25519/load.ts'
import type { PublicKey } from '../engine/codec/keys.ts'
import { AUTHOR_TABLE_FROM } from '../engine/limits.ts'

interface Author {
  /** Right signatures while there is no table. */
  count: number
  table: number | undefined
  usedAt: number
}

interface Waiting extends Ed25519Signed {
  readonly done: (right: boolean) => void
}

export class AuthorTables {
  readonly #instantiate: () => Ed25519Tables | undefined
  /** Null where it can't be had. */
  #module: Ed25519Tables | null | undefined
  readonly #authors = new WeakMap<PublicKey, Author>()
  /** By the number of the table. */
  readonly #owners: (Author | undefined)[] = new Array(TABLES + 1).fill(undefined)
  #uses = 0
  #batch: Waiting[] = []

  constructor(instantiate: () => Ed25519Tables | undefined) {
    this.#instantiate = instantiate
  }

  /** Whether this one is checked here; `done` then hears at the end of the turn whether it is known to be right. */
  check(key: PublicKey, bytes: Uint8Array, signature: Uint8Array, done: (right: boolean) => void): boolean {
    const author = this.#authors.get(key)
    if (author?.table === undefined || !this.#module?.takes(bytes, signature)) return false
    author.usedAt = ++this.#uses
    if (this.#batch.length === 0) queueMicrotask(() => this.#flush())
    this.#batch.push({ table: author.table, key: key.raw, bytes, signature, done })
    if (this.#batch.length === BATCH) this.#flush()
    return true
  }

  /** The platform found another signature by `key` right. */
  right(key: PublicKey): void {
    if (key.type !== 'Ed25519' || this.#module === null) return
    let author = this.#authors.get(key)
    if (author === undefined) {
      author = { count: 1, table: undefined, usedAt: 0 }
      this.#authors.set(key, author)
    }
    author.count += 1
    if (author.count === AUTHOR_TABLE_FROM) this.#makeTable(author, key.raw)
  }

  #makeTable(author: Author, key: Uint8Array): void {
    this.#module ??= this.#instantiate() ?? null
    if (this.#module === null) return
    let table = 1
    for (let each = 1; each <= TABLES; each++) {
      if ((this.#owners[each]?.usedAt ?? 0) < (this.#owners[table]?.usedAt ?? 0)) table = each
    }
    // What waits for the table that goes.
    this.#flush()
    const before = this.#owners[table]
    if (before !== undefined) {
      before.table = undefined
      before.count = 0
    }
    this.#owners[table] = undefined
    if (!this.#module.make(table, key)) return
    author.table = table
    author.usedAt = ++this.#uses
    this.#owners[table] = author
  }

  #flush(): void {
    const batch = this.#batch
    if (batch.length === 0) return
    this.#batch = []
    const right = this.#module?.check(batch)
    for (let i = 0; i < batch.length; i++) batch[i]?.done(right?.[i] === true)
  }
}
