import { describe, expect, it } from 'vitest'
import { TabmeshError } from '../../../errors.ts'
import { parseMultiaddr } from '../../codec/multiaddr.ts'
import type { PeerId } from '../../codec/peer-id.ts'
import { MEND_STAGGER } from '../../limits.ts'
import type { Connection } from '../../net/connection.ts'
import type { Link, Net } from '../../net/service.ts'
import { World } from '../../testing/world.ts'
import type { Outcome } from '../../wire/conversation.ts'
import { openCircuit } from './ways.ts'

const circuits = [1, 2, 3].map((port) => parseMultiaddr(`/ip4/10.0.0.${port}/tcp/1/ws/p2p-circuit`))

/** What is dialled when, with the answers of the test. */
const scene = () => {
  const world = new World(7)
  const dialled: [number, string, (outcome: Outcome<Link>) => void][] = []
  const given: string[] = []
  const heard: Outcome<Connection>[] = []
  const host = { after: (ms: number, wake: () => void) => world.after(ms, wake) }
  const net = {
    host,
    adopt: (_link: Link, _peer: PeerId, done: (outcome: Outcome<Connection>) => void) =>
      done({ ok: true, value: { name: 'a circuit' } as unknown as Connection }),
  } as unknown as Net
  const began = world.now
  const stop = openCircuit(
    circuits,
    ({ text }, _net, done) => {
      dialled.push([world.now - began, text, done])
      return () => given.push(text)
    },
    net,
    'a peer' as PeerId,
    (outcome) => heard.push(outcome),
  )
  const answer = (at: number, ok: boolean): void =>
    dialled[at]?.[2](ok ? { ok: true, value: {} as Link } : { ok: false, fault: new TabmeshError('ERR_RELAY_UNREACHABLE', 'it is dead') })
  return { world, stop, answer, given, heard, times: () => dialled.map(([at]) => at) }
}

describe('ways to a peer', () => {
  it('the next is tried when one fails, or after a while', () => {
    const { world, answer, heard, given, times } = scene()
    expect(times()).toEqual([])
    world.run(10)
    expect(times()).toEqual([0])
    answer(0, false)
    expect(times()).toEqual([0, 10])
    world.run(MEND_STAGGER)
    expect(times()).toEqual([0, 10, 10 + MEND_STAGGER])
    answer(2, true)
    expect(heard).toMatchObject([{ ok: true }])
    // The one that is still under way is given up, and says nothing more.
    expect(given).toEqual([circuits[1]?.text])
    answer(1, false)
    world.run(10_000)
    expect([heard.length, times().length]).toEqual([1, 3])
  })

  it('when all have failed that is said once; when it is given up, nothing is', () => {
    const failed = scene()
    failed.world.run(1)
    for (const at of [0, 1, 2]) failed.answer(at, false)
    failed.world.run(10_000)
    expect(failed.heard).toMatchObject([{ ok: false, fault: { code: 'ERR_RELAY_UNREACHABLE' } }])

    const left = scene()
    left.world.run(1)
    left.stop()
    left.world.run(10_000)
    expect([left.heard, left.times(), left.given]).toEqual([[], [0], [circuits[0]?.text]])
  })
})
