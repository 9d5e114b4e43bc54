/**
 * Which stream ids the remote has used, in bounded memory: the highest one, and the gaps below it.
 *
 * Ids only go up in the order they are *taken*; go and rust may put them on the wire in another one (two goroutines
 * open at once; rust sends SYN with a stream's first bytes, which may come late). So an id below the highest is new if
 * it lies in a gap, and reused if it does not.
 *
 * Bounds. The newest YAMUX_MAX_GAPS gaps are kept. Of an id below those, nobody can tell: it is refused, which ends
 * that one stream, but is no fault.
 */

import { YAMUX_MAX_GAPS } from '../../limits.ts'

export class SeenIds {
  #highest: number
  /** First and last id of each gap, in turn, ascending. */
  readonly #gaps: number[] = []
  /** Gaps that ended at or below this id may have been forgotten. */
  #forgotten = 0

  /** `first` is the first id that the remote may use: 1 where it dialled, else 2. */
  constructor(first: 1 | 2) {
    this.#highest = first - 2
  }

  /** Takes an id of the right parity out of the unused ones. */
  use(id: number): 'new' | 'reused' | 'unknown' {
    if (id > this.#highest) {
      if (id > this.#highest + 2) this.#remember(this.#highest + 2, id - 2)
      this.#highest = id
      return 'new'
    }
    // From the newest: a late SYN is rarely late by much.
    for (let at = this.#gaps.length - 2; at >= 0; at -= 2) {
      const first = this.#gaps[at] as number
      const last = this.#gaps[at + 1] as number
      if (id > last) break
      if (id < first) continue
      if (first === last) this.#gaps.splice(at, 2)
      else if (id === first) this.#gaps[at] = id + 2
      else if (id === last) this.#gaps[at + 1] = id - 2
      else {
        this.#gaps.splice(at, 2, first, id - 2, id + 2, last)
        this.#trim()
      }
      return 'new'
    }
    return id <= this.#forgotten ? 'unknown' : 'reused'
  }

  #remember(first: number, last: number): void {
    this.#gaps.push(first, last)
    this.#trim()
  }

  #trim(): void {
    if (this.#gaps.length <= 2 * YAMUX_MAX_GAPS) return
    this.#forgotten = this.#gaps[1] as number
    this.#gaps.splice(0, 2)
  }
}
