import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { encapsulate, type Multiaddr, parseMultiaddr } from '../../engine/codec/multiaddr.ts'
import type { Connection } from '../../engine/net/connection.ts'
import { Node } from '../../engine/net/node.ts'
import { identifyService } from '../../engine/protocols/identify/service.ts'
import { pingService } from '../../engine/protocols/ping/service.ts'
import { relayServer } from '../../engine/protocols/relay/hop.ts'
import { relayClient } from '../../engine/protocols/relay/service.ts'
import { webrtcService } from '../../engine/protocols/webrtc-signaling/service.ts'
import { echo } from '../../engine/testing/echo.ts'
import { prng } from '../../engine/testing/prng.ts'
import { nodeHost } from '../host.ts'
import { newIdentity } from '../identity.ts'
import { wsTransport } from '../ws-dialer.ts'
import { listenWs } from '../ws-listener.ts'
import { held, promised, roundTrip, until } from './fixture.ts'
import { nodeRtc } from './rtc.ts'

/** A relay that listens for WebSockets. */
const makeRelay = async () => {
  const node = new Node({
    host: nodeHost(await newIdentity()),
    services: [identifyService(), pingService(), relayServer().service],
    transports: [],
  })
  node.start()
  const listener = await listenWs(parseMultiaddr('/ip4/127.0.0.1/tcp/0/ws'), { accept: (link) => node.accept(link) })
  return {
    address: encapsulate(listener.address, `/p2p/${node.self}`),
    async stop() {
      await new Promise<void>((done) => node.stop(done))
      await listener.close()
    },
  }
}

/** A peer that is reached through the relay, and directly once it has been signalled. */
const makePeer = async (relay: Multiaddr) => {
  const ping = pingService()
  const client = relayClient({ relays: [relay], webrtc: true })
  const webrtc = webrtcService({ rtc: nodeRtc(), ping: ping.ping })
  let reserved = false
  const node = new Node({
    host: nodeHost(await newIdentity()),
    services: [identifyService(), ping, client, webrtc, echo({ allowLimited: true })],
    transports: [wsTransport(), client, webrtc],
    onEvent: ({ t }) => {
      reserved ||= t === 'relay:reserved'
    },
  })
  node.start()
  await until(() => reserved)
  return {
    node,
    ping: (connection: Connection) => promised<number>((done) => ping.ping(connection, done)),
    address: encapsulate(relay, `/p2p-circuit/webrtc/p2p/${node.self}`),
    direct: () => node.connections().filter(({ transport }) => transport === 'webrtc'),
    stop: () => new Promise<void>((done) => node.stop(done)),
  }
}

type Peer = Awaited<ReturnType<typeof makePeer>>

let relay: Awaited<ReturnType<typeof makeRelay>>
beforeAll(async () => {
  relay = await makeRelay()
})
afterAll(() => relay.stop())

describe('WebRTC between two peers in Node, signalled through a relay', () => {
  it('is a direct connection that carries a ping and an echo', async () => {
    const [alice, bob] = [await makePeer(relay.address), await makePeer(relay.address)]
    const connection = await promised<Connection>((done) => alice.node.dial({ addresses: [bob.address] }, done))
    expect(connection).toMatchObject({ transport: 'webrtc', encryption: 'dtls', direct: true })
    expect(connection.remotePeer).toBe(bob.node.self)
    expect(await alice.ping(connection)).toBeGreaterThan(0)
    const bytes = prng(1).bytes(1_000_000)
    expect(Buffer.compare(await roundTrip(connection, bytes), bytes)).toBe(0)
    await Promise.all([alice.stop(), bob.stop()])
  })

  it('is noticed to be gone when the other side stops', async () => {
    const [alice, bob] = [await makePeer(relay.address), await makePeer(relay.address)]
    await promised<Connection>((done) => alice.node.dial({ addresses: [bob.address] }, done))
    const began = performance.now()
    await bob.stop()
    await until(() => alice.direct().length === 0)
    expect(performance.now() - began).toBeLessThan(3_000)
    await alice.stop()
  })

  it('leaves nothing behind: after 1,000 of them the process holds what it held after 100', async () => {
    const bob = await makePeer(relay.address)
    // At a time, for one takes a second where both ends share the library's one thread for sockets: the first of DTLS is lost.
    const diallers = await Promise.all(Array.from({ length: 10 }, () => makePeer(relay.address)))
    const round = async (alice: Peer): Promise<void> => {
      const connection = await promised<Connection>((done) => alice.node.dial({ addresses: [bob.address] }, done))
      await alice.ping(connection)
      alice.node.hangUp(bob.node.self)
      await until(() => [alice.node.connections(bob.node.self), bob.node.connections(alice.node.self)].every(({ length }) => length === 0))
    }
    const rounds = (each: number): Promise<unknown> =>
      Promise.all(
        diallers.map(async (alice) => {
          for (let i = 0; i < each; i++) await round(alice)
        }),
      )
    await rounds(10)
    const before = await held()
    await rounds(100)
    const after = await held()
    expect(after.sockets).toBe(before.sockets)
    expect(after.threads).toBeLessThanOrEqual(before.threads)
    expect(after.heap).toBeLessThan(before.heap * 1.1)
    await Promise.all([bob, ...diallers].map((each) => each.stop()))
  }, 600_000)
})
