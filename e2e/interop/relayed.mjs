// Circuit relay v2: through our relay and through those of js-libp2p and go-libp2p, with either side at either end. The plain way, through ours,
// is in the matrix.

import { addressOf, trial } from './trial.mjs'

const CIRCUIT = '/p2p-circuit/p2p/'
/** A peer that would not leave a circuit for WebRTC, nor for TCP or QUIC by DCUtR. */
const CIRCUITS = { transports: { webRTC: false, tcp: false, quic: false } }
const LIMIT_BYTES = 4 * 1024 * 1024
const LIMIT_SECONDS = 120
/** Wide enough for the echo, so that the connection is limited and still carries all of it. */
const LIMITED = ['--circuit-duration', String(LIMIT_SECONDS), '--circuit-bytes', String(LIMIT_BYTES)]

/** @type {import('./trial.mjs').Case[]} */
export const relayed = [
  {
    name: 'js node → our relay → js node',
    async run(scene) {
      const relay = await scene.relay()
      const target = await scene.jsNode({ relay: relay.address })
      const dialer = await scene.jsNode()
      return trial(dialer, target, { address: await addressOf(target, CIRCUIT), way: 'relay' })
    },
  },
  {
    name: 'js node → our relay, limited → our node',
    async run(scene) {
      const relay = await scene.relay(LIMITED)
      const target = await scene.ourNode({ ...CIRCUITS, relays: [relay.http] })
      const dialer = await scene.jsNode()
      const row = await trial(dialer, target, { address: await addressOf(target, CIRCUIT), way: 'relay', limited: true, perf: false })
      return { ...row, note: await limitsSeen(dialer, target.peerId) }
    },
  },
  {
    name: 'js node → our relay, limited → our page, relayed only',
    async run(scene) {
      const relay = await scene.relay(LIMITED)
      const target = await scene.ourPage({ relays: [relay.http] })
      const dialer = await scene.jsNode()
      const row = await trial(dialer, target, { address: await addressOf(target, CIRCUIT), way: 'relay', limited: true, perf: false })
      return { ...row, note: await limitsSeen(dialer, target.peerId) }
    },
  },
  {
    name: 'our node → js relay → our node',
    async run(scene) {
      const relay = await scene.jsRelay()
      const target = await scene.ourNode({ ...CIRCUITS, relays: [relay.address] })
      const dialer = await scene.ourNode(CIRCUITS)
      return trial(dialer, target, { address: await addressOf(target, CIRCUIT), way: 'relay' })
    },
  },
  {
    name: 'our node → js relay → js node',
    async run(scene) {
      const relay = await scene.jsRelay()
      const target = await scene.jsNode({ relay: relay.address })
      const dialer = await scene.ourNode(CIRCUITS)
      return trial(dialer, target, { address: await addressOf(target, CIRCUIT), way: 'relay' })
    },
  },
  {
    name: 'js node → js relay → our node',
    async run(scene) {
      const relay = await scene.jsRelay()
      const target = await scene.ourNode({ ...CIRCUITS, relays: [relay.address] })
      const dialer = await scene.jsNode()
      return trial(dialer, target, { address: await addressOf(target, CIRCUIT), way: 'relay' })
    },
  },
  {
    name: 'our node → go relay → our node',
    async run(scene) {
      const relay = await scene.goRelay()
      const target = await scene.ourNode({ ...CIRCUITS, relays: [relay.address] })
      const dialer = await scene.ourNode(CIRCUITS)
      return trial(dialer, target, { address: await addressOf(target, CIRCUIT), way: 'relay' })
    },
  },
  {
    name: 'our node → go relay → js node',
    async run(scene) {
      const relay = await scene.goRelay()
      const target = await scene.jsNode({ relay: relay.address })
      const dialer = await scene.ourNode(CIRCUITS)
      return trial(dialer, target, { address: await addressOf(target, CIRCUIT), way: 'relay' })
    },
  },
  {
    name: 'go → our relay → go',
    async run(scene) {
      const relay = await scene.relay()
      const target = await scene.goNode({ relay: relay.address })
      const dialer = await scene.goNode()
      return trial(dialer, target, { address: await addressOf(target, CIRCUIT), way: 'relay' })
    },
  },
  {
    name: 'go → our relay, limited → our node',
    async run(scene) {
      const relay = await scene.relay(LIMITED)
      const target = await scene.ourNode({ ...CIRCUITS, relays: [relay.http] })
      const dialer = await scene.goNode()
      return trial(dialer, target, { address: await addressOf(target, CIRCUIT), way: 'relay', limited: true, perf: false })
    },
  },
]

/**
 * js-libp2p counts the limits down as it goes; right after the echo it must be within what our relay was told.
 *
 * @param {import('./side.mjs').Side} js
 * @param {string} peerId
 */
const limitsSeen = async (js, peerId) => {
  const { limits } = (await js.connections()).find(({ remotePeer }) => remotePeer === peerId)
  const { bytes, seconds } = limits
  if (!(bytes > 0 && bytes <= LIMIT_BYTES)) throw new Error(`js should see a limit of at most ${LIMIT_BYTES} bytes, not ${bytes}`)
  if (!(seconds > 0 && seconds <= LIMIT_SECONDS)) throw new Error(`js should see a limit of at most ${LIMIT_SECONDS} s, not ${seconds}`)
  return `js sees ${bytes} bytes, ${seconds} s left`
}
