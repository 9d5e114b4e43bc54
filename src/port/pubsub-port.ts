/**
 * The engine's end of pubsub: the gossipsub service, and the lane between it and the page (../pubsub.ts).
 *
 *   page ── PARTS ──▶ publishParts ──▶ SENT ──▶ page                         router ── parts ──▶ PARTS ──▶ page
 *   page ── PUBLISH ──▶ queue ── while the backlog is low ──▶ publish ── signed, on its way ──▶ PUBLISHED ──▶ page
 *   router ── validate ──▶ VALIDATE ──▶ page ── VERDICT ──▶ router           router ── message, subscription ──▶ MESSAGE, CHANGE ──▶ page
 *
 * Nothing piles up on the page: what it has not taken waits here, over PUBSUB_MAX_UNHEARD bytes no more is read from the peers, and so they
 * wait too. A page that gives no sign of life for PUBSUB_DEAF ms (it sleeps, or its thread is stuck) holds up nobody: the mesh goes on, and
 * messages for it are dropped and counted.
 *
 * Bounds: those, the lane's, and GOSSIP_MAX_VALIDATING questions. What the page publishes is bounded there.
 */

import { utf8 } from '../engine/codec/bytes.ts'
import { type Multiaddr, parseMultiaddr, peerIdOf, withoutPeerId } from '../engine/codec/multiaddr.ts'
import { type PeerId, parsePeerId } from '../engine/codec/peer-id.ts'
import type { Cancel } from '../engine/host.ts'
import {
  GOSSIP_MAX_ID,
  GOSSIP_VALIDATE_TIMEOUT,
  PUBSUB_BACKLOG,
  PUBSUB_DEAF,
  PUBSUB_MAX_UNHEARD,
  PUBSUB_RETRY,
  PUBSUB_SIGNING,
} from '../engine/limits.ts'
import type { Node } from '../engine/net/node.ts'
import type { Message, MessageId } from '../engine/protocols/gossipsub/message.ts'
import { messageIds } from '../engine/protocols/gossipsub/message-id.ts'
import { type GossipsubService, gossipsubService } from '../engine/protocols/gossipsub/service.ts'
import { latin1 } from '../engine/protocols/gossipsub/text.ts'
import { deflateError, TabmeshError } from '../errors.ts'
import type { MessageIdFunction, MessageVerdict, PubsubMetrics, PubsubState, SubscribeOptions } from '../types/pubsub.ts'
import { type Batch, Lane, Records } from './lane.ts'
import { readParts, writeParts } from './pubsub-parts.ts'
import {
  CHANGE,
  MESSAGE,
  PARTS,
  PUBLISH,
  PUBLISHED,
  type PubsubSettings,
  REFUSED,
  REQUESTS,
  SENT,
  VALIDATE,
  verdicts,
} from './pubsub-records.ts'

/** Topics that are not the application's own: what comes there is not told to the page. */
export interface TopicsOfRooms {
  isTopic(topic: string): boolean
  subscribed(peer: PeerId, topic: string): void
  /** What comes there has to wait. */
  readonly holds: boolean
}

export interface PubsubPort {
  readonly service: GossipsubService
  /** Whether a peer is a relay of the application, or one where a slot is held. */
  isOurs(relay: PeerId): boolean
  /** From now on these are another's. */
  rooms: TopicsOfRooms | undefined
  /** Joins the topic; with `validated` the page decides on its messages, with `partial` it hears of parts. Throws ERR_INVALID_ARGUMENT. */
  subscribe(topic: string, validated: boolean, partial?: SubscribeOptions['partial']): void
  unsubscribe(topic: string): void
  direct(peer: PeerId, on: boolean): void
  inspect(): PubsubState
  metrics(): PubsubMetrics
  close(): void
}

export interface PubsubPortOptions {
  readonly settings: PubsubSettings
  /** A function can't cross; Node hands its own over. */
  readonly messageId: MessageIdFunction | undefined
  /** Relays of the application, and those where a slot is held: over these pubsub runs even where they limit. */
  readonly relays: readonly Multiaddr[]
  readonly reserved: ReadonlySet<PeerId>
  fail(error: TabmeshError): void
}

interface Publication {
  readonly ticket: number
  readonly topic: string
  readonly data: Uint8Array
  /** Of its batch. */
  last: boolean
}

interface Question {
  readonly done: (verdict: MessageVerdict) => void
  readonly until: number
}

/** Throws ERR_INVALID_ARGUMENT, ERR_INVALID_PEER_ID or ERR_INVALID_MULTIADDR. Mounts the service on the node. */
export const pubsubPort = (port: MessagePort, node: Node, options: PubsubPortOptions): PubsubPort => {
  const { settings } = options
  const { host } = node
  const questions = new Map<number, Question>()
  let count = 0
  const { signing = 'StrictSign' } = settings
  if (signing !== 'StrictSign' && signing !== 'StrictNoSign')
    throw new TabmeshError('ERR_INVALID_ARGUMENT', `\`pubsub.signing\` is StrictSign or StrictNoSign, not ${JSON.stringify(signing)}`)
  const { direct, places } = directOf(settings.direct)
  const messageId = messageIdOf(settings.messageId, options.messageId, options.fail)
  /** What the page publishes, and the first of it that has not been. */
  let queue: Publication[] = []
  let at = 0
  let retry: Cancel | undefined
  let pumping = false
  /** Messages that are with the router and not on their way. */
  let inHand = 0
  let closed = false
  /** What has changed since the page was last told. */
  const changes = new Map<string, Map<PeerId, boolean>>()
  let heardAt = host.now()
  let dropped = 0

  const ofRoom = (topic: string): boolean => ours.rooms?.isTopic(topic) === true
  const full = (): boolean => lane.waiting >= PUBSUB_MAX_UNHEARD
  const deaf = (): boolean => host.now() - heardAt >= PUBSUB_DEAF

  /** Whether the page is to be told of one more message. */
  const tells = (): boolean => {
    if (lane.open) heardAt = host.now()
    if (!full() || !deaf()) return true
    dropped += 1
    return false
  }

  const writeMessage = (message: Message, from: PeerId): void => {
    const { author, seqno, id, data, topic } = message
    lane.text(topic)
    lane.text(author?.id ?? '')
    lane.text(from)
    lane.bytes(seqno ?? noBytes)
    lane.latin1(id)
    lane.bytes(data)
  }

  const tellChanges = (): void => {
    if (!lane.open) return
    for (const [topic, peers] of changes) {
      for (const [peer, subscribed] of peers) {
        lane.begin(CHANGE, 12)
        lane.text(topic)
        lane.text(peer)
        lane.u32(subscribed ? 1 : 0)
      }
    }
    changes.clear()
  }

  const changed = (peer: PeerId, topic: string, subscribed: boolean): void => {
    if (ofRoom(topic)) return subscribed ? ours.rooms?.subscribed(peer, topic) : undefined
    const peers = changes.get(topic) ?? new Map<PeerId, boolean>()
    // The first one of this turn sees to all of them.
    if (changes.size === 0) host.defer(tellChanges)
    changes.set(topic, peers.set(peer, subscribed))
  }

  const ask = (message: Message, from: PeerId, done: (verdict: MessageVerdict) => void): void => {
    if (!tells()) return done('ignore')
    const now = host.now()
    // What the router does not wait for any more.
    for (const [ticket, { until }] of questions) {
      if (until > now) break
      questions.delete(ticket)
    }
    count = (count + 1) >>> 0
    questions.set(count, { done, until: now + 2 * GOSSIP_VALIDATE_TIMEOUT })
    lane.begin(VALIDATE, message.raw.length + 64)
    lane.u32(count)
    writeMessage(message, from)
  }

  const refuse = (ticket: number, error: unknown): void => {
    lane.begin(REFUSED, 512)
    lane.u32(ticket)
    lane.utf8(JSON.stringify(deflateError(error)))
  }

  const publishParts = (records: Records): void => {
    const ticket = records.u32()
    const { topic, group, message, metadata } = readParts(records)
    const named = records.u32()
    const to = Array.from({ length: Math.max(0, named - 1) }, () => records.text())
    try {
      const peers = service.publishParts(topic, { group, message, metadata }, named === 0 ? undefined : to.map(parsePeerId))
      lane.begin(SENT, 8)
      lane.u32(ticket)
      lane.u32(peers)
    } catch (error) {
      refuse(ticket, error)
    }
  }

  const publish = ({ ticket, topic, data }: Publication): void => {
    inHand += 1
    try {
      const id = service.publish(topic, data, (id, peers) => {
        inHand -= 1
        lane.begin(PUBLISHED, 64)
        lane.u32(ticket)
        lane.u32(peers === undefined ? 0 : peers + 1)
        lane.latin1(id)
        if (queue.length > 0 && inHand <= PUBSUB_SIGNING / 2) pump()
      })
      if (id !== undefined) return
      inHand -= 1
      refuse(ticket, new TabmeshError('ERR_DUPLICATE_MESSAGE', `the same was published to '${topic}' before`))
    } catch (error) {
      inHand -= 1
      refuse(ticket, error)
    }
  }

  /** Publishes until the backlog is high; goes on when a message is on its way, and looks again after a while. */
  const pump = (): void => {
    if (pumping || closed) return
    pumping = true
    while (at < queue.length) {
      // Each message adds one to these at most.
      let room = Math.min(PUBSUB_SIGNING - inHand, PUBSUB_BACKLOG - service.backlog)
      if (room <= 0) break
      for (; room > 0 && at < queue.length; room--) {
        const publication = queue[at++] as Publication
        publish(publication)
        if (publication.last) lane.done()
      }
    }
    pumping = false
    if (at < queue.length) retry ??= host.after(PUBSUB_RETRY, again)
    else if (at > 0) {
      queue = []
      at = 0
    }
  }

  const again = (): void => {
    retry = undefined
    pump()
  }

  const take = (batch: Batch): void => {
    const records = new Records(batch)
    let last: Publication | undefined
    while (records.more) {
      const kind = records.next()
      if (kind === PUBLISH) {
        last = { ticket: records.u32(), topic: records.text(), data: records.bytes(), last: false }
        queue.push(last)
      } else if (kind === PARTS) publishParts(records)
      else {
        const ticket = records.u32()
        const verdict = verdicts[records.u32()] ?? 'ignore'
        questions.get(ticket)?.done(verdict)
        questions.delete(ticket)
      }
    }
    if (last === undefined) lane.done()
    else last.last = true
    pump()
  }

  const lane = new Lane(port, take, () => {
    heardAt = host.now()
    tellChanges()
    if (!full()) service.resume()
  })

  const named = new Set(options.relays.map((relay) => withoutPeerId(relay)?.text ?? ''))
  const isOurs = (relay: PeerId): boolean =>
    options.reserved.has(relay) ||
    options.relays.some((each) => peerIdOf(each) === relay) ||
    // A relay of which only the URL was given.
    node.connections(relay).some(({ remoteAddr }) => named.has(withoutPeerId(remoteAddr)?.text ?? ' '))

  const service = gossipsubService({
    params: settings.params,
    score: settings.score,
    signing,
    ...(messageId && { messageId }),
    direct,
    addressesOf: (peer) => places.get(peer) ?? [],
    overLimited: isOurs,
    takes: () => (!full() || deaf()) && ours.rooms?.holds !== true,
    onMessage(message, from) {
      if (ofRoom(message.topic) || !tells()) return
      lane.begin(MESSAGE, message.raw.length + 64)
      writeMessage(message, from)
    },
    onParts(parts, from, requests) {
      if (ofRoom(parts.topic) || !tells()) return
      lane.begin(PARTS, 64)
      writeParts(lane, parts, requests ? REQUESTS : 0)
      lane.text(from)
    },
    onSubscription: changed,
  })
  try {
    node.mount(service)
  } catch (error) {
    lane.close()
    throw error
  }
  for (const peer of direct) node.tag(peer, DIRECT, MOST)

  const ours: PubsubPort = {
    service,
    isOurs,
    rooms: undefined,
    subscribe(topic, validated, partial) {
      if (ofRoom(topic)) throw new TabmeshError('ERR_INVALID_ARGUMENT', 'this is the topic of a room that was joined')
      // First, so that none goes around it.
      service.validate(topic, validated ? ask : undefined)
      try {
        service.join(topic, partial)
      } catch (error) {
        service.validate(topic, undefined)
        throw error
      }
      for (const peer of service.peers(topic)) changed(peer, topic, true)
    },
    unsubscribe(topic) {
      if (ofRoom(topic)) return
      service.leave(topic)
      service.validate(topic, undefined)
    },
    direct(peer, on) {
      service.setDirect(peer, on)
      node.tag(peer, DIRECT, on ? MOST : undefined)
    },
    inspect: () => ({ ...service.inspect(), dropped }),
    metrics() {
      const { peers, topics, counts } = service.inspect()
      const mesh = topics.reduce((sum, topic) => sum + topic.mesh.length, 0)
      return { ...counts, peers: peers.length, topics: topics.filter(({ joined }) => joined).length, mesh, dropped }
    },
    close() {
      closed = true
      retry?.()
      lane.close()
    },
  }
  return ours
}

const DIRECT = 'pubsub direct'
/** The tag of a peer that is not to be hung up on. */
const MOST = 100

const noBytes = new Uint8Array(0)

/** Peers by their ids or addresses. Throws ERR_INVALID_PEER_ID, ERR_INVALID_MULTIADDR or ERR_INVALID_ARGUMENT. */
const directOf = (given: readonly string[]): { direct: PeerId[]; places: Map<PeerId, Multiaddr[]> } => {
  const places = new Map<PeerId, Multiaddr[]>()
  for (const text of given) {
    const address = text.startsWith('/') ? parseMultiaddr(text) : undefined
    const peer = address === undefined ? parsePeerId(text) : peerIdOf(address)
    if (peer === undefined) throw new TabmeshError('ERR_INVALID_ARGUMENT', `a direct peer's address ends in /p2p and its id: ${text}`)
    const known = places.get(peer) ?? []
    if (address !== undefined) known.push(address)
    places.set(peer, known)
  }
  return { direct: [...places.keys()], places }
}

/** What makes ids; undefined for what goes with the signing. Throws ERR_INVALID_ARGUMENT. */
const messageIdOf = (
  name: string | undefined,
  given: MessageIdFunction | undefined,
  fail: (error: TabmeshError) => void,
): MessageId | undefined => {
  if (given !== undefined) return byFunction(given, fail)
  if (name === undefined) return undefined
  if (Object.hasOwn(messageIds, name)) return messageIds[name as keyof typeof messageIds]
  throw new TabmeshError(
    'ERR_INVALID_ARGUMENT',
    `\`pubsub.messageId\` knows ${Object.keys(messageIds).join(', ')}, not ${JSON.stringify(name)}`,
  )
}

/** The application's own; where that fails, go's. */
const byFunction =
  (given: MessageIdFunction, fail: (error: TabmeshError) => void): MessageId =>
  (message) => {
    const { topic, author, seqno, key } = message
    try {
      const id = given({ topic, from: author?.id, data: message.data.slice(), seqno: seqno?.slice(), key: key?.slice() })
      const text = latin1(typeof id === 'string' ? utf8(id) : id)
      if (text.length > 0 && text.length <= GOSSIP_MAX_ID) return text
      throw new TabmeshError('ERR_INVALID_ARGUMENT', `a message id has 1 to ${GOSSIP_MAX_ID} bytes, not ${text.length}`)
    } catch (cause) {
      fail(new TabmeshError('ERR_HANDLER', '`pubsub.messageId` failed', { cause }))
      return messageIds.go(message)
    }
  }
