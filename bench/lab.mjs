// Where the benchmark runs: one headless Chromium, a server for its pages, and every remote as a process of its own, so that none of them
// shares a thread with what is measured or with this program.

import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright'
import { spawnJsPeer } from '../e2e/peers/js/client.mjs'
import { buildJsPage } from '../e2e/peers/js/page/build.mjs'
import { chromiumFlags } from '../scripts/chromium.mjs'
import { serveFolders } from '../scripts/serve-folders.mjs'
import { buildJsPubsub } from './js-pubsub.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const READY_TIMEOUT = 30_000
const CALL_TIMEOUT = 60_000
const STOP_TIMEOUT = 5_000

/**
 * @typedef {'ours' | 'js' | 'raw'} Column
 * @typedef {Awaited<ReturnType<typeof openLab>>} Lab
 * @typedef {{ call: (name: string, ...args: unknown[]) => Promise<any>, close: () => Promise<void> }} Page
 * @typedef {{ peerId: string, address: string }} Remote
 */

/**
 * `js` is whether js-libp2p can be had, `pubsub` whether its gossipsub is wanted.
 *
 * @param {{ dist: string, chromiumPath: string, js: boolean, pubsub: boolean }} options
 */
export const openLab = async ({ dist, chromiumPath, js, pubsub }) => {
  const folder = await mkdtemp(join(tmpdir(), 'tabmesh-bench-'))
  /** @type {(() => unknown)[]} */
  const closers = [() => rm(folder, { recursive: true, force: true })]
  const close = async () => {
    for (const closer of closers.splice(0).reverse()) await Promise.resolve(closer()).catch(() => {})
  }
  /** @param {string} what @param {string[]} args */
  const start = async (what, args) => {
    const { ready, stop } = await spawnReady(what, args)
    closers.push(stop)
    return ready
  }
  try {
    const jsFolder = join(folder, 'js')
    const jsScript = js ? await buildJsScript(jsFolder) : undefined
    const jsPubsub = join(folder, 'js-pubsub')
    if (js && pubsub) await buildJsPubsub(jsPubsub)
    const folders = {
      '/dist/': dist,
      '/bench/': join(root, 'bench'),
      '/e2e/': join(root, 'e2e'),
      '/js/': jsFolder,
      '/js-pubsub/': jsPubsub,
    }
    const { origin, close: closeServer } = await serveFolders(folders, { '/blank': blank })
    closers.push(closeServer)
    const raw = await start('the raw server', [join(root, 'bench/raw-server.mjs')])
    const ourNode = await start('our node', [join(root, 'bench/our-node.mjs'), dist])
    const relayFlags = ['--json', '--listen', LOCAL_WS, '--data', join(folder, 'relay')]
    const relay = await start('the relay', [join(dist, 'relay/cli.js'), ...relayFlags])
    const jsNode = js ? await spawnJsPeer({ listen: [LOCAL_WS] }) : undefined
    if (jsNode !== undefined) closers.push(jsNode.stop)
    const browser = await chromium.launch({ executablePath: chromiumPath, args: chromiumFlags })
    closers.push(() => browser.close())
    return {
      close,
      rawUrl: /** @type {string} */ (raw.url),
      relay: remoteOf(relay),
      ourNode: remoteOf(ourNode),
      jsNode: jsNode && remoteOf(jsNode),
      /** A fresh page, in a process and with stores of its own; nothing is loaded yet. @param {Column | 'js-pubsub'} column */
      open: (column) => openPage(browser, origin, column),
      scripts: { ours: '/dist/index.js', js: jsScript === undefined ? '' : `/js/${jsScript}` },
      version: browser.version(),
    }
  } catch (error) {
    await close()
    throw error
  }
}

const LOCAL_WS = '/ip4/127.0.0.1/tcp/0/ws'

/** @param {{ peerId: string, addresses: string[] }} peer @returns {Remote} */
const remoteOf = ({ peerId, addresses }) => ({ peerId, address: /** @type {string} */ (addresses[0]) })

/** Bundles js-libp2p's page, and tells its script's path. @param {string} folder */
const buildJsScript = async (folder) => {
  await buildJsPage(folder)
  const html = await readFile(join(folder, 'index.html'), 'utf8')
  const [, script] = /<script[^>]* src="\.\/([^"]+)"/.exec(html) ?? []
  if (script === undefined) throw new Error("the js-libp2p page's script was not found")
  return script
}

/**
 * A page that Playwright does not see. To one that it sees it attaches with the Network domain on, and then the browser copies every
 * WebSocket frame to this process as base64, which costs more than the transfer that is measured. So the page is made and driven over the
 * browser's own session, with nothing on but Runtime.evaluate.
 *
 * @param {import('playwright').Browser} browser
 * @param {string} base
 * @param {Column | 'js-pubsub'} column
 * @returns {Promise<Page>}
 */
const openPage = async (browser, base, column) => {
  const cdp = await browser.newBrowserCDPSession()
  const { browserContextId } = await cdp.send('Target.createBrowserContext')
  const { targetId } = await cdp.send('Target.createTarget', { url: `${base}/blank`, browserContextId })
  const { sessionId } = await cdp.send('Target.attachToTarget', { targetId })
  /** @type {Map<number, (answer: any) => void>} */
  const waiting = new Map()
  cdp.on('Target.receivedMessageFromTarget', (event) => {
    if (event.sessionId !== sessionId) return
    const answer = JSON.parse(event.message)
    waiting.get(answer.id)?.(answer)
    waiting.delete(answer.id)
  })
  let count = 0
  /** @param {string} expression @returns {Promise<any>} */
  const evaluate = async (expression) => {
    const id = ++count
    const answered = new Promise((resolve) => waiting.set(id, resolve))
    const params = { expression, awaitPromise: true, returnByValue: true }
    await cdp.send('Target.sendMessageToTarget', { sessionId, message: JSON.stringify({ id, method: 'Runtime.evaluate', params }) })
    const { result, error } = await answered
    const { exception, text } = result?.exceptionDetails ?? {}
    if (error !== undefined || text !== undefined) throw new Error(error?.message ?? exception?.description ?? text)
    return result.result.value
  }
  // The target is there before its document is.
  while ((await evaluate("location.pathname === '/blank' && document.readyState")) !== 'complete') await setTimeout(5)
  await evaluate(`Promise.all([import('/bench/pages/stall.js'), import('/bench/pages/${column}.js')])
    .then((parts) => { globalThis.driver = Object.assign({}, ...parts) })`)
  return {
    async call(name, ...args) {
      const late = new AbortController()
      try {
        return await Promise.race([
          evaluate(`driver.${name}(...${JSON.stringify(args)})`),
          setTimeout(CALL_TIMEOUT, undefined, { signal: late.signal }).then(() =>
            Promise.reject(new Error(`no answer within ${CALL_TIMEOUT} ms`)),
          ),
        ])
      } catch (error) {
        throw new Error(`${column} ${name}: ${error instanceof Error ? error.message : error}`)
      } finally {
        late.abort()
      }
    },
    async close() {
      await cdp.send('Target.disposeBrowserContext', { browserContextId })
      await cdp.detach()
    },
  }
}

const blank = '<!doctype html><meta charset="utf-8"><title>bench</title><link rel="icon" href="data:,">'

/**
 * Starts a program of ours and reads the JSON line that says it is ready.
 *
 * @param {string} what
 * @param {string[]} args
 * @returns {Promise<{ ready: any, stop: () => Promise<void> }>}
 */
const spawnReady = async (what, args) => {
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'pipe'] })
  const killWithUs = () => child.kill('SIGKILL')
  process.once('exit', killWithUs)
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text) => {
    stderr = (stderr + text).slice(-4_000)
  })
  const exited = new Promise((resolve) => child.once('close', resolve)).finally(() => process.removeListener('exit', killWithUs))
  const ready = new AbortController()
  const line = await new Promise((resolve, reject) => {
    const fail = (/** @type {string} */ how) => reject(new Error(`${what} ${how}: ${stderr.trim()}`))
    setTimeout(READY_TIMEOUT, undefined, { signal: ready.signal }).then(
      () => fail(`is not ready after ${READY_TIMEOUT} ms`),
      () => {},
    )
    createInterface({ input: child.stdout }).once('line', resolve)
    child.once('error', reject)
    exited.then((code) => fail(`ended (${code})`))
  }).finally(() => ready.abort())
  return {
    ready: JSON.parse(line),
    async stop() {
      child.stdin.end()
      child.kill('SIGTERM')
      await Promise.race([exited, setTimeout(STOP_TIMEOUT, undefined, { ref: false })])
      killWithUs()
      await exited
    },
  }
}
