import { describe, expect, it } from 'vitest'
import { utf8 } from '../../codec/bytes.ts'
import {
  ROOM_BEAT,
  ROOM_FIRST_WAIT,
  ROOM_LOST,
  ROOM_MAX_HELD_BYTES_OF_ALL,
  ROOM_MAX_MEMBERS,
  ROOM_MAX_PART,
  ROOM_MISSED,
} from '../../limits.ts'
import { Members, type MembersOutput } from './members.ts'
import { type Body, LIFE } from './messages.ts'

const life = (n: number): Uint8Array => new Uint8Array(LIFE).fill(n)
const message = (text: string): Body => ({ t: 'message', data: utf8(text), begins: true, ends: true })
const beat = (presence?: string, interval = ROOM_BEAT): Body => ({
  t: 'beat',
  interval,
  presence: presence === undefined ? undefined : utf8(presence),
})

const room = () => {
  const members = new Members('self')
  let now = 0
  const text = (bytes: Uint8Array | undefined): string => (bytes === undefined ? '' : ` ${Buffer.from(bytes)}`)
  const drain = (): string[] => {
    const said: string[] = []
    for (let output: MembersOutput | undefined = members.poll(); output !== undefined; output = members.poll()) {
      if (output.t === 'join' || output.t === 'presence') said.push(`${output.t} ${output.peer}${text(output.presence)}`)
      else if (output.t === 'leave') said.push(`leave ${output.peer} ${output.reason}`)
      else if (output.t === 'message') said.push(`${output.peer}:${text(output.data)}${output.private ? ' (private)' : ''}`)
      else if (output.t === 'ask') said.push(`ask ${output.peer} ${output.from}-${output.to}`)
      else said.push(`beat${output.soon ? ' soon' : ''}`)
    }
    return said
  }
  return {
    members,
    /** By gossip. */
    says(from: string, number: number, body: Body, of = 1, before = 0) {
      members.handle({ t: 'published', from, life: life(of), number, body, before }, now)
      return drain()
    },
    greets(peer: string, next: number, presence?: string, of = 1) {
      const hello = { life: life(of), next, first: 0, interval: ROOM_BEAT, presence: presence === undefined ? undefined : utf8(presence) }
      members.handle({ t: 'hello', peer, hello }, now)
      return drain()
    },
    handle(input: Parameters<Members['handle']>[0]) {
      members.handle(input, now)
      return drain()
    },
    /** Time goes on in the steps that the machine asks for. */
    wait(ms: number) {
      const said: string[] = []
      for (const end = now + ms; ; ) {
        now = Math.min(end, Math.max(now, members.deadline))
        members.handle({ t: 'time' }, now)
        said.push(...drain())
        if (now === end) return said
      }
    },
    /** Nothing runs meanwhile. */
    sleep(ms: number) {
      now += ms
      members.handle({ t: 'time' }, now)
      return drain()
    },
  }
}

describe('members', () => {
  it('come with their greeting, and what they say is told in order', () => {
    const { greets, says } = room()
    expect(greets('a', 5, '"here"')).toEqual(['join a "here"'])
    expect([
      says('a', 6, message('two')),
      says('a', 5, message('one')),
      says('a', 5, message('one')),
      says('a', 4, message('zero')),
    ]).toEqual([[], ['a: one', 'a: two'], [], []])
  })

  it('come with their first message as well, and are greeted soon', () => {
    const { says, wait } = room()
    expect(says('a', 3, message('hello'))).toEqual(['join a', 'beat soon'])
    expect(wait(ROOM_FIRST_WAIT)).toEqual(['a: hello'])
  })

  it('tell of themselves, and the latest counts', () => {
    const { greets, says } = room()
    greets('a', 0, '1')
    expect([says('a', 1, beat('3')), says('a', 0, beat('2')), says('a', 2, beat('3')), says('a', 3, beat())]).toEqual([
      ['presence a 3'],
      [],
      [],
      ['presence a'],
    ])
    // A greeting on another stream repeats it.
    expect([greets('a', 4), greets('a', 5, '9')]).toEqual([[], ['presence a 9']])
  })

  it('leave when they say so, after all that they said before', () => {
    const { greets, says, wait } = room()
    greets('a', 0)
    expect(says('a', 1, { t: 'leave' })).toEqual([])
    expect(says('a', 0, message('bye'))).toEqual(['a: bye', 'leave a left'])
    // What is repeated of that life brings nobody back.
    expect([says('a', 0, message('bye')), says('a', 2, message('again')), greets('a', 2), wait(60_000)]).toEqual([[], [], [], []])
    expect(says('a', 0, beat(), 2)).toEqual(['join a', 'beat soon'])
  })

  it('leave when nothing is heard of them for two and a half of their beats', () => {
    const { greets, says, wait, handle } = room()
    greets('a', 0)
    greets('b', 0)
    greets('c', 0)
    says('c', 0, beat(undefined, 30_000))
    expect(wait(ROOM_BEAT)).toEqual([])
    handle({ t: 'heard', peer: 'b' })
    expect(wait(ROOM_BEAT * (ROOM_MISSED - 1) + 1_000)).toEqual(['leave a lost'])
    expect(wait(ROOM_BEAT)).toEqual(['leave b lost'])
    expect(wait(3 * ROOM_BEAT + 15_000)).toEqual(['leave c lost'])
  })

  it('leave sooner when nobody finds them any more, unless they are heard', () => {
    const { greets, says, wait, handle } = room()
    greets('a', 0)
    greets('b', 0)
    handle({ t: 'unreachable', peer: 'a' })
    handle({ t: 'unreachable', peer: 'b' })
    says('b', 0, beat())
    expect(wait(ROOM_LOST + 1_000)).toEqual(['leave a lost'])
  })

  it('come back as who they were, without a second entry, and nothing is told twice', () => {
    const { greets, says, wait, members } = room()
    greets('a', 0, '1')
    says('a', 0, message('one'))
    expect(wait(30_000)).toEqual(['leave a lost'])
    // What was said meanwhile is asked for, for it was only away.
    expect([says('a', 0, message('one')), says('a', 2, message('three')), says('a', 1, message('two'))]).toEqual([
      [],
      ['join a', 'beat soon'],
      ['a: two', 'a: three'],
    ])
    expect([greets('a', 3, '1'), members.size]).toEqual([['presence a 1'], 1])
    // Started anew, while it still counts as being there.
    expect(greets('a', 0, '2', 2)).toEqual(['leave a lost', 'join a 2'])
    expect([says('a', 3, message('of the first life')), greets('a', 9, '1', 1), members.size]).toEqual([[], [], 1])
  })

  it('are not lost because we have slept', () => {
    const { greets, sleep, says, wait } = room()
    greets('a', 0)
    greets('b', 0)
    wait(1_000)
    expect(sleep(8 * 3_600_000)).toEqual(['beat'])
    expect(wait(5_000)).toEqual([])
    says('a', 0, beat())
    expect(wait(15_000)).toEqual(['leave b lost'])
  })

  it('are asked for what is missing', () => {
    const { greets, says, wait } = room()
    greets('a', 0)
    expect([says('a', 2, message('three')), wait(200)]).toEqual([[], ['ask a 0-2']])
  })

  it('say large things in parts; what lost its beginning is dropped', () => {
    const { greets, says, wait, handle } = room()
    const part = (data: string, begins: boolean, ends: boolean): Body => ({ t: 'message', data: utf8(data), begins, ends })
    greets('a', 0)
    expect([
      says('a', 0, part('o', true, false)),
      says('a', 1, beat()),
      says('a', 2, part('n', false, false)),
      says('a', 3, part('e', false, true)),
    ]).toEqual([[], [], [], ['a: one']])
    says('a', 4, part('t', true, false))
    says('a', 6, part('o', false, true))
    expect(says('a', 7, message('three'))).toEqual([])
    const after = wait(6_000)
    expect(after.filter((each) => !each.startsWith('ask'))).toEqual(['a: three'])
    expect(handle({ t: 'again', peer: 'a', life: '01'.repeat(LIFE), number: 5, body: part('w', false, false), before: 0 })).toEqual([])
  })
})

describe('hostile members', () => {
  it('ten thousand of them take the room of a thousand, and who is connected with us still comes in', () => {
    const { says, greets, members, wait } = room()
    for (let n = 0; n < 10_000; n++) says(`fake${n}`, 0, beat('"x"'))
    expect(members.size).toBe(ROOM_MAX_MEMBERS)
    expect(greets('real', 0)).toEqual(['leave fake0 lost', 'join real'])
    expect(members.size).toBe(ROOM_MAX_MEMBERS)
    wait(60_000)
    expect([members.size, members.deadline]).toEqual([0, Number.POSITIVE_INFINITY])
  })

  it('a flood of one is cut off, and does not take from others', () => {
    const { greets, members } = room()
    greets('a', 0)
    greets('b', 0)
    let admitted = 0
    for (let n = 0; n < 100_000; n++) if (members.admits('a', 0)) admitted += 1
    expect(admitted).toBeLessThan(10_000)
    expect([members.admits('a', 0), members.admits('a', 1_000), members.admits('b', 0)]).toEqual([false, true, true])
  })

  it('what waits for what never comes is bounded, for all of them together', () => {
    const { greets, handle, members } = room()
    const data = new Uint8Array(ROOM_MAX_PART)
    for (let n = 0; n < 100; n++) {
      greets(`a${n}`, 0)
      for (let number = 0; number < 60; number++) {
        // Every other one is missing; and parts that never end.
        const body: Body = { t: 'message', data, begins: number === 0, ends: false }
        handle({ t: 'published', from: `a${n}`, life: life(1), number: n % 2 === 0 ? number * 2 + 1 : number, body, before: 0 })
      }
    }
    expect(members.size).toBe(100)
    expect(members.waiting).toBeLessThanOrEqual(ROOM_MAX_HELD_BYTES_OF_ALL + ROOM_MAX_PART)
  })

  it('nobody speaks for us', () => {
    const { says, greets, members } = room()
    expect([says('self', 0, message('I')), greets('self', 0), members.size]).toEqual([[], [], 0])
  })
})
