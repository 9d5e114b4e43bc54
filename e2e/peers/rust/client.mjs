// Starts a rust-libp2p peer as a child process and talks to it. It is a rendezvous client and server, over TCP and WebSocket, with Noise and yamux.

import { startPeerProcess } from '../go/process.mjs'
import { ensureRustPeer } from './setup.mjs'

const READY_TIMEOUT = 30_000

/**
 * @typedef {{ listen?: ('tcp' | 'ws')[], minTtl?: number }} RustPeerOptions
 * `minTtl`: seconds that a registration has to last at least with its server; 7200 by default.
 *
 * @typedef {{ peerId: string, namespace: string, ttl: number, addresses: string[] }} RustRegistration
 *
 * @typedef {{
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
export async function spawnRustPeer({ listen = ['tcp'], minTtl } = {}) {
  const { binary, dir } = await ensureRustPeer({ mayBuild: false })
  const { ready, pid, command, stop } = await startPeerProcess(
    'rust-libp2p peer',
    binary,
    [JSON.stringify({ listen: listen.map((name) => places[name]), minTtl })],
    { cwd: dir, env: process.env, readyTimeout: READY_TIMEOUT, wholeStderr: false },
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
    stop,
  }
}
