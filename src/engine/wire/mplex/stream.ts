/**
 * The state of one stream; streams take turns on the wire in a ring (../yamux/ring.ts).
 *
 *             turn comes        each side CLOSE
 *   waiting ─────────────▶ open ───────────────▶ closed
 *  (too many are open,      ▲ │                     ▲
 *   or too many were)  NEW ─┘ └── RESET by either ──┘
 *
 * Each direction ends by itself. A closed stream stays known, though not on the wire, while its reader still holds bytes, so
 * that they go on counting.
 *
 * Bounds: the reader's bytes MPLEX_RECEIVE_BUFFER, see machine.ts; the writer's those of the channel in front, which takes
 * MPLEX_SEND_QUEUE bytes and one write.
 */

import { SendQueue } from '../yamux/send-queue.ts'

/** Both sides count from 0: what tells one stream from all others is its id and who has opened it. */
export const keyOf = (id: number, inbound: boolean): number => id * 2 + (inbound ? 1 : 0)

export class Stream {
  readonly key: number
  readonly id: number
  /** Whether the remote opened it. */
  readonly inbound: boolean
  /** What the flags of our messages are higher by: its initiator's. */
  readonly side: 0 | 1
  readonly queue = new SendQueue()
  /** Bytes that arrived and were not released. */
  unread = 0
  /** Since when its reader has taken nothing, while there is so much that the whole connection waits for it. */
  stalledSince: number | undefined
  /** Too many are open, or were opened just now: it may not begin yet. */
  waiting: boolean
  /** Our side ends behind what is queued. */
  ending = false
  /** Our CLOSE is on the wire. */
  closeSent = false
  /** The remote's CLOSE came. */
  remoteEnded = false
  closed = false
  inRing = false
  next: Stream | undefined

  constructor(id: number, inbound: boolean) {
    this.key = keyOf(id, inbound)
    this.id = id
    this.inbound = inbound
    this.side = inbound ? 0 : 1
    this.waiting = !inbound
  }

  /** Whether it has something for the wire when its turn comes. */
  get ready(): boolean {
    return !this.closed && !this.waiting && (this.queue.bytes > 0 || (this.ending && !this.closeSent))
  }
}
