import { describe, expect, it } from 'vitest'
import { TabmeshError } from '../../../errors.ts'
import { encodeEnvelope, encodePeerRecord, envelopeSigningBytes, peerRecordUse } from '../../codec/envelope.ts'
import { type PrivateKey, privateKey } from '../../codec/keys.ts'
import { parseMultiaddr } from '../../codec/multiaddr.ts'
import { peerIdFromKey } from '../../codec/peer-id.ts'
import { frame as frameOf } from '../../codec/varint.ts'
import { signWith } from '../../crypto/verify.ts'
import type { Host } from '../../host.ts'
import {
  IDENTIFY_PUSH_CONCURRENCY,
  IDENTIFY_PUSH_DELAY,
  IDENTIFY_PUSH_RETRY,
  IDENTIFY_PUSH_SPACING,
  IDENTIFY_TIMEOUT,
} from '../../limits.ts'
import type { Connection } from '../../net/connection.ts'
import type { Net, Service } from '../../net/service.ts'
import type { Stream } from '../../net/stream.ts'
import { type Exchange, exchange, scripted } from '../../testing/exchange.ts'
import { World, type WorldNode } from '../../testing/world.ts'
import { converse } from '../../wire/conversation.ts'
import { relayServer } from '../relay/hop.ts'
import { relayClient } from '../relay/service.ts'
import { tell } from './conversation.ts'
import { encodeIdentify, type Identify } from './messages.ts'
import { IDENTIFY_PUSH } from './pushes.ts'
import { IDENTIFY, identifyService } from './service.ts'

const pair = (seed: number): Exchange => exchange(seed, { a: () => [identifyService()], b: () => [identifyService()] })
const at = (...ports: number[]) => ports.map((port) => parseMultiaddr(`/memory/${port}`))
const texts = (list: readonly { text: string }[] | undefined): string[] => (list ?? []).map(({ text }) => text.split('/p2p/')[0] as string)
const known = (from: WorldNode, of: WorldNode) => from.node.peerStore.get(of.node.self)
const app = (name: string): Service => ({ name, protocols: { [`/${name}/1`]: {} } })

describe('two peers', () => {
  it('certify each other’s addresses, and see how the other one sees them', () => {
    const { a, b, connection } = pair(1)
    for (const [one, two] of [
      [a, b],
      [b, a],
    ] as const) {
      expect(known(one, two)?.certified.map(({ text }) => text)).toEqual([two.address.text])
      expect(known(one, two)?.addresses).toEqual(known(one, two)?.certified)
      expect(known(one, two)?.recordSeq).toBeGreaterThanOrEqual(1_750_000_000_000n)
      expect(known(one, two)?.envelope).toBeInstanceOf(Uint8Array)
    }
    expect(connection.identified?.observed?.text).toBe('/memory/0')
    expect(b.node.connections()[0]?.identified?.observed?.text).toBe(b.address.text.split('/p2p/')[0])
  })

  it('have proven the connection when they know each other: who chooses one by what was learnt counts on it', () => {
    const proven: boolean[] = []
    const chooser: Service = { name: 'chooser', protocols: {}, onIdentify: (connection) => proven.push(connection.proven) }
    exchange(1, { a: () => [identifyService(), chooser], b: () => [identifyService(), chooser] })
    expect(proven).toEqual([true, true])
  })

  it('push what changes, whichever of them dialled', () => {
    const { world, a, b } = pair(2)
    for (const [one, two, port] of [
      [a, b, 91],
      [b, a, 92],
    ] as const) {
      const before = known(two, one)?.recordSeq ?? 0n
      one.node.announce('more', at(port))
      one.node.mount(app(`from${port}`))
      world.run(1_000)
      expect(texts(known(two, one)?.certified)).toContain(`/memory/${port}`)
      expect(known(two, one)?.protocols).toContain(`/from${port}/1`)
      expect((known(two, one)?.recordSeq ?? 0n) > before).toBe(true)
    }
    // What is gone is gone: a newer record takes the place of all that was known.
    a.node.announce('more', [])
    world.run(2_000)
    expect(texts(known(b, a)?.addresses)).toEqual(texts([a.address]))
  })

  it('push changes that come together once, and those that follow a second apart', () => {
    const { world, a, b } = pair(3)
    const pushed: number[] = []
    const count = (): number => b.node.metrics.snapshot().protocols[IDENTIFY_PUSH]?.total ?? 0
    for (let step = 0; step < 300; step += 1) {
      if (step < 200) a.node.announce('flapping', at(100 + step))
      const before = count()
      world.run(50)
      if (count() > before) pushed.push(world.now)
    }
    expect(pushed.length).toBe(11)
    for (let i = 1; i < pushed.length; i += 1)
      expect((pushed[i] as number) - (pushed[i - 1] as number)).toBeGreaterThanOrEqual(IDENTIFY_PUSH_SPACING - 50)
    expect(texts(known(b, a)?.certified)).toContain('/memory/299')
  })

  it('hear of a change that comes between the question and the answer', () => {
    const world = new World(4)
    const a = world.node(() => ({ services: [identifyService()] }))
    // b answers who it is only after a while.
    let release: (() => void)[] = []
    const b = world.node((host) => ({
      services: [
        scripted(IDENTIFY, (stream) => {
          release.push(() =>
            converse(stream, tell({ addresses: [], protocols: [IDENTIFY_PUSH] }), host, { timeout: 1e4, what: 't', done: () => {} }),
          )
        }),
        identifyPushOnly(),
      ],
    }))
    b.node.dial({ addresses: [a.address] }, (outcome) => {
      if (outcome.ok) outcome.value.openStream([IDENTIFY]).attach({ onData: () => {}, onEnd: () => {}, onClose: () => {} })
    })
    world.run(200)
    a.node.announce('late', at(77))
    world.run(1_000)
    for (const go of release.splice(0)) go()
    release = []
    world.run(1_000)
    expect(heardPushes(b)).toBe(1)
  })
})

/** Takes pushes and drops them. */
const identifyPushOnly = (act: (stream: Stream) => void = (stream) => swallow(stream)): Service => scripted(IDENTIFY_PUSH, act)
const swallow = (stream: Stream): void =>
  stream.attach({ onData: ({ length }) => stream.release(length), onEnd: () => stream.end(), onClose: () => {} })
const heardPushes = ({ node }: WorldNode): number => node.metrics.snapshot().protocols[IDENTIFY_PUSH]?.total ?? 0

describe('a push', () => {
  it('that the remote refuses is tried once more, later, and not again until something changes', () => {
    const { world, a, b } = exchange(10, {
      a: () => [identifyService()],
      b: () => [
        identifyLike(() => [IDENTIFY_PUSH]),
        identifyPushOnly((stream) => stream.abort(new TabmeshError('ERR_STREAM_LIMIT', 'no'))),
      ],
    })
    a.node.announce('more', at(50))
    world.run(IDENTIFY_PUSH_DELAY + 1_000)
    expect(heardPushes(b)).toBe(1)
    world.run(IDENTIFY_PUSH_RETRY)
    expect(heardPushes(b)).toBe(2)
    world.run(100_000)
    expect(heardPushes(b)).toBe(2)
    a.node.announce('more', at(51))
    world.run(100_000)
    expect(heardPushes(b)).toBe(4)
    expect(world.waiting).toBeLessThan(10)
  })

  it('goes to those that take it, and waits for nobody longer than its time', () => {
    const { world, a, b } = exchange(11, {
      a: () => [identifyService()],
      b: () => [
        identifyLike(() => [IDENTIFY_PUSH]),
        identifyPushOnly((stream) => stream.attach({ onData: () => {}, onEnd: () => {}, onClose: () => {} })),
      ],
    })
    a.node.announce('more', at(50))
    world.run(1_000)
    expect(a.node.connections()[0]?.streams.size).toBe(1)
    world.run(IDENTIFY_TIMEOUT)
    expect(a.node.connections()[0]?.streams.size).toBe(0)
    expect(heardPushes(b)).toBe(1)
    const deaf = exchange(12, { a: () => [identifyService()], b: () => [identifyLike(() => ['/echo/1']), identifyPushOnly()] })
    deaf.a.node.announce('more', at(50))
    deaf.world.run(10_000)
    expect(heardPushes(deaf.b)).toBe(0)
  })

  it('goes to so many at a time', () => {
    const world = new World(13, 5)
    let now = 0
    let most = 0
    const a = world.node(() => ({ services: [identifyService()], limits: { max: 200, maxIncomingPending: 200 } }))
    const slow = (): Service =>
      identifyPushOnly((stream) => {
        now += 1
        most = Math.max(most, now)
        world.after(500, () => {
          now -= 1
          swallow(stream)
        })
      })
    const others = Array.from({ length: 70 }, () => world.node(() => ({ services: [identifyLike(() => [IDENTIFY_PUSH]), slow()] })))
    for (const other of others) other.node.dial({ addresses: [a.address] }, () => {})
    world.run(1_000)
    a.node.announce('more', at(50))
    world.run(5_000)
    expect(most).toBe(IDENTIFY_PUSH_CONCURRENCY)
    expect(others.map(heardPushes).every((count) => count === 1)).toBe(true)
  })

  it('of one field leaves the others as they were', () => {
    const lab = pushing(20)
    const before = lab.seen()
    lab.push({ addresses: [], protocols: ['/only/1'] })
    expect(lab.seen()).toEqual({ ...before, protocols: ['/only/1'] })
    lab.push({ addresses: at(5), protocols: [] })
    expect(texts(lab.seen()?.addresses)).toEqual(['/memory/5'])
    expect(lab.seen()?.protocols).toEqual(['/only/1'])
    expect(texts(lab.stored()?.addresses)).toEqual(['/memory/7', '/memory/5'])
    expect(texts(lab.stored()?.certified)).toEqual(['/memory/7'])
    lab.push({ addresses: [], protocols: [], agent: 'new/2' })
    expect(lab.seen()).toMatchObject({ agent: 'new/2', protocols: ['/only/1'], recordSeq: 100n })
  })

  it('with a record that is older than the last, as a number of 64 bits, changes no addresses', () => {
    const lab = pushing(21)
    const seqs: [bigint, number[]][] = [
      [99n, [7]],
      [100n, [7]],
      [2n ** 53n, [2]],
      [2n ** 53n + 1n, [3]],
      [2n ** 53n, [3]],
      [2n ** 63n, [5]],
      [2n ** 63n - 1n, [5]],
      [2n ** 64n - 1n, [7]],
      [0n, [7]],
    ]
    seqs.forEach(([seq, expected], index) => {
      lab.push({ addresses: at(1_000), protocols: [], signedRecord: lab.record(seq, [[7, 7, 2, 3, 4, 5, 6, 7, 8][index] as number]) })
      expect(texts(lab.stored()?.certified)).toEqual(expected.map((port) => `/memory/${port}`))
      expect(texts(lab.seen()?.addresses)).toEqual(expected.map((port) => `/memory/${port}`))
    })
    expect(lab.stored()?.recordSeq).toBe(2n ** 64n - 1n)
  })

  it('with a record that does not verify counts for what is not signed in it', () => {
    const lab = pushing(22)
    lab.push({ addresses: at(8), protocols: [], signedRecord: lab.record(200n, [9], privateKey('Ed25519', new Uint8Array(32).fill(9))) })
    expect(texts(lab.stored()?.certified)).toEqual(['/memory/7'])
    expect(texts(lab.stored()?.addresses)).toEqual(['/memory/7', '/memory/8'])
    expect(lab.seen()?.recordSeq).toBe(100n)
  })

  it('that overtakes the answer is the newer of the two', () => {
    const lab = pushing(23, { late: true })
    lab.push({ addresses: at(2), protocols: ['/new/1'] })
    expect(lab.seen()).toMatchObject({ protocols: ['/new/1'], agent: '' })
    lab.answer()
    expect(lab.seen()).toMatchObject({ protocols: ['/new/1'], agent: 'scripted/1', recordSeq: 100n })
    expect(texts(lab.seen()?.addresses)).toEqual(['/memory/2'])
    expect(texts(lab.stored()?.certified)).toEqual(['/memory/7'])
  })

  it('with addresses so long that no peer id fits behind them: they are left out', () => {
    const lab = pushing(24)
    // An http-path may be as long as an address: 2 KiB.
    lab.push({ addresses: [parseMultiaddr(`/ip4/192.0.2.1/tcp/1/http/http-path/${'x'.repeat(2_020)}`), ...at(3)], protocols: [] })
    expect(texts(lab.seen()?.addresses)).toEqual(['/memory/3'])
  })
})

/** Answers the question with nothing but protocols. */
const identifyLike = (protocols: () => string[]): Service => {
  let net: Net
  return {
    ...scripted(IDENTIFY, (stream) => {
      converse(stream, tell({ addresses: [], protocols: protocols() }), net.host, {
        timeout: 10_000,
        what: 'test',
        done: () => stream.finish(net.host),
      })
    }),
    start: (started) => {
      net = started
    },
    // As a real one: it asks.
    onConnection: (connection) => swallow(connection.openStream([IDENTIFY])),
  }
}

/** A peer that has told once, with a record of number 100 and the address 7, and that pushes what the test says. */
const pushing = (seed: number, { late = false } = {}) => {
  const key = privateKey('Ed25519', new Uint8Array(32).fill(5))
  let subject = peerIdFromKey(key.publicKey)
  const record = (seq: bigint, ports: number[], signer: PrivateKey = liarKey()): Uint8Array => {
    const payload = encodePeerRecord({ peerId: subject, seq, addresses: at(...ports) })
    const signature = signWith(signer, envelopeSigningBytes(peerRecordUse, payload))
    return encodeEnvelope({ publicKey: signer.publicKey, payloadType: peerRecordUse.payloadType, payload, signature })
  }
  let own: PrivateKey | undefined
  const liarKey = (): PrivateKey => own as PrivateKey
  const waiting: (() => void)[] = []
  const world = new World(seed)
  const makeHost = world.host.bind(world)
  // The world makes the keys of its nodes; here we have to sign in the name of one.
  let made = 0
  world.host = () => {
    made += 1
    if (made !== 2) return makeHost()
    const host = makeHost()
    own = key
    return { ...host, publicKey: key.publicKey, sign: (bytes, done) => world.defer(() => done(signWith(key, bytes))) } satisfies Host
  }
  const a = world.node(() => ({ services: [identifyService()] }))
  const b = world.node((host) => ({
    services: [
      scripted(IDENTIFY, (stream) => {
        const talk = (): void => {
          const identify: Identify = {
            addresses: [],
            protocols: ['/old/1'],
            agent: 'scripted/1',
            protocolVersion: 'v/1',
            observed: at(4)[0],
            signedRecord: record(100n, [7]),
          }
          converse(stream, tell(identify), host, { timeout: 1e6, what: 'test', done: () => stream.finish(host) })
        }
        if (late) waiting.push(talk)
        else talk()
      }),
    ],
  }))
  subject = b.node.self
  let connection: Connection | undefined
  b.node.dial({ addresses: [a.address] }, (outcome) => {
    if (outcome.ok) connection = outcome.value
  })
  world.run(500)
  const there = a.node.connections()[0] as Connection
  const push = (identify: Identify): void => {
    const stream = (connection as Connection).openStream([IDENTIFY_PUSH])
    for (const body of encodeIdentify(identify)) stream.write(frameOf(body))
    stream.end()
    swallow(stream)
    world.run(1_000)
  }
  return {
    push,
    record,
    answer: () => {
      for (const talk of waiting.splice(0)) talk()
      world.run(500)
    },
    seen: () => there.identified,
    stored: () => a.node.peerStore.get(b.node.self),
  }
}

describe('over a relay', () => {
  it.each([true, false])('nothing is observed; with limits (%s) only what runs there is listed', (limited) => {
    const world = new World(30)
    const relay = world.node(() => ({
      services: [identifyService(), relayServer(limited ? { limit: { duration: 120_000, data: 1 << 17 } } : {}).service],
    }))
    const client = () => {
      const made = relayClient({ relays: [relay.address] })
      const services: Service[] = [
        identifyService(),
        made,
        app('big'),
        { name: 'small', protocols: { '/small/1': { allowLimited: true } } },
      ]
      return world.node(() => ({ services, transports: [made] }))
    }
    const [a, b] = [client(), client()]
    world.run(2_000)
    let connection: Connection | undefined
    a.node.dial({ addresses: [parseMultiaddr(`${relay.address.text}/p2p-circuit/p2p/${b.node.self}`)] }, (outcome) => {
      if (outcome.ok) connection = outcome.value
    })
    world.run(2_000)
    expect([connection?.transport, connection?.limited]).toEqual(['relay', limited])
    expect(connection?.identified?.observed).toBeUndefined()
    const listed = connection?.identified?.protocols ?? []
    expect([listed.includes('/small/1'), listed.includes('/big/1'), listed.includes(IDENTIFY_PUSH)]).toEqual([true, !limited, true])
    expect(known(a, b)?.certified.some(({ text }) => text.includes('p2p-circuit'))).toBe(true)
  })
})
