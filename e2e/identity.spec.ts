/** Who a page is, from one load to the next and beside other pages of its origin. */

import { expect, type Page } from 'playwright/test'
import { start, test, untilHeard } from './harness.ts'

test('a reload keeps the identity; another name is another peer', async ({ openPage }) => {
  const page = await openPage()
  const id = await start(page)
  await page.reload()
  expect(await start(page)).toBe(id)
  await page.reload()
  expect(await start(page, { name: 'another' })).not.toBe(id)
  await page.reload()
  expect(await start(page, { identity: 'ephemeral' })).not.toBe(id)
  await page.reload()
  expect(await start(page)).toBe(id)
})

test('a peer that stops leaves its identity to the next one on the same page', async ({ openPage }) => {
  const page = await openPage()
  const id = await start(page)
  await page.evaluate(() => peer.stop())
  expect(await start(page)).toBe(id)
  expect(await page.evaluate(() => e2e.heard)).not.toContainEqual(expect.objectContaining({ type: 'error' }))
})

test('the same private key is the same peer anywhere', async ({ openPage, relay }) => {
  // libp2p protobuf: Ed25519, 32 bytes of seed and the public key that belongs to it (RFC 8032 §7.1, test 1).
  const key =
    '08011240' +
    '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60' +
    'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a'
  const ids: string[] = []
  for (const page of await Promise.all([openPage(), openPage()])) {
    ids.push(
      await page.evaluate(
        ([hex, at]) =>
          // It signs well: the relay lets it in.
          e2e.start({
            identity: { privateKey: Uint8Array.from(hex.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16)) },
            relays: [at],
          }),
        [key, relay.http] as const,
      ),
    )
    await page.evaluate(() => peer.stop())
  }
  expect(ids[0]).toMatch(/^12D3KooW/)
  expect(ids[1]).toBe(ids[0])
})

test('of two pages that start at once one keeps the identity, and the other is told that it goes on without', async ({ openPage }) => {
  const first = await openPage()
  const kept = await start(first)
  const second = await openPage('/', first)
  await first.reload()

  const ids = await Promise.all([start(first), start(second)])
  expect(ids.filter((id) => id === kept)).toHaveLength(1)
  expect(ids[0]).not.toBe(ids[1])
  const [winner, loser] = ids[0] === kept ? [first, second] : [second, first]
  // Told to an application that listens from the moment it has its peer.
  await untilHeard(loser, 'error')
  expect(await loser.evaluate(() => e2e.heard.filter(({ type }) => type === 'error'))).toEqual([
    expect.objectContaining({ code: 'ERR_IDENTITY_IN_USE' }),
  ])
  expect(await winner.evaluate(() => e2e.heard.filter(({ type }) => type === 'error'))).toEqual([])

  await winner.close()
  await loser.reload()
  expect(await start(loser)).toBe(kept)
})

test('an origin without TLS, which has neither WebCrypto nor locks, keeps its identity too', async ({ openPage, site }) => {
  const page = await openPage()
  const open = async (each: Page): Promise<void> => {
    await each.goto('http://tabmesh.test/')
    expect(await each.evaluate(() => [isSecureContext, 'subtle' in crypto, 'locks' in navigator])).toEqual([false, false, false])
  }
  await page.context().route('http://tabmesh.test/**', async (route) => {
    const { pathname } = new URL(route.request().url())
    await route.fulfill({ response: await route.fetch({ url: site.url + pathname }) })
  })
  await open(page)
  const id = await start(page)

  const beside = await openPage('/', page)
  await open(beside)
  expect(await start(beside)).not.toBe(id)
  await untilHeard(beside, 'error')
  expect(await beside.evaluate(() => e2e.heard.map(({ code }) => code))).toEqual(['ERR_IDENTITY_IN_USE'])
  await beside.close()

  await page.reload()
  expect(await start(page)).toBe(id)
})
