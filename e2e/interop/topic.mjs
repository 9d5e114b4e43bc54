// What the cases of pubsub have in common: peers that meet in a topic, and what each then hears.

import { expect } from './trial.mjs'
import { until } from './waiting.mjs'

export const TOPIC = 'interop'
export const listening = { listen: ['/ip4/127.0.0.1/tcp/0/ws'] }
export const HEARD_TIMEOUT = 15_000
const SEQNO_BYTES = 8
/** What was published twice, or is not for us, has come when nothing has for so long. */
const QUIET = 300

/**
 * @typedef {import('./side.mjs').Side} Side
 * @typedef {import('./lab.mjs').Scene} Scene
 */

/** @param {string} text */
export const bytes = (text) => new TextEncoder().encode(text)

export const quiet = () => new Promise((resolve) => setTimeout(resolve, QUIET))

export const go = (/** @type {Scene} */ scene, options = {}) => scene.goNode({ listen: ['ws'], pubsub: options })
export const js = (/** @type {Scene} */ scene, options = {}) => scene.jsNode({ ...listening, pubsub: options })
export const rust = (/** @type {Scene} */ scene, options = {}) => scene.rustNode({ listen: ['ws'], pubsub: options })

/** `from` dials the address of `to` that is no relayed one. @param {Side} from @param {Side} to @returns {Promise<number>} */
export const link = async (from, to) => {
  const address = (await to.addresses()).find((each) => each.includes('/ws/') && !each.includes('/p2p-circuit'))
  return (await from.dial(/** @type {string} */ (address))).ms
}

/** Waits until `side` knows the others, and nobody else, to be in the topic. @param {Side} side @param {Side[]} others */
export const sees = async (side, others) => {
  const expected = others.map(({ peerId }) => peerId).sort()
  /** @type {string[]} */
  let seen = []
  await until(
    HEARD_TIMEOUT,
    () => `${side.kind} should see ${others.map(({ kind }) => kind).join(', ') || 'nobody'} in the topic, not ${JSON.stringify(seen)}`,
    async () => {
      seen = (await side.subscribers(TOPIC)).sort()
      return seen.join() === expected.join() ? true : undefined
    },
  )
}

/** All join; each waits for those that it is connected to, and has them in its mesh. @param {[Side, Side[]][]} neighbours */
export const meet = async (neighbours) => {
  for (const [side] of neighbours) await side.join(TOPIC)
  for (const [side, others] of neighbours) await sees(side, others)
  for (const [side, others] of neighbours)
    await until(
      HEARD_TIMEOUT,
      () => `${side.kind} should have all of its neighbours in its mesh`,
      async () => ((await side.mesh(TOPIC)).length === others.length ? true : undefined),
    )
}

/** `to` hears what `from` publishes, once and as it was. @param {Side} from @param {Side} to @param {Uint8Array[]} payloads @param {boolean} [signed] */
export const hears = async (from, to, payloads, signed = true) => {
  await to.messages(TOPIC)
  const published = []
  for (const payload of payloads) published.push(await from.publish(TOPIC, payload))
  const heard = await to.messages(TOPIC, { count: payloads.length, timeout: HEARD_TIMEOUT })
  await quiet()
  heard.push(...(await to.messages(TOPIC)))
  const what = `${to.kind} should hear what ${from.kind} says`
  const texts = (/** @type {Uint8Array[]} */ all) => all.map((each) => Buffer.from(each).toString('base64')).sort()
  expect(texts(heard.map(({ data }) => data)).join() === texts(payloads).join(), `${what}, once each`, heard.length)
  if (from.kind.startsWith('our')) {
    const ids = heard.map(({ id }) => Buffer.from(id).toString('hex')).sort()
    expect(ids.join() === published.sort().join(), `${what}, by our message ids`, ids)
  }
  const author = signed ? from.peerId : ''
  for (const each of heard) expect(each.from === author, `${what}, of ${author || 'nobody'}`, each.from)
  for (const each of heard) expect(each.seqno.length === (signed ? SEQNO_BYTES : 0), `${what}, with its number`, each.seqno)
}
