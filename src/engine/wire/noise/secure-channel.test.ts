import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { TabmeshError } from '../../../errors.ts'
import { concat, utf8 } from '../../codec/bytes.ts'
import { nobleAead } from '../../crypto/noble-aead.ts'
import type { PairedChannel } from '../../testing/channel-pair.ts'
import { channelPair } from '../../testing/channel-pair.ts'
import type { Prng } from '../../testing/prng.ts'
import { prng } from '../../testing/prng.ts'
import type { Channel, Sink } from '../channel.ts'
import { CipherState } from './handshake-state.ts'
import type { SecureChannel } from './secure-channel.ts'
import { secure } from './secure-channel.ts'

const WINDOW = 256 * 1024
const MAX = 65_519
const keys = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)] as const

interface Side {
  readonly channel: SecureChannel
  readonly below: PairedChannel
}

const sides = (seed?: number, low = 0, high = 0): [Side, Side] => {
  const [near, far] = channelPair(seed === undefined ? {} : { seed })
  const [first, second] = keys
  const state = (key: Uint8Array) => new CipherState(key, low, high)
  const a = secure(near, { send: state(first), receive: state(second) }, nobleAead)
  const b = secure(far, { send: state(second), receive: state(first) }, nobleAead)
  return [
    { channel: a, below: near },
    { channel: b, below: far },
  ]
}

/** A secure channel whose other end is bare, for sealing by hand. */
const half = (seed?: number): { channel: SecureChannel; bare: PairedChannel } => {
  const [near, bare] = channelPair(seed === undefined ? {} : { seed })
  const channel = secure(near, { send: new CipherState(keys[0]), receive: new CipherState(keys[1]) }, nobleAead)
  return { channel, bare }
}

/** What a channel tells its reader, as a transcript. */
const record = (channel: Channel, release = true) => {
  const log: { chunks: Uint8Array[]; events: string[]; fault: TabmeshError | undefined; sink: Sink } = {
    chunks: [],
    events: [],
    fault: undefined,
    sink: {
      onData(bytes) {
        log.chunks.push(bytes)
        log.events.push(`data ${bytes.length}`)
        if (release) channel.release(bytes.length)
      },
      onDrain: () => log.events.push('drain'),
      onEnd: () => log.events.push('end'),
      onClose(fault) {
        log.fault = fault
        log.events.push(fault === undefined ? 'close' : `close ${fault.code}`)
      },
    },
  }
  channel.attach(log.sink)
  return log
}

/** The `n`th message of the far side, sealed by hand. */
const seal = (plaintext: Uint8Array, n: number): Uint8Array => {
  const out = new Uint8Array(2 + plaintext.length + 16)
  new DataView(out.buffer).setUint16(0, plaintext.length + 16)
  const nonce = new Uint8Array(12)
  new DataView(nonce.buffer).setUint32(4, n, true)
  nobleAead.seal(keys[1], nonce, [plaintext], out, 2)
  return out
}

describe('sending', () => {
  it('puts the length in front and the tag behind, one write below for one above', () => {
    const { channel, bare } = half()
    const log = record(bare)
    channel.write(utf8('hello'))
    channel.writev([utf8('a'), utf8(''), utf8('bc')])
    bare.flush()
    expect(log.events).toEqual(['data 23', 'data 21'])
    expect([...(log.chunks[0] as Uint8Array).subarray(0, 2)]).toEqual([0, 21])
    const plaintext = new Uint8Array(3)
    const nonce = Uint8Array.of(0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0)
    expect(nobleAead.open(keys[0], nonce, (log.chunks[1] as Uint8Array).subarray(2), plaintext, 0)).toBe(true)
    expect(plaintext).toEqual(utf8('abc'))
  })

  it('writes nothing for no bytes', () => {
    const { channel, bare } = half()
    channel.write(new Uint8Array(0))
    channel.writev([])
    channel.writev([new Uint8Array(0)])
    const log = record(bare)
    bare.flush()
    expect(log.events).toEqual([])
  })

  it.each([
    { size: MAX, lengths: [MAX] },
    { size: MAX + 1, lengths: [MAX, 1] },
    { size: 2 * MAX, lengths: [MAX, MAX] },
    { size: 200_000, lengths: [MAX, MAX, MAX, 200_000 - 3 * MAX] },
  ])('cuts $size bytes into $lengths, in one write', ({ size, lengths }) => {
    const { channel, bare } = half()
    const log = record(bare)
    const data = prng(size).bytes(size)
    // Cuts in the chunks that have nothing to do with the cuts of the messages.
    channel.writev([data.subarray(0, 1), data.subarray(1, 1), data.subarray(1, 70_000), data.subarray(70_000)])
    bare.flush()
    expect(log.chunks.length).toBe(1)
    const sealed = log.chunks[0] as Uint8Array
    const opened = lengths.map((length, n) => {
      const at = lengths.slice(0, n).reduce((sum, each) => sum + each + 18, 0)
      expect(new DataView(sealed.buffer).getUint16(at)).toBe(length + 16)
      const plaintext = new Uint8Array(length)
      const nonce = Uint8Array.of(0, 0, 0, 0, n, 0, 0, 0, 0, 0, 0, 0)
      expect(nobleAead.open(keys[0], nonce, sealed.subarray(at + 2, at + 18 + length), plaintext, 0)).toBe(true)
      return plaintext
    })
    expect(Buffer.compare(concat(opened), data)).toBe(0)
  })

  it('has the credit of the channel below less its overhead, and passes on that there is some again', () => {
    const [a, b] = sides()
    expect(a.channel.credit).toBe(WINDOW - 18 * 4)
    const log = record(a.channel)
    const far = record(b.channel, false)
    // Some room below is always some room above, else `onDrain` would not come.
    a.below.write(new Uint8Array(WINDOW - 5))
    expect(a.below.credit).toBe(5)
    expect(a.channel.credit).toBe(1)
    a.below.abort(new TabmeshError('ERR_STOPPED', 'enough'))
    expect(log.events).toEqual(['close ERR_STOPPED'])
    a.below.flush()
    expect(far.events).toEqual(['close ERR_STREAM_RESET'])
  })

  it('is told to wait and to go on by the channel below', () => {
    const [a, b] = sides()
    const writer = record(a.channel)
    const reader = record(b.channel, false)
    a.channel.write(new Uint8Array(WINDOW))
    expect(a.channel.credit).toBeLessThanOrEqual(0)
    a.below.flush()
    expect(reader.events).toEqual([`data ${WINDOW}`])
    expect(writer.events).toEqual([])
    b.channel.release(WINDOW)
    a.below.flush()
    expect(writer.events).toEqual(['drain'])
    expect(a.below.credit).toBe(WINDOW)
  })
})

describe('receiving', () => {
  it('makes one chunk of all messages that come in one', () => {
    const { channel, bare } = half()
    const log = record(channel)
    bare.write(concat([seal(utf8('one'), 0), seal(utf8('two'), 1), seal(utf8(''), 2), seal(utf8('three'), 3)]))
    bare.flush()
    expect(log.events).toEqual(['data 11'])
    expect(log.chunks[0]).toEqual(utf8('onetwothree'))
  })

  it('waits for the end of a message wherever it is cut', () => {
    const message = concat([seal(utf8('first'), 0), seal(utf8('second'), 1)])
    for (let cut = 1; cut < message.length; cut++) {
      const { channel, bare } = half()
      const log = record(channel)
      bare.write(message.slice(0, cut))
      bare.flush()
      bare.write(message.slice(cut))
      bare.flush()
      expect(Buffer.from(concat(log.chunks)).toString(), `cut at ${cut}`).toBe('firstsecond')
    }
  })

  it('takes them byte by byte', () => {
    const { channel, bare } = half()
    const log = record(channel)
    for (const byte of concat([seal(utf8('first'), 0), seal(utf8('second'), 1)])) bare.write(Uint8Array.of(byte))
    bare.flush()
    expect(log.events).toEqual(['data 5', 'data 6'])
    expect(bare.credit).toBe(WINDOW)
  })

  it('gives back the credit of the overhead at once and of the plaintext when it is released', () => {
    const { channel, bare } = half()
    record(channel, false)
    bare.write(seal(new Uint8Array(1_000), 0))
    bare.flush()
    expect(bare.credit).toBe(WINDOW - 1_000)
    channel.release(1_000)
    expect(bare.credit).toBe(WINDOW)
  })

  it('keeps what comes while nobody reads, and what a reader did not use', () => {
    const { channel, bare } = half()
    bare.write(seal(utf8('negotiation and data'), 0))
    bare.flush()
    const first = record(channel, false)
    channel.detach((first.chunks[0] as Uint8Array).subarray(11))
    bare.write(seal(utf8(', more'), 1))
    bare.flush()
    const second = record(channel, false)
    expect(Buffer.from(concat(second.chunks)).toString()).toBe(' and data, more')
  })

  it('ends with the channel below, each direction for itself', () => {
    const [a, b] = sides()
    const [left, right] = [record(a.channel), record(b.channel)]
    a.channel.write(utf8('last'))
    a.channel.end()
    a.channel.write(utf8('too late'))
    a.below.flush()
    expect(right.events).toEqual(['data 4', 'end'])
    b.channel.write(utf8('reply'))
    b.channel.end()
    a.below.flush()
    expect(left.events).toEqual(['data 5', 'end', 'close'])
    expect(right.events).toEqual(['data 4', 'end', 'close'])
  })

  it('closes both sides when one aborts', () => {
    const [a, b] = sides()
    const [left, right] = [record(a.channel), record(b.channel)]
    a.channel.abort(new TabmeshError('ERR_STOPPED', 'enough'))
    a.channel.abort(new TabmeshError('ERR_STOPPED', 'again'))
    a.channel.write(utf8('too late'))
    a.below.flush()
    expect(left.events).toEqual(['close ERR_STOPPED'])
    expect(right.events).toEqual(['close ERR_STREAM_RESET'])
  })
})

describe('refused', () => {
  const spoil = (message: Uint8Array, at: number): Uint8Array => {
    const spoilt = message.slice()
    spoilt[at] = (spoilt[at] as number) ^ 1
    return spoilt
  }
  const good = seal(utf8('good'), 0)

  it.each([
    { what: 'a message of no bytes', messages: [Uint8Array.of(0, 0)] },
    { what: 'a message of one byte less than a tag', messages: [concat([Uint8Array.of(0, 15), new Uint8Array(15)])] },
    { what: 'such a length alone', messages: [Uint8Array.of(0, 15)] },
    { what: 'a flipped bit in the ciphertext', messages: [spoil(good, 3)] },
    { what: 'a flipped bit in the tag', messages: [spoil(good, good.length - 1)] },
    { what: 'a message twice', messages: [good, good] },
    { what: 'messages in another order', messages: [seal(utf8('b'), 1), seal(utf8('a'), 0)] },
    { what: 'a message left out', messages: [good, seal(utf8('c'), 2)] },
    { what: 'a message of our own reflected', messages: [ownMessage()] },
    { what: 'noise', messages: [concat([Uint8Array.of(1, 0), prng(1).bytes(256)])] },
  ])('$what', ({ messages }) => {
    for (const seed of [undefined, 1, 2, 3]) {
      const { channel, bare } = half(seed)
      const log = record(channel)
      const below = record(bare)
      for (const message of messages) bare.write(message)
      bare.flush()
      expect(log.fault, `seed ${seed}`).toMatchObject({ code: 'ERR_ENCRYPTION_FAILED', remote: true })
      expect(below.events).toEqual(['close ERR_STREAM_RESET'])
      expect(log.events.filter((event) => event.startsWith('close')).length).toBe(1)
      channel.write(utf8('too late'))
      bare.flush()
    }
  })

  it('delivers nothing of a chunk in which a message is bad', () => {
    const { channel, bare } = half()
    const log = record(channel)
    bare.write(concat([good, spoil(seal(utf8('bad'), 1), 5)]))
    bare.flush()
    expect(log.events).toEqual(['close ERR_ENCRYPTION_FAILED'])
  })

  it('an end in the middle of a message', () => {
    for (let size = 1; size < good.length; size++) {
      const { channel, bare } = half()
      const log = record(channel)
      bare.write(good.slice(0, size))
      bare.end()
      bare.flush()
      expect(log.events, `${size} bytes`).toEqual(['close ERR_STREAM_CLOSED'])
      expect(log.fault?.remote).toBe(true)
    }
  })

  function ownMessage(): Uint8Array {
    const { channel, bare } = half()
    channel.write(utf8('mine'))
    bare.flush()
    return record(bare).chunks[0] as Uint8Array
  }
})

describe('nonces', () => {
  it('carry at 2^32 messages', () => {
    const [a, b] = sides(undefined, 0xffff_fffe, 7)
    record(a.channel)
    const reader = record(b.channel)
    for (const text of ['a', 'b', 'c', 'd']) a.channel.write(utf8(text))
    a.below.flush()
    expect(Buffer.from(concat(reader.chunks)).toString()).toBe('abcd')
  })

  it('end the session before the last one is used', () => {
    const [a, b] = sides(undefined, 0xffff_fffd, 0xffff_ffff)
    const writer = record(a.channel)
    const reader = record(b.channel)
    a.channel.write(utf8('last but one'))
    a.channel.write(utf8('last'))
    a.below.flush()
    expect(reader.events).toEqual(['data 12', 'data 4'])
    a.channel.write(utf8('never'))
    expect(writer.events).toEqual(['close ERR_ENCRYPTION_FAILED'])
    expect(writer.fault?.remote).toBe(false)
    a.below.flush()
    expect(reader.events).toEqual(['data 12', 'data 4', 'close ERR_STREAM_RESET'])
  })
})

describe('many bytes', () => {
  const sizes = [0, 1, 2, 15, 16, 17, 255, 256, 1_000, MAX - 1, MAX, MAX + 1, 131_038, 150_000]
  const someBytes = (random: Prng): Uint8Array[] =>
    Array.from({ length: 1 + random.below(4) }, () =>
      random.bytes(random.below(3) === 0 ? (sizes[random.below(sizes.length)] as number) : random.below(300)),
    )

  it('arrive as they were written, both ways, however they are written and cut', () => {
    for (let seed = 1; seed <= 30; seed++) {
      const random = prng(seed)
      const [a, b] = sides(seed)
      const logs = [record(a.channel), record(b.channel)] as const
      const written = [[], []] as [Uint8Array[], Uint8Array[]]
      for (let i = 0; i < 20; i++) {
        const from = random.below(2)
        const chunks = someBytes(random)
        written[from as 0 | 1].push(...chunks.map((chunk) => chunk.slice()))
        const { channel } = from === 0 ? a : b
        channel.writev(chunks)
        // Still the caller's: what it does to them now must not show.
        for (const chunk of chunks) chunk.fill(0)
        if (random.below(3) === 0) a.below.flush()
      }
      a.channel.end()
      b.channel.end()
      a.below.flush()
      for (const i of [0, 1] as const) {
        expect(Buffer.compare(concat(logs[i].chunks), concat(written[(1 - i) as 0 | 1])), `seed ${seed}`).toBe(0)
        expect(logs[i].events.at(-1), `seed ${seed}`).toBe('close')
      }
      expect([a.below.credit, b.below.credit], `seed ${seed}`).toEqual([WINDOW, WINDOW])
    }
  })

  it('20 MB go through with at most the window and one write on the way', () => {
    const [a, b] = sides(20)
    const data = prng(20).bytes(1_000_000)
    const hash = createHash('sha256')
    let received = 0
    let most = 0
    b.channel.attach({
      onData(bytes) {
        hash.update(bytes)
        received += bytes.length
        b.channel.release(bytes.length)
      },
      onEnd() {},
      onClose() {},
    })
    let left = 20_000_000
    const write = (): void => {
      while (a.channel.credit > 0 && left > 0) {
        const at = (20_000_000 - left) % data.length
        const chunk = data.subarray(at, at + 50_000)
        a.channel.write(chunk)
        left -= chunk.length
        most = Math.max(most, WINDOW - a.below.credit)
      }
    }
    a.channel.attach({ onData() {}, onDrain: write, onEnd() {}, onClose() {} })
    write()
    a.below.flush()
    expect(received).toBe(20_000_000)
    expect(most).toBeLessThan(WINDOW + 50_000 + 18)
    const expected = createHash('sha256')
    for (let i = 0; i < 20; i++) expected.update(data)
    expect(hash.digest('hex')).toBe(expected.digest('hex'))
  })
})
