/**
 * Extensions (specs: pubsub/gossipsub/gossipsub-v1.3.md): said once, in the first RPC. Of those there are only the test extension is
 * known here (extensions/experimental/test-extension.md), and that only where it is asked for.
 */

import type { Peer } from './peer.ts'
import type { Rpc } from './rpc.ts'
import type { State } from './state.ts'

/** go: whoever says it again has this added to P₇. */
const PENALTY = 10

/** What goes into our first RPC. */
export const sayExtensions = (state: State, peer: Peer): void => {
  if (state.setup.testExtension && peer.hasExtensions) peer.out.extensions = { test: true }
}

export const onExtensions = (state: State, peer: Peer, rpc: Rpc): void => {
  const said = rpc.control?.extensions
  if (peer.heard) {
    if (said !== undefined && peer.hasExtensions) state.penalize(peer.score, PENALTY)
    return
  }
  peer.heard = true
  peer.testExtension = said?.test === true
  if (!state.setup.testExtension || !peer.testExtension || !peer.hasExtensions) return
  peer.out.test = true
  state.ready(peer)
}
