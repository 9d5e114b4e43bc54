import { describe, expect, it } from 'vitest'
import { concat } from '../../engine/codec/bytes.ts'
import { encapsulate, type Multiaddr, parseMultiaddr } from '../../engine/codec/multiaddr.ts'
import type { Connection } from '../../engine/net/connection.ts'
import { Node } from '../../engine/net/node.ts'
import type { Service } from '../../engine/net/service.ts'
import type { Stream } from '../../engine/net/stream.ts'
import { pingService } from '../../engine/protocols/ping/service.ts'
import { prng } from '../../engine/testing/prng.ts'
import type { Outcome } from '../../engine/wire/conversation.ts'
import { TabmeshError } from '../../errors.ts'
import { nodeHost } from '../host.ts'
import { newIdentity } from '../identity.ts'
import { type QuicListener, quicTransport } from './transport.ts'

const ECHO = '/echo/1'
const HOLD = '/hold/1'

/** Sends back what it reads, and takes no more than is taken from it. */
const echo: Service = {
  name: 'echo',
  protocols: { [ECHO]: { maxInbound: 100 } },
  onStream: (stream) => {
    const held: Uint8Array[] = []
    let ended = false
    const move = (): void => {
      while (held.length > 0 && stream.credit > 0) {
        const bytes = held.shift() as Uint8Array
        stream.write(bytes.slice())
        stream.release(bytes.length)
      }
      if (ended && held.length === 0) stream.end()
    }
    stream.attach({
      onData: (bytes) => {
        held.push(bytes)
        move()
      },
      onDrain: move,
      onEnd: () => {
        ended = true
        move()
      },
      onClose: () => {},
    })
  },
}

/** Takes what comes, and never says that it was used. */
const hold: Service = {
  name: 'hold',
  protocols: { [HOLD]: { maxInbound: 100 } },
  onStream: (stream) => stream.attach({ onData: () => {}, onEnd: () => {}, onClose: () => {} }),
}

const make = async (listen?: string) => {
  const key = await newIdentity()
  const quic = quicTransport(key)
  const ping = pingService()
  const node = new Node({ host: nodeHost(key), services: [ping, echo, hold], transports: [quic] })
  node.start()
  const listener: QuicListener | undefined = listen === undefined ? undefined : quic.listen(parseMultiaddr(listen), node)
  return {
    node,
    ping,
    address: listener && (encapsulate(listener.address, `/p2p/${node.self}`) as Multiaddr),
    async stop() {
      await new Promise<void>((done) => node.stop(done))
      await listener?.close()
      quic.close()
    },
  }
}
type Made = Awaited<ReturnType<typeof make>>

const promised = <T>(start: (done: (outcome: Outcome<T>) => void) => unknown): Promise<T> =>
  new Promise((resolve, reject) => start((outcome) => (outcome.ok ? resolve(outcome.value) : reject(outcome.fault))))

const dial = (from: Made, address: Multiaddr, timeout?: number): Promise<Connection> =>
  promised((done) => from.node.dial({ addresses: [address] }, done, timeout === undefined ? {} : { timeout }))

const open = (from: Made, to: Made, protocol: string): Promise<Stream> =>
  promised((done) => from.node.openStream({ peer: to.node.self, addresses: [] }, [protocol], done))

const within = async (condition: () => boolean): Promise<void> => {
  for (let waited = 0; !condition(); waited += 5) {
    if (waited > 10_000) throw new Error('it did not come to that within 10 s')
    await new Promise((next) => setTimeout(next, 5))
  }
}

/** Writes all of `bytes` at the pace that the stream allows, ends, and resolves with what came back. */
const roundTrip = (stream: Stream, bytes: Uint8Array): Promise<Uint8Array> =>
  new Promise((resolve, reject) => {
    const back: Uint8Array[] = []
    let at = 0
    const feed = (): void => {
      while (at < bytes.length && stream.credit > 0) {
        stream.write(bytes.slice(at, at + 60_000))
        at += 60_000
      }
      if (at >= bytes.length) stream.end()
    }
    stream.attach({
      onData: (chunk) => {
        back.push(chunk)
        stream.release(chunk.length)
      },
      onDrain: feed,
      onEnd: () => resolve(concat(back)),
      onClose: (fault) => {
        if (fault !== undefined) reject(fault)
      },
    })
    feed()
  })

describe('QUIC', () => {
  it('dials, pings, and carries 3 MB there and back on eight streams at once', async () => {
    const [alice, bob] = [await make(), await make('/ip4/127.0.0.1/udp/0/quic-v1')]
    const connection = await dial(alice, bob.address as Multiaddr)
    expect(connection).toMatchObject({ remotePeer: bob.node.self, transport: 'quic', muxer: '/quic-v1', encryption: '/tls/1.0.0' })
    expect(await promised<number>((done) => alice.ping.ping(connection, done))).toBeGreaterThan(0)
    const sent = [...Array(8).keys()].map((seed) => prng(seed).bytes(3_000_000))
    const back = await Promise.all(sent.map(async (bytes) => roundTrip(await open(alice, bob, ECHO), bytes)))
    for (const [at, bytes] of sent.entries()) expect(Buffer.compare(back[at] as Uint8Array, bytes)).toBe(0)
    await within(() => bob.node.connections()[0]?.streams.size === 0)
    await Promise.all([alice.stop(), bob.stop()])
  }, 30_000)

  it('works over IPv6', async () => {
    const [alice, bob] = [await make(), await make('/ip6/::1/udp/0/quic-v1')]
    expect((await dial(alice, bob.address as Multiaddr)).remotePeer).toBe(bob.node.self)
    await Promise.all([alice.stop(), bob.stop()])
  })

  it('refuses another peer than was dialled, and the next dial works', async () => {
    const [alice, bob] = [await make(), await make('/ip4/127.0.0.1/udp/0/quic-v1')]
    const { node: other } = await make()
    const forged = parseMultiaddr((bob.address as Multiaddr).text.replace(bob.node.self, other.self))
    const refused = await dial(alice, forged).catch((error: TabmeshError) => error)
    expect((refused as TabmeshError).errors?.[0]?.code).toBe('ERR_PEER_ID_MISMATCH')
    expect((await dial(alice, bob.address as Multiaddr)).remotePeer).toBe(bob.node.self)
    await Promise.all([alice.stop(), bob.stop()])
  })

  it('gives up where nobody answers, in the time it was given', async () => {
    const alice = await make()
    const { createSocket } = await import('node:dgram')
    const mute = createSocket('udp4')
    await new Promise<void>((done) => mute.bind(0, '127.0.0.1', done))
    const began = performance.now()
    const fault = await dial(alice, parseMultiaddr(`/ip4/127.0.0.1/udp/${mute.address().port}/quic-v1`), 500).catch(
      (error: TabmeshError) => error,
    )
    expect(fault).toBeInstanceOf(TabmeshError)
    expect((fault as TabmeshError).code).toBe('ERR_DIAL_TIMEOUT')
    expect(performance.now() - began).toBeLessThan(2_000)
    mute.close()
    await alice.stop()
  })

  it('holds a sender whose stream nobody reads', async () => {
    const [alice, bob] = [await make(), await make('/ip4/127.0.0.1/udp/0/quic-v1')]
    await dial(alice, bob.address as Multiaddr)
    const stream = await open(alice, bob, HOLD)
    let written = 0
    const flood = (): void => {
      while (stream.credit > 0) {
        stream.write(new Uint8Array(65_536))
        written += 65_536
      }
    }
    stream.attach({ onData: () => {}, onDrain: flood, onEnd: () => {}, onClose: () => {} })
    flood()
    await new Promise((next) => setTimeout(next, 500))
    // What we queue, what QUIC lets be on its way, and what the other side holds.
    expect(written).toBeLessThan(5 * 1024 * 1024)
    expect(Buffer.compare(await roundTrip(await open(alice, bob, ECHO), prng(7).bytes(100_000)), prng(7).bytes(100_000))).toBe(0)
    await Promise.all([alice.stop(), bob.stop()])
  })

  it('tells both sides when one resets a stream, and when one hangs up', async () => {
    const [alice, bob] = [await make(), await make('/ip4/127.0.0.1/udp/0/quic-v1')]
    await dial(alice, bob.address as Multiaddr)
    const stream = await open(alice, bob, HOLD)
    stream.write(new Uint8Array(10))
    await within(() => bob.node.connections()[0]?.streams.size === 1)
    stream.abort(new TabmeshError('ERR_STREAM_CLOSED', 'enough'))
    await within(() => bob.node.connections()[0]?.streams.size === 0)
    bob.node.hangUp(alice.node.self)
    await within(() => alice.node.connections().length === 0 && bob.node.connections().length === 0)
    await Promise.all([alice.stop(), bob.stop()])
  })

  it('refuses what it can not listen on', async () => {
    const bob = await make('/ip4/127.0.0.1/udp/0/quic-v1')
    const key = await newIdentity()
    const taken = (bob.address as Multiaddr).text.replace(/\/p2p\/.*/, '')
    expect(() => quicTransport(key).listen(parseMultiaddr(taken), bob.node)).toThrow(expect.objectContaining({ code: 'ERR_LISTEN' }))
    expect(() => quicTransport(key).listen(parseMultiaddr('/dns4/localhost/udp/0/quic-v1'), bob.node)).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_ARGUMENT' }),
    )
    await bob.stop()
  })

  it('says in one line what to install where the package is absent', async () => {
    const key = await newIdentity()
    const quic = quicTransport(key, () => {
      throw new TabmeshError('ERR_UNSUPPORTED', 'QUIC needs the package @chainsafe/libp2p-quic')
    })
    const node = new Node({ host: nodeHost(key), services: [], transports: [quic] })
    node.start()
    const fault = await promised<Connection>((done) =>
      node.dial({ addresses: [parseMultiaddr('/ip4/127.0.0.1/udp/1/quic-v1')] }, done),
    ).catch((error: TabmeshError) => error)
    const [why] = (fault as TabmeshError).errors ?? []
    expect(why?.code).toBe('ERR_UNSUPPORTED')
    expect(String(why?.cause).split('\n')).toHaveLength(1)
  })
})
