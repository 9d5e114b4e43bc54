/**
 * The state of one stream; streams take turns on the wire in a ring (ring.ts).
 *
 *             turn comes                ACK, or any frame            each side FIN
 *   waiting ─────────────▶ opening ───────────────────────▶ open ─────────────────────▶ closed
 *  (backlog full)          (SYN sent)                        ▲                             ▲
 *                                  SYN from the remote ──────┘       RST by either side ───┘
 *
 * Each direction ends by itself with FIN. A closed stream stays known, though not on the wire, while its reader still
 * holds bytes, so that they go on counting.
 */

import { YAMUX_INITIAL_WINDOW } from '../../limits.ts'
import { ReceiveWindow } from './receive-window.ts'
import { SendQueue } from './send-queue.ts'

export class Stream {
  readonly id: number
  /** Whether the remote opened it. */
  readonly inbound: boolean
  readonly queue = new SendQueue()
  readonly window: ReceiveWindow
  /** What we may send. */
  credit = YAMUX_INITIAL_WINDOW
  /** Receive credit to tell the remote of. */
  grant = 0
  /** Our SYN is not on the wire yet. */
  synDue: boolean
  /** Our ACK is not on the wire yet. */
  ackDue: boolean
  /** The remote has answered. */
  acked: boolean
  /** Our side ends behind what is queued. */
  ending = false
  /** Our FIN is on the wire. */
  finSent = false
  /** The remote's FIN came. */
  remoteEnded = false
  closed = false
  /** Too many opens are unanswered: it may not begin yet. */
  waiting = false
  /** Stands in the list of streams that have a grant or ACK to send. */
  listed = false
  inRing = false
  next: Stream | undefined

  constructor(id: number, inbound: boolean, maxWindow?: number) {
    this.window = new ReceiveWindow(maxWindow)
    this.id = id
    this.inbound = inbound
    this.synDue = !inbound
    this.ackDue = inbound
    this.acked = inbound
  }

  /** Whether it has something for the wire when its turn comes. */
  get ready(): boolean {
    if (this.closed || this.waiting) return false
    if (this.queue.bytes > 0) return this.credit > 0
    return this.synDue || (this.ending && !this.finSent)
  }
}
