import { describe, expect, it } from 'vitest'
import { property } from '../../testing/property.ts'
import { Status } from './messages.ts'
import { Slots, slotLimits } from './slots.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const sealed = Uint8Array.of(1)

describe('reservations', () => {
  it('are refused when all slots are taken, and taken again when one is free', () => {
    const slots = new Slots(slotLimits({ maxReservations: 2 }))
    expect(slots.reserve('a', 0)?.expiresAt).toBe(HOUR)
    expect(slots.reserve('b', 0)).toBeDefined()
    expect(slots.reserve('c', 0)).toBeUndefined()
    expect(slots.release('a')).toBe(true)
    expect(slots.release('a')).toBe(false)
    expect(slots.reserve('c', 0)).toBeDefined()
    expect(slots.holders).toEqual(['b', 'c'])
  })

  it('of one peer count once, also with all slots taken', () => {
    const slots = new Slots(slotLimits({ maxReservations: 1 }))
    for (let now = 0; now < 10 * HOUR; now += 30 * MINUTE) expect(slots.reserve('a', now)?.expiresAt).toBe(now + HOUR)
    expect(slots.reservations).toBe(1)
  })

  it('expire in order, and a refresh moves to the end', () => {
    const slots = new Slots(slotLimits())
    slots.reserve('a', 0)
    slots.reserve('b', 10 * MINUTE)
    slots.reserve('a', 20 * MINUTE)
    expect(slots.deadline).toBe(HOUR + 10 * MINUTE)
    slots.expire(HOUR + 10 * MINUTE - 1)
    expect(slots.holders).toEqual(['b', 'a'])
    slots.expire(HOUR + 10 * MINUTE)
    expect(slots.holders).toEqual(['a'])
    slots.expire(3 * HOUR)
    expect(slots.deadline).toBeUndefined()
  })

  it('are prolonged by every refresh, also where they last seconds only', () => {
    const slots = new Slots(slotLimits({ reservationTtl: 8_000 }))
    for (let now = 0; now < MINUTE; now += 5_000) {
      const slot = slots.reserve('a', now)
      expect(slot?.expiresAt).toBe(now + 8_000)
      if (slot !== undefined) slot.voucher = sealed
    }
  })

  it('asked for again and again cost one signature a minute', () => {
    const slots = new Slots(slotLimits())
    let signatures = 0
    for (let now = 0; now < 10 * MINUTE; now += 100) {
      const slot = slots.reserve('a', now)
      if (slot !== undefined && slot.voucher === undefined) {
        signatures += 1
        slot.voucher = sealed
      }
    }
    expect(signatures).toBe(10)
  })
})

describe('circuits', () => {
  it('need a reservation of the target that holds', () => {
    const slots = new Slots(slotLimits())
    expect(slots.join('a', 'b', 0)).toBe(Status.NO_RESERVATION)
    slots.reserve('b', 0)
    expect(slots.join('b', 'b', 0)).toBe(Status.MALFORMED_MESSAGE)
    expect(slots.join('a', 'b', HOUR - 1)).toBe(Status.OK)
    expect(slots.join('a', 'b', HOUR)).toBe(Status.NO_RESERVATION)
    expect(slots.circuits).toBe(1)
  })

  it('are bounded for each peer, whichever end it is, and in all', () => {
    const slots = new Slots(slotLimits({ maxCircuits: 3, maxCircuitsPerPeer: 2 }))
    for (const peer of ['a', 'b', 'c', 'd']) slots.reserve(peer, 0)
    expect(slots.join('a', 'b', 0)).toBe(Status.OK)
    expect(slots.join('c', 'a', 0)).toBe(Status.OK)
    expect(slots.join('a', 'd', 0)).toBe(Status.RESOURCE_LIMIT_EXCEEDED)
    expect(slots.join('d', 'a', 0)).toBe(Status.RESOURCE_LIMIT_EXCEEDED)
    expect(slots.join('d', 'b', 0)).toBe(Status.OK)
    expect(slots.join('c', 'd', 0)).toBe(Status.RESOURCE_LIMIT_EXCEEDED)
    slots.part('a', 'b')
    expect(slots.join('a', 'd', 0)).toBe(Status.OK)
  })

  it('in any order leave nothing behind', () => {
    property(40, (random) => {
      const slots = new Slots(slotLimits({ maxReservations: 4, maxCircuits: 6, maxCircuitsPerPeer: 3 }))
      const open: [string, string][] = []
      let now = 0
      for (let step = 0; step < 300; step++) {
        const [a, b] = [`p${random.below(6)}`, `p${random.below(6)}`]
        now += random.below(MINUTE)
        if (random.below(3) === 0) slots.reserve(a, now)
        else if (random.below(4) === 0) slots.release(a)
        else if (random.below(2) === 0) {
          if (slots.join(a, b, now) === Status.OK) open.push([a, b])
        } else {
          const pair = open.shift()
          if (pair !== undefined) slots.part(...pair)
        }
        expect(slots.reservations).toBeLessThanOrEqual(4)
        expect(slots.circuits).toBe(open.length)
        const most = Math.max(...[0, 1, 2, 3, 4, 5].map((p) => open.filter((pair) => pair.includes(`p${p}`)).length))
        expect(most).toBeLessThanOrEqual(3)
      }
      for (const pair of open) slots.part(...pair)
      for (const peer of slots.holders) slots.release(peer)
      expect([slots.circuits, slots.reservations]).toEqual([0, 0])
    })
  })
})
