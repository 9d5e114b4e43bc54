// Processes inside the lab: the relay in the public segment, and in each client's namespace a server for its page and a Chromium that shows it.

import { spawn } from 'node:child_process'
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright'
import { chromiumFlags } from '../../scripts/chromium.mjs'
import { pageHelpers } from './page.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const PORT = 8_080
const READY_TIMEOUT = 15_000

/** @typedef {Awaited<ReturnType<typeof import('./lab.mjs').openLab>>} Lab */
/** @typedef {Awaited<ReturnType<typeof openPage>>} NatPage */
/** @typedef {Awaited<ReturnType<typeof startRelay>>} NatRelay */

/** The first line that a child prints, read as JSON. @param {import('node:child_process').ChildProcess} child @returns {Promise<any>} */
const firstLine = (child) =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('a process in the lab said nothing')), READY_TIMEOUT)
    child.once('exit', (code) => reject(new Error(`a process in the lab ended with ${code}`)))
    createInterface({ input: /** @type {import('node:stream').Readable} */ (child.stdout) }).once('line', (line) => {
      clearTimeout(timer)
      resolve(JSON.parse(line))
    })
  })

/** @param {import('node:child_process').ChildProcess} child @param {NodeJS.Signals} [signal] */
const end = async (child, signal = 'SIGKILL') => {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise((resolve) => child.once('exit', resolve))
  child.kill(signal)
  await gone
}

/** A relay in the public segment. @param {Lab} lab @param {string} host @param {number} port */
export const startRelay = async (lab, host = '10.0.0.1', port = 9_090) => {
  const data = await mkdtemp(join(tmpdir(), 'tabmesh-nat-'))
  const cli = `${root}dist/relay/cli.js`
  const start = async () => {
    const args = [
      'netns',
      'exec',
      lab.space.public,
      process.execPath,
      cli,
      '--json',
      '--data',
      data,
      '--listen',
      `/ip4/${host}/tcp/${port}/ws`,
    ]
    const child = spawn('ip', args, { stdio: ['ignore', 'pipe', 'ignore'] })
    return { child, ready: await firstLine(child) }
  }
  let running = await start()
  return {
    address: /** @type {string} */ (running.ready.addresses[0]),
    peerId: /** @type {string} */ (running.ready.peerId),
    kill: () => end(running.child),
    restart: async () => {
      running = await start()
    },
    stop: async () => {
      await end(running.child, 'SIGTERM')
      await rm(data, { recursive: true, force: true })
    },
  }
}

/**
 * A page behind a NAT. It is served from its own namespace as http://localhost, which is a secure context.
 *
 * @param {Lab} lab
 * @param {'A' | 'B'} side
 * @param {string} executablePath
 */
export const openPage = async (lab, side, executablePath) => {
  const space = lab.space[side]
  const folder = await mkdtemp(join(tmpdir(), 'tabmesh-nat-'))
  const wrapper = join(folder, 'chromium.sh')
  await writeFile(wrapper, `#!/bin/sh\nexec ip netns exec ${space} ${executablePath} "$@"\n`)
  await chmod(wrapper, 0o755)
  const server = spawn('ip', ['netns', 'exec', space, process.execPath, fileURLToPath(import.meta.url), 'serve'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await firstLine(server)
  const browser = await chromium.launch({
    executablePath: wrapper,
    // Another network's addresses may be reached from a page of localhost: the browser would ask its user.
    args: [...chromiumFlags, '--ip-address-space-overrides=10.0.0.1:9090=public,10.0.0.2:9090=public'],
  })
  const context = await browser.newContext()
  await context.grantPermissions(['local-network-access']).catch(() => {})
  const page = await context.newPage()
  await page.goto(`http://localhost:${PORT}/`)
  await page.addScriptTag({ content: `(${pageHelpers})()` })
  return {
    side,
    page,
    /** @param {import('tabmesh').PeerOptions} options @returns {Promise<string>} the peer's id */
    start: (options) => page.evaluate((given) => globalThis.nat.start(given), /** @type {any} */ (options)),
    close: async () => {
      await browser.close().catch(() => {})
      await end(server)
      await rm(folder, { recursive: true, force: true })
    },
  }
}

const types = /** @type {Record<string, string>} */ ({ '.js': 'text/javascript', '.html': 'text/html', '.map': 'application/json' })

/** The page's server, when this file is run inside a client's namespace. */
const serve = () => {
  const server = createServer(async (request, response) => {
    const path = new URL(request.url ?? '/', 'http://localhost').pathname
    const shown = path === '/' ? '<!doctype html><title>tabmesh behind a NAT</title>' : undefined
    const body = shown ?? (await readFile(join(root, 'dist', path.replaceAll('..', ''))).catch(() => undefined))
    response.writeHead(body === undefined ? 404 : 200, { 'content-type': types[extname(path)] ?? 'text/html' })
    response.end(body)
  })
  server.listen(PORT, '127.0.0.1', () => console.log('{}'))
}
if (process.argv[1] === fileURLToPath(import.meta.url) && process.argv[2] === 'serve') serve()
