/** Streams between two pages: who waits for whom, and how they end. */

import { expect, type Page } from 'playwright/test'
import { connectPages, test, untilHeard } from './harness.ts'

const byRelay = { a: { transports: { webRTC: false } }, b: { transports: { webRTC: false } }, direct: false }

for (const [way, how] of [
  ['WebRTC', {}],
  ['the relay', byRelay],
] as const) {
  test(`a slow reader holds the writer back over ${way}`, async ({ openPage, relay }) => {
    const { a, b, idB } = await connectPages({ openPage }, relay, how)
    await b.evaluate(() =>
      peer.handle('/slow/1', async (stream) => {
        await new Promise((wake) => Object.assign(globalThis, { wake }))
        Object.assign(globalThis, { received: e2e.receive(stream) })
      }),
    )
    const size = 16_000_000
    const written = await a.evaluate(
      async ([id, all]) => {
        const stream = await peer.openStream(id, '/slow/1')
        const writer = stream.writable.getWriter()
        let taken = 0
        const writing = (async () => {
          for (; taken < all; taken += 64_000) await writer.write(new Uint8Array(64_000))
          await writer.close()
        })()
        Object.assign(globalThis, { writing })
        // The writer is held back when nothing more goes while messages come and go beside it.
        for (let before = -1, trips = 0; trips < 20; trips += 1) {
          await peer.ping(id)
          if (taken !== before) trips = 0
          before = taken
        }
        return taken
      },
      [idB, size] as const,
    )
    console.log(`  over ${way} the writer is held back after ${(written / 1e6).toFixed(1)} MB`)
    expect(written).toBeLessThan(4_000_000)

    await b.evaluate(() => (globalThis as unknown as { wake(): void }).wake())
    await a.evaluate(() => (globalThis as unknown as { writing: Promise<void> }).writing)
    await b.waitForFunction(() => 'received' in globalThis)
    const { bytes } = await b.evaluate(() => (globalThis as unknown as { received: Promise<{ bytes: number }> }).received)
    expect(bytes).toBe(size)
  })

  test(`a stream given up over ${way} is a reset at the other side`, async ({ openPage, relay }) => {
    const { a, b, idB } = await connectPages({ openPage }, relay, how)
    await b.evaluate(async () => {
      await peer.handle('/refuse/1', (stream) => stream.abort(new Error('not today')))
      await peer.handle('/wait/1', (stream) => {
        Object.assign(globalThis, { fault: e2e.fault(e2e.receive(stream)) })
      })
    })
    expect(await a.evaluate(faultsOf, [idB, '/refuse/1'] as const)).toMatchObject([
      { code: 'ERR_STREAM_RESET' },
      { code: 'ERR_STREAM_RESET' },
    ])

    const mine = await a.evaluate(async (id) => {
      const stream = await peer.openStream(id, '/wait/1')
      await stream.writable.getWriter().write('x')
      const read = e2e.fault(stream.readable.getReader().read())
      stream.abort(new Error('changed my mind'))
      return read
    }, idB)
    expect(mine).toMatchObject({ code: 'ERR_STREAM_RESET', cause: 'changed my mind' })
    await b.waitForFunction(() => 'fault' in globalThis)
    const theirs = await b.evaluate(() => (globalThis as unknown as { fault: Promise<{ code?: string }> }).fault)
    expect(theirs.code).toBe('ERR_STREAM_RESET')
  })
}

test('a handler that throws resets its stream, and the application hears of it', async ({ openPage, relay }) => {
  const { a, b, idB } = await connectPages({ openPage }, relay)
  await b.evaluate(async () => {
    await peer.handle('/throws/1', () => {
      throw new Error('at once')
    })
    await peer.handle('/rejects/1', async (stream) => {
      await stream.readable.getReader().read()
      throw new Error('later')
    })
  })
  for (const protocol of ['/throws/1', '/rejects/1']) {
    const [, read] = await a.evaluate(faultsOf, [idB, protocol] as const)
    expect(read, protocol).toMatchObject({ code: 'ERR_STREAM_RESET' })
  }
  await untilHeard(b, 'error', { times: 2 })
  const told = await b.evaluate(() => e2e.heard.filter(({ type }) => type === 'error').map(({ code, message }) => `${code} ${message}`))
  expect(told).toEqual([expect.stringMatching(/^ERR_HANDLER .*\/throws\/1/), expect.stringMatching(/^ERR_HANDLER .*\/rejects\/1/)])
  // Nobody else is the worse for it.
  expect(await a.evaluate((id) => e2e.echo(id, 'still here'), idB)).toBe('still here')
})

test('each side ends when it is done, and the other may go on', async ({ openPage, relay }) => {
  const { a, b, idB } = await connectPages({ openPage }, relay, quiet)
  await b.evaluate(() =>
    peer.handle('/sum/1', async (stream) => {
      const { bytes } = await e2e.receive(stream)
      const writer = stream.writable.getWriter()
      await writer.write(`${bytes} bytes`)
      await writer.close()
    }),
  )
  const answer = await a.evaluate(async (id) => {
    const stream = await peer.openStream(id, '/sum/1')
    await e2e.send(stream, 100_001, 1)
    const text = await new Response(stream.readable as ReadableStream<Uint8Array<ArrayBuffer>>).text()
    await stream.close()
    return text
  }, idB)
  expect(answer).toBe('100001 bytes')
  await untilStreams(a, idB, 0)
})

test('many streams at a time keep their bytes apart', async ({ openPage, relay }) => {
  const { a, idB } = await connectPages({ openPage }, relay, quiet)
  const wrong = await a.evaluate(async (id) => {
    const echoes = await Promise.all(
      Array.from({ length: 30 }, async (_, seed) => {
        const stream = await peer.openStream(id, '/echo/1')
        const [sent, received] = await Promise.all([e2e.send(stream, 100_000 + seed, seed + 1), e2e.receive(stream)])
        return sent.hash === received.hash && received.bytes === 100_000 + seed
      }),
    )
    return echoes.filter((right) => !right).length
  }, idB)
  expect(wrong).toBe(0)
  await untilStreams(a, idB, 0)
})

/** Pages that have no streams but those of the test: pubsub keeps two open with each peer. */
const quiet = { a: { pubsub: false }, b: { pubsub: false } } as const

/** Opens a stream, writes a little, and waits for it to fail: what the writer and what the reader hear. */
const faultsOf = async ([id, protocol]: readonly [string, string]) => {
  const stream = await peer.openStream(id, protocol)
  const writer = stream.writable.getWriter()
  await writer.write('x').catch(() => {})
  return Promise.all([e2e.fault(writer.closed), e2e.fault(stream.readable.getReader().read())])
}

const untilStreams = async (page: Page, peerId: string, count: number): Promise<void> => {
  await expect
    .poll(() => page.evaluate((id) => peer.connections.find((each) => each.remotePeer === id)?.streams, peerId), {
      timeout: 20_000,
      intervals: [100],
    })
    .toBe(count)
}
