import { describe, expect, it } from 'vitest'
import { type Multiaddr, parseMultiaddr } from '../codec/multiaddr.ts'
import type { PeerId } from '../codec/peer-id.ts'
import { ADDRESS_LIFE_HEARD, ADDRESS_LIFE_TOLD, PEER_LIFE, PEER_STORE_MAX, PEER_STORE_MAX_ADDRESSES } from '../limits.ts'
import { PeerStore } from './peer-store.ts'
import type { Identified } from './service.ts'

const peer = (at: number): PeerId => `peer ${at}` as PeerId
const at = (...ports: number[]): Multiaddr[] => ports.map((port) => parseMultiaddr(`/memory/${port}`))
const ports = (list: readonly Multiaddr[] | undefined): (string | undefined)[] => (list ?? []).map(({ text }) => text.split('/')[2])
const texts = (store: PeerStore, id = peer(1)): (string | undefined)[] => ports(store.get(id)?.addresses)
const certified = (store: PeerStore, id = peer(1)): (string | undefined)[] => ports(store.get(id)?.certified)
const record = (seq: bigint, ...addresses: number[]) => ({ seq, addresses: at(...addresses), envelope: Uint8Array.of(Number(seq & 255n)) })

describe('the peer store', () => {
  it('merges what it hears, the newest addresses first and each once', () => {
    const store = new PeerStore(() => 0)
    store.update(peer(1), { addresses: at(1, 2), protocols: ['/a/1'], tags: { relay: 50 } }, 10)
    store.update(peer(1), { addresses: at(3, 2), agent: 'x/1', tags: { room: 1 } }, 20)
    expect(texts(store)).toEqual(['3', '2', '1'])
    expect(store.get(peer(1))).toMatchObject({
      protocols: ['/a/1'],
      agent: 'x/1',
      tags: { relay: 50, room: 1 },
      seenAt: 20,
      recordSeq: undefined,
      envelope: undefined,
      certified: [],
    })
  })

  it('a record takes the place of all that was heard; what is heard later stands behind it and is not certified', () => {
    const store = new PeerStore(() => 0)
    store.update(peer(1), { addresses: at(1), protocols: ['/a/1'], agent: 'x/1', tags: { room: 1 } }, 1)
    expect(store.certify(peer(1), record(5n, 2, 3), 2)).toBe(true)
    expect([texts(store), certified(store)]).toEqual([
      ['2', '3'],
      ['2', '3'],
    ])
    store.update(peer(1), { addresses: at(4, 2) }, 3)
    expect([texts(store), certified(store)]).toEqual([
      ['2', '3', '4'],
      ['2', '3'],
    ])
    expect(store.get(peer(1))).toMatchObject({
      protocols: ['/a/1'],
      agent: 'x/1',
      tags: { room: 1 },
      recordSeq: 5n,
      envelope: Uint8Array.of(5),
    })
    // A record of no addresses says that there are none.
    expect(store.certify(peer(1), record(6n), 4)).toBe(true)
    expect([texts(store), certified(store)]).toEqual([[], []])
  })

  it('a record counts if its number is higher, of 64 bits; one that is as high or lower changes nothing', () => {
    const store = new PeerStore(() => 0)
    const seqs: [bigint, boolean][] = [
      [0n, true],
      [0n, false],
      [5n, true],
      [4n, false],
      [2n ** 53n, true],
      [2n ** 53n + 1n, true],
      [2n ** 53n, false],
      [2n ** 64n - 1n, true],
      [2n ** 64n - 2n, false],
    ]
    let newest: string[] = []
    seqs.forEach(([seq, taken], index) => {
      expect(store.certify(peer(1), record(seq, index), index)).toBe(taken)
      if (taken) newest = [String(index)]
      expect(certified(store)).toEqual(newest)
    })
  })

  it('what identify tells beside an old record counts, the old addresses do not, and the answer has the new ones', () => {
    const store = new PeerStore(() => 0)
    const told = (seq: bigint, port: number, protocol: string): Identified => ({
      protocols: [protocol],
      addresses: at(port),
      certified: at(port),
      agent: 'x/1',
      protocolVersion: '',
      observed: undefined,
      signedRecord: Uint8Array.of(Number(seq)),
      recordSeq: seq,
    })
    expect(store.learn(peer(1), told(5n, 5, '/a/1'), 1)).toEqual(told(5n, 5, '/a/1'))
    expect(store.learn(peer(1), told(4n, 4, '/b/1'), 2)).toEqual(told(5n, 5, '/b/1'))
    expect([texts(store), store.get(peer(1))?.protocols]).toEqual([['5'], ['/b/1']])
    // Unsigned beside the same record: heard.
    store.learn(peer(1), { ...told(5n, 5, '/b/1'), addresses: at(6) }, 3)
    expect([texts(store), certified(store)]).toEqual([['5', '6'], ['5']])
    const unsigned = { ...told(0n, 7, '/b/1'), certified: undefined, signedRecord: undefined, recordSeq: undefined }
    store.learn(peer(2), unsigned, 3)
    expect([texts(store, peer(2)), certified(store, peer(2))]).toEqual([['7'], []])
  })

  it('keeps so many addresses of one peer, the certified ones before the others', () => {
    const store = new PeerStore(() => 0)
    for (let i = 0; i < 40; i += 1) store.update(peer(1), { addresses: at(i) }, i)
    expect(texts(store).length).toBe(PEER_STORE_MAX_ADDRESSES)
    expect(texts(store)[0]).toBe('39')
    const many = Array.from({ length: 40 }, (_, index) => 100 + index)
    store.certify(peer(1), record(1n, ...many), 50)
    store.update(peer(1), { addresses: at(1) }, 51)
    expect([texts(store).length, texts(store).includes('1'), certified(store).length]).toEqual([
      PEER_STORE_MAX_ADDRESSES,
      false,
      PEER_STORE_MAX_ADDRESSES,
    ])
  })

  it('keeps so many peers: those seen longest ago go', () => {
    const store = new PeerStore(() => 0)
    for (let i = 0; i < PEER_STORE_MAX; i += 1) store.update(peer(i), {}, i)
    store.update(peer(0), { agent: 'seen again' }, 5_000)
    store.certify(peer(1), record(1n, 1), 5_500)
    for (let i = 0; i < 500; i += 1) store.update(peer(10_000 + i), {}, 6_000)
    expect(store.all().length).toBe(PEER_STORE_MAX)
    expect([store.get(peer(0))?.agent, certified(store)]).toEqual(['seen again', ['1']])
    expect([store.get(peer(2)), store.get(peer(501)), store.get(peer(502))?.seenAt]).toEqual([undefined, undefined, 502])
    expect([store.delete(peer(0)), store.delete(peer(0)), store.get(peer(0))]).toEqual([true, false, undefined])
  })

  it('forgets those without a tag first: a flood of strangers drives nobody out who was given a name', () => {
    const store = new PeerStore(() => 0)
    store.update(peer(0), { tags: { 'keep-alive': 1 } }, 0)
    for (let i = 1; i < 3 * PEER_STORE_MAX; i += 1) store.update(peer(i), {}, i)
    expect([store.all().length, store.get(peer(0))?.tags, store.get(peer(1))]).toEqual([PEER_STORE_MAX, { 'keep-alive': 1 }, undefined])
    for (let i = 0; i < 3 * PEER_STORE_MAX; i += 1) store.update(peer(i), { tags: { 'keep-alive': 1 } }, i)
    expect([store.all().length, store.get(peer(0))]).toEqual([PEER_STORE_MAX, undefined])
  })

  it('takes a tag away with 0, and holds the others up to 100', () => {
    const store = new PeerStore(() => 0)
    store.update(peer(1), { tags: { room: 7, relay: 1_000, none: Number.NaN } }, 0)
    expect(store.get(peer(1))?.tags).toEqual({ room: 7, relay: 100 })
    store.update(peer(1), { tags: { room: 0 } }, 0)
    expect(store.get(peer(1))?.tags).toEqual({ relay: 100 })
  })
})

describe('lifetimes', () => {
  const told = (seq: bigint, signed: number, ...unsigned: number[]): Identified => ({
    protocols: [],
    addresses: at(signed, ...unsigned),
    certified: at(signed),
    agent: 'x/1',
    protocolVersion: '',
    observed: undefined,
    signedRecord: Uint8Array.of(Number(seq)),
    recordSeq: seq,
  })
  const clocked = () => {
    const clock = { now: 1_000 }
    return { clock, store: new PeerStore(() => clock.now) }
  }

  it('what others say of a peer is over after an hour, what it told itself after a week, the peer after a month', () => {
    const { clock, store } = clocked()
    store.learn(peer(1), told(1n, 1, 2), clock.now)
    store.update(peer(1), { addresses: at(3) }, clock.now)
    const knownAfter = (ms: number) => {
      clock.now = 1_000 + ms
      return [texts(store), certified(store)]
    }
    expect(knownAfter(ADDRESS_LIFE_HEARD - 1)).toEqual([['1', '3', '2'], ['1']])
    expect(knownAfter(ADDRESS_LIFE_HEARD)).toEqual([['1', '2'], ['1']])
    expect(knownAfter(ADDRESS_LIFE_TOLD - 1)).toEqual([['1', '2'], ['1']])
    expect(knownAfter(ADDRESS_LIFE_TOLD)).toEqual([[], []])
    expect([store.get(peer(1))?.agent, store.get(peer(1))?.recordSeq]).toEqual(['x/1', 1n])
    expect([knownAfter(PEER_LIFE), store.get(peer(1)), store.all()]).toEqual([[[], []], undefined, []])
  })

  it('what was heard again from others is still what the peer told', () => {
    const { clock, store } = clocked()
    store.update(peer(1), { addresses: at(1) }, clock.now, true)
    store.update(peer(1), { addresses: at(1) }, clock.now)
    clock.now += ADDRESS_LIFE_HEARD
    expect(texts(store)).toEqual(['1'])
  })

  it('a peer that repeats its record, or was connected until now, is known anew; an older record still does not count', () => {
    const { clock, store } = clocked()
    store.learn(peer(1), told(2n, 1), clock.now)
    clock.now += ADDRESS_LIFE_TOLD
    expect(texts(store)).toEqual([])
    store.learn(peer(1), told(1n, 9), clock.now)
    expect(texts(store)).toEqual([])
    store.learn(peer(1), told(2n, 1, 2), clock.now)
    expect([texts(store), certified(store)]).toEqual([['1', '2'], ['1']])
    store.update(peer(1), { addresses: at(3) }, clock.now)
    clock.now += ADDRESS_LIFE_TOLD
    expect(texts(store)).toEqual([])
    store.touch(peer(1), clock.now)
    expect([texts(store), certified(store)]).toEqual([['1', '2'], ['1']])
    store.touch(peer(2), clock.now)
    expect(store.get(peer(2))).toBeUndefined()
  })

  it('where we found a peer is remembered, unless it says so itself with or without its name', () => {
    const { clock, store } = clocked()
    const id = '12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5' as PeerId
    store.learn(id, told(1n, 1, 2), clock.now, parseMultiaddr(`/memory/2/p2p/${id}`))
    store.learn(id, told(1n, 1, 2), clock.now, parseMultiaddr(`/memory/1/p2p/${id}`))
    expect(texts(store, id)).toEqual(['1', '2'])
    store.learn(id, told(1n, 1, 2), clock.now, parseMultiaddr(`/memory/3/p2p/${id}`))
    expect(texts(store, id)).toEqual(['1', '2', '3'])
  })
})

describe('a peer store that is kept', () => {
  const DAY = 24 * 60 * 60_000
  const watched = (now = 0) => {
    const store = new PeerStore(() => now)
    const changed: string[] = []
    store.onChange = (id) => changed.push(id)
    return { store, changed }
  }

  it('says which peers changed, were driven out or forgotten', () => {
    const { store, changed } = watched()
    store.update(peer(1), {}, 0)
    store.certify(peer(1), record(1n, 1), 0)
    store.certify(peer(1), record(1n, 1), 0)
    store.delete(peer(1))
    store.delete(peer(1))
    expect(changed).toEqual([peer(1), peer(1), peer(1)])
    for (let i = 0; i <= PEER_STORE_MAX; i += 1) store.update(peer(i), {}, i)
    expect([changed.at(-1), store.stored(peer(0))]).toEqual([peer(0), undefined])
  })

  it('comes back as it was, less what is over; those met since are known better', () => {
    const { store: before } = watched()
    before.certify(peer(1), record(5n, 1), 10 * DAY)
    before.update(peer(1), { addresses: at(2), tags: { room: 1 } }, 10 * DAY)
    before.update(peer(2), { addresses: at(3) }, DAY)
    before.update(peer(3), { agent: 'old' }, 10 * DAY)
    const left = [1, 2, 3].flatMap((each) => before.stored(peer(each)) ?? [])

    const { store, changed } = watched(DAY + PEER_LIFE)
    store.update(peer(3), { agent: 'new' }, DAY + PEER_LIFE)
    changed.length = 0
    store.load(left, DAY + PEER_LIFE)
    expect(store.all().map(({ id }) => id)).toEqual([peer(1), peer(3)])
    expect([store.get(peer(1))?.tags, store.get(peer(1))?.recordSeq, store.get(peer(3))?.agent]).toEqual([{ room: 1 }, 5n, 'new'])
    // One is known better than to either, the other forgotten.
    expect(changed).toEqual([peer(3), peer(2)])
  })

  it('what was seen in the future was seen now: a clock that was wrong keeps nothing for ever', () => {
    const { store: before } = watched()
    before.update(peer(1), { addresses: at(1) }, 1_000 * DAY, true)
    const clock = { now: DAY }
    const store = new PeerStore(() => clock.now)
    store.load([before.stored(peer(1)) as never], clock.now)
    expect([texts(store), store.get(peer(1))?.seenAt]).toEqual([['1'], DAY])
    clock.now += ADDRESS_LIFE_TOLD
    expect(texts(store)).toEqual([])
  })

  it('takes no more than its bound in', () => {
    const { store: before } = watched()
    const many = Array.from({ length: 2 * PEER_STORE_MAX }, (_, index) => {
      before.update(peer(index), {}, index)
      return before.stored(peer(index)) as never
    })
    const { store, changed } = watched()
    store.load(many, 5_000)
    expect([store.all().length, store.get(peer(PEER_STORE_MAX - 1)), changed.length > 0]).toEqual([PEER_STORE_MAX, undefined, true])
    expect(new Set(changed).size).toBe(PEER_STORE_MAX)
  })
})
