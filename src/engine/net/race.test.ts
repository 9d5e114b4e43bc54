import { describe, expect, it } from 'vitest'
import { TabmeshError } from '../../errors.ts'
import { parseMultiaddr } from '../codec/multiaddr.ts'
import { DIAL_MAX_PARALLEL } from '../limits.ts'
import { World } from '../testing/world.ts'
import type { Outcome } from '../wire/conversation.ts'
import { race } from './race.ts'

/** What becomes of an attempt, and after how many milliseconds. */
type Fate = readonly [ms: number, fate: 'wins' | 'fails']

/** Runs a race and writes down what it does. */
const run = (routes: readonly (readonly [delay: number, fate: Fate])[], haltAt?: number) => {
  const world = new World(1)
  const log: string[] = []
  let running = 0
  let most = 0
  const tries = race<string>(
    routes.map(([delay], at) => ({ address: parseMultiaddr(`/memory/${at}`), delay })),
    world,
    (address, done: (outcome: Outcome<string>) => void) => {
      const name = address.parts[0]?.value as string
      const [ms, fate] = (routes[Number(name)] as (typeof routes)[0])[1]
      log.push(`${world.now} +${name}`)
      running += 1
      most = Math.max(most, running)
      const timer = world.after(ms, () => {
        running -= 1
        log.push(`${world.now} ${fate === 'wins' ? '!' : '-'}${name}`)
        done(fate === 'wins' ? { ok: true, value: name } : { ok: false, fault: new TabmeshError('ERR_UNREACHABLE', name) })
      })
      return () => {
        running -= 1
        log.push(`${world.now} x${name}`)
        timer()
      }
    },
    (end) => log.push(`${world.now} ${end.ok ? `won by ${end.value}` : `lost, ${end.faults.length} faults`}`),
  )
  if (haltAt !== undefined) world.after(haltAt, () => tries.halt())
  world.run(60_000)
  expect(world.waiting).toBe(0)
  expect(running).toBe(0)
  return { log, most }
}

describe('a race', () => {
  it('gives each address its head start, and the losers up', () => {
    expect(
      run([
        [0, [1_000, 'wins']],
        [250, [5_000, 'wins']],
        [500, [100, 'wins']],
        [750, [1, 'wins']],
      ]).log,
    ).toEqual(['0 +0', '250 +1', '500 +2', '600 !2', '600 x0', '600 x1', '600 won by 2'])
  })

  it('takes the next at once when one fails early, and gives that one its full head start', () => {
    expect(
      run([
        [0, [20, 'fails']],
        [250, [1_000, 'wins']],
        [500, [10, 'wins']],
      ]).log,
    ).toEqual(['0 +0', '20 -0', '20 +1', '270 +2', '280 !2', '280 x1', '280 won by 2'])
  })

  it('is lost when all have failed, with every fault', () => {
    expect(
      run([
        [0, [20, 'fails']],
        [30, [20, 'fails']],
        [60, [20, 'fails']],
      ]).log.at(-1),
    ).toBe('60 lost, 3 faults')
  })

  it('has eight attempts at a time, and goes on as they end', () => {
    const { log, most } = run([...Array(25).keys()].map((at) => [at * 30, [9_000, 'fails']] as const))
    expect(most).toBe(DIAL_MAX_PARALLEL)
    expect(log.filter((line) => line.includes('+')).length).toBe(25)
    expect(log.at(-1)).toMatch(/lost, 25 faults$/)
  })

  it('that is halted begins no more, and hears those under way out', () => {
    expect(
      run(
        [
          [0, [400, 'wins']],
          [250, [500, 'wins']],
          [500, [1, 'wins']],
        ],
        300,
      ).log,
    ).toEqual(['0 +0', '250 +1', '400 !0', '400 x1', '400 won by 0'])
    expect(
      run(
        [
          [0, [400, 'fails']],
          [250, [500, 'fails']],
          [500, [1, 'wins']],
        ],
        300,
      ).log.at(-1),
    ).toBe('750 lost, 2 faults')
  })
})
