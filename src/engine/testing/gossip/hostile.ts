/**
 * Hostile nodes: what they send to the honest ones they are connected to, once a second.
 *
 *   spam        messages with wrong signatures, and word of messages that do not exist
 *   silent      is in every mesh that takes it, keeps to all rules, and passes nothing on
 *   eclipse     crowds around the same few nodes, grafts them without regard to back-offs, and passes nothing on
 *   iwant       asks for everything there is again and again
 */

import type { PeerId } from '../../codec/peer-id.ts'
import { Author, type Authors } from '../../protocols/gossipsub/authors.ts'
import { addSignature, type Message, readMessage, writeMessage } from '../../protocols/gossipsub/message.ts'
import { originMessageId } from '../../protocols/gossipsub/message-id.ts'
import type { Control, Rpc } from '../../protocols/gossipsub/rpc.ts'
import { seqnoBytes } from '../../protocols/gossipsub/signing.ts'
import { TopicNames } from '../../protocols/gossipsub/text.ts'

export const HOSTILE_KINDS = ['spam', 'silent', 'eclipse', 'iwant'] as const
export type HostileKind = (typeof HOSTILE_KINDS)[number]

/** Begins a signature that is wrong. */
export const WRONG = 0xff

const none: readonly never[] = []
const control = (some: Partial<Control>): Rpc => ({
  subscriptions: none,
  publish: none,
  control: { ihave: none, iwant: none, graft: none, prune: none, idontwant: none, extensions: undefined, ...some },
  parts: undefined,
  test: false,
})

const SPAM = 5
const LIES = 100
const ASKS = 5
const ASKED = 500
/** Ids that an asker keeps to ask for. */
const KNOWN = 2_000

export class Hostile {
  readonly kind: HostileKind
  readonly #topics: readonly string[]
  readonly #bytes: Uint8Array
  readonly #authors: Authors
  readonly #names = new TopicNames()
  readonly #known: string[] = []
  /** When it may graft each of its neighbours without breaking a rule. */
  readonly #graftAt = new Map<PeerId, number>()
  #count = 0

  constructor(kind: HostileKind, topics: readonly string[], from: Uint8Array, authors: Authors) {
    this.kind = kind
    this.#topics = topics
    this.#bytes = from
    this.#authors = authors
  }

  greet(): Rpc {
    return { ...control({ graft: this.#topics }), subscriptions: this.#topics.map((topic) => ({ topic, subscribe: true })) }
  }

  heard(from: PeerId, rpc: Rpc, now: number): void {
    for (const { backoff = 60 } of rpc.control?.prune ?? none) this.#graftAt.set(from, now + backoff * 1_000 + 2_000)
    if (this.kind !== 'iwant') return
    for (const { id } of rpc.publish) this.#know(id)
    for (const { ids } of rpc.control?.ihave ?? none) for (const id of ids) this.#know(id)
  }

  /** What it says to one neighbour this second. */
  say(to: PeerId, now: number): Rpc[] {
    switch (this.kind) {
      case 'spam':
        return [
          { ...control({ ihave: this.#topics.map((topic) => ({ topic, ids: this.#lies() })) }), publish: this.#spam() },
          control({ graft: this.#topics }),
        ]
      case 'silent':
        if ((this.#graftAt.get(to) ?? 0) > now) return []
        this.#graftAt.set(to, now + 62_000)
        return [control({ graft: this.#topics })]
      case 'eclipse':
        return [control({ graft: this.#topics })]
      case 'iwant':
        return Array.from({ length: ASKS }, () => control({ iwant: this.#known.slice(-ASKED) }))
    }
  }

  #know(id: string): void {
    if (this.#known.length === KNOWN) this.#known.splice(0, KNOWN / 2)
    this.#known.push(id)
  }

  #lies(): string[] {
    return Array.from({ length: LIES }, () => `lie ${this.#bytes.join('')} ${this.#count++}`)
  }

  #spam(): Message[] {
    const messages: Message[] = []
    for (const topic of this.#topics) {
      for (let i = 0; i < SPAM; i++) {
        const unsigned = writeMessage(
          this.#names,
          topic,
          new Uint8Array(100),
          new Author(this.#bytes),
          seqnoBytes(BigInt(this.#count++)),
        ).raw
        const raw = addSignature(unsigned, new Uint8Array(64).fill(WRONG), undefined)
        const message = readMessage(raw, this.#names, this.#authors, originMessageId)
        if (message !== undefined) messages.push(message)
      }
    }
    return messages
  }
}
