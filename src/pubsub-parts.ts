/**
 * Parts of messages (partial messages of gossipsub) between the application and the lane of pubsub.
 */

import { utf8 } from './engine/codec/bytes.ts'
import { GOSSIP_MAX_GROUP, GOSSIP_MAX_PARTS } from './engine/limits.ts'
import { TabmeshError } from './errors.ts'
import type { Records } from './port/lane.ts'
import { type Parts, readParts } from './port/pubsub-parts.ts'
import { REQUESTS } from './port/pubsub-records.ts'
import type { MessageParts, PartialMessage } from './types/pubsub.ts'

/** Throws ERR_INVALID_ARGUMENT. How long each may be the engine says; it is not handed more than all of them may be. */
export const bytesOfParts = (topic: string, parts: MessageParts): Parts => {
  const [group, message, metadata] = [parts.group, parts.message, parts.metadata].map(optionalBytes)
  if (group === undefined) throw new TabmeshError('ERR_INVALID_ARGUMENT', 'parts are of a `group`')
  const length = group.length + (message?.length ?? 0) + (metadata?.length ?? 0)
  if (length > GOSSIP_MAX_PARTS + GOSSIP_MAX_GROUP)
    throw new TabmeshError('ERR_INVALID_ARGUMENT', `parts and metadata of ${length} bytes, where ${GOSSIP_MAX_PARTS} reach all peers`)
  return { topic, group, message, metadata }
}

const optionalBytes = (value: unknown): Uint8Array | undefined => {
  if (value === undefined || value instanceof Uint8Array) return value
  if (typeof value === 'string') return utf8(value)
  throw new TabmeshError('ERR_INVALID_ARGUMENT', 'parts are Uint8Array or string')
}

export const readPartialMessage = (records: Records): PartialMessage => {
  const { topic, flags, group, message, metadata } = readParts(records)
  const from = records.text()
  const requests = (flags & REQUESTS) !== 0
  return { topic, from, requests, group, ...(message && { message }), ...(metadata && { metadata }) }
}
