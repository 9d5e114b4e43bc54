/**
 * WebRTC-direct from a page to those who listen: js-libp2p (version 1 alone), go-libp2p (both versions) and our own peer in Node.
 * Skipped, and said so, where one of them can't be had.
 */

import { randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { chromium, expect, type Page } from 'playwright/test'
import { chromiumFlags } from '../scripts/chromium.mjs'
import { expectSameHeaps, takeCensus } from './census.ts'
import { test as base, start } from './harness.ts'
import { installHelpers } from './in-page.ts'
import { spawnGoPeer } from './peers/go/client.mjs'
import { spawnJsPeer } from './peers/js/client.mjs'

/** Rounds of the leak check; those before them warm the code up. */
const ROUNDS = 1_000
const WARM_UP = 200

interface Listener {
  readonly peerId: string
  readonly addresses: readonly string[]
  connections(): Promise<readonly unknown[]>
  /** Opens a stream of `protocol` to a peer that echoes, and counts what comes back. */
  echo(peer: string, options: { protocol: string; bytes: number }): Promise<{ bytes: number }>
  ping(peer: string): Promise<unknown>
  stop(): Promise<void>
}
type Name = 'js-libp2p' | 'go-libp2p' | 'tabmesh in Node'

/** Our peer in Node, in this process. Here `tabmesh` by its name is the page's. */
const startOurs = async (): Promise<Listener> => {
  const { createPeer }: typeof import('tabmesh') = await import(new URL('../dist/node.js', import.meta.url).href)
  const peer = await createPeer({ listen: ['/ip4/127.0.0.1/udp/0/webrtc-direct'], perf: true })
  await peer.handle('/echo/1.0.0', (stream) => stream.readable.pipeTo(stream.writable))
  return {
    peerId: peer.id,
    addresses: peer.addresses,
    connections: async () => peer.connections,
    async echo(to, { protocol, bytes }) {
      const stream = await peer.openStream(to, protocol)
      const writer = stream.writable.getWriter()
      const writing = writer.write(new Uint8Array(bytes)).then(() => writer.close())
      let back = 0
      for await (const chunk of stream.readable) back += chunk.length
      await writing
      return { bytes: back }
    },
    ping: (to) => peer.ping(to),
    stop: () => peer.stop(),
  }
}

/** A first start installs packages, or builds, for minutes. */
const started = { scope: 'worker', timeout: 600_000 } as const

const test = base.extend<{ peers: (name: Name) => Listener }, { js: Listener | string; go: Listener | string; ours: Listener | string }>({
  js: [
    // biome-ignore lint/correctness/noEmptyPattern: Playwright reads from the pattern what a fixture needs
    async ({}, use) => {
      const listen = ['/ip4/127.0.0.1/udp/0/webrtc-direct']
      const peer = await spawnJsPeer({ listen }).catch((error: Error) => error.message)
      await use(peer)
      if (typeof peer !== 'string') await peer.stop()
    },
    started,
  ],
  go: [
    // biome-ignore lint/correctness/noEmptyPattern: Playwright reads from the pattern what a fixture needs
    async ({}, use) => {
      const peer = await spawnGoPeer({ listen: ['webrtc-direct'] }).catch((error: Error) => error.message)
      await use(peer)
      if (typeof peer !== 'string') await peer.stop()
    },
    started,
  ],
  ours: [
    // biome-ignore lint/correctness/noEmptyPattern: Playwright reads from the pattern what a fixture needs
    async ({}, use) => {
      const peer = await startOurs().catch((error: Error) => error.message)
      await use(peer)
      if (typeof peer !== 'string') await peer.stop()
    },
    { scope: 'worker' },
  ],
  peers: async ({ js, go, ours }, use, info) => {
    const all = { 'js-libp2p': js, 'go-libp2p': go, 'tabmesh in Node': ours }
    await use((name) => {
      const peer = all[name]
      if (typeof peer === 'string') return info.skip(true, peer.split('\n')[0]) as never
      return peer
    })
  },
})

const addressOf = (listener: Listener): string => listener.addresses[0] as string
const withCerthash = (address: string, certhash: string): string => address.replace(/\/certhash\/[^/]+/, certhash)
/** Of a certificate that nobody has. */
const stale = (): string => `/certhash/u${Buffer.concat([Uint8Array.of(0x12, 0x20), randomBytes(32)]).toString('base64url')}`

const dial = (page: Page, address: string) => page.evaluate((to) => peer.dial(to), address)

const hangUp = async (page: Page, listener: Listener): Promise<void> => {
  await page.evaluate((id) => peer.hangUp(id), listener.peerId)
  await expect.poll(() => page.evaluate(() => peer.connections.length)).toBe(0)
  await expect.poll(async () => (await listener.connections()).length, { message: 'connections of the listener' }).toBe(0)
}

/** What a dial of one address fails with, and after how many milliseconds. */
const refusal = async (page: Page, address: string) => {
  const began = performance.now()
  const fault = await page.evaluate((to) => e2e.fault(peer.dial(to)), address)
  expect(fault).toMatchObject({ code: 'ERR_DIAL_FAILED' })
  return { code: fault.errors[0]?.code, ms: performance.now() - began }
}

for (const name of ['js-libp2p', 'go-libp2p', 'tabmesh in Node'] as const) {
  for (const bridge of [false, true]) {
    test(`a page dials ${name} and moves bytes both ways, its channels ${bridge ? 'bridged' : 'transferred'}`, async ({
      openPage,
      peers,
    }) => {
      const listener = peers(name)
      const page = await openPage()
      const id = await start(page, { transports: { webRTC: { bridge } } })
      for (const again of [false, true]) {
        const began = performance.now()
        const info = await dial(page, addressOf(listener))
        const dialled = performance.now() - began
        expect(info).toMatchObject({
          remotePeer: listener.peerId,
          remoteAddr: addressOf(listener),
          direction: 'outbound',
          transport: 'webrtc-direct',
          muxer: '/webrtc',
          encryption: 'dtls',
          limited: false,
        })
        const rtt = await page.evaluate((to) => peer.ping(to), listener.peerId)
        const [sent, received, ms] = await page.evaluate(async (to) => {
          const from = performance.now()
          const stream = await peer.openStream(to, '/echo/1.0.0')
          const moved = await Promise.all([e2e.send(stream, 1_000_000, 7), e2e.receive(stream)])
          return [...moved, performance.now() - from] as const
        }, listener.peerId)
        expect(sent.bytes).toBe(1_000_000)
        expect(received).toEqual(sent)
        // Streams that the listener opens, over the connection that the page made.
        expect((await listener.echo(id, { protocol: '/echo/1', bytes: 1_000_000 })).bytes).toBe(1_000_000)
        await listener.ping(id)
        console.log(`  dial${again ? ' again' : ''} ${dialled.toFixed(0)} ms, ping ${rtt.toFixed(1)} ms, 1 MB and back ${ms.toFixed(0)} ms`)
        // js knows version 1 alone: it costs a head start, once.
        expect(dialled).toBeLessThan(1_500)
        await hangUp(page, listener)
      }
    })
  }

  test(`what is not who the address says is refused by its code, and the next dial of ${name} works`, async ({ openPage, peers }) => {
    const listener = peers(name)
    const page = await openPage()
    await start(page)
    const address = addressOf(listener)
    const works = async (): Promise<void> => {
      expect(await dial(page, address)).toMatchObject({ remotePeer: listener.peerId, transport: 'webrtc-direct' })
      await hangUp(page, listener)
    }
    const sha512 = `/certhash/u${Buffer.concat([Uint8Array.of(0x13, 0x40), randomBytes(64)]).toString('base64url')}`
    for (const [code, changed] of [
      ['ERR_CERTHASH_MISMATCH', withCerthash(address, stale())],
      ['ERR_PEER_ID_MISMATCH', address.replace(listener.peerId, '12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp')],
      ['ERR_INVALID_MULTIADDR', withCerthash(address, '')],
      ['ERR_UNSUPPORTED', withCerthash(address, sha512)],
    ] as const) {
      const { code: got, ms } = await refusal(page, changed)
      expect(got).toBe(code)
      expect(ms, code).toBeLessThan(2_000)
      await works()
    }
  })

  // Ours has flow control: see below.
  if (name === 'tabmesh in Node') continue

  test(`a stream of ${name} that floods while nobody reads is reset, and the next one works`, async ({ openPage, peers }) => {
    const listener = peers(name)
    const page = await openPage()
    await start(page)
    await dial(page, addressOf(listener))
    const [code, received] = await page.evaluate(async (to) => {
      const stream = await peer.openStream(to, '/perf/1.0.0')
      const head = new Uint8Array(8)
      new DataView(head.buffer).setBigUint64(0, 100_000_000n)
      const writer = stream.writable.getWriter()
      await writer.write(head)
      await writer.close()
      // Nobody reads.
      const fault = await e2e.fault(stream.readable.getReader().closed)
      return [fault.code, (await peer.metrics()).protocols['/perf/1.0.0']?.received ?? 0] as const
    }, listener.peerId)
    console.log(`  ${code} after ${(received / 1e6).toFixed(1)} MB`)
    expect(code).toBe('ERR_STREAM_OVERFLOW')
    // go-libp2p 0.51, busy as it is then, may end the connection by itself.
    if (name === 'js-libp2p') expect(await page.evaluate(() => peer.connections.length)).toBe(1)
    await expect(async () => {
      await dial(page, addressOf(listener))
      await page.evaluate((to) => peer.ping(to), listener.peerId)
    }).toPass({ timeout: 10_000 })
    await hangUp(page, listener)
  })
}

test('a stream of our peer in Node that nobody reads holds its writer back', async ({ openPage, peers }) => {
  const listener = peers('tabmesh in Node')
  const page = await openPage()
  await start(page)
  await dial(page, addressOf(listener))
  const [held, got] = await page.evaluate(async (to) => {
    const stream = await peer.openStream(to, '/perf/1.0.0')
    const head = new Uint8Array(8)
    new DataView(head.buffer).setBigUint64(0, 20_000_000n)
    const writer = stream.writable.getWriter()
    await writer.write(head)
    await writer.close()
    // It is held back when nothing more comes while messages come and go beside it.
    let received = -1
    for (let trips = 0; trips < 20; trips += 1) {
      await peer.ping(to)
      const now = (await peer.metrics()).protocols['/perf/1.0.0']?.received ?? 0
      if (now !== received) trips = 0
      received = now
    }
    return [received, (await e2e.receive(stream)).bytes] as const
  }, listener.peerId)
  console.log(`  held back after ${(held / 1e6).toFixed(1)} MB`)
  expect(held).toBeLessThan(1_500_000)
  expect(got).toBe(20_000_000)
  await hangUp(page, listener)
})

test('an answerer that never answers is given up in time', async ({ openPage, peers }) => {
  const listener = peers('js-libp2p')
  const page = await openPage()
  await start(page)
  const silent = createSocket('udp4').bind(0, '127.0.0.1')
  await once(silent, 'listening')
  try {
    const address = addressOf(listener).replace(/\/udp\/\d+/, `/udp/${silent.address().port}`)
    const { code, ms } = await refusal(page, address)
    expect(code).toBe('ERR_DIAL_TIMEOUT')
    expect(ms).toBeLessThan(11_000)
  } finally {
    silent.close()
  }
  expect(await dial(page, addressOf(listener))).toMatchObject({ remotePeer: listener.peerId })
  await hangUp(page, listener)
})

test('a page that may not use it says so', async ({ openPage, peers }) => {
  const page = await openPage()
  await start(page, { transports: { webRTCDirect: false } })
  expect((await refusal(page, addressOf(peers('go-libp2p')))).code).toBe('ERR_NO_TRANSPORT')
})

test('a Chromium that lets nobody replace credentials reaches who knows version 2', async ({ peers, site }) => {
  const [go, js] = [peers('go-libp2p'), peers('js-libp2p')]
  const executablePath = process.env.CHROMIUM_PATH ?? ''
  const args = [...chromiumFlags, '--force-fieldtrials=WebRTC-NoSdpMangleUfrag/Enabled/']
  const browser = await chromium.launch({ executablePath, args })
  try {
    const page = await browser.newPage()
    await page.addInitScript(installHelpers)
    await page.goto(`${site.url}/`)
    await start(page)
    expect(await dial(page, addressOf(go))).toMatchObject({ remotePeer: go.peerId })
    expect((await refusal(page, addressOf(js))).code).toBe('ERR_DIAL_TIMEOUT')
  } finally {
    await browser.close()
  }
})

test('dials that are given up while they connect leave no peer connection behind', async ({ openPage, peers }) => {
  const listener = peers('tabmesh in Node')
  const page = await openPage()
  const census = await takeCensus(page)
  await start(page)
  const atStart = await census.open()
  const outcomes = await page.evaluate(async (to) => {
    const outcomes = { given: 0, connected: 0 }
    for (let i = 0; i < 200; i += 1) {
      const given = new AbortController()
      setTimeout(() => given.abort(), i % 50)
      try {
        const { remotePeer } = await peer.dial(to, { signal: given.signal })
        outcomes.connected += 1
        await peer.hangUp(remotePeer)
      } catch (error) {
        if ((error as Error).name !== 'AbortError') throw error
        outcomes.given += 1
      }
    }
    e2e.heard.length = 0
    return outcomes
  }, addressOf(listener))
  expect(outcomes.given).toBeGreaterThan(20)
  await expect.poll(async () => (await listener.connections()).length, { timeout: 45_000 }).toBe(0)
  await expect.poll(() => census.open(), { timeout: 30_000 }).toEqual(atStart)
})

for (const [bridge, rounds, name] of [
  [false, ROUNDS, 'tabmesh in Node'],
  [true, ROUNDS / 5, 'go-libp2p'],
] as const) {
  test(`${rounds} dials and hang-ups leave nothing behind, channels ${bridge ? 'bridged' : 'transferred'}`, async ({ openPage, peers }) => {
    test.setTimeout(300_000)
    const listener = peers(name)
    const page = await openPage()
    const census = await takeCensus(page)
    await start(page, { transports: { webRTC: { bridge } } })
    const turn = (count: number) =>
      page.evaluate(
        async ([to, times]) => {
          for (let i = 0; i < times; i += 1) {
            const { remotePeer } = await peer.dial(to)
            // One stream that ends with the connection.
            const stream = await peer.openStream(remotePeer, '/echo/1.0.0')
            const writer = stream.writable.getWriter()
            writer.closed.catch(() => {})
            await writer.write('x')
            await stream.readable.getReader().read()
            const closed = new Promise((heard) => peer.addEventListener('connection:close', heard, { once: true }))
            await peer.hangUp(remotePeer)
            await closed
          }
          e2e.heard.length = 0
        },
        [addressOf(listener), count] as const,
      )
    const quiet = async () => {
      await expect.poll(async () => (await listener.connections()).length, { timeout: 45_000 }).toBe(0)
      await expect.poll(() => census.open(), { timeout: 30_000 }).toEqual(atStart)
    }
    const atStart = await census.open()
    await turn(WARM_UP)
    await quiet()
    const before = await census()
    const began = performance.now()
    await turn(rounds)
    const ms = (performance.now() - began) / rounds
    await quiet()
    const after = await census()
    console.log(`  ${ms.toFixed(0)} ms a round; live ${JSON.stringify(after.open)}; ${expectSameHeaps(before, after)}`)
  })
}
