import { describe, expect, it } from 'vitest'
import { utf8 } from '../../codec/bytes.ts'
import { frame } from '../../codec/varint.ts'
import { ROOM_BEAT, ROOM_LOST, ROOM_MAX_MEMBERS, ROOM_MAX_MESSAGE, ROOM_MAX_PRESENCE, ROOM_MISSED } from '../../limits.ts'
import { codeOf } from '../../testing/property.ts'
import { Lounge, type Seat } from '../../testing/rooms.ts'
import { encodeBody, encodePreamble, encodePublished, encodeWord, headOf, LIFE, ROOM } from './messages.ts'
import { openPlace, sealedPlace } from './place.ts'

const words = (count: number, from = 0): string[] => Array.from({ length: count }, (_, i) => `${i + from}`)
const kinds = (seat: Seat): string[] => seat.events.map(({ t }) => t)
const gone = ROOM_BEAT * ROOM_MISSED + 1_000

describe('a room', () => {
  it('one joins, another finds it, and both hear each other at once', () => {
    const lounge = new Lounge(1)
    const [a, b] = lounge.seat('ab') as [Seat, Seat]
    // Whoever is there is there when `ready` comes.
    expect(kinds(b)).toEqual(['join', 'ready'])
    b.send('hello')
    lounge.world.run(100)
    expect([a.members(), b.members(), a.heard(), b.heard()]).toEqual([['b'], ['a'], ['b: hello'], []])
  })

  it('two that join at the same time find each other', () => {
    const lounge = new Lounge(2)
    const seats = [lounge.guest('a'), lounge.guest('b'), lounge.guest('c')].map((guest) => lounge.enter(guest))
    lounge.world.run(3_000)
    expect(seats.map((seat) => seat.members())).toEqual([
      ['b', 'c'],
      ['a', 'c'],
      ['a', 'b'],
    ])
  })

  // A thousand each is for the browser, whose signatures are fast.
  it('eight of them, each a hundred times, all in order and once', () => {
    const lounge = new Lounge(3)
    const seats = lounge.seat('abcdefgh')
    lounge.world.run(2_000)
    for (const word of words(100)) for (const seat of seats) seat.send(word)
    lounge.world.run(10_000)
    for (const seat of seats) {
      const heard = seat.heard()
      for (const other of seats) {
        const name = other.guest.name
        if (other !== seat)
          expect(heard.filter((each) => each.startsWith(`${name}:`))).toEqual(words(100).map((word) => `${name}: ${word}`))
      }
      expect(heard.length).toBe(700)
    }
  }, 120_000)

  it('works before gossip has a way, and hears nothing from before it came', () => {
    const lounge = new Lounge(4)
    const [a] = lounge.seat('a') as [Seat]
    a.send('to nobody')
    const b = lounge.enter(lounge.guest('b'))
    lounge.world.run(10_000, () => a.members().length > 0)
    for (const word of words(20)) a.send(word)
    lounge.world.run(1_000)
    expect(b.heard()).toEqual(words(20).map((word) => `a: ${word}`))
  })

  it('misses nothing when connections break and come back', () => {
    const lounge = new Lounge(5)
    const [a, b] = lounge.seat('ab') as [Seat, Seat]
    lounge.world.run(2_000)
    const sent: string[] = []
    for (let round = 0; round < 5; round++) {
      for (const word of words(50, round * 100)) {
        a.send(word)
        sent.push(word)
      }
      if (round % 2 === 0) a.guest.cut()
      for (const word of words(50, round * 100 + 50)) {
        a.send(word)
        sent.push(word)
      }
      lounge.world.run(2_000)
    }
    lounge.world.run(20_000)
    expect(b.heard()).toEqual(sent.map((word) => `a: ${word}`))
    expect([kinds(b).filter((t) => t === 'join' || t === 'leave'), a.members()]).toEqual([['join'], ['b']])
  })

  it('of a few needs no signatures: all have streams to each other; gossip is for who has none, or is behind', () => {
    const lounge = new Lounge(18)
    const [a, b, c] = lounge.seat('abc') as [Seat, Seat, Seat]
    lounge.world.run(3_000)
    const { pubsub } = a.guest
    const publish = pubsub.publish.bind(pubsub)
    let published = 0
    pubsub.publish = (...args) => {
      published += 1
      return publish(...args)
    }
    for (const word of words(100)) a.send(word)
    lounge.world.run(1_000)
    expect([published, b.heard().length, c.heard().length]).toEqual([0, 100, 100])
    // The application of b is behind.
    b.room.holds = true
    for (let n = 0; n < 12; n++) a.room.send(new Uint8Array(100_000))
    lounge.world.run(2_000)
    for (const word of words(10)) a.send(word)
    lounge.world.run(2_000)
    expect(published).toBeGreaterThan(0)
    expect(c.heard().length).toBe(122)
    b.room.holds = false
    lounge.world.run(10_000)
    expect(b.heard()).toEqual(c.heard())
    // Somebody is in the topic of whom nothing is known.
    published = 0
    lounge.connect(lounge.guest('x'))
    const spy = lounge.guests.at(-1)
    spy?.pubsub.join(a.room.place.topic)
    spy?.node.dial({ addresses: [a.guest.address] }, () => {})
    lounge.world.run(2_000)
    a.send('for all')
    expect(published).toBe(1)
  })

  it('private messages come to one, in order, once, over a break as well', () => {
    const lounge = new Lounge(6)
    const [a, b, c] = lounge.seat('abc') as [Seat, Seat, Seat]
    const done: (string | undefined)[] = []
    const tell = (text: string): void => a.room.sendTo(b.guest.self, utf8(text), (fault) => done.push(fault?.code))
    for (const word of words(100)) tell(word)
    lounge.world.run(15)
    a.guest.cut()
    for (const word of words(100, 100)) tell(word)
    lounge.world.run(10_000)
    expect(b.heard()).toEqual(words(200).map((word) => `(a: ${word})`))
    expect([c.heard(), done.length, new Set(done)]).toEqual([[], 200, new Set([undefined])])
    a.room.sendTo(lounge.relay.node.self, utf8('psst'), (fault) => done.push(fault?.code))
    expect(done.at(-1)).toBe('ERR_NOT_IN_ROOM')
  })

  it('large messages come whole; too large ones are refused', () => {
    const lounge = new Lounge(7)
    const [a, b] = lounge.seat('ab') as [Seat, Seat]
    const large = lounge.world.random.bytes(ROOM_MAX_MESSAGE)
    a.room.send(large)
    a.room.sendTo(b.guest.self, large, () => {})
    a.room.send(new Uint8Array(0))
    lounge.world.run(10_000)
    const got = b.events.flatMap((event) => (event.t === 'message' ? [event.data] : []))
    expect(got.map(({ length }) => length).sort((x, y) => x - y)).toEqual([0, ROOM_MAX_MESSAGE, ROOM_MAX_MESSAGE])
    for (const data of got) if (data.length > 0) expect(Buffer.compare(data, large)).toBe(0)
    const larger = new Uint8Array(ROOM_MAX_MESSAGE + 1)
    expect(codeOf(() => a.room.send(larger))).toBe('ERR_INVALID_ARGUMENT')
    expect(codeOf(() => a.room.sendTo(b.guest.self, larger, () => {}))).toBe('ERR_INVALID_ARGUMENT')
    expect(codeOf(() => a.room.tellPresence(new Uint8Array(ROOM_MAX_PRESENCE + 1)))).toBe('ERR_INVALID_ARGUMENT')
  })

  it('presence is told to who is there and to who comes, and the latest counts', () => {
    const lounge = new Lounge(8)
    const [a] = lounge.seat('a') as [Seat]
    a.room.tellPresence(utf8('"early"'))
    const [b] = lounge.seat('b') as [Seat]
    const told = (): string[] =>
      b.events.flatMap((event) => (event.t === 'join' || event.t === 'presence' ? [Buffer.from(event.presence ?? []).toString()] : []))
    expect(told()).toEqual(['"early"'])
    // Sixty a second are told; more come to the same.
    for (let n = 1; n <= 100; n++) a.room.tellPresence(utf8(`${n}`))
    lounge.world.run(200)
    expect(told().slice(1)).toEqual(['1', '100'])
    a.room.tellPresence(undefined)
    lounge.world.run(200)
    expect(told().at(-1)).toBe('')
  })

  it('who leaves is gone at once, and may come again', () => {
    const lounge = new Lounge(9)
    const [a, b] = lounge.seat('ab') as [Seat, Seat]
    b.send('bye')
    b.guest.rooms.leave(b.room)
    lounge.world.run(200)
    expect([a.members(), a.heard(), a.events.at(-1)]).toMatchObject([[], ['b: bye'], { t: 'leave', reason: 'left' }])
    expect(lounge.relay.server.counters.registrations).toBe(1)
    const again = lounge.enter(b.guest)
    lounge.world.run(2_000)
    expect([a.members(), again.members(), codeOf(() => lounge.enter(b.guest))]).toEqual([['b'], ['a'], 'ERR_INVALID_ARGUMENT'])
  })

  it('who dies without a word is gone within seconds where the break is seen', () => {
    const lounge = new Lounge(10)
    const [a, b, c] = lounge.seat('abc') as [Seat, Seat, Seat]
    b.guest.sleep()
    expect(lounge.world.run(ROOM_LOST + 2_000, () => a.members().length + c.members().length === 2)).toBe(true)
    expect([a.members(), c.members(), a.events.at(-1)]).toMatchObject([['c'], ['a'], { t: 'leave', reason: 'lost' }])
  })

  it('and within half a minute where it is not', () => {
    const lounge = new Lounge(16)
    const [a, b] = lounge.seat('ab') as [Seat, Seat]
    lounge.world.run(5_000)
    // Nothing of b comes any more, on connections that stand.
    b.guest.freeze()
    lounge.world.run(ROOM_LOST + 2_000)
    expect(a.members()).toEqual(['b'])
    expect(lounge.world.run(gone, () => a.members().length === 0)).toBe(true)
  })

  it('who sleeps is back as one when it wakes, and hears the others again', () => {
    const lounge = new Lounge(11)
    const [a, b] = lounge.seat('ab') as [Seat, Seat]
    b.guest.sleep()
    lounge.world.run(8 * 3_600_000)
    expect(a.members()).toEqual([])
    b.guest.wake()
    lounge.world.run(15_000)
    a.send('good morning')
    b.send('back')
    lounge.world.run(1_000)
    expect([a.members(), kinds(a).filter((t) => t === 'join').length, b.members()]).toEqual([['b'], 2, ['a']])
    expect([a.heard(), b.heard()]).toEqual([['b: back'], ['a: good morning']])
  })

  it('who is started anew is a new member, not a second one', () => {
    const lounge = new Lounge(12)
    const [a, b] = lounge.seat('ab') as [Seat, Seat]
    b.send('first')
    lounge.world.run(1_000)
    // The room of a page that was closed without a word: only its traces are left.
    Object.assign(b.room, { leave: () => {} })
    b.guest.cut()
    b.guest.rooms.leave(b.room)
    lounge.connect(b.guest)
    const again = lounge.enter(b.guest)
    lounge.world.run(3_000)
    again.send('second')
    lounge.world.run(1_000)
    expect([a.members(), a.heard()]).toEqual([['b'], ['b: first', 'b: second']])
  })

  it('keeps together when the relay goes, and finds newcomers when it is back', () => {
    const lounge = new Lounge(13)
    const [a, b] = lounge.seat('ab') as [Seat, Seat]
    for (const connection of lounge.relay.node.connections()) connection.abort(new Error('restart') as never)
    lounge.relay.restart()
    lounge.world.run(200)
    a.send('still here')
    lounge.world.run(30_000)
    const [c] = lounge.seat('c') as [Seat]
    lounge.world.run(1_000)
    expect([b.heard(), c.members(), a.members()]).toEqual([['a: still here'], ['a', 'b'], ['b', 'c']])
  })

  it('of twenty holds together though not all are connected with all', () => {
    const lounge = new Lounge(14)
    const seats = lounge.seat('abcdefghijklmnopqrst')
    lounge.world.run(20_000)
    for (const seat of seats) expect(seat.members().length).toBe(19)
    seats[0]?.send('all')
    lounge.world.run(2_000)
    expect(seats.filter((seat) => seat.heard().includes('a: all')).length).toBe(19)
  }, 120_000)

  it('is found without a relay as well: by who announces himself to those who are connected already', () => {
    const lounge = new Lounge(17)
    const [a, b] = lounge.seat('ab') as [Seat, Seat]
    // Both know b alone.
    const [c, d] = [lounge.guest('c', false), lounge.guest('d', false)]
    for (const guest of [c, d]) guest.node.dial({ addresses: [b.guest.address] }, () => {})
    lounge.world.run(1_000)
    const seats = [a, b, lounge.enter(c), lounge.enter(d)]
    lounge.world.run(30_000)
    for (const seat of seats) expect(seat.members().length).toBe(3)
    expect(c.node.connections(d.self).length).toBe(1)
    expect(a.guest.node.connections(c.self).length).toBe(1)
    seats[2]?.send('hello')
    lounge.world.run(1_000)
    expect(seats.map((seat) => seat.heard().length)).toEqual([1, 1, 0, 1])
  })

  it('joined and left a hundred times leaves nothing behind', () => {
    const lounge = new Lounge(19)
    const [a, b] = lounge.seat('ab', 'other') as [Seat, Seat]
    const what = () => [
      a.guest.pubsub.topics.length,
      lounge.relay.server.counters.registrations,
      a.guest.node.connections().reduce((count, { streams }) => count + streams.size, 0),
      Object.keys(a.guest.node.tags(b.guest.self)),
    ]
    lounge.world.run(20_000)
    const before = what()
    const { waiting } = lounge.world
    for (let n = 0; n < 100; n++) {
      const seats = [lounge.enter(a.guest, 'again'), lounge.enter(b.guest, 'again')] as const
      lounge.world.run(2_000, () => seats.every((seat) => seat.members().length === 1))
      seats[0].send(`${n}`)
      lounge.world.run(500)
      expect(seats[1].heard()).toEqual([`a: ${n}`])
      for (const { guest, room } of seats) guest.rooms.leave(room)
      lounge.world.run(500)
    }
    lounge.world.run(20_000)
    expect(what()).toEqual(before)
    expect(lounge.world.waiting).toBeLessThan(waiting + 20)
  })

  it('leaves nothing behind when its peer stops', () => {
    const lounge = new Lounge(15)
    const seats = lounge.seat('abc')
    for (const { guest } of seats) guest.node.stop(() => {})
    lounge.relay.node.stop(() => {})
    lounge.world.run(60_000)
    expect(lounge.world.waiting).toBe(0)
  })
})

describe('a room with a password', () => {
  const place = (n: number) => sealedPlace(new Uint8Array(32).fill(n))

  it('two side by side hear nothing of each other, nor of an open one', () => {
    const lounge = new Lounge(20)
    const [a, b] = lounge.seat('ab', place(1)) as [Seat, Seat]
    const [c, d] = lounge.seat('cd', place(2)) as [Seat, Seat]
    const [e] = lounge.seat('e') as [Seat]
    for (const seat of [a, c, e]) seat.send(`of ${seat.guest.name}`)
    a.room.sendTo(b.guest.self, utf8('private'), () => {})
    lounge.world.run(5_000)
    expect([a, b, c, d, e].map((seat) => seat.members().join(''))).toEqual(['b', 'a', 'd', 'c', ''])
    expect([b, d, e].map((seat) => seat.heard().sort())).toEqual([['(a: private)', 'a: of a'], ['c: of c'], []])
  })

  it('tells an outsider nothing, whatever it does in the topic', () => {
    const lounge = new Lounge(21)
    const seen: string[] = []
    const [a, b] = lounge.seat('ab', place(1)) as [Seat, Seat]
    const spy = lounge.guest('s')
    spy.pubsub.join(a.room.place.topic)
    spy.pubsub.validate(a.room.place.topic, ({ data }, _from, done) => {
      seen.push(Buffer.from(data).toString('latin1'))
      done('accept')
    })
    spy.node.dial({ addresses: [a.guest.address] }, () => {})
    spy.node.dial({ addresses: [b.guest.address] }, () => {})
    lounge.world.run(3_000)
    a.room.tellPresence(utf8('"secret presence"'))
    a.send('secret words')
    a.room.sendTo(b.guest.self, utf8('secret aside'), () => {})
    // It repeats what it has heard as its own, and says things of its own.
    lounge.world.run(1_000)
    for (const data of seen) spy.pubsub.publish(a.room.place.topic, Buffer.from(data, 'latin1'))
    spy.pubsub.publish(
      a.room.place.topic,
      encodePublished(headOf(new Uint8Array(LIFE).fill(255), 0), encodeBody({ t: 'beat', interval: 1, presence: undefined })),
    )
    lounge.world.run(30_000)
    expect(seen.length).toBeGreaterThan(3)
    expect(seen.some((data) => data.includes('secret'))).toBe(false)
    expect([a.members(), b.members(), b.heard().sort()]).toEqual([['b'], ['a'], ['(a: secret aside)', 'a: secret words']])
    // And it is thought the less of.
    expect(a.guest.pubsub.score(spy.self)).toBeLessThan(0)
  })
})

describe('hostile peers of a room', () => {
  /** Speaks on streams of its own. */
  const stranger = (lounge: Lounge, seat: Seat) => {
    const guest = lounge.guest('x')
    let connected = false
    guest.node.dial({ addresses: [seat.guest.address] }, () => {
      connected = true
    })
    lounge.world.run(1_000, () => connected)
    const [connection] = guest.node.connections(seat.guest.self)
    if (connection === undefined) throw new Error('not connected')
    const say = (...frames: Uint8Array[]): string | undefined => {
      const stream = connection.openStream([ROOM])
      let fault: string | undefined
      stream.attach({ onData: ({ length }) => stream.release(length), onEnd: () => {}, onClose: (why) => (fault = why?.code ?? 'closed') })
      for (const each of frames) stream.write(frame(each))
      lounge.world.run(500)
      stream.abort(new Error('enough') as never)
      lounge.world.run(100)
      return fault === 'closed' ? undefined : fault
    }
    return { guest, say }
  }
  const hello = encodeWord({
    t: 'hello',
    life: new Uint8Array(LIFE).fill(9),
    next: 0,
    first: 0,
    secret: new Uint8Array(16),
    interval: 10_000,
    presence: undefined,
  })

  it('are cut off where they do not keep the rules, and only they', () => {
    const lounge = new Lounge(30)
    const [a, b] = lounge.seat('ab') as [Seat, Seat]
    const { say } = stranger(lounge, a)
    const preamble = encodePreamble({ tag: a.room.place.tag, salt: new Uint8Array(16) })
    const elsewhere = encodePreamble({ tag: openPlace('cellar').tag, salt: new Uint8Array(16) })
    for (const bad of [
      [Uint8Array.of(1, 2, 3)],
      [elsewhere, hello],
      [preamble, encodeWord({ t: 'private', number: 0, after: 0, data: utf8('no greeting'), more: false })],
      [preamble, hello, encodeWord({ t: 'private', number: 7, after: 0, data: utf8('out of turn'), more: false })],
      [preamble, Uint8Array.of(0, 1)],
      [preamble, new Uint8Array(100_000)],
      [new Uint8Array(1_000)],
    ]) {
      expect([bad.length, say(...bad)]).toEqual([bad.length, 'ERR_STREAM_RESET'])
    }
    a.send('fine')
    lounge.world.run(1_000)
    expect([b.heard(), a.heard()]).toEqual([['a: fine'], []])
  })

  it('ten thousand members that one peer makes up are a thousand at most', () => {
    const lounge = new Lounge(31)
    const [a] = lounge.seat('a') as [Seat]
    for (let n = 0; n < 10_000; n++)
      a.room.published(`fake${n}`, encodePublished(headOf(new Uint8Array(LIFE), 0), encodeBody({ t: 'leave' })))
    for (let n = 0; n < 10_000; n++) {
      a.room.published(
        `fake${n}`,
        encodePublished(headOf(new Uint8Array(LIFE), 0), encodeBody({ t: 'beat', interval: 1e9, presence: utf8('1') })),
      )
    }
    lounge.world.run(1_000)
    const joined = kinds(a).filter((t) => t === 'join').length
    expect(joined).toBeLessThanOrEqual(2 * ROOM_MAX_MEMBERS)
    const [b] = lounge.seat('b') as [Seat]
    expect(b.members()).toContain('a')
    lounge.world.run(2_000)
    expect(a.members()).toContain('b')
    lounge.world.run(400_000)
    expect(a.members()).toEqual(['b'])
  }, 60_000)

  it('a forged sender is not heard: gossip has checked who signed, and streams say who is there', () => {
    const lounge = new Lounge(32)
    const [a, b] = lounge.seat('ab') as [Seat, Seat]
    const forged = encodePublished(headOf(new Uint8Array(LIFE).fill(255), 0), encodeBody({ t: 'leave' }))
    // Signed by x, whatever it says inside.
    const { guest } = stranger(lounge, a)
    guest.pubsub.join(a.room.place.topic)
    lounge.world.run(2_000)
    guest.pubsub.publish(a.room.place.topic, forged)
    lounge.world.run(ROOM_LOST + 1_000)
    expect([a.members(), b.members()]).toEqual([['b'], ['a']])
  })
})
