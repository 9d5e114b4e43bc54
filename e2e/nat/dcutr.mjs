// DCUtR with real NATs: Node peers of ours and of go-libp2p, each behind one, that meet at our relay and end in a TCP connection.
//
//   node e2e/nat/dcutr.mjs [word …]       the cases whose name has these words; needs what the lab needs (lab.mjs), and a build

import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { ensureGoPeer } from '../peers/go/setup.mjs'
import { startPeerProcess } from '../peers/process.mjs'
import { startRelay } from './clients.mjs'
import { missing, openLab } from './lab.mjs'

const here = fileURLToPath(import.meta.url)
const root = fileURLToPath(new URL('../..', import.meta.url))
/** Another build than dist/. */
const dist = process.env.TABMESH_DIST ?? `${root}dist`
const READY_TIMEOUT = 20_000
const DIRECT_WITHIN = 5_000
const BYTES = 5_000_000
/** Where go listens, and dials from: these NATs keep a port where they can. */
const GO_PORT = 4_001
const OUTER = { A: '10.0.0.11', B: '10.0.0.12' }

/**
 * @typedef {import('./clients.mjs').Lab} Lab
 * @typedef {import('./lab.mjs').Nat} Nat
 * @typedef {'A' | 'B'} Side
 * @typedef {'ours' | 'go'} Kind
 * @typedef {{ remotePeer: string, transport: string, direction: string }} Way
 * @typedef {{
 *   peerId: string, dial: (address: string) => Promise<unknown>, ways: () => Promise<Way[]>,
 *   measure: (peer: string) => Promise<{ uploadMBps: number, downloadMBps: number }>, stop: () => Promise<unknown>,
 * }} Peer
 */

/** @param {number} ms */
const pause = (ms) => new Promise((done) => setTimeout(done, ms))

/** A Node peer of ours in the namespace of a client, which does what it is told on stdin. @param {Lab} lab @param {Side} side @param {string} relay @returns {Promise<Peer>} */
const ourPeer = async (lab, side, relay) => {
  const child = spawn('ip', ['netns', 'exec', lab.space[side], process.execPath, here, 'peer', relay], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  /** @type {((answer: any) => void)[]} */
  const waiting = []
  const next = () => new Promise((resolve) => waiting.push(resolve))
  createInterface({ input: child.stdout }).on('line', (line) => waiting.shift()?.(JSON.parse(line)))
  child.once('exit', () => {
    for (const each of waiting.splice(0)) each({ error: 'the peer is gone' })
  })
  const ask = async (/** @type {unknown[]} */ ...command) => {
    const answer = next()
    child.stdin.write(`${JSON.stringify(command)}\n`)
    const { error, result } = await answer
    if (error !== undefined) throw new Error(error)
    return result
  }
  const { peerId, error } = await next()
  if (peerId === undefined) throw new Error(error)
  return {
    peerId,
    dial: (address) => ask('dial', address),
    ways: () => ask('ways'),
    measure: (peer) => ask('measure', peer),
    stop: async () => void child.kill('SIGKILL'),
  }
}

/** @param {Lab} lab @param {Side} side @param {string} relay @returns {Promise<Peer>} */
const goPeer = async (lab, side, relay) => {
  const { binary, dir } = await ensureGoPeer()
  const options = {
    listen: [`/ip4/0.0.0.0/tcp/${GO_PORT}`],
    relay: [relay],
    holePunching: true,
    punchAt: [`/ip4/${OUTER[side]}/tcp/${GO_PORT}`],
  }
  const { ready, command, kill } = await startPeerProcess(
    'go-libp2p peer',
    'ip',
    ['netns', 'exec', lab.space[side], binary, JSON.stringify(options)],
    { cwd: dir, env: { ...process.env, GOLOG_LOG_LEVEL: 'error' }, readyTimeout: READY_TIMEOUT, wholeStderr: false },
  )
  return {
    peerId: ready.peerId,
    dial: (target) => command('dial', { target }),
    ways: () => command('connections'),
    measure: (target) => command('perf', { target, upload: BYTES, download: BYTES }),
    stop: kill,
  }
}

const make = { ours: ourPeer, go: goPeer }

/**
 * A dials B through the relay. `direct`: it has to end in TCP; else it has to stay on the relay, and carry data there.
 *
 * @param {[Kind, Nat]} a
 * @param {[Kind, Nat]} b
 * @param {boolean} direct
 * @returns {import('./cases.mjs').Case}
 */
const meeting = ([one, natOfA], [other, natOfB], direct) => ({
  name: `dcutr: ${one} behind ${natOfA} → ${other} behind ${natOfB}: ${direct ? 'TCP' : 'relay'}`,
  run: async (lab) => {
    await lab.nat('A', natOfA)
    await lab.nat('B', natOfB)
    const relay = await startRelay(lab)
    /** @type {Peer[]} */
    const peers = []
    try {
      const a = await make[one](lab, 'A', relay.address)
      peers.push(a)
      const b = await make[other](lab, 'B', relay.address)
      peers.push(b)
      const waysTo = async (/** @type {Peer} */ from, /** @type {Peer} */ to) =>
        (await from.ways())
          .filter(({ remotePeer }) => remotePeer === to.peerId)
          .map(({ transport, direction }) => `${transport} ${direction}`)
      await a.dial(`${relay.address}/p2p-circuit/p2p/${b.peerId}`)
      const began = performance.now()
      // go-libp2p calls outbound what it dialled, be it as the server.
      const inbound = other === 'go' ? 'tcp outbound' : 'tcp inbound'
      const isDirect = async () => (await waysTo(a, b)).includes('tcp outbound') && (await waysTo(b, a)).includes(inbound)
      while (!(await isDirect()) && performance.now() - began < DIRECT_WITHIN) await pause(10)
      const ms = Math.round(performance.now() - began)
      const seen = `A has ${await waysTo(a, b)}, B has ${await waysTo(b, a)}`
      if (direct !== (await isDirect())) throw new Error(seen)
      // Each side retires the relayed connection, and it goes when it is idle.
      const isRelayed = async () => (await waysTo(a, b)).some((each) => each.startsWith('relay'))
      while (direct && (await isRelayed())) {
        if (performance.now() - began > 2 * DIRECT_WITHIN) throw new Error(`the relayed connection stays: A has ${await waysTo(a, b)}`)
        await pause(10)
      }
      const { uploadMBps, downloadMBps } = await a.measure(b.peerId)
      const told = `${BYTES / 1e6} MB at ${uploadMBps.toFixed(0)} and ${downloadMBps.toFixed(0)} MB/s`
      return direct ? `direct after ${ms} ms, ${told}` : `relayed, ${told}`
    } finally {
      for (const each of peers) await each.stop()
      await relay.stop()
    }
  },
})

/** @type {import('./cases.mjs').Case[]} */
export const dcutrCases = [
  meeting(['ours', 'cone'], ['ours', 'cone'], true),
  meeting(['ours', 'cone'], ['go', 'cone'], true),
  meeting(['go', 'cone'], ['ours', 'cone'], true),
  meeting(['ours', 'udpblock'], ['ours', 'udpblock'], true),
  meeting(['ours', 'symmetric'], ['ours', 'symmetric'], false),
]

/** The peer itself, when this file is run inside a client's namespace. @param {string} relay */
const servePeer = async (relay) => {
  const { createPeer } = await import(`${dist}/node.js`)
  const peer = await createPeer({ identity: 'ephemeral', relays: [relay], transports: { webRTC: false, quic: false }, perf: true })
  const say = (/** @type {unknown} */ line) => console.log(JSON.stringify(line))
  /** @type {Record<string, (target: string) => unknown>} */
  const commands = {
    dial: (address) => peer.dial(address),
    ways: () => peer.connections,
    measure: async (target) => {
      const { upload, download } = await peer.perf(target, { upload: BYTES, download: BYTES })
      return { uploadMBps: upload.bytes / 1000 / upload.ms, downloadMBps: download.bytes / 1000 / download.ms }
    },
  }
  createInterface({ input: process.stdin }).on('line', async (line) => {
    const [name, target] = JSON.parse(line)
    try {
      say({ result: (await commands[name]?.(target)) ?? null })
    } catch (error) {
      say({ error: String(/** @type {Error} */ (error).message) })
    }
  })
  for (const end = performance.now() + READY_TIMEOUT; peer.addresses.length === 0 && performance.now() < end; ) await pause(20)
  say(peer.addresses.length > 0 ? { peerId: peer.id } : { error: 'no reservation' })
}

/** @param {string[]} words */
const runAll = async (words) => {
  const why = await missing()
  if (why !== undefined) return console.log(`skipped: ${why}`)
  for (const one of dcutrCases.filter(({ name }) => words.every((word) => name.includes(word)))) {
    const lab = await openLab()
    try {
      console.log(`ok      ${one.name.padEnd(64)} ${await one.run(lab, '')}`)
    } catch (error) {
      process.exitCode = 1
      console.log(`FAILED  ${one.name.padEnd(64)} ${error instanceof Error ? error.message : error}`)
    } finally {
      await lab.down()
    }
  }
}

if (process.argv[1] === here) {
  if (process.argv[2] === 'peer') await servePeer(process.argv[3] ?? '')
  else await runAll(process.argv.slice(2))
}
