/**
 * Commands of `peer.pubsub`; what is said and heard has a port of its own (pubsub-port.ts).
 */

import { parsePeerId } from '../engine/codec/peer-id.ts'
import type { Commander } from './control.ts'
import type { PubsubPort } from './pubsub-port.ts'

/** `pubsub` throws where there is none. */
export const pubsubCommands = (
  pubsub: () => PubsubPort,
): Pick<Commander, 'subscribe' | 'unsubscribe' | 'pubsub' | 'scorePeer' | 'directPeer' | 'rejectParts'> => ({
  subscribe({ topic, validated, partial }, resolve) {
    pubsub().subscribe(topic, validated, partial)
    resolve(undefined)
    return undefined
  },
  unsubscribe(topic, resolve) {
    pubsub().unsubscribe(topic)
    resolve(undefined)
    return undefined
  },
  pubsub(_args, resolve) {
    resolve(pubsub().inspect())
    return undefined
  },
  scorePeer({ id, value }, resolve) {
    pubsub().service.setScore(parsePeerId(id), value)
    resolve(undefined)
    return undefined
  },
  rejectParts({ id, topic }, resolve) {
    pubsub().service.rejectParts(parsePeerId(id), topic)
    resolve(undefined)
    return undefined
  },
  directPeer({ id, on }, resolve) {
    pubsub().direct(parsePeerId(id), on)
    resolve(undefined)
    return undefined
  },
})
