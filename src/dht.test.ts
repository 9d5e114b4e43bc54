import { describe, expect, it } from 'vitest'
import { openDht } from './dht.ts'
import { utf8 } from './engine/codec/bytes.ts'
import type { TabmeshError } from './errors.ts'
import type { ControlClient } from './port/control.ts'

/** An engine that answers when the test says. */
const engine = () => {
  const calls: { name: string; args: { query: number }; signal: AbortSignal; answer: (result: unknown) => void }[] = []
  const faults: TabmeshError[] = []
  const run = (name: string, args: { query: number }, signal: AbortSignal): Promise<unknown> =>
    new Promise((resolve, reject) => {
      calls.push({ name, args, signal, answer: resolve })
      signal?.addEventListener('abort', () => reject(signal.reason))
    })
  const port = openDht({ run } as unknown as ControlClient, { validators: {}, selectors: {} }, (fault) => faults.push(fault))
  const call = () => calls.at(-1) as (typeof calls)[number]
  return { ...port, call, faults }
}

const peer = (id: string) => ({ id, addresses: [] })

describe('peer.dht in a page', () => {
  it.each(['closestPeers', 'findProviders'] as const)('%s yields what is found while the engine still looks', async (name) => {
    const { dht, hear, call } = engine()
    const found = dht[name]('key')[Symbol.asyncIterator]()
    const first = found.next()
    expect(call().name).toBe(name)
    const { query } = call().args
    hear({ t: 'found', query: query + 1, peer: peer('of another call') })
    hear({ t: 'found', query, peer: peer('a') })
    expect(await first).toEqual({ done: false, value: peer('a') })
    const second = found.next()
    // The answer may overtake what was found last.
    call().answer(2)
    hear({ t: 'found', query, peer: peer('b') })
    expect(await second).toEqual({ done: false, value: peer('b') })
    expect(await found.next()).toEqual({ done: true, value: undefined })
  })

  it.each(['closestPeers', 'findProviders'] as const)('%s is given up when its loop is left, or its signal says so', async (name) => {
    const { dht, hear, call } = engine()
    setTimeout(() => hear({ t: 'found', query: call().args.query, peer: peer('a') }))
    for await (const each of dht[name]('key')) {
      expect(each).toEqual(peer('a'))
      expect(call().signal.aborted).toBe(false)
      break
    }
    expect(call().signal.aborted).toBe(true)
    const giveUp = new AbortController()
    const next = dht[name]('key', { signal: giveUp.signal })[Symbol.asyncIterator]().next()
    const reason = new Error('enough')
    giveUp.abort(reason)
    expect(await next.catch((error) => error)).toBe(reason)
  })

  it('get tells of each better value at once, and of the result last, whichever way it comes', async () => {
    const { dht, hear, call, faults } = engine()
    const values: string[] = []
    const best = dht.get('/app/key', {
      onValue(value) {
        values.push(Buffer.from(value).toString())
        if (values.length === 1) throw new Error('of the application')
      },
    })
    hear({ t: 'value', query: call().args.query, value: utf8('1') })
    expect([values, faults.map(({ code }) => code)]).toEqual([['1'], ['ERR_HANDLER']])
    hear({ t: 'value', query: call().args.query, value: utf8('2') })
    call().answer(utf8('3'))
    expect(Buffer.from(await best).toString()).toBe('3')
    hear({ t: 'value', query: call().args.query, value: utf8('3') })
    expect(values).toEqual(['1', '2', '3'])
  })
})
