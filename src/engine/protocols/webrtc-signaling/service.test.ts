import { describe, expect, it } from 'vitest'
import { TabmeshError } from '../../../errors.ts'
import { concat, utf8 } from '../../codec/bytes.ts'
import { encapsulate, type Multiaddr, parseMultiaddr } from '../../codec/multiaddr.ts'
import { message, string, uint } from '../../codec/protobuf.ts'
import { encodeVarint, frame } from '../../codec/varint.ts'
import {
  LIMITED_WAIT,
  RETIRE_GRACE,
  SIGNALING_MAX_CANDIDATES,
  SIGNALING_MAX_FRAME,
  SIGNALING_TIMEOUT,
  STREAM_FINISH_TIMEOUT,
} from '../../limits.ts'
import type { Connection } from '../../net/connection.ts'
import type { Service } from '../../net/service.ts'
import type { Stream } from '../../net/stream.ts'
import { echo } from '../../testing/echo.ts'
import { type FakeNetwork, fakeNetwork } from '../../testing/fake-peer-connection.ts'
import { listen } from '../../testing/listen.ts'
import { property } from '../../testing/property.ts'
import { World, type WorldNode } from '../../testing/world.ts'
import type { Outcome } from '../../wire/conversation.ts'
import { identifyService } from '../identify/service.ts'
import { type PingService, pingService } from '../ping/service.ts'
import { type RelayServerOptions, relayServer } from '../relay/hop.ts'
import { type RelayClient, relayClient } from '../relay/service.ts'
import { encodeSignal, SIGNALING } from './messages.ts'
import { webrtcService } from './service.ts'

interface Tab extends WorldNode {
  readonly ping: PingService
  readonly client: RelayClient
}

interface Scene {
  readonly world: World
  readonly network: ReturnType<typeof fakeNetwork>
  readonly relay: WorldNode
  readonly a: Tab
  readonly b: Tab
  /** The way to `b` through the relay, and the direct one. */
  readonly circuit: Multiaddr
  readonly direct: Multiaddr
}

/** A relay and two tabs that hold a slot on it. */
const scene = (seed: number, options: { relay?: RelayServerOptions; answers?: boolean } = {}): Scene => {
  const world = new World(seed, 5)
  const network = fakeNetwork({ now: () => world.now, after: (ms, run) => world.after(ms, run) })
  const relay = world.node(() => ({ services: [identifyService(), relayServer(options.relay).service] }))
  const tab = (speaks = true): Tab => {
    const ping = pingService()
    const client = relayClient({ relays: [relay.address], webrtc: true })
    const webrtc = webrtcService({ rtc: network.rtc(), ping: ping.ping })
    const services = [identifyService(), ping, client, echo({ allowLimited: true }), ...(speaks ? [webrtc] : [])]
    return { ...world.node(() => ({ services, transports: [client, ...(speaks ? [webrtc] : [])] })), ping, client }
  }
  const a = tab()
  const b = tab(options.answers ?? true)
  expect(world.run(2_000, () => [a, b].every(({ events }) => events.some(({ t }) => t === 'relay:reserved')))).toBe(true)
  return {
    world,
    network,
    relay,
    a,
    b,
    circuit: encapsulate(relay.address, `/p2p-circuit/p2p/${b.node.self}`),
    direct: encapsulate(relay.address, `/p2p-circuit/webrtc/p2p/${b.node.self}`),
  }
}

const outcomeOf = <T>(world: World, begin: (done: (outcome: Outcome<T>) => void) => void): Outcome<T> => {
  let got: Outcome<T> | undefined
  begin((outcome) => {
    got = outcome
  })
  world.run(60_000, () => got !== undefined)
  if (got === undefined) throw new Error('no outcome')
  return got
}

const dial = (world: World, from: WorldNode, ...addresses: Multiaddr[]): Connection => {
  const outcome = outcomeOf<Connection>(world, (done) => from.node.dial({ addresses }, done))
  if (!outcome.ok) throw outcome.fault
  return outcome.value
}

const waysTo = (from: WorldNode, to: WorldNode): string[] => from.node.connections(to.node.self).map((each) => each.transport)

const says = (world: World, connection: Connection, text: string): string => {
  const stream = connection.openStream(['/echo/1'])
  const heard = listen(stream)
  stream.write(utf8(text))
  stream.end()
  world.run(2_000, () => heard.over !== undefined)
  return `${heard.text} ${heard.over}`
}

describe('two tabs and a relay', () => {
  it('a relayed connection moves to a direct one by itself, which answers a ping before the relayed one goes', () => {
    const { world, a, b, circuit } = scene(1)
    const relayed = dial(world, a, circuit)
    expect(relayed.transport).toBe('relay')
    expect(world.run(5_000, () => waysTo(a, b).includes('webrtc'))).toBe(true)
    const direct = a.node.connections(b.node.self).find((each) => each.transport === 'webrtc') as Connection
    expect(direct).toMatchObject({ direction: 'outbound', encryption: 'dtls', muxer: '/webrtc', limited: false })
    expect(direct.remoteAddr.text).toMatch(/\/p2p-circuit\/webrtc\/p2p\//)
    expect(relayed.status).toBe('open')
    expect(world.run(1_000, () => relayed.status === 'retiring')).toBe(true)
    expect(direct.proven).toBe(true)
    const retiredAt = world.now
    expect(world.run(RETIRE_GRACE + 100, () => relayed.status === 'closed')).toBe(true)
    expect(world.now - retiredAt).toBeGreaterThanOrEqual(RETIRE_GRACE)
    world.run(100)
    expect([waysTo(a, b), waysTo(b, a)]).toEqual([['webrtc'], ['webrtc']])
    expect(b.node.connections(a.node.self)[0]?.direction).toBe('inbound')
    expect(says(world, direct, 'hello')).toBe('hello closed')
    expect(says(world, b.node.connections(a.node.self)[0] as Connection, 'and back')).toBe('and back closed')
  })

  it('the relayed one stays for as long as either side has a stream on it', () => {
    const { world, a, b, circuit } = scene(2)
    const relayed = dial(world, a, circuit)
    const ours = relayed.openStream(['/echo/1'])
    const heard = listen(ours)
    expect(world.run(5_000, () => relayed.status === 'retiring')).toBe(true)
    world.run(20_000)
    ours.write(utf8('still here'))
    world.run(100)
    expect(heard.text).toBe('still here')
    // The other side opens one in the last moment.
    ours.end()
    expect(world.run(1_000, () => relayed.streams.size === 0)).toBe(true)
    world.run(RETIRE_GRACE - 50)
    const theirs = (b.node.connections(a.node.self).find((each) => !each.direct) as Connection).openStream(['/echo/1'])
    const late = listen(theirs)
    theirs.write(utf8('late'))
    world.run(10_000)
    expect([late.text, late.over, relayed.status]).toEqual(['late', undefined, 'retiring'])
    theirs.end()
    world.run(RETIRE_GRACE + 200)
    expect(relayed.status).toBe('closed')
    expect(late.over).toBe('closed')
  })

  it('new streams prefer the direct one once it is proven, on both sides', () => {
    const { world, a, b, circuit } = scene(3)
    dial(world, a, circuit)
    listen((a.node.connections(b.node.self)[0] as Connection).openStream(['/echo/1']))
    world.run(5_000, () => a.node.connections(b.node.self)[0]?.proven === true && b.node.connections(a.node.self)[0]?.proven === true)
    expect([a.node.connections(b.node.self)[0]?.transport, b.node.connections(a.node.self)[0]?.transport]).toEqual(['webrtc', 'webrtc'])
  })

  it('the dial of a /webrtc address waits for the direct connection', () => {
    const { world, a, b, direct } = scene(4)
    expect(dial(world, a, direct).transport).toBe('webrtc')
    world.run(RETIRE_GRACE + 2_000)
    expect([waysTo(a, b), waysTo(b, a)]).toEqual([['webrtc'], ['webrtc']])
  })

  it('a direct connection that has not answered a ping yet is no reason to make another one', () => {
    const { world, a, b, direct } = scene(4)
    expect(dial(world, a, direct).proven).toBe(false)
    const again = outcomeOf<Stream>(world, (done) => a.node.openStream({ addresses: [direct] }, ['/echo/1'], done))
    expect(again.ok).toBe(true)
    world.run(RETIRE_GRACE + 2_000)
    expect(
      [a, b].map(({ events }) => events.filter((event) => event.t === 'connection:open' && event.connection.transport === 'webrtc').length),
    ).toEqual([1, 1])
  })

  it('signals over a relay that allows next to nothing', () => {
    const { world, a, b, direct } = scene(5, { relay: { limit: { data: 16_384, duration: 120_000 } } })
    expect(dial(world, a, direct).limited).toBe(false)
    world.run(5_000)
    expect(waysTo(a, b)).toEqual(['webrtc'])
  })

  it('leave nothing behind: no stream, no timer but those of the connections that stand', () => {
    const { world, network, a, b, relay, circuit } = scene(6)
    world.run(30_000)
    dial(world, a, circuit)
    world.run(60_000)
    for (const { node } of [a, b, relay])
      for (const each of node.connections()) expect([...each.streams].map(({ protocol }) => protocol)).toEqual([])
    a.node.connections(b.node.self)[0]?.close()
    world.run(5_000)
    expect([waysTo(a, b), waysTo(b, a)]).toEqual([[], []])
    expect(network.peers.every((peer) => peer.closed)).toBe(true)
    let stopped = 0
    for (const { node } of [a, b, relay]) node.stop(() => (stopped += 1))
    world.run(20_000)
    expect(stopped).toBe(3)
    expect(world.waiting).toBe(0)
  })
})

describe('where there is no direct way', () => {
  for (const fate of ['fails', 'silent'] as const) {
    it(`the network ${fate}: the relayed connection stays and works, and the dial of /webrtc resolves with it`, () => {
      const { world, network, a, b, direct } = scene(10)
      network.fate = fate
      const began = world.now
      const connection = dial(world, a, direct)
      expect(connection.transport).toBe('relay')
      expect(world.now - began).toBeLessThanOrEqual(SIGNALING_TIMEOUT + 1_000)
      world.run(40_000)
      expect([waysTo(a, b), waysTo(b, a)]).toEqual([['relay'], ['relay']])
      expect(connection.status).toBe('open')
      expect(says(world, connection, 'hello')).toBe('hello closed')
      expect(network.peers.every((peer) => peer.closed)).toBe(true)
      expect([...connection.streams].map(({ protocol }) => protocol)).toEqual([])
    })
  }

  it('the remote does not speak it: nothing is tried', () => {
    const { world, network, a, circuit } = scene(12, { answers: false })
    const connection = dial(world, a, circuit)
    world.run(5_000)
    expect(network.peers).toEqual([])
    expect(connection.status).toBe('open')
  })

  it('the dial is given up: both peer connections are closed', () => {
    const { world, network, a, direct } = scene(13)
    network.fate = 'silent'
    let heard = 0
    const cancel = a.node.dial({ addresses: [direct] }, () => (heard += 1))
    world.run(200)
    expect(network.peers.length).toBeGreaterThan(0)
    cancel()
    // Identify may have asked for the same dial, which goes on for its own sake.
    world.run(SIGNALING_TIMEOUT + 1_000)
    expect(heard).toBe(0)
    expect(network.peers.every((peer) => peer.closed)).toBe(true)
  })

  it('the relayed connection is lost in the middle of it: a coded error, and nothing stays', () => {
    for (const after of [20, 60, 70, 80, 90, 100, 120, 140, 160, 200]) {
      const { world, network, a, b, direct, relay } = scene(14)
      let outcome: Outcome<Connection> | undefined
      a.node.dial({ addresses: [direct] }, (got) => {
        outcome = got
      })
      world.run(after)
      for (const connection of relay.node.connections()) connection.abort(new TabmeshError('ERR_CONNECTION_CLOSED', 'a test'))
      world.run(SIGNALING_TIMEOUT + 10_000)
      if (outcome?.ok === false) expect(outcome.fault.code).toMatch(/^ERR_(DIAL_FAILED|DIAL_TIMEOUT)$/)
      else expect(outcome?.value.transport).toMatch(/^(webrtc|relay)$/)
      const open = network.peers.filter((peer) => !peer.closed).length
      expect(open).toBe(waysTo(a, b).filter((each) => each === 'webrtc').length * 2)
    }
  })
})

it('both dial each other at once: working connections, no stream breaks, and the relayed ones go', () => {
  property(12, (random) => {
    const { world, network, a, b, relay } = scene(100 + random.below(1_000))
    network.connecting = [random.below(60), random.below(60)]
    network.gathering = random.below(20)
    const circuitTo = (tab: Tab): Multiaddr => encapsulate(relay.address, `/p2p-circuit/p2p/${tab.node.self}`)
    const broken: string[] = []
    const echoed = { a: 0, b: 0 }
    for (const [name, from, to, wait] of [
      ['a', a, b, 0],
      ['b', b, a, random.below(150)],
    ] as const) {
      world.after(wait, () =>
        from.node.dial({ addresses: [circuitTo(to)] }, (outcome) => {
          if (!outcome.ok) {
            broken.push(`${name}: ${outcome.fault.message}`)
            return
          }
          // Streams come and go all the while, on whatever connection is the best one.
          for (let i = 0; i < 40; i += 1) {
            world.after(i * 25, () => {
              const best = from.node.connections(to.node.self)[0]
              if (best === undefined) {
                broken.push(`${name}: no connection`)
                return
              }
              const stream = best.openStream(['/echo/1'])
              stream.attach({
                onData(bytes) {
                  echoed[name] += bytes.length
                  stream.release(bytes.length)
                },
                onEnd: () => {},
                onClose: (fault) => fault !== undefined && broken.push(`${name}: ${best.transport} ${fault.message}`),
              })
              stream.write(new Uint8Array(100))
              stream.end()
            })
          }
        }),
      )
    }
    world.run(10_000)
    expect(broken).toEqual([])
    expect(echoed).toEqual({ a: 4_000, b: 4_000 })
    expect(waysTo(a, b).every((each) => each === 'webrtc')).toBe(true)
    expect(waysTo(b, a).length).toBe(waysTo(a, b).length)
  })
})

it('whoever made the direct connection, each side retires the relayed ones it dialled, early or late', () => {
  const { world, network, a, b, relay, circuit } = scene(30)
  network.fate = 'fails'
  dial(world, a, circuit)
  world.run(1_000)
  expect(waysTo(a, b)).toEqual(['relay'])
  network.fate = 'connects'
  /** One more relayed connection, though there is one. */
  const adopt = (from: Tab, to: Tab): void => {
    const way = encapsulate(relay.address, `/p2p-circuit/p2p/${to.node.self}`)
    from.client.dial(way, from.node, (link) => link.ok && from.node.adopt(link.value, to.node.self, () => {}))
  }
  adopt(b, a)
  expect(world.run(5_000, () => waysTo(a, b).join() === 'webrtc')).toBe(true)
  expect(a.node.connections(b.node.self)[0]?.direction).toBe('inbound')
  adopt(a, b)
  expect(world.run(1_000, () => waysTo(a, b).includes('relay'))).toBe(true)
  expect(world.run(5_000, () => waysTo(a, b).join() === 'webrtc')).toBe(true)
  expect(waysTo(b, a)).toEqual(['webrtc'])
})

describe('a remote that breaks the rules of signalling', () => {
  /** What becomes of a signalling stream on which `write` is what comes; a second peer goes on working beside it. */
  const hostile = (write: (stream: Stream, world: World) => void): { code: string | undefined; network: FakeNetwork; took: number } => {
    const { world, network, a, b, circuit } = scene(20)
    network.fate = 'silent'
    const connection = dial(world, a, circuit)
    // Its own signalling out of the way.
    world.run(SIGNALING_TIMEOUT + 2_000)
    network.peers.splice(0)
    const stream = connection.openStream([SIGNALING])
    const heard = listen(stream)
    const began = world.now
    write(stream, world)
    world.run(60_000, () => heard.over !== undefined)
    const took = world.now - began
    expect(connection.status).toBe('open')
    expect(says(world, connection, 'hello')).toBe('hello closed')
    world.run(1_000)
    const there = b.node.connections(a.node.self).find((each) => !each.direct) as Connection
    expect([...there.streams].map(({ protocol }) => protocol)).toEqual([])
    expect(network.peers.every((peer) => peer.closed)).toBe(true)
    return { code: heard.over, network, took }
  }
  const wire = message({ type: uint(1), data: string(2) })

  it.each<[string, Uint8Array]>([
    ['a signal of another type', frame(wire.encode({ type: 7, data: 'x' }))],
    ['an answer', encodeSignal({ t: 'answer', sdp: 'v=0' })],
    ['two offers', concat([encodeSignal({ t: 'offer', sdp: 'one' }), encodeSignal({ t: 'offer', sdp: 'two' })])],
    ['an offer that the browser refuses', encodeSignal({ t: 'offer', sdp: 'nonsense' })],
    ['what is no protobuf', frame(utf8('nonsense'))],
    ['an SDP over the limit', encodeSignal({ t: 'offer', sdp: 'x'.repeat(SIGNALING_MAX_FRAME) })],
    ['a length of 2^53', encodeVarint(2 ** 53 - 1)],
    [
      'a flood of candidates',
      concat(Array.from({ length: SIGNALING_MAX_CANDIDATES + 1 }, () => encodeSignal({ t: 'candidate', json: '{}' }))),
    ],
    ['text that is not UTF-8', frame(Uint8Array.of(8, 0, 18, 1, 0xff))],
  ])('%s: the stream is reset at once', (_what, bytes) => {
    const { code, took } = hostile((stream) => stream.write(bytes))
    expect(code).toBe('ERR_STREAM_RESET')
    expect(took).toBeLessThan(1_000)
  })

  it('the end of the stream before an offer resets it', () => {
    expect(hostile((stream) => stream.end()).code).toBe('ERR_STREAM_RESET')
  })

  it('silence ends at the deadline', () => {
    const { code, took } = hostile(() => {})
    expect(code).toBe('ERR_STREAM_RESET')
    expect(took).toBeGreaterThan(SIGNALING_TIMEOUT - 100)
    expect(took).toBeLessThan(SIGNALING_TIMEOUT + 1_000)
  })

  it('candidates that are no JSON are skipped', () => {
    const { network } = hostile((stream, world) => {
      for (const json of ['{', '', 'null', '"', '[]']) stream.write(encodeSignal({ t: 'candidate', json }))
      world.run(500)
      stream.abort(new TabmeshError('ERR_STREAM_RESET', 'a test'))
    })
    expect(network.peers.flatMap(({ asked }) => asked)).toEqual(['addCandidate', 'addCandidate', 'addCandidate'])
  })

  it('an answerer that never ends the stream does not keep the relayed connection', () => {
    const { world, a, b, circuit } = scene(21)
    const relayed = dial(world, a, circuit)
    const answering = (): Stream | undefined =>
      b.node
        .connections(a.node.self)
        .flatMap((each) => [...each.streams])
        .find((each) => each.protocol === SIGNALING)
    expect(world.run(1_000, () => answering() !== undefined)).toBe(true)
    // Its end gets lost.
    ;(answering() as { end: () => void }).end = () => {}
    expect(world.run(5_000, () => relayed.status === 'retiring')).toBe(true)
    expect(world.run(STREAM_FINISH_TIMEOUT + RETIRE_GRACE + 1_000, () => relayed.status === 'closed')).toBe(true)
  })

  it('an offerer that never ends it does not keep it either', () => {
    const { world, a, b, circuit } = scene(22)
    dial(world, a, circuit)
    const offering = (): Stream | undefined =>
      a.node
        .connections(b.node.self)
        .flatMap((each) => [...each.streams])
        .find((each) => each.protocol === SIGNALING)
    expect(world.run(1_000, () => offering() !== undefined)).toBe(true)
    ;(offering() as unknown as { finish: () => void }).finish = () => {}
    world.run(5_000, () => waysTo(b, a).includes('webrtc'))
    world.run(2 * STREAM_FINISH_TIMEOUT + RETIRE_GRACE + 2_000)
    expect(b.node.connections(a.node.self).flatMap((each) => [...each.streams])).toEqual([])
  })
})

describe('a remote that wants too much', () => {
  it('gets two peer connections at a time, however many offers it makes and drops', () => {
    const { world, network, a, b, circuit } = scene(31)
    dial(world, a, circuit)
    world.run(5_000)
    const [direct] = a.node.connections(b.node.self)
    expect(direct?.transport).toBe('webrtc')
    network.peers.length = 0
    const rtc = network.rtc()
    for (let i = 0; i < 40; i += 1) {
      const stream = (direct as Connection).openStream([SIGNALING])
      listen(stream)
      const silent = { onCandidate: () => {}, onState: () => {}, onRefused: () => {} }
      rtc.create({ ...silent, onDescription: (sdp) => stream.write(encodeSignal({ t: 'offer', sdp })) }).makeOffer()
      world.run(100)
      stream.abort(new TabmeshError('ERR_STREAM_RESET', 'a test'))
      world.run(100)
    }
    expect(network.peers.filter(({ asked }) => asked.includes('makeAnswer')).length).toBe(2)
    expect(b.node.connections(a.node.self).length).toBeGreaterThan(0)
  })
})

describe('a relay that limits its circuits', () => {
  const limit = { duration: 120_000, data: 131_072 }
  const direct: Service = { name: 'direct only', protocols: { '/direct/1': {} }, onStream: (stream) => stream.end() }

  it('is no reason to refuse a stream: it waits for the direct connection', () => {
    const { world, a, b } = scene(32, { relay: { limit } })
    b.node.mount(direct)
    const outcome = outcomeOf<Stream>(world, (done) => a.node.openStream({ peer: b.node.self, addresses: [] }, ['/direct/1'], done))
    if (!outcome.ok) throw outcome.fault
    expect(outcome.value.connection.transport).toBe('webrtc')
  })

  it('is one where no direct connection comes about', () => {
    const { world, a, b } = scene(33, { relay: { limit }, answers: false })
    b.node.mount(direct)
    const began = world.now
    const outcome = outcomeOf<Stream>(world, (done) => a.node.openStream({ peer: b.node.self, addresses: [] }, ['/direct/1'], done))
    expect(outcome).toMatchObject({ ok: false, fault: { code: 'ERR_LIMITED_CONNECTION' } })
    expect(world.now - began).toBeLessThanOrEqual(LIMITED_WAIT + 1_000)
  })
})

it('hanging up gives the direct connection up too while it is being made', () => {
  const { world, a, b, circuit } = scene(34)
  dial(world, a, circuit)
  expect(
    world.run(2_000, () =>
      a.node.connections(b.node.self).some((each) => [...each.streams].some(({ protocol }) => protocol === SIGNALING)),
    ),
  ).toBe(true)
  a.node.hangUp(b.node.self)
  world.run(40_000)
  expect(waysTo(a, b)).toEqual([])
  expect(waysTo(b, a)).toEqual([])
})

it('matches /webrtc behind /p2p-circuit only', () => {
  const { matches } = webrtcService({ rtc: { create: () => expect.unreachable() }, ping: () => {} })
  const id = '12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5'
  const of = (text: string): boolean => matches(parseMultiaddr(text))
  expect(of(`/memory/1/p2p/${id}/p2p-circuit/webrtc/p2p/${id}`)).toBe(true)
  expect(of(`/memory/1/p2p/${id}/p2p-circuit/p2p/${id}`)).toBe(false)
  expect(of(`/webrtc/p2p/${id}`)).toBe(false)
})
