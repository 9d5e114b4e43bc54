import { describe, expect, it } from 'vitest'
import { fromUtf8, utf8 } from '../codec/bytes.ts'
import { encapsulate, type Multiaddr } from '../codec/multiaddr.ts'
import { LIMITED_WAIT, RELAY_SETTLE, SIGNALING_TIMEOUT } from '../limits.ts'
import { identifyService } from '../protocols/identify/service.ts'
import { pingService } from '../protocols/ping/service.ts'
import { type RelayServerOptions, relayServer } from '../protocols/relay/hop.ts'
import { relayClient } from '../protocols/relay/service.ts'
import { webrtcService } from '../protocols/webrtc-signaling/service.ts'
import { echo } from '../testing/echo.ts'
import { fakeNetwork } from '../testing/fake-peer-connection.ts'
import { World, type WorldNode } from '../testing/world.ts'
import type { Outcome } from '../wire/conversation.ts'
import type { Connection } from './connection.ts'
import type { DialOptions, DialTarget, OpenOptions } from './service.ts'
import type { Stream } from './stream.ts'

/** Two tabs that hold a slot on a relay, and a network that lets WebRTC through or not. */
const scene = (seed: number, fate: 'connects' | 'fails' | 'silent', options: RelayServerOptions = {}) => {
  const world = new World(seed, 5)
  const network = fakeNetwork({ now: () => world.now, after: (ms, run) => world.after(ms, run) })
  network.fate = fate
  const relay = world.node(() => ({ services: [identifyService(), relayServer(options).service] }))
  const tab = (): WorldNode => {
    const ping = pingService()
    const client = relayClient({ relays: [relay.address], webrtc: true })
    const webrtc = webrtcService({ rtc: network.rtc(), ping: ping.ping })
    return world.node(() => ({ services: [identifyService(), ping, client, echo(), webrtc], transports: [client, webrtc] }))
  }
  const a = tab()
  const b = tab()
  world.run(2_000)
  const way = (through: string): Multiaddr => encapsulate(relay.address, `${through}/p2p/${b.node.self}`)
  /** The outcome of `begin`, and how many milliseconds it took. */
  const timed = <T>(begin: (done: (outcome: Outcome<T>) => void) => void): readonly [T | string, number] => {
    const began = world.now
    let got: Outcome<T> | undefined
    begin((outcome) => {
      got = outcome
    })
    world.run(60_000, () => got !== undefined)
    if (got === undefined) throw new Error('no outcome')
    return [got.ok ? got.value : got.fault.code, world.now - began]
  }
  const dial = (target: DialTarget, more: DialOptions = {}): readonly [string, number] => {
    const [value, took] = timed<Connection>((done) => a.node.dial(target, done, more))
    return [typeof value === 'string' ? value : value.transport, took]
  }
  const open = (target: DialTarget, more: OpenOptions = {}): readonly [Stream | string, number] =>
    timed<Stream>((done) => a.node.openStream(target, ['/echo/1'], done, more))
  const ways = (from: WorldNode, to: WorldNode): string[] => from.node.connections(to.node.self).map(({ transport }) => transport)
  return { world, network, relay, a, b, circuit: way('/p2p-circuit'), direct: way('/p2p-circuit/webrtc'), dial, open, ways }
}

const peerOf = (b: WorldNode): DialTarget => ({ peer: b.node.self, addresses: [] })

describe('where ICE can not succeed', () => {
  it('the dial of a /webrtc address is answered with the relayed connection in moments, and WebRTC goes on', () => {
    const { world, network, a, b, direct, dial, ways } = scene(1, 'silent')
    const [transport, took] = dial({ addresses: [direct] })
    expect(transport).toBe('relay')
    expect(took).toBeGreaterThanOrEqual(RELAY_SETTLE)
    expect(took).toBeLessThan(RELAY_SETTLE + 200)
    expect(a.node.pending).toBeGreaterThan(0)
    // Who asks again while it goes on has waited long enough.
    expect(dial({ addresses: [direct] })).toEqual(['relay', 0])
    world.run(SIGNALING_TIMEOUT)
    expect(a.node.pending).toBe(0)
    expect(network.peers.every(({ closed }) => closed)).toBe(true)
    expect(ways(a, b)).toEqual(['relay'])
  })

  it('and so is the dial of a peer of which nothing else is known, at once where WebRTC fails by itself', () => {
    for (const [fate, least, most] of [
      ['silent', RELAY_SETTLE, RELAY_SETTLE + 200],
      ['fails', 0, 1_000],
    ] as const) {
      const { a, b, direct, dial } = scene(2, fate)
      a.node.peerStore.update(b.node.self, { addresses: [direct] }, a.node.host.date())
      // Our own relay is a route to everybody: this is what a peer behind another relay is to us.
      const [transport, took] = dial({ peer: b.node.self, addresses: [direct] })
      expect([fate, transport]).toEqual([fate, 'relay'])
      expect(took).toBeGreaterThanOrEqual(least)
      expect(took).toBeLessThan(most)
    }
  })

  it('the dial of a peer does not wait at all where a relay is a way of its own', () => {
    const { b, dial } = scene(3, 'silent')
    const [transport, took] = dial(peerOf(b))
    expect(transport).toBe('relay')
    expect(took).toBeLessThan(200)
  })

  it('a stream is opened over the relay at once, whatever address is named', () => {
    const { world, b, direct, circuit, open } = scene(4, 'silent')
    for (const target of [{ addresses: [direct] }, { addresses: [circuit] }, peerOf(b), { addresses: [direct] }]) {
      const [stream, took] = open(target)
      expect(took).toBeLessThan(150)
      if (typeof stream === 'string') throw new Error(stream)
      expect(stream.connection.transport).toBe('relay')
      let heard = ''
      stream.attach({
        onData: (bytes) => {
          heard += fromUtf8(bytes)
          stream.release(bytes.length)
        },
        onEnd: () => {},
        onClose: () => {},
      })
      stream.write(utf8('hello'))
      stream.end()
      world.run(200)
      expect(heard).toBe('hello')
    }
  })

  it('one caller may give up while the others wait, and all may', () => {
    const { world, network, a, direct } = scene(5, 'silent')
    let heard = 0
    const [first, second] = [0, 1].map(() => a.node.dial({ addresses: [direct] }, () => (heard += 1)))
    world.run(500)
    first?.()
    world.run(RELAY_SETTLE)
    expect(heard).toBe(1)
    second?.()
    expect(heard).toBe(1)
    // Answered once, it goes on for its own sake.
    expect(network.peers.some(({ closed }) => !closed)).toBe(true)
  })

  it('hanging up ends what goes on', () => {
    const { world, network, a, b, direct, dial } = scene(6, 'silent')
    dial({ addresses: [direct] })
    a.node.hangUp(b.node.self)
    world.run(1_000)
    expect(a.node.pending).toBe(0)
    expect(a.node.connections(b.node.self)).toEqual([])
    // The answerer may still be about to connect, for all it knows.
    world.run(SIGNALING_TIMEOUT)
    expect(network.peers.every(({ closed }) => closed)).toBe(true)
  })

  it('and the relay is lost meanwhile: the dial goes on, and a later one has its own time', () => {
    const { world, a, b, direct, relay } = scene(7, 'silent')
    let heard: string | undefined
    a.node.dial({ addresses: [direct] }, (outcome) => {
      heard = outcome.ok ? outcome.value.transport : outcome.fault.code
    })
    world.run(1_000)
    expect(a.node.connections(b.node.self).length).toBe(1)
    for (const connection of relay.node.connections()) connection.close()
    world.run(40_000)
    expect(heard).toMatch(/^ERR_/)
    expect(a.node.pending).toBe(0)
  })
})

describe('over a relay that limits', () => {
  it('a dial is answered with the limited connection; a stream that may not use it waits for the direct one, but not for ever', () => {
    const { direct, dial, open } = scene(10, 'silent', { limit: { data: 65_536, duration: 120_000 } })
    expect(dial({ addresses: [direct] })[0]).toBe('relay')
    const [code, took] = open({ addresses: [direct] })
    expect(code).toBe('ERR_LIMITED_CONNECTION')
    expect(took).toBeLessThanOrEqual(LIMITED_WAIT)
  })

  it('a stream waits for the direct connection no longer than it takes', () => {
    const { open, circuit } = scene(11, 'connects', { limit: { data: 65_536, duration: 120_000 } })
    const [stream, took] = open({ addresses: [circuit] })
    if (typeof stream === 'string') throw new Error(stream)
    expect(stream.connection.transport).toBe('webrtc')
    expect(took).toBeLessThan(1_000)
  })
})

describe('where WebRTC connects', () => {
  it('the dial of a /webrtc address waits for it, and a stream does not', () => {
    const first = scene(20, 'connects')
    expect(first.dial({ addresses: [first.direct] })[0]).toBe('webrtc')
    const second = scene(21, 'connects')
    const [stream] = second.open({ addresses: [second.direct] })
    expect(typeof stream === 'string' ? stream : stream.connection.transport).toBe('relay')
    second.world.run(2_000)
    const [later] = second.open({ addresses: [second.direct] })
    expect(typeof later === 'string' ? later : later.connection.transport).toBe('webrtc')
  })
})
