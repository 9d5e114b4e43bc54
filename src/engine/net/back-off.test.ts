import { describe, expect, it } from 'vitest'
import { BackOff } from './back-off.ts'

describe('back-off', () => {
  it('grows with every failure in a row, to five minutes', () => {
    const backOff = new BackOff()
    const waits: number[] = []
    for (let times = 0; times < 20; times++) {
      backOff.failed('/a', 0)
      waits.push(backOff.wait('/a', 0))
    }
    expect(waits.slice(0, 4)).toEqual([5_000, 6_000, 9_000, 14_000])
    expect(waits.at(-1)).toBe(300_000)
    expect(backOff.wait('/b', 0)).toBe(0)
  })

  it('passes with time, but is not forgotten until a success', () => {
    const backOff = new BackOff()
    backOff.failed('/a', 0)
    expect(backOff.wait('/a', 4_999)).toBe(1)
    expect(backOff.wait('/a', 5_000)).toBe(0)
    backOff.failed('/a', 5_000)
    expect(backOff.wait('/a', 5_000)).toBe(6_000)
    backOff.succeeded('/a')
    backOff.failed('/a', 5_000)
    expect(backOff.wait('/a', 5_000)).toBe(5_000)
  })

  it('ends when the network changes', () => {
    const backOff = new BackOff()
    backOff.failed('/a', 0)
    backOff.clear()
    expect(backOff.wait('/a', 0)).toBe(0)
  })

  it('remembers the latest thousand addresses', () => {
    const backOff = new BackOff()
    for (let at = 0; at < 1_001; at++) backOff.failed(`/${at}`, 0)
    expect(backOff.wait('/0', 0)).toBe(0)
    expect(backOff.wait('/1', 0)).toBe(5_000)
  })
})
