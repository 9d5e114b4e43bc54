import { describe, expect, it } from 'vitest'
import { TabmeshError } from '../../../errors.ts'
import { utf8 } from '../../codec/bytes.ts'
import { parseMultiaddr } from '../../codec/multiaddr.ts'
import type { PeerId } from '../../codec/peer-id.ts'
import {
  KAD_BOOTSTRAP_AGAIN,
  KAD_GONE,
  KAD_IDLE,
  KAD_KEEP_CONNECTION,
  KAD_KEEP_STREAM,
  KAD_LOOKUP_TIMEOUT,
  KAD_MAX_LOOKUPS,
  KAD_MAX_LOOKUPS_WAITING,
  KAD_RECORD_LIFE,
  KAD_SWEEP,
  KAD_TAG,
} from '../../limits.ts'
import { answering, content, type Member, Net } from '../../testing/kad/net.ts'
import { someContact } from '../../testing/kad/peers.ts'
import { prng } from '../../testing/prng.ts'
import { codeOf } from '../../testing/property.ts'
import { scriptedTransport } from '../../testing/scripted-transport.ts'
import type { Outcome } from '../../wire/conversation.ts'
import { identifyService } from '../identify/service.ts'
import { type KadPeer, kadMessage } from './messages.ts'
import { KAD, kadService } from './service.ts'

describe('a member of a DHT', () => {
  it('knows itself: everybody is in the table of everybody, but for clients, who know all the same', () => {
    const net = new Net(1, 9)
    const client = net.join({})
    net.world.run(20_000)
    for (const { kad } of net.servers) expect(kad.peers.length).toBe(8)
    expect(client.kad.peers.length).toBe(9)
    expect(net.servers.some(({ kad }) => kad.peers.some(({ peer }) => peer === client.node.self))).toBe(false)
    expect([net.first.kad.serving, net.first.node.protocols(false).includes(KAD)]).toEqual([true, true])
    expect([client.kad.serving, client.node.protocols(false).includes(KAD)]).toEqual([false, false])
  })

  it('sends later requests over the streams of earlier ones, and closes them when they are idle', () => {
    const net = new Net(8, 5)
    const a = net.join({})
    net.world.run(120_000)
    const streams = (): string[] =>
      a.node.connections().flatMap((connection) => [...connection.streams].filter(({ protocol }) => protocol === KAD).map(({ id }) => id))
    expect(streams()).toEqual([])
    net.value<readonly KadPeer[]>((done) => a.kad.closestPeers(utf8('one'), () => {}, done))
    const ids = streams()
    expect(ids.length).toBe(5)
    net.value<readonly KadPeer[]>((done) => a.kad.closestPeers(utf8('two'), () => {}, done))
    expect(streams()).toEqual(ids)
    net.world.run(KAD_KEEP_STREAM + 1_000)
    expect(streams()).toEqual([])
  })

  it('keeps no connection that a lookup opened and nobody else needs, and everybody in the table', () => {
    const net = new Net(24, 9)
    const a = net.join({})
    const lookUp = (text: string): number => net.value<readonly KadPeer[]>((done) => a.kad.closestPeers(utf8(text), () => {}, done)).length
    const connected = (): PeerId[] => a.node.connections().map(({ remotePeer }) => remotePeer)
    expect([lookUp('one'), connected().length, a.kad.peers.length]).toEqual([9, 9, 9])
    // It dialled the first; of the others one is dialled, one tagged, and to one there is a stream.
    const [first, dialled, tagged, streaming] = [0, 3, 4, 5].map((at) => net.servers[at]) as [Member, Member, Member, Member]
    streaming.node.mount({
      name: 'app',
      protocols: { '/app': {} },
      onStream: (stream) => stream.attach({ onData() {}, onEnd() {}, onClose() {} }),
    })
    a.node.dial({ peer: dialled.node.self, addresses: [] }, () => {})
    a.node.tag(tagged.node.self, 'app', 1)
    a.node.connections(streaming.node.self)[0]?.openStream(['/app'])
    // Its first refreshes come within ten seconds.
    net.world.run(2 * KAD_KEEP_CONNECTION)
    const kept = [first, dialled, tagged, streaming].map(({ node }) => node.self)
    expect(connected().sort()).toEqual(kept.sort())
    expect(a.kad.peers.length).toBe(9)
    expect(net.first.kad.peers.length).toBe(8)
    // Over new connections it goes on as before, and later ones are let go as well.
    expect([lookUp('two'), connected().length]).toEqual([9, 9])
    a.node.tag(tagged.node.self, 'app', undefined)
    for (const connection of a.node.connections(streaming.node.self)) {
      for (const stream of connection.streams) if (stream.protocol === '/app') stream.abort(new TabmeshError('ERR_STREAM_CLOSED', 'enough'))
    }
    net.world.run(2 * KAD_KEEP_CONNECTION)
    expect(connected().sort()).toEqual([first, dialled].map(({ node }) => node.self).sort())
    expect(a.kad.peers.length).toBe(9)
  })

  it('does not dial the dead in each lookup, but after a while again, or from another network', () => {
    const net = new Net(19, 4)
    const dead = { id: someContact(prng(7)).peer, addresses: [parseMultiaddr('/ip4/192.0.2.9/tcp/1')] }
    // One who is alive names it to everybody.
    net.liar(answering(({ type, key }) => kadMessage(type, key, { closer: [dead] })))
    const tcp = scriptedTransport(net.world, { '*': { after: 100 } })
    const kad = kadService({ network: 'any' })
    const a = net.world.node(() => ({ services: [identifyService(), kad], transports: [tcp] }))
    a.node.dial({ addresses: [net.first.address] }, () => {})
    const dialled = (): number => {
      net.value<readonly KadPeer[]>((done) => kad.closestPeers(utf8('key'), () => {}, done))
      return tcp.log.filter((line) => line.includes('begins')).length
    }
    expect([dialled(), dialled()]).toEqual([1, 1])
    net.world.run(KAD_GONE)
    expect([dialled(), dialled()]).toEqual([2, 2])
    net.world.run(2 * KAD_GONE)
    expect(dialled()).toBe(2)
    net.world.run(2 * KAD_GONE)
    expect([dialled(), dialled()]).toEqual([3, 3])
    a.node.online()
    expect([dialled(), dialled()]).toEqual([4, 4])
  })

  it('counts one dial that failed once, however many lookups waited for it', () => {
    const net = new Net(22, 4)
    const dead = { id: someContact(prng(7)).peer, addresses: [parseMultiaddr('/ip4/192.0.2.9/tcp/1')] }
    net.liar(answering(({ type, key }) => kadMessage(type, key, { closer: [dead] })))
    const tcp = scriptedTransport(net.world, { '*': { after: 1_000 } })
    const kad = kadService({ network: 'any' })
    const a = net.world.node(() => ({ services: [identifyService(), kad], transports: [tcp] }))
    a.node.dial({ addresses: [net.first.address] }, () => {})
    let left = 0
    const lookUp = (text: string): void => {
      left += 1
      kad.closestPeers(
        utf8(text),
        () => {},
        () => (left -= 1),
      )
    }
    const begun = (): number => tcp.log.filter((line) => line.includes('begins')).length
    for (const text of ['one', 'two', 'three', 'four', 'five']) lookUp(text)
    net.world.run(10_000, () => left === 0)
    expect([left, begun()]).toEqual([0, 1])
    net.world.run(KAD_GONE)
    lookUp('six')
    net.world.run(10_000, () => left === 0)
    expect([left, begun()]).toEqual([0, 2])
  })

  it('stops asking when nobody wants to know any more', () => {
    const net = new Net(10, 9)
    const a = net.join({})
    let called = 0
    const cancel = a.kad.findProviders(
      content,
      () => called++,
      () => called++,
    )
    cancel()
    net.world.run(60_000)
    expect(called).toBe(0)
    expect(
      codeOf(() =>
        a.kad.findProviders(
          new Uint8Array(0),
          () => {},
          () => {},
        ),
      ),
    ).toBe('ERR_INVALID_ARGUMENT')
  })

  it('takes nobody in who says that he speaks the protocol and does not answer', () => {
    const net = new Net(15, 2)
    const mute = net.liar(() => {})
    net.world.run(30_000)
    expect(net.servers.map(({ kad }) => kad.peers.some(({ peer }) => peer === mute.node.self))).toEqual([false, false])
    const polite = net.liar(answering(({ type, key }) => kadMessage(type, key)))
    net.world.run(1_000)
    expect(net.servers.map(({ kad }) => kad.peers.some(({ peer }) => peer === polite.node.self))).toEqual([true, true])
  })

  it('in auto mode is served while we are reachable, and says so on the connections there are', () => {
    const net = new Net(11, 3)
    const a = net.join({ mode: 'auto' })
    const seen = (): unknown[] => [
      a.kad.serving,
      a.node.protocols(false).includes(KAD),
      net.first.kad.peers.some(({ peer }) => peer === a.node.self),
      net.first.node.connections(a.node.self).map(({ id, identified }) => [id, identified?.protocols.includes(KAD)]),
    ]
    const [connection] = net.first.node.connections(a.node.self)
    expect(seen()).toEqual([false, false, false, [[connection?.id, false]]])
    const told: boolean[] = []
    const pushes = (): boolean[] => {
      told.splice(0)
      for (const event of net.first.events.splice(0))
        if (event.t === 'peer:identify' && event.connection === connection) told.push(event.identified.protocols.includes(KAD))
      return told
    }
    pushes()
    for (const isReachable of [true, false, true]) {
      a.kad.reachable(isReachable)
      // Said again, it is no news.
      a.kad.reachable(isReachable)
      net.world.run(5_000)
      expect(seen()).toEqual([isReachable, isReachable, isReachable, [[connection?.id, isReachable]]])
      expect(pushes()).toEqual([isReachable])
    }
    // A client and a server stay what they are.
    for (const [mode, serves] of [
      ['client', false],
      ['server', true],
    ] as const) {
      const { kad } = net.join({ mode })
      kad.reachable(!serves)
      expect(kad.serving).toBe(serves)
    }
  })

  it('of nobody fails after its time, and begins as soon as there is somebody', () => {
    const net = new Net(12, 0)
    const lonely = net.join({})
    expect(net.outcome((done) => lonely.kad.get(utf8('/app/x'), {}, done))).toMatchObject({ ok: false, fault: { code: 'ERR_NO_PEERS' } })
    const server = net.join({ mode: 'server' })
    const got = net.outcome((done) => {
      lonely.kad.get(utf8('/app/x'), {}, done)
      lonely.node.dial({ addresses: [server.address] }, () => {})
    }, 10_000)
    expect(got).toEqual({ ok: true, value: undefined })
  })

  it('of whom nobody is known tries those it was to begin with again and again', () => {
    const net = new Net(16, 0)
    const { world } = net
    const lonely = net.join({ bootstrap: [{ addresses: [parseMultiaddr('/memory/2')] }] })
    world.run(KAD_BOOTSTRAP_AGAIN)
    expect(lonely.kad.peers).toEqual([])
    const server = net.join({ mode: 'server' })
    expect(server.address.text).toMatch(/^\/memory\/2\//)
    world.run(2 * KAD_BOOTSTRAP_AGAIN)
    expect(lonely.kad.peers.map(({ peer }) => peer)).toEqual([server.node.self])
    // And when it is gone: the table lets go of it, and takes it in when it is back.
    expect(lonely.node.tags(server.node.self)).toEqual({ kad: KAD_TAG })
    server.node.unmount(server.kad.server)
    world.run(1_000)
    expect([lonely.kad.peers, lonely.node.tags(server.node.self)]).toEqual([[], {}])
    server.node.mount(server.kad.server)
    world.run(1_000)
    expect(lonely.kad.peers.length).toBe(1)
  })

  it('runs so many lookups at a time, has some wait, and refuses more; all of them end', () => {
    const net = new Net(14, 0)
    const { world } = net
    const lonely = net.join({})
    const refused: string[] = []
    const many = KAD_MAX_LOOKUPS + KAD_MAX_LOOKUPS_WAITING
    for (let i = 0; i < many + 10; i++) {
      lonely.kad.get(utf8(`/app/${i}`), {}, (outcome) => refused.push(outcome.ok ? 'ok' : outcome.fault.message))
    }
    world.run(1)
    expect([refused.length, new Set(refused.map((each) => each.split(':')[0]))]).toEqual([
      10,
      new Set([`${KAD_MAX_LOOKUPS_WAITING} lookups wait already`]),
    ])
    world.run(KAD_LOOKUP_TIMEOUT)
    expect(refused.length).toBe(many + 10)
  })

  it('sweeps what is over from its stores and its shelves, by itself', () => {
    const net = new Net(27, 0)
    const log: string[] = []
    const shelf = (name: string) => ({
      put: () => void log.push(`${name} put`),
      delete: () => void log.push(`${name} deleted`),
    })
    const shelves = { records: shelf('record'), providers: shelf('provider'), provided: shelf('provided') }
    const { kad, node } = net.join({ mode: 'server', shelves })
    kad.records.put(utf8('/app/key'), utf8('ok'), node.host.date())
    kad.providers.add(content, someContact(prng(1)).peer, [], node.host.date())
    net.world.run(KAD_RECORD_LIFE - KAD_SWEEP)
    expect(log).toEqual(['record put', 'provider put'])
    net.world.run(2 * KAD_SWEEP)
    expect([log.slice(2), kad.records.size, kad.providers.size]).toEqual([['record deleted', 'provider deleted'], 0, 0])
  })

  it('leaves nothing behind when it stops', () => {
    const net = new Net(13, 5)
    const a = net.join({})
    let outcome: Outcome<void> | undefined
    a.kad.findProviders(
      content,
      () => {},
      (got) => {
        outcome = got
      },
    )
    a.kad.stop?.()
    net.world.run(1_000)
    expect(outcome).toMatchObject({ ok: false, fault: { code: 'ERR_STOPPED' } })
    net.world.run(KAD_IDLE)
    expect(a.node.connections().flatMap((connection) => [...connection.streams])).toEqual([])
  })
})
