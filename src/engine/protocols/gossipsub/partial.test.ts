import { describe, expect, it } from 'vitest'
import type { TabmeshError } from '../../../errors.ts'
import { fromUtf8, utf8 } from '../../codec/bytes.ts'
import { parseMultiaddr } from '../../codec/multiaddr.ts'
import {
  GOSSIP_MAX_GROUP,
  GOSSIP_MAX_GROUPS,
  GOSSIP_MAX_GROUPS_OF_PEER,
  GOSSIP_MAX_METADATA,
  GOSSIP_MAX_OWN_GROUPS,
  GOSSIP_MAX_PARTS,
  GOSSIP_MAX_QUEUED_PARTS,
  GOSSIP_MAX_SENT,
  GOSSIP_MAX_TOPIC,
} from '../../limits.ts'
import type { Stream } from '../../net/stream.ts'
import { Lab, messageOf, peerOf } from '../../testing/gossip/lab.ts'
import { codeOf } from '../../testing/property.ts'
import { World, type WorldNode } from '../../testing/world.ts'
import { identifyService } from '../identify/service.ts'
import { Outbox } from './outbox.ts'
import { MESHSUB_12, MESHSUB_13 } from './peer.ts'
import type { PartialRole, Parts, Rpc } from './rpc.ts'
import { rpcLength } from './rpc-writer.ts'
import { type GossipsubService, gossipsubService } from './service.ts'

const group = utf8('block 1')
const message = utf8('parts 2 and 3')
const metadata = utf8('1100')
const extensions = { partial: true, test: false }

/** Peer 0 requests parts, 1 supports them, 2 only knows the extension, 3 does not but says that it requests, 4 speaks 1.2 and says it all. */
const REQUESTS = 0
const SUPPORTS = 1
const PLAIN = 2
const SILENT = 3
const OLD = 4

const meet = (lab: Lab, n: number, partial: PartialRole | undefined, knows = true, protocol: string = MESHSUB_13): void => {
  lab.router.handle({ t: 'connect', peer: peerOf(n), protocol: protocol as typeof MESHSUB_13, outbound: false, ips: [] }, lab.now)
  lab.rpc(n, { ...(knows && { extensions }), subscriptions: [{ subscribe: true, topic: 'news', partial }] })
}

const room = (partial: PartialRole | undefined, options = {}): Lab => {
  const lab = new Lab(options)
  meet(lab, REQUESTS, 'request')
  meet(lab, SUPPORTS, 'support')
  meet(lab, PLAIN, undefined)
  meet(lab, SILENT, 'request', false)
  meet(lab, OLD, 'request', true, MESHSUB_12)
  lab.router.join('news', lab.now, partial)
  lab.settle()
  lab.run(200)
  lab.clear()
  return lab
}

const partsTo = (lab: Lab, n: number): (Omit<Parts, 'topic' | 'group'> & { group: string })[] =>
  lab
    .sent(n)
    .flatMap(({ parts }) => (parts === undefined ? [] : [{ ...parts, topic: undefined, group: Buffer.from(parts.group).toString() }]))
const toldOf = (lab: Lab) => lab.events.flatMap((event) => (event.t === 'parts' ? [event] : []))
const publish = (lab: Lab, parts: Partial<Parts>, to?: number[]): number => {
  const count = lab.router.publishParts('news', { group, message: undefined, metadata: undefined, ...parts }, to?.map(peerOf))
  lab.settle()
  return count
}

describe('a topic where we have a part in partial messages', () => {
  it('is subscribed to with it, and again when that changes', () => {
    const lab = new Lab()
    meet(lab, 0, undefined)
    expect(lab.sent(0).map(({ control }) => control?.extensions)).toEqual([extensions])
    const said = () => lab.sent(0).flatMap(({ subscriptions }) => subscriptions)
    lab.router.join('news', 0, 'support')
    lab.settle()
    expect(said()).toEqual([{ subscribe: true, topic: 'news', partial: 'support' }])
    expect(lab.router.join('news', 0, 'support')).toBe(false)
    expect(lab.router.join('news', 0, 'request')).toBe(false)
    lab.settle()
    expect(said()).toEqual([{ subscribe: true, topic: 'news', partial: 'request' }])
    lab.router.handle({ t: 'reopened', peer: peerOf(0) }, 0)
    lab.settle()
    expect(said()).toEqual([{ subscribe: true, topic: 'news', partial: 'request' }])
    lab.router.join('news', 0)
    lab.settle()
    expect(said()).toEqual([{ subscribe: true, topic: 'news' }])
    lab.leave()
    expect(said()).toEqual([{ subscribe: false, topic: 'news' }])
  })

  for (const role of ['support', 'request'] as const) {
    it(`passes on no whole messages to who requests parts, where we ${role}`, () => {
      const lab = room(role)
      lab.peers(9, 10)
      lab.publish(9, {})
      lab.router.publish('news', utf8('ours'), lab.now)
      lab.settle()
      expect(lab.who(9, ({ publish }) => publish.length > 0)).toEqual([SUPPORTS, PLAIN, SILENT, OLD])
    })
  }

  it('passes everything on to everybody where we have none', () => {
    const lab = room(undefined)
    lab.peers(9, 10)
    lab.publish(9, {})
    expect(lab.who(9, ({ publish }) => publish.length > 0)).toEqual([REQUESTS, SUPPORTS, PLAIN, SILENT, OLD])
    expect(codeOf(() => publish(lab, { metadata }))).toBe('ERR_INVALID_ARGUMENT')
  })

  it('passes on no whole message to a direct peer that requests parts, nor without flood publishing; who asks for one gets it', () => {
    const lab = room('support', { params: { floodPublish: false } })
    lab.router.handle({ t: 'direct', peer: peerOf(REQUESTS), on: true }, lab.now)
    lab.router.publish('news', utf8('ours'), lab.now)
    lab.settle()
    const [ours] = lab.sent(PLAIN).flatMap(({ publish }) => publish)
    expect(lab.sent(REQUESTS).flatMap(({ publish }) => publish)).toEqual([])
    lab.rpc(REQUESTS, { iwant: [ours?.id as string] })
    expect(lab.sent(REQUESTS).flatMap(({ publish }) => publish)).toEqual([ours])
    expect(publish(lab, { message })).toBe(1)
    expect(partsTo(lab, REQUESTS)).toMatchObject([{ message }])
  })

  it('follows what a peer says later', () => {
    const lab = room('request')
    const whole = (seqno: number): boolean => {
      lab.peers(9, 10)
      lab.publish(9, { seqno })
      return lab.sent(REQUESTS).some(({ publish }) => publish.length > 0)
    }
    expect(whole(1)).toBe(false)
    lab.rpc(REQUESTS, { subscriptions: [{ subscribe: true, topic: 'news' }] })
    expect(whole(2)).toBe(true)
    lab.rpc(REQUESTS, { subscriptions: [{ subscribe: true, topic: 'news', partial: 'request' }] })
    expect(whole(3)).toBe(false)
    // Another stream, on which it does not say that it knows the extension.
    lab.router.handle({ t: 'anew', peer: peerOf(REQUESTS) }, lab.now)
    lab.rpc(REQUESTS, { graft: [] })
    expect(whole(4)).toBe(true)
    const { topics } = lab.router.inspect()
    expect(topics[0]).toMatchObject({ requestPartial: [], supportPartial: [peerOf(SUPPORTS)] })
  })

  it('asks nobody who sends parts not to send a message', () => {
    const large = { data: new Uint8Array(2_000) }
    const asked = (role: PartialRole): number[] => {
      const lab = room(role)
      lab.peers(9, 10)
      lab.publish(9, large)
      return lab.who(5, ({ control }) => (control?.idontwant.length ?? 0) > 0)
    }
    expect(asked('request')).toEqual([PLAIN, SILENT, OLD])
    expect(asked('support')).toEqual([REQUESTS, SUPPORTS, PLAIN, SILENT, OLD])
  })
})

describe('parts that we publish', () => {
  it('go to who requests them; metadata also to who supports them, where we request', () => {
    const lab = room('request')
    expect(publish(lab, { message, metadata })).toBe(2)
    expect(partsTo(lab, REQUESTS)).toMatchObject([{ group: 'block 1', message, metadata }])
    expect(partsTo(lab, SUPPORTS)).toMatchObject([{ group: 'block 1', message: undefined, metadata }])
    for (const n of [PLAIN, SILENT, OLD]) expect(partsTo(lab, n)).toEqual([])
    expect(publish(lab, { message })).toBe(1)
    expect([partsTo(lab, REQUESTS).length, partsTo(lab, SUPPORTS).length]).toEqual([1, 0])
  })

  it('and their metadata go to who requests them only, where we support', () => {
    const lab = room('support')
    expect(publish(lab, { message, metadata })).toBe(1)
    expect([partsTo(lab, REQUESTS).length, partsTo(lab, SUPPORTS).length]).toEqual([1, 0])
  })

  it('go to whom we name, in the mesh or not: metadata to all that know the extension', () => {
    const lab = room('support')
    expect(publish(lab, { message, metadata }, [REQUESTS, SUPPORTS, PLAIN, SILENT, OLD, 77])).toBe(3)
    expect(partsTo(lab, REQUESTS)).toMatchObject([{ message, metadata }])
    for (const n of [SUPPORTS, PLAIN]) expect(partsTo(lab, n)).toMatchObject([{ message: undefined, metadata }])
    for (const n of [SILENT, OLD]) expect(partsTo(lab, n)).toEqual([])
  })

  it('have their bounds', () => {
    const lab = room('request')
    const bytes = (n: number): Uint8Array => new Uint8Array(n)
    for (const wrong of [
      {},
      { group: bytes(GOSSIP_MAX_GROUP + 1), metadata },
      { metadata: bytes(GOSSIP_MAX_METADATA + 1) },
      { message: bytes(GOSSIP_MAX_PARTS), metadata },
    ])
      expect(codeOf(() => publish(lab, wrong))).toBe('ERR_INVALID_ARGUMENT')
    const topic = 'x'.repeat(GOSSIP_MAX_TOPIC)
    const parts = { topic, group: bytes(GOSSIP_MAX_GROUP), message: bytes(GOSSIP_MAX_PARTS - 10), metadata: bytes(10) }
    expect(rpcLength({ subscriptions: [], publish: [], control: undefined, parts, test: false })).toBeLessThan(GOSSIP_MAX_SENT)
  })

  it('are refused for a peer that takes none, once many wait', () => {
    const outbox = new Outbox()
    const parts = { topic: 'a', group, message: undefined, metadata }
    let sent = 0
    while (outbox.sendParts(parts)) sent += 1
    expect([sent, outbox.dropped]).toEqual([GOSSIP_MAX_QUEUED_PARTS, 1])
    const large = new Outbox()
    while (large.sendParts({ ...parts, message: new Uint8Array(60_000) })) sent += 1
    expect(sent - GOSSIP_MAX_QUEUED_PARTS).toBe(69)
  })

  it('and messages do not keep each other waiting', () => {
    const outbox = new Outbox()
    for (let i = 0; i < 5; i++) {
      outbox.sendParts({ topic: 'a', group, message: new Uint8Array(50_000), metadata: undefined })
      outbox.message(messageOf({ seqno: i, data: new Uint8Array(40_000) }))
    }
    outbox.graft('a')
    const rpcs: Rpc[] = []
    for (let rpc = outbox.take(GOSSIP_MAX_SENT, 10); rpc !== undefined; rpc = outbox.take(GOSSIP_MAX_SENT, 10)) rpcs.push(rpc)
    expect(rpcs.map(({ parts, publish }) => [parts === undefined ? 0 : 1, publish.length])).toEqual(
      Array.from({ length: 10 }, (_, i) => (i % 2 === 0 ? [1, 0] : [0, 1])),
    )
    expect([rpcs[0]?.control?.graft, outbox.empty]).toEqual([['a'], true])
    // Messages that wait for their time, or are not wanted any more, hold up nothing.
    outbox.message(messageOf({}))
    for (let i = 0; i < 2; i++) outbox.sendParts({ topic: 'a', group, message, metadata })
    for (let i = 0; i < 2; i++) expect(outbox.take(GOSSIP_MAX_SENT, 10, undefined, 0)?.parts?.message).toEqual(message)
  })
})

describe('gossip', () => {
  it('tells of groups who requests parts, outside of the mesh and who came into it later, once, for three heartbeats', () => {
    const lab = new Lab({ params: { floodPublish: false } })
    for (let n = 0; n < 6; n++) meet(lab, n, 'request')
    lab.router.join('news', lab.now, 'request')
    lab.settle()
    for (let n = 6; n < 9; n++) meet(lab, n, n < 8 ? 'request' : undefined)
    lab.publish(8, {})
    lab.clear()
    expect(publish(lab, { message, metadata })).toBe(6)
    lab.clear()
    lab.run(3_000)
    for (const n of [6, 7]) expect(partsTo(lab, n)).toEqual([{ topic: undefined, group: 'block 1', message: undefined, metadata }])
    for (const n of [0, 8]) expect(partsTo(lab, n)).toEqual([])
    // What changed is news.
    publish(lab, { metadata: utf8('1110') })
    lab.clear()
    lab.run(1_000)
    for (const n of [6, 7]) expect(partsTo(lab, n)).toMatchObject([{ metadata: utf8('1110') }])
    lab.run(3_000)
    meet(lab, 10, 'request')
    meet(lab, 0, 'request')
    lab.run(2_000)
    expect([partsTo(lab, 10), partsTo(lab, 0)]).toEqual([[], []])
  })

  it('has no IHAVE for them', () => {
    const lab = new Lab({ params: { floodPublish: false } })
    for (let n = 0; n < 6; n++) meet(lab, n, undefined)
    lab.router.join('news', lab.now, 'support')
    lab.settle()
    for (let n = 6; n < 9; n++) meet(lab, n, n < 8 ? 'request' : 'support')
    lab.publish(0, {})
    lab.clear()
    lab.run(1_000)
    expect(lab.who(9, ({ control }) => (control?.ihave.length ?? 0) > 0)).toEqual([8])
  })

  it('tells who came into the mesh after it was published', () => {
    const lab = new Lab()
    lab.router.join('news', lab.now, 'request')
    expect(publish(lab, { metadata })).toBe(0)
    meet(lab, 0, 'request')
    meet(lab, 1, 'support')
    lab.run(1_000)
    for (const n of [0, 1]) expect(partsTo(lab, n)).toMatchObject([{ metadata }])
  })
})

describe('parts that come', () => {
  const parts = { topic: 'news', group, message, metadata }

  it('are told with who sent them, whether he is in the mesh, in the topic or neither', () => {
    const lab = room('request')
    lab.router.handle({ t: 'connect', peer: peerOf(8), protocol: MESHSUB_13, outbound: false, ips: [] }, lab.now)
    lab.rpc(REQUESTS, { parts })
    lab.rpc(SUPPORTS, { parts: { ...parts, message: undefined } })
    lab.rpc(8, { extensions, parts })
    expect(toldOf(lab)).toEqual([
      { t: 'parts', parts, from: peerOf(REQUESTS), requests: true },
      { t: 'parts', parts: { ...parts, message: undefined }, from: peerOf(SUPPORTS), requests: false },
      { t: 'parts', parts, from: peerOf(8), requests: false },
    ])
    expect(lab.router.inspect().counts).toMatchObject({ parts: 3, partsDropped: 0, delivered: 0 })
    expect(lab.router.score(peerOf(REQUESTS))).toBe(0)
  })

  it('without being asked for are left out', () => {
    const lab = room('support')
    lab.rpc(REQUESTS, { parts })
    lab.rpc(REQUESTS, { parts: { ...parts, metadata: undefined } })
    expect(toldOf(lab).map(({ parts: told }) => [told.message, told.metadata])).toEqual([[undefined, metadata]])
    expect(lab.router.inspect().counts).toMatchObject({ parts: 1, partsDropped: 1 })
  })

  it('against the rules are dropped and counted, and cost nothing', () => {
    const lab = room('request')
    lab.router.join('whole', lab.now)
    lab.rpc(SILENT, { parts })
    lab.rpc(OLD, { parts })
    for (const topic of ['whole', 'elsewhere']) lab.rpc(REQUESTS, { parts: { ...parts, topic } })
    lab.rpc(REQUESTS, { parts: { ...parts, message: undefined, metadata: undefined } })
    lab.rpc(REQUESTS, { parts: { ...parts, group: new Uint8Array(GOSSIP_MAX_GROUP + 1) } })
    lab.rpc(REQUESTS, { parts: { ...parts, metadata: new Uint8Array(GOSSIP_MAX_METADATA + 1) } })
    expect(toldOf(lab)).toEqual([])
    expect(lab.router.inspect().counts).toMatchObject({ parts: 0, partsDropped: 7 })
    expect(lab.router.score(peerOf(REQUESTS))).toBe(0)
    lab.leave()
    lab.rpc(REQUESTS, { parts })
    expect(toldOf(lab)).toEqual([])
  })

  it('that the application finds to be none count against who sent them, as invalid messages do', () => {
    const lab = room('request')
    for (const peer of [peerOf(REQUESTS), peerOf(77)]) lab.router.handle({ t: 'invalidParts', peer, topic: 'news' }, lab.now)
    expect([lab.router.score(peerOf(REQUESTS)), lab.router.inspect().counts.invalid]).toEqual([-4, 1])
  })

  it('of a peer that is not listened to are not heard', () => {
    const lab = room('request')
    lab.router.handle({ t: 'score', peer: peerOf(REQUESTS), value: -100 }, lab.now)
    lab.rpc(REQUESTS, { parts })
    expect(toldOf(lab)).toEqual([])
  })

  it('of ever new groups are heard of a few, until we answer or some time has passed', () => {
    const lab = room('request')
    const flood = (n: number, from: number, count: number): number => {
      lab.events = []
      for (let i = from; i < from + count; i++) lab.rpc(n, { parts: { ...parts, group: utf8(`${n}: ${i}`) } })
      return toldOf(lab).length
    }
    expect(flood(REQUESTS, 0, 100)).toBe(GOSSIP_MAX_GROUPS_OF_PEER)
    // What is known is heard, from everybody.
    expect(flood(REQUESTS, 0, 100)).toBe(GOSSIP_MAX_GROUPS_OF_PEER)
    expect(flood(SUPPORTS, 0, 1)).toBe(1)
    publish(lab, { group: utf8('0: 0'), metadata })
    expect(flood(REQUESTS, 50, 10)).toBe(1)
    lab.run(3_000)
    expect(flood(REQUESTS, 100, 100)).toBe(GOSSIP_MAX_GROUPS_OF_PEER)
    lab.router.handle({ t: 'disconnect', peer: peerOf(REQUESTS) }, lab.now)
    meet(lab, REQUESTS, 'request')
    expect(flood(REQUESTS, 200, 100)).toBe(GOSSIP_MAX_GROUPS_OF_PEER)
    // All together: those that are known already are of two peers.
    let heard = 0
    for (let n = 10; n < 60; n++) {
      meet(lab, n, 'request')
      heard += flood(n, 0, 100)
    }
    expect(heard).toBe(GOSSIP_MAX_GROUPS - GOSSIP_MAX_GROUPS_OF_PEER)
  })
})

describe('groups of ours', () => {
  it('are no more than there is room for: the oldest is forgotten', () => {
    const lab = room('request')
    for (let i = 0; i <= GOSSIP_MAX_OWN_GROUPS; i++) publish(lab, { group: utf8(`${i}`), metadata })
    lab.clear()
    meet(lab, 8, 'request')
    lab.run(1_000)
    const groups = partsTo(lab, 8).map((told) => told.group)
    expect([groups.length, groups[0], groups.at(-1)]).toEqual([GOSSIP_MAX_OWN_GROUPS, '1', `${GOSSIP_MAX_OWN_GROUPS}`])
  })
})

describe('between nodes', () => {
  interface Member extends WorldNode {
    readonly pubsub: GossipsubService
    readonly told: string[]
  }
  const member = (world: World): Member => {
    const told: string[] = []
    const pubsub = gossipsubService({ onMessage: () => {}, onParts: (parts) => told.push(fromUtf8(parts.message ?? new Uint8Array())) })
    return { ...world.node(() => ({ services: [identifyService(), pubsub] })), pubsub, told }
  }
  const connect = (world: World, from: Member, to: Member): void => {
    const [near, far] = world.pipe()
    to.node.accept({ t: 'pipe', channel: far, transport: 'memory', remoteAddr: parseMultiaddr('/memory/0') })
    from.node.adopt({ t: 'pipe', channel: near, transport: 'memory', remoteAddr: to.address }, to.node.self, () => {})
  }

  it('parts go both ways, also after the streams broke, and after they moved to another connection', () => {
    const world = new World(31)
    // The connection that the smaller peer id dialled goes, where there are two.
    const [a, b] = [member(world), member(world)].sort((one, other) => (one.node.self < other.node.self ? -1 : 1)) as [Member, Member]
    connect(world, a, b)
    world.run(1_000)
    for (const { pubsub } of [a, b]) pubsub.join('news', 'request')
    world.run(3_000)
    const exchange = (word: string): void => {
      for (const { pubsub } of [a, b]) pubsub.publishParts('news', { group, message: utf8(word), metadata: undefined })
      world.run(1_000)
    }
    exchange('first')
    for (const { direction, protocol, abort } of a.node
      .connections()
      .flatMap((each) => [...each.streams])
      .map(unbind))
      if (direction === 'inbound' && protocol === MESHSUB_13) abort(new Error('broken') as never)
    world.run(3_000)
    exchange('after a break')
    connect(world, b, a)
    world.run(20_000)
    expect([a, b].map(({ node }) => node.connections().map(({ direction }) => direction))).toEqual([['inbound'], ['outbound']])
    exchange('after a move')
    for (const { told, pubsub } of [a, b]) {
      expect(told).toEqual(['first', 'after a break', 'after a move'])
      // Who says his extensions twice on a stream pays for it.
      expect(Math.min(...pubsub.inspect().peers.map(({ score }) => score))).toBeGreaterThanOrEqual(0)
    }
  })
})

const unbind = (stream: Stream) => ({
  direction: stream.direction,
  protocol: stream.protocol,
  abort: (fault: TabmeshError): void => stream.abort(fault),
})
