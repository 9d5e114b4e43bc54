import { describe, expect, it } from 'vitest'
import { KAD_KEEP_CONNECTION, KAD_MAX_KEPT_CONNECTIONS } from '../../limits.ts'
import type { Connection } from '../../net/connection.ts'
import type { Net } from '../../net/service.ts'
import { World } from '../../testing/world.ts'
import { Visits } from './visits.ts'

const open = (name: string, direction = 'outbound') => ({ name, direction, wanted: false }) as Connection & { readonly name: string }

const trial = (mayGo: (name: string) => boolean = () => true) => {
  const world = new World(1)
  const released: string[] = []
  const visits = new Visits({ host: world.host() } as Net, (connection) => {
    const { name } = connection as Connection & { readonly name: string }
    released.push(name)
    return mayGo(name)
  })
  const visit = (connection: Connection): void => {
    visits.opened(connection)
    visits.begin(connection)
    visits.end(connection)
  }
  return { world, released, visits, visit }
}

describe('visits', () => {
  it('end when the connection has been idle for its time, counted from the last request on it', () => {
    const { world, released, visits, visit } = trial()
    const a = open('a')
    visit(a)
    world.run(KAD_KEEP_CONNECTION - 1)
    visits.begin(a)
    visits.begin(a)
    world.run(2 * KAD_KEEP_CONNECTION)
    visits.end(a)
    world.run(2 * KAD_KEEP_CONNECTION)
    expect([released, visits.size]).toEqual([[], 1])
    visits.end(a)
    world.run(KAD_KEEP_CONNECTION)
    expect([released, visits.size, world.waiting]).toEqual([['a'], 0, 0])
  })

  it('of more than may be kept end with the one that was idle for longest; those who are busy do not count', () => {
    const { released, visits, visit } = trial()
    const busy = open('busy')
    visits.opened(busy)
    visits.begin(busy)
    const many = Array.from({ length: KAD_MAX_KEPT_CONNECTIONS + 1 }, (_, at) => open(`${at}`))
    for (const each of many.slice(0, -1)) visit(each)
    expect(released).toEqual([])
    // The first one is used again.
    visit(many[0] as Connection)
    visit(many.at(-1) as Connection)
    expect([released, visits.size]).toEqual([['1'], KAD_MAX_KEPT_CONNECTIONS + 1])
  })

  it('are no longer ours when somebody wants the connection; while it is in use they are tried again', () => {
    let inUse = true
    const { world, released, visits, visit } = trial(() => !inUse)
    const [a, b] = [open('a'), open('b')]
    visit(a)
    visit(b)
    a.wanted = true
    world.run(2 * KAD_KEEP_CONNECTION)
    expect([released, visits.size]).toEqual([['b', 'b'], 1])
    inUse = false
    world.run(KAD_KEEP_CONNECTION)
    expect([released, visits.size]).toEqual([['b', 'b', 'b'], 0])
  })

  it('are none where the remote came to us, or the connection was there, and leave nothing behind where it closes', () => {
    const { world, visits, visit } = trial()
    visit(open('c', 'inbound'))
    const d = open('d')
    visits.begin(d)
    visits.end(d)
    expect([visits.size, world.waiting]).toEqual([0, 0])
    visit(d)
    visits.closed(d)
    visits.end(d)
    expect([visits.size, world.waiting]).toEqual([0, 0])
    visit(open('e'))
    visits.stop()
    expect([visits.size, world.waiting]).toEqual([0, 0])
  })
})
