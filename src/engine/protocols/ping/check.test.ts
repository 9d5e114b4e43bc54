import { describe, expect, it } from 'vitest'
import { CHECK_SLOW, CHECK_TIMEOUT } from '../../limits.ts'
import type { Connection } from '../../net/connection.ts'
import type { Net } from '../../net/service.ts'
import { World } from '../../testing/world.ts'
import type { Outcome } from '../../wire/conversation.ts'
import { identifyService } from '../identify/service.ts'
import { type CheckService, checkService } from './check.ts'
import { pingService } from './service.ts'

type Ping = (connection: Connection, done: (outcome: Outcome<number>) => void) => void

/** A is connected to B; `ping` is what A asks with. */
const scene = (seed: number, ping?: Ping) => {
  const world = new World(seed, 5)
  const own = pingService()
  const dead: Connection[] = []
  const slow: Connection[] = []
  const check: CheckService = checkService({
    ping: ping ?? own.ping,
    onSlow: (connection) => slow.push(connection),
    onDead: (connection) => dead.push(connection),
  })
  const a = world.node(() => ({ services: [identifyService(), own, check] }))
  const b = world.node(() => ({ services: [identifyService(), pingService()] }))
  a.node.dial({ addresses: [b.address] }, () => {})
  world.run(2_000)
  const connection = a.node.connections()[0] as Connection
  expect(connection.status).toBe('open')
  return { world, a, connection, check, slow, dead }
}

const silent: Ping = () => {}

describe('after a change of network', () => {
  it('a connection that answers stays', () => {
    const { world, a, connection, dead } = scene(1)
    a.node.online()
    world.run(10_000)
    expect([connection.status, dead]).toEqual(['open', []])
  })

  it('one that is silent is closed with a code, and not before its time', () => {
    const { world, a, connection, dead } = scene(2, silent)
    a.node.online()
    world.run(CHECK_TIMEOUT - 10)
    expect(connection.status).toBe('open')
    world.run(20)
    expect([connection.status, dead]).toEqual(['closed', [connection]])
    expect(a.events.find(({ t }) => t === 'connection:close')).toMatchObject({ fault: { code: 'ERR_TIMEOUT' } })
  })

  it('one that is silent is told to be slow first, once; one that answers then is alive', () => {
    let answer = (): void => {}
    const { world, a, connection, slow, dead } = scene(5, (_connection, done) => {
      answer = () => done({ ok: true, value: 500 })
    })
    a.node.online()
    world.run(CHECK_SLOW - 10)
    expect(slow).toEqual([])
    world.run(20)
    expect(slow).toEqual([connection])
    answer()
    world.run(10_000)
    expect([connection.status, slow, dead]).toEqual(['open', [connection], []])
  })

  it('one on which anything arrives is alive, whatever becomes of the ping', () => {
    const { world, a, connection } = scene(3, silent)
    a.node.online()
    world.run(100)
    connection.openStream(['/ipfs/ping/1.0.0']).end()
    world.run(10_000)
    expect(connection.status).toBe('open')
  })

  it('nothing is concluded while the network is away', () => {
    const { world, a, connection } = scene(4, silent)
    a.node.online()
    a.node.offline()
    world.run(20_000)
    expect(connection.status).toBe('open')
    a.node.online()
    world.run(CHECK_TIMEOUT - 10)
    expect(connection.status).toBe('open')
    world.run(20)
    expect(connection.status).toBe('closed')
  })
})

describe('a check', () => {
  it('that was overslept waits once more: the answer may lie behind the timer', () => {
    let now = 0
    const timers: (() => void)[] = []
    const check = checkService({ ping: silent })
    const after = (_ms: number, wake: () => void) => {
      timers.push(wake)
      return () => {}
    }
    const host = { now: () => now, after }
    check.start?.({ host } as unknown as Net)
    let verdict: boolean | undefined
    check.check({ status: 'open' } as Connection, 1_000, (alive) => {
      verdict = alive
    })
    // The whole machine slept: the first timer is a minute late.
    now = 60_000
    timers[0]?.()
    expect(verdict).toBe(undefined)
    now += 1_000
    timers[1]?.()
    expect(verdict).toBe(false)
  })

  it('says at once that a connection which closes is dead, and says nothing once it was called off', () => {
    const { world, connection, check } = scene(6)
    const verdicts: boolean[] = []
    check.check(connection, 1_000, (alive) => verdicts.push(alive))()
    check.check(connection, 1_000, (alive) => verdicts.push(alive))
    connection.abort(Object.assign(new Error('x'), { code: 'ERR_CONNECTION_CLOSED' }) as never)
    world.run(5_000)
    expect(verdicts).toEqual([false])
  })
})
