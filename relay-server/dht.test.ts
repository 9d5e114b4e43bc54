/** Relays in this process as servers of the DHT, and Node peers as their clients. */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import type { TabmeshError } from '../src/errors.ts'
import { createPeer, type Peer } from '../src/node/index.ts'
import { type RelaySettings, relayConfig } from './config.ts'
import { type Relay, startRelay } from './relay.ts'

const running: { stop(): Promise<void> }[] = []
afterEach(async () => {
  for (const one of running.splice(0).reverse()) await one.stop()
})

const relayWith = async (settings: RelaySettings = {}): Promise<Relay> => {
  const relay = await startRelay(relayConfig({ listen: ['/ip4/127.0.0.1/tcp/0/ws'], stun: false }, settings))
  running.push(relay)
  return relay
}

/** Behind its relay, and a client of the DHT that this is in. */
const clientOf = async (relay: Relay): Promise<Peer> => {
  const peer = await createPeer({
    relays: [relay.http],
    listen: ['/p2p-circuit'],
    transports: { webRTC: false, webRTCDirect: false, quic: false },
  })
  running.push(peer)
  while (peer.addresses.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
  return peer
}

const CID = 'bafkreidon73zkcrwdb5iafqtijxildoonbwnpv7dyd6ef3qdgads2jc4su'

describe('a relay as a server of the DHT', () => {
  it('lets peers behind relays find each other, at whichever of them they are', async () => {
    const first = await relayWith({ dht: true })
    const second = await relayWith({ dht: true, bootstrap: [...first.addresses] })
    const [alice, bob] = await Promise.all([clientOf(first), clientOf(second)])
    expect(await alice.dht.provide(CID)).toBe(2)
    for await (const { id, addresses } of bob.dht.findProviders(CID)) expect([id, addresses]).toEqual([alice.id, alice.addresses])
    expect(await bob.dial(alice.id)).toMatchObject({ remotePeer: alice.id, transport: 'relay' })
  })

  it('keeps what it was told in its folder', async () => {
    const data = await mkdtemp(join(tmpdir(), 'tabmesh-relay-dht-'))
    const before = await relayWith({ dht: true, data })
    const alice = await clientOf(before)
    await alice.dht.provide(CID)
    await running.splice(0, 1)[0]?.stop()
    const bob = await clientOf(await relayWith({ dht: true, data }))
    const found: string[] = []
    for await (const { id } of bob.dht.findProviders(CID)) found.push(id)
    expect(found).toEqual([alice.id])
    await Promise.all(running.splice(0).map((one) => one.stop()))
    await rm(data, { recursive: true })
  })

  it('is none unless its operator says so', async () => {
    const alice = await clientOf(await relayWith())
    const fault = await alice.dht.provide(CID).catch((error: TabmeshError) => error.code)
    expect(fault).toBe('ERR_NO_PEERS')
    for (const settings of [{ dht: 'yes' }, { dhtProtocol: 'kad' }, { dhtNetwork: 'moon' }, { bootstrap: 'x' }])
      expect(() => relayConfig(settings)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARGUMENT' }))
  }, 15_000)
})
