// Starts a rust-libp2p peer as a child process and talks to it. It is a rendezvous client and server, and speaks gossipsub, over TCP and WebSocket,
// with Noise and yamux.

import { startPeerProcess } from '../go/process.mjs'
import { ensureRustPeer } from './setup.mjs'

const READY_TIMEOUT = 30_000

/**
 * @typedef {{ listen?: ('tcp' | 'ws')[], minTtl?: number, pubsub?: { messageId?: 'go' | 'rust' } }} RustPeerOptions
 * `minTtl`: seconds that a registration has to last at least with its server; 7200 by default. `messageId`: whose form gossipsub's message ids have; go's
 * unless told otherwise.
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
 *   join: (topic: string) => Promise<null>,
 *   leave: (topic: string) => Promise<null>,
 *   publish: (topic: string, data: Uint8Array) => Promise<null>,
 *   messages: (topic: string, options?: { count?: number, timeout?: number }) => Promise<import('../js/client.mjs').GossipMessage[]>,
 *   subscribers: (topic: string) => Promise<string[]>,
 *   mesh: (topic: string) => Promise<string[]>,
 *   burst: (topic: string, options: { count: number, bytes: number, rate: number, timeout?: number }) => Promise<number>,
 *   tally: (topic: string) => Promise<import('../js/series.mjs').Tally>,
 *   served: () => Promise<{ registered?: RustRegistration, unregistered?: string, namespace?: string, refused?: string, error?: string }[]>,
 *   stop: () => Promise<void>,
 * }} RustPeer
 * Points are peer ids of peers that it is connected to; a refusal rejects with its name, such as `InvalidTtl`. Cookies are hex. `served` is what
 * its server has heard. `join` to `tally` are those of the other peers (../go/client.mjs).
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
    join: (topic) => command('join', { topic }),
    leave: (topic) => command('leave', { topic }),
    publish: (topic, data) => command('publish', { topic, data: Buffer.from(data).toString('base64') }),
    async messages(topic, { count, timeout } = {}) {
      const all = await command('messages', { topic, count }, timeout)
      return all.map((/** @type {any} */ one) => ({
        ...one,
        seqno: fromBase64(one.seqno),
        data: fromBase64(one.data),
        id: fromBase64(one.id),
      }))
    },
    subscribers: (topic) => command('subscribers', { topic }),
    mesh: (topic) => command('mesh', { topic }),
    burst: (topic, { timeout, ...args }) => command('burst', { topic, ...args }, timeout),
    tally: (topic) => command('tally', { topic }),
    stop,
  }
}

/** @param {string} text */
const fromBase64 = (text) => new Uint8Array(Buffer.from(text, 'base64'))
