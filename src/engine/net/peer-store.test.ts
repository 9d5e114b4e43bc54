import { describe, expect, it } from 'vitest'
import { type Multiaddr, parseMultiaddr } from '../codec/multiaddr.ts'
import type { PeerId } from '../codec/peer-id.ts'
import { PEER_STORE_MAX, PEER_STORE_MAX_ADDRESSES } from '../limits.ts'
import { PeerStore } from './peer-store.ts'

const peer = (at: number): PeerId => `peer ${at}` as PeerId
const at = (...ports: number[]): Multiaddr[] => ports.map((port) => parseMultiaddr(`/memory/${port}`))
const texts = (store: PeerStore, id = peer(1)): (string | undefined)[] =>
  (store.get(id)?.addresses ?? []).map(({ text }) => text.split('/')[2])

describe('the peer store', () => {
  it('merges what it hears, the newest addresses first and each once', () => {
    const store = new PeerStore()
    store.update(peer(1), { addresses: at(1, 2), protocols: ['/a/1'], tags: { relay: 50 } }, 10)
    store.update(peer(1), { addresses: at(3, 2), agent: 'x/1', tags: { room: 1 } }, 20)
    expect(texts(store)).toEqual(['3', '2', '1'])
    expect(store.get(peer(1))).toMatchObject({
      protocols: ['/a/1'],
      agent: 'x/1',
      tags: { relay: 50, room: 1 },
      seenAt: 20,
      recordSeq: undefined,
    })
  })

  it('a newer signed record replaces the addresses, the same one adds, a stale one changes none', () => {
    const store = new PeerStore()
    store.update(peer(1), { addresses: at(1) }, 1)
    store.update(peer(1), { addresses: at(2), recordSeq: 5n }, 2)
    expect(texts(store)).toEqual(['2'])
    store.update(peer(1), { addresses: at(3), recordSeq: 5n }, 3)
    expect(texts(store)).toEqual(['3', '2'])
    store.update(peer(1), { addresses: at(9), recordSeq: 4n, protocols: ['/b/1'] }, 4)
    expect(texts(store)).toEqual(['3', '2'])
    expect(store.get(peer(1))).toMatchObject({ recordSeq: 5n, protocols: ['/b/1'] })
    store.update(peer(1), { recordSeq: 6n }, 5)
    expect(texts(store)).toEqual(['3', '2'])
  })

  it('keeps so many addresses of one peer', () => {
    const store = new PeerStore()
    for (let i = 0; i < 40; i += 1) store.update(peer(1), { addresses: at(i) }, i)
    expect(texts(store).length).toBe(PEER_STORE_MAX_ADDRESSES)
    expect(texts(store)[0]).toBe('39')
  })

  it('keeps so many peers: those seen longest ago go', () => {
    const store = new PeerStore()
    for (let i = 0; i < PEER_STORE_MAX; i += 1) store.update(peer(i), {}, i)
    store.update(peer(0), { agent: 'seen again' }, 5_000)
    for (let i = 0; i < 500; i += 1) store.update(peer(10_000 + i), {}, 6_000)
    expect(store.all().length).toBe(PEER_STORE_MAX)
    expect(store.get(peer(0))?.agent).toBe('seen again')
    expect([store.get(peer(1)), store.get(peer(500)), store.get(peer(501))?.seenAt]).toEqual([undefined, undefined, 501])
    expect([store.delete(peer(0)), store.delete(peer(0)), store.get(peer(0))]).toEqual([true, false, undefined])
  })
})
