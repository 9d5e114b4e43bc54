// Starts a js-libp2p peer as a child process and talks to it: what tests and benchmarks import. Runs on Node 20; the child on the Node 22
// that setup.mjs finds.

import { join } from 'node:path'
import { connectionClient } from '../connection-client.mjs'
import { dhtClient } from '../dht-client.mjs'
import { startPeerProcess } from '../process.mjs'
import { pubsubClient } from '../pubsub-client.mjs'
import { ensureJsPeer } from './setup.mjs'

/**
 * @typedef {import('./connections.mjs').JsConnectionInfo} JsConnectionInfo
 *
 * @typedef {{
 *   listen?: string[],
 *   relay?: string | string[],
 *   relayServer?: boolean,
 *   limits?: boolean,
 *   encryption?: ('noise' | 'tls')[],
 *   muxers?: ('yamux' | 'mplex')[],
 *   swarmKey?: string,
 *   certificate?: string,
 *   pubsub?: boolean | { signing?: 'StrictSign' | 'StrictNoSign', messageId?: 'go' | 'js', peerExchange?: boolean },
 *   dht?: { mode?: 'server' | 'client', protocol?: string },
 *   env?: Record<string, string>,
 *   debug?: string,
 *   readyTimeout?: number,
 * }} JsPeerOptions
 * `listen`: multiaddrs, also /p2p-circuit and /webrtc. `relay`: relays to reserve a slot on before the peer is ready. `relayServer`: be a
 * circuit relay v2, with `limits: false` one that limits no circuit. `encryption`, `muxers`: what it proposes, the best first. `swarmKey`:
 * the file of a private network's key. `certificate`: a PEM file with a certificate and its key, for /tls/ws. `pubsub`: gossipsub, with go's
 * message ids unless told otherwise. `dht`: kad, by default as a server of /ipfs/kad/1.0.0; it takes values under /pk/, /ipns/ and /tabmesh/. `debug`: js-libp2p's
 * DEBUG patterns, written to `stderr`.
 *
 * @typedef {import('../process.mjs').CommandOptions} CommandOptions
 * @typedef {import('../connection-client.mjs').ConnectionClient<JsConnectionInfo>} ConnectionClient
 * @typedef {import('../pubsub-client.mjs').PubsubClient} PubsubClient
 * @typedef {import('../dht-client.mjs').DhtClient} DhtClient
 *
 * @typedef {ConnectionClient & PubsubClient & DhtClient & {
 *   readonly stderr: string,
 *   fetch: (target: string, options: { key: string } & CommandOptions) => Promise<string | null>,
 *   reservations: () => Promise<string[]>,
 *   traffic: () => Promise<Record<string, number>>,
 *   scores: () => Promise<Record<string, number>>,
 * }} JsPeer
 * `dial` always dials, though js-libp2p may still hand back a connection that it has. `traffic`: what gossipsub has been told so far.
 */

/**
 * @param {JsPeerOptions} [options]
 * @returns {Promise<JsPeer>} once it listens, and has a slot on each relay
 */
export async function spawnJsPeer({ env, debug, readyTimeout, ...options } = {}) {
  const { node, dir } = await ensureJsPeer()
  const child = await startPeerProcess('js-libp2p peer', node, [join(dir, 'peer.mjs'), '--json', ...flagsFor(options)], {
    cwd: dir,
    env: { ...process.env, ...env, DEBUG: debug ?? '', DEBUG_COLORS: 'no', NODE_OPTIONS: '' },
    readyTimeout,
    wholeStderr: debug !== undefined,
  })
  const { command } = child
  return {
    ...connectionClient(child),
    ...pubsubClient(command),
    ...dhtClient(command),
    get stderr() {
      return child.stderr()
    },
    fetch: (target, { timeout, ...args }) => command('fetch', { target, ...args }, timeout),
    reservations: () => command('reservations'),
    traffic: () => command('traffic'),
    scores: () => command('scores'),
  }
}

/**
 * @param {JsPeerOptions} options
 * @returns {string[]}
 */
function flagsFor({ listen = [], relay = [], relayServer = false, limits = true, encryption = [], muxers = [], ...options }) {
  const { swarmKey, certificate, pubsub = false, dht } = options
  return [
    ...listen.flatMap((address) => ['--listen', address]),
    ...[relay].flat().flatMap((address) => ['--relay', address]),
    ...(relayServer ? ['--relay-server'] : []),
    ...(limits ? [] : ['--no-limits']),
    ...encryption.flatMap((name) => ['--encryption', name]),
    ...muxers.flatMap((name) => ['--muxer', name]),
    ...(swarmKey === undefined ? [] : ['--swarm-key', swarmKey]),
    ...(certificate === undefined ? [] : ['--certificate', certificate]),
    ...(pubsub === false ? [] : ['--pubsub', JSON.stringify(pubsub === true ? {} : pubsub)]),
    ...(dht === undefined ? [] : ['--dht', JSON.stringify(dht)]),
  ]
}
