import { afterEach, describe, expect, it } from 'vitest'
import { fromUtf8, utf8 } from '../engine/codec/bytes.ts'
import { parseMultiaddr } from '../engine/codec/multiaddr.ts'
import { PUBSUB_BACKLOG, PUBSUB_DEAF, PUBSUB_MAX_UNHEARD } from '../engine/limits.ts'
import type { Link } from '../engine/net/service.ts'
import { MESHSUB_13 } from '../engine/protocols/gossipsub/peer.ts'
import { type GossipsubService, gossipsubService } from '../engine/protocols/gossipsub/service.ts'
import { identifyService } from '../engine/protocols/identify/service.ts'
import { World, type WorldNode } from '../engine/testing/world.ts'
import { type Batch, Lane, Records } from './lane.ts'
import { type PubsubPort, type PubsubPortOptions, pubsubPort } from './pubsub-port.ts'
import { CHANGE, MESSAGE, PUBLISH, PUBLISHED } from './pubsub-records.ts'

const closers: (() => void)[] = []
afterEach(() => {
  for (const close of closers.splice(0)) close()
})

const settings = { signing: 'StrictNoSign', messageId: undefined, direct: [], params: {}, score: {} } as const

/** A page that takes what comes only when the test says so. */
class Page {
  readonly lane: Lane
  readonly batches: Batch[] = []

  constructor(port: MessagePort) {
    this.lane = new Lane(port, (batch) => this.batches.push(batch))
  }

  /** Kinds and data of what came. */
  take(): [number, string][] {
    const told: [number, string][] = []
    for (const batch of this.batches.splice(0)) {
      const records = new Records(batch)
      while (records.more) {
        const kind = records.next()
        if (kind === CHANGE) told.push([kind, `${records.text()} ${records.text() !== ''} ${records.u32()}`])
        else if (kind === PUBLISHED) told.push([kind, `${records.u32()} ${records.u32() - 1} ${records.bytes().length}`])
        else {
          for (let i = 0; i < 3; i++) records.text()
          for (let i = 0; i < 2; i++) records.bytes()
          told.push([kind, fromUtf8(records.bytes().subarray(0, 10))])
        }
      }
      this.lane.done()
    }
    return told
  }
}

interface Made extends WorldNode {
  readonly page: Page
  readonly pubsub: PubsubPort
}

const make = (world: World, options: Partial<PubsubPortOptions> = {}): Made => {
  const made = world.node(() => ({ services: [identifyService({ agent: 'tabmesh/1' })] }))
  const { port1, port2 } = new MessageChannel()
  const page = new Page(port2)
  const given = { settings, messageId: undefined, relays: [], reserved: new Set<string>(), fail: () => {}, ...options }
  const pubsub = pubsubPort(port1, made.node, given)
  closers.push(() => {
    pubsub.close()
    page.lane.close()
  })
  return { ...made, page, pubsub }
}

/** A peer that has no page. */
const other = (world: World): WorldNode & { service: GossipsubService; heard: string[] } => {
  const heard: string[] = []
  const service = gossipsubService({ signing: 'StrictNoSign', onMessage: ({ data }) => heard.push(fromUtf8(data.subarray(0, 10))) })
  const made = world.node(() => ({ services: [identifyService({ agent: 'tabmesh/1' }), service] }))
  return { ...made, service, heard }
}

const dial = (world: World, from: WorldNode, to: WorldNode): void => {
  from.node.dial({ addresses: [to.address] }, () => {})
  world.run(2_000)
}

/** What was posted is there. */
const turn = async (): Promise<void> => {
  for (let i = 0; i < 4; i++) await new Promise((resolve) => setImmediate(resolve))
}

const label = (i: number): string => `${i}`.padEnd(10)
const large = (i: number): Uint8Array => {
  const data = new Uint8Array(50_000).fill(32)
  data.set(utf8(label(i)))
  return data
}

describe('a page that does not take what comes', () => {
  it('makes its peers wait, and loses nothing where it wakes up in time', async () => {
    const world = new World(1)
    const [a, b] = [other(world), make(world)]
    dial(world, b, a)
    a.service.join('news')
    b.pubsub.subscribe('news', false)
    world.run(3_000)
    const count = Math.ceil(PUBSUB_MAX_UNHEARD / 50_000) + 60
    for (let i = 0; i < count; i++) a.service.publish('news', large(i))
    world.run(5_000)
    await turn()
    // The rest waits where it was published.
    expect(a.service.inspect().peers).toMatchObject([{ id: b.node.self, stalled: true }])
    expect(a.service.inspect().peers[0]?.queued).toBeGreaterThan(0)
    const told: string[] = []
    for (let i = 0; told.length < count; i++) {
      expect(i, 'rounds').toBeLessThan(1_000)
      for (const [kind, data] of b.page.take()) if (kind === MESSAGE) told.push(data)
      await turn()
      world.run(10)
    }
    expect(told).toEqual(Array.from({ length: count }, (_, i) => label(i)))
    expect([a.service.backlog, b.pubsub.inspect().dropped]).toEqual([0, 0])
  })

  it('for too long, is left behind: the mesh goes on, and what it missed is counted', async () => {
    const world = new World(2)
    const [a, b, c] = [other(world), make(world), other(world)]
    dial(world, b, a)
    dial(world, c, b)
    for (const { service } of [a, c]) service.join('news')
    b.pubsub.subscribe('news', false)
    world.run(3_000)
    const count = Math.ceil(PUBSUB_MAX_UNHEARD / 50_000) + 100
    for (let i = 0; i < count; i++) a.service.publish('news', large(i))
    world.run(5_000)
    await turn()
    expect(c.heard.length).toBeLessThan(count)
    world.run(PUBSUB_DEAF + 5_000)
    expect(c.heard).toEqual(Array.from({ length: count }, (_, i) => label(i)))
    const { dropped } = b.pubsub.inspect()
    expect(dropped).toBeGreaterThan(0)
    const told: [number, string][] = []
    for (let i = 0; i < 100; i++) {
      told.push(...b.page.take().filter(([kind]) => kind === MESSAGE))
      await turn()
    }
    expect(told.length).toBe(count - dropped)
    // It is told again.
    a.service.publish('news', utf8('awake'))
    world.run(1_000)
    await turn()
    expect(b.page.take()).toEqual([[MESSAGE, 'awake']])
  })
})

describe('a page that publishes', () => {
  /** Publishes so many, and returns the virtual milliseconds until all of them were on their way. */
  const publish = async (world: World, { page, pubsub }: Made, count: number, peers: number): Promise<number> => {
    for (let i = 0; i < count; i++) page.lane.record(PUBLISH, i, 'news', utf8(label(i)))
    await turn()
    const published: string[] = []
    let ms = 0
    for (; published.length < count; ms += 5) {
      expect(ms).toBeLessThan(20_000)
      world.run(5)
      await turn()
      expect(pubsub.service.backlog).toBeLessThanOrEqual(PUBSUB_BACKLOG)
      for (const [kind, data] of page.take()) if (kind === PUBLISHED) published.push(data)
    }
    expect(published).toEqual(Array.from({ length: count }, (_, i) => `${i} ${peers} 32`))
    return ms
  }

  it('waits while a peer is behind', async () => {
    const world = new World(3)
    const [a, b] = [other(world), make(world)]
    // One of another kind, which is sent three messages a millisecond.
    const slow = gossipsubService({ signing: 'StrictNoSign', onMessage: () => {} })
    const slowNode = world.node(() => ({ services: [identifyService({ agent: 'someone/1' }), slow] }))
    dial(world, b, a)
    dial(world, b, slowNode)
    a.service.join('news')
    slow.join('news')
    world.run(3_000)
    expect(await publish(world, b, 5_000, 2)).toBeGreaterThan(1_000)
    world.run(1_000)
    expect(a.heard.length).toBe(5_000)
  })

  it('waits a heartbeat or two for a peer that takes nothing at all, and not for each message', async () => {
    const world = new World(6)
    const [a, b] = [other(world), make(world)]
    const stuck = world.node(() => ({
      services: [
        identifyService({ agent: 'tabmesh/1' }),
        {
          name: 'stuck',
          protocols: { [MESHSUB_13]: {} },
          onStream: () => {},
          // It is in the topic.
          onIdentify: (connection) => connection.openStream([MESHSUB_13]).write(Uint8Array.of(10, 0x0a, 8, 8, 1, 0x12, 4, ...utf8('news'))),
        },
      ],
    }))
    dial(world, b, a)
    dial(world, b, stuck)
    a.service.join('news')
    world.run(3_000)
    expect(b.pubsub.service.peers('news').length).toBe(2)
    // Some 4,000 fill what is under way to it.
    expect(await publish(world, b, 12_000, 2)).toBeLessThan(4_000)
    world.run(1_000)
    expect(a.heard.length).toBe(12_000)
  })
})

describe('over a relay that limits', () => {
  const relay = '12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5'
  const limited = (channel: Extract<Link, { t: 'pipe' }>['channel'], text: string): Link => ({
    t: 'pipe',
    channel,
    transport: 'relay',
    remoteAddr: parseMultiaddr(text),
    limit: { duration: 120_000, data: 131_072 },
  })
  const connect = (world: World, a: Made, b: Made): boolean => {
    const [near, far] = world.pipe()
    b.node.accept(limited(far, `/memory/9/p2p/${relay}/p2p-circuit/p2p/${a.node.self}`))
    a.node.adopt(limited(near, `/memory/9/p2p/${relay}/p2p-circuit/p2p/${b.node.self}`), b.node.self, () => {})
    for (const { pubsub } of [a, b]) pubsub.subscribe('news', false)
    world.run(5_000)
    return a.pubsub.service.peers('news').length === 1 && b.pubsub.service.peers('news').length === 1
  }

  it.each<[string, Partial<PubsubPortOptions>, boolean]>([
    ['that is none of ours', {}, false],
    [
      'that is another than ours',
      { relays: [parseMultiaddr('/memory/9/p2p/12D3KooWPjceQrSwdWXPyLLeABRXmuqt69Rg3sBYbU1Nft9HyQ6X')] },
      false,
    ],
    ['that is configured', { relays: [parseMultiaddr(`/memory/9/p2p/${relay}`)] }, true],
    ['where a slot is held', { reserved: new Set([relay]) }, true],
  ])('%s', (_what, options, runs) => {
    const world = new World(4)
    expect(connect(world, make(world, options), make(world, options))).toBe(runs)
  })

  it('that is configured by its URL, once there is a connection to it', () => {
    const world = new World(5)
    const relays = other(world)
    const options = { relays: [relays.address] }
    const [a, b] = [make(world, options), make(world, options)]
    dial(world, a, relays)
    dial(world, b, relays)
    const id = relays.node.self
    const [near, far] = world.pipe()
    b.node.accept(limited(far, `${relays.address.text}/p2p/${id}/p2p-circuit/p2p/${a.node.self}`))
    a.node.adopt(limited(near, `${relays.address.text}/p2p/${id}/p2p-circuit/p2p/${b.node.self}`), b.node.self, () => {})
    for (const { pubsub } of [a, b]) pubsub.subscribe('news', false)
    world.run(5_000)
    expect([a.pubsub.service.peers('news'), b.pubsub.service.peers('news')]).toEqual([[b.node.self], [a.node.self]])
  })
})
