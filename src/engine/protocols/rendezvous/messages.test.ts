import { describe, expect, it } from 'vitest'
import { codeOf, decodes, mutate, property } from '../../testing/property.ts'
import { Cookies } from './cookie.ts'
import {
  decodeDiscoverAnswer,
  decodeRegisterAnswer,
  decodeRequest,
  frameDiscover,
  frameDiscoverRefused,
  frameFound,
  frameRegister,
  frameRegistered,
  frameRegisterRefused,
  frameUnregister,
  nameStatus,
  Status,
} from './messages.ts'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const unhex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text.replaceAll(' ', ''), 'hex'))
const body = (framed: Uint8Array): Uint8Array => framed.subarray(1)
const record = Uint8Array.of(0xaa, 0xbb)

// Written down by hand from the message in specs: rendezvous/README.md §Protobuf.
const golden = {
  register: '0d 0800 1209 0a03666f6f 1202aabb',
  registerTtl: '0f 0800 120b 0a03666f6f 1202aabb 1878',
  unregister: '09 0802 2205 0a03666f6f',
  discover: '0f 0803 2a0b 0a03666f6f 1005 1a02aabb',
  discoverAll: '04 0803 2a00',
  registered: '09 0801 1a05 0800 18a038',
  refused: '0b 0801 1a07 0866 12036e6f21',
  found: '19 0804 3215 0a0c 0a03666f6f 1202aabb 18a038 1203010203 1800',
}

describe('rendezvous messages', () => {
  it('are those of the specification, length first', () => {
    const flat = (text: string): string => text.replaceAll(' ', '')
    expect(hex(frameRegister('foo', record, undefined))).toBe(flat(golden.register))
    expect(hex(frameRegister('foo', record, 120))).toBe(flat(golden.registerTtl))
    expect(hex(frameUnregister('foo'))).toBe(flat(golden.unregister))
    expect(hex(frameDiscover('foo', 5, record))).toBe(flat(golden.discover))
    expect(hex(frameDiscover(undefined, undefined, undefined))).toBe(flat(golden.discoverAll))
    expect(hex(frameRegistered(7200))).toBe(flat(golden.registered))
    expect(hex(frameRegisterRefused(Status.E_INVALID_TTL, 'no!'))).toBe(flat(golden.refused))
    expect(hex(frameFound([{ namespace: 'foo', record, ttl: 7200 }], Uint8Array.of(1, 2, 3)))).toBe(flat(golden.found))
  })

  it('are read as they are written', () => {
    expect(decodeRequest(body(unhex(golden.registerTtl)))).toEqual({ t: 'register', namespace: 'foo', record, ttl: 120n })
    expect(decodeRequest(body(unhex(golden.register)))).toEqual({ t: 'register', namespace: 'foo', record, ttl: undefined })
    expect(decodeRequest(body(unhex(golden.unregister)))).toEqual({ t: 'unregister', namespace: 'foo' })
    expect(decodeRequest(body(unhex(golden.discover)))).toEqual({ t: 'discover', namespace: 'foo', limit: 5n, cookie: record })
    expect(decodeRequest(body(unhex(golden.discoverAll)))).toEqual({
      t: 'discover',
      namespace: undefined,
      limit: undefined,
      cookie: undefined,
    })
    expect(decodeRegisterAnswer(body(unhex(golden.registered)))).toEqual({ t: 'registered', ttl: 7200n })
    expect(decodeRegisterAnswer(body(unhex(golden.refused)))).toEqual({ t: 'refused', status: 102, text: 'no!' })
    expect(decodeDiscoverAnswer(body(unhex(golden.found)))).toEqual({
      t: 'found',
      registrations: [{ namespace: 'foo', record, ttl: 7200n }],
      cookie: Uint8Array.of(1, 2, 3),
    })
    expect(decodeDiscoverAnswer(body(frameDiscoverRefused(Status.E_UNAVAILABLE, '')))).toEqual({ t: 'refused', status: 400, text: '' })
  })

  it('without what they should have are told from those that have it', () => {
    expect(decodeRequest(unhex('0800'))).toEqual({ t: 'register', namespace: undefined, record: undefined, ttl: undefined })
    expect(decodeRequest(unhex('0800 1202 1800'))).toEqual({ t: 'register', namespace: undefined, record: undefined, ttl: 0n })
    // proto3 does not write an OK, which is 0.
    expect(decodeRegisterAnswer(unhex('0801 1a03 18a038'))).toEqual({ t: 'registered', ttl: 7200n })
  })

  it('of another kind than is due are refused', () => {
    expect(codeOf(() => decodeRequest(unhex('')))).toBe('ERR_PROTOCOL')
    expect(codeOf(() => decodeRequest(unhex('0801 1a02 0800')))).toBe('ERR_PROTOCOL')
    expect(codeOf(() => decodeRequest(unhex('0805')))).toBe('ERR_PROTOCOL')
    expect(codeOf(() => decodeRegisterAnswer(unhex('0804 3200')))).toBe('ERR_PROTOCOL')
    expect(codeOf(() => decodeDiscoverAnswer(unhex('0801 1a02 0800')))).toBe('ERR_PROTOCOL')
    expect(codeOf(() => decodeRequest(unhex('0803 2a03 0a01ff')))).toBe('ERR_DECODE')
  })

  it('cut anywhere are refused with a code, or are another message', () => {
    for (const text of Object.values(golden)) {
      const whole = body(unhex(text))
      for (let length = 0; length < whole.length; length++) {
        for (const decode of [decodeRequest, decodeRegisterAnswer, decodeDiscoverAnswer]) decodes(() => decode(whole.subarray(0, length)))
      }
    }
  })

  it('of anything are read or refused with a code', () => {
    property(500, (random) => {
      const valid = unhex(Object.values(golden)[random.below(8)] as string)
      for (const decode of [decodeRequest, decodeRegisterAnswer, decodeDiscoverAnswer]) {
        decodes(() => decode(mutate(random, body(valid))))
        decodes(() => decode(random.bytes(random.below(60))))
      }
    })
  })

  it('name every status', () => {
    expect([0, 100, 101, 102, 103, 200, 300, 400, 999].map(nameStatus)).toEqual([
      'OK',
      'E_INVALID_NAMESPACE',
      'E_INVALID_SIGNED_PEER_RECORD',
      'E_INVALID_TTL',
      'E_INVALID_COOKIE',
      'E_NOT_AUTHORIZED',
      'E_INTERNAL_ERROR',
      'E_UNAVAILABLE',
      'status 999',
    ])
  })
})

describe('cookies', () => {
  const cookies = new Cookies(Uint8Array.of(1, 2, 3))

  it('are eight bytes and a namespace, as rust reads them', () => {
    expect(hex(cookies.write(5, 'foo'))).toBe('0102030000000005666f6f')
    expect(hex(cookies.write(2 ** 40 - 1, undefined))).toBe('010203ffffffffff')
  })

  it('lead back to where they were given', () => {
    for (const serial of [0, 1, 255, 2 ** 32 - 1, 2 ** 32, 2 ** 40 - 1]) {
      expect(cookies.read(cookies.write(serial, 'é'), 'é')).toBe(serial)
      expect(cookies.read(cookies.write(serial, undefined), undefined)).toBe(serial)
    }
  })

  it('of another namespace, or of no form, are refused', () => {
    expect(cookies.read(cookies.write(5, 'foo'), 'bar')).toBeUndefined()
    expect(cookies.read(cookies.write(5, 'foo'), undefined)).toBeUndefined()
    expect(cookies.read(cookies.write(5, undefined), 'foo')).toBeUndefined()
    expect(cookies.read(new Uint8Array(7), undefined)).toBeUndefined()
    expect(cookies.read(new Uint8Array(0), undefined)).toBeUndefined()
    expect(cookies.read(new Uint8Array(8 + 256), 'x'.repeat(256))).toBeUndefined()
  })

  it('of another server, or of an earlier start, lead to the beginning', () => {
    expect(cookies.read(new Cookies(Uint8Array.of(1, 2, 4)).write(5, 'foo'), 'foo')).toBe(0)
  })
})
