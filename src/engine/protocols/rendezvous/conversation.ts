/**
 * The client's side of rendezvous, as conversations: one request and its answer for each stream.
 *
 * Nothing that a server tells is believed: every record that comes with an answer is verified, and one that is no good, or of another
 * namespace than was asked about, is dropped without a word, for the others are no worse for it.
 */

import { TabmeshError } from '../../../errors.ts'
import { encapsulate, type Multiaddr, peerIdOf } from '../../codec/multiaddr.ts'
import type { PeerId } from '../../codec/peer-id.ts'
import {
  MULTIADDR_MAX_BYTES,
  RENDEZVOUS_MAX_COOKIE,
  RENDEZVOUS_MAX_NAMESPACE,
  RENDEZVOUS_MAX_RECORD,
  RENDEZVOUS_MAX_RESPONSE,
  RENDEZVOUS_MAX_TTL,
  RENDEZVOUS_TTL,
} from '../../limits.ts'
import { type Conversation, end, readSome, write } from '../../wire/conversation.ts'
import { readFrame } from '../../wire/frame.ts'
import { openPeerRecord } from '../../wire/signed-envelope.ts'
import {
  decodeDiscoverAnswer,
  decodeRegisterAnswer,
  frameDiscover,
  frameRegister,
  frameUnregister,
  type Refused,
  type RegisterAnswer,
  type WireRegistration,
} from './messages.ts'

/** A peer that is registered, by its own signed word. */
export interface FoundPeer {
  readonly peer: PeerId
  readonly namespace: string
  /** Where it says that it is reached, each with its `/p2p`. */
  readonly addresses: readonly Multiaddr[]
  /** The number of its record: newer ones are higher. */
  readonly seq: bigint
  /** The record in its envelope. */
  readonly envelope: Uint8Array
  /** Seconds that it is registered for, as the server says. */
  readonly ttl: number
}

export interface Answered {
  readonly t: 'found'
  /** Each peer once for each namespace, without ourselves. */
  readonly peers: readonly FoundPeer[]
  /** Leads on to those who are not told yet; undefined where the server gave none. */
  readonly cookie: Uint8Array | undefined
  /** How many registrations the answer had, good ones and others. */
  readonly told: number
}

/** An answer to REGISTER has a number and some words. */
const MAX_REGISTER_RESPONSE = 4 * 1024

export function* askToRegister(namespace: string, record: Uint8Array, ttl: number | undefined): Conversation<RegisterAnswer> {
  yield* write(frameRegister(namespace, record, ttl))
  return decodeRegisterAnswer(yield* readFrame(MAX_REGISTER_RESPONSE))
}

/** There is no answer, but the end of the stream. */
export function* tellUnregister(namespace: string): Conversation<void> {
  yield* write(frameUnregister(namespace))
  yield* end()
  yield* readSome(1)
}

export function* askToDiscover(
  self: PeerId,
  namespace: string | undefined,
  limit: number,
  cookie: Uint8Array | undefined,
): Conversation<Answered | Refused> {
  yield* write(frameDiscover(namespace, limit, cookie))
  const answer = decodeDiscoverAnswer(yield* readFrame(RENDEZVOUS_MAX_RESPONSE))
  if (answer.t === 'refused') return answer
  const peers = new Map<string, FoundPeer>()
  for (const registration of answer.registrations) {
    const found = yield* verified(registration, namespace)
    if (found === undefined || found.peer === self) continue
    const key = `${found.peer} ${found.namespace}`
    const other = peers.get(key)
    if (other === undefined || found.seq >= other.seq) peers.set(key, found)
  }
  return {
    t: 'found',
    peers: [...peers.values()],
    // Copies, here and below: what they were read from is larger.
    cookie: answer.cookie !== undefined && answer.cookie.length <= RENDEZVOUS_MAX_COOKIE ? answer.cookie.slice() : undefined,
    told: answer.registrations.length,
  }
}

function* verified({ namespace, record, ttl }: WireRegistration, wanted: string | undefined): Conversation<FoundPeer | undefined> {
  if (namespace === undefined || namespace.length > RENDEZVOUS_MAX_NAMESPACE || (wanted ?? namespace) !== namespace) return undefined
  if (record === undefined || record.length > RENDEZVOUS_MAX_RECORD) return undefined
  try {
    const { peerId: peer, seq, addresses } = yield* openPeerRecord(record)
    return { peer, namespace, addresses: ofIts(peer, addresses), seq, envelope: record.slice(), ttl: readTtl(ttl) }
  } catch (error) {
    if (error instanceof TabmeshError) return undefined
    throw error
  }
}

/** Seconds; no server knows of a longer one than the specification. */
export const readTtl = (ttl: bigint | undefined): number =>
  ttl === undefined ? RENDEZVOUS_TTL : ttl > RENDEZVOUS_MAX_TTL ? RENDEZVOUS_MAX_TTL : Number(ttl)

/** Room for `/p2p` and the longest peer id there is. */
const ROOM_FOR_PEER = 64

/** Without those that end in what we can't read, or leave no room for their peer: nobody could dial them. */
const ofIts = (peer: PeerId, addresses: readonly Multiaddr[]): readonly Multiaddr[] =>
  addresses
    .filter(({ bytes, parts }) => parts.at(-1)?.name !== 'unknown' && bytes.length <= MULTIADDR_MAX_BYTES - ROOM_FOR_PEER)
    .map((address) => (peerIdOf(address) === undefined ? encapsulate(address, `/p2p/${peer}`) : address))
