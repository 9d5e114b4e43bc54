/** Relays come and go; pages that talk directly do not mind. */

import { expect } from 'playwright/test'
import { connectPages, deadPort, start, test, untilHeard, untilPaths } from './harness.ts'
import { startRelay } from './relay-process.ts'

test('a relay that dies takes neither the direct connection nor a running transfer along, and is found again', async ({ openPage }) => {
  const relay = await startRelay()
  try {
    const { a, b, idA, idB } = await connectPages({ openPage }, relay)
    const size = 20_000_000
    await b.evaluate(async () => {
      const moved = new Promise((resolve) => {
        // Holds still until the test lets it go on, with the first bytes under way.
        void peer.handle('/upload/1', async (stream) => {
          Object.assign(globalThis, { begun: true })
          await new Promise((goOn) => Object.assign(globalThis, { goOn }))
          resolve(await e2e.receive(stream))
        })
      })
      Object.assign(globalThis, { moved })
    })
    await a.evaluate(
      async ([id, bytes]) => {
        const stream = await peer.openStream(id, '/upload/1')
        Object.assign(globalThis, { sent: e2e.send(stream, bytes, 7) })
      },
      [idB, size] as const,
    )
    await b.waitForFunction(() => 'begun' in globalThis)

    await relay.kill()
    await untilHeard(a, 'relay:lost')
    await untilHeard(b, 'relay:lost')
    expect(await a.evaluate(() => e2e.heard.find(({ type }) => type === 'relay:lost'))).toMatchObject({ type: 'relay:lost' })
    await b.evaluate(() => (globalThis as unknown as { goOn(): void }).goOn())
    const sent = await a.evaluate(() => (globalThis as unknown as { sent: Promise<{ bytes: number; hash: string }> }).sent)
    const moved = await b.evaluate(() => (globalThis as unknown as { moved: Promise<{ bytes: number; hash: string }> }).moved)
    expect(sent.bytes).toBe(size)
    expect(moved).toEqual(sent)
    expect(await a.evaluate((id) => e2e.echo(id, 'no relay needed'), idB)).toBe('no relay needed')
    await untilPaths(a, idB, 'webrtc')
    expect(await a.evaluate(() => peer.addresses)).toEqual([])

    await relay.restart()
    for (const page of [a, b]) await untilHeard(page, 'relay:reserved', { times: 2 })
    expect(await a.evaluate(() => peer.addresses.length)).toBeGreaterThan(0)
    // It carries new connections.
    await a.evaluate((id) => peer.hangUp(id), idB)
    await untilHeard(b, 'peer:disconnect')
    await b.evaluate((id) => peer.dial(id), idA)
    await untilPaths(b, idA, 'webrtc')
  } finally {
    await relay.stop()
  }
})

test('a page starts without its relay, says what is wrong, and finds it once it is there', async ({ openPage }) => {
  const port = await deadPort()
  const page = await openPage()
  await page.evaluate(async (dead) => {
    // Not e2e.start, which waits for the slot.
    await e2e.start()
    await peer.stop()
    globalThis.peer = await tabmesh.createPeer({ relays: [`http://localhost:${dead}`] })
    const heard = new Promise((resolve) => peer.addEventListener('error', (event) => resolve(event.detail.code), { once: true }))
    const reserved = new Promise((resolve) => peer.addEventListener('relay:reserved', resolve, { once: true }))
    Object.assign(globalThis, { trouble: heard, reserved: reserved.then(() => peer.addresses.length) })
  }, port)
  expect(await page.evaluate(() => (globalThis as unknown as { trouble: Promise<string> }).trouble)).toBe('ERR_RELAY_UNREACHABLE')

  const relay = await startRelay('--listen', `/ip4/127.0.0.1/tcp/${port}/ws`)
  try {
    expect(await page.evaluate(() => (globalThis as unknown as { reserved: Promise<number> }).reserved)).toBeGreaterThan(0)
  } finally {
    await relay.stop()
  }
})

test('a relay told to stop exits with 0, and its clients hear of it', async ({ openPage }) => {
  const relay = await startRelay()
  const page = await openPage()
  await start(page, { relays: [relay.http] })
  expect(await relay.stop()).toBe(0)
  await untilHeard(page, 'relay:lost')
})

test('where WebRTC is switched off the relayed connection carries everything', async ({ openPage, relay }) => {
  const off = { transports: { webRTC: false } }
  const { a, idB } = await connectPages({ openPage }, relay, { a: off, b: off, direct: false })
  expect(await a.evaluate(() => peer.addresses.some((address) => address.includes('/webrtc')))).toBe(false)
  expect(await a.evaluate((id) => e2e.echo(id, 'by relay'), idB)).toBe('by relay')
  expect(await a.evaluate((id) => e2e.paths(id), idB)).toEqual(['relay'])
  expect(await a.evaluate((id) => peer.ping(id), idB)).toBeGreaterThan(0)
})

test('where ICE finds no way the relayed connection stays and is usable', async ({ openPage, relay }) => {
  // Only TURN, and no TURN server: nothing is gathered, so the two can't meet directly.
  const blocked = { rtcConfiguration: { iceTransportPolicy: 'relay' as const } }
  const [a, b] = await Promise.all([openPage(), openPage()])
  const relays = [relay.http]
  await start(a, { relays, ...blocked })
  const idB = await start(b, { relays })
  const direct = await b.evaluate(() => peer.addresses.filter((address) => address.includes('/webrtc/')))
  expect(direct.length).toBeGreaterThan(0)
  // A /webrtc address asks for the direct way and waits until it is known that there is none.
  const dialled = a.evaluate((addresses) => peer.dial(addresses), direct)
  await untilPaths(a, idB, 'relay')
  expect(await a.evaluate((id) => e2e.echo(id, 'meanwhile'), idB)).toBe('meanwhile')
  expect(await dialled).toMatchObject({ transport: 'relay', remotePeer: idB })
  expect(await a.evaluate((id) => e2e.echo(id, 'and after'), idB)).toBe('and after')
  expect(await a.evaluate((id) => e2e.paths(id), idB)).toEqual(['relay'])
})

test('a relay limits nothing unless it is told to', async ({ openPage }) => {
  const relay = await startRelay()
  try {
    const off = { transports: { webRTC: false } }
    const { a, idB } = await connectPages({ openPage }, relay, { a: off, b: off, direct: false })
    expect(await a.evaluate((id) => peer.connections.find((each) => each.remotePeer === id)?.limited, idB)).toBe(false)
    expect(await a.evaluate((id) => e2e.echo(id, 'an own relay'), idB)).toBe('an own relay')
  } finally {
    await relay.stop()
  }
})

test('what a relay limits is said, and used only by who allows it', async ({ openPage }) => {
  const relay = await startRelay('--circuit-bytes', '65536', '--circuit-duration', '60')
  try {
    const off = { transports: { webRTC: false } }
    const { a, idB } = await connectPages({ openPage }, relay, { a: off, b: off, direct: false })
    expect(await a.evaluate((id) => peer.connections.find((each) => each.remotePeer === id)?.limited, idB)).toBe(true)
    const refused = await a.evaluate((id) => e2e.fault(peer.openStream(id, '/echo/1')), idB)
    expect(refused.code).toBe('ERR_LIMITED_CONNECTION')
    expect(await a.evaluate((id) => e2e.echo(id, 'a few bytes', { allowLimited: true }), idB)).toBe('a few bytes')

    const tooMuch = await a.evaluate(async (id) => {
      const stream = await peer.openStream(id, '/echo/1', { allowLimited: true })
      const read = e2e.fault(e2e.receive(stream))
      await e2e.fault(e2e.send(stream, 1_000_000, 3))
      return read
    }, idB)
    expect(tooMuch.code).toMatch(/^ERR_(CONNECTION_CLOSED|STREAM_RESET|LIMITED_CONNECTION)$/)
  } finally {
    await relay.stop()
  }
})
