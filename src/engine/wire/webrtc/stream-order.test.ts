import { describe, expect, it } from 'vitest'
import { TabmeshError } from '../../../errors.ts'
import { RTC_FIN_ACK_TIMEOUT, RTC_MAX_EARLY, RTC_MAX_MESSAGE, RTC_SEND_BUFFER } from '../../limits.ts'
import { prng } from '../../testing/prng.ts'
import { type Budget, NodeBudget } from './flow.ts'
import { controlFrame, dataFrame, FIN, type Frame, FrameReader, Outbox } from './framing.ts'
import { RtcStream } from './stream.ts'

const utf8 = (text: string) => Uint8Array.from(Buffer.from(text))

const framed = (bytes: Uint8Array, number?: number) => {
  const outbox = new Outbox()
  outbox.put(bytes)
  return dataFrame(outbox, bytes.length, undefined, number)
}

const played = () => {
  const budget: Budget = { unread: 0, granted: 0, node: new NodeBudget(), shed: () => {} }
  const machine = new RtcStream(budget, { finAckTimeout: RTC_FIN_ACK_TIMEOUT, finAck: true, maxMessage: RTC_MAX_MESSAGE })
  return {
    budget,
    machine,
    write: (text: string) => machine.handle({ t: 'write', bytes: utf8(text) }, 0),
    gets: (bytes: Uint8Array) => machine.handle({ t: 'message', bytes }, 0),
    sends: (): Uint8Array[] => {
      const sent: Uint8Array[] = []
      for (let message = machine.transmit(RTC_SEND_BUFFER, 0); message !== undefined; message = machine.transmit(RTC_SEND_BUFFER, 0))
        sent.push(message)
      return sent
    },
    says: (): string[] => {
      const said: string[] = []
      for (let output = machine.poll(); output !== undefined; output = machine.poll())
        said.push(
          output.t === 'data' ? Buffer.from(output.bytes).toString() : output.t === 'close' ? `close ${output.fault?.code}` : output.t,
        )
      return said
    },
  }
}

/** All that two threads can make of it when each brings its share in order, or some of it. */
const interleaved = (left: readonly Uint8Array[], right: readonly Uint8Array[], seed: number): Uint8Array[][] =>
  Array.from({ length: 4 }, (_, i) => {
    const random = prng(seed * 4 + i)
    const [a, b] = [[...left], [...right]]
    return Array.from(
      { length: a.length + b.length },
      () => (b.length === 0 || (a.length > 0 && random.below(2) === 0) ? a : b).shift() as Uint8Array,
    )
  })

describe('frames that come in another order than they were sent in', () => {
  /** What is sent in so many turns, before the remote has answered. */
  const sentBy = (words: readonly string[]): Uint8Array[] => {
    const { machine, write, sends } = played()
    const sent = words.flatMap((word) => {
      write(word)
      return sends()
    })
    machine.handle({ t: 'end' }, 0)
    return [...sent, ...sends()]
  }
  const words = ['one', 'two', 'three', 'four', 'five']
  const heard = (messages: readonly Uint8Array[]): string[] => {
    const s = played()
    for (const bytes of messages) s.gets(bytes)
    return s.says()
  }

  it('are heard as they were sent, whichever two threads brought them', () => {
    const sent = sentBy(words)
    expect(sent).toHaveLength(6)
    // Each of the six by one thread or the other; and of all orders in which two threads can bring theirs, some.
    for (let split = 0; split < 64; split++) {
      const [left, right] = [0, 1].map((thread) => sent.filter((_, i) => ((split >> i) & 1) === thread)) as [Uint8Array[], Uint8Array[]]
      for (const order of [[...left, ...right], [...right, ...left], ...interleaved(left, right, split)])
        expect(heard(order)).toEqual([...words, 'end'])
    }
  })

  it('have no numbers once the remote has answered, and the first has none ever', () => {
    const s = played()
    const numbers = (): (number | undefined)[] =>
      s.sends().map((message) => {
        const reader = new FrameReader()
        reader.push(message)
        return (reader.next() as Frame).number
      })
    s.write('a')
    const told = numbers()
    for (const word of ['b', 'c']) {
      s.write(word)
      told.push(...numbers())
    }
    s.gets(framed(utf8('answer')))
    s.write('d')
    expect([...told, ...numbers()]).toEqual([undefined, 1, 2, undefined])
  })

  it('count as unread while they wait', () => {
    const s = played()
    s.gets(framed(new Uint8Array(5_000), 2))
    expect([s.says(), s.budget.unread]).toEqual([[], 5_000])
    s.machine.handle({ t: 'abort', fault: new TabmeshError('ERR_STREAM_CLOSED', 'enough') }, 0)
    expect(s.budget.unread).toBe(0)
  })

  it('count for nothing where they turn out to be behind the end', () => {
    const s = played()
    s.gets(framed(new Uint8Array(5_000), 2))
    s.gets(framed(utf8('all')))
    s.gets(controlFrame(FIN, undefined, 1))
    expect([s.says(), s.budget.unread]).toEqual([['all', 'end'], 3])
  })

  for (const [what, numbers] of [
    ['twice', [1, 1]],
    ['behind its turn', [undefined, 1, 1]],
    ['too far ahead', [RTC_MAX_EARLY + 1]],
    ['left out', [undefined, 2, undefined]],
  ] as const) {
    it(`reset the stream where a number is ${what}`, () => {
      const s = played()
      for (const number of numbers) s.gets(framed(utf8('x'), number))
      expect(s.says().slice(-2)).toEqual(['close ERR_MUXER', 'hangUp'])
    })
  }
})
