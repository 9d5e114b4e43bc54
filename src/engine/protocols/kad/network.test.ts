import { describe, expect, it } from 'vitest'
import { parseMultiaddr } from '../../codec/multiaddr.ts'
import { admitFor, networksOf } from './network.ts'

const everything = [
  '/ip4/1.1.1.1/tcp/4001',
  '/ip4/192.168.0.1/tcp/4001',
  '/ip4/10.1.2.3/udp/4001/quic-v1',
  '/ip4/172.16.0.1/tcp/1',
  '/ip4/172.32.0.1/tcp/1',
  '/ip4/100.64.0.1/tcp/1',
  '/ip4/127.0.0.1/tcp/1',
  '/ip4/169.254.1.1/tcp/1',
  '/ip4/0.0.0.0/tcp/1',
  '/ip4/224.0.0.1/tcp/1',
  '/ip4/203.0.113.5/tcp/1',
  '/ip6/2606:4700::1111/tcp/1',
  '/ip6/2001:db8::1/tcp/1',
  '/ip6/fe80::1/tcp/1',
  '/ip6/fd00::1/tcp/1',
  '/ip6/::1/tcp/1',
  '/ip6/::ffff:192.168.0.1/tcp/1',
  '/ip6/::ffff:8.8.8.8/tcp/1',
  '/dns4/example.com/tcp/443/wss',
  '/dns4/localhost/tcp/4001',
  '/dns4/printer.local/tcp/4001',
  '/ip4/1.1.1.1/tcp/4001/p2p/12D3KooWRawPbxPtP1eZaJpumGnyWX2DcUyd3RQnydr3eAto4Az7/p2p-circuit',
].map(parseMultiaddr)

const admitted = (network: 'public' | 'lan' | 'any'): string[] => admitFor(network, () => true)(everything).map(({ text }) => text)

describe('addresses', () => {
  it('of a public table are those that anybody can dial', () => {
    expect(admitted('public')).toEqual([
      '/ip4/1.1.1.1/tcp/4001',
      '/ip4/172.32.0.1/tcp/1',
      '/ip6/2606:4700::1111/tcp/1',
      '/ip6/::ffff:8.8.8.8/tcp/1',
      '/dns4/example.com/tcp/443/wss',
    ])
  })

  it('of a LAN table are those of this network and this machine', () => {
    expect(admitted('lan')).toEqual([
      '/ip4/192.168.0.1/tcp/4001',
      '/ip4/10.1.2.3/udp/4001/quic-v1',
      '/ip4/172.16.0.1/tcp/1',
      '/ip4/100.64.0.1/tcp/1',
      '/ip4/127.0.0.1/tcp/1',
      '/ip4/169.254.1.1/tcp/1',
      '/ip6/fe80::1/tcp/1',
      '/ip6/fd00::1/tcp/1',
      '/ip6/::1/tcp/1',
      '/ip6/::ffff:192.168.0.1/tcp/1',
      '/dns4/localhost/tcp/4001',
      '/dns4/printer.local/tcp/4001',
    ])
  })

  it('of any network are all that we have a transport for', () => {
    expect(admitted('any').length).toBe(everything.length)
    const dialable = admitFor('any', ({ parts }) => parts.some(({ name }) => name === 'wss'))(everything)
    expect(dialable.map(({ text }) => text)).toEqual(['/dns4/example.com/tcp/443/wss'])
  })

  it('are of one network by their first bits, if they are public', () => {
    const of = (...texts: string[]): readonly string[] => networksOf(texts.map(parseMultiaddr))
    expect(of('/ip4/45.7.1.1/tcp/1', '/ip4/45.7.200.3/udp/9/quic-v1', '/ip4/45.8.1.1/tcp/1')).toEqual(['45.7', '45.8'])
    expect(of('/ip6/2606:4700:1::1/tcp/1', '/ip6/2606:4700:2::1/tcp/1')).toEqual(['38.6.71.0'])
    expect(of('/ip4/192.168.0.1/tcp/1', '/dns4/example.com/tcp/1')).toEqual([])
  })
})
