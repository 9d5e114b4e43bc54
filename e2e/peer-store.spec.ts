/** Whom a page met, from one load to the next. */

import { expect, type Page } from 'playwright/test'
import { connectPages, start, test, untilHeard } from './harness.ts'

type Row = readonly [key: string, stored: readonly number[]]

/** Reads the peers of a name from IndexedDB, once the page's peer has put `least` there. */
const stored = async (page: Page, least: number): Promise<readonly Row[]> => {
  const read = (): Promise<readonly Row[]> =>
    page.evaluate(
      () =>
        new Promise((resolve, reject) => {
          const opening = indexedDB.open('tabmesh')
          opening.onerror = () => reject(opening.error)
          opening.onsuccess = () => {
            const database = opening.result
            const store = database.transaction('peers').objectStore('peers')
            const keys = store.getAllKeys()
            const values = store.getAll()
            store.transaction.oncomplete = () => {
              database.close()
              resolve(keys.result.map((key, at) => [String(key), [...(values.result[at] as Uint8Array)]]))
            }
          }
        }),
    )
  let rows: readonly Row[] = []
  await expect
    .poll(async () => {
      rows = await read()
      return rows.length
    })
    .toBeGreaterThanOrEqual(least)
  return rows
}

/** Puts records there beside the peer's back. */
const put = (page: Page, rows: readonly Row[], version?: number): Promise<void> =>
  page.evaluate(
    ([all, wanted]) =>
      new Promise<void>((resolve, reject) => {
        const opening = indexedDB.open('tabmesh', wanted)
        opening.onerror = () => reject(opening.error)
        opening.onsuccess = () => {
          const database = opening.result
          const store = database.transaction('peers', 'readwrite').objectStore('peers')
          for (const [key, bytes] of all) store.put(Uint8Array.from(bytes), key)
          store.transaction.oncomplete = () => {
            database.close()
            resolve()
          }
        }
      }),
    [rows, version] as const,
  )

const errors = (page: Page) =>
  page.evaluate(() => e2e.heard.filter(({ type }) => type === 'error').map(({ code, message }) => ({ code, message })))

test('a page that is loaded again knows whom it met, with certified addresses, and dials those it keeps alive', async ({
  openPage,
  relay,
}) => {
  const { a, idA, idB } = await connectPages({ openPage }, relay)
  const known = () => a.evaluate((id) => peer.peerStore.get(id), idB)
  await expect.poll(async () => (await known())?.certified.length).toBeGreaterThan(0)
  const before = await known()
  await a.evaluate((id) => peer.peerStore.tag(id, 'keep-alive'), idB)
  const tagged = async (): Promise<boolean> =>
    (await stored(a, 2)).some(([key, bytes]) => key === idB && Buffer.from(bytes).includes('keep-alive'))
  await expect.poll(tagged).toBe(true)

  await a.reload()
  expect(await start(a, { relays: [relay.http] })).toBe(idA)
  const after = await known()
  expect(after).toMatchObject({ id: idB, agent: before?.agent, tags: { 'keep-alive': 1 } })
  expect(after?.certified.length).toBeGreaterThan(0)
  await expect.poll(() => a.evaluate(() => peer.peers), { timeout: 15_000 }).toContain(idB)
  expect(await a.evaluate((id) => e2e.echo(id, 'again', { allowLimited: true }), idB)).toBe('again')
  expect(await errors(a)).toEqual([])
})

test('a page that is gone without a word has kept what it knew half a second before', async ({ openPage, relay }) => {
  const page = await openPage()
  await start(page, { relays: [relay.http] })
  const [[relayId] = ['']] = await stored(page, 1)
  await page.reload()
  await start(page)
  expect((await page.evaluate((id) => peer.peerStore.get(id), relayId))?.addresses.length).toBeGreaterThan(0)
})

test('records that are damaged or of a newer version: said once, the former removed, and the peer goes on', async ({ openPage, relay }) => {
  const page = await openPage()
  await start(page, { relays: [relay.http] })
  const [[relayId] = ['']] = await stored(page, 1)
  await page.evaluate(() => peer.stop())
  await put(page, [
    ['damaged', [1, 2, 3]],
    ['newer', [0x08, 99]],
  ])

  await page.reload()
  await start(page, { relays: [relay.http] })
  await untilHeard(page, 'error')
  expect(await errors(page)).toEqual([
    { code: 'ERR_STORE', message: expect.stringContaining('1 damaged and forgotten, 1 of a newer version and left alone') },
  ])
  expect(await page.evaluate(async () => (await peer.peerStore.all()).map(({ id }) => id))).toEqual([relayId])
  await page.evaluate(() => peer.stop())
  expect((await stored(page, 1)).map(([key]) => key).sort()).toEqual([relayId, 'newer'].sort())
})

test('a database that a newer version has upgraded is used as it is', async ({ openPage, relay }) => {
  const page = await openPage()
  const id = await start(page, { relays: [relay.http] })
  await page.evaluate(() => peer.stop())
  await put(page, [], 99)
  await page.reload()
  expect(await start(page, { relays: [relay.http] })).toBe(id)
  expect(await errors(page)).toEqual([])
  expect((await page.evaluate(() => peer.peerStore.all())).length).toBe(1)
})

test('a database of the first version, with nothing but the identity in it, gets its peers', async ({ openPage, relay }) => {
  const page = await openPage()
  // Ed25519, as an origin without WebCrypto keeps it: the seed of RFC 8032 §7.1, test 1.
  const seed = '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60'
  await page.evaluate(
    (hex) =>
      new Promise<void>((resolve, reject) => {
        const opening = indexedDB.open('tabmesh', 1)
        opening.onerror = () => reject(opening.error)
        opening.onupgradeneeded = () => {
          const store = opening.result.createObjectStore('identity')
          store.put({ seed: Uint8Array.from(hex.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16)) }, 'ed25519')
        }
        opening.onsuccess = () => {
          opening.result.close()
          resolve()
        }
      }),
    seed,
  )
  const id = await start(page, { relays: [relay.http] })
  await stored(page, 1)
  await page.reload()
  expect(await start(page)).toBe(id)
  expect(await page.evaluate(() => e2e.heard.filter(({ type }) => type === 'error'))).toEqual([])
})

test('an ephemeral peer keeps nothing', async ({ openPage, relay }) => {
  const page = await openPage()
  await start(page, { identity: 'ephemeral', relays: [relay.http] })
  expect((await page.evaluate(() => peer.peerStore.all())).length).toBeGreaterThan(0)
  await page.evaluate(() => peer.stop())
  expect(await page.evaluate(async () => (await indexedDB.databases()).map(({ name }) => name))).toEqual([])
})

test('without a place for peers there is a peer, and a word of why it keeps nothing', async ({ openPage, relay }) => {
  const page = await openPage()
  // Of a version that has no place for peers; a disk that is full or refused ends the same way.
  await page.evaluate(
    () =>
      new Promise<void>((resolve, reject) => {
        const opening = indexedDB.open('tabmesh', 7)
        opening.onerror = () => reject(opening.error)
        opening.onupgradeneeded = () => opening.result.createObjectStore('identity')
        opening.onsuccess = () => {
          opening.result.close()
          resolve()
        }
      }),
  )
  await start(page, { relays: [relay.http], dht: false })
  await untilHeard(page, 'error')
  expect(await errors(page)).toEqual([{ code: 'ERR_STORE', message: expect.stringContaining('the peers of earlier can not be read') }])
  expect((await page.evaluate(() => peer.peers)).length).toBe(1)
})
