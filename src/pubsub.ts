/**
 * Pubsub: publish/subscribe as the application sees it, the page's end of a lane to the engine (port/pubsub-port.ts). It knows no protocol.
 *
 *   publish ─▶ the lane, one batch a task ─▶ … ─▶ on its way: resolved         the lane ─▶ at most PUBSUB_TASK ms a task ─▶ events, validators
 *
 * Bounds: PUBSUB_MAX_WAITING bytes published that the engine has not taken; the lane's window of messages that were not told yet;
 * PUBSUB_MAX_STRANGERS peers of topics that are none of ours.
 */

import { fromUtf8, utf8 } from './engine/codec/bytes.ts'
import { GOSSIP_MAX_DATA, PUBSUB_MAX_STRANGERS, PUBSUB_MAX_WAITING } from './engine/limits.ts'
import { asTabmeshError, inflateError, type PlainError, TabmeshError } from './errors.ts'
import type { ControlClient } from './port/control.ts'
import { Lane, type Records } from './port/lane.ts'
import { LaneReader } from './port/lane-reader.ts'
import { writeParts } from './port/pubsub-parts.ts'
import {
  CHANGE,
  MESSAGE,
  PARTS,
  PUBLISH,
  PUBLISHED,
  type PubsubSettings,
  REFUSED,
  SENT,
  VALIDATE,
  VERDICT,
  verdicts,
} from './port/pubsub-records.ts'
import { bytesOfParts, readPartialMessage } from './pubsub-parts.ts'
import type {
  GossipsubOptions,
  MessageIdFunction,
  MessageParts,
  MessageValidator,
  PartialMessage,
  PublishResult,
  PubsubEvents,
  PubsubMessage,
  PubsubState,
  SubscribeOptions,
} from './types/pubsub.ts'

export interface PubsubOwner {
  readonly self: string
  /** Undefined where pubsub is off. */
  readonly port: MessagePort | undefined
  readonly control: ControlClient
  readonly emitSelf: boolean
  fail(error: TabmeshError): void
}

/** Who waits for what became of a message. */
interface Publication {
  readonly promise: Promise<PublishResult>
  readonly resolve: (result: PublishResult) => void
  readonly reject: (error: TabmeshError) => void
  /** What is told here too, where the application wants that. */
  readonly own: { readonly topic: string; readonly data: Uint8Array } | undefined
}

interface Subscription {
  readonly validate: MessageValidator | undefined
  readonly partial: SubscribeOptions['partial']
}

type Listener<E> = ((event: CustomEvent<E>) => void) | { handleEvent(event: CustomEvent<E>): void } | null

export interface Pubsub {
  addEventListener<K extends keyof PubsubEvents>(
    type: K,
    listener: Listener<PubsubEvents[K]>,
    options?: boolean | AddEventListenerOptions,
  ): void
  removeEventListener<K extends keyof PubsubEvents>(
    type: K,
    listener: Listener<PubsubEvents[K]>,
    options?: boolean | EventListenerOptions,
  ): void
}

// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: the interface only narrows the listener types of EventTarget
export class Pubsub extends EventTarget {
  readonly #owner: PubsubOwner
  readonly #lane: Lane | undefined
  readonly #subscriptions = new Map<string, Subscription>()
  /** Connected peers by topic. */
  readonly #subscribers = new Map<string, Set<string>>()
  #pairs = 0
  readonly #publications = new Publications()
  #reader: LaneReader | undefined
  #over: TabmeshError | undefined

  /** Made by the peer. */
  constructor(owner: PubsubOwner) {
    super()
    this.#owner = owner
    if (owner.port === undefined) {
      this.#over = new TabmeshError('ERR_UNSUPPORTED', 'this peer was started with `pubsub: false`')
      return
    }
    const lane = new Lane(owner.port, (batch) => reader.push(batch))
    const reader = new LaneReader(
      (records) => this.#read(records),
      () => lane.done(),
    )
    this.#lane = lane
    this.#reader = reader
  }

  /** Topics that this peer is in. */
  get topics(): string[] {
    return [...this.#subscriptions.keys()]
  }

  /** Connected peers that are in the topic. */
  subscribers(topic: string): string[] {
    return [...(this.#subscribers.get(topic) ?? [])]
  }

  /**
   * Joins a topic: from now on what others publish to it are `message` events here. Calling it again changes the validator, and `partial`. Rejects
   * with ERR_INVALID_ARGUMENT for a topic of over 1,024 bytes and where 1,000 are joined.
   */
  async subscribe(topic: string, { validate, partial }: SubscribeOptions = {}): Promise<void> {
    this.#check(topic)
    if (partial !== undefined && partial !== 'request' && partial !== 'support')
      throw new TabmeshError('ERR_INVALID_ARGUMENT', `\`partial\` is 'request' or 'support', not ${String(partial)}`)
    if (validate !== undefined && typeof validate !== 'function')
      throw new TabmeshError('ERR_INVALID_ARGUMENT', '`validate` is no function')
    const before = this.#subscriptions.get(topic)
    const subscription: Subscription = { validate, partial }
    this.#subscriptions.set(topic, subscription)
    try {
      await this.#owner.control.run('subscribe', { topic, validated: validate !== undefined, partial })
    } catch (error) {
      if (this.#subscriptions.get(topic) === subscription) {
        if (before === undefined) this.#subscriptions.delete(topic)
        else this.#subscriptions.set(topic, before)
      }
      throw error
    }
  }

  /** Leaves a topic: nothing of it is told after this call. */
  async unsubscribe(topic: string): Promise<void> {
    this.#check(topic)
    if (this.#subscriptions.delete(topic)) await this.#owner.control.run('unsubscribe', topic)
  }

  /**
   * Publishes to everybody who is in the topic; this peer need not be. A string is sent as UTF-8, bytes are copied. Resolves when the message
   * is signed and on its way, which waits while peers are too slow for what was published before. Messages of one peer arrive in order.
   *
   * Rejects with ERR_INVALID_ARGUMENT for over 60 KiB, ERR_PUBLISH_QUEUE when 64 MiB wait, ERR_DUPLICATE_MESSAGE.
   */
  publish(topic: string, data: Uint8Array | string): Promise<PublishResult> {
    try {
      this.#check(topic)
      return this.#publish(topic, typeof data === 'string' ? utf8(data) : data)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  #publish(topic: string, data: Uint8Array): Promise<PublishResult> {
    if (!(data instanceof Uint8Array)) throw new TabmeshError('ERR_INVALID_ARGUMENT', 'a message is Uint8Array or string')
    const lane = this.#lane as Lane
    if (data.length > GOSSIP_MAX_DATA)
      throw new TabmeshError('ERR_INVALID_ARGUMENT', `a message of ${data.length} bytes, where ${GOSSIP_MAX_DATA} reach all peers`)
    if (lane.waiting > PUBSUB_MAX_WAITING) throw new TabmeshError('ERR_PUBLISH_QUEUE', `${lane.waiting} bytes wait to be published`)
    const own = this.#owner.emitSelf ? { topic, data: data.slice() } : undefined
    // Ten thousand calls in a row should not cost a frame: one record at a stroke, and no function made for each promise.
    lane.record(PUBLISH, this.#publications.next, topic, data)
    const promise = new Promise(keepSettlers)
    this.#publications.add({ promise, resolve: settlers.resolve, reject: settlers.reject, own })
    return promise
  }

  /**
   * Sends parts of a message, or which parts this peer has and wants, in a topic that it has subscribed to with `partial`: to the peers `to`, and
   * if that is absent to those of the topic's mesh that have a part in it. `message` is left out for who does not request parts. What of `metadata`
   * went to the mesh is told to other peers that request parts for about three seconds, unless it was said to them; in place of gossip.
   *
   * Resolves with how many peers it is on its way to; one that still has 1,024 of these, or 4 MiB, to take is none of them, and nor is one that does
   * not know partial messages. Rejects with ERR_INVALID_ARGUMENT, also for who is not subscribed so, and with ERR_PUBLISH_QUEUE when 64 MiB wait.
   */
  publishPartial(topic: string, parts: MessageParts, options: { to?: string[] } = {}): Promise<Omit<PublishResult, 'id'>> {
    try {
      this.#check(topic)
      return this.#publishParts(topic, parts, options.to)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  #publishParts(topic: string, parts: MessageParts, to: string[] | undefined): Promise<Omit<PublishResult, 'id'>> {
    const bytes = bytesOfParts(topic, parts)
    if (this.#subscriptions.get(topic)?.partial === undefined)
      throw new TabmeshError('ERR_INVALID_ARGUMENT', `'${topic}' is not subscribed to with \`partial\``)
    const lane = this.#lane as Lane
    if (lane.waiting > PUBSUB_MAX_WAITING) throw new TabmeshError('ERR_PUBLISH_QUEUE', `${lane.waiting} bytes wait to be published`)
    lane.begin(PARTS, 512)
    lane.u32(this.#publications.next)
    writeParts(lane, bytes)
    lane.u32(to === undefined ? 0 : to.length + 1)
    for (const id of to ?? []) lane.text(id)
    const promise = new Promise(keepSettlers)
    this.#publications.add({ promise, resolve: settlers.resolve, reject: settlers.reject, own: undefined })
    return promise
  }

  /** What a peer sent is no part of the message: counts against it as an invalid message does (gossipsub's P₄). */
  async rejectPartial({ topic, from }: Pick<PartialMessage, 'topic' | 'from'>): Promise<void> {
    await this.#owner.control.run('rejectParts', { id: from, topic })
  }

  /** What gossipsub makes of its peers and topics. */
  async inspect(): Promise<PubsubState> {
    return this.#owner.control.run('pubsub', undefined)
  }

  /** What the application thinks of a peer (gossipsub's P₅): added to its score while it is connected, or remembered. 0 at first. */
  async setScore(peerId: string, value: number): Promise<void> {
    if (typeof value !== 'number' || Number.isNaN(value)) throw new TabmeshError('ERR_INVALID_ARGUMENT', `a score of ${value}`)
    await this.#owner.control.run('scorePeer', { id: peerId, value })
  }

  /** Makes a peer a direct one, or no more: see the option `direct`. */
  async setDirect(peerId: string, direct: boolean): Promise<void> {
    await this.#owner.control.run('directPeer', { id: peerId, on: direct })
  }

  /** The engine is gone: what waits rejects with `error`. Called by the peer. */
  end(error: TabmeshError): void {
    if (this.#over !== undefined) return
    this.#over = error
    this.#lane?.close()
    this.#reader?.end()
    this.#subscriptions.clear()
    this.#subscribers.clear()
    for (const { promise, reject } of this.#publications.takeAll()) {
      // Who did not wait for it does not mind, and a Node program must not end for it.
      promise.catch(noop)
      reject(error)
    }
  }

  #check(topic: string): void {
    if (this.#over !== undefined) throw this.#over
    if (typeof topic !== 'string') throw new TabmeshError('ERR_INVALID_ARGUMENT', 'a topic is a string')
  }

  #read(records: Records): void {
    const kind = records.next()
    if (kind === MESSAGE) {
      const message = readMessage(records)
      if (this.#subscriptions.has(message.topic)) this.#tell(message)
    } else if (kind === VALIDATE) {
      const ticket = records.u32()
      void this.#validate(ticket, readMessage(records))
    } else if (kind === PUBLISHED) {
      this.#published(records.u32(), records.u32(), records.bytes())
    } else if (kind === SENT) {
      this.#publications.take(records.u32())?.resolve({ peers: records.u32() } as PublishResult)
    } else if (kind === PARTS) {
      this.#tellParts(records)
    } else if (kind === CHANGE) {
      this.#changed(records.text(), records.text(), records.u32() === 1)
    } else if (kind === REFUSED) {
      const publication = this.#publications.take(records.u32())
      const error = inflateError(JSON.parse(fromUtf8(records.bytes())) as PlainError)
      publication?.reject(asTabmeshError(error, 'ERR_INTERNAL', 'the engine'))
    }
  }

  #published(ticket: number, peersPlusOne: number, id: Uint8Array): void {
    const publication = this.#publications.take(ticket)
    if (publication === undefined) return
    if (peersPlusOne === 0) return publication.reject(new TabmeshError('ERR_INTERNAL', 'the message could not be signed'))
    const text = hex(id)
    publication.resolve({ id: text, peers: peersPlusOne - 1 })
    const { own } = publication
    if (own === undefined || !this.#subscriptions.has(own.topic)) return
    const { self } = this.#owner
    this.#tell(new Received(own.topic, self, self, own.data, text, undefined))
  }

  #tellParts(records: Records): void {
    const detail = readPartialMessage(records)
    if (this.#subscriptions.get(detail.topic)?.partial !== undefined) this.dispatchEvent(new CustomEvent('partial', { detail }))
  }

  #tell(message: PubsubMessage): void {
    this.dispatchEvent(new CustomEvent('message', { detail: message }))
  }

  async #validate(ticket: number, message: PubsubMessage): Promise<void> {
    let verdict = -1
    try {
      const answer = await this.#subscriptions.get(message.topic)?.validate?.(message)
      verdict = answer === undefined && !this.#subscriptions.has(message.topic) ? IGNORE : verdicts.indexOf(answer as never)
      if (verdict < 0) throw new TabmeshError('ERR_INVALID_ARGUMENT', `a validator answers ${verdicts.join(', ')}, not ${String(answer)}`)
    } catch (cause) {
      verdict = IGNORE
      this.#owner.fail(new TabmeshError('ERR_HANDLER', `the validator of '${message.topic}' failed`, { cause }))
    }
    if (this.#over !== undefined) return
    this.#lane?.begin(VERDICT, 8)
    this.#lane?.u32(ticket)
    this.#lane?.u32(verdict)
  }

  #changed(topic: string, peer: string, subscribed: boolean): void {
    const peers = this.#subscribers.get(topic)
    if (subscribed) {
      if (peers?.has(peer)) return
      // What strangers are in is for us to know only as far as it goes.
      if (this.#pairs >= PUBSUB_MAX_STRANGERS && !this.#subscriptions.has(topic)) return
      if (peers === undefined) this.#subscribers.set(topic, new Set([peer]))
      else peers.add(peer)
      this.#pairs += 1
    } else {
      if (!peers?.delete(peer)) return
      this.#pairs -= 1
      if (peers.size === 0) this.#subscribers.delete(topic)
    }
    this.dispatchEvent(new CustomEvent('subscription:change', { detail: { peer, topic, subscribed } }))
  }
}

const noop = (): void => {}

/** Of the promise made last. */
const settlers: { -readonly [K in 'resolve' | 'reject']: Publication[K] } = { resolve: noop, reject: noop }
const keepSettlers = (resolve: (result: PublishResult) => void, reject: (error: TabmeshError) => void): void => {
  settlers.resolve = resolve
  settlers.reject = reject
}

/** By ticket: they are settled almost in the order in which they were made. */
class Publications {
  #list: (Publication | undefined)[] = []
  /** The ticket of the list's first. */
  #first = 0
  /** Places at the beginning of the list that are empty. */
  #empty = 0

  /** The ticket of what is added next. */
  get next(): number {
    return this.#first + this.#list.length
  }

  add(publication: Publication): void {
    this.#list.push(publication)
  }

  take(ticket: number): Publication | undefined {
    const at = ticket - this.#first
    const found = this.#list[at]
    if (found === undefined) return undefined
    this.#list[at] = undefined
    while (this.#empty < this.#list.length && this.#list[this.#empty] === undefined) this.#empty += 1
    if (this.#empty * 2 > this.#list.length) {
      this.#list = this.#list.slice(this.#empty)
      this.#first += this.#empty
      this.#empty = 0
    }
    return found
  }

  takeAll(): Publication[] {
    const all = this.#list.filter((each) => each !== undefined)
    this.#first = this.next
    this.#list = []
    this.#empty = 0
    return all
  }
}

const IGNORE = verdicts.indexOf('ignore')

class Received implements PubsubMessage {
  readonly topic: string
  readonly from: string | undefined
  readonly via: string
  readonly data: Uint8Array
  readonly #id: Uint8Array | string
  readonly seqno?: bigint

  constructor(topic: string, from: string | undefined, via: string, data: Uint8Array, id: Uint8Array | string, seqno: bigint | undefined) {
    this.topic = topic
    this.from = from
    this.via = via
    this.data = data
    this.#id = id
    if (seqno !== undefined) this.seqno = seqno
  }

  /** Made when it is asked for: few ask. */
  get id(): string {
    return typeof this.#id === 'string' ? this.#id : hex(this.#id)
  }

  text(): string {
    return decoder.decode(this.data)
  }
}

const decoder = new TextDecoder()

/** With copies of its bytes: the application may keep, change or transfer them. */
const readMessage = (records: Records): PubsubMessage => {
  const topic = records.text()
  const from = records.text()
  const via = records.text()
  const seqno = records.u64()
  const id = records.copy()
  const data = records.copy()
  return new Received(topic, from === '' ? undefined : from, via, data, id, seqno)
}

/** Younger browsers have their own. */
const hex = (bytes: Uint8Array & { toHex?(): string }): string => {
  if (bytes.toHex !== undefined) return bytes.toHex()
  let text = ''
  for (const byte of bytes) text += byte.toString(16).padStart(2, '0')
  return text
}

/** The options as far as they cross to the engine, which checks them. */
export const pubsubSettings = (options: GossipsubOptions | false = {}): PubsubSettings | false => {
  if (options === false) return false
  const { signing, messageId, direct = [], floodPublish, peerExchange, params = {}, score = {} } = options
  return {
    signing,
    messageId: typeof messageId === 'function' ? undefined : messageId,
    direct,
    params: {
      ...params,
      ...(floodPublish === undefined ? {} : { floodPublish }),
      ...(peerExchange === undefined ? {} : { peerExchange }),
    },
    score,
  }
}

export const messageIdOf = (options: GossipsubOptions | false = {}): MessageIdFunction | undefined =>
  options !== false && typeof options.messageId === 'function' ? options.messageId : undefined
