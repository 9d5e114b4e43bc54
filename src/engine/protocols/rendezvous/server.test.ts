import { describe, expect, it } from 'vitest'
import { peerRecordUse } from '../../codec/envelope.ts'
import { encodeVarint, frame } from '../../codec/varint.ts'
import {
  RENDEZVOUS_BURST,
  RENDEZVOUS_INTERVAL,
  RENDEZVOUS_MAX_RECORD,
  RENDEZVOUS_MAX_REQUEST,
  RENDEZVOUS_MAX_TTL,
  RENDEZVOUS_TIMEOUT,
} from '../../limits.ts'
import { property } from '../../testing/property.ts'
import { connect, guestIn, pointIn, recordOf, send, taken } from '../../testing/rendezvous.ts'
import { World } from '../../testing/world.ts'
import {
  decodeDiscoverAnswer,
  decodeRegisterAnswer,
  frameDiscover,
  frameRegister,
  frameUnregister,
  nameStatus,
  RENDEZVOUS,
} from './messages.ts'
import type { RendezvousServerOptions } from './server.ts'

/** A point, a peer that is connected to it, and what it is told for what it sends. */
const lab = (seed: number, options: RendezvousServerOptions = {}) => {
  const world = new World(seed)
  const point = pointIn(world, options)
  const peer = guestIn(world)
  const connection = connect(world, peer, point)
  const raw = (bytes: Uint8Array) => send(world, connection, peer, bytes)
  const register = (namespace: string, record = recordOf(world, peer), ttl?: number | bigint): string => {
    const outcome = raw(frameRegister(namespace, record, ttl as number | undefined))
    if (!outcome.ok) return outcome.fault.code
    const answer = decodeRegisterAnswer(outcome.value)
    return answer.t === 'registered' ? `${answer.ttl} s` : nameStatus(answer.status)
  }
  const discover = (namespace?: string, limit?: number, cookie?: Uint8Array): string | number => {
    const outcome = raw(frameDiscover(namespace, limit, cookie))
    if (!outcome.ok) return outcome.fault.code
    const answer = decodeDiscoverAnswer(outcome.value)
    return answer.t === 'found' ? answer.registrations.length : nameStatus(answer.status)
  }
  return { world, point, peer, connection, raw, register, discover }
}

describe('a rendezvous server', () => {
  it('registers a peer, tells others of it, and forgets it when asked to', () => {
    const { register, discover, connection, peer, world, point } = lab(1)
    expect(register('chess')).toBe('7200 s')
    expect(register('chess', undefined, 120)).toBe('120 s')
    expect([discover('chess'), discover('go'), discover()]).toEqual([1, 0, 1])
    // An UNREGISTER has no answer: the stream just ends.
    const stream = connection.openStream([RENDEZVOUS])
    let ended = ''
    stream.attach({ onData: () => {}, onEnd: () => void (ended = 'ended'), onClose: (fault) => void (ended ||= fault?.code ?? 'closed') })
    stream.write(frameUnregister('chess'))
    stream.end()
    world.run(1_000)
    expect([ended, discover('chess')]).toEqual(['ended', 0])
    expect(point.server.counters).toMatchObject({ registrations: 0, served: { register: 2, unregister: 1, discover: 4 } })
    world.run(1_000)
    expect([connection.streams.size, [...point.node.connections(peer.node.self)][0]?.streams.size]).toEqual([0, 0])
  })

  it('takes records in the form of RFC 0003 and in that of go and js', () => {
    const { register, world, peer } = lab(2)
    expect(register('chess', recordOf(world, peer))).toBe('7200 s')
    expect(register('go', recordOf(world, peer, { use: peerRecordUse }))).toBe('7200 s')
  })

  it('forgets a registration when its time is over, with nobody asking', () => {
    const { register, world, point } = lab(3)
    register('chess', undefined, 60)
    register('go', undefined, 120)
    expect(point.server.counters.registrations).toBe(2)
    world.run(60_000)
    expect(point.server.counters.registrations).toBe(1)
    world.run(60_000)
    expect(point.server.counters.registrations).toBe(0)
  })

  it('keeps a registration when its peer has gone', () => {
    const { register, world, point, connection } = lab(4)
    register('chess')
    connection.close()
    world.run(10_000)
    expect([point.node.connections().length, point.server.counters.registrations]).toEqual([0, 1])
  })

  it('leaves nothing behind when it stops', () => {
    const { register, world, point, peer } = lab(5)
    register('chess')
    for (const { node } of [peer, point]) node.stop(() => {})
    world.run(30_000)
    expect(world.waiting).toBe(0)
  })

  it('lists all namespaces only where its operator lets it', () => {
    const { register, discover } = lab(6, { listAll: false })
    register('chess')
    expect([discover(), discover('chess')]).toEqual(['E_NOT_AUTHORIZED', 1])
  })
})

describe('a rendezvous server refuses', () => {
  it('namespaces of no bytes, or too many', () => {
    const { register, discover } = lab(10)
    expect([register('x'.repeat(255)), register('é'.repeat(127))]).toEqual(['7200 s', '7200 s'])
    for (const bad of ['', 'x'.repeat(256), 'é'.repeat(128)]) expect(register(bad)).toBe('E_INVALID_NAMESPACE')
    for (const bad of ['', 'x'.repeat(256)]) expect(discover(bad)).toBe('E_INVALID_NAMESPACE')
  })

  it('a ttl of nothing, of less than its least, of more than 72 h', () => {
    const { register } = lab(11, { minTtl: 7200 })
    expect([register('a', undefined, 7200), register('a', undefined, RENDEZVOUS_MAX_TTL)]).toEqual(['7200 s', '259200 s'])
    for (const bad of [0, 1, 7199, RENDEZVOUS_MAX_TTL + 1, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n])
      expect(register('a', undefined, bad)).toBe('E_INVALID_TTL')
  })

  it('the record of somebody else, however good it is', () => {
    const { world, register, point } = lab(12)
    const other = guestIn(world)
    expect(register('chess', recordOf(world, other))).toBe('E_NOT_AUTHORIZED')
    expect(register('chess', recordOf(world, point))).toBe('E_NOT_AUTHORIZED')
  })

  it('a record that its peer did not sign, or that is none', () => {
    const { world, peer, register } = lab(13)
    const other = guestIn(world)
    const record = recordOf(world, peer)
    const last = record.length - 1
    const bent = Uint8Array.from(record)
    bent[last] = (bent[last] as number) ^ 1
    // Ours is the envelope, but what it says is about somebody else.
    const ofOther = recordOf(world, peer, { peerId: other.node.self })
    const swapped = recordOf(world, peer, { use: { ...peerRecordUse, domain: 'libp2p-relay-rsvp' } })
    for (const bad of [bent, ofOther, swapped, new Uint8Array(0), record.subarray(0, 40), new Uint8Array(RENDEZVOUS_MAX_RECORD)])
      expect(register('chess', bad)).toBe('E_INVALID_SIGNED_PEER_RECORD')
    expect(register('chess', new Uint8Array(RENDEZVOUS_MAX_RECORD + 1))).toBe('E_INVALID_SIGNED_PEER_RECORD')
    expect(register('chess', record)).toBe('7200 s')
  })

  it('a cookie of another namespace or of no form, but not one of another server', () => {
    const { world, peer, raw, register, discover } = lab(14)
    register('chess')
    const answer = decodeDiscoverAnswer(taken(raw(frameDiscover('chess', undefined, undefined))))
    const cookie = answer.t === 'found' ? answer.cookie : undefined
    expect(discover('chess', undefined, cookie)).toBe(0)
    expect([discover('go', undefined, cookie), discover(undefined, undefined, cookie)]).toEqual(['E_INVALID_COOKIE', 'E_INVALID_COOKIE'])
    for (const bad of [new Uint8Array(0), new Uint8Array(3), new Uint8Array(300)])
      expect(discover('chess', undefined, bad)).toBe('E_INVALID_COOKIE')
    const point = pointIn(world)
    const elsewhere = send(world, connect(world, peer, point), peer, frameDiscover('chess', undefined, undefined))
    const foreign = decodeDiscoverAnswer(taken(elsewhere))
    expect(discover('chess', undefined, foreign.t === 'found' ? foreign.cookie : undefined)).toBe(1)
  })

  it('a registration there is no room for, before it looks at a signature', () => {
    const { register } = lab(15, { maxPerPeer: 2 })
    expect([register('1'), register('2'), register('3'), register('3', new Uint8Array(9))]).toEqual([
      '7200 s',
      '7200 s',
      'E_UNAVAILABLE',
      'E_INVALID_SIGNED_PEER_RECORD',
    ])
  })

  it('whom its operator does not want', () => {
    const { register } = lab(16, { allowRegister: (_connection, namespace) => namespace !== 'secret' })
    expect([register('open'), register('secret')]).toEqual(['7200 s', 'E_NOT_AUTHORIZED'])
  })

  it('with E_INTERNAL_ERROR what it fails at itself, and tells its operator', () => {
    const { register, discover, point } = lab(17, {
      partyOf() {
        throw new Error('a defect')
      },
    })
    expect([register('chess'), discover('chess')]).toEqual(['E_INTERNAL_ERROR', 0])
    expect(point.events.filter(({ t }) => t === 'error').length).toBe(1)
  })

  it('what is no request, by resetting the stream', () => {
    const { raw, connection, world } = lab(18)
    const codes = [
      frame(new Uint8Array(0)),
      frame(Uint8Array.of(8, 1)),
      frame(Uint8Array.of(8, 99)),
      frame(Uint8Array.of(0xff, 0xff)),
      encodeVarint(RENDEZVOUS_MAX_REQUEST + 1),
    ].map((bytes) => {
      const outcome = raw(bytes)
      return outcome.ok ? 'answered' : outcome.fault.code
    })
    expect(new Set(codes)).toEqual(new Set(['ERR_STREAM_RESET']))
    world.run(10_000)
    expect([connection.status, connection.streams.size]).toEqual(['open', 0])
  })

  it('to wait for a request for ever', () => {
    const { connection, world } = lab(19)
    const stream = connection.openStream([RENDEZVOUS])
    let closed: string | undefined
    stream.attach({ onData: () => {}, onEnd: () => {}, onClose: (fault) => void (closed = fault?.code) })
    stream.write(Uint8Array.of(50))
    world.run(RENDEZVOUS_TIMEOUT - 100)
    expect(closed).toBeUndefined()
    world.run(200)
    expect(closed).toBe('ERR_STREAM_RESET')
  })

  it('of a thousand requests in a second all but its allowance', () => {
    const { world, point, peer, connection, discover } = lab(20)
    const answers: string[] = []
    for (let n = 0; n < 1_000; n++) {
      const stream = connection.openStream([RENDEZVOUS])
      let size = 0
      stream.attach({
        onData(bytes) {
          size += bytes.length
          stream.release(bytes.length)
        },
        onEnd: () => answers.push('answered'),
        onClose: (fault) => void (size === 0 && answers.push(fault?.code ?? 'closed')),
      })
      stream.write(frameDiscover('chess', undefined, undefined))
      stream.end()
      world.run(1)
    }
    world.run(RENDEZVOUS_TIMEOUT)
    const { served, refused } = point.server.counters
    expect(served.discover).toBeLessThanOrEqual(RENDEZVOUS_BURST + 1_000 / RENDEZVOUS_INTERVAL)
    expect(served.discover).toBeGreaterThanOrEqual(RENDEZVOUS_BURST / 2)
    expect(served.discover + (refused.E_UNAVAILABLE ?? 0)).toBeLessThanOrEqual(1_000)
    // It hurts nobody else, and nobody for long.
    const other = guestIn(world)
    const fine = send(world, connect(world, other, point), other, frameDiscover('chess', undefined, undefined))
    expect(decodeDiscoverAnswer(taken(fine)).t).toBe('found')
    world.run(RENDEZVOUS_INTERVAL * RENDEZVOUS_BURST)
    expect([discover('chess'), peer.node.connections().length]).toEqual([0, 1])
  })

  it('nothing of a record that is sent again: it prolongs, and changes no address', () => {
    const { world, peer, raw, register } = lab(21)
    const older = recordOf(world, peer, { seq: 5n })
    const newer = recordOf(world, peer, { seq: 6n, addresses: [] })
    expect([register('chess', newer), register('chess', older, 9_000)]).toEqual(['7200 s', '9000 s'])
    const answer = decodeDiscoverAnswer(taken(raw(frameDiscover('chess', undefined, undefined))))
    expect(answer.t === 'found' && answer.registrations[0]?.record).toEqual(newer)
    expect(answer.t === 'found' && Number(answer.registrations[0]?.ttl)).toBeGreaterThan(8_000)
  })

  it('to fall over whatever it is sent', () => {
    const { world, peer, connection, discover } = lab(22)
    const record = recordOf(world, peer)
    property(100, (random) => {
      const valid = [frameRegister('chess', record, 120), frameDiscover('chess', 5, new Uint8Array(8)), frameUnregister('chess')][
        random.below(3)
      ]
      const bytes = Uint8Array.from(valid as Uint8Array)
      for (let n = random.below(4); n >= 0; n--) bytes[1 + random.below(bytes.length - 1)] = random.below(256)
      const stream = connection.openStream([RENDEZVOUS])
      stream.write(bytes)
      stream.finish(peer.node.host)
      world.run(600)
    })
    world.run(2 * RENDEZVOUS_TIMEOUT)
    expect([connection.status, connection.streams.size, typeof discover('chess')]).toEqual(['open', 0, 'number'])
  })
})
