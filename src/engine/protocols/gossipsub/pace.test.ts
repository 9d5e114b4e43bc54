import { describe, expect, it } from 'vitest'
import { GOSSIP_BURST, GOSSIP_BURST_INTERVAL, GOSSIP_HURRY, GOSSIP_HURRY_SECOND } from '../../limits.ts'
import { Pace } from './pace.ts'

describe('the pace of a peer that drops', () => {
  it('so many at once, and that many more in an interval', () => {
    const pace = new Pace()
    expect(pace.at(1_000)).toBe(GOSSIP_BURST)
    pace.sent(GOSSIP_BURST)
    expect(pace.at(1_000)).toBe(0)
    expect(pace.at(1_000 + GOSSIP_BURST_INTERVAL)).toBe(GOSSIP_BURST)
    pace.sent(1)
    expect(pace.at(9_000)).toBe(GOSSIP_BURST)
  })

  it('hurries it with more than a few at once', () => {
    const pace = new Pace()
    pace.at(1_000)
    pace.sent(GOSSIP_HURRY)
    expect(pace.hurries).toBe(false)
    pace.sent(1)
    expect(pace.hurries).toBe(true)
    pace.at(1_000 + GOSSIP_BURST_INTERVAL)
    expect(pace.hurries).toBe(false)
  })

  it('hurries it with many in a second, however they come', () => {
    const pace = new Pace()
    const after: boolean[] = []
    for (let n = 0; n <= GOSSIP_HURRY_SECOND; n++) {
      pace.at(1_000 + 10 * n)
      pace.sent(1)
      after.push(pace.hurries)
    }
    expect(after).toEqual([...new Array(GOSSIP_HURRY_SECOND).fill(false), true])
    pace.at(2_000)
    expect(pace.hurries).toBe(false)
  })
})
