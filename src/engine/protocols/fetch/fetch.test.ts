import { describe, expect, it } from 'vitest'
import { TabmeshError } from '../../../errors.ts'
import { concat, equalBytes, utf8 } from '../../codec/bytes.ts'
import { encodeVarint, frame } from '../../codec/varint.ts'
import {
  FETCH_LOOKUP_TIMEOUT,
  FETCH_MAX_DATA,
  FETCH_MAX_KEY,
  FETCH_MAX_LOOKUPS,
  FETCH_MAX_RESPONSE,
  FETCH_MAX_UNSENT,
  FETCH_TIMEOUT,
} from '../../limits.ts'
import type { Stream } from '../../net/stream.ts'
import { type Exchange, exchange, scripted } from '../../testing/exchange.ts'
import { codeOf, decodes, mutate, property } from '../../testing/property.ts'
import type { Outcome } from '../../wire/conversation.ts'
import { identifyService } from '../identify/service.ts'
import { fetchOver } from './client.ts'
import { decodeRequest, decodeResponse, ERROR, frameRequest, frameResponse, NOT_FOUND, OK } from './messages.ts'
import { FETCH, type Found, fetchService, type Lookup } from './service.ts'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const found = (text: string): Found => ({ t: 'value', data: utf8(text) })
const atOnce =
  (answer: (key: string) => Found): Lookup =>
  (key, _peer, done) => {
    done(answer(Buffer.from(key).toString()))
    return () => {}
  }

const pair = (seed: number, lookups: Record<string, Lookup>): Exchange & { fetcher: ReturnType<typeof fetchService> } => {
  const fetcher = fetchService()
  for (const [prefix, lookup] of Object.entries(lookups)) fetcher.add(prefix, lookup)
  return { ...exchange(seed, { a: () => [identifyService()], b: () => [identifyService(), fetcher] }), fetcher }
}

const against = (seed: number, onStream: (stream: Stream) => void): Exchange =>
  exchange(seed, { a: () => [identifyService()], b: () => [identifyService(), scripted(FETCH, onStream)] })

const ask = ({ connection, outcome, a }: Exchange, key: string | Uint8Array): Outcome<Uint8Array | undefined> =>
  outcome((done) => void fetchOver(connection.openStream([FETCH]), typeof key === 'string' ? utf8(key) : key, a.node.host, done))

/** The value as text, `none`, or the code. */
const answerTo = (lab: Exchange, key: string | Uint8Array): string => {
  const outcome = ask(lab, key)
  return outcome.ok ? (outcome.value === undefined ? 'none' : Buffer.from(outcome.value).toString()) : outcome.fault.code
}

describe('fetch messages', () => {
  it('are those of js-libp2p: @libp2p/fetch FetchRequest.encode and FetchResponse.encode, length first', () => {
    expect(hex(frameRequest(utf8('/a/key')))).toBe('080a062f612f6b6579')
    // js leaves out what proto3 says need not be said: OK is 0, and no bytes are no field.
    for (const bytes of ['12026869', '080012026869'])
      expect(decodeResponse(Buffer.from(bytes, 'hex'))).toEqual({ status: OK, data: Buffer.from('hi') })
    expect(decodeResponse(Buffer.from('0801', 'hex'))).toEqual({ status: NOT_FOUND, data: new Uint8Array(0) })
    expect(decodeResponse(new Uint8Array(0))).toEqual({ status: OK, data: new Uint8Array(0) })
    expect(decodeRequest(new Uint8Array(0))).toEqual(new Uint8Array(0))
  })

  it('of ours say both fields, for whoever reads the specification as proto2', () => {
    expect(hex(frameResponse({ status: OK, data: utf8('hi') }))).toBe('06080012026869')
    expect(hex(frameResponse({ status: NOT_FOUND, data: new Uint8Array(0) }))).toBe('0408011200')
  })

  it('of a status that nobody knows are refused', () => {
    expect(codeOf(() => decodeResponse(Buffer.from('0803', 'hex')))).toBe('ERR_PROTOCOL')
  })

  it('of anything are read or refused with a code', () => {
    property(300, (random) => {
      const valid = frameResponse({ status: ERROR, data: random.bytes(random.below(40)) }).subarray(1)
      decodes(() => decodeResponse(mutate(random, valid)))
      decodes(() => decodeRequest(random.bytes(random.below(60))))
    })
  })
})

describe('fetch', () => {
  it('gets a value, an empty one, none, and none where nobody answers for the key', () => {
    const lab = pair(1, {
      '/a/': atOnce((key) =>
        key === '/a/empty' ? { t: 'value', data: new Uint8Array(0) } : key === '/a/none' ? { t: 'none' } : found(`value of ${key}`),
      ),
    })
    expect(answerTo(lab, '/a/b')).toBe('value of /a/b')
    expect(answerTo(lab, '/a/empty')).toBe('')
    expect(answerTo(lab, '/a/none')).toBe('none')
    expect([answerTo(lab, '/a'), answerTo(lab, '/b/'), answerTo(lab, '')]).toEqual(['none', 'none', 'none'])
    lab.world.run(1_000)
    expect([lab.connection.streams.size, [...lab.b.node.connections()][0]?.streams.size]).toEqual([0, 0])
  })

  it('takes one round trip', () => {
    const lab = pair(2, { '': atOnce(found) })
    const began = lab.world.now
    expect(answerTo(lab, 'k')).toBe('k')
    expect(lab.world.now - began).toBe(20)
  })

  it('of a key that is no text asks for the very bytes', () => {
    let asked = new Uint8Array(0)
    const lab = pair(3, {
      '': (key, _peer, done) => {
        asked = key.slice()
        done({ t: 'none' })
        return () => {}
      },
    })
    const key = Uint8Array.of(0xff, 0, 0xc3, 0x28)
    ask(lab, key)
    expect(equalBytes(asked, key)).toBe(true)
  })

  it('is answered by the longest prefix, whichever was added first; each prefix has one lookup', () => {
    const name = (text: string): Lookup => atOnce(() => found(text))
    const lab = pair(4, { '/a/': name('a'), '/a/b/': name('b'), '': name('all') })
    expect(['/a/x', '/a/b/x', '/a/b', '/c', '/a'].map((key) => answerTo(lab, key))).toEqual(['a', 'b', 'a', 'all', 'all'])
    expect(codeOf(() => lab.fetcher.add('/a/', name('other')))).toBe('ERR_PROTOCOL_TAKEN')
    expect([lab.fetcher.remove('/a/b/'), lab.fetcher.remove('/a/b/'), lab.fetcher.size]).toEqual([true, false, 2])
    expect(answerTo(lab, '/a/b/x')).toBe('a')
  })

  it('carries a value of the greatest size, and of a larger one says that it failed', () => {
    const whole = new Uint8Array(FETCH_MAX_DATA).map((_, at) => at)
    const lab = pair(5, {
      '/whole': atOnce(() => ({ t: 'value', data: whole })),
      '/more': atOnce(() => ({ t: 'value', data: new Uint8Array(FETCH_MAX_DATA + 1) })),
    })
    const got = ask(lab, '/whole')
    expect(got.ok && got.value !== undefined && equalBytes(got.value, whole)).toBe(true)
    const more = ask(lab, '/more')
    expect(!more.ok && [more.fault.code, more.fault.remote, more.fault.message]).toEqual([
      'ERR_FETCH_FAILED',
      true,
      expect.stringMatching(/^the remote answered 'the value is too large': /),
    ])
  })

  it('that takes the remote too long ends with an error of the remote before it ends by itself', () => {
    let gaveUp = 0
    let late: (found: Found) => void = () => {}
    const lab = pair(6, {
      '': (_key, _peer, done) => {
        late = done
        return () => {
          gaveUp += 1
        }
      },
    })
    const began = lab.world.now
    expect(answerTo(lab, 'k')).toBe('ERR_FETCH_FAILED')
    expect([lab.world.now - began, gaveUp]).toEqual([FETCH_LOOKUP_TIMEOUT + 20, 1])
    late(found('too late'))
    lab.world.run(1_000)
    expect(lab.connection.streams.size).toBe(0)
  })

  it('given up while the remote looks the key up: its lookup is given up too', () => {
    let gaveUp = 0
    const lab = pair(7, { '': () => () => void (gaveUp += 1) })
    let outcome: Outcome<Uint8Array | undefined> | undefined
    const giveUp = fetchOver(lab.connection.openStream([FETCH]), utf8('k'), lab.a.node.host, (got) => void (outcome = got))
    lab.world.run(100)
    giveUp(new TabmeshError('ERR_STREAM_CLOSED', 'enough'))
    lab.world.run(100)
    expect([outcome?.ok, gaveUp, lab.connection.streams.size]).toEqual([false, 1, 0])
  })

  it('is not spoken where a relay limits the connection', () => {
    const { node } = pair(8, {}).b
    expect([node.protocols(false).includes(FETCH), node.protocols(true).includes(FETCH)]).toEqual([true, false])
  })
})

describe('a fetch server', () => {
  it.each<[string, (stream: Stream) => void]>([
    ['a key that is too long', (stream) => stream.write(frameRequest(new Uint8Array(FETCH_MAX_KEY + 1)))],
    ['a request of a gigabyte', (stream) => stream.write(encodeVarint(1e9))],
    ['what is no request', (stream) => stream.write(frame(utf8('nonsense')))],
    ['no request', (stream) => stream.end()],
    ['half a request', (stream) => [stream.write(frameRequest(utf8('/k')).subarray(0, 3)), stream.end()]],
    ['a request that never comes', () => {}],
  ])('resets a stream that brings %s', (_what, act) => {
    const lab = pair(20, { '': atOnce(found) })
    const stream = lab.connection.openStream([FETCH])
    const heard = lab.listen(stream)
    act(stream)
    lab.world.run(FETCH_TIMEOUT + 100)
    expect(heard).toMatchObject({ bytes: [], closed: 'ERR_STREAM_RESET' })
    expect(answerTo(lab, 'k')).toBe('k')
  })

  it('answers one request of a stream and no more, as js does', () => {
    const lab = pair(21, { '': atOnce(found) })
    const stream = lab.connection.openStream([FETCH])
    const heard = lab.listen(stream)
    stream.write(concat([frameRequest(utf8('one')), frameRequest(utf8('two'))]))
    lab.world.run(100)
    expect(hex(Uint8Array.from(heard.bytes))).toBe('07080012036f6e65')
    expect(heard.ended).toBe(true)
  })

  it('that has too many lookups under way says so', () => {
    let running = 0
    const lab = pair(22, {
      '': () => {
        running += 1
        return () => {}
      },
    })
    const answers: string[] = []
    // Of one connection the registrar lets 64 streams through; so it takes several connections.
    for (let made = 0; made < FETCH_MAX_LOOKUPS + 10; made += 1) {
      if (made > 0 && made % 30 === 0) {
        const world = lab.world.node(() => ({ services: [identifyService()] }))
        lab.world.run(1)
        let opened: Exchange['connection'] | undefined
        world.node.dial({ addresses: [lab.b.address] }, (outcome) => {
          if (outcome.ok) opened = outcome.value
        })
        lab.world.run(200)
        Object.assign(lab, { connection: opened })
      }
      fetchOver(lab.connection.openStream([FETCH]), utf8('k'), lab.a.node.host, (outcome) => {
        if (!outcome.ok) answers.push(outcome.fault.message)
      })
      lab.world.run(1)
    }
    lab.world.run(100)
    expect(running).toBe(FETCH_MAX_LOOKUPS)
    expect(answers.length).toBe(10)
    expect(new Set(answers.map((each) => each.split("'")[1]))).toEqual(new Set(['too many requests at a time']))
    lab.world.run(FETCH_TIMEOUT)
    expect(answers.length).toBe(FETCH_MAX_LOOKUPS + 10)
  })

  it('keeps so many bytes of answers for those who do not read them, until they have had their time', () => {
    const lab = pair(23, { '': atOnce(() => ({ t: 'value', data: new Uint8Array(FETCH_MAX_DATA) })) })
    const streams = Array.from({ length: 12 }, () => {
      const stream = lab.connection.openStream([FETCH])
      let first = ''
      let closed: string | undefined
      stream.attach({
        onData(bytes) {
          first ||= hex(bytes.subarray(0, 8))
        },
        onEnd: () => stream.end(),
        onClose: (fault) => void (closed = fault?.code ?? 'closed'),
      })
      stream.write(frameRequest(utf8('k')))
      return { first: () => first, closed: () => closed }
    })
    lab.world.run(1_000)
    const served = Math.floor(FETCH_MAX_UNSENT / FETCH_MAX_DATA)
    expect(streams.filter(({ first }) => first().includes('080012')).length).toBe(served)
    expect(streams.filter(({ first }) => first().includes('080212')).length).toBe(12 - served)
    lab.world.run(FETCH_TIMEOUT)
    expect(streams.filter(({ closed }) => closed() === 'ERR_STREAM_RESET').length).toBe(served)
    const got = ask(lab, 'k')
    expect(got.ok && got.value?.length).toBe(FETCH_MAX_DATA)
  })
})

describe('a fetch client', () => {
  const answering =
    (...answers: Uint8Array[]) =>
    (stream: Stream): void => {
      for (const answer of answers) stream.write(answer)
      stream.end()
    }
  it.each<[string, (stream: Stream) => void, string]>([
    ['an error', answering(frameResponse({ status: ERROR, data: utf8('no lookup') })), 'ERR_FETCH_FAILED'],
    ['an error of bytes', answering(frameResponse({ status: ERROR, data: Uint8Array.of(0xff) })), 'ERR_FETCH_FAILED'],
    ['a status that nobody knows', answering(frame(Uint8Array.of(8, 9))), 'ERR_PROTOCOL'],
    ['what is no response', answering(frame(utf8('nonsense'))), 'ERR_DECODE'],
    ['a response over the limit', answering(encodeVarint(FETCH_MAX_RESPONSE + 1)), 'ERR_FRAME_TOO_LARGE'],
    ['an end', answering(), 'ERR_STREAM_CLOSED'],
    ['half a response', answering(encodeVarint(100), new Uint8Array(50)), 'ERR_STREAM_CLOSED'],
    ['a reset', (stream) => stream.abort(new TabmeshError('ERR_STREAM_CLOSED', 'no')), 'ERR_STREAM_RESET'],
    ['nothing', () => {}, 'ERR_TIMEOUT'],
    [
      'more than one response',
      answering(frameResponse({ status: OK, data: utf8('one') }), frameResponse({ status: OK, data: utf8('two') })),
      'one',
    ],
  ])('that is answered with %s', (_what, act, result) => {
    const lab = against(30, act)
    expect(answerTo(lab, 'k')).toBe(result)
    lab.world.run(FETCH_TIMEOUT + 1_000)
    expect(lab.connection.streams.size).toBe(0)
    expect(lab.connection.status).toBe('open')
  })

  it('passes on a line of what the remote says, and no more', () => {
    const lab = against(31, answering(frameResponse({ status: ERROR, data: utf8(`one\n\u001b[31mtwo${'x'.repeat(10_000)}`) })))
    const outcome = ask(lab, 'k')
    const message = outcome.ok ? '' : outcome.fault.message
    expect(message).toMatch(/^the remote answered 'one \[31mtwox+': /)
    expect(message.length).toBeLessThan(320)
  })

  it('of a peer that does not speak fetch fails', () => {
    const lab = exchange(32, { a: () => [identifyService()], b: () => [identifyService()] })
    expect(answerTo(lab, 'k')).toBe('ERR_NO_PROTOCOL')
  })
})
