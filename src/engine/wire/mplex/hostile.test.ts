/** What a remote may try: each rule of the specification broken, and floods of what is allowed. */

import { describe, expect, it } from 'vitest'
import { concat, utf8 } from '../../codec/bytes.ts'
import {
  MPLEX_MAX_CONTROL,
  MPLEX_MAX_INBOUND,
  MPLEX_MAX_MESSAGE,
  MPLEX_MAX_STRIKES,
  MPLEX_MAX_UNREAD,
  MPLEX_RECEIVE_BUFFER,
  MPLEX_STRIKE_WINDOW,
  YAMUX_MAX_GAPS,
} from '../../limits.ts'
import { mutate, property } from '../../testing/property.ts'
import { MESSAGE } from './frame.ts'
import { Mplex } from './machine.ts'
import { close, data, events, frame, frames, open, reset } from './transcript.ts'

const receive = (machine: Mplex, chunks: readonly Uint8Array[], now = 0) => machine.handle({ t: 'bytes', bytes: concat(chunks) }, now)
const sent = (machine: Mplex, now = 0) => frames(machine.pull(Number.MAX_SAFE_INTEGER, now))

describe('rules broken end the connection', () => {
  it.each([
    ['a message of over a megabyte', [open(0), frame(0, MESSAGE + 1, new Uint8Array(0), MPLEX_MAX_MESSAGE + 1)]],
    ['the same for a stream that does not exist', [frame(7, MESSAGE, new Uint8Array(0), 2 ** 40)]],
    ['a new stream with the id of an open one', [open(0), open(0)]],
    ['a new stream with the id of a closed one', [open(0), reset(0), open(0)]],
    ['a new stream with an id from before', [open(0), open(1), reset(0), open(2), open(0)]],
    ['flag 7', [frame(0, 7)]],
    ['a varint that never ends', [new Uint8Array(10).fill(0xff)]],
  ])('%s', (_, chunks) => {
    const machine = new Mplex()
    receive(machine, [...chunks, open(99)])
    const told = events(machine)
    expect(told.at(-1)).toBe('fault ERR_MUXER remote')
    expect(told.filter((line) => line.startsWith('fault'))).toHaveLength(1)
    expect([machine.size, machine.gone, machine.deadline, machine.pull(1_000, 0)]).toEqual([0, true, undefined, undefined])
    // And it stays over.
    receive(machine, [open(100)])
    expect([events(machine), machine.open()]).toEqual([[], { code: 'ERR_CONNECTION_CLOSED', what: expect.any(String), remote: false }])
  })

  it('what came before the fault is still told', () => {
    const machine = new Mplex()
    receive(machine, [open(0), data(0, utf8('good')), frame(0, 7)])
    expect(events(machine)).toEqual(['stream theirs0', 'data theirs0 4', 'fault ERR_MUXER remote'])
  })
})

it('an id so old that nobody knows whether it was used is refused, without a fault', () => {
  const machine = new Mplex()
  for (let id = 0; id < 2 * (YAMUX_MAX_GAPS + 10); id += 2) receive(machine, [open(id), reset(id)])
  events(machine)
  receive(machine, [open(1)])
  expect([events(machine), sent(machine)]).toEqual([[], ['RESET r1']])
})

describe('floods', () => {
  const megabyte = new Uint8Array(MPLEX_MAX_MESSAGE)

  it('of one stream that nobody reads: it is reset, the others go on, and its rest is dropped', () => {
    const machine = new Mplex()
    receive(machine, [open(0), open(1)])
    events(machine)
    let told: string[] = []
    for (let i = 0; i < 100; i++) {
      receive(machine, [data(0, megabyte), data(1, utf8('x'))])
      const lines = events(machine)
      machine.handle({ t: 'release', key: 3, bytes: 1 }, 0)
      expect(lines.at(-1)).toBe('data theirs1 1')
      told = [...told, ...lines.slice(0, -1)]
    }
    expect(told).toEqual([...Array.from({ length: 4 }, () => `data theirs0 ${MPLEX_MAX_MESSAGE}`), 'closed theirs0 ERR_STREAM_OVERFLOW'])
    expect([sent(machine), machine.size]).toEqual([['RESET r0'], 1])
  })

  it(`of one stream after the other: the connection ends after ${MPLEX_MAX_STRIKES} of them`, () => {
    const machine = new Mplex()
    const told: string[] = []
    for (let id = 0; id < 20; id++) {
      receive(machine, [open(id)], id * 1_000)
      for (let i = 0; i < 5; i++) receive(machine, [data(id, megabyte)], id * 1_000)
      told.push(...events(machine).filter((line) => !line.startsWith('data')))
    }
    expect(told.filter((line) => line.includes('OVERFLOW'))).toHaveLength(MPLEX_MAX_STRIKES + 1)
    expect([told.at(-1), machine.gone]).toEqual(['fault ERR_MUXER remote', true])
  })

  it('of one stream now and then cost those streams only', () => {
    const machine = new Mplex()
    for (let id = 0; id < 20; id++) {
      const now = (id * (MPLEX_STRIKE_WINDOW + 1)) / MPLEX_MAX_STRIKES
      receive(machine, [open(id)], now)
      for (let i = 0; i < 5; i++) receive(machine, [data(id, megabyte)], now)
      expect(events(machine).at(-1)).toBe(`closed theirs${id} ERR_STREAM_OVERFLOW`)
      sent(machine)
    }
    expect(machine.gone).toBe(false)
  })

  it('of many streams at once stay below a bound for all of them', () => {
    const machine = new Mplex()
    const held = new Map<number, number>()
    let most = 0
    for (let id = 0; !machine.gone && id < MPLEX_MAX_INBOUND; id++) {
      receive(machine, [open(id), ...Array.from({ length: 3 }, () => data(id, megabyte))])
      for (let event = machine.poll(); event !== undefined; event = machine.poll()) {
        if (event.t === 'data') held.set(event.key, (held.get(event.key) ?? 0) + event.bytes.length)
        else if (event.t === 'closed') held.delete(event.key)
      }
      most = Math.max(
        most,
        [...held.values()].reduce((sum, bytes) => sum + bytes, 0),
      )
    }
    expect(machine.gone).toBe(true)
    expect(most).toBeLessThanOrEqual(MPLEX_MAX_UNREAD)
    expect(most).toBeGreaterThan(MPLEX_MAX_UNREAD - MPLEX_RECEIVE_BUFFER)
  })

  it('of opens: as many as are allowed, resets, then the end', () => {
    const machine = new Mplex()
    let opened = 0
    let fault = ''
    let ids = 0
    for (; !machine.gone; ids++) {
      receive(machine, [open(ids)])
      for (const line of events(machine)) {
        if (line.startsWith('stream')) opened++
        else fault = line
      }
    }
    expect([opened, ids, fault]).toEqual([MPLEX_MAX_INBOUND, MPLEX_MAX_INBOUND + MPLEX_MAX_STRIKES + 1, 'fault ERR_MUXER remote'])
  })

  it('of opens that are reset at once, a hundred thousand of them, leave nothing', () => {
    const machine = new Mplex()
    for (let round = 0; round < 10; round++) {
      const batch: Uint8Array[] = []
      for (let i = 0; i < 10_000; i++) batch.push(open(round * 10_000 + i), reset(round * 10_000 + i))
      receive(machine, batch)
      expect(events(machine)).toHaveLength(20_000)
    }
    expect([machine.size, sent(machine)]).toEqual([0, []])
  })

  it('of opens that we reset, by a remote that does not take the resets', () => {
    const machine = new Mplex()
    let ids = 0
    for (; !machine.gone; ids++) {
      receive(machine, [open(ids)])
      if (events(machine).at(-1)?.startsWith('stream')) machine.handle({ t: 'reset', key: ids * 2 + 1 }, 0)
    }
    expect(events(machine)).toEqual(['fault ERR_MUXER remote'])
    expect(ids).toBeGreaterThan(MPLEX_MAX_CONTROL / 11)
    expect(ids).toBeLessThan(MPLEX_MAX_CONTROL)
  })

  it('of a million empty messages cost nothing', () => {
    const machine = new Mplex()
    receive(machine, [open(0)])
    const batch = concat(Array.from({ length: 10_000 }, () => data(0, new Uint8Array(0))))
    for (let i = 0; i < 100; i++) machine.handle({ t: 'bytes', bytes: batch }, 0)
    expect([events(machine), machine.size]).toEqual([['stream theirs0'], 1])
  })
})

it('noise, and traffic with a few bytes wrong, end in a fault or in streams: never in a throw', () => {
  const valid = concat([open(0), data(0, utf8('hello')), open(1), data(1, new Uint8Array(300)), close(0), reset(1), open(2)])
  property(2_000, (random) => {
    const machine = new Mplex()
    machine.open()
    sent(machine)
    const bytes = random.below(4) === 0 ? random.bytes(random.below(400)) : mutate(random, valid)
    for (let at = 0; at < bytes.length; ) {
      const size = 1 + random.below(40)
      machine.handle({ t: 'bytes', bytes: bytes.slice(at, at + size) }, 0)
      at += size
    }
    const told = events(machine)
    expect(told.filter((line) => line.startsWith('fault')).length).toBe(machine.gone ? 1 : 0)
    machine.pull(1_000_000, 0)
    machine.handle({ t: 'wake' }, 60_000)
  })
})
