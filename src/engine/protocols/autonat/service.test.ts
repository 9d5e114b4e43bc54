import { describe, expect, it } from 'vitest'
import { type Multiaddr, parseMultiaddr, withoutPeerId } from '../../codec/multiaddr.ts'
import {
  AUTONAT_DATA_MIN,
  AUTONAT_DELAY,
  AUTONAT_DIAL_BACK_TIMEOUT,
  AUTONAT_MAX_MESSAGE,
  AUTONAT_PAUSE,
  AUTONAT_RATE_PEER,
  AUTONAT_REFRESH,
  AUTONAT_TIMEOUT,
} from '../../limits.ts'
import type { Connection } from '../../net/connection.ts'
import { Node } from '../../net/node.ts'
import type { Service } from '../../net/service.ts'
import type { Stream } from '../../net/stream.ts'
import { Internet } from '../../testing/internet.ts'
import { World } from '../../testing/world.ts'
import { type Conversation, converse, type Outcome, readSome, write } from '../../wire/conversation.ts'
import { readFrame } from '../../wire/frame.ts'
import { identifyService } from '../identify/service.ts'
import { AUTONAT_V1, type AutonatClient, autonatClient, DIAL_BACK, DIAL_REQUEST } from './client.ts'
import { sendDialBack } from './conversation.ts'
import { decodeMessage, frameData, frameDataRequest, frameRequest, frameResponse, type Response } from './messages.ts'
import { autonatServer, type Stranger } from './server.ts'

const OURS = '203.0.113.5'
const PUBLIC = `/ip4/${OURS}/tcp/4001`
const WAIT = AUTONAT_DELAY + 5_000

class Scene {
  readonly world: World
  readonly internet: Internet
  readonly client: AutonatClient
  readonly us
  #servers = 0

  /** We are behind a NAT, at OURS to others, and listen on port 4001. */
  constructor(seed: number, { deaf = false, ...options }: { allowPrivate?: boolean; deaf?: boolean } = {}) {
    this.world = new World(seed, 5)
    this.internet = new Internet(this.world)
    this.client = autonatClient(options)
    const mounted: Service = deaf ? Object.create(this.client, { onConnection: { value: undefined } }) : this.client
    this.us = this.world.node(() => ({ services: [identifyService(), mounted], transports: [this.internet.transport(OURS)] }))
    this.client.listening([parseMultiaddr('/ip4/0.0.0.0/tcp/4001')])
    this.client.announce('listen', [parseMultiaddr('/ip4/192.168.1.2/tcp/4001')])
  }

  /** Others reach our port through the NAT, from now on or no more. */
  forward(yes = true): this {
    this.internet.listen(PUBLIC, yes ? this.us.node : undefined)
    return this
  }

  stranger(ip: string): Stranger {
    const transport = this.internet.transport(ip)
    return {
      canDial: (address) => transport.matches(address),
      dial: (peer, address, timeout, done) => {
        const node = new Node({ host: this.world.host(), services: [], transports: [transport] })
        node.start()
        const cancel = node.dial({ peer, addresses: [address] }, done, { timeout })
        return () => {
          cancel()
          node.stop(() => {})
        }
      },
    }
  }

  /** A peer with an address of its own, to which we connect. */
  peer(services: (ip: string) => Service[]) {
    this.#servers += 1
    const ip = `198.51.100.${this.#servers}`
    const peer = this.world.node(() => ({ services: [identifyService(), ...services(ip)], transports: [this.internet.transport(ip)] }))
    this.internet.listen(`/ip4/${ip}/tcp/9090`, peer.node)
    this.us.node.dial({ peer: peer.node.self, addresses: [parseMultiaddr(`/ip4/${ip}/tcp/9090`)] }, () => {})
    return peer
  }

  server(allowPrivate = false) {
    return this.peer((ip) => [autonatServer({ stranger: this.stranger(ip), allowPrivate })])
  }

  /** One that answers as `talk` has it; `back` is how it dials us. */
  fake(talk: (back: (outcome: (nonce: bigint) => void) => void, stream: Stream) => Conversation<void>, protocol = DIAL_REQUEST) {
    return this.peer(() => [
      {
        name: 'fake',
        protocols: { [protocol]: {} },
        onStream: (stream) =>
          void converse(
            stream,
            talk(() => {}, stream),
            this.us.node.host,
            { timeout: 60_000, what: 'fake', done: () => {} },
          ),
      },
    ])
  }

  run(ms = WAIT): this {
    this.world.run(ms)
    return this
  }

  get addresses(): string[] {
    return this.us.node.addresses.map(({ text }) => text).filter((text) => !text.startsWith('/memory'))
  }

  get changes(): string[] {
    return this.us.events.flatMap((event) => (event.t === 'reachability:change' ? [event.reachability] : []))
  }
}

describe('a peer behind a NAT that forwards its port', () => {
  it('tells of the address that a server saw it at once the server has reached it, and not before', () => {
    const scene = new Scene(1).forward()
    scene.server()
    scene.run(AUTONAT_DELAY / 2)
    expect(scene.addresses).toEqual(['/ip4/192.168.1.2/tcp/4001'])
    scene.run()
    expect(scene.addresses).toEqual(['/ip4/192.168.1.2/tcp/4001', PUBLIC])
    expect([scene.client.reachability, scene.client.confirmed.map(({ text }) => text), scene.changes]).toEqual([
      'public',
      [PUBLIC],
      ['public'],
    ])
  })

  it('is dialled by strangers: no connection stays, and the one to the server is left alone', () => {
    const scene = new Scene(2).forward()
    const server = scene.server()
    scene.run(20_000)
    const peers = new Set(scene.us.events.flatMap((event) => (event.t === 'connection:open' ? [event.connection.remotePeer] : [])))
    expect(peers.size).toBe(2)
    expect(scene.us.node.connections().map(({ remotePeer }) => remotePeer)).toEqual([server.node.self])
  })

  it('goes on telling of it when the server goes, and asks the next one after an hour', () => {
    const scene = new Scene(3).forward()
    const first = scene.server()
    scene.run()
    scene.us.node.hangUp(first.node.self)
    scene.server()
    scene.run(AUTONAT_REFRESH / 2)
    expect(scene.addresses).toContain(PUBLIC)
    scene.forward(false).run(2 * AUTONAT_REFRESH)
    expect([scene.addresses.includes(PUBLIC), scene.client.reachability]).toEqual([false, 'private'])
  })
})

describe('a peer behind a NAT that does not', () => {
  it('never tells of it, and knows that it is private', () => {
    const scene = new Scene(4)
    scene.server()
    scene.run(AUTONAT_TIMEOUT)
    expect([scene.addresses, scene.client.reachability]).toEqual([['/ip4/192.168.1.2/tcp/4001'], 'private'])
  })

  it('knows nothing without a server, and asks nobody', () => {
    const scene = new Scene(5)
    scene.peer(() => [])
    scene.run(AUTONAT_REFRESH)
    expect([scene.client.reachability, scene.changes]).toEqual(['unknown', []])
  })
})

describe('an address of our own', () => {
  it('is told of until it proves out of reach, and again when it is reached', () => {
    const scene = new Scene(6)
    scene.client.announce('listen', [parseMultiaddr(PUBLIC)])
    scene.server()
    scene.run(100)
    expect(scene.addresses).toEqual([PUBLIC])
    scene.run(AUTONAT_TIMEOUT)
    expect(scene.addresses).toEqual([])
    scene.forward().us.node.online()
    scene.run(2 * AUTONAT_PAUSE)
    expect([scene.addresses, scene.changes]).toEqual([[PUBLIC], ['private', 'public']])
  })

  it('elsewhere than we are seen at is paid for with dial data', () => {
    const scene = new Scene(7)
    const elsewhere = '/ip4/203.0.113.77/tcp/4001'
    scene.client.announce('listen', [parseMultiaddr(elsewhere)])
    scene.internet.listen(elsewhere, scene.us.node)
    const server = scene.server()
    scene.run(30_000)
    expect(scene.client.confirmed.map(({ text }) => text)).toContain(elsewhere)
    expect(server.node.metrics.snapshot().protocols[DIAL_REQUEST]?.received).toBeGreaterThan(AUTONAT_DATA_MIN)
  })

  it('in a private network is asked about only where both sides allow it', () => {
    for (const [ours, theirs] of [
      [true, true],
      [true, false],
      [false, true],
    ] as const) {
      const scene = new Scene(8, { allowPrivate: ours })
      scene.client.announce('listen', [parseMultiaddr('/ip4/10.0.0.2/tcp/4001')])
      scene.internet.listen('/ip4/10.0.0.2/tcp/4001', scene.us.node)
      scene.server(theirs)
      scene.run(30_000)
      expect(scene.client.confirmed.some(({ text }) => text.startsWith('/ip4/10.'))).toBe(ours && theirs)
    }
  })
})

it('a dial back whose nonce is there before anybody has heard of its connection counts', () => {
  // As where the last words of the handshake and the first stream come in one piece: services hear of the connection after that.
  const scene = new Scene(9, { deaf: true }).forward()
  scene.server()
  scene.run()
  expect(scene.client.reachability).toBe('public')
})

describe('servers that lie', () => {
  const answered =
    (response: Partial<Response>, before: (request: { nonce: bigint }, stream: Stream) => void = () => {}) =>
    (_back: unknown, stream: Stream) =>
      (function* (): Conversation<void> {
        const told = decodeMessage(yield* readFrame(AUTONAT_MAX_MESSAGE))
        if (told.t === 'request') before(told.request, stream)
        yield* write(frameResponse({ status: 200, index: 0, dialStatus: 200, ...response }))
      })()

  it('and never dialled are not believed', () => {
    const scene = new Scene(10).forward()
    scene.fake(answered({}))
    scene.run(AUTONAT_DIAL_BACK_TIMEOUT + WAIT)
    expect([scene.client.reachability, scene.addresses.includes(PUBLIC)]).toEqual(['unknown', false])
  })

  it('and bring the nonce over the connection that we made to them', () => {
    const scene = new Scene(11).forward()
    const faults: Outcome<void>[] = []
    scene.fake(
      answered({}, ({ nonce }, { connection }) => {
        const back = connection.openStream([DIAL_BACK])
        converse(back, sendDialBack(nonce), scene.us.node.host, { timeout: 5_000, what: 'lie', done: (outcome) => faults.push(outcome) })
      }),
    )
    scene.run(AUTONAT_DIAL_BACK_TIMEOUT + WAIT)
    expect([scene.client.reachability, faults[0]?.ok]).toEqual(['unknown', false])
  })

  it('and bring it over a connection that was there before we asked', () => {
    const scene = new Scene(17).forward()
    const faults: Outcome<void>[] = []
    const { node } = scene.world.node(() => ({
      services: [
        identifyService(),
        {
          name: 'fake',
          protocols: { [DIAL_REQUEST]: {} },
          onStream: (stream) => {
            const bring = ({ nonce }: { nonce: bigint }): void => {
              const back = stream.connection.openStream([DIAL_BACK])
              converse(back, sendDialBack(nonce), node.host, { timeout: 5_000, what: 'lie', done: (outcome) => faults.push(outcome) })
            }
            converse(stream, answered({}, bring)(undefined, stream), node.host, { timeout: 60_000, what: 'fake', done: () => {} })
          },
        },
      ],
      transports: [scene.internet.transport('198.51.100.80')],
    }))
    node.dial({ peer: scene.us.node.self, addresses: [parseMultiaddr(PUBLIC)] }, () => {})
    scene.run(AUTONAT_DIAL_BACK_TIMEOUT + WAIT)
    expect([scene.client.reachability, faults[0]?.ok]).toEqual(['unknown', false])
  })

  it('and answer nonsense: an address that was not asked for, statuses that nobody knows', () => {
    for (const response of [
      { index: 1 },
      { index: 2 ** 31 },
      { status: 300 },
      { dialStatus: 0 },
      { dialStatus: 999 },
      { status: 100 },
      { status: 0 },
    ]) {
      const scene = new Scene(12).forward()
      scene.fake(answered(response))
      scene.run(AUTONAT_DIAL_BACK_TIMEOUT + WAIT)
      expect([scene.client.reachability, scene.us.events.filter(({ t }) => t === 'error')], JSON.stringify(response)).toEqual([
        'unknown',
        [],
      ])
    }
  })

  it('and ask for 10 MB get nothing', () => {
    for (const bytes of [10_000_000, 100_001, Number.MAX_SAFE_INTEGER]) {
      const scene = new Scene(13).forward()
      let got = 0
      scene.fake(() =>
        (function* (): Conversation<void> {
          yield* readFrame(AUTONAT_MAX_MESSAGE)
          yield* write(frameDataRequest({ index: 0, bytes }))
          for (let part = yield* readSome(65_536); part.length > 0; part = yield* readSome(65_536)) got += part.length
        })(),
      )
      scene.run(AUTONAT_TIMEOUT)
      expect([got, scene.client.reachability]).toEqual([0, 'unknown'])
    }
  })

  it('and want data for an address that one observer made up get none', () => {
    const scene = new Scene(14).forward()
    let got = 0
    scene.fake(() =>
      (function* (): Conversation<void> {
        yield* readFrame(AUTONAT_MAX_MESSAGE)
        yield* write(frameDataRequest({ index: 0, bytes: 30_000 }))
        for (let part = yield* readSome(65_536); part.length > 0; part = yield* readSome(65_536)) got += part.length
      })(),
    )
    scene.run(AUTONAT_TIMEOUT)
    expect(got).toBe(0)
  })

  it('and never answer are given up, and asked more and more rarely', () => {
    const scene = new Scene(15).forward()
    let requests = 0
    scene.fake(() =>
      (function* (): Conversation<void> {
        requests += 1
        for (;;) if ((yield* readSome(65_536)).length === 0) return
      })(),
    )
    scene.run(2 * AUTONAT_REFRESH)
    expect(requests).toBeGreaterThan(1)
    expect(requests).toBeLessThan(12)
    expect(scene.us.node.connections()[0]?.streams.size).toBeLessThan(2)
  })

  it('do not keep an honest one from being heard', () => {
    const scene = new Scene(16).forward()
    scene.fake(answered({}))
    scene.fake(answered({ status: 0 }))
    scene.server()
    scene.run(30_000)
    expect(scene.client.reachability).toBe('public')
  })
})

describe('a dial back that nobody asked for', () => {
  it('is refused, on any connection, a thousand times', () => {
    const scene = new Scene(20).forward()
    const guest = scene.world.node(() => ({ services: [identifyService()], transports: [scene.internet.transport('198.51.100.200')] }))
    const outcomes: boolean[] = []
    guest.node.dial({ peer: scene.us.node.self, addresses: [parseMultiaddr(PUBLIC)] }, (outcome) => {
      if (!outcome.ok) throw outcome.fault
      const knock = (left: number): void => {
        if (left === 0) return
        converse(outcome.value.openStream([DIAL_BACK]), sendDialBack(BigInt(left)), guest.node.host, {
          timeout: 5_000,
          what: 'guess',
          done: (end) => {
            outcomes.push(end.ok)
            guest.node.host.defer(() => knock(left - 1))
          },
        })
      }
      knock(1_000)
    })
    scene.run(120_000)
    expect([outcomes.length, outcomes.includes(true), scene.client.reachability]).toEqual([1_000, false, 'unknown'])
    expect(scene.us.node.connections()[0]?.streams.size ?? 0).toBe(0)
  })
})

describe('clients that lie', () => {
  /** Somebody who asks our server for what they like. */
  const guest = (seed: number, allowPrivate = false) => {
    const world = new World(seed, 5)
    const internet = new Internet(world)
    const { stranger } = Object.assign(Object.create(Scene.prototype) as Scene, { world, internet })
    const server = world.node(() => ({
      services: [identifyService(), autonatServer({ stranger: stranger.call({ world, internet }, '198.51.100.1'), allowPrivate })],
      transports: [internet.transport('198.51.100.1')],
    }))
    const address = '/ip4/198.51.100.1/tcp/9090'
    internet.listen(address, server.node)
    const us = world.node(() => ({ services: [identifyService()], transports: [internet.transport(OURS)] }))
    internet.listen(PUBLIC, us.node)
    let connection: Connection | undefined
    us.node.dial({ addresses: [parseMultiaddr(address)] }, (outcome) => {
      if (outcome.ok) connection = outcome.value
    })
    world.run(1_000)
    const ask = <T>(talk: Conversation<T>): Outcome<T>[] => {
      const outcomes: Outcome<T>[] = []
      const stream = (connection as Connection).openStream([DIAL_REQUEST])
      converse(stream, talk, us.node.host, {
        timeout: 60_000,
        what: 'asking',
        done: (outcome) => {
          outcomes.push(outcome)
          if (outcome.ok && typeof outcome.value !== 'string') stream.finish(us.node.host)
        },
      })
      return outcomes
    }
    return { world, internet, server, us, ask, dialled: () => internet.dialled.filter((each) => !each.startsWith('198.51.100.1 ')) }
  }

  function* request(addresses: readonly Uint8Array[]): Conversation<Response | string> {
    yield* write(frameRequest({ addresses, nonce: 7n }))
    const told = decodeMessage(yield* readFrame(AUTONAT_MAX_MESSAGE))
    return told.t === 'response' ? told.response : told.t
  }
  const at = (text: string): Uint8Array => (withoutPeerId(parseMultiaddr(text)) as Multiaddr).bytes

  it('and want somebody else’s machine dialled pay first; who does not is not served, and nobody is dialled', () => {
    const scene = guest(30)
    const outcomes = scene.ask(request([at('/ip4/192.0.2.1/tcp/80')]))
    scene.world.run(2 * AUTONAT_TIMEOUT)
    expect([outcomes, scene.dialled()]).toEqual([[{ ok: true, value: 'dataRequest' }], []])
    expect(scene.server.node.connections()[0]?.streams.size).toBe(0)
  })

  it('and pay in crumbs, or with something else, are cut off', () => {
    for (const coin of [frameData(new Uint8Array(1)), frameResponse({ status: 200, index: 0, dialStatus: 200 })]) {
      const scene = guest(31)
      const outcomes = scene.ask(
        (function* () {
          yield* request([at('/ip4/192.0.2.1/tcp/80')])
          for (let i = 0; i < 100; i++) yield* write(coin)
          return yield* readFrame(AUTONAT_MAX_MESSAGE)
        })(),
      )
      scene.world.run(AUTONAT_TIMEOUT)
      expect([outcomes[0]?.ok, scene.dialled()]).toEqual([false, []])
    }
  })

  it('and want this machine’s own network dialled are refused', () => {
    const scene = guest(32)
    const outcomes = scene.ask(request(['/ip4/127.0.0.1/tcp/22', '/ip4/10.0.0.1/tcp/80', '/dns4/localhost/tcp/80'].map(at)))
    scene.world.run(AUTONAT_TIMEOUT)
    expect([outcomes, scene.dialled()]).toEqual([[{ ok: true, value: { status: 101, index: 0, dialStatus: 0 } }], []])
  })

  it('and ask for many addresses have one dialled', () => {
    const scene = guest(33)
    const outcomes = scene.ask(request(Array.from({ length: 50 }, (_, i) => at(`/ip4/${OURS}/tcp/${5_000 + i}`))))
    scene.world.run(AUTONAT_TIMEOUT)
    expect(outcomes).toEqual([{ ok: true, value: { status: 200, index: 0, dialStatus: 100 } }])
    expect(scene.dialled()).toEqual([`${OURS} 5000`])
  })

  it('and send a list of 10,000 addresses are not read to its end', () => {
    const scene = guest(34)
    const outcomes = scene.ask(request(Array.from({ length: 10_000 }, (_, i) => at(`/ip4/${OURS}/tcp/${i + 1}`))))
    scene.world.run(AUTONAT_TIMEOUT)
    expect([outcomes[0]?.ok, scene.dialled()]).toEqual([false, []])
  })

  it('and do not take the nonce hear so', () => {
    const scene = guest(35)
    const outcomes = scene.ask(request([at(PUBLIC)]))
    scene.world.run(AUTONAT_TIMEOUT)
    expect(outcomes).toEqual([{ ok: true, value: { status: 200, index: 0, dialStatus: 101 } }])
  })

  it('and ask a thousand times a minute are rejected, and served again later', () => {
    const scene = guest(36)
    const statuses: number[] = []
    const next = (left: number): void => {
      const outcomes = scene.ask(request([at(`/ip4/${OURS}/tcp/5000`)]))
      scene.world.run(50, () => outcomes.length > 0)
      const [outcome] = outcomes
      if (outcome?.ok && typeof outcome.value !== 'string') statuses.push(outcome.value.status)
      if (left > 1) next(left - 1)
    }
    next(1_000)
    expect(statuses).toHaveLength(1_000)
    expect(statuses.filter((status) => status === 200).length).toBeLessThanOrEqual(AUTONAT_RATE_PEER * Math.ceil(scene.world.now / 60_000))
    expect(scene.dialled().length).toBeLessThanOrEqual(AUTONAT_RATE_PEER * Math.ceil(scene.world.now / 60_000))
    scene.world.run(60_000)
    const late = scene.ask(request([at(`/ip4/${OURS}/tcp/5000`)]))
    scene.world.run(AUTONAT_TIMEOUT)
    expect(late).toEqual([{ ok: true, value: { status: 200, index: 0, dialStatus: 100 } }])
  })

  it('and go away in the middle leave nothing behind', () => {
    const scene = guest(37)
    for (let i = 0; i < 5; i++) {
      scene.ask(request([at('/ip4/192.0.2.1/tcp/80')]))
      scene.ask(request([at(PUBLIC)]))
      scene.world.run(20 * i)
      scene.us.node.hangUp(scene.server.node.self)
      scene.world.run(1_000)
    }
    scene.us.node.stop(() => {})
    scene.world.run(60_000)
    expect([scene.server.node.connections().length, scene.world.waiting]).toEqual([0, 0])
  })
})

describe('a server of version 1', () => {
  const answers = (status: number, dials: boolean) => (scene: Scene) =>
    scene.fake((_back, { connection }) => {
      return (function* (): Conversation<void> {
        yield* readFrame(AUTONAT_MAX_MESSAGE)
        const body = status === 0 ? Uint8Array.of(2, 8, 0) : Uint8Array.of(2, 8, status)
        if (dials) scene.stranger('198.51.100.90').dial(connection.remotePeer, parseMultiaddr(PUBLIC), 5_000, () => {})
        yield* write(Uint8Array.of(2 + 1 + body.length, 8, 1, 0x1a, ...body))
      })()
    }, AUTONAT_V1)

  it('is believed where a connection came', () => {
    const scene = new Scene(40).forward()
    answers(0, true)(scene)
    scene.run(20_000)
    expect([scene.client.reachability, scene.addresses]).toEqual(['public', ['/ip4/192.168.1.2/tcp/4001', PUBLIC]])
  })

  it('is not where none did', () => {
    const scene = new Scene(41).forward()
    answers(0, false)(scene)
    scene.run(20_000)
    expect(scene.client.reachability).toBe('unknown')
  })

  it('that could not dial says so', () => {
    const scene = new Scene(42)
    answers(100, false)(scene)
    scene.run(20_000)
    expect(scene.client.reachability).toBe('private')
  })
})

it('a peer that stops leaves nothing under way', () => {
  const scene = new Scene(50)
  scene.server()
  scene.run(AUTONAT_DELAY + 300)
  scene.us.node.stop(() => {})
  scene.run(60_000)
  expect(scene.us.node.connections()).toEqual([])
})
