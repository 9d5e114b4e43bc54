import { describe, expect, it } from 'vitest'
import { HOSTILE_KINDS } from './hostile.ts'
import type { Report } from './report.ts'
import { Simulation, type SimulationOptions } from './simulation.ts'

/** Smaller than `npm run sim`: the figures of 10,000 nodes are in its head. */
const run = (options: Partial<SimulationOptions>): Report => new Simulation({ nodes: 100, seconds: 10, ...options }).run()
const ratio = ({ delivered, expected }: Report): number => delivered / expected

describe('a hundred nodes', () => {
  it('each hears everything, within a few hops', () => {
    const report = run({ nodes: 200 })
    expect([report.messages, report.expected, ratio(report)]).toEqual([100, 100 * 199, 1])
    expect(report.hops.percentile(0.5)).toBeLessThanOrEqual(4)
    expect(report.milliseconds.percentile(0.99)).toBeLessThan(300)
    expect(report.duplicates).toBeLessThan(8)
  })

  it('the same seed is the same run, and another is another', () => {
    const figures = ({ hops, milliseconds, ...rest }: Report) => ({ ...rest, hops: hops.percentile(0.9), ms: milliseconds.percentile(0.9) })
    const options = { nodes: 50, seconds: 5, loss: 0.02, churn: 1, hostile: 0.1 }
    expect(figures(run({ ...options, seed: 3 }))).toEqual(figures(run({ ...options, seed: 3 })))
    expect(figures(run({ ...options, seed: 3 }))).not.toEqual(figures(run({ ...options, seed: 4 })))
  })

  it('one RPC in twenty is lost, and one node in a hundred leaves each second: gossip finds who missed something', () => {
    expect(ratio(run({ loss: 0.05, churn: 1, seconds: 20 }))).toBeGreaterThanOrEqual(0.999)
  })

  it('without gossip that is not so', () => {
    expect(ratio(run({ loss: 0.3, params: { dLazy: 0, gossipFactor: 0 } }))).toBeLessThan(1)
    expect(ratio(run({ loss: 0.3 }))).toBeGreaterThan(0.999)
  })

  it('several topics do not get into each other’s way', () => {
    expect(ratio(run({ topics: 5, nodes: 60 }))).toBe(1)
  })

  it('large messages come in fewer copies where that is asked for', () => {
    // Where it takes time to decide on them: otherwise the message itself is as quick.
    const options = { nodes: 60, size: 20_000, seconds: 5, validation: 50 }
    const without = run({ ...options, params: { iDontWantThreshold: 1_000_000 } })
    const withIt = run(options)
    expect([ratio(without), ratio(withIt)]).toEqual([1, 1])
    expect(withIt.duplicates).toBeLessThan(without.duplicates * 0.8)
  })

  it('speak to nobody but their mesh and those they gossip with', () => {
    // 100 B of data are some 260 on the wire; each goes out to less than the mesh, and gossip is a fraction of that.
    const { bytesPerNode, messages } = run({})
    expect(bytesPerNode.mean / messages).toBeLessThan(12 * 260)
  })
})

describe('every fifth node is hostile', () => {
  for (const kind of HOSTILE_KINDS) {
    it(`${kind}: honest nodes hear all, and the hostile ones are put out`, () => {
      const report = run({ hostile: 0.2, kinds: [kind], seconds: 30 })
      expect(ratio(report)).toBeGreaterThanOrEqual(0.999)
      const { links, negative, mean } = report.hostileScore[kind]
      expect(links).toBeGreaterThan(0)
      // A silent one that no mesh ever took has done nothing.
      expect(negative).toBeGreaterThan(kind === 'silent' ? 0.9 : 0.999)
      expect(report.hostileInMesh.after).toBe(0)
      expect(mean).toBeLessThan(-5)
      expect(report.honestScore.graylisted).toBe(0)
      expect(report.honestScore.negative).toBeLessThan(0.02)
    })
  }

  it('all of them at once, and RPCs are lost', () => {
    const report = run({ hostile: 0.2, loss: 0.02, seconds: 30 })
    expect(ratio(report)).toBeGreaterThanOrEqual(0.999)
    expect(report.hostileInMesh.after).toBeLessThan(report.hostileInMesh.before / 10)
  })

  it('with the default scores, which know no rate: honest nodes hear all; who breaks rules is put out, who is silent is not', () => {
    const report = run({ hostile: 0.2, seconds: 30, knowsRate: false })
    expect(ratio(report)).toBeGreaterThanOrEqual(0.999)
    expect([report.hostileScore.spam.graylisted, report.hostileScore.iwant.negative]).toEqual([1, 1])
    expect(report.hostileScore.silent.negative).toBe(0)
    expect(report.honestScore.negative).toBe(0)
  })
})
