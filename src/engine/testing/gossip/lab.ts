/**
 * One gossipsub router and its peers, who say what a test has them say. Signatures are right unless they begin with WRONG.
 */

import { publicKey } from '../../codec/keys.ts'
import type { PeerId } from '../../codec/peer-id.ts'
import { peerIdFromKey, peerIdToBytes } from '../../codec/peer-id.ts'
import { Author, Authors } from '../../protocols/gossipsub/authors.ts'
import { addSignature, type Message, type MessageId, readMessage, writeMessage } from '../../protocols/gossipsub/message.ts'
import { contentMessageId, originMessageId } from '../../protocols/gossipsub/message-id.ts'
import { MESHSUB_12, type PubsubProtocol } from '../../protocols/gossipsub/peer.ts'
import { Router, type RouterOptions } from '../../protocols/gossipsub/router.ts'
import type { Control, Rpc } from '../../protocols/gossipsub/rpc.ts'
import { seqnoBytes } from '../../protocols/gossipsub/signing.ts'
import type { RouterOutput } from '../../protocols/gossipsub/state.ts'
import { TopicNames } from '../../protocols/gossipsub/text.ts'
import { prng } from '../prng.ts'
import { WRONG } from './hostile.ts'

/** A peer id for each number. */
export const peerOf = (n: number): PeerId => {
  const raw = new Uint8Array(32)
  new DataView(raw.buffer).setUint32(0, n + 1)
  return peerIdFromKey(publicKey('Ed25519', raw))
}

export const rpcOf = (some: Partial<Rpc> & Partial<Control>): Rpc => {
  const {
    subscriptions = [],
    publish = [],
    control,
    parts,
    test = false,
    ihave = [],
    iwant = [],
    graft = [],
    prune = [],
    idontwant = [],
    extensions,
  } = some
  const any = ihave.length + iwant.length + graft.length + prune.length + idontwant.length > 0 || extensions !== undefined
  return { subscriptions, publish, control: any ? { ihave, iwant, graft, prune, idontwant, extensions } : control, parts, test }
}

export interface MessageOptions {
  readonly author?: number
  readonly seqno?: number
  readonly topic?: string
  readonly data?: Uint8Array
  readonly wrong?: boolean
  readonly unsigned?: boolean
}

/** A message of peer number `author`. */
export const messageOf = ({
  author = 99,
  seqno = 1,
  topic = 'news',
  data = Uint8Array.of(1),
  wrong = false,
  unsigned = false,
}: MessageOptions): Message => {
  const raw = unsigned
    ? writeMessage(new TopicNames(), topic, data).raw
    : addSignature(
        writeMessage(new TopicNames(), topic, data, new Author(peerIdToBytes(peerOf(author))), seqnoBytes(BigInt(seqno))).raw,
        new Uint8Array(64).fill(wrong ? WRONG : 1),
        undefined,
      )
  const messageId: MessageId = unsigned ? contentMessageId : originMessageId
  return readMessage(raw, new TopicNames(), new Authors(), messageId) as Message
}

export interface LabOptions extends Partial<RouterOptions> {
  /** The test answers `verify` itself. */
  readonly verifiesItself?: boolean
}

export class Lab {
  now = 0
  readonly router: Router
  readonly self = peerOf(1_000_000)
  /** All that came of the router, but for what is sent. */
  events: RouterOutput[] = []
  /** Peers that take no messages: these wait. */
  readonly slow = new Set<PeerId>()
  readonly #sent = new Map<PeerId, Rpc[]>()
  readonly #options: LabOptions

  constructor(options: LabOptions = {}) {
    this.#options = options
    const random = prng(7)
    this.router = new Router(
      {
        self: this.self,
        signing: { t: 'StrictSign', from: peerIdToBytes(this.self), key: undefined },
        random: (n) => random.below(n),
        seqno: 1n,
        ...options,
      },
      0,
    )
  }

  /** Peers `from` to `to`, the latter left out, that are in `topics`. */
  peers(
    from: number,
    to: number,
    { topics = ['news'], protocol = MESHSUB_12 as PubsubProtocol, outbound = false, ips = [] as string[] } = {},
  ): void {
    for (let n = from; n < to; n++) {
      this.router.handle({ t: 'connect', peer: peerOf(n), protocol, outbound, ips }, this.now)
      this.rpc(n, { subscriptions: topics.map((topic) => ({ subscribe: true, topic })) })
    }
  }

  rpc(n: number, some: Partial<Rpc> & Partial<Control>): void {
    this.router.handle({ t: 'rpc', peer: peerOf(n), rpc: rpcOf(some) }, this.now)
    this.settle()
  }

  publish(n: number, ...messages: MessageOptions[]): Message[] {
    const publish = messages.map(messageOf)
    this.rpc(n, { publish })
    return publish
  }

  join(topic = 'news'): void {
    this.router.join(topic, this.now)
    this.settle()
  }

  leave(topic = 'news'): void {
    this.router.handle({ t: 'leave', topic }, this.now)
    this.settle()
  }

  /** Lets time pass, heartbeats included. */
  run(ms: number): void {
    const end = this.now + ms
    while (this.router.deadline <= end) {
      this.now = Math.max(this.now, this.router.deadline)
      this.router.handle({ t: 'time' }, this.now)
      this.settle()
    }
    this.now = end
  }

  settle(): void {
    for (let output = this.router.poll(); output !== undefined; output = this.router.poll()) {
      if (output.t === 'send') {
        const to = this.#sent.get(output.peer) ?? []
        this.#sent.set(output.peer, to)
        const most = this.slow.has(output.peer) ? 0 : undefined
        for (let rpc = this.router.take(output.peer, most); rpc !== undefined; rpc = this.router.take(output.peer, most)) to.push(rpc)
      } else if (output.t === 'sign') {
        this.router.handle({ t: 'signed', ticket: output.ticket, signature: new Uint8Array(64) }, this.now)
      } else if (output.t === 'verify' && this.#options.verifiesItself !== true) {
        this.router.handle({ t: 'verified', id: output.id, valid: output.signature[0] !== WRONG }, this.now)
      } else this.events.push(output)
    }
  }

  /** What was sent to a peer since this was last asked. */
  sent(n: number): Rpc[] {
    const rpcs = this.#sent.get(peerOf(n)) ?? []
    this.#sent.delete(peerOf(n))
    return rpcs
  }

  /** Forgets what was sent. */
  clear(): void {
    this.#sent.clear()
    this.events = []
  }

  /** The numbers, of `below`, for which something holds of what was sent since last time. */
  who(below: number, holds: (rpc: Rpc) => boolean): number[] {
    return Array.from({ length: below }, (_, n) => n).filter((n) => this.sent(n).some(holds))
  }

  mesh(below: number, topic = 'news'): number[] {
    const mesh = new Set(this.router.mesh(topic))
    return Array.from({ length: below }, (_, n) => n).filter((n) => mesh.has(peerOf(n)))
  }

  messages(): string[] {
    return this.events.flatMap((event) => (event.t === 'message' ? [event.message.id] : []))
  }
}
