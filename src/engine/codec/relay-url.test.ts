import { describe, expect, it } from 'vitest'
import { relayUrlToMultiaddr } from './relay-url.ts'
import { webSocketTarget } from './web-socket-url.ts'

describe('the URL of a relay', () => {
  it.each([
    ['http://localhost:9090', '/dns4/localhost/tcp/9090/ws'],
    ['http://localhost:9090/', '/dns4/localhost/tcp/9090/ws'],
    ['https://relay.example', '/dns4/relay.example/tcp/443/tls/ws'],
    ['ws://127.0.0.1:9090', '/ip4/127.0.0.1/tcp/9090/ws'],
    ['http://192.0.2.7', '/ip4/192.0.2.7/tcp/80/ws'],
    ['wss://[2001:DB8::1]:4443', '/ip6/2001:db8::1/tcp/4443/tls/ws'],
    ['HTTPS://Relay.Example', '/dns4/relay.example/tcp/443/tls/ws'],
    ['  https://relay.example\n', '/dns4/relay.example/tcp/443/tls/ws'],
    ['https://example.org/a/relay', '/dns4/example.org/tcp/443/tls/ws/http-path/a%2Frelay'],
    ['https://example.org/a%20b', '/dns4/example.org/tcp/443/tls/ws/http-path/a%20b'],
  ])('%s is %s', (url, address) => expect(relayUrlToMultiaddr(url).text).toBe(address))

  it.each([
    'localhost:9090',
    'ftp://relay.example',
    'constructor://relay.example',
    'https://',
    'https://user@relay.example',
    'https://relay.example?token=1',
    'https://relay.example/#here',
    'https://relay.example:70000',
    'https://relay.example:0',
    'https://relay.example:x',
    'https://[::1',
    'https://[::zz]',
    'https://127.1',
    'https://0x7f000001',
    'https://2130706433',
    'https://256.1.1.1',
    'https://relay.example/%ff',
    'https://relay example',
    'https://relay.example\\evil',
    '',
  ])('%j is refused', (url) => expect(() => relayUrlToMultiaddr(url)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARGUMENT' })))

  it('may be a multiaddr instead', () => {
    expect(relayUrlToMultiaddr(' /dns4/relay.example/tcp/443/wss').text).toBe('/dns4/relay.example/tcp/443/wss')
    expect(() => relayUrlToMultiaddr('/dns4/relay.example/tcp')).toThrow(expect.objectContaining({ code: 'ERR_INVALID_MULTIADDR' }))
  })

  it.each([
    'http://localhost:9090/',
    'https://relay.example/',
    'https://[2001:db8::1]:4443/',
    'https://example.org/a/relay',
    'https://example.org/a%20b/c',
  ])('%s is dialled where it says', (url) => expect(webSocketTarget(relayUrlToMultiaddr(url))?.url).toBe(url.replace('http', 'ws')))
})
