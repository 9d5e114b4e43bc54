import { describe, expect, it } from 'vitest'
import { TabmeshError } from '../../errors.ts'
import { encapsulate } from '../codec/multiaddr.ts'
import type { PeerId } from '../codec/peer-id.ts'
import { RETIRE_GRACE, TWIN_GRACE } from '../limits.ts'
import { identifyService } from '../protocols/identify/service.ts'
import { pingService } from '../protocols/ping/service.ts'
import { relayServer } from '../protocols/relay/hop.ts'
import { relayClient } from '../protocols/relay/service.ts'
import { webrtcService } from '../protocols/webrtc-signaling/service.ts'
import { echo } from '../testing/echo.ts'
import { fakeNetwork } from '../testing/fake-peer-connection.ts'
import type { Prng } from '../testing/prng.ts'
import { property } from '../testing/property.ts'
import { World, type WorldNode } from '../testing/world.ts'
import type { Connection } from './connection.ts'
import { preference, surplusOf } from './twins.ts'

type Twin = Parameters<typeof preference>[0]

const A = 'aaa' as PeerId
const B = 'bbb' as PeerId

const made = (more: Partial<Twin> = {}): Twin => ({
  remotePeer: B,
  direction: 'outbound',
  direct: true,
  limited: false,
  transport: 'tcp',
  proven: false,
  status: 'open',
  ...more,
})

describe('of several connections', () => {
  it('both sides give up the same one', () => {
    const dialledByA = made({ remotePeer: B, direction: 'outbound' })
    const dialledByB = made({ remotePeer: B, direction: 'inbound' })
    expect(surplusOf([dialledByA, dialledByB], A)).toEqual({ surplus: [dialledByA], undecided: false })
    const seenByB = [made({ remotePeer: A, direction: 'inbound' }), made({ remotePeer: A, direction: 'outbound' })]
    expect(surplusOf(seenByB, B)).toEqual({ surplus: [seenByB[0]], undecided: false })
    expect(preference(dialledByB, A)).toBeGreaterThan(preference(dialledByA, A))
    expect(preference(seenByB[1] as Twin, B)).toBeGreaterThan(preference(seenByB[0] as Twin, B))
  })

  it('only those of one kind are twins, and only open ones', () => {
    const relayed = made({ direct: false, transport: 'relay' })
    const limited = made({ direct: false, transport: 'relay', limited: true })
    const direct = made({ direction: 'inbound' })
    const retiring = made({ status: 'retiring' })
    expect(surplusOf([relayed, limited, direct, retiring], A)).toEqual({ surplus: [], undecided: false })
    const other = made({ direct: false, transport: 'relay', direction: 'inbound' })
    expect(surplusOf([relayed, limited, direct, other], A).surplus).toEqual([relayed])
  })

  it('two of one direction are not for us to judge', () => {
    expect(surplusOf([made(), made()], A)).toEqual({ surplus: [], undecided: false })
  })

  it('none gives way to a data channel that was never answered on', () => {
    const socket = made()
    const channel = made({ direction: 'inbound', transport: 'webrtc' })
    expect(surplusOf([socket, channel], A)).toEqual({ surplus: [], undecided: true })
    expect(surplusOf([socket, { ...channel, proven: true }], A)).toEqual({ surplus: [socket], undecided: false })
  })

  it('a new stream takes a proven direct one, then a relayed one, then an unproven one, then a limited one', () => {
    const channel = made({ transport: 'webrtc' })
    const relayed = made({ direct: false, transport: 'relay' })
    const order = [made(), relayed, channel, { ...relayed, limited: true }, made({ status: 'retiring' })]
    for (const direction of ['inbound', 'outbound'] as const) {
      const values = order.map((each) => preference({ ...each, direction }, A))
      expect(values).toEqual([...values].sort((a, b) => b - a))
      expect(new Set(values).size).toBe(values.length)
    }
  })
})

/** Streams of `from` to `to`, all the while, over whatever connection is best; what breaks, and what comes back. */
const chatter = (world: World, from: WorldNode, to: WorldNode, times: number, every: number) => {
  const result = { broken: [] as string[], echoed: 0, sent: 0 }
  const say = (left: number): void => {
    if (left === 0) return
    world.after(every, () => say(left - 1))
    const best = from.node.connections(to.node.self)[0]
    if (best === undefined) return
    result.sent += 100
    const stream = best.openStream(['/echo/1'])
    stream.attach({
      onData(bytes) {
        result.echoed += bytes.length
        stream.release(bytes.length)
      },
      onEnd: () => {},
      onClose: (fault) => fault !== undefined && result.broken.push(`${world.now} ${best.id} ${fault.message}`),
    })
    stream.write(new Uint8Array(100))
    stream.end()
  }
  say(times)
  return result
}

const both = (random: Prng, world: World, a: WorldNode, b: WorldNode, dialEach: (from: WorldNode, to: WorldNode) => void): void => {
  const first = random.below(60)
  const second = random.below(60)
  world.after(first, () => dialEach(a, b))
  world.after(second, () => dialEach(b, a))
}

describe('both sides dial at once', () => {
  it('settle to one connection, the same on both, and no stream breaks', () => {
    property(12, (random) => {
      const world = new World(1_000 + random.below(10_000), 1 + random.below(120))
      const services = () => [identifyService(), pingService(), echo()]
      const a = world.node(() => ({ services: services() }))
      const b = world.node(() => ({ services: services() }))
      const faults: string[] = []
      both(random, world, a, b, (from, to) => {
        from.node.dial({ addresses: [to.address] }, (outcome) => outcome.ok || faults.push(outcome.fault.message))
      })
      const talks = [chatter(world, a, b, 160, 40), chatter(world, b, a, 160, 40)]
      world.run(20_000)
      expect(faults).toEqual([])
      for (const { broken, echoed, sent } of talks) {
        expect(broken).toEqual([])
        expect(sent).toBeGreaterThan(12_000)
        expect(echoed).toBe(sent)
      }
      const [mine, theirs] = [a.node.connections(b.node.self), b.node.connections(a.node.self)]
      expect([mine.length, theirs.length]).toEqual([1, 1])
      expect(mine[0]?.direction).not.toBe(theirs[0]?.direction)
      expect(a.events.filter(({ t }) => t === 'peer:disconnect')).toEqual([])
    })
  })

  it('a stream that stays open keeps its connection for as long as it likes', () => {
    const world = new World(7)
    const a = world.node(() => ({ services: [echo()] }))
    const b = world.node(() => ({ services: [echo()] }))
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      from.node.dial({ addresses: [to.address] }, () => {})
    }
    world.run(100)
    const smaller = a.node.self < b.node.self ? a : b
    const doomed = smaller.node.connections().find(({ direction }) => direction === 'outbound') as Connection
    const stream = doomed.openStream(['/echo/1'])
    let heard = 0
    stream.attach({
      onData(bytes) {
        heard += bytes.length
        stream.release(bytes.length)
      },
      onEnd: () => {},
      onClose: (fault) => expect(fault).toBeUndefined(),
    })
    world.run(TWIN_GRACE + 10 * RETIRE_GRACE)
    expect(doomed.status).toBe('retiring')
    stream.write(new Uint8Array(10))
    world.run(100)
    expect(heard).toBe(10)
    stream.end()
    world.run(2 * RETIRE_GRACE)
    expect(doomed.status).toBe('closed')
    expect([a.node.connections().length, b.node.connections().length]).toEqual([1, 1])
  })

  it('and one of the two breaks before they have settled: the other one stays', () => {
    property(20, (random) => {
      const world = new World(random.below(10_000))
      const a = world.node(() => ({ services: [echo()] }))
      const b = world.node(() => ({ services: [echo()] }))
      both(random, world, a, b, (from, to) => from.node.dial({ addresses: [to.address] }, () => {}))
      world.run(200)
      const open = a.node.connections()
      if (open.length < 2) return
      world.run(random.below(TWIN_GRACE - 200))
      open[random.below(2)]?.abort(new TabmeshError('ERR_CONNECTION_CLOSED', 'a test'))
      world.run(20_000)
      expect([a, b].map(({ node }) => node.connections().map(({ status }) => status))).toEqual([['open'], ['open']])
    })
  })

  it('settle over relays and WebRTC too', () => {
    property(6, (random) => {
      const world = new World(100 + random.below(1_000), 5)
      const network = fakeNetwork({ now: () => world.now, after: (ms, run) => world.after(ms, run) })
      network.connecting = [random.below(60), random.below(60)]
      const relay = world.node(() => ({ services: [identifyService(), relayServer().service] }))
      const tab = (): WorldNode => {
        const ping = pingService()
        const client = relayClient({ relays: [relay.address], webrtc: true })
        const webrtc = webrtcService({ rtc: network.rtc(), ping: ping.ping })
        return world.node(() => ({ services: [identifyService(), ping, client, echo(), webrtc], transports: [client, webrtc] }))
      }
      const [a, b] = [tab(), tab()]
      world.run(2_000)
      both(random, world, a, b, (from, to) =>
        from.node.dial({ addresses: [encapsulate(relay.address, `/p2p-circuit/p2p/${to.node.self}`)] }, () => {}),
      )
      const talks = [chatter(world, a, b, 200, 40), chatter(world, b, a, 200, 40)]
      world.run(30_000)
      for (const { broken, echoed, sent } of talks) {
        expect(broken).toEqual([])
        expect(echoed).toBe(sent)
      }
      const ways = [a.node.connections(b.node.self), b.node.connections(a.node.self)].map((each) => each.map(({ transport }) => transport))
      expect(ways).toEqual([['webrtc'], ['webrtc']])
    })
  })
})
