// A side: a peer as the cases use it, whoever made it and wherever it runs. Ours: our-sides.mjs; those of js-libp2p, go-libp2p and rust-libp2p: their-sides.mjs.

/** @typedef {import('../peers/pubsub-client.mjs').PubsubClient} PubsubClient */

/**
 * What the cases need of a peer, ours, js-libp2p's or go-libp2p's.
 *
 * @typedef {{
 *   kind: 'our page' | 'our node' | 'js page' | 'js node' | 'go' | 'rust',
 *   peerId: string,
 *   addresses: () => Promise<string[]>,
 *   dial: (target: string, options?: { timeout?: number }) => Promise<any>,
 *   ping: (target: string, options?: { timeout?: number }) => Promise<{ rtt: number }>,
 *   echo: (target: string, options: { bytes: number, timeout?: number, allowLimited?: boolean }) => Promise<{ ms: number }>,
 *   perf: (target: string, options: { upload: number, download: number, timeout?: number, allowLimited?: boolean }) =>
 *     Promise<{ uploadMBps: number, downloadMBps: number }>,
 *   connections: () => Promise<any[]>,
 *   hangUp: (peerId: string) => Promise<unknown>,
 *   fetch: (target: string, options: { key: string }) => Promise<string | null>,
 *   identify: (target: string) => Promise<any>,
 *   known: (peerId: string) => Promise<any>,
 *   event: (type: string, options?: { timeout?: number }) => Promise<any>,
 *   join: (topic: string) => Promise<unknown>,
 *   leave: (topic: string) => Promise<unknown>,
 *   publish: (topic: string, data: Uint8Array) => Promise<string | void>,
 *   messages: (topic: string, options?: { count?: number, timeout?: number }) => Promise<Heard[]>,
 *   subscribers: PubsubClient['subscribers'],
 *   mesh: PubsubClient['mesh'],
 *   burst: PubsubClient['burst'],
 *   tally: PubsubClient['tally'],
 *   scores: () => Promise<Record<string, number>>,
 *   traffic: () => Promise<Record<string, number>>,
 *   log: () => Promise<string>,
 *   stop: () => Promise<unknown>,
 * }} Side
 * `identify` and `traffic` are theirs, `known` and `event` are ours; go-libp2p and the page of js-libp2p have no `fetch`, the latter no pubsub
 * either (`join` to `traffic`), and go-libp2p no `scores`; of rust-libp2p's there is what pubsub needs. `publish` of ours tells the message's id, in hexadecimals.
 *
 * @typedef {{ from: string, seqno: Uint8Array, data: Uint8Array, id: Uint8Array }} Heard
 */

/** The limit of a page's start, and of a call that names none. */
export const READY_TIMEOUT = 30_000
/** Beyond what the peer itself is given, so that its own error is the one that is seen. */
export const SLACK = 5_000

/** What a kind of peer does not have. */
export const unsupported = () => Promise.reject(new Error('this kind of peer does not offer that'))

export const noPubsub = {
  join: unsupported,
  leave: unsupported,
  publish: unsupported,
  messages: unsupported,
  subscribers: unsupported,
  mesh: unsupported,
  burst: unsupported,
  tally: unsupported,
  scores: unsupported,
  traffic: unsupported,
}
