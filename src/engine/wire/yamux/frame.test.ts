import { describe, expect, it } from 'vitest'
import { concat, utf8 } from '../../codec/bytes.ts'
import { YAMUX_MAX_WINDOW } from '../../limits.ts'
import { prng } from '../../testing/prng.ts'
import { ACK, DATA, FIN, FrameReader, GO_AWAY, HeaderQueue, PING, RST, SYN, WINDOW_UPDATE } from './frame.ts'
import { data, frame, frames, goAway, ping, update } from './transcript.ts'

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

describe('headers', () => {
  // By hand from specs: yamux/README.md, "Framing": version, type, flags (2), stream id (4), length (4), big-endian.
  it.each([
    ['data with SYN, stream 1', data(1, utf8('hello'), SYN), '000000010000000100000005' + '68656c6c6f'],
    ['window update with ACK, stream 2', update(2, 0, ACK), '000100020000000200000000'],
    ['window update of 256 KiB', update(0x01020304, 262_144), '000100000102030400040000'],
    ['FIN on the highest id', update(0xffffffff, 0, FIN), '00010004ffffffff00000000'],
    ['RST with a code of go', update(3, 0x1002, RST), '000100080000000300001002'],
    ['ping request', ping(SYN, 0xdeadbeef), '0002000100000000deadbeef'],
    ['ping answer', ping(ACK, 1), '000200020000000000000001'],
    ['go-away, protocol error', goAway(1), '000300000000000000000001'],
  ])('%s', (_, bytes, golden) => {
    expect(hex(bytes)).toBe(golden)
  })
})

/** What the reader makes of chunks: each frame's header and whole body. */
const read = (chunks: Uint8Array[]): string[] => {
  const reader = new FrameReader()
  const lines: string[] = []
  let body: Uint8Array[] = []
  for (const chunk of chunks) {
    reader.push(chunk)
    for (let part = reader.next(); part !== undefined; part = reader.next()) {
      if (part === 'refused') return [...lines, `refused: ${reader.refusal}`]
      if (part === 'header') lines.push(`${reader.type} ${reader.flags} ${reader.id} ${reader.length}`)
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

describe('FrameReader', () => {
  const stream = concat([
    data(1, utf8('one'), SYN),
    update(1, 70_000),
    data(3, new Uint8Array(0), SYN | FIN),
    ping(SYN, 9),
    data(1, utf8('three'), FIN),
  ])
  const lines = ['0 1 1 3', hex(utf8('one')), '1 0 1 70000', '0 5 3 0', '2 1 0 9', '0 4 1 5', hex(utf8('three'))]

  it('reads frames that come in one chunk', () => {
    expect(read([stream])).toEqual(lines)
  })

  it('reads frames cut at every byte', () => {
    for (let cut = 0; cut <= stream.length; cut++) expect(read([stream.subarray(0, cut), stream.subarray(cut)])).toEqual(lines)
  })

  it('reads frames byte by byte', () => {
    expect(read([...stream].map((byte) => Uint8Array.of(byte)))).toEqual(lines)
  })

  it('knows whether it stands between frames', () => {
    const reader = new FrameReader()
    const boundaries: number[] = []
    for (let at = 0; at < stream.length; at++) {
      if (reader.atBoundary) boundaries.push(at)
      reader.push(stream.subarray(at, at + 1))
      while (reader.next() !== undefined);
    }
    expect(boundaries).toEqual([0, 15, 27, 39, 51])
  })

  it('hands out bodies as they come, as views', () => {
    const reader = new FrameReader()
    const [head, rest] = [stream.subarray(0, 13), stream.subarray(13, 15)]
    reader.push(head)
    expect(reader.next()).toBe('header')
    expect(reader.next()).toBe('body')
    expect(reader.body.buffer).toBe(stream.buffer)
    expect([reader.body.length, reader.left]).toEqual([1, 2])
    expect(reader.next()).toBeUndefined()
    reader.push(rest)
    expect(reader.next()).toBe('body')
    expect([reader.body.byteOffset, reader.left]).toEqual([13, 0])
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
    ['a version', Uint8Array.of(1, ...data(1, utf8('x')).subarray(1)), 'version 1'],
    ['an unknown type', frame(4, 0, 0, 0), 'unknown type 4'],
    ['data on the session', data(0, utf8('x')), 'on the id of the session'],
    ['a window update on the session', update(0, 1), 'on the id of the session'],
    ['a ping on a stream', frame(PING, SYN, 1, 0), 'on the id of a stream'],
    ['a go-away on a stream', frame(GO_AWAY, 0, 1, 0), 'on the id of a stream'],
    ['a body larger than any window', frame(DATA, 0, 1, YAMUX_MAX_WINDOW + 1), 'body of 16777217 bytes'],
  ])('refuses %s, and reads nothing more', (_, bytes, refusal) => {
    const [first, ...more] = read([concat([bytes, ping(SYN, 1)]), ping(SYN, 2)])
    expect(first).toContain(refusal)
    expect(more).toEqual([])
  })

  it('survives a frame with any one byte wrong', () => {
    const good = data(1, utf8('hello'), SYN)
    for (let at = 0; at < good.length; at++) {
      for (let value = 0; value < 256; value++) {
        const bad = good.slice()
        bad[at] = value
        expect(read([bad]).length).toBeGreaterThan(0)
      }
    }
  })

  it('reads random frames in random chunks', () => {
    for (let seed = 1; seed <= 200; seed++) {
      const random = prng(seed)
      const sent = Array.from({ length: 20 }, () => {
        const id = 1 + random.below(5)
        switch (random.below(4)) {
          case 0:
            return data(id, random.bytes(random.below(300)), random.below(16))
          case 1:
            return frame(WINDOW_UPDATE, random.below(16), id, random.u32())
          case 2:
            return ping(random.below(4), random.u32())
          default:
            return goAway(random.u32())
        }
      })
      const whole = concat(sent)
      const chunks: Uint8Array[] = []
      for (let at = 0; at < whole.length; ) {
        const size = 1 + random.below(random.below(2) === 0 ? 13 : 500)
        chunks.push(whole.subarray(at, at + size))
        at += size
      }
      expect(read(chunks), `seed ${seed}`).toEqual(read([whole]))
      expect(read([whole]).length, `seed ${seed}`).toBeGreaterThanOrEqual(20)
    }
  })
})

describe('HeaderQueue', () => {
  it('keeps order, grows, and leaves nothing behind', () => {
    const queue = new HeaderQueue()
    for (let value = 0; value < 1_000; value++) queue.push(PING, ACK, 0, value)
    expect(queue.size).toBe(12_000)
    expect(frames([queue.take()])).toEqual(Array.from({ length: 1_000 }, (_, value) => `PING ACK ${value}`))
    expect(queue.size).toBe(0)
    queue.push(GO_AWAY, 0, 0, 2)
    expect(frames([queue.take()])).toEqual(['GO_AWAY 2'])
  })
})
