/**
 * Floods of connections and of addresses: bounded, each with a code, and the node goes on.
 */

import { describe, expect, it } from 'vitest'
import { fromUtf8, utf8 } from '../codec/bytes.ts'
import { encapsulate, type Multiaddr, parseMultiaddr } from '../codec/multiaddr.ts'
import { CONNECTIONS_MAX_PENDING_INBOUND, DIAL_MAX_ADDRESSES, DIAL_TIMEOUT, PEER_STORE_MAX_ADDRESSES, UPGRADE_TIMEOUT } from '../limits.ts'
import { identifyService } from '../protocols/identify/service.ts'
import { pingService } from '../protocols/ping/service.ts'
import { echo } from '../testing/echo.ts'
import { scriptedTransport } from '../testing/scripted-transport.ts'
import { World, type WorldNode } from '../testing/world.ts'
import type { Channel } from '../wire/channel.ts'
import type { Connection } from './connection.ts'
import type { NodeOptions } from './node.ts'

const nodeIn = (world: World, more: Partial<NodeOptions> = {}): WorldNode =>
  world.node(() => ({ services: [identifyService(), pingService(), echo()], ...more }))

/** A remote that opens a pipe and says nothing more; what becomes of it. */
const knock = (world: World, to: WorldNode, where: Multiaddr): { pipe: Channel; code: string | undefined } => {
  const [near, far] = world.pipe()
  const heard = { pipe: near, code: undefined as string | undefined }
  to.node.accept({ t: 'pipe', channel: far, transport: 'tcp', remoteAddr: where }, (outcome) => {
    heard.code = outcome.ok ? 'ok' : outcome.fault.code
  })
  return heard
}

const says = (world: World, connection: Connection, text: string): string => {
  let heard = ''
  const stream = connection.openStream(['/echo/1'])
  stream.attach({
    onData(bytes) {
      heard += fromUtf8(bytes)
      stream.release(bytes.length)
    },
    onEnd: () => {},
    onClose: () => {},
  })
  stream.write(utf8(text))
  stream.end()
  world.run(1_000, () => heard.length >= text.length)
  return heard
}

const connect = (world: World, from: WorldNode, to: WorldNode): Connection => {
  let got: Connection | string | undefined
  from.node.dial({ addresses: [to.address] }, (outcome) => {
    got = outcome.ok ? outcome.value : (outcome.fault.errors[0]?.code ?? outcome.fault.code)
  })
  world.run(60_000, () => got !== undefined)
  if (got === undefined || typeof got === 'string') throw new Error(`no connection: ${got}`)
  return got
}

const from = (n: number): Multiaddr => parseMultiaddr(`/ip4/198.${18 + (n >> 16)}.${(n >> 8) & 255}.${n & 255}/tcp/1`)

describe('a thousand half-open inbound connections', () => {
  it('at once: so many wait as may, the others are refused, and those who are connected notice nothing', () => {
    const world = new World(1)
    const victim = nodeIn(world)
    const friend = nodeIn(world)
    const connection = connect(world, friend, victim)
    world.run(1_000)
    const flood = [...Array(1_000).keys()].map((n) => knock(world, victim, from(n)))
    expect(victim.node.pending).toBe(CONNECTIONS_MAX_PENDING_INBOUND)
    expect(flood.filter(({ code }) => code === 'ERR_CONNECTION_LIMIT').length).toBe(1_000 - CONNECTIONS_MAX_PENDING_INBOUND)
    expect(says(world, connection, 'hello')).toBe('hello')
    world.run(UPGRADE_TIMEOUT)
    expect(flood.filter(({ code }) => code === 'ERR_TIMEOUT').length).toBe(CONNECTIONS_MAX_PENDING_INBOUND)
    expect([victim.node.pending, victim.node.connections().length]).toEqual([0, 1])
    expect(connect(world, nodeIn(world), victim).status).toBe('open')
  })

  it('in forty seconds, from as many addresses: whoever means it gets in all the while', () => {
    const world = new World(2)
    const victim = nodeIn(world)
    const flood: { code: string | undefined }[] = []
    for (let n = 0; n < 1_000; n += 1) world.after(n * 40, () => flood.push(knock(world, victim, from(n))))
    let most = 0
    for (let turn = 1; turn <= 9; turn += 1) {
      world.run(4_000, () => {
        most = Math.max(most, victim.node.pending)
        return false
      })
      // A refusal is tried again at once, as people do.
      const newcomer = nodeIn(world)
      let tries = 0
      for (let connected = false; !connected && tries < 20; tries += 1) {
        let done = false
        newcomer.node.dial({ addresses: [victim.address] }, (outcome) => {
          done = true
          connected = outcome.ok
        })
        world.run(1_000, () => done)
        if (connected) connected = world.run(100, () => victim.node.connections(newcomer.node.self).length > 0)
      }
      expect(victim.node.connections(newcomer.node.self).length).toBe(1)
    }
    world.run(UPGRADE_TIMEOUT + 10_000)
    expect(most).toBe(CONNECTIONS_MAX_PENDING_INBOUND)
    expect(flood.length).toBe(1_000)
    expect(flood.every(({ code }) => code === 'ERR_CONNECTION_LIMIT' || code === 'ERR_TIMEOUT')).toBe(true)
    expect([victim.node.pending, victim.node.connections().length]).toEqual([0, 9])
  })

  it('from one address: half of the places are left to others', () => {
    const world = new World(3)
    const victim = nodeIn(world)
    for (let n = 0; n < 1_000; n += 1) knock(world, victim, from(7))
    expect(victim.node.pending).toBe(CONNECTIONS_MAX_PENDING_INBOUND / 2)
    expect(connect(world, nodeIn(world), victim).status).toBe('open')
  })

  it('that are closed again at once leave nothing', () => {
    const world = new World(4)
    const victim = nodeIn(world)
    world.run(1_000)
    const before = world.waiting
    for (let n = 0; n < 1_000; n += 1) {
      const { pipe } = knock(world, victim, from(n))
      pipe.end()
      world.run(25)
    }
    world.run(UPGRADE_TIMEOUT)
    expect([victim.node.pending, victim.node.connections(), world.waiting]).toEqual([0, [], before])
  })

  it('that a gater is asked about, and never answers', () => {
    const world = new World(5)
    let asked = 0
    const victim = nodeIn(world, { gater: { accept: () => void (asked += 1) } })
    const flood = [...Array(1_000).keys()].map((n) => knock(world, victim, from(n)))
    expect(asked).toBe(CONNECTIONS_MAX_PENDING_INBOUND)
    world.run(UPGRADE_TIMEOUT)
    expect(flood.filter(({ code }) => code === 'ERR_GATED').length).toBe(CONNECTIONS_MAX_PENDING_INBOUND)
    expect(victim.node.pending).toBe(0)
  })
})

describe('ten thousand addresses of one peer', () => {
  const many = [...Array(10_000).keys()].map((n) => from(n))

  it('that somebody told us: so many are kept, so many are tried, and the one through our relay is among them', () => {
    const world = new World(10)
    const tcp = scriptedTransport(world)
    tcp.fates.set('*', 'silent')
    const b = nodeIn(world)
    const relayed: Multiaddr[] = []
    const a = world.node(() => ({
      services: [
        {
          name: 'routes',
          protocols: {},
          routes: (peer) => [parseMultiaddr(`/ip4/192.0.2.1/tcp/1/p2p/${peer}/p2p-circuit/p2p/${b.node.self}`)],
        },
      ],
      transports: [
        tcp,
        {
          name: 'relay',
          matches: ({ text }) => text.includes('/p2p-circuit'),
          dial: (address) => {
            relayed.push(address)
            return () => {}
          },
        },
      ],
    }))
    a.node.peerStore.update(b.node.self, { addresses: many }, a.node.host.date())
    expect(a.node.peerStore.get(b.node.self)?.addresses.length).toBe(PEER_STORE_MAX_ADDRESSES)
    let errors: readonly unknown[] = []
    a.node.dial({ peer: b.node.self, addresses: [] }, (outcome) => {
      if (!outcome.ok) errors = outcome.fault.errors
    })
    world.run(DIAL_TIMEOUT)
    expect(errors.length).toBe(DIAL_MAX_ADDRESSES)
    expect(tcp.running).toBe(0)
    expect(world.waiting).toBe(0)
  })

  it('that a caller names: likewise, and the error is of a size that can be read', () => {
    const world = new World(11)
    const tcp = scriptedTransport(world, { '*': { after: 1 } })
    const a = world.node(() => ({ services: [], transports: [tcp] }))
    let message = ''
    a.node.dial({ addresses: many }, (outcome) => {
      if (!outcome.ok) message = outcome.fault.message
    })
    world.run(DIAL_TIMEOUT)
    expect(message).toContain('and 22 more')
    expect(message.length).toBeLessThan(500)
    expect(tcp.log.filter((line) => line.includes('begins')).length).toBe(DIAL_MAX_ADDRESSES)
  })

  it('that stand in DNS: a hundred are taken, and twenty-five tried', () => {
    const world = new World(12)
    const tcp = scriptedTransport(world, { '*': { after: 1 } })
    const a = world.node(() => ({
      services: [],
      transports: [tcp],
      lookUpTxt: (_name, done) => world.after(5, () => done({ ok: true, value: many.map(({ text }) => `dnsaddr=${text}`) })),
    }))
    let code: string | undefined
    a.node.dial({ addresses: [parseMultiaddr('/dnsaddr/flood.example')] }, (outcome) => {
      code = outcome.ok ? 'ok' : outcome.fault.code
    })
    world.run(DIAL_TIMEOUT)
    expect(code).toBe('ERR_DIAL_FAILED')
    expect(tcp.log.filter((line) => line.includes('begins')).length).toBe(DIAL_MAX_ADDRESSES)
  })
})

it('a thousand dials of a thousand peers at once: none is lost, and nothing of them stays', () => {
  const world = new World(20)
  const tcp = scriptedTransport(world, { '*': 'silent' })
  const a = world.node(() => ({ services: [], transports: [tcp] }))
  const self = nodeIn(world).node.self
  const codes: Record<string, number> = {}
  for (let n = 0; n < 1_000; n += 1) {
    a.node.dial({ addresses: [encapsulate(from(n), `/p2p/${self}`)] }, (outcome) => {
      const code = outcome.ok ? 'ok' : outcome.fault.code
      codes[code] = (codes[code] ?? 0) + 1
    })
  }
  world.run(DIAL_TIMEOUT)
  expect(Object.values(codes).reduce((sum, each) => sum + each, 0)).toBe(1_000)
  expect([a.node.pending, tcp.running, world.waiting]).toEqual([0, 0, 0])
})
