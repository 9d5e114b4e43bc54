import { describe, expect, it } from 'vitest'
import { TabmeshError } from '../../errors.ts'
import { parseMultiaddr } from '../codec/multiaddr.ts'
import type { PeerId } from '../codec/peer-id.ts'
import { KEEP_ALIVE_MAX, KEEP_ALIVE_PARALLEL, KEEP_ALIVE_RETRY_MAX, KEEP_ALIVE_RETRY_MIN } from '../limits.ts'
import { property } from '../testing/property.ts'
import { scriptedTransport } from '../testing/scripted-transport.ts'
import { World, type WorldNode } from '../testing/world.ts'
import { KeepAlive, type KeepAliveInput } from './keep-alive.ts'

const peer = (n: number): PeerId => `peer ${n}` as PeerId
const polled = (machine: KeepAlive): PeerId[] => {
  const peers: PeerId[] = []
  for (let next = machine.poll(); next !== undefined; next = machine.poll()) peers.push(next)
  return peers
}

describe('the machine', () => {
  it('waits a tenth of the time that a peer has been away, from one second to one minute', () => {
    const machine = new KeepAlive(() => 0.9999)
    let now = 0
    machine.handle({ t: 'away', peer: peer(1) }, now)
    const waits: number[] = []
    while (now < 3_600_000) {
      expect(polled(machine)).toEqual([])
      const { deadline } = machine
      if (deadline === undefined) throw new Error('it waits for nothing')
      waits.push(deadline - now)
      now = deadline
      machine.handle({ t: 'time' }, now)
      expect(polled(machine)).toEqual([peer(1)])
      machine.handle({ t: 'failed', peer: peer(1) }, now)
    }
    expect(waits[0]).toBe(KEEP_ALIVE_RETRY_MIN)
    expect(waits.at(-1)).toBeGreaterThan(KEEP_ALIVE_RETRY_MAX * 0.99)
    expect(Math.max(...waits)).toBeLessThanOrEqual(KEEP_ALIVE_RETRY_MAX)
    expect(waits.length).toBeLessThan(110)
  })

  it('has five dials at a time, the longest waiting first, and remembers 256 peers', () => {
    const machine = new KeepAlive(() => 0)
    for (let n = 0; n < 1_000; n += 1) machine.handle({ t: 'away', peer: peer(n) }, 0)
    machine.handle({ t: 'time' }, 500)
    const first = polled(machine)
    expect(first).toEqual([0, 1, 2, 3, 4].map(peer))
    expect(machine.deadline).toBeUndefined()
    const seen = new Set(first)
    const queue = [...first]
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      machine.handle({ t: 'settled', peer: next }, 600)
      for (const each of polled(machine)) {
        seen.add(each)
        queue.push(each)
      }
    }
    expect(seen.size).toBe(KEEP_ALIVE_MAX)
    expect(machine.deadline).toBeUndefined()
  })

  it('forgets who is settled, and is not told twice who is away', () => {
    const machine = new KeepAlive(() => 0)
    machine.handle({ t: 'away', peer: peer(1) }, 0)
    machine.handle({ t: 'away', peer: peer(1) }, 400)
    expect(machine.deadline).toBe(500)
    machine.handle({ t: 'settled', peer: peer(1) }, 450)
    expect(machine.deadline).toBeUndefined()
    machine.handle({ t: 'failed', peer: peer(1) }, 460)
    machine.handle({ t: 'time' }, 1_000)
    expect(polled(machine)).toEqual([])
  })

  it('waits no longer when the network is there again', () => {
    const machine = new KeepAlive(() => 0)
    machine.handle({ t: 'away', peer: peer(1) }, 0)
    machine.handle({ t: 'time' }, 500)
    polled(machine)
    machine.handle({ t: 'failed', peer: peer(1) }, 3_600_000)
    expect(machine.deadline).toBe(3_630_000)
    machine.handle({ t: 'online' }, 3_600_100)
    expect(machine.deadline).toBe(3_600_600)
  })

  it('never has more than five dials under way, and always something to wait for while somebody is away', () => {
    property(50, (random) => {
      const machine = new KeepAlive(() => random.below(1_000) / 1_000)
      const dialling = new Set<PeerId>()
      const away = new Set<PeerId>()
      let now = 0
      for (let step = 0; step < 300; step += 1) {
        now += random.below(2_000)
        const who = peer(random.below(20))
        const t = (['away', 'settled', 'failed', 'time', 'online'] as const)[random.below(5)] as KeepAliveInput['t']
        machine.handle((t === 'time' || t === 'online' ? { t } : { t, peer: who }) as KeepAliveInput, now)
        if (t === 'away') away.add(who)
        if (t === 'settled') away.delete(who)
        if (t === 'settled' || t === 'failed') dialling.delete(who)
        for (const each of polled(machine)) {
          expect(dialling.has(each)).toBe(false)
          expect(away.has(each)).toBe(true)
          dialling.add(each)
        }
        expect(dialling.size).toBeLessThanOrEqual(KEEP_ALIVE_PARALLEL)
        if (away.size > dialling.size && dialling.size < KEEP_ALIVE_PARALLEL) expect(machine.deadline).toBeDefined()
      }
    })
  })
})

describe('a peer that is kept alive', () => {
  const scene = (seed: number) => {
    const world = new World(seed)
    const a = world.node(() => ({ services: [] }))
    const b = world.node(() => ({ services: [] }))
    const know = (): void => void a.node.peerStore.update(b.node.self, { addresses: [b.address] }, a.node.host.date())
    const connect = (): void => {
      a.node.dial({ addresses: [b.address] }, () => {})
      world.run(100)
    }
    const connected = (to: WorldNode = b): boolean => a.node.connections(to.node.self).some(({ status }) => status === 'open')
    const lose = (): void => {
      // The listener has its connection later than the dialer.
      world.run(50)
      for (const connection of b.node.connections()) connection.abort(new TabmeshError('ERR_CONNECTION_CLOSED', 'a test'))
      world.run(50)
    }
    return { world, a, b, know, connect, connected, lose }
  }

  it('is dialled again within moments when its connection is lost; others are not', () => {
    const { world, a, b, know, connect, connected, lose } = scene(1)
    know()
    connect()
    lose()
    world.run(60_000)
    expect(connected()).toBe(false)
    connect()
    a.node.tag(b.node.self, 'keep-alive-friend', 1)
    lose()
    expect(connected()).toBe(false)
    expect(world.run(KEEP_ALIVE_RETRY_MIN + 100, () => connected())).toBe(true)
    a.node.tag(b.node.self, 'keep-alive-friend', undefined)
    lose()
    world.run(60_000)
    expect(connected()).toBe(false)
  })

  it('is dialled when it is tagged while away, by a service or in the peer store', () => {
    for (const tag of ['node', 'store'] as const) {
      const { world, a, b, know, connected } = scene(2)
      know()
      if (tag === 'node') a.node.tag(b.node.self, 'keep-alive', 1)
      else {
        a.node.peerStore.update(b.node.self, { tags: { 'keep-alive': 1 } }, a.node.host.date())
        a.node.tagged(b.node.self)
      }
      expect(world.run(KEEP_ALIVE_RETRY_MIN + 100, () => connected())).toBe(true)
    }
  })

  it('comes back within a minute after a night away, and costs a dial a minute meanwhile', () => {
    const world = new World(3)
    const b = world.node(() => ({ services: [] }))
    const where = '/ip4/9.9.9.9/tcp/1'
    const tcp = scriptedTransport(world, { [where]: { after: 10 } })
    const a = world.node(() => ({ services: [], transports: [tcp] }))
    // It said so itself: that counts for a week.
    a.node.peerStore.update(b.node.self, { addresses: [parseMultiaddr(where)] }, a.node.host.date(), true)
    a.node.tag(b.node.self, 'keep-alive', 1)
    const night = 8 * 3_600_000
    world.run(night)
    const dials = tcp.log.filter((line) => line.includes('begins')).length
    expect(dials).toBeGreaterThan(night / KEEP_ALIVE_RETRY_MAX / 2)
    expect(dials).toBeLessThan((2 * night) / KEEP_ALIVE_RETRY_MAX + 120)
    tcp.fates.set(where, { after: 10, to: b.node })
    expect(world.run(KEEP_ALIVE_RETRY_MAX + 100, () => a.node.connections(b.node.self).length === 1)).toBe(true)
  })

  it('is dialled within a second when the network is there again, however long the wait or the dial', () => {
    const world = new World(8)
    const b = world.node(() => ({ services: [] }))
    const where = '/ip4/9.9.9.9/tcp/1'
    const tcp = scriptedTransport(world, { [where]: { after: 10 } })
    const a = world.node(() => ({ services: [], transports: [tcp] }))
    a.node.peerStore.update(b.node.self, { addresses: [parseMultiaddr(where)] }, a.node.host.date(), true)
    a.node.tag(b.node.self, 'keep-alive', 1)
    world.run(1_200_000)
    for (const fate of [{ after: 10 }, 'silent'] as const) {
      tcp.fates.set(where, fate)
      world.run(61_000)
      if (fate === 'silent') world.run(120_000, () => tcp.running === 1)
      tcp.fates.set(where, { after: 10, to: b.node })
      a.node.online()
      expect(world.run(KEEP_ALIVE_RETRY_MIN + 100, () => a.node.connections().length === 1)).toBe(true)
      world.run(100)
      tcp.fates.set(where, { after: 10 })
      b.node.connections()[0]?.abort(new TabmeshError('ERR_CONNECTION_CLOSED', 'a test'))
      world.run(1_200_000)
    }
  })

  it('is let go when it is hung up on, until it is connected again', () => {
    const { world, a, b, know, connect, connected, lose } = scene(4)
    know()
    connect()
    a.node.tag(b.node.self, 'keep-alive', 1)
    a.node.hangUp(b.node.self)
    world.run(60_000)
    expect(connected()).toBe(false)
    connect()
    lose()
    expect(world.run(KEEP_ALIVE_RETRY_MIN + 100, () => connected())).toBe(true)
    // Hung up on while it is away: no dial any more.
    lose()
    a.node.hangUp(b.node.self)
    world.run(60_000)
    expect([connected(), a.node.pending]).toEqual([false, 0])
  })

  it('costs no timer once the node has stopped', () => {
    const { world, a, b, know, connect, lose } = scene(5)
    know()
    connect()
    a.node.tag(b.node.self, 'keep-alive', 1)
    lose()
    let stopped = 0
    for (const { node } of [a, b]) node.stop(() => (stopped += 1))
    world.run(10_000)
    expect([stopped, world.waiting]).toEqual([2, 0])
  })

  it('is one of fifty that are lost at once: five dials at a time, and all come back', () => {
    const world = new World(6)
    const a = world.node(() => ({ services: [] }))
    const others = [...Array(50).keys()].map(() => world.node(() => ({ services: [] })))
    for (const { node, address } of others) {
      a.node.peerStore.update(node.self, { addresses: [address] }, a.node.host.date())
      a.node.tag(node.self, 'keep-alive', 1)
    }
    const all = (): boolean => a.node.connections().length === 50
    let most = 0
    const until = (): boolean => {
      most = Math.max(most, a.node.pending)
      return all()
    }
    expect(world.run(60_000, until)).toBe(true)
    world.cutAll()
    world.run(100)
    expect(a.node.connections()).toEqual([])
    expect(world.run(60_000, until)).toBe(true)
    expect(most).toBe(KEEP_ALIVE_PARALLEL)
  })
})
