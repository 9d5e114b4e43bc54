/** `peer.dht` in pages: relays as its servers, a page as one, and what is left of it after a reload. */

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, type Page } from 'playwright/test'
import type { FoundPeer } from 'tabmesh'
import { start, test, untilHeard, untilPaths } from './harness.ts'
import { startRelay } from './relay-process.ts'

const CID = 'bafkreidon73zkcrwdb5iafqtijxildoonbwnpv7dyd6ef3qdgads2jc4su'

test('pages at two relays find each other by the DHT, and dial by peer id', async ({ openPage }) => {
  const first = await startRelay('--dht')
  const second = await startRelay('--dht', '--bootstrap', first.addresses[0] as string)
  const [a, b] = await Promise.all([openPage(), openPage()])
  const [idA] = await Promise.all([start(a, { relays: [first.http] }), start(b, { relays: [second.http] })])
  expect(await a.evaluate((cid) => peer.dht.provide(cid), CID)).toBe(2)
  const found = await b.evaluate(async (cid) => {
    const all: FoundPeer[] = []
    for await (const each of peer.dht.findProviders(cid)) all.push(each)
    return all
  }, CID)
  expect(found).toEqual([{ id: idA, addresses: await a.evaluate(() => peer.addresses) }])
  await b.evaluate((id) => peer.dial(id), idA)
  await untilPaths(b, idA, 'webrtc')

  // What it provides it provides after a reload too, until it is told otherwise.
  await a.reload()
  await start(a, { relays: [first.http] })
  await expect.poll(() => a.evaluate((cid) => peer.dht.unprovide(cid), CID)).toBe(true)
  await a.evaluate(() => peer.stop())
  await a.reload()
  await start(a, { relays: [first.http] })
  expect(await a.evaluate((cid) => peer.dht.unprovide(cid), CID)).toBe(false)
  await Promise.all([first.stop(), second.stop()])
})

test('a page is a server of a namespace of its own, and keeps its records over a reload', async ({ openPage, relay }) => {
  const options = { relays: [relay.http] }
  const serve = (page: Page, mode: 'server' | 'client'): Promise<string> =>
    page.evaluate(
      ([given, as]) =>
        e2e.start({
          ...given,
          dht: {
            mode: as,
            validators: { app: async (_key, value) => new TextDecoder().decode(value).startsWith('ok') },
            selectors: {
              app: async (_key, values) => values.findIndex((each) => each.length === Math.max(...values.map(({ length }) => length))),
            },
          },
        }),
      [options, mode] as const,
    )
  const outcome = (page: Page, call: 'put' | 'get', value = ''): Promise<string> =>
    page.evaluate(
      async ([method, text]) => {
        try {
          if (method === 'put') return String(await peer.dht.put('/app/greeting', text))
          return new TextDecoder().decode(await peer.dht.get('/app/greeting', { quorum: 0 }))
        } catch (error) {
          return (error as { code: string }).code
        }
      },
      [call, value] as const,
    )
  const [server, client] = await Promise.all([openPage(), openPage()])
  const [id] = await Promise.all([serve(server, 'server'), serve(client, 'client')])
  await client.evaluate((to) => peer.dial(to), id)
  await untilHeard(client, 'peer:identify')
  expect(await outcome(client, 'get')).toBe('ERR_NOT_FOUND')
  expect(await outcome(client, 'put', 'ok')).toBe('1')
  expect(await outcome(client, 'put', 'ok, and longer')).toBe('1')
  expect(await outcome(client, 'put', 'not ok')).toBe('ERR_INVALID_RECORD')
  expect(await outcome(client, 'get')).toBe('ok, and longer')

  await server.evaluate(() => peer.stop())
  await server.reload()
  expect(await serve(server, 'server')).toBe(id)
  await client.evaluate((to) => peer.dial(to), id)
  await expect.poll(() => outcome(client, 'get'), { timeout: 30_000 }).toBe('ok, and longer')
})

test('a page asks an HTTP router of another origin', async ({ openPage, relay }) => {
  const [a, b] = await Promise.all([openPage(), openPage()])
  const idA = await start(a, { relays: [relay.http] })
  const Addrs = await a.evaluate(() => peer.addresses)
  const router = createServer((request, response) => {
    const head = { 'access-control-allow-origin': '*', 'content-type': 'application/x-ndjson' }
    if (request.url?.startsWith('/routing/v1/providers/'))
      response.writeHead(200, head).end(`${JSON.stringify({ Schema: 'peer', ID: idA, Addrs })}\n`)
    else response.writeHead(404, head).end()
  })
  await new Promise<void>((done) => router.listen(0, '127.0.0.1', done))
  const url = `http://127.0.0.1:${(router.address() as AddressInfo).port}`
  await start(b, { dht: false, delegatedRouting: [url] })
  const found = await b.evaluate(async (cid) => {
    const all: FoundPeer[] = []
    for await (const each of peer.dht.findProviders(cid)) all.push(each)
    return all
  }, CID)
  expect(found).toEqual([{ id: idA, addresses: Addrs }])
  await b.evaluate((addresses) => peer.dial([...addresses]), found[0]?.addresses ?? [])
  await untilPaths(b, idA, 'webrtc')
  expect(await b.evaluate((id) => peer.dht.findPeer(id).catch((error) => error.code), idA)).toBe('ERR_NOT_FOUND')
  router.closeAllConnections()
  router.close()
})
