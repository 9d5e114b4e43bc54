import { describe, expect, it } from 'vitest'
import { concat, utf8 } from '../../codec/bytes.ts'
import {
  MPLEX_MAX_MESSAGE,
  MPLEX_MAX_OUTBOUND,
  MPLEX_MAX_SENT,
  MPLEX_MAX_WAITING,
  MPLEX_OPEN_BURST,
  MPLEX_OPEN_PERIOD,
  MPLEX_PAUSE_TIMEOUT,
  MPLEX_RECEIVE_BUFFER,
  MPLEX_SEND_QUEUE,
} from '../../limits.ts'
import { Mplex } from './machine.ts'
import { close, data, events, frames, open, reset } from './transcript.ts'

const receive = (machine: Mplex, chunks: readonly Uint8Array[], now = 0) => machine.handle({ t: 'bytes', bytes: concat(chunks) }, now)
const sent = (machine: Mplex, now = 0) => frames(machine.pull(Number.MAX_SAFE_INTEGER, now))
const write = (machine: Mplex, key: number, text: string) => machine.handle({ t: 'write', key, bytes: utf8(text) }, 0)
const end = (machine: Mplex, key: number) => machine.handle({ t: 'end', key }, 0)
const release = (machine: Mplex, key: number, bytes: number, now = 0) => machine.handle({ t: 'release', key, bytes }, now)

/** The remote's streams have odd keys, ours even ones. */
const theirs = (id: number) => id * 2 + 1

describe('a stream of ours', () => {
  it('opens, writes and ends in one go, and costs no round trip', () => {
    const machine = new Mplex()
    const key = machine.open() as number
    write(machine, key, 'hello')
    write(machine, key, ' world')
    end(machine, key)
    expect(sent(machine)).toEqual(['NEW i0', 'MESSAGE i0 11', 'CLOSE i0'])
    receive(machine, [data(0, utf8('hi'), 0), close(0, 0)])
    expect(events(machine)).toEqual(['data ours0 2', 'end ours0', 'closed ours0'])
    expect(machine.size).toBe(1)
    release(machine, key, 2)
    expect(machine.size).toBe(0)
  })

  it('has nothing to do with the remote stream of the same id', () => {
    const machine = new Mplex()
    const key = machine.open() as number
    receive(machine, [open(0), data(0, utf8('from its initiator'))])
    write(machine, key, 'ours')
    write(machine, theirs(0), 'theirs')
    expect(sent(machine)).toEqual(['NEW i0', 'MESSAGE r0 6', 'MESSAGE i0 4'])
    receive(machine, [data(0, utf8('from its receiver'), 0), reset(0, 0)])
    expect(events(machine)).toEqual(['stream theirs0', 'data theirs0 18', 'data ours0 17', 'closed ours0 ERR_STREAM_RESET'])
    expect(machine.credit(theirs(0))).toBe(MPLEX_SEND_QUEUE)
  })

  it('ends each way by itself', () => {
    const machine = new Mplex()
    const key = machine.open() as number
    receive(machine, [])
    sent(machine)
    receive(machine, [close(0, 0)])
    expect(events(machine)).toEqual(['end ours0'])
    write(machine, key, 'still')
    expect(sent(machine)).toEqual(['MESSAGE i0 5'])
    end(machine, key)
    end(machine, key)
    write(machine, key, 'too late')
    expect([sent(machine), events(machine), machine.size]).toEqual([['CLOSE i0'], ['closed ours0'], 0])
  })

  it('that is given up before the remote has heard of it costs nothing', () => {
    const machine = new Mplex()
    const key = machine.open() as number
    write(machine, key, 'never')
    machine.handle({ t: 'reset', key }, 0)
    expect([sent(machine), events(machine), machine.size]).toEqual([[], [], 0])
  })

  it('that is given up is reset, with nothing behind it', () => {
    const machine = new Mplex()
    const key = machine.open() as number
    sent(machine)
    write(machine, key, 'lost')
    machine.handle({ t: 'reset', key }, 0)
    write(machine, key, 'lost')
    machine.handle({ t: 'reset', key }, 0)
    expect([sent(machine), events(machine)]).toEqual([['RESET i0'], []])
    receive(machine, [data(0, utf8('crossed'), 0), close(0, 0), reset(0, 0)])
    expect([sent(machine), events(machine), machine.size]).toEqual([[], [], 0])
  })
})

describe('a stream of the remote', () => {
  it('is told with what came with it, whatever its name', () => {
    const machine = new Mplex()
    receive(machine, [open(7, utf8('a name')), data(7, utf8('hello')), close(7)])
    expect(events(machine)).toEqual(['stream theirs7', 'data theirs7 5', 'end theirs7'])
    write(machine, theirs(7), 'hello yourself')
    end(machine, theirs(7))
    expect(sent(machine)).toEqual(['MESSAGE r7 14', 'CLOSE r7'])
    expect(events(machine)).toEqual(['closed theirs7'])
  })

  it('delivers bodies as they come', () => {
    const machine = new Mplex()
    const whole = concat([open(0), data(0, utf8('one two three'))])
    receive(machine, [whole.subarray(0, 8)])
    receive(machine, [whole.subarray(8)])
    expect(events(machine)).toEqual(['stream theirs0', 'data theirs0 4', 'data theirs0 9'])
  })

  it('may be opened out of order: two threads of the remote', () => {
    const machine = new Mplex()
    receive(machine, [open(3), open(1), open(2), open(0)])
    expect(events(machine)).toEqual(['stream theirs3', 'stream theirs1', 'stream theirs2', 'stream theirs0'])
  })

  it('that nobody knows is skipped, body and all', () => {
    const machine = new Mplex()
    receive(machine, [data(9, utf8('who')), close(9), reset(9), data(9, utf8('we never opened it'), 0), open(0)])
    expect([events(machine), sent(machine)]).toEqual([['stream theirs0'], []])
  })

  it('is reset while its body is on the way: the rest of it is dropped', () => {
    const machine = new Mplex()
    const whole = concat([open(0), data(0, utf8('one two')), open(1)])
    receive(machine, [whole.subarray(0, 7)])
    machine.handle({ t: 'reset', key: theirs(0) }, 0)
    receive(machine, [whole.subarray(7)])
    expect(events(machine)).toEqual(['stream theirs0', 'data theirs0 3', 'stream theirs1'])
    expect(sent(machine)).toEqual(['RESET r0'])
  })

  it('that is written to behind its end is cut off, alone', () => {
    const machine = new Mplex()
    receive(machine, [open(0), close(0), data(0, new Uint8Array(0)), data(0, utf8('more')), open(1), data(1, utf8('ok'))])
    expect(events(machine)).toEqual(['stream theirs0', 'end theirs0', 'closed theirs0 ERR_MUXER', 'stream theirs1', 'data theirs1 2'])
    expect(sent(machine)).toEqual(['RESET r0'])
  })
})

describe('writers', () => {
  it('take turns', () => {
    const machine = new Mplex()
    const keys = [0, 1, 2].map(() => machine.open() as number)
    for (const key of keys) machine.handle({ t: 'write', key, bytes: new Uint8Array(2.5 * MPLEX_MAX_SENT) }, 0)
    end(machine, keys[1] as number)
    const turn = MPLEX_MAX_SENT
    expect(sent(machine)).toEqual([
      ...['NEW i0', 'NEW i1', 'NEW i2'],
      ...[`MESSAGE i0 ${turn}`, `MESSAGE i1 ${turn}`, `MESSAGE i2 ${turn}`],
      ...[`MESSAGE i0 ${turn}`, `MESSAGE i1 ${turn}`, `MESSAGE i2 ${turn}`],
      ...[`MESSAGE i0 ${turn / 2}`, `MESSAGE i1 ${turn / 2}`, 'CLOSE i1', `MESSAGE i2 ${turn / 2}`],
    ])
  })

  it('get no more than the channel below takes, and one message', () => {
    const machine = new Mplex()
    const key = machine.open() as number
    machine.handle({ t: 'write', key, bytes: new Uint8Array(MPLEX_SEND_QUEUE) }, 0)
    const size = (chunks: Uint8Array[] | undefined) => concat(chunks ?? []).length
    expect(size(machine.pull(1, 0))).toBe(2)
    expect(size(machine.pull(1, 0))).toBe(MPLEX_MAX_SENT + 4)
    expect(size(machine.pull(MPLEX_MAX_SENT + 5, 0))).toBe(2 * (MPLEX_MAX_SENT + 4))
  })

  it('wait for room, and hear of it', () => {
    const machine = new Mplex()
    const key = machine.open() as number
    machine.handle({ t: 'write', key, bytes: new Uint8Array(MPLEX_SEND_QUEUE + 10) }, 0)
    expect(machine.credit(key)).toBe(-10)
    machine.pull(1, 0)
    expect(events(machine)).toEqual([])
    machine.pull(1, 0)
    expect([events(machine), machine.credit(key)]).toEqual([['drain ours0'], MPLEX_MAX_SENT - 10])
    machine.pull(Number.MAX_SAFE_INTEGER, 0)
    expect(events(machine)).toEqual([])
  })

  it('overtaken by a reset of the remote, lose what was queued', () => {
    const machine = new Mplex()
    receive(machine, [open(0)])
    write(machine, theirs(0), 'lost')
    receive(machine, [reset(0)])
    expect([sent(machine), events(machine)]).toEqual([[], ['stream theirs0', 'closed theirs0 ERR_STREAM_RESET']])
    expect(machine.credit(theirs(0))).toBe(0)
  })
})

describe('opening', () => {
  it(`${MPLEX_OPEN_BURST} at once, and ${MPLEX_OPEN_BURST} more a period later, for js-libp2p ends the connection at a sixth`, () => {
    const machine = new Mplex()
    for (let i = 0; i < 12; i++) machine.open()
    expect(sent(machine, 100)).toEqual(['NEW i0', 'NEW i1', 'NEW i2', 'NEW i3', 'NEW i4'])
    const next = 100 + MPLEX_OPEN_PERIOD
    expect(machine.deadline).toBe(next)
    expect(sent(machine, next - 1)).toEqual([])
    machine.handle({ t: 'wake' }, next)
    // It can't be looked at again before something is pulled: an alarm would ring at once, for ever.
    expect(machine.deadline).toBeUndefined()
    expect(sent(machine, next)).toEqual(['NEW i5', 'NEW i6', 'NEW i7', 'NEW i8', 'NEW i9'])
    expect(sent(machine, next + MPLEX_OPEN_PERIOD)).toEqual(['NEW i10', 'NEW i11'])
    expect(machine.deadline).toBeUndefined()
  })

  it('paced by when they went out, not by when they were asked for', () => {
    const machine = new Mplex()
    const times: number[] = []
    for (let now = 0; now < 20_000; now += 130) {
      machine.open()
      for (const line of sent(machine, now)) if (line.startsWith('NEW')) times.push(now)
    }
    for (let i = MPLEX_OPEN_BURST; i < times.length; i++) {
      expect((times[i] as number) - (times[i - MPLEX_OPEN_BURST] as number)).toBeGreaterThanOrEqual(MPLEX_OPEN_PERIOD)
    }
    expect(times.length).toBeGreaterThan(70)
  })

  it('what waits may be written and ended, and goes out in order', () => {
    const machine = new Mplex()
    for (let i = 0; i < MPLEX_OPEN_BURST; i++) machine.open()
    const key = machine.open() as number
    write(machine, key, 'patience')
    end(machine, key)
    // The remote can't know of it yet.
    receive(machine, [data(MPLEX_OPEN_BURST, utf8('a guess'), 0), reset(MPLEX_OPEN_BURST, 0)])
    expect(sent(machine).at(-1)).toBe('NEW i4')
    expect(events(machine)).toEqual([])
    expect(sent(machine, MPLEX_OPEN_PERIOD)).toEqual(['NEW i5', 'MESSAGE i5 8', 'CLOSE i5'])
  })

  it('waits while too many are open, and fails when too many wait', () => {
    const machine = new Mplex()
    let now = 0
    const begun: string[] = []
    for (let i = 0; i < MPLEX_MAX_OUTBOUND + MPLEX_MAX_WAITING; i++) {
      expect(typeof machine.open()).toBe('number')
      begun.push(...sent(machine, now))
      now += MPLEX_OPEN_PERIOD
    }
    expect([begun.length, begun.at(-1)]).toEqual([MPLEX_MAX_OUTBOUND, `NEW i${MPLEX_MAX_OUTBOUND - 1}`])
    expect(machine.open()).toMatchObject({ code: 'ERR_STREAM_LIMIT', remote: false })
    machine.handle({ t: 'reset', key: 0 }, now)
    expect(sent(machine, now)).toEqual([`NEW i${MPLEX_MAX_OUTBOUND}`, 'RESET i0'].sort().reverse())
    expect(typeof machine.open()).toBe('number')
  })
})

describe('a slow reader', () => {
  const chunk = data(0, new Uint8Array(MPLEX_MAX_MESSAGE / 2))
  const fill = (machine: Mplex, halves: number, now = 0) => {
    for (let i = 0; i < halves; i++) receive(machine, [chunk], now)
  }

  it('pauses the connection, until it has read half of what is too much', () => {
    const machine = new Mplex()
    receive(machine, [open(0)])
    fill(machine, 2)
    expect([machine.paused, machine.deadline]).toEqual([false, undefined])
    fill(machine, 1, 1_000)
    expect([machine.paused, machine.deadline]).toEqual([true, 1_000 + MPLEX_PAUSE_TIMEOUT])
    release(machine, theirs(0), MPLEX_MAX_MESSAGE - 1, 2_000)
    // As long as it reads at all it is waited for.
    expect([machine.paused, machine.deadline]).toEqual([true, 2_000 + MPLEX_PAUSE_TIMEOUT])
    release(machine, theirs(0), 1, 3_000)
    expect([machine.paused, machine.deadline]).toEqual([false, undefined])
  })

  it('loses its stream when it takes nothing for too long; the others go on', () => {
    const machine = new Mplex()
    receive(machine, [open(0), open(1)])
    fill(machine, 3, 1_000)
    events(machine)
    machine.handle({ t: 'wake' }, 1_000 + MPLEX_PAUSE_TIMEOUT - 1)
    expect(events(machine)).toEqual([])
    machine.handle({ t: 'wake' }, 1_000 + MPLEX_PAUSE_TIMEOUT)
    expect([events(machine), sent(machine)]).toEqual([['closed theirs0 ERR_STREAM_OVERFLOW'], ['RESET r0']])
    expect([machine.paused, machine.size]).toEqual([false, 1])
    receive(machine, [chunk, data(1, utf8('ok'))])
    expect(events(machine)).toEqual(['data theirs1 2'])
  })

  it('that has all there will ever be is not waited for, and loses nothing', () => {
    const machine = new Mplex()
    receive(machine, [open(0)])
    fill(machine, 3)
    receive(machine, [close(0)])
    expect([machine.paused, machine.deadline]).toEqual([false, undefined])
    end(machine, theirs(0))
    sent(machine)
    expect(events(machine).at(-1)).toBe('closed theirs0')
    expect(machine.size).toBe(1)
    release(machine, theirs(0), 3 * (MPLEX_MAX_MESSAGE / 2))
    expect(machine.size).toBe(0)
  })

  it('whose remote can not be paused loses its stream at the end of the buffer, to the byte', () => {
    const machine = new Mplex()
    receive(machine, [open(0)])
    fill(machine, (2 * MPLEX_RECEIVE_BUFFER) / MPLEX_MAX_MESSAGE)
    expect(events(machine)).toHaveLength(9)
    receive(machine, [data(0, utf8('x'))])
    expect([events(machine), sent(machine)]).toEqual([['closed theirs0 ERR_STREAM_OVERFLOW'], ['RESET r0']])
  })

  it('of a node that wants small buffers loses it sooner', () => {
    const machine = new Mplex({ receiveBuffer: 1_000 })
    receive(machine, [open(0), data(0, new Uint8Array(250))])
    expect(machine.paused).toBe(false)
    receive(machine, [data(0, new Uint8Array(1))])
    expect(machine.paused).toBe(true)
    receive(machine, [data(0, new Uint8Array(750))])
    expect(events(machine).at(-1)).toBe('closed theirs0 ERR_STREAM_OVERFLOW')
  })

  it('holds few bytes, and not the read that brought them', () => {
    const machine = new Mplex()
    receive(machine, [open(0), data(0, utf8('few')), data(1, new Uint8Array(100_000))])
    machine.poll()
    const event = machine.poll()
    expect(event?.t === 'data' && event.bytes.buffer.byteLength).toBe(3)
  })
})

describe('leaving', () => {
  it('goes once all was sent', () => {
    const machine = new Mplex()
    const key = machine.open() as number
    machine.handle({ t: 'write', key, bytes: new Uint8Array(MPLEX_MAX_SENT + 1) }, 0)
    end(machine, key)
    machine.handle({ t: 'leave' }, 0)
    expect(machine.open()).toMatchObject({ code: 'ERR_CONNECTION_CLOSED' })
    receive(machine, [open(0)])
    expect(frames(machine.pull(1, 0))).toEqual(['RESET r0', 'NEW i0'].sort().reverse())
    expect([frames(machine.pull(1, 0)), machine.gone]).toEqual([[`MESSAGE i0 ${MPLEX_MAX_SENT}`], false])
    expect([frames(machine.pull(1, 0)), machine.gone]).toEqual([['MESSAGE i0 1', 'CLOSE i0'], true])
    expect([machine.pull(1, 0), machine.size]).toEqual([undefined, 0])
  })

  it('goes at once where nothing is to be sent', () => {
    const machine = new Mplex()
    receive(machine, [open(0)])
    machine.handle({ t: 'leave' }, 0)
    expect([machine.pull(1, 0), machine.gone]).toEqual([undefined, true])
  })
})
