import { describe, expect, it } from 'vitest'
import { concat, utf8 } from '../../codec/bytes.ts'
import { MPLEX_MAX_MESSAGE } from '../../limits.ts'
import { prng } from '../../testing/prng.ts'
import { CLOSE, ControlQueue, FrameReader, MESSAGE, NEW, RESET } from './frame.ts'
import { close, data, frame, frames, open, reset } from './transcript.ts'

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const bytes = (text: string) => Uint8Array.from(Buffer.from(text, 'hex'))

/** What the reader makes of chunks: each message's header and whole body. */
const read = (chunks: readonly Uint8Array[]): string[] => {
  const reader = new FrameReader()
  const lines: string[] = []
  let body: Uint8Array[] = []
  for (const chunk of chunks) {
    reader.push(chunk)
    for (let part = reader.next(); part !== undefined; part = reader.next()) {
      if (part === 'refused') return [...lines, `refused: ${reader.refusal}`]
      if (part === 'header') lines.push(`${reader.id} ${reader.flag} ${reader.length}`)
      else {
        body.push(reader.body)
        if (reader.left > 0) continue
        lines.push(hex(concat(body)))
        body = []
      }
    }
  }
  if (!reader.atBoundary) lines.push('incomplete')
  return lines
}

describe('headers', () => {
  // libp2p/js-libp2p packages/stream-multiplexer-mplex/test/coder.spec.ts
  it('are those of js-libp2p', () => {
    expect(hex(open(17, utf8('17')))).toBe('8801023137')
    expect(hex(open(17))).toBe('880100')
    expect(read([bytes('88010231379801023139a801023231')])).toEqual(['17 0 2', '3137', '19 0 2', '3139', '21 0 2', '3231'])
    expect(read([bytes('880100')])).toEqual(['17 0 0'])
  })

  // By hand from specs: mplex/README.md, "Message format" and "Flag Values".
  it.each([
    ['a new stream', open(0), '0000'],
    ['data by the receiver', data(1, utf8('hi'), 0), '09' + '02' + '6869'],
    ['data by the initiator', data(1, utf8('hi')), '0a' + '02' + '6869'],
    ['close by the receiver', close(2, 0), '1300'],
    ['close by the initiator', close(2), '1400'],
    ['reset by the receiver', reset(3, 0), '1d00'],
    ['reset by the initiator', reset(3), '1e00'],
    ['an id of 50 bits, and a megabyte to come', frame(2 ** 50 - 1, MESSAGE, new Uint8Array(0), 2 ** 20), 'f9ffffffffffff0f808040'],
  ])('%s', (_, message, golden) => {
    expect(hex(message)).toBe(golden)
  })
})

describe('FrameReader', () => {
  const stream = concat([open(300, utf8('name')), data(300, utf8('one')), data(300, new Uint8Array(200)), close(300), reset(300, 0)])
  const lines = ['300 0 4', hex(utf8('name')), '300 2 3', hex(utf8('one')), '300 2 200', '00'.repeat(200), '300 4 0', '300 5 0']

  it('reads messages that come in one chunk', () => {
    expect(read([stream])).toEqual(lines)
  })

  it('reads messages cut at every byte, and byte by byte', () => {
    for (let cut = 0; cut <= stream.length; cut++) expect(read([stream.subarray(0, cut), stream.subarray(cut)])).toEqual(lines)
    expect(read([...stream].map((byte) => Uint8Array.of(byte)))).toEqual(lines)
  })

  it('knows whether it stands between messages', () => {
    const whole = concat([data(300, utf8('ab')), close(300)])
    const reader = new FrameReader()
    const boundaries: number[] = []
    for (let at = 0; at < whole.length; at++) {
      if (reader.atBoundary) boundaries.push(at)
      reader.push(whole.subarray(at, at + 1))
      while (reader.next() !== undefined);
    }
    // Two bytes of id, one of length, two of body.
    expect(boundaries).toEqual([0, 5])
  })

  it('hands out bodies as they come, as views', () => {
    const reader = new FrameReader()
    const message = data(1, utf8('abc'))
    reader.push(message.subarray(0, 3))
    expect([reader.next(), reader.next()]).toEqual(['header', 'body'])
    expect(reader.body.buffer).toBe(message.buffer)
    expect([reader.body.length, reader.left, reader.next()]).toEqual([1, 2, undefined])
    reader.push(message.subarray(3))
    expect([reader.next(), reader.body.byteOffset, reader.left]).toEqual(['body', 3, 0])
  })

  it('skips the rest of one body, and only of that one', () => {
    const reader = new FrameReader()
    const bodies: string[] = []
    for (const byte of concat([data(1, utf8('skipped')), data(3, utf8('read'))])) {
      reader.push(Uint8Array.of(byte))
      for (let part = reader.next(); part !== undefined; part = reader.next()) {
        if (part === 'header' && reader.id === 1) reader.skip()
        if (part === 'body') bodies.push(Buffer.from(reader.body).toString())
      }
    }
    expect(bodies.join('')).toBe('read')
  })

  it.each([
    ['a body of over a megabyte', frame(0, MESSAGE, new Uint8Array(0), MPLEX_MAX_MESSAGE + 1), '1048577 bytes'],
    ['a name of over a megabyte', frame(0, NEW, new Uint8Array(0), MPLEX_MAX_MESSAGE + 1), '1048577 bytes'],
    ['a close with a body of over a megabyte', frame(0, CLOSE, new Uint8Array(0), MPLEX_MAX_MESSAGE + 1), '1048577 bytes'],
    ['a reset with a body of over a megabyte', frame(0, RESET, new Uint8Array(0), MPLEX_MAX_MESSAGE + 1), '1048577 bytes'],
    ['a length of 2^63', concat([bytes('01'), new Uint8Array(9).fill(0xff), bytes('01')]), 'over 9 bytes'],
    ['flag 7', frame(5, 7), 'flag 7'],
    ['an id of 60 bits', concat([new Uint8Array(8).fill(0xff), bytes('7f00')]), '50 bits'],
    ['a header without an end', new Uint8Array(20).fill(0x80), 'over 9 bytes'],
    ['an id in more bytes than it needs', bytes('800000'), 'longer than it need be'],
    ['a length in more bytes than it needs', bytes('008000'), 'longer than it need be'],
  ])('refuses %s, and reads nothing more', (_, message, refusal) => {
    const [first, ...more] = read([concat([message, open(1)]), open(2)])
    expect(first).toMatch(new RegExp(`^refused: .*${refusal.replace('^', '\\^')}`))
    expect(more).toEqual([])
  })

  it('survives a message with any one byte wrong', () => {
    const good = concat([open(300), data(300, utf8('hello'))])
    for (let at = 0; at < good.length; at++) {
      for (let value = 0; value < 256; value++) {
        const bad = good.slice()
        bad[at] = value
        expect(read([bad]).length).toBeGreaterThan(0)
      }
    }
  })

  it('reads random messages in random chunks', () => {
    for (let seed = 1; seed <= 200; seed++) {
      const random = prng(seed)
      const sent = Array.from({ length: 20 }, () =>
        frame(random.below(2) === 0 ? random.below(20) : random.u32() * 1_000, random.below(7), random.bytes(random.below(300))),
      )
      const whole = concat(sent)
      const chunks: Uint8Array[] = []
      for (let at = 0; at < whole.length; ) {
        const size = 1 + random.below(random.below(2) === 0 ? 6 : 500)
        chunks.push(whole.subarray(at, at + size))
        at += size
      }
      expect(read(chunks), `seed ${seed}`).toEqual(read([whole]))
      expect(read([whole]).length, `seed ${seed}`).toBeGreaterThanOrEqual(20)
    }
  })
})

describe('ControlQueue', () => {
  it('keeps order, grows, and leaves nothing behind', () => {
    const queue = new ControlQueue()
    for (let id = 0; id < 1_000; id++) queue.push(id, RESET)
    expect(frames([queue.take()])).toEqual(Array.from({ length: 1_000 }, (_, id) => `RESET r${id}`))
    expect(queue.size).toBe(0)
    queue.push(2 ** 50 - 1, RESET + 1)
    expect(frames([queue.take()])).toEqual(['RESET i1125899906842623'])
  })
})
