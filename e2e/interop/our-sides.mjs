// Our peers as sides: in this process, and in a page.

import { startOurPeer } from './our-peer.mjs'
import { READY_TIMEOUT, SLACK, unsupported } from './side.mjs'
import { within } from './waiting.mjs'

/**
 * @typedef {import('../peers/parts-client.mjs').PartsClient} PartsClient
 * @typedef {Omit<PartsClient, 'putParts'> & {
 *   putParts: (...args: [...Parameters<PartsClient['putParts']>, options?: { eager?: boolean }]) => Promise<number>,
 * }} Parts `putParts` tells to how many peers it said something; with `eager` it sends the parts to who has not said what it lacks, too
 * @typedef {import('./side.mjs').Side & import('./our-dht.mjs').Dht & Parts} OurSide
 * @typedef {import('./side.mjs').Heard} Heard
 * @typedef {Awaited<ReturnType<typeof startOurPeer>>} OurPeer
 * @typedef {import('../../src/types.ts').PeerOptions} PeerOptions
 * @typedef {{ context: import('playwright').BrowserContext, page: import('playwright').Page, log: () => Promise<string> }} OpenPage
 */

/**
 * @param {(options: PeerOptions) => Promise<any>} createPeer
 * @param {PeerOptions} options
 * @returns {Promise<OurSide & Pick<OurPeer, 'sink' | 'write'>>}
 */
export const ourNode = async (createPeer, options) => {
  const peer = await startOurPeer(createPeer, options)
  return {
    ...peer,
    kind: 'our node',
    ...dhtOverBorder(async (method, ...args) => /** @type {any} */ (peer)[method](...args)),
    ...partsOverBorder(async (method, ...args) => /** @type {any} */ (peer)[method](...args)),
    publish: (topic, data) => peer.publish(topic, [...data]),
    messages: async (...args) => (await peer.messages(...args)).map(heard),
    traffic: unsupported,
    addresses: async () => peer.addresses(),
    connections: async () => peer.connections(),
    identify: unsupported,
    log: async () => peer.told().slice(-20).join('\n'),
  }
}

/** @param {OpenPage} opened page.html @param {PeerOptions} options @returns {Promise<OurSide>} */
export const ourPage = async ({ context, page, log }, options) => {
  await page.waitForFunction('window.ready', undefined, { timeout: READY_TIMEOUT })
  /** @param {string} method @param {unknown[]} args @returns {Promise<any>} */
  const call = async (method, ...args) => {
    const last = /** @type {{ timeout?: number } | undefined} */ (args.at(-1))
    const limit = (last?.timeout ?? READY_TIMEOUT) + SLACK
    const outcome = await within(limit, `${method} in our page`, page.evaluate(evaluateCall, { method, args }))
    if (outcome.ok) return outcome.value
    throw revive(outcome.error)
  }
  try {
    const peerId = await call('start', options)
    return {
      kind: 'our page',
      peerId,
      addresses: () => call('addresses'),
      dial: (...args) => call('dial', ...args),
      ping: (...args) => call('ping', ...args),
      echo: (...args) => call('echo', ...args),
      perf: (...args) => call('perf', ...args),
      connections: () => call('connections'),
      hangUp: (id) => call('hangUp', id),
      identify: unsupported,
      fetch: (...args) => call('fetch', ...args),
      known: (id) => call('known', id),
      event: (...args) => call('event', ...args),
      join: (topic) => call('join', topic),
      leave: (topic) => call('leave', topic),
      ...dhtOverBorder(call),
      ...partsOverBorder(call),
      publish: (topic, data) => call('publish', topic, [...data]),
      messages: async (...args) => (await call('messages', ...args)).map(heard),
      subscribers: (topic) => call('subscribers', topic),
      mesh: (topic) => call('mesh', topic),
      burst: (...args) => call('burst', ...args),
      tally: (topic) => call('tally', topic),
      scores: () => call('scores'),
      traffic: unsupported,
      log: async () => [await log(), ...(await call('told').catch(() => []))].join('\n').trim(),
      stop: () => call('stop').finally(() => context.close()),
    }
  } catch (error) {
    await context.close()
    throw error
  }
}

/**
 * Kad of our peers, whose bytes cross the border as plain arrays.
 *
 * @param {(method: string, ...args: any[]) => Promise<any>} call
 * @returns {import('./our-dht.mjs').Dht}
 */
const dhtOverBorder = (call) => ({
  provide: (cid) => call('provide', cid),
  findProviders: (cid) => call('findProviders', cid),
  findPeer: (id) => call('findPeer', id),
  put: (key, value) => call('put', [...key], [...value]),
  get: async (key) => Uint8Array.from(await call('get', [...key])),
  closestPeers: (key) => call('closestPeers', [...key]),
})

/**
 * Partial messages of our peers.
 *
 * @param {(method: string, ...args: any[]) => Promise<any>} call
 * @returns {Parts}
 */
const partsOverBorder = (call) => ({
  joinInParts: (topic, partial) => call('joinInParts', topic, partial),
  putParts: (topic, group, message, held, options) => call('putParts', topic, group, [...message], held, options),
  async whole(topic, group, options) {
    const { data, came } = await call('whole', topic, group, options)
    return { data: Uint8Array.from(data), came }
  },
})

/** Bytes cross the border of our peers as plain arrays. @param {import('./our-rooms.mjs').PlainMessage} message @returns {Heard} */
const heard = ({ from, seqno, data, id }) => ({
  from,
  seqno: Uint8Array.from(seqno),
  data: Uint8Array.from(data),
  id: new Uint8Array(Buffer.from(id, 'hex')),
})

/** @param {{ method: string, args: unknown[] }} call @returns {any} */
const evaluateCall = ({ method, args }) => /** @type {any} */ (globalThis).call(method, args)

/** @param {{ name: string, message: string, code?: string, errors?: any[] }} plain @returns {Error} */
const revive = ({ name, message, code, errors }) => Object.assign(new Error(message), { name, code, errors: errors?.map(revive) })
