import { describe, expect, it } from 'vitest'
import { parseMultiaddr } from '../../codec/multiaddr.ts'
import {
  AUTONAT_MAX_ADDRESSES,
  AUTONAT_RATE_ALL,
  AUTONAT_RATE_DATA,
  AUTONAT_RATE_NETWORK,
  AUTONAT_RATE_PEER,
  AUTONAT_RATE_PERIOD,
} from '../../limits.ts'
import { Allowance, choose, networkOf } from './policy.ts'

const PEER = '12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5'
const OTHER = '12D3KooWPjceQrSwdWXPyLLeABRXmuqt69Rg3sBYbU1Nft9HyQ6X'
const remote = parseMultiaddr('/ip4/203.0.113.5/tcp/51234')
const chosen = (texts: string[], allowPrivate = false) =>
  choose(
    texts.map((text) => parseMultiaddr(text).bytes),
    { peer: PEER, remote, allowPrivate, canDial: ({ parts }) => parts.some(({ name }) => name === 'tcp') },
  )

describe('which address is dialled', () => {
  it('the first that we can and will dial', () => {
    const choice = chosen([
      '/ip4/203.0.113.5/udp/1/quic-v1',
      '/ip4/10.0.0.1/tcp/1',
      '/ip4/203.0.113.5/tcp/4001',
      '/ip4/203.0.113.5/tcp/4002',
    ])
    expect(choice).toMatchObject({ index: 2, address: { text: '/ip4/203.0.113.5/tcp/4001' }, needsData: false })
  })

  it('another IP than the client is seen at costs dial data', () => {
    expect(chosen(['/ip4/203.0.113.6/tcp/4001'])?.needsData).toBe(true)
    expect(chosen(['/ip6/2606:4700::1/tcp/4001'])?.needsData).toBe(true)
  })

  it('none of these', () => {
    const refused = [
      '/ip4/127.0.0.1/tcp/22',
      '/ip4/169.254.169.254/tcp/80',
      '/ip4/192.168.1.1/tcp/80',
      '/ip4/0.0.0.0/tcp/80',
      '/ip6/::1/tcp/80',
      '/ip6/2002:7f00:1::/tcp/80',
      '/ip4/203.0.113.5/tcp/0',
      // A name may lead anywhere.
      '/dns4/localhost/tcp/80',
      '/dnsaddr/example.com/tcp/80',
      `/ip4/203.0.113.5/tcp/4001/p2p/${OTHER}/p2p-circuit`,
      `/ip4/203.0.113.5/tcp/4001/p2p/${OTHER}/p2p-circuit/p2p/${PEER}`,
      `/ip4/203.0.113.5/tcp/4001/p2p/${OTHER}`,
      '/memory/1',
    ]
    for (const each of refused) expect(chosen([each]), each).toBeUndefined()
    expect(chosen(refused)).toBeUndefined()
    expect(chosen([])).toBeUndefined()
  })

  it('private ones where that is allowed', () => {
    expect(chosen(['/ip4/127.0.0.1/tcp/4001'], true)?.index).toBe(0)
    expect(chosen(['/ip4/0.0.0.0/tcp/4001'], true)).toBeUndefined()
  })

  it('past AUTONAT_MAX_ADDRESSES nobody looks; what is no address is passed over', () => {
    const good = parseMultiaddr('/ip4/203.0.113.5/tcp/4001').bytes
    const noise = Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
    const choosing = { peer: PEER, remote, allowPrivate: false, canDial: () => true }
    expect(choose([...Array.from({ length: AUTONAT_MAX_ADDRESSES - 1 }, () => noise), good], choosing)?.index).toBe(
      AUTONAT_MAX_ADDRESSES - 1,
    )
    expect(choose([...Array.from({ length: AUTONAT_MAX_ADDRESSES }, () => noise), good], choosing)).toBeUndefined()
  })
})

describe('how many requests are taken', () => {
  it('one at a time of each peer', () => {
    const allowance = new Allowance()
    expect([allowance.take('a', 'n', 0), allowance.take('a', 'n', 0)]).toEqual([true, false])
    allowance.finish('a')
    expect(allowance.take('a', 'n', 0)).toBe(true)
  })

  it('so many of one peer, of one network, and of all in a minute; then again', () => {
    const allowance = new Allowance()
    const flood = (peer: (i: number) => string, network: (i: number) => string | undefined, now: number): number => {
      let taken = 0
      for (let i = 0; i < 1_000; i++) {
        if (allowance.take(peer(i), network(i), now)) taken += 1
        allowance.finish(peer(i))
      }
      return taken
    }
    expect(
      flood(
        () => 'a',
        () => 'n',
        0,
      ),
    ).toBe(AUTONAT_RATE_PEER)
    expect(
      flood(
        (i) => `p${i}`,
        () => 'n',
        0,
      ),
    ).toBe(AUTONAT_RATE_NETWORK - AUTONAT_RATE_PEER)
    expect(
      flood(
        (i) => `q${i}`,
        (i) => `n${i}`,
        0,
      ),
    ).toBe(AUTONAT_RATE_ALL - AUTONAT_RATE_NETWORK)
    expect(
      flood(
        (i) => `r${i}`,
        () => undefined,
        AUTONAT_RATE_PERIOD - 1,
      ),
    ).toBe(0)
    expect(
      flood(
        (i) => `r${i}`,
        () => undefined,
        AUTONAT_RATE_PERIOD,
      ),
    ).toBe(AUTONAT_RATE_ALL)
  })

  it('fewer of those that cost dial data', () => {
    const allowance = new Allowance()
    const taken = Array.from({ length: 100 }, () => allowance.takeData(0)).filter(Boolean)
    expect([taken.length, allowance.takeData(AUTONAT_RATE_PERIOD)]).toEqual([AUTONAT_RATE_DATA, true])
  })

  it('networks are public ones', () => {
    expect([networkOf(remote), networkOf(parseMultiaddr('/ip4/10.0.0.1/tcp/1')), networkOf(parseMultiaddr('/memory/1'))]).toEqual([
      '203.0.113.5',
      undefined,
      undefined,
    ])
  })
})
