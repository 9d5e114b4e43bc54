import { describe, expect, it } from 'vitest'
import { ChannelIds } from './channel-ids.ts'

describe('ids of data channels', () => {
  it('go up from the first, in steps of two, whatever is free below', () => {
    const ids = new ChannelIds(3, 1_022)
    ids.free(3)
    const taken = Array.from({ length: 4 }, () => ids.take())
    expect(taken).toEqual([5, 7, 9, 11])
  })

  it('begin again behind the last, and leave out those in use', () => {
    const ids = new ChannelIds(2, 10)
    expect([ids.take(), ids.take(), ids.take(), ids.take()]).toEqual([4, 6, 8, 10])
    for (const id of [2, 8]) ids.free(id)
    expect([ids.take(), ids.take(), ids.take()]).toEqual([2, 8, undefined])
    ids.free(6)
    expect(ids.take()).toBe(6)
  })

  it('are those of one side only', () => {
    const odd = new ChannelIds(1, 1_022)
    const taken = Array.from({ length: 510 }, () => odd.take())
    expect(taken.every((id) => (id as number) % 2 === 1 && (id as number) <= 1_021)).toBe(true)
    expect(new Set(taken).size).toBe(510)
    expect(odd.take()).toBeUndefined()
  })
})
