import { describe, expect, it } from 'vitest'
import { prng } from '../testing/prng.ts'
import { ByteQueue } from './byte-queue.ts'

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values)

describe('a byte queue', () => {
  it('gives back what was put in, chunk by chunk, without copying a lone one', () => {
    const queue = new ByteQueue()
    const chunk = bytes(1, 2, 3)
    queue.push(chunk)
    expect(queue.shift()).toBe(chunk)
    expect(queue.shift()).toBeUndefined()
    expect(queue.size).toBe(0)
  })

  it('takes exact amounts across chunks', () => {
    const queue = new ByteQueue()
    queue.push(bytes(1, 2))
    queue.push(bytes(3))
    queue.push(bytes(4, 5, 6))
    expect(queue.take(4)).toEqual(bytes(1, 2, 3, 4))
    expect(queue.take(2)).toEqual(bytes(5, 6))
  })

  it('puts back in front', () => {
    const queue = new ByteQueue()
    queue.push(bytes(3))
    queue.unshift(bytes(1, 2))
    expect(queue.take(3)).toEqual(bytes(1, 2, 3))
  })

  it('keeps a flood of single bytes in few objects', () => {
    const queue = new ByteQueue()
    for (let i = 0; i < 262_144; i += 1) queue.push(bytes(i & 0xff))
    let chunks = 0
    let size = 0
    for (let chunk = queue.shift(); chunk !== undefined; chunk = queue.shift()) {
      chunks += 1
      size += chunk.length
    }
    expect(size).toBe(262_144)
    expect(chunks).toBeLessThanOrEqual(1 + 64)
  })

  it('is a queue, whatever is done to it', () => {
    for (let seed = 1; seed <= 20; seed += 1) {
      const random = prng(seed)
      const queue = new ByteQueue()
      let model: number[] = []
      for (let step = 0; step < 200; step += 1) {
        const choice = random.below(10)
        if (choice < 6) {
          const chunk = random.bytes(random.below(choice === 0 ? 1_500 : 40))
          queue.push(chunk)
          model.push(...chunk)
        } else if (choice < 8) {
          const count = random.below(model.length + 1)
          expect([...queue.take(count)], `seed ${seed}`).toEqual(model.slice(0, count))
          model = model.slice(count)
        } else if (choice === 8) {
          const chunk = queue.shift() ?? bytes()
          expect([...chunk], `seed ${seed}`).toEqual(model.slice(0, chunk.length))
          model = model.slice(chunk.length)
        } else {
          const chunk = random.bytes(random.below(40))
          queue.unshift(chunk)
          model.unshift(...chunk)
        }
        expect(queue.size, `seed ${seed}`).toBe(model.length)
      }
    }
  })
})
