/** Nodes with and without a pre-shared key: who reaches whom, over what, and what the others are told. */

import { describe, expect, it } from 'vitest'
import { TabmeshError } from '../../errors.ts'
import { parseMultiaddr } from '../codec/multiaddr.ts'
import { identifyService } from '../protocols/identify/service.ts'
import { pingService } from '../protocols/ping/service.ts'
import { World, type WorldNode } from '../testing/world.ts'
import type { Outcome } from '../wire/conversation.ts'
import type { Muxer } from '../wire/muxer.ts'
import { pnetShield } from '../wire/pnet.ts'
import type { Connection } from './connection.ts'
import type { Link } from './service.ts'

const key = (fill: number) => ({ shield: pnetShield(new Uint8Array(32).fill(fill)) })

const node = (world: World, options: ReturnType<typeof key> | object = {}): WorldNode & { ping: ReturnType<typeof pingService> } => {
  const ping = pingService()
  return { ...world.node(() => ({ services: [identifyService(), ping], ...options })), ping }
}

const dial = (world: World, from: WorldNode, address: string): Outcome<Connection> => {
  let got: Outcome<Connection> | undefined
  from.node.dial({ addresses: [parseMultiaddr(address)] }, (outcome) => {
    got = outcome
  })
  world.run(60_000, () => got !== undefined)
  return got as Outcome<Connection>
}

/** What a failed dial says of its one address. */
const reasonOf = (outcome: Outcome<Connection>): TabmeshError => {
  if (outcome.ok) throw new Error('it was reached')
  expect(outcome.fault.code).toBe('ERR_DIAL_FAILED')
  return outcome.fault.errors[0] as TabmeshError
}

describe('nodes with the same key', () => {
  it('connect, know and ping each other, and pay no round trip for it', () => {
    const world = new World(1)
    const [a, b] = [node(world, key(1)), node(world, key(1))]
    const began = world.now
    const outcome = dial(world, a, b.address.text)
    expect(outcome.ok).toBe(true)
    // As many as without a key.
    expect(world.now - began).toBe(40)
    world.run(1_000)
    expect(a.node.peerStore.get(b.node.self)?.protocols).toContain('/ipfs/ping/1.0.0')
    let rtt: unknown
    a.ping.ping((outcome as { value: Connection }).value, (pong) => {
      rtt = pong
    })
    world.run(1_000)
    expect(rtt).toEqual({ ok: true, value: 20 })
  })
})

describe('nodes of different networks', () => {
  it.each([
    ['another key', key(1), key(2)],
    ['a key where the other has none', key(1), {}],
  ])('do not connect: with %s the dialer is told that the key is the likely cause, and its next dial works', (_, ours, theirs) => {
    const world = new World(1)
    const [a, stranger, friend] = [node(world, ours), node(world, theirs), node(world, ours)]
    const began = world.now
    const reason = reasonOf(dial(world, a, stranger.address.text))
    expect([reason.code, reason.remote]).toEqual(['ERR_NETWORK_KEY', true])
    expect(world.now - began).toBeLessThan(100)
    expect(reason.message).toContain('the same key')
    expect(stranger.node.connections()).toEqual([])
    expect(dial(world, a, friend.address.text).ok).toBe(true)
  })

  it('do not connect where only the listener has a key', () => {
    const world = new World(1)
    const [a, b] = [node(world), node(world, key(1))]
    expect(['ERR_PROTOCOL', 'ERR_FRAME_TOO_LARGE', 'ERR_CONNECTION_CLOSED']).toContain(reasonOf(dial(world, a, b.address.text)).code)
    world.run(60_000)
    expect([a.node.connections(), b.node.connections(), b.node.pending]).toEqual([[], [], 0])
  })
})

describe('what would leave the network', () => {
  it.each([
    '/ip4/1.2.3.4/udp/4001/quic-v1',
    '/ip4/1.2.3.4/udp/4001/quic-v1/webtransport',
    '/ip4/1.2.3.4/udp/4001/webrtc-direct',
    '/memory/2/p2p/12D3KooWB1b3qZxWJanuhtseF3DmPggHCtG36KZ9ixkqHtdKH9fh/p2p-circuit/webrtc',
    '/ip4/1.2.3.4/udp/4001/quic-v1/p2p/12D3KooWB1b3qZxWJanuhtseF3DmPggHCtG36KZ9ixkqHtdKH9fh/p2p-circuit',
  ])('is not dialled: %s', (address) => {
    const world = new World(1)
    let dialled = 0
    const everything = {
      name: 'webrtc' as const,
      matches: () => true,
      dial: () => {
        dialled++
        return () => {}
      },
    }
    const a = node(world, { ...key(1), transports: [everything] })
    const reason = reasonOf(dial(world, a, address))
    expect([reason.code, dialled]).toEqual(['ERR_PRIVATE_NETWORK', 0])
    // Without a key it is up to the transport.
    const b = node(world, { transports: [everything] })
    b.node.dial({ addresses: [parseMultiaddr(address)] }, () => {})
    world.run(100)
    expect(dialled).toBe(1)
  })

  it('is not taken either, should a transport have made it', () => {
    const world = new World(1)
    const [a, b] = [node(world, key(1)), node(world)]
    const links: string[] = []
    const link = (): Link => ({
      t: 'muxed',
      muxer: { protocol: '/webrtc', attach() {}, abort: (fault: TabmeshError) => links.push(fault.code) } as unknown as Muxer,
      transport: 'webrtc',
      remoteAddr: parseMultiaddr('/memory/9/webrtc'),
      remotePeer: b.node.self,
      encryption: 'dtls',
    })
    const codes: unknown[] = []
    const done = (outcome: Outcome<Connection>) => codes.push(outcome.ok || outcome.fault.code)
    a.node.accept(link(), done)
    a.node.adopt(link(), b.node.self, done)
    expect(codes).toEqual(['ERR_PRIVATE_NETWORK', 'ERR_PRIVATE_NETWORK'])
    expect(links).toEqual(codes)
    expect(new TabmeshError('ERR_PRIVATE_NETWORK', 'x').message).toContain('pre-shared key')
  })
})
