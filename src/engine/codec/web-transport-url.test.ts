import { describe, expect, it } from 'vitest'
import { parseMultiaddr } from './multiaddr.ts'
import { sha256Digest, webTransportTarget } from './web-transport-url.ts'

// From a go-libp2p 0.48 listener.
const FIRST = 'uEiAl4cxJyF2HmWgTFpoJXxoCSkLrA93yTBfJAQeRmxL6tg'
const SECOND = 'uEiA9fs4g2SbQ6gxZu1lX6js6gQwPHPHkA6sc6yRHw-6DmA'
const PEER = '12D3KooWE8gEogSPgT5Yvpy1YPXuAVgrc661HWzYUDUXVXmKQzKw'

const targetOf = (text: string) => webTransportTarget(parseMultiaddr(text))

describe('a WebTransport address', () => {
  for (const [host, name] of [
    ['/ip4/192.0.2.1', '192.0.2.1'],
    ['/ip6/2001:db8::1', '[2001:db8::1]'],
    ['/dns/example.org', 'example.org'],
    ['/dns4/example.org', 'example.org'],
    ['/dns6/example.org', 'example.org'],
  ]) {
    it(`at ${host} has its URL`, () => {
      const target = targetOf(`${host}/udp/4001/quic-v1/webtransport/certhash/${FIRST}/certhash/${SECOND}/p2p/${PEER}`)
      expect(target?.url).toBe(`https://${name}:4001/.well-known/libp2p-webtransport?type=noise`)
      expect(target?.certhashes.map((each) => Buffer.from(sha256Digest(each) as Uint8Array).toString('hex', 0, 4))).toEqual([
        '25e1cc49',
        '3d7ece20',
      ])
    })
  }

  it('may name a server, which the URL does not', () => {
    const target = targetOf(`/ip4/192.0.2.1/udp/443/quic-v1/sni/example.org/webtransport/certhash/${FIRST}`)
    expect(target?.url).toBe('https://192.0.2.1:443/.well-known/libp2p-webtransport?type=noise')
    expect(target?.certhashes.length).toBe(1)
  })

  for (const other of [
    '/ip4/192.0.2.1/udp/4001/quic-v1/webtransport',
    `/ip4/192.0.2.1/udp/4001/quic-v1/webtransport/p2p/${PEER}`,
    '/ip4/192.0.2.1/udp/4001/quic-v1',
    `/ip4/192.0.2.1/udp/4001/quic/webtransport/certhash/${FIRST}`,
    `/ip4/192.0.2.1/tcp/4001/quic-v1/webtransport/certhash/${FIRST}`,
    `/ip4/192.0.2.1/udp/0/quic-v1/webtransport/certhash/${FIRST}`,
    `/ip4/192.0.2.1/udp/4001/webrtc-direct/certhash/${FIRST}`,
    `/dnsaddr/example.org/udp/4001/quic-v1/webtransport/certhash/${FIRST}`,
    `/dns4/example.org:80@evil.example/udp/4001/quic-v1/webtransport/certhash/${FIRST}`,
    `/ip4/192.0.2.1/udp/4001/quic-v1/webtransport/certhash/${FIRST}/p2p/${PEER}/p2p-circuit`,
    `/ip4/192.0.2.1/udp/4001/quic-v1/webtransport/certhash/${FIRST}/p2p/${PEER}/certhash/${SECOND}`,
    `/p2p/${PEER}`,
  ]) {
    it(`is not ${other}`, () => expect(targetOf(other)).toBeUndefined())
  }

  it('tells a SHA-256 digest from any other', () => {
    const digest = new Uint8Array(32).fill(7)
    expect(sha256Digest(Uint8Array.of(0x12, 32, ...digest))).toEqual(digest)
    expect(sha256Digest(Uint8Array.of(0x12, 31, ...digest.subarray(1)))).toBeUndefined()
    expect(sha256Digest(Uint8Array.of(0x13, 64, ...digest, ...digest))).toBeUndefined()
    expect(sha256Digest(Uint8Array.of(0x16, 32, ...digest))).toBeUndefined()
    expect(sha256Digest(new Uint8Array(0))).toBeUndefined()
  })
})
