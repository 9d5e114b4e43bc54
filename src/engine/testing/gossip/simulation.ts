/**
 * Thousands of gossipsub routers over virtual time and links with latency, loss and churn. Same options and seed, same run.
 *
 *   time 0            every node dials `degree` others by chance, and joins all topics
 *   warmUp            then `rate` messages a second are published by honest nodes, for `seconds`
 *   + DRAIN           then nothing is published, and what is under way arrives
 *
 * RPCs are handed over as they are, and their lengths counted; signatures are a byte that is right or wrong. What is
 * made of it: report.ts.
 */

import { publicKey } from '../../codec/keys.ts'
import type { PeerId } from '../../codec/peer-id.ts'
import { peerIdFromKey, peerIdToBytes } from '../../codec/peer-id.ts'
import { varintLength } from '../../codec/varint.ts'
import { Authors } from '../../protocols/gossipsub/authors.ts'
import type { Params } from '../../protocols/gossipsub/params.ts'
import { MESHSUB_12 } from '../../protocols/gossipsub/peer.ts'
import { Router } from '../../protocols/gossipsub/router.ts'
import type { Rpc } from '../../protocols/gossipsub/rpc.ts'
import { rpcLength } from '../../protocols/gossipsub/rpc-writer.ts'
import { decayOver, defaultScoreParams, defaultTopicScoreParams, type ScoreParams } from '../../protocols/gossipsub/score-params.ts'
import { TopicNames } from '../../protocols/gossipsub/text.ts'
import { type Prng, prng } from '../prng.ts'
import { HOSTILE_KINDS, Hostile, type HostileKind, WRONG } from './hostile.ts'
import { costOf, deliveriesOf, type Opinion, opinionOf, type Report } from './report.ts'
import { Presence, type Tally } from './tally.ts'
import { Wheel } from './wheel.ts'

export interface SimulationOptions {
  readonly nodes: number
  readonly topics: number
  /** Messages a second, all nodes and topics together. */
  readonly rate: number
  readonly seconds: number
  /** Bytes of a message. */
  readonly size: number
  /** Peers that each node dials. */
  readonly degree: number
  /** Milliseconds of a link one way: between the two, by chance, and always the same. */
  readonly latency: readonly [number, number]
  /** The part of all RPCs that is lost. */
  readonly loss: number
  /** Milliseconds that an application takes to decide on a message. */
  readonly validation: number
  /** Nodes that leave each second; they come back ten seconds later, and dial others. */
  readonly churn: number
  /** The part of all nodes that is hostile, and their kinds. */
  readonly hostile: number
  readonly kinds: readonly HostileKind[]
  readonly seed: number
  readonly warmUp: number
  /** Scores are set for the rate there is (`scoreForRate`), where some nodes are hostile. */
  readonly knowsRate: boolean
  readonly params: Partial<Params>
  readonly score: Partial<ScoreParams>
}

export const defaultOptions: SimulationOptions = {
  nodes: 1_000,
  topics: 1,
  rate: 10,
  seconds: 20,
  size: 100,
  degree: 10,
  latency: [10, 100],
  loss: 0,
  validation: 0,
  churn: 0,
  hostile: 0,
  kinds: HOSTILE_KINDS,
  seed: 1,
  warmUp: 5_000,
  knowsRate: true,
  params: {},
  score: {},
}

/** Scores for a run with hostile nodes: P₃ is set for the traffic there is, which an application knows and a default does not. */
export const scoreForRate = (rate: number): Partial<ScoreParams> => {
  // A mesh peer should be first, or nearly, with one message of thirty. At most what is left of it after decay is asked for.
  const threshold = Math.max(1, rate)
  return {
    defaultTopic: {
      ...defaultTopicScoreParams,
      meshMessageDeliveriesWeight: -80 / (threshold * threshold),
      meshMessageDeliveriesDecay: decayOver(150_000),
      meshMessageDeliveriesThreshold: threshold,
      meshMessageDeliveriesCap: 10 * threshold,
      meshMessageDeliveriesActivation: 10_000,
      meshMessageDeliveriesWindow: 200,
      meshFailurePenaltyWeight: -80 / (threshold * threshold),
      meshFailurePenaltyDecay: decayOver(600_000),
    },
  }
}

type Event =
  | { readonly t: 'rpc'; readonly from: number; readonly to: number; readonly session: number; readonly rpc: Rpc; readonly length: number }
  | { readonly t: 'wake'; readonly node: number; readonly session: number }
  | { readonly t: 'hostile'; readonly node: number }
  | { readonly t: 'verdict'; readonly node: number; readonly session: number; readonly id: string }
  | { readonly t: 'publish' }
  | { readonly t: 'churn' }
  | { readonly t: 'return'; readonly node: number }

interface SimNode {
  readonly index: number
  readonly id: PeerId
  readonly from: Uint8Array
  readonly hostile: Hostile | undefined
  readonly kind: HostileKind | undefined
  readonly presence: Presence
  readonly links: Set<number>
  router: Router
  /** Counts its lives: what was meant for an earlier one does not arrive. */
  session: number
  online: boolean
  sent: number
  received: number
  seqno: bigint
}

const DRAIN = 10_000
const AWAY = 10_000
/** Part of the honest nodes that eclipse attackers crowd around. */
const VICTIMS = 0.01

export class Simulation {
  readonly options: SimulationOptions
  readonly nodes: SimNode[] = []
  readonly #wheel = new Wheel<Event>()
  readonly #random: Prng
  readonly #indexOf = new Map<PeerId, number>()
  readonly #authors: Authors
  readonly #names = new TopicNames()
  readonly #topics: string[]
  readonly #tallies = new Map<string, Tally>()
  readonly #score: Partial<ScoreParams>
  #copies = 0
  #firsts = 0
  #rpcs = 0
  #publishing = false

  constructor(options: Partial<SimulationOptions> = {}) {
    this.options = { ...defaultOptions, ...options }
    const { nodes, topics, seed, hostile, kinds, rate, score, knowsRate } = this.options
    this.#random = prng(seed)
    this.#topics = Array.from({ length: topics }, (_, i) => `topic ${i}`)
    this.#score = { ...(hostile > 0 && knowsRate ? scoreForRate(rate / topics) : {}), ...score }
    this.#authors = new Authors(2 ** Math.ceil(Math.log2(nodes * 4)))
    const bad = Math.round(nodes * hostile)
    for (let index = 0; index < nodes; index++) {
      const id = peerIdFromKey(publicKey('Ed25519', this.#random.bytes(32)))
      const from = peerIdToBytes(id)
      this.#indexOf.set(id, index)
      // The first ones are hostile; links are by chance, so that it does not matter which.
      const enemy = index < bad ? new Hostile(kinds[index % kinds.length] as HostileKind, this.#topics, from, this.#authors) : undefined
      const node: SimNode = {
        index,
        id,
        from,
        hostile: enemy,
        kind: enemy?.kind,
        presence: new Presence(),
        links: new Set(),
        router: undefined as unknown as Router,
        session: 0,
        online: false,
        sent: 0,
        received: 0,
        seqno: 1n,
      }
      this.nodes.push(node)
    }
  }

  get now(): number {
    return this.#wheel.now
  }

  /** The whole of it. */
  run(): Report {
    const { seconds, warmUp, churn } = this.options
    for (const node of this.nodes) this.#start(node)
    for (const node of this.nodes) this.#dial(node)
    this.#wheel.run(warmUp, this.#happen)
    const before = this.#hostileInMesh()
    this.#publishing = true
    this.#wheel.put(warmUp + 1, { t: 'publish' })
    if (churn > 0) this.#wheel.put(warmUp + 1, { t: 'churn' })
    this.#wheel.run(warmUp + seconds * 1_000, this.#happen)
    this.#publishing = false
    this.#wheel.run(warmUp + seconds * 1_000 + DRAIN, this.#happen)
    return this.#report(before)
  }

  #start(node: SimNode): void {
    const { params, validation } = this.options
    node.online = true
    node.presence.arrive(this.now)
    if (node.hostile !== undefined) {
      this.#wheel.put(this.now + 1_000 + this.#random.below(1_000), { t: 'hostile', node: node.index })
      return
    }
    node.router = new Router(
      {
        self: node.id,
        signing: { t: 'StrictSign', from: node.from, key: undefined },
        random: (n) => this.#random.below(n),
        seqno: node.seqno,
        // Heartbeats of different nodes fall where chance has them.
        params: { heartbeatDelay: this.#random.below(1_000), ...params },
        score: this.#score,
        authors: this.#authors,
        names: this.#names,
      },
      this.now,
    )
    for (const topic of this.#topics) {
      node.router.join(topic, this.now)
      if (validation > 0) node.router.handle({ t: 'validated', topic, on: true }, this.now)
    }
    this.#wake(node)
    this.#drain(node)
  }

  #wake({ index, session, router }: SimNode): void {
    // Who is alone does not ask to be woken, and may not be for long.
    this.#wheel.put(Math.min(Math.ceil(router.deadline), this.now + 1_000), { t: 'wake', node: index, session })
  }

  #dial(node: SimNode): void {
    const { degree, nodes } = this.options
    const victims = Math.max(1, Math.round(nodes * (1 - this.options.hostile) * VICTIMS))
    const bad = Math.round(nodes * this.options.hostile)
    const crowds = node.hostile?.kind === 'eclipse'
    const wanted = Math.min(crowds ? degree * 2 : degree, nodes - 1)
    for (let tries = 0, made = 0; made < wanted && tries < wanted * 20; tries++) {
      const to = crowds && made % 2 === 0 ? bad + this.#random.below(victims) : this.#random.below(nodes)
      if (this.#connect(node, to)) made += 1
    }
  }

  #connect(node: SimNode, to: number): boolean {
    const other = this.nodes[to] as SimNode
    if (other === node || !other.online || node.links.has(to)) return false
    if (node.hostile !== undefined && other.hostile !== undefined) return false
    node.links.add(to)
    other.links.add(node.index)
    this.#meet(node, other, true)
    this.#meet(other, node, false)
    return true
  }

  #meet(node: SimNode, other: SimNode, outbound: boolean): void {
    if (node.hostile !== undefined) return this.#transmit(node, other, node.hostile.greet())
    node.router.handle({ t: 'connect', peer: other.id, protocol: MESHSUB_12, outbound, ips: [] }, this.now)
    this.#drain(node)
  }

  readonly #happen = (event: Event): void => {
    switch (event.t) {
      case 'rpc':
        return this.#arrive(event.from, event.to, event.session, event.rpc, event.length)
      case 'wake': {
        const node = this.nodes[event.node] as SimNode
        if (node.session !== event.session || !node.online) return
        node.router.handle({ t: 'time' }, this.now)
        this.#wake(node)
        return this.#drain(node)
      }
      case 'hostile': {
        const node = this.nodes[event.node] as SimNode
        for (const to of node.links) {
          const other = this.nodes[to] as SimNode
          for (const rpc of node.hostile?.say(other.id, this.now) ?? []) this.#transmit(node, other, rpc)
        }
        this.#wheel.put(this.now + 1_000, event)
        return
      }
      case 'verdict': {
        const node = this.nodes[event.node] as SimNode
        if (node.session !== event.session || !node.online) return
        node.router.handle({ t: 'verdict', id: event.id, verdict: 'accept' }, this.now)
        return this.#drain(node)
      }
      case 'publish':
        return this.#publish()
      case 'churn':
        return this.#churn()
      case 'return': {
        const node = this.nodes[event.node] as SimNode
        this.#start(node)
        return this.#dial(node)
      }
    }
  }

  #arrive(from: number, to: number, session: number, rpc: Rpc, length: number): void {
    const node = this.nodes[to] as SimNode
    const sender = this.nodes[from] as SimNode
    if (!node.online || session !== sender.session || !node.links.has(from)) return
    if (node.hostile !== undefined) return node.hostile.heard(sender.id, rpc, this.now)
    node.received += length
    this.#copies += sender.hostile === undefined ? rpc.publish.length : 0
    node.router.handle({ t: 'rpc', peer: sender.id, rpc }, this.now)
    this.#drain(node)
  }

  #drain(node: SimNode): void {
    const { router } = node
    for (let output = router.poll(); output !== undefined; output = router.poll()) {
      switch (output.t) {
        case 'send': {
          const to = this.nodes[this.#indexOf.get(output.peer) as number] as SimNode
          for (let rpc = router.take(output.peer); rpc !== undefined; rpc = router.take(output.peer)) this.#transmit(node, to, rpc)
          break
        }
        case 'sign':
          router.handle({ t: 'signed', ticket: output.ticket, signature: SIGNATURE }, this.now)
          break
        case 'verify':
          router.handle({ t: 'verified', id: output.id, valid: output.signature[0] !== WRONG }, this.now)
          break
        case 'validate': {
          const { index, session } = node
          this.#wheel.put(this.now + this.options.validation, { t: 'verdict', node: index, session, id: output.message.id })
          break
        }
        case 'message': {
          const tally = this.#tallies.get(output.message.id)
          if (tally === undefined) break
          this.#firsts += 1
          const passedBy = this.#indexOf.get(output.from) as number
          tally.hops[node.index] = (passedBy === tally.author ? 1 : (tally.hops[passedBy] as number)) + 1
          tally.milliseconds[node.index] = Math.min(this.now - tally.publishedAt, 0xffff)
          break
        }
        default:
      }
    }
  }

  #transmit(node: SimNode, to: SimNode, rpc: Rpc): void {
    const body = rpcLength(rpc)
    const length = body + varintLength(body)
    node.sent += length
    this.#rpcs += 1
    const { loss } = this.options
    if (loss > 0 && this.#random.u32() < loss * 0x1_0000_0000) return
    this.#wheel.put(this.now + this.#latencyOf(node.index, to.index), {
      t: 'rpc',
      from: node.index,
      to: to.index,
      session: node.session,
      rpc,
      length,
    })
  }

  /** The same both ways, and always. */
  #latencyOf(a: number, b: number): number {
    const [least, most] = this.options.latency
    let hash = Math.imul(Math.min(a, b) + 1, 0x9e3779b1) ^ Math.imul(Math.max(a, b) + 1, 0x85ebca77) ^ this.options.seed
    hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d)
    hash ^= hash >>> 12
    return least + ((hash >>> 0) % (most - least + 1))
  }

  #publish(): void {
    if (!this.#publishing) return
    const { rate, size } = this.options
    this.#wheel.put(this.now + Math.max(1, Math.round(1_000 / rate)), { t: 'publish' })
    let node = this.nodes[this.#random.below(this.nodes.length)] as SimNode
    while (node.hostile !== undefined || !node.online) node = this.nodes[this.#random.below(this.nodes.length)] as SimNode
    const topic = this.#topics[this.#random.below(this.#topics.length)] as string
    const id = node.router.publish(topic, new Uint8Array(size), this.now)
    node.seqno += 1n
    if (id !== undefined) {
      this.#tallies.set(id, {
        publishedAt: this.now,
        author: node.index,
        hops: new Uint8Array(this.nodes.length),
        milliseconds: new Uint16Array(this.nodes.length),
      })
    }
    this.#drain(node)
  }

  #churn(): void {
    if (!this.#publishing) return
    this.#wheel.put(this.now + 1_000, { t: 'churn' })
    for (let i = 0; i < this.options.churn; i++) {
      const node = this.nodes[this.#random.below(this.nodes.length)] as SimNode
      if (node.hostile !== undefined || !node.online) continue
      node.online = false
      node.session += 1
      node.presence.leave(this.now)
      for (const to of node.links) {
        const other = this.nodes[to] as SimNode
        other.links.delete(node.index)
        if (other.hostile !== undefined) continue
        other.router.handle({ t: 'disconnect', peer: node.id }, this.now)
        this.#drain(other)
        // Who has few peers left looks for others.
        if (other.links.size < this.options.degree) this.#connect(other, this.#random.below(this.nodes.length))
      }
      node.links.clear()
      this.#wheel.put(this.now + AWAY, { t: 'return', node: node.index })
    }
  }

  #hostileInMesh(): number {
    let all = 0
    let bad = 0
    for (const node of this.nodes) {
      if (node.hostile !== undefined || !node.online) continue
      for (const topic of this.#topics) {
        for (const peer of node.router.mesh(topic)) {
          all += 1
          if (this.nodes[this.#indexOf.get(peer) as number]?.hostile !== undefined) bad += 1
        }
      }
    }
    return all === 0 ? 0 : bad / all
  }

  #report(before: number): Report {
    const { nodes } = this
    const { graylist } = { ...defaultScoreParams, ...this.#score }.thresholds
    const opinion = (kind: HostileKind | undefined): Opinion => opinionOf(nodes, kind, graylist)
    return {
      ...deliveriesOf(nodes, this.#tallies.values()),
      ...costOf(nodes),
      messages: this.#tallies.size,
      duplicates: this.#firsts === 0 ? 0 : (this.#copies - this.#firsts) / this.#firsts,
      rpcs: this.#rpcs,
      hostileInMesh: { before, after: this.#hostileInMesh() },
      honestScore: opinion(undefined),
      hostileScore: { spam: opinion('spam'), silent: opinion('silent'), eclipse: opinion('eclipse'), iwant: opinion('iwant') },
    }
  }
}

const SIGNATURE = new Uint8Array(64)
