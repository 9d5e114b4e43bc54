/** What goes wrong is said: which address, why, and what to do. */

import { expect, type Page } from 'playwright/test'
import { connectPages, deadPort, GOODBYE, start, test, untilHeard, withSilence } from './harness.ts'

const STRANGER = '12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA'

test('a dial that can not succeed says why for each address', async ({ openPage }) => {
  const page = await openPage()
  await start(page)
  const port = await deadPort()
  const addresses = [`/ip4/127.0.0.1/tcp/${port}/ws/p2p/${STRANGER}`, `/dns4/localhost/tcp/${port}/ws/p2p/${STRANGER}`]
  const fault = await page.evaluate((list) => e2e.fault(peer.dial(list)), [...addresses, `/ip4/127.0.0.1/tcp/${port}/p2p/${STRANGER}`])
  expect(fault).toMatchObject({ name: 'TabmeshError', code: 'ERR_DIAL_FAILED' })
  expect(fault.message).toContain(STRANGER)
  expect(fault.errors.map(({ code }) => code).sort()).toEqual(['ERR_NO_TRANSPORT', 'ERR_RELAY_UNREACHABLE', 'ERR_RELAY_UNREACHABLE'])
  for (const address of addresses)
    expect(
      fault.errors.some(({ message }) => message.includes(address)),
      address,
    ).toBe(true)
})

test('another peer at the address is not talked to', async ({ openPage, relay }) => {
  const page = await openPage()
  await start(page)
  const address = `${relay.addresses[0]?.split('/p2p/')[0]}/p2p/${STRANGER}`
  const fault = await page.evaluate((to) => e2e.fault(peer.dial(to)), address)
  expect(fault.errors).toMatchObject([{ code: 'ERR_PEER_ID_MISMATCH' }])
  expect(await page.evaluate(() => peer.connections)).toEqual([])
})

test('a dial is given up by its signal, and rejects with the reason', async ({ openPage }) => {
  const page = await openPage()
  await start(page)
  await withSilence(async (port) => {
    const address = `/ip4/127.0.0.1/tcp/${port}/ws/p2p/${STRANGER}`
    const reasons = await page.evaluate(async (to) => {
      const reason = new Error('the user left')
      const later = new AbortController()
      const calls = [
        peer.dial(to, { signal: AbortSignal.abort(reason) }),
        peer.dial(to, { signal: later.signal }),
        peer.openStream(to, '/echo/1', { signal: later.signal }),
        peer.ping(to, { signal: later.signal }),
      ]
      const results = Promise.allSettled(calls)
      later.abort(reason)
      return (await results).map((result) => result.status === 'rejected' && result.reason === reason)
    }, address)
    expect(reasons).toEqual([true, true, true, true])
  })
})

test('a dial without an answer ends by its deadline', async ({ openPage }) => {
  const page = await openPage()
  await start(page, { connections: { dialTimeout: 500 } })
  await withSilence(async (port) => {
    const fault = await page.evaluate((to) => e2e.fault(peer.dial(to)), `/ip4/127.0.0.1/tcp/${port}/ws/p2p/${STRANGER}`)
    expect([fault.code, ...fault.errors.map(({ code }) => code)]).toContain('ERR_DIAL_TIMEOUT')
  })
})

test('a start that is given up leaves nothing running', async ({ openPage }) => {
  const page = await openPage()
  const early = await page.evaluate(() => e2e.fault(e2e.start({ signal: AbortSignal.abort(new Error('too late')) })))
  expect(early.message).toBe('too late')
  const midway = await page.evaluate(() => {
    const controller = new AbortController()
    const started = e2e.fault(e2e.start({ signal: controller.signal }))
    controller.abort(new Error('on second thoughts'))
    return started
  })
  expect(midway.message).toBe('on second thoughts')
  await expect.poll(() => page.workers().length).toBe(0)
  const inline = await page.evaluate(async () => {
    const controller = new AbortController()
    const started = e2e.fault(tabmesh.createPeer({ worker: 'inline', signal: controller.signal }))
    const atWork = async (): Promise<boolean> =>
      (await navigator.locks.query()).held?.some(({ name }) => name?.includes('tabmesh')) === true
    while (!(await atWork()));
    controller.abort(new Error('inline, too'))
    return started
  })
  expect(inline.message).toBe('inline, too')
  // It does not hold the identity either.
  await start(page)
  expect(await page.evaluate(() => e2e.heard.filter(({ type }) => type === 'error'))).toEqual([])
})

test('what makes no sense is refused with a code', async ({ openPage, relay }) => {
  const { a, idA, idB } = await connectPages({ openPage }, relay)
  const codes = await a.evaluate(
    async ([me, other, stranger]) => {
      const calls: Record<string, () => Promise<unknown>> = {
        'no multiaddr': () => peer.dial('/ip4/999.0.0.1/tcp/1/ws'),
        'no peer id': () => peer.dial('somebody'),
        'an empty list': () => peer.dial([]),
        ourselves: () => peer.dial(me),
        'a peer nobody knows': () => peer.openStream(stranger, '/echo/1'),
        'no protocol': () => peer.openStream(other, ''),
        'a protocol that is not spoken there': () => peer.openStream(other, '/nobody/1'),
        'a protocol twice': () => peer.handle('/echo/1', () => {}),
        'a relay that is none': () => tabmesh.createPeer({ relays: ['nonsense'], identity: 'ephemeral' }),
      }
      const found: Record<string, string | undefined> = {}
      for (const [what, call] of Object.entries(calls)) found[what] = (await e2e.fault(call())).code
      return found
    },
    [idA, idB, STRANGER] as const,
  )
  expect(codes).toEqual({
    'no multiaddr': 'ERR_INVALID_MULTIADDR',
    'no peer id': 'ERR_INVALID_PEER_ID',
    'an empty list': 'ERR_INVALID_ARGUMENT',
    ourselves: 'ERR_SELF_DIAL',
    'a peer nobody knows': expect.stringMatching(/^ERR_(NO_ADDRESS|DIAL_FAILED)$/),
    'no protocol': 'ERR_INVALID_ARGUMENT',
    'a protocol that is not spoken there': 'ERR_NO_PROTOCOL',
    'a protocol twice': 'ERR_PROTOCOL_TAKEN',
    'a relay that is none': expect.stringMatching(/^ERR_INVALID_(MULTIADDR|ARGUMENT)$/),
  })
})

test('a peer that is not at the relay any more is not found there', async ({ openPage, relay }) => {
  const [a, b] = await Promise.all([openPage(), openPage()])
  await start(a, { relays: [relay.http] })
  const idB = await start(b, { relays: [relay.http] })
  await b.close()
  const held = async (): Promise<unknown> =>
    ((await (await fetch(new URL('/health', relay.http))).json()) as { reservations: number }).reservations
  await expect.poll(held, { message: 'reservations at the relay' }).toBe(1)
  const fault = await a.evaluate((id) => e2e.fault(peer.dial(id)), idB)
  expect(fault.code).toBe('ERR_DIAL_FAILED')
  expect(fault.errors).toMatchObject([{ code: 'ERR_RELAY_NO_RESERVATION' }])
})

for (const [how, leave] of [
  ['is closed', (page: Page) => page.close()],
  ['goes elsewhere', (page: Page) => page.goto('about:blank')],
] as const) {
  test(`a page that ${how} is missed by the other`, async ({ openPage, relay }) => {
    const { a, b, idB } = await connectPages({ openPage }, relay)
    await leave(b)
    const from = Date.now()
    await untilHeard(a, 'peer:disconnect', GOODBYE)
    console.log(`  a page that ${how} is missed after ${Date.now() - from} ms`)
    expect(await a.evaluate((id) => peer.peers.includes(id), idB)).toBe(false)
  })
}
