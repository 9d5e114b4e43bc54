/**
 * IDONTWANT: who has a large message says so before the others send it too (specs: pubsub/gossipsub/gossipsub-v1.2.md).
 *
 * It is said once the signature was checked, and not before as in go: whoever can make us say it of a message that does not exist yet
 * keeps the real one from us. Bounds: `maxIDontWantMessages` RPCs of a peer in a heartbeat, `maxIDontWantLength` ids of each, and
 * GOSSIP_MAX_UNWANTED ids altogether.
 */

import { GOSSIP_MAX_UNWANTED } from '../../limits.ts'
import type { Message } from './message.ts'
import type { Peer } from './peer.ts'
import type { State } from './state.ts'
import type { Topic } from './topic.ts'

export const sayDontWant = (state: State, topic: Topic, message: Message, from: Peer): void => {
  if (message.dataLength < state.params.iDontWantThreshold) return
  // Who has us ask for parts sends none whole.
  const partial = topic.partial === 'request' ? topic.supporting : undefined
  for (const peer of topic.mesh ?? []) {
    if (peer === from || !peer.hasIDontWant || partial?.has(peer)) continue
    peer.out.dontWant(message.id)
    state.ready(peer)
  }
}

export const onDontWant = (state: State, peer: Peer, ids: readonly string[]): void => {
  if (ids.length === 0) return
  const { maxIDontWantMessages, maxIDontWantLength, iDontWantTtl } = state.params
  if (peer.dontWants >= maxIDontWantMessages) return
  peer.dontWants += 1
  peer.unwanted ??= new Map()
  const { unwanted } = peer
  for (let i = 0; i < ids.length && i < maxIDontWantLength && unwanted.size < GOSSIP_MAX_UNWANTED; i++) {
    unwanted.set(ids[i] as string, iDontWantTtl)
  }
}

/** A heartbeat has passed. */
export const forgetUnwanted = (peer: Peer): void => {
  const { unwanted } = peer
  if (unwanted === undefined) return
  for (const [id, beats] of unwanted) {
    if (beats <= 1) unwanted.delete(id)
    else unwanted.set(id, beats - 1)
  }
  if (unwanted.size === 0) peer.unwanted = undefined
}
