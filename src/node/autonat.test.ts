import { afterEach, describe, expect, it } from 'vitest'
import { parseMultiaddr } from '../engine/codec/multiaddr.ts'
import { DIAL_BACK, DIAL_REQUEST } from '../engine/protocols/autonat/client.ts'
import type { Peer } from '../peer.ts'
import { createPeer, type NodePeerOptions } from './index.ts'
import { nodeStranger } from './stranger.ts'
import { tcpTransport } from './tcp.ts'

const TCP = '/ip4/127.0.0.1/tcp/0'
const peers: Peer[] = []
const start = async (options: NodePeerOptions): Promise<Peer> => {
  const peer = await createPeer({ transports: { webRTC: false, webRTCDirect: false }, ...options })
  peers.push(peer)
  return peer
}

afterEach(async () => {
  await Promise.all(peers.splice(0).map((peer) => peer.stop()))
})

describe('a Node peer', () => {
  it('that listens takes dials back; whether it serves others depends on whether they reach it', async () => {
    const server = await start({ listen: [TCP], autonat: { server: true, allowPrivate: true } })
    const client = await start({ listen: [TCP], autonat: { allowPrivate: true } })
    expect([server, client].map(({ protocols }) => [protocols.includes(DIAL_BACK), protocols.includes(DIAL_REQUEST)])).toEqual([
      [true, true],
      [true, false],
    ])
    expect(client.reachability).toBe('unknown')
    const heard: unknown[] = []
    client.addEventListener('reachability:change', ({ detail }) => heard.push(detail))
    await client.dial(server.addresses[0] as string)
    await expect.poll(() => client.protocols.includes(DIAL_REQUEST), { timeout: 10_000 }).toBe(true)
    expect(client.reachability).toBe('public')
    expect(heard).toEqual([{ reachability: 'public', addresses: client.addresses }])
    // The stranger is gone; the connection that was there is the only one.
    await expect.poll(() => client.connections.map(({ remotePeer }) => remotePeer), { timeout: 5_000 }).toEqual([server.id])
  })

  it('does neither where it is told so, or where it does not listen', async () => {
    for (const peer of [await start({ listen: [TCP], autonat: false }), await start({})]) {
      expect(peer.protocols.filter((each) => each.includes('autonat'))).toEqual([])
    }
    expect(peers[0]?.addresses).toHaveLength(1)
  })
})

describe('the stranger', () => {
  it('dials what its transports do, on a network that this machine has', () => {
    const stranger = nodeStranger({ transports: [tcpTransport()], quic: true })
    const can = ['/ip4/127.0.0.1/tcp/1', '/ip6/::1/tcp/1', '/ip4/127.0.0.1/udp/1/quic-v1', '/ip4/127.0.0.1/tcp/1/ws'].map((each) =>
      stranger.canDial(parseMultiaddr(each)),
    )
    expect(can).toEqual([true, true, true, false])
    stranger.close()
  })
})
