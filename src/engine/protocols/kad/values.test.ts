import { describe, expect, it } from 'vitest'
import { utf8 } from '../../codec/bytes.ts'
import { KAD_MAX_CANDIDATES, KAD_MAX_VALUE } from '../../limits.ts'
import { someContact } from '../../testing/kad/peers.ts'
import { prng } from '../../testing/prng.ts'
import { Values, type ValuesOutput } from './values.ts'

const key = utf8('/v/key')
const random = prng(1)
const peers = Array.from({ length: 6 }, () => someContact(random))
const peer = (at: number): string => (peers[at] as (typeof peers)[number]).peer

/** Values that are numbers: what is no number is invalid, and the greatest is the best. */
const play = (quorum?: number) => {
  const values = new Values(key, quorum)
  const heard: string[] = []
  let validated = 0
  const text = (value: Uint8Array): string => Buffer.from(value).toString()
  const drain = (): void => {
    for (let output: ValuesOutput | undefined = values.poll(); output !== undefined; output = values.poll()) {
      if (output.t === 'validate') {
        validated += 1
        values.handle({ t: 'validated', ticket: output.ticket, valid: /^\d+$/.test(text(output.value)) })
      } else if (output.t === 'select') {
        const numbers = output.values.map((value) => Number(text(value)))
        values.handle({ t: 'selected', best: numbers.indexOf(Math.max(...numbers)) })
      } else heard.push(output.t === 'value' ? text(output.value) : output.t)
    }
  }
  const record = (from: number, value: string | Uint8Array, of = key): void => {
    values.handle({ t: 'record', from: peer(from), record: { key: of, value: typeof value === 'string' ? utf8(value) : value } })
    drain()
  }
  return { values, heard, record, drain, validated: () => validated }
}

describe('values', () => {
  it('are told as better ones come, and are enough when as many agree as are wanted', () => {
    const { values, heard, record } = play(2)
    record(0, '5')
    record(1, '3')
    record(2, '7')
    record(3, '5')
    expect(heard).toEqual(['5', '7'])
    record(4, '7')
    expect(heard).toEqual(['5', '7', 'enough'])
    expect(values.outdated(peers).map((each) => each.peer)).toEqual([0, 1, 3, 5].map(peer))
  })

  it('of the same peer twice count once', () => {
    const { heard, record } = play(2)
    record(0, '5')
    record(0, '5')
    expect(heard).toEqual(['5'])
  })

  it('with a quorum of 0 are never enough', () => {
    const { heard, record } = play(0)
    for (let at = 0; at < 6; at++) record(at, '5')
    expect(heard).toEqual(['5'])
  })

  it('that are invalid, of another key, or too large are nothing; none is validated twice', () => {
    const { values, heard, record, validated } = play(1)
    record(0, 'no number')
    record(1, 'no number')
    record(2, '9', utf8('/v/other'))
    record(3, new Uint8Array(KAD_MAX_VALUE + 1))
    values.handle({ t: 'record', from: peer(4), record: undefined })
    expect([heard, values.best, values.refused, validated()]).toEqual([[], undefined, 2, 1])
    expect(values.outdated(peers)).toEqual([])
    record(5, '1')
    expect(heard).toEqual(['1', 'enough'])
  })

  it('are compared up to so many', () => {
    const { values, record, validated } = play(0)
    for (let at = 0; at < KAD_MAX_CANDIDATES + 10; at++) record(0, String(at))
    expect([validated(), values.refused, Buffer.from(values.best ?? []).toString()]).toEqual([
      KAD_MAX_CANDIDATES,
      10,
      String(KAD_MAX_CANDIDATES - 1),
    ])
  })

  it('that a selector answers nonsense about leave what there was', () => {
    const values = new Values(key, 0)
    for (const [at, value] of ['1', '2'].entries()) {
      values.handle({ t: 'record', from: peer(at), record: { key, value: utf8(value) } })
      values.handle({ t: 'validated', ticket: at, valid: true })
    }
    values.handle({ t: 'selected', best: 17 })
    expect([Buffer.from(values.best ?? []).toString(), values.pending]).toEqual(['1', false])
    // And what nobody asked for.
    values.handle({ t: 'selected', best: 1 })
    values.handle({ t: 'validated', ticket: 9, valid: true })
    expect(Buffer.from(values.best ?? []).toString()).toBe('1')
  })
})
