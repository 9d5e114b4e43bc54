/** Every way to load tabmesh and to run its engine, and what an application hears when the engine dies. */

import { expect, type Page } from 'playwright/test'
import type { PeerOptions } from 'tabmesh'
import { connectPages, start, test, untilHeard, untilPaths } from './harness.ts'
import type { RelayProcess } from './relay-process.ts'

/** The page's peer reaches another one, directly, and its echo comes back. */
const talks = async (page: Page, openPage: () => Promise<Page>, relay: RelayProcess): Promise<void> => {
  const other = await openPage()
  const id = await start(other, { relays: [relay.http] })
  await page.evaluate((to) => peer.dial(to), id)
  await untilPaths(page, id, 'webrtc')
  expect(await page.evaluate((to) => e2e.echo(to, 'well'), id)).toBe('well')
}

test('by default the engine has a worker of its own', async ({ openPage, relay }) => {
  const page = await openPage()
  await start(page, { relays: [relay.http] })
  expect(page.workers()).toHaveLength(1)
  await page.evaluate(() => peer.stop())
  await expect.poll(() => page.workers().length).toBe(0)
})

test('inline, the engine runs on the page itself', async ({ openPage, relay }) => {
  const { a, b, idA, idB } = await connectPages({ openPage }, relay, { a: { worker: 'inline' }, b: { worker: 'inline' } })
  expect([a.workers().length, b.workers().length]).toEqual([0, 0])
  const [sent, received] = await exchange(a, idB, 5_000_000)
  expect(received).toEqual(sent)
  expect(await b.evaluate((id) => e2e.echo(id, 'and back'), idA)).toBe('and back')
})

test('the worker comes from a URL of the page', async ({ openPage, relay }) => {
  const page = await openPage()
  await start(page, { relays: [relay.http], worker: '/tabmesh.worker.js' })
  expect(page.workers().map((worker) => new URL(worker.url()).pathname)).toEqual(['/tabmesh.worker.js'])
  await talks(page, openPage, relay)
})

test('the application brings the worker, and keeps it', async ({ openPage, relay }) => {
  const page = await openPage()
  await page.evaluate((url) => {
    const worker = new Worker('/tabmesh.worker.js')
    return e2e.start({ relays: [url], worker })
  }, relay.http)
  await talks(page, openPage, relay)
  await page.evaluate(() => peer.stop())
  expect(page.workers()).toHaveLength(1)
})

test('a script tag defines one global', async ({ openPage, relay }) => {
  const plain = await openPage('/')
  const page = await openPage('/global.html')
  // Playwright leaves names of its own, now and then.
  const names = () => Object.getOwnPropertyNames(globalThis).filter((name) => !name.startsWith('__playwright'))
  const before = new Set(await plain.evaluate(names))
  expect((await page.evaluate(names)).filter((name) => !before.has(name))).toEqual(['tabmesh'])
  expect(await page.evaluate(() => Object.keys(tabmesh).sort())).toEqual(['TabmeshError', 'createPeer'])
  // start() takes the global where there is one.
  await start(page, { relays: [relay.http] })
  await talks(page, openPage, relay)
})

test('a page imports dist/index.js as it is', async ({ openPage, relay }) => {
  const page = await openPage('/module.html')
  expect(await page.evaluate(() => Object.keys((globalThis as unknown as { imported: object }).imported).sort())).toEqual([
    'TabmeshError',
    'createPeer',
  ])
  await start(page, { relays: [relay.http] })
  await talks(page, openPage, relay)
})

test.describe('under a strict content security policy', () => {
  test('a worker from a URL works, without WebAssembly', async ({ openPage, relay }) => {
    const page = await openPage('/strict/')
    await start(page, { relays: [relay.http], worker: '/strict/tabmesh.worker.js' })
    const [worker] = page.workers()
    const wasm = await worker?.evaluate(() => {
      try {
        return String(new WebAssembly.Module(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0)))
      } catch (error) {
        return (error as Error).name
      }
    })
    expect(wasm).toBe('CompileError')
    await talks(page, openPage, relay)
  })

  for (const worker of ['dedicated', 'inline'] as const) {
    test(`${worker} is refused with the way out`, async ({ openPage }) => {
      const page = await openPage('/strict/')
      const fault = await page.evaluate((where) => e2e.fault(e2e.start({ worker: where })), worker)
      expect(fault).toMatchObject({ name: 'TabmeshError', code: 'ERR_ENGINE_START' })
      expect(fault.message).toContain('worker: URL')
    })
  }
})

test('a worker that can not be loaded, or throws as it starts, fails the start', async ({ openPage }) => {
  const page = await openPage()
  for (const worker of ['/no-such.worker.js', '/broken.worker.js']) {
    const fault = await page.evaluate((url) => e2e.fault(e2e.start({ worker: url })), worker)
    expect(fault, worker).toMatchObject({ name: 'TabmeshError', code: 'ERR_ENGINE_START' })
  }
})

test.describe('an engine that dies', () => {
  /** A peer with a call of every kind pending, on an engine in `worker`; `faults` holds what became of them. */
  const pending = async (stage: { openPage(): Promise<Page> }, relay: RelayProcess, options: PeerOptions) => {
    const { a, b, idB } = await connectPages(stage, relay, { a: options })
    await b.evaluate(() => peer.handle('/mute/1', () => new Promise(() => {})))
    await a.evaluate(async (id) => {
      const [read, written, closing] = await Promise.all([1, 2, 3].map(() => peer.openStream(id, '/mute/1')))
      const writing = async (): Promise<never> => {
        const writer = written?.writable.getWriter()
        // Nobody reads them: sooner or later one has to wait.
        for (;;) await writer?.write(new Uint8Array(65_536))
      }
      const calls = [read?.readable.getReader().read(), writing(), closing?.close()]
      Object.assign(globalThis, { faults: Promise.all(calls.map((call) => e2e.fault(call as Promise<unknown>))) })
    }, idB)
    return { a, idB }
  }

  test('by an error rejects all that is pending, and all that comes', async ({ openPage, relay }) => {
    const { a, idB } = await pending({ openPage }, relay, { worker: '/crashing.worker.js' })
    await a.workers()[0]?.evaluate(() => {
      setTimeout(() => dispatchEvent(new MessageEvent('message', { data: 'crash' })))
    })
    await untilHeard(a, 'error')
    expect(await a.evaluate(() => e2e.heard.filter(({ type }) => type === 'error').map(({ code }) => code))).toEqual(['ERR_ENGINE_DIED'])
    const faults = await a.evaluate(() => (globalThis as unknown as { faults: Promise<{ code?: string }[]> }).faults)
    expect(faults.map(({ code }) => code)).toEqual(Array(3).fill('ERR_ENGINE_DIED'))
    for (const call of ['dial', 'ping', 'openStream'] as const) {
      const fault = await a.evaluate(([name, id]) => e2e.fault(peer[name](id, '/echo/1' as never)), [call, idB] as const)
      expect(fault, call).toMatchObject({ code: 'ERR_ENGINE_DIED', cause: expect.stringContaining('crashed on purpose') })
    }
    expect(await a.evaluate(() => peer.connections)).toEqual([])
    expect(await a.evaluate((id) => e2e.heard.some((each) => each.type === 'peer:disconnect' && each.peer === id), idB)).toBe(true)
  })

  test('in silence is found out by the deadline of a call', async ({ openPage }) => {
    const page = await openPage()
    await page.clock.install()
    await page.evaluate(async () => {
      const worker = new Worker('/tabmesh.worker.js')
      await e2e.start({ worker })
      worker.terminate()
      Object.assign(globalThis, { fault: e2e.fault(peer.metrics()) })
    })
    await page.clock.runFor(60_000)
    const fault = await page.evaluate(() => (globalThis as unknown as { fault: Promise<{ code?: string }> }).fault)
    expect(fault.code).toBe('ERR_ENGINE_TIMEOUT')
  })
})

const exchange = (page: Page, to: string, bytes: number) =>
  page.evaluate(
    async ([id, size]) => {
      const stream = await peer.openStream(id, '/echo/1')
      return Promise.all([e2e.send(stream, size, 5), e2e.receive(stream)])
    },
    [to, bytes] as const,
  )
