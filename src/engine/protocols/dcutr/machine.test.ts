import { describe, expect, it } from 'vitest'
import { TabmeshError } from '../../../errors.ts'
import { type Multiaddr, parseMultiaddr } from '../../codec/multiaddr.ts'
import { DCUTR_EXCHANGE_TIMEOUT, DCUTR_LATE, DCUTR_PUNCH_BRIEF, DCUTR_PUNCH_TIMEOUT } from '../../limits.ts'
import { property } from '../../testing/property.ts'
import { Dcutr, type DcutrInput } from './machine.ts'
import type { HolePunch } from './messages.ts'

const own = [parseMultiaddr('/ip4/203.0.113.1/tcp/4001')]
const theirs = [parseMultiaddr('/ip4/203.0.113.2/tcp/4002')]
const connect: HolePunch = { t: 'connect', addresses: theirs }
const sync: HolePunch = { t: 'sync' }

/** A machine, and all that it said, one word each. */
const play = (side: 'caller' | 'answerer', sift = (addresses: readonly Multiaddr[]): readonly Multiaddr[] => addresses) => {
  const machine = new Dcutr(side, { own, sift }, 0)
  const heard: string[] = []
  const drain = (): void => {
    for (let output = machine.poll(); output !== undefined; output = machine.poll()) {
      if (output.t === 'say') heard.push(output.message.t.toUpperCase())
      else if (output.t === 'ready') heard.push(`ready as ${output.role}`)
      else if (output.t === 'over') heard.push(`over ${output.fault?.code ?? 'well'}`)
      else heard.push(output.t)
    }
  }
  drain()
  return {
    machine,
    feed(input: DcutrInput, now: number): string[] {
      heard.length = 0
      machine.handle(input, now)
      drain()
      return [...heard]
    },
    heard,
  }
}

describe('the side that calls', () => {
  it('says CONNECT, then SYNC, and punches after half the round trip', () => {
    const { machine, feed, heard } = play('caller')
    expect(heard).toEqual(['open', 'CONNECT'])
    expect(feed({ t: 'said', message: connect }, 80)).toEqual(['SYNC', 'finish', 'ready as server'])
    expect(machine.deadline).toBe(120)
    expect(feed({ t: 'tick' }, 119)).toEqual([])
    expect(feed({ t: 'tick' }, 120)).toEqual(['punch'])
    expect(feed({ t: 'direct' }, 200)).toEqual(['rest', 'over well'])
    expect([machine.over, machine.deadline]).toEqual([true, undefined])
  })

  it('tries three times, each with a round trip of its own, the last time as the client', () => {
    const { machine, feed } = play('caller')
    let now = 0
    const waits: number[] = []
    const attempt = (rtt: number): string[] => {
      now += rtt
      const said = feed({ t: 'said', message: connect }, now)
      for (let step = 0; step < 2; step += 1) {
        waits.push((machine.deadline as number) - now)
        now = machine.deadline as number
        said.push(...feed({ t: 'tick' }, now))
      }
      return said
    }
    expect(attempt(1_000)).toEqual(['SYNC', 'finish', 'ready as server', 'punch', 'rest', 'open', 'CONNECT'])
    expect(attempt(10)).toEqual(['SYNC', 'finish', 'ready as server', 'punch', 'rest', 'open', 'CONNECT'])
    expect(attempt(10)).toEqual(['SYNC', 'finish', 'ready as client', 'punch', 'rest', 'over ERR_UNREACHABLE'])
    expect(machine.over).toBe(true)
    // Half a round trip, then eight of them; the second knock is late.
    expect(waits).toEqual([500, DCUTR_PUNCH_TIMEOUT, 5 + DCUTR_LATE, DCUTR_PUNCH_BRIEF, 5, DCUTR_PUNCH_TIMEOUT])
  })

  it.each([
    ['SYNC in place of CONNECT', { t: 'said', message: sync }, 'ERR_PROTOCOL'],
    ['a stream that ends', { t: 'ended', fault: undefined }, 'ERR_STREAM_CLOSED'],
    ['a stream that breaks', { t: 'ended', fault: new TabmeshError('ERR_STREAM_RESET', 'reset') }, 'ERR_STREAM_RESET'],
    ['no addresses', { t: 'said', message: { t: 'connect', addresses: [] } }, 'ERR_NO_ADDRESS'],
  ] as const)('gives up on %s', (_name, input, code) => {
    expect(play('caller').feed(input, 10)).toEqual(['rest', `over ${code}`])
  })

  it('gives up on silence, not before its time', () => {
    const { feed } = play('caller')
    expect(feed({ t: 'tick' }, DCUTR_EXCHANGE_TIMEOUT - 1)).toEqual([])
    expect(feed({ t: 'tick' }, DCUTR_EXCHANGE_TIMEOUT)).toEqual(['rest', 'over ERR_TIMEOUT'])
  })

  it('has nothing to say to a second CONNECT', () => {
    const { feed } = play('caller')
    feed({ t: 'said', message: connect }, 10)
    expect(feed({ t: 'said', message: connect }, 11)).toEqual(['rest', 'over ERR_PROTOCOL'])
  })
})

describe('the side that answers', () => {
  it('answers CONNECT and punches at once on SYNC, as the client; the stream has done its work by then', () => {
    const { feed, heard } = play('answerer')
    expect(heard).toEqual([])
    expect(feed({ t: 'said', message: connect }, 10)).toEqual(['CONNECT'])
    expect(feed({ t: 'said', message: sync }, 50)).toEqual(['finish', 'ready as client', 'punch'])
    expect(feed({ t: 'ended', fault: undefined }, 60)).toEqual([])
    expect(feed({ t: 'tick' }, 50 + DCUTR_PUNCH_TIMEOUT)).toEqual(['rest', 'over ERR_UNREACHABLE'])
  })

  it('refuses SYNC without CONNECT, and CONNECT twice', () => {
    expect(play('answerer').feed({ t: 'said', message: sync }, 1)).toEqual(['rest', 'over ERR_PROTOCOL'])
    const { feed } = play('answerer')
    feed({ t: 'said', message: connect }, 1)
    expect(feed({ t: 'said', message: connect }, 2)).toEqual(['rest', 'over ERR_PROTOCOL'])
  })

  it('has no answer to addresses of which none can be tried', () => {
    expect(play('answerer', () => []).feed({ t: 'said', message: connect }, 1)).toEqual(['rest', 'over ERR_NO_ADDRESS'])
  })

  it('waits for SYNC as long as for all of it', () => {
    const { feed } = play('answerer')
    feed({ t: 'said', message: connect }, 9_000)
    expect(feed({ t: 'tick' }, DCUTR_EXCHANGE_TIMEOUT)).toEqual(['rest', 'over ERR_TIMEOUT'])
  })
})

it('whatever comes in whatever order: it is over once, and what was begun is ended', () => {
  property(300, (random) => {
    const machine = new Dcutr(random.below(2) === 0 ? 'caller' : 'answerer', { own, sift: (all) => all }, 0)
    let now = 0
    let open = 0
    let ends = 0
    for (let step = 0; step < 40; step++) {
      now += random.below(6_000)
      const inputs: DcutrInput[] = [
        { t: 'tick' },
        { t: 'tick' },
        { t: 'said', message: connect },
        { t: 'said', message: sync },
        { t: 'ended', fault: undefined },
        { t: 'direct' },
      ]
      machine.handle(inputs[random.below(inputs.length)] as DcutrInput, now)
      for (let output = machine.poll(); output !== undefined; output = machine.poll()) {
        expect(ends).toBe(0)
        if (output.t === 'ready') expect(open++).toBe(0)
        if (output.t === 'punch') expect(open).toBe(1)
        if (output.t === 'rest') open = 0
        if (output.t === 'over') ends++
      }
      expect(machine.over).toBe(machine.deadline === undefined)
    }
    expect(ends).toBe(machine.over ? 1 : 0)
    if (machine.over) expect(open).toBe(0)
  })
})
