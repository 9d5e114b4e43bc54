import { describe, expect, it } from 'vitest'
import { TabmeshError } from '../../../errors.ts'
import { utf8 } from '../../codec/bytes.ts'
import { parseMultiaddr } from '../../codec/multiaddr.ts'
import type { PeerId } from '../../codec/peer-id.ts'
import { KAD_REPROVIDE } from '../../limits.ts'
import { ipnsKeyHex, secondVersion } from '../../testing/kad/ipns-vectors.ts'
import { answering, content, type Member, Net } from '../../testing/kad/net.ts'
import { byDistance, peerKeys, someContact } from '../../testing/kad/peers.ts'
import { prng } from '../../testing/prng.ts'
import { keyOf } from './keys.ts'
import { frameMessage, type KadPeer, kadMessage } from './messages.ts'

describe('a DHT', () => {
  it('finds what a client, or a server, provides, from anywhere; and nobody where nobody does', () => {
    const net = new Net(2, 9)
    const [a, b] = [net.join({}), net.join({})]
    expect(net.providers(b)).toEqual([])
    expect(net.value<number>((done) => a.kad.provide(content, done))).toBe(9)
    const server = net.servers[7] as Member
    net.value<number>((done) => server.kad.provide(content, done))
    const both = [a.node.self, server.node.self].sort()
    for (const each of [b, net.first, server]) expect(net.providers(each).sort()).toEqual(both)
    const found: KadPeer[] = []
    net.value<void>((done) => b.kad.findProviders(content, (peer) => found.push(peer), done))
    expect(found.find(({ id }) => id === a.node.self)?.addresses.map(({ text }) => text)).toEqual([a.address.text.split('/p2p/')[0]])
  })

  it('tells of a provider where it is as soon as one knows that, and in the end of one of whom nobody does', () => {
    const net = new Net(17, 5)
    const b = net.join({})
    const [known, bare] = [someContact(prng(3)).peer, someContact(prng(4)).peer]
    const date = b.node.host.date()
    for (const [at, { kad }] of net.servers.entries()) {
      kad.providers.add(content, known, at === 3 ? [parseMultiaddr('/memory/77')] : [], date)
      kad.providers.add(content, bare, [], date)
    }
    const found: [PeerId, number][] = []
    net.value<void>((done) => b.kad.findProviders(content, ({ id, addresses }) => found.push([id, addresses.length]), done))
    expect(found).toEqual([
      [known, 1],
      [bare, 0],
    ])
  })

  it('is told again of what is provided before it is over, and not any more when it is taken back', () => {
    const net = new Net(3, 1)
    const [a, b] = [net.join({}), net.join({})]
    net.value<number>((done) => a.kad.provide(content, done))
    // What keeps connections alive is not of interest here, only what is remembered.
    net.world.run(KAD_REPROVIDE + 60_000)
    for (const { kad } of net.servers)
      expect(kad.providers.get(content, b.node.host.date())[0]?.at).toBeGreaterThan(b.node.host.date() - 3 * 3_600_000)
    expect([a.kad.unprovide(content), a.kad.unprovide(content)]).toEqual([true, false])
    // A server tells nobody any more either.
    net.value<number>((done) => net.join({ mode: 'server' }).kad.provide(content, done))
    net.first.kad.providers.add(content, net.first.node.self, [], b.node.host.date())
    net.first.kad.unprovide(content)
    expect(net.first.kad.providers.get(content, b.node.host.date()).some(({ peer }) => peer === net.first.node.self)).toBe(false)
  })

  it('is not provided where nobody could be told, or it was given up', () => {
    const net = new Net(18, 0)
    const lonely = net.join({})
    expect(net.outcome((done) => lonely.kad.provide(content, done))).toMatchObject({ ok: false, fault: { code: 'ERR_NO_PEERS' } })
    expect(lonely.kad.unprovide(content)).toBe(false)
    lonely.kad.provide(content, () => {})()
    expect(lonely.kad.unprovide(content)).toBe(false)
    lonely.kad.provide(content, () => {})
    expect(lonely.kad.unprovide(content)).toBe(true)
  })

  it('stores records and gives them back, the best of several, and mends who has a worse one', () => {
    const net = new Net(4, 9)
    const [a, b] = [net.join({}), net.join({})]
    const key = utf8('/app/key')
    expect(net.value((done) => b.kad.get(key, {}, done))).toBeUndefined()
    expect(net.value<number>((done) => a.kad.put(key, utf8('ok 1'), done))).toBe(9)
    // One has a better one, and another none.
    net.servers[3]?.kad.records.put(key, utf8('ok 2'), a.node.host.date())
    net.servers[5]?.kad.records.delete(key)
    const heard: string[] = []
    const onValue = (value: Uint8Array): void => void heard.push(Buffer.from(value).toString())
    expect(net.value((done) => b.kad.get(key, { quorum: 0, onValue }, done))).toEqual(utf8('ok 2'))
    expect(heard.at(-1)).toBe('ok 2')
    net.world.run(1_000)
    for (const { kad } of net.servers) expect(Buffer.from(kad.records.get(key, a.node.host.date())?.value ?? []).toString()).toBe('ok 2')
    // And a worse one is refused by all.
    expect(net.outcome((done) => a.kad.put(key, utf8('ok 0'), done))).toMatchObject({ ok: false, fault: { code: 'ERR_STREAM_RESET' } })
  })

  it('carries an IPNS record of go', () => {
    const net = new Net(5, 8)
    const [a, b] = [net.join({}), net.join({})]
    const [key, record] = [ipnsKeyHex, secondVersion].map((hex) => Uint8Array.from(Buffer.from(hex, 'hex'))) as [Uint8Array, Uint8Array]
    expect(net.value<number>((done) => a.kad.put(key, record, done))).toBe(8)
    expect(net.value((done) => b.kad.get(key, {}, done))).toEqual(record)
    const bent = record.slice()
    bent[10] = (bent[10] as number) ^ 1
    expect(net.outcome((done) => a.kad.put(key, bent, done))).toMatchObject({
      ok: false,
      fault: { code: 'ERR_INVALID_RECORD', remote: false },
    })
  })

  it('finds the addresses of a server, and of a client that is connected somewhere; of nobody it finds nothing', () => {
    const net = new Net(6, 9)
    const [a, b] = [net.join({}), net.join({})]
    const server = net.servers[6] as Member
    for (const target of [server, b]) {
      const found = net.value<KadPeer | undefined>((done) => a.kad.findPeer(target.node.self, done))
      expect(found?.addresses.map(({ text }) => text)).toEqual([target.address.text.split('/p2p/')[0]])
    }
    expect(net.value<KadPeer | undefined>((done) => a.kad.findPeer(someContact(prng(1)).peer, done))).toBeUndefined()
  })

  it('tells the nearest to a key in order', () => {
    const net = new Net(7, 9)
    const a = net.join({})
    const heard: PeerId[] = []
    const nearest = net.value<readonly KadPeer[]>((done) => a.kad.closestPeers(utf8('key'), ({ id }) => heard.push(id), done))
    const all = net.servers.map(({ node }) => ({ peer: node.self, key: peerKeys.of(node.self) }))
    expect(nearest.map(({ id }) => id)).toEqual(byDistance(keyOf(utf8('key')), all).map(({ peer }) => peer))
    expect(heard).toEqual(nearest.map(({ id }) => id))
  })

  it('tells what it has found while it waits for others', () => {
    const net = new Net(23, 5)
    const { world } = net
    // One of six takes its time.
    let hesitates = false
    const slow = net.liar(
      answering((request, stream) => {
        const answer = kadMessage(request.type, request.key)
        if (!hesitates) return answer
        world.after(2_000, () => stream.write(frameMessage(answer)))
        return undefined
      }),
    )
    const [a, b] = [net.join({}), net.join({})]
    const key = utf8('/app/key')
    net.value<number>((done) => a.kad.provide(content, done))
    net.value<number>((done) => a.kad.put(key, utf8('ok 1'), done))
    hesitates = true
    const names = byDistance(
      keyOf(key),
      [...net.servers.map(({ node }) => node), slow.node].map(({ self }) => ({ peer: self, key: peerKeys.of(self) })),
    ).map(({ peer }) => peer)
    const lines: string[] = []
    const say = (what: string): void => void lines.push(`${Math.floor((world.now - began) / 1_000)} s: ${what}`)
    let began = world.now
    const saying = (what: string) => (): void => say(what)
    net.value<void>((done) => {
      began = world.now
      b.kad.findProviders(content, saying('a provider'), (outcome) => [say('that was all'), done(outcome)])
    })
    net.value<Uint8Array | undefined>((done) => {
      began = world.now
      b.kad.get(key, { quorum: 0, onValue: saying('a value') }, (outcome) => [say('the best of all'), done(outcome)])
    })
    net.value<Uint8Array | undefined>((done) => {
      began = world.now
      b.kad.get(key, { onValue: saying('a value') }, (outcome) => [say('three have it'), done(outcome)])
    })
    net.value<readonly KadPeer[]>((done) => {
      began = world.now
      b.kad.closestPeers(
        key,
        ({ id }) => say(id === slow.node.self ? 'the slow one' : `number ${names.indexOf(id) + 1}`),
        (outcome) => done(outcome),
      )
    })
    const place = names.indexOf(slow.node.self)
    expect(lines).toEqual([
      '0 s: a provider',
      '2 s: that was all',
      '0 s: a value',
      '2 s: the best of all',
      '0 s: a value',
      '0 s: three have it',
      ...names.map((id, at) => `${at < place ? 0 : 2} s: ${id === slow.node.self ? 'the slow one' : `number ${at + 1}`}`),
    ])
    expect(place).toBeGreaterThan(0)
  })

  it('goes on when a server dies in the middle of a lookup', () => {
    const net = new Net(9, 9)
    const [a, b] = [net.join({}), net.join({})]
    net.value<number>((done) => a.kad.provide(content, done))
    const found: PeerId[] = []
    const outcome = net.outcome<void>((done) => {
      b.kad.findProviders(content, ({ id }) => found.push(id), done)
      for (const { address, node } of net.servers.slice(4, 7)) {
        net.world.silence(address)
        for (const connection of node.connections()) connection.abort(new TabmeshError('ERR_CONNECTION_CLOSED', 'killed'))
      }
    })
    expect([outcome.ok, found]).toEqual([true, [a.node.self]])
    expect(b.kad.peers.length).toBe(6)
  })
})
