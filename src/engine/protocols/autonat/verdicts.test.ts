import { describe, expect, it } from 'vitest'
import { parseMultiaddr } from '../../codec/multiaddr.ts'
import {
  AUTONAT_CONFIDENCE,
  AUTONAT_DELAY,
  AUTONAT_FAILED_PAUSE,
  AUTONAT_FAILED_PAUSE_MAX,
  AUTONAT_MAX_ASKED,
  AUTONAT_MAX_ASKING,
  AUTONAT_MAX_TRACKED,
  AUTONAT_OUTCOME_LIFE,
  AUTONAT_PAUSE,
  AUTONAT_REFRESH,
  AUTONAT_REFUSED_PAUSE,
} from '../../limits.ts'
import { prng } from '../../testing/prng.ts'
import { type Probe, type Result, Verdicts } from './verdicts.ts'

const A = parseMultiaddr('/ip4/203.0.113.5/tcp/4001')
const B = parseMultiaddr('/ip4/203.0.113.5/tcp/4002/ws')

/** `answer` is what each server finds. Time goes from one deadline to the next. */
const scene = (addresses = [A], answer: (probe: Probe, at: number) => Result = () => ({ t: 'dialled', index: 0, reached: true })) => {
  const verdicts = new Verdicts()
  const asked: { at: number; server: string; addresses: string[] }[] = []
  let now = 0
  verdicts.track(
    addresses.map((address) => ({ address, pays: true })),
    now,
  )
  const settle = (probe: Probe): void => verdicts.settle(probe, answer(probe, now), now, 0.5)
  return {
    verdicts,
    asked,
    get now() {
      return now
    },
    server(peer: string, source = peer, version: 1 | 2 = 2, ip?: string) {
      verdicts.admit({ peer, source, version, ip }, now)
    },
    /** Lets `ms` pass. */
    run(ms: number) {
      const end = now + ms
      for (let turns = 0; turns < 10_000; turns++) {
        for (let probe = verdicts.next(now, 0.5); probe !== undefined; probe = verdicts.next(now, 0.5)) {
          asked.push({ at: now, server: probe.server.peer, addresses: probe.asked.map(({ address }) => address.text) })
          settle(probe)
        }
        const deadline = verdicts.deadline()
        if (deadline === undefined || deadline > end) {
          now = end
          return
        }
        // A deadline in the past would spin.
        expect(deadline).toBeGreaterThan(now)
        now = deadline
      }
      throw new Error('it does not come to rest')
    },
  }
}

const reached: Result = { t: 'dialled', index: 0, reached: true }
const missed: Result = { t: 'dialled', index: 0, reached: false }

describe('an address', () => {
  it('is unknown while there is nobody to ask', () => {
    const our = scene()
    our.run(10 * AUTONAT_REFRESH)
    expect([our.verdicts.verdictOf(A), our.asked, our.verdicts.deadline()]).toEqual(['unknown', [], undefined])
  })

  it('is public when the one server there is has reached it, and not asked about again for an hour', () => {
    const our = scene()
    our.server('S')
    our.run(AUTONAT_DELAY - 1)
    expect(our.asked).toEqual([])
    our.run(1)
    expect(our.verdicts.verdictOf(A)).toBe('public')
    our.run(0.7 * AUTONAT_REFRESH)
    expect(our.asked).toHaveLength(1)
    our.run(0.6 * AUTONAT_REFRESH)
    expect(our.asked).toHaveLength(2)
  })

  it('is public when AUTONAT_CONFIDENCE of many say so; no others are asked', () => {
    const our = scene()
    for (let i = 0; i < 20; i++) our.server(`S${i}`)
    our.run(AUTONAT_REFRESH / 2)
    expect(our.asked).toHaveLength(AUTONAT_CONFIDENCE)
    expect(new Set(our.asked.map(({ server }) => server)).size).toBe(AUTONAT_CONFIDENCE)
    expect(our.verdicts.verdictOf(A)).toBe('public')
  })

  it('is not public on the word of one where others have not spoken', () => {
    const our = scene([A], ({ server }) => (server.peer === 'S0' ? reached : missed))
    for (let i = 0; i < 6; i++) our.server(`S${i}`)
    our.run(AUTONAT_REFRESH / 2)
    expect([our.verdicts.verdictOf(A), our.verdicts.all('private').length]).toEqual(['private', 1])
  })

  it('is judged by machines, not by identities: a hundred of one are one voice', () => {
    const our = scene([A], ({ server }) => (server.source === 'crowd' ? reached : missed))
    for (let i = 0; i < 100; i++) our.server(`C${i}`, 'crowd')
    for (let i = 0; i < 2; i++) our.server(`H${i}`)
    our.run(AUTONAT_REFRESH / 2)
    expect(our.verdicts.verdictOf(A)).toBe('private')
  })

  it('is decided without servers that only fail', () => {
    const our = scene([A], ({ server }) => (server.peer === 'broken' ? { t: 'failed' } : reached))
    our.server('broken')
    our.server('S')
    our.run(2 * AUTONAT_PAUSE)
    expect(our.verdicts.verdictOf(A)).toBe('public')
  })

  it('that failed once is asked about again before it is taken away', () => {
    const found = [reached, missed, reached]
    const our = scene([A], () => found.shift() ?? reached)
    our.server('S')
    our.run(2 * AUTONAT_REFRESH)
    expect([our.verdicts.verdictOf(A), found.length]).toEqual(['public', 0])
    const [, second, third] = our.asked
    expect((third?.at ?? 0) - (second?.at ?? 0)).toBeLessThan(2 * AUTONAT_PAUSE)
  })

  it('that failed twice is private; one that answers again is public again', () => {
    const found = [reached, missed, missed]
    const our = scene([A], () => found.shift() ?? reached)
    our.server('S')
    our.run(1.3 * AUTONAT_REFRESH)
    expect(our.verdicts.verdictOf(A)).toBe('private')
    our.run(1.3 * AUTONAT_REFRESH)
    expect(our.verdicts.verdictOf(A)).toBe('public')
  })

  it('is unknown again when nobody could be asked for hours', () => {
    const our = scene()
    our.server('S')
    our.run(AUTONAT_PAUSE)
    our.verdicts.dismiss('S')
    our.run(AUTONAT_OUTCOME_LIFE - 2 * AUTONAT_PAUSE)
    expect(our.verdicts.verdictOf(A)).toBe('public')
    our.run(2 * AUTONAT_PAUSE)
    expect(our.verdicts.verdictOf(A)).toBe('unknown')
  })

  it('is decided by the rest when the one that was waited for goes', () => {
    const our = scene([A], () => reached)
    our.server('S')
    our.server('T')
    const first = our.verdicts.next(AUTONAT_DELAY, 0) as Probe
    our.verdicts.settle(first, reached, AUTONAT_DELAY, 0)
    expect(our.verdicts.verdictOf(A)).toBe('unknown')
    our.verdicts.dismiss(first.server.peer === 'S' ? 'T' : 'S')
    our.verdicts.next(AUTONAT_DELAY, 0)
    expect(our.verdicts.verdictOf(A)).toBe('public')
  })

  it('is asked about anew on another network, and keeps its verdict until then', () => {
    const found = [reached]
    const our = scene([A], () => found.shift() ?? missed)
    our.server('S')
    our.run(AUTONAT_PAUSE)
    our.verdicts.doubt(our.now)
    expect(our.verdicts.verdictOf(A)).toBe('public')
    our.run(AUTONAT_PAUSE)
    expect(our.verdicts.verdictOf(A)).toBe('private')
  })
})

describe('requests', () => {
  it('name the next address too, for a server that can’t dial the first', () => {
    const our = scene([A, B], ({ asked }) => {
      const index = asked.findIndex(({ address }) => address === B)
      return index < 0 ? { t: 'refused' } : { t: 'dialled', index, reached: true }
    })
    our.server('S')
    our.run(AUTONAT_REFUSED_PAUSE - 1)
    expect(our.asked.map(({ addresses }) => addresses)).toEqual([[A.text, B.text]])
    expect([our.verdicts.verdictOf(A), our.verdicts.verdictOf(B)]).toEqual(['unknown', 'public'])
    our.run(2 * AUTONAT_PAUSE)
    expect(our.asked).toHaveLength(2)
  })

  it('to one server keep their distance, and grow rarer where they fail', () => {
    const many = Array.from({ length: 10 }, (_, i) => parseMultiaddr(`/ip4/203.0.113.5/tcp/${i + 1}`))
    const our = scene(many)
    our.server('S')
    our.run(11 * 1.2 * AUTONAT_PAUSE)
    expect(our.asked).toHaveLength(10)
    const broken = scene([A], () => ({ t: 'failed' }))
    broken.server('S')
    broken.run(24 * AUTONAT_FAILED_PAUSE_MAX)
    const [first, second] = broken.asked
    expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThanOrEqual(AUTONAT_FAILED_PAUSE)
    expect(broken.asked.length).toBeLessThan(30)
  })

  it('are few at a time, one to a server', () => {
    const many = Array.from({ length: 10 }, (_, i) => parseMultiaddr(`/ip4/203.0.113.5/tcp/${i + 1}`))
    const our = scene(many)
    for (let i = 0; i < 10; i++) our.server(`S${i}`)
    const open: Probe[] = []
    for (let probe = our.verdicts.next(AUTONAT_DELAY, 0); probe !== undefined; probe = our.verdicts.next(AUTONAT_DELAY, 0)) open.push(probe)
    expect(open).toHaveLength(AUTONAT_MAX_ASKING)
    expect(new Set(open.map(({ server }) => server.peer)).size).toBe(AUTONAT_MAX_ASKING)
    expect(our.verdicts.deadline()).toBeUndefined()
    for (const { asked } of open) expect(asked.length).toBeLessThanOrEqual(AUTONAT_MAX_ASKED)
  })

  it('are for the first of the addresses, however many there are', () => {
    const our = scene(Array.from({ length: 10_000 }, (_, i) => parseMultiaddr(`/ip4/203.0.113.5/tcp/${i + 1}`)))
    expect(our.verdicts.all('unknown')).toHaveLength(AUTONAT_MAX_TRACKED)
  })

  it('go to version 1 only where there is no version 2, about one address, and only at the IP it sees us at', () => {
    const C = parseMultiaddr('/ip4/198.51.100.1/tcp/4001')
    const our = scene([C, A, B])
    our.server('old', 'old', 1, '203.0.113.5')
    our.run(3 * AUTONAT_PAUSE)
    expect(our.asked.map(({ addresses }) => addresses)).toEqual([[A.text], [B.text]])
    our.server('new')
    our.run(3 * AUTONAT_PAUSE)
    expect(our.asked.slice(2).every(({ server }) => server === 'new')).toBe(true)
  })

  it('settle, whatever comes (property)', () => {
    for (let seed = 1; seed <= 10; seed++) {
      const random = prng(seed)
      const our = scene([A, B], ({ asked }) => {
        const kinds: Result[] = [
          { t: 'failed' },
          { t: 'refused' },
          { t: 'dialled', index: random.below(asked.length), reached: random.below(2) === 0 },
        ]
        return kinds[random.below(3)] as Result
      })
      for (let step = 0; step < 50; step++) {
        const peer = `S${random.below(6)}`
        if (random.below(3) === 0) our.verdicts.dismiss(peer)
        else our.server(peer)
        if (random.below(10) === 0) our.verdicts.doubt(our.now)
        our.run(random.below(AUTONAT_REFRESH))
      }
      // Six servers, one request in ten seconds each at most, and far fewer in the long run.
      expect(our.asked.length, `seed ${seed}`).toBeLessThan(2_000)
    }
  })
})
