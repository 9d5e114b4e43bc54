import { describe, expect, it } from 'vitest'
import { KAD_MAX_PROVIDED, KAD_PROVIDER_LIFE, KAD_REPROVIDE, KAD_REPROVIDE_BATCH, KAD_REPROVIDE_RETRY } from '../../limits.ts'
import { codeOf } from '../../testing/property.ts'
import { Provided } from './provided.ts'

const DATE = 1_750_000_000_000

const key = (n: number): Uint8Array => Uint8Array.of(n & 255, n >> 8)

describe('what is provided', () => {
  it('is due again in time, and then again', () => {
    const provided = new Provided(() => 0.5)
    expect(provided.deadline).toBe(Number.POSITIVE_INFINITY)
    provided.add(key(1), 0, DATE)
    provided.add(key(2), 1_000, DATE)
    const first = provided.deadline
    expect([first, first < KAD_PROVIDER_LIFE]).toEqual([0.95 * KAD_REPROVIDE, true])
    expect(provided.due(first - 1, DATE)).toEqual([])
    expect(provided.due(first, DATE)).toEqual([key(1)])
    expect(provided.due(first, DATE)).toEqual([])
    expect(provided.due(3 * KAD_REPROVIDE, DATE)).toEqual([key(1), key(2)].sort())
  })

  it('is due later when it was told of meanwhile, and never when it was taken back', () => {
    const provided = new Provided(() => 0)
    provided.add(key(1), 0, DATE)
    provided.add(key(1), 5_000, DATE)
    expect([provided.size, provided.deadline]).toEqual([1, 0.9 * KAD_REPROVIDE + 5_000])
    expect([provided.delete(key(1)), provided.delete(key(1)), provided.deadline]).toEqual([true, false, Number.POSITIVE_INFINITY])
  })

  it('is so much and no more', () => {
    const provided = new Provided(() => 0)
    for (let n = 0; n < KAD_MAX_PROVIDED; n++) provided.add(key(n), 0, DATE)
    expect(codeOf(() => provided.add(key(KAD_MAX_PROVIDED), 0, DATE))).toBe('ERR_INVALID_ARGUMENT')
    provided.add(key(7), 5, DATE)
    expect(provided.size).toBe(KAD_MAX_PROVIDED)
  })

  it('is due by so many at a time, and sooner where it could not be told', () => {
    const provided = new Provided(() => 0)
    for (let n = 0; n < 40; n++) provided.add(key(n), 0, DATE)
    expect([provided.due(KAD_REPROVIDE, DATE).length, provided.due(KAD_REPROVIDE, DATE).length]).toEqual([KAD_REPROVIDE_BATCH, 8])
    provided.failed(key(3), KAD_REPROVIDE)
    provided.failed(key(99), KAD_REPROVIDE)
    expect(provided.deadline).toBe(KAD_REPROVIDE + KAD_REPROVIDE_RETRY)
    expect(provided.due(KAD_REPROVIDE + KAD_REPROVIDE_RETRY, DATE)).toEqual([key(3)])
  })

  it('survives a restart by the shelf, and is due as if there had been none', () => {
    const entries = new Map<string, Uint8Array>()
    const shelf = {
      put: (name: string, bytes: Uint8Array) => void entries.set(name, bytes),
      delete: (name: string) => void entries.delete(name),
    }
    const before = new Provided(() => 0, shelf)
    for (const n of [1, 2, 3]) before.add(key(n), 0, DATE + n)
    before.delete(key(2))
    entries.set('nonsense', Uint8Array.of(255))
    entries.set('misnamed', entries.values().next().value as Uint8Array)
    const after = new Provided(() => 0, shelf)
    after.load([...entries], 5_000, DATE + KAD_REPROVIDE / 2)
    expect([after.size, entries.size, [...after.entries()]]).toEqual([2, 2, [...entries]])
    expect(after.deadline).toBe(5_000 + 0.4 * KAD_REPROVIDE + 1)
    const late = new Provided(() => 0, shelf)
    late.load([...entries], 5_000, DATE + 9 * KAD_REPROVIDE)
    expect(late.due(5_000, DATE)).toEqual([key(1), key(3)])
  })
})
