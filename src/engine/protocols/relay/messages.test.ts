import { describe, expect, it } from 'vitest'
import { readVarint } from '../../codec/varint.ts'
import { Play } from '../../testing/play.ts'
import { decodes, mutate, property } from '../../testing/property.ts'
import {
  HopMessage,
  HopType,
  hopStatus,
  nameStatus,
  readLimit,
  readMessage,
  readRequest,
  Status,
  StopMessage,
  StopType,
  stopStatus,
  writeLimit,
} from './messages.ts'

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const unhex = (text: string) => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'))

describe('relay messages on the wire', () => {
  // Written out by hand from circuit-v2.md §Protobuf; go and rust read `type` as required, so its 0 has to be there.
  it('RESERVE is a type of 0 that is written', () => {
    expect(hex(HopMessage.frame({ type: HopType.RESERVE }))).toBe('020800')
  })

  it('CONNECT names the target', () => {
    expect(hex(HopMessage.frame({ type: HopType.CONNECT, peer: { id: unhex('0102') } }))).toBe(hex(unhex('08 0801 12 04 0a02 0102')))
  })

  it('STOP CONNECT writes its 0 too, and the limit in seconds and bytes', () => {
    const limit = writeLimit({ duration: 120_000, data: 131_072 })
    expect(hex(StopMessage.frame({ type: StopType.CONNECT, peer: { id: unhex('0102') }, limit }))).toBe(
      hex(unhex('10 0800 12 04 0a02 0102 1a 06 0878 10808008')),
    )
  })

  it('statuses', () => {
    expect(hex(hopStatus(Status.OK))).toBe('0408022864')
    expect(hex(hopStatus(Status.NO_RESERVATION))).toBe('05080228cc01')
    expect(hex(stopStatus(Status.PERMISSION_DENIED))).toBe('05080120ca01')
    expect(nameStatus(Status.RESOURCE_LIMIT_EXCEEDED)).toBe('201 RESOURCE_LIMIT_EXCEEDED')
    expect(nameStatus(999)).toBe('999 unknown to us')
    expect(nameStatus(undefined)).toBe('no status')
  })

  it('a reservation survives the trip', () => {
    const reservation = { expire: 1_767_229_200n, addrs: [unhex('060fa1'), unhex('')], voucher: unhex('aabb') }
    const decoded = HopMessage.decode(
      HopMessage.encode({ type: HopType.STATUS, reservation, limit: { data: 2n ** 64n - 1n }, status: Status.OK }),
    )
    expect(decoded.reservation).toEqual(reservation)
    expect(decoded.limit?.data).toBe(2n ** 64n - 1n)
  })
})

describe('limits', () => {
  it('are seconds on the wire and milliseconds here', () => {
    expect(readLimit({ duration: 120, data: 131_072n })).toEqual({ duration: 120_000, data: 131_072 })
    expect(writeLimit({ duration: 120_000 })).toEqual({ duration: 120 })
    expect(writeLimit({ data: 5 })).toEqual({ data: 5n })
  })

  it('of js come in milliseconds: 120000 is two minutes, not a day and a half', () => {
    expect(readLimit({ duration: 120_000, data: 131_072n })).toEqual({ duration: 120_000, data: 131_072 })
    expect(readLimit({ duration: 86_399, data: 0n })).toEqual({ duration: 86_399_000 })
    expect(readLimit({ duration: 86_400, data: 0n })).toEqual({ duration: 86_400 })
  })

  it('of 0 are none', () => {
    expect(readLimit(undefined)).toBeUndefined()
    expect(readLimit({ duration: 0, data: 0n })).toBeUndefined()
    expect(readLimit({ duration: undefined, data: undefined })).toBeUndefined()
    expect(writeLimit(undefined)).toBeUndefined()
    expect(writeLimit({})).toBeUndefined()
  })

  it('never read as none because they are small, nor as wrong because they are large', () => {
    expect(writeLimit({ duration: 300 })).toEqual({ duration: 1 })
    expect(readLimit({ duration: 0, data: 2n ** 64n - 1n })).toEqual({ data: Number.MAX_SAFE_INTEGER })
  })
})

describe('hostile frames', () => {
  const whole = HopMessage.frame({
    type: HopType.STATUS,
    reservation: { expire: 9n, addrs: [unhex('060fa1')], voucher: unhex('aabb') },
    limit: { duration: 1, data: 2n },
    status: 100,
  })

  it('cut at every byte and ended: a coded fault, and nothing is read beyond the frame', () => {
    for (let cut = 0; cut < whole.length; cut++) {
      const play = new Play(readMessage(HopMessage)).send(whole.subarray(0, cut)).end()
      expect(play.fault?.code, `cut at ${cut}`).toBe('ERR_STREAM_CLOSED')
    }
    const play = new Play(readMessage(HopMessage)).send(whole).send(unhex('ffff'))
    expect(play.value?.status).toBe(Status.OK)
    expect(hex(play.rest)).toBe('ffff')
  })

  it('a length over 4096 is refused before its body', () => {
    expect(new Play(readMessage(HopMessage)).send(unhex('8120')).fault?.code).toBe('ERR_FRAME_TOO_LARGE')
    expect(new Play(readMessage(HopMessage)).send(unhex('8020')).over).toBe(false)
    expect(new Play(readMessage(HopMessage)).send(unhex('ffffffffffffffffff01')).fault?.code).toBe('ERR_DECODE')
  })

  it('what is no message can be told from a stream that ended', () => {
    expect(new Play(readRequest(HopMessage)).send(unhex('02ffff'))).toMatchObject({ over: true, value: undefined, fault: undefined })
    expect(new Play(readRequest(HopMessage)).send(unhex('8120'))).toMatchObject({ over: true, value: undefined, fault: undefined })
    expect(new Play(readRequest(HopMessage)).end().fault?.code).toBe('ERR_STREAM_CLOSED')
  })

  it('noise and near misses: decoded or refused with a code', () => {
    const body = whole.subarray(readVarint(whole)?.next)
    property(2_000, (random) => {
      decodes(() => HopMessage.decode(mutate(random, body)))
      decodes(() => StopMessage.decode(random.bytes(random.below(80))))
    })
  })
})
