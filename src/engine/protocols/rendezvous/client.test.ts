import { describe, expect, it } from 'vitest'
import { TabmeshError } from '../../../errors.ts'
import { parseMultiaddr } from '../../codec/multiaddr.ts'
import { encodeVarint } from '../../codec/varint.ts'
import {
  RENDEZVOUS_LEAVE_TIMEOUT,
  RENDEZVOUS_MAX_FOUND,
  RENDEZVOUS_MAX_KEPT,
  RENDEZVOUS_MAX_RESPONSE,
  RENDEZVOUS_PAGE,
  RENDEZVOUS_POLL,
  RENDEZVOUS_RENEW_MIN,
  RENDEZVOUS_RETRY,
  RENDEZVOUS_RETRY_MAX,
  RENDEZVOUS_SETTLE,
  RENDEZVOUS_TIMEOUT,
} from '../../limits.ts'
import type { Stream } from '../../net/stream.ts'
import { scripted } from '../../testing/exchange.ts'
import { codeOf } from '../../testing/property.ts'
import { connect, type Guest, guestIn, outcomeOf, pointIn, recordOf, taken } from '../../testing/rendezvous.ts'
import { World, type WorldNode } from '../../testing/world.ts'
import { identifyService } from '../identify/service.ts'
import type { Answered } from './conversation.ts'
import {
  decodeRequest,
  type Found,
  frameDiscoverRefused,
  frameFound,
  frameRegistered,
  frameRegisterRefused,
  RENDEZVOUS,
  type Request,
  Status,
} from './messages.ts'
import type { RegisterOptions, RegistrationState } from './registration.ts'
import type { RendezvousServerOptions } from './server.ts'

const DAY = 86_400_000

const lab = (seed: number, options: RendezvousServerOptions = {}) => {
  const world = new World(seed)
  const point = pointIn(world, options)
  const guest = (): Guest => {
    const one = guestIn(world)
    connect(world, one, point)
    return one
  }
  const discover = (from: Guest, namespace: string | undefined, asked: { limit?: number; cookie?: Uint8Array | undefined } = {}) =>
    taken(outcomeOf<Answered>(world, (done) => from.client.discover(point.node.self, namespace, asked, done)))
  const found = (from: Guest, namespace: string | undefined): string[] => discover(from, namespace).peers.map(({ peer }) => peer)
  return { world, point, guest, discover, found }
}

/** Keeps the states that a registration goes through. */
const log = () => {
  const states: string[] = []
  const onChange = (state: RegistrationState): void => void states.push(state.t === 'failed' ? state.fault.code : state.t)
  return { states, options: { onChange } as RegisterOptions }
}

/** A rendezvous point that answers as the test says, and what it was asked when. */
const actor = (world: World, act: (stream: Stream, request: Request) => void) => {
  const asked: { at: number; request: Request }[] = []
  const node = world.node(() => ({
    services: [
      identifyService(),
      scripted(RENDEZVOUS, (stream) => {
        stream.attach({
          onData(bytes) {
            const request = decodeRequest(bytes.subarray((bytes[0] as number) < 0x80 ? 1 : 2).slice())
            asked.push({ at: world.now, request })
            act(stream, request)
            stream.release(bytes.length)
          },
          onEnd: () => {
            if (asked.at(-1)?.request.t !== 'unregister') stream.end()
          },
          onClose: () => {},
        })
      }),
    ],
  }))
  return { ...node, asked }
}

const askActor = (seed: number, act: (stream: Stream, request: Request, world: World, other: WorldNode) => void) => {
  const world = new World(seed)
  const other = guestIn(world)
  const point = actor(world, (stream, request) => act(stream, request, world, other))
  const guest = guestIn(world)
  connect(world, guest, point)
  const discover = (namespace: string | undefined = 'chess', cookie?: Uint8Array) =>
    outcomeOf<Answered>(world, (done) => guest.client.discover(point.node.self, namespace, { cookie }, done))
  return { world, point, guest, other, discover }
}

describe('a rendezvous client', () => {
  it('registers, and is found by another, who then knows where it is', () => {
    const { world, point, guest, found, discover } = lab(1)
    const [a, b] = [guest(), guest()]
    const { states, options } = log()
    a.client.register(point.node.self, 'chess', options)
    world.run(100)
    expect(states).toEqual(['asking', 'registered'])
    expect([found(b, 'chess'), found(b, 'go'), found(b, undefined)]).toEqual([[a.node.self], [], [a.node.self]])
    const [peer] = discover(b, 'chess').peers
    expect(peer?.addresses.map(({ text }) => text)).toEqual([a.address.text])
    expect(peer?.ttl).toBe(7200)
    expect(b.node.peerStore.get(a.node.self)?.certified.map(({ text }) => text)).toEqual([a.address.text])
    // So it can be dialled by its name.
    const dialled = outcomeOf(world, (done) => b.node.dial({ peer: a.node.self, addresses: [] }, done))
    expect(dialled.ok).toBe(true)
  })

  it('does not find itself', () => {
    const { world, point, guest, discover } = lab(2)
    const a = guest()
    a.client.register(point.node.self, 'chess')
    world.run(100)
    expect(discover(a, 'chess')).toMatchObject({ peers: [], told: 1 })
  })

  it('is found no more when it unregisters, nor when it leaves', () => {
    const { world, point, guest, found } = lab(3)
    const [a, b, c] = [guest(), guest(), guest()]
    a.client.register(point.node.self, 'chess')
    b.client.register(point.node.self, 'chess')
    b.client.register(point.node.self, 'go')
    world.run(100)
    expect(found(c, 'chess')).toEqual([a.node.self, b.node.self])
    expect(a.client.unregister(point.node.self, 'chess')).toBe(true)
    expect(a.client.unregister(point.node.self, 'chess')).toBe(false)
    world.run(100)
    expect(found(c, 'chess')).toEqual([b.node.self])
    let left = false
    b.client.leave(() => {
      left = true
      b.node.stop(() => {})
    })
    world.run(100)
    expect(left).toBe(true)
    expect([found(c, undefined), point.server.counters.registrations]).toEqual([[], 0])
    c.client.leave(() => void (left = false))
    world.run(0)
    expect(left).toBe(false)
  })

  it('renews its registration before that is over, for as long as it lives', () => {
    const { world, point, guest, found } = lab(4)
    const [a, b] = [guest(), guest()]
    a.client.register(point.node.self, 'chess', { ttl: 120 })
    for (let minute = 0; minute < 60; minute++) {
      world.run(60_000)
      expect(found(b, 'chess')).toEqual([a.node.self])
    }
    // Each after seven tenths of two minutes, a fifth more or less.
    expect(point.server.counters.served.register).toBeGreaterThan(35)
    expect(point.server.counters.served.register).toBeLessThan(60)
  })

  it('waits until it has an address, and tells a new one when addresses have settled', () => {
    const { world, point, guest, discover } = lab(5)
    const [a, b] = [guest(), guest()]
    a.node.announce('memory', [])
    const { states, options } = log()
    a.client.register(point.node.self, 'chess', options)
    world.run(60_000)
    expect([states, discover(b, 'chess').peers]).toEqual([['waiting'], []])
    for (const port of [1, 2, 3]) {
      a.node.announce('memory', [parseMultiaddr(`/ip4/192.0.2.1/tcp/${port}`)])
      world.run(100)
    }
    world.run(RENDEZVOUS_SETTLE + 100)
    expect(discover(b, 'chess').peers[0]?.addresses.map(({ text }) => text)).toEqual([`/ip4/192.0.2.1/tcp/3/p2p/${a.node.self}`])
    expect(point.server.counters.served.register).toBe(1)
    a.node.announce('memory', [parseMultiaddr('/ip4/192.0.2.1/tcp/4')])
    world.run(RENDEZVOUS_SETTLE + 100)
    expect(discover(b, 'chess').peers[0]?.addresses[0]?.text).toContain('/tcp/4/')
    // Protocols of ours that change are no news here.
    a.node.mount({ name: 'late', protocols: { '/late/1': {} } })
    world.run(RENDEZVOUS_SETTLE + 100)
    expect(point.server.counters.served.register).toBe(2)
  })

  it('registers again when it has been away, for the server may have been as well', () => {
    const { world, point, guest, found } = lab(6)
    const [a, b] = [guest(), guest()]
    a.client.register(point.node.self, 'chess')
    world.run(1_000)
    point.restart()
    world.cutAll()
    world.run(30_000)
    expect(a.node.connections(point.node.self).length).toBe(1)
    expect(found(b, 'chess')).toEqual([a.node.self])
  })

  it('asks for what the server gives where that does not like its ttl', () => {
    const { world, point, guest, discover } = lab(7, { minTtl: 7200 })
    const [a, b] = [guest(), guest()]
    const { states, options } = log()
    a.client.register(point.node.self, 'chess', { ...options, ttl: 120 })
    world.run(1_000)
    expect([states, discover(b, 'chess').peers[0]?.ttl]).toEqual([['asking', 'asking', 'registered'], 7200])
  })

  it('tries again when it is refused, ever less often', () => {
    const { world, point, guest } = lab(8, { allowRegister: () => false })
    const a = guest()
    const { states, options } = log()
    a.client.register(point.node.self, 'chess', options)
    world.run(1_000)
    expect(states).toEqual(['asking', 'ERR_RELAY_REFUSED'])
    world.run(RENDEZVOUS_RETRY_MAX)
    const first = states.length / 2
    expect(first).toBeGreaterThan(5)
    world.run(10 * RENDEZVOUS_RETRY_MAX)
    expect(states.length / 2 - first).toBeLessThanOrEqual(13)
    expect(new Set(states)).toEqual(new Set(['asking', 'ERR_RELAY_REFUSED']))
  })

  it('finds a way to a server that it is not connected to, and goes on when there is none yet', () => {
    const world = new World(9)
    const point = pointIn(world)
    const a = guestIn(world)
    const { states, options } = log()
    a.client.register(point.node.self, 'chess', options)
    world.run(1_000)
    expect(states).toEqual(['asking', 'ERR_NO_ADDRESS'])
    a.node.peerStore.update(point.node.self, { addresses: [point.address] }, a.node.host.date())
    world.run(3 * RENDEZVOUS_RETRY)
    expect(states.at(-1)).toBe('registered')
  })

  it('makes no connection to whom the user has hung up on, and registers again when there is one', () => {
    const { world, point, guest } = lab(10)
    const a = guest()
    const { states, options } = log()
    a.client.register(point.node.self, 'chess', options)
    world.run(1_000)
    a.node.hangUp(point.node.self)
    world.run(1_000)
    a.node.announce('memory', [parseMultiaddr('/ip4/192.0.2.1/tcp/4')])
    world.run(DAY)
    expect([a.node.connections().length, states.at(-1)]).toEqual([0, 'waiting'])
    connect(world, a, point)
    expect(states.at(-1)).toBe('registered')
  })

  it('refuses what no server would take, at once', () => {
    const { point, guest } = lab(11)
    const { client } = guest()
    const at = point.node.self
    for (const namespace of ['', 'x'.repeat(256)]) {
      expect(codeOf(() => client.register(at, namespace))).toBe('ERR_INVALID_ARGUMENT')
      expect(codeOf(() => client.discover(at, namespace, {}, () => {}))).toBe('ERR_INVALID_ARGUMENT')
      expect(codeOf(() => client.watch(at, namespace, { onFound: () => {} }))).toBe('ERR_INVALID_ARGUMENT')
    }
    for (const ttl of [0, -1, 1.5, 259_201, Number.NaN])
      expect(codeOf(() => client.register(at, 'a', { ttl }))).toBe('ERR_INVALID_ARGUMENT')
    for (const limit of [0, -1, 1.5, RENDEZVOUS_MAX_FOUND + 1]) {
      expect(codeOf(() => client.discover(at, 'a', { limit }, () => {}))).toBe('ERR_INVALID_ARGUMENT')
    }
    for (let n = 0; n < RENDEZVOUS_MAX_KEPT; n++) client.register(at, `${n}`)
    expect(codeOf(() => client.register(at, 'more'))).toBe('ERR_INVALID_ARGUMENT')
    client.register(at, '0', { ttl: 60 })
  })

  it('leaves nothing behind when it stops', () => {
    const { world, point, guest } = lab(12)
    const a = guest()
    a.client.register(point.node.self, 'chess')
    a.client.watch(point.node.self, 'chess', { onFound: () => {} })
    world.run(1_000)
    for (const { node } of [a, point]) node.stop(() => {})
    world.run(30_000)
    expect(world.waiting).toBe(0)
  })
})

describe('a watch', () => {
  it('hears of each peer once, of those to come too, and again of those who renew', () => {
    const { world, point, guest } = lab(20)
    const [a, b, c] = [guest(), guest(), guest()]
    a.client.register(point.node.self, 'chess', { ttl: 60 })
    world.run(100)
    const heard: string[] = []
    const names = new Map([a, b, c].map(({ node }, at) => [node.self, 'abc'[at] as string]))
    const watch = c.client.watch(point.node.self, 'chess', {
      interval: 5_000,
      onFound: (peers) => void heard.push(peers.map(({ peer }) => names.get(peer)).join('')),
    })
    world.run(100)
    expect(heard).toEqual(['a'])
    b.client.register(point.node.self, 'chess')
    world.run(7_000)
    expect(heard).toEqual(['a', 'b'])
    world.run(60_000)
    expect(heard.filter((each) => each === 'a').length).toBeGreaterThanOrEqual(2)
    expect(heard.filter((each) => each === 'b').length).toBe(1)
    watch.stop()
    const before = point.server.counters.served.discover
    world.run(60_000)
    expect(point.server.counters.served.discover).toBe(before)
  })

  it('looks at once when it is told to', () => {
    const { world, point, guest } = lab(21)
    const [a, b] = [guest(), guest()]
    let heard = 0
    const watch = a.client.watch(point.node.self, 'chess', { onFound: () => void heard++ })
    world.run(100)
    b.client.register(point.node.self, 'chess')
    world.run(100)
    expect(heard).toBe(0)
    watch.look()
    watch.look()
    world.run(100)
    expect([heard, point.server.counters.served.discover]).toEqual([1, 2])
  })

  it('reads page after page where there are many', () => {
    const world = new World(22)
    const pages: (Uint8Array | undefined)[] = []
    const point = actor(world, (stream, request) => {
      if (request.t !== 'discover') return
      pages.push(request.cookie)
      const full = pages.length < 4
      stream.write(
        frameFound(
          Array.from({ length: full ? RENDEZVOUS_PAGE : 3 }, () => nobody),
          Uint8Array.of(pages.length),
        ),
      )
      stream.end()
    })
    const a = guestIn(world)
    connect(world, a, point)
    a.client.watch(point.node.self, 'chess', { onFound: () => {} })
    world.run(2_000)
    expect(pages.map((cookie) => cookie?.[0])).toEqual([undefined, 1, 2, 3])
    world.run(1.2 * RENDEZVOUS_POLL)
    expect(pages[4]?.[0]).toBe(4)
  })

  it('is told everything again by a server that has started anew', () => {
    const { world, point, guest } = lab(23)
    const [a, b] = [guest(), guest()]
    const heard: number[] = []
    a.client.register(point.node.self, 'chess')
    b.client.watch(point.node.self, 'chess', { interval: 5_000, onFound: (peers) => void heard.push(peers.length) })
    world.run(20_000)
    expect(heard).toEqual([1])
    point.restart()
    world.cutAll()
    world.run(60_000)
    expect(heard).toEqual([1, 1])
  })

  it('tells what fails and goes on, ever less often', () => {
    const { world, guest, point } = lab(24)
    const a = guest()
    const faults: string[] = []
    point.node.unmount(point.server.service)
    world.run(1_000)
    a.client.watch(point.node.self, 'chess', { onFound: () => {}, onFault: ({ code }) => void faults.push(code) })
    world.run(RENDEZVOUS_RETRY_MAX)
    expect(faults.length).toBeGreaterThan(4)
    expect(faults.length).toBeLessThan(12)
    expect(new Set(faults)).toEqual(new Set(['ERR_NO_PROTOCOL']))
    point.restart()
    world.run(1.5 * RENDEZVOUS_RETRY_MAX)
    expect(point.server.counters.served.discover).toBeGreaterThan(0)
  })
})

const nobody: Found = { namespace: 'chess', record: Uint8Array.of(1, 2, 3), ttl: 60 }

describe('a client of a server of no good', () => {
  it.each<[string, (stream: Stream) => void, string]>([
    ['a refusal', (stream) => stream.write(frameDiscoverRefused(Status.E_NOT_AUTHORIZED, 'go\naway')), 'ERR_RELAY_REFUSED'],
    ['no room', (stream) => stream.write(frameDiscoverRefused(Status.E_UNAVAILABLE, '')), 'ERR_RELAY_FULL'],
    ['another answer than is due', (stream) => stream.write(frameRegistered(60)), 'ERR_PROTOCOL'],
    ['what is no message', (stream) => stream.write(Uint8Array.of(2, 0xff, 0xff)), 'ERR_DECODE'],
    ['too much', (stream) => stream.write(encodeVarint(RENDEZVOUS_MAX_RESPONSE + 1)), 'ERR_FRAME_TOO_LARGE'],
    ['an end', (stream) => stream.end(), 'ERR_STREAM_CLOSED'],
    ['a reset', (stream) => stream.abort(new TabmeshError('ERR_STREAM_CLOSED', 'no')), 'ERR_STREAM_RESET'],
    ['nothing', () => {}, 'ERR_TIMEOUT'],
  ])('that answers with %s hears of it as a fault', (_what, act, code) => {
    const { world, guest, point, discover } = askActor(30, act)
    const outcome = discover()
    expect(outcome.ok ? 'found' : outcome.fault.code).toBe(code)
    if (!outcome.ok) expect(outcome.fault.message).not.toContain('\n')
    world.run(2 * RENDEZVOUS_TIMEOUT)
    const [connection] = guest.node.connections(point.node.self)
    expect([connection?.status, connection?.streams.size]).toEqual(['open', 0])
  })

  it('believes no record that its peer did not sign, and takes the good ones among them', () => {
    const { guest, other, discover } = askActor(31, (stream, _request, world, good) => {
      const record = recordOf(world, good)
      const bent = Uint8Array.from(record)
      bent[bent.length - 1] = (bent.at(-1) as number) ^ 1
      const stranger = guestIn(world)
      const found = [
        nobody,
        { ...nobody, record: bent },
        { ...nobody, record: recordOf(world, stranger, { peerId: good.node.self }) },
        { ...nobody, namespace: 'go', record },
        { ...nobody, record: new Uint8Array(10_000) },
        { ...nobody, record: recordOf(world, good, { seq: 1n, addresses: [] }) },
        { ...nobody, record },
        { ...nobody, record },
      ]
      stream.write(frameFound(found, new Uint8Array(3)))
      stream.end()
    })
    const { peers, told } = taken(discover())
    expect([peers.map(({ peer }) => peer), told]).toEqual([[other.node.self], 8])
    expect(peers[0]?.addresses.map(({ text }) => text)).toEqual([other.address.text])
    expect(guest.learnt.length).toBe(1)
  })

  it('does not put an older record in place of the one that it knows', () => {
    let seq = 9n
    const { guest, other, discover } = askActor(32, (stream, _request, world, good) => {
      const addresses = [parseMultiaddr(`/ip4/192.0.2.1/tcp/${seq}`)]
      stream.write(frameFound([{ ...nobody, record: recordOf(world, good, { seq, addresses }) }], new Uint8Array(3)))
      stream.end()
      seq = 5n
    })
    discover()
    discover()
    expect(guest.learnt.map((each) => each.seq)).toEqual([9n, 5n])
    expect(guest.node.peerStore.get(other.node.self)?.certified.map(({ text }) => text)).toEqual([
      `/ip4/192.0.2.1/tcp/9/p2p/${other.node.self}`,
    ])
  })

  it('drops a cookie that is refused, and one that is too long', () => {
    const { point, discover } = askActor(33, (stream, request) => {
      if (request.t === 'discover' && request.cookie !== undefined) stream.write(frameDiscoverRefused(Status.E_INVALID_COOKIE, ''))
      else stream.write(frameFound([], new Uint8Array(1_000)))
      stream.end()
    })
    expect(taken(discover('chess', new Uint8Array(9)))).toEqual({ t: 'found', peers: [], cookie: undefined, told: 0 })
    expect(point.asked.length).toBe(2)
  })

  it('is not held up by it when it leaves', () => {
    const { world, point, guest } = askActor(36, (stream, request) => {
      if (request.t === 'register') stream.write(frameRegistered(60))
    })
    guest.client.register(point.node.self, 'chess')
    world.run(100)
    let left = false
    guest.client.leave(() => void (left = true))
    world.run(RENDEZVOUS_LEAVE_TIMEOUT - 1)
    expect(left).toBe(false)
    world.run(1)
    expect(left).toBe(true)
  })

  it.each([0n, 1n, 2n ** 63n])('does not renew more often than it should, nor never, for a ttl of %d', (ttl) => {
    const { world, point, guest } = askActor(34, (stream) => {
      stream.write(frameRegistered(ttl as unknown as number))
      stream.end()
    })
    const registration = guest.client.register(point.node.self, 'chess')
    world.run(10 * RENDEZVOUS_RENEW_MIN)
    expect(point.asked.length).toBeLessThanOrEqual(10)
    world.run(ttl > 1n ? 4 * DAY : 100 * RENDEZVOUS_RENEW_MIN)
    expect(point.asked.length).toBeGreaterThan(1)
    expect(registration.state).toMatchObject({ t: 'registered' })
  })

  it('does not ask for ever where every ttl is refused', () => {
    const { world, point, guest } = askActor(35, (stream) => {
      stream.write(frameRegisterRefused(Status.E_INVALID_TTL, ''))
      stream.end()
    })
    guest.client.register(point.node.self, 'chess', { ttl: 60 })
    world.run(1_000)
    expect(point.asked.map(({ request }) => request.t === 'register' && request.ttl)).toEqual([60n, undefined])
    world.run(10 * RENDEZVOUS_RETRY)
    expect(point.asked.length).toBeLessThan(7)
  })
})
