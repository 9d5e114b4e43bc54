/** A relay in this process as a rendezvous point: two peers that know nothing of each other but a name. */

import { afterEach, describe, expect, it } from 'vitest'
import { parseMultiaddr } from '../src/engine/codec/multiaddr.ts'
import { Node } from '../src/engine/net/node.ts'
import { identifyService } from '../src/engine/protocols/identify/service.ts'
import { relayClient } from '../src/engine/protocols/relay/service.ts'
import { rendezvousClient } from '../src/engine/protocols/rendezvous/client.ts'
import type { Answered, FoundPeer } from '../src/engine/protocols/rendezvous/conversation.ts'
import { RENDEZVOUS } from '../src/engine/protocols/rendezvous/messages.ts'
import type { Outcome } from '../src/engine/wire/conversation.ts'
import { nodeHost } from '../src/node/host.ts'
import { newIdentity } from '../src/node/identity.ts'
import { wsTransport } from '../src/node/ws-dialer.ts'
import { type RelaySettings, relayConfig } from './config.ts'
import { type Relay, startRelay } from './relay.ts'

const running: { stop(): Promise<void> }[] = []
afterEach(async () => {
  for (const one of running.splice(0).reverse()) await one.stop()
})

const relayWith = async (settings: RelaySettings = {}): Promise<Relay> => {
  const relay = await startRelay(relayConfig({ listen: ['/ip4/127.0.0.1/tcp/0/ws'] }, settings))
  running.push(relay)
  return relay
}

/** A peer that is reachable through `relay` and nowhere else, once it is connected. */
const peerAt = async (relay: Relay) => {
  const slot = relayClient({ relays: [parseMultiaddr(relay.addresses[0] as string)] })
  const client = rendezvousClient({ learn: (found) => void node.peerStore.certify(found.peer, found, Date.now()) })
  let connected = (): void => {}
  const identified = new Promise<void>((done) => {
    connected = done
  })
  const node = new Node({
    host: nodeHost(newIdentity()),
    services: [identifyService(), slot, client],
    transports: [wsTransport(), slot],
    onEvent: ({ t }) => t === 'peer:identify' && connected(),
  })
  node.start()
  running.push({ stop: () => new Promise((done) => node.stop(done)) })
  await identified
  const discover = (namespace: string | undefined) =>
    new Promise<Outcome<Answered>>((done) => client.discover(relay.peerId, namespace, {}, done))
  return { node, client, discover }
}

describe('a relay', () => {
  it('is where two pages that share a name find each other, each by its address on the relay', async () => {
    const relay = await relayWith()
    const [alice, bob] = [await peerAt(relay), await peerAt(relay)]
    const found = new Promise<readonly FoundPeer[]>((onFound) => bob.client.watch(relay.peerId, 'chess', { interval: 500, onFound }))
    alice.client.register(relay.peerId, 'chess', { ttl: 120 })
    const [peer] = await found
    expect([peer?.peer, peer?.namespace]).toEqual([alice.node.self, 'chess'])
    expect(peer?.addresses.every(({ text }) => text.includes(`/p2p/${relay.peerId}/p2p-circuit/p2p/${alice.node.self}`))).toBe(true)
    const dialled = await new Promise<Outcome<unknown>>((done) => bob.node.dial({ peer: alice.node.self, addresses: [] }, done))
    expect(dialled.ok).toBe(true)
    await new Promise<void>((done) => alice.client.leave(done))
    const left = await bob.discover('chess')
    expect(left.ok && left.value.told).toBe(0)
  })

  it('has the bounds of its configuration', async () => {
    const relay = await relayWith({ maxRegistrations: 0, listNamespaces: false })
    const peer = await peerAt(relay)
    const refused = await new Promise<string>((done) =>
      peer.client.register(relay.peerId, 'chess', { onChange: (state) => state.t === 'failed' && done(state.fault.code) }),
    )
    expect(refused).toBe('ERR_RELAY_FULL')
    const all = await peer.discover(undefined)
    expect(all.ok ? 'told' : all.fault.message).toContain('E_NOT_AUTHORIZED')
  })

  it('is no rendezvous point where its operator does not want it', async () => {
    const peer = await peerAt(await relayWith({ rendezvous: false }))
    expect(peer.node.connections()[0]?.identified?.protocols.includes(RENDEZVOUS)).toBe(false)
    const outcome = await peer.discover('chess')
    expect(outcome.ok ? 'told' : outcome.fault.code).toBe('ERR_NO_PROTOCOL')
  })
})
