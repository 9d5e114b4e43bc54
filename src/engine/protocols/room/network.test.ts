/** Rooms whose members lose the network. */

import { describe, expect, it } from 'vitest'
import { Lounge, type Seat } from '../../testing/rooms.ts'

/** What the public types say of `leave`. */
const AT_MOST = 30_000

const comings = (seat: Seat): string[] => seat.events.map(({ t }) => t).filter((t) => t === 'join' || t === 'leave')

describe('members that lose the network', () => {
  it('are gone for each other in half a minute, and back as one each when it is there again, with nothing told twice', () => {
    for (const away of [40_000, 600_000]) {
      const lounge = new Lounge(away)
      const [a, b] = lounge.seat('ab') as [Seat, Seat]
      lounge.world.run(3_000)
      a.send('before')
      lounge.world.run(1_000)
      lounge.world.network = false
      expect(lounge.world.run(AT_MOST, () => a.members().length + b.members().length === 0)).toBe(true)
      a.send('to nobody')
      lounge.world.run(away)
      expect([a.members(), b.members()]).toEqual([[], []])
      lounge.world.network = true
      for (const { guest } of [a, b]) guest.node.online()
      expect(lounge.world.run(60_000, () => a.members().length + b.members().length === 2)).toBe(true)
      lounge.world.run(10_000)
      a.send('after')
      b.send('as well')
      lounge.world.run(10_000)
      expect([comings(a), comings(b)]).toEqual([
        ['join', 'leave', 'join'],
        ['join', 'leave', 'join'],
      ])
      expect([b.heard().filter((each) => each !== 'a: to nobody'), a.heard()]).toEqual([['a: before', 'a: after'], ['b: as well']])
    }
  })

  it('for a moment only are not gone, and what they said meanwhile comes', () => {
    const lounge = new Lounge(3)
    const [a, b] = lounge.seat('ab') as [Seat, Seat]
    lounge.world.run(3_000)
    lounge.world.network = false
    a.send('one')
    lounge.world.run(8_000)
    a.send('two')
    lounge.world.network = true
    lounge.world.run(5_000)
    expect([comings(b), b.heard()]).toEqual([['join'], ['a: one', 'a: two']])
  })
})
