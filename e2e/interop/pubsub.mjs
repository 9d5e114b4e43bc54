// Gossipsub with go-libp2p and js-libp2p: what each hears of the other, which of its newer parts are understood, and what is refused.

import { allToAll } from './all-to-all.mjs'
import { partial } from './in-parts.mjs'
import { rawPeer } from './raw-pubsub.mjs'
import { bytes, go, HEARD_TIMEOUT, hears, js, link, listening, meet, rust, sees, TOPIC } from './topic.mjs'
import { addressOf, expect } from './trial.mjs'
import { until } from './waiting.mjs'

/** How many messages go holds to be checked, unless it is told otherwise. */
const GO_QUEUE = 32
/** Long enough for IDONTWANT in all three implementations. */
const LARGE = 8_000

/**
 * @typedef {import('./side.mjs').Side} Side
 * @typedef {import('./lab.mjs').Scene} Scene
 * @typedef {import('./trial.mjs').Case} Case
 */

/** @param {Uint8Array} data */
const textOf = (data) => new TextDecoder().decode(data)

/** The newest that each speaks. rust-libp2p does not tell of its streams. */
const NEWEST = { go: '/meshsub/1.3.0', 'js node': '/meshsub/1.2.0', rust: undefined }

/** The protocols of pubsub on the streams from `side` to `remote` and back, as `side` tells. @param {Side} side @param {Side} remote */
const spoken = async (side, remote) => {
  const all = await side.connections()
  const streams = all.flatMap((each) => (each.remotePeer === remote.peerId ? each.streams : []))
  return streams
    .map((/** @type {{ protocol: string }} */ { protocol }) => protocol)
    .filter((/** @type {string} */ each) => /sub\//.test(each))
}

const payloads = [bytes('hello'), Uint8Array.from({ length: 256 }, (_, i) => i), new Uint8Array(50_000).fill(7)]

/**
 * @param {'our node' | 'our page'} us
 * @param {'go' | 'js node' | 'rust'} them
 * @param {(scene: Scene, options?: object) => Promise<Side>} theirs
 * @param {'go' | 'js' | 'rust'} [messageId] whose default both use
 * @returns {Case}
 */
const pair = (us, them, theirs, messageId = 'go') => ({
  name: `${us} ⇄ ${them}: coming, speaking, leaving${messageId === 'go' ? '' : `; ${messageId} ids`}`,
  async run(scene) {
    const pubsub = messageId === 'go' ? {} : { messageId }
    const other = await theirs(scene, pubsub)
    const ours = us === 'our page' ? await scene.ourPage({ pubsub }) : await scene.ourNode({ ...listening, pubsub })
    const ms = await link(ours, other)
    const began = performance.now()
    await meet([
      [ours, [other]],
      [other, [ours]],
    ])
    const met = performance.now() - began
    const newest = NEWEST[them]
    if (newest !== undefined) {
      const protocols = await spoken(other, ours)
      expect(protocols.join() === `${newest},${newest}`, `they should speak ${newest}, both ways`, protocols)
    }
    await hears(ours, other, payloads)
    await hears(other, ours, payloads)
    await other.leave(TOPIC)
    await sees(ours, [])
    await other.join(TOPIC)
    await sees(ours, [other])
    await ours.leave(TOPIC)
    await sees(other, [])
    return { connect: ms, note: `in one mesh after ${Math.round(met)} ms` }
  },
})

/** Waits for a count of theirs. @param {Side} side @param {string} what @param {number} least */
const counts = async (side, what, least) => {
  let count = 0
  await until(
    HEARD_TIMEOUT,
    () => `${side.kind} should count ${least} ${what}, not ${count}`,
    async () => {
      count = (await side.traffic())[what] ?? 0
      return count >= least ? true : undefined
    },
  )
  return count
}

/** @param {Side} from @param {Side} to */
const connected = async (from, to) => (await from.connections()).some(({ remotePeer }) => remotePeer === to.peerId)

/**
 * Two that know the same third, and are told of each other when it leaves.
 *
 * @param {Side} hub
 * @param {[Side, Side]} guests
 */
const introduces = async (hub, guests) => {
  const [one, other] = guests
  const ms = await link(one, hub)
  await link(other, hub)
  await meet([
    [hub, guests],
    [one, [hub]],
    [other, [hub]],
  ])
  // Ours follow the advice of those only who have brought them something.
  const said = Array.from({ length: 25 }, (_, i) => bytes(`something ${i}`))
  for (const guest of guests) await guest.messages(TOPIC)
  for (const each of said) await hub.publish(TOPIC, each)
  for (const guest of guests) await guest.messages(TOPIC, { count: said.length })
  expect(!(await connected(one, other)), 'they should not know each other before')
  const began = performance.now()
  await hub.leave(TOPIC)
  await until(
    HEARD_TIMEOUT,
    () => `those that ${hub.kind} knows should connect to each other when it leaves`,
    async () => ((await connected(one, other)) ? true : undefined),
  )
  const took = performance.now() - began
  await sees(one, [other])
  await sees(other, [one])
  await hears(one, other, [bytes('we have met')])
  return { connect: ms, note: `connected ${Math.round(took)} ms after the PRUNE` }
}

/** @param {'go' | 'js node'} them @param {(scene: Scene) => Promise<Side>} theirs @returns {Case} */
const refuses = (them, theirs) => ({
  name: `a forged signature, at ${them}`,
  async run(scene) {
    const other = await theirs(scene)
    const raw = await rawPeer(scene)
    await link(raw.side, other)
    await other.join(TOPIC)
    await raw.publish(other.peerId, TOPIC, [{ text: 'forged', forged: true }, { text: 'right' }])
    const [first] = await other.messages(TOPIC, { count: 1 })
    expect(textOf(first?.data ?? bytes('')) === 'right', 'only what is signed should be heard', first)
    if (them === 'go') await counts(other, 'rejected invalid signature', 1)
    return {}
  },
})

/** @type {Case[]} */
export const pubsub = [
  pair('our node', 'go', go),
  pair('our node', 'js node', js),
  pair('our page', 'go', go),
  pair('our page', 'js node', js, 'js'),
  pair('our node', 'rust', rust),
  pair('our page', 'rust', rust, 'rust'),
  {
    name: 'through our relay: our page ⇄ go',
    async run(scene) {
      const relay = await scene.relay()
      const other = await scene.goNode({ relay: relay.address, pubsub: {} })
      const ours = await scene.ourPage()
      const { ms } = await ours.dial(await addressOf(other, '/p2p-circuit/p2p/'))
      await meet([
        [ours, [other]],
        [other, [ours]],
      ])
      await hears(ours, other, payloads)
      await hears(other, ours, payloads)
      return { connect: ms }
    },
  },
  ...allToAll,
  ...partial,
  {
    name: 'IDONTWANT: go → our node → go, js',
    async run(scene) {
      const ours = await scene.ourNode(listening)
      const others = await Promise.all([go(scene), go(scene), js(scene)])
      for (const other of others) await link(other, ours)
      await meet([[ours, others], ...others.map((other) => /** @type {[Side, Side[]]} */ ([other, [ours]]))])
      const [author, second, third] = /** @type {[Side, Side, Side]} */ (others)
      await hears(author, ours, [bytes('small')])
      expect(((await second.traffic()).idontwantReceived ?? 0) === 0, 'a small message should not be worth an IDONTWANT')
      await hears(author, ours, [new Uint8Array(LARGE).fill(1)])
      const counted = [await counts(second, 'idontwantReceived', 1), await counts(third, 'idontwantReceived', 1)]
      return { note: `${counted.join(' and ')} heard` }
    },
  },
  {
    name: 'fast, to a short queue: our nodes → go',
    async run(scene) {
      const theirs = await go(scene, { queue: GO_QUEUE })
      const ours = []
      for (let i = 0; i < 3; i++) ours.push(await scene.ourNode(listening))
      for (const each of ours) await link(each, theirs)
      await meet([[theirs, ours], ...ours.map((each) => /** @type {[Side, Side[]]} */ ([each, [theirs]]))])
      const began = performance.now()
      const count = 2_000
      await Promise.all(ours.map((each) => each.burst(TOPIC, { count, bytes: 100, rate: 1_000 })))
      /** @type {import('../peers/js/series.mjs').Tally['senders']} */
      let senders = {}
      await until(
        HEARD_TIMEOUT,
        () => `go should hear ${count} of each: ${JSON.stringify(senders)}`,
        async () => {
          senders = (await theirs.tally(TOPIC)).senders
          return ours.every(({ peerId }) => senders[peerId]?.distinct === count) ? true : undefined
        },
      )
      const took = performance.now() - began
      for (const { peerId } of ours) expect(senders[peerId]?.count === count, 'go should hear each once', senders[peerId])
      const { 'rejected validation queue full': dropped = 0 } = await theirs.traffic()
      const rate = Math.round((ours.length * count * 1_000) / took)
      return { note: `${rate} messages/s; go dropped ${dropped === 0 ? 'none' : `${dropped}, and has got them since`}` }
    },
  },
  {
    name: 'PRUNE with peers: go to our nodes',
    run: async (scene) =>
      introduces(await go(scene, { peerExchange: true }), [await scene.ourNode(listening), await scene.ourNode(listening)]),
  },
  {
    name: 'PRUNE with peers: js node to our nodes',
    run: async (scene) =>
      introduces(await js(scene, { peerExchange: true }), [await scene.ourNode(listening), await scene.ourNode(listening)]),
  },
  {
    name: 'PRUNE with peers: our node to go',
    run: async (scene) =>
      introduces(await scene.ourNode({ ...listening, pubsub: { peerExchange: true } }), [await go(scene), await go(scene)]),
  },
  {
    name: 'floodsub: go ⇄ our node ⇄ go',
    async run(scene) {
      const ours = await scene.ourNode(listening)
      const [old, other] = [await go(scene, { floodsub: true }), await go(scene)]
      const ms = await link(old, ours)
      await link(other, ours)
      const everybody = [old, ours, other]
      for (const side of everybody) await side.join(TOPIC)
      await sees(old, [ours])
      await sees(other, [ours])
      await sees(ours, [old, other])
      await hears(old, ours, payloads)
      await hears(ours, old, payloads)
      await hears(old, other, [bytes('through ours')])
      await hears(other, old, [bytes('and back')])
      return { connect: ms }
    },
  },
  {
    name: 'StrictNoSign: our node, go, js node',
    async run(scene) {
      const signing = /** @type {const} */ ('StrictNoSign')
      const ours = await scene.ourNode({ ...listening, pubsub: { signing } })
      const [a, b] = [await go(scene, { signing }), await js(scene, { signing })]
      const ms = await link(ours, a)
      await link(ours, b)
      await link(a, b)
      await meet([
        [ours, [a, b]],
        [a, [ours, b]],
        [b, [ours, a]],
      ])
      const everybody = [ours, a, b]
      for (const from of everybody)
        for (const to of everybody) if (from !== to) await hears(from, to, [bytes(`${from.kind} to ${to.kind}`)], false)
      return { connect: ms }
    },
  },
  {
    name: 'a forged signature, at our node',
    async run(scene) {
      const ours = await scene.ourNode(listening)
      const other = await scene.ourNode(listening)
      const raw = await rawPeer(scene)
      await link(raw.side, ours)
      await link(other, ours)
      await ours.join(TOPIC)
      await other.join(TOPIC)
      await sees(ours, [other])
      const score = async () => (await ours.scores())[raw.side.peerId] ?? 0
      await raw.publish(ours.peerId, TOPIC, [{ text: 'forged', forged: true }, { text: 'right' }])
      const [first] = await ours.messages(TOPIC, { count: 1 })
      expect(textOf(first?.data ?? bytes('')) === 'right', 'only what is signed should be heard', first)
      const before = await score()
      // Each invalid message weighs more than the last; beyond the graylist's threshold nothing of the peer is looked at.
      await raw.publish(
        ours.peerId,
        TOPIC,
        Array.from({ length: 6 }, (_, i) => ({ text: `forged ${i}`, forged: true })),
      )
      await until(
        HEARD_TIMEOUT,
        () => 'the score should fall below the graylist',
        async () => ((await score()) < -80 ? true : undefined),
      )
      await raw.publish(ours.peerId, TOPIC, [{ text: 'right, but too late' }])
      await hears(other, ours, [bytes('of one that is trusted')])
      return { note: `score ${before.toFixed(0)}, then ${(await score()).toFixed(0)}` }
    },
  },
  refuses('go', go),
  refuses('js node', js),
]
