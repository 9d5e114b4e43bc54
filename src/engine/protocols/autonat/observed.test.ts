import { describe, expect, it } from 'vitest'
import { parseMultiaddr } from '../../codec/multiaddr.ts'
import { OBSERVED_ACTIVATION, OBSERVED_MAX_PER_LISTENER } from '../../limits.ts'
import type { TransportName } from '../../net/service.ts'
import type { Direction } from '../../net/stream.ts'
import { type Endpoint, endpointOf } from './endpoint.ts'
import { Observed } from './observed.ts'

const scene = (...bound: string[]) => {
  const observed = new Observed()
  observed.listen(bound.map(parseMultiaddr))
  let connections = 0
  return {
    observed,
    sees(direction: Direction, at: string, observer = `o${connections}`, transport: TransportName = 'tcp') {
      connections += 1
      const connection = { connections }
      observed.note(connection, { direction, transport, observer, observed: endpointOf(parseMultiaddr(at)) as Endpoint })
      return connection
    },
    get candidates() {
      return observed.candidates().map(({ address, pays }) => `${address.text}${pays ? ' pays' : ''}`)
    },
  }
}

describe('what others see', () => {
  it('of a connection that we made: the IP is ours, the port is not', () => {
    const our = scene('/ip4/0.0.0.0/tcp/4001', '/ip4/0.0.0.0/tcp/4002/ws', '/ip6/::/tcp/4001')
    our.sees('outbound', '/ip4/203.0.113.5/tcp/51234')
    expect(our.candidates).toEqual(['/ip4/203.0.113.5/tcp/4001', '/ip4/203.0.113.5/tcp/4002/ws'])
  })

  it('of one that came: the port is that of the listener of its transport, whatever a router made of it', () => {
    const our = scene('/ip4/0.0.0.0/tcp/4001', '/ip4/0.0.0.0/tcp/4002/ws')
    our.sees('inbound', '/ip4/203.0.113.5/tcp/80/ws', 'o', 'websocket')
    expect(our.candidates).toEqual(['/ip4/203.0.113.5/tcp/80/ws'])
  })

  it('is forgotten with the connection, and replaced by what it says later', () => {
    const our = scene('/ip4/0.0.0.0/tcp/4001')
    const connection = our.sees('outbound', '/ip4/203.0.113.5/tcp/1')
    our.observed.note(connection, {
      direction: 'outbound',
      transport: 'tcp',
      observer: 'o',
      observed: endpointOf(parseMultiaddr('/ip4/203.0.113.6/tcp/1')) as Endpoint,
    })
    expect(our.candidates).toEqual(['/ip4/203.0.113.6/tcp/4001'])
    our.observed.forget(connection)
    expect([our.candidates, our.observed.size]).toEqual([[], 0])
  })

  it('is paid for once enough agree; many peers of one machine are one', () => {
    const our = scene('/ip4/0.0.0.0/tcp/4001')
    for (let i = 0; i < 100; i++) our.sees('inbound', '/ip4/198.51.100.1/tcp/4001', 'one machine')
    expect(our.candidates).toEqual(['/ip4/198.51.100.1/tcp/4001'])
    for (let i = 1; i < OBSERVED_ACTIVATION; i++) our.sees('inbound', '/ip4/198.51.100.1/tcp/4001')
    expect(our.candidates).toEqual(['/ip4/198.51.100.1/tcp/4001 pays'])
  })

  it('by whom we chose counts before what a crowd that came to us says', () => {
    const our = scene('/ip4/0.0.0.0/tcp/4001')
    for (let i = 0; i < 1_000; i++) our.sees('inbound', `/ip4/198.51.100.${i % 200}/tcp/4001`)
    our.sees('outbound', '/ip4/203.0.113.5/tcp/1')
    expect(our.candidates).toHaveLength(OBSERVED_MAX_PER_LISTENER)
    expect(our.candidates[0]).toBe('/ip4/203.0.113.5/tcp/4001')
  })
})
