import { describe, expect, it } from 'vitest'
import { utf8 } from '../../codec/bytes.ts'
import { parseMultiaddr } from '../../codec/multiaddr.ts'
import type { Cancel } from '../../host.ts'
import { KAD_K, KAD_KEEP_CONNECTION, KAD_KEEP_STREAM, KAD_LOOKUP_TIMEOUT, KAD_REQUEST_TIMEOUT } from '../../limits.ts'
import { answering, app, content, Net } from '../../testing/kad/net.ts'
import { someContact } from '../../testing/kad/peers.ts'
import { prng } from '../../testing/prng.ts'
import { scriptedTransport } from '../../testing/scripted-transport.ts'
import type { Outcome } from '../../wire/conversation.ts'
import { identifyService } from '../identify/service.ts'
import { type KadMessage, type KadPeer, kadMessage, type MessageType } from './messages.ts'
import { KAD, type KadService, kadService } from './service.ts'

type Done = (outcome: Outcome<unknown>) => void
const key = utf8('/app/key')
const none = (): void => {}

/** What an application asks, and the request that it ends in. */
const calls: readonly [name: string, last: MessageType, begin: (kad: KadService, done: Done) => Cancel][] = [
  ['findPeer', 'FIND_NODE', (kad, done) => kad.findPeer(someContact(prng(5)).peer, done)],
  ['closestPeers', 'FIND_NODE', (kad, done) => kad.closestPeers(key, none, done)],
  ['findProviders', 'GET_PROVIDERS', (kad, done) => kad.findProviders(content, none, done)],
  ['provide', 'FIND_NODE', (kad, done) => kad.provide(content, done)],
  ['provide', 'ADD_PROVIDER', (kad, done) => kad.provide(content, done)],
  ['put', 'FIND_NODE', (kad, done) => kad.put(key, utf8('ok'), done)],
  ['put', 'PUT_VALUE', (kad, done) => kad.put(key, utf8('ok'), done)],
  ['get', 'GET_VALUE', (kad, done) => kad.get(key, {}, done)],
]

/** Peers where a dial takes its time, and fails. */
const strangers = (count: number): KadPeer[] => {
  const random = prng(6)
  return Array.from({ length: count }, (_, at) => ({
    id: someContact(random).peer,
    addresses: [parseMultiaddr(`/ip4/192.0.2.${at % 256}/tcp/${at + 1}`)],
  }))
}

/** Servers that answer but for requests of the type `mute`, and one who knows them all. */
const trial = (count = 4) => {
  const net = new Net(50, 0)
  let mute: MessageType | undefined
  let closer: readonly KadPeer[] = []
  let answered = 0
  const answer = ({ type, key: of }: KadMessage): KadMessage | undefined => {
    if (type === mute || type === 'ADD_PROVIDER') return undefined
    answered += 1
    return kadMessage(type, of, { closer: closer.slice((answered * KAD_K) % (closer.length + 1)).slice(0, KAD_K) })
  }
  const servers = Array.from({ length: count }, () => net.liar(answering(answer, () => mute !== 'ADD_PROVIDER')))
  const tcp = scriptedTransport(net.world, { '*': { after: KAD_REQUEST_TIMEOUT - 1_000 } })
  const kad = kadService({ network: 'any', namespaces: { app } })
  const { node } = net.world.node(() => ({ services: [identifyService(), kad], transports: [tcp] }))
  for (const { address } of servers) node.dial({ addresses: [address] }, none)
  net.world.run(60_000)
  const streams = (): number =>
    node.connections().reduce((sum, { streams: all }) => sum + [...all].filter(({ protocol }) => protocol === KAD).length, 0)
  return {
    net,
    kad,
    tcp,
    node,
    streams,
    answers(not: MessageType | undefined, naming: readonly KadPeer[] = []) {
      mute = not
      closer = naming
    },
  }
}

describe('whoever gives up', () => {
  it.each(calls)('%s, at a loss for an answer to %s, leaves no stream and no timer behind, and hears no more', (_name, last, begin) => {
    const { net, kad, streams, answers } = trial()
    answers(last)
    for (const after of [0, 15, 25, 45, 200]) {
      net.world.run(KAD_KEEP_CONNECTION + 5_000)
      const before = net.world.waiting
      expect(streams()).toBe(0)
      let called = 0
      const cancel = begin(kad, () => (called += 1))
      net.world.run(after)
      if (after > 100) expect(streams()).toBeGreaterThan(0)
      cancel()
      // A round trip, and what else is under way to be answered.
      net.world.run(200)
      expect(streams(), `given up after ${after} ms`).toBe(0)
      expect(net.world.waiting, `given up after ${after} ms`).toBeLessThanOrEqual(before)
      net.world.run(2 * KAD_REQUEST_TIMEOUT)
      expect(called).toBe(0)
    }
  })

  it('a lookup that still dials gives the dials up', () => {
    const { net, kad, tcp, answers } = trial()
    answers(undefined, strangers(20))
    const cancel = kad.closestPeers(key, none, none)
    net.world.run(500)
    expect(tcp.running).toBe(10)
    cancel()
    expect(tcp.running).toBe(0)
  })
})

describe('of what takes too long', () => {
  it('a request ends in its time, and the lookup without it', () => {
    const { net, kad, streams, answers } = trial()
    answers('FIND_NODE')
    const began = net.world.now
    const outcome = net.outcome((done) => kad.closestPeers(key, none, done))
    expect([outcome, net.world.now - began]).toEqual([{ ok: true, value: [] }, KAD_REQUEST_TIMEOUT])
    // Nobody is known any more: each is asked once whether it is there.
    net.world.run(KAD_REQUEST_TIMEOUT + 200)
    expect(streams()).toBe(0)
  })

  it('a lookup ends in its time, with what it has, and nothing of it goes on', () => {
    const { net, kad, tcp, streams, answers } = trial(16)
    answers(undefined, strangers(400))
    const began = net.world.now
    const nearest = net.value<readonly KadPeer[]>((done) => kad.closestPeers(key, none, done))
    expect([net.world.now - began, tcp.running]).toEqual([KAD_LOOKUP_TIMEOUT, 0])
    expect(nearest.length).toBeGreaterThan(10)
    net.world.run(KAD_KEEP_STREAM)
    expect(streams()).toBe(0)
  })
})
