import { describe, expect, it } from 'vitest'
import { TabmeshError } from '../../../errors.ts'
import { concat, utf8 } from '../../codec/bytes.ts'
import { parseMultiaddr } from '../../codec/multiaddr.ts'
import { type PeerId, peerIdToBytes } from '../../codec/peer-id.ts'
import { encodeVarint, frame } from '../../codec/varint.ts'
import {
  KAD_BOOTSTRAP_AGAIN,
  KAD_GONE,
  KAD_IDLE,
  KAD_KEEP_STREAM,
  KAD_LOOKUP_TIMEOUT,
  KAD_MAX_LOOKUPS,
  KAD_MAX_LOOKUPS_WAITING,
  KAD_MAX_REQUEST,
  KAD_MAX_RESPONSE,
  KAD_MAX_VALUE,
  KAD_REPROVIDE,
  KAD_REQUEST_TIMEOUT,
  KAD_TAG,
} from '../../limits.ts'
import type { Stream } from '../../net/stream.ts'
import { ipnsKeyHex, secondVersion } from '../../testing/kad/ipns-vectors.ts'
import { byDistance, peerKeys, someContact } from '../../testing/kad/peers.ts'
import { prng } from '../../testing/prng.ts'
import { codeOf } from '../../testing/property.ts'
import { scriptedTransport } from '../../testing/scripted-transport.ts'
import { World, type WorldNode } from '../../testing/world.ts'
import type { Outcome } from '../../wire/conversation.ts'
import { FrameReader } from '../../wire/frame.ts'
import { identifyService } from '../identify/service.ts'
import { keyOf } from './keys.ts'
import { decodeMessage, frameMessage, type KadMessage, type KadPeer, kadMessage } from './messages.ts'
import type { Namespace } from './records.ts'
import { KAD, type KadOptions, type KadService, kadService } from './service.ts'

const content = Uint8Array.of(0x12, 32, ...new Uint8Array(32).fill(5))

/** Valid where the value begins with `ok`; the greatest is the best. */
const app: Namespace = {
  validate: (_key, value, done) =>
    done(Buffer.from(value.subarray(0, 2)).toString() === 'ok' ? undefined : new TabmeshError('ERR_PROTOCOL', 'not ok')),
  select(_key, values, done) {
    const texts = values.map((value) => Buffer.from(value).toString())
    done(texts.indexOf([...texts].sort().at(-1) as string))
  },
}

interface Member extends WorldNode {
  readonly kad: KadService
}

class Net {
  readonly world: World
  readonly servers: Member[] = []

  constructor(seed: number, servers: number) {
    this.world = new World(seed)
    for (let i = 0; i < servers; i++) this.servers.push(this.join({ mode: 'server' }))
    this.world.run(60_000)
  }

  get first(): Member {
    return this.servers[0] as Member
  }

  /** One more, which knows the first server. */
  join(options: KadOptions): Member {
    let node: WorldNode | undefined
    const kad = kadService({
      network: 'any',
      namespaces: { app },
      serve: (server, on) => (on ? node?.node.mount(server) : node?.node.unmount(server)),
      ...options,
    })
    node = this.world.node(() => ({ services: [identifyService(), kad] }))
    const [first] = this.servers
    if (first !== undefined) node.node.dial({ addresses: [first.address] }, () => {})
    this.world.run(2_000)
    return { ...node, kad }
  }

  /** A server that does with requests what the test says, known to the first server and those after it. */
  liar(onStream: (stream: Stream) => void): WorldNode {
    const node = this.world.node(() => ({ services: [identifyService(), { name: 'liar', protocols: { [KAD]: {} }, onStream }] }))
    for (const { node: server } of this.servers) server.dial({ addresses: [node.address] }, () => {})
    this.world.run(2_000)
    return node
  }

  outcome<T>(begin: (done: (outcome: Outcome<T>) => void) => unknown, ms = 120_000): Outcome<T> {
    let got: Outcome<T> | undefined
    begin((value) => {
      if (got !== undefined) throw new Error('done twice')
      got = value
    })
    this.world.run(ms, () => got !== undefined)
    if (got === undefined) throw new Error(`no outcome within ${ms} ms`)
    return got
  }

  value<T>(begin: (done: (outcome: Outcome<T>) => void) => unknown): T {
    const got = this.outcome(begin)
    if (!got.ok) throw got.fault
    return got.value
  }

  providers(at: Member, key = content): PeerId[] {
    const found: PeerId[] = []
    this.value<void>((done) => at.kad.findProviders(key, ({ id }) => found.push(id), done))
    return found
  }
}

/** Answers each request with what `answer` makes of it. */
const answering =
  (answer: (request: KadMessage, stream: Stream) => KadMessage | Uint8Array | undefined) =>
  (stream: Stream): void => {
    const reader = new FrameReader(1 << 20)
    stream.attach({
      onData(bytes) {
        stream.release(bytes.length)
        for (const body of reader.push(bytes)) {
          const made = answer(decodeMessage(body), stream)
          if (made !== undefined) stream.write(made instanceof Uint8Array ? made : frameMessage(made))
        }
      },
      onEnd: () => stream.end(),
      onClose: () => {},
    })
  }

describe('a DHT', () => {
  it('knows itself: everybody is in the table of everybody, but for clients, who know all the same', () => {
    const net = new Net(1, 9)
    const client = net.join({})
    net.world.run(20_000)
    for (const { kad } of net.servers) expect(kad.peers.length).toBe(8)
    expect(client.kad.peers.length).toBe(9)
    expect(net.servers.some(({ kad }) => kad.peers.some(({ peer }) => peer === client.node.self))).toBe(false)
    expect([net.first.kad.serving, net.first.node.protocols(false).includes(KAD)]).toEqual([true, true])
    expect([client.kad.serving, client.node.protocols(false).includes(KAD)]).toEqual([false, false])
  })

  it('finds what a client, or a server, provides, from anywhere; and nobody where nobody does', () => {
    const net = new Net(2, 9)
    const [a, b] = [net.join({}), net.join({})]
    expect(net.providers(b)).toEqual([])
    expect(net.value<number>((done) => a.kad.provide(content, done))).toBe(9)
    const server = net.servers[7] as Member
    net.value<number>((done) => server.kad.provide(content, done))
    const both = [a.node.self, server.node.self].sort()
    for (const each of [b, net.first, server]) expect(net.providers(each).sort()).toEqual(both)
    const found: KadPeer[] = []
    net.value<void>((done) => b.kad.findProviders(content, (peer) => found.push(peer), done))
    expect(found.find(({ id }) => id === a.node.self)?.addresses.map(({ text }) => text)).toEqual([a.address.text.split('/p2p/')[0]])
  })

  it('tells of a provider where it is as soon as one knows that, and in the end of one of whom nobody does', () => {
    const net = new Net(17, 5)
    const b = net.join({})
    const [known, bare] = [someContact(prng(3)).peer, someContact(prng(4)).peer]
    const date = b.node.host.date()
    for (const [at, { kad }] of net.servers.entries()) {
      kad.providers.add(content, known, at === 3 ? [parseMultiaddr('/memory/77')] : [], date)
      kad.providers.add(content, bare, [], date)
    }
    const found: [PeerId, number][] = []
    net.value<void>((done) => b.kad.findProviders(content, ({ id, addresses }) => found.push([id, addresses.length]), done))
    expect(found).toEqual([
      [known, 1],
      [bare, 0],
    ])
  })

  it('is told again of what is provided before it is over, and not any more when it is taken back', () => {
    const net = new Net(3, 1)
    const [a, b] = [net.join({}), net.join({})]
    net.value<number>((done) => a.kad.provide(content, done))
    // What keeps connections alive is not of interest here, only what is remembered.
    net.world.run(KAD_REPROVIDE + 60_000)
    for (const { kad } of net.servers)
      expect(kad.providers.get(content, b.node.host.date())[0]?.at).toBeGreaterThan(b.node.host.date() - 3 * 3_600_000)
    expect([a.kad.unprovide(content), a.kad.unprovide(content)]).toEqual([true, false])
    // A server tells nobody any more either.
    net.value<number>((done) => net.join({ mode: 'server' }).kad.provide(content, done))
    net.first.kad.providers.add(content, net.first.node.self, [], b.node.host.date())
    net.first.kad.unprovide(content)
    expect(net.first.kad.providers.get(content, b.node.host.date()).some(({ peer }) => peer === net.first.node.self)).toBe(false)
  })

  it('is not provided where nobody could be told, or it was given up', () => {
    const world = new World(18)
    const net = Object.assign(Object.create(Net.prototype) as Net, { world, servers: [] })
    const lonely = net.join({})
    expect(net.outcome((done) => lonely.kad.provide(content, done))).toMatchObject({ ok: false, fault: { code: 'ERR_NO_PEERS' } })
    expect(lonely.kad.unprovide(content)).toBe(false)
    lonely.kad.provide(content, () => {})()
    expect(lonely.kad.unprovide(content)).toBe(false)
    lonely.kad.provide(content, () => {})
    expect(lonely.kad.unprovide(content)).toBe(true)
  })

  it('stores records and gives them back, the best of several, and mends who has a worse one', () => {
    const net = new Net(4, 9)
    const [a, b] = [net.join({}), net.join({})]
    const key = utf8('/app/key')
    expect(net.value((done) => b.kad.get(key, {}, done))).toBeUndefined()
    expect(net.value<number>((done) => a.kad.put(key, utf8('ok 1'), done))).toBe(9)
    // One has a better one, and another none.
    net.servers[3]?.kad.records.put(key, utf8('ok 2'), a.node.host.date())
    net.servers[5]?.kad.records.delete(key)
    const heard: string[] = []
    const onValue = (value: Uint8Array): void => void heard.push(Buffer.from(value).toString())
    expect(net.value((done) => b.kad.get(key, { quorum: 0, onValue }, done))).toEqual(utf8('ok 2'))
    expect(heard.at(-1)).toBe('ok 2')
    net.world.run(1_000)
    for (const { kad } of net.servers) expect(Buffer.from(kad.records.get(key, a.node.host.date())?.value ?? []).toString()).toBe('ok 2')
    // And a worse one is refused by all.
    expect(net.outcome((done) => a.kad.put(key, utf8('ok 0'), done))).toMatchObject({ ok: false, fault: { code: 'ERR_STREAM_RESET' } })
  })

  it('carries an IPNS record of go', () => {
    const net = new Net(5, 8)
    const [a, b] = [net.join({}), net.join({})]
    const [key, record] = [ipnsKeyHex, secondVersion].map((hex) => Uint8Array.from(Buffer.from(hex, 'hex'))) as [Uint8Array, Uint8Array]
    expect(net.value<number>((done) => a.kad.put(key, record, done))).toBe(8)
    expect(net.value((done) => b.kad.get(key, {}, done))).toEqual(record)
    const bent = record.slice()
    bent[10] = (bent[10] as number) ^ 1
    expect(net.outcome((done) => a.kad.put(key, bent, done))).toMatchObject({
      ok: false,
      fault: { code: 'ERR_INVALID_RECORD', remote: false },
    })
  })

  it('finds the addresses of a server, and of a client that is connected somewhere; of nobody it finds nothing', () => {
    const net = new Net(6, 9)
    const [a, b] = [net.join({}), net.join({})]
    const server = net.servers[6] as Member
    for (const target of [server, b]) {
      const found = net.value<KadPeer | undefined>((done) => a.kad.findPeer(target.node.self, done))
      expect(found?.addresses.map(({ text }) => text)).toEqual([target.address.text.split('/p2p/')[0]])
    }
    expect(net.value<KadPeer | undefined>((done) => a.kad.findPeer(someContact(prng(1)).peer, done))).toBeUndefined()
  })

  it('tells the nearest to a key as they answer, and in order', () => {
    const net = new Net(7, 9)
    const a = net.join({})
    const heard: PeerId[] = []
    const nearest = net.value<readonly KadPeer[]>((done) => a.kad.closestPeers(utf8('key'), ({ id }) => heard.push(id), done))
    const all = net.servers.map(({ node }) => ({ peer: node.self, key: peerKeys.of(node.self) }))
    expect(nearest.map(({ id }) => id)).toEqual(byDistance(keyOf(utf8('key')), all).map(({ peer }) => peer))
    expect(heard.sort()).toEqual(nearest.map(({ id }) => id).sort())
  })

  it('sends later requests over the streams of earlier ones, and closes them when they are idle', () => {
    const net = new Net(8, 5)
    const a = net.join({})
    net.world.run(120_000)
    const streams = (): number =>
      a.node.connections().reduce((sum, { streams: all }) => sum + [...all].filter(({ protocol }) => protocol === KAD).length, 0)
    const opened = (): number =>
      a.node
        .connections()
        .reduce(
          (sum, connection) =>
            sum + [...connection.streams].filter((each) => each.protocol === KAD && each.direction === 'outbound').length,
          0,
        )
    expect(streams()).toBe(0)
    net.value<readonly KadPeer[]>((done) => a.kad.closestPeers(utf8('one'), () => {}, done))
    const ids = a.node.connections().flatMap((connection) => [...connection.streams].map(({ id }) => id))
    expect(opened()).toBe(5)
    net.value<readonly KadPeer[]>((done) => a.kad.closestPeers(utf8('two'), () => {}, done))
    expect(a.node.connections().flatMap((connection) => [...connection.streams].map(({ id }) => id))).toEqual(ids)
    net.world.run(KAD_KEEP_STREAM + 1_000)
    expect(streams()).toBe(0)
  })

  it('goes on when a server dies in the middle of a lookup', () => {
    const net = new Net(9, 9)
    const [a, b] = [net.join({}), net.join({})]
    net.value<number>((done) => a.kad.provide(content, done))
    const found: PeerId[] = []
    const outcome = net.outcome<void>((done) => {
      b.kad.findProviders(content, ({ id }) => found.push(id), done)
      for (const { address, node } of net.servers.slice(4, 7)) {
        net.world.silence(address)
        for (const connection of node.connections()) connection.abort(new TabmeshError('ERR_CONNECTION_CLOSED', 'killed'))
      }
    })
    expect([outcome.ok, found]).toEqual([true, [a.node.self]])
    expect(b.kad.peers.length).toBe(6)
  })

  it('does not dial the dead in each lookup, but after a while again, or from another network', () => {
    const net = new Net(19, 4)
    const dead = { id: someContact(prng(7)).peer, addresses: [parseMultiaddr('/ip4/192.0.2.9/tcp/1')] }
    // One who is alive names it to everybody.
    net.liar(answering(({ type, key }) => kadMessage(type, key, { closer: [dead] })))
    const tcp = scriptedTransport(net.world, { '*': { after: 100 } })
    const kad = kadService({ network: 'any' })
    const a = net.world.node(() => ({ services: [identifyService(), kad], transports: [tcp] }))
    a.node.dial({ addresses: [net.first.address] }, () => {})
    const dialled = (): number => {
      net.value<readonly KadPeer[]>((done) => kad.closestPeers(utf8('key'), () => {}, done))
      return tcp.log.filter((line) => line.includes('begins')).length
    }
    expect([dialled(), dialled()]).toEqual([1, 1])
    net.world.run(KAD_GONE)
    expect([dialled(), dialled()]).toEqual([2, 2])
    net.world.run(2 * KAD_GONE)
    expect(dialled()).toBe(2)
    net.world.run(2 * KAD_GONE)
    expect([dialled(), dialled()]).toEqual([3, 3])
    a.node.online()
    expect([dialled(), dialled()]).toEqual([4, 4])
  })

  it('stops asking when nobody wants to know any more', () => {
    const net = new Net(10, 9)
    const a = net.join({})
    let called = 0
    const cancel = a.kad.findProviders(
      content,
      () => called++,
      () => called++,
    )
    cancel()
    net.world.run(60_000)
    expect(called).toBe(0)
    expect(
      codeOf(() =>
        a.kad.findProviders(
          new Uint8Array(0),
          () => {},
          () => {},
        ),
      ),
    ).toBe('ERR_INVALID_ARGUMENT')
  })

  it('takes nobody in who says that he speaks the protocol and does not answer', () => {
    const net = new Net(15, 2)
    const mute = net.liar(() => {})
    net.world.run(30_000)
    expect(net.servers.map(({ kad }) => kad.peers.some(({ peer }) => peer === mute.node.self))).toEqual([false, false])
    const polite = net.liar(answering(({ type, key }) => kadMessage(type, key)))
    net.world.run(1_000)
    expect(net.servers.map(({ kad }) => kad.peers.some(({ peer }) => peer === polite.node.self))).toEqual([true, true])
  })

  it('in auto mode is served while we are reachable', () => {
    const net = new Net(11, 3)
    const a = net.join({ mode: 'auto' })
    expect([a.kad.serving, net.first.kad.peers.some(({ peer }) => peer === a.node.self)]).toEqual([false, false])
    a.kad.reachable(true)
    net.world.run(5_000)
    expect([a.node.protocols(false).includes(KAD), net.first.kad.peers.some(({ peer }) => peer === a.node.self)]).toEqual([true, true])
    a.kad.reachable(false)
    net.world.run(5_000)
    expect([a.node.protocols(false).includes(KAD), net.first.kad.peers.some(({ peer }) => peer === a.node.self)]).toEqual([false, false])
  })

  it('of nobody fails after its time, and begins as soon as there is somebody', () => {
    const world = new World(12)
    const net = Object.assign(Object.create(Net.prototype) as Net, { world, servers: [] })
    const lonely = net.join({})
    expect(net.outcome((done) => lonely.kad.get(utf8('/app/x'), {}, done))).toMatchObject({ ok: false, fault: { code: 'ERR_NO_PEERS' } })
    const server = net.join({ mode: 'server' })
    const got = net.outcome((done) => {
      lonely.kad.get(utf8('/app/x'), {}, done)
      lonely.node.dial({ addresses: [server.address] }, () => {})
    }, 10_000)
    expect(got).toEqual({ ok: true, value: undefined })
  })

  it('of whom nobody is known tries those it was to begin with again and again', () => {
    const world = new World(16)
    const net = Object.assign(Object.create(Net.prototype) as Net, { world, servers: [] })
    const lonely = net.join({ bootstrap: [{ addresses: [parseMultiaddr('/memory/2')] }] })
    world.run(KAD_BOOTSTRAP_AGAIN)
    expect(lonely.kad.peers).toEqual([])
    const server = net.join({ mode: 'server' })
    expect(server.address.text).toMatch(/^\/memory\/2\//)
    world.run(2 * KAD_BOOTSTRAP_AGAIN)
    expect(lonely.kad.peers.map(({ peer }) => peer)).toEqual([server.node.self])
    // And when it is gone: the table lets go of it, and takes it in when it is back.
    expect(lonely.node.tags(server.node.self)).toEqual({ kad: KAD_TAG })
    server.node.unmount(server.kad.server)
    world.run(1_000)
    expect([lonely.kad.peers, lonely.node.tags(server.node.self)]).toEqual([[], {}])
    server.node.mount(server.kad.server)
    world.run(1_000)
    expect(lonely.kad.peers.length).toBe(1)
  })

  it('runs so many lookups at a time, has some wait, and refuses more; all of them end', () => {
    const world = new World(14)
    const net = Object.assign(Object.create(Net.prototype) as Net, { world, servers: [] })
    const lonely = net.join({})
    const refused: string[] = []
    const many = KAD_MAX_LOOKUPS + KAD_MAX_LOOKUPS_WAITING
    for (let i = 0; i < many + 10; i++) {
      lonely.kad.get(utf8(`/app/${i}`), {}, (outcome) => refused.push(outcome.ok ? 'ok' : outcome.fault.message))
    }
    world.run(1)
    expect([refused.length, new Set(refused.map((each) => each.split(':')[0]))]).toEqual([
      10,
      new Set([`${KAD_MAX_LOOKUPS_WAITING} lookups wait already`]),
    ])
    world.run(KAD_LOOKUP_TIMEOUT)
    expect(refused.length).toBe(many + 10)
  })

  it('leaves nothing behind when it stops', () => {
    const net = new Net(13, 5)
    const a = net.join({})
    let outcome: Outcome<void> | undefined
    a.kad.findProviders(
      content,
      () => {},
      (got) => {
        outcome = got
      },
    )
    a.kad.stop?.()
    net.world.run(1_000)
    expect(outcome).toMatchObject({ ok: false, fault: { code: 'ERR_STOPPED' } })
    net.world.run(KAD_IDLE)
    expect(a.node.connections().flatMap((connection) => [...connection.streams])).toEqual([])
  })
})

describe('among servers a liar', () => {
  const fakes = (seed: number, count: number): KadPeer[] => {
    const random = prng(seed)
    return Array.from({ length: count }, (_, at) => ({
      id: someContact(random).peer,
      addresses: [parseMultiaddr(`/memory/${10_000 + at}`)],
    }))
  }
  /** A message with lists of any length. */
  const unbounded = (type: number, closer: readonly KadPeer[]): Uint8Array => {
    const peer = ({ id, addresses }: KadPeer): Uint8Array => {
      const [address] = addresses
      const bytes = peerIdToBytes(id)
      return concat([Uint8Array.of(0x0a), frame(bytes), Uint8Array.of(0x12), frame(address?.bytes ?? new Uint8Array(0))])
    }
    return frame(concat([Uint8Array.of(0x08, type), ...closer.flatMap((each) => [Uint8Array.of(0x42), frame(peer(each))])]))
  }
  const drip = (stream: Stream, world: World): void => {
    let left = 200
    stream.write(encodeVarint(1_000))
    const next = (): void => {
      if (left-- === 0 || stream.closed) return
      stream.write(Uint8Array.of(0))
      world.after(1_000, next)
    }
    next()
  }
  const cases: readonly [string, (net: Net, request: KadMessage, stream: Stream) => KadMessage | Uint8Array | undefined][] = [
    ['who names 10,000 peers', () => unbounded(3, fakes(1, 10_000))],
    ['who answers a byte a second', (net, _request, stream) => void drip(stream, net.world)],
    ['who never answers', () => undefined],
    [
      'who names us',
      (_net, request, { connection }) =>
        kadMessage(request.type, request.key, { closer: [{ id: connection.remotePeer, addresses: [parseMultiaddr('/memory/1')] }] }),
    ],
    [
      'who gives the addresses of one for those of others',
      (net, request) =>
        kadMessage(request.type, request.key, {
          closer: fakes(2, 20).map(({ id }) => ({ id, addresses: [parseMultiaddr(net.first.address.text.split('/p2p/')[0] as string)] })),
        }),
    ],
    ['who answers with another key', (_net, request) => kadMessage(request.type, utf8('another'))],
    ['who answers with another type', (_net, request) => kadMessage('PING', request.key)],
    ['who answers nonsense', () => frame(utf8('nonsense'))],
    ['who announces a gigabyte', () => encodeVarint(1e9)],
    ['who announces one byte too many', () => encodeVarint(KAD_MAX_RESPONSE + 1)],
    [
      'who answers twice',
      (_net, request) => concat([frameMessage(kadMessage(request.type, request.key)), frameMessage(kadMessage(request.type, request.key))]),
    ],
    ['who resets', (_net, _request, stream) => void stream.abort(new TabmeshError('ERR_STREAM_RESET', 'no'))],
  ]

  it.each(cases)('%s does not keep a lookup from its end', (_what, answer) => {
    const net = new Net(20, 5)
    const [a, b] = [net.join({}), net.join({})]
    net.value<number>((done) => a.kad.provide(content, done))
    let asked = 0
    let isLying = false
    // It behaves until it is in the tables.
    net.liar(
      answering((request, stream) => {
        if (!isLying) return kadMessage(request.type, request.key)
        asked += 1
        return answer(net, request, stream)
      }),
    )
    isLying = true
    const began = net.world.now
    expect(net.providers(b)).toEqual([a.node.self])
    expect(asked).toBeGreaterThan(0)
    expect(net.world.now - began).toBeLessThanOrEqual(4 * KAD_REQUEST_TIMEOUT)
    net.world.run(60_000)
    expect(net.providers(b)).toEqual([a.node.self])
  })

  it('who tells of records that are invalid, too large, or of another key is not believed', () => {
    const key = utf8('/app/key')
    for (const record of [
      { key, value: utf8('bad 9') },
      { key, value: concat([utf8('ok'), new Uint8Array(KAD_MAX_VALUE)]) },
      { key: utf8('/app/other'), value: utf8('ok 9') },
    ]) {
      const net = new Net(21, 4)
      const [a, b] = [net.join({}), net.join({})]
      net.value<number>((done) => a.kad.put(key, utf8('ok 1'), done))
      net.liar(
        answering((request) =>
          request.type === 'GET_VALUE' ? kadMessage('GET_VALUE', key, { record }) : kadMessage(request.type, request.key),
        ),
      )
      expect(net.value((done) => b.kad.get(key, { quorum: 0 }, done))).toEqual(utf8('ok 1'))
    }
  })
})

describe('a server of the DHT', () => {
  const asking = (seed: number) => {
    const net = new Net(seed, 3)
    const a = net.join({})
    const [connection] = a.node.connections(net.first.node.self)
    if (connection === undefined) throw new Error('not connected')
    const open = () => {
      const stream = connection.openStream([KAD])
      const heard = { bytes: 0, messages: [] as KadMessage[], ended: false, closed: undefined as string | undefined }
      const reader = new FrameReader(1 << 20)
      stream.attach({
        onData(bytes) {
          heard.bytes += bytes.length
          stream.release(bytes.length)
          for (const body of reader.push(bytes)) heard.messages.push(decodeMessage(body))
        },
        onEnd() {
          heard.ended = true
        },
        onClose(fault) {
          heard.closed = fault?.code ?? 'closed'
        },
      })
      return { stream, heard }
    }
    return { net, a, open }
  }

  it('answers several requests of a stream, one after the other, and ends it when its remote does', () => {
    const { net, a, open } = asking(30)
    const { stream, heard } = open()
    const provide = kadMessage('ADD_PROVIDER', content, { providers: [{ id: a.node.self, addresses: [a.address] }] })
    stream.write(
      concat(
        [kadMessage('FIND_NODE', utf8('x')), provide, kadMessage('GET_PROVIDERS', content), kadMessage('PING', utf8('p'))].map(
          frameMessage,
        ),
      ),
    )
    stream.end()
    net.world.run(1_000)
    expect(heard.messages.map(({ type }) => type)).toEqual(['FIND_NODE', 'GET_PROVIDERS', 'PING'])
    expect(heard.messages[1]?.providers.map(({ id }) => id)).toEqual([a.node.self])
    expect([heard.ended, heard.closed]).toEqual([true, 'closed'])
  })

  it.each<[string, (stream: Stream, world: World) => void]>([
    [
      'a provider who is somebody else',
      (stream) =>
        stream.write(
          frameMessage(
            kadMessage('ADD_PROVIDER', content, {
              providers: [{ id: someContact(prng(5)).peer, addresses: [parseMultiaddr('/memory/1')] }],
            }),
          ),
        ),
    ],
    [
      'a record over the limit',
      (stream) =>
        stream.write(
          frameMessage(
            kadMessage('PUT_VALUE', utf8('/app/k'), {
              record: { key: utf8('/app/k'), value: concat([utf8('ok'), new Uint8Array(KAD_MAX_VALUE)]) },
            }),
          ),
        ),
    ],
    [
      'a record that is invalid',
      (stream) =>
        stream.write(frameMessage(kadMessage('PUT_VALUE', utf8('/app/k'), { record: { key: utf8('/app/k'), value: utf8('bad') } }))),
    ],
    ['a request that is too large', (stream) => stream.write(encodeVarint(KAD_MAX_REQUEST + 1))],
    ['what is no request', (stream) => stream.write(frame(utf8('nonsense')))],
    ['half a request', (stream) => [stream.write(frameMessage(kadMessage('FIND_NODE', utf8('x'))).subarray(0, 3)), stream.end()]],
    [
      'a request a byte a second',
      (stream, world) => {
        const next = (left: number): void => {
          stream.write(Uint8Array.of(left === 100 ? 120 : 0))
          if (left > 0) world.after(1_000, () => next(left - 1))
        }
        next(100)
      },
    ],
    ['nothing', () => {}],
  ])('resets a stream that brings %s, and keeps nothing of it', (_what, act) => {
    const { net, open } = asking(31)
    const { stream, heard } = open()
    act(stream, net.world)
    net.world.run(KAD_IDLE + 1_000)
    expect(heard).toMatchObject({ bytes: 0, closed: 'ERR_STREAM_RESET' })
    expect([net.first.kad.records.size, net.first.kad.providers.size]).toEqual([0, 0])
    const next = open()
    next.stream.write(frameMessage(kadMessage('PING', utf8('p'))))
    net.world.run(1_000)
    expect(next.heard.messages.length).toBe(1)
  })
})
