import { describe, expect, it } from 'vitest'
import { remoteFault, TabmeshError } from '../../errors.ts'
import { concat, fromUtf8, utf8 } from '../codec/bytes.ts'
import { privateKey } from '../codec/keys.ts'
import { signWith, verifySignature } from '../crypto/verify.ts'
import { nobleX25519 } from '../crypto/x25519.ts'
import type { Host } from '../host.ts'
import { channelPair, type PairedChannel } from '../testing/channel-pair.ts'
import { FakeClock } from '../testing/fake-rtc.ts'
import { prng } from '../testing/prng.ts'
import { property } from '../testing/property.ts'
import { type Channel, Inlet, type Sink } from './channel.ts'
import { agree, type Conversation, converse, end, keyPair, type Outcome, read, readSome, sign, verify, write } from './conversation.ts'

const random = prng(1)
const key = privateKey('Ed25519', random.bytes(32))

type Needs = Pick<Host, 'after' | 'sign' | 'verify' | 'x25519'>

/** A host that answers at once, or when `clock` is told to run. */
const hostOf = (clock: FakeClock, later = false): Needs => {
  const answer = (run: () => void): void => (later ? clock.defer(run) : run())
  const pairs = nobleX25519((bytes) => random.bytes(bytes))
  return {
    after: (ms, run) => clock.after(ms, run),
    sign: (bytes, done) => answer(() => done(signWith(key, bytes))),
    verify: (by, bytes, signature, done) => answer(() => done(verifySignature(by, bytes, signature) ?? false)),
    x25519: {
      generate: (done) => answer(() => pairs.generate(done)),
      agree: (own, publicKey, done) => answer(() => pairs.agree(own, publicKey, done)),
    },
  }
}

/** A conversation on one end of a pair; the other end is played by the test. */
const begin = <T>(talk: Conversation<T>, options: { timeout?: number; window?: number; seed?: number; later?: boolean } = {}) => {
  const clock = new FakeClock()
  const [near, far] = channelPair(options)
  const heard: Uint8Array[] = []
  const ends: string[] = []
  far.attach({
    onData(bytes) {
      heard.push(bytes)
      far.release(bytes.length)
    },
    onEnd: () => ends.push('end'),
    onClose: (fault) => ends.push(fault?.code ?? 'close'),
  })
  const outcomes: Outcome<T>[] = []
  const giveUp = converse(near, talk, hostOf(clock, options.later ?? false), {
    timeout: options.timeout ?? 1_000,
    what: 'a test',
    done: (outcome) => outcomes.push(outcome),
  })
  const code = (): string | undefined => {
    const [outcome] = outcomes
    return outcome === undefined ? undefined : outcome.ok ? 'ok' : outcome.fault.code
  }
  return {
    clock,
    near,
    far,
    heard,
    ends,
    outcomes,
    giveUp,
    code,
    send(text: string): void {
      far.write(utf8(text))
      far.flush()
    },
  }
}

/** What is left for the next reader. */
const rest = (channel: Channel): string[] => {
  const log: string[] = []
  channel.attach({
    onData: (bytes) => log.push(fromUtf8(bytes)),
    onEnd: () => log.push('end'),
    onClose: (fault) => log.push(fault?.code ?? 'close'),
  })
  return log
}

describe('a conversation', () => {
  it('reads what comes in pieces, and hands what it does not use to the next reader', () => {
    const { near, send, outcomes } = begin(read(5))
    send('he')
    send('l')
    expect(outcomes).toEqual([])
    send('lo, world')
    expect(outcomes).toEqual([{ ok: true, value: utf8('hello') }])
    const left = rest(near)
    send('!')
    expect(left.join('')).toBe(', world!')
  })

  it('hands on the end too, where it came while the host was verifying', () => {
    const { near, far, clock, send, outcomes } = begin(
      (function* () {
        const request = yield* read(3)
        yield* verify(key.publicKey, request, new Uint8Array(64))
        return fromUtf8(request)
      })(),
      { later: true },
    )
    far.write(utf8('abcdef'))
    far.end()
    send('')
    expect(outcomes).toEqual([])
    clock.run(0)
    expect(outcomes).toEqual([{ ok: true, value: 'abc' }])
    expect(rest(near)).toEqual(['def', 'end'])
  })

  it('ends well where all it reads had come before the channel closed in order, and not where it still writes', () => {
    const asks = (more: boolean) =>
      (function* () {
        const request = yield* read(3)
        yield* verify(key.publicKey, request, new Uint8Array(64))
        if (more) yield* write(utf8('too late'))
        return fromUtf8(request)
      })()
    for (const [more, ending] of [
      [false, 'ok'],
      [true, 'ERR_STREAM_CLOSED'],
    ] as const) {
      const { near, far, clock, send, code } = begin(asks(more), { later: true })
      send('abc')
      far.end()
      // As a go peer does that sends its end and takes ours for granted.
      near.end()
      near.flush()
      expect(code()).toBeUndefined()
      clock.run(0)
      expect(code()).toBe(ending)
    }
  })

  it('takes at most what it asks for, and nothing at the end', () => {
    const { send, far, outcomes } = begin(
      (function* () {
        const parts: string[] = []
        for (;;) {
          const part = yield* readSome(3)
          if (part.length === 0) return parts
          parts.push(fromUtf8(part))
        }
      })(),
    )
    send('abcde')
    far.end()
    send('')
    expect(outcomes).toEqual([{ ok: true, value: ['abc', 'de'] }])
  })

  it('reads nothing without waiting', () => {
    const { outcomes } = begin(read(0))
    expect(outcomes).toEqual([{ ok: true, value: new Uint8Array(0) }])
  })

  it('gathers writes that follow one another into one', () => {
    const { heard, send, far } = begin(
      (function* () {
        yield* write(utf8('a'))
        yield* write(utf8('b'))
        yield* read(1)
        yield* write(utf8('c'))
        yield* end()
        yield* write(utf8('lost'))
      })(),
    )
    far.flush()
    send('x')
    expect(heard.map((bytes) => fromUtf8(bytes))).toEqual(['ab', 'c'])
  })

  it('sends what was written before it waits for a signature', () => {
    const { heard, far, clock, outcomes } = begin(
      (function* () {
        yield* write(utf8('first'))
        return yield* sign(utf8('text'))
      })(),
      { later: true },
    )
    far.flush()
    expect(heard.map((bytes) => fromUtf8(bytes))).toEqual(['first'])
    expect(outcomes).toEqual([])
    clock.run(0)
    expect(outcomes).toEqual([{ ok: true, value: signWith(key, utf8('text')) }])
  })

  for (const later of [false, true]) {
    it(`signs, verifies and agrees where the host answers ${later ? 'later' : 'at once'}`, () => {
      const { clock, outcomes } = begin(
        (function* () {
          const signature = yield* sign(utf8('text'))
          const good = yield* verify(key.publicKey, utf8('text'), signature)
          const bad = yield* verify(key.publicKey, utf8('other'), signature)
          const own = yield* keyPair()
          const other = yield* keyPair()
          const [a, b] = [yield* agree(own, other.publicKey), yield* agree(other, own.publicKey)]
          return { good, bad, same: a !== false && b !== false && fromHex(a) === fromHex(b), none: yield* agree(own, new Uint8Array(32)) }
        })(),
        { later },
      )
      clock.run(0)
      expect(outcomes).toEqual([{ ok: true, value: { good: true, bad: false, same: true, none: false } }])
    })
  }
})

const fromHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

describe('a conversation fails', () => {
  it('at its deadline, and not before', () => {
    const { clock, code, ends, far } = begin(read(1), { timeout: 500 })
    clock.run(499)
    expect(code()).toBeUndefined()
    clock.run(1)
    expect(code()).toBe('ERR_TIMEOUT')
    far.flush()
    expect(ends).toEqual(['ERR_STREAM_RESET'])
  })

  it('has no deadline if it is to have none', () => {
    const { clock } = begin(read(1), { timeout: Number.POSITIVE_INFINITY })
    expect(clock.waiting).toBe(0)
  })

  it('when it is given up, once', () => {
    const { clock, giveUp, outcomes, code } = begin(read(1))
    giveUp(new TabmeshError('ERR_STOPPED', 'a test'))
    giveUp(new TabmeshError('ERR_TIMEOUT', 'a test'))
    clock.run(10_000)
    expect(code()).toBe('ERR_STOPPED')
    expect(outcomes.length).toBe(1)
    expect(clock.waiting).toBe(0)
  })

  it('where the remote ends within what is to be read', () => {
    const { far, send, code, clock } = begin(read(5))
    far.write(utf8('abc'))
    far.end()
    send('')
    expect(code()).toBe('ERR_STREAM_CLOSED')
    expect(clock.waiting).toBe(0)
  })

  it('where the channel is lost, with its fault', () => {
    const { far, code, near } = begin(read(5))
    far.abort(new TabmeshError('ERR_TIMEOUT', 'a test'))
    near.flush()
    expect(code()).toBe('ERR_STREAM_RESET')
  })

  it('where it throws what is coded: the fault is the outcome', () => {
    const { send, outcomes, ends } = begin(
      (function* () {
        yield* read(1)
        throw remoteFault('ERR_DECODE', 'a test')
      })(),
    )
    send('x')
    const [outcome] = outcomes
    expect(outcome?.ok === false && [outcome.fault.code, outcome.fault.remote]).toEqual(['ERR_DECODE', true])
    expect(ends).toEqual(['ERR_STREAM_RESET'])
  })

  it('where it throws anything else: a defect, with its cause', () => {
    const oops = new Error('oops')
    const { outcomes } = begin(
      (function* (): Conversation<void> {
        throw oops
      })(),
    )
    const [outcome] = outcomes
    expect(outcome?.ok === false && [outcome.fault.code, outcome.fault.cause]).toEqual(['ERR_INTERNAL', oops])
  })

  it('where the host cannot sign', () => {
    const [near] = channelPair()
    const clock = new FakeClock()
    const outcomes: Outcome<unknown>[] = []
    const host: Needs = { ...hostOf(clock), sign: (_bytes, done) => done(new TabmeshError('ERR_STORE', 'no key')) }
    converse(near, sign(utf8('x')), host, { timeout: 10, what: 'a test', done: (outcome) => outcomes.push(outcome) })
    expect(outcomes.map((outcome) => !outcome.ok && outcome.fault.code)).toEqual(['ERR_STORE'])
    expect(clock.waiting).toBe(0)
  })

  it('on a channel that is closed already, before `converse` returns', () => {
    for (const why of [undefined, new TabmeshError('ERR_CONNECTION_CLOSED', 'a test')]) {
      const inlet = new Inlet()
      inlet.close(why)
      const outcomes: Outcome<unknown>[] = []
      const clock = new FakeClock()
      converse(channelOn(inlet), read(1), hostOf(clock), { timeout: 10, what: 'a test', done: (outcome) => outcomes.push(outcome) })
      expect(outcomes.map((outcome) => !outcome.ok && outcome.fault.code)).toEqual([why?.code ?? 'ERR_STREAM_CLOSED'])
      expect(clock.waiting).toBe(0)
    }
  })

  it('while it waits for a signature: the late answer changes nothing', () => {
    const { clock, giveUp, outcomes, heard, far } = begin(
      (function* () {
        yield* sign(utf8('x'))
        yield* write(utf8('too late'))
      })(),
      { later: true },
    )
    giveUp(new TabmeshError('ERR_STOPPED', 'a test'))
    clock.run(0)
    far.flush()
    expect(outcomes.length).toBe(1)
    expect(heard).toEqual([])
  })

  it('where its last write is what breaks the channel', () => {
    const inlet = new Inlet()
    const broken: Channel = { ...channelOn(inlet), write: () => inlet.close(new TabmeshError('ERR_STREAM_RESET', 'full')) }
    const outcomes: Outcome<unknown>[] = []
    converse(broken, write(utf8('x')), hostOf(new FakeClock()), { timeout: 10, what: 'a test', done: (outcome) => outcomes.push(outcome) })
    expect(outcomes.map((outcome) => (outcome.ok ? 'ok' : outcome.fault.code))).toEqual(['ERR_STREAM_RESET'])
  })
})

const channelOn = (inlet: Inlet): Channel => ({
  credit: 1_000,
  write: () => {},
  end: () => {},
  abort: (fault) => inlet.close(fault),
  attach: (sink: Sink) => inlet.attach(sink),
  detach: (left) => inlet.detach(left),
  release: () => {},
})

describe('the remote may answer inside the call', () => {
  it('of the write: the answer is not missed', () => {
    const inlet = new Inlet()
    const echo: Channel = { ...channelOn(inlet), write: (bytes) => inlet.push(bytes) }
    const outcomes: Outcome<string>[] = []
    const talk = function* (): Conversation<string> {
      let heard = ''
      for (const text of ['one', 'two']) {
        yield* write(utf8(text))
        heard += fromUtf8(yield* read(3))
      }
      return heard
    }
    converse(echo, talk(), hostOf(new FakeClock()), { timeout: 10, what: 'a test', done: (outcome) => outcomes.push(outcome) })
    expect(outcomes).toEqual([{ ok: true, value: 'onetwo' }])
  })

  it('of the release: what it had to hold back comes at once', () => {
    const inlet = new Inlet()
    const window = 4
    const waiting = [utf8('mnop'), utf8('ijkl'), utf8('efgh')]
    let unreleased = window
    const channel: Channel = {
      ...channelOn(inlet),
      release(bytes) {
        unreleased -= bytes
        while (unreleased === 0 && waiting.length > 0) {
          unreleased += window
          inlet.push(waiting.pop() as Uint8Array)
        }
      },
    }
    const outcomes: Outcome<string>[] = []
    const talk = function* (): Conversation<string> {
      yield* read(1)
      return fromUtf8(yield* read(12))
    }
    inlet.push(utf8('abcd'))
    converse(channel, talk(), hostOf(new FakeClock()), { timeout: 10, what: 'a test', done: (outcome) => outcomes.push(outcome) })
    expect(outcomes).toEqual([{ ok: true, value: 'bcdefghijklm' }])
    expect(rest(channel)).toEqual(['nop'])
  })
})

describe('credit', () => {
  it('a read larger than the window gets all of it, also when much is there before', () => {
    const talk = function* (): Conversation<number> {
      yield* read(1)
      return (yield* read(5_000)).length
    }
    const { far, outcomes, near } = begin(talk(), { window: 100 })
    let left = 5_101
    const writeOn = (): void => {
      while (left > 0 && far.credit > 0) {
        const size = Math.min(left, far.credit)
        left -= size
        far.write(new Uint8Array(size))
      }
    }
    for (let turns = 0; left > 0 && turns < 200; turns += 1) {
      writeOn()
      far.flush()
    }
    expect(outcomes).toEqual([{ ok: true, value: 5_000 }])
    // What it did not use is still the sender's debt until the next reader takes it.
    expect(far.credit).toBe(0)
    expect(near.written).toBe(0)
    expect(left).toBe(0)
  })

  it('is given back in full, however reads and pieces fall', () => {
    property(60, (seeded) => {
      const sizes = Array.from({ length: 1 + seeded.below(12) }, () => seeded.below(400))
      const some = sizes.map(() => seeded.below(3) === 0)
      const total = sizes.reduce((sum, size) => sum + size, 0)
      const data = seeded.bytes(total + 50)
      const talk = function* (): Conversation<Uint8Array> {
        const parts: Uint8Array[] = []
        for (let at = 0, done = 0; at < sizes.length; at += 1) {
          const size = sizes[at] as number
          if (size === 0) continue
          const part = some[at] ? yield* readSome(size) : yield* read(size)
          parts.push(part)
          done += part.length
          if (done === total) break
        }
        return concat(parts)
      }
      const { far, near, outcomes } = begin(talk(), { window: 64, seed: seeded.u32() })
      let at = 0
      const writeOn = (): void => {
        for (let size = 0; at < data.length && far.credit > 0; at += size) {
          size = Math.min(far.credit, data.length - at, 1 + seeded.below(40))
          far.write(data.slice(at, at + size))
        }
      }
      for (let turns = 0; turns < 2_000 && outcomes.length === 0; turns += 1) {
        writeOn()
        far.flush()
      }
      const [outcome] = outcomes
      if (outcome?.ok !== true) throw new Error('no outcome')
      const got: Uint8Array[] = [outcome.value]
      near.attach({
        onData(bytes) {
          got.push(bytes)
          near.release(bytes.length)
        },
        onEnd: () => {},
        onClose: () => {},
      })
      for (let turns = 0; turns < 2_000 && at < data.length; turns += 1) {
        writeOn()
        far.flush()
      }
      far.flush()
      expect(concat(got)).toEqual(data)
      expect((far as PairedChannel).credit).toBe(64)
    })
  })
})
