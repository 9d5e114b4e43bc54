/**
 * Identify as conversations: the opener of `/ipfs/id/1.0.0` reads, the opener of `/ipfs/id/push/1.0.0` writes.
 */

import { remoteFault, TabmeshError } from '../../../errors.ts'
import { decodePublicKey } from '../../codec/keys.ts'
import type { Multiaddr } from '../../codec/multiaddr.ts'
import { type PeerId, peerIdFromKey } from '../../codec/peer-id.ts'
import { IDENTIFY_MAX_FRAME, IDENTIFY_MAX_FRAMES } from '../../limits.ts'
import { type Conversation, end, readSome } from '../../wire/conversation.ts'
import { readFrameOrEnd, writeFrame } from '../../wire/frame.ts'
import { openPeerRecord } from '../../wire/signed-envelope.ts'
import { encodeIdentify, type Identify, mergeIdentify } from './messages.ts'

export interface Verified extends Identify {
  /** Addresses that the peer signed, where its record verified. */
  readonly certified: readonly Multiaddr[] | undefined
  /** The record's number: newer ones are higher. */
  readonly recordSeq: bigint | undefined
}

export function* tell(identify: Identify): Conversation<void> {
  for (const frame of encodeIdentify(identify)) yield* writeFrame(frame)
  yield* end()
}

/** Tells, and waits until the remote has ended its side too: one that reads no push resets the stream. */
export function* push(identify: Identify): Conversation<void> {
  yield* tell(identify)
  yield* readSome(1)
}

/** Reads to the end of the stream and checks what can be checked. A bad signed record is dropped, the rest stands. */
export function* listen(remote: PeerId): Conversation<Verified> {
  const frames: Uint8Array[] = []
  for (;;) {
    const frame = yield* readFrameOrEnd(IDENTIFY_MAX_FRAME)
    if (frame === undefined) break
    // What is decoded from it is kept for long, and what it was cut from may be large.
    frames.push(frame.slice())
    if (frames.length > IDENTIFY_MAX_FRAMES) throw remoteFault('ERR_PROTOCOL', `more than ${IDENTIFY_MAX_FRAMES} identify messages`)
  }
  const identify = mergeIdentify(frames)
  if (identify.publicKey !== undefined && peerIdFromKey(decodePublicKey(identify.publicKey)) !== remote) {
    throw remoteFault('ERR_PROTOCOL', `identify brought another key than that of ${remote}`)
  }
  if (identify.signedRecord === undefined) return { ...identify, certified: undefined, recordSeq: undefined }
  try {
    const record = yield* openPeerRecord(identify.signedRecord, remote)
    return { ...identify, certified: record.addresses, recordSeq: record.seq }
  } catch (error) {
    if (!(error instanceof TabmeshError)) throw error
    return { ...identify, signedRecord: undefined, certified: undefined, recordSeq: undefined }
  }
}
