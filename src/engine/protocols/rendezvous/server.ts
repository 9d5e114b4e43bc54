/**
 * The rendezvous point: remembers who is to be found in which namespace, and tells whoever asks.
 *
 *   REGISTER    namespace, ttl, room ─▶ whose record it is ─▶ its signature ─▶ registered (store.ts)      each with its own refusal
 *   UNREGISTER  forgotten, if there was one; no answer
 *   DISCOVER    cookie ─▶ those not told yet, and the next cookie
 *
 * Only a peer itself registers, with a record that it signed: in the form of RFC 0003, which is rust's, or in that of go and js. What is
 * refused is told with its status; what is no request has its stream reset.
 *
 * A registration outlives its connection, as the specification has it: who is reached some other way need not stay.
 *
 * Bounds: the store's; requests of RENDEZVOUS_MAX_REQUEST bytes, RENDEZVOUS_MAX_INBOUND at a time of a connection, at the rate of allowance.ts
 * of a peer; RENDEZVOUS_TIMEOUT for each; RENDEZVOUS_MAX_UNSENT bytes of answers for all. Not on connections that a relay limits.
 */

import { TabmeshError } from '../../../errors.ts'
import { utf8Length } from '../../codec/bytes.ts'
import { decodeEnvelope, type Envelope } from '../../codec/envelope.ts'
import { type PeerId, peerIdFromKey } from '../../codec/peer-id.ts'
import type { Cancel } from '../../host.ts'
import {
  RENDEZVOUS_MAX_FOUND,
  RENDEZVOUS_MAX_INBOUND,
  RENDEZVOUS_MAX_NAMESPACE,
  RENDEZVOUS_MAX_RECORD,
  RENDEZVOUS_MAX_REQUEST,
  RENDEZVOUS_MAX_TTL,
  RENDEZVOUS_MAX_UNSENT,
  RENDEZVOUS_MIN_TTL,
  RENDEZVOUS_TIMEOUT,
  RENDEZVOUS_TTL,
} from '../../limits.ts'
import type { Connection } from '../../net/connection.ts'
import type { Net, Service } from '../../net/service.ts'
import type { Stream } from '../../net/stream.ts'
import { type Conversation, converse, write } from '../../wire/conversation.ts'
import { readFrame } from '../../wire/frame.ts'
import { openPeerRecord } from '../../wire/signed-envelope.ts'
import { Allowance } from './allowance.ts'
import {
  type DiscoverRequest,
  decodeRequest,
  frameDiscoverRefused,
  frameFound,
  frameRegistered,
  frameRegisterRefused,
  nameStatus,
  RENDEZVOUS,
  type RegisterRequest,
  type Request,
  Status,
} from './messages.ts'
import { type SignedRecord, Store, type StoreLimits } from './store.ts'

export interface RendezvousServerOptions extends Partial<StoreLimits> {
  /** Seconds: a shorter registration is refused. RENDEZVOUS_MIN_TTL if absent. */
  readonly minTtl?: number
  /** Whether to answer who asks for all namespaces at once, as the specification has it. True if absent. */
  readonly listAll?: boolean
  /** Who pays for a peer's registrations, so that many names of one party have its share only: a network. The peer itself where undefined. */
  partyOf?(connection: Connection): string | undefined
  /** Whether this peer may register there; E_NOT_AUTHORIZED if not. */
  allowRegister?(connection: Connection, namespace: string): boolean
}

/** What the server did and does, for its metrics. */
export interface RendezvousCounters {
  /** Now. */
  registrations: number
  /** Requests served since the start. */
  readonly served: { register: number; unregister: number; discover: number }
  /** Answers other than OK since the start, by the name of their status. */
  readonly refused: Record<string, number>
}

export interface RendezvousServer {
  readonly service: Service
  readonly counters: Readonly<RendezvousCounters>
}

interface Refusal {
  readonly status: Status
  readonly words: string
}

/** Undefined where there is nothing to be said. */
type Answer = Uint8Array | undefined

export const rendezvousServer = (options: RendezvousServerOptions = {}): RendezvousServer => {
  const { minTtl = RENDEZVOUS_MIN_TTL, listAll = true } = options
  const allowance = new Allowance()
  const counters: RendezvousCounters = { registrations: 0, served: { register: 0, unregister: 0, discover: 0 }, refused: {} }
  let net: Net
  let store: Store
  let unsent = 0
  /** When `expire` will be called next. */
  let due = Number.POSITIVE_INFINITY
  let timer: Cancel = () => {}

  /** Expired registrations are dropped when they expire, so that they take no memory with no traffic either. */
  const changed = (): void => {
    counters.registrations = store.size
    const deadline = store.deadline ?? Number.POSITIVE_INFINITY
    // One that ends later than was thought is found out about when the time comes.
    if (deadline >= due) return
    timer()
    due = deadline
    timer = net.host.after(Math.max(0, deadline - net.host.now()), () => {
      due = Number.POSITIVE_INFINITY
      store.expire(net.host.now())
      changed()
    })
  }

  const count = ({ status }: Refusal): void => {
    const name = nameStatus(status)
    counters.refused[name] = (counters.refused[name] ?? 0) + 1
  }

  const partyOf = (connection: Connection): string => options.partyOf?.(connection) ?? connection.remotePeer

  /** What can be told without looking at a signature. */
  const checkRegister = (connection: Connection, { namespace, record, ttl }: RegisterRequest): Refusal | Registering => {
    const badNamespace = checkNamespace(namespace)
    if (badNamespace !== undefined) return badNamespace
    const seconds = ttl === undefined ? Math.max(RENDEZVOUS_TTL, minTtl) : Number(ttl)
    if (seconds < minTtl || seconds > RENDEZVOUS_MAX_TTL) {
      return { status: Status.E_INVALID_TTL, words: `a ttl is from ${minTtl} to ${RENDEZVOUS_MAX_TTL} seconds` }
    }
    if (record === undefined || record.length > RENDEZVOUS_MAX_RECORD) {
      return badRecord(`a signed peer record of at most ${RENDEZVOUS_MAX_RECORD} bytes is needed`)
    }
    const envelope = readEnvelope(record)
    if (envelope === undefined) return badRecord('what should be a signed envelope is none')
    if (peerIdFromKey(envelope.publicKey) !== connection.remotePeer) {
      return { status: Status.E_NOT_AUTHORIZED, words: 'the record is of another peer' }
    }
    if (options.allowRegister?.(connection, namespace as string) === false) {
      return { status: Status.E_NOT_AUTHORIZED, words: 'not there' }
    }
    const party = partyOf(connection)
    if (!store.hasRoom(connection.remotePeer, party, namespace as string, net.host.now())) return full
    return { status: Status.OK, namespace: namespace as string, envelope: record, seconds, party }
  }

  function* register(connection: Connection, request: RegisterRequest): Conversation<Answer> {
    const refuse = (refusal: Refusal): Answer => {
      count(refusal)
      return frameRegisterRefused(refusal.status, refusal.words)
    }
    const checked = checkRegister(connection, request)
    if (checked.status !== Status.OK) return refuse(checked as Refusal)
    const { namespace, envelope, seconds, party } = checked as Registering
    const seq = yield* verifiedSeq(envelope, connection.remotePeer)
    if (seq === undefined) return refuse(badRecord('the record is not signed by its peer'))
    // What it was read from may be larger, and be shared.
    const record: SignedRecord = { seq, envelope: envelope.slice() }
    if (!store.register(connection.remotePeer, party, namespace, record, seconds * 1000, net.host.now())) return refuse(full)
    changed()
    return frameRegistered(seconds)
  }

  const discover = ({ namespace, limit, cookie }: DiscoverRequest): Answer => {
    const refuse = (refusal: Refusal): Answer => {
      count(refusal)
      return frameDiscoverRefused(refusal.status, refusal.words)
    }
    const badNamespace = namespace === undefined ? undefined : checkNamespace(namespace)
    if (badNamespace !== undefined) return refuse(badNamespace)
    if (namespace === undefined && !listAll) return refuse({ status: Status.E_NOT_AUTHORIZED, words: 'one namespace at a time' })
    const most = limit === undefined ? RENDEZVOUS_MAX_FOUND : Number(limit)
    const discovered = store.discover(namespace, most, cookie, net.host.now())
    changed()
    if (discovered === undefined) return refuse({ status: Status.E_INVALID_COOKIE, words: 'the cookie is none of this namespace' })
    const answer = frameFound(discovered.found, discovered.cookie)
    return unsent + answer.length > RENDEZVOUS_MAX_UNSENT ? refuse(busy) : answer
  }

  function* answer(connection: Connection, request: Request): Conversation<Answer> {
    if (!allowance.take(connection.remotePeer, net.host.now())) {
      count(tooOften)
      if (request.t === 'register') return frameRegisterRefused(tooOften.status, tooOften.words)
      if (request.t === 'discover') return frameDiscoverRefused(tooOften.status, tooOften.words)
      throw new TabmeshError('ERR_STREAM_LIMIT', `${connection.remotePeer} asks too often`)
    }
    counters.served[request.t] += 1
    if (request.t === 'register') return yield* register(connection, request)
    if (request.t === 'discover') return discover(request)
    if (request.namespace !== undefined) store.unregister(connection.remotePeer, request.namespace)
    changed()
    return undefined
  }

  /** A defect here, or in what the application decides, is told as what it is. */
  function* answerOrFail(connection: Connection, request: Request): Conversation<Answer> {
    try {
      return yield* answer(connection, request)
    } catch (cause) {
      if (cause instanceof TabmeshError) throw cause
      net.emit({ t: 'error', error: new TabmeshError('ERR_INTERNAL', 'the rendezvous server threw', { cause }) })
      const words = 'a defect of the server'
      count({ status: Status.E_INTERNAL_ERROR, words })
      if (request.t === 'unregister') return undefined
      const frameRefused = request.t === 'register' ? frameRegisterRefused : frameDiscoverRefused
      return frameRefused(Status.E_INTERNAL_ERROR, words)
    }
  }

  const serve = (stream: Stream): void => {
    let held = 0
    function* talk(): Conversation<void> {
      const request = decodeRequest(yield* readFrame(RENDEZVOUS_MAX_REQUEST))
      const bytes = yield* answerOrFail(stream.connection, request)
      if (bytes === undefined) return
      held = bytes.length
      unsent += held
      yield* write(bytes)
    }
    converse(stream, talk(), net.host, {
      timeout: RENDEZVOUS_TIMEOUT,
      what: 'a rendezvous request',
      done: (outcome) => {
        unsent -= held
        if (outcome.ok) stream.finish(net.host)
      },
    })
  }

  return {
    counters,
    service: {
      name: 'rendezvous server',
      protocols: { [RENDEZVOUS]: { maxInbound: RENDEZVOUS_MAX_INBOUND } },
      start(started) {
        net = started
        store = new Store(net.host.random(3), options)
      },
      onStream: serve,
      stop: () => timer(),
    },
  }
}

interface Registering {
  readonly status: typeof Status.OK
  readonly namespace: string
  readonly envelope: Uint8Array
  readonly seconds: number
  readonly party: string
}

const full: Refusal = { status: Status.E_UNAVAILABLE, words: 'no room for another registration' }
const busy: Refusal = { status: Status.E_UNAVAILABLE, words: 'too many answers at a time' }
const tooOften: Refusal = { status: Status.E_UNAVAILABLE, words: 'too many requests' }
const badRecord = (words: string): Refusal => ({ status: Status.E_INVALID_SIGNED_PEER_RECORD, words })

const checkNamespace = (namespace: string | undefined): Refusal | undefined =>
  namespace !== undefined && namespace !== '' && utf8Length(namespace) <= RENDEZVOUS_MAX_NAMESPACE
    ? undefined
    : { status: Status.E_INVALID_NAMESPACE, words: `a namespace has 1 to ${RENDEZVOUS_MAX_NAMESPACE} bytes` }

const readEnvelope = (record: Uint8Array): Envelope | undefined => {
  try {
    return decodeEnvelope(record)
  } catch (error) {
    if (error instanceof TabmeshError) return undefined
    throw error
  }
}

/** The number of the record that `peer` signed; undefined for what it did not sign, or is no record. */
function* verifiedSeq(envelope: Uint8Array, peer: PeerId): Conversation<bigint | undefined> {
  try {
    return (yield* openPeerRecord(envelope, peer)).seq
  } catch (error) {
    if (error instanceof TabmeshError) return undefined
    throw error
  }
}
