/** A page decides with whom it deals: at each moment, over its own worker, with codes that say so; and goes on with everybody else. */

import { expect, type Page } from 'playwright/test'
import { start, test, untilHeard } from './harness.ts'

type Hook = 'dial' | 'accept' | 'secured' | 'upgraded'

/** A page's peer that will have nothing to do with `banned`, as `hook` sees it; what that was asked is in `asked`. */
const startGated = (page: Page, relay: string, hook: Hook, banned: string): Promise<string> =>
  page.evaluate(
    ([url, name, whom]) => {
      const asked: unknown[] = []
      Object.assign(globalThis, { asked })
      const judge = async (about: { remotePeer?: string | undefined; remoteAddr: string }): Promise<boolean> => {
        asked.push(about)
        return about.remotePeer !== whom && !about.remoteAddr.endsWith(whom)
      }
      return e2e.start({ relays: [url], connections: { gater: { [name]: judge } } })
    },
    [relay, hook, banned] as const,
  )

const opened = (page: Page): Promise<(string | undefined)[]> =>
  page.evaluate(() => e2e.heard.filter(({ type }) => type === 'connection:open').map(({ peer }) => peer))

for (const hook of ['accept', 'secured', 'upgraded'] as const) {
  test(`a page that refuses a peer when ${hook}: neither has a connection, and a third one has`, async ({ openPage, relay }) => {
    const [a, b, c] = await Promise.all([openPage(), openPage(), openPage()])
    const [idA] = await Promise.all([start(a, { relays: [relay.http] }), start(c, { relays: [relay.http] })])
    const idB = await startGated(b, relay.http, hook, idA)

    // The dialer may have its connection already when the other side makes up its mind: then it is closed.
    const outcome = await a.evaluate((id) => e2e.fault(peer.ping(id)), idB)
    expect(outcome.code).toMatch(/^ERR_(DIAL_FAILED|CONNECTION_CLOSED|STREAM_CLOSED|STREAM_RESET)$/)
    await expect.poll(() => a.evaluate((id) => e2e.paths(id), idB)).toEqual([])

    expect(await c.evaluate((id) => peer.ping(id), idB)).toBeGreaterThan(0)
    expect(await c.evaluate((id) => e2e.echo(id, 'hello'), idB)).toBe('hello')
    expect(await opened(b)).not.toContain(idA)
    const asked = await b.evaluate(() => (globalThis as unknown as { asked: { remoteAddr: string }[] }).asked)
    expect(asked.some(({ remoteAddr }) => remoteAddr.includes('/p2p-circuit'))).toBe(true)

    // It is refused as well where it is dialled, and there it is told by whom.
    if (hook === 'accept') return
    const fault = await b.evaluate((id) => e2e.fault(peer.dial(id)), idA)
    expect(fault.code).toBe('ERR_DIAL_FAILED')
    expect(new Set(fault.errors.map(({ code }) => code))).toContain('ERR_GATED')
    expect(await opened(b)).not.toContain(idA)
  })
}

test('a page that refuses to dial: no byte leaves, and other addresses are dialled', async ({ openPage, relay }) => {
  const [a, b, c] = await Promise.all([openPage(), openPage(), openPage()])
  const [idB, idC] = await Promise.all([start(b, { relays: [relay.http] }), start(c, { relays: [relay.http] })])
  await startGated(a, relay.http, 'dial', idB)
  const fault = await a.evaluate((id) => e2e.fault(peer.dial(id)), idB)
  expect(fault).toMatchObject({ code: 'ERR_DIAL_FAILED' })
  expect(fault.errors.length).toBeGreaterThan(0)
  for (const { code } of fault.errors) expect(code).toBe('ERR_GATED')
  expect(await a.evaluate((id) => e2e.echo(id, 'hello'), idC)).toBe('hello')
  const idA = await a.evaluate(() => peer.id)
  expect(await opened(b)).not.toContain(idA)
})

test('a gater that throws refuses, and the page hears what it threw', async ({ openPage, relay }) => {
  const page = await openPage()
  const [fault, cause] = await page.evaluate(async (url) => {
    const broken = new Error('the list is on fire')
    let cause: unknown
    globalThis.tabmesh ??= await import(new URL('index.js', location.href).href)
    const dial = (): boolean => {
      throw broken
    }
    globalThis.peer = await tabmesh.createPeer({ connections: { gater: { dial } } })
    const heard = new Promise<void>((resolve) => {
      peer.addEventListener('error', ({ detail }) => {
        cause = detail.code === 'ERR_HANDLER' ? detail.cause === broken : detail.code
        resolve()
      })
    })
    const fault = await e2e.fault(peer.dial(url))
    await heard
    return [fault, cause] as const
  }, relay.addresses[0] as string)
  expect(fault.errors).toMatchObject([{ code: 'ERR_GATED' }])
  expect(cause).toBe(true)
})

test('a gater that has no hook is a mistake, and is said to be one', async ({ openPage }) => {
  const page = await openPage()
  const fault = await page.evaluate(() => e2e.fault(e2e.start({ connections: { gater: { dail: () => false } as object } })))
  expect(fault).toMatchObject({ code: 'ERR_INVALID_ARGUMENT' })
  expect(fault.message).toContain('dial, accept, secured, upgraded, reservation')
})

test('a wanted number of reservations reaches the engine, and one below 1 is refused', async ({ openPage, relay }) => {
  const page = await openPage()
  // The same relay under two names is one; what matters is that the option reaches the worker.
  await start(page, { relays: [relay.http, relay.addresses[0] as string], reservations: 1 })
  await untilHeard(page, 'relay:reserved')
  expect(await page.evaluate(() => e2e.heard.filter(({ type }) => type === 'relay:reserved').length)).toBe(1)
  const fault = await page.evaluate(() => e2e.fault(tabmesh.createPeer({ name: 'other', reservations: 0 })))
  expect(fault).toMatchObject({ code: 'ERR_INVALID_ARGUMENT' })
})
