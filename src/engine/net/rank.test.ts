import { describe, expect, it } from 'vitest'
import { parseMultiaddr } from '../codec/multiaddr.ts'
import { rank, reachable, scopeOf } from './rank.ts'

const P = '/p2p/12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5'
const HASH = '/certhash/uEiDDq4_xNyDorZBH3TlGazyJdOWSwvo4PUo5YHFMrvDE8g'
const order = (texts: readonly string[]): (readonly [string, number])[] =>
  rank(texts.map(parseMultiaddr)).map(({ address, delay }) => [address.text, delay])

describe('the order of addresses', () => {
  it('is direct before relayed, near before far, and few round trips before many', () => {
    const relayed = `/ip4/1.2.3.4/tcp/443/wss${P}/p2p-circuit`
    expect(
      order([
        relayed,
        `/ip4/9.9.9.9/udp/1/webrtc-direct${HASH}`,
        '/dns4/a.example/tcp/443/wss',
        '/ip4/9.9.9.9/udp/1/quic-v1',
        '/ip4/192.168.1.2/tcp/1/ws',
        `/ip4/192.168.1.2/udp/1/quic-v1/webtransport${HASH}`,
        '/ip4/127.0.0.1/tcp/1/ws',
      ]),
    ).toEqual([
      ['/ip4/127.0.0.1/tcp/1/ws', 0],
      [`/ip4/192.168.1.2/udp/1/quic-v1/webtransport${HASH}`, 30],
      ['/ip4/192.168.1.2/tcp/1/ws', 60],
      ['/ip4/9.9.9.9/udp/1/quic-v1', 310],
      ['/dns4/a.example/tcp/443/wss', 560],
      [`/ip4/9.9.9.9/udp/1/webrtc-direct${HASH}`, 810],
      [relayed, 1_310],
    ])
  })

  it('has IPv6 in front of IPv4, and else keeps what was given', () => {
    expect(order(['/ip4/9.9.9.9/tcp/1', '/ip4/9.9.9.8/tcp/1', '/ip6/2001:db8::1/tcp/1']).map(([text]) => text)).toEqual([
      '/ip6/2001:db8::1/tcp/1',
      '/ip4/9.9.9.9/tcp/1',
      '/ip4/9.9.9.8/tcp/1',
    ])
  })

  it('begins at once with a relay where there is no other way', () => {
    expect(order([`/ip4/1.2.3.4/tcp/1/ws${P}/p2p-circuit`, `/ip4/1.2.3.5/tcp/1/ws${P}/p2p-circuit`]).map(([, delay]) => delay)).toEqual([
      0, 250,
    ])
  })

  it('leaves out what others advertise in private networks, unless we are in one', () => {
    const texts = ['/ip4/10.0.0.1/tcp/1/ws', '/ip4/127.0.0.1/tcp/1/ws', '/ip4/9.9.9.9/tcp/1/ws']
    const left = (near: boolean) => reachable(texts.map(parseMultiaddr), near).map(({ text }) => text)
    expect(left(false)).toEqual(['/ip4/9.9.9.9/tcp/1/ws'])
    expect(left(true)).toEqual(texts)
  })

  it('keeps places for relays, whatever a peer says of itself', () => {
    const direct = [...Array(30).keys()].map((port) => `/ip4/9.9.9.9/tcp/${1 + port}`)
    const relayed = [...Array(9).keys()].map((port) => `/ip4/1.2.3.4/tcp/${1 + port}/ws${P}/p2p-circuit`)
    const kept = (...texts: string[]): number[] => {
      const order = rank(texts.map(parseMultiaddr)).map(({ address }) => address.text.includes('p2p-circuit'))
      return [order.filter((each) => !each).length, order.filter((each) => each).length]
    }
    expect(kept(...direct, ...relayed)).toEqual([20, 5])
    expect(kept(...direct, ...relayed.slice(0, 2))).toEqual([23, 2])
    expect(kept(...direct.slice(0, 3), ...relayed)).toEqual([3, 9])
  })

  it('takes an address once, and 25 of ten thousand', () => {
    expect(order(['/ip4/9.9.9.9/tcp/1', '/ip4/9.9.9.9/tcp/1'])).toHaveLength(1)
    expect(order([...Array(10_000).keys()].map((port) => `/ip4/9.9.9.9/tcp/${1 + port}`))).toHaveLength(25)
  })
})

it('tells machines, private networks and the rest apart', () => {
  const scopes = (...hosts: string[]): number[] => hosts.map((host) => scopeOf(parseMultiaddr(`${host}/tcp/1`)))
  expect(scopes('/ip4/127.9.9.9', '/ip6/::1', '/dns/localhost', '/dns4/a.localhost', '/ip6/::ffff:127.0.0.1')).toEqual([0, 0, 0, 0, 0])
  expect(scopes('/ip4/10.1.1.1', '/ip4/172.16.0.1', '/ip4/172.31.0.1', '/ip4/192.168.0.1', '/ip4/169.254.1.1', '/ip4/100.64.0.1')).toEqual([
    1, 1, 1, 1, 1, 1,
  ])
  expect(scopes('/ip6/fd00::1', '/ip6/fe80::1', '/ip6/::ffff:10.0.0.1', '/dns/printer.local')).toEqual([1, 1, 1, 1])
  expect(
    scopes('/ip4/172.32.0.1', '/ip4/11.0.0.1', '/ip4/100.128.0.1', '/ip6/2001:db8::1', '/dns/local.example', '/ip4/192.169.0.1'),
  ).toEqual([2, 2, 2, 2, 2, 2])
})
