import { describe, expect, it } from 'vitest'
import { TabmeshError } from '../../../errors.ts'
import {
  RTC_CAUTIOUS_MESSAGE,
  RTC_CREDIT,
  RTC_FIN_ACK_TIMEOUT,
  RTC_MAX_GRANTS,
  RTC_MAX_MESSAGE,
  RTC_MAX_UNREAD,
  RTC_RECEIVE_BUFFER,
  RTC_SEND_BUFFER,
  RTC_UNGRANTED,
} from '../../limits.ts'
import { prng } from '../../testing/prng.ts'
import { type Budget, NodeBudget } from './flow.ts'
import { controlFrame, dataFrame, FIN, FIN_ACK, type Flag, FrameReader, Outbox, STOP_SENDING } from './framing.ts'
import { RtcStream, type StreamInput } from './stream.ts'

const utf8 = (text: string) => Uint8Array.from(Buffer.from(text))
const flagNames = ['FIN', 'STOP_SENDING', 'RESET', 'FIN_ACK']
const fault = new TabmeshError('ERR_STREAM_CLOSED', 'enough')

const framed = (bytes: Uint8Array, credit?: number) => {
  const outbox = new Outbox()
  outbox.put(bytes)
  return dataFrame(outbox, bytes.length, credit)
}

/** A machine with its other side played by hand; what it sends and says is told as text. */
const makeBudget = (granted = 0, node = new NodeBudget()): Budget => ({ unread: 0, granted, node, shed: () => {} })

const played = (
  habits = { finAckTimeout: RTC_FIN_ACK_TIMEOUT, finAck: true, maxMessage: RTC_MAX_MESSAGE },
  budget: Budget = makeBudget(),
) => {
  const machine = new RtcStream(budget, habits)
  let now = 0
  const side = {
    machine,
    budget,
    habits,
    do: (input: StreamInput) => machine.handle(input, now),
    write: (text: string | Uint8Array) => machine.handle({ t: 'write', bytes: typeof text === 'string' ? utf8(text) : text }, now),
    /** The remote sends a message. */
    gets: (text: string | Uint8Array, credit?: number) =>
      machine.handle({ t: 'message', bytes: framed(typeof text === 'string' ? utf8(text) : text, credit) }, now),
    getsFlag: (flag: Flag | undefined, credit?: number) => machine.handle({ t: 'message', bytes: controlFrame(flag, credit) }, now),
    at: (time: number) => {
      now = time
      machine.handle({ t: 'time' }, now)
    },
    /** Everything that it sends now: 'hello', 'FIN', '…5000' for long ones, with '+credit' where there is some. */
    sends: (room = RTC_SEND_BUFFER): string[] => {
      const sent: string[] = []
      for (let message = machine.transmit(room, now); message !== undefined; message = machine.transmit(room, now)) {
        expect(message.length).toBeLessThanOrEqual(RTC_MAX_MESSAGE)
        room -= message.length
        const reader = new FrameReader()
        reader.push(message)
        const frame = reader.next()
        if (frame === undefined || frame instanceof TabmeshError) throw new Error('not one whole frame')
        expect(reader.next()).toBeUndefined()
        const data =
          frame.message === undefined ? '' : frame.message.length > 20 ? `…${frame.message.length}` : Buffer.from(frame.message).toString()
        sent.push(`${frame.flag === undefined ? '' : flagNames[frame.flag]}${data}${frame.credit === undefined ? '' : `+${frame.credit}`}`)
      }
      return sent
    },
    says: (): string[] => {
      const said: string[] = []
      for (let output = machine.poll(); output !== undefined; output = machine.poll()) {
        if (output.t === 'data') said.push(output.bytes.length > 20 ? `…${output.bytes.length}` : Buffer.from(output.bytes).toString())
        else if (output.t === 'close') said.push(`close ${output.fault?.code ?? 'in order'}`)
        else said.push(output.t)
      }
      return said
    },
  }
  return side
}

describe('closing a WebRTC stream', () => {
  it('by us first: FIN, FIN_ACK, then the remote', () => {
    const s = played()
    s.write('ask')
    s.do({ t: 'end' })
    expect(s.sends()).toEqual([`ask+${RTC_CREDIT}`, 'FIN'])
    s.getsFlag(FIN_ACK)
    s.gets('answer')
    expect(s.says()).toEqual(['answer'])
    s.getsFlag(FIN)
    // Told of the close at once; FIN_ACK goes out before the channel closes.
    expect(s.says()).toEqual(['end', 'close in order', 'hangUp'])
    expect(s.sends()).toEqual(['FIN_ACK'])
    expect(s.machine.deadline).toBeUndefined()
  })

  it('by the remote first', () => {
    const s = played()
    s.gets('ask')
    s.getsFlag(FIN)
    expect(s.says()).toEqual(['ask', 'end'])
    expect(s.sends()).toEqual([`FIN_ACK+${RTC_CREDIT}`])
    s.write('answer')
    s.do({ t: 'end' })
    expect(s.sends()).toEqual(['answer', 'FIN'])
    expect(s.says()).toEqual(['close in order'])
    expect(s.machine.lingering).toBe(true)
    s.getsFlag(FIN_ACK)
    expect(s.says()).toEqual(['hangUp'])
  })

  it('by both at once', () => {
    const s = played()
    s.do({ t: 'end' })
    expect(s.sends()).toEqual([`FIN+${RTC_CREDIT}`])
    s.getsFlag(FIN)
    expect(s.sends()).toEqual(['FIN_ACK'])
    expect(s.says()).toEqual(['end', 'close in order'])
    s.getsFlag(FIN_ACK)
    expect(s.says()).toEqual(['hangUp'])
  })

  it('is over for the application only when FIN is behind all that it wrote', () => {
    const s = played()
    s.getsFlag(FIN)
    s.write(new Uint8Array(40_000))
    s.do({ t: 'end' })
    expect(s.sends(20_000)).toEqual([`FIN_ACK+${RTC_CREDIT}`, '…16379', '…16379'])
    expect(s.says()).toEqual(['end'])
    expect(s.sends()).toEqual(['…7242', 'FIN'])
    expect(s.says()).toEqual(['close in order'])
  })

  it('does not wait for FIN_ACK for ever', () => {
    const s = played({ finAckTimeout: 700, finAck: true, maxMessage: RTC_MAX_MESSAGE })
    s.at(1_000)
    s.do({ t: 'end' })
    s.sends()
    s.getsFlag(FIN)
    expect(s.says()).toEqual(['end', 'close in order'])
    expect(s.machine.deadline).toBe(1_700)
    s.at(1_699)
    expect(s.says()).toEqual([])
    s.at(1_700)
    expect(s.says()).toEqual(['hangUp'])
  })

  it('goes on reading when only the FIN_ACK is missing', () => {
    const s = played()
    s.do({ t: 'end' })
    s.sends()
    s.at(RTC_FIN_ACK_TIMEOUT)
    expect(s.says()).toEqual([])
    s.gets('late')
    s.getsFlag(FIN)
    expect(s.says()).toEqual(['late', 'end', 'close in order', 'hangUp'])
    expect(s.sends()).toEqual(['FIN_ACK'])
  })

  it('ignores data after FIN, a second FIN, a FIN_ACK for nothing and unknown flags', () => {
    const s = played()
    s.getsFlag(FIN_ACK)
    s.getsFlag(7 as Flag)
    s.getsFlag(FIN)
    s.sends()
    s.gets('too late')
    s.getsFlag(FIN)
    expect(s.says()).toEqual(['end'])
    expect(s.sends()).toEqual([])
    expect(s.machine.unread).toBe(0)
    s.write('still writing')
    expect(s.sends()).toEqual(['still writing'])
  })

  it('takes a message and FIN in one frame (go writes none, but reads it so)', () => {
    const s = played()
    s.do({ t: 'message', bytes: Uint8Array.of(6, 0x12, 2, 0x68, 0x69, 0x08, 0x00) })
    expect(s.says()).toEqual(['hi', 'end'])
  })

  it('writes nothing behind its end', () => {
    const s = played()
    s.write('all')
    s.do({ t: 'end' })
    s.do({ t: 'end' })
    s.write('more')
    expect(s.sends()).toEqual([`all+${RTC_CREDIT}`, 'FIN'])
  })
})

describe('STOP_SENDING', () => {
  it('drops what is queued, answers FIN and leaves reading alone', () => {
    const s = played()
    s.write('unwanted')
    s.getsFlag(STOP_SENDING)
    expect(s.sends()).toEqual([`FIN+${RTC_CREDIT}`])
    s.write('more')
    expect(s.sends()).toEqual([])
    s.getsFlag(STOP_SENDING)
    expect(s.sends()).toEqual([])
    // A writer is not left waiting.
    expect(s.machine.credit(0)).toBe(RTC_SEND_BUFFER)
    s.gets('read on')
    s.getsFlag(FIN)
    expect(s.says()).toEqual(['read on', 'end', 'close in order', 'hangUp'])
    expect(s.sends()).toEqual(['FIN_ACK'])
  })

  // go CloseWrite and CloseRead: FIN, then STOP_SENDING, and no FIN_ACK need follow.
  it("behind FIN closes the stream: go's Close()", () => {
    const s = played()
    s.write('x')
    s.do({ t: 'end' })
    s.sends()
    s.getsFlag(FIN)
    s.getsFlag(STOP_SENDING)
    expect(s.says()).toEqual(['end', 'close in order', 'hangUp'])
    expect(s.sends()).toEqual(['FIN_ACK'])
  })

  it('before we have ended, and FIN: both halves are done', () => {
    const s = played()
    s.getsFlag(STOP_SENDING)
    s.getsFlag(FIN)
    expect(s.says()).toEqual(['end', 'close in order', 'hangUp'])
    // The first frame has credit, and there is nothing left to grant.
    expect(s.sends()).toEqual(['FIN_ACK+0', 'FIN'])
  })
})

describe('a WebRTC stream is over at once', () => {
  it('by abort: RESET, and the queue is dropped', () => {
    const s = played()
    s.write('never sent')
    s.do({ t: 'abort', fault })
    expect(s.says()).toEqual(['close ERR_STREAM_CLOSED', 'hangUp'])
    expect(s.sends()).toEqual(['RESET'])
    s.do({ t: 'abort', fault })
    s.gets('ignored')
    s.getsFlag(FIN)
    expect(s.says()).toEqual([])
    expect(s.sends()).toEqual([])
  })

  it("by the remote's RESET, with go's code", () => {
    const s = played()
    s.gets('some')
    s.do({ t: 'message', bytes: Uint8Array.of(5, 0x08, 2, 0x18, 0x82, 0x20) })
    expect(s.machine.poll()).toMatchObject({ t: 'data' })
    expect(s.machine.poll()).toMatchObject({
      t: 'close',
      fault: { code: 'ERR_STREAM_RESET', remote: true, message: expect.stringContaining('with code 0x1002') },
    })
    expect(s.says()).toEqual(['hangUp'])
    expect(s.sends()).toEqual([])
  })

  it('by a channel that goes without FIN', () => {
    const s = played()
    s.gets('some')
    s.do({ t: 'gone' })
    expect(s.says()).toEqual(['some', 'close ERR_STREAM_RESET', 'hangUp'])
    expect(s.sends()).toEqual([])
  })

  it('by a channel that goes between FIN and our end, but not after both', () => {
    const early = played()
    early.getsFlag(FIN)
    early.do({ t: 'gone' })
    expect(early.says()).toEqual(['end', 'close ERR_STREAM_RESET', 'hangUp'])
    const late = played()
    late.getsFlag(FIN)
    late.do({ t: 'end' })
    late.sends()
    late.do({ t: 'gone' })
    expect(late.says()).toEqual(['end', 'close in order', 'hangUp'])
  })

  it('by a malformed frame, after the good ones before it', () => {
    const s = played()
    s.do({ t: 'message', bytes: Uint8Array.of(5, 0x12, 3, 0x61, 0x62, 0x63, 3, 0x12, 9, 0) })
    expect(s.says()).toEqual(['abc', 'close ERR_DECODE', 'hangUp'])
    expect(s.sends()).toEqual(['RESET'])
  })

  it('by a retiring connection, unless our end waits for its FIN_ACK', () => {
    const open = played()
    open.write('x')
    open.do({ t: 'retire', fault })
    expect(open.says()).toEqual(['close ERR_STREAM_CLOSED', 'hangUp'])
    expect(open.sends()).toEqual(['RESET'])
    const ended = played()
    ended.write('x')
    ended.do({ t: 'end' })
    ended.sends()
    ended.do({ t: 'retire', fault })
    expect(ended.says()).toEqual(['close ERR_STREAM_CLOSED'])
    ended.gets('dropped')
    ended.getsFlag(FIN_ACK)
    expect(ended.says()).toEqual(['hangUp'])
  })
})

describe('rust-libp2p', () => {
  it('is never sent FIN_ACK, and waited for briefly', () => {
    const s = played({ finAckTimeout: 500, finAck: false, maxMessage: RTC_MAX_MESSAGE })
    s.gets('hello')
    s.getsFlag(FIN)
    s.write('answer')
    s.do({ t: 'end' })
    // FIN in a frame of its own, and no frame without message before it.
    expect(s.sends()).toEqual([`answer+${RTC_CREDIT}`, 'FIN'])
    expect(s.says()).toEqual(['hello', 'end', 'close in order'])
    s.at(500)
    expect(s.says()).toEqual(['hangUp'])
  })
})

describe('credit', () => {
  it('rides on the first frame, whatever it is, and only there towards a remote without it', () => {
    const s = played()
    expect(s.sends()).toEqual([])
    s.write('one')
    expect(s.sends()).toEqual([`one+${RTC_CREDIT}`])
    for (let i = 0; i < 100; i++) {
      s.gets(new Uint8Array(16_000))
      s.do({ t: 'release', bytes: 16_000 })
      s.write('more')
      expect(s.sends()).toEqual(['more'])
    }
  })

  it('is answered by itself when nothing else is there to carry it', () => {
    const s = played()
    s.gets('hi', 1_000_000)
    expect(s.sends()).toEqual([`+${RTC_CREDIT}`])
    expect(s.sends()).toEqual([])
  })

  it('is returned a quarter grant at a time', () => {
    const s = played()
    s.gets('x', RTC_CREDIT)
    s.sends()
    s.do({ t: 'release', bytes: 1 })
    const quarter = RTC_CREDIT / 4
    for (let got = 1; got < quarter - 16_000; got += 16_000) {
      s.gets(new Uint8Array(16_000))
      s.do({ t: 'release', bytes: 16_000 })
      expect(s.sends()).toEqual([])
    }
    s.gets(new Uint8Array(16_000))
    s.do({ t: 'release', bytes: 16_000 })
    expect(s.sends()).toEqual(['+144001'])
  })

  it('holds the sender: ungranted, granted, and more', () => {
    const s = played()
    s.write(new Uint8Array(3 * 1024 * 1024))
    const bytes = (sent: string[]) => sent.map((each) => Number.parseInt(each.slice(1), 10)).reduce((a, b) => a + b, 0)
    expect(bytes(s.sends(1e9))).toBe(RTC_UNGRANTED)
    expect(s.machine.credit(1e9)).toBeLessThan(0)
    s.getsFlag(undefined, 600_000)
    // Its own grant has gone out, so nothing is sent but data: the grant counts from the first byte.
    expect(bytes(s.sends(1e9))).toBe(600_000 - RTC_UNGRANTED)
    s.getsFlag(undefined, 5)
    expect(s.sends(1e9)).toEqual(['\0\0\0\0\0'])
    s.getsFlag(undefined)
    s.getsFlag(undefined, 0)
    expect(s.sends(1e9)).toEqual([])
    s.getsFlag(undefined, 0xffff_ffff)
    expect(bytes(s.sends(1e9))).toBe(3 * 1024 * 1024 - 600_000 - 5)
    expect(s.machine.credit(1_000)).toBe(1_000)
  })

  it('a first grant below what was sent ungranted is paid off first', () => {
    const s = played()
    s.write(new Uint8Array(RTC_UNGRANTED + 100))
    s.sends(1e9)
    s.getsFlag(undefined, 10)
    expect(s.sends(1e9)).toEqual([])
    s.getsFlag(undefined, RTC_UNGRANTED)
    expect(s.sends(1e9)).toEqual(['\0'.repeat(10)])
  })

  it('without it in the first frame, only the channel holds the sender, and later credit means nothing', () => {
    const s = played()
    s.gets('old peer')
    s.write(new Uint8Array(2_000_000))
    expect(s.machine.credit(3_000_000)).toBe(1_000_000)
    const sent = s.sends(1e9)
    expect(sent).toHaveLength(Math.ceil((2_000_000 + 6) / 16_379))
    s.getsFlag(undefined, 10)
    expect(s.machine.credit(1_000)).toBe(1_000)
  })

  it('that is overdrawn ends the stream', () => {
    const s = played()
    s.gets('x', RTC_CREDIT)
    s.sends()
    for (let sent = 1; sent <= RTC_CREDIT - 16_000; sent += 16_000) s.gets(new Uint8Array(16_000))
    expect(s.says().at(-1)).toBe('…16000')
    s.gets(new Uint8Array(16_000))
    expect(s.says()).toEqual(['close ERR_MUXER', 'hangUp'])
    expect(s.sends()).toEqual(['RESET'])
    expect(s.budget).toMatchObject({ unread: 0, granted: 0, node: { unread: 0 } })
  })

  it('without it, a sender that outruns the reader is reset', () => {
    const s = played()
    for (let sent = 0; sent + 16_000 <= RTC_RECEIVE_BUFFER; sent += 16_000) s.gets(new Uint8Array(16_000))
    expect(s.says().at(-1)).toBe('…16000')
    s.gets(new Uint8Array(16_000))
    expect(s.says()).toEqual(['close ERR_STREAM_OVERFLOW', 'hangUp'])
    expect(s.sends()).toEqual(['RESET'])
  })

  it('the streams of a connection together have a bound too', () => {
    const budget: Budget = makeBudget()
    const streams = Array.from({ length: 40 }, () => played(undefined, budget))
    let overflows = 0
    for (const s of streams) {
      for (let i = 0; i < 255; i++) s.gets(new Uint8Array(16_000))
      if (s.says().includes('close ERR_STREAM_OVERFLOW')) overflows++
      expect(budget.unread).toBeLessThanOrEqual(RTC_MAX_UNREAD)
    }
    expect(overflows).toBeGreaterThan(0)
    for (const s of streams) s.do({ t: 'abort', fault })
    expect(budget).toMatchObject({ unread: 0, granted: 0, node: { unread: 0 } })
  })

  it('is granted in full only while the connection can afford it', () => {
    const budget = makeBudget(RTC_MAX_GRANTS - RTC_CREDIT)
    const streams = [played(undefined, budget), played(undefined, budget)]
    const grants = streams.map((s) => {
      s.write('x')
      return s.sends()
    })
    expect(grants).toEqual([[`x+${RTC_CREDIT}`], [`x+${RTC_UNGRANTED}`]])
  })
})

describe('two machines', () => {
  it('deliver what was written and close in order, whatever the timing', () => {
    for (let seed = 1; seed <= 150; seed++) {
      const random = prng(seed)
      const sides = [0, 1].map(() => ({
        machine: new RtcStream(makeBudget(), { finAckTimeout: 1e9, finAck: true, maxMessage: RTC_MAX_MESSAGE }),
        wire: [] as Uint8Array[],
        wrote: 0,
        got: 0,
        total: random.below(4) ? random.below(2_000_000) : random.below(10),
        unread: 0,
        ended: false,
        said: [] as string[],
      }))
      const label = `seed ${seed}`
      for (let step = 0; step < 200_000; step++) {
        const turn = random.below(2)
        const me = sides[turn] as (typeof sides)[0]
        const other = sides[1 - turn] as (typeof sides)[0]
        const kind = random.below(4)
        if (kind === 0 && me.machine.credit(RTC_SEND_BUFFER) > 0) {
          const bytes = new Uint8Array(Math.min(me.total - me.wrote, random.below(60_000)))
          for (let i = 0; i < bytes.length; i += 997) bytes[i] = (me.wrote + i) & 0xff
          me.wrote += bytes.length
          me.machine.handle({ t: 'write', bytes }, step)
          if (me.wrote === me.total && !me.ended) {
            me.ended = true
            me.machine.handle({ t: 'end' }, step)
          }
        } else if (kind === 1) {
          for (let message = me.machine.transmit(random.below(200_000), step); message !== undefined; ) {
            me.wire.push(message)
            message = random.below(10) ? me.machine.transmit(random.below(200_000), step) : undefined
          }
        } else if (kind === 2) {
          const message = other.wire.shift()
          if (message !== undefined) me.machine.handle({ t: 'message', bytes: message }, step)
        } else if (me.unread > 0) {
          const bytes = Math.min(me.unread, 1 + random.below(300_000))
          me.unread -= bytes
          me.machine.handle({ t: 'release', bytes }, step)
        }
        for (let output = me.machine.poll(); output !== undefined; output = me.machine.poll()) {
          if (output.t === 'data') {
            me.got += output.bytes.length
            me.unread += output.bytes.length
            if (me.unread > RTC_CREDIT) throw new Error(`${label}: ${me.unread} unread`)
          } else me.said.push(output.t === 'close' ? `close ${output.fault?.code ?? 'in order'}` : output.t)
        }
        if (sides.every(({ said }) => said.includes('hangUp'))) break
      }
      for (const [i, side] of sides.entries()) {
        expect(side.said, label).toEqual(['end', 'close in order', 'hangUp'])
        expect(side.got, label).toBe(sides[1 - i]?.total)
      }
    }
  })

  it('survive any order of flags, credit and calls', () => {
    for (let seed = 1; seed <= 3_000; seed++) {
      const random = prng(seed)
      const budget: Budget = makeBudget()
      const s = played(
        { finAckTimeout: 10, finAck: random.below(2) === 0, maxMessage: random.below(2) ? RTC_MAX_MESSAGE : RTC_CAUTIOUS_MESSAGE },
        budget,
      )
      const said: string[] = []
      for (let step = 0; step < 40; step++) {
        const kind = random.below(9)
        if (kind === 0) s.write(random.bytes(random.below(40_000)))
        else if (kind === 1) s.do({ t: 'end' })
        else if (kind === 2) s.do({ t: 'release', bytes: random.below(10_000) })
        else if (kind === 3 && random.below(10) === 0) s.do({ t: random.below(2) ? 'abort' : 'retire', fault })
        else if (kind === 4 && random.below(10) === 0) s.do({ t: 'gone' })
        else if (kind === 5) s.at(step)
        else if (kind === 6) s.sends(random.below(50_000))
        else if (kind === 7) s.gets(random.bytes(1 + random.below(5_000)), random.below(2) ? random.below(1e6) : undefined)
        else s.getsFlag(random.below(6) ? undefined : (random.below(5) as Flag), random.below(2) ? random.below(1e6) : undefined)
        said.push(...s.says())
      }
      s.sends()
      s.do({ t: 'gone' })
      said.push(...s.says())
      expect(said.filter((each) => each.startsWith('close')).length, `seed ${seed}`).toBe(1)
      expect(said.filter((each) => each === 'hangUp').length, `seed ${seed}`).toBe(1)
      expect(said.at(-1), `seed ${seed}`).toBe('hangUp')
      expect(said.filter((each) => each === 'end').length, `seed ${seed}`).toBeLessThanOrEqual(1)
      // In order: what is unread waits for its reader, who may give it up. With a fault it is gone.
      if (said.some((each) => each.startsWith('close ERR_'))) expect(budget.unread, `seed ${seed}`).toBe(0)
      s.do({ t: 'abort', fault })
      expect(s.says(), `seed ${seed}`).toEqual([])
      expect(budget, `seed ${seed}`).toMatchObject({ unread: 0, granted: 0, node: { unread: 0 } })
      expect(s.machine.deadline, `seed ${seed}`).toBeUndefined()
    }
  })
})
