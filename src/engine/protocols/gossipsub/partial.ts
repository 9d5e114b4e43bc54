/**
 * Partial messages: peers that agree on it send each other parts of a message, of which the other has told what it lacks.
 * specs: pubsub/gossipsub/partial-messages.md (libp2p/specs#685); where it leaves room, this does as go-libp2p-pubsub does.
 *
 *   both say the extension ─▶ each says its role in a topic when it subscribes ─┬─ it requests, we have a role: parts and metadata, no whole messages
 *                                                                               ├─ it supports, we request: metadata; it sends whole messages
 *                                                                               └─ neither: as without the extension
 *
 * What parts are, who has which and what to send to whom is the application's to say: what comes is told, what it publishes is sent. IHAVE is not for
 * peers that request parts: for some heartbeats after something of a group was published its metadata is told to who was not told, in the mesh (it came
 * later) and, as in all gossip, to some outside. IDONTWANT is not for peers that send us parts.
 *
 * Bounds: GOSSIP_MAX_GROUP, GOSSIP_MAX_PARTS, GOSSIP_MAX_METADATA for one of ours; what comes, but for the parts themselves, which are bounded by their
 * RPC, has the same; the groups' (groups.ts) and the outbox's. What is over a bound or against the rules is counted and dropped, and costs no score (go);
 * what the application finds to be wrong does (§Interaction with Peer Scoring).
 */

import { TabmeshError } from '../../../errors.ts'
import { GOSSIP_MAX_GROUP, GOSSIP_MAX_METADATA, GOSSIP_MAX_PARTS } from '../../limits.ts'
import { Groups, type OwnGroup } from './groups.ts'
import type { Peer } from './peer.ts'
import type { PartialRole, Parts } from './rpc.ts'
import type { State } from './state.ts'
import { latin1 } from './text.ts'
import type { Topic } from './topic.ts'

export type PartsOut = Omit<Parts, 'topic'>

/** A subscription of the peer says so. Who does not know the extension has none, whatever it says. */
export const setRole = (topic: Topic, peer: Peer, said: PartialRole | undefined): void => {
  const role = peer.partial && topic.peers.has(peer) ? said : undefined
  topic.requesting = set(topic.requesting, peer, role === 'request')
  topic.supporting = set(topic.supporting, peer, role !== undefined)
}

const set = (peers: Set<Peer> | undefined, peer: Peer, on: boolean): Set<Peer> | undefined => {
  if (!on) peers?.delete(peer)
  return on ? (peers ?? new Set<Peer>()).add(peer) : peers
}

/** The peer does not know the extension, or not any more. */
export const withoutParts = (peer: Peer): void => {
  for (const topic of peer.topics) setRole(topic, peer, undefined)
}

/** Who says something of parts need not be in the topic or in the mesh: it may publish there only, or gossip. */
export const onParts = (state: State, peer: Peer, parts: Parts): void => {
  const { counts, params } = state
  const topic = state.topics.get(parts.topic)
  const role = topic?.partial
  const { group, metadata } = parts
  // §Changes to SubOpts: no parts for who did not ask for them.
  const message = role === 'request' ? parts.message : undefined
  const said = message !== undefined || metadata !== undefined
  const bounded = group.length <= GOSSIP_MAX_GROUP && (metadata?.length ?? 0) <= GOSSIP_MAX_METADATA
  if (topic === undefined || role === undefined || !peer.partial || !said || !bounded) {
    counts.partsDropped += 1
    return
  }
  topic.groups ??= new Groups()
  if (!topic.groups.hears(latin1(group), peer, params.historyGossip)) {
    counts.partsDropped += 1
    return
  }
  counts.parts += 1
  const requests = topic.requesting?.has(peer) === true
  state.say({ t: 'parts', parts: { topic: parts.topic, group, message, metadata }, from: peer.id, requests })
}

export const publishParts = (state: State, name: string, { group, message, metadata }: PartsOut, to?: Iterable<string>): number => {
  const topic = state.topics.get(name)
  if (topic?.partial === undefined) throw wrong(`parts for '${name}', where this peer has no \`partial\``)
  if (group.length > GOSSIP_MAX_GROUP) throw wrong(`a group id of ${group.length} bytes, where ${GOSSIP_MAX_GROUP} are allowed`)
  const [parts, meta] = [message?.length ?? 0, metadata?.length ?? 0]
  if (message === undefined && metadata === undefined) throw wrong('parts without `message` and `metadata`')
  if (meta > GOSSIP_MAX_METADATA) throw wrong(`metadata of ${meta} bytes, where ${GOSSIP_MAX_METADATA} are allowed`)
  if (parts + meta > GOSSIP_MAX_PARTS) throw wrong(`parts and metadata of ${parts + meta} bytes, where ${GOSSIP_MAX_PARTS} reach all peers`)
  topic.groups ??= new Groups()
  const own = topic.groups.take(latin1(group), group, state.params.historyGossip)
  let count = 0
  if (to !== undefined) {
    for (const id of to) {
      const peer = state.peers.get(id as Peer['id'])
      if (peer !== undefined && send(state, topic, peer, own, message, metadata)) count += 1
    }
    return count
  }
  if (metadata !== undefined) {
    own.metadata = metadata
    own.told = new Set()
  }
  for (const peer of topic.mesh ?? []) {
    if (takesPart(topic, peer) && send(state, topic, peer, own, message, metadata)) count += 1
  }
  for (const id of state.direct) {
    const peer = state.peers.get(id)
    if (peer !== undefined && takesPart(topic, peer) && send(state, topic, peer, own, message, metadata)) count += 1
  }
  return count
}

/** §Behavior table */
const takesPart = (topic: Topic, peer: Peer): boolean =>
  topic.requesting?.has(peer) === true || (topic.partial === 'request' && topic.supporting?.has(peer) === true)

/** Whether something goes to the peer: parts only where it asked for them, metadata wherever it knows what that is. */
const send = (
  state: State,
  topic: Topic,
  peer: Peer,
  own: OwnGroup,
  message: Uint8Array | undefined,
  metadata: Uint8Array | undefined,
): boolean => {
  const wanted = topic.requesting?.has(peer) === true ? message : undefined
  if (!peer.partial || (wanted === undefined && metadata === undefined)) return false
  if (!peer.out.sendParts({ topic: topic.name, group: own.id, message: wanted, metadata })) return false
  if (metadata !== undefined) own.told.add(peer)
  state.ready(peer)
  return true
}

/** Gossip for a peer that has its messages in parts. */
export const tellOfGroups = (state: State, topic: Topic, peer: Peer): void => {
  if (topic.groups === undefined) return
  for (const own of topic.groups.own()) {
    if (own.metadata !== undefined && !own.told.has(peer)) send(state, topic, peer, own, undefined, own.metadata)
  }
}

/** What a heartbeat does for the groups of one topic. */
export const maintainGroups = (state: State, topic: Topic, groups: Groups): void => {
  for (const peer of topic.mesh ?? []) if (takesPart(topic, peer)) tellOfGroups(state, topic, peer)
  groups.beat()
}

const wrong = (what: string): TabmeshError => new TabmeshError('ERR_INVALID_ARGUMENT', what)
