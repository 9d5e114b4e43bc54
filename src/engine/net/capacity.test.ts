import { describe, expect, it } from 'vitest'
import { type Multiaddr, parseMultiaddr } from '../codec/multiaddr.ts'
import { PENDING_GRACE, PRUNE_GRACE, UPGRADE_TIMEOUT } from '../limits.ts'
import { identifyService } from '../protocols/identify/service.ts'
import { relayServer } from '../protocols/relay/hop.ts'
import { relayClient } from '../protocols/relay/service.ts'
import { echo } from '../testing/echo.ts'
import { World, type WorldNode } from '../testing/world.ts'
import { networkOf } from './capacity.ts'
import type { Connection } from './connection.ts'
import type { NodeOptions } from './node.ts'

const FROM = parseMultiaddr('/memory/0')

const nodeIn = (world: World, limits: NodeOptions['limits'] = {}): WorldNode => world.node(() => ({ services: [echo()], limits }))

/** `from` comes to `to` as if from `where`; answers with what became of it there. */
const come = (world: World, from: WorldNode, to: WorldNode, where: Multiaddr = FROM): string => {
  const [near, far] = world.pipe()
  let got: string | undefined
  to.node.accept({ t: 'pipe', channel: far, transport: 'memory', remoteAddr: where }, (outcome) => {
    got = outcome.ok ? 'ok' : outcome.fault.code
  })
  from.node.adopt({ t: 'pipe', channel: near, transport: 'memory', remoteAddr: where }, to.node.self, () => {})
  world.run(1_000, () => got !== undefined)
  return got ?? 'nothing'
}

const dial = (world: World, from: WorldNode, to: WorldNode): string => {
  let got: string | undefined
  from.node.dial({ addresses: [to.address] }, (outcome) => {
    got = outcome.ok ? 'ok' : (outcome.fault.errors[0]?.code ?? outcome.fault.code)
  })
  world.run(60_000, () => got !== undefined)
  return got ?? 'nothing'
}

/** Those that are not saying goodbye. */
const peersOf = ({ node }: WorldNode): string[] =>
  node.connections().flatMap(({ remotePeer, status }) => (status === 'open' ? [remotePeer] : []))

describe('a node that is full', () => {
  it('has the least worth give way, and says so', () => {
    const world = new World(1)
    const a = nodeIn(world, { max: 3 })
    const [friend, stranger, kept, newcomer, another] = [1, 2, 3, 4, 5].map(() => nodeIn(world)) as WorldNode[] as [
      WorldNode,
      WorldNode,
      WorldNode,
      WorldNode,
      WorldNode,
    ]
    for (const each of [kept, friend, stranger]) expect(come(world, each, a)).toBe('ok')
    a.node.tag(kept.node.self, 'keep-alive-test', 1)
    a.node.peerStore.update(friend.node.self, { tags: { friend: 10 } }, a.node.host.date())
    world.run(PRUNE_GRACE)
    expect(come(world, newcomer, a)).toBe('ok')
    expect(peersOf(a)).not.toContain(stranger.node.self)
    world.run(1_000)
    const closed = a.events.find((event) => event.t === 'connection:close')
    expect(closed?.t === 'connection:close' && [closed.connection.remotePeer, closed.fault?.code]).toEqual([
      stranger.node.self,
      'ERR_CONNECTION_LIMIT',
    ])
    expect(stranger.node.connections()).toEqual([])
    // What is left is worth more than a stranger, or has only just come.
    expect(come(world, another, a)).toBe('ERR_CONNECTION_LIMIT')
    // We dial on purpose: the friend gives way to that, the one kept alive to nobody.
    expect(dial(world, a, another)).toBe('ok')
    expect(peersOf(a)).toEqual([kept.node.self, newcomer.node.self, another.node.self])
    expect(dial(world, a, friend)).toBe('ERR_CONNECTION_LIMIT')
  })

  it('takes a peer in that is worth more than somebody who is here', () => {
    const world = new World(2)
    const a = nodeIn(world, { max: 1 })
    const [one, other] = [nodeIn(world), nodeIn(world)]
    come(world, one, a)
    a.node.tag(one.node.self, 'known', 30)
    world.run(PRUNE_GRACE)
    expect(come(world, other, a)).toBe('ERR_CONNECTION_LIMIT')
    a.node.tag(other.node.self, 'known', 40)
    expect(come(world, other, a)).toBe('ok')
    expect(peersOf(a)).toEqual([other.node.self])
    a.node.tag(other.node.self, 'known', undefined)
    world.run(PRUNE_GRACE)
    expect(come(world, one, a)).toBe('ok')
  })

  it('gives at most an eighth of its places to newcomers in ten seconds: a flood washes nobody out', () => {
    const world = new World(3)
    const a = nodeIn(world, { max: 40 })
    const friends = [...Array(40).keys()].map(() => nodeIn(world))
    for (const friend of friends) expect(come(world, friend, a)).toBe('ok')
    world.run(PRUNE_GRACE)
    const codes: Record<string, number> = {}
    for (let i = 0; i < 200; i += 1) {
      const code = come(world, nodeIn(world), a)
      codes[code] = (codes[code] ?? 0) + 1
    }
    expect(codes).toEqual({ ok: 5, ERR_CONNECTION_LIMIT: 195 })
    const here = new Set(peersOf(a))
    expect(here.size).toBe(40)
    expect(friends.filter(({ node }) => here.has(node.self)).length).toBe(35)
  })

  it('is never over its limit by more than those that are saying goodbye', () => {
    const world = new World(4)
    const a = nodeIn(world, { max: 4 })
    const here: WorldNode[] = []
    for (let i = 0; i < 12; i += 1) {
      const newcomer = nodeIn(world)
      here.push(newcomer)
      expect(dial(world, a, newcomer)).toBe('ok')
      expect(a.node.connections().filter(({ status }) => status === 'open').length).toBeLessThanOrEqual(4)
      world.run(PRUNE_GRACE)
      expect(a.node.connections().length).toBeLessThanOrEqual(4)
    }
    expect(peersOf(a)).toEqual(here.slice(-4).map(({ node }) => node.self))
  })

  it('keeps who has streams open, if somebody else has none', () => {
    const world = new World(5)
    const a = nodeIn(world, { max: 2 })
    const [busy, idle] = [nodeIn(world), nodeIn(world)]
    for (const each of [busy, idle]) come(world, each, a)
    const stream = (busy.node.connections()[0] as Connection).openStream(['/echo/1'])
    stream.attach({ onData: () => {}, onEnd: () => {}, onClose: () => expect.unreachable() })
    world.run(PRUNE_GRACE)
    expect(come(world, nodeIn(world), a)).toBe('ok')
    expect(peersOf(a)).toContain(busy.node.self)
    expect(peersOf(a)).not.toContain(idle.node.self)
  })
})

describe('one public address', () => {
  it('has half of all places, a machine of ours or a private network all of them', () => {
    for (const [where, most] of [
      ['/ip4/198.51.100.7/tcp/1', 4],
      ['/ip6/2001:db8:1:2::1/tcp/1', 4],
      ['/ip4/127.0.0.1/tcp/1', 8],
      ['/ip4/172.17.0.1/tcp/1', 8],
    ] as const) {
      const world = new World(10)
      const a = nodeIn(world, { max: 8 })
      const codes = [...Array(9).keys()].map((port) => come(world, nodeIn(world), a, parseMultiaddr(where.replace(/1$/, `${port + 1}`))))
      expect([where, codes.filter((code) => code === 'ok').length]).toEqual([where, most])
      if (most === 4) expect(come(world, nodeIn(world), a, parseMultiaddr('/ip4/198.51.100.8/tcp/1'))).toBe('ok')
    }
  })

  it('has its places back when its connections close', () => {
    const world = new World(11)
    const a = nodeIn(world, { maxPerIp: 1 })
    const where = parseMultiaddr('/ip4/198.51.100.7/tcp/1')
    expect(come(world, nodeIn(world), a, where)).toBe('ok')
    expect(come(world, nodeIn(world), a, where)).toBe('ERR_CONNECTION_LIMIT')
    a.node.connections()[0]?.close()
    world.run(1_000)
    expect(come(world, nodeIn(world), a, where)).toBe('ok')
  })

  it('is an IPv4 address or a /64, whoever carries it', () => {
    const network = (text: string): string | undefined => networkOf(parseMultiaddr(text))
    expect(network('/ip4/198.51.100.7/tcp/1')).toBe('198.51.100.7')
    expect(network('/ip6/::ffff:198.51.100.7/tcp/1')).toBe('198.51.100.7')
    expect(network('/ip6/2001:db8:1:2:3::4/tcp/1')).toBe('20010db800010002/64')
    expect(network('/ip6/2001:db8:1:2::9/udp/9/quic-v1')).toBe('20010db800010002/64')
    for (const nobody of ['/ip6/::1/tcp/1', '/ip4/10.1.1.1/tcp/1', '/dns/relay.example/tcp/1', '/memory/1'])
      expect(network(nobody)).toBeUndefined()
    const relayed = '/ip4/198.51.100.7/tcp/1/ws/p2p/12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5/p2p-circuit'
    expect(network(relayed)).toBeUndefined()
  })
})

describe('connections that are being secured', () => {
  const knock = (world: World, to: WorldNode, where: Multiaddr = FROM): { code: string | undefined } => {
    const [, far] = world.pipe()
    const heard = { code: undefined as string | undefined }
    to.node.accept({ t: 'pipe', channel: far, transport: 'memory', remoteAddr: where }, (outcome) => {
      heard.code = outcome.ok ? 'ok' : outcome.fault.code
    })
    return heard
  }

  it('give way when all places are taken, if they had their time; else the newcomer is refused', () => {
    const world = new World(20)
    const a = nodeIn(world, { maxIncomingPending: 4 })
    const silent = [1, 2, 3, 4].map(() => knock(world, a))
    expect(knock(world, a).code).toBe('ERR_CONNECTION_LIMIT')
    world.run(PENDING_GRACE)
    expect(come(world, nodeIn(world), a)).toBe('ok')
    expect(silent.map(({ code }) => code)).toEqual(['ERR_CONNECTION_LIMIT', undefined, undefined, undefined])
    world.run(UPGRADE_TIMEOUT)
    expect(silent.map(({ code }) => code)).toEqual(['ERR_CONNECTION_LIMIT', 'ERR_TIMEOUT', 'ERR_TIMEOUT', 'ERR_TIMEOUT'])
    expect(a.node.pending).toBe(0)
  })

  it('have half of the places where they come from one public address', () => {
    const world = new World(21)
    const a = nodeIn(world, { maxIncomingPending: 8 })
    const where = parseMultiaddr('/ip4/198.51.100.7/tcp/1')
    const codes = [...Array(8).keys()].map(() => knock(world, a, where).code)
    expect(codes).toEqual([undefined, undefined, undefined, undefined, ...Array(4).fill('ERR_CONNECTION_LIMIT')])
    expect(come(world, nodeIn(world), a)).toBe('ok')
    world.run(UPGRADE_TIMEOUT)
    expect(come(world, nodeIn(world), a, where)).toBe('ok')
  })
})

describe('relays', () => {
  it('are kept by those who hold a slot there, and those who hold one by the relay', () => {
    const world = new World(30)
    const server = relayServer()
    const relay = world.node(() => ({ services: [identifyService(), server.service], limits: { max: 3 } }))
    const client = relayClient({ relays: [relay.address] })
    const a = world.node(() => ({ services: [identifyService(), client], transports: [client], limits: { max: 2 } }))
    world.run(2_000)
    expect(a.node.tags(relay.node.self)).toEqual({ 'keep-alive-relay': 90 })
    expect(relay.node.tags(a.node.self)).toEqual({ 'relay-reservation': 20 })
    come(world, nodeIn(world), a)
    for (let i = 0; i < 3; i += 1) {
      world.run(PRUNE_GRACE)
      expect(come(world, nodeIn(world), a)).toBe('ok')
      expect(come(world, nodeIn(world), relay)).toBe('ok')
    }
    expect(peersOf(a)).toContain(relay.node.self)
    expect(peersOf(relay)).toContain(a.node.self)
    relay.node.connections(a.node.self)[0]?.close()
    world.run(100)
    expect([a.node.tags(relay.node.self), relay.node.tags(a.node.self)]).toEqual([{}, {}])
    // It is the relay client that goes back there, once, and not the tag.
    world.run(2_000)
    expect(a.node.tags(relay.node.self)).toEqual({ 'keep-alive-relay': 90 })
    expect(a.node.connections(relay.node.self).length).toBe(1)
  })

  it('are worth the circuits that they carry, on either side', () => {
    const world = new World(31)
    const relay = world.node(() => ({ services: [identifyService(), relayServer().service] }))
    const held = relayClient({ relays: [relay.address] })
    const b = world.node(() => ({ services: [identifyService(), held], transports: [held] }))
    const client = relayClient()
    const a = world.node(() => ({ services: [identifyService(), client], transports: [client] }))
    world.run(2_000)
    a.node.dial({ addresses: [parseMultiaddr(`${relay.address.text}/p2p-circuit/p2p/${b.node.self}`)] }, () => {})
    world.run(1_000)
    expect(a.node.tags(relay.node.self)).toEqual({ 'relay-circuit': 90 })
    expect(b.node.tags(relay.node.self)).toEqual({ 'keep-alive-relay': 90, 'relay-circuit': 90 })
    a.node.hangUp(b.node.self)
    world.run(6_000)
    expect(a.node.tags(relay.node.self)).toEqual({})
    expect(b.node.tags(relay.node.self)).toEqual({ 'keep-alive-relay': 90 })
  })
})
