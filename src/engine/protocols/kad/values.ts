/**
 * The values that a lookup brings (specs: kad-dht/README.md §Value retrieval): each is validated, the best is selected, and who had
 * another, or none, is told of it in the end.
 *
 *   record ─▶ of the key that was asked for? ─▶ new? ─▶ validate ─▶ validated ─┬─ the first ─▶ value
 *                                                                              └─ select ─▶ selected ─▶ value, if it is better
 *   as many as the quorum have sent the best one ─▶ enough
 *
 * Bounds: of one key KAD_MAX_CANDIDATES different values, of at most KAD_MAX_VALUE bytes; each is validated once, whoever sends it. One
 * selection at a time; what came meanwhile is in the next.
 */

import { compareBytes, equalBytes } from '../../codec/bytes.ts'
import type { PeerId } from '../../codec/peer-id.ts'
import { KAD_MAX_CANDIDATES, KAD_MAX_VALUE, KAD_QUORUM } from '../../limits.ts'
import type { KadRecord } from './messages.ts'
import type { Contact } from './table.ts'

export type ValuesInput =
  /** An answer: with a record, or without. */
  | { readonly t: 'record'; readonly from: PeerId; readonly record: KadRecord | undefined }
  | { readonly t: 'validated'; readonly ticket: number; readonly valid: boolean }
  /** The place of the best of those that were handed out. */
  | { readonly t: 'selected'; readonly best: number }

export type ValuesOutput =
  | { readonly t: 'validate'; readonly ticket: number; readonly value: Uint8Array }
  | { readonly t: 'select'; readonly values: readonly Uint8Array[] }
  /** The best so far. */
  | { readonly t: 'value'; readonly value: Uint8Array; readonly from: PeerId }
  | { readonly t: 'enough' }

interface Candidate {
  readonly value: Uint8Array
  readonly from: PeerId[]
  state: 'validating' | 'valid' | 'invalid'
}

export class Values {
  readonly #key: Uint8Array
  readonly #quorum: number
  readonly #candidates: Candidate[] = []
  #best: Candidate | undefined
  /** Those that a selection was asked for. */
  #compared: Candidate[] | undefined
  #enough = false
  /** Records that were refused before anybody had to be asked. */
  #refused = 0
  readonly #outputs: ValuesOutput[] = []

  /** A quorum of 0: as many as there are. */
  constructor(key: Uint8Array, quorum = KAD_QUORUM) {
    this.#key = key
    this.#quorum = quorum === 0 ? Number.POSITIVE_INFINITY : quorum
  }

  get best(): Uint8Array | undefined {
    return this.#best?.value
  }

  get refused(): number {
    return this.#refused
  }

  /** Whether a validation or selection is still out. */
  get pending(): boolean {
    return this.#compared !== undefined || this.#candidates.some(({ state }) => state === 'validating')
  }

  handle(input: ValuesInput): void {
    switch (input.t) {
      case 'record':
        if (input.record !== undefined) this.#record(input.from, input.record)
        return
      case 'validated': {
        const candidate = this.#candidates[input.ticket]
        if (candidate?.state !== 'validating') return
        candidate.state = input.valid ? 'valid' : 'invalid'
        return this.#select()
      }
      case 'selected': {
        const compared = this.#compared
        if (compared === undefined) return
        this.#compared = undefined
        // Whatever a selector of the application answers: one of those it was asked for, or what there was.
        this.#take(compared[input.best] ?? this.#best ?? (compared[0] as Candidate))
        return this.#select()
      }
    }
  }

  poll(): ValuesOutput | undefined {
    return this.#outputs.shift()
  }

  /** Of the nearest, all of whom have answered, those who do not have the best value. */
  outdated(closest: readonly Contact[]): Contact[] {
    const have = new Set(this.#best?.from)
    return this.#best === undefined ? [] : closest.filter(({ peer }) => !have.has(peer))
  }

  #record(from: PeerId, { key, value }: KadRecord): void {
    if (!equalBytes(key, this.#key) || value.length > KAD_MAX_VALUE) {
      this.#refused += 1
      return
    }
    const known = this.#candidates.find((each) => compareBytes(each.value, value) === 0)
    if (known !== undefined) {
      if (!known.from.includes(from)) known.from.push(from)
      return this.#count()
    }
    if (this.#candidates.length >= KAD_MAX_CANDIDATES) {
      this.#refused += 1
      return
    }
    this.#outputs.push({ t: 'validate', ticket: this.#candidates.length, value })
    this.#candidates.push({ value, from: [from], state: 'validating' })
  }

  /** Has the new ones compared with the best. */
  #select(): void {
    if (this.#compared !== undefined) return
    const fresh = this.#candidates.filter((each) => each.state === 'valid' && each !== this.#best && !this.#lost.has(each))
    if (fresh.length === 0) return
    if (this.#best === undefined && fresh.length === 1) {
      this.#take(fresh[0] as Candidate)
      return
    }
    this.#compared = this.#best === undefined ? fresh : [this.#best, ...fresh]
    this.#outputs.push({ t: 'select', values: this.#compared.map(({ value }) => value) })
    for (const each of fresh) this.#lost.add(each)
  }

  /** Compared already. */
  readonly #lost = new Set<Candidate>()

  #take(candidate: Candidate): void {
    const better = candidate !== this.#best
    this.#best = candidate
    this.#lost.add(candidate)
    if (better) this.#outputs.push({ t: 'value', value: candidate.value, from: candidate.from[0] as PeerId })
    this.#count()
  }

  #count(): void {
    if (this.#enough || this.#best === undefined || this.#best.from.length < this.#quorum) return
    this.#enough = true
    this.#outputs.push({ t: 'enough' })
  }
}
