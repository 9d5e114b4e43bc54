import { describe, expect, it } from 'vitest'
import type { TabmeshError } from '../../errors.ts'
import { fromUtf8, utf8 } from '../codec/bytes.ts'
import { parseMultiaddr } from '../codec/multiaddr.ts'
import { frame } from '../codec/varint.ts'
import { identifyService } from '../protocols/identify/service.ts'
import { pingService } from '../protocols/ping/service.ts'
import { echo } from '../testing/echo.ts'
import { World, type WorldNode } from '../testing/world.ts'
import type { Outcome } from '../wire/conversation.ts'
import type { Connection } from './connection.ts'
import type { Service, Transport } from './service.ts'
import type { Stream } from './stream.ts'

const peers = (seed: number): { world: World; a: WorldNode; b: WorldNode; ping: ReturnType<typeof pingService> } => {
  const world = new World(seed)
  const ping = pingService()
  const a = world.node(() => ({ services: [identifyService(), ping] }))
  const b = world.node(() => ({ services: [identifyService(), pingService(), echo()] }))
  return { world, a, b, ping }
}

/** Runs `begin` and then the world until it has called back. */
const outcomeOf = <T>(world: World, begin: (done: (outcome: Outcome<T>) => void) => void): Outcome<T> => {
  let got: Outcome<T> | undefined
  begin((outcome) => {
    got = outcome
  })
  world.run(120_000, () => got !== undefined)
  return got as Outcome<T>
}

const connect = (world: World, from: WorldNode, to: WorldNode): Connection => {
  const outcome = outcomeOf<Connection>(world, (done) => from.node.dial({ addresses: [to.address] }, done))
  if (!outcome.ok) throw outcome.fault
  return outcome.value
}

describe('two nodes', () => {
  it('connect: the dialer has its connection one round trip after the pipe', () => {
    const { world, a, b } = peers(1)
    const began = world.now
    const connection = connect(world, a, b)
    expect(connection.remotePeer).toBe(b.node.self)
    expect(connection.encryption).toBe('/noise')
    expect(connection.muxer).toBe('/yamux/1.0.0')
    // Two latencies for the memory pipe itself, two for multistream with Noise.
    expect(world.now - began).toBe(40)
  })

  it('know that there is a network when they connect through one, whatever the platform says', () => {
    const { world, b } = peers(40)
    const news: boolean[] = []
    const listener: Service = { name: 'listener', protocols: {}, onNetworkChange: (there) => news.push(there) }
    const memory = world.transport()
    const outside = parseMultiaddr('/ip4/203.0.113.1/tcp/4001/ws')
    const internet: Transport = {
      ...memory,
      matches: () => true,
      dial: (address, net, done) =>
        memory.dial(b.address, net, (outcome) =>
          done(outcome.ok ? { ok: true, value: { ...outcome.value, remoteAddr: address } } : outcome),
        ),
    }
    const a = world.node(() => ({ services: [identifyService(), listener], transports: [internet] }))
    a.node.offline()
    expect(outcomeOf<Connection>(world, (done) => a.node.dial({ addresses: [outside] }, done)).ok).toBe(true)
    world.run(10)
    expect(news).toEqual([false, true])
  })

  it('identify each other', () => {
    const { world, a, b } = peers(2)
    connect(world, a, b)
    world.run(1_000)
    expect(a.node.peerStore.get(b.node.self)?.protocols).toContain('/echo/1')
    expect(a.node.peerStore.get(b.node.self)?.addresses.map((address) => address.text)).toEqual([b.address.text])
    expect(b.node.peerStore.get(a.node.self)?.agent).toBe('tabmesh/0.1.0')
    expect(b.events.map((event) => event.t)).toContain('peer:identify')
  })

  it('push what changes', () => {
    const { world, a, b } = peers(3)
    connect(world, a, b)
    world.run(1_000)
    b.node.mount({ name: 'late', protocols: { '/late/1': {} } })
    world.run(1_000)
    expect(a.node.peerStore.get(b.node.self)?.protocols).toContain('/late/1')
  })

  it('ping in one round trip', () => {
    const { world, a, b, ping } = peers(4)
    const connection = connect(world, a, b)
    world.run(1_000)
    expect(outcomeOf<number>(world, (done) => ping.ping(connection, done))).toEqual({ ok: true, value: 20 })
    expect(connection.proven).toBe(true)
  })

  it('echo over a stream that costs no round trip to open', () => {
    const { world, a, b } = peers(5)
    const connection = connect(world, a, b)
    world.run(1_000)
    const began = world.now
    const stream = connection.openStream(['/echo/1'])
    let heard = ''
    let closed = false
    stream.attach({
      onData: (bytes) => {
        heard += fromUtf8(bytes)
      },
      onEnd: () => {},
      onClose: (fault) => {
        closed = fault === undefined
      },
    })
    stream.write(utf8('hello'))
    stream.end()
    world.run(1_000, () => closed)
    expect(heard).toBe('hello')
    expect(world.now - began).toBe(20)
    expect([...connection.streams].map((each) => [each.protocol, each.direction])).toEqual([])
  })

  it('refuse a protocol that the remote does not speak, without harm to the connection', () => {
    const { world, a, b } = peers(6)
    const connection = connect(world, a, b)
    world.run(1_000)
    const outcome = outcomeOf<Stream>(world, (done) => a.node.openStream({ peer: b.node.self, addresses: [] }, ['/nothing/1'], done))
    expect(outcome.ok).toBe(false)
    expect((outcome as { fault: TabmeshError }).fault.code).toBe('ERR_NO_PROTOCOL')
    expect(connection.status).toBe('open')
  })

  it('hang up: both sides hear of it and streams end with a code', () => {
    const { world, a, b } = peers(7)
    const connection = connect(world, a, b)
    world.run(1_000)
    const stream = connection.openStream(['/echo/1'])
    let fault: TabmeshError | undefined
    stream.attach({
      onData: () => {},
      onEnd: () => {},
      onClose: (why) => {
        fault = why
      },
    })
    world.run(100)
    b.node.connections(a.node.self)[0]?.close()
    world.run(5_000)
    expect(fault?.code).toBe('ERR_CONNECTION_CLOSED')
    expect(a.node.connections()).toEqual([])
    expect(a.events.at(-1)).toEqual({ t: 'peer:disconnect', peer: b.node.self })
  })

  it('stop in order', () => {
    const { world, a, b } = peers(8)
    connect(world, a, b)
    let stopped = false
    a.node.stop(() => {
      stopped = true
    })
    world.run(5_000, () => stopped)
    expect(stopped).toBe(true)
    world.run(1_000)
    expect(b.node.connections()).toEqual([])
    const outcome = outcomeOf<Connection>(world, (done) => a.node.dial({ addresses: [b.address] }, done))
    expect((outcome as { fault: TabmeshError }).fault.code).toBe('ERR_STOPPED')
  })
})

describe('a dial that fails', () => {
  it('says why for each address', () => {
    const { world, a } = peers(10)
    const outcome = outcomeOf<Connection>(world, (done) =>
      a.node.dial({ addresses: [parseMultiaddr('/memory/77'), parseMultiaddr('/ip4/127.0.0.1/tcp/1')] }, done),
    )
    const { fault } = outcome as { fault: TabmeshError }
    expect(fault.code).toBe('ERR_DIAL_FAILED')
    expect(fault.errors.map((each) => each.code).sort()).toEqual(['ERR_NO_TRANSPORT', 'ERR_RELAY_UNREACHABLE'])
  })

  it('tells another peer at the address apart', () => {
    const { world, a, b } = peers(11)
    const wrong = parseMultiaddr(`${b.address.text.split('/p2p/')[0]}/p2p/12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5`)
    const outcome = outcomeOf<Connection>(world, (done) => a.node.dial({ addresses: [wrong] }, done))
    const { fault } = outcome as { fault: TabmeshError }
    expect(fault.errors[0]?.code).toBe('ERR_PEER_ID_MISMATCH')
    expect(b.node.connections()).toEqual([])
  })

  it('ends within its deadline when nobody answers', () => {
    const { world, a } = peers(12)
    const silent = world.transport()
    const mute = world.node(() => ({ services: [] }))
    // A listener that takes the pipe and says nothing.
    ;(mute.node as { accept: unknown }).accept = () => {}
    expect(silent.matches(mute.address)).toBe(true)
    const began = world.now
    const outcome = outcomeOf<Connection>(world, (done) => a.node.dial({ addresses: [mute.address] }, done))
    const { fault } = outcome as { fault: TabmeshError }
    expect(fault.errors[0]?.code).toMatch(/ERR_(DIAL_)?TIMEOUT/)
    expect(world.now - began).toBeLessThanOrEqual(10_100)
  })

  it('refuses ourselves', () => {
    const { world, a } = peers(13)
    const outcome = outcomeOf<Connection>(world, (done) => a.node.dial({ addresses: [a.address] }, done))
    expect((outcome as { fault: TabmeshError }).fault.code).toBe('ERR_SELF_DIAL')
  })
})

describe('callers for the same peer', () => {
  it('share one dial', () => {
    const { world, a, b } = peers(14)
    const got: Connection[] = []
    for (let i = 0; i < 3; i += 1) a.node.dial({ addresses: [b.address] }, (outcome) => outcome.ok && got.push(outcome.value))
    world.run(1_000)
    expect(got.length).toBe(3)
    expect(new Set(got).size).toBe(1)
    expect(a.node.connections().length).toBe(1)
  })

  it('may give up one by one', () => {
    const { world, a, b } = peers(15)
    const cancel = a.node.dial({ addresses: [b.address] }, () => {
      throw new Error('was given up')
    })
    cancel()
    world.run(1_000)
    expect(a.node.connections()).toEqual([])
  })
})

describe('what was asked for may be given up', () => {
  it('a stream while its connection is dialled, and while its protocol is negotiated', () => {
    const { world, a, b } = peers(20)
    const never = (): void => {
      throw new Error('was given up')
    }
    const target = { addresses: [b.address] }
    for (const after of [0, 15, 35]) {
      const cancel = a.node.openStream(target, ['/none/1', '/echo/1'], never)
      world.run(after)
      cancel()
    }
    connect(world, a, b)
    // Nobody has identified the other yet: two protocols take a round trip.
    const cancel = a.node.openStream(target, ['/none/1', '/echo/1'], never)
    world.run(5)
    cancel()
    cancel()
    world.run(15_000)
    for (const { node } of [a, b]) expect(node.connections().flatMap((each) => [...each.streams])).toEqual([])
  })

  it('but not a stream that was handed over', () => {
    const { world, a, b } = peers(21)
    let stream: Stream | undefined
    const cancel = a.node.openStream({ addresses: [b.address] }, ['/echo/1'], (outcome) => {
      if (outcome.ok) stream = outcome.value
    })
    world.run(1_000)
    cancel()
    world.run(1_000)
    expect(stream?.closed).toBe(false)
  })

  it('a dial: a link that comes too late is closed', () => {
    const { world, a } = peers(22)
    const [near, far] = world.pipe()
    let link: (() => void) | undefined
    const late: Transport = {
      name: 'memory',
      matches: () => true,
      dial: (remoteAddr, _net, done) => {
        link = () => done({ ok: true, value: { t: 'pipe', channel: near, transport: 'memory', remoteAddr } })
        return () => {}
      },
    }
    const c = world.node(() => ({ services: [], transports: [late] }))
    const cancel = c.node.dial({ addresses: [parseMultiaddr('/ip4/127.0.0.1/tcp/1')] }, () => {})
    world.run(10)
    cancel()
    link?.()
    let closed: string | undefined
    far.attach({ onData: () => {}, onEnd: () => {}, onClose: (fault) => (closed = fault?.code) })
    world.run(100)
    expect(closed).toBe('ERR_CONNECTION_CLOSED')
    expect(a.node.pending + c.node.pending).toBe(0)
  })
})

describe('a connection that closes', () => {
  it('is no answer to a new dial', () => {
    const { world, a, b } = peers(23)
    const first = connect(world, a, b)
    first.close()
    expect(first.status).toBe('retiring')
    const second = connect(world, a, b)
    expect(second).not.toBe(first)
    world.run(10_000)
    expect([first.status, second.status]).toEqual(['closed', 'open'])
  })

  it('opens no stream: it fails at once, and leaves nothing', () => {
    const { world, a, b } = peers(24)
    const connection = connect(world, a, b)
    world.run(1_000)
    connection.close()
    for (const protocols of [['/echo/1'], ['/none/1', '/echo/1']]) {
      const told: (string | undefined)[] = []
      connection.openStream(protocols, (fault) => told.push(fault?.code))
      expect(told).toEqual(['ERR_CONNECTION_CLOSED'])
    }
    world.run(10_000)
    expect(connection.status).toBe('closed')
    for (const protocols of [['/echo/1'], ['/none/1', '/echo/1']]) {
      const told: (string | undefined)[] = []
      const stream = connection.openStream(protocols, (fault) => told.push(fault?.code))
      expect(told).toEqual(['ERR_CONNECTION_CLOSED'])
      expect(stream.closed).toBe(true)
    }
    expect(connection.streams.size).toBe(0)
    expect(a.node.metrics.snapshot().protocols['/echo/1']?.open ?? 0).toBe(0)
  })

  it('by force: likewise', () => {
    const { world, a, b } = peers(29)
    const connection = connect(world, a, b)
    world.run(1_000)
    connection.abort({ code: 'ERR_STOPPED' } as TabmeshError)
    const told: (string | undefined)[] = []
    expect(connection.openStream(['/echo/1'], (fault) => told.push(fault?.code)).closed).toBe(true)
    expect(told).toEqual(['ERR_CONNECTION_CLOSED'])
    expect(connection.streams.size).toBe(0)
  })

  it('when it retires, waits for streams of either side, and for the grace after them', () => {
    const { world, a, b } = peers(25)
    const connection = connect(world, a, b)
    world.run(1_000)
    const stream = connection.openStream(['/echo/1'])
    stream.attach({ onData: () => {}, onEnd: () => {}, onClose: () => {} })
    connection.retire()
    world.run(60_000)
    expect(connection.status).toBe('retiring')
    stream.end()
    world.run(500)
    expect([connection.streams.size, connection.status]).toEqual([0, 'retiring'])
    const again = connection.openStream(['/echo/1'])
    again.attach({ onData: () => {}, onEnd: () => {}, onClose: () => {} })
    world.run(60_000)
    expect(connection.status).toBe('retiring')
    again.end()
    world.run(2_000)
    expect(connection.status).toBe('closed')
    expect(b.node.connections()).toEqual([])
  })
})

describe('a node that stops', () => {
  it('in the turn in which it is asked to dial: the dial ends with ERR_STOPPED and nothing goes on', () => {
    const { world, a, b } = peers(26)
    world.run(1_000)
    const codes: string[] = []
    a.node.dial({ addresses: [b.address] }, (outcome) => codes.push(outcome.ok ? 'ok' : outcome.fault.code))
    a.node.stop(() => codes.push('stopped'))
    world.run(50)
    expect(codes.sort()).toEqual(['ERR_STOPPED', 'stopped'])
    world.run(1_000)
    expect(world.waiting).toBe(0)
  })

  it('while it dials, accepts and has streams: all of them end, and no timer stays', () => {
    for (const after of [1, 11, 21, 31, 41, 200]) {
      const { world, a, b } = peers(27)
      const c = world.node(() => ({ services: [identifyService(), pingService()] }))
      const codes: string[] = []
      a.node.dial({ addresses: [b.address] }, (outcome) => codes.push(outcome.ok ? 'ok' : outcome.fault.code))
      c.node.dial({ addresses: [a.address] }, () => {})
      world.run(after)
      let stopped = 0
      a.node.stop(() => (stopped += 1))
      a.node.stop(() => (stopped += 1))
      world.run(5_000)
      a.node.stop(() => (stopped += 1))
      world.run(0)
      expect(stopped).toBe(3)
      expect(codes.length).toBe(1)
      expect([a.node.connections(), a.node.pending]).toEqual([[], 0])
      for (const { node } of [b, c]) node.stop(() => {})
      world.run(20_000)
      expect(world.waiting).toBe(0)
    }
  })
})

it('a network that is cut takes every connection with it, and a new dial makes a new one', () => {
  const { world, a, b } = peers(28)
  const connection = connect(world, a, b)
  const stream = connection.openStream(['/echo/1'])
  let code: string | undefined
  stream.attach({ onData: () => {}, onEnd: () => {}, onClose: (fault) => (code = fault?.code) })
  world.run(1_000)
  world.cutAll()
  world.run(100)
  expect(code).toBe('ERR_CONNECTION_CLOSED')
  expect([a.node.connections(), b.node.connections()]).toEqual([[], []])
  expect(connect(world, a, b).status).toBe('open')
})

describe('limits', () => {
  it('hold for connections in all', () => {
    const world = new World(16)
    const a = world.node(() => ({ services: [], limits: { max: 1 } }))
    const others = [1, 2].map(() => world.node(() => ({ services: [] })))
    connect(world, a, others[0] as WorldNode)
    const outcome = outcomeOf<Connection>(world, (done) => a.node.dial({ addresses: [(others[1] as WorldNode).address] }, done))
    expect((outcome as { fault: TabmeshError }).fault.errors[0]?.code).toBe('ERR_CONNECTION_LIMIT')
  })

  it('hold for connections to one peer, and for connections that are being secured', () => {
    const world = new World(18)
    const a = world.node(() => ({ services: [], limits: { maxPerPeer: 2, maxIncomingPending: 3 } }))
    const b = world.node(() => ({ services: [] }))
    const codes: string[] = []
    const adopt = (): void => {
      const [near, far] = world.pipe()
      const remoteAddr = parseMultiaddr('/memory/0')
      a.node.accept({ t: 'pipe', channel: far, transport: 'memory', remoteAddr }, (outcome) =>
        codes.push(outcome.ok ? 'ok' : outcome.fault.code),
      )
      b.node.adopt({ t: 'pipe', channel: near, transport: 'memory', remoteAddr }, a.node.self, () => {})
    }
    for (let i = 0; i < 5; i += 1) adopt()
    expect(codes).toEqual(['ERR_CONNECTION_LIMIT', 'ERR_CONNECTION_LIMIT'])
    expect(a.node.pending).toBe(3)
    world.run(1_000)
    expect(codes.slice(2)).toEqual(['ok', 'ok', 'ERR_CONNECTION_LIMIT'])
    expect(a.node.pending).toBe(0)
    expect([a.node.connections().length, b.node.connections().length]).toEqual([2, 2])
  })

  it('hold for the streams of one protocol', () => {
    const { world, a, b } = peers(17)
    const connection = connect(world, a, b)
    world.run(1_000)
    const faults: TabmeshError[] = []
    for (let i = 0; i < 40; i += 1) {
      connection.openStream(['/echo/1']).attach({ onData: () => {}, onEnd: () => {}, onClose: (fault) => fault && faults.push(fault) })
    }
    world.run(1_000)
    expect(faults.length).toBe(8)
    expect(connection.streams.size).toBe(32)
  })
})

it('the whole engine replays from its seed', () => {
  const transcript = (seed: number): string[] => {
    const { world, a, b } = peers(seed)
    connect(world, a, b)
    world.run(2_000)
    return [...a.events, ...b.events].map((event) => event.t)
  }
  expect(transcript(99)).toEqual(transcript(99))
})

describe('what a caller gets wrong', () => {
  it('addresses of different peers are no one dial', () => {
    const { world, a, b } = peers(40)
    const other = world.node(() => ({ services: [] }))
    const outcome = outcomeOf<Connection>(world, (done) => a.node.dial({ addresses: [b.address, other.address] }, done))
    expect(outcome).toMatchObject({ ok: false, fault: { code: 'ERR_INVALID_ARGUMENT' } })
    expect(a.node.connections()).toEqual([])
  })

  it('a limit that is not set is ours, and one that is no number is refused', () => {
    const world = new World(41)
    const limits = { max: undefined, dialTimeout: undefined } as unknown as { max: number }
    const a = world.node(() => ({ services: [], limits }))
    const b = world.node(() => ({ services: [] }))
    expect(connect(world, a, b).status).toBe('open')
    expect(() => world.node(() => ({ services: [], limits: { max: Number.NaN } }))).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_ARGUMENT' }),
    )
  })
})

describe('what a transport or a service gets wrong', () => {
  it('a transport that throws has failed, with its cause', () => {
    const world = new World(42)
    const broken: Transport = {
      name: 'tcp',
      matches: (address) => address.parts[0]?.name === 'ip4',
      dial: () => {
        throw new SyntaxError('no URL')
      },
    }
    const a = world.node(() => ({ services: [], transports: [broken] }))
    const outcome = outcomeOf<Connection>(world, (done) => a.node.dial({ addresses: [parseMultiaddr('/ip4/1.2.3.4/tcp/5')] }, done))
    expect(outcome).toMatchObject({ ok: false, fault: { code: 'ERR_DIAL_FAILED', errors: [{ code: 'ERR_NO_TRANSPORT' }] } })
  })

  it('a service that throws takes nobody else with it', () => {
    const world = new World(43)
    const broken: Service = {
      name: 'broken',
      protocols: { '/broken/1': {} },
      onConnection: () => {
        throw new Error('oops')
      },
      onStream: () => {
        throw new Error('oops again')
      },
    }
    const ping = pingService()
    const a = world.node(() => ({ services: [identifyService(), ping] }))
    const b = world.node(() => ({ services: [broken, identifyService(), pingService()] }))
    const connection = connect(world, a, b)
    world.run(1_000)
    let fault: TabmeshError | undefined
    connection.openStream(['/broken/1']).attach({
      onData: () => {},
      onEnd: () => {},
      onClose: (why) => {
        fault = why
      },
    })
    world.run(1_000)
    expect(fault?.code).toBe('ERR_STREAM_RESET')
    expect(b.events.filter((event) => event.t === 'error').length).toBe(2)
    expect(outcomeOf<number>(world, (done) => ping.ping(connection, done)).ok).toBe(true)
  })

  it('a transport that finds another peer has found nobody', () => {
    const world = new World(44)
    const b = world.node(() => ({ services: [] }))
    const c = world.node(() => ({ services: [] }))
    const muxer = { protocol: '/none', open: () => expect.unreachable(), attach: () => {}, close: () => {}, abort: () => {} }
    const lost: Transport = {
      name: 'webrtc',
      matches: (address) => address.parts[0]?.name === 'ip4',
      dial: (remoteAddr, net, done) => {
        net.host.defer(() =>
          done({ ok: true, value: { t: 'muxed', muxer, transport: 'webrtc', remoteAddr, remotePeer: c.node.self, encryption: 'dtls' } }),
        )
        return () => {}
      },
    }
    const a = world.node(() => ({ services: [], transports: [lost] }))
    const address = parseMultiaddr(`/ip4/1.2.3.4/tcp/5/p2p/${b.node.self}`)
    const outcome = outcomeOf<Connection>(world, (done) => a.node.dial({ addresses: [address] }, done))
    expect(outcome).toMatchObject({ ok: false, fault: { errors: [{ code: 'ERR_PEER_ID_MISMATCH' }] } })
  })
})

describe('what a remote gets wrong', () => {
  it('pings without end and without reading: the answers wait with it, not in our memory', () => {
    const { world, a, b } = peers(45)
    const connection = connect(world, a, b)
    world.run(1_000)
    const stream = connection.openStream(['/ipfs/ping/1.0.0'])
    stream.attach({ onData: () => {}, onEnd: () => {}, onClose: () => {} })
    let written = 0
    for (let turn = 0; turn < 400; turn += 1) {
      for (let i = 0; i < 64 && stream.credit > 0; i += 1) {
        stream.write(new Uint8Array(32 * 128))
        written += 32 * 128
      }
      world.run(50)
    }
    const answered = b.node.metrics.snapshot().protocols['/ipfs/ping/1.0.0']?.sent ?? 0
    // One window on the way, one send queue, and no more.
    expect(answered).toBeLessThanOrEqual(600 * 1024)
    expect(written).toBeLessThanOrEqual(1_500 * 1024)
    expect(connection.status).toBe('open')
  })

  it('introduces itself all the time: we listen ten times, and then once a second', () => {
    const { world, a, b } = peers(46)
    const connection = connect(world, a, b)
    world.run(1_000)
    b.events.length = 0
    for (let i = 0; i < 100; i += 1) {
      const stream = connection.openStream(['/ipfs/id/push/1.0.0'])
      stream.attach({ onData: () => {}, onEnd: () => {}, onClose: () => {} })
      stream.write(frame(Uint8Array.of(0x32, 1, 0x61)))
      stream.end()
      world.run(20)
    }
    const heard = b.events.filter((event) => event.t === 'peer:identify').length
    expect(heard).toBeGreaterThanOrEqual(10)
    expect(heard).toBeLessThanOrEqual(13)
    expect(connection.status).toBe('open')
  })

  it('comes over a relay again and again without a word: it has four places, and others have theirs', () => {
    const world = new World(47)
    const a = world.node(() => ({ services: [] }))
    const over = (id: string) => parseMultiaddr(`/memory/9/p2p/12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5/p2p-circuit/p2p/${id}`)
    const refused: string[] = []
    const come = (id: string): void => {
      const [channel] = world.pipe()
      a.node.accept(
        { t: 'pipe', channel, transport: 'relay', remoteAddr: over(id) },
        (outcome) => outcome.ok || refused.push(outcome.fault.code),
      )
    }
    for (let i = 0; i < 40; i += 1) come('12D3KooWPjceQrSwdWXPyLLeABRXmuqt69Rg3sBYbU1Nft9HyQ6X')
    expect(refused).toEqual(Array.from({ length: 36 }, () => 'ERR_CONNECTION_LIMIT'))
    come('12D3KooWH3uVF6wv47WnArKHk5p6cvgCJEb74UTmxztmQDc298L3')
    expect(refused.length).toBe(36)
  })
})

it('a dial that its deadline ends tells of every address', () => {
  const { world, a } = peers(48)
  const mute = world.node(() => ({ services: [] }))
  ;(mute.node as { accept: unknown }).accept = () => {}
  const silent = ['', '/http', '/https'].map((suffix) => parseMultiaddr(`${mute.address.text.split('/p2p/')[0]}${suffix}`))
  const outcome = outcomeOf<Connection>(world, (done) => a.node.dial({ addresses: silent }, done, { timeout: 400 }))
  expect(outcome).toMatchObject({ ok: false, fault: { code: 'ERR_DIAL_TIMEOUT' } })
  expect((outcome as { fault: TabmeshError }).fault.errors.map(({ code }) => code)).toEqual([
    'ERR_DIAL_TIMEOUT',
    'ERR_DIAL_TIMEOUT',
    'ERR_DIAL_TIMEOUT',
  ])
})
