// Bundles the js-libp2p page with the repository's Vite and this folder's own packages, and weighs js-libp2p's hello world.

import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { brotliCompress, constants, gzip } from 'node:zlib'
import { build } from 'vite'
import { ensureJsPeer } from '../setup.mjs'

const here = dirname(fileURLToPath(import.meta.url))

/**
 * @typedef {import('../connections.mjs').JsConnectionInfo} JsConnectionInfo
 * @typedef {{ timeout?: number }} CommandOptions
 *
 * @typedef {{ relays?: string[], webrtc?: boolean, muxers?: ('yamux' | 'mplex')[], swarmKey?: string }} JsPageOptions
 * `webrtc`: whether it has WebRTC and listens on it. `muxers`: the best first. `swarmKey`: the text of a private network's key.
 *
 * @typedef {{
 *   start: (options?: JsPageOptions) => Promise<{ startMs: number, readyMs: number }>,
 *   listen: (relay: string) => Promise<void>,
 *   readonly id: string,
 *   addresses: () => string[],
 *   dial: (target: string, options?: CommandOptions) => Promise<JsConnectionInfo & { ms: number }>,
 *   ping: (target: string, options?: CommandOptions) => Promise<{ ms: number, rtt: number }>,
 *   servicePing: (target: string, options?: CommandOptions) => Promise<number>,
 *   echo: (target: string, options: { bytes: number, protocol?: string, seed?: number } & CommandOptions) =>
 *     Promise<{ ms: number, openMs: number, bytes: number, sha256: string }>,
 *   perf: (target: string, options: { upload?: number, download?: number } & CommandOptions) =>
 *     Promise<{ openMs: number, uploadMs: number, downloadMs: number, uploadMBps: number, downloadMBps: number }>,
 *   identify: (target: string, options?: CommandOptions) => Promise<{
 *     peerId: string, agentVersion: string | null, protocolVersion: string | null, listenAddrs: string[], observedAddr: string | null,
 *     protocols: string[], signedAddrs: string[] | null,
 *   }>,
 *   connections: () => JsConnectionInfo[],
 *   hangUp: (peerId: string) => Promise<void>,
 *   stop: () => Promise<void>,
 * }} JsPage what the page offers as `window.jsPeer`; a target is a multiaddr or a peer id
 */

/**
 * Builds the page (`index.html` and its script) to a folder that a static server can serve at its root.
 *
 * @param {string} [outDir]
 * @returns {Promise<string>} the folder
 */
export async function buildJsPage(outDir = join(here, '..', 'dist', 'page')) {
  await ensureJsPeer()
  await build({ ...settings, base: './', build: { outDir, emptyOutDir: true, target: 'es2022' } })
  return outDir
}

/**
 * Bundles js-libp2p's hello world and weighs it.
 *
 * @param {string} [outFile] where to leave the bundle to look at
 * @returns {Promise<{ min: number, gzip: number, brotli: number }>} bytes
 */
export async function weighJsHello(outFile) {
  await ensureJsPeer()
  const result = await build({
    ...settings,
    build: { write: false, target: 'es2022', rolldownOptions: { input: join(here, 'hello.js'), output: { codeSplitting: false } } },
  })
  const { output } = /** @type {{ output: { type: string, code?: string }[] }} */ (result)
  const code = Buffer.from(output.map((file) => file.code ?? '').join(''))
  if (outFile !== undefined) {
    await mkdir(dirname(outFile), { recursive: true })
    await writeFile(outFile, code)
  }
  const [gzipped, brotlied] = await Promise.all([
    promisify(gzip)(code, { level: 9 }),
    promisify(brotliCompress)(code, { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: code.length } }),
  ])
  return { min: code.length, gzip: gzipped.length, brotli: brotlied.length }
}

/** @type {import('vite').InlineConfig} */
const settings = { root: here, configFile: false, logLevel: 'warn' }

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  console.log(await buildJsPage())
  console.log(await weighJsHello(join(here, '..', 'dist', 'hello.js')))
}
