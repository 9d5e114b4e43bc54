import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { TabmeshError } from '../../../errors.ts'
import { frame } from '../../codec/varint.ts'
import { ROOM_FILE_BLOCK, ROOM_FILE_MAX_OF_ONE, ROOM_FILE_PATIENCE } from '../../limits.ts'
import { codeOf, decodes, mutate, property } from '../../testing/property.ts'
import { Lounge, type Seat } from '../../testing/rooms.ts'
import type { FileSource } from './file-sender.ts'
import { decodeFileAnswer, decodeFileWord, encodeFileAnswer, encodeFileWord, type FileAnswer, type FileWord } from './file-words.ts'
import type { OfferedFile } from './files.ts'
import { encodePreamble, ROOM_FILE } from './messages.ts'
import { type Place, sealedPlace } from './place.ts'

const MiB = 1024 * 1024
const hash = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** Two members, and a file of one of them. */
const lab = (seed: number, size: number, place?: Place) => {
  const lounge = new Lounge(seed)
  const { world } = lounge
  const [a, b] = lounge.seat('ab', place) as [Seat, Seat]
  world.run(2_000)
  const bytes = world.random.bytes(size)
  const reads: number[] = []
  const source = (changes: Partial<FileSource> = {}): FileSource => ({
    name: 'cat.png',
    type: 'image/png',
    size,
    read(at, length, done) {
      reads.push(at)
      world.after(5, () => done(bytes.slice(at, at + length)))
    },
    ...changes,
  })
  const progress: number[] = []
  const sent: { fault?: TabmeshError | undefined; over: boolean } = { over: false }
  const send = (changes?: Partial<FileSource>) =>
    a.room.sendFile(b.guest.self, source(changes), {
      onProgress: (each) => progress.push(each),
      onOver: (fault) => Object.assign(sent, { over: true, fault }),
    })
  const offers = (): OfferedFile[] => b.events.flatMap((event) => (event.t === 'file' ? [event.file] : []))
  /** Takes the file; `slow` takes only so many bytes and then waits. */
  const take = (slow = Number.POSITIVE_INFINITY) => {
    const [near, far] = world.pipe()
    const got = { chunks: [] as Uint8Array[], size: 0, ended: false, fault: undefined as TabmeshError | undefined, held: 0, far }
    far.attach({
      onData(data) {
        got.chunks.push(data.slice())
        got.size += data.length
        if (got.size > slow) got.held += data.length
        else far.release(data.length)
      },
      onEnd: () => {
        got.ended = true
        far.end()
      },
      onClose: (fault) => {
        got.fault = fault
      },
    })
    offers().at(-1)?.accept(near)
    return got
  }
  const untilOffered = (): boolean => world.run(20_000, () => offers().length > 0)
  return { lounge, world, a, b, bytes, reads, progress, sent, send, offers, take, untilOffered }
}

describe('a file', () => {
  it('goes from one member to another, whole, with its progress', () => {
    const { world, send, take, untilOffered, offers, bytes, sent, progress } = lab(1, 5 * MiB + 7)
    send()
    untilOffered()
    expect(offers()[0]).toMatchObject({ name: 'cat.png', type: 'image/png', size: 5 * MiB + 7 })
    const got = take()
    world.run(60_000, () => sent.over && got.ended)
    expect([sent.fault, got.fault, hash(Buffer.concat(got.chunks))]).toEqual([undefined, undefined, hash(bytes)])
    expect(progress.length).toBeGreaterThanOrEqual(5)
    expect(progress).toEqual([...progress].sort((x, y) => x - y))
    expect(progress.at(-1)).toBe(5 * MiB + 7)
  })

  it('of no bytes is a file as well', () => {
    const { world, send, take, untilOffered, sent } = lab(2, 0)
    send({ name: '../../etc/pass\nwd', type: '' })
    untilOffered()
    const got = take()
    world.run(5_000, () => sent.over && got.ended)
    expect([sent.fault, got.size, got.ended]).toEqual([undefined, 0, true])
  })

  it('has a name that leads nowhere', () => {
    const { send, untilOffered, offers } = lab(3, 1)
    send({ name: '../../etc/pass\nwd' })
    untilOffered()
    expect(offers()[0]?.name).toBe('.._.._etc_pass_wd')
  })

  it('goes on where it was when connections break, and is read again only as far as need be', () => {
    const { world, a, send, take, untilOffered, bytes, sent, reads } = lab(4, 20 * MiB)
    send()
    untilOffered()
    const got = take()
    for (let cut = 1; cut <= 4; cut++) {
      world.run(60_000, () => got.size > cut * 4 * MiB)
      a.guest.cut()
    }
    world.run(120_000, () => sent.over && got.ended)
    expect([sent.fault, hash(Buffer.concat(got.chunks))]).toEqual([undefined, hash(bytes)])
    // Twenty blocks, and the three that were under way at each break.
    expect(reads.length).toBeLessThanOrEqual(20 + 4 * 4)
  })

  it('waits for a member that is away, but not for ever', () => {
    const { world, b, send, take, untilOffered, sent } = lab(5, 8 * MiB)
    send()
    untilOffered()
    const got = take()
    world.run(60_000, () => got.size > MiB)
    b.guest.sleep()
    world.run(ROOM_FILE_PATIENCE - 20_000)
    expect([sent.over, got.fault]).toEqual([false, undefined])
    world.run(60_000)
    expect(sent.fault?.code).toBe('ERR_CONNECTION_CLOSED')
  })

  it('is offered anew, from its beginning, to a member that was started anew', () => {
    const { lounge, world, b, send, bytes, sent } = lab(21, 8 * MiB)
    send()
    world.run(20_000, () => b.events.some(({ t }) => t === 'file'))
    // Taken for a while by the page that is closed then, of which nobody hears more.
    const taken = (seat: Seat) => {
      const [near, far] = world.pipe()
      const got = { chunks: [] as Uint8Array[], size: 0, ended: false }
      far.attach({
        onData(data) {
          got.chunks.push(data.slice())
          got.size += data.length
          far.release(data.length)
        },
        onEnd: () => {
          got.ended = true
          far.end()
        },
        onClose: () => {},
      })
      for (const event of seat.events) if (event.t === 'file') event.file.accept(near)
      return got
    }
    const first = taken(b)
    world.run(60_000, () => first.size > 2 * MiB)
    Object.assign(b.room, { leave: () => {} })
    b.guest.cut()
    b.guest.rooms.leave(b.room)
    lounge.connect(b.guest)
    const again = lounge.enter(b.guest)
    expect(world.run(30_000, () => again.events.some(({ t }) => t === 'file'))).toBe(true)
    const second = taken(again)
    world.run(60_000, () => sent.over && second.ended)
    expect([sent.fault, hash(Buffer.concat(second.chunks)), first.ended]).toEqual([undefined, hash(bytes), false])
  })

  it('whose sender does not come back fails after two minutes, and is not taken for whole', () => {
    const { world, a, send, take, untilOffered } = lab(22, 8 * MiB)
    send()
    untilOffered()
    const got = take()
    world.run(60_000, () => got.size > MiB)
    a.guest.sleep()
    world.run(ROOM_FILE_PATIENCE - 5_000)
    expect([got.fault, got.ended]).toEqual([undefined, false])
    world.run(10_000)
    expect([got.fault?.code, got.ended]).toEqual(['ERR_CONNECTION_CLOSED', false])
  })

  it('is sent no faster than it is taken', () => {
    const { world, send, take, untilOffered, sent, reads } = lab(6, 50 * MiB)
    send()
    untilOffered()
    const got = take(MiB)
    world.run(60_000)
    expect([sent.over, got.size < 2 * MiB]).toEqual([false, true])
    expect(reads.length * ROOM_FILE_BLOCK).toBeLessThan(24 * MiB)
    got.far.release(got.held)
  })

  it('may be rejected, given up by either side, or offered in vain', () => {
    const rejected = lab(7, MiB)
    rejected.send()
    rejected.untilOffered()
    rejected.offers()[0]?.reject()
    rejected.world.run(5_000)
    expect(rejected.sent.fault?.code).toBe('ERR_FILE_REFUSED')

    const cancelled = lab(8, 20 * MiB)
    const cancel = cancelled.send()
    cancelled.untilOffered()
    const got = cancelled.take()
    cancelled.world.run(60_000, () => got.size > MiB)
    cancel()
    cancelled.world.run(5_000)
    expect([cancelled.sent.fault?.code, got.fault !== undefined, got.ended]).toEqual(['ERR_STREAM_CLOSED', true, false])

    const dropped = lab(9, 20 * MiB)
    dropped.send()
    dropped.untilOffered()
    const half = dropped.take()
    dropped.world.run(60_000, () => half.size > MiB)
    half.far.abort(new TabmeshError('ERR_STREAM_RESET', 'enough'))
    dropped.world.run(5_000)
    expect(dropped.sent.fault?.code).toBe('ERR_FILE_REFUSED')

    const left = lab(10, 20 * MiB)
    left.send()
    left.untilOffered()
    const rest = left.take()
    left.world.run(60_000, () => rest.size > MiB)
    left.b.guest.rooms.leave(left.b.room)
    left.world.run(5_000)
    expect([left.sent.fault?.code, rest.fault?.code]).toEqual(['ERR_FILE_REFUSED', 'ERR_CONNECTION_CLOSED'])
    expect(codeOf(() => left.send())).toBe('ERR_NOT_IN_ROOM')
  })

  it('that changes while it is read is not taken for whole', () => {
    const { world, a, send, take, untilOffered, sent, bytes } = lab(11, 10 * MiB)
    let again = false
    send({
      read(at, length, done) {
        const read = bytes.slice(at, at + length)
        if (again) read.fill(1)
        world.after(5, () => done(read))
      },
    })
    untilOffered()
    const got = take()
    world.run(60_000, () => got.size > 4 * MiB)
    again = true
    a.guest.cut()
    world.run(120_000, () => sent.over)
    expect([sent.fault?.code, got.ended]).toEqual(['ERR_FILE_CORRUPT', false])
    expect(got.fault).toBeDefined()
    const short = lab(12, 10 * MiB)
    short.send({ read: (_at, _length, done) => void short.world.after(1, () => done(new Uint8Array(3))) })
    short.untilOffered()
    short.take()
    short.world.run(5_000)
    expect(short.sent.fault?.code).toBe('ERR_FILE_READ')
  })

  it('in a room with a password is sealed', () => {
    const { world, send, take, untilOffered, bytes, sent } = lab(13, 3 * MiB, sealedPlace(new Uint8Array(32).fill(1)))
    send()
    untilOffered()
    const got = take()
    world.run(60_000, () => sent.over && got.ended)
    expect(hash(Buffer.concat(got.chunks))).toBe(hash(bytes))
  })

  it('of one member there are so many at a time', () => {
    const { world, send, offers } = lab(14, 10)
    for (let n = 0; n < 2 * ROOM_FILE_MAX_OF_ONE; n++) send()
    world.run(5_000)
    expect(offers().length).toBe(ROOM_FILE_MAX_OF_ONE)
  })
})

describe('words about files', () => {
  const words: FileWord[] = [
    { t: 'offer', id: new Uint8Array(16).fill(1), size: 2 ** 40, type: 'text/plain', name: 'grüße.txt' },
    { t: 'offer', id: new Uint8Array(16), size: 0, type: '', name: '' },
    { t: 'data', data: new Uint8Array(100) },
    { t: 'end', hash: new Uint8Array(32).fill(3) },
    { t: 'cancel' },
  ]
  const answers: FileAnswer[] = [
    { t: 'accept', at: 0 },
    { t: 'have', at: 2 ** 40 },
    { t: 'done' },
    { t: 'refuse', corrupt: true },
    { t: 'refuse', corrupt: false },
  ]

  it('are read as they are written, and hostile ones with a code', () => {
    for (const word of words) expect(decodeFileWord(encodeFileWord(word))).toEqual(word)
    for (const answer of answers) expect(decodeFileAnswer(encodeFileAnswer(answer))).toEqual(answer)
    const valid = [...words.map(encodeFileWord), ...answers.map(encodeFileAnswer)]
    property(300, (random) => {
      const some = mutate(random, valid[random.below(valid.length)] as Uint8Array)
      for (const decode of [decodeFileWord, decodeFileAnswer]) decodes(() => decode(some))
    })
    expect(codeOf(() => decodeFileWord(new Uint8Array(70_000).fill(1)))).toBe('ERR_FRAME_TOO_LARGE')
    expect(
      codeOf(() => decodeFileWord(encodeFileWord({ t: 'offer', id: new Uint8Array(16), size: 1, type: '', name: 'x'.repeat(300) }))),
    ).toBe('ERR_FRAME_TOO_LARGE')
  })

  it('that are not due end the stream', () => {
    const { lounge, a, b } = lab(20, 1)
    const [connection] = b.guest.node.connections(a.guest.self)
    const offer = encodeFileWord({ t: 'offer', id: new Uint8Array(16), size: 5, type: '', name: 'x' })
    const say = (...said: Uint8Array[]): string | undefined => {
      const stream = connection?.openStream([ROOM_FILE])
      let fault: string | undefined
      stream?.attach({ onData: () => {}, onEnd: () => {}, onClose: (why) => void (fault = why?.code) })
      for (const each of [encodePreamble({ tag: a.room.place.tag, salt: new Uint8Array(16) }), ...said]) stream?.write(frame(each))
      lounge.world.run(500)
      return fault
    }
    expect(say(encodeFileWord({ t: 'data', data: new Uint8Array(1) }))).toBe('ERR_STREAM_RESET')
    expect(say(offer, offer)).toBe('ERR_STREAM_RESET')
    expect(say(offer, encodeFileWord({ t: 'data', data: new Uint8Array(1) }))).toBe('ERR_STREAM_RESET')
    expect(say(offer, encodeFileWord({ t: 'end', hash: new Uint8Array(32) }))).toBe('ERR_STREAM_RESET')
    expect(a.members()).toEqual(['b'])
  })
})
