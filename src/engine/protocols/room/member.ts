/**
 * Member: what is known of one who is in the room, and what has come of it so far.
 *
 * Bounds: those of its order; ROOM_MAX_MESSAGE for a message whose parts are being put together; ROOM_BURST and ROOM_RATE for what is taken of it.
 */

import { concat } from '../../codec/bytes.ts'
import type { PeerId } from '../../codec/peer-id.ts'
import { ROOM_BEAT, ROOM_BURST, ROOM_MAX_BEAT, ROOM_MAX_MESSAGE, ROOM_MISSED, ROOM_RATE } from '../../limits.ts'
import type { Body } from './messages.ts'
import { Sequence } from './sequence.ts'

export class Member {
  readonly peer: PeerId
  /** Of this stay, in hexadecimal. */
  readonly life: string
  readonly order = new Sequence()
  presence: Uint8Array | undefined
  /** What its presence came with: a later one counts. */
  presenceOf = -1
  heardAt: number
  interval = ROOM_BEAT
  /** Gone by then unless it is heard: nobody finds it, or it has said goodbye. */
  lostAt = Number.POSITIVE_INFINITY
  saidGoodbye = false
  /** There is a stream to it. */
  linked = false
  #parts: Uint8Array[] = []
  #size = 0
  #lost = 0
  #tokens = ROOM_BURST
  #countedAt: number

  constructor(peer: PeerId, life: string, now: number) {
    this.peer = peer
    this.life = life
    this.heardAt = now
    this.#countedAt = now
  }

  /** It gave a sign of life. */
  heard(now: number): void {
    this.heardAt = now
    if (!this.saidGoodbye) this.lostAt = Number.POSITIVE_INFINITY
  }

  /** It says that the next sign of life comes after `interval` ms. */
  promises(interval: number): void {
    this.interval = Math.min(Math.max(interval, ROOM_BEAT), ROOM_MAX_BEAT)
  }

  get goneAt(): number {
    return Math.min(this.lostAt, this.heardAt + this.interval * ROOM_MISSED)
  }

  /** Whether one more message of it is taken. */
  admits(now: number): boolean {
    this.#tokens = Math.min(ROOM_BURST, this.#tokens + ((now - this.#countedAt) * ROOM_RATE) / 1000)
    this.#countedAt = now
    if (this.#tokens < 1) return false
    this.#tokens -= 1
    return true
  }

  /** Bytes of parts that wait for the last one. */
  get assembling(): number {
    return this.#size
  }

  /** The message that this part completes. What a gap tore the beginning from is dropped, and so is what grows too large. */
  assemble({ data, begins, ends }: Extract<Body, { t: 'message' }>, room: number): Uint8Array | undefined {
    const torn = this.#lost !== this.order.lost
    this.#lost = this.order.lost
    if (begins || torn) this.dropParts()
    if (begins && ends) return data
    if (!begins && this.#parts.length === 0) return undefined
    if (this.#size + data.length > Math.min(ROOM_MAX_MESSAGE, room)) {
      this.dropParts()
      return undefined
    }
    // Views of what came: kept longer than the rest of it.
    this.#parts.push(data.slice())
    this.#size += data.length
    if (!ends) return undefined
    const whole = concat(this.#parts, this.#size)
    this.dropParts()
    return whole
  }

  dropParts(): void {
    this.#parts = []
    this.#size = 0
  }
}
