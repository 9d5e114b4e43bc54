/**
 * The gossipsub service: the router (router.ts) on real streams (links.ts), with the host's clock, keys and chance.
 *
 * What the router has to send waits in the router until the stream takes it; what comes waits in the stream while the router has as many
 * messages to check as it can hold. All that one turn of the engine brings about for a peer leaves together; to go peers messages go at a
 * pace that they can follow (pace.ts).
 *
 * Over connections that a relay limits it runs only where `overLimited` allows the relay: our own, which count on it.
 *
 * Bounds: those of the parts.
 */

import { TabmeshError } from '../../../errors.ts'
import { type Multiaddr, peerIdOf, relayOf } from '../../codec/multiaddr.ts'
import type { PeerId } from '../../codec/peer-id.ts'
import type { Cancel } from '../../host.ts'
import { GOSSIP_MAX_LIST, GOSSIP_MAX_VALIDATING } from '../../limits.ts'
import type { Connection } from '../../net/connection.ts'
import type { Net, Service } from '../../net/service.ts'
import { Authors } from './authors.ts'
import { chance } from './chance.ts'
import type { Inspection } from './inspect.ts'
import { Links } from './links.ts'
import type { Message, MessageId } from './message.ts'
import { contentMessageId, originMessageId } from './message-id.ts'
import { Offers } from './offers.ts'
import type { Params } from './params.ts'
import type { PartsOut } from './partial.ts'
import { PUBSUB_PROTOCOLS } from './peer.ts'
import { Router, type RouterInput } from './router.ts'
import type { PartialRole, Parts } from './rpc.ts'
import { RpcReader } from './rpc-reader.ts'
import type { ScoreParams } from './score-params.ts'
import { strictNoSign, strictSign } from './signing.ts'
import type { RouterOutput } from './state.ts'
import { TopicNames } from './text.ts'
import type { Verdict } from './validation.ts'

/** Decides on a message; `done` may be called at once, or later. What is not answered is ignored after a while. */
export type Validator = (message: Message, from: PeerId, done: (verdict: Verdict) => void) => void

export interface GossipsubOptions {
  readonly params?: Partial<Params>
  readonly score?: Partial<ScoreParams>
  /** StrictSign if absent. */
  readonly signing?: 'StrictSign' | 'StrictNoSign'
  readonly messageId?: MessageId
  /** Peers that get, and whose we take, everything. */
  readonly direct?: readonly PeerId[]
  /** Where such a peer is, beside what is known of it. */
  readonly addressesOf?: (direct: PeerId) => readonly Multiaddr[]
  /** Whether it may run over connections that this relay limits; nowhere if absent. */
  readonly overLimited?: (relay: PeerId) => boolean
  /** A message of another peer, once. Its bytes are shared with what is passed on: copy them before they are changed or transferred. */
  onMessage(message: Message, from: PeerId): void
  /** Parts of a message, and whether who sent them asks for parts itself. Their bytes are shared with those of other messages. */
  onParts?(parts: Parts, from: PeerId, requests: boolean): void
  /** A peer has come into a topic, or left it or us. */
  onSubscription?(peer: PeerId, topic: string, subscribed: boolean): void
  /** Whether what `onMessage` and `onParts` are told can be taken; always if absent. While it is not, no more is read, until `resume`. */
  takes?(): boolean
}

/** What became of a message of ours: sent to so many peers, or undefined where it could not be signed. */
export type Published = (id: string, peers: number | undefined) => void

export interface GossipsubService extends Service {
  /** Throws ERR_INVALID_ARGUMENT. Whether we were not in it before; if we were, `partial` counts from now on. */
  join(topic: string, partial?: PartialRole): boolean
  leave(topic: string): void
  /**
   * Throws ERR_INVALID_ARGUMENT. The message id; undefined where the very same was published before. `done` hears of any other once it is
   * signed and on its way, which may be at once.
   */
  publish(topic: string, data: Uint8Array, done?: Published): string | undefined
  /**
   * Sends parts of a message to `to`, or to who takes part in them in the mesh: to how many. The bytes are kept until they are written. Throws
   * ERR_INVALID_ARGUMENT.
   */
  publishParts(topic: string, parts: PartsOut, to?: readonly PeerId[]): number
  /** The peer sent parts in the topic that are none. */
  rejectParts(peer: PeerId, topic: string): void
  /** Undefined takes every message that keeps the rules. */
  validate(topic: string, validator: Validator | undefined): void
  /** Messages of ours that wait to be signed or written, at the slowest peer: publish no more while they are many. */
  readonly backlog: number
  readonly topics: readonly string[]
  /** Peers in the topic, and those of our mesh. */
  peers(topic: string): readonly PeerId[]
  mesh(topic: string): readonly PeerId[]
  score(peer: PeerId): number | undefined
  setScore(peer: PeerId, value: number): void
  setDirect(peer: PeerId, on: boolean): void
  inspect(): Inspection
  /** The application takes messages again. */
  resume(): void
}

/** Below it the router has room for one more RPC of any size. */
const TAKES = GOSSIP_MAX_VALIDATING - GOSSIP_MAX_LIST
/** js and go count on two streams being there for a moment when one takes the other's place. */
const MAX_INBOUND = 4
/** The worth of a peer of a mesh (prune.ts), for each mesh. */
const WORTH = 20

export const gossipsubService = (options: GossipsubOptions): GossipsubService => {
  let net: Net
  let router: Router
  let links: Links
  let offers: Offers
  const validators = new Map<string, Validator>()
  /** In how many meshes a peer is. */
  const meshes = new Map<PeerId, number>()
  /** By message id: who wants to know what became of it. */
  const published = new Map<string, Published>()
  let answers: RouterInput[] = []
  let draining = false
  let timer: { readonly at: number; readonly cancel: Cancel } | undefined
  let stopped = false

  const handle = (input: RouterInput): void => {
    if (stopped) return
    router.handle(input, net.host.now())
    drain()
  }

  /** A signature was checked. Of many in one turn the router hears together, at its end. */
  const answered = (answer: RouterInput): void => {
    if (answers.push(answer) === 1) net.host.defer(takeAnswers)
  }

  const takeAnswers = (): void => {
    const some = answers
    answers = []
    if (stopped) return
    const now = net.host.now()
    for (const answer of some) router.handle(answer, now)
    drain()
  }

  const drain = (): void => {
    // A host may answer at once: what that brings about is next in the loop that is running.
    if (draining) return
    draining = true
    try {
      for (let output = router.poll(); output !== undefined; output = router.poll()) act(output)
    } finally {
      draining = false
    }
    arm()
    if (links.holds && takes()) net.host.defer(() => links.resume())
  }

  const takes = (): boolean => router.validating < TAKES && options.takes?.() !== false

  const act = (output: RouterOutput): void => {
    switch (output.t) {
      case 'send':
        return links.ready(output.peer)
      case 'sign':
        return net.host.sign(output.bytes, (signature) =>
          handle({ t: 'signed', ticket: output.ticket, signature: signature instanceof TabmeshError ? undefined : signature }),
        )
      case 'verify':
        return net.host.verify(output.key, output.bytes, output.signature, (valid) => answered({ t: 'verified', id: output.id, valid }))
      case 'validate': {
        const { message, from } = output
        const done = (verdict: Verdict): void => handle({ t: 'verdict', id: message.id, verdict })
        const validator = validators.get(message.topic)
        return validator === undefined ? done('accept') : validator(message, from, done)
      }
      case 'message':
        return options.onMessage(output.message, output.from)
      case 'parts':
        return options.onParts?.(output.parts, output.from, output.requests)
      case 'subscription':
        return options.onSubscription?.(output.peer, output.topic, output.subscribed)
      case 'published': {
        const done = published.get(output.id)
        published.delete(output.id)
        return done?.(output.id, output.peers)
      }
      case 'connect':
        return offers.add(output, output.record === undefined ? options.addressesOf?.(output.peer) : undefined)
      case 'mesh': {
        const count = (meshes.get(output.peer) ?? 0) + (output.member ? 1 : -1)
        if (count > 0) meshes.set(output.peer, count)
        else meshes.delete(output.peer)
        return net.tag(output.peer, 'gossipsub', count > 0 ? Math.min(100, WORTH * count) : undefined)
      }
    }
  }

  const arm = (): void => {
    const at = router.deadline
    if (timer !== undefined && timer.at <= at) return
    timer?.cancel()
    timer = undefined
    if (at === Number.POSITIVE_INFINITY) return
    timer = { at, cancel: net.host.after(Math.max(0, at - net.host.now()), tick) }
  }

  const tick = (): void => {
    timer = undefined
    links.look()
    handle({ t: 'time' })
  }

  const allows = ({ limited, remoteAddr }: Connection): boolean => {
    if (!limited) return true
    const relay = relayOf(remoteAddr)?.relay
    const peer = relay === undefined ? undefined : peerIdOf(relay)
    return peer !== undefined && options.overLimited?.(peer) === true
  }

  const started = (): Router => {
    if (router === undefined || stopped) throw new TabmeshError('ERR_STOPPED', 'pubsub is not running')
    return router
  }

  return {
    name: 'gossipsub',
    protocols: Object.fromEntries(
      PUBSUB_PROTOCOLS.map((protocol) => [protocol, { maxInbound: MAX_INBOUND, allowLimited: options.overLimited !== undefined }]),
    ),
    start(given) {
      net = given
      const { host } = net
      const { params = {}, score = {}, direct = [], signing = 'StrictSign' } = options
      const authors = new Authors()
      const names = new TopicNames()
      const messageId = options.messageId ?? (signing === 'StrictSign' ? originMessageId : contentMessageId)
      const rpcs = new RpcReader(names, authors, messageId)
      offers = new Offers(net)
      router = new Router(
        {
          self: net.self,
          signing: signing === 'StrictSign' ? strictSign(net.publicKey) : strictNoSign,
          random: chance(host),
          // Nanoseconds, as js and go begin: after a restart, and on the next page of this identity, it is further on.
          seqno: BigInt(Math.floor(host.date())) * 1_000_000n,
          params,
          score,
          direct,
          authors,
          names,
          messageId,
        },
        host.now(),
      )
      links = new Links({ net, rpcs, allows, takes, take: (peer, messages) => router.take(peer, messages), handle })
      arm()
    },
    onStream(stream) {
      const { connection } = stream
      if (!allows(connection)) {
        return stream.abort(
          new TabmeshError('ERR_LIMITED_CONNECTION', `no pubsub over the relay's limited connection to ${connection.remotePeer}`),
        )
      }
      links.accept(stream)
    },
    spares: ({ connection }) => router?.shares(connection.remotePeer) !== true,
    onConnection: ({ remotePeer }) => links.settle(remotePeer),
    onDisconnect: ({ remotePeer }) => links.settle(remotePeer),
    onIdentify(connection) {
      links.settle(connection.remotePeer)
      links.tellRecord(connection)
    },
    stop() {
      if (stopped || router === undefined) return
      for (const topic of router.topics) handle({ t: 'leave', topic })
      links.flush()
      stopped = true
      timer?.cancel()
      offers.stop()
      links.stop()
      for (const [id, done] of published) done(id, undefined)
      published.clear()
    },
    join(topic, partial) {
      const joined = started().join(topic, net.host.now(), partial)
      drain()
      return joined
    },
    leave: (topic) => {
      started()
      handle({ t: 'leave', topic })
    },
    publish(topic, data, done) {
      const id = started().publish(topic, data, net.host.now())
      if (id !== undefined && done !== undefined) published.set(id, done)
      drain()
      return id
    },
    publishParts(topic, parts, to) {
      const count = started().publishParts(topic, parts, to)
      drain()
      return count
    },
    rejectParts: (peer, topic) => handle({ t: 'invalidParts', peer, topic }),
    validate(topic, validator) {
      started()
      if (validator === undefined) validators.delete(topic)
      else validators.set(topic, validator)
      handle({ t: 'validated', topic, on: validator !== undefined })
    },
    get backlog() {
      return started().backlog
    },
    get topics() {
      return started().topics
    },
    peers: (topic) => started().peers(topic),
    mesh: (topic) => started().mesh(topic),
    score: (peer) => started().score(peer),
    setScore: (peer, value) => handle({ t: 'score', peer, value }),
    setDirect: (peer, on) => handle({ t: 'direct', peer, on }),
    inspect: () => started().inspect(),
    resume: () => links.resume(),
  }
}
