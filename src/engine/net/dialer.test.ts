import { describe, expect, it } from 'vitest'
import type { TabmeshError } from '../../errors.ts'
import { type Multiaddr, parseMultiaddr } from '../codec/multiaddr.ts'
import { DIAL_ADDRESS_TIMEOUT, DIAL_MAX_PARALLEL, DIAL_MAX_SOCKETS, DIAL_TIMEOUT, DNS_TIMEOUT } from '../limits.ts'
import { type Fate, scriptedTransport } from '../testing/scripted-transport.ts'
import { World, type WorldNode } from '../testing/world.ts'
import type { Outcome } from '../wire/conversation.ts'
import type { Connection } from './connection.ts'
import type { LookUpTxt } from './dnsaddr.ts'
import type { NodeOptions } from './node.ts'
import type { DialOptions, DialTarget, Service } from './service.ts'

/** A node that dials by script, and the peer it is to reach. */
const scene = (seed: number, options: Partial<NodeOptions> = {}) => {
  const world = new World(seed)
  const b = world.node(() => ({ services: [] }))
  const tcp = scriptedTransport(world)
  const a = world.node(() => ({ services: [], ...options, transports: [tcp] }))
  const fate = (fates: Record<string, Fate>): void => {
    for (const [address, each] of Object.entries(fates)) tcp.fates.set(address, each)
  }
  /** What `a` knows of `b`. */
  const know = (...texts: string[]): void => {
    a.node.peerStore.update(b.node.self, { addresses: texts.map(parseMultiaddr) }, a.node.host.date())
  }
  return { world, a, b, tcp, fate, know, here: { after: 10, to: b.node } }
}

const outcomeOf = (world: World, from: WorldNode, target: DialTarget, options?: DialOptions): Outcome<Connection> => {
  let got: Outcome<Connection> | undefined
  from.node.dial(
    target,
    (outcome) => {
      got = outcome
    },
    options,
  )
  expect(got, 'never before it has returned').toBeUndefined()
  world.run(DIAL_TIMEOUT + 1_000, () => got !== undefined)
  if (got === undefined) throw new Error('the dial has no end')
  return got
}

const faultOf = (outcome: Outcome<Connection>): TabmeshError => {
  if (outcome.ok) throw new Error('it connected')
  return outcome.fault
}

const named = (...texts: string[]): DialTarget => ({ addresses: texts.map(parseMultiaddr) })
const at = (host: number, port = 1): string => `/ip4/9.9.9.${host}/tcp/${port}`

describe('several addresses', () => {
  it('are tried one after the other, and the losers given up when one connects', () => {
    const { world, a, b, tcp, fate } = scene(1)
    fate({ [at(1)]: 'silent', [at(2)]: { after: 300, to: b.node }, [at(3)]: 'silent', [at(4)]: 'silent' })
    expect(outcomeOf(world, a, named(at(1), at(2), at(3), at(4))).ok).toBe(true)
    expect(tcp.log).toEqual([
      `0 begins ${at(1)}`,
      `250 begins ${at(2)}`,
      `500 begins ${at(3)}`,
      `550 ends ${at(2)}`,
      // Two latencies for the handshake.
      `570 ends ${at(1)}`,
      `570 ends ${at(3)}`,
    ])
    world.run(1_000)
    expect([a.node.connections().length, b.node.connections().length, tcp.running]).toEqual([1, 1, 0])
  })

  it('that fail early make way at once; each tells what happened', () => {
    const { world, a, tcp, fate } = scene(2)
    fate({ '*': { after: 5 } })
    const fault = faultOf(outcomeOf(world, a, named(at(1), at(2), at(3))))
    expect(fault.code).toBe('ERR_DIAL_FAILED')
    expect(fault.errors.map(({ code, message }) => [code, message.split(':')[0]])).toEqual(
      [1, 2, 3].map((host) => ['ERR_UNREACHABLE', at(host)]),
    )
    expect(tcp.log.at(-1)).toBe(`15 ends ${at(3)}`)
  })

  it('eight at a time of twenty-five, whatever is named', () => {
    const { world, a, tcp } = scene(3)
    tcp.fates.set('*', 'silent')
    const many = [...Array(10_000).keys()].map((port) => at(1, port + 1))
    const fault = faultOf(outcomeOf(world, a, named(...many)))
    expect(fault.code).toBe('ERR_DIAL_TIMEOUT')
    expect(fault.errors.length).toBe(25)
    expect(tcp.most).toBe(DIAL_MAX_PARALLEL)
    expect(world.now).toBe(DIAL_TIMEOUT)
    expect(tcp.running).toBe(0)
  })

  it('each has its own deadline', () => {
    const { world, a, tcp, fate } = scene(4)
    fate({ [at(1)]: 'silent' })
    expect(faultOf(outcomeOf(world, a, named(at(1)))).errors[0]?.code).toBe('ERR_DIAL_TIMEOUT')
    expect(tcp.log).toEqual([`0 begins ${at(1)}`, `${DIAL_ADDRESS_TIMEOUT} ends ${at(1)}`])
  })

  it('in another order are the same dial', () => {
    const { world, a, b, tcp, fate, here } = scene(5)
    fate({ [at(1)]: here, [at(2)]: here })
    const got: Connection[] = []
    const p2p = `/p2p/${b.node.self}`
    for (const order of [
      [at(1) + p2p, at(2) + p2p],
      [at(2) + p2p, at(1) + p2p],
    ]) {
      a.node.dial(named(...order), (outcome) => outcome.ok && got.push(outcome.value))
    }
    expect(a.node.pending).toBe(1)
    world.run(1_000)
    expect(got.length).toBe(2)
    expect(got[0]).toBe(got[1])
    expect(tcp.log.filter((line) => line.includes('begins')).length).toBe(1)
  })
})

describe('what failed lately', () => {
  it('comes last in a dial of the peer, and is dialled at once by its name', () => {
    const { world, a, b, tcp, fate, know, here } = scene(10)
    fate({ [at(1)]: { after: 5 }, [at(2)]: here })
    know(at(1), at(2))
    expect(outcomeOf(world, a, { peer: b.node.self, addresses: [] }).ok).toBe(true)
    expect(tcp.log.filter((line) => line.includes('begins'))).toEqual([`0 begins ${at(1)}`, `5 begins ${at(2)}`])
    a.node.hangUp(b.node.self)
    world.run(1_000)
    tcp.log.length = 0
    const began = world.now
    expect(outcomeOf(world, a, { peer: b.node.self, addresses: [] }).ok).toBe(true)
    expect(tcp.log).toEqual([`${began} begins ${at(2)}`, `${began + 10} ends ${at(2)}`])
    a.node.hangUp(b.node.self)
    world.run(1_000)
    tcp.log.length = 0
    expect(outcomeOf(world, a, { peer: b.node.self, addresses: [parseMultiaddr(at(1))] }).ok).toBe(false)
    expect(tcp.log.length).toBe(2)
  })

  it('is tried when all else has failed', () => {
    const { world, a, b, tcp, fate, know, here } = scene(11)
    fate({ [at(1)]: { after: 5 }, [at(2)]: { after: 5 } })
    know(at(1))
    outcomeOf(world, a, { peer: b.node.self, addresses: [] })
    know(at(1), at(2))
    // It is there again.
    fate({ [at(1)]: here })
    tcp.log.length = 0
    expect(outcomeOf(world, a, { peer: b.node.self, addresses: [] }).ok).toBe(true)
    expect(tcp.log.filter((line) => line.includes('begins')).map((line) => line.split(' ')[2])).toEqual([at(2), at(1)])
  })

  it('is all there is: a caller dials it all the same, one in the background hears until when it is left alone', () => {
    const { world, a, b, tcp, fate, know } = scene(12)
    const background = { background: true }
    const peer = { peer: b.node.self, addresses: [] }
    fate({ '*': { after: 5 } })
    know(at(1), at(2))
    expect(faultOf(outcomeOf(world, a, peer, background)).code).toBe('ERR_DIAL_FAILED')
    tcp.log.length = 0
    const fault = faultOf(outcomeOf(world, a, peer, background))
    expect(fault.code).toBe('ERR_BACK_OFF')
    expect(fault.message).toContain('in 4995 ms')
    expect(tcp.log).toEqual([])
    expect(faultOf(outcomeOf(world, a, peer)).code).toBe('ERR_DIAL_FAILED')
    expect(tcp.log.length).toBe(4)
    // Two failures in a row: six seconds.
    world.run(5_990)
    expect(faultOf(outcomeOf(world, a, peer, background)).code).toBe('ERR_BACK_OFF')
    world.run(10)
    tcp.log.length = 0
    expect(faultOf(outcomeOf(world, a, peer, background)).code).toBe('ERR_DIAL_FAILED')
    expect(tcp.log.length).toBeGreaterThan(0)
  })

  it('is forgotten with a success, and when the network is another', () => {
    const { world, a, b, fate, know, here } = scene(13)
    const peer = { peer: b.node.self, addresses: [] }
    const waits = (): number => a.node.backOff.wait(`${at(1)}/p2p/${b.node.self}`, world.now)
    fate({ [at(1)]: { after: 5 } })
    know(at(1))
    outcomeOf(world, a, peer)
    expect(waits()).toBe(5_000)
    a.node.online()
    expect(waits()).toBe(0)
    outcomeOf(world, a, peer)
    fate({ [at(1)]: here })
    expect(outcomeOf(world, a, peer).ok).toBe(true)
    expect(waits()).toBe(0)
  })

  it('is not what we refused ourselves', () => {
    const { world, a, b, know } = scene(14)
    know('/ip4/9.9.9.9/udp/1')
    const fault = faultOf(outcomeOf(world, a, { peer: b.node.self, addresses: [] }, { background: true }))
    expect(fault.errors.map(({ code }) => code)).toEqual(['ERR_NO_TRANSPORT'])
    expect(faultOf(outcomeOf(world, a, { peer: b.node.self, addresses: [] }, { background: true })).code).toBe('ERR_DIAL_FAILED')
  })
})

describe('a dial in the background', () => {
  it('joins that of a caller, but not the other way round; whichever connects answers both', () => {
    const { world, a, b, tcp, fate, know, here } = scene(20)
    const peer = { peer: b.node.self, addresses: [] }
    fate({ [at(1)]: { after: 5 } })
    know(at(1))
    outcomeOf(world, a, peer)
    world.run(6_000)
    fate({ [at(1)]: { after: 1_000, to: b.node }, [at(2)]: here })
    tcp.log.length = 0
    const got: (Connection | string)[] = []
    const hear = (outcome: Outcome<Connection>): void => void got.push(outcome.ok ? outcome.value : outcome.fault.code)
    a.node.dial(peer, hear, { background: true })
    world.run(100)
    know(at(2), at(1))
    a.node.dial(peer, hear)
    a.node.dial(peer, hear, { background: true })
    expect(a.node.pending).toBe(2)
    world.run(5_000)
    expect(got.length).toBe(3)
    expect(new Set(got).size).toBe(1)
    expect([a.node.connections().length, a.node.pending, tcp.running]).toEqual([1, 0, 0])
  })
})

describe('addresses in private networks', () => {
  it('that others advertise are left alone where we are on none; what we name ourselves is dialled', () => {
    const { world, a, b, tcp, fate, know, here } = scene(30, { near: false })
    const near = '/ip4/192.168.1.7/tcp/1'
    fate({ [near]: here, [at(1)]: { after: 5 } })
    know(near, at(1))
    expect(faultOf(outcomeOf(world, a, { peer: b.node.self, addresses: [] })).errors.length).toBe(1)
    know(near)
    a.node.peerStore.delete(b.node.self)
    know(near)
    const fault = faultOf(outcomeOf(world, a, { peer: b.node.self, addresses: [] }))
    expect([fault.code, fault.message.includes('private networks')]).toEqual(['ERR_NO_ADDRESS', true])
    expect(tcp.log.some((line) => line.includes(near))).toBe(false)
    expect(outcomeOf(world, a, named(near)).ok).toBe(true)
  })
})

describe('a dnsaddr', () => {
  const zone =
    (world: World, records: Record<string, readonly string[]>): LookUpTxt =>
    (name, done) =>
      world.after(20, () => done({ ok: true, value: records[name] ?? [] }))

  it('is resolved first; its addresses are ranked with the others', () => {
    const world = new World(40)
    const b = world.node(() => ({ services: [] }))
    const here = { after: 10, to: b.node }
    const tcp = scriptedTransport(world, { [at(1)]: { after: 5 }, '/ip4/192.168.1.7/tcp/1': here, [at(2)]: here })
    const p2p = `/p2p/${b.node.self}`
    const a = world.node(() => ({
      services: [],
      transports: [tcp],
      near: false,
      lookUpTxt: zone(world, {
        '_dnsaddr.boot.example': [
          `dnsaddr=${at(2)}${p2p}`,
          `dnsaddr=/ip4/192.168.1.7/tcp/1${p2p}`,
          `dnsaddr=${at(3)}/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N`,
        ],
      }),
    }))
    expect(outcomeOf(world, a, named(`/dnsaddr/boot.example${p2p}`, at(1) + p2p)).ok).toBe(true)
    expect(tcp.log.filter((line) => line.includes('begins')).map((line) => line.split(' ')[2])).toEqual([at(2)])
  })

  it('that comes to nothing is told like an address', () => {
    const { world, a, fate } = scene(41)
    fate({ '*': { after: 5 } })
    const fault = faultOf(outcomeOf(world, a, named('/dnsaddr/boot.example', at(1))))
    expect([fault.code, fault.errors.map(({ code }) => code)]).toEqual(['ERR_DIAL_FAILED', ['ERR_DNS', 'ERR_UNREACHABLE']])
    expect(faultOf(outcomeOf(world, a, named('/dnsaddr/boot.example'))).code).toBe('ERR_DNS')
  })

  it('that nobody answers for ends in time, and can be given up', () => {
    const { world, a } = scene(42, { lookUpTxt: () => () => {} })
    expect(faultOf(outcomeOf(world, a, named('/dnsaddr/boot.example'))).code).toBe('ERR_DNS')
    expect(world.now).toBe(DNS_TIMEOUT)
    const cancel = a.node.dial(named('/dnsaddr/boot.example'), () => expect.unreachable())
    world.run(100)
    cancel()
    expect([a.node.pending, world.waiting]).toEqual([0, 0])
  })
})

describe('a connection that comes about otherwise', () => {
  it('answers the dial; made by the remote, it does not end what is under way', () => {
    const { world, a, b, tcp, fate, know } = scene(50)
    fate({ [at(1)]: { after: 400, to: b.node }, [at(2)]: 'silent' })
    know(at(1), at(2))
    let got: Connection | undefined
    a.node.dial({ peer: b.node.self, addresses: [] }, (outcome) => {
      if (outcome.ok) got = outcome.value
    })
    world.run(100)
    b.node.dial({ addresses: [a.address] }, () => {})
    world.run(200)
    expect(got).toMatchObject({ direction: 'inbound', transport: 'memory' })
    // The second address is not begun any more; the first one may be a connection to the remote already.
    world.run(1_000)
    expect(tcp.log.map((line) => line.split(' ').slice(1).join(' '))).toEqual([`begins ${at(1)}`, `ends ${at(1)}`])
    expect(a.node.pending).toBe(0)
  })

  it('of our own ends it: the rest is given up', () => {
    const { world, a, b, tcp, fate, know } = scene(51)
    fate({ [at(1)]: 'silent' })
    know(at(1))
    const got: Connection[] = []
    const hear = (outcome: Outcome<Connection>): void => void (outcome.ok && got.push(outcome.value))
    a.node.dial({ peer: b.node.self, addresses: [] }, hear)
    world.run(100)
    a.node.dial({ addresses: [b.address] }, hear)
    world.run(1_000)
    expect(got.length).toBe(2)
    expect(new Set(got).size).toBe(1)
    expect([tcp.running, a.node.pending, a.node.connections().length]).toEqual([0, 0, 1])
  })
})

describe('many dials', () => {
  it('open sixty-four sockets at a time; callers come before what goes on in the background, and none sticks', () => {
    const { world, a, tcp, b, here } = scene(60)
    tcp.fates.set('*', 'silent')
    const ends: string[] = []
    const hear =
      (name: string) =>
      (outcome: Outcome<Connection>): void =>
        void ends.push(`${name} ${outcome.ok ? 'ok' : outcome.fault.code}`)
    for (let port = 1; port <= 200; port += 1) a.node.dial(named(at(1, port)), hear('background'), { background: true })
    world.run(1_000)
    expect(tcp.running).toBe(DIAL_MAX_SOCKETS)
    tcp.fates.set(at(2), here)
    const cancel = a.node.dial(named(at(3)), () => expect.unreachable())
    a.node.dial(named(at(2)), hear('caller'))
    cancel()
    world.run(DIAL_ADDRESS_TIMEOUT)
    expect(ends.find((end) => end.startsWith('caller'))).toBe('caller ok')
    expect(tcp.log.filter((line) => line.includes('begins')).slice(DIAL_MAX_SOCKETS)[0]).toContain(at(2))
    world.run(DIAL_TIMEOUT)
    expect(ends.length).toBe(201)
    expect(ends.filter((end) => end === 'background ERR_DIAL_FAILED' || end === 'background ERR_DIAL_TIMEOUT').length).toBe(200)
    expect([tcp.most, tcp.running, a.node.pending]).toEqual([DIAL_MAX_SOCKETS, 0, 0])
    // No place was lost on the way.
    tcp.fates.set('*', here)
    expect(outcomeOf(world, a, { addresses: [parseMultiaddr(at(4)) as Multiaddr] }).ok).toBe(true)
    expect(b.node.connections().length).toBeGreaterThan(0)
  })
})

describe('a peer of whom no address leads anywhere', () => {
  /** A service that looks for peers: after `ms` it has found `texts`. */
  const finder = (world: () => World, ms: number, ...texts: string[]) => {
    const asked: string[] = []
    const service: Service = {
      name: 'finder',
      protocols: {},
      search(peer, done) {
        asked.push(peer)
        const cancel = world().after(ms, () => done(texts.map(parseMultiaddr)))
        return () => {
          asked.push('given up')
          cancel()
        }
      },
    }
    return { service, asked }
  }
  const lookingScene = (seed: number, ms: number, ...texts: string[]) => {
    let made: ReturnType<typeof scene> | undefined
    const { service, asked } = finder(() => made?.world as World, ms, ...texts)
    made = scene(seed, { services: [service] })
    return { ...made, asked }
  }

  it('is looked for, and dialled where it was found', () => {
    const { world, a, b, tcp, fate, here, asked } = lookingScene(40, 500, at(1))
    fate({ [at(1)]: here })
    expect(outcomeOf(world, a, { peer: b.node.self, addresses: [] }).ok).toBe(true)
    expect([asked, tcp.log[0]]).toEqual([[b.node.self], `500 begins ${at(1)}`])
  })

  it('is looked for when what was known has failed, once, and what has failed is not tried again', () => {
    const { world, a, b, tcp, fate, know, asked } = lookingScene(41, 500, at(1), at(2))
    know(at(1))
    fate({ [at(1)]: { after: 100 }, [at(2)]: { after: 100 } })
    const fault = faultOf(outcomeOf(world, a, { peer: b.node.self, addresses: [] }))
    expect([fault.code, fault.errors.length, asked]).toEqual(['ERR_DIAL_FAILED', 2, [b.node.self]])
    expect(tcp.log.filter((line) => line.includes('begins')).length).toBe(2)
  })

  it('of whom nothing is found either fails as if nobody had looked', () => {
    const { world, a, b, asked } = lookingScene(42, 500)
    expect(faultOf(outcomeOf(world, a, { peer: b.node.self, addresses: [] })).code).toBe('ERR_NO_ADDRESS')
    expect(asked).toEqual([b.node.self])
  })

  it('is not looked for on behalf of nobody, nor beside named addresses', () => {
    const { world, a, b, fate, asked } = lookingScene(43, 500, at(1))
    fate({ [at(2)]: { after: 100 } })
    expect(outcomeOf(world, a, { peer: b.node.self, addresses: [] }, { background: true }).ok).toBe(false)
    expect(outcomeOf(world, a, { peer: b.node.self, addresses: [parseMultiaddr(at(2))] }).ok).toBe(false)
    expect(asked).toEqual([])
  })

  it('is not looked for any more when nobody wants it, or its time is over', () => {
    const { world, a, b, asked } = lookingScene(44, 60_000)
    const giveUp = a.node.dial({ peer: b.node.self, addresses: [] }, () => {})
    world.run(100)
    giveUp()
    expect(asked).toEqual([b.node.self, 'given up'])
    expect(faultOf(outcomeOf(world, a, { peer: b.node.self, addresses: [] }, { timeout: 1_000 })).code).toBe('ERR_DIAL_TIMEOUT')
    expect(asked.slice(2)).toEqual([b.node.self, 'given up'])
  })
})
