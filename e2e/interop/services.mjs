// Identify with js-libp2p and go-libp2p, fetch with js-libp2p, over WebSocket: what each has learnt of the other, and what is asked for by key.

import { FETCH_NOTHING, FETCH_PREFIX } from '../peers/js/protocols.mjs'
import { expect } from './trial.mjs'

const LOCAL_WS = '/ip4/127.0.0.1/tcp/0/ws'
const listening = { listen: [LOCAL_WS] }
const KEY = `${FETCH_PREFIX}schlüssel`

/** @typedef {import('./side.mjs').Side} Side */

/** @param {Side} side */
const firstAddress = async (side) => /** @type {string} */ ((await side.addresses())[0])

/** @type {import('./trial.mjs').Case[]} */
export const services = [
  {
    name: 'identify: our page → js node',
    async run(scene) {
      const js = await scene.jsNode(listening)
      const ours = await scene.ourPage()
      const { ms } = await ours.dial(await firstAddress(js))
      await identified(js, ours, [])
      return { connect: ms }
    },
  },
  {
    name: 'identify: our node → js node',
    async run(scene) {
      const js = await scene.jsNode(listening)
      const ours = await scene.ourNode(listening)
      const { ms } = await ours.dial(await firstAddress(js))
      await identified(js, ours, await ours.addresses())
      return { connect: ms }
    },
  },
  {
    name: 'identify: js node → our node',
    async run(scene) {
      const js = await scene.jsNode(listening)
      const ours = await scene.ourNode(listening)
      const { ms } = await js.dial(await firstAddress(ours))
      await identified(js, ours, await ours.addresses())
      return { connect: ms }
    },
  },
  {
    name: 'identify: our node → go',
    async run(scene) {
      const go = await scene.goNode({ listen: ['ws'] })
      const ours = await scene.ourNode(listening)
      const { ms } = await ours.dial(await firstAddress(go))
      await identified(go, ours, await ours.addresses())
      return { connect: ms }
    },
  },
  {
    name: 'identify: go → our node',
    async run(scene) {
      const go = await scene.goNode({ listen: ['ws'] })
      const ours = await scene.ourNode(listening)
      const { ms } = await go.dial(await firstAddress(ours))
      await identified(go, ours, await ours.addresses())
      return { connect: ms }
    },
  },
  {
    name: 'fetch: our node ⇄ js node',
    run: async (scene) => fetched(await scene.jsNode(listening), await scene.ourNode()),
  },
  {
    name: 'fetch: our page ⇄ js node',
    run: async (scene) => fetched(await scene.jsNode(listening), await scene.ourPage()),
  },
]

/**
 * Each asks the other for a key that has a value, and for one that has none.
 *
 * @param {Side} js
 * @param {Side} ours
 */
const fetched = async (js, ours) => {
  const { ms } = await ours.dial(await firstAddress(js))
  for (const [from, to] of /** @type {[Side, Side][]} */ ([
    [ours, js],
    [js, ours],
  ])) {
    const value = await from.fetch(to.peerId, { key: KEY })
    expect(value === KEY, `${to.kind} should answer with the key`, value)
    const nothing = await from.fetch(to.peerId, { key: FETCH_NOTHING })
    expect(nothing === null, `${to.kind} should have nothing under ${FETCH_NOTHING}`, nothing)
  }
  return { connect: ms }
}

const OURS = ['/ipfs/id/1.0.0', '/ipfs/id/push/1.0.0', '/ipfs/ping/1.0.0', '/echo/1.0.0', '/perf/1.0.0', '/libp2p/fetch/0.0.1']
const JS_AGENT = /^js-libp2p\//
const GO_AGENT = /go-libp2p|peer/
const THEIRS = ['/ipfs/id/1.0.0', '/ipfs/ping/1.0.0', '/echo/1.0.0', '/perf/1.0.0']

/**
 * Each side has learnt of the other what there is to learn. Both hand out addresses of a signed record only when they have verified it.
 *
 * @param {Side} theirs
 * @param {Side} ours
 * @param {string[]} listening
 */
const identified = async (theirs, ours, listening) => {
  const { kind } = theirs
  const us = await theirs.identify(ours.peerId)
  expect(us.agentVersion?.startsWith('tabmesh/'), 'our agent version should begin with tabmesh/', us.agentVersion)
  expect(us.protocolVersion === 'ipfs/0.1.0', 'our protocol version should be ipfs/0.1.0', us.protocolVersion)
  for (const protocol of OURS) expect(us.protocols.includes(protocol), `${kind} should hear that we speak ${protocol}`, us.protocols)
  expect(/^\/ip4\/127\.0\.0\.1\/tcp\/\d+/.test(us.observedAddr ?? ''), `${kind} should hear where we see it`, us.observedAddr)
  const bare = listening.map((address) => address.replace(`/p2p/${ours.peerId}`, ''))
  const signed = (us.signedAddrs ?? []).map((/** @type {string} */ address) => address.replace(`/p2p/${ours.peerId}`, ''))
  expect(signed.join() === bare.join(), `${kind} should accept our signed record with ${bare.join() || 'no address'}`, us.signedAddrs)

  const event = await ours.event('peer:identify')
  expect(event.peer === theirs.peerId, `our peer:identify should be about ${kind}`, event.peer)
  const agent = kind === 'go' ? GO_AGENT : JS_AGENT
  expect(agent.test(event.agent), `the agent of ${kind} should match ${agent}`, event.agent)
  for (const protocol of THEIRS)
    expect(event.protocols.includes(protocol), `we should hear that ${kind} speaks ${protocol}`, event.protocols)
  const addresses = await theirs.addresses()
  expect(event.addresses.join() === addresses.join(), `we should hear the addresses ${addresses.join()}`, event.addresses)
  const known = await ours.known(theirs.peerId)
  expect(known?.addresses.join() === addresses.join(), `our peer store should know the addresses of ${kind}`, known?.addresses)
}
