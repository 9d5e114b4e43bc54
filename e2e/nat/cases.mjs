// What is tried behind NATs, as a table: how the two sides' NATs behave, and what must come of it.

import { openPage, startRelay } from './clients.mjs'

/** @typedef {import('./lab.mjs').Nat} Nat */
/** @typedef {import('./clients.mjs').Lab} Lab */
/** @typedef {{ name: string, run: (lab: Lab, browser: string) => Promise<unknown> }} Case */
/** @typedef {{ relay: import('./clients.mjs').NatRelay, a: import('./clients.mjs').NatPage, b: import('./clients.mjs').NatPage, idOfB: string, address: string }} Met */

/** What nobody waits longer for, whatever the networks are like. */
const MEET_WITHIN = 3_000
const MEGABYTES = 5

/** @param {number} ms */
const pause = (ms) => new Promise((done) => setTimeout(done, ms))

/** A relay, a page on either side, each reachable through the relay. @param {Lab} lab @param {string} browser @param {(met: Met) => Promise<unknown>} body */
const withPages = async (lab, browser, body) => {
  const relay = await startRelay(lab)
  const a = await openPage(lab, 'A', browser)
  const b = await openPage(lab, 'B', browser)
  try {
    await a.start({ relays: [relay.address] })
    const idOfB = await b.start({ relays: [relay.address] })
    return await body({ relay, a, b, idOfB, address: `${relay.address}/p2p-circuit/webrtc/p2p/${idOfB}` })
  } finally {
    await Promise.all([a.close(), b.close()])
    await relay.stop()
  }
}

/** Waits until A has the wanted path to B. @param {Met} met @param {string} transport @param {number} within */
const pathBecomes = async ({ a, idOfB }, transport, within) => {
  const began = performance.now()
  for (;;) {
    const paths = await a.page.evaluate((id) => globalThis.nat.pathTo(id), idOfB)
    if (paths.includes(transport)) return performance.now() - began
    if (performance.now() - began > within)
      throw new Error(`no ${transport} connection within ${within} ms, only ${paths.join(' ') || 'none'}`)
    await pause(50)
  }
}

/** @param {Nat} natA @param {Nat} natB @param {'webrtc' | 'relay'} ends @returns {Case} */
const pair = (natA, natB, ends) => ({
  name: `${natA} / ${natB}: ${ends === 'webrtc' ? 'direct' : 'through the relay'}`,
  run: async (lab, browser) => {
    await lab.nat('A', natA)
    await lab.nat('B', natB)
    return withPages(lab, browser, async (met) => {
      const { a, b, idOfB, address } = met
      const idOfA = await a.page.evaluate(() => globalThis.nat.peer.id)
      const first = await a.page.evaluate((target) => globalThis.nat.meet(target), address)
      if (first.ms > MEET_WITHIN) throw new Error(`the first echo took ${Math.round(first.ms)} ms`)
      const direct = ends === 'webrtc' ? await pathBecomes(met, 'webrtc', 5_000) : undefined
      const there = await a.page.evaluate(([id, bytes]) => globalThis.nat.echo(id, bytes), /** @type {const} */ ([idOfB, MEGABYTES * 1e6]))
      const back = await b.page.evaluate(([id, bytes]) => globalThis.nat.echo(id, bytes), /** @type {const} */ ([idOfA, MEGABYTES * 1e6]))
      if (!there.equal || !back.equal) throw new Error('5 MB came back changed')
      const paths = await a.page.evaluate((id) => globalThis.nat.pathTo(id), idOfB)
      if (ends === 'relay' && paths.includes('webrtc')) throw new Error('a direct connection, where none can be: the lab is wrong')
      return `first echo ${Math.round(first.ms)} ms by ${first.transport}${direct === undefined ? '' : `, direct ${Math.round(direct)} ms later`}, 5 MB ${Math.round(there.ms)} and ${Math.round(back.ms)} ms`
    })
  },
})

/** @type {Case[]} */
export const cases = [
  pair('cone', 'cone', 'webrtc'),
  pair('symmetric', 'fullcone', 'webrtc'),
  pair('fullcone', 'symmetric', 'webrtc'),
  pair('symmetric', 'symmetric', 'relay'),
  pair('cone', 'udpblock', 'relay'),
  pair('udpblock', 'udpblock', 'relay'),
]
