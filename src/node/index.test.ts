import { createHash } from 'node:crypto'
import { afterEach, describe, expect, it } from 'vitest'
import { createPeer, type Peer, type PeerOptions, TabmeshError } from './index.ts'

const running: Peer[] = []
const peer = async (options: PeerOptions = {}): Promise<Peer> => {
  const made = await createPeer(options)
  running.push(made)
  return made
}

afterEach(async () => {
  await Promise.all(running.splice(0).map((each) => each.stop()))
})

const listening = (): Promise<Peer> => peer({ listen: ['/ip4/127.0.0.1/tcp/0/ws'] })

const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5))
}

const codeOf = (error: unknown): string => (error instanceof TabmeshError ? error.code : String(error))

/** Answers every stream with the bytes that come on it. */
const echo = (server: Peer): Promise<void> => server.handle('/echo/1', (stream) => stream.readable.pipeTo(stream.writable))

const readAll = async (readable: ReadableStream<Uint8Array>): Promise<Buffer> => {
  const chunks: Uint8Array[] = []
  for await (const chunk of readable as unknown as AsyncIterable<Uint8Array>) chunks.push(chunk)
  return Buffer.concat(chunks)
}

describe('two peers in Node', () => {
  it('connect, ping and know each other', async () => {
    const server = await listening()
    const client = await peer()
    const connected = new Promise((resolve) => server.addEventListener('peer:connect', ({ detail }) => resolve(detail.peer)))
    const info = await client.dial(server.addresses)
    expect(info).toMatchObject({
      remotePeer: server.id,
      transport: 'websocket',
      direction: 'outbound',
      encryption: '/noise',
      muxer: '/yamux/1.0.0',
      limited: false,
    })
    expect(await connected).toBe(client.id)
    expect(await client.ping(server.id)).toBeGreaterThan(0)
    expect(client.peers).toEqual([server.id])
    await until(() => client.connections[0]?.rtt !== undefined)
    expect((await client.peerStore.get(server.id))?.addresses).toEqual(server.addresses)
  })

  it('echo text over a stream, and close it', async () => {
    const server = await listening()
    await echo(server)
    const client = await peer()
    const stream = await client.openStream(server.addresses, '/echo/1')
    const writer = stream.writable.getWriter()
    await writer.write('hello ')
    await writer.write(new TextEncoder().encode('wörld'))
    await writer.close()
    expect((await readAll(stream.readable)).toString()).toBe('hello wörld')
    await stream.close()
    // Two of pubsub stay.
    await until(() => client.connections[0]?.streams === 2)
  })

  it('carry 20 MB each way, unchanged, and leave the caller its buffers', async () => {
    const server = await listening()
    await echo(server)
    const client = await peer()
    const stream = await client.openStream(server.addresses, '/echo/1')
    const sent = createHash('sha256')
    const writing = (async () => {
      const writer = stream.writable.getWriter()
      const chunk = new Uint8Array(100_000)
      for (let i = 0; i < 200; i += 1) {
        chunk.fill(i)
        sent.update(chunk)
        await writer.write(chunk)
        expect(chunk.length).toBe(100_000)
      }
      await writer.close()
    })()
    const received = createHash('sha256')
    for await (const chunk of stream.readable as unknown as AsyncIterable<Uint8Array>) received.update(chunk)
    await writing
    expect(received.digest('hex')).toBe(sent.digest('hex'))
    const { protocols } = await client.metrics()
    expect(protocols['/echo/1']).toMatchObject({ received: 20_000_000, sent: 20_000_000 })
  })

  it('slow a writer down to its reader: nothing piles up', async () => {
    const server = await listening()
    let release: () => void = () => {}
    const gate = new Promise<void>((resolve) => {
      release = resolve
    })
    let total = 0
    await server.handle('/slow/1', async (stream) => {
      await gate
      for await (const chunk of stream.readable as unknown as AsyncIterable<Uint8Array>) total += chunk.length
      await stream.close()
    })
    const client = await peer()
    const stream = await client.openStream(server.addresses, '/slow/1')
    const writer = stream.writable.getWriter()
    let written = 0
    const writing = (async () => {
      for (let i = 0; i < 200; i += 1) {
        await writer.write(new Uint8Array(100_000))
        written += 100_000
      }
      await writer.close()
    })()
    // Long enough for an unbounded sender to have written it all.
    await new Promise((resolve) => setTimeout(resolve, 500))
    expect(written).toBeLessThan(4_000_000)
    release()
    await writing
    await until(() => total === 20_000_000)
  })

  it('hear a reset as a coded error on both halves', async () => {
    const server = await listening()
    await server.handle('/reset/1', (stream) => stream.abort(new Error('no more')))
    const client = await peer()
    const stream = await client.openStream(server.addresses, '/reset/1')
    expect(await readAll(stream.readable).catch(codeOf)).toBe('ERR_STREAM_RESET')
    expect(await stream.writable.getWriter().closed.catch(codeOf)).toBe('ERR_STREAM_RESET')
  })

  it('turn a throwing handler into an error event and a reset', async () => {
    const server = await listening()
    await server.handle('/throw/1', () => {
      throw new Error('oops')
    })
    const heard = new Promise<TabmeshError>((resolve) => server.addEventListener('error', ({ detail }) => resolve(detail)))
    const client = await peer()
    const stream = await client.openStream(server.addresses, '/throw/1')
    expect(await readAll(stream.readable).catch(codeOf)).toBe('ERR_STREAM_RESET')
    const error = await heard
    expect(error.code).toBe('ERR_HANDLER')
    expect((error.cause as Error).message).toBe('oops')
  })
})

describe('what goes wrong has a code', () => {
  it('a dial that nobody answers tells of each address', async () => {
    const client = await peer()
    const error = (await client.dial(['/ip4/127.0.0.1/tcp/1/ws', '/ip4/127.0.0.1/udp/1']).catch((cause: unknown) => cause)) as TabmeshError
    expect(error).toBeInstanceOf(TabmeshError)
    expect(error.code).toBe('ERR_DIAL_FAILED')
    expect(error.errors.map((each) => each.code).sort()).toEqual(['ERR_NO_TRANSPORT', 'ERR_RELAY_UNREACHABLE'])
  })

  it.each([
    ['nonsense', 'ERR_INVALID_PEER_ID'],
    ['/ip4/300.0.0.1/tcp/1/ws', 'ERR_INVALID_MULTIADDR'],
    ['12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5', 'ERR_NO_ADDRESS'],
  ])('dial(%s)', async (target, code) => {
    const client = await peer()
    expect(await client.dial(target).catch(codeOf)).toBe(code)
  })

  it('an unknown protocol rejects at once where identify has told', async () => {
    const server = await listening()
    const client = await peer()
    const identified = new Promise((resolve) => client.addEventListener('peer:identify', resolve))
    await client.dial(server.addresses)
    await identified
    expect(await client.openStream(server.id, '/none/1').catch(codeOf)).toBe('ERR_NO_PROTOCOL')
  })

  it('a protocol can be handled once', async () => {
    const client = await peer()
    await client.handle('/mine/1', () => {})
    expect(await client.handle('/mine/1', () => {}).catch(codeOf)).toBe('ERR_PROTOCOL_TAKEN')
    expect(await client.handle('/ipfs/ping/1.0.0', () => {}).catch(codeOf)).toBe('ERR_PROTOCOL_TAKEN')
    await client.unhandle('/mine/1')
    await client.handle('/mine/1', () => {})
  })

  it("a cancelled call rejects with the signal's reason", async () => {
    const client = await peer()
    const reason = new Error('changed my mind')
    const abort = new AbortController()
    const dialing = client.dial('/ip4/192.0.2.1/tcp/9/ws', { signal: abort.signal })
    abort.abort(reason)
    expect(await dialing.catch((error: unknown) => error)).toBe(reason)
    expect(await client.dial('/ip4/192.0.2.1/tcp/9/ws', { signal: abort.signal }).catch((error: unknown) => error)).toBe(reason)
  })

  it('a stopped peer refuses', async () => {
    const client = await peer()
    await client.stop()
    expect(await client.ping('12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5').catch(codeOf)).toBe('ERR_STOPPED')
    await client.stop()
  })
})

it('two that stop at the same time both stop, and free their port', async () => {
  const server = await listening()
  const client = await peer()
  await client.dial(server.addresses)
  const port = server.addresses[0]?.split('/')[4]
  await Promise.all([server.stop(), client.stop()])
  const next = await peer({ listen: [`/ip4/127.0.0.1/tcp/${port}/ws`] })
  expect(next.addresses).toEqual([`/ip4/127.0.0.1/tcp/${port}/ws/p2p/${next.id}`])
})

it('keeps a given key', async () => {
  const { newIdentity } = await import('./identity.ts')
  const { encodePrivateKey } = await import('../engine/codec/keys.ts')
  const key = encodePrivateKey(newIdentity())
  const [first, second] = [await peer({ identity: { privateKey: key } }), await peer({ identity: { privateKey: key } })]
  expect(first.id).toBe(second.id)
})

describe('pubsub in Node', () => {
  it('three peers in a line hear one another, signed, in order and once', async () => {
    const a = await listening()
    const b = await listening()
    const c = await peer()
    await b.dial(a.addresses)
    await c.dial(b.addresses)
    const all = [a, b, c]
    const heard = all.map(() => [] as { from: string | undefined; text: string }[])
    for (const [i, { pubsub }] of all.entries()) {
      pubsub.addEventListener('message', ({ detail }) => heard[i]?.push({ from: detail.from, text: detail.text() }))
      await pubsub.subscribe('news')
    }
    await until(() => a.pubsub.subscribers('news').length === 1 && b.pubsub.subscribers('news').length === 2)
    const words = Array.from({ length: 500 }, (_, i) => `${i}`)
    await Promise.all(all.flatMap(({ pubsub }) => words.map((word) => pubsub.publish('news', word))))
    await until(() => heard.every(({ length }) => length >= 2 * words.length))
    for (const [i, messages] of heard.entries()) {
      expect(messages).toHaveLength(2 * words.length)
      for (const { id } of all.filter((_, j) => j !== i))
        expect(messages.filter(({ from }) => from === id).map(({ text }) => text)).toEqual(words)
    }
    const { topics } = await b.pubsub.inspect()
    expect(topics.map(({ name, joined, mesh }) => [name, joined, mesh.length])).toEqual([['news', true, 2]])
  })

  it('a message id of the application’s own making', async () => {
    const { pubsub } = await peer({ pubsub: { messageId: ({ topic, data }) => `${topic} ${data.length}` } })
    expect((await pubsub.publish('news', 'four')).id).toBe(Buffer.from('news 4').toString('hex'))
  })
})
