import { describe, expect, it } from 'vitest'
import { parseMultiaddr } from '../../codec/multiaddr.ts'
import { KAD_K, KAD_MAX_CHECKS, KAD_REFRESH, KAD_REPLACEMENTS, KAD_STALE } from '../../limits.ts'
import { byDistance, contactAt, peerKeys, someContact } from '../../testing/kad/peers.ts'
import { type Prng, prng } from '../../testing/prng.ts'
import { property } from '../../testing/property.ts'
import { admitFor } from './network.ts'
import { type Contact, Table, type TableInput, type TableOptions, type TableOutput } from './table.ts'

const lab = (seed: number, options: Partial<TableOptions> = {}) => {
  const random = prng(seed)
  const self = someContact(random)
  const table = new Table({
    self: self.key,
    keyOf: peerKeys.of,
    admit: admitFor('public', () => true),
    diverse: false,
    random: () => 0.5,
    ...options,
  })
  const outputs = (): TableOutput[] => {
    const all: TableOutput[] = []
    for (let output = table.poll(); output !== undefined; output = table.poll()) all.push(output)
    return all
  }
  const handle = (input: TableInput, now = 0): TableOutput[] => {
    table.handle(input, now)
    return outputs()
  }
  const speaks = ({ peer, addresses }: Contact, now = 0): TableOutput[] => handle({ t: 'speaks', peer, addresses }, now)
  /** One for the bucket of `prefix`. */
  const one = (prefix: number): Contact => contactAt(random, self.key, prefix)
  return { random, self, table, handle, speaks, one }
}

const named = (outputs: readonly TableOutput[]): string[] =>
  outputs.map((output) => (output.t === 'check' ? `check ${output.contact.peer}` : output.t))

describe('a routing table', () => {
  it('takes who speaks the protocol, k of each distance', () => {
    const { table, speaks, one } = lab(1)
    for (let i = 0; i < 30; i++) speaks(one(0))
    for (let i = 0; i < 5; i++) speaks(one(2))
    expect([table.sizes, table.size]).toEqual([[KAD_K, 0, 5], KAD_K + 5])
  })

  it('takes nobody that we can not dial, or who is of another network; nor ourselves', () => {
    const { table, self, speaks, one } = lab(2)
    const at = (text: string): Contact => ({ ...one(0), addresses: [parseMultiaddr(text)] })
    expect(speaks({ ...one(0), addresses: [] })).toEqual([])
    expect(speaks(at('/ip4/192.168.1.7/tcp/4001'))).toEqual([])
    expect(speaks(at('/ip4/127.0.0.1/tcp/4001'))).toEqual([])
    expect(speaks(self)).toEqual([])
    expect(table.size).toBe(0)
    expect(named(speaks(at('/dns4/example.com/tcp/443/wss')))).toEqual(['in'])
  })

  it('keeps of a peer only the addresses that count, and drops a peer that has none of them any more', () => {
    const { table, handle, speaks, one } = lab(3)
    const peer = one(0)
    speaks({ ...peer, addresses: [parseMultiaddr('/ip4/10.0.0.1/tcp/1'), ...peer.addresses] })
    expect(table.get(peer.peer)?.addresses).toEqual(peer.addresses)
    // It answered: that says nothing of addresses.
    expect(handle({ t: 'speaks', peer: peer.peer })).toEqual([])
    expect(table.has(peer.peer)).toBe(true)
    expect(named(speaks({ ...peer, addresses: [parseMultiaddr('/ip4/10.0.0.1/tcp/1')] }))).toEqual(['out'])
  })

  it('lets go of who does not answer, or does not speak the protocol any more', () => {
    const { table, handle, speaks, one } = lab(4)
    const [a, b] = [one(0), one(1)]
    speaks(a)
    speaks(b)
    expect(handle({ t: 'failed', peer: a.peer })).toEqual([{ t: 'out', peer: a.peer }])
    expect(handle({ t: 'silent', peer: b.peer })).toEqual([{ t: 'out', peer: b.peer }])
    expect(handle({ t: 'failed', peer: b.peer })).toEqual([])
    expect([table.size, table.deadline]).toEqual([0, Number.POSITIVE_INFINITY])
  })

  it('that is full at a distance keeps who has been there, and lets newcomers wait: the newest is the first to follow', () => {
    const { table, handle, speaks, one } = lab(5)
    const old = Array.from({ length: KAD_K }, () => one(0))
    const late = Array.from({ length: KAD_REPLACEMENTS + 3 }, () => one(0))
    for (const each of [...old, ...late]) speaks(each)
    expect(old.every(({ peer }) => table.has(peer))).toBe(true)
    expect(late.some(({ peer }) => table.has(peer))).toBe(false)
    const newest = late.at(-1) as Contact
    expect(named(handle({ t: 'failed', peer: (old[7] as Contact).peer }))).toEqual(['out', 'in'])
    expect(table.has(newest.peer)).toBe(true)
    // One who waits may be gone too.
    handle({ t: 'failed', peer: (late.at(-2) as Contact).peer })
    handle({ t: 'failed', peer: (old[8] as Contact).peer })
    expect([table.has((late.at(-2) as Contact).peer), table.has((late.at(-3) as Contact).peer)]).toEqual([false, true])
    // So many wait and no more: the first three are forgotten, and in the end nobody is left to follow.
    for (const { peer } of old.slice(9)) handle({ t: 'failed', peer })
    expect(table.sizes[0]).toBe(9 + KAD_REPLACEMENTS - 3)
  })

  it('checks who was silent for longest when somebody wants his place, but not for each newcomer', () => {
    const { handle, speaks, one } = lab(6)
    const old = Array.from({ length: KAD_K }, () => one(0))
    for (const [at, each] of old.entries()) speaks(each, at)
    const [first, second] = old as [Contact, Contact]
    expect(speaks(one(0), 1_000)).toEqual([])
    expect(named(speaks(one(0), KAD_REFRESH))).toEqual([`check ${first.peer}`])
    expect(speaks(one(0), KAD_REFRESH)).toEqual([])
    // It is there: now it is the last to be asked.
    expect(handle({ t: 'speaks', peer: first.peer }, KAD_REFRESH + 5)).toEqual([])
    expect(named(speaks(one(0), KAD_REFRESH + 10))).toEqual([`check ${second.peer}`])
    expect(named(handle({ t: 'failed', peer: second.peer }, KAD_REFRESH + 20))).toEqual(['out', 'in'])
  })

  it('checks who has not answered for long, so many at a time', () => {
    const { table, handle, speaks, one } = lab(7)
    const all = [...Array.from({ length: KAD_K }, () => one(0)), one(1), one(3)]
    for (const each of all) speaks(each)
    handle({ t: 'speaks', peer: (all[3] as Contact).peer }, KAD_STALE - 1)
    const checks = (now: number): string[] => named(handle({ t: 'time' }, now)).filter((each) => each.startsWith('check'))
    expect(checks(KAD_STALE - 2)).toEqual([])
    const first = checks(KAD_STALE)
    expect(first.length).toBe(KAD_MAX_CHECKS)
    expect(first).not.toContain(`check ${(all[3] as Contact).peer}`)
    for (const each of first) handle({ t: 'failed', peer: each.slice(6) }, KAD_STALE + 10)
    expect(table.size).toBe(all.length - KAD_MAX_CHECKS)
    expect(checks(KAD_STALE + KAD_REFRESH / 10).length).toBe(all.length - KAD_MAX_CHECKS - 1)
  })

  it('wants its own key looked up soon after the first peer, and its buckets; then each KAD_REFRESH', () => {
    const { table, handle, speaks, one } = lab(8)
    speaks(one(0))
    speaks(one(3))
    const due = (now: number): unknown[] => handle({ t: 'time' }, now).flatMap((output) => (output.t === 'refresh' ? [output.prefix] : []))
    expect(table.deadline).toBe(1_000)
    expect(due(1_000)).toEqual(['self'])
    expect(due(5_500)).toEqual([0, 3])
    expect(table.deadline).toBe(1_000 + KAD_REFRESH)
    // A lookup that went there anyway counts.
    handle({ t: 'looked up', key: one(3).key }, 300_000)
    expect(due(1_000 + KAD_REFRESH)).toEqual(['self'])
    expect(due(5_500 + KAD_REFRESH)).toEqual([0])
    expect(due(300_000 + KAD_REFRESH)).toEqual([3])
  })

  it('does not refresh a full bucket that has others in reserve', () => {
    const { handle, speaks, one } = lab(9)
    for (let i = 0; i < KAD_K; i++) speaks(one(0))
    const due = (now: number): unknown[] => handle({ t: 'time' }, now).flatMap((output) => (output.t === 'refresh' ? [output.prefix] : []))
    expect(due(10_000)).toEqual(['self', 0])
    speaks(one(0), 20_000)
    expect(due(10_000 + KAD_REFRESH)).toEqual(['self'])
  })

  it('of one network of addresses takes two a bucket and three in all, however many there are', () => {
    const { table, handle, speaks, one } = lab(10, { diverse: true })
    const sybils = [0, 0, 0, 0, 1, 1, 2].map((prefix, at) => ({ ...one(prefix), addresses: [parseMultiaddr(`/ip4/45.7.${at}.1/tcp/1`)] }))
    for (const each of sybils) speaks(each)
    expect(table.sizes).toEqual([2, 1, 0])
    speaks(one(0))
    expect(table.sizes).toEqual([3, 1, 0])
    // One that goes makes room for one of them, not more.
    expect(named(handle({ t: 'failed', peer: (sybils[0] as Contact).peer }))).toEqual(['out', 'in'])
    expect(table.sizes).toEqual([3, 1, 0])
  })

  it('finds the k nearest to any key: those that all together sorted would be', () => {
    property(40, (random: Prng) => {
      const { table, speaks } = lab(random.u32())
      const all = Array.from({ length: 100 }, () => someContact(random))
      for (const each of all) speaks(each)
      const there = all.filter(({ peer }) => table.has(peer))
      expect(table.size).toBe(there.length)
      for (let i = 0; i < 10; i++) {
        const target = i === 0 ? (there[0] as Contact).key : someContact(random).key
        const count = 1 + random.below(30)
        const except = i % 2 === 0 ? byDistance(target, there)[0]?.peer : undefined
        const expected = byDistance(target, there).filter(({ peer }) => peer !== except)
        expect(table.closest(target, count, except).map(({ peer }) => peer)).toEqual(expected.slice(0, count).map(({ peer }) => peer))
      }
    })
  })

  it('finds the nearest to its own key', () => {
    const { table, self, random, speaks } = lab(12)
    const all = Array.from({ length: 60 }, () => someContact(random))
    for (const each of all) speaks(each)
    const there = byDistance(self.key, all).filter(({ peer }) => table.has(peer))
    expect(table.closest(self.key).map(({ peer }) => peer)).toEqual(there.slice(0, KAD_K).map(({ peer }) => peer))
  })
})
