/**
 * Remotes that break the rules, against a whole node over a raw memory pipe: what they do ends their stream or their
 * connection with a code, leaves no state behind, and a well-behaved peer beside them notices nothing.
 */

import { describe, expect, it } from 'vitest'
import type { TabmeshError } from '../../errors.ts'
import { concat, fromUtf8, utf8 } from '../codec/bytes.ts'
import { encodeEnvelope, encodePeerRecord, envelopeSigningBytes, peerRecordUse } from '../codec/envelope.ts'
import { type PrivateKey, privateKey } from '../codec/keys.ts'
import { parseMultiaddr } from '../codec/multiaddr.ts'
import { peerIdFromKey } from '../codec/peer-id.ts'
import { bytes, message, repeated, string } from '../codec/protobuf.ts'
import { encodeVarint, frame } from '../codec/varint.ts'
import { signWith } from '../crypto/verify.ts'
import type { Host } from '../host.ts'
import { IDENTIFY_MAX_FRAME, IDENTIFY_TIMEOUT, MSS_TIMEOUT, PEER_STORE_MAX_ADDRESSES, PING_TIMEOUT, UPGRADE_TIMEOUT } from '../limits.ts'
import { identifyService } from '../protocols/identify/service.ts'
import { pingService } from '../protocols/ping/service.ts'
import { property } from '../testing/property.ts'
import { World, type WorldNode } from '../testing/world.ts'
import type { Channel } from '../wire/channel.ts'
import { type Conversation, converse, type Outcome, read, write } from '../wire/conversation.ts'
import { answerProtocols, lazyHead, selectProtocol } from '../wire/multistream.ts'
import { initiateNoise, makeStaticKey, type NoiseOptions, respondNoise } from '../wire/noise/handshake.ts'
import { secure } from '../wire/noise/secure-channel.ts'
import { DATA, GO_AWAY, putHeader, RST, SYN, WINDOW_UPDATE } from '../wire/yamux/frame.ts'
import type { Connection } from './connection.ts'
import type { Identified, Link, Service, Transport } from './service.ts'
import type { Stream } from './stream.ts'

const echo = (): Service => ({
  name: 'echo',
  protocols: { '/echo/1': {} },
  onStream(stream) {
    stream.attach({
      onData(received) {
        const { length } = received
        stream.write(received)
        stream.release(length)
      },
      onEnd: () => stream.end(),
      onClose: () => {},
    })
  },
})

const services = (): Service[] => [identifyService(), pingService(), echo()]

/** A node that is attacked, a peer that behaves, and the count of timers when both are at rest. */
class Scene {
  readonly world: World
  readonly victim: WorldNode
  readonly good: WorldNode
  readonly attacker: Host
  readonly friend: Connection
  readonly #resting: number

  constructor(seed: number) {
    this.world = new World(seed, 1)
    this.victim = this.world.node(() => ({ services: services() }))
    this.good = this.world.node(() => ({ services: services() }))
    this.attacker = this.world.host()
    let friend: Connection | undefined
    this.good.node.dial({ addresses: [this.victim.address] }, (outcome) => {
      if (outcome.ok) friend = outcome.value
    })
    this.world.run(29_000)
    this.friend = friend as Connection
    this.#resting = this.world.waiting
  }

  /** Our end of a pipe that the node takes for an inbound connection, and what becomes of it there. */
  knock(): { pipe: Channel; outcome: () => string | undefined } {
    const [near, far] = this.world.pipe()
    let code: string | undefined
    this.victim.node.accept({ t: 'pipe', channel: far, transport: 'memory', remoteAddr: parseMultiaddr('/memory/0') }, (outcome) => {
      code = outcome.ok ? 'ok' : outcome.fault.code
    })
    return { pipe: near, outcome: () => code }
  }

  /** The friend's stream works, and of everybody else nothing is left. */
  atPeace(): void {
    const { world, victim, good, friend } = this
    const stream = friend.openStream(['/echo/1'])
    let heard = ''
    let over: string | undefined
    stream.attach({
      onData(received) {
        heard += fromUtf8(received)
        stream.release(received.length)
      },
      onEnd: () => {},
      onClose: (fault) => {
        over = fault?.code ?? 'closed'
      },
    })
    stream.write(utf8('hello'))
    stream.end()
    world.run(1_000, () => over !== undefined)
    expect([heard, over]).toEqual(['hello', 'closed'])
    expect(victim.node.connections().map(({ remotePeer }) => remotePeer)).toEqual([good.node.self])
    expect(victim.node.pending).toBe(0)
    expect([...(victim.node.connections()[0] as Connection).streams]).toEqual([])
    const { protocols, connections } = victim.node.metrics.snapshot()
    expect(Object.values(protocols).every(({ open }) => open === 0)).toBe(true)
    expect(connections.memory?.open).toBe(1)
    expect(world.run(90_000, () => world.waiting <= this.#resting)).toBe(true)
  }
}

/** Reads what comes to nowhere, and tells how it ended. */
const drain = (channel: Channel): { size: number; over: string | undefined } => {
  const got = { size: 0, over: undefined as string | undefined }
  channel.attach({
    onData(received) {
      got.size += received.length
      channel.release(received.length)
    },
    onEnd: () => {
      got.over ??= 'end'
    },
    onClose: (fault) => {
      got.over = fault?.code ?? 'closed'
    },
  })
  return got
}

const noiseOf = (host: Host, change: Partial<NoiseOptions> = {}): NoiseOptions => ({
  aead: host.aead,
  identity: host.publicKey,
  staticKey: makeStaticKey(),
  muxers: ['/yamux/1.0.0'],
  ...change,
})

function* dialling(options: NoiseOptions) {
  yield* selectProtocol(['/noise'])
  return yield* initiateNoise(options)
}

/** The outcome of our side of a conversation; what ran before stays in `world`. */
const talk = <T>(scene: Scene, channel: Channel, conversation: Conversation<T>): Outcome<T> | undefined => {
  let got: Outcome<T> | undefined
  converse(channel, conversation, scene.attacker, { timeout: 60_000, what: 'an attack', done: (outcome) => (got = outcome) })
  scene.world.run(1_000, () => got !== undefined)
  return got
}

/** Our end of the secure channel of an inbound connection that stands. */
const intrude = (scene: Scene): Channel => {
  const { pipe, outcome } = scene.knock()
  const session = talk(scene, pipe, dialling(noiseOf(scene.attacker)))
  if (session?.ok !== true) throw new Error('no session')
  const channel = secure(pipe, session.value, scene.attacker.aead)
  scene.world.run(100)
  expect(outcome()).toBe('ok')
  return channel
}

const yamuxFrame = (type: number, flags: number, id: number, length: number, body: Uint8Array = new Uint8Array(0)): Uint8Array => {
  const header = new Uint8Array(12)
  putHeader(header, 0, type, flags, id, length)
  return concat([header, body])
}

const codeOfClose = (scene: Scene): string | undefined => {
  const closed = scene.victim.events.filter((event) => event.t === 'connection:close').at(-1)
  return closed?.t === 'connection:close' ? (closed.fault?.code ?? 'in order') : undefined
}

describe('an upgrade', () => {
  const head = lazyHead('/noise')
  const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'))

  it.each<[string, Uint8Array, string]>([
    ['HTTP', utf8('GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n\r\n'), 'ERR_PROTOCOL'],
    ['a TLS hello', concat([hex('16 03 01 02 00 01 00 01 fc 03 03'), new Uint8Array(32).fill(7)]), 'ERR_PROTOCOL'],
    ['a line without its newline', hex('02 61 62'), 'ERR_PROTOCOL'],
    ['an empty line', hex('00'), 'ERR_PROTOCOL'],
    ['a line of 16 KiB', hex('ff 7f'), 'ERR_FRAME_TOO_LARGE'],
    ['another security protocol, and an end', concat([lazyHead('/tls/1.0.0')]), 'timeout'],
    [
      'proposals without end',
      concat([head.subarray(0, 20), ...Array.from({ length: 70 }, () => lazyHead('/x').subarray(20))]),
      'ERR_PROTOCOL',
    ],
    ['a first Noise message of no bytes', concat([head, hex('00 00')]), 'ERR_ENCRYPTION_FAILED'],
    ['a first Noise message that is too short', concat([head, hex('00 05 01 02 03 04 05')]), 'ERR_ENCRYPTION_FAILED'],
    ['an ephemeral key of zeros', concat([head, hex('00 20'), new Uint8Array(32)]), 'ERR_ENCRYPTION_FAILED'],
    [
      'a third Noise message of garbage',
      concat([head, hex('00 20'), new Uint8Array(32).fill(9), hex('00 40'), new Uint8Array(64)]),
      'ERR_ENCRYPTION_FAILED',
    ],
    ['half a Noise message, and silence', concat([head, hex('00 20 01 02 03')]), 'timeout'],
    ['nothing at all', new Uint8Array(0), 'timeout'],
  ])('that begins with %s ends', (_what, attack, code) => {
    const scene = new Scene(1)
    const { pipe, outcome } = scene.knock()
    const got = drain(pipe)
    if (attack.length > 0) pipe.write(attack)
    const began = scene.world.now
    scene.world.run(UPGRADE_TIMEOUT + 1_000, () => outcome() !== undefined)
    expect(outcome()).toBe(code === 'timeout' ? 'ERR_TIMEOUT' : code)
    expect(scene.world.now - began).toBeLessThanOrEqual(code === 'timeout' ? UPGRADE_TIMEOUT : 1_000)
    scene.world.run(100)
    expect(got.over).toBe('ERR_CONNECTION_CLOSED')
    scene.atPeace()
  })

  it('is over before it began: the node hears of it once, and counts nothing as pending', () => {
    const scene = new Scene(2)
    const [near, far] = scene.world.pipe()
    near.write(new Uint8Array(100))
    scene.world.run(100)
    const codes: string[] = []
    const remoteAddr = parseMultiaddr('/memory/0')
    scene.victim.node.accept({ t: 'pipe', channel: far, transport: 'memory', remoteAddr }, (outcome) =>
      codes.push(outcome.ok ? 'ok' : outcome.fault.code),
    )
    const [gone, lost] = scene.world.pipe()
    gone.abort({ code: 'ERR_STREAM_RESET' } as TabmeshError)
    scene.world.run(100)
    scene.victim.node.accept({ t: 'pipe', channel: lost, transport: 'memory', remoteAddr }, (outcome) =>
      codes.push(outcome.ok ? 'ok' : outcome.fault.code),
    )
    expect(codes).toEqual(['ERR_PROTOCOL', 'ERR_CONNECTION_CLOSED'])
    expect(scene.victim.node.pending).toBe(0)
    scene.atPeace()
  })

  it('that is cut or damaged at any byte ends, and never with a throw', () => {
    const scene = new Scene(3)
    // What a dialer sends in an upgrade that goes well.
    const sent: Uint8Array[] = []
    const { pipe } = scene.knock()
    const recorder: Channel = new Proxy(pipe, {
      get: (target, name) => {
        if (name !== 'write') {
          const value = Reflect.get(target, name, target) as unknown
          return typeof value === 'function' ? value.bind(target) : value
        }
        return (chunk: Uint8Array) => {
          sent.push(chunk.slice())
          target.write(chunk)
        }
      },
    })
    expect(talk(scene, recorder, dialling(noiseOf(scene.attacker)))?.ok).toBe(true)
    scene.world.run(200)
    pipe.abort({ code: 'ERR_STREAM_RESET' } as TabmeshError)
    const whole = concat(sent)
    property(30, (random) => {
      const { pipe: attack, outcome } = scene.knock()
      drain(attack)
      const damaged = whole.slice(0, 1 + random.below(whole.length))
      if (random.below(2) === 0) damaged[random.below(damaged.length)] = random.below(256)
      for (let at = 0; at < damaged.length; ) {
        const size = 1 + random.below(60)
        attack.write(damaged.slice(at, at + size))
        at += size
      }
      if (random.below(2) === 0) attack.end()
      scene.world.run(UPGRADE_TIMEOUT + 100, () => outcome() !== undefined)
      expect(outcome()).toMatch(/^ERR_(PROTOCOL|ENCRYPTION_FAILED|STREAM_CLOSED|TIMEOUT|FRAME_TOO_LARGE|DECODE|CONNECTION_CLOSED)$/)
    })
    scene.atPeace()
  })

  it('with a payload that another key signed, or for an identity of its own making, ends', () => {
    const scene = new Scene(4)
    const other = privateKey('Ed25519', scene.world.random.bytes(32))
    const { pipe, outcome } = scene.knock()
    talk(scene, pipe, dialling(noiseOf(scene.attacker, { identity: other.publicKey })))
    scene.world.run(1_000)
    expect(outcome()).toBe('ERR_ENCRYPTION_FAILED')
    scene.atPeace()
  })

  it('that leaves the muxer to multistream and then says nothing frees its place in time', () => {
    const scene = new Scene(6)
    const { pipe, outcome } = scene.knock()
    const session = talk(scene, pipe, dialling(noiseOf(scene.attacker, { muxers: [] })))
    expect(session?.ok).toBe(true)
    if (session?.ok === true) drain(secure(pipe, session.value, scene.attacker.aead))
    scene.world.run(UPGRADE_TIMEOUT + 100, () => outcome() !== undefined)
    expect(outcome()).toBe('ERR_TIMEOUT')
    scene.atPeace()
  })

  it('of ourselves is refused', () => {
    const scene = new Scene(7)
    const { pipe, outcome } = scene.knock()
    const self = scene.victim.node.host
    let done = false
    converse(pipe, dialling(noiseOf(self)), self, { timeout: 5_000, what: 'a mirror', done: () => (done = true) })
    scene.world.run(1_000)
    expect([done, outcome()]).toEqual([true, 'ERR_SELF_DIAL'])
    scene.atPeace()
  })
})

describe('a dial', () => {
  /** The victim dials an address at which `answer` plays the listener. */
  const lure = (scene: Scene, answer: (pipe: Channel) => void): string => {
    const trap: Transport = {
      name: 'memory',
      matches: () => true,
      dial: (address, _net, done: (outcome: Outcome<Link>) => void) => {
        const [near, far] = scene.world.pipe()
        answer(far)
        return scene.world.after(1, () => done({ ok: true, value: { t: 'pipe', channel: near, transport: 'memory', remoteAddr: address } }))
      },
    }
    const link: Link[] = []
    trap.dial(parseMultiaddr('/memory/99'), scene.victim.node, (outcome) => outcome.ok && link.push(outcome.value))
    scene.world.run(10)
    let code: string | undefined
    scene.victim.node.adopt(link[0] as Link, peerIdFromKey(scene.attacker.publicKey), (outcome) => {
      code = outcome.ok ? 'ok' : outcome.fault.code
    })
    scene.world.run(UPGRADE_TIMEOUT + 1_000, () => code !== undefined)
    return code as string
  }

  function* listening(options: NoiseOptions) {
    yield* read(20)
    yield* write(lazyHead('/noise').slice(0, 20))
    yield* read(8)
    yield* write(lazyHead('/noise').slice(20))
    return yield* respondNoise(options)
  }

  const answering = (scene: Scene, options: NoiseOptions) => (pipe: Channel) =>
    void converse(pipe, listening(options), scene.attacker, { timeout: 60_000, what: 'an attack', done: () => {} })

  it('that another peer answers ends with ERR_PEER_ID_MISMATCH, and it is not told who we are', () => {
    const scene = new Scene(10)
    const other = scene.world.host()
    let outcome: Outcome<unknown> | undefined
    const code = lure(scene, (pipe) => {
      converse(pipe, listening(noiseOf(other)), other, { timeout: 60_000, what: 'an attack', done: (got) => (outcome = got) })
    })
    expect(code).toBe('ERR_PEER_ID_MISMATCH')
    scene.world.run(100)
    expect(outcome?.ok).toBe(false)
    scene.atPeace()
  })

  it('whose remote did not sign its static key ends', () => {
    const scene = new Scene(11)
    const other = scene.world.host()
    const code = lure(scene, (pipe) => {
      converse(pipe, listening(noiseOf(scene.attacker)), other, { timeout: 60_000, what: 'an attack', done: () => {} })
    })
    expect(code).toBe('ERR_ENCRYPTION_FAILED')
    scene.atPeace()
  })

  it.each<[string, Uint8Array, string]>([
    ['na', concat([lazyHead('/noise').slice(0, 20), utf8('\x03na\n')]), 'ERR_NO_SECURITY'],
    ['another protocol than was proposed', lazyHead('/tls/1'), 'ERR_PROTOCOL'],
    ['another multistream', utf8('\x13/multistream/2.0.0\n'), 'ERR_PROTOCOL'],
    [
      'a second Noise message of garbage',
      concat([lazyHead('/noise'), Uint8Array.of(0, 100), new Uint8Array(100).fill(7)]),
      'ERR_ENCRYPTION_FAILED',
    ],
    ['a second Noise message of no bytes', concat([lazyHead('/noise'), Uint8Array.of(0, 0)]), 'ERR_ENCRYPTION_FAILED'],
  ])('that is answered with %s ends', (_what, reply, code) => {
    const scene = new Scene(12)
    expect(
      lure(scene, (pipe) => {
        drain(pipe)
        pipe.write(reply)
      }),
    ).toBe(code)
    scene.atPeace()
  })

  it('whose remote has no muxer of ours ends with ERR_NO_MUXER', () => {
    const scene = new Scene(15)
    const code = lure(scene, (pipe) => {
      converse(pipe, listening(noiseOf(scene.attacker, { muxers: [] })), scene.attacker, {
        timeout: 60_000,
        what: 'an attack',
        done: (session) => {
          if (!session.ok) return
          const channel = secure(pipe, session.value, scene.attacker.aead)
          converse(channel, answerProtocols(['/mplex/6.7.0']), scene.attacker, { timeout: 60_000, what: 'an attack', done: () => {} })
        },
      })
    })
    expect(code).toBe('ERR_NO_MUXER')
    scene.atPeace()
  })

  it('that nobody answers ends at its deadline; that hangs up, at once', () => {
    const scene = new Scene(13)
    expect(lure(scene, drain)).toBe('ERR_TIMEOUT')
    expect(lure(scene, (pipe) => pipe.end())).toBe('ERR_STREAM_CLOSED')
    expect(lure(scene, (pipe) => pipe.abort({ code: 'ERR_STREAM_RESET' } as TabmeshError))).toBe('ERR_CONNECTION_CLOSED')
    scene.atPeace()
  })

  it('that goes well and is hung up at once leaves nothing', () => {
    const scene = new Scene(14)
    const code = lure(scene, (pipe) => {
      answering(scene, noiseOf(scene.attacker))(pipe)
      scene.world.after(6, () => pipe.abort({ code: 'ERR_STREAM_RESET' } as TabmeshError))
    })
    expect(code).toMatch(/^(ok|ERR_CONNECTION_CLOSED|ERR_STREAM_CLOSED)$/)
    scene.world.run(100)
    scene.atPeace()
  })
})

describe('a connection', () => {
  it.each<[string, Uint8Array, string]>([
    ['garbage', new Uint8Array(100).fill(0xff), 'ERR_MUXER'],
    ['a frame of an unknown version', yamuxFrame(DATA, SYN, 1, 0).fill(9, 0, 1), 'ERR_MUXER'],
    ['data for a stream that is not there, beyond any window', yamuxFrame(DATA, SYN, 1, 0xffffffff), 'ERR_MUXER'],
    ['a stream opened with our parity', yamuxFrame(DATA, SYN, 2, 0), 'ERR_MUXER'],
    ['a go-away with a fault', yamuxFrame(GO_AWAY, 0, 0, 2), 'ERR_CONNECTION_CLOSED'],
  ])('on which %s comes ends', (_what, attack, code) => {
    const scene = new Scene(20)
    const channel = intrude(scene)
    const got = drain(channel)
    channel.write(attack)
    scene.world.run(10_000)
    expect(codeOfClose(scene)).toBe(code)
    expect(got.over).toBeDefined()
    scene.atPeace()
  })

  it('whose bytes were altered on the way ends with ERR_ENCRYPTION_FAILED', () => {
    const scene = new Scene(21)
    const { pipe } = scene.knock()
    const session = talk(scene, pipe, dialling(noiseOf(scene.attacker)))
    expect(session?.ok).toBe(true)
    drain(pipe)
    pipe.write(concat([Uint8Array.of(0, 32), new Uint8Array(32)]))
    scene.world.run(1_000)
    expect(codeOfClose(scene)).toBe('ERR_ENCRYPTION_FAILED')
    scene.atPeace()
  })

  it('that is silent is given up when it answers no ping', () => {
    const scene = new Scene(22)
    drain(intrude(scene))
    scene.world.run(90_000)
    expect(codeOfClose(scene)).toBeDefined()
    scene.atPeace()
  })

  it('with 64 k stream opens, none of which negotiates: at most a thousand wait, and their timeouts free them', () => {
    const scene = new Scene(23)
    const channel = intrude(scene)
    const got = drain(channel)
    const opens: Uint8Array[] = []
    for (let i = 0; i < 65_536; i += 1) opens.push(yamuxFrame(WINDOW_UPDATE, SYN, 2 * i + 1, 0))
    const flood = concat(opens)
    let at = 0
    const pump = (): void => {
      for (; at < flood.length && channel.credit > 0 && got.over === undefined; at += 60_000) channel.write(flood.slice(at, at + 60_000))
      if (at < flood.length && got.over === undefined) scene.world.after(1, pump)
    }
    pump()
    scene.world.run(2_000)
    expect(scene.world.waiting).toBeLessThan(2_500)
    const there = scene.victim.node.connections(peerIdFromKey(scene.attacker.publicKey))[0]
    expect(there?.streams.size ?? 0).toBeLessThanOrEqual(1)
    scene.world.run(MSS_TIMEOUT + 1_000)
    channel.abort({ code: 'ERR_STREAM_RESET' } as TabmeshError)
    scene.world.run(100)
    scene.atPeace()
  })

  it('with streams of protocols that nobody handles: each is refused and forgotten', () => {
    const scene = new Scene(24)
    const channel = intrude(scene)
    drain(channel)
    for (let i = 0; i < 500; i += 1) {
      const body = lazyHead(`/nothing/${i}`)
      channel.write(yamuxFrame(DATA, SYN, 2 * i + 1, body.length, body))
      if (i % 3 === 0) channel.write(yamuxFrame(WINDOW_UPDATE, RST, 2 * i + 1, 0))
    }
    scene.world.run(MSS_TIMEOUT + 1_000)
    const [there] = scene.victim.node.connections(peerIdFromKey(scene.attacker.publicKey))
    expect([...(there?.streams ?? [])].every((stream) => stream.direction === 'outbound')).toBe(true)
    expect(Object.keys(scene.victim.node.metrics.snapshot().protocols).some((name) => name.startsWith('/nothing'))).toBe(false)
    channel.abort({ code: 'ERR_STREAM_RESET' } as TabmeshError)
    scene.world.run(100)
    scene.atPeace()
  })

  it('with more streams of a protocol than it may have: those beyond are reset', () => {
    const scene = new Scene(25)
    const channel = intrude(scene)
    drain(channel)
    for (let i = 0; i < 100; i += 1) {
      const body = lazyHead(i % 2 === 0 ? '/echo/1' : '/ipfs/ping/1.0.0')
      channel.write(yamuxFrame(DATA, SYN, 2 * i + 1, body.length, body))
    }
    scene.world.run(1_000)
    const [there] = scene.victim.node.connections(peerIdFromKey(scene.attacker.publicKey))
    const open = [...(there?.streams ?? [])].filter(({ direction }) => direction === 'inbound').map(({ protocol }) => protocol)
    expect(open.filter((name) => name === '/echo/1').length).toBe(32)
    expect(open.filter((name) => name === '/ipfs/ping/1.0.0').length).toBe(2)
    channel.abort({ code: 'ERR_STREAM_RESET' } as TabmeshError)
    scene.world.run(100)
    scene.atPeace()
  })
})

describe('a peer that lies about itself', () => {
  const identify = message({
    publicKey: bytes(1),
    listenAddrs: repeated(bytes(2), 20_000),
    protocols: repeated(string(3), 20_000),
    signedPeerRecord: bytes(8),
  })
  type Told = Partial<Parameters<typeof identify.encode>[0]>
  const encode = (told: Told): Uint8Array =>
    identify.encode({ publicKey: undefined, listenAddrs: [], protocols: ['/echo/1'], signedPeerRecord: undefined, ...told })

  /** The victim asks a liar who it is; what it learns and what becomes of the stream. */
  const ask = (
    seed: number,
    lie: (stream: Stream, key: PrivateKey) => void,
  ): { identified: Identified | undefined; closed: string | undefined; scene: Scene; addresses: string[] } => {
    const scene = new Scene(seed)
    const { world } = scene
    let closed: string | undefined
    const key = privateKey('Ed25519', world.random.bytes(32))
    const liar = world.node(() => ({
      services: [
        {
          name: 'a liar',
          protocols: { '/ipfs/id/1.0.0': {} },
          onStream(stream) {
            stream.attach({
              onData: () => {},
              onEnd: () => {},
              onClose: (fault) => {
                closed = fault?.code ?? 'closed'
              },
            })
            lie(stream, key)
          },
        },
      ],
    }))
    let connection: Connection | undefined
    scene.victim.node.dial({ addresses: [liar.address] }, (outcome) => {
      if (outcome.ok) connection = outcome.value
    })
    world.run(IDENTIFY_TIMEOUT + 20_000)
    const identified = connection?.identified
    const addresses = (scene.victim.node.peerStore.get(liar.node.self)?.addresses ?? []).map(({ text }) => text)
    expect(connection?.status).toBe('open')
    expect([...(connection as Connection).streams]).toEqual([])
    liar.node.stop(() => {})
    world.run(5_000)
    scene.atPeace()
    return { identified, closed, scene, addresses }
  }

  it('with a message of 10 MB: the stream is reset before it is read', () => {
    const { identified, closed } = ask(30, (stream) => {
      stream.write(encodeVarint(10_000_000))
      stream.write(new Uint8Array(200_000))
    })
    expect([identified, closed]).toEqual([undefined, 'ERR_STREAM_RESET'])
  })

  it('with eleven messages', () => {
    const { identified, closed } = ask(31, (stream) => {
      for (let i = 0; i < 11; i += 1) stream.write(frame(encode({})))
      stream.end()
    })
    expect([identified, closed]).toEqual([undefined, 'ERR_STREAM_RESET'])
    expect(
      ask(32, (stream) => {
        for (let i = 0; i < 10; i += 1) stream.write(frame(encode({ protocols: [`/p/${i}`] })))
        stream.end()
      }).identified?.protocols.length,
    ).toBe(10)
  })

  it('with the key of another, with no message, with what is none', () => {
    for (const lie of [
      (stream: Stream, key: PrivateKey) => stream.write(frame(encode({ publicKey: key.publicKey.encoded }))),
      (stream: Stream) => stream.write(frame(encode({ publicKey: utf8('no key') }))),
      () => {},
      (stream: Stream) => stream.write(frame(utf8('nonsense'))),
      (stream: Stream) => stream.write(frame(new Uint8Array(IDENTIFY_MAX_FRAME + 1))),
    ]) {
      const { identified, closed } = ask(33, (stream, key) => {
        lie(stream, key)
        stream.end()
      })
      expect(identified).toBeUndefined()
      expect(closed).toMatch(/^ERR_STREAM_RESET$|^closed$/)
    }
  })

  it('with a message that never ends', () => {
    expect(ask(34, (stream) => stream.write(encodeVarint(100))).closed).toBe('ERR_STREAM_RESET')
  })

  it('with the record of another peer, or one that it did not sign: the record is dropped, the rest stands', () => {
    for (const forged of [false, true]) {
      const { identified } = ask(35, (stream, key) => {
        const payload = encodePeerRecord({ peerId: peerIdFromKey(key.publicKey), seq: 1n, addresses: [parseMultiaddr('/memory/66')] })
        const signature = forged ? new Uint8Array(64) : signWith(key, envelopeSigningBytes(peerRecordUse, payload))
        const signedPeerRecord = encodeEnvelope({ publicKey: key.publicKey, payloadType: peerRecordUse.payloadType, payload, signature })
        stream.write(frame(encode({ signedPeerRecord, listenAddrs: [parseMultiaddr('/memory/5').bytes] })))
        stream.end()
      })
      expect(identified?.signedRecord).toBeUndefined()
      expect(identified?.addresses.map(({ text }) => text.split('/p2p/')[0])).toEqual(['/memory/5'])
    }
  })

  it('with ten thousand addresses: so many are kept as the peer store keeps', () => {
    const addresses = Array.from({ length: 10_000 }, (_, at) => parseMultiaddr(`/memory/${at}`).bytes)
    const { closed } = ask(36, (stream) => {
      for (let at = 0; at < 10; at += 1) stream.write(frame(encode({ listenAddrs: addresses.slice(at * 1_000, at * 1_000 + 1_000) })))
      stream.end()
    })
    expect(closed).toBe('ERR_STREAM_RESET')
    const many = ask(37, (stream) => {
      for (let at = 0; at < 10; at += 1) stream.write(frame(encode({ listenAddrs: addresses.slice(at * 500, at * 500 + 500) })))
      stream.end()
    })
    expect(many.identified?.addresses.length).toBe(500)
    expect(many.addresses.length).toBe(PEER_STORE_MAX_ADDRESSES)
  })

  it('with addresses of other peers, of none and of nobody knows what: they are not its own', () => {
    const other = `/p2p/${peerIdFromKey(privateKey('Ed25519', new Uint8Array(32).fill(3)).publicKey)}`
    const { addresses } = ask(38, (stream) => {
      stream.write(
        frame(encode({ listenAddrs: [parseMultiaddr(`/memory/1${other}`).bytes, parseMultiaddr('/memory/2').bytes, Uint8Array.of(1, 2)] })),
      )
      stream.end()
    })
    // The last is where we found it ourselves.
    expect(addresses.map((text) => text.split('/p2p/')[0])).toEqual(['/memory/2', '/memory/3'])
  })
})

describe('a ping', () => {
  const pinged = (answer: (stream: Stream, bytes: Uint8Array) => void): string => {
    const scene = new Scene(40)
    const ping = pingService()
    const victim = scene.world.node(() => ({ services: [ping] }))
    const remote = scene.world.node(() => ({
      services: [
        {
          name: 'odd pings',
          protocols: { '/ipfs/ping/1.0.0': {} },
          onStream: (stream) =>
            stream.attach({ onData: (received) => answer(stream, received), onEnd: () => stream.end(), onClose: () => {} }),
        },
      ],
    }))
    let code: string | undefined
    victim.node.dial({ addresses: [remote.address] }, (outcome) => {
      if (!outcome.ok) return
      ping.ping(outcome.value, (got) => {
        code = got.ok ? 'ok' : got.fault.code
        expect(outcome.value.proven).toBe(got.ok)
      })
    })
    scene.world.run(PING_TIMEOUT + 1_000)
    const [connection] = victim.node.connections()
    expect(connection?.status).toBe('open')
    scene.world.run(11_000)
    expect(connection?.streams.size).toBe(0)
    for (const { node } of [victim, remote]) node.stop(() => {})
    scene.world.run(10_000)
    scene.atPeace()
    return code as string
  }

  it('with another echo, with half of one, with none', () => {
    expect(pinged((stream) => stream.write(new Uint8Array(32)))).toBe('ERR_PROTOCOL')
    expect(
      pinged((stream, received) => {
        stream.write(received.slice(0, 16))
        stream.end()
      }),
    ).toBe('ERR_STREAM_CLOSED')
    expect(pinged(() => {})).toBe('ERR_TIMEOUT')
  })

  it('with its echo, in pieces, and more behind it', () => {
    expect(
      pinged((stream, received) => {
        for (const byte of received) stream.write(Uint8Array.of(byte))
        stream.write(new Uint8Array(100_000))
      }),
    ).toBe('ok')
  })
})
