/**
 * What came by a lane, told to the application for at most PUBSUB_TASK ms a task, so that the page draws in between.
 */

import { PUBSUB_TASK } from '../engine/limits.ts'
import { type Batch, Records } from './lane.ts'

export class LaneReader {
  readonly #read: (records: Records) => void
  readonly #onDone: () => void
  readonly #batches: Batch[] = []
  #reading: Records | undefined
  #working = false
  #again: MessageChannel | undefined
  #over = false

  /** `read` takes the next record; `onDone` hears of each batch that is dealt with. */
  constructor(read: (records: Records) => void, onDone: () => void) {
    this.#read = read
    this.#onDone = onDone
  }

  push(batch: Batch): void {
    this.#batches.push(batch)
    if (!this.#working) this.#work()
  }

  /** Nothing more is told. */
  end(): void {
    this.#over = true
    this.#again?.port1.close()
    this.#batches.length = 0
  }

  #work(): void {
    const until = performance.now() + PUBSUB_TASK
    this.#working = true
    while (!this.#over) {
      const [batch] = this.#batches
      if (batch === undefined) break
      this.#reading ??= new Records(batch)
      while (this.#reading.more) {
        this.#read(this.#reading)
        if (this.#over) return
        if (performance.now() >= until) return this.#later()
      }
      this.#reading = undefined
      this.#batches.shift()
      this.#onDone()
    }
    this.#working = false
  }

  /** In the next task: by a message of its own, for timers of a page that nobody looks at wait a second or more. */
  #later(): void {
    if (this.#again === undefined) {
      this.#again = new MessageChannel()
      this.#again.port1.onmessage = () => this.#work()
    }
    this.#again.port2.postMessage(0)
  }
}
