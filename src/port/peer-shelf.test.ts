import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { privateKey } from '../engine/codec/keys.ts'
import { parseMultiaddr } from '../engine/codec/multiaddr.ts'
import { type PeerId, peerIdFromKey } from '../engine/codec/peer-id.ts'
import type { Node } from '../engine/net/node.ts'
import { PeerStore } from '../engine/net/peer-store.ts'
import { decodeStoredPeer } from '../engine/net/stored-peer.ts'
import type { TabmeshError } from '../errors.ts'
import { keepPeers, type PeerShelf } from './peer-shelf.ts'

const peers = [1, 2, 3].map((seed): PeerId => peerIdFromKey(privateKey('Ed25519', new Uint8Array(32).fill(seed)).publicKey))
const [a, b, c] = peers as [PeerId, PeerId, PeerId]
const now = () => 5_000
const seedOf = (n: number): Uint8Array => new Uint8Array(32).fill(n & 255).fill(n >> 8, 0, 1)

const stage = (overrides: Partial<PeerShelf> = {}) => {
  const kept = new Map<string, unknown>()
  const writes: string[][] = []
  const shelf: PeerShelf = {
    delay: 500,
    load: async () => [...kept],
    async write(changes) {
      writes.push([...changes.keys()])
      for (const [key, stored] of changes) {
        if (stored === undefined) kept.delete(key)
        else kept.set(key, stored)
      }
    },
    ...overrides,
  }
  const errors: TabmeshError[] = []
  const open = async () => {
    const store = new PeerStore(now)
    return { store, held: await keepPeers(shelf, store, now, (error) => errors.push(error)) }
  }
  return { kept, writes, errors, open }
}

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }))
afterEach(() => void vi.useRealTimers())

describe('peers on a shelf', () => {
  it('are written in batches, the rest of them at the end, and are there the next time', async () => {
    const { kept, writes, errors, open } = stage()
    const { store, held } = await open()
    for (let round = 0; round < 10; round += 1) store.update(a, { addresses: [parseMultiaddr(`/memory/${round}`)] }, now(), true)
    store.update(b, { tags: { room: 3 } }, now())
    await vi.advanceTimersByTimeAsync(499)
    expect(writes).toEqual([])
    await vi.advanceTimersByTimeAsync(1)
    expect(writes).toEqual([[a, b]])
    store.delete(a)
    store.update(c, {}, now())
    await held.close()
    expect([writes[1], [...kept.keys()]]).toEqual([
      [a, c],
      [b, c],
    ])
    store.update(a, {}, now())
    await vi.advanceTimersByTimeAsync(5_000)
    expect([writes.length, vi.getTimerCount()]).toEqual([2, 0])

    const { store: again, held: heldAgain } = await open()
    expect(again.all().map(({ id, tags }) => [id, tags])).toEqual([
      [b, { room: 3 }],
      [c, {}],
    ])
    expect([heldAgain.warnings, errors]).toEqual([[], []])
  })

  it('that are damaged are taken off, those of a newer version stay, and one warning tells of both', async () => {
    const { kept, writes, open } = stage()
    const first = await open()
    first.store.update(a, { agent: 'x/1' }, now())
    await first.held.close()
    const newer = Uint8Array.of(0x08, 7)
    kept.set(b, newer)
    kept.set(c, kept.get(a))
    kept.set('junk', 'text')
    kept.set('cut', (kept.get(a) as Uint8Array).subarray(0, 9))
    writes.length = 0

    const { store, held } = await open()
    expect(held.warnings.map(({ code, message }) => [code, message.split(':')[0]])).toEqual([
      ['ERR_STORE', 'of the stored peers 3 damaged and forgotten, 1 of a newer version and left alone'],
    ])
    expect(store.all().map(({ id }) => id)).toEqual([a])
    await vi.advanceTimersByTimeAsync(500)
    expect([writes, [...kept.keys()]]).toEqual([[[c, 'junk', 'cut']], [a, b]])
    expect(kept.get(b)).toBe(newer)
    // One that we meet is known better than to whoever was here before.
    store.update(b, { agent: 'y/1' }, now())
    await held.close()
    expect(decodeStoredPeer(kept.get(b) as Uint8Array)?.agent).toBe('y/1')
    expect((await open()).held.warnings).toEqual([])
  })

  it('can not be read: a warning, and nothing is written', async () => {
    const { writes, open } = stage({ load: () => Promise.reject(new Error('refused')) })
    const { store, held } = await open()
    expect(held.warnings).toMatchObject([{ code: 'ERR_STORE', cause: { message: 'refused' } }])
    store.update(a, {}, now())
    await vi.advanceTimersByTimeAsync(5_000)
    await held.close()
    expect([writes, store.get(a)?.id]).toEqual([[], a])
  })

  it('that are many are read beside the running peer: who was met or deleted meanwhile stays so', async () => {
    const { kept, errors, open } = stage()
    const first = await open()
    const many = Array.from({ length: 300 }, (_, index) => peerIdFromKey(privateKey('Ed25519', seedOf(index)).publicKey))
    for (const id of many) first.store.update(id, { agent: 'x/1', tags: { 'keep-alive': 1 } }, now())
    await first.held.close()
    kept.set('junk', 'text')
    const [met, gone] = many.slice(-2) as [PeerId, PeerId]

    // Each peer takes a millisecond: a slice is 20 of them, and what is read ahead is 100 and a slice at most.
    let clock = 0
    const time = vi.spyOn(performance, 'now').mockImplementation(() => (clock += 1))
    const { store, held } = await open()
    const ahead = store.all().length
    expect([ahead >= 90 && ahead <= 120, held.warnings]).toEqual([true, []])
    store.update(met, { agent: 'y/1' }, now())
    store.update(gone, {}, now())
    store.delete(gone)
    const tagged = new Set<string>()
    held.started({ peerStore: store, tagged: (id: PeerId) => tagged.add(id) } as unknown as Node)
    expect(tagged.size).toBe(ahead)
    await vi.advanceTimersByTimeAsync(100)
    time.mockRestore()
    expect([store.all().length, tagged.size, store.get(gone)]).toEqual([299, 299, undefined])
    expect(store.get(met)).toMatchObject({ agent: 'y/1', tags: { 'keep-alive': 1 } })
    expect(errors.map(({ code, message }) => [code, message.split(':')[0]])).toEqual([
      ['ERR_STORE', 'of the stored peers 1 damaged and forgotten'],
    ])
    await held.close()
    expect([kept.size, kept.has('junk'), kept.has(gone)]).toEqual([299, false, false])
    expect(decodeStoredPeer(kept.get(met) as Uint8Array)).toMatchObject({ agent: 'y/1', tags: { 'keep-alive': 1 } })
  })

  it('do not keep a peer waiting', async () => {
    const { open } = stage({ load: () => new Promise(() => {}) })
    const opened = open()
    await vi.advanceTimersByTimeAsync(3_000)
    expect((await opened).held.warnings).toMatchObject([{ code: 'ERR_STORE' }])
  })

  it('can not be written: one error, and the peer goes on without', async () => {
    let tried = 0
    const { errors, open } = stage({
      async write() {
        tried += 1
        throw new DOMException('full', 'QuotaExceededError')
      },
    })
    const { store, held } = await open()
    for (let round = 0; round < 3; round += 1) {
      store.update(a, {}, now())
      await vi.advanceTimersByTimeAsync(500)
    }
    await held.close()
    expect([tried, errors.map(({ code }) => code), store.get(a)?.id]).toEqual([1, ['ERR_STORE'], a])
  })
})
