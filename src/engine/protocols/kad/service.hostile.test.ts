import { describe, expect, it } from 'vitest'
import { TabmeshError } from '../../../errors.ts'
import { concat, utf8 } from '../../codec/bytes.ts'
import { parseMultiaddr } from '../../codec/multiaddr.ts'
import { peerIdToBytes } from '../../codec/peer-id.ts'
import { encodeVarint, frame } from '../../codec/varint.ts'
import {
  KAD_IDLE,
  KAD_MAX_ADDRESSES,
  KAD_MAX_PROVIDERS,
  KAD_MAX_REQUEST,
  KAD_MAX_RESPONSE,
  KAD_MAX_VALUE,
  KAD_PROVIDERS_SHARE,
  KAD_REQUEST_TIMEOUT,
} from '../../limits.ts'
import type { Stream } from '../../net/stream.ts'
import { answering, content, Net } from '../../testing/kad/net.ts'
import { someContact } from '../../testing/kad/peers.ts'
import { prng } from '../../testing/prng.ts'
import type { World } from '../../testing/world.ts'
import { FrameReader } from '../../wire/frame.ts'
import { decodeMessage, frameMessage, type KadMessage, type KadPeer, kadMessage } from './messages.ts'
import { KAD } from './service.ts'

describe('among servers a liar', () => {
  const fakes = (seed: number, count: number): KadPeer[] => {
    const random = prng(seed)
    return Array.from({ length: count }, (_, at) => ({
      id: someContact(random).peer,
      addresses: [parseMultiaddr(`/memory/${10_000 + at}`)],
    }))
  }
  /** A message with lists of any length. */
  const unbounded = (type: number, closer: readonly KadPeer[], providers: readonly KadPeer[] = []): Uint8Array => {
    const peer = ({ id, addresses }: KadPeer): Uint8Array =>
      concat([Uint8Array.of(0x0a), frame(peerIdToBytes(id)), ...addresses.flatMap(({ bytes }) => [Uint8Array.of(0x12), frame(bytes)])])
    const list = (tag: number, peers: readonly KadPeer[]) => peers.flatMap((each) => [Uint8Array.of(tag), frame(peer(each))])
    return frame(concat([Uint8Array.of(0x08, type), ...list(0x42, closer), ...list(0x4a, providers)]))
  }
  let crowded: Uint8Array | undefined
  const crowd = (): Uint8Array => {
    crowded ??= unbounded(3, fakes(1, 10_000))
    return crowded
  }
  const drip = (stream: Stream, world: World): void => {
    let left = 200
    stream.write(encodeVarint(1_000))
    const next = (): void => {
      if (left-- === 0 || stream.closed) return
      stream.write(Uint8Array.of(0))
      world.after(1_000, next)
    }
    next()
  }
  const cases: readonly [string, (net: Net, request: KadMessage, stream: Stream) => KadMessage | Uint8Array | undefined][] = [
    ['who names 10,000 peers', () => crowd()],
    ['who answers a byte a second', (net, _request, stream) => void drip(stream, net.world)],
    ['who never answers', () => undefined],
    [
      'who names us',
      (_net, request, { connection }) =>
        kadMessage(request.type, request.key, { closer: [{ id: connection.remotePeer, addresses: [parseMultiaddr('/memory/1')] }] }),
    ],
    [
      'who gives the addresses of one for those of others',
      (net, request) =>
        kadMessage(request.type, request.key, {
          closer: fakes(2, 20).map(({ id }) => ({ id, addresses: [parseMultiaddr(net.first.address.text.split('/p2p/')[0] as string)] })),
        }),
    ],
    [
      'who gives addresses that name somebody else',
      (net, request) =>
        kadMessage(request.type, request.key, { closer: fakes(3, 20).map(({ id }) => ({ id, addresses: [net.first.address] })) }),
    ],
    ['who answers with another key', (_net, request) => kadMessage(request.type, utf8('another'))],
    ['who answers with another type', (_net, request) => kadMessage('PING', request.key)],
    ['who answers nonsense', () => frame(utf8('nonsense'))],
    ['who announces a gigabyte', () => encodeVarint(1e9)],
    ['who announces one byte too many', () => encodeVarint(KAD_MAX_RESPONSE + 1)],
    [
      'who answers twice',
      (_net, request) => concat([frameMessage(kadMessage(request.type, request.key)), frameMessage(kadMessage(request.type, request.key))]),
    ],
    ['who resets', (_net, _request, stream) => void stream.abort(new TabmeshError('ERR_STREAM_RESET', 'no'))],
  ]

  it.each(cases)('%s does not keep a lookup from its end', (_what, answer) => {
    const net = new Net(20, 5)
    const [a, b] = [net.join({}), net.join({})]
    net.value<number>((done) => a.kad.provide(content, done))
    let asked = 0
    let isLying = false
    // It behaves until it is in the tables.
    net.liar(
      answering((request, stream) => {
        if (!isLying) return kadMessage(request.type, request.key)
        asked += 1
        return answer(net, request, stream)
      }),
    )
    isLying = true
    const began = net.world.now
    expect(net.providers(b)).toEqual([a.node.self])
    expect(asked).toBeGreaterThan(0)
    expect(net.world.now - began).toBeLessThanOrEqual(4 * KAD_REQUEST_TIMEOUT)
    net.world.run(60_000)
    expect(net.providers(b)).toEqual([a.node.self])
  })

  it('who names a thousand providers does not hide the others', () => {
    const net = new Net(25, 5)
    const [a, b] = [net.join({}), net.join({})]
    net.value<number>((done) => a.kad.provide(content, done))
    const many = unbounded(3, [], fakes(4, 1_200))
    const liar = net.liar(answering((request) => (request.type === 'GET_PROVIDERS' ? many : kadMessage(request.type, request.key))))
    b.node.dial({ addresses: [liar.address] }, () => {})
    net.world.run(60_000)
    // It is the first to answer: the others have to be dialled.
    for (const { node } of net.servers)
      for (const each of node.connections(b.node.self)) each.abort(new TabmeshError('ERR_STREAM_RESET', 'x'))
    net.world.run(30)
    const found = net.providers(b)
    expect(found.indexOf(a.node.self)).toBeGreaterThanOrEqual(0)
    expect(found.indexOf(a.node.self)).toBeLessThanOrEqual(KAD_PROVIDERS_SHARE)
    expect(found.length).toBe(KAD_MAX_PROVIDERS)
  })

  it('who makes up addresses of a peer does not hide those that it has', () => {
    const net = new Net(26, 5)
    const [a, b] = [net.join({}), net.join({})]
    const made = fakes(5, 40).flatMap(({ addresses }) => addresses)
    const lie = unbounded(4, [{ id: a.node.self, addresses: made }])
    net.liar(answering((request) => (request.type === 'FIND_NODE' ? lie : kadMessage(request.type, request.key))))
    for (const { node } of net.servers) {
      for (const each of node.connections(b.node.self)) each.abort(new TabmeshError('ERR_STREAM_RESET', 'x'))
      node.dial({ addresses: [a.address] }, () => {})
    }
    net.world.run(1_000)
    const found = net.value<KadPeer | undefined>((done) => b.kad.findPeer(a.node.self, done))
    expect(found?.addresses[0]?.text).toBe(a.address.text.split('/p2p/')[0])
    expect(found?.addresses.length).toBe(KAD_MAX_ADDRESSES)
  })

  it('who tells of records that are invalid, too large, or of another key is not believed', () => {
    const key = utf8('/app/key')
    for (const record of [
      { key, value: utf8('bad 9') },
      { key, value: concat([utf8('ok'), new Uint8Array(KAD_MAX_VALUE)]) },
      { key: utf8('/app/other'), value: utf8('ok 9') },
    ]) {
      const net = new Net(21, 4)
      const [a, b] = [net.join({}), net.join({})]
      net.value<number>((done) => a.kad.put(key, utf8('ok 1'), done))
      net.liar(
        answering((request) =>
          request.type === 'GET_VALUE' ? kadMessage('GET_VALUE', key, { record }) : kadMessage(request.type, request.key),
        ),
      )
      expect(net.value((done) => b.kad.get(key, { quorum: 0 }, done))).toEqual(utf8('ok 1'))
    }
  })
})

describe('a server of the DHT', () => {
  const asking = (seed: number) => {
    const net = new Net(seed, 3)
    const a = net.join({})
    const [connection] = a.node.connections(net.first.node.self)
    if (connection === undefined) throw new Error('not connected')
    const open = () => {
      const stream = connection.openStream([KAD])
      const heard = { bytes: 0, messages: [] as KadMessage[], ended: false, closed: undefined as string | undefined }
      const reader = new FrameReader(1 << 20)
      stream.attach({
        onData(bytes) {
          heard.bytes += bytes.length
          stream.release(bytes.length)
          for (const body of reader.push(bytes)) heard.messages.push(decodeMessage(body))
        },
        onEnd() {
          heard.ended = true
        },
        onClose(fault) {
          heard.closed = fault?.code ?? 'closed'
        },
      })
      return { stream, heard }
    }
    return { net, a, open }
  }

  it('answers several requests of a stream, one after the other, and ends it when its remote does', () => {
    const { net, a, open } = asking(30)
    const { stream, heard } = open()
    const provide = kadMessage('ADD_PROVIDER', content, { providers: [{ id: a.node.self, addresses: [a.address] }] })
    stream.write(
      concat(
        [kadMessage('FIND_NODE', utf8('x')), provide, kadMessage('GET_PROVIDERS', content), kadMessage('PING', utf8('p'))].map(
          frameMessage,
        ),
      ),
    )
    stream.end()
    net.world.run(1_000)
    expect(heard.messages.map(({ type }) => type)).toEqual(['FIND_NODE', 'GET_PROVIDERS', 'PING'])
    expect(heard.messages[1]?.providers.map(({ id }) => id)).toEqual([a.node.self])
    expect([heard.ended, heard.closed]).toEqual([true, 'closed'])
  })

  it.each<[string, (stream: Stream, world: World) => void]>([
    [
      'a provider who is somebody else',
      (stream) =>
        stream.write(
          frameMessage(
            kadMessage('ADD_PROVIDER', content, {
              providers: [{ id: someContact(prng(5)).peer, addresses: [parseMultiaddr('/memory/1')] }],
            }),
          ),
        ),
    ],
    [
      'a record over the limit',
      (stream) =>
        stream.write(
          frameMessage(
            kadMessage('PUT_VALUE', utf8('/app/k'), {
              record: { key: utf8('/app/k'), value: concat([utf8('ok'), new Uint8Array(KAD_MAX_VALUE)]) },
            }),
          ),
        ),
    ],
    [
      'a record that is invalid',
      (stream) =>
        stream.write(frameMessage(kadMessage('PUT_VALUE', utf8('/app/k'), { record: { key: utf8('/app/k'), value: utf8('bad') } }))),
    ],
    ['a request that is too large', (stream) => stream.write(encodeVarint(KAD_MAX_REQUEST + 1))],
    ['what is no request', (stream) => stream.write(frame(utf8('nonsense')))],
    ['half a request', (stream) => [stream.write(frameMessage(kadMessage('FIND_NODE', utf8('x'))).subarray(0, 3)), stream.end()]],
    [
      'a request a byte a second',
      (stream, world) => {
        const next = (left: number): void => {
          stream.write(Uint8Array.of(left === 100 ? 120 : 0))
          if (left > 0) world.after(1_000, () => next(left - 1))
        }
        next(100)
      },
    ],
    ['nothing', () => {}],
  ])('resets a stream that brings %s, and keeps nothing of it', (_what, act) => {
    const { net, open } = asking(31)
    const { stream, heard } = open()
    act(stream, net.world)
    net.world.run(KAD_IDLE + 1_000)
    expect(heard).toMatchObject({ bytes: 0, closed: 'ERR_STREAM_RESET' })
    expect([net.first.kad.records.size, net.first.kad.providers.size]).toEqual([0, 0])
    const next = open()
    next.stream.write(frameMessage(kadMessage('PING', utf8('p'))))
    net.world.run(1_000)
    expect(next.heard.messages.length).toBe(1)
  })
})
