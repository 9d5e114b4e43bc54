/** The small protocols from page to page: fetch, perf, and what identify tells. */

import { expect } from 'playwright/test'
import { connectPages, start, test, untilHeard } from './harness.ts'

const byRelay = { a: { transports: { webRTC: false } }, b: { transports: { webRTC: false }, perf: true }, direct: false }
const ways = [
  ['WebRTC', { b: { perf: true } }],
  ['the relay', byRelay],
] as const

for (const [way, how] of ways) {
  test(`a page asks another for values over ${way}`, async ({ openPage, relay }) => {
    const { a, b, idB } = await connectPages({ openPage }, relay, how)
    expect(await a.evaluate(async (id) => (await e2e.fault(peer.fetch(id, '/menu/soup'))).code, idB)).toBe('ERR_NO_PROTOCOL')
    await b.evaluate(() =>
      peer.handleFetch('/menu/', async (key, { bytes }) => {
        if (key === '/menu/fire') throw new Error('the kitchen is on fire')
        if (key === '/menu/large') return new Uint8Array(3_000_000).fill(7)
        return key === '/menu/soup' ? `tomato, asked for in ${bytes.length} bytes` : undefined
      }),
    )
    const asked = await a.evaluate(async (id) => {
      const text = (value: Uint8Array | undefined): string | undefined =>
        value === undefined ? undefined : new TextDecoder().decode(value)
      const large = await peer.fetch(id, '/menu/large')
      return {
        soup: text(await peer.fetch(id, '/menu/soup')),
        bytes: text(await peer.fetch(id, new TextEncoder().encode('/menu/soup'))),
        none: text(await peer.fetch(id, '/menu/fish')),
        other: text(await peer.fetch(id, '/elsewhere')),
        large: large?.length === 3_000_000 && large.every((byte) => byte === 7),
        fire: await e2e.fault(peer.fetch(id, '/menu/fire')),
      }
    }, idB)
    expect(asked).toMatchObject({
      soup: 'tomato, asked for in 10 bytes',
      bytes: 'tomato, asked for in 10 bytes',
      none: undefined,
      other: undefined,
      large: true,
      fire: { code: 'ERR_FETCH_FAILED' },
    })
    // What went wrong is for the page that answers, and for nobody else.
    expect(asked.fire.message).not.toContain('kitchen')
    await untilHeard(b, 'error')
    expect(await b.evaluate(() => e2e.heard.find(({ type }) => type === 'error')?.code)).toBe('ERR_HANDLER')
    await b.evaluate(() => peer.unhandleFetch('/menu/'))
    expect(await a.evaluate(async (id) => (await e2e.fault(peer.fetch(id, '/menu/soup'))).code, idB)).toBe('ERR_NO_PROTOCOL')
  })

  test(`a page measures how fast another is over ${way}`, async ({ openPage, relay }) => {
    const { a, b, idA, idB } = await connectPages({ openPage }, relay, how)
    const size = 20_000_000
    const { upload, download } = await a.evaluate(([id, bytes]) => peer.perf(id, { upload: bytes, download: bytes }), [idB, size] as const)
    expect([upload.bytes, download.bytes]).toEqual([size, size])
    const rate = ({ bytes, ms }: { bytes: number; ms: number }): string => `${(bytes / 1_000 / ms).toFixed(1)} MB/s`
    console.log(`  over ${way}: ${rate(upload)} up, ${rate(download)} down`)
    expect(await b.evaluate(async (id) => (await e2e.fault(peer.perf(id, { upload: 1 }))).code, idA)).toBe('ERR_NO_PROTOCOL')
    const signal = await a.evaluate(async (id) => {
      const controller = new AbortController()
      const failed = peer.perf(id, { download: 1e12, signal: controller.signal }).catch((why: unknown) => why)
      await peer.ping(id)
      controller.abort('enough')
      return failed
    }, idB)
    expect(signal).toBe('enough')
    // Nothing of it goes on: the next one has the stream to itself.
    expect(await a.evaluate((id) => peer.perf(id, { download: 100_000 }), idB)).toMatchObject({ download: { bytes: 100_000 } })
  })
}

test('pages certify their addresses to each other, and tell what changes', async ({ openPage, relay }) => {
  const { a, b, idB } = await connectPages({ openPage }, relay)
  const known = await a.evaluate((id) => peer.peerStore.get(id), idB)
  const addresses = await b.evaluate(() => peer.addresses)
  expect(known?.certified.toSorted()).toEqual(addresses.toSorted())
  await b.evaluate(() => peer.handle('/new/1', () => {}))
  await expect.poll(() => a.evaluate(async (id) => (await peer.peerStore.get(id))?.protocols.includes('/new/1'), idB)).toBe(true)
})

test('a page learns where its relay sees it come from', async ({ openPage, relay }) => {
  const page = await openPage()
  await start(page, { relays: [relay.http] })
  await expect
    .poll(() => page.evaluate(() => peer.connections.find(({ transport }) => transport === 'websocket')?.observedAddr))
    .toMatch(/^\/ip[46]\/[0-9a-f.:]+\/tcp\/\d+/)
})
