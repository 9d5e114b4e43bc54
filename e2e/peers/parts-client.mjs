// The commands of partial messages: those of the go-libp2p peer (go/parts.go), which our own peers have too (../interop/our-parts.mjs).

import { fromBase64, toBase64 } from './base64.mjs'

/**
 * @typedef {import('./process.mjs').CommandOptions} CommandOptions
 *
 * @typedef {{
 *   joinInParts: (topic: string, partial: 'request' | 'support') => Promise<void>,
 *   putParts: (topic: string, group: string, message: Uint8Array, held: number) => Promise<void>,
 *   whole: (topic: string, group: string, options?: CommandOptions) => Promise<{ data: Uint8Array, came: number }>,
 * }} PartsClient
 * A message has eight parts of one length. `putParts` gives the peer those of it whose bits are in `held`, and it tells others that it has them.
 * `whole` waits for the message; `came` is how many parts others sent.
 */

/**
 * @param {import('./process.mjs').PeerProcess['command']} command
 * @returns {PartsClient}
 */
export const partsClient = (command) => ({
  joinInParts: (topic, partial) => command('join', { topic, partial }),
  putParts: (topic, group, message, held) => command('putParts', { topic, group, data: toBase64(message), held }),
  async whole(topic, group, { timeout } = {}) {
    const { data, came } = await command('whole', { topic, group }, timeout)
    return { data: fromBase64(data), came }
  },
})
