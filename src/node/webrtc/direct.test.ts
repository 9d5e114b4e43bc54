import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { encapsulate, parseMultiaddr } from '../../engine/codec/multiaddr.ts'
import type { Connection } from '../../engine/net/connection.ts'
import { prng } from '../../engine/testing/prng.ts'
import type { TabmeshError } from '../../errors.ts'
import { reachableAddresses } from '../interfaces.ts'
import { dtlsCertificates } from './certificates.ts'
import { dial, dialVersion, makePeer, ping, promised, roundTrip, udp, until } from './fixture.ts'
import { listenWebrtcDirect } from './listener.ts'

const LOCAL = '/ip4/127.0.0.1/udp/0/webrtc-direct'

const codeOf = (dialled: Promise<unknown>): Promise<string> =>
  dialled.then(
    () => 'none',
    (fault: TabmeshError) => (fault.code === 'ERR_DIAL_FAILED' ? (fault.errors[0]?.code ?? fault.code) : fault.code),
  )

describe('WebRTC-direct between two peers in Node', () => {
  it('carries a ping and an echo', async () => {
    const [alice, bob] = [await makePeer(), await makePeer({ listen: LOCAL })]
    const connection = await dial(alice, bob.address)
    expect(connection).toMatchObject({ transport: 'webrtc-direct', encryption: 'dtls', direction: 'outbound' })
    expect(connection.remotePeer).toBe(bob.node.self)
    expect(await ping(alice, connection)).toBeGreaterThan(0)
    const bytes = prng(1).bytes(1_000_000)
    expect(Buffer.compare(await roundTrip(connection, bytes), bytes)).toBe(0)
    expect(bob.node.connections()[0]?.remotePeer).toBe(alice.node.self)
    expect(bob.node.connections()[0]?.remoteAddr.text).toMatch(/^\/ip4\/127\.0\.0\.1\/udp\/\d+\/webrtc-direct/)
    await Promise.all([alice.stop(), bob.stop()])
  })

  it.each([1, 2] as const)('is dialled in version %i', async (version) => {
    const [alice, bob] = [await makePeer(), await makePeer({ listen: LOCAL })]
    const link = await dialVersion(alice, bob.address, version)
    expect(link.remotePeer).toBe(bob.node.self)
    const connection = await promised<Connection>((done) => alice.node.adopt(link, link.remotePeer, done))
    const bytes = prng(version).bytes(100_000)
    expect(Buffer.compare(await roundTrip(connection, bytes), bytes)).toBe(0)
    await Promise.all([alice.stop(), bob.stop()])
  })

  it('has ten diallers on one port at once', async () => {
    const bob = await makePeer({ listen: LOCAL })
    const diallers = await Promise.all(Array.from({ length: 10 }, () => makePeer()))
    const connections = await Promise.all(diallers.map((each) => dial(each, bob.address)))
    const bytes = prng(3).bytes(200_000)
    const echoed = await Promise.all(connections.map((each) => roundTrip(each, bytes)))
    expect(echoed.every((each) => Buffer.compare(each, bytes) === 0)).toBe(true)
    expect(bob.node.connections()).toHaveLength(10)
    await Promise.all([...diallers, bob].map((each) => each.stop()))
  })

  it('opens two thousand streams, one after the other', async () => {
    const [alice, bob] = [await makePeer(), await makePeer({ listen: LOCAL })]
    const connection = await dial(alice, bob.address)
    for (let i = 0; i < 2_000; i += 20) {
      const bytes = prng(i).bytes(50)
      const echoed = await Promise.all(Array.from({ length: 20 }, () => roundTrip(connection, bytes)))
      expect(echoed.every((each) => Buffer.compare(each, bytes) === 0)).toBe(true)
    }
    await Promise.all([alice.stop(), bob.stop()])
  })

  it('tells one at once when the other goes', async () => {
    const [alice, bob] = [await makePeer(), await makePeer({ listen: LOCAL })]
    await dial(alice, bob.address)
    const began = performance.now()
    await bob.stop()
    await until(() => alice.node.connections().length === 0)
    expect(performance.now() - began).toBeLessThan(3_000)
    await alice.stop()
  })
})

describe('a listener', () => {
  it('listens on IPv4 and IPv6, on one port', async () => {
    const bob = await makePeer({ listen: '/ip4/0.0.0.0/udp/0/webrtc-direct' })
    const port = /udp\/(\d+)/.exec(bob.address.text)?.[1]
    const second = await listenWebrtcDirect(parseMultiaddr(`/ip6/::/udp/${port}/webrtc-direct`), {
      net: bob.node,
      certificates: dtlsCertificates(),
    })
    const alice = await makePeer()
    const [fourth] = reachableAddresses(bob.address).filter(({ text }) => text.startsWith('/ip4/127.0.0.1/'))
    expect(await ping(alice, await dial(alice, fourth as NonNullable<typeof fourth>))).toBeGreaterThan(0)
    const carol = await makePeer()
    const sixth = parseMultiaddr(second.address.text.replace('/::/', '/::1/'))
    expect(await ping(carol, await dial(carol, sixth))).toBeGreaterThan(0)
    await Promise.all([alice.stop(), carol.stop()])
    await second.close()
    await bob.stop()
  })

  it('has its address and its port again after a restart', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'tabmesh-webrtc-'))
    const before = await makePeer({ listen: LOCAL, directory })
    const address = before.listener?.address.text as string
    await before.stop()
    const after = await makePeer({ listen: address.replace(/\/certhash.*/, ''), directory })
    expect(after.listener?.address.text).toBe(address)
    const alice = await makePeer()
    expect(await ping(alice, await dial(alice, after.address))).toBeGreaterThan(0)
    await Promise.all([alice.stop(), after.stop()])
    await rm(directory, { recursive: true })
  })

  it('says that a port is taken', async () => {
    const socket = await udp()
    const listening = makePeer({ listen: `/ip4/127.0.0.1/udp/${socket.address().port}/webrtc-direct` })
    await expect(listening).rejects.toMatchObject({ code: 'ERR_LISTEN' })
    socket.close()
  })

  it.each(['/ip4/127.0.0.1/udp/0', '/ip4/127.0.0.1/tcp/0/webrtc-direct', '/dns4/localhost/udp/0/webrtc-direct', '/webrtc'])(
    'does not listen on %s',
    async (listen) => {
      await expect(makePeer({ listen })).rejects.toMatchObject({ code: 'ERR_INVALID_ARGUMENT' })
    },
  )
})

describe('a dial', () => {
  it('refuses a listener with another certificate, and reaches the right one next', async () => {
    const [alice, bob] = [await makePeer(), await makePeer({ listen: LOCAL })]
    const other = await makePeer({ listen: LOCAL })
    const certhash = /\/certhash\/[^/]+/.exec(other.address.text)?.[0] as string
    const forged = parseMultiaddr(bob.address.text.replace(/\/certhash\/[^/]+/, certhash))
    expect(await codeOf(dial(alice, forged))).toBe('ERR_CERTHASH_MISMATCH')
    expect(await ping(alice, await dial(alice, bob.address))).toBeGreaterThan(0)
    await Promise.all([alice.stop(), bob.stop(), other.stop()])
  })

  it('refuses a listener that is another peer, and reaches the right one next', async () => {
    const [alice, bob, other] = [await makePeer(), await makePeer({ listen: LOCAL }), await makePeer()]
    const forged = encapsulate(bob.listener?.address as NonNullable<typeof bob.listener>['address'], `/p2p/${other.node.self}`)
    expect(await codeOf(dial(alice, forged))).toBe('ERR_PEER_ID_MISMATCH')
    expect(await ping(alice, await dial(alice, bob.address))).toBeGreaterThan(0)
    await until(() => bob.listener?.connections === 1)
    await Promise.all([alice.stop(), bob.stop(), other.stop()])
  })

  it('gives up on one who never answers', async () => {
    const [alice, bob, mute] = [await makePeer(), await makePeer({ listen: LOCAL }), await udp()]
    const nobody = parseMultiaddr(bob.address.text.replace(/udp\/\d+/, `udp/${mute.address().port}`))
    expect(await codeOf(dial(alice, nobody, 1_000))).toBe('ERR_DIAL_TIMEOUT')
    expect(await ping(alice, await dial(alice, bob.address))).toBeGreaterThan(0)
    mute.close()
    await Promise.all([alice.stop(), bob.stop()])
  })
})
