import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { bothVersions, ipnsKeyHex, secondVersion } from '../engine/testing/kad/ipns-vectors.ts'
import type { TabmeshError } from '../errors.ts'
import type { FoundPeer } from '../types.ts'
import { createPeer, type NodePeerOptions, type Peer } from './index.ts'

const running: Peer[] = []
afterEach(async () => {
  await Promise.all(running.splice(0).map((peer) => peer.stop()))
})

const start = async (options: NodePeerOptions = {}): Promise<Peer> => {
  const peer = await createPeer({
    transports: { webRTC: false, webRTCDirect: false, quic: false, tcp: true },
    autonat: false,
    ...options,
  })
  running.push(peer)
  while (options.listen !== undefined && peer.addresses.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
  return peer
}

const LISTEN = ['/ip4/127.0.0.1/tcp/0']

/** Servers of a DHT, all of which begin with the first. */
const servers = async (count: number, dht: NodePeerOptions['dht'] = {}): Promise<Peer[]> => {
  const first = await start({ listen: LISTEN, dht: { mode: 'server', ...dht } })
  const others = Array.from({ length: count - 1 }, () =>
    start({ listen: LISTEN, dht: { mode: 'server', ...dht }, bootstrap: [first.addresses[0] as string] }),
  )
  const started = [first, ...(await Promise.all(others))]
  // Until everybody knows everybody.
  for (const peer of started) {
    while ((await all(peer.dht.closestPeers('x')).catch(() => [])).length < count - 1)
      await new Promise((resolve) => setTimeout(resolve, 20))
  }
  return started
}

const client = (of: Peer, dht: NodePeerOptions['dht'] = {}): Promise<Peer> => start({ dht, bootstrap: [of.addresses[0] as string] })

/** CIDv1, raw, of some text. */
const cidOf = (text: string): string => `f01551220${createHash('sha256').update(text).digest('hex')}`

const all = async (found: AsyncIterable<FoundPeer>): Promise<FoundPeer[]> => {
  const peers: FoundPeer[] = []
  for await (const each of found) peers.push(each)
  return peers
}

const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'ok',
    (error: TabmeshError) => error.code ?? String(error),
  )

const ok = Buffer.from('ok')
const app = {
  validators: { app: (_key: Uint8Array, value: Uint8Array) => Buffer.from(value).subarray(0, 2).equals(ok) },
  selectors: {
    app: async (_key: Uint8Array, values: Uint8Array[]) => {
      const texts = values.map((value) => Buffer.from(value).toString())
      return texts.indexOf([...texts].sort().at(-1) as string)
    },
  },
}

describe('peer.dht', () => {
  it('finds who provides a content, and where a peer is, which a dial then does by itself', async () => {
    const all5 = await servers(5)
    const [first, second] = all5 as [Peer, Peer]
    const [a, b] = await Promise.all([client(first), client(second)])
    const cid = cidOf('a content')
    expect(await all(a.dht.findProviders(cid))).toEqual([])
    const target = all5[4] as Peer
    expect(await target.dht.provide(cid)).toBeGreaterThanOrEqual(3)
    expect(await all(b.dht.findProviders(cid))).toEqual([{ id: target.id, addresses: target.addresses }])
    const found = await a.dht.findPeer(target.id)
    expect(found).toEqual({ id: target.id, addresses: target.addresses })
    await a.hangUp(target.id)
    await a.peerStore.delete(target.id)
    expect(await a.dial(target.id)).toMatchObject({ remotePeer: target.id })
    const nearest = await all(a.dht.closestPeers(target.id))
    expect([nearest.length, nearest[0]?.id]).toEqual([5, target.id])
    expect(await target.dht.unprovide(cid)).toBe(true)
    expect(await target.dht.unprovide(cid)).toBe(false)
  })

  it('keeps records in namespaces of the application, which judges them itself', async () => {
    const [first, second] = (await servers(4, app)) as [Peer, Peer]
    const [a, b] = await Promise.all([client(first, app), client(second, app)])
    expect(await codeOf(a.dht.get('/app/key'))).toBe('ERR_NOT_FOUND')
    expect(await a.dht.put('/app/key', 'ok 1')).toBe(4)
    expect(await b.dht.put('/app/key', 'ok 2')).toBe(4)
    expect(Buffer.from(await a.dht.get('/app/key')).toString()).toBe('ok 2')
    expect(await codeOf(a.dht.put('/app/key', 'no'))).toBe('ERR_INVALID_RECORD')
    expect(await codeOf(a.dht.put('/other/key', 'ok'))).toBe('ERR_INVALID_RECORD')
    expect(await codeOf(a.dht.get('/ipns/nobody'))).toBe('ERR_INVALID_ARGUMENT')
    expect(await codeOf(a.dht.get(`/ipns/${a.id}`))).toBe('ERR_NOT_FOUND')
  })

  it('keeps the public key of a peer whose id does not hold it', async () => {
    const [first] = (await servers(3)) as [Peer]
    const a = await client(first)
    expect(await a.dht.put(`/pk/${a.id}`, a.publicKey)).toBe(3)
    expect(await a.dht.get(`/pk/${a.id}`)).toEqual(a.publicKey)
  })

  it('gives up when it is told to, with that reason, and when a loop is left', async () => {
    const [first] = (await servers(3)) as [Peer]
    const a = await client(first)
    const reason = new Error('enough')
    expect(await a.dht.findPeer(a.id, { signal: AbortSignal.abort(reason) }).catch((error) => error)).toBe(reason)
    const giveUp = new AbortController()
    const search = all(a.dht.findProviders(cidOf('nothing'), { signal: giveUp.signal })).catch((error) => error)
    giveUp.abort(reason)
    expect(await search).toBe(reason)
    const cid = cidOf('something')
    await first.dht.provide(cid)
    for await (const { id } of a.dht.findProviders(cid)) {
      expect(id).toBe(first.id)
      break
    }
  })

  it('of a server with a folder remembers over a restart what others gave it, and what it provides itself', async () => {
    const name = await mkdtemp(join(tmpdir(), 'tabmesh-dht-'))
    const options: NodePeerOptions = { listen: LISTEN, identity: 'persistent', name, dht: { mode: 'server', ...app } }
    const cid = cidOf('kept')
    const before = await start(options)
    const a = await start({ listen: LISTEN, dht: app, bootstrap: [before.addresses[0] as string] })
    expect([await a.dht.provide(cid), await a.dht.put('/app/kept', 'ok')]).toEqual([1, 1])
    // No other server is there to be told, and it knows itself.
    const alone = codeOf(before.dht.provide(cid))
    expect(await before.dht.unprovide(cidOf('another'))).toBe(false)
    await before.stop()
    expect(await alone).toBe('ERR_STOPPED')
    await a.stop()
    const after = await start(options)
    expect(after.id).toBe(before.id)
    const b = await client(after, app)
    expect((await all(b.dht.findProviders(cid))).map(({ id }) => id).sort()).toEqual([a.id, after.id].sort())
    expect(Buffer.from(await b.dht.get('/app/kept')).toString()).toBe('ok')
    expect([await after.dht.unprovide(cid), await after.dht.unprovide(cid)]).toEqual([true, false])
    await after.stop()
    await rm(name, { recursive: true })
  })

  it('in auto mode is a server once others have reached it', async () => {
    const first = await start({ listen: LISTEN, dht: { mode: 'server' }, autonat: { server: true, allowPrivate: true } })
    const peer = await start({
      listen: LISTEN,
      dht: { mode: 'auto', protocol: '/app/kad/1.0.0' },
      autonat: { allowPrivate: true },
      bootstrap: [first.addresses[0] as string],
    })
    expect(peer.protocols).not.toContain('/app/kad/1.0.0')
    await expect.poll(() => peer.protocols.includes('/app/kad/1.0.0'), { timeout: 10_000 }).toBe(true)
    expect(peer.reachability).toBe('public')
  })

  it('says what is missing', async () => {
    const none = await start({ dht: false })
    for (const call of [none.dht.findPeer(none.id), all(none.dht.findProviders(cidOf('x'))), none.dht.get('/pk/x')])
      expect(await codeOf(call)).toBe('ERR_UNSUPPORTED')
    const lonely = await start({})
    expect(await codeOf(lonely.dht.provide('nonsense'))).toBe('ERR_INVALID_ARGUMENT')
    expect(await codeOf(lonely.dht.findPeer('nonsense'))).toBe('ERR_INVALID_PEER_ID')
    // A dial does not wait for peers of a DHT that nobody will bring.
    const began = performance.now()
    expect(await codeOf(lonely.dial(none.id))).toBe('ERR_NO_ADDRESS')
    expect(performance.now() - began).toBeLessThan(1_000)
    for (const dht of [
      { mode: 'both' },
      { network: 'moon' },
      { protocol: 'kad' },
      { validators: { app: 1 } },
      { selectors: { app: () => 0 } },
    ])
      expect(await codeOf(start({ dht: dht as never }))).toBe('ERR_INVALID_ARGUMENT')
  })
})

describe('delegated routing', () => {
  /** A router over HTTP that answers as it is told, by path. */
  const router = async (answers: Record<string, unknown>): Promise<{ url: string; asked: string[]; kept: Map<string, Buffer> }> => {
    const asked: string[] = []
    const kept = new Map<string, Buffer>()
    const server = createServer(async (request, response) => {
      const path = request.url?.replace('/routing/v1/', '') ?? ''
      asked.push(`${request.method} ${path}`)
      if (request.method === 'PUT') {
        kept.set(path, Buffer.concat(await request.toArray()))
        response.end()
        return
      }
      const [, answer] = Object.entries(answers).find(([prefix]) => path.startsWith(prefix)) ?? []
      if (answer instanceof Uint8Array)
        return void response.writeHead(200, { 'content-type': 'application/vnd.ipfs.ipns-record' }).end(answer)
      response.writeHead(answer === undefined ? 404 : 200, { 'content-type': 'application/json' })
      response.end(JSON.stringify(answer ?? {}))
    })
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
    listening.push(server)
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked, kept }
  }
  const listening: Server[] = []
  afterEach(() => {
    for (const server of listening.splice(0)) server.close().closeAllConnections()
  })
  const fromHex = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, 'hex'))
  const ipnsKey = fromHex(ipnsKeyHex)
  const recordOf = (peer: Peer) => ({ Schema: 'peer', ID: peer.id, Addrs: peer.addresses })

  it('finds peers, providers and names without a DHT, and dials whom it finds', async () => {
    const target = await start({ listen: LISTEN, dht: false })
    const { url, asked, kept } = await router({
      'peers/': { Peers: [recordOf(target)] },
      'providers/': { Providers: [recordOf(target), recordOf(target)] },
      'ipns/': fromHex(bothVersions),
    })
    const a = await start({ dht: false, delegatedRouting: [url] })
    expect(await all(a.dht.findProviders(cidOf('x')))).toEqual([{ id: target.id, addresses: target.addresses }])
    expect(await a.dht.findPeer(target.id)).toEqual({ id: target.id, addresses: target.addresses })
    expect(await a.dial(target.id)).toMatchObject({ remotePeer: target.id })
    expect(await a.dht.get(ipnsKey)).toEqual(fromHex(bothVersions))
    expect(await a.dht.put(ipnsKey, fromHex(secondVersion))).toBe(1)
    expect([...kept.values()]).toEqual([Buffer.from(secondVersion, 'hex')])
    expect(asked.length).toBe(5)
    expect(await codeOf(all(a.dht.closestPeers(target.id)))).toBe('ERR_UNSUPPORTED')
    expect(await codeOf(a.dht.provide(cidOf('x')))).toBe('ERR_UNSUPPORTED')
    expect(await codeOf(start({ delegatedRouting: ['nonsense'] }))).toBe('ERR_INVALID_ARGUMENT')
  })

  it('is not believed: records are validated, whoever sends them, and where it errs the DHT goes on', async () => {
    const bent = fromHex(bothVersions)
    bent[12] = (bent[12] as number) ^ 1
    const { url } = await router({ 'ipns/': bent, 'providers/': 'nonsense' })
    const alone = await start({ dht: false, delegatedRouting: [url] })
    expect(await codeOf(alone.dht.get(ipnsKey))).toBe('ERR_NOT_FOUND')
    expect(await codeOf(alone.dht.put(ipnsKey, bent))).toBe('ERR_INVALID_RECORD')
    expect(await codeOf(alone.dht.findPeer(alone.id))).toBe('ERR_NOT_FOUND')
    expect(await all(alone.dht.findProviders(cidOf('x')))).toEqual([])
  })

  it('is asked beside the DHT: of both the best, and each provider once', async () => {
    const [first, second, third] = (await servers(3)) as [Peer, Peer, Peer]
    const cid = cidOf('both')
    expect(await second.dht.provide(cid)).toBe(2)
    const { url, kept } = await router({ 'providers/': { Providers: [recordOf(second), recordOf(third)] }, 'ipns/': fromHex(bothVersions) })
    const a = await start({ bootstrap: [first.addresses[0] as string], delegatedRouting: [url, 'http://127.0.0.1:1'] })
    expect((await all(a.dht.findProviders(cid))).map(({ id }) => id).sort()).toEqual([second.id, third.id].sort())
    expect(await a.dht.get(ipnsKey)).toEqual(fromHex(bothVersions))
    // The same record in its shorter form has the greater bytes.
    expect(await second.dht.put(ipnsKey, fromHex(secondVersion))).toBe(2)
    expect(await a.dht.get(ipnsKey)).toEqual(fromHex(secondVersion))
    expect(await a.dht.put(ipnsKey, fromHex(secondVersion))).toBe(4)
    expect(kept.size).toBe(1)
  })
})
