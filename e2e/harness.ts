/**
 * The stage of the end-to-end tests: a real relay, a web server on localhost, and pages in Chromium. What it starts, it ends.
 *
 * Nothing sleeps here: a test waits for an event or a condition, and Playwright's deadlines tell when it waits in vain.
 */

import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { test as base, expect, type Page } from 'playwright/test'
import type { PeerOptions } from 'tabmesh'
import { installHelpers } from './in-page.ts'
import { type RelayProcess, startRelay } from './relay-process.ts'
import { type Site, startSite } from './site.ts'

interface Stage {
  /** A page in a context of its own (no storage shared), or in the one of `beside`. */
  openPage(path?: string, beside?: Page): Promise<Page>
}

interface Surroundings {
  site: Site
  relay: RelayProcess
}

export const test = base.extend<Stage, Surroundings>({
  site: [
    // biome-ignore lint/correctness/noEmptyPattern: Playwright reads from the pattern what a fixture needs
    async ({}, use) => {
      const site = await startSite()
      await use(site)
      await site.close()
    },
    { scope: 'worker' },
  ],
  relay: [
    // biome-ignore lint/correctness/noEmptyPattern: Playwright reads from the pattern what a fixture needs
    async ({}, use) => {
      const relay = await startRelay()
      await use(relay)
      await relay.stop()
    },
    { scope: 'worker' },
  ],
  openPage: async ({ browser, site }, use) => {
    const contexts = new Set<Awaited<ReturnType<typeof browser.newContext>>>()
    const uncaught: string[] = []
    await use(async (path = '/', beside) => {
      const context = beside?.context() ?? (await browser.newContext())
      contexts.add(context)
      const page = await context.newPage()
      page.on('pageerror', (error) => uncaught.push(error.stack ?? error.message))
      await page.addInitScript(installHelpers)
      await page.goto(site.url + path)
      return page
    })
    for (const context of contexts) await context.close()
    expect(uncaught, 'errors that nobody caught in a page').toEqual([])
  },
})

/** Starts a page's peer; resolves with its id once its relays hold a slot for it. */
export const start = (page: Page, options: PeerOptions = {}): Promise<string> => page.evaluate((with_) => e2e.start(with_), options)

/** Waits until the connections to a peer are these. */
export const untilPaths = async (page: Page, peer: string, ...paths: string[]): Promise<void> => {
  await expect
    .poll(() => page.evaluate((id) => e2e.paths(id), peer), { message: `paths to ${peer}`, timeout: 45_000, intervals: [100] })
    .toEqual(paths)
}

/** Waits until the page's peer has heard an event of a type. */
export const untilHeard = async (page: Page, type: string, { times = 1, within = 45_000 } = {}): Promise<void> => {
  const enough = ([wanted, least]: readonly [string, number]) => e2e.heard.filter((each) => each.type === wanted).length >= least
  await page.waitForFunction(enough, [type, times] as const, { timeout: within })
}

/** A goodbye is heard long before this; ICE, on its own, takes some 17 s to miss a remote. */
export const GOODBYE = { within: 10_000 }

/** Two pages that meet at a relay; `a` has dialled `b`, and they have moved to the direct connection unless `direct` is false. */
export const connectPages = async (
  stage: Stage,
  relay: RelayProcess,
  { a: optionsA = {}, b: optionsB = {}, direct = true }: { a?: PeerOptions; b?: PeerOptions; direct?: boolean } = {},
): Promise<{ a: Page; b: Page; idA: string; idB: string }> => {
  const [a, b] = await Promise.all([stage.openPage(), stage.openPage()])
  const relays = [relay.http]
  const [idA, idB] = await Promise.all([start(a, { relays, ...optionsA }), start(b, { relays, ...optionsB })])
  await a.evaluate((id) => peer.dial(id), idB)
  if (direct) {
    await untilPaths(a, idB, 'webrtc')
    await untilPaths(b, idA, 'webrtc')
  }
  return { a, b, idA, idB }
}

/** A port of this machine where nobody listens. */
export const deadPort = async (): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** Runs `use` with the port of a server that takes connections and never says a word. */
export const withSilence = async (use: (port: number) => Promise<void>): Promise<void> => {
  const sockets = new Set<{ destroy(): unknown }>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  try {
    await use((server.address() as AddressInfo).port)
  } finally {
    for (const socket of sockets) socket.destroy()
    server.close()
    await once(server, 'close')
  }
}
