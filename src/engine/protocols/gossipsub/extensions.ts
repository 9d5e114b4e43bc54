/**
 * Extensions (specs: pubsub/gossipsub/gossipsub-v1.3.md): said once, in the first RPC of a stream. Known are partial messages (partial.ts), which
 * are always said, since nobody knows yet which topics will want them; and the test extension (extensions/experimental/test-extension.md), only
 * where it is asked for.
 */

import { withoutParts } from './partial.ts'
import type { Peer } from './peer.ts'
import type { Rpc } from './rpc.ts'
import type { State } from './state.ts'

/** go: whoever says it again has this added to P₇. */
const PENALTY = 10

/** What goes into our first RPC. */
export const sayExtensions = (state: State, peer: Peer): void => {
  if (peer.hasExtensions) peer.out.extensions = { partial: true, test: state.setup.testExtension }
}

export const onExtensions = (state: State, peer: Peer, rpc: Rpc): void => {
  const said = rpc.control?.extensions
  if (peer.heard) {
    if (said !== undefined && peer.hasExtensions) state.penalize(peer.score, PENALTY)
    return
  }
  peer.heard = true
  peer.partial = said?.partial === true && peer.hasExtensions
  if (!peer.partial) withoutParts(peer)
  peer.testExtension = said?.test === true
  if (!state.setup.testExtension || !peer.testExtension || !peer.hasExtensions) return
  peer.out.test = true
  state.ready(peer)
}
