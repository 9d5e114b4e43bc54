import { describe, expect, it } from 'vitest'
import { parseMultiaddr } from './multiaddr.ts'
import { webSocketTarget } from './web-socket-url.ts'

// The id of the Ed25519 key in specs: peer-ids/peer-ids.md.
const R = '12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq'

describe('the URL of a multiaddr', () => {
  it.each([
    ['/ip4/127.0.0.1/tcp/9090/ws', 'ws://127.0.0.1:9090/'],
    [`/ip4/127.0.0.1/tcp/9090/ws/p2p/${R}`, 'ws://127.0.0.1:9090/'],
    ['/ip6/::1/tcp/9090/ws', 'ws://[::1]:9090/'],
    ['/dns/relay.example/tcp/80/ws', 'ws://relay.example/'],
    ['/dns4/relay.example/tcp/443/ws', 'ws://relay.example:443/'],
    ['/dns4/relay.example/tcp/443/wss', 'wss://relay.example/'],
    ['/dns6/relay.example/tcp/443/tls/ws', 'wss://relay.example/'],
    ['/dns4/relay.example/tcp/4443/tls/ws', 'wss://relay.example:4443/'],
    ['/ip4/192.0.2.1/tcp/443/tls/sni/relay.example/ws', 'wss://relay.example/'],
    [`/dns4/relay.example/tcp/443/wss/http-path/a%2Fb%20c/p2p/${R}`, 'wss://relay.example/a/b%20c'],
    ['/dns4/relay.example/tcp/443/wss/http-path/a%3Fb%23c', 'wss://relay.example/a%3Fb%23c'],
  ])('%s is %s', (address, url) => expect(webSocketTarget(parseMultiaddr(address))?.url).toBe(url))

  it('says where to connect when the certificate is of another name', () =>
    expect(webSocketTarget(parseMultiaddr('/ip4/192.0.2.1/tcp/4443/tls/sni/relay.example/ws'))).toEqual({
      url: 'wss://relay.example:4443/',
      secure: true,
      host: '192.0.2.1',
      port: 4443,
      family: 4,
    }))

  it.each([
    '/ip4/127.0.0.1/tcp/9090',
    '/ip4/127.0.0.1/tcp/0/ws',
    '/ip4/127.0.0.1/udp/9090/ws',
    '/ip4/127.0.0.1/tcp/9090/http/ws',
    '/ip4/127.0.0.1/tcp/9090/tls/wss',
    '/ip4/127.0.0.1/tcp/9090/tls',
    '/ip4/127.0.0.1/tcp/9090/ws/ws',
    '/ip4/127.0.0.1/udp/9090/quic-v1/webtransport',
    '/ip6zone/eth0/ip6/fe80::1/tcp/9090/ws',
    '/dnsaddr/relay.example/tcp/443/wss',
    '/dns4/relay.example@evil.example/tcp/443/wss',
    '/dns4/relay.example:80/tcp/443/wss',
    `/ip4/127.0.0.1/tcp/9090/ws/p2p/${R}/p2p-circuit`,
    `/ip4/127.0.0.1/tcp/9090/ws/p2p/${R}/p2p-circuit/p2p/${R}`,
    `/p2p/${R}`,
  ])('%s is not for a WebSocket', (address) => expect(webSocketTarget(parseMultiaddr(address))).toBeUndefined())
})
