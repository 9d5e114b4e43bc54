import { expect, it } from 'vitest'
import { METRICS_MAX_PROTOCOLS } from '../limits.ts'
import type { Connection } from './connection.ts'
import { Metrics } from './metrics.ts'
import type { Stream } from './stream.ts'

const stream = (protocol: string, received = 0, sent = 0): Stream => ({ protocol, received, sent }) as Stream
const connection = { transport: 'memory' } as Connection

it('counts connections by transport, and streams and bytes by protocol, those still open included', () => {
  const metrics = new Metrics()
  metrics.connected(connection)
  metrics.connected(connection)
  metrics.disconnected(connection)
  const one = stream('/a/1')
  const two = stream('/a/1', 5, 7)
  metrics.opened(one)
  metrics.opened(two)
  Object.assign(one, { received: 10, sent: 20 })
  metrics.closed(one)
  metrics.closed(one)
  expect(metrics.snapshot()).toEqual({
    connections: { memory: { open: 1, total: 2 } },
    protocols: { '/a/1': { open: 1, total: 2, received: 15, sent: 27 } },
  })
  const copy = metrics.snapshot()
  metrics.closed(two)
  expect(copy.protocols['/a/1']?.open).toBe(1)
})

it('keeps so many names apart, and counts the rest together', () => {
  const metrics = new Metrics()
  const streams = Array.from({ length: METRICS_MAX_PROTOCOLS + 10 }, (_, at) => stream(`/p/${at}`))
  for (const each of streams) metrics.opened(each)
  const { protocols } = metrics.snapshot()
  expect(Object.keys(protocols).length).toBe(METRICS_MAX_PROTOCOLS + 1)
  expect(protocols.other).toMatchObject({ open: 10, total: 10 })
  for (const each of streams) metrics.closed(each)
  expect(Object.values(metrics.snapshot().protocols).every(({ open }) => open === 0)).toBe(true)
})

it('follows a stream whose protocol is agreed on after it was opened', () => {
  const metrics = new Metrics()
  const asked = stream('/a/2')
  metrics.opened(asked)
  asked.protocol = '/a/1'
  metrics.closed(asked)
  expect(metrics.snapshot().protocols['/a/2']).toMatchObject({ open: 0, total: 1 })
})
