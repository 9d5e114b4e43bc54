import { scryptSync } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { utf8 } from '../../codec/bytes.ts'
import { nobleAead } from '../../crypto/noble-aead.ts'
import { ROOM_MAX_FENCES, ROOM_MAX_NAME, ROOM_MAX_PART, ROOM_MAX_PRESENCE, ROOM_SCRYPT } from '../../limits.ts'
import { codeOf, decodes, mutate, property } from '../../testing/property.ts'
import { FENCE, fenceOf, publicSecret, readFences, secretFor } from './fence.ts'
import {
  type Body,
  decodeBody,
  decodePreamble,
  decodePublished,
  decodeWord,
  encodeBody,
  encodePreamble,
  encodePublished,
  encodeWord,
  headOf,
  LIFE,
  type Word,
} from './messages.ts'
import { checkName, hex, openPlace, saltOf, sealedPlace } from './place.ts'
import { sealOf } from './seal.ts'

const life = new Uint8Array(LIFE).fill(7)
const secret = new Uint8Array(FENCE).fill(5)
const bodies: Body[] = [
  { t: 'message', data: utf8('hello'), begins: true, ends: true },
  { t: 'message', data: new Uint8Array(0), begins: true, ends: false },
  { t: 'message', data: Uint8Array.of(1), begins: false, ends: false },
  { t: 'message', data: Uint8Array.of(2), begins: false, ends: true },
  { t: 'beat', interval: 10_000, presence: undefined },
  { t: 'beat', interval: 0, presence: utf8('{"x":1}') },
  { t: 'leave' },
  { t: 'leave', fences: new Uint8Array(FENCE).fill(1) },
  { t: 'message', data: utf8('hello'), begins: true, ends: true, fences: new Uint8Array(ROOM_MAX_FENCES * FENCE).fill(2) },
]
const words: Word[] = [
  { t: 'hello', life, next: 300, first: 2, secret, interval: 10_000, presence: utf8('"here"') },
  { t: 'hello', life, next: 0, first: 0, secret, interval: 1, presence: undefined },
  { t: 'private', number: 5, after: 300, data: utf8('psst'), more: false },
  { t: 'private', number: 2 ** 40, after: 0, data: utf8('ps'), more: true },
  { t: 'repeat', from: 1, to: 2 ** 52 },
  { t: 'again', number: 3, body: encodeBody(bodies[0] as Body) },
  { t: 'leave' },
  { t: 'taken', number: 9 },
]

describe('what members say', () => {
  it('is read as it is written', () => {
    for (const body of bodies) expect(decodeBody(encodeBody(body))).toEqual(body)
    for (const word of words) expect(decodeWord(encodeWord(word))).toEqual(word)
    const head = headOf(life, 1_000_000)
    expect(decodePublished(encodePublished(head, utf8('body')))).toEqual({ head, life, number: 1_000_000, sealed: utf8('body') })
    const preamble = { tag: new Uint8Array(32).fill(1), salt: new Uint8Array(16).fill(2) }
    expect(decodePreamble(encodePreamble(preamble))).toEqual(preamble)
  })

  it('is nothing to us where it is of a version or a kind to come', () => {
    expect([decodePublished(Uint8Array.of(2, 0)), decodeBody(Uint8Array.of(99)), decodeWord(Uint8Array.of(99))]).toEqual(
      new Array(3).fill(undefined),
    )
  })

  it('is refused where it is cut short, or too large', () => {
    expect(codeOf(() => decodePublished(new Uint8Array(0)))).toBe('ERR_DECODE')
    expect(codeOf(() => decodePublished(headOf(life, 300).subarray(0, LIFE + 2)))).toBe('ERR_DECODE')
    expect(codeOf(() => decodeBody(new Uint8Array(0)))).toBe('ERR_DECODE')
    expect(codeOf(() => decodeBody(new Uint8Array(ROOM_MAX_PART + 2)))).toBe('ERR_FRAME_TOO_LARGE')
    expect(codeOf(() => decodeBody(encodeBody({ t: 'beat', interval: 1, presence: new Uint8Array(ROOM_MAX_PRESENCE + 1) })))).toBe(
      'ERR_FRAME_TOO_LARGE',
    )
    expect(codeOf(() => decodePreamble(new Uint8Array(5)))).toBe('ERR_DECODE')
    const fenced = encodeBody({ t: 'leave', fences: new Uint8Array(2 * FENCE) })
    for (const length of [1, 2, FENCE, 2 + 2 * FENCE]) expect(codeOf(() => decodeBody(fenced.subarray(0, length)))).toBe('ERR_DECODE')
    expect(codeOf(() => decodeBody(Uint8Array.of(8, 255)))).toBe('ERR_FRAME_TOO_LARGE')
  })

  it('of any bytes is read or refused with a code', () => {
    const valid = [...bodies.map(encodeBody), ...words.map(encodeWord)]
    property(300, (random) => {
      const some = mutate(random, valid[random.below(valid.length)] as Uint8Array)
      for (const decode of [decodeBody, decodeWord, decodePublished, decodePreamble]) decodes(() => decode(some))
    })
  })
})

describe('a fence', () => {
  const [forA, forB] = [secretFor(secret, 'a'), secretFor(secret, 'b')]
  const fences = Buffer.concat([fenceOf(forB, life, 7, 3), fenceOf(publicSecret('c'), life, 7, 2 ** 40 + 1), fenceOf(forA, life, 7, 300)])

  it('is for one member, in one word', () => {
    expect([readFences(fences, forA, life, 7), readFences(fences, forB, life, 7)]).toEqual([300, 3])
    expect(readFences(fences, publicSecret('c'), life, 7)).toBe(2 ** 40 + 1)
    for (const other of [
      readFences(fences, forA, life, 8),
      readFences(fences, forA, new Uint8Array(LIFE), 7),
      readFences(fences, publicSecret('a'), life, 7),
      readFences(fences, secretFor(secret, 'd'), life, 7),
      readFences(fences.subarray(0, FENCE - 1), forB, life, 7),
    ])
      expect(other).toBe(0)
  })

  it('looks like no other one to anybody else, though it says the same', () => {
    const heads = Array.from({ length: 100 }, (_, number) => hex(fenceOf(forA, life, number, 1)))
    expect(new Set([...heads.map((each) => each.slice(0, 16)), ...heads.map((each) => each.slice(16))]).size).toBe(200)
  })
})

describe('a place', () => {
  const root = (password: string, name: string): Uint8Array =>
    scryptSync(password, saltOf(name), 32, { ...ROOM_SCRYPT, maxmem: 256 * 1024 * 1024 })

  it('of an open room is its name', () => {
    expect(openPlace('kitchen')).toMatchObject({ topic: 'tabmesh-room/kitchen', namespace: 'tabmesh-room/kitchen', key: undefined })
    for (const name of ['', 'x'.repeat(ROOM_MAX_NAME + 1)]) expect(codeOf(() => openPlace(name))).toBe('ERR_INVALID_ARGUMENT')
    expect(checkName('cafe\u0301')).toBe('caf\u00e9')
  })

  it('of a sealed room is known to who has the password, and tells nothing', () => {
    const place = sealedPlace(root('secret', 'kitchen'))
    // Made by this code with Node's scrypt: these numbers are the protocol.
    expect([place.topic, place.namespace, hex(place.key as Uint8Array)]).toMatchInlineSnapshot(`
      [
        "tabmesh-sealed/8cc88a6db323792c32263db9a9fb9e4aba1e96e19b087a584cd132993b52f07a",
        "tabmesh-sealed/5bd0f4c2d930ed1aea403f67e9c0c7759dc78b78cc5eda24d994a2de295ac95b",
        "78c8a3b96a94c35ed202fd9774f338b354b1e4e20716b1a9d68c811330277817",
      ]
    `)
    for (const other of [sealedPlace(root('Secret', 'kitchen')), sealedPlace(root('secret', 'cellar'))]) {
      expect(other.topic).not.toBe(place.topic)
      expect(other.namespace).not.toBe(place.namespace)
      expect(other.key).not.toEqual(place.key)
    }
    expect(place.topic).not.toContain(place.namespace.slice(-64))
  })
})

describe('a seal', () => {
  const key = new Uint8Array(32).fill(9)
  const plain = utf8('hello')
  const head = utf8('head')
  const seal = (of = key, from = 'a', by = life, to = '') => sealOf(of, nobleAead, 'gossip', from, by, to)

  it('opens for who has the key, in the same place, of the same sender', () => {
    const sealed = seal().seal(5, plain, head)
    expect(seal().open(5, sealed, head)).toEqual(plain)
    const others = [seal(new Uint8Array(32)), seal(key, 'b'), seal(key, 'a', new Uint8Array(LIFE)), seal(key, 'a', life, 'c')]
    for (const other of others) expect(other.open(5, sealed, head)).toBe(undefined)
    expect([seal().open(6, sealed, head), seal().open(5, sealed, utf8('heap')), seal().open(5, sealed.subarray(1), head)]).toEqual(
      new Array(3).fill(undefined),
    )
    expect(sealOf(key, nobleAead, 'stream', 'a', life).open(5, sealed, head)).toBe(undefined)
    expect(seal().open(0, new Uint8Array(3), head)).toBe(undefined)
  })

  it('never has the same nonce for two numbers', () => {
    const numbers = [0, 1, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, 2 ** 52]
    expect(new Set(numbers.map((number) => hex(seal().seal(number, plain)))).size).toBe(numbers.length)
  })

  it('lets through what is said in an open room', () => {
    const open = sealOf(undefined, nobleAead, 'gossip', 'a', life)
    expect([open.seal(0, plain), open.open(0, plain)]).toEqual([plain, plain])
  })
})
