import { describe, expect, it } from 'vitest'
import { fromUtf8, utf8 } from '../../codec/bytes.ts'
import { parseMultiaddr } from '../../codec/multiaddr.ts'
import type { PeerId } from '../../codec/peer-id.ts'
import { encodeVarint } from '../../codec/varint.ts'
import { GOSSIP_BURST, GOSSIP_MAX_DIALS, GOSSIP_MAX_RPC, GOSSIP_MAX_VALIDATING } from '../../limits.ts'
import type { Link, Net } from '../../net/service.ts'
import type { Stream } from '../../net/stream.ts'
import { peerOf } from '../../testing/gossip/lab.ts'
import { codeOf } from '../../testing/property.ts'
import { World, type WorldNode } from '../../testing/world.ts'
import { identifyService } from '../identify/service.ts'
import { Offers } from './offers.ts'
import { FLOODSUB, MESHSUB_13, PUBSUB_PROTOCOLS } from './peer.ts'
import { type GossipsubOptions, type GossipsubService, gossipsubService } from './service.ts'

interface Member {
  readonly pubsub: GossipsubService
  readonly node: WorldNode['node']
  readonly address: WorldNode['address']
  readonly events: WorldNode['events']
  readonly self: PeerId
  /** Author and text. */
  readonly heard: [PeerId | undefined, string][]
}

const member = (world: World, options: Partial<GossipsubOptions> = {}, agent?: string): Member => {
  const heard: Member['heard'] = []
  const pubsub = gossipsubService({ onMessage: ({ author, data }) => heard.push([author?.id, fromUtf8(data)]), ...options })
  const { node, address, events } = world.node(() => ({ services: [identifyService(agent === undefined ? {} : { agent }), pubsub] }))
  return { pubsub, node, address, events, self: node.self, heard }
}

const dial = (world: World, from: Member, to: Member): void => {
  let done = false
  from.node.dial({ addresses: [to.address] }, (outcome) => {
    if (!outcome.ok) throw outcome.fault
    done = true
  })
  world.run(5_000, () => done)
  world.run(1_000)
}

/** Each dials the one before. */
const line = (world: World, count: number, options: Partial<GossipsubOptions> = {}): Member[] => {
  const members = Array.from({ length: count }, () => member(world, options))
  for (let i = 1; i < count; i++) dial(world, members[i] as Member, members[i - 1] as Member)
  return members
}

const joined = (world: World, members: readonly Member[], topic = 'news'): void => {
  for (const { pubsub } of members) pubsub.join(topic)
  world.run(3_000)
}

/** The streams of pubsub of a member, by direction. */
const streams = ({ node }: Member): string[] =>
  node
    .connections()
    .flatMap((connection) => [...connection.streams])
    .filter(({ protocol }) => (PUBSUB_PROTOCOLS as readonly string[]).includes(protocol))
    .map(({ direction, protocol }) => `${direction} ${protocol}`)
    .sort()

const streamsOf = ({ node }: Member, direction: string): Stream[] =>
  node
    .connections()
    .flatMap((connection) => [...connection.streams])
    .filter((stream) => stream.direction === direction && (PUBSUB_PROTOCOLS as readonly string[]).includes(stream.protocol))

describe('gossipsub between nodes', () => {
  it('one stream each way; a message is signed, checked, and told once', () => {
    const world = new World(1)
    const [a, b] = line(world, 2) as [Member, Member]
    joined(world, [a, b])
    expect([streams(a), streams(b)]).toEqual(new Array(2).fill([`inbound ${MESHSUB_13}`, `outbound ${MESHSUB_13}`]))
    expect([a.pubsub.peers('news'), a.pubsub.mesh('news')]).toEqual([[b.self], [b.self]])
    a.pubsub.publish('news', utf8('hello'))
    world.run(1_000)
    expect([a.heard, b.heard]).toEqual([[], [[a.self, 'hello']]])
    expect(a.node.tags(b.self).gossipsub).toBe(20)
  })

  it('goes from one end of a line to the other', () => {
    const world = new World(2)
    const members = line(world, 4)
    joined(world, members)
    members[0]?.pubsub.publish('news', utf8('far'))
    members[3]?.pubsub.publish('news', utf8('back'))
    world.run(1_000)
    expect(members.map(({ heard }) => heard.map(([, text]) => text).sort())).toEqual([['back'], ['back', 'far'], ['back', 'far'], ['far']])
  })

  it('a burst arrives whole, in order, and once', () => {
    const world = new World(3)
    const members = line(world, 3)
    joined(world, members)
    const words = Array.from({ length: 300 }, (_, i) => `${i}`)
    for (const word of words) members[0]?.pubsub.publish('news', utf8(word))
    world.run(5_000)
    expect(members.map(({ heard }) => heard.map(([, text]) => text))).toEqual([[], words, words])
  })

  it('speaks with who only speaks an older version', () => {
    const world = new World(4)
    const a = member(world)
    const b = member(world)
    Object.assign(b.pubsub, { protocols: { [FLOODSUB]: {} } })
    const old = world.node(() => ({ services: [identifyService(), { name: 'old', protocols: { [FLOODSUB]: {} }, onStream: () => {} }] }))
    dial(world, a, { ...b, address: old.address })
    a.pubsub.join('news')
    world.run(1_000)
    expect(streams(a)).toEqual([`outbound ${FLOODSUB}`])
  })

  it('the application decides at its own time', () => {
    const world = new World(5)
    const members = line(world, 3)
    joined(world, members)
    const [a, b, c] = members as [Member, Member, Member]
    b.pubsub.validate('news', (message, from, done) => {
      expect(from).toBe(a.self)
      const text = fromUtf8(message.data)
      world.after(500, () => done(text === 'good' ? 'accept' : text === 'bad' ? 'reject' : 'ignore'))
    })
    for (const text of ['good', 'bad', 'odd']) a.pubsub.publish('news', utf8(text))
    world.run(400)
    expect(b.heard).toEqual([])
    world.run(2_000)
    expect([b.heard, c.heard]).toEqual([[[a.self, 'good']], [[a.self, 'good']]])
    expect(b.pubsub.score(a.self)).toBeLessThan(0)
  })

  it('who takes his time to decide holds up who sends, and nothing is lost', () => {
    const world = new World(6)
    const waiting: (() => void)[] = []
    const members = line(world, 2, { signing: 'StrictNoSign' })
    joined(world, members)
    const [a, b] = members as [Member, Member]
    b.pubsub.validate('news', (_message, _from, done) => waiting.push(() => done('accept')))
    const count = GOSSIP_MAX_VALIDATING + 4_000
    for (let i = 0; i < count; i++) a.pubsub.publish('news', utf8(`${i}`))
    world.run(5_000)
    expect(waiting.length).toBeLessThanOrEqual(GOSSIP_MAX_VALIDATING)
    world.run(5_000, () => {
      waiting.shift()?.()
      return b.heard.length === count
    })
    while (waiting.length > 0) {
      for (const decide of waiting.splice(0)) decide()
      world.run(200)
    }
    expect(b.heard.length).toBe(count)
  })

  it('a stream that breaks is opened again, and everything is said anew', () => {
    const world = new World(7)
    const [a, b] = line(world, 2) as [Member, Member]
    joined(world, [a, b])
    for (const stream of streamsOf(b, 'inbound')) stream.abort(new Error('broken') as never)
    world.run(3_000)
    expect([streams(a), streams(b)]).toEqual(new Array(2).fill([`inbound ${MESHSUB_13}`, `outbound ${MESHSUB_13}`]))
    expect(b.pubsub.peers('news')).toEqual([a.self])
    a.pubsub.publish('news', utf8('again'))
    world.run(1_000)
    expect(b.heard).toEqual([[a.self, 'again']])
  })

  it('a stream that always breaks is left alone after five tries, and so is what comes from there', () => {
    const world = new World(8)
    const a = member(world)
    let opened = 0
    const rude = world.node(() => ({
      services: [
        identifyService(),
        {
          name: 'rude',
          protocols: { [MESHSUB_13]: { maxInbound: 100 } },
          onStream: (stream: Stream) => {
            opened += 1
            stream.abort(new Error('no') as never)
          },
        },
      ],
    }))
    dial(world, a, { ...a, address: rude.address })
    a.pubsub.join('news')
    world.run(120_000)
    expect([opened, streams(a)]).toEqual([5, []])
  })

  it('a connection that is lost takes the peer along', () => {
    const world = new World(9)
    const gone: [string, boolean][] = []
    const members = line(world, 2, { onSubscription: (_peer, topic, subscribed) => gone.push([topic, subscribed]) })
    joined(world, members)
    gone.length = 0
    world.cutAll()
    world.run(3_000)
    expect(members.map(({ pubsub }) => [pubsub.peers('news'), pubsub.mesh('news')])).toEqual([
      [[], []],
      [[], []],
    ])
    expect(gone).toEqual([
      ['news', false],
      ['news', false],
    ])
    dial(world, members[0] as Member, members[1] as Member)
    world.run(3_000)
    expect(members[0]?.pubsub.peers('news')).toEqual([members[1]?.self])
  })

  it('leaves with a word, and leaves nothing behind', () => {
    const world = new World(10)
    const [a, b] = line(world, 2) as [Member, Member]
    joined(world, [a, b])
    b.pubsub.leave('news')
    world.run(1_000)
    expect(a.pubsub.peers('news')).toEqual([])
    b.pubsub.join('news')
    a.pubsub.stop?.()
    world.run(1_000)
    expect(b.pubsub.peers('news')).toEqual([])
    expect(codeOf(() => a.pubsub.publish('news', utf8('x')))).toBe('ERR_STOPPED')
  })

  it('of two connections one is given up: the streams move to the other, and nothing is lost', () => {
    const world = new World(11)
    // The one that the smaller peer id dialled goes.
    const [a, b] = [member(world), member(world)].sort((one, other) => (one.self < other.self ? -1 : 1)) as [Member, Member]
    dial(world, a, b)
    joined(world, [a, b])
    const [near, far] = world.pipe()
    a.node.accept({ t: 'pipe', channel: far, transport: 'memory', remoteAddr: parseMultiaddr('/memory/0') })
    b.node.adopt({ t: 'pipe', channel: near, transport: 'memory', remoteAddr: a.address }, a.self, () => {})
    world.run(500)
    expect(a.node.connections()).toHaveLength(2)
    const words = Array.from({ length: 100 }, (_, i) => `${i}`)
    for (const word of words) {
      a.pubsub.publish('news', utf8(word))
      b.pubsub.publish('news', utf8(word))
      world.run(100)
    }
    expect([a, b].map(({ node }) => node.connections().map(({ direction }) => direction))).toEqual([['inbound'], ['outbound']])
    expect([streams(a), streams(b)]).toEqual(new Array(2).fill([`inbound ${MESHSUB_13}`, `outbound ${MESHSUB_13}`]))
    expect([a, b].map(({ heard }) => heard.map(([, text]) => text))).toEqual([words, words])
  })
})

describe('a stream that moves to another connection', () => {
  it('what is still under way on the former one is heard first', () => {
    const world = new World(15)
    // The one that the smaller peer id dialled goes.
    const [a, b] = [member(world, { signing: 'StrictNoSign' }), member(world, { signing: 'StrictNoSign' })].sort((one, other) =>
      one.self < other.self ? -1 : 1,
    ) as [Member, Member]
    const connect = (from: Member, to: Member, latency: number): void => {
      const [near, far] = world.pipe(latency)
      to.node.accept({ t: 'pipe', channel: far, transport: 'memory', remoteAddr: parseMultiaddr('/memory/0') })
      from.node.adopt({ t: 'pipe', channel: near, transport: 'memory', remoteAddr: to.address }, to.self, () => {})
    }
    connect(a, b, 700)
    world.run(10_000)
    joined(world, [a, b])
    expect(a.pubsub.mesh('news')).toEqual([b.self])
    connect(b, a, 5)
    const words = Array.from({ length: 600 }, (_, i) => `${i}`)
    for (let i = 0; i < 60; i++) {
      for (const word of words.slice(10 * i, 10 * i + 10)) a.pubsub.publish('news', utf8(word))
      world.run(100)
    }
    world.run(10_000)
    expect(b.heard.map(([, text]) => text)).toEqual(words)
  })

  it('a former one that is forgotten is not waited for', () => {
    const world = new World(16)
    const a = member(world)
    const forgetful = world.node(() => ({
      services: [identifyService(), { name: 'forgetful', protocols: { [MESHSUB_13]: {} }, onStream: () => {} }],
    }))
    dial(world, a, { ...a, address: forgetful.address })
    a.pubsub.join('news')
    const [connection] = forgetful.node.connections(a.self)
    const subscribe = (topic: number): Uint8Array => Uint8Array.of(7, 0x0a, 5, 8, 1, 0x12, 1, topic)
    connection?.openStream([MESHSUB_13]).write(subscribe(0x61))
    world.run(100)
    connection?.openStream([MESHSUB_13]).write(subscribe(0x62))
    world.run(100)
    expect([a.pubsub.peers('a').length, a.pubsub.peers('b').length]).toEqual([1, 0])
    world.run(2_000)
    expect(a.pubsub.peers('b').length).toBe(1)
    connection?.openStream([MESHSUB_13]).write(subscribe(0x63))
    world.run(50)
    connection?.openStream([MESHSUB_13]).write(subscribe(0x64))
    world.run(3_000)
    expect(['a', 'b', 'c', 'd'].map((topic) => a.pubsub.peers(topic).length)).toEqual([1, 1, 1, 1])
  })

  it('that ended, or whose connection is lost, is read to the end, at whatever pace', () => {
    const world = new World(17)
    const [a, b] = line(world, 2, { signing: 'StrictNoSign' }) as [Member, Member]
    let room = true
    const slow = member(world, { signing: 'StrictNoSign', takes: () => room })
    dial(world, slow, a)
    joined(world, [a, b, slow])
    room = false
    for (let i = 0; i < 50; i++) a.pubsub.publish('news', utf8(`${i}`))
    world.run(200)
    expect(slow.heard.length).toBe(0)
    a.pubsub.stop?.()
    for (const connection of slow.node.connections()) connection.close()
    world.run(2_000)
    room = true
    slow.pubsub.resume()
    world.run(2_000)
    expect([slow.heard.length, b.heard.length]).toEqual([50, 50])
    expect(slow.pubsub.peers('news')).toEqual([])
  })
})

describe('with go', () => {
  it('messages go at a pace that it can follow, and it is told in IHAVE what it may have lost', () => {
    const world = new World(12)
    const a = member(world, { signing: 'StrictNoSign' })
    const b = member(world, { signing: 'StrictNoSign' }, 'github.com/someone/program@v1')
    dial(world, b, a)
    joined(world, [a, b])
    for (let i = 0; i < 2_000; i++) a.pubsub.publish('news', utf8(`${i}`))
    world.run(110)
    expect(b.heard.length).toBeGreaterThan(200)
    expect(b.heard.length).toBeLessThanOrEqual(22 * GOSSIP_BURST)
    expect(a.pubsub.backlog).toBeGreaterThan(1_000)
    world.run(2_000)
    expect([b.heard.length, a.pubsub.backlog]).toEqual([2_000, 0])
    // The other way round nothing holds it up.
    for (let i = 0; i < 2_000; i++) b.pubsub.publish('news', utf8(`back ${i}`))
    world.run(110)
    expect(a.heard.length).toBe(2_000)
  })
})

describe('peer exchange', () => {
  it('a peer that only introduces others makes a mesh of strangers, by their signed records', () => {
    const world = new World(13)
    const door = member(world, { params: { d: 0, dLow: 0, dHigh: 0, dOut: 0, dScore: 0, peerExchange: true } })
    const members = [member(world), member(world), member(world)]
    door.pubsub.join('news')
    for (const each of members) {
      each.pubsub.setScore(door.self, 100)
      dial(world, each, door)
    }
    for (const { pubsub } of members) pubsub.join('news')
    world.run(5_000)
    for (const each of members) {
      const others = members.filter((other) => other !== each).map(({ self }) => self)
      expect([...each.pubsub.mesh('news')].sort()).toEqual(others.sort())
    }
    expect(door.pubsub.mesh('news')).toEqual([])
  })

  it('a record that another peer signed is not dialled', () => {
    const world = new World(14)
    const [a, b, c] = line(world, 3) as [Member, Member, Member]
    joined(world, [a, b, c])
    const record = b.node.connections(c.self)[0]?.identified?.signedRecord
    expect(record).toBeDefined()
    const dialled: PeerId[] = []
    const offers = new Offers({
      host: world.host(),
      connections: () => [],
      dial: ({ peer = '' }: { peer?: PeerId }) => {
        dialled.push(peer)
        return () => {}
      },
    } as unknown as Net)
    offers.add({ peer: a.self, record })
    offers.add({ peer: b.self, record: Uint8Array.of(1, 2, 3) })
    offers.add({ peer: c.self, record })
    world.run(10)
    expect(dialled).toEqual([c.self])
    for (let n = 0; n < 500; n++) offers.add({ peer: peerOf(n), record: undefined })
    world.run(10)
    expect(dialled.length).toBe(GOSSIP_MAX_DIALS)
    offers.stop()
  })
})

describe('over a relay that limits', () => {
  const relay = '12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5'
  const pair = (seed: number, options: Partial<GossipsubOptions>): [World, Member, Member] => {
    const world = new World(seed)
    const [a, b] = [member(world, options), member(world, options)]
    const [near, far] = world.pipe()
    const limited = (channel: typeof near, text: string): Link => ({
      t: 'pipe',
      channel,
      transport: 'relay',
      remoteAddr: parseMultiaddr(text),
      limit: { duration: 120_000, data: 131_072 },
    })
    b.node.accept(limited(far, `/memory/9/p2p/${relay}/p2p-circuit/p2p/${a.self}`))
    a.node.adopt(limited(near, `/memory/9/p2p/${relay}/p2p-circuit/p2p/${b.self}`), b.self, () => {})
    world.run(2_000)
    joined(world, [a, b])
    return [world, a, b]
  }

  it('it does not run', () => {
    const [, a, b] = pair(20, {})
    expect(a.node.connections(b.self)).toHaveLength(1)
    expect([streams(a), a.pubsub.peers('news')]).toEqual([[], []])
  })

  it('it runs where the relay is one of ours', () => {
    const [world, a, b] = pair(21, { overLimited: (peer) => peer === relay })
    a.pubsub.publish('news', utf8('hi'))
    world.run(1_000)
    expect(b.heard).toEqual([[a.self, 'hi']])
  })

  it('a stream that comes where it should not is reset', () => {
    const world = new World(22)
    const a = member(world, { overLimited: () => true })
    const b = member(world)
    const [near, far] = world.pipe()
    const at = (peer: PeerId) => parseMultiaddr(`/memory/9/p2p/${relay}/p2p-circuit/p2p/${peer}`)
    b.node.accept({ t: 'pipe', channel: far, transport: 'relay', remoteAddr: at(a.self), limit: { data: 1_000_000 } })
    a.node.adopt({ t: 'pipe', channel: near, transport: 'relay', remoteAddr: at(b.self), limit: { data: 1_000_000 } }, b.self, () => {})
    world.run(60_000)
    joined(world, [a, b])
    expect([streams(a), streams(b), b.pubsub.peers('news')]).toEqual([[], [], []])
  })
})

describe('a remote that breaks rules', () => {
  const setup = (seed: number): { world: World; a: Member; open: () => Stream; listened: Stream[] } => {
    const world = new World(seed)
    const a = member(world)
    const listened: Stream[] = []
    const rude = world.node(() => ({
      services: [identifyService(), { name: 'rude', protocols: { [MESHSUB_13]: {} }, onStream: (stream: Stream) => listened.push(stream) }],
    }))
    dial(world, a, { ...a, address: rude.address })
    a.pubsub.join('news')
    world.run(1_000)
    const open = (): Stream => {
      const [connection] = rude.node.connections(a.self)
      if (connection === undefined) throw new Error('not connected')
      return connection.openStream([MESHSUB_13])
    }
    return { world, a, open, listened }
  }
  const closing = (world: World, stream: Stream): boolean => {
    let closed = false
    stream.attach({ onData: () => {}, onEnd: () => {}, onClose: () => (closed = true) })
    world.run(1_000)
    return closed
  }

  for (const [what, bytes] of Object.entries({
    'sends what is no protobuf': Uint8Array.of(3, 0x12, 0x05, 0x00),
    'announces more than an RPC has': encodeVarint(GOSSIP_MAX_RPC + 1),
    'sends a length that never ends': new Uint8Array(12).fill(0xff),
  })) {
    it(`${what}: its stream is reset, and ours goes on`, () => {
      const { world, a, open } = setup(30)
      const stream = open()
      stream.write(bytes)
      expect(closing(world, stream)).toBe(true)
      expect(streams(a)).toEqual([`outbound ${MESHSUB_13}`])
    })
  }

  it('opens stream after stream: the last two are read', () => {
    const { world, a, open } = setup(31)
    for (let i = 0; i < 3; i++) {
      open()
      world.run(100)
    }
    expect(streams(a)).toEqual([`inbound ${MESHSUB_13}`, `inbound ${MESHSUB_13}`, `outbound ${MESHSUB_13}`])
    const last = open()
    last.write(Uint8Array.of(7, 0x0a, 5, 8, 1, 0x12, 1, 0x61))
    world.run(2_000)
    expect(a.pubsub.peers('a')).toHaveLength(1)
  })

  it('does not read: what waits for it has a bound, and nobody else waits', () => {
    const { world, a, listened } = setup(32)
    expect(listened).toHaveLength(1)
    const other = member(world)
    dial(world, other, a)
    other.pubsub.join('news')
    world.run(3_000)
    listened[0]?.attach({ onData: () => {}, onEnd: () => {}, onClose: () => {} })
    const [connection] = listened
    expect(connection).toBeDefined()
    for (let i = 0; i < 40; i++) {
      a.pubsub.publish('news', new Uint8Array(50_000))
      world.run(50)
    }
    world.run(1_000)
    expect(other.heard).toHaveLength(40)
  })

  it('writes where it should only read: it is dropped', () => {
    const { world, a, listened } = setup(33)
    listened[0]?.write(new Uint8Array(1_000))
    world.run(1_000)
    expect(streams(a)).toEqual([`outbound ${MESHSUB_13}`])
  })
})
