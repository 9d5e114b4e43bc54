// Starts a go-libp2p peer as a child process and talks to it: what tests and benchmarks import. It offers what the js-libp2p peer does
// (../js/client.mjs), and gossipsub and kad beside it.

import { connectionClient } from '../connection-client.mjs'
import { dhtClient } from '../dht-client.mjs'
import { partsClient } from '../parts-client.mjs'
import { startPeerProcess } from '../process.mjs'
import { pubsubClient } from '../pubsub-client.mjs'
import { ensureGoPeer } from './setup.mjs'

/**
 * @typedef {import('../js/connections.mjs').JsConnectionInfo & { transport: string }} GoConnectionInfo the js-libp2p peer's shape; `transport` is
 * one of tabmesh's TransportNames, `rtt` always null, and so are `encryption` and `multiplexer` but on a byte pipe without a relay
 *
 * @typedef {'tcp' | 'ws' | 'wss' | 'quic-v1' | 'webtransport' | 'webrtc-direct'} GoTransport
 *
 * @typedef {{
 *   listen?: (GoTransport | (string & {}))[],
 *   encryption?: ('noise' | 'tls')[],
 *   preSharedKey?: string,
 *   seed?: string,
 *   webRTCDirectVersion?: 1 | 2,
 *   relay?: string | string[],
 *   relayServer?: boolean,
 *   limits?: boolean,
 *   allowPrivate?: boolean,
 *   autonat?: boolean,
 *   holePunching?: boolean,
 *   punchAt?: string[],
 *   pubsub?: boolean | { signing?: 'StrictSign' | 'StrictNoSign', floodsub?: boolean, peerExchange?: boolean, partial?: boolean, queue?: number },
 *   dht?: { prefix?: string, mode?: 'server' | 'client', hosts?: number },
 *   certificate?: string,
 *   key?: string,
 *   debug?: string,
 *   readyTimeout?: number,
 * }} GoPeerOptions
 * `listen`: a transport's name is 127.0.0.1 and a free port; also whole multiaddrs. It dials by every transport, whatever it listens on.
 * `encryption`: what it offers and accepts on byte pipes, best first; default both. `preSharedKey`: the text of a swarm.key file; then only
 * tcp and ws. `seed`: any text; the same one makes the same peer id. `webRTCDirectVersion`: of the handshake when it dials; default 1.
 * `relay`: relays to reserve a slot on before the peer is ready. `relayServer`: be a circuit relay v2, with `limits: false` one that limits
 * no circuit, with `allowPrivate: false` one that tells no address of this machine in a reservation, as go-libp2p does by itself.
 * `holePunching`: DCUtR, on a peer that tells of no way to it but through relays; `punchAt` is where it says that it is seen outside, where it
 * listens if left out.
 * `autonat`: AutoNAT v2, client and server, for addresses of this machine too; `reachability` then has one of the addresses dialled by a server that
 * the peer is connected to. `pubsub`: gossipsub, or `floodsub` in its place; with `partial` messages in parts. `dht`: kad, by default as a server and under /tabmesh; keys begin with /tabmesh/, /pk/ or /ipns/; `hosts` more peers are in its process, as `hosts` of the peer. `certificate` and `key`: PEM, for wss; made where left
 * out. `debug`: levels of go-libp2p's log, as in "error,swarm2=debug", written to `stderr`.
 *
 * @typedef {import('../process.mjs').CommandOptions} CommandOptions
 * @typedef {import('../connection-client.mjs').ConnectionClient<GoConnectionInfo>} ConnectionClient
 * @typedef {import('../pubsub-client.mjs').PubsubClient} PubsubClient
 * @typedef {import('../dht-client.mjs').DhtClient} DhtClient
 *
 * @typedef {Pick<ConnectionClient, 'peerId' | 'addresses' | 'dial'> & DhtClient} GoDht
 *
 * @typedef {ConnectionClient & PubsubClient & import('../parts-client.mjs').PartsClient & DhtClient & {
 *   certificate: string | undefined,
 *   readonly stderr: string,
 *   protocols: (target: string, options?: CommandOptions) => Promise<string[]>,
 *   known: (peerId: string) => Promise<{ addresses: string[], protocols: string[], agentVersion: string | null }>,
 *   reachability: (addresses: string[], options?: CommandOptions) => Promise<{ address: string, reachability: string, refused: boolean }>,
 *   reserve: (relay: string, options?: CommandOptions) => Promise<{
 *     address: string, expires: string, addresses: string[], limitBytes: number, limitSeconds: number, voucher: boolean,
 *   }>,
 *   traffic: () => Promise<Record<string, number>>,
 *   pubsubProtocols: () => Promise<Record<string, string>>,
 *   hosts: GoDht[],
 * }} GoPeer
 * Where there is a direct connection to the peer, by whatever transport, `dial` hands that back. `known` is the peer store's: what identify
 * and its pushes have left there. `certificate`: of the wss listener, in PEM. `traffic`: what gossipsub has been told, and what it dropped.
 * `pubsubProtocols`: what it speaks, by peer. `limitBytes` and `limitSeconds` of a reservation are 0 where the relay sets no limit.
 */

/**
 * @param {GoPeerOptions} [options]
 * @returns {Promise<GoPeer>} once it listens, and has a slot on each relay
 */
export async function spawnGoPeer({ debug, readyTimeout, relay = [], pubsub = false, ...options } = {}) {
  const { binary, dir } = await ensureGoPeer()
  const child = await startPeerProcess(
    'go-libp2p peer',
    binary,
    [JSON.stringify({ ...options, relay: [relay].flat(), pubsub: pubsub === true ? {} : pubsub || null })],
    {
      cwd: dir,
      env: { ...process.env, GOLOG_LOG_LEVEL: debug ?? 'error', QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING: 'true' },
      readyTimeout,
      wholeStderr: debug !== undefined,
    },
  )
  const { ready, command } = child
  return {
    ...connectionClient(child),
    ...pubsubClient(command),
    ...partsClient(command),
    ...dhtClient(ofHost(command, 0)),
    certificate: ready.certificate || undefined,
    get stderr() {
      return child.stderr()
    },
    protocols: (target, { timeout } = {}) => command('protocols', { target }, timeout),
    known: (target) => command('known', { target }),
    reachability: (addresses, { timeout } = {}) => command('reachability', { addresses }, timeout),
    reserve: (target, { timeout } = {}) => command('reserve', { target }, timeout),
    traffic: () => command('traffic'),
    pubsubProtocols: () => command('pubsubProtocols'),
    hosts: ready.hosts.map((/** @type {{ peerId: string, addresses: string[] }} */ { peerId, addresses }, /** @type {number} */ at) => ({
      peerId,
      addresses,
      dial: (/** @type {string} */ target, /** @type {CommandOptions} */ { timeout } = {}) =>
        command('dialFrom', { target, host: at + 1 }, timeout),
      ...dhtClient(ofHost(command, at + 1)),
    })),
  }
}

/**
 * Commands to one of the peers in a process.
 *
 * @param {import('../process.mjs').PeerProcess['command']} command
 * @param {number} host
 * @returns {import('../process.mjs').PeerProcess['command']}
 */
const ofHost = (command, host) => (cmd, args, timeout) => command(cmd, { ...args, host }, timeout)
