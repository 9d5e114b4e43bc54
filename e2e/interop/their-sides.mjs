// The peers of js-libp2p, go-libp2p and rust-libp2p as sides: processes, and the page of js-libp2p.

import { spawnGoPeer } from '../peers/go/client.mjs'
import { spawnJsPeer } from '../peers/js/client.mjs'
import { spawnRustPeer } from '../peers/rust/client.mjs'
import { noPubsub, READY_TIMEOUT, SLACK, unsupported } from './side.mjs'
import { within } from './waiting.mjs'

/**
 * @typedef {import('./side.mjs').Side} Side
 * @typedef {import('./our-sides.mjs').OpenPage} OpenPage
 * @typedef {import('../peers/go/client.mjs').GoPeerOptions} GoPeerOptions
 * @typedef {import('../peers/js/client.mjs').JsPeerOptions} JsPeerOptions
 */

/** @param {JsPeerOptions} [options] @returns {Promise<Side>} */
export const jsNode = async (options) => {
  const peer = await spawnJsPeer(options)
  return {
    ...peer,
    kind: 'js node',
    addresses: peer.currentAddresses,
    known: unsupported,
    event: unsupported,
    log: async () => peer.stderr.slice(-4000),
  }
}

/** @param {GoPeerOptions} [options] @returns {Promise<Side & import('../peers/parts-client.mjs').PartsClient>} */
export const goNode = async (options) => {
  const peer = await spawnGoPeer(options)
  return {
    ...peer,
    kind: 'go',
    addresses: peer.currentAddresses,
    scores: unsupported,
    fetch: unsupported,
    event: unsupported,
    log: async () => peer.stderr.slice(-4000),
  }
}

/** @param {import('../peers/rust/client.mjs').RustPeerOptions} [options] @returns {Promise<Side>} */
export const rustNode = async (options) => {
  const peer = await spawnRustPeer(options)
  return {
    ...peer,
    kind: 'rust',
    addresses: async () => peer.addresses,
    dial: async (target) => {
      const started = performance.now()
      await peer.dial(target)
      return { ms: performance.now() - started }
    },
    connections: async () => (await peer.connections()).map((remotePeer) => ({ remotePeer })),
    publish: async (topic, data) => void (await peer.publish(topic, data)),
    ping: unsupported,
    echo: unsupported,
    perf: unsupported,
    hangUp: unsupported,
    fetch: unsupported,
    identify: unsupported,
    known: unsupported,
    event: unsupported,
    scores: unsupported,
    traffic: unsupported,
    log: async () => '',
  }
}

/**
 * @param {OpenPage} opened the bundled page (../peers/js/page)
 * @param {import('../peers/js/page/build.mjs').JsPageOptions} options
 * @returns {Promise<Side>}
 */
export const jsPage = async ({ context, page, log }, options) => {
  await page.waitForFunction('window.jsPeer', undefined, { timeout: READY_TIMEOUT })
  /** @param {string} method @param {unknown[]} args @returns {Promise<any>} */
  const call = (method, ...args) => {
    const last = /** @type {{ timeout?: number } | undefined} */ (args.at(-1))
    return within((last?.timeout ?? READY_TIMEOUT) + SLACK, `${method} in the js page`, page.evaluate(evaluateJsCall, { method, args }))
  }
  try {
    await call('start', options)
    return {
      kind: 'js page',
      peerId: await call('id'),
      addresses: () => call('addresses'),
      dial: (...args) => call('dial', ...args),
      ping: (...args) => call('ping', ...args),
      echo: (...args) => call('echo', ...args),
      perf: (...args) => call('perf', ...args),
      connections: () => call('connections'),
      hangUp: (id) => call('hangUp', id),
      identify: (target) => call('identify', target),
      fetch: unsupported,
      known: unsupported,
      event: unsupported,
      ...noPubsub,
      log,
      stop: () => call('stop').finally(() => context.close()),
    }
  } catch (error) {
    await context.close()
    throw error
  }
}

/** @param {{ method: string, args: unknown[] }} call @returns {any} */
const evaluateJsCall = ({ method, args }) => {
  const { jsPeer } = /** @type {any} */ (globalThis)
  return method === 'id' ? jsPeer.id : jsPeer[method](...args)
}
