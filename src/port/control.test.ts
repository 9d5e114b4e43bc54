import { expose, wrap } from 'comlink'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { TabmeshError } from '../errors.ts'
import type { ConnectionInfo } from '../types.ts'
import { type Commander, ControlClient, serveControl } from './control.ts'
import { Pipe } from './pipe.ts'

const ports: MessagePort[] = []
afterEach(() => {
  vi.useRealTimers()
  for (const port of ports.splice(0)) port.close()
})

const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve))
}

/** A client, and an engine that serves the commands given; others never answer. */
const make = (commands: Partial<Commander>): ControlClient => {
  const { port1, port2 } = new MessageChannel()
  ports.push(port1, port2)
  serveControl(port2, new Proxy(commands as Commander, { get: (given, name) => Reflect.get(given, name) ?? (() => undefined) }))
  return new ControlClient(port1)
}

const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => {
      throw new Error('it resolved')
    },
    (error: unknown) => error,
  )

describe('a command', () => {
  it('is answered, however many run at a time and in whatever order they end', async () => {
    const waiting: ((ms: number) => void)[] = []
    const client = make({
      ping: (_target, resolve) => {
        waiting.push(resolve)
        return undefined
      },
    })
    const answers = Promise.all([client.run('ping', 'a'), client.run('ping', 'b'), client.run('ping', 'c')])
    await until(() => waiting.length === 3)
    for (const [at, resolve] of waiting.reverse().entries()) resolve(at)
    expect(await answers).toEqual([2, 1, 0])
  })

  it('keeps code, cause and the errors of each address of its error', async () => {
    const error = new TabmeshError('ERR_DIAL_FAILED', 'nobody', {
      cause: new RangeError('root'),
      errors: [new TabmeshError('ERR_PEER_ID_MISMATCH', '/ip4/1.2.3.4', { remote: true })],
    })
    const client = make({
      dial: (_target, _resolve, reject) => {
        reject(error)
        return undefined
      },
    })
    const got = (await failure(client.run('dial', 'x'))) as TabmeshError
    expect(got).toBeInstanceOf(TabmeshError)
    expect(got).toMatchObject({ code: 'ERR_DIAL_FAILED', message: error.message })
    expect(got.cause).toMatchObject({ name: 'RangeError', message: 'root' })
    expect(got.errors[0]).toMatchObject({ code: 'ERR_PEER_ID_MISMATCH', remote: true })
  })

  it('that throws in the engine rejects: with its code, or as a defect', async () => {
    const client = make({
      hangUp: () => {
        throw new TabmeshError('ERR_INVALID_PEER_ID', 'x')
      },
      unhandle: () => {
        throw new TypeError('oops')
      },
    })
    expect(await failure(client.run('hangUp', 'x'))).toMatchObject({ code: 'ERR_INVALID_PEER_ID' })
    expect(await failure(client.run('unhandle', 'x'))).toMatchObject({ code: 'ERR_INTERNAL', cause: { message: 'oops' } })
  })

  it('whose arguments can not be cloned says so', async () => {
    const client = make({})
    expect(await failure(client.run('dial', (() => {}) as never))).toMatchObject({ code: 'ERR_INVALID_ARGUMENT' })
  })

  it('that is not answered rejects at its deadline, and is given up', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    let given = 0
    let began = false
    const client = make({
      dial: () => {
        began = true
        return () => (given += 1)
      },
    })
    const failed = failure(client.run('dial', 'x'))
    await until(() => began)
    vi.advanceTimersByTime(59_999)
    vi.advanceTimersByTime(1)
    expect(await failed).toMatchObject({ code: 'ERR_ENGINE_TIMEOUT' })
    await until(() => given === 1)
    expect(vi.getTimerCount()).toBe(0)
  })

  it.each([
    [100_000, 130_000],
    [Number.MAX_SAFE_INTEGER, 2 ** 31 - 1],
  ])('that takes %i ms by itself has them, and a margin, as far as timers go', async (longest, deadline) => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const client = make({ perf: () => undefined })
    let code = 'waiting'
    const args = { target: 'x', upload: 1, download: 1 }
    client.run('perf', args, undefined, { longest }).catch((error: TabmeshError) => (code = error.code))
    await vi.advanceTimersByTimeAsync(deadline - 1)
    expect(code).toBe('waiting')
    await vi.advanceTimersByTimeAsync(1)
    expect(code).toBe('ERR_ENGINE_TIMEOUT')
  })

  it('hands over what it is told to, and copies the rest', async () => {
    let got: unknown
    const client = make({
      answerLookup: (answer, resolve) => {
        got = answer
        resolve(undefined)
        return undefined
      },
    })
    const [kept, given] = [Uint8Array.of(1, 2), Uint8Array.of(3, 4)]
    await client.run('answerLookup', { id: 1, data: kept, failed: false })
    expect([got, kept]).toEqual([{ id: 1, data: kept, failed: false }, Uint8Array.of(1, 2)])
    await client.run('answerLookup', { id: 2, data: given, failed: false }, undefined, { transfer: [given.buffer] })
    expect([got, given.length]).toEqual([{ id: 2, data: Uint8Array.of(3, 4), failed: false }, 0])
  })
})

describe('an abort signal', () => {
  it('rejects with its reason and gives the command up, once', async () => {
    let given = 0
    let began = false
    const client = make({
      dial: () => {
        began = true
        return () => {
          given += 1
        }
      },
    })
    const controller = new AbortController()
    const failed = failure(client.run('dial', 'x', controller.signal))
    await until(() => began)
    const reason = new Error('changed my mind')
    controller.abort(reason)
    expect(await failed).toBe(reason)
    await until(() => given === 1)
    expect(await failure(client.run('dial', 'x', controller.signal))).toBe(reason)
    expect(given).toBe(1)
  })

  it('after the answer does nothing', async () => {
    let given = 0
    const client = make({
      ping: (_target, resolve) => {
        resolve(7)
        return () => (given += 1)
      },
    })
    const controller = new AbortController()
    expect(await client.run('ping', 'x', controller.signal)).toBe(7)
    controller.abort()
    await new Promise((resolve) => setImmediate(resolve))
    expect(given).toBe(0)
  })

  it('whose command can not be given up any more harms nobody', async () => {
    const client = make({
      dial: () => () => {
        throw new Error('a defect')
      },
      ping: (_target, resolve) => {
        resolve(1)
        return undefined
      },
    })
    const controller = new AbortController()
    const failed = failure(client.run('dial', 'x', controller.signal))
    await client.run('ping', 'x')
    controller.abort('why')
    expect(await failed).toBe('why')
    expect(await client.run('ping', 'x')).toBe(1)
  })

  it('that comes when the stream is on its way resets it: nobody holds its other end', async () => {
    let answer: () => void = () => {}
    const heard: string[] = []
    const client = make({
      openStream: (_args, resolve) => {
        const { port1, port2 } = new MessageChannel()
        ports.push(port1)
        new Pipe(port1).attach({ onData: () => {}, onEnd: () => {}, onClose: (fault) => heard.push(fault?.code ?? 'close') })
        answer = () => resolve({ info: { id: '1', protocol: '/x', remotePeer: 'x', direction: 'outbound' }, port: port2 }, [port2])
        return undefined
      },
    })
    const controller = new AbortController()
    const failed = failure(client.run('openStream', { target: 'x', protocols: ['/x'], options: {} }, controller.signal))
    await client.run('ping', 'x', AbortSignal.timeout(5)).catch(() => {})
    controller.abort('why')
    answer()
    expect(await failed).toBe('why')
    await until(() => heard.length > 0)
    expect(heard).toEqual(['ERR_STREAM_CLOSED'])
  })
})

describe('when the engine dies', () => {
  it('all that is pending and all to come rejects with why', async () => {
    const client = make({})
    const failed = [failure(client.run('dial', 'x')), failure(client.run('ping', 'x'))]
    const death = new TabmeshError('ERR_ENGINE_DIED', 'a test')
    client.die(death)
    client.die(new TabmeshError('ERR_STOPPED', 'a test'))
    expect(await Promise.all(failed)).toEqual([death, death])
    expect(await failure(client.run('peers', undefined))).toBe(death)
  })
})

it('leaves the errors of an application that uses Comlink too as they are', async () => {
  const { port1, port2 } = new MessageChannel()
  ports.push(port1, port2)
  expose(
    {
      fail: () => {
        throw new RangeError('its own')
      },
      odd: () => {
        throw { anything: 1 } as unknown as Error
      },
    },
    port2,
  )
  const remote = wrap<{ fail(): ConnectionInfo; odd(): void }>(port1)
  expect(await failure(Promise.resolve(remote.fail()))).toMatchObject({ name: 'RangeError', message: 'its own' })
  expect(await failure(Promise.resolve(remote.odd()))).toEqual({ anything: 1 })
})
