// Starts a go-libp2p peer as a child process and talks to it: what tests and benchmarks import. It offers what the js-libp2p peer does
// (../js/client.mjs), and gossipsub and kad beside it.

import { startPeerProcess } from './process.mjs'
import { ensureGoPeer } from './setup.mjs'

const READY_TIMEOUT = 30_000

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
 *   pubsub?: boolean | { signing?: 'StrictSign' | 'StrictNoSign', floodsub?: boolean, peerExchange?: boolean, queue?: number },
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
 * the peer is connected to. `pubsub`: gossipsub, or `floodsub` in its place. `dht`: kad, by default as a server and under /tabmesh; keys begin with /tabmesh/, /pk/ or /ipns/; `hosts` more peers are in its process, as `hosts` of the peer. `certificate` and `key`: PEM, for wss; made where left
 * out. `debug`: levels of go-libp2p's log, as in "error,swarm2=debug", written to `stderr`.
 *
 * @typedef {{ timeout?: number }} CommandOptions
 * @typedef {import('../js/client.mjs').GossipMessage} GoMessage
 * @typedef {import('../js/client.mjs').FoundPeer} GoFoundPeer
 *
 * @typedef {Pick<GoPeer, 'peerId' | 'addresses' | 'dial' | 'put' | 'get' | 'provide' | 'findProviders' | 'findPeer' | 'closestPeers' | 'routingTable' | 'ipnsRecord'>} GoDht
 *
 * @typedef {{
 *   peerId: string,
 *   addresses: string[],
 *   certificate: string | undefined,
 *   pid: number,
 *   readonly stderr: string,
 *   currentAddresses: () => Promise<string[]>,
 *   dial: (target: string, options?: CommandOptions) => Promise<GoConnectionInfo & { ms: number }>,
 *   ping: (target: string, options?: CommandOptions) => Promise<{ ms: number, rtt: number }>,
 *   echo: (target: string, options: { bytes: number, protocol?: string, seed?: number } & CommandOptions) =>
 *     Promise<{ ms: number, openMs: number, bytes: number, sha256: string }>,
 *   perf: (target: string, options: { upload?: number, download?: number } & CommandOptions) =>
 *     Promise<{ openMs: number, uploadMs: number, downloadMs: number, uploadMBps: number, downloadMBps: number }>,
 *   identify: (target: string, options?: CommandOptions) => Promise<{
 *     peerId: string, agentVersion: string | null, protocolVersion: string | null, listenAddrs: string[], observedAddr: string | null,
 *     protocols: string[], signedAddrs: string[] | null,
 *   }>,
 *   protocols: (target: string, options?: CommandOptions) => Promise<string[]>,
 *   known: (peerId: string) => Promise<{ addresses: string[], protocols: string[], agentVersion: string | null }>,
 *   connections: () => Promise<GoConnectionInfo[]>,
 *   hangUp: (peerId: string) => Promise<void>,
 *   closeConnection: (connectionId: string) => Promise<void>,
 *   reachability: (addresses: string[], options?: CommandOptions) => Promise<{ address: string, reachability: string, refused: boolean }>,
 *   reserve: (relay: string, options?: CommandOptions) => Promise<{
 *     address: string, expires: string, addresses: string[], limitBytes: number, limitSeconds: number, voucher: boolean,
 *   }>,
 *   join: (topic: string) => Promise<void>,
 *   leave: (topic: string) => Promise<void>,
 *   publish: (topic: string, data: Uint8Array) => Promise<void>,
 *   messages: (topic: string, options?: { count?: number } & CommandOptions) => Promise<GoMessage[]>,
 *   subscribers: (topic: string) => Promise<string[]>,
 *   mesh: (topic: string) => Promise<string[]>,
 *   burst: (topic: string, options: { count: number, bytes: number, rate: number } & CommandOptions) => Promise<number>,
 *   tally: (topic: string) => Promise<import('../js/series.mjs').Tally>,
 *   traffic: () => Promise<Record<string, number>>,
 *   pubsubProtocols: () => Promise<Record<string, string>>,
 *   put: (key: string | Uint8Array, value: Uint8Array, options?: CommandOptions) => Promise<void>,
 *   get: (key: string | Uint8Array, options?: CommandOptions) => Promise<Uint8Array>,
 *   provide: (cid: string, options?: CommandOptions) => Promise<void>,
 *   findProviders: (cid: string, options?: { count?: number } & CommandOptions) => Promise<GoFoundPeer[]>,
 *   findPeer: (peerId: string, options?: CommandOptions) => Promise<GoFoundPeer>,
 *   closestPeers: (key: string | Uint8Array, options?: CommandOptions) => Promise<string[]>,
 *   routingTable: () => Promise<string[]>,
 *   ipnsRecord: (options: { value: string, sequence?: number }) => Promise<{ key: Uint8Array, record: Uint8Array }>,
 *   hosts: GoDht[],
 *   stop: () => Promise<void>,
 *   kill: () => Promise<void>,
 *   [Symbol.asyncDispose]: () => Promise<void>,
 * }} GoPeer
 * A target is a multiaddr with its peer id, or a peer id. Where there is a direct connection to the peer, by whatever transport, `dial`
 * hands that back; the others use an open connection to the target, and dial only without one. `known` is the peer store's: what identify
 * and its pushes have left there. `certificate`: of the wss listener, in PEM. `messages` takes what others have published, once `count` have
 * come (default: what is there), but for those of a `burst`: `tally` counts them (../js/series.mjs). `burst` publishes `rate` a second, and returns
 * how long that took. `traffic`: what gossipsub has been told, and what it dropped. `pubsubProtocols`: what it speaks, by peer. `limitBytes` and `limitSeconds` of a reservation are 0 where the relay sets no limit. `kill` ends the
 * process without a goodbye.
 */

/**
 * @param {GoPeerOptions} [options]
 * @returns {Promise<GoPeer>} once it listens, and has a slot on each relay
 */
export async function spawnGoPeer({ debug, readyTimeout = READY_TIMEOUT, relay = [], pubsub = false, ...options } = {}) {
  const { binary, dir } = await ensureGoPeer()
  const { ready, pid, stderr, command, stop, kill } = await startPeerProcess(
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
  return {
    peerId: ready.peerId,
    addresses: ready.addresses,
    certificate: ready.certificate || undefined,
    pid,
    get stderr() {
      return stderr()
    },
    currentAddresses: () => command('addresses'),
    dial: (target, { timeout } = {}) => command('dial', { target }, timeout),
    ping: (target, { timeout } = {}) => command('ping', { target }, timeout),
    echo: (target, { bytes, protocol, seed = 1, timeout }) => command('echo', { target, bytes, protocol, seed }, timeout),
    perf: (target, { upload, download, timeout }) => command('perf', { target, upload, download }, timeout),
    identify: (target, { timeout } = {}) => command('identify', { target }, timeout),
    protocols: (target, { timeout } = {}) => command('protocols', { target }, timeout),
    known: (target) => command('known', { target }),
    connections: () => command('connections'),
    hangUp: (target) => command('hangUp', { target }),
    closeConnection: (connection) => command('hangUp', { connection }),
    reachability: (addresses, { timeout } = {}) => command('reachability', { addresses }, timeout),
    reserve: (target, { timeout } = {}) => command('reserve', { target }, timeout),
    join: (topic) => command('join', { topic }),
    leave: (topic) => command('leave', { topic }),
    publish: (topic, data) => command('publish', { topic, data: toBase64(data) }),
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
    traffic: () => command('traffic'),
    pubsubProtocols: () => command('pubsubProtocols'),
    ...dhtOf(command, 0),
    hosts: ready.hosts.map((/** @type {{ peerId: string, addresses: string[] }} */ { peerId, addresses }, /** @type {number} */ at) => ({
      peerId,
      addresses,
      dial: (/** @type {string} */ target, /** @type {CommandOptions} */ { timeout } = {}) =>
        command('dialFrom', { target, host: at + 1 }, timeout),
      ...dhtOf(command, at + 1),
    })),
    stop,
    kill,
    [Symbol.asyncDispose]: stop,
  }
}

/**
 * The commands of one of the peers in a process.
 *
 * @param {(cmd: string, args?: Record<string, unknown>, timeout?: number) => Promise<any>} command
 * @param {number} host
 * @returns {Omit<GoDht, 'peerId' | 'addresses' | 'dial'>}
 */
const dhtOf = (command, host) => ({
  put: (key, value, { timeout } = {}) => command('put', { ...keyOf(key), data: toBase64(value), host }, timeout),
  get: async (key, { timeout } = {}) => fromBase64(await command('get', { ...keyOf(key), host }, timeout)),
  provide: (cid, { timeout } = {}) => command('provide', { cid, host }, timeout),
  findProviders: (cid, { count, timeout } = {}) => command('findProviders', { cid, count, host }, timeout),
  findPeer: (target, { timeout } = {}) => command('findPeer', { target, host }, timeout),
  closestPeers: (key, { timeout } = {}) => command('closestPeers', { ...keyOf(key), host }, timeout),
  routingTable: () => command('routingTable', { host }),
  async ipnsRecord({ value, sequence = 0 }) {
    const { key, record } = await command('ipnsRecord', { value, sequence, host })
    return { key: fromBase64(key), record: fromBase64(record) }
  },
})

/** @param {string | Uint8Array} key */
const keyOf = (key) => (typeof key === 'string' ? { key } : { rawKey: toBase64(key) })

/** @param {Uint8Array} bytes */
const toBase64 = (bytes) => Buffer.from(bytes).toString('base64')

/** @param {string | null} text */
const fromBase64 = (text) => new Uint8Array(Buffer.from(text ?? '', 'base64'))
