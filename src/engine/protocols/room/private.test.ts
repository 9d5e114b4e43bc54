import { describe, expect, it } from 'vitest'
import { ROOM_MAX_MESSAGE, ROOM_MAX_PART } from '../../limits.ts'
import { codeOf, property } from '../../testing/property.ts'
import { decodeWord, type Word } from './messages.ts'
import { PrivateSent, PrivateTaken } from './private.ts'

const secret = new Uint8Array(16)

type Private = Extract<Word, { t: 'private' }>

const wordOf = (bytes: Uint8Array | undefined): Private | undefined => (bytes === undefined ? undefined : (decodeWord(bytes) as Private))

describe('private messages', () => {
  it('come whole, in order and once, wherever streams break and confirmations are lost, also where the receiver forgets what was not whole', () => {
    property(100, (random) => {
      const sent = new PrivateSent()
      const taken = new PrivateTaken()
      const lengths = Array.from({ length: 10 }, () => random.below(3 * ROOM_MAX_PART))
      const done: (string | undefined)[] = []
      for (const length of lengths) sent.send(new Uint8Array(length), 0, (fault) => done.push(fault?.code))
      const heard: number[] = []
      taken.begin('life', sent.first, secret)
      for (let step = 0; done.length < lengths.length && step < 10_000; step++) {
        const word = wordOf(sent.take())
        if (word === undefined || random.below(6) === 0) {
          // Broken: what was just written is lost, or not.
          sent.rewind()
          if (random.below(3) === 0) taken.rest()
          taken.begin('life', sent.first, secret)
          continue
        }
        const whole = taken.take(word)
        if (whole !== undefined) heard.push(whole.length)
        if (random.below(2) === 0) sent.taken(taken.confirmed)
      }
      expect([heard, done]).toEqual([lengths, lengths.map(() => undefined)])
    })
  })

  it('of a member that was started anew begin anew', () => {
    const taken = new PrivateTaken()
    const word = (number: number, more = false): Private => ({ t: 'private', number, after: 0, data: Uint8Array.of(number), more })
    expect(codeOf(() => taken.take(word(0)))).toBe('ERR_PROTOCOL')
    taken.begin('a', 0, secret)
    taken.take(word(0))
    taken.take(word(1, true))
    taken.begin('b', 0, secret)
    expect(taken.take(word(0))).toEqual(Uint8Array.of(0))
    expect(codeOf(() => taken.take(word(5)))).toBe('ERR_PROTOCOL')
  })

  it('are not put together without end', () => {
    const taken = new PrivateTaken()
    taken.begin('a', 0, secret)
    let number = 0
    const flood = (): void => {
      for (;;) taken.take({ t: 'private', number: number++, after: 0, data: new Uint8Array(ROOM_MAX_PART), more: true })
    }
    expect(codeOf(flood)).toBe('ERR_FRAME_TOO_LARGE')
    expect(number * ROOM_MAX_PART).toBeLessThan(ROOM_MAX_MESSAGE + 2 * ROOM_MAX_PART)
  })
})
