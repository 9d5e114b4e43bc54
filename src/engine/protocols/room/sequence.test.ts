import { describe, expect, it } from 'vitest'
import { utf8 } from '../../codec/bytes.ts'
import { ROOM_ASK, ROOM_GAP, ROOM_MAX_HELD_BYTES, ROOM_MAX_PART } from '../../limits.ts'
import { property } from '../../testing/property.ts'
import type { Body } from './messages.ts'
import { Sequence } from './sequence.ts'

const body = (text: string): Body => ({ t: 'message', data: utf8(text), begins: true, ends: true })

const told = (sequence: Sequence, now: number): string[] => {
  const items: string[] = []
  for (let each = sequence.poll(now); each !== undefined; each = sequence.poll(now)) {
    if (each.t === 'private') items.push(`(${Buffer.from(each.data)})`)
    else items.push(each.t === 'message' ? `${Buffer.from(each.data)}` : each.t)
  }
  return items
}

describe('all that one member says', () => {
  it('comes in the order in which it was said, whatever way it comes, each once', () => {
    property(200, (random) => {
      const sequence = new Sequence()
      sequence.base(0, 0, 0)
      const said: string[] = []
      const [all, alone]: (() => void)[][] = [[], []]
      const heard: string[] = []
      for (let n = 0, publics = 0, privates = 0; n < 1 + random.below(60); n++) {
        if (random.below(2) === 0) {
          const [after, next] = [publics, ++privates]
          said.push(`(${n})`)
          alone?.push(() => sequence.takePrivate({ after, next, data: utf8(`${n}`) }, 0))
        } else {
          const [number, before] = [publics++, privates]
          said.push(`${n}`)
          all?.push(() => void sequence.take(number, body(`${n}`), before, 0))
        }
      }
      // For all: in any order, now and then twice. For us alone: in order, whenever.
      const coming = [...(all ?? []), ...(all ?? []).filter(() => random.below(3) === 0)]
      for (let i = coming.length - 1; i > 0; i--) {
        const j = random.below(i + 1)
        ;[coming[i], coming[j]] = [coming[j] as () => void, coming[i] as () => void]
      }
      for (const own of alone ?? []) {
        while (coming.length > 0 && random.below(3) > 0) {
          coming.pop()?.()
          heard.push(...told(sequence, 0))
        }
        own()
        heard.push(...told(sequence, 0))
      }
      for (const rest of coming) rest()
      heard.push(...told(sequence, 0))
      expect(heard).toEqual(said)
      expect([sequence.held, sequence.lost, sequence.deadline]).toEqual([0, 0, Number.POSITIVE_INFINITY])
    })
  })

  it('to all waits for what is for us alone, and after five seconds goes on without', () => {
    const sequence = new Sequence()
    sequence.base(0, 0, 0)
    sequence.take(0, body('behind a secret'), 1, 0)
    expect(told(sequence, 0)).toEqual([])
    sequence.take(1, body('as well'), 1, 1_000)
    expect([told(sequence, 1_000), sequence.deadline, sequence.next]).toEqual([[], ROOM_GAP, 0])
    expect(told(sequence, ROOM_GAP - 1)).toEqual([])
    expect(told(sequence, ROOM_GAP)).toEqual(['behind a secret', 'as well'])
    sequence.takePrivate({ after: 0, next: 1, data: utf8('late') }, 2 * ROOM_GAP)
    expect([told(sequence, 2 * ROOM_GAP), sequence.deadline]).toEqual([['(late)'], Number.POSITIVE_INFINITY])
  })

  it('to us alone waits for what is for all, which is asked for, and after five seconds comes without', () => {
    const sequence = new Sequence()
    sequence.base(0, 0, 0)
    sequence.takePrivate({ after: 2, next: 1, data: utf8('psst') }, 0)
    expect([told(sequence, 0), sequence.missing(ROOM_ASK)]).toEqual([[], [0, 2]])
    sequence.take(0, body('one'), 0, 200)
    expect(told(sequence, 200)).toEqual(['one'])
    sequence.time(200 + ROOM_GAP)
    expect([told(sequence, 200 + ROOM_GAP), sequence.lost]).toEqual([['(psst)'], 1])
  })

  it('does not wait for what its greeting says we have', () => {
    const sequence = new Sequence()
    sequence.base(0, 0, 0)
    sequence.take(0, body('one'), 3, 0)
    expect(told(sequence, 0)).toEqual([])
    sequence.base(1, 3, 10)
    expect(told(sequence, 10)).toEqual(['one'])
  })

  it('waits in no more memory than it may, whoever numbers it', () => {
    const data = new Uint8Array(ROOM_MAX_PART)
    const most = ROOM_MAX_HELD_BYTES + 2 * ROOM_MAX_PART
    const all = new Sequence()
    all.base(0, 0, 0)
    const alone = new Sequence()
    alone.base(0, 0, 0)
    const both = new Sequence()
    both.base(0, 0, 0)
    for (let n = 0; n < 300; n++) {
      all.take(n, { t: 'message', data, begins: true, ends: true }, 2 ** 50 + n, 0)
      alone.takePrivate({ after: n === 0 ? 2 ** 50 : 2 ** 51, next: n + 1, data }, 0)
      // Each waits for the other.
      both.take(n, { t: 'message', data, begins: true, ends: true }, 2 ** 50 + n, 0)
      both.takePrivate({ after: 2 ** 50 + n, next: n + 1, data }, 0)
      for (const each of [all, alone, both]) {
        told(each, 0)
        expect(each.held).toBeLessThanOrEqual(2 * most)
      }
    }
    for (const each of [all, alone, both]) {
      each.skip()
      told(each, 0)
      expect(each.held).toBe(0)
    }
  })
})
