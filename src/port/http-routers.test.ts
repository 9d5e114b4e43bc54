import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { fromBase58, toBase36 } from '../engine/codec/multibase.ts'
import { peerIdToCid } from '../engine/codec/peer-id.ts'
import { KAD_MAX_ADDRESSES, KAD_MAX_PROVIDERS, ROUTER_MAX_ANSWER, ROUTER_MAX_LINE } from '../engine/limits.ts'
import type { KadPeer } from '../engine/protocols/kad/messages.ts'
import { someContact } from '../engine/testing/kad/peers.ts'
import { prng } from '../engine/testing/prng.ts'
import { codeOf } from '../engine/testing/property.ts'
import type { Outcome } from '../engine/wire/conversation.ts'
import { httpRouters } from './http-routers.ts'

type Answer = (request: IncomingMessage, response: ServerResponse) => void
let server: Server
let base = ''
let answer: Answer = (_request, response) => response.end()
const asked: string[] = []
beforeAll(async () => {
  server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url} ${request.headers.accept ?? request.headers['content-type']}`)
    answer(request, response)
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})
beforeEach(() => {
  asked.length = 0
})

const random = prng(1)
const [a, b] = [someContact(random).peer, someContact(random).peer]
const KEY = Uint8Array.of(0x12, 32, ...new Uint8Array(32).fill(7))
const LINES = 'application/x-ndjson'
const lines =
  (...records: unknown[]): Answer =>
  (_request, response) => {
    response.writeHead(200, { 'content-type': LINES })
    response.end(records.map((record) => (typeof record === 'string' ? record : JSON.stringify(record))).join('\n'))
  }
const json =
  (value: unknown, status = 200): Answer =>
  (_request, response) => {
    response.writeHead(status, { 'content-type': 'application/json; charset=utf-8' })
    response.end(typeof value === 'string' ? value : JSON.stringify(value))
  }
const peer = (ID: string, ...Addrs: unknown[]) => ({ Schema: 'peer', ID, Addrs, Protocols: ['transport-bitswap'] })
const textOf = ({ id, addresses }: KadPeer): string[] => [id, ...addresses.map(({ text }) => text)]

const outcomeOf = <T>(begin: (done: (outcome: Outcome<T>) => void) => unknown): Promise<Outcome<T>> => new Promise((done) => begin(done))
const providers = async (urls = [base]): Promise<string[][] | string> => {
  const found: string[][] = []
  const outcome = await outcomeOf<void>((done) => httpRouters(urls).findProviders(KEY, (each) => found.push(textOf(each)), done))
  return outcome.ok ? found : outcome.fault.code
}
const find = async (urls = [base]): Promise<string[] | string | undefined> => {
  const outcome = await outcomeOf<KadPeer | undefined>((done) => httpRouters(urls).findPeer(a, done))
  return outcome.ok ? outcome.value && textOf(outcome.value) : outcome.fault.code
}

describe('an HTTP router', () => {
  it('names providers, in lines or in one, and whatever stands beside what is read', async () => {
    const all = [peer(a, '/ip4/1.2.3.4/tcp/1'), { Schema: 'new', what: 1 }, { Schema: 'bitswap', ID: peerIdToCid(b) }, null, 7]
    for (const each of [lines(...all), json({ Providers: all })]) {
      answer = each
      expect(await providers()).toEqual([[a, '/ip4/1.2.3.4/tcp/1'], [b]])
    }
    expect(asked[0]).toBe(`GET /routing/v1/providers/bafkreia${asked[0]?.split('bafkreia')[1]}`)
    expect(asked[0]).toContain(`${LINES}, application/json`)
  })

  it('is heard line by line', async () => {
    let more = (): void => {}
    answer = (_request, response) => {
      response.writeHead(200, { 'content-type': LINES })
      response.write(`${JSON.stringify(peer(a))}\n${JSON.stringify(peer(b)).slice(0, 10)}`)
      more = () => void response.end(JSON.stringify(peer(b)).slice(10))
    }
    const heard: string[] = []
    const outcome = await outcomeOf<void>((done) =>
      httpRouters([base]).findProviders(
        KEY,
        ({ id }) => {
          heard.push(id)
          more()
        },
        done,
      ),
    )
    expect([outcome.ok, heard]).toEqual([true, [a, b]])
  })

  it('tells where a peer is, by its CID, and is not asked about others', async () => {
    answer = lines(
      peer(b, '/ip4/9.9.9.9/tcp/1'),
      peer(a, '/ip4/1.2.3.4/tcp/1', `/ip4/1.2.3.4/tcp/2/p2p/${a}`, `/ip4/6.6.6.6/tcp/1/p2p/${b}`, 'nonsense', 7),
    )
    expect(await find()).toEqual([a, '/ip4/1.2.3.4/tcp/1', '/ip4/1.2.3.4/tcp/2'])
    expect(asked[0]).toContain(`/routing/v1/peers/${toBase36(Uint8Array.of(1, 0x72, ...(fromBase58(a) as Uint8Array)))} `)
    for (const each of [json({}, 404), json({ Peers: [] }), json({ Peers: null }), lines(), lines(peer(b, '/ip4/1.2.3.4/tcp/1'))]) {
      answer = each
      expect(await find()).toBeUndefined()
    }
  })

  it('below a path, and beside others: each provider counts once, one that fails costs nothing', async () => {
    answer = lines(peer(a, '/ip4/1.2.3.4/tcp/1'))
    expect(await providers([base, `${base}/below`, 'http://127.0.0.1:1/'])).toEqual([[a, '/ip4/1.2.3.4/tcp/1']])
    expect(asked.map((line) => line.split('/routing')[0]).sort()).toEqual(['GET ', 'GET /below'])
    expect(await find(['http://127.0.0.1:1/', base])).toEqual([a, '/ip4/1.2.3.4/tcp/1'])
  })

  it('that is given up is not heard any more', async () => {
    let closed: Promise<void> | undefined
    answer = (request, response) => {
      closed = new Promise((done) => request.on('close', done))
      response.writeHead(200, { 'content-type': LINES })
      response.write(`${JSON.stringify(peer(a))}\n`)
    }
    let called = 0
    await new Promise<void>((heard) => {
      const cancel = httpRouters([base]).findProviders(
        KEY,
        () => {
          cancel()
          heard()
        },
        () => called++,
      )
    })
    await closed
    expect(called).toBe(0)
  })

  it('keeps IPNS records, of that type only', async () => {
    answer = (_request, response) => response.writeHead(200, { 'content-type': 'application/vnd.ipfs.ipns-record' }).end('record')
    const get = () => outcomeOf<readonly Uint8Array[]>((done) => httpRouters([base]).getIpns(a, done))
    expect(await get()).toEqual({ ok: true, value: [new Uint8Array(Buffer.from('record'))] })
    answer = json({}, 404)
    expect(await get()).toEqual({ ok: true, value: [] })
    answer = json('record')
    expect(await get()).toMatchObject({ ok: false, fault: { code: 'ERR_ROUTING' } })
    answer = (request, response) => void request.on('data', (data) => asked.push(String(data))).on('end', () => response.end())
    expect(await outcomeOf<number>((done) => httpRouters([base]).putIpns(a, new Uint8Array(Buffer.from('new')), done))).toEqual({
      ok: true,
      value: 1,
    })
    expect(asked.slice(-2)).toEqual([`PUT /routing/v1/ipns/${peerIdToCid(a)} */*`, 'new'])
  })

  it.each([['ftp://example.org'], ['nonsense'], ['']])('is not at %j', (url) =>
    expect(codeOf(() => httpRouters([url]))).toBe('ERR_INVALID_ARGUMENT'),
  )
})

describe('a router that is hostile, or broken,', () => {
  const flood =
    (line: string): Answer =>
    (_request, response) => {
      response.writeHead(200, { 'content-type': LINES })
      const more = (): void => {
        while (!response.destroyed && response.write(line));
      }
      response.on('drain', more)
      more()
    }
  it.each<[string, Answer, unknown]>([
    ['that answers with an error', json('no', 500), 'ERR_ROUTING'],
    ['that answers with what is no JSON', json('<html>'), 'ERR_ROUTING'],
    ['that answers with a line that is no JSON', lines(peer(a), '{"ID":'), 'ERR_ROUTING'],
    ['that hangs up', (request) => request.socket.destroy(), 'ERR_ROUTING'],
    ['with one line without an end', flood('x'.repeat(ROUTER_MAX_LINE)), 'ERR_ROUTING'],
    [
      'with JSON without an end',
      (request, response) =>
        flood('[')(request, Object.assign(response, { writeHead: () => response.setHeader('content-type', 'application/json') })),
      'ERR_ROUTING',
    ],
    ['with empty lines without an end', flood(`${'\n'.repeat(1_024)}`), 'ERR_ROUTING'],
  ])('%s is left: an error with a code', async (_what, act, code) => {
    answer = act
    const outcome = await providers()
    expect(outcome).toBe(code)
  })

  it('that names ten thousand peers with a thousand addresses is heard as far as it goes', async () => {
    const some = Array.from({ length: KAD_MAX_PROVIDERS + 200 }, () => peer(someContact(random).peer))
    answer = json({ Providers: some })
    expect((await providers()).length).toBe(KAD_MAX_PROVIDERS)
    answer = lines(peer(a, ...Array.from({ length: 1_000 }, (_, port) => `/ip4/1.2.3.4/tcp/${port + 1}`)))
    expect((await find())?.length).toBe(1 + KAD_MAX_ADDRESSES)
    expect(ROUTER_MAX_ANSWER).toBeGreaterThan(KAD_MAX_PROVIDERS * 1_024)
  })

  it('that sends a byte now and then is left when its time is over', async () => {
    let timer: NodeJS.Timeout | undefined
    answer = (_request, response) => {
      response.writeHead(200, { 'content-type': LINES })
      timer = setInterval(() => response.write(' '), 20)
    }
    const outcome = await outcomeOf<void>((done) => httpRouters([base], 200).findProviders(KEY, () => {}, done))
    clearInterval(timer)
    expect(outcome).toMatchObject({ ok: false, fault: { code: 'ERR_ROUTING' } })
  })

  it('with a record that is too large is refused', async () => {
    answer = (_request, response) =>
      response.writeHead(200, { 'content-type': 'application/vnd.ipfs.ipns-record' }).end(Buffer.alloc(1 << 20))
    const outcome = await outcomeOf<readonly Uint8Array[]>((done) => httpRouters([base]).getIpns(a, done))
    expect(outcome).toMatchObject({ ok: false, fault: { code: 'ERR_ROUTING', remote: true } })
  })
})
