/** What goes into the machine and what comes out of it. Times are milliseconds on the host's steady clock. */

import type { TabmeshError } from '../../../errors.ts'

export type YamuxInput =
  /** What arrived on the connection; bodies are handed on as views of it. */
  | { readonly t: 'bytes'; readonly bytes: Uint8Array }
  /** Queues `bytes`, which now belong to the machine. */
  | { readonly t: 'write'; readonly id: number; readonly bytes: Uint8Array }
  /** Ends our side behind what is queued. */
  | { readonly t: 'end'; readonly id: number }
  /** Gives the stream up: nothing of it is told any more. */
  | { readonly t: 'reset'; readonly id: number; readonly code?: number }
  /** `bytes` of what the stream's `data` brought were used. */
  | { readonly t: 'release'; readonly id: number; readonly bytes: number }
  | { readonly t: 'ping' }
  /** Normal: behind all that is queued. Any other code: at once, and nothing after it. */
  | { readonly t: 'goAway'; readonly code: number }
  /** The deadline has come. */
  | { readonly t: 'wake' }

export type YamuxEvent =
  /** The remote opened a stream. */
  | { readonly t: 'stream'; readonly id: number }
  | { readonly t: 'data'; readonly id: number; readonly bytes: Uint8Array }
  /** The stream's send queue has room again after it had none. */
  | { readonly t: 'drain'; readonly id: number }
  /** The remote ended its side. */
  | { readonly t: 'end'; readonly id: number }
  /** Both sides ended, or, with a fault, the stream was cut off. */
  | { readonly t: 'closed'; readonly id: number; readonly fault?: TabmeshError }
  /** The round trip of the last ping. */
  | { readonly t: 'pong'; readonly rtt: number }
  /** The remote goes: it takes no more streams; with a code other than 0 it has given up all of them. */
  | { readonly t: 'goAway'; readonly code: number }
  /** The connection is over: the remote broke a rule (a go-away is ready to be pulled) or fell silent. */
  | { readonly t: 'fault'; readonly error: TabmeshError }

/** Events on their way out, in order. */
export class EventQueue {
  #events: YamuxEvent[] = []
  #polled = 0

  push(event: YamuxEvent): void {
    this.#events.push(event)
  }

  poll(): YamuxEvent | undefined {
    const event = this.#events[this.#polled]
    if (event !== undefined) this.#polled++
    else if (this.#polled > 0) {
      this.#events = []
      this.#polled = 0
    }
    return event
  }
}
