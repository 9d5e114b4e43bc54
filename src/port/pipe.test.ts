import { afterEach, describe, expect, it } from 'vitest'
import { concat, fromUtf8, utf8 } from '../engine/codec/bytes.ts'
import { PIPE_CREDIT } from '../engine/limits.ts'
import { property } from '../engine/testing/property.ts'
import type { Channel } from '../engine/wire/channel.ts'
import { TabmeshError } from '../errors.ts'
import { Pipe } from './pipe.ts'

const ports: MessagePort[] = []
const pair = (): [Pipe, Pipe] => {
  const { port1, port2 } = new MessageChannel()
  ports.push(port1, port2)
  return [new Pipe(port1), new Pipe(port2)]
}

afterEach(() => {
  for (const port of ports.splice(0)) port.close()
})

const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve))
}

/** Lets all that is on its way arrive: a message each way behind it. */
const settled = async (): Promise<void> => {
  for (let turns = 0; turns < 2; turns += 1) {
    const { port1, port2 } = new MessageChannel()
    await new Promise((resolve) => {
      port2.onmessage = resolve
      queueMicrotask(() => queueMicrotask(() => port1.postMessage(0)))
    })
    port1.close()
  }
  await new Promise((resolve) => setImmediate(resolve))
}

const listen = (channel: Channel, release = true) => {
  const heard = { chunks: [] as Uint8Array[], log: [] as string[], size: 0 }
  channel.attach({
    onData(bytes) {
      heard.chunks.push(bytes)
      heard.size += bytes.length
      if (release) channel.release(bytes.length)
    },
    onDrain: () => heard.log.push('drain'),
    onEnd: () => heard.log.push('end'),
    onClose: (fault) => heard.log.push(fault?.code ?? 'close'),
  })
  return heard
}

const text = (chunks: readonly Uint8Array[]): string => chunks.map((chunk) => fromUtf8(chunk)).join('')

describe('a pipe', () => {
  it('carries bytes both ways, in order, and ends both ways', async () => {
    const [a, b] = pair()
    const [atA, atB] = [listen(a), listen(b)]
    a.write(utf8('hello '))
    a.write(utf8('world'))
    b.write(utf8('hi'))
    a.end()
    await until(() => atB.log.length > 0)
    expect([text(atB.chunks), text(atA.chunks), atB.log, atA.log]).toEqual(['hello world', 'hi', ['end'], []])
    b.write(utf8('!'))
    b.end()
    await until(() => atA.log.length > 1 && atB.log.length > 1)
    expect([text(atA.chunks), atA.log, atB.log]).toEqual(['hi!', ['end', 'close'], ['end', 'close']])
  })

  it('sends what is written in one turn as one message', async () => {
    const [a, b] = pair()
    const heard = listen(b)
    for (let i = 0; i < 100; i += 1) a.write(utf8('x'))
    await until(() => heard.size === 100)
    expect(heard.chunks.length).toBe(1)
  })

  it('transfers a large chunk that owns its buffer, and copies views and small ones', async () => {
    const [a, b] = pair()
    const heard = listen(b)
    const whole = new Uint8Array(10_000).fill(1)
    const shared = new Uint8Array(20_000).fill(2)
    const small = utf8('small')
    a.write(shared.subarray(0, 10_000))
    a.write(whole)
    a.write(small)
    await until(() => heard.size === 20_005)
    expect([whole.length, shared.length, small.length]).toEqual([0, 20_000, 5])
    expect(concat(heard.chunks)).toEqual(concat([new Uint8Array(10_000).fill(2), new Uint8Array(10_000).fill(1), utf8('small')]))
    expect(heard.chunks.every((chunk) => chunk.byteLength === chunk.buffer.byteLength)).toBe(true)
  })

  it('takes as much as its credit, and again once the other end has used it', async () => {
    const [a, b] = pair()
    const [atA, atB] = [listen(a), listen(b, false)]
    expect(a.credit).toBe(PIPE_CREDIT)
    a.write(new Uint8Array(PIPE_CREDIT))
    a.write(new Uint8Array(10))
    expect(a.credit).toBe(-10)
    await until(() => atB.size === PIPE_CREDIT + 10)
    // Half of it is told of together.
    b.release(PIPE_CREDIT / 2 - 1)
    await settled()
    expect(a.credit).toBe(-10)
    b.release(1)
    await until(() => a.credit > 0)
    expect(atA.log).toEqual(['drain'])
    b.release(PIPE_CREDIT / 2)
    await until(() => a.credit > PIPE_CREDIT / 2)
    expect(atA.log).toEqual(['drain'])
  })

  it('keeps what comes while nobody reads', async () => {
    const [a, b] = pair()
    a.write(utf8('early'))
    a.end()
    await settled()
    const heard = listen(b)
    expect([text(heard.chunks), heard.log]).toEqual(['early', ['end']])
  })

  it('takes nothing after its end', async () => {
    const [a, b] = pair()
    const heard = listen(b)
    a.write(utf8('a'))
    a.end()
    a.end()
    expect(a.credit).toBe(0)
    a.write(utf8('late'))
    await until(() => heard.log.length > 0)
    await settled()
    expect([text(heard.chunks), heard.log]).toEqual(['a', ['end']])
  })

  it('aborts at once on this side and with its code on the other, dropping what is queued', async () => {
    const [a, b] = pair()
    const [atA, atB] = [listen(a), listen(b)]
    a.write(utf8('queued'))
    a.abort(new TabmeshError('ERR_STREAM_LIMIT', 'a test', { remote: true }))
    a.abort(new TabmeshError('ERR_TIMEOUT', 'a test'))
    expect(atA.log).toEqual(['ERR_STREAM_LIMIT'])
    expect(a.credit).toBe(0)
    await until(() => atB.log.length > 0)
    expect([atB.log, atB.size]).toEqual([['ERR_STREAM_LIMIT'], 0])
    b.write(utf8('late'))
    b.end()
    b.abort(new TabmeshError('ERR_TIMEOUT', 'a test'))
    await settled()
    expect([atA.log.length, atB.log.length, atA.size]).toEqual([1, 1, 0])
  })

  it('survives an end and an abort that cross, and two ends', async () => {
    for (const [ofA, ofB] of [
      ['end', 'abort'],
      ['abort', 'abort'],
      ['end', 'end'],
    ] as const) {
      const [a, b] = pair()
      const [atA, atB] = [listen(a), listen(b)]
      const act = (pipe: Pipe, what: 'end' | 'abort'): void =>
        what === 'end' ? pipe.end() : pipe.abort(new TabmeshError('ERR_STREAM_RESET', 'a test'))
      act(a, ofA)
      act(b, ofB)
      await until(() => [atA, atB].every(({ log }) => log.some((each) => each !== 'end')))
      const expected = ofB === 'end' ? ['end', 'close'] : ['ERR_STREAM_RESET']
      expect(atA.log.filter((each) => ofB === 'end' || each !== 'end')).toEqual(expected)
      expect(atB.log.filter((each) => ofB === 'end' || each !== 'end')).toEqual(expected)
    }
  })

  it('wraps what the other end gave up with where that has no code', async () => {
    const { port1, port2 } = new MessageChannel()
    ports.push(port1, port2)
    const heard = listen(new Pipe(port1))
    port2.postMessage({ name: 'Error', message: 'why' })
    await until(() => heard.log.length > 0)
    expect(heard.log).toEqual(['ERR_STREAM_RESET'])
  })
})

it('whatever is written arrives as it was, within the credit', async () => {
  const jobs: Promise<void>[] = []
  property(15, (random) => {
    const [a, b] = pair()
    const sent = random.bytes(600_000)
    const got: Uint8Array[] = []
    let size = 0
    let unused = 0
    let most = 0
    b.attach({
      onData(bytes) {
        got.push(bytes)
        size += bytes.length
        unused += bytes.length
        most = Math.max(most, unused)
        const used = random.below(3) === 0 ? unused : Math.min(unused, bytes.length)
        unused -= used
        b.release(used)
      },
      onEnd: () => b.end(),
      onClose: () => {},
    })
    let at = 0
    jobs.push(
      new Promise<void>((resolve) => {
        const pump = (): void => {
          while (at < sent.length && a.credit > 0) {
            const length = 1 + random.below([10, 5_000, 70_000][random.below(3)] as number)
            const piece = sent.subarray(at, at + length)
            a.write(random.below(2) === 0 ? piece.slice() : piece)
            at += length
          }
          if (at >= sent.length) a.end()
        }
        a.attach({ onData: () => {}, onDrain: pump, onEnd: () => {}, onClose: () => resolve() })
        pump()
      }).then(() => {
        expect(size).toBe(sent.length)
        expect(Buffer.compare(concat(got), sent)).toBe(0)
        expect(most).toBeLessThanOrEqual(PIPE_CREDIT + 70_000)
      }),
    )
  })
  await Promise.all(jobs)
})
