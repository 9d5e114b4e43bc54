/** What a remote may try: each rule of the specification broken, and floods of what is allowed. */

import { describe, expect, it } from 'vitest'
import { concat, utf8 } from '../../codec/bytes.ts'
import { YAMUX_MAX_CONTROL, YAMUX_MAX_GAPS, YAMUX_MAX_INBOUND, YAMUX_MAX_WINDOWS } from '../../limits.ts'
import { prng } from '../../testing/prng.ts'
import { ACK, DATA, FIN, GO_AWAY, PING, RST, SYN, UINT32_MAX } from './frame.ts'
import { Yamux } from './machine.ts'
import { data, events, frame, frames, goAway, ping, update } from './transcript.ts'

const KiB = 1024
const listener = () => new Yamux({ role: 'listener', pingInterval: false })
const receive = (machine: Yamux, ...chunks: Uint8Array[]) => machine.handle({ t: 'bytes', bytes: concat(chunks) }, 0)
const sent = (machine: Yamux) => frames(machine.pull(1024 * KiB, 0))

describe('rules broken end the connection with a go-away', () => {
  it.each([
    ['a version', [frame(DATA, SYN, 1, 0).fill(1, 0, 1)]],
    ['an unknown type', [frame(9, 0, 0, 0)]],
    ['SYN with our parity', [update(2, 0, SYN)]],
    ['SYN on the session', [update(0, 0, SYN)]],
    ['SYN for a live stream', [update(1, 0, SYN), update(1, 0, SYN)]],
    ['SYN for a closed stream', [update(1, 0, SYN), update(1, 0, RST), update(1, 0, SYN)]],
    ['data on the session', [data(0, utf8('x'))]],
    ['a ping on a stream', [frame(PING, SYN, 1, 0)]],
    ['a go-away on a stream', [frame(GO_AWAY, 0, 1, 0)]],
    ['a window overrun in the first frame', [frame(DATA, SYN, 1, 256 * KiB + 1)]],
    ['a window overrun by one byte', [data(1, new Uint8Array(256 * KiB), SYN), data(1, utf8('x'))]],
    ['a body of 4 GiB for a stream that does not exist', [frame(DATA, 0, 77, UINT32_MAX)]],
    ['a send window over 32 bits', [update(1, 0, SYN), update(1, UINT32_MAX)]],
  ])('%s', (_, chunks) => {
    const machine = listener()
    receive(machine, ...chunks, ping(SYN, 1))
    const told = events(machine)
    expect(told.at(-1)).toBe('fault ERR_MUXER remote')
    expect(told.filter((line) => line.startsWith('fault'))).toHaveLength(1)
    expect(sent(machine)).toEqual(['GO_AWAY 1'])
    expect([machine.size, machine.gone, machine.deadline]).toEqual([0, true, undefined])
    // And it stays over.
    receive(machine, ping(SYN, 2), update(3, 0, SYN))
    expect([events(machine), sent(machine)]).toEqual([[], []])
    expect(machine.open()).toMatchObject({ code: 'ERR_CONNECTION_CLOSED' })
  })

  it('what came before the fault is still told', () => {
    const machine = listener()
    receive(machine, data(1, utf8('good'), SYN), frame(9, 0, 0, 0))
    expect(events(machine)).toEqual(['stream #1', 'data #1 4', 'fault ERR_MUXER remote'])
  })

  it('data behind FIN ends that stream alone', () => {
    const machine = listener()
    receive(machine, data(1, utf8('all'), SYN | FIN), data(1, utf8('more')), data(3, utf8('ok'), SYN))
    expect(events(machine)).toEqual(['stream #1', 'data #1 3', 'end #1', 'closed #1 ERR_MUXER', 'stream #3', 'data #3 2'])
    expect(sent(machine)).toEqual(['UPDATE RST #1 4100', 'UPDATE ACK #3 0'])
  })
})

it('an id so old that nobody knows whether it was used is refused, without a fault', () => {
  const machine = listener()
  for (let id = 1; id < 4 * (YAMUX_MAX_GAPS + 10); id += 4) receive(machine, update(id, 0, SYN | RST))
  receive(machine, update(3, 0, SYN))
  expect([events(machine), sent(machine)]).toEqual([[], ['UPDATE RST #3 4098']])
})

describe('floods', () => {
  it('65,536 opens: a thousand streams, resets, then the end', () => {
    const machine = listener()
    let opened = 0
    let fault = ''
    for (let id = 1; id < 2 * 65_536; id += 2) {
      receive(machine, update(id, 0, SYN))
      for (const line of events(machine)) {
        if (line.startsWith('stream')) opened++
        else fault = line
      }
    }
    expect([opened, fault]).toEqual([YAMUX_MAX_INBOUND, 'fault ERR_MUXER remote'])
    expect(sent(machine)).toEqual(['GO_AWAY 1'])
  })

  it('65,536 opens that are answered: a thousand streams, and a reset with a code for each of the others', () => {
    const machine = listener()
    const answers = new Map<string, number>()
    for (let id = 1; id < 2 * 65_536; id += 2) {
      receive(machine, update(id, 0, SYN))
      for (const line of sent(machine)) {
        const kind = line.replace(/#\d+/, '#')
        answers.set(kind, (answers.get(kind) ?? 0) + 1)
      }
      events(machine)
    }
    expect(Object.fromEntries(answers)).toEqual({ 'UPDATE ACK # 0': 1_000, 'UPDATE RST # 4098': 64_536 })
    expect(machine.size).toBe(YAMUX_MAX_INBOUND)
  })

  it('opens that are reset at once, a hundred thousand of them, leave nothing', () => {
    const machine = listener()
    const batch: Uint8Array[] = []
    for (let round = 0; round < 10; round++) {
      batch.length = 0
      for (let i = 0; i < 10_000; i++) {
        const id = 1 + 2 * (round * 10_000 + i)
        batch.push(update(id, 0, i % 2 === 0 ? SYN | RST : SYN))
        if (i % 2 === 1) batch.push(update(id, 0, RST))
      }
      receive(machine, ...batch)
      expect(events(machine)).toHaveLength(10_000)
    }
    expect([machine.size, sent(machine)]).toEqual([0, []])
  })

  it('pings whose answers are not taken', () => {
    const machine = listener()
    const pings = Math.floor(YAMUX_MAX_CONTROL / 12)
    for (let value = 0; value < pings; value++) receive(machine, ping(SYN, value))
    expect(events(machine)).toEqual([])
    receive(machine, ping(SYN, 0))
    expect(events(machine)).toEqual(['fault ERR_MUXER remote'])
  })

  it('resets that it provokes and does not take', () => {
    const machine = listener()
    let provoked = 0
    for (let id = 1; !events(machine).includes('fault ERR_MUXER remote'); id += 2) {
      receive(machine, data(id, utf8('x'), SYN | FIN), data(id, utf8('y')))
      provoked++
    }
    expect(provoked).toBe(Math.floor(YAMUX_MAX_CONTROL / 12) + 1)
  })

  it('window updates and empty frames bring nothing about', () => {
    const machine = listener()
    receive(machine, update(1, 0, SYN))
    events(machine)
    sent(machine)
    for (let i = 0; i < 10_000; i++)
      receive(machine, update(1, 1), update(1, 0), data(1, new Uint8Array(0)), ping(ACK, i), data(7, utf8('?')))
    expect([events(machine), sent(machine), machine.size]).toEqual([[], [], 1])
  })

  it('unread data of many streams: 64 MiB, and then those that send more are reset', () => {
    const machine = listener()
    const body = new Uint8Array(256 * KiB)
    const fit = YAMUX_MAX_WINDOWS / body.length
    for (let i = 0; i < fit; i++) receive(machine, data(1 + 2 * i, body, SYN))
    expect(events(machine).filter((line) => line.startsWith('closed'))).toEqual([])
    const next = 1 + 2 * fit
    receive(machine, data(next, utf8('x'), SYN), update(next + 2, 0, SYN))
    expect(events(machine)).toEqual([`stream #${next}`, `closed #${next} ERR_STREAM_OVERFLOW`, `stream #${next + 2}`])
    expect(sent(machine)).toContain(`UPDATE RST #${next} 4098`)
    // Reading makes room.
    machine.handle({ t: 'release', id: 1, bytes: body.length }, 0)
    receive(machine, data(next + 2, utf8('x')))
    expect(events(machine)).toEqual([`data #${next + 2} 1`])
    // And so does giving up.
    machine.handle({ t: 'reset', id: 3 }, 0)
    receive(machine, data(5 + 2 * fit, body, SYN))
    expect(events(machine)).toEqual([`stream #${5 + 2 * fit}`, `data #${5 + 2 * fit} ${body.length}`])
  })
})

describe('garbage', () => {
  it('at every byte of an exchange ends in a fault or in silence, never in a throw', () => {
    const exchange = concat([
      data(1, utf8('hello'), SYN),
      update(3, 5, SYN),
      ping(SYN, 1),
      data(3, utf8('x'), FIN),
      update(1, 0, RST),
      goAway(0),
    ])
    const random = prng(8)
    for (let at = 0; at < exchange.length; at++) {
      for (let tries = 0; tries < 64; tries++) {
        const bad = exchange.slice()
        bad[at] = random.below(256)
        const machine = listener()
        receive(machine, bad)
        const faults = events(machine).filter((line) => line.startsWith('fault'))
        const frames = sent(machine)
        expect(faults.length === 1, `byte ${at} = ${bad[at]}`).toBe(frames.includes('GO_AWAY 1'))
      }
    }
  })

  it('of random bytes is refused', () => {
    for (let seed = 1; seed <= 500; seed++) {
      const machine = listener()
      receive(machine, prng(seed).bytes(4_096))
      expect(events(machine).at(-1), `seed ${seed}`).toBe('fault ERR_MUXER remote')
    }
  })

  it('of random frames is survived, with all state bounded', () => {
    for (let seed = 1; seed <= 100; seed++) {
      const random = prng(seed)
      const machine = new Yamux({ role: 'listener', maxInbound: 20 })
      for (let step = 0; step < 500; step++) {
        const id = random.below(30) * 2 + (random.below(20) === 0 ? 0 : 1)
        const flags = random.below(4) === 0 ? random.below(16) : 0
        const chosen = random.below(10)
        if (chosen < 5) receive(machine, data(id, random.bytes(random.below(2_000)), flags))
        else if (chosen < 8) receive(machine, update(id, random.below(100_000), flags))
        else if (chosen < 9) receive(machine, ping(random.below(4), random.below(3)))
        else machine.handle({ t: random.below(2) === 0 ? 'end' : 'reset', id }, step)
        events(machine)
        if (random.below(3) === 0) sent(machine)
        expect(machine.size, `seed ${seed}`).toBeLessThanOrEqual(20)
      }
    }
  })
})
