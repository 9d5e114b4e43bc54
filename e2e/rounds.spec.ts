/**
 * A thousand dials and hang-ups leave nothing behind: over WebSocket, through a relay, and over WebRTC between pages.
 * (WebTransport and WebRTC-direct have theirs in specs of their own, the transports of Node beside their code.)
 */

import { expect, type Page } from 'playwright/test'
import { expectSameHeaps, takeCensus } from './census.ts'
import { start, test } from './harness.ts'

const ROUNDS = 1_000
const WARM_UP = 200

interface Scene {
  /** Who dials; all whose leftovers are counted. */
  readonly dialler: Page
  readonly all: readonly Page[]
  readonly address: string
  readonly protocol?: string
}

/** Dials, uses the connection, and hangs up, `times` over. */
const turn = ({ dialler, address }: Scene, times: number): Promise<void> =>
  dialler.evaluate(
    async ([to, count]) => {
      for (let i = 0; i < count; i += 1) {
        const { remotePeer } = await peer.dial(to)
        await peer.ping(remotePeer)
        const closed = new Promise<void>((heard) => {
          const look = (): void => {
            if (e2e.paths(remotePeer).length > 0) return
            peer.removeEventListener('connection:close', look)
            heard()
          }
          peer.addEventListener('connection:close', look)
        })
        await peer.hangUp(remotePeer)
        await closed
      }
      e2e.heard.length = 0
    },
    [address, times] as const,
  )

const leavesNothing = async (scene: Scene, censuses: readonly Awaited<ReturnType<typeof takeCensus>>[]): Promise<void> => {
  const open = () => Promise.all(censuses.map((census) => census.open()))
  const connections = (page: Page) => page.evaluate(() => peer.connections.length)
  const held = await Promise.all(scene.all.map(connections))
  const quiet = async (): Promise<void> => {
    await expect.poll(() => Promise.all(scene.all.map(connections)), { timeout: 45_000 }).toEqual(held)
    await expect.poll(open, { timeout: 30_000 }).toEqual(atStart)
  }
  const atStart = await open()
  await turn(scene, WARM_UP)
  await quiet()
  const before = await Promise.all(censuses.map((census) => census()))
  const began = performance.now()
  await turn(scene, ROUNDS)
  const ms = (performance.now() - began) / ROUNDS
  await Promise.all(scene.all.map((page) => page.evaluate(() => void (e2e.heard.length = 0))))
  await quiet()
  const over = performance.now()
  // What a deadline still holds goes with it.
  await expect(async () => {
    const told = await Promise.all(censuses.map(async (census, i) => expectSameHeaps(before[i] as (typeof before)[number], await census())))
    console.log(
      `  ${ms.toFixed(1)} ms a round, then ${(performance.now() - over).toFixed(0)} ms; live ${JSON.stringify(atStart)}; ${told.join('; ')}`,
    )
  }).toPass({ timeout: 20_000 })
}

test(`${ROUNDS} of WebSocket`, async ({ openPage, relay }) => {
  test.setTimeout(180_000)
  const page = await openPage()
  const census = await takeCensus(page)
  await start(page)
  await leavesNothing({ dialler: page, all: [page], address: relay.addresses[0] as string }, [census])
})

for (const [what, transport] of [
  ['a relayed connection', '/p2p-circuit'],
  ['WebRTC between pages', '/p2p-circuit/webrtc'],
] as const) {
  test(`${ROUNDS} of ${what}`, async ({ openPage, relay }) => {
    test.setTimeout(300_000)
    const pages = [await openPage(), await openPage()] as const
    const censuses = await Promise.all(pages.map(takeCensus))
    const transports = { webRTC: transport.endsWith('webrtc') }
    const [, id] = await Promise.all(pages.map((page) => start(page, { relays: [relay.http], transports })))
    const address = `${relay.addresses[0]}${transport}/p2p/${id}`
    await leavesNothing({ dialler: pages[0], all: pages, address }, censuses)
  })
}
