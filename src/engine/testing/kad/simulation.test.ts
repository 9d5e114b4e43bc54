import { describe, expect, it } from 'vitest'
import { KAD_K } from '../../limits.ts'
import { KadSimulation, type KadSimulationOptions } from './simulation.ts'

const run = (options: Partial<KadSimulationOptions>) => new KadSimulation({ nodes: 500, contents: 60, ...options }).run()

describe('a simulated DHT', () => {
  it('without churn finds every provider, within the logarithmic bound, at the cost of some 3 k messages', () => {
    const { found, looked, placed, hops, depth, endings, wholeMessages } = run({ nodes: 1_000 })
    expect([found, placed, endings.converged]).toEqual([looked, 1, looked])
    expect(hops.percentile(1)).toBeLessThanOrEqual(Math.ceil(Math.log2(1_000 / KAD_K)))
    expect(depth.percentile(1)).toBeLessThanOrEqual(Math.ceil(Math.log2(1_000 / KAD_K)))
    expect(wholeMessages.percentile(1)).toBeLessThan(5 * KAD_K)
  })

  it('of one path takes a third of the messages', () => {
    const { found, looked, wholeMessages } = run({ paths: 1 })
    expect(found).toBe(looked)
    expect(wholeMessages.percentile(1)).toBeLessThan(2 * KAD_K)
  })

  it('under half of its nodes leaving an hour finds nearly every provider, and keeps its tables', () => {
    const { found, looked, dead, tableSize } = run({ nodes: 200, churn: 0.5, minutes: 15 })
    expect(found / looked).toBeGreaterThanOrEqual(0.99)
    expect(dead).toBeLessThan(0.15)
    expect(tableSize).toBeGreaterThan(60)
  })

  it('with liars finds on three paths what it does not on one', () => {
    const options = { liars: 0.3, sybils: 40, contents: 100 }
    const [one, three] = [run({ ...options, paths: 1 }), run({ ...options, paths: 3 })]
    expect(one.found / one.looked).toBeLessThan(0.95)
    expect(three.found).toBeGreaterThan(one.found)
    expect(three.found / three.looked).toBeGreaterThan(0.95)
  })

  it('is the same for the same seed, and another for another', () => {
    const figures = (seed: number): unknown => {
      const { requests, found, milliseconds } = run({ seed, nodes: 200, contents: 20, churn: 0.2, minutes: 1 })
      return [requests, found, milliseconds.percentile(0.5), milliseconds.percentile(1)]
    }
    expect(figures(1)).toEqual(figures(1))
    expect(figures(2)).not.toEqual(figures(1))
  })
})
