/**
 * WebTransport between a page and go-libp2p, which listens: the only one that does. Skipped, and said so, where there is no Go.
 */

import { randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { expect, type Page } from 'playwright/test'
import { expectSameHeaps, inspect } from './census.ts'
import { test as base, start, untilHeard } from './harness.ts'
import { type GoPeer, spawnGoPeer } from './peers/go/client.mjs'

/** Rounds of the leak check; those before them warm the engine's code up. */
const ROUNDS = 1_000
const WARM_UP = 500

const test = base.extend<{ go: GoPeer }, { started: GoPeer | string }>({
  started: [
    // biome-ignore lint/correctness/noEmptyPattern: Playwright reads from the pattern what a fixture needs
    async ({}, use) => {
      const peer = await spawnGoPeer({ listen: ['webtransport'] }).catch((error: Error) => error.message)
      await use(peer)
      if (typeof peer !== 'string') await peer.stop()
    },
    // The first build of the peer takes minutes where its modules are not there yet.
    { scope: 'worker', timeout: 600_000 },
  ],
  go: async ({ started }, use, info) => {
    if (typeof started === 'string') info.skip(true, started.split('\n')[0])
    else await use(started)
  },
})

const addressOf = (go: GoPeer): string => go.addresses[0] as string

/** The address with its certhashes put through `change`. */
const withHashes = (address: string, change: (hashes: string[]) => string[]): string => {
  const hashes = [...address.matchAll(/\/certhash\/([^/]+)/g)].map(([, hash]) => hash as string)
  const [before, after] = [address.slice(0, address.indexOf('/certhash/')), address.slice(address.indexOf('/p2p/'))]
  return `${before}${change(hashes)
    .map((hash) => `/certhash/${hash}`)
    .join('')}${after}`
}

const multihash = (code: number, digest: Uint8Array): string =>
  `u${Buffer.concat([Uint8Array.of(code, digest.length), digest]).toString('base64url')}`

/** A certificate that nobody has. */
const stale = (): string => multihash(0x12, randomBytes(32))

const dial = (page: Page, address: string) => page.evaluate((to) => peer.dial(to), address)

/** What a dial of one address fails with. */
const refusal = async (page: Page, address: string) => {
  const fault = await page.evaluate((to) => e2e.fault(peer.dial(to)), address)
  expect(fault).toMatchObject({ code: 'ERR_DIAL_FAILED', errors: [{}] })
  return fault.errors[0]?.code
}

/** At the end of each test too: a connection of a context that is closed lives on in Chromium. */
const hangUp = async (page: Page, go: GoPeer) => {
  await page.evaluate((id) => peer.hangUp(id), go.peerId)
  await expect.poll(() => page.evaluate(() => peer.connections.length)).toBe(0)
}

const untilAlone = async (go: GoPeer): Promise<void> => {
  await expect.poll(async () => (await go.connections()).length, { message: 'connections of go-libp2p' }).toBe(0)
}

for (const worker of ['dedicated', 'inline'] as const) {
  test(`a page dials go-libp2p and moves bytes both ways, with the engine ${worker}`, async ({ openPage, go }) => {
    const page = await openPage()
    const id = await start(page, { worker })
    const began = performance.now()
    const info = await dial(page, addressOf(go))
    const dialled = performance.now() - began
    expect(info).toMatchObject({
      remotePeer: go.peerId,
      remoteAddr: addressOf(go),
      direction: 'outbound',
      transport: 'webtransport',
      muxer: '/webtransport',
      encryption: 'quic',
      limited: false,
    })
    const rtt = await page.evaluate((to) => peer.ping(to), go.peerId)

    const echo = await page.evaluate(async (to) => {
      const stream = await peer.openStream(to, '/echo/1.0.0')
      const [sent, received] = await Promise.all([e2e.send(stream, 1_000_000, 7), e2e.receive(stream)])
      return { sent, received }
    }, go.peerId)
    expect(echo.received).toEqual({ ...echo.sent, bytes: 1_000_000 })

    const megabytes = 20
    const ours = await page.evaluate(([to, bytes]) => peer.perf(to, { upload: bytes, download: bytes }), [
      go.peerId,
      megabytes * 1e6,
    ] as const)
    expect(ours).toMatchObject({ upload: { bytes: megabytes * 1e6 }, download: { bytes: megabytes * 1e6 } })
    const speed = ({ bytes, ms }: { bytes: number; ms: number }) => `${(bytes / 1e3 / ms).toFixed(0)} MB/s`
    console.log(`  dial ${dialled.toFixed(0)} ms, ping ${rtt.toFixed(1)} ms, up ${speed(ours.upload)}, down ${speed(ours.download)}`)

    // Streams that go opens, over the connection that the page made.
    expect((await go.echo(id, { protocol: '/echo/1', bytes: 1_000_000 })).bytes).toBe(1_000_000)
    await go.ping(id)
    await hangUp(page, go)
    await untilAlone(go)
  })
}

test('more streams than QUIC allows at a time wait for their turn', async ({ openPage, go }) => {
  const page = await openPage()
  const id = await start(page)
  await dial(page, addressOf(go))
  const lengths = await page.evaluate(async (to) => {
    const one = async (seed: number) => {
      const stream = await peer.openStream(to, '/echo/1.0.0')
      const [, received] = await Promise.all([e2e.send(stream, 2_000, seed), e2e.receive(stream)])
      return received.bytes
    }
    return Promise.all(Array.from({ length: 400 }, (_, seed) => one(seed)))
  }, go.peerId)
  expect(lengths.filter((bytes) => bytes === 2_000).length).toBe(400)

  // Those of the remote, which the page answers 32 at a time.
  const back = await Promise.all(Array.from({ length: 32 }, () => go.echo(id, { protocol: '/echo/1', bytes: 10_000 })))
  expect(back.every(({ bytes }) => bytes === 10_000)).toBe(true)
  expect(await page.evaluate(() => peer.metrics())).toMatchObject({ protocols: { '/echo/1.0.0': { open: 0 } } })
  await hangUp(page, go)
  await untilAlone(go)
})

test('what does not prove itself is refused, each with its code, and the next dial works', async ({ openPage, go }) => {
  const page = await openPage()
  await start(page)
  const address = addressOf(go)
  const works = async (at = address) => {
    expect(await dial(page, at)).toMatchObject({ remotePeer: go.peerId, transport: 'webtransport' })
    await hangUp(page, go)
  }

  await works()
  // The browser tells nothing of why it opened no session.
  expect(
    await refusal(
      page,
      withHashes(address, () => [stale()]),
    ),
  ).toBe('ERR_WEBTRANSPORT_FAILED')
  await works()
  expect(
    await refusal(
      page,
      withHashes(address, ([, next]) => [next as string]),
    ),
  ).toBe('ERR_WEBTRANSPORT_FAILED')
  await works()
  expect(
    await refusal(
      page,
      withHashes(address, (hashes) => [...hashes, multihash(0x13, randomBytes(64))]),
    ),
  ).toBe('ERR_UNSUPPORTED')
  expect(await refusal(page, address.slice(0, address.indexOf('/certhash/')))).toBe('ERR_NO_TRANSPORT')
  const other = '12D3KooWE8gEogSPgT5Yvpy1YPXuAVgrc661HWzYUDUXVXmKQzKw'
  expect(await refusal(page, address.replace(go.peerId, other))).toBe('ERR_PEER_ID_MISMATCH')
  await works()
  // Certificates rotate: one is enough, and one that is gone does no harm beside it.
  await works(withHashes(address, ([first]) => [first as string]))
  await works(withHashes(address, (hashes) => [stale(), ...hashes]))
  await works(withHashes(address, ([first]) => [first as string, stale(), stale()]))
  await untilAlone(go)
})

test('a certificate that the peer does not know, though the browser takes it, is refused', async ({ openPage, go }) => {
  const page = await openPage()
  const address = addressOf(go)
  // Whoever is on the path and has put his own hash into the address: the session is his, and Noise goes on to the real peer.
  const digests = [...address.matchAll(/\/certhash\/u([^/]+)/g)].map(([, hash]) => [
    ...Buffer.from(hash as string, 'base64url').subarray(2),
  ])
  await page.evaluate((real) => {
    const Real = WebTransport
    globalThis.WebTransport = class extends Real {
      constructor(url: string | URL) {
        super(url, { serverCertificateHashes: real.map((digest) => ({ algorithm: 'sha-256', value: new Uint8Array(digest) })) })
      }
    }
  }, digests)
  await start(page, { worker: 'inline' })
  expect(
    await refusal(
      page,
      withHashes(address, () => [stale(), stale()]),
    ),
  ).toBe('ERR_CERTHASH_MISMATCH')
  expect(await dial(page, address)).toMatchObject({ remotePeer: go.peerId })
  await hangUp(page, go)
  await untilAlone(go)
})

test('an answerer that never answers is given up in time', async ({ openPage, go }) => {
  const page = await openPage()
  await start(page)
  const silent = createSocket('udp4').bind(0, '127.0.0.1')
  await once(silent, 'listening')
  try {
    const address = addressOf(go).replace(/\/udp\/\d+/, `/udp/${silent.address().port}`)
    const began = performance.now()
    const code = await refusal(page, address)
    const took = performance.now() - began
    console.log(`  ${code} after ${(took / 1000).toFixed(1)} s`)
    // Chromium gives a handshake up by itself, at about the same time as we do.
    expect(['ERR_DIAL_TIMEOUT', 'ERR_WEBTRANSPORT_FAILED']).toContain(code)
    expect(took).toBeLessThan(12_000)
  } finally {
    silent.close()
  }
  expect(await dial(page, addressOf(go))).toMatchObject({ remotePeer: go.peerId })
  await hangUp(page, go)
})

test('a peer that floods a stream nobody reads is held back, and nothing else is', async ({ openPage, go }) => {
  const page = await openPage()
  await start(page)
  await dial(page, addressOf(go))
  const flood = 64_000_000
  const held = await page.evaluate(
    async ([to, bytes]) => {
      const stream = await peer.openStream(to, '/perf/1.0.0')
      const head = new Uint8Array(8)
      new DataView(head.buffer).setBigUint64(0, BigInt(bytes))
      const writer = stream.writable.getWriter()
      await writer.write(head)
      await writer.close()
      Object.assign(globalThis, { stream })
      // The flood has stopped when nothing more comes while messages come and go beside it.
      let received = -1
      for (let trips = 0; trips < 20; trips += 1) {
        await peer.ping(to)
        const now = (await peer.metrics()).protocols['/perf/1.0.0']?.received ?? 0
        if (now !== received) trips = 0
        received = now
      }
      return received
    },
    [go.peerId, flood] as const,
  )
  console.log(`  held back after ${(held / 1e3).toFixed(0)} kB in the engine`)
  expect(held).toBeLessThan(1_200_000)
  const streams = (await go.connections()).flatMap((connection) => connection.streams)
  expect(streams.map(({ protocol }) => protocol)).toContain('/perf/1.0.0')

  expect(await page.evaluate((to) => e2e.fault(peer.openStream(to, '/nobody/1')), go.peerId)).toMatchObject({ code: 'ERR_NO_PROTOCOL' })
  const { bytes } = await page.evaluate(() => e2e.receive((globalThis as unknown as { stream: never }).stream))
  expect(bytes).toBe(flood)
  await hangUp(page, go)
  await untilAlone(go)
})

test('a stream given up by either side is a reset at the other', async ({ openPage, go }) => {
  const page = await openPage()
  const id = await start(page)
  await dial(page, addressOf(go))
  // go resets a stream whose request it can't read.
  const fault = await page.evaluate(async (to) => {
    const stream = await peer.openStream(to, '/perf/1.0.0')
    const writer = stream.writable.getWriter()
    await writer.write(new Uint8Array(3))
    void writer.close().catch(() => {})
    return e2e.fault(stream.readable.getReader().read())
  }, go.peerId)
  expect(fault).toMatchObject({ code: 'ERR_STREAM_RESET' })

  await page.evaluate(() => peer.handle('/refuse/1', (stream) => stream.abort(new Error('not today'))))
  await expect(go.echo(id, { protocol: '/refuse/1', bytes: 1_000 })).rejects.toThrow(/reset|cancel/i)

  await page.evaluate(async (to) => {
    const stream = await peer.openStream(to, '/echo/1.0.0')
    await stream.writable.getWriter().write('begun')
    await stream.readable.getReader().read()
    stream.abort(new Error('changed my mind'))
  }, go.peerId)
  await expect.poll(async () => (await go.connections()).flatMap((each) => each.streams).length).toBe(0)
  await page.evaluate((to) => peer.ping(to), go.peerId)
  await hangUp(page, go)
})

test('either side hangs up, in the middle of a transfer too, and the page dials again', async ({ openPage, go }) => {
  const page = await openPage()
  const id = await start(page)
  for (const busy of [false, true]) {
    for (const side of ['page', 'go'] as const) {
      await dial(page, addressOf(go))
      const failing = busy
        ? page.evaluate((to) => e2e.fault(peer.perf(to, { upload: 500_000_000, download: 500_000_000 })), go.peerId)
        : undefined
      if (busy) {
        const moving = async () => (await page.evaluate(() => peer.metrics())).protocols['/perf/1.0.0']?.sent ?? 0
        const before = await moving()
        await expect.poll(moving, { intervals: [20] }).toBeGreaterThan(before)
      }
      const closed = await page.evaluate(() => e2e.heard.filter(({ type }) => type === 'connection:close').length)
      if (side === 'page') await page.evaluate((to) => peer.hangUp(to), go.peerId)
      else await go.hangUp(id)
      await untilHeard(page, 'connection:close', { times: closed + 1, within: 10_000 })
      if (failing !== undefined) expect((await failing).code).toMatch(/^ERR_(CONNECTION_CLOSED|STREAM_RESET)$/)
      await untilAlone(go)
      expect(await page.evaluate(() => e2e.heard.filter(({ type }) => type === 'connection:close').length)).toBe(closed + 1)
    }
  }
})

test('a page that may not use it says so', async ({ openPage, go }) => {
  const page = await openPage()
  await start(page, { transports: { webTransport: false } })
  expect(await refusal(page, addressOf(go))).toBe('ERR_NO_TRANSPORT')
})

/** UDP sockets of this machine that are connected to a port; undefined where the system does not tell. */
const socketsTo = async (port: number): Promise<number | undefined> => {
  const table = await readFile('/proc/net/udp', 'utf8').catch(() => undefined)
  const remote = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  return table?.split('\n').filter((line) => line.trim().split(/\s+/)[2]?.endsWith(remote)).length
}

test(`${ROUNDS} dials and hang-ups leave nothing behind`, async ({ openPage, go, site }) => {
  test.setTimeout(180_000)
  const page = await openPage()
  const { heap, evaluate } = await inspect(page)
  const counts = () => evaluate<{ sessions: number; halves: number; opened: number }>('worker', 'counts')
  await page.evaluate(async (url) => {
    // Counts in the worker, under the engine: sessions that are not closed, halves of streams that are not over.
    const counting = (): void => {
      const counts = { sessions: 0, halves: 0, opened: 0 }
      const over = (key: 'sessions' | 'halves') => () => {
        counts[key] -= 1
      }
      const Real = WebTransport
      globalThis.WebTransport = class extends Real {
        constructor(...args: ConstructorParameters<typeof WebTransport>) {
          super(...args)
          counts.opened += 1
          counts.sessions += 1
          this.closed.then(over('sessions'), over('sessions'))
        }
      }
      for (const [whose, lock] of [
        [ReadableStream.prototype, 'getReader'],
        [WritableStream.prototype, 'getWriter'],
      ] as const) {
        const real = Reflect.get(whose, lock) as (...args: unknown[]) => { closed: Promise<unknown> }
        Reflect.set(whose, lock, function (this: unknown, ...args: unknown[]) {
          const made = real.apply(this, args)
          counts.halves += 1
          made.closed.then(over('halves'), over('halves'))
          return made
        })
      }
      Object.assign(globalThis, { counts })
    }
    const source = `(${counting})(); importScripts(${JSON.stringify(`${url}/tabmesh.worker.js`)})`
    await e2e.start({ worker: new Worker(URL.createObjectURL(new Blob([source], { type: 'text/javascript' }))) })
  }, site.url)

  const rounds = (count: number) =>
    page.evaluate(
      async ([to, times]) => {
        for (let i = 0; i < times; i += 1) {
          const { remotePeer } = await peer.dial(to)
          await peer.ping(remotePeer)
          const closed = new Promise((heard) => peer.addEventListener('connection:close', heard, { once: true }))
          await peer.hangUp(remotePeer)
          await closed
        }
        e2e.heard.length = 0
      },
      [addressOf(go), count] as const,
    )
  const quiet = async () => {
    await untilAlone(go)
    await expect.poll(() => counts()).toMatchObject({ sessions: 0, halves: 0 })
  }
  await rounds(WARM_UP)
  await quiet()
  const before = { worker: await heap('worker'), page: await heap('page') }

  const began = performance.now()
  await rounds(ROUNDS)
  const ms = (performance.now() - began) / ROUNDS
  await quiet()
  expect((await counts()).opened).toBe(WARM_UP + ROUNDS)
  expect(await page.evaluate(() => peer.connections.length)).toBe(0)
  const port = Number(addressOf(go).split('/')[4])
  await expect.poll(async () => (await socketsTo(port)) ?? 0, { message: 'sockets', timeout: 15_000 }).toBe(0)
  const after = { worker: await heap('worker'), page: await heap('page') }
  console.log(`  ${ms.toFixed(1)} ms a round; ${expectSameHeaps(before, after)}`)
})
