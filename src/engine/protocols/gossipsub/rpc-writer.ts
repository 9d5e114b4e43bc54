/**
 * Writes RPCs (rpc.ts) behind their length, in one allocation: messages are copied as they are, once.
 */

import { utf8Length, writeUtf8 } from '../../codec/bytes.ts'
import { varintLength, writeVarint } from '../../codec/varint.ts'
import type { Message } from './message.ts'
import type { Control, Extensions, Have, Offered, Parts, Prune, Rpc, Subscription } from './rpc.ts'
import { writeLatin1 } from './text.ts'

const TEST_EXTENSION = 6492434

/** A length-delimited field whose tag has one byte. */
const field = (length: number): number => 1 + varintLength(length) + length

export const messageLength = (message: Message): number => field(message.raw.length)
const subscriptionBody = ({ topic, partial }: Subscription): number =>
  2 + field(utf8Length(topic)) + (partial === undefined ? 0 : partial === 'request' ? 4 : 2)
export const subscriptionLength = (subscription: Subscription): number => field(subscriptionBody(subscription))
const partsBody = ({ topic, group, message, metadata }: Parts): number =>
  field(utf8Length(topic)) +
  field(group.length) +
  (message === undefined ? 0 : field(message.length)) +
  (metadata === undefined ? 0 : field(metadata.length))
export const partsLength = (parts: Parts): number => field(partsBody(parts))
export const idLength = (id: string): number => field(id.length)
export const graftLength = (topic: string): number => field(field(utf8Length(topic)))
export const pruneLength = (prune: Prune): number => field(pruneBody(prune))

const offeredBody = ({ peer, record }: Offered): number => field(peer.length) + (record === undefined ? 0 : field(record.length))
const pruneBody = ({ topic, peers, backoff }: Prune): number => {
  let length = field(utf8Length(topic)) + (backoff === undefined ? 0 : 1 + varintLength(backoff))
  for (const offered of peers) length += field(offeredBody(offered))
  return length
}
const idsBody = (ids: readonly string[]): number => {
  let length = 0
  for (const id of ids) length += idLength(id)
  return length
}
const haveBody = ({ topic, ids }: Have): number => field(utf8Length(topic)) + idsBody(ids)
const extensionsBody = ({ partial, test }: Extensions): number => (partial ? 2 : 0) + (test ? varintLength(TEST_EXTENSION * 8) + 1 : 0)

const controlBody = ({ ihave, iwant, graft, prune, idontwant, extensions }: Control): number => {
  let length = 0
  for (const have of ihave) length += field(haveBody(have))
  if (iwant.length > 0) length += field(idsBody(iwant))
  for (const topic of graft) length += graftLength(topic)
  for (const each of prune) length += pruneLength(each)
  if (idontwant.length > 0) length += field(idsBody(idontwant))
  if (extensions !== undefined) length += field(extensionsBody(extensions))
  return length
}

/** Bytes of the RPC, without its length in front. */
export const rpcLength = ({ subscriptions, publish, control, parts, test }: Rpc): number => {
  let length = 0
  for (const subscription of subscriptions) length += subscriptionLength(subscription)
  for (const message of publish) length += messageLength(message)
  if (control !== undefined) length += field(controlBody(control))
  if (parts !== undefined) length += partsLength(parts)
  if (test) length += varintLength(TEST_EXTENSION * 8) + 1
  return length
}

class Out {
  readonly bytes: Uint8Array
  at = 0

  constructor(length: number) {
    this.bytes = new Uint8Array(length)
  }

  varint(value: number): void {
    this.at = writeVarint(value, this.bytes, this.at)
  }

  head(tag: number, length: number): void {
    this.bytes[this.at++] = tag
    this.varint(length)
  }

  bytesField(tag: number, bytes: Uint8Array): void {
    this.head(tag, bytes.length)
    this.bytes.set(bytes, this.at)
    this.at += bytes.length
  }

  text(tag: number, text: string): void {
    this.head(tag, utf8Length(text))
    this.at = writeUtf8(text, this.bytes, this.at)
  }

  ids(tag: number, ids: readonly string[]): void {
    for (const id of ids) {
      this.head(tag, id.length)
      this.at = writeLatin1(id, this.bytes, this.at)
    }
  }
}

/** The RPC behind its length. */
export const frameRpc = (rpc: Rpc): Uint8Array => {
  const length = rpcLength(rpc)
  const out = new Out(varintLength(length) + length)
  out.varint(length)
  for (const subscription of rpc.subscriptions) {
    const { subscribe, topic, partial } = subscription
    out.head(0x0a, subscriptionBody(subscription))
    out.head(0x08, subscribe ? 1 : 0)
    out.text(0x12, topic)
    if (partial === 'request') out.head(0x18, 1)
    if (partial !== undefined) out.head(0x20, 1)
  }
  for (const message of rpc.publish) out.bytesField(0x12, message.raw)
  if (rpc.control !== undefined) {
    out.head(0x1a, controlBody(rpc.control))
    writeControl(rpc.control, out)
  }
  if (rpc.parts !== undefined) {
    const { topic, group, message, metadata } = rpc.parts
    out.head(0x52, partsBody(rpc.parts))
    out.text(0x0a, topic)
    out.bytesField(0x12, group)
    if (message !== undefined) out.bytesField(0x1a, message)
    if (metadata !== undefined) out.bytesField(0x22, metadata)
  }
  if (rpc.test) {
    out.varint(TEST_EXTENSION * 8 + 2)
    out.varint(0)
  }
  return out.bytes
}

const writeControl = ({ ihave, iwant, graft, prune, idontwant, extensions }: Control, out: Out): void => {
  for (const have of ihave) {
    out.head(0x0a, haveBody(have))
    out.text(0x0a, have.topic)
    out.ids(0x12, have.ids)
  }
  if (iwant.length > 0) {
    out.head(0x12, idsBody(iwant))
    out.ids(0x0a, iwant)
  }
  for (const topic of graft) {
    out.head(0x1a, field(utf8Length(topic)))
    out.text(0x0a, topic)
  }
  for (const each of prune) {
    out.head(0x22, pruneBody(each))
    out.text(0x0a, each.topic)
    for (const offered of each.peers) {
      out.head(0x12, offeredBody(offered))
      out.bytesField(0x0a, offered.peer)
      if (offered.record !== undefined) out.bytesField(0x12, offered.record)
    }
    if (each.backoff !== undefined) out.head(0x18, each.backoff)
  }
  if (idontwant.length > 0) {
    out.head(0x2a, idsBody(idontwant))
    out.ids(0x0a, idontwant)
  }
  if (extensions !== undefined) {
    out.head(0x32, extensionsBody(extensions))
    if (extensions.partial) out.head(0x50, 1)
    if (extensions.test) {
      out.varint(TEST_EXTENSION * 8)
      out.varint(1)
    }
  }
}
