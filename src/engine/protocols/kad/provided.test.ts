import { describe, expect, it } from 'vitest'
import { KAD_MAX_PROVIDED, KAD_PROVIDER_LIFE, KAD_REPROVIDE } from '../../limits.ts'
import { codeOf } from '../../testing/property.ts'
import { Provided } from './provided.ts'

const key = (n: number): Uint8Array => Uint8Array.of(n & 255, n >> 8)

describe('what is provided', () => {
  it('is due again in time, and then again', () => {
    const provided = new Provided(() => 0.5)
    expect(provided.deadline).toBe(Number.POSITIVE_INFINITY)
    provided.add(key(1), 0)
    provided.add(key(2), 1_000)
    const first = provided.deadline
    expect([first, first < KAD_PROVIDER_LIFE]).toEqual([0.95 * KAD_REPROVIDE, true])
    expect(provided.due(first - 1)).toEqual([])
    expect(provided.due(first)).toEqual([key(1)])
    expect(provided.due(first)).toEqual([])
    expect(provided.due(3 * KAD_REPROVIDE)).toEqual([key(1), key(2)].sort())
  })

  it('is due later when it was told of meanwhile, and never when it was taken back', () => {
    const provided = new Provided(() => 0)
    provided.add(key(1), 0)
    provided.add(key(1), 5_000)
    expect([provided.size, provided.deadline]).toEqual([1, 0.9 * KAD_REPROVIDE + 5_000])
    expect([provided.delete(key(1)), provided.delete(key(1)), provided.deadline]).toEqual([true, false, Number.POSITIVE_INFINITY])
  })

  it('is so much and no more', () => {
    const provided = new Provided(() => 0)
    for (let n = 0; n < KAD_MAX_PROVIDED; n++) provided.add(key(n), 0)
    expect(codeOf(() => provided.add(key(KAD_MAX_PROVIDED), 0))).toBe('ERR_INVALID_ARGUMENT')
    provided.add(key(7), 5)
    expect(provided.size).toBe(KAD_MAX_PROVIDED)
  })
})
