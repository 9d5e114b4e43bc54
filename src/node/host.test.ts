import { generateKeyPairSync, randomBytes, verify as verifyWithOpenSsl } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type KeyType, type PrivateKey, privateKey, publicKey } from '../engine/codec/keys.ts'
import { signWith, verifySignature } from '../engine/crypto/verify.ts'
import { TabmeshError } from '../errors.ts'
import { nodeHost } from './host.ts'
import { newIdentity } from './identity.ts'

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const keys: Record<KeyType, PrivateKey> = {
  Ed25519: newIdentity(),
  secp256k1: privateKey('secp256k1', new Uint8Array(randomBytes(32))),
  ECDSA: privateKey('ECDSA', new Uint8Array(ec.privateKey.export({ format: 'der', type: 'sec1' }))),
  RSA: privateKey('RSA', new Uint8Array(rsa.privateKey.export({ format: 'der', type: 'pkcs1' }))),
}
const types = Object.keys(keys) as KeyType[]

const sign = (key: PrivateKey, bytes: Uint8Array): Uint8Array => {
  let signature: Uint8Array | TabmeshError | undefined
  nodeHost(key).sign(bytes, (made) => {
    signature = made
  })
  if (!(signature instanceof Uint8Array)) throw signature ?? new Error('not at once')
  return signature
}

const host = nodeHost(keys.Ed25519)
const verify = (key: PrivateKey, bytes: Uint8Array, signature: Uint8Array): boolean | undefined => {
  let valid: boolean | undefined
  host.verify(key.publicKey, bytes, signature, (answer) => {
    valid = answer
  })
  return valid
}

describe('signatures', () => {
  const bytes = Uint8Array.of(1, 2, 3)

  it.each(types)('signs with a key of %s, and checks it', (type) => {
    const key = keys[type]
    const signature = sign(key, bytes)
    expect(Buffer.isBuffer(signature)).toBe(false)
    expect(verify(key, bytes, signature)).toBe(true)
    expect(verify(key, Uint8Array.of(1, 2, 4), signature)).toBe(false)
    // A second time the key is one that is kept.
    expect(verify(key, bytes, signature)).toBe(true)
    for (const other of types) if (other !== type) expect(verify(keys[other], bytes, signature)).toBe(false)
  })

  it.each(['Ed25519', 'secp256k1', 'ECDSA'] as const)('agrees with the JavaScript library about %s', (type) => {
    const key = keys[type]
    expect(verifySignature(key.publicKey, bytes, sign(key, bytes))).toBe(true)
    expect(verify(key, bytes, signWith(key, bytes))).toBe(true)
  })

  it('agrees with OpenSSL about RSA', () => expect(verifyWithOpenSsl('sha256', bytes, rsa.publicKey, sign(keys.RSA, bytes))).toBe(true))

  it.each(types)('a malformed signature of %s is not valid', (type) => {
    for (const signature of [new Uint8Array(0), new Uint8Array(64), Uint8Array.of(0x30, 0x80), new Uint8Array(1_000)]) {
      expect(verify(keys[type], bytes, signature)).toBe(false)
    }
  })

  it('a key that is no point signed nothing', () => {
    const { raw } = keys.ECDSA.publicKey
    const off = raw.slice()
    off[off.length - 1] = (off.at(-1) as number) ^ 1
    const key = { ...keys.ECDSA, publicKey: publicKey('ECDSA', off) }
    expect(verify(key, bytes, sign(keys.ECDSA, bytes))).toBe(false)
  })

  it('a private key that OpenSSL does not take is refused at once', () =>
    expect(() => nodeHost({ ...keys.RSA, raw: keys.RSA.raw.subarray(0, 40) })).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_KEY' }),
    ))

  it('more keys than are kept are still checked', () => {
    for (let each = 0; each < 1_100; each++) {
      const key = each % 100 === 0 ? newIdentity() : { ...keys.Ed25519, publicKey: publicKey('Ed25519', new Uint8Array(randomBytes(32))) }
      expect(verify(key, bytes, sign(key, bytes))).toBe(each % 100 === 0)
    }
    expect(verify(keys.Ed25519, bytes, sign(keys.Ed25519, bytes))).toBe(true)
  })
})

describe('time', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  it('wakes after the time, once', () => {
    const woken: number[] = []
    const began = host.now()
    host.after(10, () => woken.push(host.now() - began))
    vi.advanceTimersByTime(9)
    expect(woken).toEqual([])
    vi.advanceTimersByTime(100)
    expect(woken).toEqual([10])
  })

  it('does not wake what was called off', () => {
    const cancel = host.after(10, () => expect.unreachable())
    cancel()
    cancel()
    vi.advanceTimersByTime(100)
  })

  it('waits for longer than setTimeout can', () => {
    const month = 31 * 86_400_000
    const woken: string[] = []
    const cancel = host.after(month, () => woken.push('month'))
    host.after(Number.POSITIVE_INFINITY, () => woken.push('never'))
    vi.advanceTimersByTime(month - 1)
    expect(woken).toEqual([])
    vi.advanceTimersByTime(1)
    expect(woken).toEqual(['month'])
    expect(cancel).not.toThrow()
    expect(vi.getTimerCount()).toBe(0)
  })

  it('a timer that Node runs early waits for the rest', () => {
    const now = vi.spyOn(performance, 'now')
    now.mockReturnValue(100)
    let woken = 0
    host.after(10, () => woken++)
    now.mockReturnValue(109.4)
    vi.advanceTimersByTime(10)
    expect(woken).toBe(0)
    now.mockReturnValue(110.4)
    vi.advanceTimersByTime(1)
    expect(woken).toBe(1)
    now.mockRestore()
  })
})

describe('what is deferred', () => {
  it('runs when the call has returned, in order, with what it defers itself, before other work', async () => {
    const log: string[] = []
    const timer = new Promise<void>((done) =>
      setTimeout(() => {
        log.push('timer')
        done()
      }, 0),
    )
    setImmediate(() => log.push('immediate'))
    host.defer(() => {
      log.push('one')
      host.defer(() => log.push('three'))
    })
    host.defer(() => log.push('two'))
    log.push('returned')
    await Promise.resolve()
    expect(log).toEqual(['returned', 'one', 'two', 'three'])
    host.defer(() => log.push('later'))
    await timer
    expect(log.indexOf('later')).toBeLessThan(log.indexOf('timer'))
  })

  it('runs the rest where one throws', async () => {
    const thrown: unknown[] = []
    const others = process.listeners('uncaughtException')
    process.removeAllListeners('uncaughtException')
    process.once('uncaughtException', (error) => thrown.push(error))
    const log: string[] = []
    host.defer(() => {
      throw new TabmeshError('ERR_INTERNAL', 'test')
    })
    host.defer(() => log.push('the rest'))
    await new Promise(setImmediate)
    for (const other of others) process.on('uncaughtException', other)
    expect(thrown).toMatchObject([{ code: 'ERR_INTERNAL' }])
    expect(log).toEqual(['the rest'])
  })
})

it('gives random bytes of any number', () => {
  expect(host.random(0)).toEqual(new Uint8Array(0))
  const [a, b] = [host.random(32), host.random(32)]
  expect(a.length).toBe(32)
  expect(a).not.toEqual(b)
  expect(Buffer.isBuffer(a)).toBe(false)
})
