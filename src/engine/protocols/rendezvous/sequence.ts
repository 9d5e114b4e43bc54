/**
 * Sequence: things in the order of their serial numbers, of which some are gone, and where in it one goes on.
 *
 * Bounds: as many gone ones as there are others, and GONE_MIN.
 */

export interface Numbered {
  readonly serial: number
  gone: boolean
}

const GONE_MIN = 32

export class Sequence<T extends Numbered> {
  #items: T[] = []
  #gone = 0

  /** Those that are not gone. */
  get size(): number {
    return this.#items.length - this.#gone
  }

  /** Its serial number is the highest so far. */
  append(item: T): void {
    this.#items.push(item)
  }

  /** One of the items has just gone. */
  lost(): void {
    this.#gone += 1
    if (this.#gone <= GONE_MIN || this.#gone * 2 <= this.#items.length) return
    this.#items = this.#items.filter(({ gone }) => !gone)
    this.#gone = 0
  }

  /** Those after `serial`, in order. */
  *after(serial: number): Generator<T, void, undefined> {
    const items = this.#items
    let low = 0
    let high = items.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((items[middle] as T).serial <= serial) low = middle + 1
      else high = middle
    }
    for (let at = low; at < items.length; at++) {
      const item = items[at] as T
      if (!item.gone) yield item
    }
  }
}
