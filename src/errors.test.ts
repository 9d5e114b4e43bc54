import { describe, expect, it } from 'vitest'
import { asTabmeshError, deflateError, errorCodes, inflateError, type PlainError, remoteFault, TabmeshError } from './errors.ts'

/** Across the border between threads. */
const across = (error: unknown): Error => inflateError(structuredClone(deflateError(error)))

describe('an error', () => {
  it('says what happened and the way out', () => {
    const error = new TabmeshError('ERR_TIMEOUT', 'ping 12D3')
    expect(error.message).toBe(`ping 12D3: ${errorCodes.ERR_TIMEOUT}`)
    expect(error).toMatchObject({ name: 'TabmeshError', code: 'ERR_TIMEOUT', remote: false, errors: [] })
    expect('cause' in error).toBe(false)
  })

  it('of the remote says so', () => {
    const cause = new Error('why')
    expect(remoteFault('ERR_DECODE', 'a message', cause)).toMatchObject({ code: 'ERR_DECODE', remote: true, cause })
  })

  it('that has a code keeps it', () => {
    const error = new TabmeshError('ERR_TIMEOUT', 'x')
    expect(asTabmeshError(error, 'ERR_INTERNAL', 'y')).toBe(error)
    expect(asTabmeshError('why', 'ERR_INTERNAL', 'y')).toMatchObject({ code: 'ERR_INTERNAL', cause: 'why' })
  })

  it('has a way out for every code, without a final full stop', () => {
    for (const [code, wayOut] of Object.entries(errorCodes)) {
      expect(code).toMatch(/^ERR_[A-Z_]+$/)
      expect(wayOut).toMatch(/[^.]$/)
    }
  })
})

describe('across the border between threads', () => {
  it('keeps message, code, cause, stack and the errors of each address, at any depth', () => {
    const root = new RangeError('root')
    const one = new TabmeshError('ERR_DIAL_TIMEOUT', '/ip4/1.2.3.4/tcp/1', { cause: root })
    const two = new TabmeshError('ERR_PEER_ID_MISMATCH', '/ip4/1.2.3.4/tcp/2', { remote: true, errors: [one] })
    const error = new TabmeshError('ERR_DIAL_FAILED', 'nobody', { errors: [one, two], cause: one })
    const arrived = across(error) as TabmeshError
    expect(arrived).toBeInstanceOf(TabmeshError)
    expect(arrived).toMatchObject({ code: 'ERR_DIAL_FAILED', message: error.message, stack: error.stack, remote: false })
    expect(arrived.errors.map(({ code, message, remote }) => [code, message, remote])).toEqual([
      ['ERR_DIAL_TIMEOUT', one.message, false],
      ['ERR_PEER_ID_MISMATCH', two.message, true],
    ])
    expect(arrived.errors[1]?.errors[0]?.code).toBe('ERR_DIAL_TIMEOUT')
    expect((arrived.cause as TabmeshError).cause).toMatchObject({ name: 'RangeError', message: 'root' })
    expect(across(across(arrived))).toMatchObject({ message: error.message, code: error.code })
  })

  it.each([
    ['a string', 'why', 'why'],
    ['nothing', undefined, 'undefined'],
    ['a symbol', Symbol('s'), 'Symbol(s)'],
    ['an object without a text', Object.create(null), 'unknown'],
  ])('takes %s that was thrown', (_what, thrown, message) => {
    expect(across(thrown).message).toBe(message)
    expect((across(new TabmeshError('ERR_HANDLER', 'x', { cause: thrown ?? null })).cause as Error).message).toBe(
      thrown === undefined ? 'null' : message,
    )
  })

  it('takes errors whose fields can not be cloned', () => {
    const odd = new Error('odd')
    Object.defineProperty(odd, 'stack', { value: undefined })
    Object.defineProperty(odd, 'name', { value: Symbol('name') })
    Object.defineProperty(odd, 'message', {
      get() {
        throw new Error('no message')
      },
    })
    expect(deflateError(odd)).toEqual({ name: 'Symbol(name)', message: 'unknown' })
    expect(across(new DOMException('gone', 'AbortError'))).toMatchObject({ name: 'AbortError', message: 'gone' })
  })

  it('ends a cycle of causes and errors, and bounds a deep chain', () => {
    const a = new Error('a')
    const b = new Error('b', { cause: a })
    a.cause = b
    expect((across(a).cause as Error).message).toBe('b')
    const inner: TabmeshError[] = []
    const dial = new TabmeshError('ERR_DIAL_FAILED', 'outer', { errors: inner })
    for (let i = 0; i < 25; i += 1) inner.push(new TabmeshError('ERR_DIAL_FAILED', `inner ${i}`, { errors: inner, cause: dial }))
    expect(JSON.stringify(deflateError(dial)).length).toBeLessThan(1_000_000)
    expect((across(dial) as TabmeshError).errors.length).toBe(25)
    let deep = new Error('0')
    for (let i = 1; i < 10_000; i += 1) deep = new Error(String(i), { cause: deep })
    expect(across(deep).message).toBe('9999')
  })

  it('does not take what is no code of ours for one', () => {
    for (const code of ['ERR_NEW', 'constructor', '__proto__', 'toString']) {
      const arrived = inflateError({ name: 'TabmeshError', message: 'x', code } satisfies PlainError)
      expect(arrived).not.toBeInstanceOf(TabmeshError)
      expect(arrived.message).toBe('x')
    }
  })
})
