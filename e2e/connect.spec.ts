/** Two pages find each other through the relay and talk directly. */

import { expect } from 'playwright/test'
import { connectPages, GOODBYE, start, test, untilHeard, untilPaths } from './harness.ts'

test('two pages connect through the relay and move to WebRTC by themselves', async ({ openPage, relay }) => {
  const [a, b] = await Promise.all([openPage(), openPage()])
  const [idA, idB] = await Promise.all([start(a, { relays: [relay.http] }), start(b, { relays: [relay.http] })])
  expect(await b.evaluate(() => peer.addresses)).toContainEqual(expect.stringMatching(/\/p2p-circuit\/p2p\/12D3KooW\w+$/))

  const first = await a.evaluate((id) => peer.dial(id), idB)
  expect(first).toMatchObject({ remotePeer: idB, transport: 'relay', direction: 'outbound', encryption: '/noise', muxer: '/yamux/1.0.0' })

  for (const [page, other] of [
    [a, idB],
    [b, idA],
  ] as const) {
    await untilPaths(page, other, 'webrtc')
    const path = await page.evaluate((id) => e2e.heard.filter((each) => each.peer === id && each.transport !== undefined), other)
    const events = path.filter(({ type }) => type.startsWith('connection:')).map(({ type, transport }) => `${type} ${transport}`)
    expect(events).toEqual(['connection:open relay', 'connection:open webrtc', 'connection:close relay'])
    // The relayed connection goes only once the direct one has answered a ping.
    expect(path.find(({ type }) => type === 'connection:close')?.proven).toBe(true)
  }
  expect(await a.evaluate((id) => peer.ping(id), idB)).toBeGreaterThan(0)
  expect(await a.evaluate((id) => e2e.echo(id, 'hello, other tab'), idB)).toBe('hello, other tab')
})

test('50 MB both ways at once arrive unaltered, and the main thread stays free', async ({ openPage, relay }) => {
  const { a, b, idB } = await connectPages({ openPage }, relay)
  const size = 50_000_000
  await b.evaluate(async (bytes) => {
    const both = new Promise<unknown>((resolve) => {
      void peer.handle('/transfer/1', async (stream) => {
        resolve(await Promise.all([e2e.receive(stream), e2e.send(stream, bytes, 2)]))
      })
    })
    Object.assign(globalThis, { both })
  }, size)
  const [sent, received, stalls] = await a.evaluate(
    async ([id, bytes]) => {
      let last = performance.now()
      let longestGap = 0
      const pulse = setInterval(() => {
        longestGap = Math.max(longestGap, performance.now() - last)
        last = performance.now()
      })
      let longestTask = 0
      const observer = new PerformanceObserver((list) => {
        for (const { duration } of list.getEntries()) longestTask = Math.max(longestTask, duration)
      })
      observer.observe({ type: 'longtask' })
      const from = performance.now()
      const stream = await peer.openStream(id, '/transfer/1')
      const moved = await Promise.all([e2e.send(stream, bytes, 1), e2e.receive(stream)])
      const seconds = (performance.now() - from) / 1000
      clearInterval(pulse)
      observer.disconnect()
      return [...moved, { seconds, longestGap, longestTask }] as const
    },
    [idB, size] as const,
  )
  const [receivedThere, sentThere] = await b.evaluate(() => (globalThis as unknown as { both: Promise<[typeof sent, typeof sent]> }).both)
  expect(receivedThere).toEqual(sent)
  expect(received).toEqual(sentThere)
  expect([sent.bytes, received.bytes]).toEqual([size, size])
  const rate = (2 * size) / stalls.seconds / 1e6
  console.log(
    `  50 MB each way at ${rate.toFixed(1)} MB/s together; the page's longest gap ${stalls.longestGap.toFixed(0)} ms, longest task ${stalls.longestTask === 0 ? 'under 50' : stalls.longestTask.toFixed(0)} ms`,
  )
})

test('hanging up is heard by both, and a dial connects them again', async ({ openPage, relay }) => {
  const { a, b, idA, idB } = await connectPages({ openPage }, relay)
  await a.evaluate((id) => peer.hangUp(id), idB)
  await untilHeard(a, 'peer:disconnect', GOODBYE)
  await untilHeard(b, 'peer:disconnect', GOODBYE)
  expect(await a.evaluate((id) => peer.peers.includes(id), idB)).toBe(false)

  await a.evaluate((id) => peer.dial(id), idB)
  await untilPaths(a, idB, 'webrtc')
  await untilPaths(b, idA, 'webrtc')
  expect(await a.evaluate((id) => e2e.echo(id, 'again'), idB)).toBe('again')
})

test('a peer that stops says goodbye, and every later call says that it is stopped', async ({ openPage, relay }) => {
  const { a, b, idB } = await connectPages({ openPage }, relay)
  await a.evaluate(() => peer.stop())
  await untilHeard(b, 'peer:disconnect', GOODBYE)
  const fault = await a.evaluate((id) => e2e.fault(peer.dial(id)), idB)
  expect(fault.code).toBe('ERR_STOPPED')
  expect(await a.evaluate(() => [peer.connections.length, peer.addresses.length])).toEqual([0, 0])
})
