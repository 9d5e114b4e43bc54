import { describe, expect, it } from 'vitest'
import { Pings } from './pings.ts'

const SECOND = 1_000
const every30s = () => new Pings(30 * SECOND, 30 * SECOND)

describe('Pings', () => {
  it('pings at once, then every 30 s', () => {
    const pings = every30s()
    expect([pings.wanted, pings.deadline]).toEqual([true, undefined])
    const value = pings.take(100)
    expect([pings.wanted, pings.deadline]).toEqual([false, 30_100])
    pings.heard(140)
    expect(pings.answer(value, 140)).toBe(40)
    expect([pings.rtt, pings.deadline]).toEqual([40, 30_100])
    expect(pings.wake(30_099)).toBe(false)
    expect(pings.wanted).toBe(false)
    expect(pings.wake(30_100)).toBe(false)
    expect(pings.wanted).toBe(true)
  })

  it('smooths the round trip', () => {
    const pings = every30s()
    pings.answer(pings.take(0), 40)
    pings.answer(pings.take(100), 120)
    expect(pings.rtt).toBe(30)
  })

  it('ignores answers that nobody asked for', () => {
    const pings = every30s()
    expect(pings.answer(0, 0)).toBeUndefined()
    const value = pings.take(0)
    expect(pings.answer(value + 1, 5)).toBeUndefined()
    expect(pings.answer(value, 10)).toBe(10)
    expect(pings.answer(value, 20)).toBeUndefined()
    expect(pings.rtt).toBe(10)
  })

  it('is dead when nothing came for 30 s after a ping', () => {
    const pings = every30s()
    pings.take(0)
    expect(pings.wake(29_999)).toBe(false)
    expect(pings.wake(30_000)).toBe(true)
  })

  it('asks again when something else came', () => {
    const pings = every30s()
    pings.take(0)
    pings.heard(10 * SECOND)
    expect(pings.wake(30 * SECOND)).toBe(false)
    expect(pings.wanted).toBe(true)
    pings.take(31 * SECOND)
    expect(pings.wake(61 * SECOND)).toBe(true)
  })

  it('asks again when the host overslept: the answer may lie in its socket', () => {
    const pings = every30s()
    pings.take(0)
    expect(pings.wake(300 * SECOND)).toBe(false)
    expect(pings.wanted).toBe(true)
    pings.take(300 * SECOND)
    expect(pings.wake(330 * SECOND)).toBe(true)
  })

  it('never dies of a ping that could not go out', () => {
    const pings = every30s()
    expect(pings.wake(1_000 * SECOND)).toBe(false)
    expect(pings.deadline).toBeUndefined()
  })

  it('without an interval pings only when asked, one at a time', () => {
    const pings = new Pings(undefined, 30 * SECOND)
    expect([pings.wanted, pings.deadline]).toEqual([false, undefined])
    pings.ask()
    expect(pings.wanted).toBe(true)
    const value = pings.take(5)
    pings.ask()
    expect(pings.wanted).toBe(false)
    expect(pings.answer(value, 6)).toBe(1)
    expect(pings.deadline).toBeUndefined()
  })

  it('gives each ping a value of its own', () => {
    const pings = every30s()
    expect([pings.take(0), pings.take(0), pings.take(0)]).toEqual([1, 2, 3])
  })
})
