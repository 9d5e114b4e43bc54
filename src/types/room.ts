/**
 * The public types of rooms: members, messages, files.
 */

import type { CallOptions, TransportName } from '../types.ts'

export interface JoinOptions<P = unknown> extends CallOptions {
  /**
   * Makes the room end-to-end private: its topic, its namespace at relays and the key of all that is said in it are derived from name and password.
   * Who has another password is in another room. Hashing takes some 300 ms, in the engine.
   */
  password?: string
  /** What members are told of this one from the start: see `room.presence`. */
  presence?: P
}

/** A member of a room, as it is now. */
export interface RoomPeer<P = unknown> {
  /** Whether there is a connection with it that no relay carries. */
  readonly direct: boolean
  /** What carries the connection; undefined where there is none of our own: others pass on what is said. */
  readonly transport: TransportName | undefined
  /** Milliseconds, once measured. */
  readonly rtt: number | undefined
  /** What it tells of itself; undefined where it tells nothing. */
  readonly presence: P | undefined
}

export interface RoomMessage {
  readonly from: string
  readonly data: Uint8Array
  /** Whether it was sent to this peer only, by `sendTo`. */
  readonly private: boolean
  /** `data` as UTF-8. */
  text(): string
}

export interface SendFileOptions extends CallOptions {
  /** What the receiver sees; the file's own name by default. */
  name?: string
  /** Called as the receiver takes it, about each MiB; `sent` bytes of `size` are there. */
  onProgress?: (progress: { sent: number; size: number }) => void
}

/** A file that a member sends to this peer. Nothing of it comes before `accept`; who does neither has rejected it after ten minutes. */
export interface RoomFile {
  readonly from: string
  /** As the sender says, without what would lead to another folder. */
  readonly name: string
  /** MIME, as the sender says; may be empty. */
  readonly type: string
  readonly size: number
  /**
   * Its bytes, as they come: it is sent no faster than they are read, and never in memory as a whole. The stream closes when all has come and its
   * hash is that of what was sent; else it fails: with ERR_FILE_CORRUPT, with ERR_STREAM_RESET where the sender gave it up, with ERR_CONNECTION_CLOSED where
   * nothing came of it for two minutes. Cancelling it gives the file up. Once.
   */
  accept(): ReadableStream<Uint8Array>
  reject(): void
}

/** What happens in a room, in the `detail` of the event of that name. */
export interface RoomEvents<P = unknown> {
  /**
   * Something that another member said. What one member says, to all and to this peer alone, comes in the order in which it said it, each message once.
   * What is lost on the way is asked for again; what can't be had within five seconds holds up the rest no longer: what was for all is then left out, what
   * was for this peer alone comes when it comes.
   */
  message: RoomMessage
  join: { peer: string; presence: P | undefined }
  /**
   * `'left'` by its own word, or `'lost'`: it closed its page, sleeps or has no network. That shows within some seconds where its connections break, and
   * after 30 seconds in any case (later in rooms of more than 50 members).
   */
  leave: { peer: string; reason: 'left' | 'lost' }
  /** A member has changed what it tells of itself. Of several changes within a moment only the last one is told. */
  presence: { peer: string; presence: P | undefined }
  /** A member sends a file to this peer. */
  file: RoomFile
}
