/**
 * What crosses the lane of a room, as kinds of records (lane.ts).
 *
 *   page ─▶ engine   SEND     ticket, data                     SEND_TO   ticket, peer, data
 *                    SHOW     presence as JSON, empty for none
 *   engine ─▶ page   MESSAGE  peer, 1 if private, data         SENT      ticket
 *                    JOIN     peer, presence                   REFUSED   ticket, error as JSON
 *                    LEAVE    peer, 1 by its own word          PRESENCE  peer, presence
 *                    FILE     peer, number, size, name, type   PROGRESS  ticket, bytes
 *
 * Sizes of files are two numbers: a multiple of 2^32, and the rest.
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
export const FILE = 6
export const PROGRESS = 7

/** A room, when it has been joined: who is there, with its presence as JSON. */
export interface RoomJoined {
  readonly id: number
  readonly port: MessagePort
  readonly members: readonly (readonly [peer: string, presence: Uint8Array | undefined])[]
}

/** A file to be sent; `ticket` is what its progress is told under. */
export interface FileToSend {
  readonly room: number
  readonly peer: string
  readonly file: Blob
  readonly name: string
  readonly ticket: number
}

/** What becomes of a file that was offered: it comes through `port`, or it is rejected. */
export interface FileAnswered {
  readonly room: number
  readonly file: number
  readonly port: MessagePort | undefined
}
