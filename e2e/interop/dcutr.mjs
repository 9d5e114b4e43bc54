// DCUtR: peers that know of each other through a relay only end in a direct connection, whoever dialled and whoever's relay it is.
//
// On one machine there is no NAT: what is shown is that both sides understand each other, and end in the roles that the specification gives
// them. With NATs: e2e/nat/dcutr.mjs.

import { addressOf, afterDial, expect } from './trial.mjs'
import { until } from './waiting.mjs'

const CIRCUIT = '/p2p-circuit/p2p/'
/** Three attempts of five seconds, and what goes before. */
const UPGRADE_TIMEOUT = 25_000
/** Peers that would not leave a circuit for WebRTC. */
const BY_TCP = { transports: { webRTC: false, quic: false } }
const BY_QUIC = { transports: { webRTC: false, tcp: false, quic: true } }
const LIMITED = ['--circuit-duration', '120', '--circuit-bytes', String(128 * 1024)]

/**
 * @typedef {import('./side.mjs').Side} Side
 * @typedef {import('./lab.mjs').Scene} Scene
 */

/** The transports of the connections. @param {Side} from @param {Side} to @returns {Promise<string[]>} */
const waysTo = async (from, to) => {
  const all = await from.connections()
  return all.filter(({ remotePeer }) => remotePeer === to.peerId).map(({ transport }) => transport)
}

/**
 * Dials through the relay, waits for the direct connection, and does over it what every cell does.
 *
 * @param {Side} from
 * @param {Side} to
 * @param {'tcp' | 'quic'} way
 * @returns {Promise<import('./trial.mjs').Row>}
 */
const upgrades = async (from, to, way) => {
  const address = await addressOf(to, CIRCUIT)
  const { ms } = await from.dial(address)
  const began = performance.now()
  /** @type {string[]} */
  let ways = []
  const both = async () => {
    ways = [...(await waysTo(from, to)), ...(await waysTo(to, from))]
    return ways.filter((each) => each === way).length >= 2 ? true : undefined
  }
  await until(UPGRADE_TIMEOUT, () => `there should be ${way} on both sides, not ${ways.join(', ')}`, both)
  const took = performance.now() - began
  // Ours retires what is relayed; of two go peers each keeps it.
  const ours = [from, to].find(({ kind }) => kind === 'our node')
  const other = ours === from ? to : from
  const alone = async () => ((await waysTo(/** @type {Side} */ (ours), other)).includes('relay') ? undefined : true)
  await until(UPGRADE_TIMEOUT, () => 'the relayed connection should go', alone)
  const expected = way === 'tcp' ? { encryption: '/noise', muxer: '/yamux/1.0.0' } : { encryption: '/tls/1.0.0', muxer: '/quic-v1' }
  const row = await afterDial(from, to, { address, way, expected })
  return { connect: ms, ...row, note: `direct after ${Math.round(took)} ms` }
}

/** @type {import('./trial.mjs').Case[]} */
export const dcutr = [
  {
    name: 'our node → our relay → our node, then TCP',
    async run(scene) {
      const relay = await scene.relay(LIMITED)
      const target = await scene.ourNode({ ...BY_TCP, relays: [relay.http] })
      return upgrades(await scene.ourNode(BY_TCP), target, 'tcp')
    },
  },
  {
    name: 'our node → our relay → go, then TCP',
    async run(scene) {
      const relay = await scene.relay(LIMITED)
      const target = await scene.goNode({ relay: relay.address, listen: ['tcp'], holePunching: true })
      return upgrades(await scene.ourNode(BY_TCP), target, 'tcp')
    },
  },
  {
    name: 'go → our relay → our node, then TCP',
    async run(scene) {
      const relay = await scene.relay(LIMITED)
      const target = await scene.ourNode({ ...BY_TCP, relays: [relay.http] })
      const dialer = await scene.goNode({ listen: ['tcp'], holePunching: true })
      const row = await upgrades(dialer, target, 'tcp')
      const [made] = (await target.connections()).filter(({ transport }) => transport === 'tcp')
      expect(made?.direction === 'inbound', 'the one that dialled through the relay should be the client', made?.direction)
      return row
    },
  },
  {
    name: 'our node → go relay → go, then TCP',
    async run(scene) {
      const relay = await scene.goRelay({ listen: ['tcp'], limits: true })
      const target = await scene.goNode({ relay: relay.address, listen: ['tcp'], holePunching: true })
      return upgrades(await scene.ourNode(BY_TCP), target, 'tcp')
    },
  },
  {
    name: 'go → go relay → our node, then TCP',
    async run(scene) {
      const relay = await scene.goRelay({ listen: ['tcp'], limits: true })
      const target = await scene.ourNode({ ...BY_TCP, relays: [relay.address] })
      return upgrades(await scene.goNode({ listen: ['tcp'], holePunching: true }), target, 'tcp')
    },
  },
  {
    name: 'our node → go relay → go, then QUIC',
    async run(scene) {
      const relay = await scene.goRelay({ listen: ['quic-v1'], limits: true })
      const target = await scene.goNode({ relay: relay.address, listen: ['quic-v1'], holePunching: true })
      return upgrades(await scene.ourNode(BY_QUIC), target, 'quic')
    },
  },
  {
    name: 'go → go relay → our node, then QUIC',
    async run(scene) {
      const relay = await scene.goRelay({ listen: ['quic-v1'], limits: true })
      const target = await scene.ourNode({ ...BY_QUIC, relays: [relay.address] })
      return upgrades(await scene.goNode({ listen: ['quic-v1'], holePunching: true }), target, 'quic')
    },
  },
  {
    name: 'our node that listens → our relay → our node: reversal',
    async run(scene) {
      const relay = await scene.relay(LIMITED)
      const target = await scene.ourNode({ ...BY_TCP, relays: [relay.http] })
      const dialer = await scene.ourNode({ ...BY_TCP, listen: ['/ip4/127.0.0.1/tcp/0'] })
      const row = await upgrades(dialer, target, 'tcp')
      const [made] = (await target.connections()).filter(({ transport }) => transport === 'tcp')
      expect(made?.direction === 'outbound', 'the one that was dialled should have dialled back', made?.direction)
      return row
    },
  },
]
