// The commands of connections that the js-libp2p and the go-libp2p peer have in common: to dial, to measure over what there is, to hang up.

/**
 * @typedef {import('./process.mjs').PeerProcess} PeerProcess
 * @typedef {import('./process.mjs').CommandOptions} CommandOptions
 * @typedef {import('./js/connections.mjs').JsConnectionInfo} JsConnectionInfo
 */

/**
 * @template {JsConnectionInfo} Connection what it tells of one
 * @typedef {{
 *   peerId: string,
 *   addresses: string[],
 *   pid: number,
 *   currentAddresses: () => Promise<string[]>,
 *   dial: (target: string, options?: CommandOptions) => Promise<Connection & { ms: number }>,
 *   ping: (target: string, options?: CommandOptions) => Promise<{ ms: number, rtt: number }>,
 *   echo: (target: string, options: { bytes: number, protocol?: string, seed?: number } & CommandOptions) =>
 *     Promise<{ ms: number, openMs: number, bytes: number, sha256: string }>,
 *   perf: (target: string, options: { upload?: number, download?: number } & CommandOptions) =>
 *     Promise<{ openMs: number, uploadMs: number, downloadMs: number, uploadMBps: number, downloadMBps: number }>,
 *   identify: (target: string, options?: CommandOptions) => Promise<{
 *     peerId: string, agentVersion: string | null, protocolVersion: string | null, listenAddrs: string[], observedAddr: string | null,
 *     protocols: string[], signedAddrs: string[] | null,
 *   }>,
 *   connections: () => Promise<Connection[]>,
 *   hangUp: (peerId: string) => Promise<void>,
 *   closeConnection: (connectionId: string) => Promise<void>,
 *   stop: () => Promise<void>,
 *   kill: () => Promise<void>,
 *   [Symbol.asyncDispose]: () => Promise<void>,
 * }} ConnectionClient
 * A target is a multiaddr with its peer id, or a peer id. All but `dial` use an open connection to it, a direct one first, and dial only without
 * one. `kill` ends the process without a goodbye.
 */

/**
 * @template {JsConnectionInfo} Connection
 * @param {PeerProcess} process
 * @returns {ConnectionClient<Connection>}
 */
export const connectionClient = ({ ready, pid, command, stop, kill }) => ({
  peerId: ready.peerId,
  addresses: ready.addresses,
  pid,
  currentAddresses: () => command('addresses'),
  dial: (target, { timeout } = {}) => command('dial', { target }, timeout),
  ping: (target, { timeout } = {}) => command('ping', { target }, timeout),
  echo: (target, { bytes, protocol, seed = 1, timeout }) => command('echo', { target, bytes, protocol, seed }, timeout),
  perf: (target, { upload, download, timeout }) => command('perf', { target, upload, download }, timeout),
  identify: (target, { timeout } = {}) => command('identify', { target }, timeout),
  connections: () => command('connections'),
  hangUp: (target) => command('hangUp', { target }),
  closeConnection: (connection) => command('hangUp', { connection }),
  stop,
  kill,
  [Symbol.asyncDispose]: stop,
})
