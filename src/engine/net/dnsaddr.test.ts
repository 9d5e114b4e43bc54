import { describe, expect, it } from 'vitest'
import { TabmeshError } from '../../errors.ts'
import { parseMultiaddr } from '../codec/multiaddr.ts'
import { DNS_TIMEOUT } from '../limits.ts'
import { World } from '../testing/world.ts'
import { type LookUpTxt, type Resolved, resolveDnsaddrs } from './dnsaddr.ts'

const A = '/p2p/12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5'
const B = '/p2p/12D3KooWHwLTSMBUsvMiMAVuWDGK6LZwaeUGKLdhbXU7GGHgHaNM'

/** A zone, whose answers come in an order of their own: the last asked first. */
const zone = (records: Record<string, readonly string[]>) => {
  const asked: string[] = []
  const waiting: (() => void)[] = []
  const lookUp: LookUpTxt = (name, done) => {
    asked.push(name)
    waiting.push(() => {
      const texts = records[name]
      done(texts === undefined ? { ok: false, fault: new TabmeshError('ERR_TIMEOUT', 'no answer') } : { ok: true, value: texts })
    })
    return () => {}
  }
  return { asked, lookUp, answer: () => waiting.splice(0).reverse() }
}

const resolve = (texts: readonly string[], records: Record<string, readonly string[]>) => {
  const world = new World(1)
  const { asked, lookUp, answer } = zone(records)
  let got: Resolved | undefined
  resolveDnsaddrs(texts.map(parseMultiaddr), lookUp, world, (resolved) => {
    got = resolved
  })
  expect(got, 'never before it has returned').toBeUndefined()
  world.run(0)
  for (let answers = answer(); answers.length > 0; answers = answer()) for (const run of answers) run()
  expect(world.waiting).toBe(0)
  return { asked, found: got?.addresses.map(({ text }) => text), faults: got?.faults.map(({ code }) => code) }
}

describe('a dnsaddr', () => {
  it('becomes what stands in its TXT records, those of the peer that was asked for', () => {
    const { asked, found } = resolve([`/dnsaddr/boot.example${A}`, '/ip4/9.9.9.9/tcp/1'], {
      '_dnsaddr.boot.example': [`dnsaddr=/ip4/1.2.3.4/tcp/1${A}`, `dnsaddr=/ip4/1.2.3.5/tcp/1${B}`, 'v=spf1', 'dnsaddr=nonsense'],
    })
    expect(asked).toEqual(['_dnsaddr.boot.example'])
    expect(found).toEqual([`/ip4/1.2.3.4/tcp/1${A}`, '/ip4/9.9.9.9/tcp/1'])
  })

  it('may lead to further ones, and keeps its place in the order', () => {
    const { found } = resolve(['/dnsaddr/a.example', '/dnsaddr/b.example'], {
      '_dnsaddr.a.example': ['dnsaddr=/dnsaddr/c.example', 'dnsaddr=/ip4/2.2.2.2/tcp/2'],
      '_dnsaddr.b.example': ['dnsaddr=/ip4/3.3.3.3/tcp/3'],
      '_dnsaddr.c.example': ['dnsaddr=/ip4/1.1.1.1/tcp/1'],
    })
    expect(found).toEqual(['/ip4/1.1.1.1/tcp/1', '/ip4/2.2.2.2/tcp/2', '/ip4/3.3.3.3/tcp/3'])
  })

  it('that leads to itself ends, in a fault', () => {
    const { asked, found, faults } = resolve(['/dnsaddr/a.example'], {
      '_dnsaddr.a.example': ['dnsaddr=/dnsaddr/a.example', 'dnsaddr=/dnsaddr/a.example'],
    })
    expect([found, faults?.[0]]).toEqual([[], 'ERR_DNS'])
    expect(asked.length).toBeLessThanOrEqual(32)
  })

  it('that can not be looked up harms no other address, and is told beside them', () => {
    expect(resolve(['/dnsaddr/a.example', '/ip4/1.1.1.1/tcp/1'], {})).toMatchObject({ found: ['/ip4/1.1.1.1/tcp/1'], faults: ['ERR_DNS'] })
    expect(resolve(['/dnsaddr/a.example'], {})).toMatchObject({ found: [], faults: ['ERR_DNS'] })
    expect(resolve(['/dnsaddr/a.example'], { '_dnsaddr.a.example': [] })).toMatchObject({ found: [], faults: ['ERR_DNS'] })
  })

  it('that is not answered at all holds nothing up for longer than its deadline', () => {
    const world = new World(1)
    let got: Resolved | undefined
    let cancelled = 0
    const silent: LookUpTxt = () => () => void (cancelled += 1)
    resolveDnsaddrs(['/dnsaddr/a.example', '/ip4/1.1.1.1/tcp/1'].map(parseMultiaddr), silent, world, (resolved) => {
      got = resolved
    })
    world.run(DNS_TIMEOUT - 1)
    expect(got).toBeUndefined()
    world.run(1)
    expect([got?.addresses.map(({ text }) => text), got?.faults.map(({ code }) => code), cancelled]).toEqual([
      ['/ip4/1.1.1.1/tcp/1'],
      ['ERR_DNS'],
      1,
    ])
  })

  it('of a thousand addresses gives a hundred', () => {
    const many = [...Array(1_000).keys()].map((port) => `dnsaddr=/ip4/1.1.1.1/tcp/${port + 1}`)
    expect(resolve(['/dnsaddr/a.example'], { '_dnsaddr.a.example': many }).found).toHaveLength(100)
  })
})
