import { describe, expect, it } from 'vitest'
import { TabmeshError } from '../../errors.ts'
import { MSS_MAX_ROUNDS } from '../limits.ts'
import { prng } from '../testing/prng.ts'
import type { Ask, Conversation } from './conversation.ts'
import { answerProtocols, frameLine, HEADER, lazyHead, readLazyAnswer, type Supported, selectProtocol } from './multistream.ts'

// Lines as they are on the wire: `\x13/multistream/1.0.0\n` and the like (go-multistream multistream_test.go, js
// multistream-select test/multistream.spec.ts, rust-libp2p misc/multistream-select/src/protocol.rs).
const header = '\x13/multistream/1.0.0\n'
const na = '\x03na\n'
const line = (text: string) => String.fromCharCode(text.length + 1) + text + '\n'
const bytes = (text: string) => Uint8Array.from(Buffer.from(text, 'latin1'))
const text = (raw: Uint8Array) => Buffer.from(raw).toString('latin1')

interface Played<T> {
  value?: T
  fault?: TabmeshError
  written: string[]
  /** What was not read. */
  rest: string
  /** Bytes that it still wants. */
  wants?: number
}

/** Plays the remote: `incoming` is all that it sends. */
const play = <T>(talk: Conversation<T>, incoming: string | Uint8Array): Played<T> => {
  const from = typeof incoming === 'string' ? bytes(incoming) : incoming
  const written: string[] = []
  let at = 0
  let answer: Uint8Array | undefined
  for (;;) {
    let step: IteratorResult<Ask, T>
    try {
      step = talk.next(answer)
    } catch (error) {
      if (!(error instanceof TabmeshError)) throw error
      return { fault: error, written, rest: text(from.subarray(at)) }
    }
    if (step.done === true) return { value: step.value, written, rest: text(from.subarray(at)) }
    const ask = step.value
    answer = undefined
    if (ask.t === 'write') written.push(text(ask.bytes))
    else if (ask.t === 'read') {
      const count = ask.bytes
      if (at + count > from.length) return { written, rest: text(from.subarray(at)), wants: count }
      answer = from.subarray(at, at + count)
      at += count
    } else throw new Error(`asks ${ask.t}`)
  }
}

describe('multistream lines', () => {
  it('are framed as every libp2p does', () => {
    expect(text(HEADER)).toBe(header)
    expect(text(frameLine('na'))).toBe(na)
    expect(text(frameLine('/ipfs/kad/1.0.0'))).toBe('\x10/ipfs/kad/1.0.0\n')
    // 200 bytes of name: 201 = 0xc9 0x01
    expect(text(frameLine(`/${'a'.repeat(199)}`))).toBe(`\xc9\x01/${'a'.repeat(199)}\n`)
    expect([...frameLine('/é')]).toEqual([4, 0x2f, 0xc3, 0xa9, 0x0a])
  })

  it('of well-known names are built once, and the others do not pile up', () => {
    const first = frameLine('/noise')
    expect(frameLine('/noise')).toBe(first)
    for (let i = 0; i < 300; i++) frameLine(`/made-up/${i}`)
    expect(frameLine('/noise')).not.toBe(first)
    expect(frameLine('/noise')).toEqual(first)
  })

  it('refuse names that cannot be one', () => {
    for (const name of ['', 'two\nlines', `/${'a'.repeat(1023)}`]) {
      expect(() => frameLine(name)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARGUMENT', remote: false }))
    }
    expect(frameLine(`/${'a'.repeat(1022)}`)).toHaveLength(1026)
  })

  it('given away are never the kept ones: who is handed them owns them', () => {
    lazyHead('/a').fill(0)
    expect(text(lazyHead('/a'))).toBe(header + line('/a'))
    const given: Uint8Array[] = []
    const talk = answerProtocols(['/a'])
    let step = talk.next()
    const wire = [0x13, ...bytes('/multistream/1.0.0\n')]
    let at = 0
    const remote = [...wire, ...bytes(na)]
    while (step.done !== true && at <= remote.length) {
      if (step.value.t === 'write') {
        given.push(step.value.bytes)
        step = talk.next()
      } else if (step.value.t === 'read') {
        const count = step.value.bytes
        if (at + count > remote.length) break
        step = talk.next(Uint8Array.from(remote.slice(at, at + count)))
        at += count
      }
    }
    for (const each of given) each.fill(0)
    expect(text(HEADER)).toBe(header)
    expect(play(answerProtocols(['/a']), header + line('/b')).written).toEqual([header, na])
  })
})

describe('the dialer', () => {
  it('sends header and first proposal at once, and leaves what follows the answer', () => {
    expect(play(selectProtocol(['/noise']), `${header + line('/noise')}after`)).toEqual({
      value: '/noise',
      written: [header + line('/noise')],
      rest: 'after',
    })
  })

  it('proposes the next one after na', () => {
    expect(play(selectProtocol(['/a/2', '/a/1', '/a/0']), header + na + line('/a/1'))).toEqual({
      value: '/a/1',
      written: [header + line('/a/2'), line('/a/1')],
      rest: '',
    })
  })

  it('fails with the list when all are refused', () => {
    const { fault, written } = play(selectProtocol(['/a/2', '/a/1']), header + na + na)
    expect(written).toEqual([header + line('/a/2'), line('/a/1')])
    expect(fault).toMatchObject({ code: 'ERR_NO_PROTOCOL', remote: false })
    expect(fault?.message).toContain("'/a/2', '/a/1'")
    expect(play(selectProtocol([]), '').fault?.code).toBe('ERR_NO_PROTOCOL')
  })

  it('reads a lazy answer and not a byte more', () => {
    expect(text(lazyHead('/ping'))).toBe(header + line('/ping'))
    expect(play(readLazyAnswer('/ping'), `${header + line('/ping')}pong`)).toEqual({ value: undefined, written: [], rest: 'pong' })
    expect(play(readLazyAnswer('/ping'), header + na).fault?.code).toBe('ERR_NO_PROTOCOL')
    expect(play(readLazyAnswer('/ping'), header + line('/pong')).fault).toMatchObject({ code: 'ERR_PROTOCOL', remote: true })
  })

  it('asks for no more than a line needs', () => {
    expect(play(selectProtocol(['/a']), '')).toMatchObject({ wants: 1 })
    expect(play(selectProtocol(['/a']), '\x13')).toMatchObject({ wants: 19 })
    expect(play(selectProtocol(['/a']), header)).toMatchObject({ wants: 1 })
  })
})

describe('the listener', () => {
  it('answers header, then the protocol', () => {
    expect(play(answerProtocols(['/noise', '/tls']), `${header + line('/noise')}early`)).toEqual({
      value: '/noise',
      written: [header, line('/noise')],
      rest: 'early',
    })
  })

  it('answers the header before a proposal is there', () => {
    expect(play(answerProtocols(['/noise']), header)).toMatchObject({ written: [header], wants: 1 })
  })

  it('says na until it knows one, by list or by judgement', () => {
    const offered = header + line('/tls/1.0.0') + line('/noise')
    for (const supported of [['/noise'], (name: string) => name === '/noise'] satisfies Supported[]) {
      expect(play(answerProtocols(supported), offered)).toMatchObject({ value: '/noise', written: [header, na, line('/noise')] })
    }
  })

  it('compares names byte for byte', () => {
    const offered = ['/Noise', '/noise ', ' /noise', '/noise/', 'noise', '/noise\r'].map(line).join('')
    expect(play(answerProtocols(['/noise']), header + offered).written).toEqual([header, na, na, na, na, na, na])
    const long = `/${'x'.repeat(300)}`
    const framed = text(frameLine(long))
    expect(play(answerProtocols([long]), header + framed)).toMatchObject({ value: long, written: [header, framed] })
  })

  it('says na to the terminated simultaneous-connect, whatever the judge says', () => {
    const { written, value } = play(
      answerProtocols(() => true),
      header + line('/libp2p/simultaneous-connect') + line('/noise'),
    )
    expect(written).toEqual([header, na, line('/noise')])
    expect(value).toBe('/noise')
  })

  // js multistream-select src/handle.ts: <length><length><name>\n…\n
  it('lists once when asked, and says na where it cannot', () => {
    const listed = play(answerProtocols(['/a', '/bb']), `${header}\x03ls\n\x03ls\n${line('/bb')}`)
    expect(listed.written).toEqual([header, '\x0a\x03/a\n\x04/bb\n\n', na, line('/bb')])
    expect(
      play(
        answerProtocols((name) => name === '/a'),
        `${header}\x03ls\n`,
      ).written,
    ).toEqual([header, na])
  })

  it('lists no more than others read', () => {
    const many = Array.from({ length: 5_000 }, (_, i) => `/${i}`)
    const [, answer] = play(answerProtocols(many), `${header}\x03ls\n`).written
    expect(answer?.split('\n')).toHaveLength(1_002)
    const long = Array.from({ length: 100 }, (_, i) => `/${i}/${'x'.repeat(900)}`)
    expect(play(answerProtocols(long), `${header}\x03ls\n`).written[1]?.length).toBeLessThanOrEqual(16_385)
  })

  it('gives up after so many proposals', () => {
    const { fault, written } = play(answerProtocols([]), header + line('/x').repeat(MSS_MAX_ROUNDS + 1))
    expect(fault).toMatchObject({ code: 'ERR_PROTOCOL', remote: true })
    expect(written).toHaveLength(MSS_MAX_ROUNDS + 1)
    expect(play(answerProtocols(['/y'], 2), header + line('/x') + '\x03ls\n' + line('/y')).fault?.code).toBe('ERR_PROTOCOL')
  })
})

describe('both sides refuse', () => {
  const long = '/'.padEnd(1_024, 'x')
  const rows: [string, string, string][] = [
    ['a line without its newline', '\x13/multistream/1.0.0 ', 'ERR_PROTOCOL'],
    ['an empty line', '\x00', 'ERR_PROTOCOL'],
    ['a line of 1,025 bytes', `\x81\x08${long}\n`, 'ERR_FRAME_TOO_LARGE'],
    ['a length of three bytes', '\x93\x80\x00/multistream/1.0.0\n', 'ERR_FRAME_TOO_LARGE'],
    ['a length of three bytes that says 16,384', '\x80\x80\x01', 'ERR_FRAME_TOO_LARGE'],
    ['a length that is longer than it need be', '\x93\x00/multistream/1.0.0\n', 'ERR_PROTOCOL'],
    ['another version', '\x13/multistream/2.0.0\n', 'ERR_PROTOCOL'],
    ['no header at all', line('/noise'), 'ERR_PROTOCOL'],
    ['na for a header', na, 'ERR_PROTOCOL'],
    ['the tail of a header', line('1.0.0'), 'ERR_PROTOCOL'],
    ['a header with something in front', line('x/multistream/1.0.0'), 'ERR_PROTOCOL'],
    ['text that is not UTF-8', '\x03\xc3\x28\n', 'ERR_DECODE'],
  ]
  for (const [what, incoming, code] of rows) {
    it(what, () => {
      expect(play(selectProtocol(['/noise']), incoming).fault).toMatchObject({ code, remote: true })
      expect(play(answerProtocols(['/noise']), incoming).fault).toMatchObject({ code, remote: true })
    })
  }

  it('a long line before its body is asked for', () => {
    expect(play(answerProtocols([]), `${header}\xff\x7f`).fault?.code).toBe('ERR_FRAME_TOO_LARGE')
    // 1,024 with the newline is the longest that passes.
    expect(play(answerProtocols([]), `${header}\x80\x08${long.slice(1)}\n`).written).toEqual([header, na])
  })

  it('the echo of what was not proposed, or was proposed before', () => {
    expect(play(selectProtocol(['/a']), header + line('/b')).fault).toMatchObject({ code: 'ERR_PROTOCOL', remote: true })
    expect(play(selectProtocol(['/a', '/b']), header + na + line('/a')).fault).toMatchObject({ code: 'ERR_PROTOCOL', remote: true })
    expect(play(selectProtocol(['/a']), `${header}\x04\xff\xfe\xfd\n`).fault).toMatchObject({ code: 'ERR_DECODE', remote: true })
    expect(
      play(
        answerProtocols(() => true),
        `${header}\x03\xc3\x28\n`,
      ).fault,
    ).toMatchObject({ code: 'ERR_DECODE', remote: true })
  })

  it('noise, always with a code and within what they were given', () => {
    for (let seed = 1; seed <= 2_000; seed++) {
      const random = prng(seed)
      const noise = Buffer.concat([seed % 2 ? bytes(header) : bytes(''), random.bytes(1 + random.below(60))])
      for (const talk of [selectProtocol(['/a', '/b']), answerProtocols(['/a']), readLazyAnswer('/a')]) {
        const { fault, wants } = play<unknown>(talk, noise)
        expect(fault !== undefined || wants !== undefined, `seed ${seed}`).toBe(true)
        if (fault !== undefined) expect(fault.remote, `seed ${seed}`).toBe(true)
      }
    }
  })
})

describe('dialer and listener', () => {
  it('agree on the first proposal that both speak, whatever the lists', () => {
    for (let seed = 1; seed <= 300; seed++) {
      const random = prng(seed)
      const names = Array.from({ length: 12 }, (_, i) => `/${i}/${'n'.repeat(random.below(200))}`)
      const some = () => names.filter(() => random.below(3) === 0)
      const proposed = some().sort(() => random.below(3) - 1)
      const spoken = some()
      const dialer = selectProtocol(proposed)
      const listener = answerProtocols(spoken)
      const agreed = talkToEachOther(dialer, listener)
      const expected = proposed.find((name) => spoken.includes(name))
      expect(agreed, `seed ${seed}`).toEqual(expected === undefined ? undefined : [expected, expected])
    }
  })
})

/** Runs two conversations against each other; undefined if the dialer finds no protocol. */
const talkToEachOther = (dialer: Conversation<string>, listener: Conversation<string>): [string, string] | undefined => {
  const sides = [dialer, listener].map((talk) => ({
    talk,
    inbox: [] as number[],
    step: undefined as IteratorResult<Ask, string> | undefined,
  }))
  try {
    for (let turn = 0; ; turn = 1 - turn) {
      const me = sides[turn] as (typeof sides)[0]
      const other = sides[1 - turn] as (typeof sides)[0]
      me.step ??= me.talk.next()
      while (me.step.done !== true) {
        const ask = me.step.value
        if (ask.t === 'write') {
          other.inbox.push(...ask.bytes)
          me.step = me.talk.next()
        } else {
          if (ask.t !== 'read') throw new Error(`asks ${ask.t}`)
          if (me.inbox.length < ask.bytes) break
          me.step = me.talk.next(Uint8Array.from(me.inbox.splice(0, ask.bytes)))
        }
      }
      if (me.step.done === true && other.step?.done === true) {
        expect([me.inbox, other.inbox]).toEqual([[], []])
        return [me.step.value, other.step.value]
      }
    }
  } catch (error) {
    expect(error).toMatchObject({ code: 'ERR_NO_PROTOCOL' })
    return undefined
  }
}
