// The commands of kad, which the js-libp2p and the go-libp2p peer have in common.

import { fromBase64, toBase64 } from './base64.mjs'

/**
 * @typedef {import('./process.mjs').CommandOptions} CommandOptions
 * @typedef {{ peerId: string, addresses: string[] }} FoundPeer
 *
 * @typedef {{
 *   put: (key: string | Uint8Array, value: Uint8Array, options?: CommandOptions) => Promise<void>,
 *   get: (key: string | Uint8Array, options?: CommandOptions) => Promise<Uint8Array>,
 *   provide: (cid: string, options?: CommandOptions) => Promise<void>,
 *   findProviders: (cid: string, options?: { count?: number } & CommandOptions) => Promise<FoundPeer[]>,
 *   findPeer: (peerId: string, options?: CommandOptions) => Promise<FoundPeer>,
 *   closestPeers: (key: string | Uint8Array, options?: CommandOptions) => Promise<string[]>,
 *   routingTable: () => Promise<string[]>,
 *   ipnsRecord: (options: { value: string, sequence?: number }) => Promise<{ key: Uint8Array, record: Uint8Array }>,
 * }} DhtClient
 * `ipnsRecord` signs one with the peer's own key.
 */

/**
 * @param {import('./process.mjs').PeerProcess['command']} command
 * @returns {DhtClient}
 */
export const dhtClient = (command) => ({
  put: (key, value, { timeout } = {}) => command('put', { rawKey: toBase64(key), data: toBase64(value) }, timeout),
  get: async (key, { timeout } = {}) => fromBase64(await command('get', { rawKey: toBase64(key) }, timeout)),
  provide: (cid, { timeout } = {}) => command('provide', { cid }, timeout),
  findProviders: (cid, { count, timeout } = {}) => command('findProviders', { cid, count }, timeout),
  findPeer: (target, { timeout } = {}) => command('findPeer', { target }, timeout),
  closestPeers: (key, { timeout } = {}) => command('closestPeers', { rawKey: toBase64(key) }, timeout),
  routingTable: () => command('routingTable'),
  async ipnsRecord({ value, sequence = 0 }) {
    const { key, record } = await command('ipnsRecord', { value, sequence })
    return { key: fromBase64(key), record: fromBase64(record) }
  },
})
