import { describe, expect, it } from 'vitest'
import { TabmeshError } from '../../errors.ts'
import { peerRecordUse } from '../codec/envelope.ts'
import { parseMultiaddr } from '../codec/multiaddr.ts'
import { World } from '../testing/world.ts'
import { OwnRecord } from './own-record.ts'

const at = (...ports: number[]) => ports.map((port) => parseMultiaddr(`/memory/${port}`))

describe('our own record', () => {
  const lab = () => {
    const world = new World(40)
    const asked: { bytes: Uint8Array; done: (signature: Uint8Array | TabmeshError) => void }[] = []
    const host = {
      ...world.host(),
      date: () => 1_000,
      sign: (bytes: Uint8Array, done: (signature: Uint8Array | TabmeshError) => void) => void asked.push({ bytes, done }),
    }
    const net = { host, publicKey: host.publicKey, addresses: at(1) }
    const told: (string | undefined)[] = []
    const record = new OwnRecord(net, peerRecordUse)
    const ask = (): void =>
      record.ask((envelope) => void told.push(envelope === undefined ? undefined : Buffer.from(envelope).toString('latin1')))
    return { net, asked, told, ask }
  }

  it('costs one signature for however many ask, until our addresses change', () => {
    const { net, asked, told, ask } = lab()
    for (let i = 0; i < 5; i += 1) ask()
    expect([asked.length, told.length]).toEqual([1, 0])
    asked[0]?.done(new Uint8Array(64))
    ask()
    expect([asked.length, told.length, new Set(told).size]).toEqual([1, 6, 1])
    net.addresses = at(2)
    ask()
    expect(asked.length).toBe(2)
    net.addresses = []
    ask()
    expect(told.at(-1)).toBeUndefined()
  })

  it('is signed again for addresses that changed under the pen, with a higher number though the clock stands', () => {
    const { net, asked, told, ask } = lab()
    ask()
    net.addresses = at(2)
    ask()
    asked[0]?.done(new Uint8Array(64))
    expect([asked.length, told.length]).toEqual([2, 0])
    asked[1]?.done(new Uint8Array(64))
    expect([told.length, new Set(told).size]).toEqual([2, 1])
    const numbers = asked.map(({ bytes }) => Buffer.from(bytes).toString('hex'))
    // Field 2 of the record: 1000 and 1001 as varints.
    expect([numbers[0]?.includes('10e807'), numbers[1]?.includes('10e907')]).toEqual([true, true])
  })

  it('that can not be signed is left out, and asked for again', () => {
    const { asked, told, ask } = lab()
    ask()
    asked[0]?.done(new TabmeshError('ERR_INTERNAL', 'the key is gone'))
    expect(told).toEqual([undefined])
    ask()
    expect(asked.length).toBe(2)
  })
})
