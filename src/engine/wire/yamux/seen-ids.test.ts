import { describe, expect, it } from 'vitest'
import { YAMUX_MAX_GAPS } from '../../limits.ts'
import { prng } from '../../testing/prng.ts'
import { SeenIds } from './seen-ids.ts'

describe('SeenIds', () => {
  it('takes ids in order, each once', () => {
    const seen = new SeenIds(1)
    expect([1, 3, 5].map((id) => seen.use(id))).toEqual(['new', 'new', 'new'])
    expect([1, 3, 5].map((id) => seen.use(id))).toEqual(['reused', 'reused', 'reused'])
  })

  it('takes ids out of order, as go and rust may send them', () => {
    const seen = new SeenIds(2)
    expect([10, 2, 8, 4, 6].map((id) => seen.use(id))).toEqual(Array(5).fill('new'))
    expect([2, 4, 6, 8, 10].map((id) => seen.use(id))).toEqual(Array(5).fill('reused'))
  })

  it('agrees with a set, in any order', () => {
    for (let seed = 1; seed <= 50; seed++) {
      const random = prng(seed)
      const seen = new SeenIds(1)
      const used = new Set<number>()
      for (let i = 0; i < 400; i++) {
        const id = 1 + 2 * random.below(300)
        expect(seen.use(id), `seed ${seed}, step ${i}, id ${id}`).toBe(used.has(id) ? 'reused' : 'new')
        used.add(id)
      }
    }
  })

  it('takes a leap to the highest id in its stride', () => {
    const seen = new SeenIds(1)
    expect(seen.use(0xffffffff)).toBe('new')
    expect(seen.use(0x80000001)).toBe('new')
    expect(seen.use(0x80000001)).toBe('reused')
    expect(seen.use(0xffffffff)).toBe('reused')
  })

  it('forgets the oldest gaps of a remote that leaves ever more', () => {
    const seen = new SeenIds(1)
    // Every other id is passed over: 3, 7, 11 …
    for (let id = 1; id <= 1 + 4 * (YAMUX_MAX_GAPS + 10); id += 4) expect(seen.use(id)).toBe('new')
    expect(seen.use(3)).toBe('unknown')
    expect(seen.use(4 * 10 - 1)).toBe('unknown')
    expect(seen.use(4 * 10 + 3)).toBe('new')
    expect(seen.use(4 * 10 + 3)).toBe('reused')
  })
})
