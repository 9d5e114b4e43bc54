import { describe, expect, it } from 'vitest'
import { concat } from '../../codec/bytes.ts'
import { prng } from '../../testing/prng.ts'
import { SendQueue } from './send-queue.ts'

describe('SendQueue', () => {
  it('moves chunks whole where it can, and views where it must cut', () => {
    const queue = new SendQueue()
    const [one, two] = [Uint8Array.of(1, 2, 3), Uint8Array.of(4, 5, 6)]
    queue.push(one)
    queue.push(new Uint8Array(0))
    queue.push(two)
    expect(queue.bytes).toBe(6)
    const moved: Uint8Array[] = []
    queue.move(4, moved)
    expect(moved[0]).toBe(one)
    expect(moved[1]).toEqual(Uint8Array.of(4))
    expect(moved[1]?.buffer).toBe(two.buffer)
    queue.move(2, moved)
    expect(concat(moved)).toEqual(Uint8Array.of(1, 2, 3, 4, 5, 6))
    expect(queue.bytes).toBe(0)
  })

  it('keeps order and count through thousands of pushes and moves', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const random = prng(seed)
      const queue = new SendQueue()
      const pushed: Uint8Array[] = []
      const moved: Uint8Array[] = []
      let held = 0
      for (let step = 0; step < 3_000; step++) {
        if (random.below(3) > 0) {
          const chunk = random.bytes(random.below(20))
          queue.push(chunk)
          pushed.push(chunk)
          held += chunk.length
        } else {
          const count = random.below(Math.min(held, 40) + 1)
          queue.move(count, moved)
          held -= count
        }
        expect(queue.bytes, `seed ${seed}`).toBe(held)
      }
      queue.move(held, moved)
      expect(Buffer.compare(concat(moved), concat(pushed)), `seed ${seed}`).toBe(0)
    }
  })

  it('forgets what it is told to', () => {
    const queue = new SendQueue()
    queue.push(Uint8Array.of(1, 2))
    queue.clear()
    queue.push(Uint8Array.of(3))
    const moved: Uint8Array[] = []
    queue.move(1, moved)
    expect(moved).toEqual([Uint8Array.of(3)])
  })
})
