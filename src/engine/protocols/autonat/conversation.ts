/**
 * AutoNAT as conversations (specs: autonat/autonat-v2.md).
 *
 *   client                                   server
 *     │── DialRequest { addresses, nonce } ───▶│   on /libp2p/autonat/2/dial-request
 *     │◀─ DialDataRequest { index, bytes } ────│   where the address is not at the client's own IP
 *     │── DialDataResponse, as many as asked ─▶│
 *     │◀══ a new connection, DialBack{nonce} ══│   on /libp2p/autonat/2/dial-back
 *     │═══ DialBackResponse ══════════════════▶│
 *     │◀─ DialResponse { status, index, … } ───│
 */

import { remoteFault } from '../../../errors.ts'
import type { Multiaddr } from '../../codec/multiaddr.ts'
import type { PeerId } from '../../codec/peer-id.ts'
import { AUTONAT_DATA_CHUNK, AUTONAT_DATA_LEAST, AUTONAT_DATA_MAX, AUTONAT_MAX_DIAL_BACK, AUTONAT_MAX_MESSAGE } from '../../limits.ts'
import { type Conversation, end, readSome, write } from '../../wire/conversation.ts'
import { readFrame } from '../../wire/frame.ts'
import {
  decodeDialBack,
  decodeMessage,
  decodeResponse1,
  frameData,
  frameDataRequest,
  frameDial1,
  frameDialBack,
  frameDialBackResponse,
  frameRequest,
  frameResponse,
  type Request,
  type Response,
  type Response1,
} from './messages.ts'

// ── the client ───────────────────────────────────────────────────────────────────────────────────────────────────

export interface Asked {
  readonly address: Multiaddr
  /** Whether we send dial data for it. */
  readonly pays: boolean
}

/** Has one of our addresses dialled. Throws ERR_PROTOCOL where the server asks for too much, or for an address that we do not pay for. */
export function* askDialBack(asked: readonly Asked[], nonce: bigint): Conversation<Response> {
  yield* write(frameRequest({ addresses: asked.map(({ address }) => address.bytes), nonce }))
  let told = decodeMessage(yield* readFrame(AUTONAT_MAX_MESSAGE))
  if (told.t === 'dataRequest') {
    const { index, bytes } = told.dataRequest
    if (bytes > AUTONAT_DATA_MAX) throw remoteFault('ERR_PROTOCOL', `AutoNAT asks for ${bytes} bytes before it dials`)
    if (asked[index]?.pays !== true) throw remoteFault('ERR_PROTOCOL', `AutoNAT asks for data to dial address ${index}`)
    const chunk = new Uint8Array(AUTONAT_DATA_CHUNK)
    for (let left = bytes; left > 0; left -= AUTONAT_DATA_CHUNK) yield* write(frameData(chunk.subarray(0, Math.min(left, chunk.length))))
    told = decodeMessage(yield* readFrame(AUTONAT_MAX_MESSAGE))
  }
  if (told.t !== 'response') throw remoteFault('ERR_PROTOCOL', `AutoNAT sent a ${told.t} for an answer`)
  return told.response
}

/** Takes the nonce of a dial back; `expected` says whether it is one of ours. Throws ERR_PROTOCOL where it is not. */
export function* takeDialBack(expected: (nonce: bigint) => boolean): Conversation<void> {
  const nonce = decodeDialBack(yield* readFrame(AUTONAT_MAX_DIAL_BACK))
  if (!expected(nonce))
    throw remoteFault('ERR_PROTOCOL', 'AutoNAT dialled back with a nonce that was not given to it, or not as it was asked')
  yield* write(frameDialBackResponse())
}

/** The same of a server of version 1. */
export function* askDialBack1(self: PeerId, addresses: readonly Multiaddr[]): Conversation<Response1> {
  yield* write(frameDial1(self, addresses))
  const { status, address } = decodeResponse1(yield* readFrame(AUTONAT_MAX_MESSAGE))
  // What it was read from may be shared.
  return { status, address: address?.slice() }
}

// ── the server ───────────────────────────────────────────────────────────────────────────────────────────────────

/** Its bytes are its own. Throws ERR_PROTOCOL for another message. */
export function* readRequest(): Conversation<Request> {
  const told = decodeMessage((yield* readFrame(AUTONAT_MAX_MESSAGE)).slice())
  if (told.t !== 'request') throw remoteFault('ERR_PROTOCOL', `AutoNAT got a ${told.t} for a request`)
  return told.request
}

/** Asks for dial data and has it sent. Throws ERR_PROTOCOL for something else, or for crumbs. */
export function* collectData(index: number, bytes: number): Conversation<void> {
  yield* write(frameDataRequest({ index, bytes }))
  for (let left = bytes; left > 0; ) {
    const told = decodeMessage(yield* readFrame(AUTONAT_MAX_MESSAGE))
    if (told.t !== 'data') throw remoteFault('ERR_PROTOCOL', `AutoNAT got a ${told.t} for dial data`)
    left -= told.data.length
    if (left > 0 && told.data.length < AUTONAT_DATA_LEAST)
      throw remoteFault('ERR_PROTOCOL', `dial data of ${told.data.length} bytes at a time`)
  }
}

export function* respond(response: Response): Conversation<void> {
  yield* write(frameResponse(response))
  yield* end()
}

/** Tells the nonce, and waits until the client has it. */
export function* sendDialBack(nonce: bigint): Conversation<void> {
  yield* write(frameDialBack(nonce))
  yield* end()
  // go closes and resets behind its answer: the first byte of it will do.
  if ((yield* readSome(AUTONAT_MAX_DIAL_BACK)).length === 0) throw remoteFault('ERR_STREAM_CLOSED', 'the nonce was not acknowledged')
}
