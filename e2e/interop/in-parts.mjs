// Partial messages with go-libp2p: messages that both ends have in part become whole, and no part goes twice or to who did not ask.

import { bytes, go, hears, link, listening, quiet, sees, TOPIC } from './topic.mjs'
import { expect } from './trial.mjs'

const message = Uint8Array.from({ length: 8_000 }, (_, i) => (i * 7) % 251)
const count = (/** @type {number} */ bits) => bits.toString(2).replaceAll('0', '').length

/** @typedef {Pick<import('../peers/parts-client.mjs').PartsClient, 'whole'>} Assembler */

/** It has the message, and was sent so many parts of it. @param {Assembler} side @param {string} group @param {number} parts */
const completes = async (side, group, parts) => {
  const { data, came } = await side.whole(TOPIC, group)
  expect(Buffer.from(data).equals(message), `the message of ${group} should be whole`, data.length)
  expect(came === parts, `of ${group} ${parts} parts should come`, came)
}

/** @param {'our node' | 'our page'} us @returns {import('./trial.mjs').Case} */
const inParts = (us) => ({
  name: `${us} ⇄ go: partial messages`,
  async run(scene) {
    const theirs = await go(scene, { partial: true })
    const ours = us === 'our page' ? await scene.ourPage() : await scene.ourNode(listening)
    const ms = await link(ours, theirs)
    for (const side of [ours, theirs]) await side.joinInParts(TOPIC, 'request')
    await sees(ours, [theirs])
    await sees(theirs, [ours])
    const began = performance.now()
    // Each has some that the other lacks; then one has all, and the other none, whoever speaks first.
    for (const [held, back] of [
      [0b0000_1111, 0b1111_0000],
      [0b1010_1010, 0b0101_0101],
      [0xff, 0],
      [0, 0xff],
    ]) {
      const group = `${held?.toString(2)} and ${back?.toString(2)}`
      if (held) await ours.putParts(TOPIC, group, message, held)
      if (back) await theirs.putParts(TOPIC, group, message, back)
      await completes(ours, group, 8 - count(held ?? 0))
      await completes(theirs, group, 8 - count(back ?? 0))
    }
    expect((await ours.putParts(TOPIC, 'pushed', message, 0xff, { eager: true })) === 1, 'the parts should go to one peer')
    await completes(theirs, 'pushed', 8)
    const took = performance.now() - began
    return { connect: ms, note: `five messages of eight parts in ${Math.round(took)} ms` }
  },
})

/** @type {import('./trial.mjs').Case[]} */
export const partial = [
  inParts('our node'),
  inParts('our page'),
  {
    name: 'partial messages: what go and our node send whole, and what in parts',
    async run(scene) {
      const theirs = await go(scene, { partial: true })
      const ours = await scene.ourNode(listening)
      await link(ours, theirs)
      await theirs.joinInParts(TOPIC, 'support')
      await ours.join(TOPIC)
      await sees(ours, [theirs])
      await hears(ours, theirs, [bytes('whole')])
      await hears(theirs, ours, [bytes('whole, too')])
      // Now ours asks for parts, and theirs does not.
      await ours.joinInParts(TOPIC, 'request')
      await quiet()
      await hears(ours, theirs, [bytes('still whole')])
      await theirs.publish(TOPIC, bytes('not for who has parts'))
      await ours.putParts(TOPIC, 'asked for', message, 0)
      await theirs.putParts(TOPIC, 'asked for', message, 0xff)
      await completes(ours, 'asked for', 8)
      await quiet()
      const heard = await ours.messages(TOPIC)
      expect(heard.length === 0, 'who asks for parts should get no whole messages', heard)
      return {}
    },
  },
]
