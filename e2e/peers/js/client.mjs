// Starts a js-libp2p peer as a child process and talks to it: what tests and benchmarks import. Runs on Node 20; the child on the Node 22
// that setup.mjs finds.

import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { ensureJsPeer } from './setup.mjs'

const READY_TIMEOUT = 30_000
const COMMAND_TIMEOUT = 60_000
const STOP_TIMEOUT = 5000
/** What is kept of the child's stderr for the message of an error. */
const STDERR_KEPT = 64 * 1024

/**
 * @typedef {import('./connections.mjs').JsConnectionInfo} JsConnectionInfo
 *
 * @typedef {{
 *   listen?: string[],
 *   relay?: string | string[],
 *   relayServer?: boolean,
 *   limits?: boolean,
 *   encryption?: ('noise' | 'tls')[],
 *   muxers?: ('yamux' | 'mplex')[],
 *   swarmKey?: string,
 *   certificate?: string,
 *   pubsub?: boolean | { signing?: 'StrictSign' | 'StrictNoSign', messageId?: 'go' | 'js', peerExchange?: boolean },
 *   dht?: { mode?: 'server' | 'client', protocol?: string },
 *   env?: Record<string, string>,
 *   debug?: string,
 *   readyTimeout?: number,
 * }} JsPeerOptions
 * `listen`: multiaddrs, also /p2p-circuit and /webrtc. `relay`: relays to reserve a slot on before the peer is ready. `relayServer`: be a
 * circuit relay v2, with `limits: false` one that limits no circuit. `encryption`, `muxers`: what it proposes, the best first. `swarmKey`:
 * the file of a private network's key. `certificate`: a PEM file with a certificate and its key, for /tls/ws. `pubsub`: gossipsub, with go's
 * message ids unless told otherwise. `dht`: kad, by default as a server of /ipfs/kad/1.0.0; it takes values under /pk/, /ipns/ and /tabmesh/. `debug`: js-libp2p's
 * DEBUG patterns, written to `stderr`.
 *
 * @typedef {{ timeout?: number }} CommandOptions
 * @typedef {{ from: string, receivedFrom: string, seqno: Uint8Array, data: Uint8Array, id: Uint8Array }} GossipMessage
 * @typedef {{ peerId: string, addresses: string[] }} FoundPeer
 *
 * @typedef {{
 *   peerId: string,
 *   addresses: string[],
 *   pid: number,
 *   readonly stderr: string,
 *   currentAddresses: () => Promise<string[]>,
 *   dial: (target: string, options?: CommandOptions) => Promise<JsConnectionInfo & { ms: number }>,
 *   ping: (target: string, options?: CommandOptions) => Promise<{ ms: number, rtt: number }>,
 *   echo: (target: string, options: { bytes: number, protocol?: string, seed?: number } & CommandOptions) =>
 *     Promise<{ ms: number, openMs: number, bytes: number, sha256: string }>,
 *   perf: (target: string, options: { upload?: number, download?: number } & CommandOptions) =>
 *     Promise<{ openMs: number, uploadMs: number, downloadMs: number, uploadMBps: number, downloadMBps: number }>,
 *   identify: (target: string, options?: CommandOptions) => Promise<{
 *     peerId: string, agentVersion: string | null, protocolVersion: string | null, listenAddrs: string[], observedAddr: string | null,
 *     protocols: string[], signedAddrs: string[] | null,
 *   }>,
 *   fetch: (target: string, options: { key: string } & CommandOptions) => Promise<string | null>,
 *   connections: () => Promise<JsConnectionInfo[]>,
 *   reservations: () => Promise<string[]>,
 *   hangUp: (peerId: string) => Promise<void>,
 *   closeConnection: (connectionId: string) => Promise<void>,
 *   join: (topic: string) => Promise<void>,
 *   leave: (topic: string) => Promise<void>,
 *   publish: (topic: string, data: Uint8Array) => Promise<void>,
 *   messages: (topic: string, options?: { count?: number } & CommandOptions) => Promise<GossipMessage[]>,
 *   subscribers: (topic: string) => Promise<string[]>,
 *   mesh: (topic: string) => Promise<string[]>,
 *   burst: (topic: string, options: { count: number, bytes: number, rate: number } & CommandOptions) => Promise<number>,
 *   tally: (topic: string) => Promise<import('./series.mjs').Tally>,
 *   traffic: () => Promise<Record<string, number>>,
 *   scores: () => Promise<Record<string, number>>,
 *   put: (key: string | Uint8Array, value: Uint8Array, options?: CommandOptions) => Promise<void>,
 *   get: (key: string | Uint8Array, options?: CommandOptions) => Promise<Uint8Array>,
 *   provide: (cid: string, options?: CommandOptions) => Promise<void>,
 *   findProviders: (cid: string, options?: { count?: number } & CommandOptions) => Promise<FoundPeer[]>,
 *   findPeer: (peerId: string, options?: CommandOptions) => Promise<FoundPeer>,
 *   closestPeers: (key: string | Uint8Array, options?: CommandOptions) => Promise<string[]>,
 *   routingTable: () => Promise<string[]>,
 *   ipnsRecord: (options: { value: string, sequence?: number }) => Promise<{ key: Uint8Array, record: Uint8Array }>,
 *   stop: () => Promise<void>,
 *   kill: () => Promise<void>,
 *   [Symbol.asyncDispose]: () => Promise<void>,
 * }} JsPeer
 * A target is a multiaddr or a peer id. `dial` always dials (js-libp2p may still hand back a connection that it has); the others use an
 * open connection to the target, a direct one first, and dial only without one. `messages` takes what others have published, once `count`
 * have come (default: what is there), but for those of a `burst`: `tally` counts them (series.mjs). `burst` publishes `rate` a second, and
 * returns how long that took. `traffic`: what gossipsub has been told so far. `ipnsRecord` signs one with the peer's own key. `kill` ends the
 * process without a goodbye.
 */

/**
 * @param {JsPeerOptions} [options]
 * @returns {Promise<JsPeer>} once it listens, and has a slot on each relay
 */
export async function spawnJsPeer(options = {}) {
  const { node, dir } = await ensureJsPeer()
  const child = spawn(node, [join(dir, 'peer.mjs'), '--json', ...flagsFor(options)], {
    cwd: dir,
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env, DEBUG: options.debug ?? '', DEBUG_COLORS: 'no', NODE_OPTIONS: '' },
  })
  const killWithUs = () => child.kill('SIGKILL')
  process.once('exit', killWithUs)

  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text) => {
    stderr = options.debug === undefined ? (stderr + text).slice(-STDERR_KEPT) : stderr + text
  })

  /** @type {Map<number, { resolve: (value: any) => void, reject: (err: Error) => void, timer: NodeJS.Timeout }>} */
  const pending = new Map()
  /** @type {Error | undefined} */
  let gone
  const exited = new Promise((resolve) => {
    const onGone = (/** @type {string} */ how) => {
      if (gone !== undefined) {
        return
      }
      gone = new Error(`the js-libp2p peer ${how}${stderr && `:\n${stderr.trim()}`}`)
      process.removeListener('exit', killWithUs)
      for (const { reject, timer } of pending.values()) {
        clearTimeout(timer)
        reject(gone)
      }
      pending.clear()
      resolve(undefined)
    }
    child.on('error', (err) => onGone(`could not be started (${err.message})`))
    child.on('close', (code, signal) => onGone(`ended (${signal ?? code})`))
  })
  // a write to a child that has just gone: 'close' says all there is to say
  child.stdin.on('error', () => {})

  const READY = 0
  createInterface({ input: child.stdout }).on('line', (line) => {
    const { id = READY, result, error, ...ready } = JSON.parse(line)
    const waiting = pending.get(id)
    if (waiting === undefined) {
      return
    }
    pending.delete(id)
    clearTimeout(waiting.timer)
    if (error !== undefined) {
      waiting.reject(revive(error))
    } else {
      waiting.resolve(id === READY ? ready : result)
    }
  })

  /**
   * @param {number} id
   * @param {string} what
   * @param {number} ms
   * @returns {Promise<any>}
   */
  const answer = (id, what, ms) =>
    new Promise((resolve, reject) => {
      if (gone !== undefined) {
        reject(gone)
        return
      }
      const timer = setTimeout(() => {
        pending.delete(id)
        reject(new Error(`the js-libp2p peer did not answer within ${ms} ms: ${what}${stderr && `\n${stderr.slice(-4000).trim()}`}`))
      }, ms)
      pending.set(id, { resolve, reject, timer })
    })

  let last = READY
  const command = (/** @type {string} */ cmd, /** @type {Record<string, unknown>} */ args = {}, timeout = COMMAND_TIMEOUT) => {
    const id = ++last
    // the peer gives up first, so that its own error is the one that is seen
    const answered = answer(id, cmd, timeout + 2000)
    child.stdin.write(`${JSON.stringify({ id, cmd, timeout, ...args })}\n`)
    return answered
  }
  const end = async (/** @type {NodeJS.Signals} */ signal) => {
    if (gone === undefined) {
      child.kill(signal)
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT)
      await exited
      clearTimeout(timer)
    }
  }
  const stop = () => end('SIGTERM')

  let ready
  try {
    ready = await answer(READY, 'start', options.readyTimeout ?? READY_TIMEOUT)
  } catch (err) {
    await end('SIGKILL')
    throw err
  }

  return {
    peerId: ready.peerId,
    addresses: ready.addresses,
    pid: /** @type {number} */ (child.pid),
    get stderr() {
      return stderr
    },
    currentAddresses: () => command('addresses'),
    dial: (target, { timeout } = {}) => command('dial', { target }, timeout),
    ping: (target, { timeout } = {}) => command('ping', { target }, timeout),
    echo: (target, { timeout, ...args }) => command('echo', { target, ...args }, timeout),
    perf: (target, { timeout, ...args }) => command('perf', { target, ...args }, timeout),
    identify: (target, { timeout } = {}) => command('identify', { target }, timeout),
    fetch: (target, { timeout, ...args }) => command('fetch', { target, ...args }, timeout),
    connections: () => command('connections'),
    reservations: () => command('reservations'),
    hangUp: (target) => command('hangUp', { target }),
    closeConnection: (connection) => command('hangUp', { connection }),
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
    traffic: () => command('traffic'),
    scores: () => command('scores'),
    put: (key, value, { timeout } = {}) => command('put', { key: toBase64(key), data: toBase64(value) }, timeout),
    get: async (key, { timeout } = {}) => fromBase64(await command('get', { key: toBase64(key) }, timeout)),
    provide: (cid, { timeout } = {}) => command('provide', { cid }, timeout),
    findProviders: (cid, { count, timeout } = {}) => command('findProviders', { cid, count }, timeout),
    findPeer: (target, { timeout } = {}) => command('findPeer', { target }, timeout),
    closestPeers: (key, { timeout } = {}) => command('closestPeers', { key: toBase64(key) }, timeout),
    routingTable: () => command('routingTable'),
    async ipnsRecord(options) {
      const { key, record } = await command('ipnsRecord', options)
      return { key: fromBase64(key), record: fromBase64(record) }
    },
    stop,
    kill: () => end('SIGKILL'),
    [Symbol.asyncDispose]: stop,
  }
}

/**
 * @param {JsPeerOptions} options
 * @returns {string[]}
 */
function flagsFor({ listen = [], relay = [], relayServer = false, limits = true, encryption = [], muxers = [], ...options }) {
  const { swarmKey, certificate, pubsub = false, dht } = options
  return [
    ...listen.flatMap((address) => ['--listen', address]),
    ...[relay].flat().flatMap((address) => ['--relay', address]),
    ...(relayServer ? ['--relay-server'] : []),
    ...(limits ? [] : ['--no-limits']),
    ...encryption.flatMap((name) => ['--encryption', name]),
    ...muxers.flatMap((name) => ['--muxer', name]),
    ...(swarmKey === undefined ? [] : ['--swarm-key', swarmKey]),
    ...(certificate === undefined ? [] : ['--certificate', certificate]),
    ...(pubsub === false ? [] : ['--pubsub', JSON.stringify(pubsub === true ? {} : pubsub)]),
    ...(dht === undefined ? [] : ['--dht', JSON.stringify(dht)]),
  ]
}

/** @param {string | Uint8Array} bytes */
const toBase64 = (bytes) => Buffer.from(bytes).toString('base64')

/** @param {string | null} text */
const fromBase64 = (text) => new Uint8Array(Buffer.from(text ?? '', 'base64'))

/**
 * @param {{ name: string, message: string, errors?: any[] }} error
 * @returns {Error}
 */
function revive({ name, message, errors }) {
  const detail = errors?.map((one) => `\n  ${one.name}: ${one.message}`).join('') ?? ''
  const err = errors === undefined ? new Error(message) : new AggregateError(errors.map(revive), `${message}${detail}`)
  err.name = name
  return err
}
