// Where the interop cases run: relays of ours as processes, our peers in this process and in pages of a Chromium, those of js-libp2p and
// go-libp2p beside them.
//
// A lab has what all cases share (browser, pages' server, the bundled js page); each case has a scene of its own, and at its end
// everything it started is stopped and every relay of ours has to be empty again.

import { rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { chromium } from 'playwright'
import { chromiumFlags } from '../../scripts/chromium.mjs'
import { serveFolders } from '../../scripts/serve-folders.mjs'
import { buildJsPage } from '../peers/js/page/build.mjs'
import { emptied, LOCAL_WS, spawnRelay } from './our-relay.mjs'
import { ourNode, ourPage } from './our-sides.mjs'
import { goNode, jsNode, jsPage, rustNode } from './their-sides.mjs'
import { within } from './waiting.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const STOP_TIMEOUT = 10_000

/**
 * @typedef {import('../../src/types.ts').PeerOptions} PeerOptions
 * @typedef {import('../peers/go/client.mjs').GoPeerOptions} GoPeerOptions
 * @typedef {import('../peers/js/client.mjs').JsPeerOptions} JsPeerOptions
 * @typedef {Awaited<ReturnType<typeof openLab>>} Lab
 * @typedef {ReturnType<Lab['scene']>} Scene
 * @typedef {import('./side.mjs').Side} Side
 * @typedef {import('./our-relay.mjs').OurRelay} OurRelay
 */

/** `js`: whether js-libp2p is there, for its page. @param {{ dist: string, chromiumPath: string, js: boolean }} options */
export const openLab = async ({ dist, chromiumPath, js }) => {
  const folder = await mkdtemp(join(tmpdir(), 'tabmesh-interop-'))
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  /** @type {(() => Promise<unknown>)[]} */
  const closers = []
  const close = async () => {
    for (const closer of closers.splice(0).reverse()) await closer().catch((error) => console.error(`closing: ${error.message}`))
  }
  try {
    const jsPage = js ? { '/js/': await buildJsPage(join(folder, 'js')) } : {}
    const { origin: base, close: closeServer } = await serveFolders({ '/dist/': dist, '/e2e/': join(root, 'e2e'), ...jsPage })
    closers.push(async () => closeServer())
    // Nobody has signed the certificates of wss here. Those of WebTransport and WebRTC are checked all the same: by their hashes.
    const browser = await chromium.launch({ executablePath: chromiumPath, args: [...chromiumFlags, '--ignore-certificate-errors'] })
    closers.push(() => browser.close())
    const { createPeer } = await import(pathToFileURL(join(dist, 'node.js')).href)
    let relays = 0
    const relayFolder = () => join(folder, `relay-${relays++}`)
    /** Why our Node peer can't listen there on this machine; undefined where it can. @param {string} address */
    const unsupported = async (address) => {
      try {
        await (await createPeer({ listen: [address] })).stop()
        return undefined
      } catch (error) {
        if (/** @type {{ code?: string }} */ (error).code !== 'ERR_UNSUPPORTED') throw error
        return /** @type {Error} */ (error).message
      }
    }
    return { folder, unsupported, scene: () => openScene({ dist, base, browser, createPeer, relayFolder }), close }
  } catch (error) {
    await close()
    throw error
  }
}

/**
 * @param {{
 *   dist: string, base: string, browser: import('playwright').Browser,
 *   createPeer: (options: PeerOptions) => Promise<any>, relayFolder: () => string,
 * }} lab
 */
const openScene = ({ dist, base, browser, createPeer, relayFolder }) => {
  /** @type {Side[]} */
  const sides = []
  /** @type {{ health: OurRelay['health'], stop: () => Promise<void>, empties: boolean }[]} */
  const relays = []

  /** @template {Side} S @param {S} side @returns {S} */
  const add = (side) => {
    sides.push(side)
    return side
  }

  /** @param {string} path */
  const openPage = async (path) => {
    const context = await browser.newContext()
    const page = await context.newPage()
    /** @type {string[]} */
    const said = []
    page.on('console', (message) => said.push(message.text()))
    page.on('pageerror', (error) => said.push(String(error.stack ?? error)))
    await page.goto(base + path)
    return { context, page, log: async () => said.slice(-20).join('\n') }
  }

  return {
    /**
     * Our relay as a process. In the end it has to be empty, unless it has connections of its own.
     *
     * @param {string[]} [flags]
     * @param {{ empties?: boolean }} [options]
     * @returns {Promise<OurRelay>}
     */
    async relay(flags = ['--circuit-duration', '0', '--circuit-bytes', '0'], { empties = true } = {}) {
      const relay = await spawnRelay(join(dist, 'relay', 'cli.js'), relayFolder(), flags)
      relays.push({ ...relay, empties })
      return relay
    },

    /** A js-libp2p relay, one that limits its circuits only where it is told to. @param {JsPeerOptions} [options] */
    async jsRelay(options) {
      const side = add(await jsNode({ listen: [LOCAL_WS], relayServer: true, limits: false, ...options }))
      return { ...side, address: /** @type {string} */ ((await side.addresses())[0]) }
    },

    /** A go-libp2p relay, one that limits its circuits only where it is told to. @param {GoPeerOptions} [options] */
    async goRelay(options) {
      const side = add(await goNode({ listen: ['ws'], relayServer: true, limits: false, ...options }))
      return { ...side, address: /** @type {string} */ ((await side.addresses())[0]) }
    },

    /** @param {GoPeerOptions} [options] */
    goNode: async (options) => add(await goNode(options)),

    /** @param {JsPeerOptions} [options] */
    jsNode: async (options) => add(await jsNode(options)),

    /** @param {import('../peers/rust/client.mjs').RustPeerOptions} [options] */
    rustNode: async (options) => add(await rustNode(options)),

    /** With `relays`: once each has given it an address. @param {PeerOptions} [options] */
    ourNode: async (options = {}) => add(await ourNode(createPeer, options)),

    /** @param {PeerOptions} [options] */
    ourPage: async (options = {}) => add(await ourPage(await openPage('/e2e/interop/page.html'), options)),

    /** @param {import('../peers/js/page/build.mjs').JsPageOptions} [options] */
    jsPage: async (options = {}) => add(await jsPage(await openPage('/js/index.html'), options)),

    /** Stops one of them now; the others stay. @param {Side} side */
    async dismiss(side) {
      sides.splice(sides.indexOf(side), 1)
      await within(STOP_TIMEOUT, `stopping the ${side.kind}`, side.stop()).catch(() => {})
    },

    /** What everybody said last, or these, for the message of a failure. */
    async logs(who = sides) {
      const logs = await Promise.all(who.map(async (side) => [side.kind, await side.log().catch(() => '')]))
      return logs.flatMap(([kind, text]) => (text ? [`${kind}:\n${text.replace(/^/gm, '    ')}`] : [])).join('\n')
    },

    /** Stops everything; rejects with what could not be stopped, or was left behind on a relay. */
    async end() {
      /** @type {string[]} */
      const problems = []
      const settle = async (/** @type {string} */ what, /** @type {Promise<unknown>} */ work) =>
        within(STOP_TIMEOUT, what, work).catch((error) => void problems.push(`${what}: ${error.message}`))
      await Promise.all(sides.map((side) => settle(`stopping the ${side.kind}`, side.stop())))
      for (const { health, stop, empties } of relays) {
        if (empties) await settle('an empty relay', emptied(health))
        await settle('stopping our relay', stop())
      }
      if (problems.length > 0) throw new Error(problems.join('; '))
    },
  }
}
