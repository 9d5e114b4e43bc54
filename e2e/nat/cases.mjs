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

/** A relay, a page on either side, each reachable through the relay. @param {Lab} lab @param {string} browser @param {(met: Met) => Promise<unknown>} body @param {string[]} [others] more relays */
const withPages = async (lab, browser, body, others = []) => {
  const relay = await startRelay(lab)
  const a = await openPage(lab, 'A', browser)
  const b = await openPage(lab, 'B', browser)
  try {
    await a.start({ relays: [relay.address, ...others] })
    const idOfB = await b.start({ relays: [relay.address, ...others] })
    return await body({ relay, a, b, idOfB, address: `${relay.address}/p2p-circuit/webrtc/p2p/${idOfB}` })
  } catch (error) {
    if (process.env.TABMESH_NAT_EVENTS) {
      for (const page of [a, b])
        console.log(page.side, await page.page.evaluate(() => ({ now: performance.now(), events: globalThis.nat.events })).catch(String))
    }
    throw error
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

/** What a change of network may cost, counted from when the network is there again. */
const RECOVER_WITHIN = 3_000

/** @param {Met} met @param {string} id */
const ticksOf = ({ a }, id) => a.page.evaluate((which) => globalThis.nat.ticks(which), id)

/** Until a tick is back that was said from now on, and so all before it. Returns milliseconds. @param {Met} met @param {string} id */
const ticksReturn = async (met, id) => {
  const began = performance.now()
  const { sent } = await ticksOf(met, id)
  for (;;) {
    const now = await ticksOf(met, id)
    const ms = performance.now() - began
    if (now.error !== undefined) throw new Error(`after ${Math.round(ms)} ms the stream broke: ${now.error}`)
    if (now.back > sent) return ms
    if (ms > 40_000) throw new Error(`no tick came back within ${Math.round(ms)} ms (${now.sent} sent, ${now.back} back)`)
    await pause(20)
  }
}

/** Waits until it is so. @param {() => Promise<boolean>} check @param {number} within */
const until = async (check, within) => {
  const began = performance.now()
  while (!(await check())) {
    if (performance.now() - began > within) return undefined
    await pause(20)
  }
  return performance.now() - began
}

/** The relays that a page says it can be reached through. @param {import('./clients.mjs').NatPage} page @returns {Promise<string[]>} */
const relaysOf = ({ page }) =>
  page.evaluate(() => [...new Set(globalThis.nat.peer.addresses.map((address) => address.split('/p2p-circuit')[0] ?? ''))])

/** A talks to B directly and counts aloud. @param {Met} met */
const talk = async (met) => {
  const { a, address, idOfB } = met
  await a.page.evaluate((target) => globalThis.nat.meet(target), address)
  await pathBecomes(met, 'webrtc', 5_000)
  // New streams are its own once it has answered a ping, and the relayed one goes.
  const alone = async () => (await a.page.evaluate((id) => globalThis.nat.pathTo(id), idOfB)).join() === 'webrtc'
  if ((await until(alone, 5_000)) === undefined) throw new Error('the relayed connection stays, or there are two direct ones')
  const id = await a.page.evaluate((target) => globalThis.nat.ticker(target), idOfB)
  await until(async () => (await ticksOf(met, id)).back > 5, 3_000)
  return id
}

/** Everything A said is back once and in order, over a direct connection. @param {Met} met @param {string} id */
const nothingLost = async (met, id) => {
  const { sent } = await ticksOf(met, id)
  if ((await until(async () => (await ticksOf(met, id)).back >= sent, 5_000)) === undefined) throw new Error('some ticks never came back')
  const { inOrder, error } = await ticksOf(met, id)
  if (!inOrder || error !== undefined) throw new Error(error ?? 'the ticks came back in another order, or twice')
  await pathBecomes(met, 'webrtc', 1)
}

/**
 * Something happens to A's network while data flows over the direct connection; `happen` returns once the network is there again.
 *
 * @param {string} name @param {(lab: Lab, met: Met) => Promise<unknown>} happen @returns {Case}
 */
const change = (name, happen) => ({
  name,
  run: (lab, browser) =>
    withPages(lab, browser, async (met) => {
      const id = await talk(met)
      await happen(lab, met)
      const ms = await ticksReturn(met, id)
      await nothingLost(met, id)
      const told = `all back after ${Math.round(ms)} ms`
      if (ms > RECOVER_WITHIN) throw new Error(`${told}: later than ${RECOVER_WITHIN} ms`)
      return told
    }),
})

/** @param {number} seconds */
const linkDown = (seconds) =>
  change(`change: link down ${seconds} s`, async (lab) => {
    await lab.cut('A')
    await pause(seconds * 1_000)
    await lab.heal('A')
  })

/** @type {Case} */
const relayRestarts = {
  name: 'change: relay killed and back',
  run: (lab, browser) =>
    withPages(lab, browser, async (met) => {
      const id = await talk(met)
      await met.relay.kill()
      const away = async () => (await relaysOf(met.a)).length + (await relaysOf(met.b)).length === 0
      if ((await until(away, 3_000)) === undefined) throw new Error('3 s after its end a page still announces the relay')
      await pause(5_000)
      await met.relay.restart()
      const back = await until(async () => (await relaysOf(met.a)).length > 0 && (await relaysOf(met.b)).length > 0, 20_000)
      if (back === undefined) throw new Error('no reservation within 20 s')
      await nothingLost(met, id)
      const told = `reserved again after ${Math.round(back)} ms`
      if (back > RECOVER_WITHIN) throw new Error(`${told}: later than ${RECOVER_WITHIN} ms`)
      return told
    }),
}

/** The relay that brought them together is gone, and then A's address changes: the other relay carries what is to be said. @type {Case} */
const relayReplaced = {
  name: 'change: relay replaced by another',
  run: async (lab, browser) => {
    const other = await startRelay(lab, '10.0.0.2')
    try {
      return await withPages(
        lab,
        browser,
        async (met) => {
          const both = async () => (await relaysOf(met.a)).length > 1 && (await relaysOf(met.b)).length > 1
          if ((await until(both, 5_000)) === undefined) throw new Error('no reservations at both relays within 5 s')
          const id = await talk(met)
          await met.relay.kill()
          const one = async () => (await relaysOf(met.a)).length === 1 && (await relaysOf(met.b)).length === 1
          const dropped = await until(one, RECOVER_WITHIN)
          if (dropped === undefined) throw new Error('3 s after its end a page still announces the relay')
          await lab.readdress('A', 66)
          const ms = await ticksReturn(met, id)
          await nothingLost(met, id)
          const told = `the dead relay dropped after ${Math.round(dropped)} ms; after a change of address all back by the other one after ${Math.round(ms)} ms`
          if (ms > RECOVER_WITHIN) throw new Error(`${told}: later than ${RECOVER_WITHIN} ms`)
          return told
        },
        [other.address],
      )
    } finally {
      await other.stop()
    }
  },
}

/** @type {Case[]} */
export const cases = [
  pair('cone', 'cone', 'webrtc'),
  pair('symmetric', 'fullcone', 'webrtc'),
  pair('fullcone', 'symmetric', 'webrtc'),
  pair('symmetric', 'symmetric', 'relay'),
  pair('cone', 'udpblock', 'relay'),
  pair('udpblock', 'udpblock', 'relay'),
  linkDown(3),
  linkDown(12),
  linkDown(25),
  change('change: address of the client', (lab) => lab.readdress('A', 55)),
  change('change: address of the NAT', (lab) => lab.renumber('A', '10.0.0.21')),
  relayRestarts,
  relayReplaced,
]
