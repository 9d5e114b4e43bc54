/**
 * Reads RPCs (rpc.ts). One reader for a stream: what says the same again and again (topics, authors) is read once.
 *
 * Bounds: GOSSIP_MAX_LIST entries of each list are looked at, GOSSIP_MAX_OFFERED peers of a PRUNE, ids of GOSSIP_MAX_ID bytes. What is
 * beyond is passed over without making anything of it. Throws ERR_DECODE where the bytes are no protobuf.
 */

import { GOSSIP_MAX_ID, GOSSIP_MAX_LIST, GOSSIP_MAX_OFFERED, GOSSIP_MAX_RECORD } from '../../limits.ts'
import type { Authors } from './authors.ts'
import type { Message, MessageId } from './message.ts'
import { readMessage } from './message.ts'
import type { Control, Extensions, Have, Offered, PartialRole, Parts, Prune, Rpc, Subscription } from './rpc.ts'
import { none } from './rpc.ts'
import { latin1, type TopicNames } from './text.ts'
import { WireReader } from './wire-reader.ts'

const TEST_EXTENSION = 6492434

type Mutable<T> = { -readonly [K in keyof T]: T[K] extends readonly (infer E)[] ? E[] : T[K] }

export class RpcReader {
  readonly #names: TopicNames
  readonly #authors: Authors
  readonly #messageId: MessageId
  /** Ids that may still be read of this RPC, all lists together: each one is a string. */
  #ids = 0

  constructor(names: TopicNames, authors: Authors, messageId: MessageId) {
    this.#names = names
    this.#authors = authors
    this.#messageId = messageId
  }

  read(frame: Uint8Array): Rpc {
    const reader = new WireReader(frame)
    this.#ids = 2 * GOSSIP_MAX_LIST
    const publish: Message[] = []
    let subscriptions: Subscription[] | undefined
    let control: Mutable<Control> | undefined
    let parts: Parts | undefined
    let test = false
    let seen = 0
    while (reader.at < reader.end) {
      const tag = reader.small()
      if (tag === 0x12) {
        const end = reader.length()
        if (++seen <= GOSSIP_MAX_LIST) {
          const message = readMessage(frame.subarray(reader.at, end), this.#names, this.#authors, this.#messageId)
          if (message !== undefined) publish.push(message)
        }
        reader.at = end
      } else if (tag === 0x0a) {
        const subscription = this.#subscription(reader, reader.length())
        subscriptions ??= []
        if (subscription !== undefined && subscriptions.length < GOSSIP_MAX_LIST) subscriptions.push(subscription)
      } else if (tag === 0x1a) {
        control ??= { ihave: [], iwant: [], graft: [], prune: [], idontwant: [], extensions: undefined }
        this.#control(reader, reader.length(), control)
      } else if (tag === 0x52) {
        parts = this.#parts(reader, reader.length())
      } else {
        if (tag === TEST_EXTENSION * 8 + 2) test = true
        reader.skip(tag)
      }
    }
    return { subscriptions: subscriptions ?? none, publish, control, parts, test }
  }

  #subscription(reader: WireReader, end: number): Subscription | undefined {
    let subscribe = false
    let topic: string | undefined
    let requests = false
    let supports = false
    within(reader, end, (tag) => {
      if (tag === 0x08) subscribe = reader.varint() !== 0
      else if (tag === 0x12) topic = this.#topic(reader)
      else if (tag === 0x18) requests = reader.varint() !== 0
      else if (tag === 0x20) supports = reader.varint() !== 0
      else reader.skip(tag)
    })
    if (topic === undefined) return undefined
    const partial: PartialRole | undefined = requests ? 'request' : supports ? 'support' : undefined
    return subscribe && partial !== undefined ? { subscribe, topic, partial } : { subscribe, topic }
  }

  /** Undefined where its topic can't be read. */
  #parts(reader: WireReader, end: number): Parts | undefined {
    let topic: string | undefined
    let group: Uint8Array | undefined
    let message: Uint8Array | undefined
    let metadata: Uint8Array | undefined
    within(reader, end, (tag) => {
      if (tag === 0x0a) topic = this.#topic(reader)
      else if (tag === 0x12) group = bytesOf(reader)
      else if (tag === 0x1a) message = bytesOf(reader)
      else if (tag === 0x22) metadata = bytesOf(reader)
      else reader.skip(tag)
    })
    return topic === undefined ? undefined : { topic, group: group ?? noBytes, message, metadata }
  }

  #control(reader: WireReader, end: number, control: Mutable<Control>): void {
    within(reader, end, (tag) => {
      switch (tag) {
        case 0x0a:
          addTo(control.ihave, this.#have(reader, reader.length()))
          break
        case 0x12:
          this.#idList(reader, reader.length(), control.iwant)
          break
        case 0x1a:
          addTo(control.graft, this.#topicOf(reader, reader.length()))
          break
        case 0x22:
          addTo(control.prune, this.#prune(reader, reader.length()))
          break
        case 0x2a:
          this.#idList(reader, reader.length(), control.idontwant)
          break
        case 0x32:
          control.extensions = extensionsOf(reader, reader.length())
          break
        default:
          reader.skip(tag)
      }
    })
  }

  #have(reader: WireReader, end: number): Have | undefined {
    let topic: string | undefined
    const ids: string[] = []
    within(reader, end, (tag) => {
      if (tag === 0x0a) topic = this.#topic(reader)
      else if (tag === 0x12) this.#id(reader, ids)
      else reader.skip(tag)
    })
    return topic === undefined ? undefined : { topic, ids }
  }

  #topicOf(reader: WireReader, end: number): string | undefined {
    let topic: string | undefined
    within(reader, end, (tag) => {
      if (tag === 0x0a) topic = this.#topic(reader)
      else reader.skip(tag)
    })
    return topic
  }

  #prune(reader: WireReader, end: number): Prune | undefined {
    let topic: string | undefined
    let backoff: number | undefined
    const peers: Offered[] = []
    within(reader, end, (tag) => {
      if (tag === 0x0a) topic = this.#topic(reader)
      else if (tag === 0x12) {
        const offered = offeredOf(reader, reader.length())
        if (offered !== undefined && peers.length < GOSSIP_MAX_OFFERED) peers.push(offered)
      } else if (tag === 0x18) backoff = reader.varint()
      else reader.skip(tag)
    })
    return topic === undefined ? undefined : { topic, peers, backoff }
  }

  #idList(reader: WireReader, end: number, ids: string[]): void {
    within(reader, end, (tag) => {
      if (tag === 0x0a) this.#id(reader, ids)
      else reader.skip(tag)
    })
  }

  #id(reader: WireReader, ids: string[]): void {
    const end = reader.length()
    if (ids.length < GOSSIP_MAX_LIST && this.#ids > 0 && end - reader.at <= GOSSIP_MAX_ID) {
      ids.push(latin1(reader.bytes, reader.at, end))
      this.#ids -= 1
    }
    reader.at = end
  }

  #topic(reader: WireReader): string | undefined {
    const end = reader.length()
    const topic = this.#names.read(reader.bytes, reader.at, end)
    reader.at = end
    return topic
  }
}

/** Calls `field` for each field up to `end`, where the reader then is. */
const within = (reader: WireReader, end: number, field: (tag: number) => void): void => {
  const outer = reader.end
  reader.end = end
  while (reader.at < end) field(reader.small())
  reader.end = outer
}

const noBytes = new Uint8Array(0)

/** A part of the frame. */
const bytesOf = (reader: WireReader): Uint8Array => {
  const end = reader.length()
  const bytes = reader.bytes.subarray(reader.at, end)
  reader.at = end
  return bytes
}

const addTo = <T>(list: T[], item: T | undefined): void => {
  if (item !== undefined && list.length < GOSSIP_MAX_LIST) list.push(item)
}

const offeredOf = (reader: WireReader, end: number): Offered | undefined => {
  let peer: Uint8Array | undefined
  let record: Uint8Array | undefined
  within(reader, end, (tag) => {
    if (tag !== 0x0a && tag !== 0x12) return reader.skip(tag)
    const bytes = bytesOf(reader)
    if (tag === 0x0a) peer = bytes
    else record = bytes
  })
  if (peer === undefined || (record !== undefined && record.length > GOSSIP_MAX_RECORD)) return undefined
  return { peer, record }
}

/** gossipsub-v1.3.md: unknown ones are ignored. */
const extensionsOf = (reader: WireReader, end: number): Extensions => {
  let partial = false
  let test = false
  within(reader, end, (tag) => {
    if (tag === 0x50) partial = reader.varint() !== 0
    else if (tag === TEST_EXTENSION * 8) test = reader.varint() !== 0
    else reader.skip(tag)
  })
  return { partial, test }
}
