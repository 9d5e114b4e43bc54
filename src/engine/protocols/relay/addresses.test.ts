import { describe, expect, it } from 'vitest'
import { type Multiaddr, parseMultiaddr } from '../../codec/multiaddr.ts'
import { circuitAddresses, circuitOf, circuitTo, relayAddresses } from './addresses.ts'

const R = '12D3KooWBacD5eNAb6FZjt8rS32TaCZdFHXY5j5Gm892PuJExp3i'
const T = '12D3KooWJVK5GbxGR9ZgonsWPLJjBLzxVSEq5UPM6VfK5LfFC1MZ'
const ma = parseMultiaddr
const texts = (addresses: readonly Multiaddr[]) => addresses.map(({ text }) => text)

describe('circuits that can be dialled', () => {
  it.each([
    [`/ip4/192.0.2.1/tcp/9090/ws/p2p/${R}/p2p-circuit/p2p/${T}`, `/ip4/192.0.2.1/tcp/9090/ws/p2p/${R}`],
    [`/dns4/localhost/tcp/9090/ws/p2p-circuit/p2p/${T}`, '/dns4/localhost/tcp/9090/ws'],
    [`/p2p/${R}/p2p-circuit/p2p/${T}`, `/p2p/${R}`],
    // go-libp2p issue 3003
    [`/ip4/192.0.2.1/tcp/1/p2p/${R}/p2p/${R}/p2p-circuit/p2p/${T}`, `/ip4/192.0.2.1/tcp/1/p2p/${R}`],
  ])('%s', (text, relay) => {
    const circuit = circuitOf(ma(text))
    expect([circuit?.relay.text, circuit?.target]).toEqual([relay, T])
  })

  it.each([
    `/ip4/192.0.2.1/tcp/1/ws/p2p/${R}`,
    `/ip4/192.0.2.1/tcp/1/ws/p2p/${R}/p2p-circuit`,
    `/ip4/192.0.2.1/tcp/1/ws/p2p/${R}/p2p-circuit/webrtc/p2p/${T}`,
    `/ip4/192.0.2.1/tcp/1/ws/p2p/${R}/p2p-circuit/webrtc`,
    `/p2p-circuit/p2p/${T}`,
    `/ip4/192.0.2.1/tcp/1/p2p/${R}/p2p-circuit/p2p/${T}/p2p-circuit/p2p/${R}`,
  ])('%s is none', (text) => {
    expect(circuitOf(ma(text))).toBeUndefined()
  })

  it('are made of a relay and a target', () => {
    expect(circuitTo(ma(`/ip4/192.0.2.1/tcp/1/p2p/${R}`), T).text).toBe(`/ip4/192.0.2.1/tcp/1/p2p/${R}/p2p-circuit/p2p/${T}`)
  })
})

describe('what is announced for a relay', () => {
  const used = ma(`/dns4/relay.example/tcp/443/tls/ws/p2p/${R}`)

  it('begins with what works for us, and each once', () => {
    const said = [ma(`/ip4/192.0.2.1/tcp/9090/ws/p2p/${R}`), ma('/dns4/relay.example/tcp/443/tls/ws'), used]
    expect(texts(relayAddresses(R, [used], said))).toEqual([used.text, `/ip4/192.0.2.1/tcp/9090/ws/p2p/${R}`])
  })

  it('leaves out what a relay must not say: other peers, circuits, its own loopback, what nobody can parse', () => {
    const said = [
      ma(`/ip4/198.51.100.7/tcp/1/p2p/${T}`),
      ma(`/ip4/198.51.100.7/tcp/1/p2p/${T}/p2p-circuit/p2p/${R}`),
      ma('/ip4/127.0.0.1/tcp/9090/ws'),
      ma('/ip6/::1/tcp/9090/ws'),
      ma('/dns4/localhost/tcp/9090/ws'),
      ma('/ip4/0.0.0.0/tcp/9090/ws'),
      ma(`/p2p/${R}`),
    ]
    expect(texts(relayAddresses(R, [used], said))).toEqual([used.text])
  })

  it('keeps loopback where we use it ourselves', () => {
    const local = ma(`/dns4/localhost/tcp/9090/ws/p2p/${R}`)
    expect(texts(relayAddresses(R, [local], [ma('/ip4/127.0.0.1/tcp/9090/ws'), ma('/ip4/0.0.0.0/tcp/9090/ws')]))).toEqual([
      local.text,
      `/ip4/127.0.0.1/tcp/9090/ws/p2p/${R}`,
    ])
  })

  it('is bounded, however much the relay says', () => {
    const said = Array.from({ length: 200 }, (_, i) => ma(`/ip4/192.0.2.${i}/tcp/1`))
    expect(relayAddresses(R, [used], said).length).toBe(4)
    // A long one would leave no room for what is put behind it.
    expect(texts(relayAddresses(R, [used], [ma(`/dns4/relay.example/tcp/1/ws/http-path/${'a'.repeat(600)}`)]))).toEqual([used.text])
  })

  it('comes with /webrtc behind it where we take that', () => {
    expect(texts(circuitAddresses([used], true))).toEqual([`${used.text}/p2p-circuit`, `${used.text}/p2p-circuit/webrtc`])
    expect(texts(circuitAddresses([used], false))).toEqual([`${used.text}/p2p-circuit`])
  })
})
