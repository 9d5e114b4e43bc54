// AutoNAT v2 with go-libp2p and with ourselves: who is reached tells of it, and who is not does not. All addresses are this machine's, so both sides are
// told to take private ones. On Linux all of 127.0.0.0/8 is this machine: there a peer can be seen at an address that no interface of it has.

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { platform, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { expect } from './trial.mjs'
import { until } from './waiting.mjs'

const EVERYWHERE = '/ip4/0.0.0.0/tcp/0'
const HERE = '/ip4/127.0.0.1/tcp/0'
/** Seen at this address; nobody else listens there. */
const ELSEWHERE = platform() === 'linux' ? '127.0.0.9' : '127.0.0.1'
/** A server that can be dialled tells so. */
const DIAL_REQUEST = '/libp2p/autonat/2/dial-request'
/** Three addresses, a request each in six seconds. */
const CONFIRM_TIMEOUT = 45_000
const IDENTIFY_TIMEOUT = 10_000
/** The second request comes six to eight seconds after the first. */
const REFUTE_TIME = 10_000

/** @typedef {import('./side.mjs').Side} Side */

/** Options of our Node peers that pages do not have. @param {Record<string, unknown>} options @returns {any} */
const inNode = (options) => options

/** @param {string} address @param {string} host */
const at = (address, host) => address.replace(/^\/ip4\/[^/]+/, `/ip4/${host}`)

/** @param {Side} side @param {string} start */
const found = async (side, start) => /** @type {string} */ ((await side.addresses()).find((each) => each.startsWith(start)))

/** @type {import('./trial.mjs').Case[]} */
export const autonat = [
  {
    name: 'our node: seen and reached by go, it is told of',
    async run(scene) {
      const go = /** @type {any} */ (await scene.goNode({ listen: ['tcp'], autonat: true }))
      const ours = await scene.ourNode(inNode({ listen: [EVERYWHERE], autonat: { allowPrivate: true } }))
      const seen = at(await found(ours, '/ip4/127.0.0.1'), ELSEWHERE)
      const { ms } = await go.dial(seen)
      expect(platform() !== 'linux' || !(await ours.addresses()).includes(seen), 'nobody should have been told yet')
      // Its other addresses are not where go sees it: those have cost dial data.
      const started = performance.now()
      await confirmed(ours, seen)
      const { listenAddrs, protocols } = await go.identify(ours.peerId)
      expect(
        seen.startsWith(listenAddrs.find((/** @type {string} */ each) => seen.startsWith(each)) ?? 'nothing'),
        'go should be told',
        listenAddrs,
      )
      expect(protocols.includes(DIAL_REQUEST), 'who is reachable should serve others', protocols)
      return { connect: ms, note: `after ${((performance.now() - started) / 1000).toFixed(1)} s` }
    },
  },
  {
    name: 'our node: not reached by go, it is not told of',
    async run(scene) {
      const go = /** @type {any} */ (await scene.goNode({ listen: ['tcp'], autonat: true }))
      // Go sees it at 127.0.0.1, where it does not listen.
      const ours = await scene.ourNode(inNode({ listen: ['/ip4/127.0.0.8/tcp/0'], autonat: { allowPrivate: true } }))
      const [own = ''] = await ours.addresses()
      const { ms } = await ours.dial((await go.addresses())[0])
      await serving(go, ours)
      // By then it has asked about the other one too.
      for (const end = performance.now() + REFUTE_TIME; performance.now() < end; await setTimeout(100)) {
        const addresses = await ours.addresses()
        expect(addresses.join() === own, 'only the address that it listens on should be told of', addresses)
      }
      return { connect: ms }
    },
  },
  {
    name: 'go: reached by our node, and not',
    async run(scene) {
      const ours = await scene.ourNode(inNode({ listen: [HERE], autonat: { server: true, allowPrivate: true } }))
      return asked(scene, await found(ours, '/ip4'))
    },
  },
  {
    name: 'go: reached by our relay, and not',
    async run(scene) {
      const relay = await privateRelay(scene)
      return asked(scene, /** @type {string} */ (relay.addresses[0]))
    },
  },
  {
    name: 'our node: reached by our relay',
    async run(scene) {
      const relay = await privateRelay(scene)
      const ours = await scene.ourNode(inNode({ listen: [EVERYWHERE], autonat: { allowPrivate: true } }))
      const { ms } = await ours.dial(/** @type {string} */ (relay.addresses[0]))
      const other = await scene.ourNode()
      await other.dial(await found(ours, '/ip4/127.0.0.1'))
      await until(
        CONFIRM_TIMEOUT,
        () => 'our node does not serve others',
        async () => (await other.known(ours.peerId))?.protocols.includes(DIAL_REQUEST) || undefined,
      )
      return { connect: ms }
    },
  },
]

/** @param {import('./lab.mjs').Scene} scene */
const privateRelay = async (scene) => {
  const folder = await mkdtemp(join(tmpdir(), 'tabmesh-autonat-'))
  const file = join(folder, 'relay.json')
  await writeFile(file, JSON.stringify({ autonatPrivate: true }))
  try {
    return await scene.relay(['--config', file])
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Go has its addresses dialled by the server at `server`: one request to each server, so two of go. @param {import('./lab.mjs').Scene} scene @param {string} server */
const asked = async (scene, server) => {
  // Its connection comes from the address that it listens on, or from 127.0.0.1: one of the two costs it dial data.
  const listen = ['tcp', ...(platform() === 'linux' ? ['/ip4/127.0.0.7/tcp/0'] : [])]
  const [near, far] = [await scene.goNode({ listen, autonat: true }), await scene.goNode({ listen, autonat: true })].map(
    (go) => /** @type {any} */ (go),
  )
  const { ms } = await near.dial(server)
  await far.dial(server)
  /** @param {any} go @param {string} address @param {string} wanted */
  const ask = async (go, address, wanted) => {
    const bare = address.replace(/\/p2p\/.*/, '')
    const { reachability, address: dialled } = await until(
      IDENTIFY_TIMEOUT,
      () => 'go has not heard that it is a server',
      () =>
        go.reachability([bare]).catch((/** @type {Error} */ error) => (/no peers/.test(error.message) ? undefined : Promise.reject(error))),
    )
    expect(reachability === wanted && dialled === bare, `${bare} should be ${wanted}`, { reachability, dialled })
  }
  const [first = '', last = first] = [(await near.addresses()).at(0), (await far.addresses()).at(-1)]
  await ask(near, first, 'Public')
  await ask(far, last, 'Public')
  const nobody = /** @type {any} */ (await scene.goNode({ listen, autonat: true }))
  await nobody.dial(server)
  await ask(nobody, '/ip4/127.0.0.1/tcp/9', 'Private')
  return { connect: ms }
}

/** @param {Side} ours @param {string} address */
const confirmed = (ours, address) => {
  /** @type {string[]} */
  let seen = []
  return until(
    CONFIRM_TIMEOUT,
    () => `our node does not tell of ${address}: ${seen.join(' ')}`,
    async () => {
      seen = await ours.addresses()
      return seen.includes(address) || undefined
    },
  )
}

/** Waits until our peer has found itself reachable. @param {any} go @param {Side} ours */
const serving = (go, ours) =>
  until(
    CONFIRM_TIMEOUT,
    () => 'our node does not serve others',
    async () => (await go.protocols(ours.peerId)).includes(DIAL_REQUEST) || undefined,
  )
