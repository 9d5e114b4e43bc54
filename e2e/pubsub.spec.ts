/** Pages publish and subscribe: over our relay, directly, all to all. */

import { expect, type Page } from 'playwright/test'
import type { PeerOptions } from 'tabmesh'
import { start, test } from './harness.ts'
import { watchTasks } from './main-thread.ts'
import { startRelay } from './relay-process.ts'

/** What a page notes of its pubsub: the texts of each author, in the order in which they came. */
interface Notes {
  readonly of: Record<string, string[]>
  readonly changes: { peer: string; topic: string; subscribed: boolean }[]
}

declare global {
  var notes: Notes
}

const join = async (page: Page, topic: string): Promise<void> => {
  await page.evaluate(async (name) => {
    if (!('notes' in globalThis)) {
      Object.assign(globalThis, { notes: { of: {}, changes: [] } })
      peer.pubsub.addEventListener('message', ({ detail }) => {
        const texts = notes.of[detail.from ?? ''] ?? []
        notes.of[detail.from ?? ''] = texts
        texts.push(detail.text())
      })
      peer.pubsub.addEventListener('subscription:change', ({ detail }) => notes.changes.push(detail))
    }
    await peer.pubsub.subscribe(name)
  }, topic)
}

/** Waits until the page knows of so many others in the topic. */
const untilSubscribers = async (page: Page, topic: string, count: number): Promise<void> => {
  await expect
    .poll(() => page.evaluate((name) => peer.pubsub.subscribers(name).length, topic), { message: `others in ${topic}`, timeout: 20_000 })
    .toBe(count)
}

/** Waits until so many messages came from a peer, and returns them. */
const heardFrom = async (page: Page, author: string, count: number): Promise<string[]> => {
  await page.waitForFunction(([from, least]) => (notes.of[from]?.length ?? 0) >= least, [author, count] as const, { timeout: 45_000 })
  return page.evaluate((from) => notes.of[from] ?? [], author)
}

const numbers = (count: number, prefix = ''): string[] => Array.from({ length: count }, (_, i) => `${prefix}${i}`)

test('three pages: all hear all, signed, in order, nothing lost and nothing twice', async ({ openPage, relay }) => {
  const pages = await Promise.all([openPage(), openPage(), openPage()])
  const options: PeerOptions = { relays: [relay.http] }
  const ids: string[] = []
  for (const page of pages) ids.push(await start(page, options))
  for (const page of pages) await join(page, 'e2e')
  const [a, b, c] = pages as [Page, Page, Page]
  const [idA, idB] = ids as [string, string, string]
  await b.evaluate((id) => peer.dial(id), idA)
  await c.evaluate((id) => peer.dial(id), idB)
  await untilSubscribers(b, 'e2e', 2)
  await untilSubscribers(a, 'e2e', 1)
  await untilSubscribers(c, 'e2e', 1)
  const each = 1_000
  await Promise.all(
    pages.map((page) =>
      page.evaluate(async (count) => {
        await Promise.all(Array.from({ length: count }, (_, i) => peer.pubsub.publish('e2e', `${i}`)))
      }, each),
    ),
  )
  for (const [i, page] of pages.entries())
    for (const author of ids.filter((_, j) => j !== i)) expect(await heardFrom(page, author, each)).toEqual(numbers(each))
  // Nobody hears himself.
  for (const [i, page] of pages.entries())
    expect(await page.evaluate(() => Object.keys(notes.of).sort())).toEqual(ids.filter((_, j) => j !== i).sort())

  await c.evaluate(() => peer.pubsub.unsubscribe('e2e'))
  await untilSubscribers(b, 'e2e', 1)
  await a.evaluate(() => peer.pubsub.publish('e2e', 'without c'))
  expect((await heardFrom(b, idA, each + 1)).at(-1)).toBe('without c')
  expect(await c.evaluate((id) => notes.of[id]?.length, idA)).toBe(each)
  expect(await b.evaluate(() => notes.changes.at(-1))).toEqual({ peer: ids[2], topic: 'e2e', subscribed: false })
})

test('validators decide in the page that has them, and the others never hear what it refused', async ({ openPage, relay }) => {
  const [a, b, c] = (await Promise.all([openPage(), openPage(), openPage()])) as [Page, Page, Page]
  const ids = await Promise.all([a, b, c].map((page) => start(page, { relays: [relay.http] })))
  for (const page of [a, b, c]) await join(page, 'e2e')
  await b.evaluate(() =>
    peer.pubsub.subscribe('e2e', {
      validate: async (message) => {
        if (message.text().startsWith('ok')) return 'accept'
        return message.text() === 'bad' ? 'reject' : 'ignore'
      },
    }),
  )
  await b.evaluate((id) => peer.dial(id), ids[0] as string)
  await c.evaluate((id) => peer.dial(id), ids[1] as string)
  await untilSubscribers(b, 'e2e', 2)
  await untilSubscribers(a, 'e2e', 1)
  await a.evaluate(async () => {
    for (const text of ['ok 1', 'bad', 'spam', 'ok 2']) await peer.pubsub.publish('e2e', text)
  })
  for (const page of [b, c]) expect(await heardFrom(page, ids[0] as string, 2)).toEqual(['ok 1', 'ok 2'])
  const { peers } = await b.evaluate(() => peer.pubsub.inspect())
  expect(peers.find(({ id }) => id === ids[0])?.score).toBeLessThan(0)
})

test('a page publishes 10,000 messages of 100 B in one go: no task of its main thread takes 16 ms', async ({
  openPage,
  relay,
  browser,
}, info) => {
  const [a, b] = (await Promise.all([openPage(), openPage()])) as [Page, Page]
  const [idA, idB] = await Promise.all([start(a, { relays: [relay.http] }), start(b, { relays: [relay.http] })])
  for (const page of [a, b]) await join(page, 'load')
  await b.evaluate((id) => peer.dial(id), idA)
  await untilSubscribers(a, 'load', 1)
  await untilSubscribers(b, 'load', 1)
  expect(await a.evaluate((id) => peer.pubsub.subscribers('load').includes(id), idB)).toBe(true)
  const count = 10_000
  await a.evaluate((messages) => {
    const encoder = new TextEncoder()
    const messagesOf100 = Array.from({ length: messages }, (_, i) => encoder.encode(`${i}`.padEnd(100, ' ')))
    Object.assign(globalThis, { messagesOf100 })
  }, count)
  const publish = async (): Promise<void> => {
    await a.evaluate(async () => {
      const { messagesOf100 } = globalThis as unknown as { messagesOf100: Uint8Array[] }
      const began = performance.now()
      const all = messagesOf100.map((data) => peer.pubsub.publish('load', data))
      const called = performance.now() - began
      await Promise.all(all)
      Object.assign(globalThis, { called, sent: performance.now() - began })
    })
    await b.waitForFunction(([from, least]) => (notes.of[from]?.length ?? 0) >= least, [idA, count] as const, { timeout: 45_000 })
  }
  const tasks = await watchTasks(browser, a, publish)
  const { called, sent } = await a.evaluate(() => {
    const { called, sent } = globalThis as unknown as { called: number; sent: number }
    return { called, sent }
  })
  const text =
    `10,000 × 100 B: called within ${called.toFixed(1)} ms, on their way after ${sent.toFixed(0)} ms; ${tasks.count} tasks of the main thread, ` +
    `the longest ${tasks.longest.toFixed(1)} ms (${tasks.longestByClock.toFixed(1)} ms by the clock)`
  console.log(`      ${text}`)
  info.annotations.push({ type: 'measured', description: text })
  const heard = await heardFrom(b, idA, count)
  expect(heard.map((each) => Number.parseInt(each, 10))).toEqual(Array.from({ length: count }, (_, i) => i))
  expect(tasks.longest).toBeLessThan(16)
})

test('over a relay that limits its circuits it runs where the relay is one of ours, and not otherwise', async ({ openPage }) => {
  const relay = await startRelay('--circuit-bytes', '1000000')
  try {
    const onlyRelay: PeerOptions = { transports: { webRTC: false }, listen: ['/p2p-circuit'] }
    const [a, b, stranger] = (await Promise.all([openPage(), openPage(), openPage()])) as [Page, Page, Page]
    const [idA, idB] = await Promise.all([a, b].map((page) => start(page, { ...onlyRelay, relays: [relay.http] })))
    const idOfStranger = await start(stranger, onlyRelay)
    for (const page of [a, b, stranger]) await join(page, 'e2e')
    const address = await a.evaluate(() => peer.addresses[0] as string)
    for (const page of [b, stranger]) {
      const info = await page.evaluate((at) => peer.dial(at), address)
      expect(info).toMatchObject({ transport: 'relay', limited: true })
    }
    await untilSubscribers(a, 'e2e', 1)
    await untilSubscribers(b, 'e2e', 1)
    await a.evaluate(() => peer.pubsub.publish('e2e', 'over our relay'))
    await b.evaluate(() => peer.pubsub.publish('e2e', 'and back'))
    expect(await heardFrom(b, idA as string, 1)).toEqual(['over our relay'])
    expect(await heardFrom(a, idB as string, 1)).toEqual(['and back'])
    // It is connected, and has told what it speaks; but it does not know this relay as its own.
    await expect.poll(() => a.evaluate((id) => peer.peerStore.get(id), idOfStranger)).toMatchObject({ id: idOfStranger })
    expect(await stranger.evaluate(() => [peer.pubsub.subscribers('e2e'), notes.of])).toEqual([[], {}])
    expect(await a.evaluate(() => peer.pubsub.subscribers('e2e'))).toEqual([idB])
  } finally {
    await relay.stop()
  }
})
