import { describe, expect, it } from 'vitest'
import { ROOM_ASK, ROOM_ASK_AGAIN, ROOM_FIRST_WAIT, ROOM_GAP, ROOM_MAX_HELD } from '../../limits.ts'
import { property } from '../../testing/property.ts'
import { Order } from './order.ts'

const told = (order: Order<number>, now: number): number[] => {
  const items: number[] = []
  for (let item = order.poll(now); item !== undefined; item = order.poll(now)) items.push(item)
  return items
}

describe('the order of what a member says', () => {
  it('is the order in which it said it, whatever way it came, and each is told once', () => {
    property(200, (random) => {
      const order = new Order<number>()
      order.base(0, 0)
      const count = 1 + random.below(50)
      // Each comes once to three times, anywhere in the row.
      const coming = Array.from({ length: count * 3 }, (_, i) => (i < count ? i : random.below(count)))
      for (let i = coming.length - 1; i > 0; i--) {
        const j = random.below(i + 1)
        ;[coming[i], coming[j]] = [coming[j] as number, coming[i] as number]
      }
      const heard: number[] = []
      for (const number of coming) {
        order.take(number, number, 1, 0)
        heard.push(...told(order, 0))
      }
      expect(heard).toEqual(Array.from({ length: count }, (_, i) => i))
      expect([order.held, order.lost, order.deadline]).toEqual([0, 0, Number.POSITIVE_INFINITY])
    })
  })

  it('begins where the member says, or with the first that comes, a moment later', () => {
    const said = new Order<number>()
    said.take(8, 8, 1, 0)
    expect(told(said, 0)).toEqual([])
    said.base(7, 10)
    said.take(7, 7, 1, 20)
    expect(told(said, 20)).toEqual([7, 8])
    const heard = new Order<number>()
    heard.take(9, 9, 1, 0)
    heard.take(8, 8, 1, 100)
    expect(heard.deadline).toBe(ROOM_FIRST_WAIT)
    heard.time(ROOM_FIRST_WAIT)
    expect(told(heard, ROOM_FIRST_WAIT)).toEqual([8, 9])
    expect(heard.take(7, 7, 1, 400)).toBe(false)
  })

  it('asks for what is missing, and in the end goes on without it', () => {
    const order = new Order<number>()
    order.base(0, 0)
    order.take(3, 3, 1, 0)
    expect([order.deadline, order.missing(ROOM_ASK - 1)]).toEqual([ROOM_ASK, undefined])
    expect(order.missing(ROOM_ASK)).toEqual([0, 3])
    order.take(1, 1, 1, 200)
    expect(order.deadline).toBe(ROOM_ASK + ROOM_ASK_AGAIN)
    expect(order.missing(ROOM_ASK + ROOM_ASK_AGAIN)).toEqual([0, 1])
    order.time(ROOM_GAP - 1)
    expect(told(order, ROOM_GAP - 1)).toEqual([])
    order.time(ROOM_GAP)
    expect([told(order, ROOM_GAP), order.lost]).toEqual([[1], 1])
    order.time(2 * ROOM_GAP)
    expect([told(order, 2 * ROOM_GAP), order.lost]).toEqual([[3], 2])
  })

  it('asks for what came last and did not come, when it hears that there was something', () => {
    const order = new Order<number>()
    order.base(0, 0)
    order.know(2, 0)
    expect(order.missing(ROOM_ASK)).toEqual([0, 2])
    order.take(0, 0, 1, 300)
    order.take(1, 1, 1, 300)
    expect([told(order, 300), order.deadline]).toEqual([[0, 1], Number.POSITIVE_INFINITY])
  })

  it('holds back no more than it may', () => {
    const order = new Order<number>()
    order.base(0, 0)
    for (let n = 1; n <= ROOM_MAX_HELD; n++) order.take(n, n, 1, 0)
    expect(told(order, 0)).toEqual([])
    order.take(ROOM_MAX_HELD + 1, 0, 1, 0)
    expect([told(order, 0).length, order.lost, order.held]).toEqual([ROOM_MAX_HELD + 1, 1, 0])
    const large = new Order<number>()
    large.base(0, 0)
    for (let n = 1; n < 100; n++) large.take(n, n, 1024 * 1024, 0)
    expect(large.held).toBeLessThanOrEqual(99 * 1024 * 1024)
    expect(told(large, 0).length).toBe(99)
  })

  it('is not led astray by numbers that no member reaches', () => {
    const order = new Order<number>()
    order.base(0, 0)
    order.take(2 ** 52, 1, 1, 0)
    expect(order.missing(ROOM_ASK)).toEqual([0, 1024])
    order.time(ROOM_GAP)
    expect(told(order, ROOM_GAP)).toEqual([1])
  })
})
