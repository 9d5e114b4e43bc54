// Kad of one of our peers as the cases use it: the calls that the peers of js-libp2p and go-libp2p offer too (../peers/js/dht.mjs,
// ../peers/go/dht.go), on `peer.dht` and nothing else. Bytes cross the border of a page as plain arrays.

const TIMEOUT = 30_000

/**
 * @typedef {{ peerId: string, addresses: readonly string[] }} Found
 * @typedef {{
 *   provide: (cid: string) => Promise<unknown>,
 *   findProviders: (cid: string) => Promise<Found[]>,
 *   findPeer: (peerId: string) => Promise<Found>,
 *   put: (key: Uint8Array, value: Uint8Array) => Promise<unknown>,
 *   get: (key: Uint8Array) => Promise<Uint8Array>,
 *   closestPeers: (key: Uint8Array) => Promise<string[]>,
 * }} Dht
 */

/** @param {import('../../src/peer.ts').Peer} peer */
export const dhtOf = (peer) => {
  const within = () => ({ signal: AbortSignal.timeout(TIMEOUT) })
  /** @param {AsyncIterable<{ id: string, addresses: readonly string[] }>} found @returns {Promise<Found[]>} */
  const all = async (found) => {
    /** @type {Found[]} */
    const peers = []
    for await (const { id, addresses } of found) peers.push({ peerId: id, addresses })
    return peers
  }
  return {
    /** @param {string} cid */
    provide: (cid) => peer.dht.provide(cid, within()),
    /** @param {string} cid */
    findProviders: (cid) => all(peer.dht.findProviders(cid, within())),
    /** @param {string} id */
    async findPeer(id) {
      const { addresses } = await peer.dht.findPeer(id, within())
      return { peerId: id, addresses }
    },
    /** @param {number[]} key @param {number[]} value */
    put: (key, value) => peer.dht.put(Uint8Array.from(key), Uint8Array.from(value), within()),
    /** @param {number[]} key */
    get: async (key) => [...(await peer.dht.get(Uint8Array.from(key), within()))],
    /** @param {number[]} key */
    closestPeers: async (key) => (await all(peer.dht.closestPeers(Uint8Array.from(key), within()))).map(({ peerId }) => peerId),
  }
}
