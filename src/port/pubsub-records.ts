/**
 * What crosses the lane of pubsub, as kinds of records (lane.ts), and the settings that cross once.
 *
 *   page ─▶ engine   PUBLISH  ticket, topic, data              VERDICT    ticket, verdict
 *                    PARTS    ticket, parts, peers + 1 (0: the mesh), each of them (texts)
 *   engine ─▶ page   MESSAGE  message                          VALIDATE   ticket, message
 *                    CHANGE   topic, peer, subscribed          PUBLISHED  ticket, peers + 1 (0: not signed), id
 *                    REFUSED  ticket, error as JSON            PARTS      parts, sender (text)
 *                    SENT     ticket, peers
 *
 *   message = topic, author, relayer (texts; '' for none), seqno (bytes, empty for none), id, data
 *   parts   = topic (text), flags, group, partial message, metadata (bytes; empty for none)
 */

import type { GossipsubParams, GossipsubScoreParams, MessageVerdict } from '../types/pubsub.ts'

export const PUBLISH = 0
export const VERDICT = 1
/** Both ways. */
export const PARTS = 5

export const MESSAGE = 0
export const VALIDATE = 1
export const CHANGE = 2
export const PUBLISHED = 3
export const REFUSED = 4
export const SENT = 6

/** Flags of parts: which there are; and whether who sent them requests parts. */
export const HAS_MESSAGE = 1
export const HAS_METADATA = 2
export const REQUESTS = 4

/** By number. */
export const verdicts: readonly MessageVerdict[] = ['accept', 'reject', 'ignore']

/** `GossipsubOptions` as far as they can cross. */
export interface PubsubSettings {
  readonly signing: 'StrictSign' | 'StrictNoSign' | undefined
  readonly messageId: string | undefined
  readonly direct: readonly string[]
  readonly params: Partial<GossipsubParams>
  readonly score: Partial<GossipsubScoreParams>
}
