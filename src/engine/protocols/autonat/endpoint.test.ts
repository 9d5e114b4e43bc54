import { describe, expect, it } from 'vitest'
import { parseMultiaddr } from '../../codec/multiaddr.ts'
import { atEndpoint, type Endpoint, endpointOf, isPublicIp, sourceOf, transportOf } from './endpoint.ts'

const endpoint = (text: string): Endpoint => endpointOf(parseMultiaddr(text)) as Endpoint
const ip4 = (ip: string): Uint8Array => endpoint(`/ip4/${ip}/tcp/1`).ip
const ip6 = (ip: string): Uint8Array => endpoint(`/ip6/${ip}/tcp/1`).ip

describe('where an address is', () => {
  it('everybody may reach', () => {
    for (const ip of [
      '1.1.1.1',
      '9.9.9.9',
      '11.0.0.1',
      '100.63.0.1',
      '100.128.0.1',
      '172.15.0.1',
      '172.32.0.1',
      '192.167.0.1',
      '198.17.0.1',
      '223.1.1.1',
    ])
      expect(isPublicIp(ip4(ip)), ip).toBe(true)
    for (const ip of ['2606:4700::1111', '2001:4860:4860::8888', '3fff::1']) expect(isPublicIp(ip6(ip)), ip).toBe(true)
  })

  it('nobody may, or not everybody', () => {
    for (const ip of [
      '0.0.0.0',
      '10.1.2.3',
      '127.0.0.1',
      '100.64.0.1',
      '169.254.169.254',
      '172.16.0.1',
      '172.31.255.255',
      '192.168.0.1',
      '192.0.0.8',
      '198.18.0.1',
      '224.0.0.1',
      '255.255.255.255',
    ])
      expect(isPublicIp(ip4(ip)), ip).toBe(false)
    // The last ones are 127.0.0.1 in other clothes: mapped, 6to4, NAT64, Teredo.
    for (const ip of [
      '::',
      '::1',
      'fe80::1',
      'fd00::1',
      'ff02::1',
      '::ffff:127.0.0.1',
      '2002:7f00:1::',
      '64:ff9b::7f00:1',
      '2001:0:7f00:1::',
    ])
      expect(isPublicIp(ip6(ip)), ip).toBe(false)
  })

  it('is not known of a name, nor of what has no port', () => {
    for (const text of ['/dns4/localhost/tcp/1', '/ip4/1.2.3.4', '/memory/1', '/ip4/1.2.3.4/p2p-circuit'])
      expect(endpointOf(parseMultiaddr(text))).toBeUndefined()
  })

  it('one owner is an IPv4 address, in whatever notation, and a /56', () => {
    expect(sourceOf(ip6('::ffff:1.2.3.4'))).toBe(sourceOf(ip4('1.2.3.4')))
    expect(sourceOf(ip6('2001:db8:1:200::1'))).toBe(sourceOf(ip6('2001:db8:1:2ff::2')))
    expect(sourceOf(ip6('2001:db8:1:200::1'))).not.toBe(sourceOf(ip6('2001:db8:1:300::1')))
  })

  it('is moved, with all that stands behind it', () => {
    const there = endpoint('/ip4/203.0.113.5/udp/9')
    const moved = atEndpoint(
      parseMultiaddr('/ip4/0.0.0.0/udp/4001/webrtc-direct/certhash/uEiAkH5a4DPGKUuOBjYw0CgwjvcJCJMD2K_1aluKR_tpevQ'),
      { ...there, port: 7 },
    )
    expect(moved.text).toBe('/ip4/203.0.113.5/udp/7/webrtc-direct/certhash/uEiAkH5a4DPGKUuOBjYw0CgwjvcJCJMD2K_1aluKR_tpevQ')
    expect(atEndpoint(parseMultiaddr('/ip6/::/tcp/4001'), endpoint('/ip6/2001:db8::5/tcp/9')).text).toBe('/ip6/2001:db8::5/tcp/9')
  })
})

it('the transport is told by what is deepest in the address', () => {
  const seen = [
    '/tcp/1',
    '/tcp/1/ws',
    '/tcp/1/tls/ws',
    '/tcp/1/wss',
    '/udp/1/quic-v1',
    '/udp/1/webrtc-direct',
    '/udp/1/quic-v1/webtransport',
    '/udp/1',
  ].map((each) => transportOf(parseMultiaddr(`/ip4/1.2.3.4${each}`)))
  expect(seen).toEqual(['tcp', 'websocket', 'websocket', 'websocket', 'quic', 'webrtc-direct', 'webtransport', undefined])
})
