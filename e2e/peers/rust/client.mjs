// Starts a rust-libp2p peer as a child process and talks to it. It is a rendezvous client and server, and speaks gossipsub, over TCP and WebSocket,
// with Noise and yamux.

import { startPeerProcess } from '../process.mjs'
import { pubsubClient } from '../pubsub-client.mjs'
import { ensureRustPeer } from './setup.mjs'

/**
 * @typedef {{ listen?: ('tcp' | 'ws')[], minTtl?: number, pubsub?: { messageId?: 'go' | 'rust' } }} RustPeerOptions
 * `minTtl`: seconds that a registration has to last at least with its server; 7200 by default. `messageId`: whose form gossipsub's message ids have; go's
 * unless told otherwise.
 *
 * @typedef {{ peerId: string, namespace: string, ttl: number, addresses: string[] }} RustRegistration
 *
 * @typedef {import('../pubsub-client.mjs').PubsubClient & {
 *   peerId: string,
 *   addresses: string[],
 *   pid: number,
 *   dial: (target: string) => Promise<null>,
 *   connections: () => Promise<string[]>,
 *   register: (point: string, namespace: string, ttl?: number) => Promise<{ ttl: number }>,
 *   unregister: (point: string, namespace: string) => Promise<null>,
 *   discover: (point: string, options?: { namespace?: string, limit?: number, cookie?: string }) =>
 *     Promise<{ registrations: RustRegistration[], cookie: string }>,
 *   served: () => Promise<{ registered?: RustRegistration, unregistered?: string, namespace?: string, refused?: string, error?: string }[]>,
 *   stop: () => Promise<void>,
 * }} RustPeer
 * Points are peer ids of peers that it is connected to; a refusal rejects with its name, such as `InvalidTtl`. Cookies are hex. `served` is what
 * its server has heard.
 */

const places = { tcp: '/ip4/127.0.0.1/tcp/0', ws: '/ip4/127.0.0.1/tcp/0/ws' }

/**
 * @param {RustPeerOptions} [options]
 * @returns {Promise<RustPeer>} once it listens
 */
export async function spawnRustPeer({ listen = ['tcp'], minTtl, pubsub } = {}) {
  const { binary, dir } = await ensureRustPeer({ mayBuild: false })
  const { ready, pid, command, stop } = await startPeerProcess(
    'rust-libp2p peer',
    binary,
    [JSON.stringify({ listen: listen.map((name) => places[name]), minTtl, pubsub })],
    { cwd: dir, env: process.env },
  )
  return {
    peerId: ready.peerId,
    addresses: ready.addresses,
    pid,
    dial: (target) => command('dial', { target }),
    connections: () => command('connections'),
    register: (target, namespace, ttl) => command('register', { target, namespace, ttl }),
    unregister: (target, namespace) => command('unregister', { target, namespace }),
    discover: (target, options) => command('discover', { target, ...options }),
    served: () => command('served'),
    ...pubsubClient(command),
    stop,
  }
}
