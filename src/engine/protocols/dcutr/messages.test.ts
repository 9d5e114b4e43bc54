import { describe, expect, it } from 'vitest'
import { concat } from '../../codec/bytes.ts'
import { parseMultiaddr } from '../../codec/multiaddr.ts'
import { DCUTR_MAX_ADDRESSES, DCUTR_MAX_FRAME } from '../../limits.ts'
import { scopeOf } from '../../net/rank.ts'
import { distanceOf, outsideOf, punchable, reversible } from './candidates.ts'
import { decodeHolePunch, encodeHolePunch } from './messages.ts'

const PEER = '12D3KooWGzh9HPDLmJyKVEMSbbnrcXj4EuBqPLWqGMxQ4bZpLtEB'
const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const fromHex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'))
const texts = (...list: string[]) => list.map(parseMultiaddr)

describe('messages', () => {
  // By hand from the schema (specs: relay/DCUtR.md §RPC messages): 08 64 is type CONNECT, 08 ac02 SYNC, 12 a field of bytes.
  it('has the bytes of the schema', () => {
    expect(toHex(encodeHolePunch({ t: 'connect', addresses: texts('/ip4/203.0.113.1/tcp/4001') }))).toBe(
      '0c08641208' + '04cb007101' + '060fa1',
    )
    expect(toHex(encodeHolePunch({ t: 'sync' }))).toBe('0308ac02')
    expect(decodeHolePunch(fromHex('08641208' + '04cb007101' + '060fa1'))).toMatchObject({
      t: 'connect',
      addresses: [{ text: '/ip4/203.0.113.1/tcp/4001' }],
    })
    expect(decodeHolePunch(fromHex('08ac02'))).toEqual({ t: 'sync' })
  })

  it('leaves out what is no address, and keeps the rest', () => {
    const body = concat([fromHex('0864'), fromHex('1202ffff'), fromHex('1200'), fromHex('1208' + '04cb007101' + '060fa1')])
    expect(decodeHolePunch(body)).toMatchObject({ addresses: [{ text: '/ip4/203.0.113.1/tcp/4001' }] })
  })

  it.each([
    ['no type', '', 'ERR_PROTOCOL'],
    ['an unknown type', '08c801', 'ERR_PROTOCOL'],
    ['a cut', '0864120804cb', 'ERR_DECODE'],
  ])('refuses %s', (_name, hex, code) => {
    expect(() => decodeHolePunch(fromHex(hex))).toThrow(expect.objectContaining({ code }))
  })

  it('is not impressed by a frame full of empty addresses', () => {
    const many = new Uint8Array(DCUTR_MAX_FRAME)
    many.set([0x08, 0x64])
    for (let at = 2; at < many.length; at += 2) many.set([0x12, 0x00], at)
    expect(decodeHolePunch(many)).toEqual({ t: 'connect', addresses: [] })
  })
})

describe('what is worth a punch', () => {
  const sift = (distance: 0 | 1 | 2, ...list: string[]) => punchable(texts(...list), distance, PEER, scopeOf).map(({ text }) => text)

  it('takes plain TCP and QUIC by IP address, without the peer id, each once', () => {
    const good = ['/ip4/203.0.113.1/tcp/4001', '/ip6/2001:db8::1/tcp/4001', '/ip4/203.0.113.1/udp/4001/quic-v1']
    expect(sift(2, ...good, `${good[0]}/p2p/${PEER}`)).toEqual(good)
  })

  it.each([
    ['a relayed one', `/ip4/203.0.113.1/tcp/4001/p2p/${PEER}/p2p-circuit`],
    ['another peer', '/ip4/203.0.113.1/tcp/4001/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N'],
    ['WebSocket', '/ip4/203.0.113.1/tcp/4001/ws'],
    ['WebTransport', '/ip4/203.0.113.1/udp/4001/quic-v1/webtransport'],
    ['WebRTC', '/ip4/203.0.113.1/udp/4001/webrtc-direct'],
    ['a name', '/dns4/localhost/tcp/22'],
    ['port 0', '/ip4/203.0.113.1/tcp/0'],
    ['nobody', '/ip4/0.0.0.0/tcp/22'],
    ['many', '/ip4/224.0.0.1/tcp/22'],
    ['everybody', '/ip4/255.255.255.255/udp/22/quic-v1'],
    ['many, IPv6', '/ip6/ff02::1/tcp/22'],
    ['nobody, IPv6', '/ip6/::/tcp/22'],
  ])('refuses %s', (_name, text) => {
    expect(sift(0, text)).toEqual([])
  })

  it('refuses what is nearer than the relay', () => {
    const list = [
      '/ip4/127.0.0.1/tcp/22',
      '/ip4/192.168.1.1/tcp/80',
      '/ip4/169.254.169.254/tcp/80',
      '/ip6/fd00::1/tcp/80',
      '/ip4/203.0.113.1/tcp/1',
    ]
    expect(sift(2, ...list)).toEqual(list.slice(4))
    expect(sift(1, ...list)).toEqual(list.slice(1))
    expect(sift(0, ...list)).toEqual(list)
    expect(sift(2, '/ip6/::ffff:192.168.1.1/tcp/80', '/ip6/::1/tcp/80')).toEqual([])
    expect(distanceOf(parseMultiaddr(`/ip4/203.0.113.9/tcp/1/ws/p2p/${PEER}/p2p-circuit/p2p/${PEER}`), scopeOf)).toBe(2)
    expect(distanceOf(parseMultiaddr(`/ip4/10.0.0.9/tcp/1/ws/p2p/${PEER}/p2p-circuit/p2p/${PEER}`), scopeOf)).toBe(1)
    expect(distanceOf(parseMultiaddr(`/p2p/${PEER}/p2p-circuit/p2p/${PEER}`), scopeOf)).toBe(2)
  })

  it('takes the first of ten thousand', () => {
    const list = Array.from({ length: 10_000 }, (_, i) => `/ip4/203.0.113.1/tcp/${i + 1}`)
    expect(sift(2, ...list)).toEqual(list.slice(0, DCUTR_MAX_ADDRESSES))
  })

  it('for a plain dial any address will do that is direct', () => {
    const list = texts(
      '/ip4/203.0.113.1/tcp/1/ws',
      '/dns4/example.com/tcp/1',
      '/ip4/10.0.0.1/tcp/1',
      `/ip4/203.0.113.1/tcp/1/p2p/${PEER}/p2p-circuit`,
    )
    expect(reversible(list, 2, scopeOf).map(({ text }) => text)).toEqual(['/ip4/203.0.113.1/tcp/1/ws', '/dns4/example.com/tcp/1'])
  })

  it('what a remote observed tells the port, whatever ran over it', () => {
    expect(outsideOf(parseMultiaddr('/ip4/203.0.113.1/tcp/4001/ws'), 'tcp')?.text).toBe('/ip4/203.0.113.1/tcp/4001')
    expect(outsideOf(parseMultiaddr('/ip6/2001:db8::1/udp/4001/quic-v1'), 'quic')?.text).toBe('/ip6/2001:db8::1/udp/4001/quic-v1')
    expect(outsideOf(parseMultiaddr('/ip4/203.0.113.1/udp/4001/quic-v1'), 'tcp')).toBeUndefined()
    expect(outsideOf(parseMultiaddr('/dns4/example.com/tcp/1'), 'tcp')).toBeUndefined()
  })
})
