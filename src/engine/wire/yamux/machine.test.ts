import { describe, expect, it } from 'vitest'
import { concat, utf8 } from '../../codec/bytes.ts'
import { YAMUX_MAX_FRAME, YAMUX_MAX_WAITING, YAMUX_MAX_WINDOW, YAMUX_MAX_WINDOWS, YAMUX_SEND_QUEUE } from '../../limits.ts'
import { ACK, FIN, RST, SYN } from './frame.ts'
import type { YamuxOptions } from './machine.ts'
import { Yamux } from './machine.ts'
import { data, events, frames, goAway, ping, update } from './transcript.ts'

const KiB = 1024
const MUCH = 1024 * KiB

/** Without pings of its own, so that a transcript holds only what it is about. */
const machine = (role: 'dialer' | 'listener', options: Partial<YamuxOptions> = {}) => new Yamux({ role, pingInterval: false, ...options })
const open = (machine: Yamux): number => machine.open() as number
const write = (machine: Yamux, id: number, bytes: Uint8Array) => machine.handle({ t: 'write', id, bytes }, 0)
const end = (machine: Yamux, id: number) => machine.handle({ t: 'end', id }, 0)
const reset = (machine: Yamux, id: number, code: number) => machine.handle({ t: 'reset', id, code }, 0)
const release = (machine: Yamux, id: number, bytes: number, now = 0) => machine.handle({ t: 'release', id, bytes }, now)
const receive = (machine: Yamux, ...chunks: Uint8Array[]) => machine.handle({ t: 'bytes', bytes: concat(chunks) }, 0)
const sent = (machine: Yamux, maxBytes = MUCH, now = 0) => frames(machine.pull(maxBytes, now))
const zeros = (size: number) => new Uint8Array(size)

/** Everything that `from` has to send goes to `to`. */
const carry = (from: Yamux, to: Yamux, now = 0): void => {
  for (let chunks = from.pull(MUCH, now); chunks !== undefined; chunks = from.pull(MUCH, now)) {
    to.handle({ t: 'bytes', bytes: concat(chunks) }, now)
  }
}

describe('opening', () => {
  it('the dialer opens and writes five bytes: SYN rides on the data', () => {
    const dialer = machine('dialer')
    expect(dialer.open()).toBe(1)
    write(dialer, 1, utf8('hello'))
    expect(sent(dialer)).toEqual(['DATA SYN #1 5'])
    write(dialer, 1, utf8('more'))
    expect(sent(dialer)).toEqual(['DATA #1 4'])
  })

  it('without data SYN rides on an empty window update, as in js', () => {
    const listener = machine('listener')
    expect([listener.open(), listener.open()]).toEqual([2, 4])
    expect(sent(listener)).toEqual(['UPDATE SYN #2 0', 'UPDATE SYN #4 0'])
  })

  it('a stream can be opened, used and ended at once', () => {
    const dialer = machine('dialer')
    const id = open(dialer)
    write(dialer, id, utf8('hello'))
    end(dialer, id)
    // js drops the data of a frame that carries FIN.
    expect(sent(dialer)).toEqual(['DATA SYN #1 5', 'UPDATE FIN #1 0'])
  })

  it('the listener answers with data: ACK rides on it', () => {
    const listener = machine('listener')
    receive(listener, data(1, utf8('hello'), SYN))
    expect(events(listener)).toEqual(['stream #1', 'data #1 5'])
    write(listener, 1, utf8('hi'))
    expect(sent(listener)).toEqual(['DATA ACK #1 2'])
    write(listener, 1, utf8('again'))
    expect(sent(listener)).toEqual(['DATA #1 5'])
  })

  it('without data ACK rides on an empty window update', () => {
    const listener = machine('listener')
    receive(listener, update(1, 0, SYN))
    expect(sent(listener)).toEqual(['UPDATE ACK #1 0'])
    expect(sent(listener)).toEqual([])
  })

  it('a SYN with a window update adds to the initial credit', () => {
    const listener = machine('listener')
    receive(listener, update(1, 44 * KiB, SYN))
    write(listener, 1, zeros(256 * KiB))
    write(listener, 1, zeros(100 * KiB))
    const total = sent(listener).reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)
    expect(total).toBe(300 * KiB)
  })

  it('at most 256 opens are unanswered; the others wait in order', () => {
    const dialer = machine('dialer')
    const ids = Array.from({ length: 300 }, () => open(dialer))
    expect(ids.at(-1)).toBe(599)
    write(dialer, 599, utf8('last'))
    expect(sent(dialer)).toHaveLength(256)
    expect(sent(dialer)).toEqual([])
    receive(dialer, update(5, 0, ACK), data(9, utf8('x'), ACK))
    expect(sent(dialer)).toEqual(['UPDATE SYN #513 0', 'UPDATE SYN #515 0'])
    // A reset makes room too, whoever sends it.
    receive(dialer, update(7, 0, RST))
    reset(dialer, 11, 0)
    expect(sent(dialer)).toEqual(['UPDATE RST #11 0', 'UPDATE SYN #517 0', 'UPDATE SYN #519 0'])
    for (let id = 1; id < 512; id += 2) receive(dialer, update(id, 0, ACK))
    expect(sent(dialer).at(-1)).toBe('DATA SYN #599 4')
  })

  it('any frame of the remote acknowledges, ACK or not', () => {
    const dialer = machine('dialer', { maxUnacked: 1 })
    open(dialer)
    open(dialer)
    expect(sent(dialer)).toEqual(['UPDATE SYN #1 0'])
    receive(dialer, data(1, utf8('x')))
    expect(sent(dialer)).toEqual(['UPDATE SYN #3 0'])
  })

  it('at most 400 live, for rust ends the connection at 512; a closed one makes room', () => {
    const dialer = machine('dialer')
    for (let i = 0; i < 410; i++) open(dialer)
    for (let id = 1; id < 820; id += 2) {
      sent(dialer)
      receive(dialer, update(id, 0, ACK))
    }
    expect(dialer.size).toBe(410)
    receive(dialer, update(1, 0, FIN))
    end(dialer, 1)
    expect(sent(dialer)).toEqual(['UPDATE FIN #1 0', 'UPDATE SYN #801 0'])
  })

  it('a stream that waits and is given up leaves no trace', () => {
    const dialer = machine('dialer', { maxUnacked: 1 })
    for (let i = 0; i < 4; i++) open(dialer)
    reset(dialer, 5, 0)
    expect(sent(dialer)).toEqual(['UPDATE SYN #1 0'])
    receive(dialer, update(1, 0, ACK))
    expect(sent(dialer)).toEqual(['UPDATE SYN #3 0'])
    receive(dialer, update(3, 0, ACK))
    expect(sent(dialer)).toEqual(['UPDATE SYN #7 0'])
    expect(dialer.size).toBe(3)
  })

  it('too many that wait are refused', () => {
    const dialer = machine('dialer', { maxUnacked: 1 })
    for (let i = 0; i < 1 + YAMUX_MAX_WAITING; i++) expect(typeof dialer.open()).toBe('number')
    expect(dialer.open()).toMatchObject({ code: 'ERR_STREAM_LIMIT' })
  })
})

describe('ending', () => {
  it('FIN is a half-close: the other direction goes on', () => {
    const [dialer, listener] = [machine('dialer'), machine('listener')]
    const id = open(dialer)
    write(dialer, id, utf8('question'))
    end(dialer, id)
    carry(dialer, listener)
    expect(events(listener)).toEqual(['stream #1', 'data #1 8', 'end #1'])
    release(listener, id, 8)
    write(listener, id, utf8('answer'))
    carry(listener, dialer)
    expect(events(dialer)).toEqual(['data #1 6'])
    release(dialer, id, 6)
    end(listener, id)
    carry(listener, dialer)
    expect(events(listener)).toEqual(['closed #1'])
    expect(events(dialer)).toEqual(['end #1', 'closed #1'])
    expect([dialer.size, listener.size]).toEqual([0, 0])
  })

  it('FIN waits for the data before it', () => {
    const dialer = machine('dialer')
    const id = open(dialer)
    write(dialer, id, zeros(256 * KiB))
    write(dialer, id, zeros(1))
    end(dialer, id)
    expect(sent(dialer).filter((line) => line.includes('FIN'))).toEqual([])
    receive(dialer, update(id, 10, ACK))
    expect(sent(dialer)).toEqual(['DATA #1 1', 'UPDATE FIN #1 0'])
  })

  it('FIN on a frame with data ends behind the data', () => {
    const listener = machine('listener')
    const bytes = data(1, utf8('bye'), SYN | FIN)
    receive(listener, bytes.subarray(0, 14))
    expect(events(listener)).toEqual(['stream #1', 'data #1 2'])
    receive(listener, bytes.subarray(14))
    expect(events(listener)).toEqual(['data #1 1', 'end #1'])
  })

  it('after our end nothing more is written; after the remote end it is told once', () => {
    const dialer = machine('dialer')
    const id = open(dialer)
    end(dialer, id)
    write(dialer, id, utf8('late'))
    expect(dialer.credit(id)).toBe(0)
    expect(sent(dialer)).toEqual(['UPDATE SYN|FIN #1 0'])
    receive(dialer, update(id, 0, ACK | FIN), update(id, 0, FIN))
    expect(events(dialer)).toEqual(['end #1', 'closed #1'])
  })

  it('RST drops what is queued and tells why', () => {
    const dialer = machine('dialer')
    const id = open(dialer)
    sent(dialer)
    write(dialer, id, utf8('never sent'))
    reset(dialer, id, 0x1004)
    expect(sent(dialer)).toEqual(['UPDATE RST #1 4100'])
    expect(events(dialer)).toEqual([])
    expect(dialer.size).toBe(0)
  })

  it('a stream that was not heard of is given up in silence', () => {
    const dialer = machine('dialer')
    reset(dialer, open(dialer), 0)
    expect(sent(dialer)).toEqual([])
    expect(open(dialer)).toBe(3)
  })

  it('a closed stream counts as long as its reader holds bytes', () => {
    const listener = machine('listener', { maxInbound: 1 })
    receive(listener, data(1, utf8('hello'), SYN | FIN))
    end(listener, 1)
    expect(sent(listener)).toEqual(['UPDATE ACK|FIN #1 0'])
    expect(events(listener)).toEqual(['stream #1', 'data #1 5', 'end #1', 'closed #1'])
    receive(listener, update(3, 0, SYN))
    expect(sent(listener)).toEqual(['UPDATE RST #3 4098'])
    release(listener, 1, 5)
    expect(listener.size).toBe(0)
    receive(listener, update(5, 0, SYN))
    expect(events(listener)).toEqual(['stream #5'])
  })

  it('a thousand streams opened and closed leave no state', () => {
    const [dialer, listener] = [machine('dialer'), machine('listener')]
    for (let i = 0; i < 1_000; i++) {
      const id = open(dialer)
      write(dialer, id, utf8('ping'))
      if (i % 2 === 0) end(dialer, id)
      carry(dialer, listener)
      release(listener, id, 4)
      if (i % 2 === 0) end(listener, id)
      else reset(listener, id, 0)
      carry(listener, dialer)
    }
    expect([dialer.size, listener.size]).toEqual([0, 0])
    expect([sent(dialer), sent(listener)]).toEqual([[], []])
    // And all 256 places of the backlog are free again.
    for (let i = 0; i < 256; i++) open(dialer)
    expect(sent(dialer)).toHaveLength(256)
  })
})

describe('sending', () => {
  it('stops at the window and goes on with credit', () => {
    const dialer = machine('dialer')
    const id = open(dialer)
    write(dialer, id, zeros(300 * KiB))
    expect(sent(dialer)).toEqual([
      `DATA SYN #1 ${YAMUX_MAX_FRAME}`,
      ...Array(3).fill(`DATA #1 ${YAMUX_MAX_FRAME}`),
      `DATA #1 ${256 * KiB - 4 * YAMUX_MAX_FRAME}`,
    ])
    expect(sent(dialer)).toEqual([])
    receive(dialer, update(id, 1_000, ACK))
    expect(sent(dialer)).toEqual(['DATA #1 1000'])
  })

  it('tells when the queue has room again after it had none', () => {
    const dialer = machine('dialer')
    const id = open(dialer)
    expect(dialer.credit(id)).toBe(YAMUX_SEND_QUEUE)
    write(dialer, id, zeros(200 * KiB))
    expect(dialer.credit(id)).toBe(56 * KiB)
    sent(dialer, 1)
    expect(events(dialer)).toEqual([])
    write(dialer, id, zeros(200 * KiB))
    expect(dialer.credit(id)).toBeLessThan(0)
    sent(dialer, 1)
    expect(events(dialer)).toEqual([])
    sent(dialer, 1)
    expect(events(dialer)).toEqual(['drain #1'])
    expect(dialer.credit(id)).toBeGreaterThan(0)
  })

  it('puts small writes into one frame and does not copy them', () => {
    const dialer = machine('dialer')
    const id = open(dialer)
    const [one, two] = [utf8('one'), utf8('two')]
    write(dialer, id, one)
    write(dialer, id, two)
    const chunks = dialer.pull(MUCH, 0) as Uint8Array[]
    expect(frames(chunks)).toEqual(['DATA SYN #1 6'])
    expect(chunks[1]).toBe(one)
    expect(chunks[2]).toBe(two)
  })

  it('lets streams take turns', () => {
    const dialer = machine('dialer')
    const [one, two, three] = [open(dialer), open(dialer), open(dialer)]
    write(dialer, one, zeros(200 * KiB))
    write(dialer, two, zeros(100 * KiB))
    write(dialer, three, zeros(10))
    const order = sent(dialer).map((line) => line.match(/#\d/)?.[0])
    expect(order).toEqual(['#1', '#3', '#5', '#1', '#3', '#1', '#1'])
  })

  it('goes on with the next turn in the next pull', () => {
    const dialer = machine('dialer')
    for (let i = 0; i < 3; i++) write(dialer, open(dialer), zeros(2 * YAMUX_MAX_FRAME))
    const order = Array.from({ length: 6 }, () => sent(dialer, 1).map((line) => line.match(/#\d/)?.[0])).flat()
    expect(order).toEqual(['#1', '#3', '#5', '#1', '#3', '#5'])
  })

  it('shares the wire evenly among streams that never stop', () => {
    const dialer = machine('dialer')
    const ids = Array.from({ length: 10 }, () => open(dialer))
    const bytes = new Map<string, number>()
    for (const id of ids) write(dialer, id, zeros(200 * KiB))
    sent(dialer)
    for (const id of ids) receive(dialer, update(id, 10_000_000, ACK))
    for (let round = 0; round < 100; round++) {
      for (const id of ids) if (dialer.credit(id) > 0) write(dialer, id, zeros(1 + 20_000 * (id % 7)))
      for (const line of sent(dialer, 64 * KiB)) {
        const [, id, size] = line.split(' ') as [string, string, string]
        bytes.set(id, (bytes.get(id) ?? 0) + Number(size))
      }
    }
    const shares = ids.filter((id) => id % 7 !== 0).map((id) => bytes.get(`#${id}`) ?? 0)
    expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(2 * YAMUX_MAX_FRAME)
  })

  it('answers a ping ahead of all data, and as often as it is asked', () => {
    const dialer = machine('dialer')
    write(dialer, open(dialer), zeros(200 * KiB))
    receive(dialer, ping(SYN, 7), ping(SYN, 0xffffffff))
    expect(sent(dialer, 1)).toEqual(['PING ACK 7', 'PING ACK 4294967295'])
  })
})

describe('receiving', () => {
  it('hands credit back in one update for half a window', () => {
    const listener = machine('listener')
    receive(listener, data(1, zeros(200 * KiB), SYN))
    expect(sent(listener)).toEqual(['UPDATE ACK #1 0'])
    release(listener, 1, 100 * KiB)
    expect(sent(listener)).toEqual([])
    release(listener, 1, 50 * KiB)
    release(listener, 1, 10 * KiB)
    expect(sent(listener)).toEqual([`UPDATE #1 ${150 * KiB}`])
  })

  it('sends no credit for a stream that the remote has ended', () => {
    const listener = machine('listener')
    receive(listener, data(1, zeros(200 * KiB), SYN | FIN))
    sent(listener)
    release(listener, 1, 200 * KiB)
    expect(sent(listener)).toEqual([])
  })

  it('bodies are views, unless a few bytes would keep a large buffer alive', () => {
    const listener = machine('listener')
    const bytes = concat([data(1, zeros(60_000), SYN), data(1, utf8('tiny'))])
    listener.handle({ t: 'bytes', bytes }, 0)
    const [, large, small] = [listener.poll(), listener.poll(), listener.poll()]
    if (large?.t !== 'data' || small?.t !== 'data') throw new Error('no data')
    expect(large.bytes.buffer).toBe(bytes.buffer)
    expect(small.bytes.buffer.byteLength).toBe(4)
  })

  it('all windows together grow to 64 MiB, and what closed streams had is free again', () => {
    const listener = new Yamux({ role: 'listener' })
    sent(listener)
    listener.handle({ t: 'bytes', bytes: ping(ACK, 1) }, 100)
    const body = zeros(256 * KiB)
    /** Eight streams, each read as fast as it comes; returns the sum of their windows. */
    const grow = (first: number): number => {
      const windows = new Map<string, number>()
      for (let round = 0; round < 200; round++) {
        for (let id = first; id < first + 16; id += 2) {
          listener.handle({ t: 'bytes', bytes: data(id, body, round === 0 ? SYN : 0) }, 200)
          release(listener, id, body.length, 200)
          const window = windows.get(`#${id}`) ?? 256 * KiB
          windows.set(`#${id}`, window - body.length)
        }
        for (const line of sent(listener)) {
          const [, id, delta] = line.replace(' ACK', '').split(' ') as [string, string, string]
          windows.set(id, (windows.get(id) as number) + Number(delta))
        }
        events(listener)
      }
      return [...windows.values()].reduce((sum, window) => sum + window)
    }
    for (const first of [1, 101, 201]) {
      const sum = grow(first)
      expect(sum).toBeLessThanOrEqual(YAMUX_MAX_WINDOWS)
      // Each may have used a little under half of its window since its last update.
      expect(sum).toBeGreaterThan(YAMUX_MAX_WINDOWS / 2)
      for (let id = first; id < first + 16; id += 2) reset(listener, id, 0)
      sent(listener)
    }
  })

  it('windows grow while the round trip, and not the reader, limits the stream', () => {
    const [dialer, listener] = [machine('dialer'), new Yamux({ role: 'listener' })]
    const id = open(dialer)
    write(dialer, id, zeros(1))
    carry(dialer, listener, 0)
    carry(listener, dialer, 0)
    carry(dialer, listener, 50)
    expect(listener.rtt).toBe(50)
    let sizes: number[] = []
    for (let now = 50; now < 2_000; now += 50) {
      while (dialer.credit(id) > 0) write(dialer, id, zeros(256 * KiB))
      let arrived = 0
      for (let chunks = dialer.pull(MUCH, now); chunks !== undefined; chunks = dialer.pull(MUCH, now)) {
        listener.handle({ t: 'bytes', bytes: concat(chunks) }, now)
        while (dialer.credit(id) > 0) write(dialer, id, zeros(256 * KiB))
      }
      for (let event = listener.poll(); event !== undefined; event = listener.poll()) {
        if (event.t !== 'data') continue
        arrived += event.bytes.length
        release(listener, id, event.bytes.length, now)
      }
      sizes = [...sizes, arrived]
      carry(listener, dialer, now)
    }
    expect(sizes[0]).toBeLessThanOrEqual(256 * KiB)
    expect(Math.max(...sizes)).toBeGreaterThan(YAMUX_MAX_WINDOW / 2)
    expect(Math.max(...sizes)).toBeLessThanOrEqual(YAMUX_MAX_WINDOW)
  })
})

describe('quirks of other implementations', () => {
  it('go puts a code into the length of a RST: it is shown, never credited', () => {
    const dialer = machine('dialer')
    const id = open(dialer)
    sent(dialer)
    receive(dialer, update(id, 0x1002, RST))
    const event = dialer.poll()
    expect(event).toMatchObject({ t: 'closed', id, fault: { code: 'ERR_STREAM_RESET', remote: true } })
    expect(event?.t === 'closed' && event.fault?.message).toContain('code 0x1002, resource limit')
  })

  it('rust resets and ends with empty data frames', () => {
    const dialer = machine('dialer')
    const [one, two] = [open(dialer), open(dialer)]
    sent(dialer)
    receive(dialer, data(one, zeros(0), ACK | FIN), data(two, zeros(0), RST))
    expect(events(dialer)).toEqual(['end #1', 'closed #3 ERR_STREAM_RESET'])
  })

  it('a RST with a body: the body is dropped', () => {
    const listener = machine('listener')
    receive(listener, update(1, 0, SYN), data(1, utf8('gone'), RST), data(3, utf8('ok'), SYN))
    expect(events(listener)).toEqual(['stream #1', 'closed #1 ERR_STREAM_RESET', 'stream #3', 'data #3 2'])
  })

  it('frames of streams that are over are dropped with their bodies, in silence', () => {
    const listener = machine('listener')
    receive(listener, update(1, 0, SYN))
    reset(listener, 1, 0)
    expect(sent(listener)).toEqual(['UPDATE RST #1 0'])
    receive(
      listener,
      data(1, zeros(300_000)),
      update(1, 5),
      update(1, 0, FIN),
      data(99, utf8('who?')),
      update(2, 0, ACK),
      update(1, 0, RST),
    )
    expect(events(listener).slice(1)).toEqual([])
    expect(sent(listener)).toEqual([])
    receive(listener, data(3, utf8('ok'), SYN))
    expect(events(listener)).toEqual(['stream #3', 'data #3 2'])
  })

  it('a body on its way when its stream is reset is dropped', () => {
    const listener = machine('listener')
    const bytes = concat([data(1, utf8('half this'), SYN), ping(SYN, 1)])
    receive(listener, bytes.subarray(0, 16))
    expect(events(listener)).toEqual(['stream #1', 'data #1 4'])
    reset(listener, 1, 0)
    receive(listener, bytes.subarray(16))
    expect(events(listener)).toEqual([])
    expect(sent(listener)).toEqual(['UPDATE RST #1 0', 'PING ACK 1'])
  })

  it('answers to pings that were not sent are ignored', () => {
    const dialer = machine('dialer')
    receive(dialer, ping(ACK, 1), ping(0, 1))
    expect(events(dialer)).toEqual([])
    dialer.handle({ t: 'ping' }, 0)
    expect(sent(dialer, MUCH, 100)).toEqual(['PING SYN 1'])
    receive(dialer, ping(ACK, 2))
    expect(events(dialer)).toEqual([])
    dialer.handle({ t: 'bytes', bytes: ping(ACK, 1) }, 130)
    expect(events(dialer)).toEqual(['pong 30'])
  })

  it('go may open out of order', () => {
    const listener = machine('listener')
    receive(listener, update(5, 0, SYN), update(1, 0, SYN), update(3, 0, SYN))
    expect(events(listener)).toEqual(['stream #5', 'stream #1', 'stream #3'])
  })

  it('a frame for a stream whose SYN we have not sent is not about ours', () => {
    const dialer = machine('dialer')
    const id = open(dialer)
    receive(dialer, data(id, utf8('early'), ACK), update(id, 0, RST))
    expect(events(dialer)).toEqual([])
    expect(sent(dialer)).toEqual(['UPDATE SYN #1 0'])
  })
})

describe('go-away', () => {
  it('normal goes out behind all that is queued, and nothing after it', () => {
    const dialer = machine('dialer')
    const id = open(dialer)
    write(dialer, id, zeros(300 * KiB))
    dialer.handle({ t: 'goAway', code: 0 }, 0)
    expect(dialer.open()).toMatchObject({ code: 'ERR_CONNECTION_CLOSED' })
    expect(sent(dialer)).toHaveLength(5)
    expect(dialer.gone).toBe(false)
    receive(dialer, update(id, 100 * KiB, ACK), update(2, 0, SYN))
    expect(sent(dialer)).toEqual(['UPDATE RST #2 4103', `DATA #1 ${44 * KiB}`, 'GO_AWAY 0'])
    expect(dialer.gone).toBe(true)
    receive(dialer, ping(SYN, 1))
    expect(sent(dialer)).toEqual([])
  })

  it('another code goes out at once', () => {
    const dialer = machine('dialer')
    write(dialer, open(dialer), utf8('dropped'))
    dialer.handle({ t: 'goAway', code: 2 }, 0)
    expect(sent(dialer)).toEqual(['GO_AWAY 2'])
    expect([dialer.size, dialer.gone]).toEqual([0, true])
  })

  it('of the remote: told with any code; streams go on, new ones fail', () => {
    const dialer = machine('dialer')
    const id = open(dialer)
    sent(dialer)
    const unheard = open(dialer)
    receive(dialer, goAway(0), data(id, utf8('still'), ACK), goAway(0x1005))
    expect(events(dialer)).toEqual(['goAway 0', `closed #${unheard} ERR_CONNECTION_CLOSED`, 'data #1 5', 'goAway 4101'])
    expect(dialer.open()).toMatchObject({ code: 'ERR_CONNECTION_CLOSED' })
  })
})

describe('keep-alive', () => {
  it('pings at once and every 30 s; silence ends the connection', () => {
    const dialer = new Yamux({ role: 'dialer' })
    expect(sent(dialer, MUCH, 1_000)).toEqual(['PING SYN 1'])
    dialer.handle({ t: 'bytes', bytes: ping(ACK, 1) }, 1_020)
    expect(events(dialer)).toEqual(['pong 20'])
    expect(dialer.deadline).toBe(31_000)
    dialer.handle({ t: 'wake' }, 31_000)
    expect(sent(dialer, MUCH, 31_000)).toEqual(['PING SYN 2'])
    dialer.handle({ t: 'wake' }, 61_000)
    expect(events(dialer)).toEqual(['fault ERR_TIMEOUT'])
    expect([sent(dialer), dialer.deadline, dialer.gone]).toEqual([[], undefined, true])
  })
})

describe('inputs that make no sense', () => {
  it('do nothing', () => {
    const dialer = machine('dialer')
    for (const id of [0, 1, 2, 77]) {
      write(dialer, id, utf8('x'))
      end(dialer, id)
      reset(dialer, id, 0)
      release(dialer, id, 10)
      expect(dialer.credit(id)).toBe(0)
    }
    receive(dialer)
    dialer.handle({ t: 'wake' }, 1e9)
    expect([sent(dialer), events(dialer)]).toEqual([[], []])
  })
})
