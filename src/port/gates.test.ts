import { describe, expect, it } from 'vitest'
import { parseMultiaddr } from '../engine/codec/multiaddr.ts'
import type { PeerId } from '../engine/codec/peer-id.ts'
import { ask, type Candidate, type Question } from '../engine/net/gater.ts'
import { World } from '../engine/testing/world.ts'
import type { TabmeshError } from '../errors.ts'
import type { Gater } from '../types/gater.ts'
import { askPage, decide, gatesOf } from './gates.ts'
import type { GateName, GateQuestion } from './messages.ts'

const peer = 'QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N' as PeerId
const address = parseMultiaddr('/ip4/192.0.2.7/tcp/4001')
const candidate: Candidate = {
  remotePeer: peer,
  remoteAddr: address,
  direction: 'inbound',
  transport: 'tcp',
  limit: { data: 1 },
  encryption: '/noise',
  muxer: '/yamux/1.0.0',
}

describe('the hooks of a gater', () => {
  it('are those that it has, its own or its class’s', () => {
    class Guard {
      accept(): boolean {
        return true
      }
      secured(): boolean {
        return false
      }
    }
    expect(gatesOf(undefined)).toEqual([])
    expect(gatesOf({ dial: () => true, reservation: async () => false })).toEqual(['dial', 'reservation'])
    expect(gatesOf(new Guard())).toEqual(['accept', 'secured'])
  })

  it('are some: what would let everybody in for a slip of the keyboard is refused', () => {
    for (const gater of [{}, { dail: () => false }, null, 'no', () => false, { dial: undefined }]) {
      expect(() => gatesOf(gater as Gater)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARGUMENT' }))
    }
    expect(() => gatesOf({ accept: () => true, dial: false } as never)).toThrow(/`connections\.gater\.dial` is no function/)
  })
})

describe('what the application says', () => {
  const question: GateQuestion = { hook: 'accept', about: { remoteAddr: address.text } }
  const said = async (accept: () => unknown): Promise<[boolean, ...unknown[]]> => {
    const faults: TabmeshError[] = []
    const allowed = await decide({ accept } as Gater, question, (fault) => faults.push(fault))
    return [allowed, ...faults.map(({ code, cause }) => [code, cause instanceof Error ? cause.message.split(':')[0] : cause])]
  }

  it('counts, now or later', async () => {
    expect(await said(() => true)).toEqual([true])
    expect(await said(() => false)).toEqual([false])
    expect(await said(async () => true)).toEqual([true])
    expect(await said(() => new Promise((resolve) => setImmediate(() => resolve(false))))).toEqual([false])
  })

  it('is a refusal, and is told of, where it throws, rejects or says neither yes nor no', async () => {
    const broken = new Error('the list is on fire')
    const thrown = [false, ['ERR_HANDLER', 'the list is on fire']]
    expect(
      await said(() => {
        throw broken
      }),
    ).toEqual(thrown)
    expect(await said(() => Promise.reject(broken))).toEqual(thrown)
    for (const nonsense of [undefined, null, 1, 'yes', {}]) {
      const [allowed, fault] = await said(() => nonsense)
      expect([allowed, fault]).toEqual([false, ['ERR_HANDLER', `a gater answers true or false, not ${String(nonsense)}`]])
    }
  })

  it('is asked of the gater itself, with what is known', async () => {
    class Guard {
      readonly #banned = new Set([address.text])
      accept({ remoteAddr }: { remoteAddr: string }): boolean {
        return !this.#banned.has(remoteAddr)
      }
    }
    expect(await decide(new Guard(), question, () => expect.unreachable())).toBe(false)
    const other: GateQuestion = { hook: 'accept', about: { remoteAddr: '/ip4/192.0.2.8/tcp/1' } }
    expect(await decide(new Guard(), other, () => expect.unreachable())).toBe(true)
  })
})

describe('a page that is asked', () => {
  const questions: readonly Question[] = [
    { t: 'dial', peer: undefined, address },
    { t: 'accept', address },
    { t: 'secured', peer, direction: 'outbound', address },
    { t: 'upgraded', candidate },
    { t: 'reservation', peer },
  ]

  it('hears of what it has a hook for, in words that can be sent', () => {
    const world = new World(1)
    for (const given of [['dial', 'accept', 'secured', 'upgraded', 'reservation'], ['secured'], ['accept', 'upgraded']] as GateName[][]) {
      const heard: GateQuestion[] = []
      const gates = askPage(given, (id, question) => {
        heard.push(structuredClone(question))
        world.after(1, () => gates?.answer(id, true))
      })
      if (gates === undefined) throw new Error('no gates')
      const outcomes: unknown[] = []
      ask(gates.gater, world, questions, (refusal) => outcomes.push(refusal))
      world.run(1_000)
      expect(outcomes).toEqual([undefined])
      const { text } = address
      const all: GateQuestion[] = [
        { hook: 'dial', about: { remotePeer: undefined, remoteAddr: text } },
        { hook: 'accept', about: { remoteAddr: text } },
        { hook: 'secured', about: { remotePeer: peer, remoteAddr: text, direction: 'outbound' } },
        {
          hook: 'upgraded',
          about: {
            remotePeer: peer,
            remoteAddr: text,
            direction: 'inbound',
            transport: 'tcp',
            limited: true,
            encryption: '/noise',
            muxer: '/yamux/1.0.0',
          },
        },
        { hook: 'reservation', about: { remotePeer: peer } },
      ]
      expect(heard).toEqual(all.filter(({ hook }) => given.includes(hook)))
      expect([gates.waiting, world.waiting]).toEqual([0, 0])
    }
  })

  it('without hooks is not asked', () => {
    expect(askPage([], () => expect.unreachable())).toBeUndefined()
  })

  it('and does not answer is forgotten: at the deadline, and when nobody waits any more', () => {
    const world = new World(2)
    const ids: number[] = []
    const gates = askPage(['accept'], (id) => ids.push(id))
    if (gates === undefined) throw new Error('no gates')
    const outcomes: (string | undefined)[] = []
    const cancels = [...Array(1_000).keys()].map(() =>
      ask(gates.gater, world, [{ t: 'accept', address }], (refusal) => outcomes.push(refusal?.code)),
    )
    expect(gates.waiting).toBe(1_000)
    for (const cancel of cancels.slice(0, 400)) cancel()
    expect(gates.waiting).toBe(600)
    gates.answer(ids[500] as number, true)
    world.run(60_000)
    expect([gates.waiting, world.waiting, outcomes.length]).toEqual([0, 0, 600])
    expect(outcomes.filter((code) => code === 'ERR_GATED').length).toBe(599)
    // Too late, twice, and to what was never asked.
    for (const id of [...ids, ids[0] as number, 0, -1, 9_999]) gates.answer(id, true)
    expect(outcomes.length).toBe(600)
  })
})
