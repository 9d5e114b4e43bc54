/**
 * Expiry: what ends first, of things that end at different times (a binary heap). What is gone before its time is passed over.
 *
 * Bounds: as many gone ones as there are others, and GONE_MIN.
 */

export interface Expiring {
  readonly expiresAt: number
  gone: boolean
}

const GONE_MIN = 32

export class Expiry<T extends Expiring> {
  #heap: T[] = []
  #gone = 0

  /** The one that ends first. */
  get first(): T | undefined {
    for (;;) {
      const first = this.#heap[0]
      if (first?.gone !== true) return first
      this.#gone -= 1
      this.#drop()
    }
  }

  add(item: T): void {
    this.#heap.push(item)
    this.#rise(this.#heap.length - 1)
  }

  /** One of the items has just gone. */
  lost(): void {
    this.#gone += 1
    if (this.#gone <= GONE_MIN || this.#gone * 2 <= this.#heap.length) return
    // In order it is a heap too.
    this.#heap = this.#heap.filter(({ gone }) => !gone).sort((a, b) => a.expiresAt - b.expiresAt)
    this.#gone = 0
  }

  #at(index: number): T {
    return this.#heap[index] as T
  }

  #drop(): void {
    const last = this.#heap.pop()
    if (last === undefined || this.#heap.length === 0) return
    this.#heap[0] = last
    this.#sink(0)
  }

  #rise(index: number): void {
    const item = this.#at(index)
    let at = index
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (this.#at(parent).expiresAt <= item.expiresAt) break
      this.#heap[at] = this.#at(parent)
      at = parent
    }
    this.#heap[at] = item
  }

  #sink(index: number): void {
    const item = this.#at(index)
    const { length } = this.#heap
    let at = index
    for (;;) {
      let child = 2 * at + 1
      if (child >= length) break
      if (child + 1 < length && this.#at(child + 1).expiresAt < this.#at(child).expiresAt) child += 1
      if (this.#at(child).expiresAt >= item.expiresAt) break
      this.#heap[at] = this.#at(child)
      at = child
    }
    this.#heap[at] = item
  }
}
