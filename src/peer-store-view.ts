/**
 * `peer.peerStore`: what the engine knows of other peers, looked at from the page.
 */

import type { ControlClient } from './port/control.ts'
import type { KnownPeer } from './types.ts'

export interface PeerStoreView {
  /** What is known of a peer, or undefined. */
  get(id: string): Promise<KnownPeer | undefined>
  all(): Promise<readonly KnownPeer[]>
  /** Sets a tag; `value` is up to 100, and 0 takes it away. Peers tagged `keep-alive…` are dialled whenever they are away, after a reload too. */
  tag(id: string, tag: string, value?: number): Promise<void>
  /** Forgets a peer; resolves with whether it was known. */
  delete(id: string): Promise<boolean>
}

export const peerStoreView = (control: ControlClient): PeerStoreView => ({
  get: (id) => control.run('peer', id),
  all: () => control.run('peers', undefined),
  tag: async (id, tag, value = 1) => {
    await control.run('tagPeer', { id, tag, value })
  },
  delete: (id) => control.run('deletePeer', id),
})
