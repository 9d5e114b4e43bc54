/**
 * What crosses the lane of a room, as kinds of records (lane.ts).
 *
 *   page ─▶ engine   SEND     ticket, data                     SEND_TO   ticket, peer, data
 *                    SHOW     presence as JSON, empty for none
 *   engine ─▶ page   MESSAGE  peer, 1 if private, data         SENT      ticket
 *                    JOIN     peer, presence                   REFUSED   ticket, error as JSON
 *                    LEAVE    peer, 1 by its own word          PRESENCE  peer, presence
 */

export const SEND = 0
export const SEND_TO = 1
export const SHOW = 2

export const MESSAGE = 0
export const SENT = 1
export const REFUSED = 2
export const JOIN = 3
export const LEAVE = 4
export const PRESENCE = 5

/** A room, when it has been joined: who is there, with its presence as JSON. */
export interface RoomJoined {
  readonly id: number
  readonly port: MessagePort
  readonly members: readonly (readonly [peer: string, presence: Uint8Array | undefined])[]
}
