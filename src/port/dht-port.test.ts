import { describe, expect, it } from 'vitest'
import { parseMultiaddr } from '../engine/codec/multiaddr.ts'
import { peerIdToBytes, peerIdToCid } from '../engine/codec/peer-id.ts'
import { codeOf } from '../engine/testing/property.ts'
import type { EngineDht } from './dht-messages.ts'
import { networkFor, recordKey } from './dht-port.ts'

const peer = '12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA'

describe('the key of a record', () => {
  it('is its bytes, or its UTF-8, but for names of keys, which are binary', () => {
    expect(recordKey(Uint8Array.of(1, 2))).toEqual(Uint8Array.of(1, 2))
    expect(Buffer.from(recordKey('/app/schlüssel')).toString()).toBe('/app/schlüssel')
    for (const name of [peer, peerIdToCid(peer)]) {
      expect(Buffer.from(recordKey(`/ipns/${name}`))).toEqual(Buffer.concat([Buffer.from('/ipns/'), peerIdToBytes(peer)]))
      expect(Buffer.from(recordKey(`/pk/${name}`))).toEqual(Buffer.concat([Buffer.from('/pk/'), peerIdToBytes(peer)]))
    }
    for (const wrong of ['/ipns/', '/ipns/example.org', '/pk/nobody', 7 as never])
      expect(codeOf(() => recordKey(wrong))).toBe('ERR_INVALID_ARGUMENT')
  })
})

describe('the network of a DHT', () => {
  const none: EngineDht = { mode: 'client', protocol: undefined, network: undefined, validators: [], selectors: [] }
  it.each([
    ['public', []],
    ['public', ['/dns4/relay.example.org/tcp/443/tls/ws', '/ip4/1.2.3.4/tcp/4001']],
    ['any', ['/ip4/1.2.3.4/tcp/4001', '/ip4/127.0.0.1/tcp/9090/ws']],
    ['any', ['/dns4/localhost/tcp/9090/ws']],
    ['any', ['/ip4/192.168.1.7/tcp/9090/ws']],
  ])('is %s where it begins with %j', (network, addresses) => {
    expect(networkFor(none, addresses.map(parseMultiaddr))).toBe(network)
    expect(networkFor({ ...none, network: 'lan' }, addresses.map(parseMultiaddr))).toBe('lan')
  })
})
