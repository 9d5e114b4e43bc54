/**
 * What goes over a pubsub stream: RPCs (specs: pubsub/README.md §The RPC, gossipsub/gossipsub-v1.0.md to v1.3.md §Protobuf,
 * gossipsub/partial-messages.md and extensions/extensions.proto).
 *
 *   RPC       = { 1: subscriptions {1: subscribe, 2: topic, 3: requests partial, 4: supports sending partial}, 2: messages, 3: control,
 *                 10: parts {1: topic, 2: group, 3: partial message, 4: parts metadata}, 6492434: test extension }
 *   control   = { 1: IHAVE {1: topic, 2: ids}, 2: IWANT {1: ids}, 3: GRAFT {1: topic},
 *                 4: PRUNE {1: topic, 2: peers {1: id, 2: signed record}, 3: back-off in seconds},
 *                 5: IDONTWANT {1: ids}, 6: extensions {10: partial messages, 6492434: test} }
 *
 * Topics that can't be read and ids over GOSSIP_MAX_ID are left out, and so is what is beyond a list's bound: a peer in many topics may
 * well send more than we look at. How long parts may be is for the router to say (partial.ts).
 */

import type { Message } from './message.ts'

/**
 * What a subscriber has to do with parts of a topic's messages (partial-messages.md §Changes to SubOpts): it sends them to who asks, or it
 * also asks for them itself.
 */
export type PartialRole = 'support' | 'request'

export interface Subscription {
  readonly subscribe: boolean
  readonly topic: string
  /** Absent where it takes no part in them, and where it leaves. */
  readonly partial?: PartialRole | undefined
}

/** Some parts of the message that a group stands for, and what the sender has and wants of it; what they look like is the application's. */
export interface Parts {
  readonly topic: string
  readonly group: Uint8Array
  /** What is unset says nothing; what is empty may. */
  readonly message: Uint8Array | undefined
  readonly metadata: Uint8Array | undefined
}

export interface Have {
  readonly topic: string
  readonly ids: readonly string[]
}

/** A peer that a PRUNE offers instead of its sender. */
export interface Offered {
  /** The multihash of a peer id, unchecked. */
  readonly peer: Uint8Array
  readonly record: Uint8Array | undefined
}

export interface Prune {
  readonly topic: string
  readonly peers: readonly Offered[]
  /** Seconds. */
  readonly backoff: number | undefined
}

export interface Extensions {
  readonly partial: boolean
  readonly test: boolean
}

export interface Control {
  readonly ihave: readonly Have[]
  readonly iwant: readonly string[]
  readonly graft: readonly string[]
  readonly prune: readonly Prune[]
  readonly idontwant: readonly string[]
  readonly extensions: Extensions | undefined
}

export interface Rpc {
  readonly subscriptions: readonly Subscription[]
  readonly publish: readonly Message[]
  readonly control: Control | undefined
  readonly parts: Parts | undefined
  /** The message of the test extension is there. */
  readonly test: boolean
}

export const none: readonly never[] = Object.freeze([])
