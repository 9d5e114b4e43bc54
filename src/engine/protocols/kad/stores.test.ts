import { describe, expect, it } from 'vitest'
import { parseMultiaddr } from '../../codec/multiaddr.ts'
import {
  KAD_MAX_PER_PROVIDER,
  KAD_MAX_PROVIDERS_KEPT,
  KAD_MAX_RECORDS,
  KAD_MAX_RECORDS_BYTES,
  KAD_MAX_VALUE,
  KAD_PROVIDER_ADDRESS_LIFE,
  KAD_PROVIDER_LIFE,
  KAD_RECORD_LIFE,
} from '../../limits.ts'
import { someContact } from '../../testing/kad/peers.ts'
import { prng } from '../../testing/prng.ts'
import { ProviderStore, RecordStore, type Shelf } from './stores.ts'

const random = prng(1)
const HOUR = 3_600_000
const DATE = 1_750_000_000_000
const address = parseMultiaddr('/ip4/192.0.2.1/tcp/4001')
const key = (n: number): Uint8Array => Uint8Array.of(0x12, 32, n & 255, n >> 8)

const shelf = (): Shelf & { readonly entries: Map<string, Uint8Array> } => {
  const entries = new Map<string, Uint8Array>()
  return { entries, put: (name, bytes) => void entries.set(name, bytes), delete: (name) => void entries.delete(name) }
}

describe('records', () => {
  it('are kept for 48 hours since they were last stored, and are not handed out when they are over', () => {
    const store = new RecordStore()
    store.put(key(1), Uint8Array.of(1), DATE)
    store.put(key(2), Uint8Array.of(2), DATE)
    store.put(key(1), Uint8Array.of(3), DATE + 10 * HOUR)
    expect(store.get(key(2), DATE + KAD_RECORD_LIFE - 1)?.value).toEqual(Uint8Array.of(2))
    expect(store.get(key(2), DATE + KAD_RECORD_LIFE)).toBeUndefined()
    expect(store.get(key(1), DATE + KAD_RECORD_LIFE)?.value).toEqual(Uint8Array.of(3))
    expect(store.size).toBe(2)
    store.sweep(DATE + KAD_RECORD_LIFE)
    expect(store.size).toBe(1)
  })

  it('survive a restart by the shelf, without those that are over or can not be read, and keep their time', () => {
    const under = shelf()
    const before = new RecordStore(under)
    before.put(key(1), Uint8Array.of(1), DATE)
    before.put(key(2), Uint8Array.of(2), DATE + 20 * HOUR)
    before.put(key(3), Uint8Array.of(3), DATE + 999 * HOUR)
    under.entries.set('nonsense', Uint8Array.of(255, 255))
    under.entries.set('misnamed', under.entries.values().next().value as Uint8Array)
    expect([...before.entries()].map(([name]) => name)).toEqual([...under.entries.keys()].slice(0, 3))
    expect([...before.entries()].map(([, bytes]) => bytes)).toEqual([...under.entries.values()].slice(0, 3))
    const after = new RecordStore(under)
    after.load([...under.entries], DATE + 50 * HOUR)
    expect([after.size, under.entries.size, after.bytes]).toEqual([2, 2, before.bytes - 5])
    expect(after.get(key(2), DATE + 67 * HOUR)?.value).toEqual(Uint8Array.of(2))
    expect(after.get(key(2), DATE + 68 * HOUR)).toBeUndefined()
    // Stored in the future: the clock was wrong.
    expect(after.get(key(3), DATE + 98 * HOUR)).toBeUndefined()
    after.sweep(DATE + 98 * HOUR)
    expect([after.size, after.bytes, under.entries.size]).toEqual([0, 0, 0])
  })

  it('are so many, and so many bytes: the oldest give way', () => {
    const under = shelf()
    const store = new RecordStore(under)
    for (let i = 0; i < KAD_MAX_RECORDS + 5; i++) store.put(key(i), Uint8Array.of(1), DATE + i)
    expect([store.size, under.entries.size]).toEqual([KAD_MAX_RECORDS, KAD_MAX_RECORDS])
    expect([store.get(key(4), DATE + 1e4), store.get(key(5), DATE + 1e4)?.at]).toEqual([undefined, DATE + 5])
    const large = new Uint8Array(KAD_MAX_VALUE)
    for (let i = 0; i < KAD_MAX_RECORDS; i++) store.put(key(i), large, DATE + 1e6 + i)
    expect(store.bytes).toBeLessThanOrEqual(KAD_MAX_RECORDS_BYTES)
    expect(store.bytes).toBeGreaterThan(KAD_MAX_RECORDS_BYTES - 2 * KAD_MAX_VALUE)
    expect(under.entries.size).toBe(store.size)
  })
})

describe('providers', () => {
  const [a, b] = [someContact(random).peer, someContact(random).peer]

  it('are kept for 48 hours since they last said so, their addresses for 24', () => {
    const store = new ProviderStore()
    store.add(key(1), a, [address], DATE)
    store.add(key(1), b, [address], DATE + HOUR)
    const at = (date: number) => store.get(key(1), date).map(({ peer, addresses }) => [peer, addresses.length])
    expect(at(DATE + HOUR)).toEqual([
      [b, 1],
      [a, 1],
    ])
    expect(at(DATE + KAD_PROVIDER_ADDRESS_LIFE)).toEqual([
      [b, 1],
      [a, 0],
    ])
    expect(at(DATE + KAD_PROVIDER_LIFE)).toEqual([[b, 0]])
    store.add(key(1), b, [address], DATE + 47 * HOUR)
    store.sweep(DATE + KAD_PROVIDER_LIFE + 2 * HOUR)
    expect([store.size, store.contents, at(DATE + KAD_PROVIDER_LIFE + 2 * HOUR)]).toEqual([1, 1, [[b, 1]]])
    store.sweep(DATE + 95 * HOUR)
    expect([store.size, store.contents]).toEqual([0, 0])
  })

  it('survive a restart by the shelf', () => {
    const under = shelf()
    const before = new ProviderStore(under)
    before.add(key(1), a, [address], DATE)
    before.add(key(2), b, [], DATE + 30 * HOUR)
    under.entries.set('nonsense', Uint8Array.of(1, 2, 3))
    const after = new ProviderStore(under)
    after.load([...under.entries], DATE + 10 * HOUR)
    expect(after.get(key(1), DATE + 10 * HOUR)).toEqual([{ peer: a, addresses: [address], at: DATE }])
    expect([after.size, under.entries.size]).toEqual([2, 2])
    after.sweep(DATE + KAD_PROVIDER_LIFE)
    expect([after.size, under.entries.size]).toEqual([1, 1])
  })

  it('of one content are so many: the oldest gives way', () => {
    const store = new ProviderStore()
    const peers = Array.from({ length: KAD_MAX_PROVIDERS_KEPT + 3 }, () => someContact(random).peer)
    for (const [at, peer] of peers.entries()) store.add(key(1), peer, [address], DATE + at)
    const kept = store.get(key(1), DATE + 1_000).map(({ peer }) => peer)
    expect(kept).toEqual(peers.slice(3).reverse())
    expect(store.size).toBe(KAD_MAX_PROVIDERS_KEPT)
  })

  it('may each bring so much, and repeat what they brought', () => {
    const store = new ProviderStore()
    const wide = (n: number): Uint8Array => Uint8Array.of(n & 255, (n >> 8) & 255, n >> 16)
    for (let i = 0; i < KAD_MAX_PER_PROVIDER; i++) expect(store.add(wide(i), a, [], DATE)).toBe(true)
    expect(store.add(wide(KAD_MAX_PER_PROVIDER), a, [], DATE)).toBe(false)
    expect(store.add(wide(7), a, [], DATE)).toBe(true)
    expect(store.add(wide(KAD_MAX_PER_PROVIDER), b, [], DATE)).toBe(true)
    expect(store.size).toBe(KAD_MAX_PER_PROVIDER + 1)
  })
})
