/** What a member says, to all and to one alone, as it comes to the others. */

import { describe, expect, it } from 'vitest'
import { utf8 } from '../../codec/bytes.ts'
import { ROOM_GAP, ROOM_MAX_MESSAGE } from '../../limits.ts'
import { Lounge, type Seat } from '../../testing/rooms.ts'

describe('in a room', () => {
  it('what one says to all and to one alone comes in the order in which it said it, by stream and by gossip, over breaks as well', () => {
    for (const gossip of [false, true]) {
      const lounge = new Lounge(gossip ? 40 : 41)
      const [a, b, c] = lounge.seat('abc') as [Seat, Seat, Seat]
      if (gossip) {
        // Somebody is in the topic of whom nothing is known: what is for all goes by gossip.
        const spy = lounge.guest('x')
        spy.pubsub.join(a.room.place.topic)
        spy.node.dial({ addresses: [a.guest.address] }, () => {})
        lounge.world.run(2_000)
      }
      const { random } = lounge.world
      const all: string[] = []
      const toB: string[] = []
      for (let n = 0; n < 200; n++) {
        const data = utf8(`${n}${' '.repeat(random.below(20) === 0 ? 300_000 : 3)}`)
        const alone = random.below(2) === 0
        if (alone) a.room.sendTo(b.guest.self, data, () => {})
        else a.room.send(data)
        toB.push(alone ? `(a: ${n})` : `a: ${n}`)
        if (!alone) all.push(`a: ${n}`)
        if (n === 100) b.room.holds = true
        if (n === 130) b.room.holds = false
        if (n === 60 || n === 150) a.guest.cut()
        lounge.world.run(random.below(30))
      }
      lounge.world.run(20_000)
      const heard = (seat: Seat): string[] => seat.heard().map((each) => each.replaceAll(/ +(\)|$)/g, '$1'))
      expect([heard(b), heard(c)]).toEqual([toB, all])
    }
  }, 60_000)

  it('what is for all waits with the one member that something said before is on its way to, for five seconds, and with nobody else', () => {
    const lounge = new Lounge(42)
    const [a, b, c] = lounge.seat('abc') as [Seat, Seat, Seat]
    const spy = lounge.guest('x')
    spy.pubsub.join(a.room.place.topic)
    spy.node.dial({ addresses: [a.guest.address] }, () => {})
    lounge.world.run(2_000)
    // The application of b takes nothing: what is for b alone stays on its way.
    b.room.holds = true
    for (let n = 0; n < 8; n++) a.room.sendTo(b.guest.self, new Uint8Array(ROOM_MAX_MESSAGE), () => {})
    a.room.sendTo(b.guest.self, utf8('alone'), () => {})
    a.send('all')
    lounge.world.run(1_000)
    expect([b.heard().some((each) => each.includes('all')), c.heard()]).toEqual([false, ['a: all']])
    b.room.holds = false
    lounge.world.run(3_000)
    expect(b.heard().slice(-2)).toEqual(['(a: alone)', 'a: all'])
    // It is not waited for without end.
    b.room.holds = true
    for (let n = 0; n < 8; n++) a.room.sendTo(b.guest.self, new Uint8Array(ROOM_MAX_MESSAGE), () => {})
    a.room.sendTo(b.guest.self, utf8('late'), () => {})
    a.send('in time')
    lounge.world.run(ROOM_GAP + 1_000)
    expect(b.heard().at(-1)).toBe('a: in time')
    b.room.holds = false
    lounge.world.run(3_000)
    expect(b.heard().at(-1)).toBe('(a: late)')
  })

  it('who leaves has said before what it said, to all and to one alone', () => {
    const lounge = new Lounge(43)
    const [a, b] = lounge.seat('ab') as [Seat, Seat]
    b.send('bye')
    b.room.sendTo(a.guest.self, utf8('to you'), () => {})
    b.guest.rooms.leave(b.room)
    lounge.world.run(1_000)
    expect([a.heard(), a.events.at(-1)]).toMatchObject([['b: bye', '(b: to you)'], { t: 'leave', reason: 'left' }])
  })
})
