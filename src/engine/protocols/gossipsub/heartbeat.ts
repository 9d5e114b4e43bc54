/**
 * What is done once a second (gossipsub-v1.1.md §Heartbeat Maintenance): allowances begin anew, broken promises are counted, meshes and
 * fanouts mended, gossip is told, and what has had its time is forgotten.
 */

import { sweepBackoffs } from './back-off.ts'
import { forgetUnwanted } from './dont-want.ts'
import { maintainFanout } from './fanout.ts'
import { emitGossip } from './gossip.ts'
import { maintainMesh } from './mesh.ts'
import { maintainGroups } from './partial.ts'
import type { State } from './state.ts'

export const heartbeat = (state: State, now: number): void => {
  state.ticks += 1
  sweepBackoffs(state, now)
  for (const peer of state.peers.values()) {
    peer.haves = 0
    peer.asked = 0
    peer.dontWants = 0
    peer.stalled = !peer.took && peer.outbox !== undefined && peer.outbox.queued > 0
    peer.took = false
    forgetUnwanted(peer)
  }
  for (const [id, count] of state.promises.broken(now)) {
    const peer = state.peers.get(id)
    if (peer !== undefined) state.penalize(peer.score, count)
  }
  for (const topic of state.joined) {
    if (topic.mesh === undefined) continue
    maintainMesh(state, topic, topic.mesh, now)
    emitGossip(state, topic, topic.mesh)
    if (topic.groups !== undefined) maintainGroups(state, topic, topic.groups)
  }
  for (const topic of state.fanouts) maintainFanout(state, topic, now)
  state.shift()
  state.seen.sweep(now)
  state.deliveries.sweep(now)
}
