// Where the interop cases run: relays of ours as processes, our peers in this process and in pages of a Chromium, those of js-libp2p and
// go-libp2p beside them.
//
// A lab has what all cases share (browser, pages' server, the bundled js page); each case has a scene of its own, and at its end
// everything it started is stopped and every relay of ours has to be empty again.

import { spawn } from 'node:child_process'
import { rmSync } from 'node:fs'
import { mkdtemp, readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { extname, join, normalize } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { chromium } from 'playwright'
import { chromiumFlags } from '../../scripts/chromium.mjs'
import { spawnGoPeer } from '../peers/go/client.mjs'
import { spawnJsPeer } from '../peers/js/client.mjs'
import { buildJsPage } from '../peers/js/page/build.mjs'
import { spawnRustPeer } from '../peers/rust/client.mjs'
import { startOurPeer } from './our-peer.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const READY_TIMEOUT = 30_000
const STOP_TIMEOUT = 10_000
/** How long a relay may take to notice that everybody is gone. */
const EMPTY_TIMEOUT = 10_000
/** Beyond what the peer itself is given, so that its own error is the one that is seen. */
const SLACK = 5_000

/**
 * @typedef {import('../../src/types.ts').PeerOptions} PeerOptions
 * @typedef {import('../peers/go/client.mjs').GoPeerOptions} GoPeerOptions
 * @typedef {import('../peers/js/client.mjs').JsPeerOptions} JsPeerOptions
 * @typedef {Awaited<ReturnType<typeof startOurPeer>>} OurPeer
 * @typedef {Awaited<ReturnType<typeof openLab>>} Lab
 * @typedef {ReturnType<Lab['scene']>} Scene
 * @typedef {{ peerId: string, addresses: string[], address: string, http: string, health: () => Promise<Record<string, number>> }} OurRelay
 */

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
 *   subscribers: (topic: string) => Promise<string[]>,
 *   mesh: (topic: string) => Promise<string[]>,
 *   burst: (topic: string, options: { count: number, bytes: number, rate: number, timeout?: number }) => Promise<number>,
 *   tally: (topic: string) => Promise<import('../peers/js/series.mjs').Tally>,
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

/**
 * Rejects when `work` takes longer than `ms`.
 *
 * @template T
 * @param {number} ms
 * @param {string} what
 * @param {Promise<T>} work
 * @returns {Promise<T>}
 */
export const within = async (ms, what, work) => {
  /** @type {NodeJS.Timeout | undefined} */
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: no answer within ${ms} ms`)), ms)
  })
  try {
    return await Promise.race([work, /** @type {Promise<never>} */ (late)])
  } finally {
    clearTimeout(timer)
  }
}

/**
 * Waits until `look` returns something that is not undefined.
 *
 * @template T
 * @param {number} ms
 * @param {() => string} what
 * @param {() => Promise<T | undefined>} look
 * @returns {Promise<T>}
 */
export const until = async (ms, what, look) => {
  const end = performance.now() + ms
  for (;;) {
    const found = await look()
    if (found !== undefined) return found
    if (performance.now() > end) throw new Error(`${what()} (waited ${ms} ms)`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

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
    const base = await servePages({ '/dist/': dist, '/e2e/': join(root, 'e2e'), ...jsPage }, closers)
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

const contentTypes = /** @type {Record<string, string>} */ ({ '.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript' })

/**
 * @param {Record<string, string>} folders
 * @param {(() => Promise<unknown>)[]} closers
 * @returns {Promise<string>} the origin
 */
const servePages = async (folders, closers) => {
  const server = createServer(async (request, response) => {
    const path = normalize(new URL(request.url ?? '/', 'http://localhost').pathname)
    const prefix = Object.keys(folders).find((each) => path.startsWith(each))
    try {
      if (prefix === undefined) throw new Error('no such folder')
      const body = await readFile(join(/** @type {string} */ (folders[prefix]), path.slice(prefix.length)))
      response.writeHead(200, { 'content-type': contentTypes[extname(path)] ?? 'application/octet-stream' }).end(body)
    } catch {
      response.writeHead(404).end()
    }
  })
  await new Promise((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', () => resolve(undefined)))
  closers.push(async () => {
    server.closeAllConnections()
    server.close()
  })
  return `http://localhost:${/** @type {import('node:net').AddressInfo} */ (server.address()).port}`
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
    async ourNode(options = {}) {
      const peer = await startOurPeer(createPeer, options)
      const side = add({
        ...peer,
        kind: 'our node',
        ...dhtOverBorder(async (method, ...args) => /** @type {any} */ (peer)[method](...args)),
        publish: (topic, data) => peer.publish(topic, [...data]),
        messages: async (...args) => (await peer.messages(...args)).map(heard),
        traffic: unsupported,
        addresses: async () => peer.addresses(),
        connections: async () => peer.connections(),
        identify: unsupported,
        log: async () => peer.told().slice(-20).join('\n'),
      })
      return side
    },

    /** @param {PeerOptions} [options] */
    async ourPage(options = {}) {
      const { context, page, log } = await openPage('/e2e/interop/page.html')
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
        return add({
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
        })
      } catch (error) {
        await context.close()
        throw error
      }
    },

    /** @param {import('../peers/js/page/build.mjs').JsPageOptions} [options] */
    async jsPage(options = {}) {
      const { context, page, log } = await openPage('/js/index.html')
      await page.waitForFunction('window.jsPeer', undefined, { timeout: READY_TIMEOUT })
      /** @param {string} method @param {unknown[]} args @returns {Promise<any>} */
      const call = (method, ...args) => {
        const last = /** @type {{ timeout?: number } | undefined} */ (args.at(-1))
        return within((last?.timeout ?? READY_TIMEOUT) + SLACK, `${method} in the js page`, page.evaluate(evaluateJsCall, { method, args }))
      }
      try {
        await call('start', options)
        return add({
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
        })
      } catch (error) {
        await context.close()
        throw error
      }
    },

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

const LOCAL_WS = '/ip4/127.0.0.1/tcp/0/ws'

/** @param {JsPeerOptions} [options] @returns {Promise<Side>} */
const jsNode = async (options) => {
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

/** @param {GoPeerOptions} [options] @returns {Promise<Side>} */
const goNode = async (options) => {
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

/** @param {import('../peers/rust/client.mjs').RustPeerOptions} [options] @returns {Promise<Side>} */
const rustNode = async (options) => {
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

const unsupported = () => Promise.reject(new Error('this kind of peer does not offer that'))

const noPubsub = {
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

/** Bytes cross the border of our peers as plain arrays. @param {import('./our-rooms.mjs').PlainMessage} message @returns {Heard} */
const heard = ({ from, seqno, data, id }) => ({
  from,
  seqno: Uint8Array.from(seqno),
  data: Uint8Array.from(data),
  id: new Uint8Array(Buffer.from(id, 'hex')),
})

/** @param {{ method: string, args: unknown[] }} call @returns {any} */
const evaluateCall = ({ method, args }) => /** @type {any} */ (globalThis).call(method, args)

/** @param {{ method: string, args: unknown[] }} call @returns {any} */
const evaluateJsCall = ({ method, args }) => {
  const { jsPeer } = /** @type {any} */ (globalThis)
  return method === 'id' ? jsPeer.id : jsPeer[method](...args)
}

/** @param {{ name: string, message: string, code?: string, errors?: any[] }} plain @returns {Error} */
const revive = ({ name, message, code, errors }) => Object.assign(new Error(message), { name, code, errors: errors?.map(revive) })

/** @param {string} cli @param {string} data @param {string[]} flags */
const spawnRelay = async (cli, data, flags) => {
  const child = spawn(process.execPath, [cli, '--json', '--listen', LOCAL_WS, '--data', data, ...flags], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const killWithUs = () => child.kill('SIGKILL')
  process.once('exit', killWithUs)
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text) => (stderr += text))
  const exited = new Promise((resolve) => child.once('close', resolve)).finally(() => process.removeListener('exit', killWithUs))
  const firstLine = new Promise((resolve) => createInterface({ input: child.stdout }).once('line', resolve))
  const died = exited.then((code) => Promise.reject(new Error(`our relay ended (${code}): ${stderr.trim()}`)))
  died.catch(() => {})
  const line = await within(READY_TIMEOUT, 'our relay', Promise.race([firstLine, died])).catch((error) => {
    killWithUs()
    throw error
  })
  const { peerId, addresses, http } = JSON.parse(line)
  return {
    peerId,
    addresses,
    address: addresses[0],
    http,
    health: async () => (await fetch(`${http}/health`)).json(),
    async stop() {
      child.kill('SIGTERM')
      const code = await within(STOP_TIMEOUT, 'our relay draining', exited).catch((error) => {
        killWithUs()
        throw error
      })
      if (code !== 0) throw new Error(`our relay exited ${code}: ${stderr.trim()}`)
    },
  }
}

/** @param {OurRelay['health']} health */
const emptied = (health) => {
  let last = {}
  return until(
    EMPTY_TIMEOUT,
    () => `the relay still counts ${JSON.stringify(last)}`,
    async () => {
      const { reservations, circuits, connections } = await health()
      last = { reservations, circuits, connections }
      return reservations === 0 && circuits === 0 && connections === 0 ? true : undefined
    },
  )
}
