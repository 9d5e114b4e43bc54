// One mesh of everybody: go-libp2p, js-libp2p, our Node peers and our pages publish ten thousand signed messages together, and each hears what all
// others said, once. Another has rust-libp2p.
//
// The pace is what js-libp2p takes: it checks some 500 messages a second where eight peers share two cores, and what is faster waits for it. In go-libp2p
// nothing waits: its queues hold 32 messages unless it is told otherwise (../peers/go/rooms.go), and the next one is lost.

import { go, js, link, listening, meet, quiet, rust, TOPIC } from './topic.mjs'
import { addressOf, expect, moved } from './trial.mjs'
import { until } from './waiting.mjs'

const BYTES = 100
/** How many a second each of them publishes. */
const RATE = 75
const TIMEOUT = 100_000

/**
 * @typedef {import('./side.mjs').Side} Side
 * @typedef {import('../peers/js/series.mjs').Tally} Tally
 * @typedef {{ sides: Side[], links: [Side, Side][] }} Mesh
 */

/**
 * Two or three neighbours each: every message has more than one way, and js-libp2p not the most of the work.
 *
 *   go 1 ── page 1 ── js 1 ── node 2 ── go 2 ── page 2 ── js 2 ── node 1 ── go 1
 *   go 1 ── go 2,  page 1 ── page 2,  node 1 ── node 2
 *
 * The pages by WebRTC, for which they met through the relay; all others by WebSocket.
 *
 * @param {import('./lab.mjs').Scene} scene
 * @returns {Promise<Mesh>}
 */
const goAndJs = async (scene) => {
  const relay = await scene.relay()
  const [go1, go2, js1, js2] = await Promise.all([go(scene), go(scene), js(scene), js(scene)])
  const [node1, node2] = [await scene.ourNode(listening), await scene.ourNode(listening)]
  const [page1, page2] = [await scene.ourPage({ relays: [relay.http] }), await scene.ourPage({ relays: [relay.http] })]
  await page1.dial(await addressOf(page2, '/p2p-circuit/webrtc/p2p/'))
  await moved(page1, page2)
  /** @type {[Side, Side][]} */
  const links = [
    [page1, go1],
    [page2, go2],
    [page1, js1],
    [page2, js2],
    [node1, go1],
    [node2, go2],
    [node1, js2],
    [node2, js1],
    [node1, node2],
    [go1, go2],
  ]
  for (const [from, to] of links) await link(from, to)
  return { sides: [go1, go2, js1, js2, node1, node2, page1, page2], links: [...links, [page1, page2]] }
}

/**
 *   rust 1 ── page ── go ── node ── rust 2 ── rust 1
 *
 * @param {import('./lab.mjs').Scene} scene
 * @returns {Promise<Mesh>}
 */
const andRust = async (scene) => {
  const [rust1, rust2, other] = await Promise.all([rust(scene), rust(scene), go(scene)])
  const [node, page] = [await scene.ourNode(listening), await scene.ourPage()]
  /** @type {[Side, Side][]} */
  const links = [
    [page, rust1],
    [page, other],
    [node, other],
    [node, rust2],
    [rust2, rust1],
  ]
  for (const [from, to] of links) await link(from, to)
  return { sides: [rust1, rust2, other, node, page], links }
}

/** @param {Tally} tally */
const distinct = ({ senders }) => Object.values(senders).reduce((sum, heard) => sum + heard.distinct, 0)

/**
 * @param {string} who
 * @param {number} messages of all together
 * @param {(scene: import('./lab.mjs').Scene) => Promise<Mesh>} connect
 * @returns {import('./trial.mjs').Case}
 */
const hearing = (who, messages, connect) => ({
  name: `all to all: ${who}`,
  async run(scene) {
    const { sides, links } = await connect(scene)
    await meet(sides.map((side) => [side, links.filter((pair) => pair.includes(side)).map(([one, other]) => (one === side ? other : one))]))
    const each = messages / sides.length
    const wanted = messages - each
    /** @type {Tally[]} */
    let tallies = []
    const look = async () => {
      tallies = await Promise.all(sides.map((side) => side.tally(TOPIC)))
    }
    const began = performance.now()
    const publishing = Promise.all(sides.map((side) => side.burst(TOPIC, { count: each, bytes: BYTES, rate: RATE, timeout: TIMEOUT })))
    await until(
      TIMEOUT,
      () => `each should hear ${wanted}: ${tallies.map((tally, i) => `${sides[i]?.kind} ${distinct(tally)}`).join(', ')}`,
      async () => {
        await look()
        return tallies.every((tally) => distinct(tally) === wanted) ? true : undefined
      },
    )
    const perSecond = (messages / (performance.now() - began)) * 1000
    await publishing
    await quiet()
    await look()
    for (const [i, { senders, wrong }] of tallies.entries()) {
      const { kind, peerId } = /** @type {Side} */ (sides[i])
      expect(wrong === 0, `${kind} should hear nobody in another's name`, wrong)
      expect(!(peerId in senders), `${kind} should not hear itself`)
      for (const [from, heard] of Object.entries(senders))
        expect(heard.count === each && heard.distinct === each, `${kind} should hear each message of ${from} once`, heard)
    }
    const copies = await Promise.all(
      sides
        .filter(({ kind }) => /^(go|js)/.test(kind))
        .map(async (side) => `${side.kind} ${(((await side.traffic()).messagesReceived ?? 0) / wanted).toFixed(1)}`),
    )
    return {
      note: `${Math.round(perSecond)} messages/s to ${sides.length - 1} each, none lost, none twice; copies on the wire: ${copies.join(', ')}`,
    }
  },
})

export const allToAll = [
  hearing('2 go, 2 js, 2 our node, 2 our page', 10_000, goAndJs),
  hearing('2 rust, go, our node, our page', 2_000, andRust),
]
