/** Port mapping with a gateway made of plain functions, and a clock that the test moves. */

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type Multiaddr, parseMultiaddr } from '../engine/codec/multiaddr.ts'
import { PORT_MAPPING_CLOSE_TIMEOUT, PORT_MAPPING_RETRY, PORT_MAPPING_RETRY_MAX, PORT_MAPPING_TIMEOUT } from '../engine/limits.ts'
import type { Mapper, Mappings, Port } from './port-mapping/mapper.ts'
import { mapPorts } from './port-mapping.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

const LISTENING = [
  '/ip4/192.168.1.10/tcp/4001',
  '/ip4/192.168.1.10/tcp/4001/ws',
  '/ip4/192.168.1.10/udp/4002/quic-v1',
  '/ip4/127.0.0.1/tcp/4001',
  '/ip6/fd00::1/tcp/4001',
  '/ip4/8.8.8.8/tcp/4003',
]
const HOUR = 3_600

/** Gives every port 1,000 more than asked for. */
const granted = (ports: readonly Port[], externalIp = '203.0.113.7', lease = HOUR): Mappings => ({
  externalIp,
  mapped: ports.map((port) => ({ ...port, external: port.external + 1_000, lease })),
  faults: [],
})

const scene = (
  map: (ports: readonly Port[], signal: AbortSignal) => Mappings | Promise<Mappings>,
  listening: readonly string[] = LISTENING,
) => {
  const log: string[] = []
  let addresses: readonly Multiaddr[] = listening.map(parseMultiaddr)
  const textOf = (ports: readonly Port[]): string => ports.map(({ protocol, host, port }) => `${protocol} ${host}:${port}`).join(', ')
  const mapper: Mapper = {
    name: 'a gateway',
    map: async (ports, signal) => {
      log.push(`map ${textOf(ports)}`)
      return map(ports, signal)
    },
    unmap: async (ports) => {
      log.push(`unmap ${textOf(ports)}`)
    },
  }
  const mapping = mapPorts({
    listening: () => addresses,
    announce: (found) => log.push(`announce ${found.map(({ text }) => text).join(' ')}`),
    fail: ({ code, message }) => log.push(`${code} ${message.split(':')[0]}`),
    mappers: [mapper],
  })
  const listen = (...texts: string[]): void => {
    addresses = texts.map(parseMultiaddr)
    mapping.update()
  }
  /** What was logged since the last time. */
  const said = async (ms = 0): Promise<string[]> => {
    await vi.advanceTimersByTimeAsync(ms)
    return log.splice(0)
  }
  return { mapping, mapper, listen, said }
}

const BOTH = 'map tcp 192.168.1.10:4001, udp 192.168.1.10:4002'
const ANNOUNCED = 'announce /ip4/203.0.113.7/tcp/5001 /ip4/203.0.113.7/tcp/5001/ws /ip4/203.0.113.7/udp/5002/quic-v1'

describe('port mapping', () => {
  it('maps each port of a private address once, announces where it leads to, renews it, and removes it at the end', async () => {
    const { mapping, said } = scene((ports) => granted(ports))
    mapping.update()
    expect(await said()).toEqual([BOTH, ANNOUNCED])
    expect(await said(HOUR * 500 - 1)).toEqual([])
    // Half of the lease has passed; nothing has changed.
    expect(await said(1)).toEqual([BOTH])
    expect(await said(HOUR * 500)).toEqual([BOTH])
    await mapping.close()
    expect(await said(HOUR * 1_000)).toEqual(['unmap tcp 192.168.1.10:4001, udp 192.168.1.10:4002'])
  })

  it('has nothing to do for loopback and public addresses', async () => {
    const { mapping, said } = scene(
      (ports) => granted(ports),
      ['/ip4/127.0.0.1/tcp/1', '/ip4/8.8.8.8/tcp/1', '/ip6/fd00::1/tcp/1', '/dns4/a.example/tcp/1'],
    )
    mapping.update()
    await mapping.close()
    expect(await said(HOUR * 1_000)).toEqual([])
  })

  it('announces nothing behind another NAT, and says so once', async () => {
    for (const inner of [
      '192.168.0.2',
      '10.1.2.3',
      '172.20.0.1',
      '100.64.9.9',
      '192.0.0.2',
      '169.254.1.1',
      '127.0.0.1',
      '0.0.0.0',
      '224.0.0.1',
      '255.255.255.255',
      'undefined',
      '1.2.3',
    ]) {
      const { mapping, said } = scene((ports) => granted(ports, inner))
      mapping.update()
      expect(await said(HOUR * 600)).toEqual([BOTH, `ERR_PORT_MAPPING the gateway's own address ${inner} is not public`, BOTH])
      await mapping.close()
    }
  })

  it('follows the external address, and a gateway that moves behind another NAT', async () => {
    const outer = ['203.0.113.7', '203.0.113.8', '10.0.0.1', '203.0.113.7']
    const { mapping, listen, said } = scene((ports) => granted(ports, outer.shift()))
    listen('/ip4/192.168.1.10/tcp/4001')
    expect(await said()).toContain('announce /ip4/203.0.113.7/tcp/5001')
    expect(await said(HOUR * 500)).toContain('announce /ip4/203.0.113.8/tcp/5001')
    expect(await said(HOUR * 500)).toContain('announce ')
    expect(await said(HOUR * 500)).toContain('announce /ip4/203.0.113.7/tcp/5001')
    await mapping.close()
  })

  it('follows what is listened on: maps what is new, removes what is gone', async () => {
    const { mapping, listen, said } = scene((ports) => granted(ports))
    listen('/ip4/192.168.1.10/tcp/4001')
    await said()
    // Another certificate on the same port needs no round.
    listen('/ip4/192.168.1.10/tcp/4001', '/ip4/192.168.1.10/tcp/4001/ws')
    expect(await said()).toEqual(['announce /ip4/203.0.113.7/tcp/5001 /ip4/203.0.113.7/tcp/5001/ws'])
    listen('/ip4/192.168.1.20/tcp/4009')
    expect(await said()).toEqual(['map tcp 192.168.1.20:4009', 'announce /ip4/203.0.113.7/tcp/5009', 'unmap tcp 192.168.1.10:4001'])
    await mapping.close()
  })

  it('says once that no gateway answers, and tries again ever more seldom', async () => {
    const { mapping, said } = scene(() => Promise.reject(new Error('nobody there')))
    mapping.update()
    const [first, fault, ...rest] = await said(PORT_MAPPING_RETRY * (1 + 2 + 4) - 1)
    expect([first, fault]).toEqual([BOTH, 'ERR_PORT_MAPPING no gateway maps ports (a gateway'])
    expect(rest).toEqual([BOTH, BOTH])
    expect((await said(24 * 3_600_000)).length).toBeLessThan((24 * 3_600_000) / PORT_MAPPING_RETRY_MAX + 5)
    await mapping.close()
    expect(await said(24 * 3_600_000)).toEqual([])
  })

  it('keeps announcing while the lease lasts when a gateway falls silent, and no longer', async () => {
    let silent = false
    const { mapping, said } = scene((ports) => (silent ? Promise.reject(new Error('silent')) : granted(ports)))
    mapping.update()
    await said()
    silent = true
    expect(await said(HOUR * 990)).toEqual([BOTH, expect.stringContaining('ERR_PORT_MAPPING'), ...Array(4).fill(BOTH)])
    expect(await said(HOUR * 20)).toEqual([BOTH, 'announce '])
    silent = false
    expect(await said(PORT_MAPPING_RETRY_MAX)).toContain(ANNOUNCED)
    await mapping.close()
  })

  it('renews short leases in time, but makes no storm of them', async () => {
    const { mapping, said } = scene((ports) => granted(ports, '203.0.113.7', 1))
    mapping.update()
    await said()
    expect(await said(60_000)).toHaveLength(6)
    await mapping.close()
  })

  it('tells which ports the gateway would not map', async () => {
    const { mapping, said } = scene((ports) => ({ ...granted(ports.slice(0, 1)), faults: [new Error('full')] }))
    mapping.update()
    expect(await said()).toEqual([
      BOTH,
      'announce /ip4/203.0.113.7/tcp/5001 /ip4/203.0.113.7/tcp/5001/ws',
      'ERR_PORT_MAPPING 1 of 2 ports could not be mapped',
    ])
    await mapping.close()
  })

  it('gives a round up in time', async () => {
    const { mapping, said } = scene(
      (_, signal) => new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
    )
    mapping.update()
    expect(await said(PORT_MAPPING_TIMEOUT - 1)).toEqual([BOTH])
    expect(await said(1)).toEqual(['ERR_PORT_MAPPING no gateway maps ports (a gateway'])
    await mapping.close()
  })

  it('stops in the midst of a round, and in time where the gateway is silent', async () => {
    const { mapping, mapper, said } = scene(
      (_, signal) => new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
    )
    mapping.update()
    await said()
    await mapping.close()
    expect(await said(HOUR * 1_000)).toEqual([])

    vi.useRealTimers()
    const announced = vi.fn()
    const slow = mapPorts({
      listening: () => LISTENING.map(parseMultiaddr),
      announce: announced,
      fail: () => {},
      mappers: [
        {
          ...mapper,
          map: async (ports) => granted(ports),
          unmap: (_, signal) => new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
        },
      ],
    })
    slow.update()
    await vi.waitFor(() => expect(announced).toHaveBeenCalled())
    const began = performance.now()
    await slow.close()
    expect(performance.now() - began).toBeLessThan(PORT_MAPPING_CLOSE_TIMEOUT + 500)
  })

  it('tries the second way where the first one fails, and that one first from then on', async () => {
    const log: string[] = []
    const way = (name: string, works: boolean): Mapper => ({
      name,
      map: async (ports) => {
        log.push(name)
        if (!works) throw new Error('no')
        return granted(ports)
      },
      unmap: async () => {},
    })
    const mapping = mapPorts({
      listening: () => LISTENING.map(parseMultiaddr),
      announce: () => {},
      fail: () => log.push('failed'),
      mappers: [way('NAT-PMP', false), way('UPnP', true)],
    })
    mapping.update()
    await vi.advanceTimersByTimeAsync(HOUR * 500)
    expect(log).toEqual(['NAT-PMP', 'UPnP', 'UPnP'])
    await mapping.close()
  })
})
