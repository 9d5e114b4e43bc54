// WebSocket: a page of ours and a Node peer of ours with a js-libp2p node. A page can't be dialled this way.

import { expect, trial } from './trial.mjs'

const LOCAL_WS = '/ip4/127.0.0.1/tcp/0/ws'
const listening = { listen: [LOCAL_WS] }

/** @param {string[]} addresses */
const first = (addresses) => /** @type {string} */ (addresses[0])

/** @type {import('./trial.mjs').Case[]} */
export const webSocket = [
  {
    name: 'our page → js node',
    async run(scene) {
      const js = await scene.jsNode(listening)
      const ours = await scene.ourPage()
      const row = await trial(ours, js, { address: first(await js.addresses()), way: 'websocket' })
      await identified(js, ours, [])
      return row
    },
  },
  {
    name: 'our node → js node',
    async run(scene) {
      const js = await scene.jsNode(listening)
      const ours = await scene.ourNode(listening)
      const row = await trial(ours, js, { address: first(await js.addresses()), way: 'websocket' })
      await identified(js, ours, await ours.addresses())
      return row
    },
  },
  {
    name: 'js node → our node',
    async run(scene) {
      const js = await scene.jsNode(listening)
      const ours = await scene.ourNode(listening)
      const row = await trial(js, ours, { address: first(await ours.addresses()), way: 'websocket' })
      await identified(js, ours, await ours.addresses())
      return row
    },
  },
]

const OURS = ['/ipfs/id/1.0.0', '/ipfs/id/push/1.0.0', '/ipfs/ping/1.0.0', '/echo/1.0.0', '/perf/1.0.0']
const THEIRS = ['/ipfs/id/1.0.0', '/ipfs/ping/1.0.0', '/echo/1.0.0', '/perf/1.0.0']

/**
 * Each side has learnt of the other what there is to learn. js-libp2p hands out addresses of a signed record only when it has verified it.
 *
 * @param {import('./lab.mjs').Side} js
 * @param {import('./lab.mjs').Side} ours
 * @param {string[]} listening
 */
const identified = async (js, ours, listening) => {
  const us = await js.identify(ours.peerId)
  expect(us.agentVersion?.startsWith('tabmesh/'), 'our agent version should begin with tabmesh/', us.agentVersion)
  expect(us.protocolVersion === 'ipfs/0.1.0', 'our protocol version should be ipfs/0.1.0', us.protocolVersion)
  for (const protocol of OURS) expect(us.protocols.includes(protocol), `js should hear that we speak ${protocol}`, us.protocols)
  expect(/^\/ip4\/127\.0\.0\.1\/tcp\/\d+/.test(us.observedAddr ?? ''), 'js should hear where we see it', us.observedAddr)
  const bare = listening.map((address) => address.replace(`/p2p/${ours.peerId}`, ''))
  const signed = (us.signedAddrs ?? []).map((/** @type {string} */ address) => address.replace(`/p2p/${ours.peerId}`, ''))
  expect(signed.join() === bare.join(), `js should accept our signed record with ${bare.join() || 'no address'}`, us.signedAddrs)

  const event = await ours.event('peer:identify')
  expect(event.peer === js.peerId, 'our peer:identify should be about js', event.peer)
  expect(/^js-libp2p\//.test(event.agent), 'the agent of js should begin with js-libp2p/', event.agent)
  for (const protocol of THEIRS) expect(event.protocols.includes(protocol), `we should hear that js speaks ${protocol}`, event.protocols)
  const theirs = await js.addresses()
  expect(event.addresses.join() === theirs.join(), `we should hear the addresses ${theirs.join()}`, event.addresses)
  const known = await ours.known(js.peerId)
  expect(known?.addresses.join() === theirs.join(), 'our peer store should know the addresses of js', known?.addresses)
}
