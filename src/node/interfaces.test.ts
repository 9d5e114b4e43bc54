import { networkInterfaces } from 'node:os'
import { expect, it, vi } from 'vitest'
import { parseMultiaddr } from '../engine/codec/multiaddr.ts'
import { reachableAddresses } from './interfaces.ts'

vi.mock('node:os', () => ({ networkInterfaces: vi.fn() }))

const at = (address: string, internal = false) => ({ address, internal, family: address.includes(':') ? 'IPv6' : 'IPv4' })
vi.mocked(networkInterfaces).mockReturnValue({
  lo: [at('127.0.0.1', true), at('::1', true)],
  eth0: [at('192.0.2.7'), at('2001:db8::7'), at('fe80::7')],
} as unknown as ReturnType<typeof networkInterfaces>)

it.each([
  ['/ip4/0.0.0.0/tcp/9090/ws', ['/ip4/192.0.2.7/tcp/9090/ws', '/ip4/127.0.0.1/tcp/9090/ws']],
  ['/ip6/::/tcp/9090/ws', ['/ip6/2001:db8::7/tcp/9090/ws', '/ip6/::1/tcp/9090/ws']],
  ['/ip4/192.0.2.7/tcp/9090/ws', ['/ip4/192.0.2.7/tcp/9090/ws']],
  ['/dns4/relay.example/tcp/443/wss', ['/dns4/relay.example/tcp/443/wss']],
])('%s is reached at %j', (listening, reached) => {
  expect(reachableAddresses(parseMultiaddr(listening)).map(({ text }) => text)).toEqual(reached)
})
