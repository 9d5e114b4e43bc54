import { describe, expect, it } from 'vitest'
import { ANNOUNCEMENT_CROWD, ANNOUNCEMENT_INTERVAL, ANNOUNCEMENT_MAX_HEARD } from '../../limits.ts'
import { prng } from '../../testing/prng.ts'
import { AnnouncementSchedule } from './schedule.ts'

describe('announcements', () => {
  it('are due at once, and then each ten seconds, a fifth more or less', () => {
    const schedule = new AnnouncementSchedule(1_000, () => 0.5)
    expect([schedule.deadline, schedule.take(999), schedule.take(1_000)]).toEqual([1_000, false, true])
    expect([schedule.deadline, schedule.take(10_999), schedule.take(11_000)]).toEqual([11_000, false, true])
    const early = new AnnouncementSchedule(0, () => 0.25)
    early.take(0)
    const late = new AnnouncementSchedule(0, () => 0.75)
    late.take(0)
    expect([early.deadline, late.deadline]).toEqual([9_000, 11_000])
  })

  it('are further apart in a crowd, and near again when it has gone', () => {
    const schedule = new AnnouncementSchedule(0, () => 0.5)
    for (let n = 0; n < 5 * ANNOUNCEMENT_CROWD; n++) for (let again = 0; again < 3; again++) schedule.heard(`p${n}`, n)
    schedule.take(1_000)
    expect([schedule.members, schedule.deadline]).toEqual([5 * ANNOUNCEMENT_CROWD, 1_000 + 5 * ANNOUNCEMENT_INTERVAL])
    schedule.take(schedule.deadline)
    expect(schedule.members).toBe(5 * ANNOUNCEMENT_CROWD)
    schedule.take(schedule.deadline + 10 * ANNOUNCEMENT_INTERVAL)
    expect(schedule.members).toBe(0)
  })

  it('count a flood of names up to a bound', () => {
    const schedule = new AnnouncementSchedule(0, () => 0.5)
    for (let n = 0; n < 100_000; n++) schedule.heard(`p${n}`, n)
    expect(schedule.members).toBeLessThanOrEqual(ANNOUNCEMENT_MAX_HEARD)
  })

  it.each([
    [20, 20],
    [100, 30],
    [400, 45],
  ])('of %d members are heard at most %d times in an interval', (members, most) => {
    const random = prng(members)
    const all = Array.from({ length: members }, () => new AnnouncementSchedule(0, () => random.below(1_000) / 1_000))
    let said = 0
    const until = 100 * ANNOUNCEMENT_INTERVAL
    for (let now = 0; now < until; now += 500) {
      for (const [n, each] of all.entries()) {
        if (!each.take(now)) continue
        if (now >= until / 2) said += 1
        for (const listener of all) if (listener !== each) listener.heard(`p${n}`, now)
      }
    }
    expect(said / 50).toBeLessThanOrEqual(most)
    expect(said / 50).toBeGreaterThan(10)
  })
})
