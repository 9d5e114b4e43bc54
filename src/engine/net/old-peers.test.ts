/** What old peers speak: mplex, which a node may be given; secio and plaintext, which it never is. */

import { describe, expect, it } from 'vitest'
import { TabmeshError } from '../../errors.ts'
import { fromUtf8, utf8 } from '../codec/bytes.ts'
import { privateKey } from '../codec/keys.ts'
import { peerIdFromKey, peerIdToBytes } from '../codec/peer-id.ts'
import { bytes, message } from '../codec/protobuf.ts'
import type { Host } from '../host.ts'
import { UPGRADE_TIMEOUT } from '../limits.ts'
import { identifyService } from '../protocols/identify/service.ts'
import { echo } from '../testing/echo.ts'
import { PLAINTEXT, plaintext } from '../testing/plaintext.ts'
import { World, type WorldNode } from '../testing/world.ts'
import type { Channel } from '../wire/channel.ts'
import { type Conversation, converse, type Outcome, read, write } from '../wire/conversation.ts'
import { mplexKind } from '../wire/mplex/muxer.ts'
import { answerProtocols, selectProtocol } from '../wire/multistream.ts'
import type { Connection } from './connection.ts'
import type { NodeOptions } from './node.ts'
import type { Stream } from './stream.ts'
import { yamuxKind } from './upgrade.ts'

type Options = Pick<NodeOptions, 'muxers' | 'securities' | 'propose'>

const node = (world: World, make: (host: Host) => Options = () => ({})): WorldNode =>
  world.node((host) => ({ services: [identifyService(), echo()], ...make(host) }))

const outcomeOf = <T>(world: World, begin: (done: (outcome: Outcome<T>) => void) => void): Outcome<T> => {
  let got: Outcome<T> | undefined
  begin((outcome) => {
    got = outcome
  })
  world.run(60_000, () => got !== undefined)
  return got as Outcome<T>
}

const connect = (world: World, from: WorldNode, to: WorldNode): Connection => {
  const outcome = outcomeOf<Connection>(world, (done) => from.node.dial({ addresses: [to.address] }, done))
  if (!outcome.ok) throw outcome.fault
  return outcome.value
}

/** `text` from one to the other and back. */
const echoed = (world: World, from: WorldNode, to: WorldNode, text: string): string => {
  const opened = outcomeOf<Stream>(world, (done) => from.node.openStream({ peer: to.node.self, addresses: [] }, ['/echo/1'], done))
  if (!opened.ok) throw opened.fault
  const stream = opened.value
  let got = ''
  stream.attach({
    onData(bytes) {
      const { length } = bytes
      got += fromUtf8(bytes)
      stream.release(length)
    },
    onEnd() {},
    onClose() {},
  })
  stream.write(utf8(text))
  stream.end()
  world.run(1_000)
  return got
}

const mplex = mplexKind(TabmeshError)

describe('mplex', () => {
  const both = () => ({ muxers: [yamuxKind, mplex] })
  const old = () => ({ muxers: [mplex] })

  it.each([
    ['two nodes that have it too use yamux', both, both, '/yamux/1.0.0'],
    ['a node that has it dials an old one', both, old, '/mplex/6.7.0'],
    ['an old one dials a node that has it', old, both, '/mplex/6.7.0'],
  ])('%s', (_, ours, theirs, muxer) => {
    const world = new World(1)
    const [a, b] = [node(world, ours), node(world, theirs)]
    const began = world.now
    const connection = connect(world, a, b)
    // Settled along with Noise: no round trip of its own.
    expect(world.now - began).toBe(40)
    expect(echoed(world, a, b, 'hello')).toBe('hello')
    expect(echoed(world, b, a, 'hello back')).toBe('hello back')
    expect([connection.muxer, b.node.connections()[0]?.muxer]).toEqual([muxer, muxer])
    expect(a.node.peerStore.get(b.node.self)?.protocols).toContain('/echo/1')
  })

  it('is agreed on by multistream where the security does not settle it', () => {
    for (const [ours, theirs, muxer] of [
      [both, both, '/yamux/1.0.0'],
      [both, old, '/mplex/6.7.0'],
      [old, both, '/mplex/6.7.0'],
    ] as const) {
      const world = new World(1)
      const plain = (host: Host): Options => ({ securities: [plaintext(host)], propose: [PLAINTEXT] })
      const [a, b] = [node(world, (host) => ({ ...plain(host), ...ours() })), node(world, (host) => ({ ...plain(host), ...theirs() }))]
      const connection = connect(world, a, b)
      expect([connection.encryption, connection.muxer]).toEqual([PLAINTEXT, muxer])
      expect(echoed(world, a, b, 'hello')).toBe('hello')
    }
  })

  it('without it an old node is told apart by its error', () => {
    const world = new World(1)
    const [a, b] = [node(world), node(world, old)]
    const outcome = outcomeOf<Connection>(world, (done) => a.node.dial({ addresses: [b.address] }, done))
    expect(outcome).toMatchObject({ ok: false, fault: { code: 'ERR_DIAL_FAILED', errors: [{ code: 'ERR_NO_MUXER', remote: true }] } })
  })

  it('connections close and are forgotten on both sides', () => {
    const world = new World(1)
    const [a, b] = [node(world, both), node(world, old)]
    connect(world, a, b)
    world.run(1_000)
    a.node.hangUp(b.node.self)
    world.run(60_000)
    expect([a.node.connections(), b.node.connections(), world.waiting]).toEqual([[], [], 0])
  })
})

/** Plays one side of a pipe whose other side a node has. */
const play = <T>(world: World, channel: Channel, talk: Conversation<T>): { outcome: Outcome<T> | undefined } => {
  const played: { outcome: Outcome<T> | undefined } = { outcome: undefined }
  converse(channel, talk, world.host(), {
    timeout: 60_000,
    what: 'the test',
    done: (outcome) => {
      played.outcome = outcome
    },
  })
  return played
}

describe('secio and plaintext', () => {
  it('are refused when a remote proposes them, and Noise after them is not', () => {
    const world = new World(1)
    const b = node(world)
    const [near, far] = world.pipe()
    b.node.accept({ t: 'pipe', channel: far, transport: 'memory', remoteAddr: b.address })
    const played = play(world, near, selectProtocol(['/secio/1.0.0', PLAINTEXT, '/noise']))
    world.run(1_000)
    expect(played.outcome).toEqual({ ok: true, value: '/noise' })
  })

  it('a remote that has nothing else is told na, and leaves nothing behind', () => {
    const world = new World(1)
    const b = node(world)
    const [near, far] = world.pipe()
    b.node.accept({ t: 'pipe', channel: far, transport: 'memory', remoteAddr: b.address })
    const played = play(world, near, selectProtocol(['/secio/1.0.0', PLAINTEXT]))
    world.run(1_000)
    expect(played.outcome).toMatchObject({ ok: false, fault: { code: 'ERR_NO_PROTOCOL' } })
    world.run(2 * UPGRADE_TIMEOUT)
    expect([b.node.pending, b.node.connections(), world.waiting]).toEqual([0, [], 0])
  })

  it('a dial to a peer that has nothing else fails with a code, and the next dial works', () => {
    const world = new World(1)
    const [a, b] = [node(world), node(world)]
    const oldPeer = node(world)
    // In place of a node, what answers at its address speaks only these.
    oldPeer.node.accept = (link) => {
      if (link.t === 'pipe') play(world, link.channel, answerProtocols(['/secio/1.0.0', PLAINTEXT]))
    }
    const outcome = outcomeOf<Connection>(world, (done) => a.node.dial({ addresses: [oldPeer.address] }, done))
    expect(outcome).toMatchObject({ ok: false, fault: { code: 'ERR_DIAL_FAILED', errors: [{ code: 'ERR_NO_SECURITY', remote: true }] } })
    expect((outcome as { fault: TabmeshError }).fault.errors[0]?.message).toContain('offers no security protocol')
    expect(connect(world, a, b).encryption).toBe('/noise')
  })
})

describe('plaintext, in tests', () => {
  const Exchange = message({ id: bytes(1), pubkey: bytes(2) })
  const [one, two] = [1, 2].map((fill) => privateKey('Ed25519', new Uint8Array(32).fill(fill)).publicKey) as [
    ReturnType<typeof privateKey>['publicKey'],
    ReturnType<typeof privateKey>['publicKey'],
  ]
  const idOf = (key: typeof one) => peerIdToBytes(peerIdFromKey(key))

  const answered = (frame: Uint8Array, expectedPeer?: string) => {
    const world = new World(1)
    const [near, far] = world.pipe()
    const codes: string[] = []
    plaintext(world.host()).secure(near, { role: 'dialer', expectedPeer, muxers: [], timeout: 1_000 }, (outcome) =>
      codes.push(outcome.ok ? outcome.value.remotePeer : outcome.fault.code),
    )
    play(world, far, write(frame))
    world.run(2_000)
    return codes
  }

  it('tells who the remote says it is', () => {
    expect(answered(Exchange.frame({ id: idOf(one), pubkey: one.encoded }))).toEqual([peerIdFromKey(one)])
  })

  it.each([
    ['an id that is not of the key', Exchange.frame({ id: idOf(two), pubkey: one.encoded }), 'ERR_PEER_ID_MISMATCH'],
    ['no id', Exchange.frame({ pubkey: one.encoded }), 'ERR_ENCRYPTION_FAILED'],
    ['no key', Exchange.frame({ id: idOf(one) }), 'ERR_ENCRYPTION_FAILED'],
    ['a key that is none', Exchange.frame({ id: idOf(one), pubkey: new Uint8Array(9) }), 'ERR_INVALID_KEY'],
    ['what is no message', Uint8Array.of(2, 0xff, 0xff), 'ERR_DECODE'],
    ['too much', Uint8Array.of(0xff, 0x7f), 'ERR_FRAME_TOO_LARGE'],
    ['nothing', new Uint8Array(0), 'ERR_TIMEOUT'],
  ])('refuses %s', (_, frame, code) => {
    expect(answered(frame)).toEqual([code])
  })

  it('refuses another peer than the one that was dialled', () => {
    expect(answered(Exchange.frame({ id: idOf(one), pubkey: one.encoded }), peerIdFromKey(two))).toEqual(['ERR_PEER_ID_MISMATCH'])
  })

  it('says the exchange of the specification', () => {
    const world = new World(1)
    const [near, far] = world.pipe()
    const host = world.host()
    plaintext(host).secure(near, { role: 'dialer', expectedPeer: undefined, muxers: [], timeout: 1_000 }, () => {})
    const played = play(world, far, read(79))
    world.run(2_000)
    const heard = (played.outcome as { value: Uint8Array }).value
    // 1: 38 bytes of multihash, 2: 36 of key.
    expect(Buffer.from(heard.subarray(0, 3)).toString('hex')).toBe('4e0a26')
    expect(Buffer.from(heard.subarray(41, 43)).toString('hex')).toBe('1224')
    expect(Buffer.from(heard.subarray(43))).toEqual(Buffer.from(host.publicKey.encoded))
  })
})
