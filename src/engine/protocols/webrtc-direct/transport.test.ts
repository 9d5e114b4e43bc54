import { describe, expect, it } from 'vitest'
import { TabmeshError } from '../../../errors.ts'
import { type Multiaddr, parseMultiaddr } from '../../codec/multiaddr.ts'
import { toBase64Url } from '../../codec/multibase.ts'
import { DIRECT_HEAD_START, DIRECT_MAX_REMEMBERED, DIRECT_TIMEOUT } from '../../limits.ts'
import type { Connection } from '../../net/connection.ts'
import { echo } from '../../testing/echo.ts'
import { type FakeListener, fakeNetwork } from '../../testing/fake-peer-connection.ts'
import { World, type WorldNode } from '../../testing/world.ts'
import type { Outcome } from '../../wire/conversation.ts'
import type { Rtc } from '../../wire/webrtc/peer.ts'
import { directPrologue, secureDirect } from './handshake.ts'
import { certhashOf } from './sdp.ts'
import { webrtcDirectTransport } from './transport.ts'

const FINGERPRINT = new Uint8Array(32).fill(0xab)

/** A node that dials, and one that listens at 192.0.2.1:4001 and speaks `versions`. */
const scene = (versions: readonly number[], options: { rtc?: (rtc: Rtc) => Rtc } = {}) => {
  const world = new World(1)
  const network = fakeNetwork({ now: () => world.now, after: (ms, run) => world.after(ms, run) })
  const rtc = options.rtc?.(network.rtc()) ?? network.rtc()
  const a = world.node(() => ({ services: [echo()], transports: [webrtcDirectTransport(rtc)] }))
  const b = world.node(() => ({ services: [echo()] }))
  const listener: FakeListener = {
    versions,
    fingerprint: FINGERPRINT,
    accept(rtc, handshake, clientFingerprint) {
      const remoteAddr = parseMultiaddr('/ip4/192.0.2.9/udp/50000/webrtc-direct')
      const prologue = directPrologue(clientFingerprint, FINGERPRINT)
      secureDirect(b.node, rtc, handshake, { role: 'listener', prologue, remoteAddr }, (outcome) => {
        if (outcome.ok) b.node.accept(outcome.value)
      })
    },
  }
  network.listeners.set('192.0.2.1 4001', listener)
  return { world, network, a, b, listener }
}

const address = (b: WorldNode, { host = '192.0.2.1', certhash = FINGERPRINT, peer = b.node.self } = {}): Multiaddr =>
  parseMultiaddr(`/ip4/${host}/udp/4001/webrtc-direct/certhash/${toBase64Url(certhashOf(certhash))}/p2p/${peer}`)

/** Dials, and returns what became of it and after how many milliseconds. */
const dial = (world: World, from: WorldNode, ...addresses: Multiaddr[]): { outcome: Outcome<Connection>; ms: number } => {
  const began = world.now
  let outcome: Outcome<Connection> | undefined
  from.node.dial({ addresses }, (got) => {
    outcome = got
  })
  world.run(60_000, () => outcome !== undefined)
  if (outcome === undefined) throw new Error('no outcome')
  return { outcome, ms: world.now - began }
}

/** What happened at the only address of a failed dial. */
const faultOf = ({ outcome }: { outcome: Outcome<Connection> }): TabmeshError => {
  if (outcome.ok) throw new Error('it connected')
  const cause = outcome.fault.errors[0]?.cause
  if (!(cause instanceof TabmeshError)) throw outcome.fault
  return cause
}

const versionsTried = (network: { peers: readonly { asked: string[] }[] }): number[] =>
  network.peers.map(({ asked }) => (asked[0]?.startsWith('makeDirectOffer libp2p+webrtc+v1/') ? 1 : 2))

const hangUp = (world: World, ...nodes: WorldNode[]): void => {
  for (const { node } of nodes) for (const each of node.connections()) each.close()
  world.run(5_000)
}

describe('a listener that knows both versions', () => {
  it('is reached in version 2 alone, and the connection carries streams', () => {
    const { world, network, a, b } = scene([1, 2])
    const { outcome, ms } = dial(world, a, address(b))
    if (!outcome.ok) throw outcome.fault
    expect(outcome.value).toMatchObject({ transport: 'webrtc-direct', remotePeer: b.node.self, encryption: 'dtls', muxer: '/webrtc' })
    expect(outcome.value.remoteAddr.text).toBe(address(b).text)
    expect(ms).toBeLessThan(DIRECT_HEAD_START)
    let heard = ''
    const stream = outcome.value.openStream(['/echo/1'])
    stream.attach({
      onData: (bytes) => {
        heard += Buffer.from(bytes).toString()
      },
      onEnd: () => {},
      onClose: () => {},
    })
    stream.write(Uint8Array.from(Buffer.from('hello')))
    stream.end()
    world.run(1_000)
    expect(heard).toBe('hello')
    expect(versionsTried(network)).toEqual([2])
    expect(b.node.connections()[0]).toMatchObject({ transport: 'webrtc-direct', remotePeer: a.node.self, direction: 'inbound' })
  })

  it('and is far away is not asked twice, once it has answered', () => {
    const { world, network, a, b } = scene([1, 2])
    network.connecting = [1.9 * DIRECT_HEAD_START, 1.9 * DIRECT_HEAD_START]
    expect(dial(world, a, address(b)).outcome.ok).toBe(true)
    expect(versionsTried(network)).toEqual([2])
  })

  it('and is farther than that is asked in both, and the one that is slower is closed', () => {
    const { world, network, a, b } = scene([1, 2])
    network.connecting = [3 * DIRECT_HEAD_START, 3 * DIRECT_HEAD_START]
    expect(dial(world, a, address(b)).outcome.ok).toBe(true)
    expect(versionsTried(network)).toEqual([2, 1])
    expect(network.peers.map(({ closed }) => closed)).toEqual([false, true])
  })
})

describe('a listener that knows version 1 alone', () => {
  it('is reached after the head start, and at once the next time', () => {
    const { world, network, a, b } = scene([1])
    const first = dial(world, a, address(b))
    expect(first.outcome.ok).toBe(true)
    expect(first.ms).toBeLessThan(DIRECT_HEAD_START + 200)
    expect(network.peers.map(({ closed }) => closed)).toEqual([true, false])
    hangUp(world, a, b)
    const second = dial(world, a, address(b))
    expect(second.outcome.ok).toBe(true)
    expect(second.ms).toBeLessThan(200)
    expect(versionsTried(network)).toEqual([2, 1, 1])
  })

  it('that learns version 2 and forgets version 1 is reached again', () => {
    const { world, network, a, b, listener } = scene([1])
    dial(world, a, address(b))
    hangUp(world, a, b)
    network.listeners.set('192.0.2.1 4001', { ...listener, versions: [2] })
    expect(dial(world, a, address(b)).ms).toBeLessThan(DIRECT_HEAD_START + 200)
    hangUp(world, a, b)
    expect(dial(world, a, address(b)).ms).toBeLessThan(200)
    expect(versionsTried(network)).toEqual([2, 1, 1, 2, 2])
  })

  it('is one of so many that are remembered', () => {
    const { world, network, a, b, listener } = scene([1])
    for (let i = 0; i <= DIRECT_MAX_REMEMBERED; i++) {
      const host = `10.0.${i >> 8}.${i & 0xff}`
      network.listeners.set(`${host} 4001`, listener)
      expect(dial(world, a, address(b, { host })).outcome.ok).toBe(true)
      hangUp(world, a, b)
    }
    const count = network.peers.length
    dial(world, a, address(b, { host: '10.0.0.1' }))
    hangUp(world, a, b)
    dial(world, a, address(b, { host: '10.0.0.0' }))
    expect(versionsTried({ peers: network.peers.slice(count) })).toEqual([1, 2, 1])
  })

  it('is reached at once where nothing is heard of version 2 but that it failed', () => {
    const { world, network, a, b } = scene([1])
    network.giveUp = 50
    expect(dial(world, a, address(b)).ms).toBeLessThan(200)
  })

  it('can not be reached from a browser that refuses it, and one that knows version 2 still can', () => {
    const old = scene([1])
    old.network.munging = false
    const dialled = dial(old.world, old.a, address(old.b))
    expect(faultOf(dialled).code).toBe('ERR_DIAL_TIMEOUT')
    expect(faultOf(dialled).errors.map(({ code, message }) => `${code} ${message.split(':')[0]}`)).toEqual([
      'ERR_WEBRTC_FAILED the platform refused version 1',
      `ERR_DIAL_TIMEOUT version 2 was not answered within ${DIRECT_TIMEOUT} ms`,
    ])
    const both = scene([1, 2])
    both.network.munging = false
    expect(dial(both.world, both.a, address(both.b)).outcome.ok).toBe(true)
  })
})

describe('what can not be dialled is refused, in time, and nothing is left', () => {
  const nothingIsLeft = ({ world, network, a, b }: ReturnType<typeof scene>): void => {
    expect(network.peers.every(({ closed }) => closed)).toBe(true)
    world.run(30_000)
    expect(world.waiting).toBe(0)
    network.fate = 'connects'
    expect(dial(world, a, address(b)).outcome.ok).toBe(true)
  }

  it('an address without a certificate hash', () => {
    const s = scene([1, 2])
    const fault = faultOf(dial(s.world, s.a, parseMultiaddr(`/ip4/192.0.2.1/udp/4001/webrtc-direct/p2p/${s.b.node.self}`)))
    expect(fault.code).toBe('ERR_INVALID_MULTIADDR')
    expect(fault.message).toContain('certhash')
    expect(s.network.peers.length).toBe(0)
    nothingIsLeft(s)
  })

  it('a listener with another certificate', () => {
    for (const versions of [[1, 2], [1]]) {
      const s = scene(versions)
      const dialled = dial(s.world, s.a, address(s.b, { certhash: new Uint8Array(32) }))
      expect(faultOf(dialled).code).toBe('ERR_CERTHASH_MISMATCH')
      // What will not help is not tried, nor waited for.
      expect(dialled.ms).toBeLessThan(DIRECT_HEAD_START + 200)
      nothingIsLeft(s)
    }
  })

  it('another peer', () => {
    const s = scene([1, 2])
    const dialled = dial(s.world, s.a, address(s.b, { peer: '12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp' as never }))
    expect(faultOf(dialled).code).toBe('ERR_PEER_ID_MISMATCH')
    nothingIsLeft(s)
  })

  it('nobody', () => {
    const s = scene([1, 2])
    s.network.fate = 'silent'
    const dialled = dial(s.world, s.a, address(s.b))
    expect(dialled.ms).toBe(DIRECT_TIMEOUT)
    expect(faultOf(dialled).code).toBe('ERR_DIAL_TIMEOUT')
    expect(versionsTried(s.network)).toEqual([2, 1])
    nothingIsLeft(s)
  })

  it('a listener that takes the connection and then says nothing', () => {
    const s = scene([1, 2])
    s.network.listeners.set('192.0.2.1 4001', { ...s.listener, accept: () => {} })
    const dialled = dial(s.world, s.a, address(s.b))
    expect(dialled.ms).toBe(DIRECT_TIMEOUT)
    expect(faultOf(dialled).code).toBe('ERR_TIMEOUT')
    s.network.listeners.set('192.0.2.1 4001', s.listener)
    nothingIsLeft(s)
  })

  it('a platform whose own description is not what was asked for', () => {
    const s = scene([1, 2], {
      rtc: (rtc) => ({
        create: (signals) => rtc.create({ ...signals, onDescription: (sdp) => signals.onDescription(sdp.replace('sha-256', 'sha-1')) }),
      }),
    })
    const fault = faultOf(dial(s.world, s.a, address(s.b)))
    expect(fault.errors.map(({ code }) => code)).toEqual(['ERR_WEBRTC_FAILED', 'ERR_WEBRTC_FAILED'])
    expect(s.network.peers.every(({ closed }) => closed)).toBe(true)
  })

  it('a platform that makes no peer connection', () => {
    const s = scene([1, 2], {
      rtc: () => ({
        create: () => {
          throw new Error('no WebRTC here')
        },
      }),
    })
    const fault = faultOf(dial(s.world, s.a, address(s.b)))
    expect(fault.code).toBe('ERR_WEBRTC_FAILED')
    expect(s.world.waiting).toBe(0)
  })

  it('a page that has all the peer connections it can', () => {
    const s = scene([1, 2], {
      rtc: (rtc) => ({
        create(signals) {
          const peer = rtc.create(signals)
          s.world.after(1, () => signals.onRefused(new TabmeshError('ERR_CONNECTION_LIMIT', '400 peer connections are open')))
          return peer
        },
      }),
    })
    expect(faultOf(dial(s.world, s.a, address(s.b))).code).toBe('ERR_CONNECTION_LIMIT')
    expect(s.network.peers.length).toBe(1)
  })

  it('a dial that is called off, at any moment', () => {
    for (let ms = 0; ms < DIRECT_HEAD_START + 150; ms += 7) {
      const s = scene([1])
      const cancel = s.a.node.dial({ addresses: [address(s.b)] }, () => {})
      s.world.run(ms)
      if (s.a.node.connections().length > 0) break
      cancel()
      s.world.run(10)
      expect(
        s.network.peers.every(({ closed }) => closed),
        `after ${ms} ms`,
      ).toBe(true)
    }
  })
})
