// WebRTC through other relays than ours and through ones that limit, again and again, and between js-libp2p nodes through our relay:
// signalled over a circuit, then direct. The plain way is in the matrix.
//
// js-libp2p's dial hangs at times when js answers it: js closes the `init` channel before the dialer has seen it open. Where js is at both
// ends, a dial is therefore tried again, and how often is told.

import { addressOf, afterDial, expect, parted, trial, wayOf } from './trial.mjs'

const WEBRTC = '/p2p-circuit/webrtc/p2p/'
/** What js and go limit a circuit to unless told otherwise. */
const LIMITED = ['--circuit-duration', '120', '--circuit-bytes', String(128 * 1024)]
const REPEATS = 10
/** js-libp2p gives its own dial as long. */
const REPEAT_TIMEOUT = 10_000
const JS_TRIES = 5
const JS_TRY_TIMEOUT = 4_000

/**
 * @typedef {import('./side.mjs').Side} Side
 * @typedef {import('./lab.mjs').Scene} Scene
 */

/** @type {import('./trial.mjs').Case[]} */
export const webRtc = [
  {
    name: 'our page → js relay → js page',
    run: async (scene) => pagesMeet(scene, (await scene.jsRelay()).address, 'ours'),
  },
  {
    name: 'js page → js relay → our page',
    run: async (scene) => pagesMeet(scene, (await scene.jsRelay()).address, 'js'),
  },
  {
    name: 'our page → js relay, limited → js page',
    // 128 KiB and 2 minutes: enough to meet, too little for the echo.
    run: async (scene) => pagesMeet(scene, (await scene.jsRelay({ limits: true })).address, 'ours'),
  },
  {
    name: 'js page → our relay, limited → our page',
    run: async (scene) => pagesMeet(scene, (await scene.relay(LIMITED)).address, 'js'),
  },
  {
    name: 'our page → our relay → js page, circuit first',
    async run(scene) {
      const relay = await scene.relay()
      const target = await scene.jsPage({ relays: [relay.address] })
      const dialer = await scene.ourPage({ relays: [relay.http] })
      return trial(dialer, target, { address: `${relay.address}/p2p-circuit/p2p/${target.peerId}`, way: 'webrtc', perf: false })
    },
  },
  {
    name: 'our page → js relay → our page',
    async run(scene) {
      const relay = await scene.jsRelay()
      const target = await scene.ourPage({ relays: [relay.address] })
      const dialer = await scene.ourPage({ relays: [relay.address] })
      return trial(dialer, target, { address: await addressOf(target, WEBRTC), way: 'webrtc', perf: false })
    },
  },
  {
    name: 'our page → go relay → our page',
    async run(scene) {
      const relay = await scene.goRelay()
      const target = await scene.ourPage({ relays: [relay.address] })
      const dialer = await scene.ourPage({ relays: [relay.address] })
      return trial(dialer, target, { address: await addressOf(target, WEBRTC), way: 'webrtc', perf: false })
    },
  },
  {
    name: 'js node → our relay → js node',
    async run(scene) {
      const relay = await scene.relay()
      const target = await scene.jsNode({ listen: ['/webrtc'], relay: relay.address })
      const dialer = await scene.jsNode()
      const address = await addressOf(target, WEBRTC)
      for (let hung = 0; ; hung++) {
        const { ms, error } = await dialer.dial(address, { timeout: JS_TRY_TIMEOUT }).catch((cause) => ({ ms: 0, error: cause }))
        if (error === undefined) {
          const row = await afterDial(dialer, target, { address, way: 'webrtc', perf: false })
          return { connect: ms, ...row, note: hung === 0 ? '' : `js-libp2p's own dial hung ${hung} times before` }
        }
        if (hung === JS_TRIES - 1) throw error
      }
    },
  },
  {
    name: `our page → our relay → js page, ${REPEATS} times`,
    run: async (scene) => again(scene, 'ours'),
  },
  {
    name: `js page → our relay → our page, ${REPEATS} times`,
    run: async (scene) => again(scene, 'js'),
  },
]

/**
 * A page of each kind on a relay; `dialer` dials.
 *
 * @param {Scene} scene
 * @param {string} relay
 * @param {'ours' | 'js'} dialer
 */
const pages = async (scene, relay, dialer) => {
  const ours = await scene.ourPage({ relays: [relay] })
  const js = await scene.jsPage({ relays: [relay] })
  const [from, to] = dialer === 'ours' ? [ours, js] : [js, ours]
  return { from, to, address: await addressOf(to, WEBRTC) }
}

/** @param {Scene} scene @param {string} relay @param {'ours' | 'js'} dialer */
const pagesMeet = async (scene, relay, dialer) => {
  const { from, to, address } = await pages(scene, relay, dialer)
  return trial(from, to, { address, way: 'webrtc', perf: false })
}

/** Dials, pings and hangs up, again and again. @param {Scene} scene @param {'ours' | 'js'} dialer */
const again = async (scene, dialer) => {
  const relay = await scene.relay()
  const { from, to, address } = await pages(scene, relay.address, dialer)
  /** @type {number[]} */
  const times = []
  /** @type {string[]} */
  const failed = []
  for (let turn = 0; turn < REPEATS; turn++) {
    try {
      const connection = await from.dial(address, { timeout: REPEAT_TIMEOUT })
      expect(wayOf(connection) === 'webrtc', 'the connection should be WebRTC', wayOf(connection))
      times.push(connection.ms)
      await from.ping(to.peerId)
    } catch (error) {
      failed.push(`${turn + 1}: ${error instanceof Error ? error.message : error}`)
    }
    await from.hangUp(to.peerId)
    await parted(from, to)
    // js-libp2p hears of the end of a WebRTC connection only when ICE gives up, ten seconds later.
    if (to.kind === 'our page') await parted(to, from)
  }
  expect(failed.length === 0, `${failed.length} of ${REPEATS} dials failed: ${failed.join('; ')}`)
  times.sort((a, b) => a - b)
  return { connect: times[REPEATS >> 1] ?? 0, note: `${times.length} of ${REPEATS}, the slowest in ${Math.round(times.at(-1) ?? 0)} ms` }
}
