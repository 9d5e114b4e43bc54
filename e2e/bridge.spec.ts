/** Data channels that can't be transferred to the worker are bridged by the main thread; Chromium is told to pretend. */

import { expect } from 'playwright/test'
import { connectPages, test } from './harness.ts'

const bridged = { transports: { webRTC: { bridge: true } } }

for (const [which, a, b] of [
  ['the dialer', bridged, {}],
  ['the dialled', {}, bridged],
  ['both sides', bridged, bridged],
] as const) {
  test(`20 MB and back with channels bridged on ${which}`, async ({ openPage, relay }) => {
    const pages = await connectPages({ openPage }, relay, { a, b })
    const [sent, received, seconds] = await pages.a.evaluate(async (id) => {
      const from = performance.now()
      const stream = await peer.openStream(id, '/echo/1')
      const moved = await Promise.all([e2e.send(stream, 20_000_000, 11), e2e.receive(stream)])
      return [...moved, (performance.now() - from) / 1000] as const
    }, pages.idB)
    expect(sent.bytes).toBe(20_000_000)
    expect(received).toEqual(sent)
    console.log(`  20 MB and back, bridged on ${which}: ${(40 / seconds).toFixed(1)} MB/s together`)
    // Opened by the other side, too.
    expect(await pages.b.evaluate((id) => e2e.echo(id, 'back over the bridge'), pages.idA)).toBe('back over the bridge')
  })
}
