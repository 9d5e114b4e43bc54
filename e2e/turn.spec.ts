/**
 * An application's TURN server: two ends that may use nothing else meet there, and where it refuses them they keep the relayed connection.
 *
 * The server (peers/turn) is built with Go on the first run; without it these tests are skipped, and the reason is told. It stands on
 * loopback, where Chromium uses it like any other.
 */

import { randomUUID } from 'node:crypto'
import { expect } from 'playwright/test'
import { connectPages, test as staged, start, untilPaths } from './harness.ts'
import { startTurnServer } from './peers/turn/server.mjs'

interface Turn {
  readonly port: number
  counts(): Promise<{ allocations: number; sent: number; received: number }>
}

const username = 'ann'
const password: string = randomUUID()
const HOST = '127.0.0.1'
const SIZE = 5_000_000

const test = staged.extend<{ turn: Turn }, { server: Turn | string }>({
  /** The server, or why there is none. */
  server: [
    // biome-ignore lint/correctness/noEmptyPattern: Playwright reads from the pattern what a fixture needs
    async ({}, use) => {
      const started = await startTurnServer({ host: HOST, username, password }).catch((error: Error) => error.message)
      await use(started)
      if (typeof started !== 'string') await started.stop()
    },
    { scope: 'worker', timeout: 600_000 },
  ],
  turn: async ({ server }, use, info) => {
    if (typeof server === 'string') return info.skip(true, server.split('\n')[0]) as never
    await use(server)
  },
})

/** Nothing but the TURN server may be used. */
const through = ({ port }: Turn, { credential = password, transport = 'udp' } = {}): RTCConfiguration => ({
  iceServers: [{ urls: `turn:${HOST}:${port}?transport=${transport}`, username, credential }],
  iceTransportPolicy: 'relay',
})

for (const transport of ['udp', 'tcp'] as const) {
  test(`two pages that may only use a TURN server, over ${transport}, meet there and move 5 MB`, async ({ openPage, relay, turn }) => {
    const before = await turn.counts()
    const rtcConfiguration = through(turn, { transport })
    const began = performance.now()
    const { a, b, idB } = await connectPages({ openPage }, relay, { a: { rtcConfiguration }, b: { rtcConfiguration } })
    const direct = performance.now() - began
    await b.evaluate(() => {
      const moved = new Promise((resolve) => void peer.handle('/upload/1', async (stream) => resolve(await e2e.receive(stream))))
      Object.assign(globalThis, { moved })
    })
    const [sent, ms] = await a.evaluate(
      async ([id, bytes]) => {
        const from = performance.now()
        const stream = await peer.openStream(id, '/upload/1')
        const sent = await e2e.send(stream, bytes, 7)
        return [sent, performance.now() - from] as const
      },
      [idB, SIZE] as const,
    )
    expect(sent.bytes).toBe(SIZE)
    expect(await b.evaluate(() => (globalThis as unknown as { moved: Promise<unknown> }).moved)).toEqual(sent)
    const after = await turn.counts()
    console.log(
      `  direct after ${direct.toFixed(0)} ms with the pages' start, 5 MB in ${ms.toFixed(0)} ms, ${after.allocations - before.allocations} allocations`,
    )
    // Both have one, and what the one sent has gone through both: the server, not chance, carried it.
    expect(after.allocations - before.allocations).toBeGreaterThanOrEqual(2)
    expect(after.sent - before.sent).toBeGreaterThan(SIZE)
    expect(after.received - before.received).toBeGreaterThan(SIZE)
  })
}

test('a page and a peer in Node that may only use a TURN server meet there', async ({ openPage, relay, turn }) => {
  const { createPeer }: typeof import('tabmesh') = await import(new URL('../dist/node.js', import.meta.url).href)
  const before = await turn.counts()
  const rtcConfiguration = through(turn)
  const node = await createPeer({ relays: [relay.http], listen: ['/p2p-circuit', '/webrtc'], rtcConfiguration })
  try {
    await node.handle('/echo/1', (stream) => stream.readable.pipeTo(stream.writable), { allowLimited: true })
    if (node.addresses.length === 0) await new Promise((resolve) => node.addEventListener('addresses:change', resolve, { once: true }))
    const page = await openPage()
    await start(page, { relays: [relay.http], rtcConfiguration })
    await page.evaluate((id) => peer.dial(id), node.id)
    await untilPaths(page, node.id, 'webrtc')
    const text = 'x'.repeat(100_000)
    expect(await page.evaluate(([id, what]) => e2e.echo(id, what), [node.id, text] as const)).toBe(text)
    const after = await turn.counts()
    expect(after.allocations - before.allocations).toBeGreaterThanOrEqual(2)
    expect(after.sent - before.sent).toBeGreaterThan(text.length)
  } finally {
    await node.stop()
  }
})

interface Made {
  readonly made: readonly RTCPeerConnection[]
}

test('with a wrong password the relayed connection is there within 3 s, and stays when WebRTC has failed', async ({
  openPage,
  relay,
  turn,
}) => {
  const before = await turn.counts()
  const rtcConfiguration = through(turn, { credential: 'wrong' })
  const [a, b] = await Promise.all([openPage(), openPage()])
  await a.evaluate(() => {
    const made: RTCPeerConnection[] = []
    const Watched = class extends RTCPeerConnection {
      constructor(configuration?: RTCConfiguration) {
        super(configuration)
        made.push(this)
      }
    }
    Object.assign(globalThis, { made, RTCPeerConnection: Watched })
  })
  const relays = [relay.http]
  const [, idB] = await Promise.all([start(a, { relays, rtcConfiguration }), start(b, { relays, rtcConfiguration })])
  const began = performance.now()
  const dialled = await a.evaluate((id) => peer.dial(id), idB)
  expect(await a.evaluate((id) => e2e.echo(id, 'over the relay', { allowLimited: true }), idB)).toBe('over the relay')
  const ms = performance.now() - began
  console.log(`  relayed, and an echo back, after ${ms.toFixed(0)} ms`)
  expect(dialled.transport).toBe('relay')
  expect(ms).toBeLessThan(3_500)
  // All that WebRTC tried has been given up.
  await a.waitForFunction(
    () => (globalThis as unknown as Made).made.every(({ signalingState }) => signalingState === 'closed'),
    undefined,
    {
      timeout: 45_000,
    },
  )
  console.log(`  WebRTC given up after ${(performance.now() - began).toFixed(0)} ms`)
  expect(await a.evaluate(() => (globalThis as unknown as Made).made.length)).toBeGreaterThan(0)
  expect(await a.evaluate((id) => e2e.paths(id), idB)).toEqual(['relay'])
  expect(await a.evaluate((id) => e2e.echo(id, 'still there', { allowLimited: true }), idB)).toBe('still there')
  expect(await turn.counts()).toEqual(before)
})
