import { describe, expect, it } from 'vitest'
import { fromUtf8, utf8 } from '../codec/bytes.ts'
import { encapsulate, parseMultiaddr } from '../codec/multiaddr.ts'
import { GATER_TIMEOUT } from '../limits.ts'
import { identifyService } from '../protocols/identify/service.ts'
import { relayServer } from '../protocols/relay/hop.ts'
import { relayClient } from '../protocols/relay/service.ts'
import { echo } from '../testing/echo.ts'
import { scriptedTransport } from '../testing/scripted-transport.ts'
import { World, type WorldNode } from '../testing/world.ts'
import type { Muxer } from '../wire/muxer.ts'
import type { Connection } from './connection.ts'
import { type Answer, ask, type Gater, type Question } from './gater.ts'
import type { NodeOptions } from './node.ts'
import type { Transport } from './service.ts'

const scene = (seed: number, gaters: { a?: Gater; b?: Gater }, more: Partial<NodeOptions> = {}) => {
  const world = new World(seed)
  const node = (gater: Gater | undefined): WorldNode => world.node(() => ({ services: [], gater, ...more }))
  const a = node(gaters.a)
  const b = node(gaters.b)
  /** What the dial comes to: a connection, or the codes of the dial and of its address. */
  const dial = (): { connection: Connection | undefined; codes: string[]; took: number } => {
    const began = world.now
    let result: { connection: Connection | undefined; codes: string[]; took: number } | undefined
    a.node.dial({ addresses: [b.address] }, (outcome) => {
      const codes = outcome.ok ? [] : [outcome.fault.code, ...outcome.fault.errors.map(({ code }) => code)]
      result = { connection: outcome.ok ? outcome.value : undefined, codes, took: world.now - began }
    })
    world.run(60_000, () => result !== undefined)
    if (result === undefined) throw new Error('no outcome')
    world.run(1_000)
    return result
  }
  const atRest = (): void => {
    for (const { node } of [a, b]) {
      expect(node.connections()).toEqual([])
      expect(node.pending).toBe(0)
    }
  }
  return { world, a, b, dial, atRest }
}

const no = (...args: unknown[]): void => (args.at(-1) as Answer)(false)
const yes = (...args: unknown[]): void => (args.at(-1) as Answer)(true)

describe('a gater that refuses', () => {
  it('to dial: no byte leaves', () => {
    const { world, a, b, dial, atRest } = scene(1, { a: { dial: no } })
    const { codes } = dial()
    expect(codes).toEqual(['ERR_DIAL_FAILED', 'ERR_GATED'])
    expect(b.events).toEqual(b.events.filter(({ t }) => t === 'addresses:change' || t === 'protocols:change'))
    atRest()
    // It says nothing of the address.
    expect(a.node.backOff.wait(b.address.text, world.now)).toBe(0)
  })

  for (const hook of ['secured', 'upgraded'] as const) {
    it(`who is dialled, when ${hook}`, () => {
      const { dial, atRest } = scene(2, { a: { [hook]: no } })
      expect(dial().codes).toEqual(['ERR_DIAL_FAILED', 'ERR_GATED'])
      atRest()
    })
  }

  for (const hook of ['accept', 'secured', 'upgraded'] as const) {
    it(`who comes, when ${hook === 'accept' ? 'it comes' : hook}: nobody there hears of a connection`, () => {
      const { a, b, dial, atRest } = scene(3, { b: { [hook]: no } })
      dial()
      atRest()
      expect(b.events.some(({ t }) => t === 'connection:open')).toBe(false)
      const closed = a.events.find((event) => event.t === 'connection:close')
      // The dialer may be done by then: what it has is closed, and it is not told why.
      if (closed?.t === 'connection:close') expect(closed.fault?.code).toMatch(/^ERR_CONNECTION_CLOSED$/)
    })
  }

  it('a reservation: PERMISSION_DENIED, and the next one is asked for again', () => {
    const world = new World(4)
    const asked: string[] = []
    let allowed = false
    const gater: Gater = {
      reservation(peer, answer) {
        asked.push(peer)
        world.after(100, () => answer(allowed))
      },
    }
    const server = relayServer()
    const relay = world.node(() => ({ services: [identifyService(), server.service], gater }))
    const client = relayClient({ relays: [relay.address] })
    const a = world.node(() => ({ services: [identifyService(), client], transports: [client] }))
    world.run(2_000)
    expect(asked).toEqual([a.node.self])
    const trouble = a.events.find((event) => event.t === 'error')
    expect(trouble?.t === 'error' && trouble.error.code).toBe('ERR_RELAY_REFUSED')
    expect(server.counters).toMatchObject({ reservations: 0, refused: { '202 PERMISSION_DENIED': 1 } })
    allowed = true
    expect(world.run(60_000, () => server.counters.reservations === 1)).toBe(true)
  })
})

describe('a gater that allows', () => {
  it('is asked in order, and told what there is to know', () => {
    const heard: string[] = []
    const gater = (who: string): Gater => ({
      dial: (peer, address, answer) => {
        heard.push(`${who} dial ${peer} ${address.text}`)
        answer(true)
      },
      accept: (address, answer) => {
        heard.push(`${who} accept ${address.text}`)
        answer(true)
      },
      secured: (peer, direction, address, answer) => {
        heard.push(`${who} secured ${peer} ${direction} ${address.text}`)
        answer(true)
      },
      upgraded: ({ remotePeer, direction, transport, encryption, muxer, limit }, answer) => {
        heard.push(`${who} upgraded ${remotePeer} ${direction} ${transport} ${encryption} ${muxer} ${limit}`)
        answer(true)
      },
    })
    const { a, b, dial } = scene(10, { a: gater('a'), b: gater('b') })
    expect(dial().connection?.status).toBe('open')
    const [self, remote] = [a.node.self, b.node.self]
    expect(heard).toEqual([
      `a dial ${remote} ${b.address.text}`,
      'b accept /memory/0',
      `a secured ${remote} outbound ${b.address.text}`,
      `a upgraded ${remote} outbound memory /noise /yamux/1.0.0 undefined`,
      `b secured ${self} inbound /memory/0`,
      `b upgraded ${self} inbound memory /noise /yamux/1.0.0 undefined`,
    ])
  })

  it('takes its time: the connection comes when it has answered, and what the remote sent meanwhile is there', () => {
    const world = new World(11)
    const slow = (...args: unknown[]): void => void world.after(500, () => (args.at(-1) as Answer)(true))
    const a = world.node(() => ({ services: [] }))
    const b = world.node(() => ({ services: [echo()], gater: { accept: slow, secured: slow, upgraded: slow } }))
    let heard = ''
    a.node.openStream({ addresses: [b.address] }, ['/echo/1'], (outcome) => {
      if (!outcome.ok) throw outcome.fault
      const stream = outcome.value
      stream.attach({
        onData: (bytes) => {
          heard += fromUtf8(bytes)
        },
        onEnd: () => {},
        onClose: () => {},
      })
      stream.write(utf8('hello'))
    })
    world.run(1_400)
    expect([a.node.connections().length, b.node.connections().length, b.node.pending, heard]).toEqual([1, 0, 1, ''])
    world.run(400)
    expect([a.node.connections().length, b.node.connections().length, b.node.pending, heard]).toEqual([1, 1, 0, 'hello'])
  })

  it('and is asked nothing where it has no hook', () => {
    const { dial } = scene(14, { a: {}, b: {} })
    const { connection, took } = dial()
    expect([connection?.status, took]).toEqual(['open', 40])
  })
})

describe('a gater that is broken', () => {
  for (const [how, hook, took] of [
    ['throws', () => expect.unreachable(), 0],
    ['is silent', () => {}, GATER_TIMEOUT],
    ['answers with something else', (...args: unknown[]) => (args.at(-1) as (answer: unknown) => void)('yes'), 0],
  ] as const) {
    it(`${how}: refuses`, () => {
      const { world, dial, atRest } = scene(20, { a: { dial: hook } })
      const result = dial()
      expect([result.codes, result.took]).toEqual([['ERR_DIAL_FAILED', 'ERR_GATED'], took])
      atRest()
      expect(world.waiting).toBe(0)
      const inbound = scene(21, { b: { accept: hook, secured: hook, upgraded: hook } })
      inbound.dial()
      inbound.world.run(GATER_TIMEOUT)
      inbound.atRest()
    })
  }

  it('answers twice: the first answer counts', () => {
    const twice =
      (first: boolean) =>
      (...args: unknown[]) => {
        const answer = args.at(-1) as Answer
        answer(first)
        answer(!first)
      }
    expect(scene(22, { a: { dial: twice(true), secured: twice(true), upgraded: twice(true) } }).dial().connection?.status).toBe('open')
    expect(scene(23, { a: { secured: twice(false) } }).dial().codes).toContain('ERR_GATED')
  })
})

describe('while a gater thinks', () => {
  const never = (): void => {}

  it('the dial may be given up', () => {
    for (const gater of [{ dial: never }, { secured: never }, { upgraded: never }]) {
      const { world, a, b, atRest } = scene(30, { a: gater })
      const cancel = a.node.dial({ addresses: [b.address] }, () => expect.unreachable())
      world.run(200)
      expect(a.node.pending).toBe(1)
      cancel()
      world.run(1_000)
      atRest()
    }
  })

  it('and when it has allowed, what it allowed may be given up', () => {
    const world = new World(33)
    const where = '/ip4/9.9.9.9/tcp/1'
    for (const answerAfter of [undefined, 100]) {
      const dial = (_peer: unknown, _address: unknown, answer: Answer): void => {
        if (answerAfter === undefined) answer(true)
        else world.after(answerAfter, () => answer(true))
      }
      const tcp = scriptedTransport(world, { [where]: 'silent' })
      const a = world.node(() => ({ services: [], transports: [tcp], gater: { dial } }))
      const cancel = a.node.dial({ addresses: [parseMultiaddr(where)] }, () => expect.unreachable())
      world.run(200)
      expect(tcp.running).toBe(1)
      cancel()
      expect([tcp.running, a.node.pending, world.waiting]).toEqual([0, 0, 0])
    }
  })

  it('the node may stop', () => {
    for (const gaters of [{ a: { upgraded: never } }, { b: { accept: never } }, { b: { secured: never } }, { b: { upgraded: never } }]) {
      const { world, a, b } = scene(31, gaters)
      let heard = 0
      a.node.dial({ addresses: [b.address] }, () => (heard += 1))
      world.run(200)
      let stopped = 0
      for (const { node } of [a, b]) node.stop(() => (stopped += 1))
      world.run(30_000)
      expect([stopped, heard, world.waiting]).toEqual([2, 1, 0])
    }
  })

  it('who waits counts as pending', () => {
    const { world, a, b } = scene(32, { b: { accept: never } }, { limits: { maxIncomingPending: 2 } })
    const codes: string[] = []
    for (let i = 0; i < 5; i += 1) {
      const [, far] = world.pipe()
      b.node.accept({ t: 'pipe', channel: far, transport: 'memory', remoteAddr: parseMultiaddr('/memory/0') }, (outcome) =>
        codes.push(outcome.ok ? 'ok' : outcome.fault.code),
      )
    }
    expect([b.node.pending, codes]).toEqual([2, ['ERR_CONNECTION_LIMIT', 'ERR_CONNECTION_LIMIT', 'ERR_CONNECTION_LIMIT']])
    world.run(GATER_TIMEOUT)
    expect([b.node.pending, codes.slice(3)]).toEqual([0, ['ERR_GATED', 'ERR_GATED']])
    expect(a.node.connections()).toEqual([])
  })
})

it('a native multiplexer is asked about when it is there', () => {
  const world = new World(40)
  const b = world.node(() => ({ services: [] }))
  const heard: string[] = []
  let aborted = 0
  const muxer: Muxer = {
    protocol: '/webrtc',
    open: () => expect.unreachable(),
    attach: () => {},
    close: () => {},
    abort: () => (aborted += 1),
  }
  const direct: Transport = {
    name: 'webrtc',
    matches: ({ parts }) => parts[0]?.name === 'ip4',
    dial(remoteAddr, { host }, done) {
      host.defer(() =>
        done({ ok: true, value: { t: 'muxed', muxer, transport: 'webrtc', remoteAddr, remotePeer: b.node.self, encryption: 'dtls' } }),
      )
      return () => {}
    },
  }
  const gater: Gater = {
    secured: (_peer, direction, _address, answer) => {
      heard.push(`secured ${direction}`)
      answer(true)
    },
    upgraded: ({ muxer }, answer) => {
      heard.push(`upgraded ${muxer}`)
      answer(false)
    },
  }
  const a = world.node(() => ({ services: [], transports: [direct], gater }))
  let code: string | undefined
  a.node.dial({ addresses: [encapsulate(parseMultiaddr('/ip4/9.9.9.9/tcp/1'), `/p2p/${b.node.self}`)] }, (outcome) => {
    code = outcome.ok ? 'ok' : outcome.fault.errors[0]?.code
  })
  world.run(1_000)
  expect([heard, code, aborted]).toEqual([['secured outbound', 'upgraded /webrtc'], 'ERR_GATED', 1])
})

it('what follows an answer is not run inside of the hook', () => {
  const world = new World(41)
  const question: Question = { t: 'reservation', peer: world.node(() => ({ services: [] })).node.self }
  expect(() =>
    ask({ reservation: yes }, world, [question], () => {
      throw new Error('a defect of ours')
    }),
  ).toThrow('a defect of ours')
  expect(world.waiting).toBe(0)
})
