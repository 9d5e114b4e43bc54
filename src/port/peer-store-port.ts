/**
 * The engine's end of `peer.peerStore`.
 */

import { parsePeerId } from '../engine/codec/peer-id.ts'
import type { Node } from '../engine/net/node.ts'
import type { PeerRecord } from '../engine/net/peer-store.ts'
import type { KnownPeer } from '../types.ts'
import type { Commander } from './control.ts'

/** `node` throws where the engine is not running. */
export const peerStoreCommands = (node: () => Node): Pick<Commander, 'peers' | 'peer' | 'tagPeer' | 'deletePeer'> => ({
  peers(_args, resolve) {
    resolve(node().peerStore.all().map(knownPeer))
    return undefined
  },
  peer(id, resolve) {
    const record = node().peerStore.get(parsePeerId(id))
    resolve(record === undefined ? undefined : knownPeer(record))
    return undefined
  },
  tagPeer({ id, tag, value }, resolve) {
    const ours = node()
    const peer = parsePeerId(id)
    ours.peerStore.update(peer, { tags: { [tag]: value } }, ours.host.date())
    ours.tagged(peer)
    resolve(undefined)
    return undefined
  },
  deletePeer(id, resolve) {
    const ours = node()
    const peer = parsePeerId(id)
    const known = ours.peerStore.delete(peer)
    ours.tagged(peer)
    resolve(known)
    return undefined
  },
})

const knownPeer = ({ id, addresses, certified, protocols, agent, tags, seenAt }: PeerRecord): KnownPeer => ({
  id,
  addresses: addresses.map(({ text }) => text),
  certified: certified.map(({ text }) => text),
  protocols,
  agent,
  tags,
  seenAt,
})
