/**
 * Parts of a message as they cross the lane of pubsub, both ways (pubsub-records.ts). Bytes that were read are in buffers of their own.
 */

import type { Parts } from '../engine/protocols/gossipsub/rpc.ts'
import type { Lane, Records } from './lane.ts'
import { HAS_MESSAGE, HAS_METADATA } from './pubsub-records.ts'

export type { Parts }

const noBytes = new Uint8Array(0)

export const writeParts = (lane: Lane, { topic, group, message, metadata }: Parts, flags = 0): void => {
  lane.text(topic)
  lane.u32(flags | (message === undefined ? 0 : HAS_MESSAGE) | (metadata === undefined ? 0 : HAS_METADATA))
  lane.bytes(group)
  lane.bytes(message ?? noBytes)
  lane.bytes(metadata ?? noBytes)
}

export const readParts = (records: Records): Parts & { readonly flags: number } => {
  const topic = records.text()
  const flags = records.u32()
  const group = records.copy()
  const message = records.copy()
  const metadata = records.copy()
  return {
    topic,
    flags,
    group,
    message: (flags & HAS_MESSAGE) === 0 ? undefined : message,
    metadata: (flags & HAS_METADATA) === 0 ? undefined : metadata,
  }
}
