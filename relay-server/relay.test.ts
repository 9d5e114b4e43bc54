/** A relay in this process, met over loopback: what it answers to HTTP, and two peers that reach each other through it. */

import { createSocket } from 'node:dgram'
import { afterEach, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { parseMultiaddr } from '../src/engine/codec/multiaddr.ts'
import type { Connection } from '../src/engine/net/connection.ts'
import { Node } from '../src/engine/net/node.ts'
import type { NetEvent } from '../src/engine/net/service.ts'
import { identifyService } from '../src/engine/protocols/identify/service.ts'
import { pingService } from '../src/engine/protocols/ping/service.ts'
import { relayClient } from '../src/engine/protocols/relay/service.ts'
import { stunClient } from '../src/engine/protocols/stun/service.ts'
import { nodeHost } from '../src/node/host.ts'
import { newIdentity } from '../src/node/identity.ts'
import { wsTransport } from '../src/node/ws-dialer.ts'
import { type RelaySettings, relayConfig } from './config.ts'
import { type Relay, startRelay } from './relay.ts'

const running: { stop(): Promise<void> }[] = []
afterEach(async () => {
  for (const one of running.splice(0).reverse()) await one.stop()
})

const relayOf = async (settings: RelaySettings = {}): Promise<Relay> => {
  const relay = await startRelay(relayConfig({ listen: ['/ip4/127.0.0.1/tcp/0/ws'] }, settings))
  running.push(relay)
  return relay
}

/** A peer that is reachable through `relays`, and its events. */
const peerAt = (...relays: Relay[]) => {
  const relay = relayClient({ relays: relays.map(({ addresses }) => parseMultiaddr(addresses[0] as string)) })
  const ping = pingService()
  const stun = stunClient()
  const listeners = new Set<(event: NetEvent) => void>()
  const log: NetEvent[] = []
  const node = new Node({
    host: nodeHost(newIdentity()),
    services: [identifyService(), ping, relay, stun],
    transports: [wsTransport(), relay],
    onEvent(event) {
      log.push(event)
      for (const listener of [...listeners]) listener(event)
    },
  })
  /** The first event of its kind, past or to come. */
  const event = <T extends NetEvent['t']>(t: T) =>
    new Promise<Extract<NetEvent, { t: T }>>((done) => {
      const look = (each: NetEvent): void => {
        if (each.t === t) done(each as Extract<NetEvent, { t: T }>)
      }
      listeners.add(look)
      for (const each of log) look(each)
    })
  node.start()
  running.push({ stop: () => new Promise((done) => node.stop(done)) })
  return { node, ping, event, stun }
}

const dial = (from: ReturnType<typeof peerAt>, address: string) =>
  new Promise<Connection>((done, fail) => {
    from.node.dial({ addresses: [parseMultiaddr(address)] }, (outcome) => (outcome.ok ? done(outcome.value) : fail(outcome.fault)))
  })

const pingOver = (from: ReturnType<typeof peerAt>, connection: Connection) =>
  new Promise<number>((done, fail) => from.ping.ping(connection, (outcome) => (outcome.ok ? done(outcome.value) : fail(outcome.fault))))

describe('what a relay answers to HTTP', () => {
  it('tells its health, to any page', async () => {
    const relay = await relayOf()
    const response = await fetch(`${relay.http}/health`)
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toBe('application/json')
    expect(response.headers.get('access-control-allow-origin')).toBe('*')
    expect(await response.json()).toEqual({
      status: 'ok',
      peerId: relay.peerId,
      reservations: 0,
      circuits: 0,
      connections: 0,
      uptime: expect.any(Number),
    })
  })

  it('shows people what to paste', async () => {
    const relay = await relayOf()
    const response = await fetch(relay.http)
    expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8')
    const text = await response.text()
    for (const shown of [relay.peerId, ...relay.addresses, `createPeer({ relays: [&#39;${relay.http}&#39;] })`])
      expect(text).toContain(shown)
  })

  it('can not be made to say what was announced to it as markup', async () => {
    const relay = await relayOf({ announce: ['/dns4/<script>alert(1)<%2fscript>/tcp/443/wss'] })
    expect(relay.addresses[0]).toContain('<script>')
    expect(await (await fetch(relay.http)).text()).not.toContain('<script>')
  })

  it.each([
    ['GET', '/metricsx'],
    ['GET', '/health/'],
    ['GET', '/..%2f'],
    ['POST', '/health'],
    ['DELETE', '/'],
    ['OPTIONS', '/health'],
  ])('answers %s %s with 404', async (method, path) => expect((await fetch((await relayOf()).http + path, { method })).status).toBe(404))

  it('answers HEAD with no body', async () => {
    const response = await fetch(`${(await relayOf()).http}/health`, { method: 'HEAD' })
    expect([response.status, await response.text()]).toEqual([200, ''])
    expect(Number(response.headers.get('content-length'))).toBeGreaterThan(50)
  })
})

describe('a relay', () => {
  it('says where it is', async () => {
    const relay = await relayOf()
    expect(relay.http).toMatch(/^http:\/\/localhost:\d+$/)
    expect(relay.addresses).toEqual([expect.stringMatching(new RegExp(`^/ip4/127\\.0\\.0\\.1/tcp/\\d+/ws/p2p/${relay.peerId}$`))])
  })

  it('listens on several ports', async () => {
    const relay = await relayOf({ listen: ['/ip4/127.0.0.1/tcp/0/ws', '/ip4/127.0.0.1/tcp/0/ws'] })
    expect(new Set(relay.addresses).size).toBe(2)
    for (const address of relay.addresses) {
      const port = address.split('/')[4]
      expect((await fetch(`http://127.0.0.1:${port}/health`)).status).toBe(200)
    }
  })

  it('tells the announced address instead of its own', async () => {
    const relay = await relayOf({ announce: ['/dns4/relay.example/tcp/443/tls/ws'] })
    expect(relay.addresses).toEqual([`/dns4/relay.example/tcp/443/tls/ws/p2p/${relay.peerId}`])
    expect(relay.url).toBe('https://relay.example')
  })

  it('joins two peers that only know the relay', async () => {
    const relay = await relayOf()
    const [alice, bob] = [peerAt(relay), peerAt(relay)]
    const { addresses } = await bob.event('relay:reserved')
    await alice.event('relay:reserved')
    expect(relay.status()).toMatchObject({ reservations: 2, connections: 2, circuits: 0 })
    const connection = await dial(alice, `${addresses[0]?.text}/p2p/${bob.node.self}`)
    expect(connection).toMatchObject({
      remotePeer: bob.node.self,
      transport: 'relay',
      limited: false,
      limit: undefined,
    })
    expect(await pingOver(alice, connection)).toBeGreaterThan(0)
    expect(relay.status()).toMatchObject({ reservations: 2, connections: 2, circuits: 1 })
    connection.close()
    await bob.event('connection:close')
  })

  it('limits circuits where it is told to', async () => {
    const relay = await relayOf({ circuitDuration: 120, circuitBytes: 131_072 })
    const [alice, bob] = [peerAt(relay), peerAt(relay)]
    const { addresses } = await bob.event('relay:reserved')
    expect(await dial(alice, `${addresses[0]?.text}/p2p/${bob.node.self}`)).toMatchObject({
      limited: true,
      limit: { duration: 120_000, data: 131_072 },
    })
  })

  it('refuses reservations over its limit', async () => {
    const relay = await relayOf({ maxReservations: 1 })
    const first = peerAt(relay)
    await first.event('relay:reserved')
    const { error } = await peerAt(relay).event('error')
    expect(error).toMatchObject({ code: 'ERR_RELAY_FULL' })
    expect(relay.status().reservations).toBe(1)
  })

  it('is left in order by a peer that stops, and forgets it', async () => {
    const relay = await relayOf()
    const peer = peerAt(relay)
    await peer.event('relay:reserved')
    await running.pop()?.stop()
    while (relay.status().connections > 0) await new Promise(setImmediate)
    expect(relay.status()).toMatchObject({ reservations: 0, connections: 0 })
  })

  it('says goodbye to its peers when it stops, and frees its port', async () => {
    const relay = await relayOf()
    const peer = peerAt(relay)
    await peer.event('relay:reserved')
    const idle = new WebSocket(relay.http.replace('http', 'ws'))
    const closed = new Promise((done) => idle.on('close', done))
    await new Promise((done) => idle.on('open', done))
    await relay.stop()
    const { fault } = await peer.event('connection:close')
    // The go-away came first: nothing was lost.
    expect(fault).toBeUndefined()
    expect(await closed).toBe(1001)
    await expect(fetch(relay.http)).rejects.toThrow()
    await relay.stop()
  })

  it('does not start, and leaves nothing open, where one of its ports is taken', async () => {
    const relay = await relayOf()
    const taken = relay.addresses[0]?.replace(/\/p2p\/.*/, '')
    await expect(relayOf({ listen: ['/ip4/127.0.0.1/tcp/0/ws', taken] })).rejects.toMatchObject({ code: 'ERR_LISTEN' })
  })
})

describe('the STUN of a relay', () => {
  const told = async (peer: ReturnType<typeof peerAt>): Promise<readonly string[]> => {
    await peer.event('relay:reserved')
    for (let waited = 0; waited < 100 && peer.stun.servers().length === 0; waited++) await new Promise((next) => setTimeout(next, 5))
    return peer.stun.servers()
  }

  it('is told to its peers and answers on UDP, on the port number of the listener', async () => {
    const relay = await relayOf()
    const [url] = await told(peerAt(relay))
    const port = Number(/\/tcp\/(\d+)/.exec(relay.addresses[0] as string)?.[1])
    expect(url).toBe(`stun:127.0.0.1:${port}`)
    const socket = createSocket('udp4')
    const answer = new Promise<Buffer>((done) => socket.once('message', done))
    socket.send(Buffer.from('000100002112a442000102030405060708090a0b', 'hex'), port, '127.0.0.1')
    expect((await answer).readUInt16BE(0)).toBe(0x0101)
    socket.close()
  })

  it('gives way where something else has that UDP port, unless the port was asked for', async () => {
    const socket = createSocket('udp4')
    await new Promise<void>((done) => socket.bind(0, '127.0.0.1', done))
    const { port } = socket.address()
    const [url] = await told(peerAt(await relayOf({ listen: [`/ip4/127.0.0.1/tcp/${port}/ws`] })))
    expect(url).toMatch(/^stun:127\.0\.0\.1:\d+$/)
    expect(url).not.toBe(`stun:127.0.0.1:${port}`)
    await expect(relayOf({ stunPort: port })).rejects.toMatchObject({ code: 'ERR_LISTEN' })
    socket.close()
  })

  it('is nowhere where the operator says so', async () => {
    const peer = peerAt(await relayOf({ stun: false }))
    await peer.event('peer:identify')
    expect(await told(peer)).toEqual([])
  })
})

it('refuses a reservation by a hook of its gater: the peer is told why, others get theirs, and it has one when the hook allows', async () => {
  const asked: string[] = []
  const banned = new Set<string>()
  const relay = await startRelay(relayConfig({ listen: ['/ip4/127.0.0.1/tcp/0/ws'] }), undefined, {
    reservation(peer, answer) {
      asked.push(peer)
      setImmediate(() => answer(!banned.has(peer)))
    },
  })
  running.push(relay)
  const [a, b] = [peerAt(relay), peerAt(relay)]
  banned.add(a.node.self)
  expect((await a.event('error')).error).toMatchObject({
    code: 'ERR_RELAY_REFUSED',
    message: expect.stringContaining('202 PERMISSION_DENIED'),
  })
  expect((await b.event('relay:reserved')).relay).toBe(relay.peerId)
  expect(relay.status().reservations).toBe(1)
  expect(new Set(asked)).toEqual(new Set([a.node.self, b.node.self]))
  banned.clear()
  expect((await a.event('relay:reserved')).relay).toBe(relay.peerId)
  expect(relay.status().reservations).toBe(2)
}, 15_000)
