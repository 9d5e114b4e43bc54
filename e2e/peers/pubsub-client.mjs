// The commands of gossipsub, which the js-libp2p, the go-libp2p and the rust-libp2p peer have in common.

import { fromBase64, toBase64 } from './base64.mjs'

/**
 * @typedef {import('./process.mjs').CommandOptions} CommandOptions
 * @typedef {{ from: string, receivedFrom: string, seqno: Uint8Array, data: Uint8Array, id: Uint8Array }} GossipMessage
 *
 * @typedef {{
 *   join: (topic: string) => Promise<void>,
 *   leave: (topic: string) => Promise<void>,
 *   publish: (topic: string, data: Uint8Array) => Promise<void>,
 *   messages: (topic: string, options?: { count?: number } & CommandOptions) => Promise<GossipMessage[]>,
 *   subscribers: (topic: string) => Promise<string[]>,
 *   mesh: (topic: string) => Promise<string[]>,
 *   burst: (topic: string, options: { count: number, bytes: number, rate: number } & CommandOptions) => Promise<number>,
 *   tally: (topic: string) => Promise<import('./js/series.mjs').Tally>,
 * }} PubsubClient
 * `messages` takes what others have published, once `count` have come (default: what is there), but for those of a `burst`: `tally` counts them
 * (js/series.mjs). `burst` publishes `rate` a second, and returns how long that took.
 */

/**
 * @param {import('./process.mjs').PeerProcess['command']} command
 * @returns {PubsubClient}
 */
export const pubsubClient = (command) => ({
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
})
