import { describe, expect, it } from 'vitest'
import { TabmeshError } from '../../../errors.ts'
import { concat } from '../../codec/bytes.ts'
import { parseMultiaddr } from '../../codec/multiaddr.ts'
import { DIRECT_EARLY_MAX, DIRECT_HANDSHAKE_MAX, RTC_CAUTIOUS_MESSAGE, RTC_MAX_INBOUND, UPGRADE_TIMEOUT } from '../../limits.ts'
import type { Connection } from '../../net/connection.ts'
import type { Link } from '../../net/service.ts'
import { echo } from '../../testing/echo.ts'
import { type FakeDataChannel, FakeRtc } from '../../testing/fake-rtc.ts'
import { World, type WorldNode } from '../../testing/world.ts'
import type { Channel } from '../../wire/channel.ts'
import type { Outcome } from '../../wire/conversation.ts'
import { controlFrame, dataFrame, FIN, FIN_ACK, FrameReader, Outbox, RESET, STOP_SENDING } from '../../wire/webrtc/framing.ts'
import { directPrologue, type SecureDirectOptions, secureDirect } from './handshake.ts'
import { HandshakeChannel } from './handshake-channel.ts'

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'))
const remoteAddr = parseMultiaddr('/ip4/192.0.2.1/udp/4001/webrtc-direct')
const PROLOGUE = directPrologue(new Uint8Array(32).fill(1), new Uint8Array(32).fill(2))

const dataOf = (bytes: Uint8Array): Uint8Array => {
  const outbox = new Outbox()
  outbox.put(bytes)
  return dataFrame(outbox, bytes.length)
}

/** What a data channel of the other side would see. */
const framesTo = (channel: FakeDataChannel) => {
  const reader = new FrameReader()
  const seen = { flags: [] as (number | undefined)[], bytes: 0, largest: 0, closed: false }
  channel.attach({
    onData(bytes) {
      seen.largest = Math.max(seen.largest, bytes.length)
      reader.push(bytes)
      for (let frame = reader.next(); frame !== undefined; frame = reader.next()) {
        if (frame instanceof TabmeshError) throw frame
        seen.flags.push(frame.flag)
        seen.bytes += frame.message?.length ?? 0
      }
    },
    onEnd: () => {},
    onClose: () => {
      seen.closed = true
    },
  })
  return seen
}

const connected = () => {
  const world = new World(1)
  const clock = { now: () => world.now, after: (ms: number, run: () => void) => world.after(ms, run) }
  const path = { latency: 10 }
  const [near, far] = [new FakeRtc(clock, path), new FakeRtc(clock, path)]
  near.remote = far
  far.remote = near
  FakeRtc.negotiate(near, far)
  const [dialer, listener] = [world.node(() => ({ services: [echo()] })), world.node(() => ({ services: [echo()] }))]
  return { world, near, far, dialer, listener }
}

type Heard = { outcome: Outcome<Link> | undefined; cancel(): void }

const secures = (node: WorldNode, rtc: FakeRtc, options: Partial<SecureDirectOptions> & Pick<SecureDirectOptions, 'role'>): Heard => {
  const heard: Heard = { outcome: undefined, cancel: () => {} }
  heard.cancel = secureDirect(node.node, rtc, rtc.negotiated(), { prologue: PROLOGUE, remoteAddr, ...options }, (outcome) => {
    expect(heard.outcome).toBeUndefined()
    heard.outcome = outcome
  })
  return heard
}

const codeOf = ({ outcome }: Heard): string | undefined => (outcome === undefined ? 'nothing' : outcome.ok ? 'a link' : outcome.fault.code)

/** Makes a connection of each link and an echo of some bytes over it. */
const echoes = (world: World, from: WorldNode, to: WorldNode, dialled: Heard, accepted: Heard): string => {
  if (dialled.outcome?.ok !== true || accepted.outcome?.ok !== true) throw new Error('no link')
  let connection: Connection | undefined
  to.node.accept(accepted.outcome.value)
  from.node.adopt(dialled.outcome.value, to.node.self, (outcome) => {
    if (outcome.ok) connection = outcome.value
  })
  let heard = ''
  const stream = (connection as unknown as Connection).openStream(['/echo/1'])
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
  return heard
}

describe('the prologue', () => {
  it('is that of the specification', () => {
    // specs: webrtc/webrtc-direct.md §Test vectors, Noise prologue
    const client = hex('3e79af40d6059617a0d83b83a52ce73b0c1f37a72c6043ad2969e2351bdca870')
    const server = hex('30fc9f469c207419dfdd0aab5f27a86c973c94e40548db9375cca2e915973b99')
    expect(Buffer.from(directPrologue(client, server)).toString('hex')).toBe(
      '6c69627032702d7765627274632d6e6f6973653a12203e79af40d6059617a0d83b83a52ce73b0c1f37a72c6043ad2969e2351bdca870122030fc9f469c207419dfdd0aab5f27a86c973c94e40548db9375cca2e915973b99',
    )
  })
})

describe('a dialer and a listener', () => {
  it('know each other afterwards, and channel 0 stays open', () => {
    const { world, near, far, dialer, listener } = connected()
    near.keepSent = far.keepSent = true
    const dialled = secures(dialer, near, { role: 'dialer', expectedPeer: listener.node.self })
    const accepted = secures(listener, far, { role: 'listener' })
    world.run(1_000)
    expect(dialled.outcome).toMatchObject({
      ok: true,
      value: { t: 'muxed', transport: 'webrtc-direct', remotePeer: listener.node.self, encryption: 'dtls', remoteAddr },
    })
    expect(accepted.outcome).toMatchObject({ ok: true, value: { remotePeer: dialer.node.self } })
    // The listener begins: Noise's first message is 32 bytes and has two of its own and four of the frame in front.
    expect(far.sent.map((each) => each.length)[0]).toBe(1 + 1 + 1 + 2 + 32)
    expect([far.sent.length, near.sent.length]).toEqual([2, 1])
    expect(echoes(world, dialer, listener, dialled, accepted)).toBe('hello')
    expect([near.channels.has(near.negotiated()), far.channels.has(far.negotiated())]).toEqual([true, true])
  })

  it('that see different certificates do not', () => {
    const { world, near, far, dialer, listener } = connected()
    const accepted = secures(listener, far, { role: 'listener' })
    const dialled = secures(dialer, near, {
      role: 'dialer',
      prologue: directPrologue(new Uint8Array(32).fill(1), new Uint8Array(32).fill(3)),
    })
    world.run(1_000)
    expect([codeOf(dialled), codeOf(accepted)]).toContain('ERR_ENCRYPTION_FAILED')
    expect([near.closed, far.closed]).toEqual([true, true])
  })

  it('of whom the listener is somebody else do not', () => {
    const { world, near, far, dialer, listener } = connected()
    secures(listener, far, { role: 'listener' })
    const dialled = secures(dialer, near, { role: 'dialer', expectedPeer: dialer.node.self })
    world.run(1_000)
    expect(codeOf(dialled)).toBe('ERR_PEER_ID_MISMATCH')
    expect(near.closed).toBe(true)
  })

  it('both wait, each its time, for one that says nothing', () => {
    for (const role of ['dialer', 'listener'] as const) {
      const { world, near, dialer } = connected()
      const heard = secures(dialer, near, { role })
      expect(world.run(UPGRADE_TIMEOUT - 1, () => heard.outcome !== undefined)).toBe(false)
      world.run(1)
      expect(codeOf(heard), role).toBe('ERR_TIMEOUT')
      expect(near.closed, role).toBe(true)
    }
  })

  it('hear of a connection that fails at once, and of one that had failed before', () => {
    const { world, near, dialer, far, listener } = connected()
    const dialled = secures(dialer, near, { role: 'dialer' })
    near.tell('disconnected')
    expect(codeOf(dialled)).toBe('nothing')
    near.tell('failed')
    expect(codeOf(dialled)).toBe('ERR_CONNECTION_CLOSED')
    world.run(100)
    expect(codeOf(secures(listener, far, { role: 'listener' }))).toBe('ERR_CONNECTION_CLOSED')
  })

  it('can be called off, once', () => {
    const { near, dialer } = connected()
    const dialled = secures(dialer, near, { role: 'dialer' })
    dialled.cancel()
    dialled.cancel()
    expect(codeOf(dialled)).toBe('ERR_CONNECTION_CLOSED')
    expect(near.closed).toBe(true)
  })
})

describe('what a listener sends instead of a handshake', () => {
  const plays = (...messages: Uint8Array[]) => {
    const { world, near, far, dialer } = connected()
    const dialled = secures(dialer, near, { role: 'dialer' })
    for (const each of messages) far.negotiated().write(each)
    world.run(100)
    return { code: codeOf(dialled), closed: near.closed }
  }

  it.each<[string, Uint8Array[], string]>([
    ['RESET', [controlFrame(RESET)], 'ERR_STREAM_RESET'],
    ['FIN', [controlFrame(FIN)], 'ERR_STREAM_CLOSED'],
    ['half a message and FIN', [dataOf(Uint8Array.of(0, 32, 1, 2, 3)), controlFrame(FIN)], 'ERR_STREAM_CLOSED'],
    ['no frame', [Uint8Array.of(0xff, 0xff, 0xff, 0xff)], 'ERR_FRAME_TOO_LARGE'],
    ['a frame that is no protobuf', [Uint8Array.of(2, 0x0b, 0x0b)], 'ERR_DECODE'],
    ['a Noise message that is none', [dataOf(new Uint8Array(34))], 'ERR_ENCRYPTION_FAILED'],
  ])('%s', (_what, messages, code) => {
    expect(plays(...messages)).toEqual({ code, closed: true })
  })

  it('the end of the channel', () => {
    const { world, near, far, dialer } = connected()
    const dialled = secures(dialer, near, { role: 'dialer' })
    far.negotiated().end()
    world.run(100)
    expect(codeOf(dialled)).toBe('ERR_CONNECTION_CLOSED')
  })

  it('bytes without end', () => {
    const { world, near, far, dialer } = connected()
    const dialled = secures(dialer, near, { role: 'dialer' })
    // As much as a Noise message may have, of which the handshake waits for the last byte; then more than there can be.
    far.negotiated().write(dataOf(Uint8Array.of(0xff, 0xff)))
    for (let sent = 0; sent < DIRECT_HANDSHAKE_MAX - 30_000; sent += 16_000) far.negotiated().write(controlFrame(STOP_SENDING, 7))
    expect(codeOf(dialled)).toBe('nothing')
    for (let sent = 0; sent < DIRECT_HANDSHAKE_MAX; sent += 16_004)
      far.negotiated().write(concat([Uint8Array.of(0x81, 0x7d, 0x22, 0xfe, 0x7c), new Uint8Array(15_998)]))
    world.run(100)
    expect(codeOf(dialled)).toBe('ERR_STREAM_OVERFLOW')
    expect(near.closed).toBe(true)
  })
})

describe('streams before the handshake is done', () => {
  it('wait, with what they carry and how they ended, and are answered afterwards', () => {
    const { world, near, far, dialer, listener } = connected()
    const early = far.openChannel()
    const seen = framesTo(early)
    // An echo, all at once: multistream, its protocol, five bytes, FIN (as js does after its last message of the handshake).
    const lines = ['/multistream/1.0.0\n', '/echo/1\n'].map((line) =>
      concat([Uint8Array.of(line.length), Uint8Array.from(Buffer.from(line))]),
    )
    early.write(dataOf(concat(lines)))
    early.write(dataOf(Uint8Array.from(Buffer.from('early'))))
    early.write(controlFrame(FIN))
    const dialled = secures(dialer, near, { role: 'dialer' })
    world.run(50)
    expect(seen.bytes).toBe(0)
    const accepted = secures(listener, far, { role: 'listener' })
    world.run(1_000)
    if (dialled.outcome?.ok !== true) throw new Error(codeOf(dialled))
    dialer.node.adopt(dialled.outcome.value, listener.node.self, () => {})
    world.run(1_000)
    expect(codeOf(accepted)).toBe('a link')
    expect(seen.bytes).toBe(concat(lines).length + 'early'.length)
    expect(seen.flags).toContain(FIN_ACK)
    expect(seen.flags).toContain(FIN)
  })

  it('that carry too much end it', () => {
    const { world, near, far, dialer } = connected()
    const dialled = secures(dialer, near, { role: 'dialer' })
    const flood = [far.openChannel(), far.openChannel()]
    for (let sent = 0; sent <= DIRECT_EARLY_MAX; sent += 16_000) flood[(sent / 16_000) % 2]?.write(new Uint8Array(16_000))
    world.run(100)
    expect(codeOf(dialled)).toBe('ERR_STREAM_OVERFLOW')
    expect(near.closed).toBe(true)
  })

  it('that are too many end it', () => {
    const { world, near, far, dialer } = connected()
    const dialled = secures(dialer, near, { role: 'dialer' })
    for (let i = 0; i < RTC_MAX_INBOUND; i++) far.openChannel()
    world.run(100)
    expect(codeOf(dialled)).toBe('nothing')
    far.openChannel()
    world.run(100)
    expect(codeOf(dialled)).toBe('ERR_STREAM_LIMIT')
    expect(near.closed).toBe(true)
  })
})

describe('channel 0 after the handshake', () => {
  const settled = () => {
    const { world, near, far, dialer, listener } = connected()
    const dialled = secures(dialer, near, { role: 'dialer' })
    const accepted = secures(listener, far, { role: 'listener' })
    world.run(1_000)
    expect(codeOf(accepted)).toBe('a link')
    near.keepSent = true
    near.sent.length = 0
    return { world, near, far, dialer, listener, dialled, accepted }
  }

  it('answers FIN once, as rust sends it, and drops all else', () => {
    const { world, near, far, dialer, listener, dialled, accepted } = settled()
    const zero = far.negotiated()
    for (const message of [controlFrame(FIN), dataOf(new Uint8Array(16_000)), controlFrame(FIN), controlFrame(STOP_SENDING)])
      zero.write(message)
    world.run(100)
    expect(near.sent).toEqual([controlFrame(FIN_ACK)])
    for (let sent = 0; sent < 2 * DIRECT_HANDSHAKE_MAX; sent += 16_000) zero.write(dataOf(new Uint8Array(16_000)))
    zero.write(controlFrame(RESET))
    zero.write(Uint8Array.of(0xff, 0xff, 0xff, 0xff))
    world.run(100)
    expect([near.closed, near.channels.has(near.negotiated())]).toEqual([false, true])
    expect(echoes(world, dialer, listener, dialled, accepted)).toBe('hello')
  })

  it('that the remote closes, as the specification has it, closes nothing else', () => {
    const { world, near, far, dialer, listener, dialled, accepted } = settled()
    far.negotiated().end()
    world.run(100)
    expect(near.closed).toBe(false)
    expect(echoes(world, dialer, listener, dialled, accepted)).toBe('hello')
  })
})

describe('the pipe that Noise is given', () => {
  const pair = () => {
    const { world, near, far } = connected()
    return { world, pipe: new HandshakeChannel(near.negotiated()), remote: far.negotiated(), seen: framesTo(far.negotiated()) }
  }

  it('cuts what is written into frames of 4 KiB', () => {
    const { world, pipe, seen } = pair()
    pipe.write(new Uint8Array(65_537))
    world.run(100)
    expect(seen.bytes).toBe(65_537)
    expect(seen.largest).toBe(RTC_CAUTIOUS_MESSAGE)
  })

  it('keeps what came before its reader, and takes frames that straddle messages', () => {
    const { world, pipe, remote } = pair()
    const frames = concat([dataOf(Uint8Array.of(1, 2, 3)), dataOf(Uint8Array.of(4, 5))])
    for (const byte of frames) remote.write(Uint8Array.of(byte))
    world.run(100)
    const got: number[] = []
    ;(pipe as Channel).attach({ onData: (bytes) => got.push(...bytes), onEnd: () => {}, onClose: () => {} })
    expect(got).toEqual([1, 2, 3, 4, 5])
  })

  it('has credit while its channel has, and none once it is closed', () => {
    const { world, pipe, remote } = pair()
    expect(pipe.credit).toBeGreaterThan(0)
    remote.end()
    world.run(100)
    expect(pipe.credit).toBe(0)
  })
})
